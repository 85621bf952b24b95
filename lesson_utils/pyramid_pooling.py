"""Pyramid pooling: a vector of one length for a picture, or a box, of any size.

The module of the chapter `book/attention/pyramid_pooling.ipynb`. Feature maps are
(B, C, H, W). A bin is a stretch of rows or columns: its first pixel, and the one after
its last. Boxes are xyxy; a scale, such as 1 / 16, takes them to pixels of the map.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.dtypes import as_floating, at_least_float32
from lesson_utils.common.require import (
    require_boxes,
    require_images,
    require_labels,
    require_positive,
    require_shape,
    require_whole,
    size_pair,
)
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.segmenting import standardize
from lesson_utils.common.training import Run


def bin_edges(size: int, m: int) -> Tensor:
    """Where each of m bins begins and ends in a row of pixels.

    Bin i is [floor(i size / m), ceil((i + 1) size / m)), for i = 0 ... m - 1. Two
    neighbors share one pixel where i size / m is no whole number, and none where it is.

    Args:
        size: pixels in the row.
        m: bins; if they are more than the pixels, these are in several of them.

    Returns:
        (m, 2), int64: the first pixel of each bin and the one after its last.

    Raises:
        ValueError: `size` or `m` is no whole number >= 1.

    Source: He et al., Spatial Pyramid Pooling in Deep Convolutional Networks for Visual
        Recognition, TPAMI 2015, appendix A; torch's adaptive pooling has the same bins.
    """
    require_whole("size", size)
    require_whole("m", m)
    i = torch.arange(m)
    # Whole numbers only: in floating point 49 * (7 / 49) need not be 7.
    return torch.stack([i * size // m, -(-(i + 1) * size // m)], dim=1)


def spatial_pyramid_pool(features: Tensor, levels: Sequence[int] = (1, 2, 4)) -> Tensor:
    """The maximum of each channel in m x m bins, for several m, in one vector.

    Args:
        features: (B, C, H, W), floating point, of any size, even smaller than m x m.
        levels: m of each level.

    Returns:
        (B, D), D being C times the sum of m²: level after level, of each all bins of
        the first channel, row by row, then of the second.

    Raises:
        ValueError: `features` is not (B, C, H, W), floating point and with at least one
            pixel, there is no level, or one is no whole number >= 1.

    Source: He et al., TPAMI 2015, section 2.2.
    """
    _require_maps(features)
    _require_levels(levels)
    parts = []
    for m in levels:
        # Columns first: where several pixels are largest, the one that comes first as
        # one reads gets the gradient, as it does in torch.
        columns = _pool_bins(features, 3, bin_edges(features.shape[3], m))
        bins = _pool_bins(columns, 2, bin_edges(features.shape[2], m))  # (B, C, m, m)
        parts.append(bins.flatten(1))
    return torch.cat(parts, dim=1)


def roi_pool(
    features: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
) -> Tensor:
    """The maximum of each channel in the bins of each box: RoI pooling.

    Corners are scaled, then rounded to whole pixels, halves away from 0, and the box
    holds the pixels of both its corners. Its rows and columns are split by
    `bin_edges`; what of a bin lies outside of the map is left out, and a bin that has
    nothing left is 0.

    Args:
        features: (B, C, H, W), floating point.
        boxes: (K, 5), each row the index of a picture and a box, xyxy; or a sequence of
            B tensors (L, 4), the boxes of each picture.
        output_size: m, or how many rows and columns of bins.
        spatial_scale: what takes the boxes' unit to pixels of the map.

    Returns:
        (K, C, m, m). No gradient flows to the boxes.

    Raises:
        ValueError: `features` is not (B, C, H, W), floating point and with at least one
            pixel; boxes are of another shape, not finite, or have x2 < x1 or y2 < y1;
            there is no such picture; or a number is out of its range.

    Source: Girshick, Fast R-CNN, ICCV 2015, section 2.1; the rounding is torchvision's.
    """
    images, boxes = _rois(features, boxes, spatial_scale)
    size = size_pair("output_size", output_size)
    corners = (boxes.sign() * (boxes.abs().double() + 0.5).floor()).long()
    pooled = []
    for index, (x1, y1, x2, y2) in zip(images, corners.tolist(), strict=True):
        part = features[index]
        for dim, low, high, m in ((2, x1, x2, size[1]), (1, y1, y2, size[0])):
            edges = low + bin_edges(high - low + 1, m)
            part = _pool_bins(part, dim, edges.clamp(0, features.shape[dim + 1]))
        pooled.append(part)  # (C, m, m)
    return _stack(pooled, features, size)


def roi_align_box(
    features: Tensor,
    box: Sequence[float],
    output_size: int | Sequence[int],
    *,
    samples: int | Sequence[int] = 2,
) -> Tensor:
    """The mean of each channel in the bins of one box, which is not rounded.

    Args:
        features: (C, H, W), floating point. Pixel (0, 0) covers [0, 1] x [0, 1], and
            its value lies at its center, (1/2, 1/2).
        box: x1, y1, x2, y2: edges, in pixels of the map, as fractions.
        output_size: m, or how many rows and columns of bins.
        samples: n, or how many rows and columns of points in each bin, evenly spread.

    Returns:
        (C, m, m): the mean of a bin's samples. A sample between centers of pixels is
        interpolated; within a pixel and a half of the outer centers it has the value
        of the border, and beyond it is 0.

    Raises:
        ValueError: `features` is not (C, H, W), floating point and with at least one
            pixel, a coordinate is not finite, x2 < x1 or y2 < y1, or a number is not
            whole.

    Source: He et al., Mask R-CNN, ICCV 2017, section 3; torchvision's `aligned=True`.
    """
    _require_maps(features, "C H W")
    x1, y1, x2, y2 = (float(edge) for edge in box)
    require_boxes("box", torch.tensor([[x1, y1, x2, y2]], dtype=torch.float64))
    size, counts = size_pair("output_size", output_size), size_pair("samples", samples)
    rows = _bin_weights(y1, y2, size[0], counts[0], features.shape[1])
    columns = _bin_weights(x1, x2, size[1], counts[1], features.shape[2])
    wide = at_least_float32(features)
    means = rows.to(wide) @ wide @ columns.to(wide).T  # (C, m, m)
    return means.to(features.dtype)


def roi_align(
    features: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """The mean of each channel in the bins of each box, without rounding: RoIAlign.

    Args:
        features: (B, C, H, W), floating point.
        boxes: (K, 5), each row the index of a picture and a box, xyxy; or a sequence of
            B tensors (L, 4), the boxes of each picture.
        output_size: m, or how many rows and columns of bins.
        spatial_scale: what takes the boxes' unit to pixels of the map.
        sampling_ratio: n for n x n samples a bin; 0 or less for as many along each axis
            as a bin has pixels, rounded up.
        aligned: True: as in `roi_align_box`. False, which torchvision had first: half
            a pixel is forgotten, and a box has at least one pixel along each axis.

    Returns:
        (K, C, m, m); with `aligned` and no fixed number of samples, a box without area
        has zeros. No gradient flows to the boxes.

    Raises:
        ValueError: as for `roi_pool`.

    Source: He et al., Mask R-CNN, ICCV 2017, section 3; `aligned` is of its later code.
    """
    images, boxes = _rois(features, boxes, spatial_scale)
    size = size_pair("output_size", output_size)
    require_whole("sampling_ratio", sampling_ratio, None)
    corners, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    if not aligned:
        corners, sides = corners + 0.5, sides.clamp(min=1)
    counts = (sides.flip(1) / sides.new_tensor(size)).ceil().long()  # rows, columns
    if sampling_ratio > 0:
        counts = torch.full_like(counts, sampling_ratio)
    boxes = torch.cat([corners, corners + sides], dim=1)
    pooled = [
        roi_align_box(features[index], box, size, samples=samples)
        if min(samples) > 0
        else features.new_zeros(features.shape[1], *size)
        for index, box, samples in zip(
            images, boxes.tolist(), counts.tolist(), strict=True
        )
    ]
    return _stack(pooled, features, size)


class PyramidNet(nn.Module):
    """A small classifier for pictures of any size: convolutions, pyramid, linear layer.

    Args:
        num_classes: K.
        levels: of the pyramid; None for the mean over all positions in its place.

    Attributes:
        features: from (B, 3, H, W) to (B, 64, H / 8, W / 8), sides rounded down.
        head: linear, from the vector to logits.

    Raises:
        ValueError: a number is no whole number >= 1, or there is no level.

    Source: He et al., TPAMI 2015, figure 3, with few and narrow layers.
    """

    def __init__(
        self, num_classes: int, *, levels: Sequence[int] | None = (1, 2, 4)
    ) -> None:
        super().__init__()
        require_whole("num_classes", num_classes)
        if levels is not None:
            _require_levels(levels)
        self.levels = levels
        self.features = nn.Sequential()
        for inputs, outputs in ((3, 16), (16, 32), (32, 64)):
            self.features += nn.Sequential(
                nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
                nn.MaxPool2d(2),
            )
        bins = sum(m * m for m in levels) if levels else 1
        self.head = nn.Linear(64 * bins, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Classify pictures.

        Args:
            images: (B, 3, H, W), in [-2, 2], H and W at least 8.

        Returns:
            (B, K), logits.
        """
        maps = self.features(images)
        if self.levels is None:
            return self.head(maps.mean((2, 3)))
        return self.head(spatial_pyramid_pool(maps, self.levels))


