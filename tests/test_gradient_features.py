"""Gradient features: HOG as scikit-image has it, signatures, windows, exercises."""

import math

import numpy as np
import pytest
import torch
from skimage.feature import hog as library_hog

from lesson_utils import gradient_features as gf
from lesson_utils.checks import gradient_features as gradient_checks
from lesson_utils.common.shapes import disk_mask
from lesson_utils.data.photographs import photograph
from tests.answers import ExerciseTests


def image_of(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=dtype)


class TestImageGradients:
    def test_by_hand(self):
        x, y = gf.image_gradients(torch.tensor([[0.0, 1, 4], [0, 2, 9], [5, 5, 5]]))
        assert x.tolist() == [[0, 4, 0], [0, 9, 0], [0, 0, 0]]
        assert y.tolist() == [[0, 0, 0], [5, 4, 1], [0, 0, 0]]

    def test_batch_and_dtype(self):
        image = image_of(2, 3, 5, 7).half()
        x, y = gf.image_gradients(image)
        assert x.shape == y.shape == image.shape
        assert x.dtype == torch.float16
        alone = gf.image_gradients(image[1, 2])
        assert torch.equal(x[1, 2], alone[0])
        assert torch.equal(y[1, 2], alone[1])

    @pytest.mark.parametrize("shape", [(1, 1), (2, 5), (0, 4)])
    def test_too_small_for_neighbors(self, shape):
        x, _ = gf.image_gradients(torch.ones(shape))
        assert x.shape == shape
        assert not x.any()

    @pytest.mark.parametrize(
        "image",
        [
            torch.zeros(3, 3, dtype=torch.uint8),
            torch.zeros(3),
            torch.full((3, 3), math.nan),
            torch.full((3, 3), math.inf),
        ],
    )
    def test_errors(self, image):
        with pytest.raises(ValueError, match="image must be"):
            gf.image_gradients(image)


class TestOrientationHistogram:
    def test_by_hand(self):
        x = torch.tensor([[3.0, 0.0], [-3.0, 0.0]])
        y = torch.tensor([[4.0, 1.0], [0.0, -2.0]])
        found = gf.orientation_histogram(x, y, cell_size=2, num_bins=6)
        assert found.tolist() == [[[0.75, 1.25, 0, 0.75, 0, 0]]]
        found = gf.orientation_histogram(x, y, cell_size=2, num_bins=4, signed=True)
        assert found.tolist() == [[[1.25, 0.25, 0.75, 0.5]]]

    def test_a_boundary_belongs_to_the_bin_above(self):
        one = torch.ones(1, 1)
        found = gf.orientation_histogram(one, one, cell_size=1, num_bins=4)
        assert found.flatten().argmax() == 1

    def test_signed_folded_is_unsigned(self):
        x, y = image_of(16, 16) - 0.5, image_of(16, 16, seed=1) - 0.5
        whole = gf.orientation_histogram(x, y, num_bins=18, signed=True)
        half = gf.orientation_histogram(x, y, num_bins=9)
        torch.testing.assert_close(whole[..., :9] + whole[..., 9:], half)

    def test_batch(self):
        x, y = image_of(2, 3, 9, 14) - 0.5, image_of(2, 3, 9, 14, seed=1) - 0.5
        found = gf.orientation_histogram(x, y, cell_size=4)
        assert found.shape == (2, 3, 2, 3, 9)
        alone = gf.orientation_histogram(x[1, 2], y[1, 2], cell_size=4)
        torch.testing.assert_close(found[1, 2], alone)

    def test_all_magnitudes_are_counted(self):
        x, y = image_of(8, 8) - 0.5, image_of(8, 8, seed=1) - 0.5
        found = gf.orientation_histogram(x, y)
        assert found.sum() == pytest.approx(torch.hypot(x, y).mean().item())

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"cell_size": 0}, "cell_size must be a whole number >= 1"),
            ({"num_bins": 2.5}, "num_bins must be a whole number >= 1"),
        ],
    )
    def test_numbers(self, options, words):
        with pytest.raises(ValueError, match=words):
            gf.orientation_histogram(torch.ones(8, 8), torch.ones(8, 8), **options)

    def test_two_shapes(self):
        with pytest.raises(ValueError, match=r"gradient_y must be \(8, 8\)"):
            gf.orientation_histogram(torch.ones(8, 8), torch.ones(8, 1))


