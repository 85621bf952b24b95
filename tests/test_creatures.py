"""Creatures: deterministic, centered, recognizable, diverse, and the errors."""

import colorsys
import pickle
import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lesson_utils.data.creatures import BODY_PLANS, COLOR_NAMES, Creatures
from lesson_utils.data.drawing.body_plans import FRONT_VIEWS, PLANS
from lesson_utils.data.drawing.creature_types import BODY_COLORS, TYPES

NUM_SEEN = 600


@pytest.fixture(scope="module")
def seen():
    creatures = Creatures(NUM_SEEN)
    return [creatures.describe(index) for index in range(NUM_SEEN)]


def test_the_color_is_the_commonest_of_the_body(seen):
    """It is on the creature, as it is, and nearly always among the three commonest."""
    ranks = []
    for creature in seen[:200]:
        pixels = creature.image[:, creature.mask].T  # (P, 3)
        colors, counts = pixels.unique(dim=0, return_counts=True)
        found = (colors == creature.color).all(1)
        ranks.append((counts > counts[found].sum()).sum().item())
    assert sum(rank < 3 for rank in ranks) > 150


def test_each_palette_has_a_word_and_its_hue():
    """By the color circle, in degrees; gray and white by their saturation."""
    hues = {
        "red": (-10, 10),
        "orange": (10, 40),
        "yellow": (40, 56),
        "green": (60, 150),
        "turquoise": (170, 192),
        "blue": (200, 235),
        "purple": (250, 300),
        "pink": (320, 350),
        "brown": (15, 40),
    }
    named = [palette for some in BODY_COLORS.values() for palette in some]
    palettes = {name: k for kind in TYPES.values() for name, k in kind.palettes.items()}
    assert sorted(named) == sorted(palettes)
    for word, some in BODY_COLORS.items():
        for palette in some:
            code = palettes[palette][0]
            channels = [int(code[k : k + 2], 16) / 255 for k in (0, 2, 4)]
            hue, saturation, value = colorsys.rgb_to_hsv(*channels)
            if word in hues:
                low, high = hues[word]
                degrees = 360 * hue - 360 * (hue > 0.97)
                assert low <= degrees <= high, palette
            else:
                assert saturation < 0.27, palette
                assert (value > 0.9) == (word == "white"), palette


def test_the_word_is_the_palettes(seen):
    assert {creature.color_name for creature in seen} == set(COLOR_NAMES)
    for creature in seen:
        assert creature.attributes.palette in BODY_COLORS[creature.color_name]


@pytest.mark.parametrize("image_size", [16, 64, 96, 256])
def test_an_image_and_a_label(image_size):
    creatures = Creatures(20, image_size=image_size)
    assert len(creatures) == 20
    for image, label in creatures:
        assert image.shape == (3, image_size, image_size)
        assert image.dtype == torch.float32
        assert image.is_contiguous()
        assert 0 <= image.min() < image.max() <= 1
        assert type(label) is int
        assert 0 <= label < len(Creatures.classes)


def test_the_record_agrees_with_the_item_and_the_sprite():
    creatures = Creatures(10, seed=3)
    for index in range(10):
        image, label = creatures[index]
        record, sprite = creatures.describe(index), creatures.sprite(index)
        torch.testing.assert_close(record.image, image, rtol=0, atol=0)
        assert record.label == label
        assert Creatures.classes[label] == record.attributes.type
        assert record.mask.dtype == torch.bool
        torch.testing.assert_close(sprite[:3], image, rtol=0, atol=0)
        assert torch.equal(sprite[3], record.mask.float())


def test_the_background_is_white_and_the_creature_is_not(seen):
    for creature in seen:
        assert (creature.image[:, ~creature.mask] == 1).all()
        dark = creature.image.amax(dim=0) < 0.5
        padded = torch.nn.functional.pad(creature.mask, (1, 1, 1, 1))
        neighbors = padded[:-2, 1:-1] & padded[2:, 1:-1]
        neighbors &= padded[1:-1, :-2] & padded[1:-1, 2:]
        assert dark[creature.mask & ~neighbors].all()  # outlined all round


