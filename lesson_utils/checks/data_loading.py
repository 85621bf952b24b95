"""The checks of the chapter `book/training/data_loading.ipynb`."""

import contextlib
import math
import queue
import random
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch

from lesson_utils import data_loading
from lesson_utils.common.require import require_whole
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# prefetch ---------------------------------------------------------------------------

PATIENCE = 2.0  # seconds after which a thread counts as one that does not come


class _Loader:
    """A loader that can be begun again, may fail, and notes who asked it how often."""

    def __init__(self, items: list, fails: bool = False) -> None:
        self.items, self.fails = items, fails
        self.asked, self.threads = 0, set()
        self.error = LookupError("a file is missing")
        self.failed = threading.Event()

    def __iter__(self) -> Iterator:
        for item in self.items:
            self.asked += 1
            self.threads.add(threading.get_ident())
            yield item
        if self.fails:
            self.failed.set()
            raise self.error


def _list(answer: Callable, items: list, depth: int) -> list:
    return list(answer(_Loader(items), depth))


def _twice(answer: Callable, items: list, depth: int) -> list:
    loader = _Loader(items)
    return [list(answer(loader, depth)), list(answer(loader, depth))]


def _until_error(answer: Callable, items: list, depth: int) -> dict:
    """What comes before the loader's error, and which error.

    The consumer has a thread of its own, for an answer whose thread dies without a word
    lets it wait for ever. It takes its time with the first item.
    """
    loader, found, errors = _Loader(items, fails=True), [], ["none"]
    before = set(threading.enumerate())

    def consume():
        try:
            for item in answer(loader, depth):
                found.append("an error" if isinstance(item, Exception) else item)
                if len(found) == 1:
                    loader.failed.wait(0.2)
                if len(found) > len(items):
                    break
        except Exception as raised:
            errors[0] = _which(raised, loader.error)

    consumer = threading.Thread(target=consume, daemon=True)
    consumer.start()
    consumer.join(PATIENCE)
    if consumer.is_alive():
        errors[0] = f"none, and no end: nothing comes for {PATIENCE:g} seconds"
    short = len(found) < len(items) and found == items[: len(found)]
    return {
        "items": "not all" if short else [*found],  # how many may be chance
        "error": errors[0],
        "threads left": _left({*before, consumer}),
    }


def _which(raised: Exception, own: Exception) -> str:
    if raised is own:
        return "the loader's own"
    alike = type(raised) is type(own) and raised.args == own.args
    return "a copy of the loader's" if alike else "another one"


def _stopped_early(answer: Callable, items: list, depth: int, wanted: int) -> dict:
    """What is left running when the consumer has had enough."""
    before = set(threading.enumerate())
    stream = answer(_Loader(items), depth)
    found = [next(stream) for _ in range(wanted)]
    stream.close()
    return {"items": found, "threads left": _left(before)}


def _ahead(answer: Callable, items: list, depth: int) -> dict:
    """How far the loader gets while the consumer is busy with its first item."""
    loader = _Loader(items)
    stream = answer(loader, depth)
    next(stream)
    other = threading.get_ident() not in loader.threads
    while other and loader.asked < 1 + depth and _waits(loader):
        time.sleep(0.001)
    reached = loader.asked - 1
    if other:
        _pause(lambda: loader.asked > 2 + depth)  # does it stop there?
    most, taken = loader.asked - 1, 1
    for _ in stream:
        taken += 1
        most = max(most, loader.asked - taken)
    return {
        "fetched in another thread": other,
        f"gets {depth} ahead": reached >= depth,
        f"never more than {depth + 1} ahead": most <= depth + 1,
    }


def _pause(done: Callable[[], bool], seconds: float = 0.3) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not done():
        time.sleep(0.001)


def _waits(loader: _Loader) -> bool:
    loader.began = getattr(loader, "began", time.monotonic())
    return time.monotonic() < loader.began + PATIENCE


