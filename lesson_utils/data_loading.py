"""Data loading: keep a processor fed, by threads, processes, files and good seeds.

The module of the chapter `book/training/data_loading.ipynb`.
A loader is whatever a `for` loop takes that gives one batch after another. Pictures are
(H, W, 3) in bytes, as files hold them; times are in seconds, on one clock.
"""

import io
import itertools
import queue
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info

from lesson_utils.common.require import require_whole


class Event(NamedTuple):
    """Something that took time: in the trainer's lane, or in a worker's.

    Args:
        lane: 0 for the trainer, from 1 on for the workers.
        what: "step" for a training step, "load" for loading a batch, "wait" for
            waiting.
        start: in seconds.
        end: in seconds, not before the start.

    Source: the definition.
    """

    lane: int
    what: str
    start: float
    end: float


def prefetch(loader: Iterable, depth: int) -> Iterator:
    """What a loader gives, in its order, fetched ahead by a thread.

    The thread starts with the first `next`. It ends with the loader, with an error, or
    when the iterator is closed; only then does the loop go on.

    Args:
        loader: gives the items; it is used in the thread alone.
        depth: how many items may have been taken from the loader beyond the one that
            the consumer works on.

    Returns:
        An iterator over the items. An error of the loader is raised when its turn has
        come, after all items before it.

    Raises:
        ValueError: `depth` is not a whole number >= 1.
        TypeError: `loader` cannot be iterated over.

    Source: the definition; a bounded buffer between a producer and a consumer.
    """
    require_whole("depth", depth)
    return _prefetched(iter(loader), depth)


def _prefetched(items: Iterator, depth: int) -> Iterator:
    ready: queue.SimpleQueue = queue.SimpleQueue()
    free = threading.Semaphore(depth + 1)  # places: the consumer's own, and those ahead
    stopped = threading.Event()

    def fill() -> None:
        try:
            while free.acquire() and not stopped.is_set():
                ready.put(("item", next(items)))
        except StopIteration:
            ready.put(("end", None))
        except BaseException as error:  # whatever it is, it is the consumer's
            ready.put(("error", error))

    thread = threading.Thread(target=fill, name="prefetch", daemon=True)
    thread.start()
    try:
        while True:
            kind, value = ready.get()
            if kind == "end":
                return
            if kind == "error":
                try:
                    raise value
                finally:
                    del value  # it holds this frame: a circle would keep the loader
            yield value
            free.release()
    finally:  # also after `break`, `close()` and an error in the loop
        stopped.set()
        free.release()
        thread.join()


def worker_seed(seed: int, epoch: int, worker: int) -> int:
    """A seed for one worker in one epoch, which no other worker or epoch shares.

    Args:
        seed: of the run, from 0.
        epoch: from 0.
        worker: from 0.

    Returns:
        In [0, 2^63): what numpy, torch and `random` all take. The same three numbers
        give the same seed, on every machine.

    Raises:
        ValueError: one of the three is not a whole number >= 0.

    Source: numpy's `SeedSequence`, whose `spawn_key` keeps the streams apart.
    """
    for name, value in (("seed", seed), ("epoch", epoch), ("worker", worker)):
        require_whole(name, value, 0)
    mixed = np.random.SeedSequence(seed, spawn_key=(epoch, worker))
    return int(mixed.generate_state(1, np.uint64)[0] >> 1)


def reseed(worker: int, *, seed: int, epoch: int) -> None:
    """Give a worker's copy of the dataset a generator of its own, as `dataset.dice`.

    For `DataLoader(worker_init_fn=partial(reseed, seed=0, epoch=epoch))`.

    Args:
        worker: which one this is.
        seed: of the run.
        epoch: which pass over the data begins.

    Raises:
        ValueError: see `worker_seed`.

    Source: the definition.
    """
    info = get_worker_info()
    info.dataset.dice = np.random.default_rng(worker_seed(seed, epoch, worker))


class RandomCrops(Dataset):
    """Random square crops of one picture, by a generator that the dataset holds.

    Each worker gets a copy of the dataset, and with it a copy of the generator: without
    `reseed` all of them cut out the same crops, epoch after epoch.

    Args:
        image: (3, H, W).
        size: S, of the crops.
        number: how many crops an epoch has.
        seed: of the generator, which stands in `dice`.

    Raises:
        ValueError: the size is not a whole number from 1 to the picture's shorter side,
            or the number not a whole number >= 1.

    Source: the definition.
    """

    def __init__(self, image: Tensor, size: int, number: int, seed: int = 0) -> None:
        require_whole("size", size, 1, min(image.shape[1:]))
        require_whole("number", number)
        self.image, self.size, self.number = image, size, number
        self.dice = np.random.default_rng(seed)

    def __len__(self) -> int:
        return self.number

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """A crop, and the worker that cut it out (-1 for none)."""
        if not 0 <= index < self.number:
            raise IndexError(index)
        top, left = (
            int(self.dice.integers(side - self.size + 1))
            for side in self.image.shape[1:]
        )
        info = get_worker_info()
        crop = self.image[:, top : top + self.size, left : left + self.size]
        return crop, -1 if info is None else info.id


