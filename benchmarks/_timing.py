"""Two ways to do one thing, timed in turn in one run, and their ratio."""

from collections.abc import Callable

from torch import get_num_threads
from torch.utils.benchmark import Timer

ROUNDS = 3
ROWS: list[dict] = []  # what this run has compared so far, in its order


def compare(
    what: str, ours: Callable[[], object], theirs: Callable[[], object], peer: str
) -> None:
    """Time two calls in turn, and note the ratio of their times.

    Args:
        what: the function and its sizes.
        ours: called without arguments; waits for the device if there is one.
        theirs: the same by the peer.
        peer: the peer's name.
    """
    times = [float("inf")] * 2
    # In turn, and the best of each: what else the machine does only slows a round down.
    for _ in range(ROUNDS):
        for place, call in enumerate((ours, theirs)):
            timer = Timer(
                "call()", globals={"call": call}, num_threads=get_num_threads()
            )
            median = timer.blocked_autorange(min_run_time=0.7).median
            times[place] = min(times[place], median)
    note(what, *times, peer)


def note(what: str, ours: float, theirs: float, peer: str) -> None:
    """Print a comparison, and keep its ratio for the table.

    Args:
        what: what was done, and its sizes.
        ours: seconds.
        theirs: seconds.
        peer: the peer's name.
    """
    ratio = theirs / ours
    ROWS.append({"what": what, "peer": peer, "ratio": float(f"{ratio:.2g}")})
    print(
        f"{what:52s} ours {ours * 1e3:9.2f} ms   {peer} {theirs * 1e3:9.2f} ms   "
        f"{ratio:6.2f}x the speed",
        flush=True,
    )