def _left(before: set[threading.Thread]) -> int:
    """Threads that are new and do not end, though they are given time."""
    end = time.monotonic() + PATIENCE
    while left := len(set(threading.enumerate()) - before):
        if time.monotonic() > end:
            break
        time.sleep(0.001)
    return left


def _prefetch_cases() -> Iterator[Case]:
    five = [3, 1, 4, 1, 5]
    for depth in (1, 2, 9):
        yield Case(f"five numbers, depth {depth}", (five, depth), expected=five,
                   call=_list)  # fmt: skip
    yield Case("the same loader twice", (five, 2), expected=[five, five], call=_twice)
    fails = {"items": [3, 1, 4], "error": "the loader's own"}
    for depth in (4, 9):  # so that it comes while the first item is in hand
        yield Case(
            f"an error after three items, depth {depth}",
            ([3, 1, 4], depth),
            expected={**fails, "threads left": 0},
            call=_until_error,
        )
    yield Case(
        "closed after two of many items",
        (list(range(500)), 2, 2),
        expected={"items": [0, 1], "threads left": 0},
        call=_stopped_early,
    )
    for depth in (1, 3):
        yield Case(
            f"how far ahead, depth {depth}",
            (list(range(12)), depth),
            expected={
                "fetched in another thread": True,
                f"gets {depth} ahead": True,
                f"never more than {depth + 1} ahead": True,
            },
            call=_ahead,
        )
    yield Case("a loader without items", ([], 1), expected=[], call=_list,
               hardening=True)  # fmt: skip
    nothing = [1, None, 2, None]
    yield Case("items that are None", (nothing, 1), expected=nothing, call=_list,
               hardening=True)  # fmt: skip
    yield Case(
        "an error at once",
        ([], 1),
        expected={**fails, "items": [], "threads left": 0},
        call=_until_error,
        hardening=True,
    )
    for depth in (0, -1, 1.5):
        yield Case(f"depth={depth}", (five, depth), raises=ValueError, call=_list)


def _by_queue(
    loader,
    depth,
    *,
    size=None,
    more=0,
    order=False,
    errors="raise",
    ends=True,
    mark=False,
    check=True,
):
    """A plain queue, for what goes wrong with it; a thread that is left ends itself."""
    if check:
        require_whole("depth", depth)
    return _queued(loader, size or depth + more, order, errors, ends, mark)


def _queued(loader, size, order, errors, ends, mark):
    ready = queue.LifoQueue() if order else queue.Queue(size)
    stopped, last = threading.Event(), None if mark else object()

    def put(item):
        until = time.monotonic() + 3 * PATIENCE
        while time.monotonic() < until and not (ends and stopped.is_set()):
            try:
                return ready.put(item, timeout=0.01)
            except queue.Full:
                continue
        raise TimeoutError

    early = []

    def fill():
        try:
            for item in loader:
                put((item, None))
            put((last, None))
        except TimeoutError:
            pass
        except Exception as error:
            if errors == "hang":
                return
            early.append(error)
            kinds = {
                "raise": (last, error),
                "early": (last, error),
                "copy": (last, type(error)(*error.args)),
                "another": (last, RuntimeError("the loader ended")),
                "end": (last, None),
                "item": (error, None),
            }
            with contextlib.suppress(TimeoutError):
                put(kinds[errors])
                if errors == "item":
                    put((last, None))

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    if order:
        thread.join()
        ready.get()  # the mark of the end
    try:
        while not (order and ready.empty()):
            if early and errors == "early":
                raise early[0]
            try:
                item, error = ready.get(timeout=3 * PATIENCE)
            except queue.Empty:
                return
            if error is not None:
                raise error
            if item is last:
                return
            yield item
    finally:
        stopped.set()


def _all_at_once(loader, depth):
    require_whole("depth", depth)
    yield from list(loader)


