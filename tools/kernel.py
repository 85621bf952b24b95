"""A kernel that notes which of the book's files it opens.

`tools.run_notebook` starts it in the place of `python -m ipykernel_launcher`. What a
page depends on is then known from its run, and neither guessed nor listed by hand.
"""

import importlib.util
import os
import sys

ROOT, NOTES = "LOOK_CLOSER_ROOT", "LOOK_CLOSER_NOTES"


def note_files(root: str, notes: str) -> None:
    """From now on, write the path of each file below a folder that is opened.

    Files opened for writing are not noted; bytecode is noted as its source. What a
    library opens by itself, past Python, is not seen: of the book's own files there is
    none that Python does not read as well, since weights are verified by their digest.

    Args:
        root: the folder; hidden folders in it and `_build` do not count.
        notes: the file to append to, a path a line, relative to `root`.
    """
    inside = os.path.join(root, "")
    seen = {os.path.abspath(__file__)}
    # Without buffer, and for appending: a forked worker's notes arrive as well.
    target = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def hook(event: str, arguments: tuple) -> None:
        if event != "open":
            return
        path, _, flags = arguments
        if isinstance(path, int) or (flags or 0) & (os.O_WRONLY | os.O_RDWR):
            return
        try:
            path = os.path.abspath(os.fsdecode(path))
        except (TypeError, ValueError):  # opening it will say what is wrong with it
            return
        if not path.startswith(inside) or path in seen or not os.path.isfile(path):
            return
        seen.add(path)
        if path.endswith(".pyc"):
            try:
                path = importlib.util.source_from_cache(path)
            except ValueError:
                return
        name = path.removeprefix(inside).replace(os.sep, "/")
        if not name.startswith((".", "_build/")):
            os.write(target, f"{name}\n".encode())

    sys.addaudithook(hook)


if __name__ == "__main__":
    # This folder's modules are no part of a reader's Python.
    del sys.path[0]
    note_files(os.environ.pop(ROOT), os.environ.pop(NOTES))

    from ipykernel import kernelapp

    kernelapp.launch_new_instance()
