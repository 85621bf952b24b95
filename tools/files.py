"""Writing files so that nobody ever finds half of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat


@contextmanager
def unfinished(path: Path) -> Iterator[Path]:
    """A place beside a file to write it to; it is moved there when the block ends.

    Args:
        path: the file; its folder is made if it is not there.

    Yields:
        The place to write to. After an error or an interruption nothing is left there,
        and the file is as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file beside its place and move it there when it is whole.

    Args:
        path: the file; its folder is made if it is not there.
        content: what it is to hold; text is written as UTF-8.
    """
    data = content if isinstance(content, bytes) else content.encode()
    with unfinished(path) as part:
        part.write_bytes(data)


def write_notebook(path: Path, book: nbformat.NotebookNode) -> None:
    """Write a notebook as a whole.

    Args:
        path: the file; its folder is made if it is not there.
        book: the notebook.
    """
    write_whole(path, nbformat.writes(book) + "\n")
