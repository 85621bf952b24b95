"""Anchor boxes: where they stand, which object each answers for, and by how much.

The module of the chapter `book/detection/anchors.ipynb`. Boxes are xyxy in fractions of
the picture, x of its width and y of its height: (0, 0, 1, 1) is the whole picture. An
anchor's scale is a fraction of the picture's *height*, and its ratio is width to height
in pixels, so that a ratio of 1 is a square on the screen, whatever the picture's shape.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from lesson_utils.common.boxes import box_iou, cxcywh_to_xyxy, xyxy_to_cxcywh
from lesson_utils.common.require import require_share, require_whole

STD = (0.1, 0.1, 0.2, 0.2)  # what the offsets of x, y, width and height are divided by


def anchor_shapes(
    scales: Sequence[float] | Tensor, ratios: Sequence[float] | Tensor
) -> Tensor:
    """Width and height of the anchors that have one center.

    Not every scale meets every ratio: all scales take the first ratio, and the other
    ratios the first scale.

    Args:
        scales: (n,), the side of a square anchor, as a share of the picture's height.
        ratios: (m,), width to height.

    Returns:
        (n + m - 1, 2), width and height, both as shares of the picture's height: the
        area is the scale squared.

    Raises:
        ValueError: scales or ratios are empty, or not all finite and positive.

    Source: Zhang et al., Dive into Deep Learning, section 14.4.1.
    """
    scales, ratios = _positive("scales", scales), _positive("ratios", ratios)
    scale = torch.cat([scales, scales[:1].expand(len(ratios) - 1)])  # (n + m - 1,)
    ratio = torch.cat([ratios[:1].expand(len(scales)), ratios[1:]])
    return torch.stack([scale * ratio.sqrt(), scale / ratio.sqrt()], dim=1).float()


def anchor_boxes_at_pixel(
    row: int,
    column: int,
    height: int,
    width: int,
    *,
    scales: Sequence[float] | Tensor,
    ratios: Sequence[float] | Tensor,
) -> Tensor:
    """The anchors that stand on one pixel of a feature map.

    Args:
        row: the pixel's, from 0 at the top.
        column: the pixel's, from 0 on the left.
        height: H, rows of the feature map.
        width: W, its columns. H to W is taken for the shape of the picture.
        scales: (n,), see `anchor_shapes`.
        ratios: (m,), see `anchor_shapes`.

    Returns:
        (n + m - 1, 4), xyxy in shares of the picture; they may reach out of it.

    Raises:
        ValueError: the pixel is not on the map, or see `anchor_boxes`.

    Source: Zhang et al., Dive into Deep Learning, section 14.4.1.
    """
    _check_map(height, width)
    if not (0 <= row < height and 0 <= column < width):
        raise ValueError(
            f"row and column must be on the map of {height} x {width}, got {row} and "
            f"{column}"
        )
    sides = anchor_shapes(scales, ratios) * torch.tensor([height / width, 1])
    center = torch.tensor([(column + 0.5) / width, (row + 0.5) / height])
    return cxcywh_to_xyxy(torch.cat([center.expand_as(sides), sides], dim=1))


def anchor_boxes(
    height: int,
    width: int,
    *,
    scales: Sequence[float] | Tensor,
    ratios: Sequence[float] | Tensor,
    device: torch.device | str | None = None,
) -> Tensor:
    """The anchors on every pixel of a feature map, row by row.

    Args:
        height: H, rows of the feature map.
        width: W, its columns. H to W is taken for the shape of the picture.
        scales: (n,), see `anchor_shapes`.
        ratios: (m,), see `anchor_shapes`.
        device: where the anchors are to be; torch's default if left out.

    Returns:
        (H * W * (n + m - 1), 4), xyxy in shares of the picture; those of one pixel
        stand together, in the order of `anchor_shapes`. They may reach out of the
        picture: nothing is clipped.

    Raises:
        ValueError: height or width is not a positive whole number, or scales or ratios
            are empty, or not all finite and positive.

    Source: Ren et al., Faster R-CNN, NeurIPS 2015, section 3.1; in the order and
        convention of d2l's `multibox_prior`.
    """
    _check_map(height, width)
    shapes = anchor_shapes(scales, ratios).to(device)
    half = shapes * torch.tensor([height / width / 2, 1 / 2], device=device)
    x = (torch.arange(width, device=device) + 0.5) / width
    y = (torch.arange(height, device=device) + 0.5) / height
    # The first row of anchors, with its centers at y = 0, is every row but for y.
    around = torch.cat([-half, half], dim=1)  # (K, 4)
    on_x = torch.tensor([1.0, 0, 1, 0], device=device)
    first = around + x[:, None, None] * on_x  # (W, K, 4)
    on_y = (1 - on_x).expand_as(first).contiguous()
    return torch.addcmul(first, y[:, None, None, None], on_y).view(-1, 4)


def multiscale_anchors(
    feature_sizes: Sequence[tuple[int, int]],
    *,
    scales: Sequence[Sequence[float]],
    ratios: Sequence[float] | Tensor,
    device: torch.device | str | None = None,
) -> Tensor:
    """The anchors of several feature maps, one map after the other.

    Args:
        feature_sizes: rows and columns of each map.
        scales: for each map its own scales: small on fine maps, large on coarse ones.
        ratios: (m,), the same for all maps.
        device: as for `anchor_boxes`.

    Returns:
        (A, 4), what `anchor_boxes` gives for each map, concatenated.

    Raises:
        ValueError: no map, scales for another number of maps, or see `anchor_boxes`.

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.2.
    """
    if not len(feature_sizes) or len(scales) != len(feature_sizes):
        raise ValueError(
            "scales must be one sequence for each of at least one map, got "
            f"{len(scales)} for {len(feature_sizes)} feature_sizes"
        )
    return torch.cat(
        [
            anchor_boxes(*size, scales=s, ratios=ratios, device=device)
            for size, s in zip(feature_sizes, scales, strict=True)
        ]
    )


def assign_anchors(
    anchors: Tensor, boxes: Tensor, *, iou_threshold: float = 0.5
) -> Tensor:
    """Which ground-truth box each anchor answers for.

    First the binding: the largest IoU of all binds its anchor to its object, both
    leave, and so on until no object is left (or no anchor). Then every anchor that is
    still free takes the object it overlaps most, if that IoU reaches the threshold.
    Among equal IoUs the first anchor wins, and for it the first object. An object that
    no anchor overlaps is bound all the same, at an IoU of 0: to the first anchor that
    is free.

    Args:
        anchors: (A, 4), xyxy.
        boxes: (M, 4), xyxy, in the units of `anchors`: the ground truth.
        iou_threshold: in [0, 1]; at the threshold is enough.

    Returns:
        (A,), int64: a row of `boxes`, or -1 for background. Every object has an
        anchor of its own, unless there are more objects than anchors.

    Raises:
        ValueError: anchors or boxes are no xyxy boxes of two dimensions, or the
            threshold leaves [0, 1].

    Source: Liu et al., SSD: Single Shot MultiBox Detector, ECCV 2016, section 2.2;
        Zhang et al., Dive into Deep Learning, section 14.4.3.
    """
    require_share("iou_threshold", iou_threshold)
    if anchors.dim() != 2 or boxes.dim() != 2:
        raise ValueError(
            "anchors must be (A, 4) and boxes (M, 4), got shapes "
            f"{tuple(anchors.shape)} and {tuple(boxes.shape)}"
        )
    # Each coordinate of the anchors in one piece of memory halves the time for IoU.
    iou = box_iou(boxes, anchors.T.contiguous().T)  # (M, A)
    truth = torch.full((len(anchors),), -1, device=anchors.device)
    if not iou.numel():
        return truth
    reached = (iou.amax(dim=0) >= iou_threshold).nonzero()[:, 0]  # few of the anchors
    truth[reached] = iou[:, reached].argmax(dim=0)
    for a, m in _bind(iou):
        truth[a] = m
    return truth


def encode_offsets(
    anchors: Tensor, boxes: Tensor, *, std: Sequence[float] = STD
) -> Tensor:
    """How each anchor would have to move and grow to become its box.

    Args:
        anchors: (..., N, 4), xyxy.
        boxes: (..., N, 4), xyxy, in the units of `anchors`: row i is for anchor i.
        std: four numbers, about the spread of the offsets before they are divided by
            it.

    Returns:
        (..., N, 4): shift of the center in x and y, in anchor widths and heights, and
        the logarithm of the growth of width and height, each divided by its `std`.

    Raises:
        ValueError: anchors or boxes are no xyxy boxes, or one of them has no width or
            no height (it has no logarithm), or `std` is not four positive numbers.

    Source: Girshick et al., Rich Feature Hierarchies, CVPR 2014 (appendix C of its
        arXiv version); the divisors are those of the code of Liu et al., SSD, ECCV
        2016, and in neither paper.
    """
    center, side = _center_and_side("anchors", anchors)
    new_center, new_side = _center_and_side("boxes", boxes)
    moved = (new_center - center) / side
    return torch.cat([moved, (new_side / side).log()], dim=-1) / _std(std, side)


def decode_offsets(
    anchors: Tensor, offsets: Tensor, *, std: Sequence[float] = STD
) -> Tensor:
    """The boxes that offsets make of anchors; undoes `encode_offsets`.

    Args:
        anchors: (..., N, 4), xyxy.
        offsets: (..., N, 4), as `encode_offsets` returns them.
        std: what they were divided by.

    Returns:
        (..., N, 4), xyxy, in the units of `anchors`; not clipped to the picture.

    Raises:
        ValueError: anchors are no xyxy boxes or one has no width or height, offsets
            are not (..., N, 4) or decode to a box that is not finite, or `std` is not
            four positive numbers.

    Source: as `encode_offsets`.
    """
    center, side = _center_and_side("anchors", anchors)
    if offsets.shape[-1:] != (4,):
        raise ValueError(f"offsets must be (..., N, 4), got {tuple(offsets.shape)}")
    moved, grown = (offsets * _std(std, side)).split(2, dim=-1)
    boxes = torch.cat([center + moved * side, grown.exp() * side], dim=-1)
    if not boxes.isfinite().all():
        bad = ~boxes.isfinite().all(dim=-1)
        raise ValueError(
            "offsets must be finite and decode to finite boxes, got "
            f"{offsets.expand_as(boxes)[bad][0].tolist()}"
        )
    return cxcywh_to_xyxy(boxes)


def anchor_targets(
    anchors: Tensor,
    labels: Tensor,
    *,
    iou_threshold: float = 0.5,
    std: Sequence[float] = STD,
) -> tuple[Tensor, Tensor, Tensor]:
    """What a detector should answer at each anchor, for a batch of pictures.

    Args:
        anchors: (A, 4), xyxy, the same for all pictures, each with width and height.
        labels: (B, M, 5): class, x1, y1, x2, y2, in the units of `anchors`. Class -1
            is padding, and what stands beside it does not matter.
        iou_threshold: see `assign_anchors`.
        std: see `encode_offsets`.

    Returns:
        offsets: (B, A, 4), `encode_offsets` of each bound anchor, and 0 for the others.
        mask: (B, A), bool: the anchors that are bound, whose offsets count.
        classes: (B, A), int64: 0 for background, class + 1 for the others.

    Raises:
        ValueError: labels are not (B, M, 5), a class is not a whole number >= -1, an
            anchor or a true box is no xyxy box or has no width or no height, or the
            threshold leaves [0, 1].

    Source: after d2l's `multibox_target`, which returns offsets and mask flat, as
        (B, 4A), and treats padding as boxes.
    """
    _check_labels(labels)
    _center_and_side("anchors", anchors)
    anchors = anchors.T.contiguous().T  # see assign_anchors; here once for all
    real = labels[..., 0] >= 0
    truths, numbers = labels[real], real.sum(dim=1).tolist()  # (T, 5), of all pictures
    rows = []  # of `truths`, for each anchor; one picture at a time, to stay in cache
    for boxes in truths[:, 1:].split(numbers):
        start = sum(numbers[: len(rows)])
        row = assign_anchors(anchors, boxes, iou_threshold=iou_threshold)
        rows.append(row.where(row < 0, row + start))
    row = torch.stack(rows)  # (B, A)
    bound = row >= 0
    chosen, anchor = truths[row[bound]], bound.nonzero()[:, 1]
    offsets = truths.new_zeros(*row.shape, 4)
    offsets[bound] = encode_offsets(anchors[anchor], chosen[:, 1:], std=std)
    classes = torch.zeros_like(row)
    classes[bound] = chosen[:, 0].long() + 1
    return offsets, bound, classes


def _bind(iou: Tensor) -> Iterator[tuple[int, int]]:
    """Pairs of anchor and truth, from (M, A) overlaps that are overwritten with -1."""
    largest, nearest = (each.tolist() for each in iou.max(dim=1))  # of each truth
    left = list(range(len(iou)))
    for _ in range(min(iou.shape)):
        m = max(left, key=largest.__getitem__)
        a = nearest[m]
        yield a, m
        left.remove(m)
        iou[:, a] = -1
        for other in left:
            if nearest[other] == a:  # its best anchor has just been taken: look again
                value, anchor = iou[other].max(dim=0)
                largest[other], nearest[other] = value.item(), anchor.item()


def _check_labels(labels: Tensor) -> None:
    shape = tuple(labels.shape)
    if (
        not labels.is_floating_point()
        or len(shape) != 3
        or shape[2] != 5
        or not shape[0]
    ):
        raise ValueError(
            "labels must be floating point and (B, M, 5) of at least one picture, got "
            f"{labels.dtype} and shape {shape}"
        )
    number = labels[..., 0]
    good = (number >= -1) & (number == number.round()) & number.isfinite()
    if not good.all():
        raise ValueError(
            "labels must begin with a class: a whole number >= 0, or -1 for padding, "
            f"got {number[~good][0].item()}"
        )


def _center_and_side(name: str, boxes: Tensor) -> tuple[Tensor, Tensor]:
    """(..., N, 2) each, of boxes that have an area."""
    center, side = xyxy_to_cxcywh(boxes).split(2, dim=-1)
    if not (side > 0).all():
        empty = boxes[(side <= 0).any(dim=-1)][0].tolist()
        raise ValueError(f"{name} must have a width and a height, got {empty}")
    return center, side


def _std(std: Sequence[float], like: Tensor) -> Tensor:
    values = _positive("std", std).to(like)
    if values.shape != (4,):
        raise ValueError(f"std must be four positive numbers, got {tuple(std)}")
    return values


def _positive(name: str, values: Sequence[float] | Tensor) -> Tensor:
    values = torch.as_tensor(values, dtype=torch.float64).cpu()
    good = (values > 0) & values.isfinite()
    if values.dim() != 1 or not len(values) or not good.all():
        raise ValueError(
            f"{name} must be a sequence of finite positive numbers, got "
            f"{values.tolist()}"
        )
    return values


def _check_map(height: int, width: int) -> None:
    require_whole("height", height)
    require_whole("width", width)
