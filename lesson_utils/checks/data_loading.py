"""The checks of the chapter `book/training/data_loading.ipynb`."""

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

    def __iter__(self) -> Iterator:
        for item in self.items:
            self.asked += 1
            self.threads.add(threading.get_ident())
            yield item
        if self.fails:
            raise LookupError("a file is missing")


def _list(answer: Callable, items: list, depth: int) -> list:
    return list(answer(_Loader(items), depth))


def _twice(answer: Callable, items: list, depth: int) -> list:
    loader = _Loader(items)
    return [list(answer(loader, depth)), list(answer(loader, depth))]


def _until_error(answer: Callable, items: list, depth: int) -> dict:
    """What comes before the loader's error, and the error."""
    found, error = [], "none"
    before = set(threading.enumerate())
    try:
        for item in answer(_Loader(items, fails=True), depth):
            found.append(item)
            if len(found) > len(items):
                break
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    return {"items": found, "error": error, "threads left": _left(before)}


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
    reached, most, taken = loader.asked - 1, loader.asked - 1, 1
    for _ in stream:
        taken += 1
        most = max(most, loader.asked - taken)
    return {
        "fetched in another thread": other,
        f"gets {depth} ahead": reached >= depth,
        f"never more than {depth + 1} ahead": most <= depth + 1,
    }


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
    fails = {"items": [3, 1, 4], "error": "LookupError: a file is missing"}
    yield Case(
        "an error after three items",
        ([3, 1, 4], 2),
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
    order=False,
    errors="raise",
    ends=True,
    mark=False,
    check=True,
):
    """A plain queue, for what goes wrong with it; a thread that is left ends itself."""
    if check:
        require_whole("depth", depth)
    return _queued(loader, size or depth, order, errors, ends, mark)


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

    def fill():
        try:
            for item in loader:
                put((item, None))
            put((last, None))
        except TimeoutError:
            pass
        except Exception as error:
            if errors != "swallow":
                put((last, error if errors == "raise" else None))
            else:
                put((last, RuntimeError("the loader ended")))

    thread = threading.Thread(target=fill, daemon=True)
    thread.start()
    if order:
        thread.join()
        ready.get()  # the mark of the end
    try:
        while not (order and ready.empty()):
            item, error = ready.get()
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
        if not 0 <= seed < 2**63:
            return "out of [0, 2^63)"
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
    yield Case("no event", ([],), raises=ValueError)
    yield Case("no step", ([(0, "load", 0.0, 1.0)],), raises=ValueError)
    yield Case("a step of a worker only", ([(1, "step", 0.0, 1.0)],), raises=ValueError)
    yield Case("an end before its start", ([(0, "step", 2.0, 1.0)],), raises=ValueError)
    yield Case("NaN", ([*IN_TURN, (0, "step", 6.0, math.nan)],), raises=ValueError)


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
    low, high = (first, last) if clip else (-math.inf, math.inf)
    if span == "all":
        first, last = min(e[2] for e in events), max(e[3] for e in events)
        low, high = first, last
    if span == "zero":
        first = 0.0
    total = last - first

    def time_of(chosen):
        return sum(max(min(e[3], high) - max(e[2], low), 0.0) for e in chosen)

    waiting = 1 - time_of([e for e in own if e[1] == "step"]) / total
    if waits == "named":
        waiting = time_of([e for e in own if e[1] == "wait"]) / total
    if waits == "steps":
        waiting = 1 - waiting
    loads = [e for e in events if e[0] and (e[1] == "load" or lanes == "whole")]
    workers = {e[0] for e in events if e[0] and (lanes != "busy" or e[1] == "load")}
    busy = time_of(loads) / total / (max(len(workers), 1) if mean else 1)
    return (busy, waiting) if swap else (waiting, busy)


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
            Mistake(
                "All items are taken before the first one comes out. An epoch does not "
                "fit into memory: keep `depth` items ahead.",
                _all_at_once,
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
                partial(_by_queue, errors="swallow"),
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
                "A queue without bound: the thread runs on to the loader's end. Let "
                "it wait when `depth` items are ready.",
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
            Mistake(
                "The clock does not begin at 0: the time runs from the first start to "
                "the last end.",
                partial(_read, span="zero"),
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
            Mistake(
                "What a worker loads before the trainer's first start or after its "
                "last end must be cut off.",
                partial(_read, clip=False),
            ),
            Mistake(
                "A worker that only waits is a worker, too: it counts in the mean.",
                partial(_read, lanes="busy"),
            ),
            Mistake(
                "A worker that waits is not busy: count its loads alone.",
                partial(_read, lanes="whole"),
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