class TestHog:
    @pytest.mark.parametrize("name", ["astronaut", "coins", "chelsea"])
    @pytest.mark.parametrize(
        ("cell", "block", "bins"), [(8, 2, 9), (8, 3, 8), (6, 1, 5), (16, 2, 12)]
    )
    def test_matches_scikit_image(self, name, cell, block, bins):
        image = photograph(name).mean(0)
        found = gf.hog(image, cell_size=cell, block_size=block, num_bins=bins)
        expected = library_hog(
            image.numpy(), bins, (cell, cell), (block, block), block_norm="L2-Hys"
        )
        assert found.dtype == image.dtype
        np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)

    def test_size(self):
        assert gf.hog(image_of(5, 40, 32)).shape == (5, 4 * 3 * 2 * 2 * 9)

    def test_light_hardly_matters(self):
        image = image_of(32, 32)
        dark = gf.hog(0.3 * image + 0.2)
        torch.testing.assert_close(dark, gf.hog(image), atol=1e-6, rtol=1e-4)

    def test_a_flat_image(self):
        assert not gf.hog(torch.ones(16, 16)).any()

    def test_too_small(self):
        with pytest.raises(ValueError, match="block_size must be at most 1 for cells"):
            gf.hog(torch.ones(16, 15))


class TestNormalizeBlocks:
    def test_lengths(self):
        blocks = gf.normalize_blocks(image_of(5, 6, 9))
        assert blocks.shape == (4, 5, 2, 2, 9)
        lengths = blocks.flatten(2).norm(dim=2)
        ones = torch.ones(4, 5).double()
        torch.testing.assert_close(lengths, ones, atol=1e-6, rtol=0)

    def test_the_strongest_is_cut(self):
        cells = torch.full((2, 2, 4), 0.1)
        cells[0, 0, 0] = 100
        blocks = gf.normalize_blocks(cells).flatten()
        assert blocks.max() == pytest.approx(1, abs=0.01)
        assert blocks[1] == pytest.approx(0.001 / 0.2, rel=0.05)

    @pytest.mark.parametrize("size", [0, True, 1.5, 7])
    def test_errors(self, size):
        with pytest.raises(ValueError, match="block_size must be"):
            gf.normalize_blocks(image_of(5, 6, 9), block_size=size)
        with pytest.raises(ValueError, match="histogram must be"):
            gf.normalize_blocks(torch.ones(5, 6))


class TestScoreWindows:
    def test_each_window_by_itself(self):
        blocks = gf.normalize_blocks(image_of(7, 9, 6))
        weight = image_of(3, 4, 2, 2, 6, seed=1) - 0.5
        scores = gf.score_windows(blocks, weight, bias=0.25)
        assert scores.shape == (4, 5)
        for i in range(4):
            for j in range(5):
                alone = (blocks[i : i + 3, j : j + 4] * weight).sum() + 0.25
                assert scores[i, j].item() == pytest.approx(alone.item())

    def test_smaller_than_a_window(self):
        blocks = gf.normalize_blocks(image_of(3, 9, 6))
        assert gf.score_windows(blocks, image_of(3, 2, 2, 2, 6), 0.0).shape == (0, 7)

    def test_errors(self):
        blocks = gf.normalize_blocks(image_of(7, 9, 6))
        with pytest.raises(ValueError, match=r"weight must be \(r, c, 2, 2, 6\)"):
            gf.score_windows(blocks, image_of(3, 4, 24), 0.0)


class TestShapeSignature:
    @staticmethod
    def circle(radius, side=81):
        middle = (side - 1) / 2
        mask = disk_mask(side, side, (middle, middle), radius).double()
        return gf.shape_signature(gf.image_gradients(mask), (middle, middle))

    def test_a_circle_turns_twice(self):
        found = self.circle(30)
        angles = torch.rad2deg(torch.atan2(found[:, 1], found[:, 0])).remainder(360)
        expected = (torch.arange(16) + 0.5) * 22.5 * 2 % 360
        gaps = (angles - expected + 180).remainder(360) - 180
        assert gaps.abs().max() < 12
        assert found.norm(dim=1).min() > 0.6

    def test_it_forgets_the_size(self):
        small, large = self.circle(15), self.circle(32)
        cosine = torch.cosine_similarity(small.flatten(), large.flatten(), dim=0)
        assert cosine > 0.97

    def test_a_straight_edge(self):
        image = torch.zeros(9, 9)
        image[:, 6:] = 1
        edges = gf.image_gradients(image)
        found = gf.shape_signature(edges, (2.0, 4.0), num_sectors=4)
        torch.testing.assert_close(found[0], torch.tensor([1.0, 0.0]))
        assert not found[1].any()  # no edge there

    @pytest.mark.parametrize(
        ("edges", "options"),
        [
            ((torch.ones(4, 4), torch.ones(4, 5)), {}),
            ((torch.ones(4), torch.ones(4)), {}),
            ((torch.ones(4, 4), torch.full((4, 4), math.nan)), {}),
            ((torch.ones(4, 4), torch.ones(4, 4)), {"num_sectors": 0}),
        ],
    )
    def test_errors(self, edges, options):
        with pytest.raises(ValueError, match=r"edges must be|num_sectors must be"):
            gf.shape_signature(edges, (1.0, 1.0), **options)


