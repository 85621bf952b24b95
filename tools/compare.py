"""nbval's comparison on notebooks that were executed already, so that none runs twice.

    python -m pytest -p tools.compare --nbval-lax book/foundations/masks.ipynb

As a plugin of pytest this puts the executed copy in the place of nbval's kernel: each
cell is "answered" at once, by what the kernel said when `tools.execute` ran it. Which
cells are compared, how, and what is reported remain nbval's. Without `-p` nbval starts
a kernel of its own, as its users know it.
"""

import os
import subprocess
import sys
from collections import deque
from pathlib import Path

import nbformat
import pytest

from tools import environment
from tools.run_notebook import executed_copy


class Recording:
    """The part of nbval's `RunningKernel` that its tests use, out of a recording.

    Args:
        book: an executed notebook.
    """

    def __init__(self, book: nbformat.NotebookNode) -> None:
        self._cells = iter(c for c in book.cells if c.cell_type == "code")
        self._messages: deque[dict] = deque()

    def execute_cell_input(self, source: str, allow_stdin: bool | None = None) -> str:
        """Make ready what the next cell of this source said.

        Args:
            source: the cell's.
            allow_stdin: not used; a recording asks nothing.

        Returns:
            An id that its messages bear.

        Raises:
            LookupError: it was not executed.
        """
        # nbval does not ask for the cells that it skips.
        cell = next((c for c in self._cells if c.source == source), None)
        if cell is None:
            raise LookupError("the executed copy has no such cell: run `make book`")
        idle = {"output_type": "status", "execution_state": "idle"}
        self._messages = deque(
            {
                "msg_type": content["output_type"],
                "content": content,
                "parent_header": {"msg_id": cell.id},
            }
            for content in [*cell.outputs, idle]
        )
        return cell.id

    def get_message(self, stream: str, timeout: float | None = None) -> dict:
        """The next thing the cell said; nobody waits."""
        return self._messages.popleft()

    def await_reply(self, msg_id: str, timeout: float | None = None) -> None:
        """Nothing to wait for."""

    def await_idle(self, parent_id: str, timeout: float) -> None:
        """Nothing to wait for; what is left unread is forgotten."""
        self._messages.clear()

    def is_alive(self) -> bool:
        """A recording is."""
        return True

    def interrupt(self) -> None:
        """Nothing runs."""

    def stop(self) -> None:
        """Nothing runs."""


def pytest_configure(config: pytest.Config) -> None:
    """Have nbval read executed copies from now on, in this process."""
    from nbval.plugin import IPyNbFile

    def setup(notebook: IPyNbFile) -> None:
        copy = executed_copy(config.rootpath, notebook.path)
        if not copy.is_file():
            raise FileNotFoundError(f"{notebook.path} was not executed: no {copy}")
        notebook.kernel = Recording(nbformat.read(copy, as_version=4))
        notebook.setup_sanitize_files()

    IPyNbFile.setup = setup


def differences(root: Path, notebooks: list[Path]) -> str:
    """Compare the checked outputs of notebooks with those of their executed copies.

    Args:
        root: the repository.
        notebooks: notebooks in it, each executed.

    Returns:
        nbval's report on the cells that differ; empty if none does.
    """
    if not notebooks:
        return ""
    command = [sys.executable, "-m", "pytest", "-p", "tools.compare", "--nbval-lax"]
    command += ["-c", str(environment.ROOT / "pyproject.toml"), "--rootdir", str(root)]
    command += ["-p", "no:cacheprovider", "--color=no", "--no-header", "-rN"]
    done = subprocess.run(
        [*command, "--show-capture=no", *map(str, notebooks)],
        cwd=root,
        env=environment.clean(os.environ),
        capture_output=True,
        text=True,
        encoding="utf-8",
    )
    nothing_to_compare = 5  # pytest's status for no tests
    if done.returncode in (0, nothing_to_compare):
        return ""
    return done.stdout + done.stderr
