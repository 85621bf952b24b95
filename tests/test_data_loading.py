"""Tests of `lesson_utils.data_loading` and of the exercises of its chapter."""

import concurrent.futures
import contextlib
import gc
import hashlib
import io
import itertools
import multiprocessing
import pickle
import queue
import random
import threading
import time
from collections import deque
from contextlib import closing
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from lesson_utils import data_loading as dl
from lesson_utils.checks import data_loading as data_loading_checks
from lesson_utils.common.studies import read_study
from lesson_utils.data.photographs import photograph
from tests.answers import ExerciseTests


def new_threads(before):
    return set(threading.enumerate()) - before


@pytest.fixture(autouse=True)
def nothing_is_left_running():
    """Whatever a test does, its threads and processes end; a failed one's too."""
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 60
    while new_threads(before) or multiprocessing.active_children():
        gc.collect()  # torch's error of a worker refers to itself, and to the loader
        assert time.monotonic() < end, (new_threads(before), "still run")
        time.sleep(0.01)


class Counted:
    """A loader that notes how often it was asked, and by which threads."""

    def __init__(self, number, fails_at=None):
        self.number, self.fails_at, self.asked = number, fails_at, 0
        self.threads, self.ended = set(), False

    def __iter__(self):
        try:
            for item in range(self.number):
                if item == self.fails_at:
                    raise OSError(f"no file {item}")
                self.asked += 1
                self.threads.add(threading.get_ident())
                yield item
        finally:
            self.ended = True


class Fails(Dataset):
    """Of six items the fourth cannot be read."""

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 3:
            raise LookupError("item 3 is missing")
        return index


class TestPrefetch:
    @pytest.mark.parametrize("depth", [1, 2, 100])
    @pytest.mark.parametrize("number", [0, 1, 7])
    def test_gives_what_the_loader_gives(self, number, depth):
        before = set(threading.enumerate())
        loader = Counted(number)
        assert list(dl.prefetch(loader, depth)) == list(range(number))
        assert threading.get_ident() not in loader.threads
        assert not new_threads(before)  # at once, not some time later

    def test_is_what_a_data_loader_gives(self):
        images = torch.rand(10, 3, 4, 4)
        loader = DataLoader(images, batch_size=3)
        pairs = zip(dl.prefetch(loader, 2), loader, strict=True)
        assert all(torch.equal(ours, theirs) for ours, theirs in pairs)

    @pytest.mark.parametrize("depth", [1, 2, 5])
    def test_never_takes_more_than_depth_ahead(self, depth):
        loader = Counted(40)
        for taken, _ in enumerate(dl.prefetch(loader, depth), 1):
            assert loader.asked <= taken + depth

    def test_gets_depth_ahead(self):
        """The fourth item is asked for while the consumer has the first one."""
        asked = threading.Event()

        def loader():
            yield from range(3)
            asked.set()
            yield 3

        stream = dl.prefetch(loader(), 3)
        assert next(stream) == 0
        assert asked.wait(60)
        assert list(stream) == [1, 2, 3]

    def test_an_error_comes_in_its_turn_and_is_the_loaders_own(self):
        error = KeyError("lost")

        def loader():
            yield 1
            yield 2
            raise error

        before, found, caught = set(threading.enumerate()), [], None
        try:
            for item in dl.prefetch(loader(), 5):
                found.append(item)
        except KeyError as raised:
            caught = raised
        assert found == [1, 2]
        assert caught is error
        assert not new_threads(before)

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_errors_that_are_no_exceptions_arrive_too(self, kind):
        def loader():
            yield 1
            raise kind

        stream = dl.prefetch(loader(), 1)
        assert next(stream) == 1
        with pytest.raises(kind):
            next(stream)

    def test_items_of_any_kind(self):
        items = [None, ValueError("an item"), StopIteration(), ("end", None)]
        assert list(dl.prefetch(items, 2)) == items

    @pytest.mark.parametrize("depth", [1, 3])
    def test_closed_early(self, depth):
        before, loader = set(threading.enumerate()), Counted(10**9)
        with closing(dl.prefetch(loader, depth)) as stream:
            assert list(itertools.islice(stream, 4)) == [0, 1, 2, 3]
        assert not new_threads(before)
        assert loader.ended  # its own `finally` has run

    def test_break_and_errors_in_the_loop(self):
        before = set(threading.enumerate())
        for item in dl.prefetch(Counted(10**9), 2):
            if item == 3:
                break
        assert not new_threads(before)
        try:
            for item in dl.prefetch(Counted(10**9), 2):
                raise RuntimeError(item)
        except RuntimeError:
            pass
        assert not new_threads(before)

    def test_never_begun(self):
        loader = Counted(3)
        dl.prefetch(loader, 1)
        assert not loader.asked

    def test_inside_itself(self):
        stream = dl.prefetch(dl.prefetch(Counted(9), 2), 3)
        assert list(stream) == list(range(9))

    def test_workers_end_with_it(self):
        loader = DataLoader(torch.arange(40), batch_size=2, num_workers=2)
        with closing(dl.prefetch(loader, 1)) as stream:
            assert next(stream).tolist() == [0, 1]
            assert len(multiprocessing.active_children()) == 2
        assert not multiprocessing.active_children()

    def test_an_error_in_a_worker(self):
        loader = DataLoader(Fails(), batch_size=None, num_workers=1)
        found, words = [], ""
        try:
            for item in dl.prefetch(loader, 2):
                found.append(item)
        except LookupError as error:
            words = str(error)
        assert found == [0, 1, 2]
        assert "item 3 is missing" in words

    @pytest.mark.parametrize("depth", [0, -1, 1.5, None, True])
    def test_depth(self, depth):
        with pytest.raises(ValueError, match="depth must be a whole number >= 1"):
            dl.prefetch([1], depth)

    def test_what_is_no_loader(self):
        with pytest.raises(TypeError, match="not iterable"):
            dl.prefetch(5, 1)


