"""Prediction of a set: an assignment, what it costs, and the loss that follows.

Q queries answer with logits (..., Q, K + 1), the last of "no object", and with boxes
(..., Q, 4), cxcywh in shares of the picture. Targets are labels (..., N), int64 from 0,
-1 for padding, and boxes (..., N, 4), cxcywh. The module of the chapter
`book/detection/detr.ipynb`, with `lesson_utils/detr.py`.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils.common.boxes import cxcywh_to_xyxy, generalized_box_iou
from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import require_positive, require_shape

WEIGHTS = (1.0, 5.0, 2.0)  # of class, L1 and generalized IoU: the paper's


def hungarian(cost: Tensor) -> tuple[Tensor, Tensor]:
    """The one-to-one assignment of rows to columns with the smallest total cost.

    Rows come in one by one. A new row may push others on, along the cheapest path to
    a free column. Prices of rows and columns keep all reduced costs at 0 or above, so
    that the cheapest path is found as Dijkstra finds it.

    Args:
        cost: (N, M), any real numbers.

    Returns:
        Rows and columns of the min(N, M) pairs, int64 each, the rows ascending. Which
        of several equally cheap assignments it is, is not said.

    Raises:
        ValueError: `cost` is no matrix, or one of its numbers is NaN or infinite.

    Source: Kuhn, The Hungarian Method for the Assignment Problem, 1955; one row at a
        time, as Jonker and Volgenant, Computing 1987.
    """
    require_shape("cost", cost, "N M")
    if not cost.isfinite().all():
        raise ValueError("cost must be finite numbers, got NaN or infinity")
    if cost.shape[0] > cost.shape[1]:
        columns, rows = hungarian(cost.T)
        order = rows.argsort()
        return rows[order], columns[order]
    table, width = cost.tolist(), cost.shape[1]
    row_of, row_price, price = [-1] * width, [0.0] * len(table), [0.0] * width
    for new in range(len(table)):
        distance, before = [math.inf] * width, [-1] * width
        far, done = set(range(width)), []
        row, column, so_far = new, -1, 0.0
        while row >= 0:  # until the nearest column is a free one
            for j in far:
                length = so_far + table[row][j] - row_price[row] - price[j]
                if length < distance[j]:
                    distance[j], before[j] = length, column
            column = min(far, key=distance.__getitem__)
            so_far, row = distance[column], row_of[column]
            far.remove(column)
            done.append(column)
        row_price[new] += so_far
        for j in done[:-1]:
            row_price[row_of[j]] += so_far - distance[j]
            price[j] -= so_far - distance[j]
        while column >= 0:  # back along the path: each column gets the row before it
            row_of[column] = row_of[before[column]] if before[column] >= 0 else new
            column = before[column]
    pairs = sorted((row, column) for column, row in enumerate(row_of) if row >= 0)
    pairs = torch.tensor(pairs, dtype=torch.int64, device=cost.device)
    return pairs.view(-1, 2).unbind(dim=1)


@torch.no_grad()
def pair_costs(
    logits: Tensor,
    boxes: Tensor,
    target_labels: Tensor,
    target_boxes: Tensor,
    *,
    weights: Sequence[float] = WEIGHTS,
) -> Tensor:
    """What it costs to make each query responsible for each target.

    Args:
        logits: (..., Q, K + 1), the last of "no object".
        boxes: (..., Q, 4), cxcywh.
        target_labels: (..., N), int64; -1 is padding, and its costs mean nothing.
        target_boxes: (..., N, 4), cxcywh.
        weights: of the class, the L1 distance, and the generalized IoU.

    Returns:
        (..., Q, N), at least float32; no gradient flows through them.

    Raises:
        ValueError: shapes do not fit, a label is not below K, a width or height is
            below 0, or a box is not finite.

    Source: Carion et al., End-to-End Object Detection with Transformers, ECCV 2020,
        section 3.1 and appendix A.2.
    """
    _require_answers(logits, boxes, target_labels, target_boxes)
    sure = at_least_float32(logits).softmax(dim=-1)
    lead = torch.broadcast_shapes(sure.shape[:-2], target_labels.shape[:-1])
    labels = target_labels.clamp(min=0)[..., None, :]
    labels = labels.expand(*lead, sure.shape[-2], labels.shape[-1])
    # A probability, not its logarithm: then the three are of one size.
    by_class = -sure.expand(*lead, *sure.shape[-2:]).gather(-1, labels)
    boxes, target_boxes = at_least_float32(boxes), at_least_float32(target_boxes)
    by_sides = (boxes[..., :, None, :] - target_boxes[..., None, :, :]).abs().sum(-1)
    by_overlap = -generalized_box_iou(
        cxcywh_to_xyxy(boxes), cxcywh_to_xyxy(target_boxes)
    )
    return weights[0] * by_class + weights[1] * by_sides + weights[2] * by_overlap


@torch.no_grad()
def match(
    logits: Tensor,
    boxes: Tensor,
    target_labels: Tensor,
    target_boxes: Tensor,
    *,
    weights: Sequence[float] = WEIGHTS,
) -> Tensor:
    """The query that is responsible for each target: the cheapest assignment of all.

    Args:
        logits: (..., Q, K + 1), the last of "no object".
        boxes: (..., Q, 4), cxcywh.
        target_labels: (..., N), int64; -1 is padding.
        target_boxes: (..., N, 4), cxcywh.
        weights: of the class, the L1 distance, and the generalized IoU.

    Returns:
        (..., N), int64: no query twice in a picture; -1 where the target is padding.

    Raises:
        ValueError: a picture has more targets than queries, a logit is NaN, or see
            `pair_costs`.

    Source: Carion et al., End-to-End Object Detection with Transformers, ECCV 2020,
        equation 1.
    """
    cost = pair_costs(logits, boxes, target_labels, target_boxes, weights=weights)
    real = (target_labels >= 0).expand(*cost.shape[:-2], -1)
    if real.numel() and real.sum(-1).max() > cost.shape[-2]:
        raise ValueError(
            f"targets must be at most one for each of {cost.shape[-2]} queries, got "
            f"{real.sum(-1).max()}"
        )
    matched = torch.full(real.shape, -1)
    pictures = math.prod(real.shape[:-1])
    for row, its, costs in zip(
        matched.view(pictures, real.shape[-1]),
        real.reshape(pictures, real.shape[-1]).cpu(),
        cost.reshape(pictures, *cost.shape[-2:]).cpu(),
        strict=True,
    ):
        row[its] = hungarian(costs.T[its])[1]
    return matched.to(target_labels.device)


def set_loss(
    logits: Tensor,
    boxes: Tensor,
    target_labels: Tensor,
    target_boxes: Tensor,
    matched: Tensor,
    *,
    no_object: float = 0.1,
) -> tuple[Tensor, Tensor, Tensor]:
    """The losses of a set of predictions whose targets have been matched.

    A matched query is to say the class and the box of its target, all others are to
    say "no object".

    Args:
        logits: (..., Q, K + 1), the last of "no object".
        boxes: (..., Q, 4), cxcywh.
        target_labels: (..., N), int64; -1 is padding.
        target_boxes: (..., N, 4), cxcywh.
        matched: (..., N), int64, the query of each target, as of `match`.
        no_object: how much a query without a target counts in the first loss, where
            one with a target counts 1.

    Returns:
        Three scalars, (): the weighted mean of the cross entropy over all queries; the
        mean over all targets of the L1 distance of its box; that of 1 - generalized
        IoU. Without any target the last two are 0.

    Raises:
        ValueError: shapes do not fit, a target's query is none of the Q, two targets of
            a picture have one query, `no_object` is not above 0, or see `pair_costs`.

    Source: Carion et al., End-to-End Object Detection with Transformers, ECCV 2020,
        equation 2 and appendix A.2.
    """
    _require_answers(logits, boxes, target_labels, target_boxes)
    require_positive("no_object", no_object)
    logits, boxes = at_least_float32(logits), at_least_float32(boxes)
    real = target_labels >= 0
    _require_matched(matched, real, logits.shape[-2])
    classes = target_labels.new_full(logits.shape[:-1], logits.shape[-1] - 1)
    *place, target = real.nonzero(as_tuple=True)
    query = matched[real]
    classes[(*place, query)] = target_labels[real]
    weight = logits.new_ones(logits.shape[-1])
    weight[-1] = no_object
    class_loss = F.cross_entropy(
        logits.flatten(0, -2), classes.flatten(), weight=weight
    )
    mine, wanted = boxes[(*place, query)], at_least_float32(target_boxes[real])
    number = max(len(target), 1)
    overlap = generalized_box_iou(
        cxcywh_to_xyxy(mine)[:, None], cxcywh_to_xyxy(wanted)[:, None]
    )  # (P, 1, 1): of pairs, not of all with all
    return (
        class_loss,
        (mine - wanted).abs().sum() / number,
        (1 - overlap).sum() / number,
    )


def _require_answers(
    logits: Tensor, boxes: Tensor, target_labels: Tensor, target_boxes: Tensor
) -> None:
    require_shape("logits", logits, "... Q K", floating=True)
    require_shape("boxes", boxes, "... Q 4", floating=True, Q=logits.shape[-2])
    number = target_labels.shape[-1] if target_labels.dim() else -1
    require_shape("target_labels", target_labels, "... N")
    require_shape("target_boxes", target_boxes, "... N 4", floating=True, N=number)
    classes = logits.shape[-1] - 1
    if classes < 1 or not (target_labels < classes).all():
        raise ValueError(
            f"target_labels must be below {classes}, got {target_labels.tolist()}"
        )
    for name, values in (("logits", logits), ("boxes", boxes)):
        if values.isnan().any():
            raise ValueError(f"{name} must be numbers, got NaN")


def _require_matched(matched: Tensor, real: Tensor, queries: int) -> None:
    """Each target of a picture has a query of its own."""
    if matched.shape != real.shape:
        raise ValueError(
            f"matched must be one query for each target, {tuple(real.shape)}, got "
            f"{tuple(matched.shape)}"
        )
    its = matched[real]
    if len(its) and not (its.min() >= 0 and its.max() < queries):
        raise ValueError(f"matched must be of {queries} queries, got {its.tolist()}")
    row = matched.masked_fill(~real, -1).sort(dim=-1).values
    if ((row.diff(dim=-1) == 0) & (row[..., 1:] >= 0)).any():
        raise ValueError(f"matched must have no query twice, got {matched.tolist()}")
