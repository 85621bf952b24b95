"""Data loading: threads against processes, a loader that starves a training, memory.

    python -m studies.data_loading

Takes two to three minutes. All of it is measured by the clock on the wall, so run it
with nothing else going on; each measurement is made several times, in turn with those
it is compared with, and the fastest counts. Rows that a system cannot measure (there is
no `fork` on Windows, and /proc is Linux's) are left out.
"""

import contextlib
import io
import multiprocessing
import os
import pickle
import platform
import queue
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.pool import Pool, ThreadPool
from multiprocessing.reduction import ForkingPickler
from pathlib import Path

import numpy as np
import PIL
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, get_worker_info

from lesson_utils.common.compute import seed_everything
from lesson_utils.data.photographs import photograph
from lesson_utils.data_loading import (
    Event,
    MappedImages,
    PackedStrings,
    decode,
    decode_once,
    prefetch,
    read_timeline,
)
from studies.skeleton import Study

PHOTOGRAPHS = ("astronaut", "chelsea", "china", "coffee", "flower", "rocket")
REPEATS, TASKS = 10, 8
BATCH, SIDE, CROP = 16, 144, 128
WARM, BATCHES, REST = 10, 12, 8  # workers hold up to 8 batches ready
NAMES = 1_000_000
HERE = "linux" in sys.platform


# Threads against processes -----------------------------------------------------------


def encode(name: str, kind: str, side: int = 480) -> bytes:
    """A photograph as the bytes of a file, its shorter side `side` pixels."""
    pixels = photograph(name, size=side).permute(1, 2, 0).mul(255).round().byte()
    file = io.BytesIO()
    Image.fromarray(pixels.numpy()).save(file, kind, quality=90)
    return file.getvalue()


FILES: dict[str, bytes] = {}
LARGE = np.linspace(0, 1, 200_000)
MATRIX = torch.linspace(-1, 1, 512 * 512).view(512, 512)


def decode_many(kind: str) -> None:
    """Decode one file again and again."""
    if kind not in FILES:
        FILES[kind] = encode("coffee", kind)
    for _ in range(4 if kind == "webp" else 6):
        decode(FILES[kind], 128)


def python_loop() -> None:
    """Arithmetic in Python, number by number."""
    total = 0
    for number in range(400_000):
        total += number * number % 7


def numpy_work() -> None:
    """Arithmetic on an array, into memory that is there already."""
    out = np.empty_like(LARGE)
    for _ in range(10):
        np.sqrt(np.exp(LARGE, out=out), out=out)


def torch_work() -> None:
    """Products of matrices in one thread, into memory that is there already."""
    out = torch.empty_like(MATRIX)
    for _ in range(5):
        torch.mm(MATRIX, MATRIX, out=out)


WORKS: dict[str, Callable[[], None]] = {
    "decode JPEG": lambda: decode_many("jpeg"),
    "decode WebP": lambda: decode_many("webp"),
    "Python loop": python_loop,
    "NumPy": numpy_work,
    "torch": torch_work,
}


def do(work: str) -> None:
    """One task, in whatever thread or process this is."""
    torch.set_num_threads(1)
    WORKS[work]()


def threads_and_processes(work: str, threads: Pool, processes: Pool) -> dict:
    """How many times as fast two threads and two processes are as one after another."""
    ways = {
        "in_turn": lambda: [do(work) for _ in range(TASKS)],
        "threads": lambda: threads.map(do, TASKS * [work], 1),
        "processes": lambda: processes.map(do, TASKS * [work], 1),
    }
    best = fastest(ways)
    return {
        "in_turn_ms": round(1e3 * best["in_turn"] / TASKS, 1),
        "threads": round(best["in_turn"] / best["threads"], 2),
        "processes": round(best["in_turn"] / best["processes"], 2),
    }


def fastest(ways: dict[str, Callable[[], object]], repeats: int = REPEATS) -> dict:
    """Seconds of each way, the fastest of several rounds; one more warms up."""
    best = dict.fromkeys(ways, float("inf"))
    for turn in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            if turn:
                best[name] = min(best[name], time.perf_counter() - start)
    return best


# What starting, handing over and holding cost ----------------------------------------


def nothing() -> None:
    """What a thread or process does that is only started and ended."""