class TestWorkerSeed:
    def test_is_numpys_spawned_sequence(self):
        for triple in itertools.product((0, 3, 2**70), (0, 1), (0, 5)):
            seed, *key = triple
            state = np.random.SeedSequence(seed, spawn_key=tuple(key))
            expected = int(state.generate_state(1, np.uint64)[0]) // 2
            assert dl.worker_seed(*triple) == expected

    def test_all_different(self):
        triples = itertools.product(range(4), range(50), range(32))
        seeds = [dl.worker_seed(*triple) for triple in triples]
        assert len(set(seeds)) == len(seeds)
        assert all(0 <= seed < 2**63 for seed in seeds)

    def test_streams_are_not_alike(self):
        draws = [
            np.random.default_rng(dl.worker_seed(0, epoch, worker)).normal(size=500)
            for epoch in range(4)
            for worker in range(4)
        ]
        alike = np.corrcoef(draws) - np.eye(16)
        assert np.abs(alike).max() < 0.2  # 4.5 standard deviations

    def test_errors(self):
        for triple in ((-1, 0, 0), (0, 0.5, 0), (0, 0, None)):
            with pytest.raises(ValueError, match="must be a whole number >= 0"):
                dl.worker_seed(*triple)


class TestRandomCrops:
    def crops(self, *, workers, epoch=None):
        """All crops of an epoch, by worker."""
        dataset = dl.RandomCrops(photograph("chelsea", size=64), 16, 8)
        start = partial(dl.reseed, seed=0, epoch=epoch) if epoch is not None else None
        loader = DataLoader(
            dataset, batch_size=None, num_workers=workers, worker_init_fn=start
        )
        found = {}
        for crop, worker in loader:
            found.setdefault(worker, []).append(crop.clone())
        return {worker: torch.stack(each) for worker, each in found.items()}

    def test_a_held_generator_is_copied_into_each_worker(self):
        first, again = (self.crops(workers=2) for _ in range(2))
        assert torch.equal(first[0], first[1])
        assert torch.equal(first[0], again[0])  # in each epoch, too
        alone = self.crops(workers=0)
        assert alone.keys() == {-1}
        assert torch.equal(alone[-1][:4], first[0])

    def test_reseeded(self):
        first, again, later = (self.crops(workers=2, epoch=e) for e in (0, 0, 1))
        assert not torch.equal(first[0], first[1])
        assert not torch.equal(first[0], later[0])
        assert all(torch.equal(first[w], again[w]) for w in (0, 1))

    def test_crops_are_of_the_image(self):
        image = torch.arange(3 * 5 * 7).view(3, 5, 7).float()
        dataset = dl.RandomCrops(image, 5, 30)
        crops = {int(dataset[0][0][0, 0, 0]) for _ in range(60)}
        assert crops == {0, 1, 2}  # all places, and no row but the first
        assert len(dataset) == 30
        with pytest.raises(IndexError):
            dataset[30]

    def test_errors(self):
        image = torch.zeros(3, 5, 7)
        for size, number in ((6, 1), (0, 1), (1.5, 1), (5, 0)):
            with pytest.raises(ValueError, match="(size|number) must be a whole"):
                dl.RandomCrops(image, size, number)