def test_one_piece_that_fills_the_frame_and_is_centered(seen):
    from scipy.ndimage import label as pieces

    for creature in seen:
        rows, columns = creature.mask.nonzero().T
        spans = [(at.min().item(), at.max().item()) for at in (rows, columns)]
        assert 50 <= max(high - low for low, high in spans) + 1 <= 63
        assert all(abs(low + high - 63) <= 4 for low, high in spans)
        assert 0.15 < creature.mask.float().mean() < 0.75
        labeled, _ = pieces(creature.mask, structure=np.ones((3, 3)))
        sizes = np.bincount(labeled.ravel())[1:]
        assert sizes.max() >= 0.98 * sizes.sum()


def test_front_views_are_symmetric(seen):
    overlaps = []
    for creature in seen:
        if creature.attributes.plan in FRONT_VIEWS:
            mask, mirrored = creature.mask, creature.mask.flip(1)
            overlap = (mask & mirrored).sum() / (mask | mirrored).sum()
            overlaps.append(overlap.item())
    # A flame or a curl on the head leans to one side; the rest is exact.
    assert min(overlaps) > 0.7
    assert np.median(overlaps) > 0.98


def test_the_same_index_is_the_same_creature():
    few, many = Creatures(8, seed=1), Creatures(5000, seed=1)
    forwards = [few[index] for index in range(8)]
    for index in reversed(range(8)):
        image, label = many[index]
        assert torch.equal(image, forwards[index][0])
        assert label == forwards[index][1]


def test_another_index_or_seed_is_another_creature():
    one, other = Creatures(50, seed=0), Creatures(50, seed=1)
    assert not any(torch.equal(one[k][0], other[k][0]) for k in range(50))
    assert not torch.equal(one[0][0], one[1][0])


def test_another_size_is_the_same_creature_drawn_finer():
    for index in range(20):
        small = Creatures(20, image_size=64).describe(index)
        large = Creatures(20, image_size=128).describe(index)
        assert small.attributes == large.attributes
        share = large.mask.float().unfold(0, 2, 2).unfold(1, 2, 2).mean(dim=(2, 3))
        assert ((share > 0.5) == small.mask).float().mean() > 0.97


def test_what_the_first_ones_are_on_every_machine():
    creatures = Creatures(3)
    drawn = [creatures.describe(index).attributes for index in range(3)]
    assert [(a.type, a.plan, a.marking, a.eyes) for a in drawn] == [
        ("rock", "crab", "two-tone", "slit"),
        ("grass", "serpent", "two-tone", "angry"),
        ("grass", "beetle", "stripes", "sleepy"),
    ]


def test_workers_draw_what_the_main_process_draws():
    creatures = pickle.loads(pickle.dumps(Creatures(12, seed=5)))  # noqa: S301
    loader = DataLoader(
        creatures, batch_size=6, num_workers=2, multiprocessing_context="spawn"
    )
    images, labels = (torch.cat(batches) for batches in zip(*loader, strict=True))
    for index, (image, label) in enumerate(Creatures(12, seed=5)):
        assert torch.equal(images[index], image)
        assert labels[index] == label


def test_global_random_states_are_neither_read_nor_changed():
    def state():
        return random.getstate(), torch.get_rng_state().tolist()

    before, before_numpy = state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    image, _ = Creatures(3)[2]
    assert state() == before
    assert np.random.get_state()[1].tolist() == before_numpy  # noqa: NPY002
    random.seed(7)
    torch.manual_seed(7)
    np.random.seed(7)  # noqa: NPY002
    assert torch.equal(Creatures(3)[2][0], image)


def test_types_are_equally_frequent_and_all_plans_occur(seen):
    counts = torch.tensor([creature.label for creature in seen]).bincount()
    assert len(counts) == len(Creatures.classes) >= 8
    expected = NUM_SEEN / len(counts)
    # Four standard deviations of a binomial count.
    assert ((counts - expected).abs() < 4 * expected**0.5).all()
    assert {creature.attributes.plan for creature in seen} == set(PLANS)


