"""Pyramid pooling, tested."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision import ops

from lesson_utils import pyramid_pooling as pp
from lesson_utils.checks import pyramid_pooling as pyramid_checks
from lesson_utils.common.studies import read_study
from tests.answers import ExerciseTests

DICE = torch.Generator().manual_seed(0)


def rand(*shape):
    return torch.rand(shape, generator=DICE)


def randn(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=DICE, dtype=dtype)


class TestBinEdges:
    def test_by_hand(self):
        assert pp.bin_edges(7, 4).tolist() == [[0, 2], [1, 4], [3, 6], [5, 7]]
        assert pp.bin_edges(8, 4).tolist() == [[0, 2], [2, 4], [4, 6], [6, 8]]
        assert pp.bin_edges(2, 3).tolist() == [[0, 1], [0, 2], [1, 2]]

    def test_are_those_of_adaptive_pooling(self):
        for size in range(1, 40):
            row = torch.arange(float(size)).view(1, 1, size)
            for m in range(1, 20):
                starts, ends = pp.bin_edges(size, m).T.float()
                last = F.adaptive_max_pool1d(row, m).flatten()
                first = -F.adaptive_max_pool1d(-row, m).flatten()
                assert torch.equal(starts, first)
                assert torch.equal(ends - 1, last)

    def test_neighbors_share_one_pixel_where_a_border_cuts_one(self):
        for size in range(1, 40):
            for m in range(1, 20):
                edges = pp.bin_edges(size, m)
                shared = edges[:-1, 1] - edges[1:, 0]
                assert set(shared.tolist()) <= {0, 1}
                assert shared.sum() == m - math.gcd(size, m)

    def test_errors(self):
        for arguments in ((0, 2), (4, 0), (4.5, 2), (4, True)):
            with pytest.raises(ValueError, match=r"(size|m) must be a whole number"):
                pp.bin_edges(*arguments)


class TestSpatialPyramidPool:
    @pytest.mark.parametrize(
        "size", [(8, 8), (7, 10), (13, 13), (5, 4), (3, 2), (1, 1)]
    )
    def test_is_adaptive_pooling_with_its_gradients(self, size):
        features = torch.randint(0, 4, (2, 3, *size), generator=DICE).float()
        features.requires_grad_()  # small whole numbers: full of ties
        ours = pp.spatial_pyramid_pool(features)
        assert ours.shape == (2, 3 * 21)
        parts = [F.adaptive_max_pool2d(features, m).flatten(1) for m in (1, 2, 4)]
        theirs = torch.cat(parts, 1)
        assert torch.equal(ours, theirs)
        weight = randn(*ours.shape)
        slopes = [
            torch.autograd.grad((pooled * weight).sum(), features)[0]
            for pooled in (ours, theirs)
        ]
        torch.testing.assert_close(*slopes)

    def test_gradient(self):
        features = randn(1, 2, 5, 7, dtype=torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(pp.spatial_pyramid_pool, features)

    def test_no_picture_and_nan(self):
        assert pp.spatial_pyramid_pool(torch.zeros(0, 2, 4, 4)).shape == (0, 42)
        features = torch.zeros(1, 1, 4, 4)
        features[0, 0, 3, 3] = torch.nan
        assert pp.spatial_pyramid_pool(features).isnan().sum() == 3

    def test_errors(self):
        features = torch.zeros(1, 2, 4, 4)
        for levels in ((), (1, 0), (1.5,)):
            with pytest.raises(ValueError, match="levels must be"):
                pp.spatial_pyramid_pool(features, levels)
        for wrong in (features[0], features.long(), features[..., :0]):
            with pytest.raises(ValueError, match="features must"):
                pp.spatial_pyramid_pool(wrong)


def random_rois(number, pictures, longest=20.0):
    corner = 25 * rand(number, 2) - 3
    boxes = torch.cat([corner, corner + longest * rand(number, 2)], 1)
    index = torch.randint(pictures, (number, 1), generator=DICE).float()
    return torch.cat([index, boxes], 1)


class TestRoiPool:
    @pytest.mark.parametrize("halves", [False, True])
    @pytest.mark.parametrize("scale", [1.0, 0.5, 1 / 16])
    @pytest.mark.parametrize("size", [1, 2, (3, 4), 7])
    def test_is_torchvisions(self, size, scale, halves):
        features = randn(2, 3, 13, 9)
        boxes = random_rois(12, 2)
        if halves:  # where rounding is asked what it does with them
            boxes[:, 1:] = (boxes[:, 1:] / scale * 2).round() / 2
        ours = pp.roi_pool(features, boxes, size, scale)
        torch.testing.assert_close(ours, ops.roi_pool(features, boxes, size, scale))

    def test_halves_go_away_from_zero(self):
        features = torch.arange(8.0).view(1, 1, 1, 8)
        boxes = [torch.tensor([[0.0, 0, 2.5, 0]])]  # up to pixel 3; even would be 2
        assert pp.roi_pool(features, boxes, 1).item() == 3

    def test_a_list_of_boxes(self):
        features = randn(2, 3, 8, 8)
        boxes = [random_rois(2, 1)[:, 1:], torch.zeros(0, 4)]
        assert torch.equal(
            pp.roi_pool(features, boxes, 2), ops.roi_pool(features, boxes, 2)
        )
        assert pp.roi_pool(features, [torch.zeros(0, 4)] * 2, 2).shape == (0, 3, 2, 2)

    def test_whole_map_is_a_level_of_the_pyramid(self):
        features = randn(1, 3, 7, 10)
        box = [torch.tensor([[0.0, 0, 9, 6]])]  # of its last pixel, not behind it
        pooled = pp.roi_pool(features, box, 4).flatten(1)
        assert torch.equal(pooled, pp.spatial_pyramid_pool(features, (4,)))


class TestRoiAlign:
    @pytest.mark.parametrize("aligned", [False, True])
    @pytest.mark.parametrize("ratio", [-1, 1, 2, 3])
    @pytest.mark.parametrize(("size", "scale"), [(2, 1.0), ((3, 4), 0.5), (7, 1 / 16)])
    def test_is_torchvisions(self, size, scale, ratio, aligned):
        features = randn(2, 3, 11, 9, dtype=torch.float64).requires_grad_()
        boxes = random_rois(8, 2).double()
        boxes[0, 3:] = boxes[0, 1:3]  # without area
        arguments = (features, boxes, size, scale, ratio, aligned)
        ours, theirs = pp.roi_align(*arguments), ops.roi_align(*arguments)
        torch.testing.assert_close(ours, theirs)
        weight = randn(*ours.shape, dtype=torch.float64)
        slopes = [
            torch.autograd.grad((pooled * weight).sum(), features)[0]
            for pooled in (ours, theirs)
        ]
        torch.testing.assert_close(*slopes)

    def test_by_hand(self):
        columns = torch.arange(6.0).expand(1, 5, 6)
        found = pp.roi_align_box(columns, (1, 1, 3, 3), 2, samples=1)
        assert found.tolist() == [[[1.0, 2.0], [1.0, 2.0]]]
        found = pp.roi_align_box(columns, (1.25, 1, 3.25, 3), 2)
        assert found.tolist() == [[[1.25, 2.25], [1.25, 2.25]]]

    def test_beyond_the_border(self):
        ones = torch.ones(1, 4, 4)
        assert pp.roi_align_box(ones, (-0.5, -0.5, 4.5, 4.5), 3).min() == 1
        assert pp.roi_align_box(ones, (9, 9, 12, 12), 2).max() == 0
        # Two of four samples lie more than a pixel and a half before the first center.
        assert pp.roi_align_box(ones, (-4, 0, 4, 4), 1, samples=(1, 4)).item() == 0.5

    def test_gradient(self):
        features = randn(2, 5, 6, dtype=torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda maps: pp.roi_align_box(maps, (0.3, -0.7, 5.2, 4.4), 3), features
        )

    def test_errors(self):
        maps = torch.zeros(1, 4, 4)
        for box in ((2, 0, 1, 3), (0, 0, math.nan, 3)):
            with pytest.raises(ValueError, match="box must be finite xyxy"):
                pp.roi_align_box(maps, box, 2)
        with pytest.raises(ValueError, match="samples must be"):
            pp.roi_align_box(maps, (0, 0, 1, 1), 2, samples=0)
        with pytest.raises(ValueError, match="sampling_ratio must be"):
            pp.roi_align(maps[None], torch.zeros(1, 5), 2, sampling_ratio=1.5)


@pytest.mark.parametrize("pool", [pp.roi_pool, pp.roi_align])
class TestErrorsOfBoth:
    def test_boxes(self, pool):
        maps = torch.zeros(2, 1, 4, 4)
        for boxes, words in (
            (torch.tensor([[2.0, 0, 0, 1, 1]]), "boxes must name pictures"),
            (torch.tensor([[0.0, 2, 0, 1, 1]]), "boxes must be finite xyxy"),
            (torch.zeros(1, 4), r"boxes must be \(K, 5\)"),
            ([torch.zeros(1, 4)], "boxes must be 2 tensors"),
        ):
            with pytest.raises(ValueError, match=words):
                pool(maps, boxes, 2)

    def test_numbers(self, pool):
        maps, boxes = torch.zeros(1, 1, 4, 4), torch.zeros(1, 5)
        with pytest.raises(ValueError, match="spatial_scale must be"):
            pool(maps, boxes, 2, 0)
        with pytest.raises(ValueError, match="output_size must be"):
            pool(maps, boxes, 0)
        with pytest.raises(ValueError, match="features must have at least one pixel"):
            pool(maps[..., :0], boxes, 2)


class TestPyramidNet:
    @pytest.mark.parametrize(
        ("levels", "length"), [((1, 2, 4), 1344), ((1,), 64), (None, 64)]
    )
    def test_any_size(self, levels, length):
        network = pp.PyramidNet(4, levels=levels)
        assert network.head.in_features == length
        for size in ((8, 8), (32, 48), (57, 33)):
            assert network(torch.zeros(2, 3, *size)).shape == (2, 4)

    def test_three_levels_by_default(self):
        head = pp.PyramidNet(4).head
        assert head.in_features == 64 * (1 * 1 + 2 * 2 + 4 * 4)

    def test_learns_in_several_sizes(self):
        images = 0.5 * rand(64, 3, 24, 24)
        labels = torch.arange(64) % 2
        images[labels == 1, 0, 4:12, 4:12] += 0.5
        torch.manual_seed(0)
        network = pp.PyramidNet(2)
        history = pp.train(
            network, images, labels, sizes=(16, 24), steps=30, batch_size=16,
            progress=False,
        )  # fmt: skip
        assert history["loss"][-1] < 0.5 * history["loss"][0]

    def test_errors(self):
        for arguments in ((0,), (2.5,)):
            with pytest.raises(ValueError, match="num_classes must be"):
                pp.PyramidNet(*arguments)
        for levels in ((), (0,)):
            with pytest.raises(ValueError, match="levels must be"):
                pp.PyramidNet(2, levels=levels)
        network, images = pp.PyramidNet(2), torch.zeros(2, 3, 16, 16)
        with pytest.raises(ValueError, match="sizes must be"):
            pp.train(network, images, torch.zeros(2).long(), sizes=())
        with pytest.raises(ValueError, match="labels must lie"):
            pp.train(network, images, torch.full((2,), 2))


def test_study_is_of_these_networks():
    from studies.pyramid_pooling import LAYERS, NETWORKS, TESTED

    study = read_study("pyramid_pooling")
    rows = [row for row in study["rows"] if row["part"] == "sizes"]
    keys = {(row["network"], row["seed"]) for row in rows}
    assert keys == {(name, seed) for name in NETWORKS for seed in study["seeds"]}
    assert all(len(row["accuracy"]) == len(TESTED) for row in rows)
    assert {row["layer"] for row in study["rows"] if row["part"] == "where"} == set(
        LAYERS
    )


# Exercises --------------------------------------------------------------------------


def whole(*numbers):
    if not all(isinstance(number, int) and number >= 1 for number in numbers):
        raise ValueError("whole numbers >= 1")


def looped_edges(size, m):
    """Pixel by pixel: which bins does it touch?"""
    whole(size, m)
    pairs = []
    for i in range(m):
        touched = [
            p for p in range(size) if p * m < (i + 1) * size and (p + 1) * m > i * size
        ]
        pairs.append((touched[0], touched[-1] + 1))
    return torch.tensor(pairs)


def floating_edges(size, m):
    borders = torch.arange(m + 1, dtype=torch.float64) * size / m
    return torch.stack([borders[:-1].floor(), borders[1:].ceil()], 1).long()


def torch_edges(size, m):
    row = torch.arange(float(size)).view(1, 1, -1)
    last = F.adaptive_max_pool1d(row, m)[0, 0]
    first = -F.adaptive_max_pool1d(-row, m)[0, 0]
    return torch.stack([first, last + 1], 1).int()


def sliced_pyramid(features, levels=(1, 2, 4)):
    if not len(levels) or min(levels) < 1 or 0 in features.shape[2:]:
        raise ValueError("no level, or no pixel")
    return plain_pyramid(features, levels)


def plain_pyramid(features, levels=(1, 2, 4)):
    height, width = features.shape[2:]
    parts = []
    for m in levels:
        bins = []
        for i in range(m):
            for j in range(m):
                top, bottom = i * height // m, math.ceil((i + 1) * height / m)
                left, right = j * width // m, math.ceil((j + 1) * width / m)
                bins.append(features[:, :, top:bottom, left:right].amax((2, 3)))
        parts.append(torch.stack(bins, 2).flatten(1))
    return torch.cat(parts, 1)


def torch_pyramid(features, levels=(1, 2, 4)):
    return torch.cat([F.adaptive_max_pool2d(features, m).flatten(1) for m in levels], 1)


def sampled_align(features, box, output_size, *, samples=2):
    """By grid_sample, with the border's rule beside it."""
    x1, y1, x2, y2 = box
    whole(output_size, samples)
    if x2 < x1 or y2 < y1:
        raise ValueError("x2 < x1 or y2 < y1")
    return plain_align(features, box, output_size, samples=samples)


