"""Vehicles: deterministic, map and picture by the same strokes, sentences, errors."""

from dataclasses import replace

import pytest
import torch
from torch.utils.data import DataLoader

from lesson_utils.data.drawing.vehicle_builds import KINDS
from lesson_utils.data.drawing.vehicle_painter import PAINTS
from lesson_utils.data.vehicles import (
    COLOR_NAMES,
    GROUND_NAMES,
    HELD_OUT,
    KIND_NAMES,
    PART_NAMES,
    TIME_NAMES,
    VIEWS,
    WORDS,
    VehicleAttributes,
    Vehicles,
    caption_of,
    draw_vehicle,
    parse_caption,
)

NUM_SEEN = 400
VAN = VehicleAttributes(
    kind="van",
    color="red",
    windows=3,
    extra="a roof rack",
    load=None,
    time="by day",
    ground="grass",
    view="side",
    faces_left=False,
)
BODY, WINDOW, WHEEL = (PART_NAMES.index(name) for name in ("body", "window", "wheel"))
LOAD, GROUND, LIGHT = (PART_NAMES.index(name) for name in ("load", "ground", "light"))
SAID = {"color", "kind", "windows", "extra", "load", "time", "ground"}


@pytest.fixture(scope="module")
def seen():
    vehicles = Vehicles(NUM_SEEN, image_size=64)
    return [vehicles.describe(index) for index in range(NUM_SEEN)]


@pytest.mark.parametrize("image_size", [16, 64, 96, 250])
def test_a_picture_a_map_and_a_sentence(image_size):
    vehicles = Vehicles(5, image_size=image_size)
    assert len(vehicles) == 5
    for image, parts, caption in vehicles:
        assert image.shape == (3, image_size, image_size)
        assert image.dtype == torch.float32
        assert 0 <= image.min() < image.max() <= 1
        assert parts.shape == (image_size, image_size)
        assert parts.dtype == torch.int64
        assert parts.min() >= 0
        assert parts.max() < len(PART_NAMES)
        assert set(caption.replace(",", "").split()) <= set(WORDS)


def test_the_same_index_is_the_same_vehicle():
    one, other = Vehicles(3, seed=1), Vehicles(300, seed=1)
    torch.manual_seed(5)
    for index in (2, 0, -1):
        image, parts, caption = one[index]
        again = other[index % 3]
        assert torch.equal(image, again[0])
        assert torch.equal(parts, again[1])
        assert caption == again[2]
    assert not torch.equal(Vehicles(1, seed=2)[0][0], one[0][0])


def test_workers_draw_the_same():
    vehicles = Vehicles(6, image_size=32)
    images, parts, captions = next(iter(DataLoader(vehicles, 6, num_workers=2)))
    for index in range(6):
        assert torch.equal(images[index], vehicles[index][0])
        assert torch.equal(parts[index], vehicles[index][1])
        assert captions[index] == vehicles[index][2]


def test_everything_occurs(seen):
    attributes = [vehicle.attributes for vehicle in seen]
    for name, values in {
        "kind": KIND_NAMES,
        "color": COLOR_NAMES,
        "time": TIME_NAMES,
        "ground": GROUND_NAMES,
        "view": VIEWS,
        "faces_left": (False, True),
    }.items():
        assert {getattr(one, name) for one in attributes} == set(values)
    for name, kind in KINDS.items():
        own = [one for one in attributes if one.kind == name]
        assert {one.windows for one in own} == set(kind.windows)
        assert {one.extra for one in own} == set(kind.extras)
        assert {one.load for one in own} == set(kind.loads)


def test_what_is_held_out_never_occurs_otherwise(seen):
    pairs = {(one.attributes.color, one.attributes.kind) for one in seen}
    assert not pairs & HELD_OUT
    assert len(pairs) == len(COLOR_NAMES) * len(KIND_NAMES) - len(HELD_OUT)
    held_out = Vehicles(150, held_out=True, image_size=16)
    drawn = [held_out.describe(index).attributes for index in range(150)]
    assert {(one.color, one.kind) for one in drawn} == HELD_OUT


def test_each_color_and_each_kind_is_held_out_once_at_most():
    """So that training shows every word, with others beside it."""
    colors, kinds = zip(*HELD_OUT, strict=True)
    assert len(set(colors)) == len(colors)
    assert set(kinds) == set(KIND_NAMES)


def test_parts_are_where_they_must_be(seen):
    for vehicle in seen:
        parts, side = vehicle.parts, vehicle.parts.shape[0]
        rows = torch.arange(side)[:, None].expand(side, side)
        share = parts.flatten().bincount(minlength=len(PART_NAMES)) / side**2
        assert share[BODY] > 0.02
        assert share[WHEEL] > 0.008
        assert share[WINDOW] > 0.003
        windows, wheels = rows[parts == WINDOW], rows[parts == WHEEL]
        assert windows.float().mean() < wheels.float().mean()
        assert (parts[-1] == GROUND).all()
        assert (parts[0] == 0).all()
        assert (share[LOAD] > 0) == (vehicle.attributes.load is not None)


