"""Textures: deterministic, varied, told apart by their pattern, errors."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from lesson_utils.data.drawing import patterns as _patterns
from lesson_utils.data.textures import FAMILIES, Textures, texture

DATASETS = Path(__file__).parent.parent / "book" / "datasets.md"


def test_there_are_as_many_families_as_the_book_says():
    assert f"of {len(FAMILIES)} families" in DATASETS.read_text(encoding="utf-8")


@pytest.mark.parametrize("family", FAMILIES)
def test_each_is_a_picture_with_a_pattern(family):
    image = texture(family, size=(24, 40))
    assert (image.shape, image.dtype) == ((3, 24, 40), torch.float32)
    assert image.min() >= 0
    assert image.max() <= 1
    contrasts = [texture(family, size=48, seed=s).std().item() for s in range(5)]
    assert min(contrasts) > 0.02, "a picture of nothing"


@pytest.mark.parametrize("family", FAMILIES)
def test_heights_keep_their_range(family):
    """Clipping a height hides a mistake in a pattern; a little of it is smoothing."""
    y, x = np.mgrid[:48, :48] / 9
    for seed in range(3):
        rng = np.random.default_rng(seed)
        height = _patterns.FAMILIES[family](rng, x + 3, y - 2)
        assert height.shape == x.shape
        assert height.min() >= -0.31
        assert height.max() <= 1.06


class TestDataset:
    def test_items(self):
        textures = Textures(60, image_size=16)
        image, label = textures[7]
        assert (image.shape, image.dtype, label) == ((3, 16, 16), torch.float32, 7)
        assert textures[-1][1] == 59 % len(FAMILIES)
        assert len(textures) == len(list(textures)) == 60

    def test_a_picture_depends_on_seed_and_index_alone(self):
        first = Textures(60, seed=3, image_size=16)
        again = Textures(9, seed=3, image_size=16)
        torch.manual_seed(1)
        np.random.seed(1)  # noqa: NPY002 - the global generator must not matter
        assert torch.equal(again[8][0], first[8][0])
        assert not torch.equal(Textures(9, seed=4, image_size=16)[8][0], first[8][0])
        assert not torch.equal(first[8][0], first[8 - 60 + 1][0])

    def test_the_global_generators_are_left_alone(self):
        torch.manual_seed(0)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
        Textures(3)[0]
        assert torch.equal(torch.get_rng_state(), before[0])
        assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002

    def test_in_workers(self):
        textures = Textures(8, image_size=16)
        here = torch.stack([image for image, _ in textures])
        there, labels = next(iter(DataLoader(textures, batch_size=8, num_workers=2)))
        assert torch.equal(here, there)
        assert labels.tolist() == list(range(8))

    def test_a_choice_of_families(self):
        chosen = ("bricks", "marble")
        textures = Textures(5, families=chosen, image_size=16)
        assert textures.classes == chosen
        assert [label for _, label in textures] == [0, 1, 0, 1, 0]

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"num_images": 0}, "num_images must be a whole number >= 1, got 0"),
            ({"seed": -1}, "seed must be a whole number >= 0, got -1"),
            ({"image_size": 7}, "image_size must be a whole number >= 8, got 7"),
            ({"image_size": 64.0}, "image_size must be.*got 64.0"),
            ({"families": ()}, r"families must name at least one.*got \(\)"),
            ({"families": ("bricks", "bricks")}, "none twice"),
            ({"families": ("velvet",)}, "family must be one of .* got 'velvet'"),
        ],
    )
    def test_errors(self, change, message):
        with pytest.raises(ValueError, match=message):
            Textures(**{"num_images": 2, **change})

    @pytest.mark.parametrize("index", [2, -3])
    def test_an_index_that_is_not_there(self, index):
        with pytest.raises(IndexError, match=f"within 2 pictures, got {index}"):
            Textures(2)[index]


def test_errors_of_one_picture():
    with pytest.raises(ValueError, match="got 'velvet'"):
        texture("velvet")
    for size in (4, 64.0, (64, 7), (1, 2, 3)):
        with pytest.raises(ValueError, match="size must be a whole number >= 8 or two"):
            texture("bricks", size=size)
    with pytest.raises(ValueError, match="seed must be a whole number >= 0, got -2"):
        texture("bricks", seed=-2)


def test_families_are_told_apart_by_pattern_and_not_by_mean_color():
    """Nearest centroid: useless on mean color, better than chance on contrast."""
    chosen = ("smooth_noise", "sand", "stripes", "bricks", "polka_dots", "cracks")
    textures = Textures(240, families=chosen, image_size=32)
    images = torch.stack([image for image, _ in textures])
    labels = torch.arange(240) % len(chosen)
    color = images.mean((2, 3))
    gray = images.mean(1)
    edges = [gray.diff(dim=d).abs().mean((1, 2)) for d in (1, 2)]
    pattern = torch.stack([*edges, gray.std((1, 2))], dim=1)

    def accuracy(features):
        train, test = features[:120], features[120:]
        centers = torch.stack([train[labels[:120] == k].mean(0) for k in range(6)])
        return (torch.cdist(test, centers).argmin(1) == labels[120:]).float().mean()

    assert accuracy(color) < 0.3  # chance is one in six
    assert accuracy(pattern) > 0.3