def train(
    network: PyramidNet,
    images: Tensor,
    labels: Tensor,
    *,
    sizes: Sequence[int] = (32, 48, 64),
    steps: int = 300,
    batch_size: int = 32,
    learning_rate: float = 4e-3,
    seed: int = 0,
    **run: object,
) -> dict[str, list[float]]:
    """Teach a network pictures of several sizes, one after another.

    Args:
        network: trained in place.
        images: (N, 3, H, W), in [0, 1], or uint8.
        labels: (N,), whole numbers.
        sizes: of the batches: the first has the first, the second the second, ...
        steps: batches of training.
        batch_size: pictures a step, each mirrored or not, by chance.
        learning_rate: AdamW's highest; it rises and falls.
        seed: of the order, and of what is mirrored.
        **run: of `lesson_utils.common.training.Run`, such as `checkpoint`.

    Returns:
        "loss": a number for each step.

    Raises:
        ValueError: as `Run` has it, or images, labels or sizes are wrong.
        FloatingPointError: the loss is no longer a number.

    Source: He et al., TPAMI 2015, section 2.3, where the size changes after an epoch.
    """
    require_images("images", images)
    require_labels("labels", labels, len(images), network.head.out_features)
    if not len(sizes):
        raise ValueError("sizes must be at least one, got none")
    run = Run(
        network,
        torch.optim.AdamW(network.parameters(), lr=learning_rate),
        number=len(images),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        schedule=one_cycle,
        **run,
    )
    for step in run:
        pictures, targets = run.batch(images, labels, change=_mirror)
        size = [sizes[step % len(sizes)]] * 2
        pictures = F.interpolate(
            standardize(pictures), size, mode="bilinear", antialias=True
        )
        logits = run.network(pictures)
        run.learn(loss=F.cross_entropy(logits, targets.long()))
    return run.history


