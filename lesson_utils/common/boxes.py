"""Boxes of the detection chapters: areas, overlaps, conversions.

A box is xyxy: x1, y1, x2, y2, its left, top, right and bottom edge, so that its width
is x2 - x1. Units are the caller's: pixels, or shares of the picture in [0, 1]; two sets
that are compared must be in the same. Boxes may be whole numbers. Areas and overlaps of
boxes in half precision are computed and returned in float32, as are those of whole
numbers: 300 x 300 pixels are already infinite in float16.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from lesson_utils.common.dtypes import as_floating, at_least_float32
from lesson_utils.common.require import (
    require_boxes,
    require_boxes_within,
    require_crop,
    size_pair,
)


def box_area(boxes: Tensor) -> Tensor:
    """The area of each box.

    Args:
        boxes: (..., N, 4), xyxy.

    Returns:
        (..., N), at least 0, in the square of the boxes' unit.

    Raises:
        ValueError: see `require_boxes`.
    """
    require_boxes("boxes", boxes)
    return _area(boxes)


def box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Intersection over union of every box of one set with every box of another.

    Args:
        boxes1: (..., N, 4), xyxy; leading dimensions broadcast, for batches.
        boxes2: (..., M, 4), xyxy, in the units of `boxes1`.

    Returns:
        (..., N, M), each in [0, 1]; two boxes without area score 0, not NaN.

    Raises:
        ValueError: see `require_boxes`.

    Source: Everingham et al., The PASCAL Visual Object Classes (VOC) Challenge, IJCV
        2010, section 4.2.
    """
    intersection, union = _intersection_and_union(boxes1, boxes2)
    return _share(intersection, union)


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU less the share of the smallest box around both that neither covers.

    It goes on falling as boxes move apart, where IoU stays at 0.

    Args:
        boxes1: (..., N, 4), xyxy; leading dimensions broadcast.
        boxes2: (..., M, 4), xyxy, in the units of `boxes1`.

    Returns:
        (..., N, M), each in [-1, 1]; at most the IoU.

    Raises:
        ValueError: see `require_boxes`.

    Source: Rezatofighi et al., Generalized Intersection over Union: A Metric and a Loss
        for Bounding Box Regression, CVPR 2019, algorithm 1.
    """
    intersection, union = _intersection_and_union(boxes1, boxes2)
    hull = _hull_sides(boxes1, boxes2).prod(-1)  # (..., N, M)
    return _share(intersection, union) - _share(hull - union, hull)


def distance_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """IoU less the squared distance of the centers, in units of the hull's diagonal.

    Args:
        boxes1: (..., N, 4), xyxy; leading dimensions broadcast.
        boxes2: (..., M, 4), xyxy, in the units of `boxes1`.

    Returns:
        (..., N, M), each in (-1, 1]; at most the IoU.

    Raises:
        ValueError: see `require_boxes`.

    Source: Zheng et al., Distance-IoU Loss: Faster and Better Learning for Bounding Box
        Regression, AAAI 2020, equation 7.
    """
    intersection, union = _intersection_and_union(boxes1, boxes2)
    centers1, centers2 = (
        at_least_float32(boxes).unflatten(-1, (2, 2)).mean(-2)
        for boxes in (boxes1, boxes2)
    )
    apart = centers1[..., :, None, :] - centers2[..., None, :, :]  # (..., N, M, 2)
    diagonal = _hull_sides(boxes1, boxes2).square().sum(-1)
    return _share(intersection, union) - _share(apart.square().sum(-1), diagonal)


def xyxy_to_cxcywh(boxes: Tensor) -> Tensor:
    """Corners to center, width and height.

    Args:
        boxes: (..., N, 4), xyxy.

    Returns:
        (..., N, 4): center x, center y, width, height.

    Raises:
        ValueError: see `require_boxes`.
    """
    require_boxes("boxes", boxes)
    boxes = as_floating(boxes)
    corner1, corner2 = boxes[..., :2], boxes[..., 2:]
    return torch.cat([(corner1 + corner2) / 2, corner2 - corner1], dim=-1)


def cxcywh_to_xyxy(boxes: Tensor) -> Tensor:
    """Center, width and height to corners.

    Args:
        boxes: (..., N, 4): center x, center y, width, height.

    Returns:
        (..., N, 4), xyxy.

    Raises:
        ValueError: `boxes` is not (..., N, 4), or a width or height is negative or a
            value not finite.
    """
    boxes = as_floating(boxes)
    centers, sides = boxes[..., :2], boxes[..., 2:]
    if boxes.dim() < 2 or boxes.shape[-1] != 4 or not (sides >= 0).all():
        raise ValueError(
            "boxes must be (..., N, 4), cxcywh, with widths and heights >= 0, got "
            f"shape {tuple(boxes.shape)} and sides down to "
            f"{sides.min().item() if sides.numel() else 'none'}"
        )
    result = torch.cat([centers - sides / 2, centers + sides / 2], dim=-1)
    require_boxes("boxes", result)
    return result


def flip_boxes(boxes: Tensor, width: int) -> Tensor:
    """Boxes in the mirrored picture: x becomes W - x, and left and right change places.

    Args:
        boxes: (N, 4), xyxy in pixels, by their edges.
        width: W, in pixels.

    Returns:
        (N, 4), with x1 <= x2 again; int64 for whole numbers.

    Raises:
        ValueError: boxes are not (N, 4), or one is not within 0 <= x1 <= x2 <= W.

    Source: the definition; `torchvision.transforms.v2.functional.horizontal_flip`
        returns the same.
    """
    require_boxes_within(boxes, math.inf, width)
    # In bytes, a width of 300 less x would count from 0 again.
    boxes = boxes if boxes.is_floating_point() else boxes.long()
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=1)


def crop_boxes(
    boxes: Tensor, crop: Sequence[int], size: int | tuple[int, int]
) -> Tensor:
    """Boxes in a picture that is cropped and resized: shifted, clipped, scaled.

    Args:
        boxes: (N, 4), xyxy in pixels, by their edges.
        crop: (4,), x1, y1, x2, y2 in whole pixels of the same picture.
        size: height and width of the crop afterwards, or one number for both.

    Returns:
        (N, 4), floating point, within the new picture. A box that lay outside of the
        crop has no area now; drop it together with its label.

    Raises:
        ValueError: boxes are not (N, 4) with 0 <= x1 <= x2 and 0 <= y1 <= y2, the
            crop is empty or begins below 0, or a size is not a whole number >= 1.

    Source: the definition.
    """
    require_boxes_within(boxes, math.inf, math.inf)
    x1, y1, x2, y2 = require_crop(crop, math.inf, math.inf)
    height, width = size_pair("size", size)
    boxes = as_floating(boxes)
    scale = boxes.new_tensor([width / (x2 - x1), height / (y2 - y1)] * 2)
    x = (boxes[:, 0::2] - x1).clamp(0, x2 - x1)  # (N, 2)
    y = (boxes[:, 1::2] - y1).clamp(0, y2 - y1)  # (N, 2)
    return torch.stack([x, y], dim=2).flatten(1) * scale


def _area(boxes: Tensor) -> Tensor:
    boxes = at_least_float32(boxes)
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def _intersection_and_union(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """Areas, (..., N, M) each; one coordinate at a time, which saves memory."""
    require_boxes("boxes1", boxes1)
    require_boxes("boxes2", boxes2)
    boxes1, boxes2 = at_least_float32(boxes1), at_least_float32(boxes2)
    first = boxes1[..., :, None, :].unbind(-1)  # four of (..., N, 1)
    second = boxes2[..., None, :, :].unbind(-1)  # four of (..., 1, M)
    # In place on what was made here: for thousands of anchors, memory is the time.
    sides = [
        torch.minimum(first[far], second[far])
        .sub_(torch.maximum(first[near], second[near]))
        # Before the product: boxes apart on both axes have two negative sides.
        .clamp_(min=0)
        for near, far in ((0, 2), (1, 3))
    ]
    intersection = sides[0].mul_(sides[1])
    union = _area(boxes1)[..., :, None] + _area(boxes2)[..., None, :]
    return intersection, union.sub_(intersection)


def _hull_sides(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """Width and height of the smallest box around each pair, (..., N, M, 2)."""
    first = at_least_float32(boxes1)[..., :, None, :]
    second = at_least_float32(boxes2)[..., None, :, :]
    far = torch.maximum(first[..., 2:], second[..., 2:])
    return far - torch.minimum(first[..., :2], second[..., :2])


def _share(part: Tensor, whole: Tensor) -> Tensor:
    # A clamp, not a select: torch.where would keep the value and poison the gradient.
    return part / whole.clamp(min=torch.finfo(whole.dtype).tiny)