class TestReadTimeline:
    def test_by_hand(self):
        events = [
            dl.Event(0, "wait", 0, 6),
            dl.Event(0, "step", 6, 8),
            dl.Event(1, "load", 0, 6),
            dl.Event(1, "load", 6, 12),
        ]
        assert dl.read_timeline(events) == (0.75, 1.0)

    def test_against_a_fine_grid(self):
        dice = random.Random(0)
        for _ in range(30):
            events = []
            for lane in range(dice.randint(1, 4)):
                now = dice.randint(0, 20) / 4
                for _ in range(dice.randint(1, 8)):
                    end = now + dice.randint(1, 12) / 4
                    what = dice.choice(["load", "wait", "step" if not lane else "load"])
                    events.append((lane, what, now, end))
                    now = end + dice.choice([0, 0.25])
            events.append((0, "step", 99, 100))
            dice.shuffle(events)
            found, expected = dl.read_timeline(events), data_loading_checks._seconds
            assert found == pytest.approx(expected(events))

    def test_no_time_at_all(self):
        assert dl.read_timeline([(0, "step", 1, 1)]) == (0.0, 0.0)

    @pytest.mark.parametrize(
        "events",
        [
            [],
            [(0, "wait", 0, 1)],
            [(1, "step", 0, 1)],
            [(0, "step", 1, 0)],
            [(0, "step", 0, np.inf)],
            [(0, "step", 0, 1), (1, "load", np.nan, 2)],
        ],
    )
    def test_errors(self, events):
        with pytest.raises(ValueError, match="events must"):
            dl.read_timeline(events)


class TestPackedStrings:
    @pytest.mark.parametrize("strings", [[], [""], ["a", "", "猫.jpg", "b/c.png", "é"]])
    def test_is_the_list(self, strings):
        packed = dl.PackedStrings(strings)
        assert list(packed) == strings
        assert len(packed) == len(strings)
        if strings:
            assert packed[-1] == strings[-1]
            assert pickle.loads(pickle.dumps(packed))[0] == strings[0]  # noqa: S301

    def test_index_out_of_range(self):
        packed = dl.PackedStrings(["a"])
        for index in (1, -2):
            with pytest.raises(IndexError):
                packed[index]


def as_file(name, kind="PNG", size=40):
    pixels = (255 * photograph(name, size=size)).round().byte().permute(1, 2, 0)
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, kind)
    return file.getvalue()