def start_and_end(kind: str) -> None:
    """Start a thread or a process, and wait for its end."""
    if kind == "thread":
        one = threading.Thread(target=nothing)
    else:
        one = multiprocessing.get_context(kind).Process(target=nothing)
    one.start()
    one.join()


def starting() -> dict:
    """Milliseconds to start and end one that does nothing, torch being imported."""
    kinds = ("thread", *multiprocessing.get_all_start_methods())
    ways = {kind: lambda kind=kind: start_and_end(kind) for kind in kinds}
    ways.pop("forkserver", None)
    best = fastest(ways, 1)
    return {f"{kind}_ms": round(1e3 * seconds, 3) for kind, seconds in best.items()}


def echo(source: object, sink: object) -> None:
    """Send back what comes in, until None comes."""
    while (item := source.get()) is not None:
        sink.put(item)
    sink.put(None)


def handing_over(what: str) -> dict:
    """Microseconds from one side to the other, half of there and back."""
    item = {
        "a number": 1,
        "a batch, NumPy": np.zeros((BATCH, 3, CROP, CROP), np.float32),
        "a batch, torch": torch.zeros(BATCH, 3, CROP, CROP),
    }[what]
    context = torch.multiprocessing.get_context("fork" if HERE else "spawn")
    best = {}
    for kind in ("thread", "process"):
        make = queue.SimpleQueue if kind == "thread" else context.SimpleQueue
        there, back = make(), make()
        maker = threading.Thread if kind == "thread" else context.Process
        other = maker(target=echo, args=(there, back), daemon=True)
        other.start()
        number = 300 if what == "a number" else 10

        def trip(there=there, back=back, number=number):
            for _ in range(number):
                there.put(item)
                back.get()

        best[kind] = fastest({"trip": trip})["trip"] / number / 2
        there.put(None)
        back.get()
        other.join()
    return {f"{kind}_us": round(1e6 * value, 1) for kind, value in best.items()}


def memory(process: int | str = "self") -> dict[str, float]:
    """What /proc says of a process's memory, in MiB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text("utf-8").splitlines()[1:]
    kib = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    return {name: round(value / 1024, 1) for name, value in kib.items()}


def report_memory(pipe: object) -> None:
    """Send what this process holds."""
    pipe.send(memory())


def holding(method: str) -> dict:
    """A child's memory after its start: what it sees, and what is its alone."""
    context = multiprocessing.get_context(method)
    ours, theirs = context.Pipe()
    child = context.Process(target=report_memory, args=(theirs,))
    child.start()
    held = ours.recv()
    child.join()
    return {
        "rss_mib": held["Rss"],
        "pss_mib": held["Pss"],
        "own_mib": round(held["Private_Clean"] + held["Private_Dirty"], 1),
    }


IDLE = {
    "Python alone": "pass",
    "NumPy imported": "import numpy",
    "torch imported": "import torch",
    "torch, after a matrix product": "import torch; torch.ones(999, 999) @ torch.ones("
    "999, 999)",
    "torch, after a backward pass": "import torch; x = torch.ones(999, 999, "
    "requires_grad=True); (x @ x).sum().backward()",
}
COUNT = "; import os; print(len(os.listdir('/proc/self/task')))"


def idle_threads(what: str) -> dict:
    """How many threads a fresh interpreter has, which Python knows nothing of."""
    kept = {k: v for k, v in os.environ.items() if not k.endswith("NUM_THREADS")}
    command = [sys.executable, "-c", IDLE[what] + COUNT]
    done = subprocess.run(command, env=kept, capture_output=True, check=True, text=True)
    return {"threads": int(done.stdout)}


def sent(what: str) -> dict:
    """Bytes that go through a pipe when something is handed to a process."""
    pixels = np.zeros((2000, 64, 64, 3), np.uint8)
    if what == "dataset: pictures in an array":
        return {"bytes": len(pickle.dumps(pixels))}
    if what == "dataset: a mapped file":
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pictures.npy"
            np.save(path, pixels)
            mapped = MappedImages(path)
            number = len(pickle.dumps(mapped))
            del mapped  # Windows removes no file that is mapped
        return {"bytes": number}
    batch = torch.zeros(BATCH, 3, CROP, CROP)
    if what == "batch: NumPy":
        return {"bytes": len(ForkingPickler.dumps(batch.numpy()))}
    return {"bytes": len(ForkingPickler.dumps(batch))}