def test_types_are_told_by_their_mean_color_but_not_always(seen):
    colors = torch.stack([c.image[:, c.mask].mean(dim=1) for c in seen])  # (N, 3)
    labels = torch.tensor([creature.label for creature in seen])
    half = NUM_SEEN // 2
    means = [colors[:half][labels[:half] == k].mean(dim=0) for k in range(10)]
    nearest = torch.cdist(colors[half:], torch.stack(means)).argmin(dim=1)
    accuracy = (nearest == labels[half:]).float().mean().item()
    assert 0.4 < accuracy < 0.9  # chance: 0.1


def test_no_two_are_alike(seen):
    images = torch.stack([creature.image for creature in seen]).flatten(1)  # (N, D)
    distances = torch.cdist(images, images) / images.shape[1] ** 0.5
    typical = distances.median()
    nearest = distances.fill_diagonal_(torch.inf).amin(dim=1)
    assert nearest.min() > 0.05
    assert nearest.median() > 0.5 * typical


def test_combinations_are_many(seen):
    attributes = [creature.attributes for creature in seen]
    combinations = {(a.plan, a.type, a.palette, a.marking) for a in attributes}
    assert len(combinations) > 0.7 * NUM_SEEN


def test_some_types_only():
    chosen = ("ice", "fire")
    creatures = Creatures(40, types=chosen)
    assert creatures.classes == chosen
    assert Creatures.classes != chosen
    records = [creatures.describe(i) for i in range(40)]
    assert {r.attributes.type for r in records} == set(chosen)
    assert all(chosen[r.label] == r.attributes.type for r in records)


def test_all_types_named_are_all_types():
    everything = Creatures(3, types=Creatures.classes)
    assert torch.equal(everything[2][0], Creatures(3)[2][0])


@pytest.mark.parametrize("types", [(), ("fire", "fire"), ("dragon",), "fire"])
def test_types_that_will_not_do(types):
    with pytest.raises(ValueError, match="types must name at least one of fire,.*got"):
        Creatures(1, types=types)


def test_indices():
    creatures = Creatures(5)
    assert torch.equal(creatures[-1][0], creatures[4][0])
    assert torch.equal(creatures[np.int64(2)][0], creatures[2][0])
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"index {index} is out of range for 5"):
            creatures[index]
        with pytest.raises(IndexError, match=f"index {index} is out of range for 5"):
            creatures.describe(index)


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("num_images", 0, "a whole number >= 1"),
        ("num_images", 2.5, "a whole number >= 1"),
        ("num_images", True, "a whole number >= 1"),
        ("seed", "7", "a whole number"),
        ("image_size", 15, "a whole number from 16 to 256"),
        ("image_size", 257, "a whole number from 16 to 256"),
        ("image_size", 64.0, "a whole number from 16 to 256"),
    ],
)
def test_arguments_that_will_not_do(name, value, rule):
    arguments = {"num_images": 3, name: value}
    with pytest.raises(ValueError, match=f"{name} must be {rule}, got {value!r}"):
        Creatures(**arguments)


def test_plans():
    some = Creatures(20, seed=3, plans=("blob", "crab"))
    assert {some.describe(i).attributes.plan for i in range(20)} == {"blob", "crab"}
    every = Creatures(3, seed=3, plans=BODY_PLANS)
    assert torch.equal(every[1][0], Creatures(3, seed=3)[1][0])
    with pytest.raises(ValueError, match="plans must name at least one of"):
        Creatures(3, plans=("dog",))


def test_views_are_of_the_same_creature():
    """Nearer to its own other views than to another creature's, as a rule."""
    drawn = Creatures(30, seed=4, image_size=32)
    one, other = (torch.stack([drawn.view(i, k) for i in range(30)]) for k in (0, 1))
    apart = torch.cdist(one.flatten(1), other.flatten(1))
    assert (apart.argmin(1) == torch.arange(30)).double().mean() > 0.5
    assert apart.diagonal().min() > 0.5
    assert torch.equal(drawn.view(-1, 2), drawn.view(29, 2))
    for image in (one, other):
        assert (image[:, :, 0, 0] == 1).all()
        assert image.min() >= 0
        assert image.max() <= 1


def test_views_that_will_not_do():
    with pytest.raises(IndexError):
        Creatures(3).view(3, 0)
    with pytest.raises(ValueError, match="number must be a whole number >= 0"):
        Creatures(3).view(0, -1)