class TestDecodeOnce:
    def test_pixels_are_those_of_the_files(self, tmp_path):
        files = [as_file("chelsea"), as_file("coffee")]
        (tmp_path / "third.png").write_bytes(as_file("camera"))
        path = dl.decode_once([*files, tmp_path / "third.png"], tmp_path / "a.npy", 40)
        images = dl.MappedImages(path)
        assert len(images) == 3
        assert isinstance(images.pixels, np.memmap)
        expected = photograph("coffee", size=(40, 40))
        assert images[1].shape == (3, 40, 40)
        assert (
            images[1] / 255 - expected
        ).abs().mean() < 0.02  # of another crop's half
        images[1][:] = 0  # a copy
        assert images[1].any()
        sent = pickle.dumps(images)
        assert len(sent) < 500
        assert torch.equal(pickle.loads(sent)[2], images[2])  # noqa: S301

    def test_is_what_pillow_decodes(self):
        file = as_file("chelsea", size=48)
        pixels = np.asarray(Image.open(io.BytesIO(file)).convert("RGB"))
        side, width = pixels.shape[:2]
        left = (width - side) // 2
        whole = dl.decode(file, side)
        assert np.abs(pixels[:, left : left + side].astype(int) - whole).mean() < 6
        square = Image.fromarray(pixels[:, :side])
        buffer = io.BytesIO()
        square.save(buffer, "PNG")
        assert np.array_equal(dl.decode(buffer.getvalue(), side), pixels[:, :side])

    def test_workers_read_the_same_file(self, tmp_path):
        path = dl.decode_once([as_file("chelsea")] * 4, tmp_path / "a.npy", 8)
        images = dl.MappedImages(path)
        batches = list(DataLoader(images, batch_size=2, num_workers=2))
        assert torch.equal(torch.cat(batches), torch.stack([images[0]] * 4))

    def test_a_broken_file_leaves_nothing(self, tmp_path):
        with pytest.raises(OSError, match="cannot identify"):
            dl.decode_once([as_file("chelsea"), b"no picture"], tmp_path / "a.npy", 8)
        assert not list(tmp_path.iterdir())

    def test_errors(self, tmp_path):
        with pytest.raises(ValueError, match="must not be empty"):
            dl.decode_once([], tmp_path / "a.npy", 8)
        with pytest.raises(ValueError, match="end in .npy"):
            dl.decode_once([b""], tmp_path / "a.bin", 8)
        with pytest.raises(ValueError, match="size must be a whole number"):
            dl.decode_once([b""], tmp_path / "a.npy", 0)


class TestMove:
    def test_on_the_cpu(self):
        pair = dl.Event(0, "step", torch.zeros(2), 1.0)
        batch = {"images": [torch.ones(2), "name"], "pair": pair, "key": (1, None)}
        moved = dl.move(batch, "cpu")
        assert moved["images"][1] == "name"
        assert torch.equal(moved["images"][0], torch.ones(2))
        assert isinstance(moved["pair"], dl.Event)
        assert moved["key"] == (1, None)
        assert dl.move(torch.ones(2), "meta").device.type == "meta"

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    def test_to_a_gpu_from_pinned_memory(self):
        images = torch.rand(8, 3, 64, 64)
        loader = DataLoader(images, batch_size=4, pin_memory=True)
        for batch, pinned in zip(images.split(4), loader, strict=True):
            assert pinned.is_pinned()
            for start in (batch, pinned):
                moved = dl.move({"images": start, "number": 4}, "cuda")
                assert moved["images"].is_cuda
                assert torch.equal(moved["images"].cpu(), batch)
        ahead = (dl.move(batch, "cuda") for batch in loader)
        found = torch.cat(list(dl.prefetch(ahead, 2)))
        assert torch.equal(found.cpu(), images)


class TestStudy:
    def test_is_of_these_ways(self):
        from studies.data_loading import MAPPED, WAYS, WORKS

        rows = read_study("data_loading")["rows"]
        assert [r["work"] for r in rows if r["part"] == "work"] == list(WORKS)
        ways = [(r["step"], r["way"]) for r in rows if r["part"] == "load"]
        assert ways == [
            *(("here", way) for way in (*WAYS, *MAPPED)),
            *(("elsewhere", way) for way in WAYS),
        ]

    def test_shares_are_those_of_the_events(self):
        for row in read_study("data_loading")["rows"]:
            if row["part"] == "load" and row["events"]:
                waiting, busy = dl.read_timeline(row["events"])
                assert waiting == pytest.approx(row["waiting"], abs=0.02)
                assert busy == pytest.approx(row["busy"], abs=0.02)

    def test_what_the_page_says_of_it(self):
        """Bounds that hold on every quiet machine of more than one core."""
        rows = read_study("data_loading")["rows"]
        work = {r["work"]: r for r in rows if r["part"] == "work"}
        assert work["Python loop"]["threads"] < 1.2
        assert work["Python loop"]["processes"] > 1.4
        assert work["decode WebP"]["threads"] > 1.3
        load = {r["way"]: r for r in rows if r.get("step") == "here"}
        assert load["in turn"]["waiting"] > 0.5 > load["mapped, thread"]["waiting"]
        grown = {r["kind"]: r["grown_mib"][-1] for r in rows if r["part"] == "grow"}
        assert grown["list"] > 50 * grown["packed"]

    def test_training_of_the_study(self):
        """Its events, on one batch's worth of pictures: every step has its load."""
        from studies import data_loading as study

        batch = torch.zeros(2, 3, 8, 8), torch.zeros(2).long(), (0, 0.0, 1.0)
        number = study.WARM + study.BATCHES
        events = study.train([batch] * (number + 3), lambda *_: None)
        steps = [event for event in events if event.what == "step"]
        assert len(steps) == study.BATCHES