def _all_in_a_thread(loader, depth):
    require_whole("depth", depth)
    found = []

    def fill():
        try:
            found.extend(loader)
        except Exception:
            return

    thread = threading.Thread(target=fill)
    thread.start()
    thread.join()
    yield from found


def _no_thread(loader, depth):
    require_whole("depth", depth)
    yield from loader


# worker_seed ------------------------------------------------------------------------


def _different(answer: Callable, triples: list[tuple]) -> int:
    """How many different seeds there are."""
    return len({answer(*triple) for triple in triples})


def _again(answer: Callable, triples: list[tuple]) -> bool:
    return [answer(*t) for t in triples] == [answer(*t) for t in triples]


def _taken(answer: Callable, triples: list[tuple]) -> str:
    """Whether numpy, torch and random take the seeds as they are."""
    for triple in triples:
        seed = answer(*triple)
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
            return f"{type(seed).__name__} is no whole number"
        if seed < 0:
            return "below 0"
        if seed >= 2**63:
            return "2^63 or more"
        np.random.default_rng(seed)
        torch.Generator().manual_seed(int(seed))
        random.Random(int(seed))
    return "taken"


def _one(answer: Callable, seed: int, epoch: int, worker: int) -> int:
    return answer(seed, epoch, worker)


def _seed_cases() -> Iterator[Case]:
    groups = {
        "32 workers": [(0, 0, worker) for worker in range(32)],
        "32 epochs": [(7, epoch, 0) for epoch in range(32)],
        "12 epochs of 12 workers": [(0, e, w) for e in range(12) for w in range(12)],
        "3 seeds, 4 epochs, 5 workers": [
            (s, e, w) for s in range(3) for e in range(4) for w in range(5)
        ],
    }
    for name, triples in groups.items():
        yield Case(name, (triples,), expected=len(triples), call=_different)
    triples = [(s, e, w) for s in (0, 1, 2**31) for e in (0, 30) for w in (0, 3)]
    yield Case("asked twice", (triples,), expected=True, call=_again)
    yield Case("as numpy, torch and random take it", (triples,), expected="taken",
               call=_taken)  # fmt: skip
    far = [(2**40 + s, 10**6 + e, w) for s in range(3) for e in range(9)
           for w in (0, 1, 999)]  # fmt: skip
    yield Case("large numbers", (far,), expected=len(far), call=_different,
               hardening=True)  # fmt: skip
    # Where fixed factors, decimal or binary, make two triples meet.
    units = [*(10**k for k in range(9)), *(2**k for k in range(1, 41))]
    round_ones = [(0, 0, 0), *((u, 0, 0) for u in units), *((0, u, 0) for u in units),
                  *((0, 0, u) for u in units)]  # fmt: skip
    yield Case("powers of ten and of two", (round_ones,), expected=len(round_ones),
               call=_different, hardening=True)  # fmt: skip
    yield Case("more than 32 bits of large numbers", (far,), expected=True, call=_wide,
               hardening=True)  # fmt: skip
    yield Case("large numbers, taken", (far,), expected="taken", call=_taken,
               hardening=True)  # fmt: skip
    for triple in ((-1, 0, 0), (0, -1, 0), (0, 0, -1), (0, 0, 0.5), (0, 1.5, 0)):
        yield Case(f"worker_seed{triple}", triple, raises=ValueError, call=_one)


def _checked(formula: Callable) -> Callable:
    """The formula, behind the checks of the solution."""

    def answer(seed, epoch, worker):
        data_loading.worker_seed(seed, epoch, worker)
        return formula(seed, epoch, worker)

    return answer


def _in_places(seed: int, epoch: int, worker: int, *, base: int) -> int:
    """Each number at a place of its own, as digits are."""
    return ((seed * base + epoch) * base + worker) % 2**63


def _side_by_side(*triple: int, hashed: bool) -> int:
    """The digits without a mark between the numbers."""
    digits = "".join(map(str, triple))
    return hash(digits) % 2**63 if hashed else int(digits) % 2**63


