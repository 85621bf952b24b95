"""Median times of two ways to do one thing, and their ratio."""

from collections.abc import Callable

from torch import get_num_threads
from torch.utils.benchmark import Timer


def compare(
    what: str, ours: Callable[[], object], theirs: Callable[[], object], peer: str
) -> None:
    """Time two calls in turn and print their medians and the ratio.

    Args:
        what: the function and its sizes.
        ours: called without arguments; waits for the device if there is one.
        theirs: the same by the peer.
        peer: the peer's name.
    """
    times = []
    for call in (ours, theirs):
        timer = Timer("call()", globals={"call": call}, num_threads=get_num_threads())
        times.append(timer.blocked_autorange(min_run_time=2).median * 1e3)
    ratio = times[1] / times[0]
    print(
        f"{what:52s} ours {times[0]:9.2f} ms   {peer} {times[1]:9.2f} ms   "
        f"{ratio:6.2f}x the speed"
    )