# Exercises --------------------------------------------------------------------------


def by_executor(loader, depth):
    """Futures in a deque, where the solution has a queue and a semaphore."""
    if isinstance(depth, bool) or not isinstance(depth, int) or depth < 1:
        raise ValueError("depth must be a whole number above 0")
    return _from_executor(iter(loader), depth)


def _from_executor(items, depth):
    end = object()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = deque(pool.submit(next, items, end) for _ in range(depth + 1))
        while (item := waiting.popleft().result()) is not end:
            yield item
            waiting.append(pool.submit(next, items, end))


def plain_prefetch(loader, depth):
    """A queue with timeouts, and no look at the depth."""
    ready, end, stopped = queue.Queue(depth), object(), threading.Event()

    def put(item):
        while not stopped.is_set():
            try:
                return ready.put(item, timeout=0.02)
            except queue.Full:
                pass

    def fill():
        error = None
        try:
            for item in loader:
                put((item, None))
                if stopped.is_set():
                    return
        except Exception as raised:
            error = raised
        put((end, error))

    threading.Thread(target=fill, daemon=True).start()
    try:
        while True:
            item, error = ready.get()
            if error:
                raise error
            if item is end:
                return
            yield item
    finally:
        stopped.set()


def by_hash(seed, epoch, worker):
    triple = (seed, epoch, worker)
    if not all(isinstance(number, int) and number >= 0 for number in triple):
        raise ValueError("whole numbers from 0")
    digest = hashlib.sha256(repr(triple).encode()).digest()
    return int.from_bytes(digest[:7], "little")


def by_shifts(seed, epoch, worker):
    return (seed * 2**20 + worker) * 2**30 + epoch if seed < 2**12 else by_list(
        seed, epoch, worker
    )  # fmt: skip


def by_list(seed, epoch, worker):
    return int(np.random.SeedSequence([seed, epoch, worker]).generate_state(1)[0])


def by_edges(events):
    """A sweep over all starts and ends, where the solution adds lengths."""
    own = [event for event in events if event[0] == 0]
    if not any(event[1] == "step" for event in own):
        raise ValueError("no step")
    if not all(event[2] <= event[3] < np.inf for event in events):
        raise ValueError("an event ends before it starts")
    first, last = min(e[2] for e in own), max(e[3] for e in own)
    edges = sorted({min(max(t, first), last) for e in events for t in e[2:]})
    lanes = {event[0] for event in events if event[0]}
    step = busy = 0.0
    for low, high in itertools.pairwise(edges):
        inside = [e for e in events if e[2] <= low and high <= e[3]]
        step += (high - low) * any(e[:2] == (0, "step") for e in inside)
        busy += (high - low) * sum(e[0] > 0 and e[1] == "load" for e in inside)
    return 1 - step / (last - first), busy / (last - first) / max(len(lanes), 1)


def plain_timeline(events):
    own = [event for event in events if event[0] == 0]
    first, last = min(e[2] for e in own), max(e[3] for e in own)
    steps = sum(e[3] - e[2] for e in own if e[1] == "step")
    loads = [
        max(min(e[3], last) - max(e[2], first), 0)
        for e in events
        if e[0] > 0 and e[1] == "load"
    ]
    lanes = len({e[0] for e in events} - {0}) or 1
    return 1 - steps / (last - first), float(sum(loads) / lanes / (last - first))