def _mirror(
    images: Tensor, labels: Tensor, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    chosen = torch.rand(len(images), generator=generator) < 0.5
    return torch.where(chosen[:, None, None, None], images.flip(-1), images), labels


def _pool_bins(features: Tensor, dim: int, edges: Tensor) -> Tensor:
    """The maximum of each bin along one dimension; 0 where a bin is empty."""
    parts = []
    for start, end in edges.tolist():
        part = features.narrow(dim, start, max(end - start, 0))
        # max, not amax: on a tie max gives the gradient to one pixel, amax shares it.
        parts.append(part.max(dim).values if end > start else part.sum(dim))
    return torch.stack(parts, dim)


def _bin_weights(low: float, high: float, m: int, samples: int, size: int) -> Tensor:
    """(m, size), float64: how much each pixel of a row weighs in each bin's mean."""
    parts = torch.arange(m * samples, dtype=torch.float64) + 0.5
    at = low + (high - low) / (m * samples) * parts - 0.5  # 0 is the first center
    inside = (at >= -1) & (at <= size)
    distances = at.clamp(0, size - 1)[:, None] - torch.arange(size)
    weights = (1 - distances.abs()).clamp(min=0) * inside[:, None]
    return weights.view(m, samples, size).mean(1)


def _rois(
    features: Tensor, boxes: Tensor | Sequence[Tensor], spatial_scale: float
) -> tuple[list[int], Tensor]:
    """Of each box its picture and itself in pixels of the map, (K, 4)."""
    _require_maps(features)
    require_positive("spatial_scale", spatial_scale)
    if not isinstance(boxes, Tensor):
        if len(boxes) != len(features):
            raise ValueError(
                f"boxes must be {len(features)} tensors, one for each picture, got "
                f"{len(boxes)}"
            )
        images = [index for index, some in enumerate(boxes) for _ in some]
        boxes = torch.cat([as_floating(some).reshape(-1, 4) for some in boxes])
    else:
        require_shape("boxes", boxes, "K 5")
        images = boxes[:, 0].long().tolist()
        boxes = boxes[:, 1:]
        if images and not 0 <= min(images) <= max(images) < len(features):
            raise ValueError(
                f"boxes must name pictures from 0 to {len(features) - 1}, got "
                f"{min(images)} to {max(images)}"
            )
    require_boxes("boxes", boxes)
    return images, at_least_float32(boxes.detach()) * spatial_scale


def _stack(pooled: list[Tensor], features: Tensor, size: tuple[int, int]) -> Tensor:
    none = features.new_zeros(0, features.shape[1], *size)
    return torch.stack(pooled) if pooled else none


def _require_levels(levels: Sequence[int]) -> None:
    if not len(levels):
        raise ValueError("levels must be at least one, got none")
    for level in levels:
        require_whole("levels", level)


def _require_maps(features: Tensor, shape: str = "B C H W") -> None:
    require_shape("features", features, shape, floating=True)
    if not features.shape[-1] * features.shape[-2]:
        raise ValueError(
            f"features must have at least one pixel, got {tuple(features.shape)}"
        )
