"""A small book of three pages, as if it had been built."""

from pathlib import Path

from PIL import Image

TOC = """\
format: jb-book
root: book/index
parts:
  - caption: Foundations
    chapters:
      - file: book/foundations/stencils
      - file: book/foundations/kernels
"""
PAGE = """\
<!DOCTYPE html><html lang="en"><head><title>{title} · Look Closer</title></head>
<body><article><h1>{title}</h1>{body}</article></body></html>
"""
BODIES = {
    "index": '<p><a href="foundations/kernels.html">on to kernels</a></p>',
    "foundations/stencils": (
        '<p><a href="#far">far below</a> <a href="https://example.org/a">outside</a>'
        '<h2>First</h2><div style="height: 3000px">tall</div>'
        '<h2 id="far">Far</h2><p>the end of stencils</p>'
    ),
    "foundations/kernels": '<h2>Odd &amp; even</h2><p>a "kernel" of three</p>',
}
TITLES = {"index": "The start", "foundations/stencils": "Stencils"}


def make_small_site(root: Path) -> Path:
    """Write the book and its build to a folder.

    Args:
        root: the folder; made here.

    Returns:
        The same folder.
    """
    files = {
        "_toc.yml": TOC,
        "_build/html/index.html": '<a href="book/index.html">Look Closer</a>',
        "_build/html/.digest": "0123",
        "requirements.txt": "numpy==2.4.6\n",
        "book/foundations/stencils.ipynb": "{}",
        "book/foundations/unlisted.ipynb": "{}",
        "book/index.md": "# The start\n",
        "lesson_utils/stencils.py": "",
        "lesson_utils/weights/net.json": "{}",
        "lesson_utils/__pycache__/stencils.pyc": "compiled",
    }
    for name, body in BODIES.items():
        page = PAGE.format(title=TITLES.get(name, 'Kernels, "odd"'), body=body)
        files[f"_build/html/book/{name}.html"] = page
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    cover = root / "_build/html/_static/cover.webp"
    cover.parent.mkdir()
    Image.new("RGB", (32, 16), "#a03010").save(cover)
    return root