def read_timeline(events: Iterable[Event]) -> tuple[float, float]:
    """How much of the time the trainer waits, and the workers load.

    Args:
        events: in any order; those of one lane do not overlap.

    Returns:
        The trainer's waiting share, and the workers' busy share, each in [0, 1]. Both
        are shares of the time from the first start to the last end of the trainer's
        events. The trainer waits whenever it is in no step; the workers' share is the
        mean over their lanes, and 0 without any; what they loaded before or after that
        time does not count.

    Raises:
        ValueError: lane 0 has no step, an event ends before it starts, or a time is
            not finite.

    Source: the definition.
    """
    events = [Event(*event) for event in events]
    for event in events:
        if not -np.inf < event.start <= event.end < np.inf:
            raise ValueError(f"events must have finite start <= end, got {event}")
    trainer = [event for event in events if event.lane == 0]
    if not any(event.what == "step" for event in trainer):
        raise ValueError(f"events must hold a step in lane 0, got {trainer}")
    first, last = min(e.start for e in trainer), max(e.end for e in trainer)
    span = last - first
    if span == 0:
        return 0.0, 0.0

    def inside(lanes: set[int], what: str) -> float:
        chosen = [e for e in events if e.lane in lanes and e.what == what]
        return sum(max(min(e.end, last) - max(e.start, first), 0.0) for e in chosen)

    workers = {event.lane for event in events} - {0}
    busy = inside(workers, "load") / (span * len(workers)) if workers else 0.0
    return 1 - inside({0}, "step") / span, busy


class PackedStrings(Sequence):
    """Many strings in two arrays: one object for all, not one for each.

    Args:
        strings: any number of them.

    Source: the definition.
    """

    def __init__(self, strings: Iterable[str]) -> None:
        pieces = [string.encode() for string in strings]
        self.text = np.frombuffer(b"".join(pieces), np.uint8)
        ends = itertools.accumulate(map(len, pieces), initial=0)
        self.ends = np.fromiter(ends, np.int64, len(pieces) + 1)

    def __len__(self) -> int:
        return len(self.ends) - 1

    def __getitem__(self, index: int) -> str:
        """The string at an index, which may count from the end."""
        index = range(len(self))[index]
        return self.text[self.ends[index] : self.ends[index + 1]].tobytes().decode()


def decode_once(pictures: Iterable[bytes | str | Path], path: Path, size: int) -> Path:
    """Decode files once, shrink them to squares, and keep the pixels in one array.

    Args:
        pictures: each a file, or its bytes, in a format that Pillow reads.
        path: of the array, ending in .npy.
        size: S; what does not fit into a square is cut off on both sides.

    Returns:
        The path of an array (N, S, S, 3) of bytes.

    Raises:
        ValueError: no picture, a size that is not a whole number >= 1, or another
            ending of the path.
        OSError: Pillow cannot read a picture; no array is left behind.

    Source: the definition.
    """
    require_whole("size", size)
    pictures, path = list(pictures), Path(path)
    if not pictures or path.suffix != ".npy":
        raise ValueError(
            f"pictures must not be empty and path end in .npy, got {len(pictures)} "
            f"pictures and {path.name}"
        )
    unfinished = path.with_name(f"{path.stem}-unfinished.npy")
    shape = (len(pictures), size, size, 3)
    try:
        array = np.lib.format.open_memmap(unfinished, "w+", np.uint8, shape)
        for place, picture in zip(array, pictures, strict=True):
            place[:] = decode(picture, size)
        array.flush()
        del array  # Windows moves no file that is still mapped
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def decode(picture: bytes | str | Path, size: int) -> np.ndarray:
    """Decode one file and shrink it to a square.

    Args:
        picture: a file, or its bytes, in a format that Pillow reads.
        size: S; what does not fit into a square is cut off on both sides.

    Returns:
        (S, S, 3), bytes.

    Raises:
        OSError: Pillow cannot read it.

    Source: the definition.
    """
    from PIL import Image, ImageOps

    file = io.BytesIO(picture) if isinstance(picture, bytes) else picture
    with Image.open(file) as image:
        square = ImageOps.fit(image.convert("RGB"), (size, size), Image.BILINEAR)
    return np.asarray(square)


class MappedImages(Dataset):
    """Pictures out of an array on the disk, of which only what is asked for is read.

    A worker receives the path, a few bytes; the pixels are in the system's cache of
    files, once for all processes.

    Args:
        path: of an array (N, H, W, 3) of bytes, as `decode_once` writes it.

    Source: the definition.
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.pixels = np.load(self.path, mmap_mode="r")

    def __getstate__(self) -> dict:
        return {"path": self.path}  # not the pixels: pickled, they would be copied

    def __setstate__(self, state: dict) -> None:
        self.__init__(**state)

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        """(3, H, W), bytes, a copy that may be written to."""
        return torch.from_numpy(self.pixels[index].copy()).permute(2, 0, 1)


def move(batch: Any, device: torch.device | str) -> Any:
    """A batch on a device; to a GPU from pinned memory, without waiting for the copy.

    Args:
        batch: a tensor, or a tuple, list or dict of batches; what else is in it stays.
        device: where it is to go.

    Returns:
        The same, on the device.

    Source: the definition.
    """
    if isinstance(batch, dict):
        return {name: move(part, device) for name, part in batch.items()}
    if isinstance(batch, tuple | list):
        parts = [move(part, device) for part in batch]
        return batch._make(parts) if hasattr(batch, "_make") else type(batch)(parts)
    if not isinstance(batch, Tensor):
        return batch
    if torch.device(device).type == "cuda" and batch.device.type == "cpu":
        return batch.pin_memory().to(device, non_blocking=True)
    return batch.to(device)
