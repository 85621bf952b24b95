"""Running an answer so that nothing it does can hurt the page it is on."""

import contextlib
import io
import sysconfig
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lesson_utils.grading.state import seeded_and_restored
from lesson_utils.grading.time_limit import TimeUp, call_within

_KEPT_TEXT = 1000  # characters of what an answer prints
_OURS = (
    str(Path(__file__).parents[1]),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
    "<frozen",
)


@dataclass(frozen=True)
class Raised:
    """An exception that came out of an answer.

    Args:
        type: its class.
        text: class and message, as Python would print them, shortened.
        line: number and text of the last of the reader's own lines on its way;
            (0, "") if it passed none, and "" for a text that is not known.
        stub: whether it is the stub's NotImplementedError.
    """

    type: type[BaseException]
    text: str
    line: tuple[int, str]
    stub: bool


@dataclass(frozen=True)
class Run:
    """What one call of an answer did.

    Args:
        value: what it returned.
        raised: the exception it raised, if it did.
        timed_out: whether it had to be stopped.
        seconds: how long it took.
        printed: the beginning of what it printed.
        warned: the warnings it caused.
    """

    value: Any = None
    raised: Raised | None = None
    timed_out: bool = False
    seconds: float = 0.0
    printed: str = ""
    warned: tuple[str, ...] = ()


def run_guarded(function: Callable[[], Any], seconds: float) -> Run:
    """Call a function and tell what happened, whatever happens.

    Its prints are kept from the page, the global generators, default dtype and grad
    mode are put back afterwards. Only KeyboardInterrupt passes: it is the reader's.

    Args:
        function: called without arguments.
        seconds: its time limit.

    Returns:
        What it did.
    """
    value, raised, timed_out = None, None, False
    out, started = _Beginning(), time.monotonic()
    with (
        warnings.catch_warnings(record=True) as caught,
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(_Beginning()),
    ):
        try:
            # Outside the time limit: an alarm must not ring while state is put back.
            with seeded_and_restored():
                value = call_within(seconds, function)
        except KeyboardInterrupt:
            raise
        except TimeUp:
            timed_out = True
        except BaseException as error:
            raised = _describe(error)
    warned = tuple(f"{w.category.__name__}: {w.message}" for w in caught)
    took = time.monotonic() - started
    return Run(value, raised, timed_out, took, out.text, warned)


class _Beginning(io.TextIOBase):
    """A text stream that keeps its beginning: an endless loop may print for long."""

    def __init__(self):
        self.text = ""

    def write(self, text: str) -> int:
        self.text += text[: _KEPT_TEXT - len(self.text)]
        return len(text)


def _describe(error: BaseException) -> Raised:
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [frame for frame in frames if not frame.filename.startswith(_OURS)]
    line = (theirs[-1].lineno, theirs[-1].line or "") if theirs else (0, "")
    # torch raises NotImplementedError too, for what it cannot do: not from a `raise`
    # in the reader's code. Where the source is not known, believe the exception.
    stub = isinstance(error, NotImplementedError) and (
        not line[1] or ("raise " in line[1])
    )
    text = "".join(traceback.format_exception_only(type(error), error)).strip()
    return Raised(type(error), text[:500], line, stub)
