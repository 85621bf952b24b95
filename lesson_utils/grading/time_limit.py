"""Stopping a call that takes too long, wherever it runs."""

import ctypes
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_PATIENCE = 0.05  # seconds between two attempts to stop a call that resists


class TimeUp(BaseException):
    """The call was stopped. Not an Exception, so that `except Exception` lets it by."""


def call_within(seconds: float, function: Callable[[], Any]) -> Any:
    """Call a function, and stop it when its time is up.

    Args:
        seconds: how long it may take. A single call into compiled code (one huge
            matrix product) is stopped only once it returns.
        function: called without arguments; on the main thread of a POSIX system right
            here, else on a thread of its own.

    Returns:
        What it returns.

    Raises:
        TimeUp: it took longer.
    """
    if seconds <= 0:
        raise TimeUp
    on_main = threading.current_thread() is threading.main_thread()
    if on_main and hasattr(signal, "setitimer"):
        return _call_under_alarm(seconds, function)
    return _call_on_thread(seconds, function)


def _call_under_alarm(seconds: float, function: Callable[[], Any]) -> Any:
    running = False
    tracer = sys.gettrace()

    def stop_again(frame: Any, event: str, _: Any) -> Callable[..., Any]:
        # Not on "exception": raised there, it would end up in the same handler.
        if running and event in ("call", "line"):
            raise TimeUp
        return stop_again

    def ring(signum: int, frame: Any) -> None:
        # A bare `except:` around the interrupted line would swallow the exception; the
        # trace function then raises it again on the line that did so.
        if running:
            frame.f_trace = stop_again
            sys.settrace(stop_again)
            raise TimeUp

    started = time.monotonic()
    old_handler = signal.signal(signal.SIGALRM, ring)
    old_delay, old_interval = signal.setitimer(signal.ITIMER_REAL, seconds, _PATIENCE)
    try:
        try:
            running = True
            return function()
        finally:
            running = False  # from here on a late alarm does nothing
            sys.settrace(tracer)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old_handler or signal.SIG_DFL)
        if old_delay:
            left = max(old_delay - (time.monotonic() - started), 1e-3)
            signal.setitimer(signal.ITIMER_REAL, left, old_interval)


def _call_on_thread(seconds: float, function: Callable[[], Any]) -> Any:
    results: list[tuple[Any, BaseException | None]] = []

    def work() -> None:
        try:
            results.append((function(), None))
        except BaseException as error:
            results.append((None, error))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    # In short steps, because on Windows Ctrl-C does not interrupt a long wait.
    _wait(thread, seconds)
    if thread.is_alive():
        _interrupt(thread)
        raise TimeUp
    value, error = results[0]
    if error is not None:
        raise error
    return value


def _interrupt(thread: threading.Thread) -> None:
    """Raise TimeUp in a thread. One asleep in compiled code is left behind (daemon)."""
    for _ in range(20):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(thread.ident), ctypes.py_object(TimeUp)
        )
        thread.join(_PATIENCE)
        if not thread.is_alive():
            return


def _wait(thread: threading.Thread, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while thread.is_alive() and (left := deadline - time.monotonic()) > 0:
        thread.join(min(left, _PATIENCE))