def _wide(answer: Callable, triples: list[tuple]) -> bool:
    """Whether any seed needs more than 32 bits."""
    return any(answer(*triple) >= 2**32 for triple in triples)


# read_timeline ----------------------------------------------------------------------

IN_TURN = [
    (0, "load", 0.0, 2.0),
    (0, "step", 2.0, 3.0),
    (0, "load", 3.0, 5.0),
    (0, "step", 5.0, 6.0),
]
AHEAD = [
    (0, "wait", 10.0, 12.0),
    (1, "load", 10.0, 12.0),
    (0, "step", 12.0, 15.0),
    (1, "load", 12.0, 14.0),
    (1, "wait", 14.0, 16.0),
    (0, "step", 15.5, 18.0),
]
TWO = [
    (1, "load", 98.0, 104.0),
    (2, "load", 99.0, 105.0),
    (0, "wait", 100.0, 104.0),
    (0, "step", 104.0, 105.0),
    (0, "step", 105.0, 106.0),
    (1, "load", 104.0, 111.0),
    (0, "wait", 106.0, 108.0),
    (0, "step", 108.0, 110.0),
]


def _seconds(events):
    """Second by second and a little finer: what is going on at each moment."""
    own = [event for event in events if event[0] == 0]
    first, last = min(e[2] for e in own), max(e[3] for e in own)
    steps = round(8 * (last - first))
    moments = [first + (k + 0.5) / 8 for k in range(steps)]

    def during(lane, what):
        return sum(
            any(e[0] == lane and e[1] == what and e[2] <= t < e[3] for e in events)
            for t in moments
        )

    workers = sorted({event[0] for event in events if event[0]})
    busy = sum(during(lane, "load") for lane in workers)
    return 1 - during(0, "step") / steps, busy / (steps * max(len(workers), 1))


def _timeline_cases() -> Iterator[Case]:
    yield Case("in turn, no worker", (IN_TURN,), expected=(4 / 6, 0.0))
    yield Case("one worker, from second 10 on", (AHEAD,), expected=(2.5 / 8, 4 / 8))
    yield Case.from_reference("two workers, from second 98 on", _seconds, TWO)
    yield Case.from_reference("two workers, in another order", _seconds, TWO[::-1])
    late = [(3, "load", 0.0, 1.5), (5, "wait", 1.0, 2.0), *IN_TURN]
    yield Case.from_reference("workers 3 and 5, of which one only waits", _seconds,
                              late)  # fmt: skip
    yield Case.from_reference(
        "a worker that is done before, and one that loads long after",
        _seconds,
        [(1, "load", 3.0, 9.0), (2, "load", 14.0, 40.0), *AHEAD[:1], *AHEAD[2:3]],
    )
    yield Case("steps and nothing else", ([(0, "step", 1.0, 4.0)],),
               expected=(0.0, 0.0), hardening=True)  # fmt: skip
    yield Case.from_reference(
        "a worker that steps, too, and an event that takes no time",
        _seconds, [*AHEAD, (1, "step", 16.0, 17.0), (0, "wait", 12.0, 12.0)],
        hardening=True,
    )  # fmt: skip
    yield Case("no event", ([],), raises=ValueError)
    yield Case("no step", ([(0, "load", 0.0, 1.0)],), raises=ValueError)
    yield Case("a step of a worker only", ([(1, "step", 0.0, 1.0)],), raises=ValueError)
    yield Case("an end before its start", ([(0, "step", 2.0, 1.0)],), raises=ValueError)
    yield Case("NaN", ([*IN_TURN, (0, "step", 6.0, math.nan)],), raises=ValueError)
    yield Case("a start that is NaN", ([*IN_TURN, (1, "load", math.nan, 6.0)],),
               raises=ValueError)  # fmt: skip


