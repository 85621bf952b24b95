"""Scenes: what an item is, determinism, boxes that fit, crowding, the collate."""

import re

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from torchvision.ops import box_iou

from lesson_utils.data.creatures import Creatures
from lesson_utils.data.scenes import TYPES, Scenes, collate


@pytest.fixture(scope="module")
def seen():
    scenes = Scenes(120)
    return [scenes[i] for i in range(120)]


def test_an_item(seen):
    for image, boxes, labels in seen:
        assert image.shape == (3, 128, 128)
        assert image.dtype == boxes.dtype == torch.float32
        assert 0 <= image.min() <= image.max() <= 1
        assert boxes.shape == (len(labels), 4)
        assert labels.dtype == torch.int64
        assert 1 <= len(labels) <= 4
        assert boxes.min() >= 0
        assert boxes.max() <= 1
        assert (boxes[:, 2:] > boxes[:, :2]).all()


def test_sizes_numbers_and_types_vary(seen):
    boxes = torch.cat([boxes for _, boxes, _ in seen])
    longest = (boxes[:, 2:] - boxes[:, :2]).amax(1)
    assert longest.min() < 0.2
    assert longest.max() > 0.5
    assert {len(labels) for _, _, labels in seen} == {1, 2, 3, 4}
    counts = torch.cat([labels for *_, labels in seen]).bincount()
    assert len(counts) == len(TYPES)
    assert counts.min() > 0.5 * counts.max()


def test_the_creature_is_in_its_box_and_fills_it():
    """Two scenes that differ in nothing but one creature differ in its box alone."""
    alone, types = Scenes(60, max_objects=1), ("ice", "rock")
    other = Scenes(60, max_objects=1, types=types)
    for index in range(60):
        image, boxes, _ = alone[index]
        changed, their_boxes, _ = other[index]
        differs = ((image - changed).abs() > 1e-3).any(0).nonzero()
        inside = torch.cat([boxes, their_boxes]) * 128
        assert (differs.amin(0).flip(0) >= inside[:, :2].amin(0)).all()
        assert (differs.amax(0).flip(0) < inside[:, 2:].amax(0)).all()


def test_edges_are_soft():
    """Where a creature ends, its colour is mixed with what is behind it."""
    scenes = Scenes(1, image_size=96)
    sprite = scenes._cut_out(0, np.random.default_rng(0))[0]
    alpha = sprite[..., 3]
    assert ((alpha > 0.1) & (alpha < 0.9)).mean() > 0.02
    assert (sprite[..., :3] <= alpha[..., None] + 1e-6).all()


def test_the_same_index_is_the_same_scene():
    for first, second in zip(Scenes(9)[7], Scenes(20)[7], strict=True):
        assert torch.equal(first, second)
    for first, second in zip(Scenes(9)[-2], Scenes(9)[7], strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("other", [Scenes(9, seed=1), Scenes(9, max_overlap=0.1)])
def test_other_arguments_are_other_scenes(other):
    same = [torch.equal(other[i][0], Scenes(9)[i][0]) for i in range(9)]
    assert not all(same)


def test_workers_draw_what_the_main_process_draws():
    scenes = Scenes(6, image_size=48)
    loader = DataLoader(scenes, batch_size=6, num_workers=2, collate_fn=collate)
    for drawn, here in zip(next(iter(loader)), collate(list(scenes)), strict=True):
        assert torch.equal(drawn, here)


@pytest.mark.parametrize("max_overlap", [0.0, 0.2, 0.6])
def test_crowding_is_as_asked(max_overlap):
    scenes = Scenes(40, max_objects=10, max_overlap=max_overlap, image_size=64)
    worst = 0.0
    for index in range(40):
        boxes = scenes[index][1]
        overlaps = box_iou(boxes, boxes).fill_diagonal_(0)
        worst = max(worst, overlaps.max().item())
    assert worst <= max_overlap + 1e-6
    assert worst >= 0.75 * max_overlap


def test_other_sizes():
    image, boxes, _ = Scenes(4, image_size=256)[0]
    assert image.shape == (3, 256, 256)
    assert boxes.max() <= 1


def test_collate():
    image = torch.zeros(3, 8, 8)
    one = (image, torch.tensor([[0.1, 0.2, 0.3, 0.4]]), torch.tensor([2]))
    none = (image + 1, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    images, labels = collate([one, none])
    assert images[:, 0, 0, 0].tolist() == [0, 1]
    expected = [[[2, 0.1, 0.2, 0.3, 0.4]], [[-1, 0, 0, 0, 0]]]
    torch.testing.assert_close(labels, torch.tensor(expected))
    assert collate([none])[1].shape == (1, 0, 5)
    with pytest.raises(ValueError, match="at least one scene"):
        collate([])


def test_classes():
    assert Scenes(1).classes == TYPES
    assert Scenes(1, types=Creatures.classes).classes == Creatures.classes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_images", 0),
        ("num_images", 2.0),
        ("seed", -1),
        ("image_size", 16),
        ("max_objects", 0),
        ("max_objects", 33),
        ("max_overlap", 0.95),
        ("max_overlap", -0.1),
        ("max_overlap", float("nan")),
        ("types", ("dragon",)),
    ],
)
def test_arguments_that_will_not_do(name, value):
    with pytest.raises(ValueError, match=f"{name} must .*{re.escape(repr(value))}"):
        Scenes(**({"num_images": 3} | {name: value}))


@pytest.mark.parametrize("index", [3, -4])
def test_indices(index):
    with pytest.raises(IndexError, match=str(index)):
        Scenes(3)[index]
