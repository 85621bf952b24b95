"""Writing files so that nobody ever finds half of one."""

from pathlib import Path

import nbformat


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place and move it there when it is whole.

    Args:
        path: the file; its folder is made if it is not there.
        content: what it is to hold; text is written as UTF-8.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    data = content if isinstance(content, bytes) else content.encode()
    unfinished.write_bytes(data)
    unfinished.replace(path)


def write_notebook(path: Path, book: nbformat.NotebookNode) -> None:
    """Write a notebook as a whole.

    Args:
        path: the file; its folder is made if it is not there.
        book: the notebook.
    """
    write_whole(path, nbformat.writes(book) + "\n")
