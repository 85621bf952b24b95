"""Aircraft: what an item is, what two variants differ in, levels, parts, errors."""

import re
from itertools import combinations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lesson_utils.data.aircraft import Aircraft, airliner
from lesson_utils.data.drawing.aircraft import draw_aircraft
from lesson_utils.data.drawing.airframes import AIRFRAMES

FRAMES = {variant: frame for (*_, variant), frame in AIRFRAMES.items()}
VARIANTS = tuple(FRAMES)


def drawn(variant, seed, size=96):
    return draw_aircraft(np.random.default_rng(seed), FRAMES[variant], size)


def test_an_item():
    aircraft = Aircraft(30)
    for index in range(30):
        image, label = aircraft[index]
        assert image.shape == (3, 96, 96)
        assert image.dtype == torch.float32
        assert 0 <= image.min() < image.max() <= 1
        assert label == index % 24


def test_the_same_index_is_the_same_aircraft():
    assert torch.equal(Aircraft(9)[7][0], Aircraft(50)[7][0])
    assert torch.equal(Aircraft(9)[-2][0], Aircraft(9)[7][0])
    assert not torch.equal(Aircraft(9)[7][0], Aircraft(9, seed=1)[7][0])


def test_workers_draw_what_the_main_process_draws():
    aircraft = Aircraft(6, image_size=48)
    loader = DataLoader(aircraft, batch_size=6, num_workers=2)
    images, labels = next(iter(loader))
    assert torch.equal(images, torch.stack([image for image, _ in aircraft]))
    assert labels.tolist() == list(range(6))


@pytest.mark.parametrize("seed", range(10))
def test_the_737s_differ_in_their_windows_alone(seed):
    """In one pose, paint and light, all pixels but the windows' are equal."""
    first, _ = drawn("737-300", seed)
    second, parts = drawn("737-400", seed)
    rows, columns = np.nonzero((first != second).any(2))
    left, top, right, bottom = (96 * value for value in parts["windows"])
    assert 8 <= len(rows) <= 60
    assert top - 1 <= rows.min() <= rows.max() <= bottom + 1
    assert left - 1 <= columns.min() <= columns.max() <= right + 1


def test_one_airliner():
    first, second = airliner("737-300", seed=3), airliner("737-400", seed=3)
    assert (first.num_windows, second.num_windows) == (11, 13)
    assert first.family == second.family == "Boeing 737"
    changed = (first.image != second.image).any(0).sum()
    assert 8 <= changed <= 60
    assert airliner("MD-11", image_size=40).image.shape == (3, 40, 40)


@pytest.mark.parametrize(
    ("variant", "wrong", "says"),
    [
        ("747", {}, "variant must be one of 737-300.*got '747'"),
        ("A320", {"seed": -1}, "seed must be"),
        ("A320", {"image_size": 8}, "image_size must be"),
    ],
)
def test_no_such_airliner(variant, wrong, says):
    with pytest.raises(ValueError, match=says):
        airliner(variant, **wrong)


def test_no_two_variants_look_alike():
    pictures = {name: drawn(name, 3)[0] for name in VARIANTS}
    for one, other in combinations(VARIANTS, 2):
        changed = (pictures[one] != pictures[other]).any(2).sum()
        assert changed >= 8, f"{one} and {other} differ in {changed} pixels"


def test_within_a_variant_much_varies():
    """Two pictures of one variant are as far apart as two of any variants."""
    aircraft = Aircraft(240, num_variants=2)
    images = torch.stack([image for image, _ in aircraft]).flatten(1)
    apart = torch.cdist(images, images)
    same = torch.arange(240)[:, None] % 2 == torch.arange(240) % 2
    within = apart[same & ~torch.eye(240, dtype=torch.bool)].mean()
    assert 0.97 <= within / apart[~same].mean() <= 1.03


def test_parts_are_where_they_are_drawn():
    aircraft = Aircraft(48)
    for index in range(48):
        record = aircraft.describe(index)
        frame = FRAMES[record.variant]
        for box in record.parts.values():
            assert (box[2:] > box[:2]).all()
            assert box.min() >= 0
            assert box.max() <= 1
        assert {"windows", "doors", "engines", "fin", "wing", "tip"} <= set(
            record.parts
        )
        assert ("exits" in record.parts) == bool(frame.exits)
        assert ("upper deck" in record.parts) == bool(frame.hump)


def test_the_whole_aircraft_is_in_the_picture():
    aircraft = Aircraft(96)
    boxes = [torch.stack(list(aircraft.describe(i).parts.values())) for i in range(96)]
    corners = torch.cat(boxes)
    touching = ((corners == 0) | (corners == 1)).any(1).float().mean()
    assert touching < 0.01


def test_levels():
    by = {
        level: Aircraft(24, annotation_level=level)
        for level in (
            "variant",
            "family",
            "manufacturer",
        )
    }
    assert by["variant"].classes == VARIANTS
    assert by["family"].classes[0] == "Boeing 737"
    assert len(by["family"].classes) == 8
    assert len(by["manufacturer"].classes) == 4
    for index in range(24):
        record = by["variant"].describe(index)
        assert by["variant"].classes[by["variant"][index][1]] == record.variant
        assert by["family"].classes[by["family"][index][1]] == record.family
        label = by["manufacturer"][index][1]
        assert by["manufacturer"].classes[label] == record.manufacturer
        assert by["variant"].families[index] == by["family"][index][1]


def test_fewer_variants():
    aircraft = Aircraft(10, num_variants=3, annotation_level="family")
    assert aircraft.variants == ("737-300", "737-400", "737-500")
    assert aircraft.classes == ("Boeing 737",)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_images", 0),
        ("num_images", 2.5),
        ("seed", -1),
        ("image_size", 31),
        ("image_size", 513),
        ("num_variants", 1),
        ("num_variants", 25),
        ("annotation_level", "wing"),
    ],
)
def test_arguments_that_will_not_do(name, value):
    with pytest.raises(ValueError, match=f"{name} must .*{re.escape(repr(value))}"):
        Aircraft(**({"num_images": 3} | {name: value}))


@pytest.mark.parametrize("index", [3, -4])
def test_indices(index):
    with pytest.raises(IndexError, match=str(index)):
        Aircraft(3).describe(index)