def _read(
    events,
    *,
    waits=None,
    span="trainer",
    mean=True,
    clip=True,
    lanes="all",
    swap=False,
):
    """The solution with one thing done otherwise."""
    data_loading.read_timeline(events)
    own = [event for event in events if event[0] == 0]
    first, last = min(e[2] for e in own), max(e[3] for e in own)
    if span in ("all", "as they come"):
        chosen = events if span == "all" else own
        first, last = chosen[0][2], chosen[-1][3]
    if span == "all":
        first, last = min(e[2] for e in events), max(e[3] for e in events)
    if span == "steps":
        steps = [e for e in own if e[1] == "step"]
        first, last = min(e[2] for e in steps), max(e[3] for e in steps)
    low, high = first, last
    if span in ("zero", "zero, cut there"):
        first, low = 0.0, first if span == "zero" else 0.0
    total = last - first

    def time_of(chosen):
        if clip == "whole events":
            chosen = [e for e in chosen if low <= e[2] and e[3] <= high]
        if clip is False:
            return sum(e[3] - e[2] for e in chosen)
        least = -math.inf if clip == "below 0" else 0.0
        start = -math.inf if clip == "end" else low
        end = math.inf if clip == "start" else high
        return sum(max(min(e[3], end) - max(e[2], start), least) for e in chosen)

    stepping = [e for e in events if e[1] == "step" and (not e[0] or waits == "any")]
    stepped = sum(e[3] - e[2] for e in stepping)
    waiting = 1 - stepped / total
    named = time_of([e for e in own if e[1] == "wait"])
    if waits == "named":
        waiting = named / total
    if waits == "of both":
        waiting = named / (named + stepped)
    if waits == "other events":
        waiting = time_of([e for e in own if e[1] != "step"]) / total
    if waits == "steps":
        waiting = 1 - waiting
    if waits == "seconds":
        waiting = waiting * total
    kinds = {"whole": ("load", "wait", "step"), "load, wait": ("load", "wait")}
    kinds = kinds.get(lanes, ("load", "step") if lanes == "load, step" else ("load",))
    loads = [e for e in events if (e[0] or lanes == "trainer") and e[1] in kinds]
    workers = {e[0] for e in events if e[0] and (lanes != "busy" or e[1] == "load")}
    number = len(workers) + (lanes == "trainer")
    if lanes == "highest":
        number = max(e[0] for e in events)
    if lanes == "none":
        return waiting, time_of(loads) / total / number
    busy = time_of(loads) / total / (max(number, 1) if mean else 1)
    if lanes == "own time":
        busy = _busy_in_own_time(events)
    return (busy, waiting) if swap else (waiting, busy)


def _busy_in_own_time(events):
    """Each worker's loads by the time from its own first start to its last end."""
    shares = []
    for lane in {event[0] for event in events} - {0}:
        own = [event for event in events if event[0] == lane]
        time_of_lane = max(e[3] for e in own) - min(e[2] for e in own)
        shares.append(sum(e[3] - e[2] for e in own if e[1] == "load") / time_of_lane)
    return sum(shares) / max(len(shares), 1)