class TestDrawGlyphs:
    def test_lines_run_along_edges(self):
        histogram = torch.zeros(1, 2, 9)
        histogram[0, 0, 4] = 1  # gradients at 90 degrees: a level edge
        picture = gf.draw_glyphs(histogram, size=9)
        assert picture.shape == (9, 18)
        assert picture[4, 1:8].min() > 0.9
        assert picture[:3].max() < 0.2
        assert not picture[:, 9:].any()

    def test_nothing(self):
        assert not gf.draw_glyphs(torch.zeros(2, 2, 9)).any()

    def test_errors(self):
        with pytest.raises(ValueError, match="size must be a whole number >= 3"):
            gf.draw_glyphs(torch.zeros(2, 2, 9), size=2)
        with pytest.raises(ValueError, match="histogram must be"):
            gf.draw_glyphs(torch.zeros(2, 9))


# The exercises: right answers written in another way than the module's.


def gradients_by_convolution(image):
    if not image.is_floating_point():
        raise ValueError("floating")
    kernel = torch.tensor([-1.0, 0, 1], dtype=image.dtype)
    x, y = torch.zeros_like(image), torch.zeros_like(image)
    for result, each in ((x, image), (y.T, image.T)):
        if each.shape[1] > 2:
            found = torch.nn.functional.conv1d(each[:, None], kernel.view(1, 1, 3))
            result[:, 1:-1] = found[:, 0]
    return x, y