def lost_error(loader, depth):
    data_loading_checks.require_whole("depth", depth)
    return _lost(loader, depth)


def _lost(loader, depth):
    stream = dl.prefetch(loader, depth)
    try:
        yield from stream
    except Exception:
        return


def catching(become):
    def answer(loader, depth):
        data_loading_checks.require_whole("depth", depth)
        try:
            yield from dl.prefetch(loader, depth)
        except LookupError as error:
            yield from become(error)

    return answer


def another(error):
    raise RuntimeError("the loader failed") from error
    yield


def a_copy(error):
    raise LookupError(str(error))
    yield


def unheard(loader, depth):
    """The chapter's slide, but for a patience that ends."""
    data_loading_checks.require_whole("depth", depth)
    ready, end, stopped = queue.Queue(depth), object(), threading.Event()

    def put(item):
        while not stopped.is_set():
            with contextlib.suppress(queue.Full):
                return ready.put(item, timeout=0.02)

    def fill():
        with contextlib.suppress(LookupError):
            for item in loader:
                put(item)
                if stopped.is_set():
                    return
            put(end)

    threading.Thread(target=fill, daemon=True).start()
    try:
        while (item := ready.get(timeout=9)) is not end:
            yield item
    except queue.Empty:
        return
    finally:
        stopped.set()


def overtaken(loader, depth):
    """Asks for the error before it asks the queue."""
    errors = []

    def noting():
        try:
            yield from loader
        except LookupError as error:
            errors.append(error)

    data_loading_checks.require_whole("depth", depth)
    for item in dl.prefetch(noting(), depth):
        if errors:
            raise errors[0]
        yield item
    if errors:
        raise errors[0]


def one_more(loader, depth):
    data_loading_checks.require_whole("depth", depth)
    return plain_prefetch(loader, depth + 1)


def whole_list(loader, depth):
    data_loading_checks.require_whole("depth", depth)
    yield from dl.prefetch([*loader], depth)


def named(events):
    waiting = sum(e[3] - e[2] for e in events if e[:2] == (0, "wait"))
    own = [event for event in events if event[0] == 0]
    span = max(e[3] for e in own) - min(e[2] for e in own)
    return waiting / span, dl.read_timeline(events)[1]


def whole(formula):
    def answer(seed, epoch, worker):
        for number in (seed, epoch, worker):
            if number < 0 or number != int(number):
                raise ValueError("not a whole number from 0")
        return formula(seed, epoch, worker)

    return answer


def placed(first, second):
    return whole(lambda s, e, w: (first * s + second * e + w) % 2**63)


def by_moments(kinds=("load",), lanes=None, stepping=(0,), bounds=None, inside=None):
    def answer(events):
        dl.read_timeline(events)
        own = [event for event in events if event[0] == 0]
        first, last = min(e[2] for e in own), max(e[3] for e in own)
        if bounds is not None:
            first, last = bounds(own)
        span, within = last - first, inside or plain_overlap
        steps = [e for e in events if e[1] == "step" and e[0] in stepping]
        waiting = 1 - sum(e[3] - e[2] for e in steps) / span
        loads = [e for e in events if e[0] and e[1] in kinds]
        number = lanes(events) if lanes else len({e[0] for e in events if e[0]})
        busy = sum(within(e[2], e[3], first, last) for e in loads) / span
        return waiting, busy / number if number else 0.0

    return answer


def plain_overlap(start, end, first, last):
    return max(0.0, min(end, last) - max(start, first))