def test_the_windows_can_be_counted():
    """On the row through their middle, in a large side view."""
    for name, kind in KINDS.items():
        for number in kind.windows:
            asked = replace(VAN, kind=name, windows=number, extra=None)
            parts = draw_vehicle(asked, image_size=256).parts
            rows = (parts == WINDOW).nonzero()[:, 0].unique()
            line = (parts[rows[len(rows) // 2]] == WINDOW).int()
            assert (line.diff() == 1).sum() == number, (name, number)


def test_the_body_has_the_color_that_is_asked_for():
    for color, rgb in PAINTS.items():
        vehicle = draw_vehicle(replace(VAN, color=color), image_size=128)
        pixels = vehicle.image[:, vehicle.parts == BODY]
        assert (pixels.median(1).values - torch.tensor(rgb)).abs().max() < 0.12, color


def test_only_the_color_changes_with_the_color():
    red, blue = (draw_vehicle(replace(VAN, color=name)) for name in ("red", "blue"))
    assert torch.equal(red.parts, blue.parts)
    painted = (red.image != blue.image).any(0)
    background = red.parts <= GROUND
    assert painted.any()
    # Pixels that the edge of the vehicle crosses mix both.
    assert (painted & background).sum() < 0.02 * background.sum()


def test_facing_left_is_the_mirror_image():
    right = draw_vehicle(replace(VAN, view="three-quarter"))
    left = draw_vehicle(replace(VAN, view="three-quarter", faces_left=True))
    vehicle = right.parts.flip(-1) > GROUND
    agree = (left.parts > GROUND) == vehicle
    assert agree.float().mean() > 0.98  # the scenery is not mirrored


def test_three_quarters_show_the_front():
    """Two lamps and a windscreen more."""
    for name in ("car", "van", "bus", "pickup", "truck", "fire engine"):
        asked = replace(VAN, kind=name, windows=KINDS[name].windows[0], extra=None)
        side = draw_vehicle(asked, image_size=192).parts
        asked = replace(asked, view="three-quarter")
        turned = draw_vehicle(asked, image_size=192).parts
        assert (turned == LIGHT).sum() > (side == LIGHT).sum(), name
        columns = (turned == LIGHT).any(0).nonzero()
        assert columns.max() - columns.min() > 0.5 * 192


@pytest.mark.parametrize(
    ("change", "caption"),
    [
        ({}, "a red van with three windows and a roof rack, by day, on grass"),
        (
            {"color": "orange", "extra": None, "windows": 2, "time": "at dusk"},
            "an orange van with two windows, at dusk, on grass",
        ),
        (
            {"kind": "truck", "windows": 1, "extra": "a stripe", "load": "logs"},
            "a red truck with one window and a stripe, carrying logs, by day, on grass",
        ),
        (
            {"kind": "fire engine", "extra": "a ladder", "ground": "a road"},
            "a red fire engine with three windows and a ladder, by day, on a road",
        ),
    ],
)
def test_captions(change, caption):
    attributes = replace(VAN, **change)
    assert caption_of(attributes) == caption
    assert draw_vehicle(attributes, image_size=16).caption == caption


@pytest.mark.parametrize("held_out", [False, True])
def test_parsing_is_the_way_back(held_out, seen):
    vehicles = Vehicles(300, held_out=held_out, image_size=16)
    drawn = seen[:300] if not held_out else map(vehicles.describe, range(300))
    for vehicle in drawn:
        said = parse_caption(vehicle.caption)
        assert said == {name: getattr(vehicle.attributes, name) for name in said}
        assert set(said) == SAID


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", {}),
        ("zzz, qqq", {}),
        ("A RED Fire  engine", {"color": "red", "kind": "fire engine"}),
        ("a truck carrying sand on snow", {"kind": "truck", "load": "sand",
                                           "ground": "snow"}),
        ("carrying", {}),
        ("a scarred minivan", {}),
        ("a bus with no windows on a road", {"kind": "bus", "windows": 0,
                                             "ground": "a road"}),
        ("one wheel", {}),
        ("at night", {"time": "at night"}),
    ],
)  # fmt: skip
def test_parsing_what_is_said_otherwise(text, said):
    assert parse_caption(text) == dict.fromkeys(SAID) | said


def test_view_and_direction_are_not_told():
    other = replace(VAN, view="three-quarter", faces_left=True)
    assert caption_of(other) == caption_of(VAN)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_images": 0}, "num_images"),
        ({"num_images": 2.5}, "num_images"),
        ({"seed": "a"}, "seed"),
        ({"image_size": 15}, "image_size"),
        ({"image_size": 513}, "image_size"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        Vehicles(**({"num_images": 3} | arguments))


@pytest.mark.parametrize("index", [3, -4])
def test_an_index_out_of_range(index):
    with pytest.raises(IndexError, match=f"index {index} is out of range"):
        Vehicles(3)[index]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kind": "tram"}, "attributes.kind"),
        ({"color": "pink"}, "attributes.color"),
        ({"windows": 9}, "attributes.windows"),
        ({"extra": "a ladder"}, "attributes.extra"),
        ({"load": "logs"}, "attributes.load"),
        ({"time": "at noon"}, "attributes.time"),
        ({"ground": "water"}, "attributes.ground"),
        ({"view": "rear"}, "attributes.view"),
        ({"faces_left": 2}, "attributes.faces_left"),
    ],
)
def test_what_cannot_be_drawn(change, message):
    with pytest.raises(ValueError, match=message):
        draw_vehicle(replace(VAN, **change))
    with pytest.raises(ValueError, match="image_size"):
        draw_vehicle(VAN, image_size=8)
