"""Samples in tar files, as webdataset lays them out, read as a stream and shuffled."""

import io
import itertools
import tarfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import get_worker_info

from lesson_utils.common.require import require_whole


def write_shards(samples: Iterable[dict], folder: Path, per_shard: int) -> list[Path]:
    """Write samples into tar files, in webdataset's layout.

    Args:
        samples: each with a "__key__", which holds no dot, and bytes under each of its
            other names, such as "jpg" and "cls": these become the files' endings.
        folder: it is made if it is not there.
        per_shard: how many samples a tar file holds; the last one may hold fewer.

    Returns:
        The paths: shard-000000.tar and so on.

    Raises:
        ValueError: `per_shard` is not a whole number >= 1, a key is empty or holds a
            dot, or two samples in a row share a key.
    """
    require_whole("per_shard", per_shard)
    folder, samples, paths, last = Path(folder), iter(samples), [], None
    folder.mkdir(parents=True, exist_ok=True)
    while chunk := list(itertools.islice(samples, per_shard)):
        paths.append(folder / f"shard-{len(paths):06d}.tar")
        with tarfile.open(paths[-1], "w") as shard:
            for sample in chunk:
                key = sample["__key__"]
                if not key or "." in key or key == last:
                    raise ValueError(f"__key__ must be new, without dot, got {key!r}")
                last = key
                for name in sample.keys() - {"__key__"}:
                    file = tarfile.TarInfo(f"{key}.{name}")
                    file.size = len(sample[name])
                    shard.addfile(file, io.BytesIO(sample[name]))
    return paths


def read_shards(paths: Iterable[Path]) -> Iterator[dict]:
    """The samples of tar files, one after another, each file read from start to end.

    In a `DataLoader`'s worker only this worker's part: every n-th of the files.

    Args:
        paths: of the files, of whoever wrote them.

    Yields:
        Samples as `write_shards` takes them: files in a row that share their name up to
        its first dot are one sample.
    """
    info = get_worker_info()
    first, step = (0, 1) if info is None else (info.id, info.num_workers)
    for path in itertools.islice(paths, first, None, step):
        with tarfile.open(path, "r|*") as shard:  # "|" reads forwards only: a stream
            files = (file for file in shard if file.isfile())
            for key, group in itertools.groupby(files, _key):
                parts = {
                    file.name[len(key) + 1 :]: shard.extractfile(file).read()
                    for file in group
                }
                yield {"__key__": key, **parts}


def _key(file: tarfile.TarInfo) -> str:
    folder, _, name = file.name.rpartition("/")
    return f"{folder}/{name.split('.')[0]}".lstrip("/")


def shuffle(
    samples: Iterable, size: int, generator: torch.Generator | None = None
) -> Iterator:
    """Shuffle a stream through a buffer: a random one leaves, the next one comes in.

    Args:
        samples: any number of them; each comes out once.
        size: how many the buffer holds; 1 keeps the order.
        generator: of the choice.

    Returns:
        An iterator over the samples.

    Raises:
        ValueError: the size is not a whole number >= 1.
    """
    require_whole("size", size)
    draw = partial(torch.randint, size=(), generator=generator)
    return _shuffled(iter(samples), size, lambda n: int(draw(n)))


def _shuffled(samples: Iterator, size: int, draw: Callable[[int], int]) -> Iterator:
    buffer = list(itertools.islice(samples, size))
    for sample in samples:
        place = draw(len(buffer))
        yield buffer[place]
        buffer[place] = sample
    while buffer:
        yield buffer.pop(draw(len(buffer)))