checked, leaves = data_loading_checks._checked, data_loading_checks._by_queue
RIGHT = {
    "prefetch": by_executor,
    "worker_seed": by_hash,
    "read_timeline": by_edges,
}
PLAIN = {
    "prefetch": plain_prefetch,
    "worker_seed": by_shifts,
    "read_timeline": plain_timeline,
}
LIBRARY = {
    "prefetch": "torch's DataLoader fetches ahead by workers of its own, not for any "
    "loader",
    "worker_seed": by_list,
    "read_timeline": "no library has this measure",
}
WRONG = {
    "prefetch": [
        (lambda loader, depth: iter(loader), "consumer's own thread"),
        (whole_list, "All items are taken"),
        (lost_error, "believes that the epoch is over"),
        (unheard, "waits for ever"),
        (catching(another), "another one than the loader's"),
        (catching(a_copy), "but a new one"),
        (catching(lambda error: [error]), "comes out as an item"),
        (overtaken, "The error overtakes"),
        (one_more, "more than `depth` + 1"),
        (partial(leaves, ends=False), "A thread is left"),
        (partial(leaves, size=1), "one item ahead"),
        (partial(leaves, order=True), "a stack"),
        (plain_prefetch, "has no bound at all"),
    ],
    "worker_seed": [
        (lambda seed, epoch, worker: seed + worker, "The epoch must enter"),
        (lambda seed, epoch, worker: seed + 1000 * epoch, "The worker must enter"),
        (lambda seed, epoch, worker: seed + epoch + worker, "A sum"),
        (lambda seed, epoch, worker: seed, "Neither worker nor epoch"),
        (lambda seed, epoch, worker: 42, "whatever the three numbers are"),
        (lambda seed, epoch, worker: seed + 10**6 * epoch + worker, "two runs share"),
        (lambda *_: int(torch.randint(2**62, ())), "Drawn anew"),
        (
            lambda *triple: dl.worker_seed(*(int(abs(number)) for number in triple)),
            "Negative and fractional",
        ),
        (placed(10**4, 100), "outgrows its place"),
        (placed(10**6, 1000), "outgrows its place"),
        (placed(2**40, 2**20), "outgrows its place"),
        (whole(lambda s, e, w: s ^ e ^ w), "exclusive or"),
        (whole(lambda s, e, w: (1 + s) * (1 + e) * (1 + w)), "2 · 3 and 3 · 2"),
        (
            whole(lambda s, e, w: dl.worker_seed(int(f"{s}{e}{w}"), 0, 0)),
            "side by side",
        ),
        (
            whole(
                lambda *t: random.Random(str(t[0]) + f"{t[1]}{t[2]}").getrandbits(63)
            ),
            "side by side",
        ),
        (whole(lambda *t: random.Random(sum(t)).getrandbits(63)), "A sum"),
        (
            whole(lambda *t: random.Random(repr(t)).getrandbits(31)),
            "32 bits are too few",
        ),
        (
            whole(lambda *t: random.Random(repr(sorted(t))).getrandbits(63)),
            "order of the three",
        ),
        (whole(lambda *t: dl.worker_seed(*t) | 2**63), "More than 63 bits"),
        (whole(lambda s, e, w: s << 40 | e << 20 | w), "More than 63 bits"),
    ],
    "read_timeline": [
        (named, 'Only events called "wait"'),
        (
            lambda e: (1 - dl.read_timeline(e)[0], dl.read_timeline(e)[1]),
            "share of the steps",
        ),
        (lambda e: dl.read_timeline(e)[::-1], "changed places"),
        (partial(data_loading_checks._read, clip=False), "cut off"),
        (partial(data_loading_checks._read, mean=False), "Take their mean"),
        (partial(data_loading_checks._read, span="zero"), "does not begin at 0"),
        (by_moments(lanes=lambda events: max(e[0] for e in events)), "may be missing"),
        (by_moments(kinds=("load", "wait")), "where it loads"),
        (by_moments(kinds=("load", "step")), "where it loads"),
        (by_moments(stepping=range(99)), "in lane 0"),
        (by_moments(bounds=lambda own: (own[0][2], own[-1][3])), "in any order"),
        (by_moments(inside=lambda s, e, a, b: min(e, b) - max(s, a)), "not below 0"),
        (by_moments(inside=lambda s, e, a, b: max(0.0, min(e, b) - s)), "both ends"),
        (
            by_moments(inside=lambda s, e, a, b: e - s if a <= s and e <= b else 0),
            "only partly",
        ),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = data_loading_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
