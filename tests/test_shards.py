"""Tests of `lesson_utils.data.shards`."""

import io
import tarfile
from collections import Counter

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from lesson_utils.data import shards

SAMPLES = [
    {"__key__": f"{number:04d}", "jpg": bytes([number]), "cls": str(number).encode()}
    for number in range(7)
]


class Stream(IterableDataset):
    """The keys of a list of shards."""

    def __init__(self, paths):
        self.paths = paths

    def __iter__(self):
        return (sample["__key__"] for sample in shards.read_shards(self.paths))


def add(shard, name, data):
    file = tarfile.TarInfo(name)
    file.size = len(data)
    shard.addfile(file, io.BytesIO(data))


class TestShards:
    def test_round_trip(self, tmp_path):
        paths = shards.write_shards(iter(SAMPLES), tmp_path / "new", 3)
        assert [path.name for path in paths] == [f"shard-{k:06d}.tar" for k in range(3)]
        assert list(shards.read_shards(paths)) == SAMPLES
        assert list(shards.read_shards(paths[2:])) == SAMPLES[6:]
        assert shards.write_shards([], tmp_path / "none", 3) == []

    def test_layout_is_webdatasets(self, tmp_path):
        """Files of a sample stand together, and share the name up to the first dot."""
        (path,) = shards.write_shards(SAMPLES[:2], tmp_path, 9)
        with tarfile.open(path) as shard:
            names = [name.split(".")[0] for name in shard.getnames()]
        assert names == ["0000", "0000", "0001", "0001"]

    def test_reads_what_others_write(self, tmp_path):
        path = tmp_path / "theirs.tar"
        with tarfile.open(path, "w") as shard:
            folder = tarfile.TarInfo("train")
            folder.type = tarfile.DIRTYPE
            shard.addfile(folder)
            add(shard, "train/a.seg.png", b"1")
            add(shard, "train/a.jpg", b"2")
            add(shard, "./b.jpg", b"3")
        assert list(shards.read_shards([path])) == [
            {"__key__": "train/a", "seg.png": b"1", "jpg": b"2"},
            {"__key__": "./b", "jpg": b"3"},
        ]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_each_worker_reads_its_own_files(self, tmp_path, workers):
        paths = shards.write_shards(SAMPLES, tmp_path, 2)
        loader = DataLoader(Stream(paths), batch_size=None, num_workers=workers)
        assert sorted(loader) == [sample["__key__"] for sample in SAMPLES]

    def test_errors(self, tmp_path):
        with pytest.raises(ValueError, match="per_shard must be a whole number"):
            shards.write_shards(SAMPLES, tmp_path, 0)
        for keys in (["a.b"], [""], ["a", "a"]):
            samples = [{"__key__": key, "txt": b""} for key in keys]
            with pytest.raises(ValueError, match="__key__ must be"):
                shards.write_shards(samples, tmp_path, 5)


class TestShuffle:
    @pytest.mark.parametrize("size", [1, 2, 10, 99])
    @pytest.mark.parametrize("number", [0, 1, 30])
    def test_each_once(self, number, size):
        dice = torch.Generator().manual_seed(0)
        mixed = list(shards.shuffle(range(number), size, dice))
        assert sorted(mixed) == list(range(number))
        if size == 1:
            assert mixed == list(range(number))
        # Nothing can leave before it has come in.
        assert all(item < place + size for place, item in enumerate(mixed))

    def test_repeats_with_its_generator(self):
        first, again = (
            list(shards.shuffle(range(50), 8, torch.Generator().manual_seed(3)))
            for _ in range(2)
        )
        assert first == again != list(range(50))

    def test_a_whole_buffer_is_a_fair_shuffle(self):
        dice = torch.Generator().manual_seed(1)
        counts = Counter(tuple(shards.shuffle("abc", 3, dice)) for _ in range(1200))
        assert len(counts) == 6
        assert min(counts.values()) > 150  # of 200

    def test_errors(self):
        with pytest.raises(ValueError, match="size must be a whole number"):
            shards.shuffle([1], 0)