# Memory that grows -------------------------------------------------------------------


def names() -> Iterator[str]:
    """File names, as a large data set has them."""
    return (f"train/n{number % 1000:08d}/{number:012d}.jpeg" for number in range(NAMES))


def read_parts(held: object, parts: int, pipe: object) -> None:
    """Read all items in order, and send what this process alone holds, part by part."""
    size = len(held) // parts
    pipe.send(memory()["Private_Dirty"])
    for part in range(parts):
        for index in range(part * size, (part + 1) * size):
            held[index]
        pipe.send(memory()["Private_Dirty"])


def growing(kind: str) -> dict:
    """What two forked workers come to hold, in MiB each, while they read a data set."""
    held = list(names()) if kind == "list" else PackedStrings(names())
    context, parts = multiprocessing.get_context("fork"), 5
    pipes, workers = [], []
    for _ in range(2):
        ours, theirs = context.Pipe()
        worker = context.Process(target=read_parts, args=(held, parts, theirs))
        worker.start()
        pipes.append(ours)
        workers.append(worker)
    values = [[pipe.recv() for _ in range(parts + 1)] for pipe in pipes]
    for worker in workers:
        worker.join()
    if kind == "list":
        size = sys.getsizeof(held) + sum(sys.getsizeof(name) for name in held)
    else:
        size = held.text.nbytes + held.ends.nbytes
    grown = np.mean(values, axis=0) - np.mean(values, axis=0)[0]
    return {"size_mib": round(size / 2**20, 1), "grown_mib": grown.round(1).tolist()}


# A training and its loader -----------------------------------------------------------


class Batches(Dataset):
    """Whole batches of photographs: decoded, or mapped; cropped, flipped; and when.

    Args:
        files: (N,), what a folder of pictures holds.
        mapped: the same, decoded once; None to decode each time.
    """

    def __init__(self, files: list[bytes], mapped: MappedImages | None = None) -> None:
        self.files, self.mapped = files, mapped

    def __len__(self) -> int:
        return WARM + BATCHES + REST

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, tuple]:
        if index >= len(self):
            raise IndexError(index)
        start = time.perf_counter()
        dice = np.random.default_rng(index)
        chosen = dice.integers(len(self.files), size=BATCH)
        images = torch.empty(BATCH, 3, CROP, CROP, dtype=torch.uint8)
        for place, which in zip(images, chosen, strict=True):
            if self.mapped is None:
                pixels = decode(self.files[which], SIDE)
            else:
                pixels = self.mapped.pixels[which]
            top, left = dice.integers(SIDE - CROP + 1, size=2)
            crop = pixels[top : top + CROP, left : left + CROP]
            crop = crop[:, ::-1] if dice.random() < 0.5 else crop
            place.copy_(torch.from_numpy(crop.copy()).permute(2, 0, 1))
        labels = torch.from_numpy(chosen % len(PHOTOGRAPHS))
        info = get_worker_info()
        lane = 0 if info is None else info.id + 1
        return images, labels, (lane, start, time.perf_counter())


class Network(nn.Sequential):
    """A small classifier of photographs; how well it does is not asked here."""

    def __init__(self) -> None:
        layers, last = [], 3
        for width in (12, 24, 48):
            layers += [nn.Conv2d(last, width, 3, stride=2, padding=1), nn.ReLU()]
            last = width
        pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        super().__init__(*layers, *pool, nn.Linear(last, len(PHOTOGRAPHS)))


def train(loader: object, step: Callable, lane: int | None = None) -> list[Event]:
    """All events of an epoch, once it has warmed up: time 0 is the end of a step."""
    events, asked, origin = [], 0.0, 0.0
    for number, (images, labels, (who, start, end)) in enumerate(loader):
        got = time.perf_counter()
        who = lane if lane is not None else who
        events.append(Event(who, "load", start, end))
        step(images, labels)
        if number >= WARM and who:
            events.append(Event(0, "wait", asked, got))
        if number >= WARM:
            events.append(Event(0, "step", got, time.perf_counter()))
        asked = time.perf_counter()
        if number == WARM + BATCHES - 1:
            break
        if number == WARM - 1:
            origin = asked
            events = [event for event in events if event.lane]
    return [Event(e.lane, e.what, e.start - origin, e.end - origin) for e in events]