def votes_by_numpy(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    if gradient_x.shape != gradient_y.shape or cell_size < 1:
        raise ValueError("shape")
    x, y, c = gradient_x.numpy(), gradient_y.numpy(), cell_size
    angle = np.degrees(np.arctan2(y, x)) % 180
    rows, columns = x.shape[0] // c, x.shape[1] // c
    result = np.zeros((rows, columns, num_bins), dtype=x.dtype)
    for i in range(rows):
        for j in range(columns):
            cell = slice(i * c, i * c + c), slice(j * c, j * c + c)
            result[i, j] = np.histogram(
                angle[cell], num_bins, (0, 180), weights=np.hypot(x, y)[cell]
            )[0]
    return torch.from_numpy(result) / c**2


def blocks_by_loop(histogram, *, block_size=2):
    rows = histogram.shape[0] - block_size + 1
    columns = histogram.shape[1] - block_size + 1
    if rows < 1 or columns < 1:
        raise ValueError("cells")
    found = []
    for i in range(rows):
        for j in range(columns):
            block = histogram[i : i + block_size, j : j + block_size]
            for most in (0.2, 1.0):
                block = block / (block.norm() ** 2 + 1e-10) ** 0.5
                block = block.clamp(max=most)
            found.append(block)
    return torch.stack(found).view(rows, columns, *found[0].shape)


RIGHT = {
    "image_gradients": gradients_by_convolution,
    "orientation_histogram": votes_by_numpy,
    "normalize_blocks": blocks_by_loop,
}


def gradients_plainly(image):
    x, y = torch.zeros_like(image), torch.zeros_like(image)
    x[:, 1:-1] = image[:, 2:] - image[:, :-2]
    y[1:-1, :] = image[2:, :] - image[:-2, :]
    return x, y


def votes_plainly(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
    angle = torch.rad2deg(torch.atan2(gradient_y, gradient_x)) % 180
    bins = (angle // (180 / num_bins)).long()
    size = (gradient_x**2 + gradient_y**2).sqrt()
    rows, columns = (n // cell_size for n in gradient_x.shape)
    kept = slice(rows * cell_size), slice(columns * cell_size)
    parts = [torch.where(bins == k, size, 0)[kept] for k in range(num_bins)]
    shape = rows, cell_size, columns, cell_size
    return torch.stack([part.reshape(shape).mean((1, 3)) for part in parts], dim=2)


def blocks_plainly(histogram, *, block_size=2):
    blocks = histogram.unfold(0, block_size, 1).unfold(1, block_size, 1)
    blocks = blocks.permute(0, 1, 3, 4, 2)
    for _ in range(2):
        length = (blocks**2).sum((2, 3, 4), keepdim=True).sqrt() + 1e-9
        blocks = blocks / length
        blocks = blocks.clamp(max=0.2) if _ == 0 else blocks
    return blocks


PLAIN = {
    "image_gradients": gradients_plainly,
    "orientation_histogram": votes_plainly,
    "normalize_blocks": blocks_plainly,
}
LIBRARY = {
    "image_gradients": "torch.gradient halves, and has one-sided borders",
    "orientation_histogram": "scikit-image and OpenCV keep it inside of their HOG",
    "normalize_blocks": "scikit-image and OpenCV keep it inside of their HOG",
}


def gradients_halved(image):
    if not image.is_floating_point():
        raise ValueError("floating")
    x, y = gradients_plainly(image)
    return 0.5 * x, 0.5 * y


def forward_differences(image):
    if not image.is_floating_point():
        raise ValueError("floating")
    x, y = torch.zeros_like(image), torch.zeros_like(image)
    x[:, :-1], y[:-1] = image.diff(dim=1), image.diff(dim=0)
    return x, y


def y_first(image):
    x, y = gradients_by_convolution(image)
    return y, x


def numpy_gradients(image):
    if not image.is_floating_point():
        raise ValueError("floating")
    y, x = torch.gradient(image)
    return x, y


def wrapped(image):
    if not image.is_floating_point():
        raise ValueError("floating")
    return image.roll(-1, 1) - image.roll(1, 1), image.roll(-1, 0) - image.roll(1, 0)


def voted(change):
    """An answer that refuses what it must and is otherwise what `change` makes it."""

    def answer(gradient_x, gradient_y, *, cell_size=8, num_bins=9):
        if gradient_x.shape != gradient_y.shape or cell_size < 1:
            raise ValueError("shape")
        return change(gradient_x, gradient_y, cell_size, num_bins)

    return answer


def votes(x, y, cell_size, num_bins):
    return votes_plainly(x, y, cell_size=cell_size, num_bins=num_bins)


def signed_votes(x, y, cell_size, num_bins):
    options = {"cell_size": cell_size, "num_bins": num_bins, "signed": True}
    return gf.orientation_histogram(x, y, **options)


def squared_votes(x, y, cell_size, num_bins):
    size = torch.hypot(x, y)
    return votes(x * size, y * size, cell_size, num_bins)


def blocked(change):
    def answer(histogram, *, block_size=2):
        if min(histogram.shape[:2]) < block_size:
            raise ValueError("cells")
        blocks = histogram.unfold(0, block_size, 1).unfold(1, block_size, 1)
        return change(blocks.permute(0, 1, 3, 4, 2))

    return answer


def l2(blocks, dims=(2, 3, 4), epsilon=1e-10):
    return blocks / ((blocks**2).sum(dims, keepdim=True) + epsilon).sqrt()


# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "image_gradients": [
        (gradients_halved, "Do not halve"),
        (forward_differences, "next pixel"),
        (y_first, "swapped"),
        (numpy_gradients, "torch.gradient"),
        (wrapped, "other side of the picture"),
    ],
    "orientation_histogram": [
        (voted(lambda x, y, c, n: votes(x, y, c, n) * c**2), "a mean, no sum"),
        (voted(lambda x, y, c, n: votes(y, x, c, n)), "takes y first"),
        (voted(signed_votes), "directions, over 360"),
        (voted(squared_votes), "root of the sum of squares"),
        (voted(lambda x, y, c, n: votes(x, y, c, n).movedim(2, 0)), "last dimension"),
    ],
    "normalize_blocks": [
        (blocked(l2), "That is L2"),
        (blocked(lambda b: l2(b).clamp(max=0.2)), "normalize again"),
        (blocked(lambda b: l2(l2(b, (4,)).clamp(max=0.2), (4,))), "length of its own"),
        (blocked(lambda b: l2(l2(b, epsilon=0).clamp(max=0.2), epsilon=0)), "0 / 0"),
        (blocked(lambda b: l2(l2(b.clamp(max=0.2)).clamp(max=0.2))), "Normalize first"),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = gradient_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
