"""Photographs: shapes, ranges, sizes, offline, and the page that credits them."""

import importlib.util
import re
import socket
from pathlib import Path

import pytest
import torch

from lesson_utils.data.photographs import NAMES, photograph, random_crops

DATASETS = Path(__file__).parent.parent / "book" / "datasets.md"


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_picture_without_a_network(name, monkeypatch):
    def refuse(*_):
        raise AssertionError("a photograph asked for the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    image = photograph(name)
    assert image.dtype == torch.float32
    assert image.dim() == 3
    assert len(image) == 3
    assert 0 <= image.min() < image.max() <= 1


def test_the_pixels_are_scikit_images():
    import skimage.data

    expected = torch.from_numpy(skimage.data.astronaut()[30, 40]) / 255
    torch.testing.assert_close(photograph("astronaut")[:, 30, 40], expected.float())


def test_the_pixels_are_scikit_learns():
    from sklearn.datasets import load_sample_image

    expected = torch.from_numpy(load_sample_image("flower.jpg").copy()) / 255
    assert torch.equal(photograph("flower"), expected.permute(2, 0, 1).float())


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ModuleNotFoundError, match="pip install scikit-learn"):
        photograph("china")


@pytest.mark.parametrize(
    ("size", "shape"), [(100, (100, 150)), ((64, 64), (64, 64)), ((10, 90), (10, 90))]
)
def test_sizes(size, shape):
    image = photograph("coffee", size=size)
    assert image.shape == (3, *shape)
    assert image.is_contiguous()
    assert 0 <= image.min() <= image.max() <= 1


def test_a_cut_keeps_the_middle_and_the_aspect():
    whole = photograph("coffee", size=100)  # (3, 100, 150)
    torch.testing.assert_close(
        photograph("coffee", size=(100, 100)), whole[:, :, 25:125]
    )


def test_shrinking_keeps_the_mean():
    small, large = photograph("grass", size=32), photograph("grass")
    assert small.mean().item() == pytest.approx(large.mean().item(), abs=0.005)


@pytest.mark.parametrize("size", [0, -3, 2.5, (3, 0), (1, 2, 3), "big"])
def test_sizes_that_are_none(size):
    with pytest.raises(ValueError, match="size must be a whole number >= 1 or two"):
        photograph("coffee", size=size)


def test_a_name_that_is_not_shipped():
    with pytest.raises(ValueError, match=r"name must be one of astronaut.*'eagle'"):
        photograph("eagle")


def test_each_is_credited_with_its_size():
    rows = re.findall(r"^\| `(\w+)` \| (\d+) × (\d+) \|", DATASETS.read_text(), re.M)
    listed = {name: (int(height), int(width)) for name, width, height in rows}
    assert listed == {name: tuple(photograph(name).shape[1:]) for name in NAMES}


class TestRandomCrops:
    def test_are_pieces_of_the_photographs_that_are_named(self):
        crops = random_crops(["coffee", "chelsea"], 6, size=40, seed=3)
        assert crops.shape == (6, 3, 40, 40)
        assert crops.dtype == torch.uint8
        whole = [(255 * photograph(n)).round().byte() for n in ("coffee", "chelsea")]
        for crop in crops:
            row = crop[:, 0]  # (3, 40)
            windows = [image.unfold(2, 40, 1) for image in whole]  # (3, H, places, 40)
            assert any((w == row[:, None, None]).all(3).all(0).any() for w in windows)

    def test_one_seed_one_choice(self):
        one, same, other = (
            random_crops(["moon"], 4, size=9, seed=s) for s in (0, 0, 1)
        )
        assert torch.equal(one, same)
        assert not torch.equal(one, other)

    @pytest.mark.parametrize(
        ("names", "keywords", "message"),
        [
            ([], {"size": 9}, "names must hold"),
            (["nobody"], {"size": 9}, "name must be one of"),
            (["page"], {"size": 200}, "size must be at most 191 for page, got 200"),
            (["page"], {"size": 0}, "size must be a whole number"),
        ],
    )
    def test_errors(self, names, keywords, message):
        with pytest.raises(ValueError, match=message):
            random_crops(names, 2, **keywords)
        with pytest.raises(ValueError, match="number must be a whole number"):
            random_crops(["page"], 0, size=9)