def learner() -> Callable[[Tensor, Tensor], None]:
    """A training step, on this machine's processor."""
    seed_everything(0)
    network = Network()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)

    def step(images: Tensor, labels: Tensor) -> None:
        loss = F.cross_entropy(network(images.float() / 127.5 - 1), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def loading(
    files: list[bytes], mapped: MappedImages, *, way: str, step: str, seconds: float
) -> dict:
    """One way to load, beside steps here or elsewhere; the fastest run of several."""
    dataset = Batches(files, mapped if way.startswith("mapped") else None)
    workers = int(way.split()[0]) if way[0].isdigit() else 0
    best: list[Event] = []
    for _ in range(3):
        loader = DataLoader(dataset, batch_size=None, num_workers=workers)
        ahead = "thread" in way
        act = learner() if step == "here" else lambda *_: time.sleep(seconds)
        if ahead:
            with contextlib.closing(prefetch(loader, 2)) as source:
                events = train(source, act, lane=1)
        else:
            events = train(loader, act)
        if not best or _length(events) < _length(best):
            best = events
    waiting, busy = read_timeline(best)
    each = _length(best) / BATCHES
    return {
        "batch_ms": round(1e3 * each, 1),
        "pictures_per_second": round(BATCH / each),
        "waiting": round(waiting, 2),
        "busy": round(busy, 2),
        "events": [
            [e.lane, e.what, round(1e3 * e.start, 1), round(1e3 * e.end, 1)]
            for e in sorted(best, key=lambda e: e.start)
            if e.end > 0
        ]
        if step == "here"
        else [],
    }


def _length(events: list[Event]) -> float:
    """Seconds up to the end of the last step."""
    return max(event.end for event in events if event.lane == 0)


WAYS = ("in turn", "thread", "1 worker", "2 workers", "4 workers")
MAPPED = ("mapped, in turn", "mapped, thread")


def main(arguments: list[str] | None = None) -> None:
    """Measure all rows, and write them."""
    study = Study("data_loading", __doc__, arguments)
    settings = {
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "gil": getattr(sys, "_is_gil_enabled", lambda: True)(),
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "batch": BATCH,
        "batches": BATCHES,
        "names": NAMES,
    }
    context = multiprocessing.get_context("spawn")
    with ThreadPool(2) as threads, Pool(2, context=context) as processes:
        for work in WORKS:
            study.row(
                {"part": "work", "work": work},
                lambda work=work: threads_and_processes(work, threads, processes),
            )
    study.row({"part": "start"}, starting)
    for what in ("a number", "a batch, NumPy", "a batch, torch"):
        study.row(
            {"part": "hand over", "what": what}, lambda what=what: handing_over(what)
        )
    for what in (
        "dataset: pictures in an array",
        "dataset: a mapped file",
        "batch: NumPy",
        "batch: torch",
    ):
        study.row({"part": "sent", "what": what}, lambda what=what: sent(what))
    if HERE:
        for method in ("fork", "spawn"):
            study.row({"part": "hold", "method": method}, lambda m=method: holding(m))
        for what in IDLE:
            study.row(
                {"part": "idle", "what": what}, lambda what=what: idle_threads(what)
            )
        for kind in ("list", "packed"):
            study.row({"part": "grow", "kind": kind}, lambda kind=kind: growing(kind))
    files = [encode(name, "jpeg") for name in PHOTOGRAPHS for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        path = decode_once(files, Path(folder) / "pictures.npy", SIDE)
        mapped = MappedImages(path)
        step, batch = learner(), Batches(files, mapped)[0]
        seconds = fastest({"step": lambda: step(*batch[:2])})["step"]
        # Four workers on two cores: it is asked on purpose what that brings.
        warnings.filterwarnings("ignore", "This DataLoader will create 4")
        ways = [("here", way) for way in (*WAYS, *MAPPED)]
        for where, way in (*ways, *(("elsewhere", way) for way in WAYS)):
            study.row(
                {"part": "load", "step": where, "way": way},
                partial(loading, files, mapped, way=way, step=where, seconds=seconds),
            )
        del mapped  # Windows removes no file that is mapped
    study.write(**settings)


if __name__ == "__main__":
    main()