def plain_align(features, box, output_size, *, samples=2):
    x1, y1, x2, y2 = box
    height, width = features.shape[1:]
    number = output_size * samples
    parts = (torch.arange(number, dtype=features.dtype) + 0.5) / number
    y, x = y1 + (y2 - y1) * parts - 0.5, x1 + (x2 - x1) * parts - 0.5
    inside = ((y >= -1) & (y <= height))[:, None] & ((x >= -1) & (x <= width))
    y, x = 2 * (y + 0.5) / height - 1, 2 * (x + 0.5) / width - 1
    grid = torch.stack([x.expand(number, -1), y[:, None].expand(-1, number)], -1)
    values = F.grid_sample(
        features[None], grid[None], padding_mode="border", align_corners=False
    )
    return F.avg_pool2d(values * inside, samples)[0]


def torchvision_align(features, box, output_size, *, samples=2, aligned=True):
    boxes = [torch.tensor([box], dtype=features.dtype)]
    return ops.roi_align(features[None], boxes, output_size, 1.0, samples, aligned)[0]


def linspace_edges(size, m):
    borders = torch.linspace(0, size, m + 1).round().long()
    return torch.stack([borders[:-1], borders[1:]], 1)


def paper_window(size, m):
    window, step = math.ceil(size / m), size // m
    return torch.tensor([[i * step, i * step + window] for i in range(m)])