_TOO_FAR = (
    "The thread gets more than `depth` + 1 items ahead. The queue's places count, and "
    "so does the item in its hand; a queue without a bound lets it run on to the end."
)
EXERCISES = (
    Exercise(
        name="prefetch",
        solution=data_loading.prefetch,
        cases=_prefetch_cases,
        time_limit=60.0,
        mistakes=(
            Mistake(
                "The loader is asked in the consumer's own thread: nothing is fetched "
                "while the consumer works. Start a `threading.Thread` that fills a "
                "queue.",
                _no_thread,
            ),
            *(
                Mistake(
                    "All items are taken before the first one comes out. An epoch does "
                    "not fit into memory: keep `depth` items ahead.",
                    answer,
                )
                for answer in (_all_at_once, _all_in_a_thread)
            ),
            Mistake(
                "The thread died of the loader's error without a word, and the "
                "consumer waits for ever. Catch the error in the thread, hand it over "
                "as an item of another kind, and raise it in the consumer.",
                partial(_by_queue, errors="hang"),
            ),
            Mistake(
                "An error of the same kind is raised, but a new one, whose traceback "
                "does not lead to the loader. Hand over the exception itself.",
                partial(_by_queue, errors="copy"),
            ),
            Mistake(
                "The error comes out as an item. Mark it as one of another kind, and "
                "`raise` it in the consumer.",
                partial(_by_queue, errors="item"),
            ),
            Mistake(
                "The error overtakes items that were fetched before it. Send it "
                "through the same queue, behind them.",
                partial(_by_queue, errors="early"),
            ),
            Mistake(
                _TOO_FAR,
                partial(_by_queue, more=1),
            ),
            Mistake(
                "An error in the thread just ends it, and the consumer believes that "
                "the epoch is over. Catch it, hand it over as an item of another kind, "
                "and raise it in the consumer.",
                partial(_by_queue, errors="end"),
            ),
            Mistake(
                "The consumer gets an error, but another one than the loader's. Hand "
                "over the exception itself, and raise that.",
                partial(_by_queue, errors="another"),
            ),
            Mistake(
                "A thread is left after `close()`: it still waits for a place in a "
                "full queue. In a `finally` of your generator, tell it to stop and "
                "make it notice: a semaphore that you release, or a `put` with a "
                "timeout.",
                partial(_by_queue, ends=False),
            ),
            Mistake(
                "The items come last first: that is a stack. `queue.Queue` keeps the "
                "order.",
                partial(_by_queue, order=True),
            ),
            Mistake(
                _TOO_FAR,
                partial(_by_queue, size=10**6),
            ),
            Mistake(
                "The thread is always one item ahead, whatever `depth` is.",
                partial(_by_queue, size=1),
            ),
            Mistake(
                "`None` marks the end, but a loader may give None. Take an object of "
                "your own, and compare with `is`.",
                partial(_by_queue, mark=True),
            ),
            Mistake(
                "A depth that is no whole number above 0 is a ValueError; "
                "`queue.Queue(0)` has no bound at all.",
                partial(_by_queue, check=False),
            ),
        ),
        hints=(
            "Two loops: one in a thread, which takes from the loader and puts into a "
            "queue, and one in a generator, which takes from the queue and yields. "
            "What has to go through the queue besides items?",
            "Put pairs: (kind, value), with kinds for an item, the end and an error. "
            "Wrap the generator's loop into try … finally, and in it set a "
            "`threading.Event`, wake the thread up and join it.",
        ),
    ),
    Exercise(
        name="worker_seed",
        solution=data_loading.worker_seed,
        cases=_seed_cases,
        mistakes=(
            Mistake(
                "All workers get the same seed, and cut out the same crops. The worker "
                "must enter.",
                _checked(lambda seed, epoch, worker: seed + 10**6 * epoch),
            ),
            Mistake(
                "All workers get the same seed, and cut out the same crops. The worker "
                "must enter.",
                _checked(lambda seed, epoch, worker: seed + epoch),
            ),
            Mistake(
                "Neither worker nor epoch enters: everyone draws the same.",
                _checked(lambda seed, epoch, worker: seed),
            ),
            Mistake(
                "One seed, whatever the three numbers are: everyone draws the same.",
                _checked(lambda seed, epoch, worker: 42),
            ),
            Mistake(
                "Every epoch has the same seeds, so that each worker repeats itself. "
                "The epoch must enter.",
                _checked(lambda seed, epoch, worker: seed + worker),
            ),
            Mistake(
                "Every epoch has the same seeds, so that each worker repeats itself. "
                "The epoch must enter.",
                _checked(lambda seed, epoch, worker: 10**6 * seed + worker),
            ),
            Mistake(
                "A sum: worker 1 of epoch 0 gets the seed of worker 0 of epoch 1. Mix "
                "the three numbers, do not add them.",
                _checked(lambda seed, epoch, worker: seed + epoch + worker),
            ),
            Mistake(
                "A product is 0 as soon as one number is, and 2 · 3 is 3 · 2.",
                _checked(lambda seed, epoch, worker: seed * epoch * worker),
            ),
            Mistake(
                "The run's seed does not enter: every run draws the same.",
                _checked(lambda seed, epoch, worker: 10**6 * epoch + worker),
            ),
            Mistake(
                "Within one run all is well, but seed 1 gives worker 0 what seed 0 "
                "gives worker 1: two runs share most of their crops.",
                _checked(lambda seed, epoch, worker: seed + 10**6 * epoch + worker),
            ),
            Mistake(
                "With a factor so small, two different triples meet: 100 epochs of "
                "ten, or seeds close by. Mix the three with `np.random.SeedSequence` "
                "or a hash of `hashlib`.",
                _checked(lambda seed, epoch, worker: seed + 10 * epoch + worker),
            ),
            Mistake(
                "Drawn anew at each call: the same three numbers must give the same "
                "seed, or no run can be repeated.",
                _checked(lambda *_: random.randrange(2**63)),
            ),
            *(
                Mistake(
                    "Numbers of a fixed size each: two triples meet as soon as one "
                    "number outgrows its place. Mix the three with "
                    "`np.random.SeedSequence` or a hash of `hashlib`.",
                    _checked(partial(_in_places, base=base)),
                )
                for base in (100, 1000, 10**4, 10**6, 2**16, 2**20)
            ),
            Mistake(
                "An exclusive or is a sum without carry: 0, 1 and 1, 0 meet. Mix the "
                "three numbers.",
                _checked(lambda seed, epoch, worker: seed ^ epoch ^ worker),
            ),
            Mistake(
                "A product is the same for 2 · 3 and 3 · 2, whatever is added to its "
                "factors.",
                _checked(
                    lambda seed, epoch, worker: (seed + 1) * (epoch + 1) * (worker + 1)
                ),
            ),
            *(
                Mistake(
                    "The digits are written side by side: 1 and 12 are 11 and 2. Put a "
                    "mark between the three.",
                    _checked(partial(_side_by_side, hashed=hashed)),
                )
                for hashed in (True, False)
            ),
            Mistake(
                "32 bits are too few: of a hundred thousand seeds two meet more often "
                "than not. `generate_state(1, np.uint64)` has 64.",
                _checked(lambda *triple: data_loading.worker_seed(*triple) % 2**32),
            ),
            Mistake(
                "The order of the three numbers is lost: worker 1 of epoch 0 gets the "
                "seed of worker 0 of epoch 1.",
                _checked(lambda *triple: data_loading.worker_seed(*sorted(triple))),
            ),
            Mistake(
                "More than 63 bits are taken, and some seeds are 2^63 or more. "
                "Shift by one, `>> 1`, or take the rest by 2^63.",
                _checked(lambda *triple: data_loading.worker_seed(*triple) + 2**63),
            ),
            Mistake(
                "Different and repeatable, but negative as often as not: numpy "
                "refuses that. Stay in [0, 2^63).",
                _checked(
                    lambda *t: data_loading.worker_seed(*t) * (-1) ** (1 + sum(t))
                ),
            ),
            Mistake(
                "Negative and fractional numbers are a ValueError.",
                lambda seed, epoch, worker: data_loading.worker_seed(
                    int(abs(seed)), int(abs(epoch)), int(abs(worker))
                ),
            ),
        ),
        hints=(
            "Think of a table with a row for each epoch and a column for each worker: "
            "no two cells may hold the same number, nor may the table of another seed.",
            "`np.random.SeedSequence(seed, spawn_key=(epoch, worker))` mixes them; "
            "`generate_state(1, np.uint64)[0]` is a number below 2^64, and `>> 1` "
            "halves it.",
        ),
    ),
    Exercise(
        name="read_timeline",
        solution=data_loading.read_timeline,
        cases=_timeline_cases,
        mistakes=(
            Mistake(
                'Only events called "wait" are counted. A trainer that loads by itself '
                "is in no step either: take 1 minus the share of the steps.",
                partial(_read, waits="named"),
            ),
            Mistake(
                "The first number is the share of the steps; the waiting share is "
                "what is left of 1.",
                partial(_read, waits="steps"),
            ),
            *(
                Mistake(
                    "The clock does not begin at 0: the time runs from the first start "
                    "to the last end.",
                    partial(_read, span=span),
                )
                for span in ("zero", "zero, cut there")
            ),
            Mistake(
                "The time runs from the first start of *any* of the trainer's events, "
                "a load or a wait, too, not from its first step.",
                partial(_read, span="steps"),
            ),
            Mistake(
                "Events come in any order: look for the earliest start and the latest "
                "end, `min` and `max`.",
                partial(_read, span="as they come"),
            ),
            Mistake(
                "Between two events of the trainer there may be a gap, in which it is "
                "in no step either: take 1 minus the share of the steps.",
                partial(_read, waits="other events"),
            ),
            Mistake(
                "Waiting is a share of the whole time, from the first start to the "
                "last end, not of steps and named waits together.",
                partial(_read, waits="of both"),
            ),
            Mistake(
                "These are seconds. A share is asked for: divide by the time.",
                partial(_read, waits="seconds"),
            ),
            Mistake(
                "A step counts where the trainer takes it, in lane 0.",
                partial(_read, waits="any"),
            ),
            Mistake(
                "The trainer is no worker: lane 0 counts neither in the loads nor in "
                "the number of lanes.",
                partial(_read, lanes="trainer"),
            ),
            Mistake(
                "Lane numbers may be missing: count the lanes that occur.",
                partial(_read, lanes="highest"),
            ),
            Mistake(
                "Without a worker you divide by 0. The busy share is 0.0 then.",
                partial(_read, lanes="none"),
            ),
            Mistake(
                "All workers are measured by the trainer's time, not each by its own "
                "first start and last end.",
                partial(_read, lanes="own time"),
            ),
            Mistake(
                "A load that is only partly within the time counts with that part.",
                partial(_read, clip="whole events"),
            ),
            Mistake(
                "A load that lies outside altogether comes out negative: not below 0.",
                partial(_read, clip="below 0"),
            ),
            Mistake(
                "The time is the trainer's, from its first start to its last end; what "
                "workers did before and after does not lengthen it.",
                partial(_read, span="all"),
            ),
            Mistake(
                "The busy shares of the workers are added up. Take their mean.",
                partial(_read, mean=False),
            ),
            *(
                Mistake(
                    "What a worker loads before the trainer's first start or after its "
                    "last end must be cut off, at both ends.",
                    partial(_read, clip=clip),
                )
                for clip in (False, "start", "end")
            ),
            Mistake(
                "A worker that only waits is a worker, too: it counts in the mean.",
                partial(_read, lanes="busy"),
            ),
            *(
                Mistake(
                    "A worker is busy where it loads: count events called "
                    '"load" alone.',
                    partial(_read, lanes=lanes),
                )
                for lanes in ("whole", "load, wait", "load, step")
            ),
            Mistake(
                "The two numbers have changed places: waiting first, busy second.",
                partial(_read, swap=True),
            ),
        ),
        hints=(
            "Find the time first: from which moment to which one, and in whose lane?",
            "Waiting: 1 − (sum of the steps in lane 0) / time. Busy: for each load of "
            "a worker, `min(end, last) - max(start, first)`, not below 0; their sum "
            "by time and by the number of worker lanes.",
        ),
    ),
)
