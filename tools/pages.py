"""Build the HTML pages, strictly, out of the executed notebooks.

    python -m tools.pages

The book is staged in `_build/source` with the executed notebooks in place of the
sources, and built from nothing into `_build/html`. If nothing it is made of has
changed, the pages stay. A build that fails leaves no pages: an old page that looks
new is worse than none.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tools import environment
from tools.execute import listed_pages
from tools.files import write_whole

ROOT = environment.ROOT
STAGED = ("_config.yml", "_toc.yml", "book", "lesson_utils")


def build(root: Path) -> bool:
    """Build the pages unless they are up to date.

    Args:
        root: the repository.

    Returns:
        Whether there was anything to do.

    Raises:
        SystemExit: a notebook has no executed copy, or the build found a fault or
            warned; its messages have been printed.
    """
    out = root / "_build"
    source, site, html = out / "source", out / "site", out / "html"
    _stage(root, source)
    digest = _digest(source, root / "constraints.txt")
    stamp = html / ".digest"
    if stamp.exists() and stamp.read_text() == digest:
        return False
    for folder in (html, site):
        shutil.rmtree(folder, ignore_errors=True)
    # Not the console script: it holds the path of the folder it was installed in.
    call = "import tools; from jupyter_book.cli.main import main; main()"
    command = [sys.executable, "-c", call, "build"]
    command += [str(source), "--path-output", str(site), "--all"]
    command += ["-W", "-n", "--keep-going"]
    run = subprocess.run(
        command,
        cwd=root,
        env=environment.clean(os.environ),
        capture_output=True,
        text=True,
        encoding="utf-8",
        errors="replace",
    )
    log = re.sub(r"\x1b\[[0-9;]*m", "", run.stdout + run.stderr)
    write_whole(out / "pages.log", log)
    if run.returncode:
        shutil.rmtree(site, ignore_errors=True)
        print(_faults(log) or log, file=sys.stderr)
        sys.exit(f"The pages were not built; the whole log is {out / 'pages.log'}")
    (site / "_build" / "html").rename(html)
    shutil.rmtree(site)
    write_whole(stamp, digest)
    return True


def _stage(root: Path, source: Path) -> None:
    """Copy what the pages are made of, each notebook as it was executed."""
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    ignore = shutil.ignore_patterns("__pycache__", ".*")
    for name in STAGED:
        if (root / name).is_dir():
            shutil.copytree(root / name, source / name, ignore=ignore)
        else:
            shutil.copy2(root / name, source / name)
    for page in listed_pages(root):
        if (root / f"{page}.ipynb").exists():
            executed = root / "_build" / "executed" / f"{page}.ipynb"
            if not executed.exists():
                sys.exit(f"{page}.ipynb was not executed: run `make book`")
            shutil.copy2(executed, source / f"{page}.ipynb")


def _digest(source: Path, pins: Path) -> str:
    digest = hashlib.sha256(pins.read_bytes())
    for path in sorted(p for p in source.rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(source)).encode() + b"\0")
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _faults(log: str) -> str:
    """The lines of a build's log that say what is wrong, each once."""
    marks = ("WARNING", "ERROR", "CRITICAL", "Exception", "Error")
    faults = (line for line in log.splitlines() if any(m in line for m in marks))
    return "\n".join(dict.fromkeys(faults))


if __name__ == "__main__":
    print("pages        built" if build(ROOT) else "pages        up to date")