def even_steps(size, m):
    return torch.tensor([[i * (size // m), (i + 1) * (size // m)] for i in range(m)])


def split_edges(size, m):
    parts = torch.arange(size).tensor_split(m)
    return torch.tensor([(part[0].item(), part[-1].item() + 1) for part in parts])


def max_pooled(features, levels=(1, 2, 4)):
    grids = []
    for m in levels:
        height, width = features.shape[2:]
        window = math.ceil(height / m), math.ceil(width / m)
        grids.append(F.max_pool2d(features, window, (height // m, width // m)))
    return torch.cat([grid.flatten(1) for grid in grids], 1)


def averages(features, levels=(1, 2, 4)):
    return torch.cat([F.adaptive_avg_pool2d(features, m).flatten(1) for m in levels], 1)


def channels_outermost(features, levels=(1, 2, 4)):
    grids = [F.adaptive_max_pool2d(features, m).flatten(2) for m in levels]
    return torch.cat(grids, 2).flatten(1)


def channels_innermost(features, levels=(1, 2, 4)):
    grids = [F.adaptive_max_pool2d(features, m).flatten(2).mT for m in levels]
    return torch.cat([grid.flatten(1) for grid in grids], 1)


def unflattened(features, levels=(1, 2, 4)):
    grids = [F.adaptive_max_pool2d(features, m).flatten(2) for m in levels]
    return torch.cat(grids, 2)


def whole_box(features, box, output_size, *, samples=2):
    return torchvision_align(features, [round(v) for v in box], output_size,
                             samples=samples)  # fmt: skip


def swapped_box(features, box, output_size, *, samples=2):
    x1, y1, x2, y2 = box
    return torchvision_align(features, (y1, x1, y2, x2), output_size, samples=samples)


def unaligned(features, box, output_size, *, samples=2):
    return pp.roi_align_box(
        features, [edge + 0.5 for edge in box], output_size, samples=samples
    )


def single(features, box, output_size, *, samples=2):
    whole(samples)
    return pp.roi_align_box(features, box, output_size, samples=1)


def clamped(features, box, output_size, *, samples=2):
    """Beyond the border its value, wherever the box is."""
    whole(output_size, samples)
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        raise ValueError("x2 < x1 or y2 < y1")
    number = output_size * samples
    parts = (torch.arange(number, dtype=features.dtype) + 0.5) / number
    x, y = x1 + (x2 - x1) * parts, y1 + (y2 - y1) * parts
    x, y = 2 * x / features.shape[2] - 1, 2 * y / features.shape[1] - 1
    grid = torch.stack([x.expand(number, -1), y[:, None].expand(-1, number)], -1)
    values = F.grid_sample(
        features[None], grid[None], padding_mode="border", align_corners=False
    )
    return F.avg_pool2d(values, samples)[0]


def as_dense_as_pixels(features, box, output_size, *, samples=2):
    whole(output_size, samples)
    return torchvision_align(features, box, output_size, samples=-1)


def summed(features, box, output_size, *, samples=2):
    return samples**2 * pp.roi_align_box(features, box, output_size, samples=samples)


def floor_plus_one(size, m):
    return torch.tensor([(i * size // m, (i + 1) * size // m + 1) for i in range(m)])


def steps_of_ceil(size, m):
    starts = torch.arange(m) * math.ceil(size / m)
    return torch.stack([starts, starts + math.ceil(size / m)], 1)


def divided_first(size, m):
    width = size / m
    return torch.tensor([(int(i * width), math.ceil(i * width + width))
                         for i in range(m)])  # fmt: skip


def numpy_edges(size, m):
    whole(size, m)
    borders = np.linspace(0, size, m + 1)
    pairs = np.stack([np.floor(borders[:-1]), np.ceil(borders[1:])], 1)
    return torch.from_numpy(pairs).long()


def popular_pyramid(features, levels=(1, 2, 4)):
    """As in many programs: windows of the ceiling, padded on both sides."""
    grids = []
    for m in levels:
        sides = features.shape[2:]
        window = [math.ceil(size / m) for size in sides]
        lacking = [w * m - size for w, size in zip(window, sides, strict=True)]
        padding = [math.floor((pixels + 1) / 2) for pixels in lacking]
        grids.append(F.max_pool2d(features, window, window, padding).flatten(1))
    return torch.cat(grids, 1)


def shorter_last(features, levels=(1, 2, 4)):
    grids = []
    for m in levels:
        window = [math.ceil(size / m) for size in features.shape[2:]]
        grids.append(F.max_pool2d(features, window, ceil_mode=True).flatten(1))
    return torch.cat(grids, 1)


def flat_batch(features, levels=(1, 2, 4)):
    return torch.cat([F.adaptive_max_pool2d(features, m).flatten() for m in levels])


def shifted(features, box, output_size, *, samples=2):
    box = [edge + 1 for edge in box]
    return torchvision_align(features, box, output_size, samples=samples)


def floored_box(features, box, output_size, *, samples=2):
    box = [int(edge) for edge in box]
    return torchvision_align(features, box, output_size, samples=samples)


def resized_crop(features, box, output_size, *, samples=2):
    x1, y1, x2, y2 = (*map(math.floor, box[:2]), *map(math.ceil, box[2:]))
    part = features[:, y1:y2, x1:x2][None]
    size = (output_size, output_size)
    return F.interpolate(part, size, mode="bilinear", align_corners=False)[0]


def always_two(features, box, output_size, *, samples=2):
    whole(samples)
    return torchvision_align(features, box, output_size)


def finely(features, box, output_size, *, samples=2):
    return torchvision_align(features, box, output_size * samples, samples=1)


def never_flat(features, box, output_size, *, samples=2):
    x1, y1, x2, y2 = box
    box = x1, y1, max(x2, x1 + 1), max(y2, y1 + 1)
    return pp.roi_align_box(features, box, output_size, samples=samples)


def grid_align(features, box, m, *, samples=2, corners=False, padding="border"):
    whole(m, samples)
    x1, y1, x2, y2 = box
    if x2 < x1 or y2 < y1:
        raise ValueError("x2 < x1 or y2 < y1")
    parts = (torch.arange(m * samples, dtype=features.dtype) + 0.5) / (m * samples)
    x = 2 * (x1 + (x2 - x1) * parts) / features.shape[2] - 1
    y = 2 * (y1 + (y2 - y1) * parts) / features.shape[1] - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
    values = F.grid_sample(
        features[None], grid, padding_mode=padding, align_corners=corners
    )
    return F.avg_pool2d(values, samples)[0]


def torchvision_in_float32(features, box, output_size, *, samples=2):
    """The box as most would write it: rounded to float32 on its way."""
    boxes = torch.tensor([[0, *box]]).to(features)
    return ops.roi_align(features[None], boxes, output_size, 1.0, samples, True)[0]


RIGHT = {
    "bin_edges": looped_edges,
    "spatial_pyramid_pool": sliced_pyramid,
    "roi_align_box": sampled_align,
}
PLAIN = {
    "bin_edges": floating_edges,
    "spatial_pyramid_pool": plain_pyramid,
    "roi_align_box": plain_align,
}
LIBRARY = {
    "bin_edges": torch_edges,
    "spatial_pyramid_pool": torch_pyramid,
    "roi_align_box": torchvision_in_float32,
}
WRONG = {
    "bin_edges": [
        (linspace_edges, "never share"),
        (lambda size, m: torch.tensor([[i * size // m, (i + 1) * size // m]
                                       for i in range(m)]), "never share"),
        (paper_window, "A window of"),
        (even_steps, "left over at the end is in none"),
        (lambda size, m: pp.bin_edges(size, m) - torch.tensor([0, 1]), "*after*"),
        (split_edges, "never share"),
        (lambda size, m: pp.bin_edges(size, m).float(), "nothing can be cut"),
        (lambda size, m: pp.bin_edges(size, m) + torch.tensor([1, 0]), "number 0"),
        (lambda size, m: pp.bin_edges(size, m) - pp.bin_edges(size, m)[:, :1]
         * torch.tensor([0, 1]), "how long the bin is"),
        (floor_plus_one, "floor + 1 is the ceil only"),
        (lambda size, m: floor_plus_one(size, m).clamp(max=size), "floor + 1 is"),
        (lambda size, m: pp.bin_edges(size, m)[:, :1]
         + torch.tensor([0, math.ceil(size / m)]), "ceil(size / m) long"),
        (lambda size, m: torch.tensor([i * size / m for i in range(m + 1)])
         .unfold(0, 2, 1), "ideal borders"),
        (steps_of_ceil, "run ahead"),
        (divided_first, "In floating point"),
        (numpy_edges, "In floating point"),
        (lambda size, m: pp.bin_edges(size, min(size, m)), "more bins than pixels"),
    ],
    "spatial_pyramid_pool": [
        (averages, "mean of each bin"),
        (channels_outermost, "Flatten each level"),
        (channels_innermost, "all channels of the first bin"),
        (lambda f, levels=(1, 2, 4): pp.spatial_pyramid_pool(f.mT, levels),
         "down the columns"),
        (lambda f, levels=(1, 2, 4): pp.spatial_pyramid_pool(f, sorted(levels)),
         "in which they are given"),
        (unflattened, "One vector for each picture"),
        (max_pooled, "sometimes more than m fit"),
        (popular_pyramid, "stand side by side"),
        (shorter_last, "stand side by side"),
        (lambda f, levels=(1, 2, 4): plain_pyramid(f, levels).relu(), "below 0"),
        (lambda f, levels=(1, 2, 4): plain_pyramid(f), "not heeded"),
        (flat_batch, "All pictures are in one"),
    ],
    "roi_align_box": [
        (whole_box, "whole pixels first"),
        (swapped_box, "changed places"),
        (unaligned, "Half a pixel is missing"),
        (single, "One sample in the middle"),
        (summed, "divide by how many"),
        (clamped, "however far away"),
        (as_dense_as_pixels, "as many samples as a bin has pixels"),
        (shifted, "Half a pixel was added"),
        (floored_box, "whole pixels first"),
        (resized_crop, "whole pixels first"),
        (always_two, "Two samples"),
        (finely, "These are the samples"),
        (lambda f, box, m, *, samples=2: samples
         * pp.roi_align_box(f, box, m, samples=samples), "divide by how many"),
        (lambda *given, **named: grid_align(*given, corners=True, **named),
         "align_corners=False"),
        (lambda *given, **named: grid_align(*given, padding="zeros", **named),
         "value of the border"),
        (never_flat, "neither refused, nor 0"),
    ],
}  # fmt: skip


class TestExercises(ExerciseTests):
    checks, right, wrong = pyramid_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
