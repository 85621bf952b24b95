"""The checks of the chapter `book/detection/detr.ipynb`."""

import math
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision import ops

from lesson_utils.common import set_prediction, transformer
from lesson_utils.grading.draws import normal, uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake


def _boxes(number: int, seed: int) -> Tensor:
    """cxcywh, within the picture, (N, 4)."""
    sides = 0.1 + 0.4 * uniform(number, 2, seed=seed)
    centers = sides / 2 + (1 - sides) * uniform(number, 2, seed=seed + 50)
    return torch.cat([centers, sides], dim=1)


def _picture(queries: int, targets: int, classes: int, seed: int = 0) -> tuple:
    labels = torch.arange(targets) * 7 % classes
    return (
        2 * normal(queries, classes + 1, seed=seed),
        _boxes(queries, seed + 1),
        labels,
        _boxes(targets, seed + 2),
    )


def _corners(boxes: Tensor) -> Tensor:
    return ops.box_convert(boxes, "cxcywh", "xyxy")


def _check(
    logits: Tensor, boxes: Tensor, target_labels: Tensor, target_boxes: Tensor
) -> None:
    if any(each.isnan().any() for each in (logits, boxes, target_boxes)):
        raise ValueError("NaN")
    if len(target_labels) and target_labels.max() >= logits.shape[1] - 1:
        raise ValueError("no such class")


# pair_costs -------------------------------------------------------------------------


def _looped_costs(logits, boxes, target_labels, target_boxes) -> Tensor:
    """Pair by pair."""
    costs = logits.new_zeros(len(logits), len(target_labels))
    for i, row in enumerate(logits):
        for j, label in enumerate(target_labels.tolist()):
            one, other = boxes[i : i + 1], target_boxes[j : j + 1]
            overlap = ops.generalized_box_iou(_corners(one), _corners(other))
            sides = sum(abs(a - b) for a, b in zip(one[0], other[0], strict=True))
            sure = row[label].exp() / row.exp().sum()
            costs[i, j] = -sure + 5 * sides - 2 * overlap[0, 0]
    return costs


def _costs_cases() -> Iterator[Case]:
    close = {"rtol": 1e-5, "atol": 1e-5}  # torchvision's losses have an epsilon
    half = torch.tensor([[0.5, 0.5, 0.5, 0.5], [0.25, 0.25, 0.5, 0.5]]).double()
    sure = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.75, 0.125]]).double().log()
    # The second box of a quarter touches the target's quarter: IoU 1/7, hull 9/16.
    apart = 5 * 0.5 - 2 * (1 / 7 - 2 / 9)
    expected = torch.tensor([[-0.5 - 2], [-0.125 + apart]]).double()
    yield Case(
        "two queries and a target, by hand",
        (sure, half, torch.tensor([0]), half[:1].clone()),
        expected=expected,
        **close,
    )
    for queries, targets, classes in ((5, 3, 4), (4, 4, 2), (7, 1, 3)):
        yield Case.from_reference(
            f"{queries} queries, {targets} targets, {classes} classes",
            _looped_costs,
            *_picture(queries, targets, classes, seed=queries),
            **close,
        )
    logits, boxes, labels, targets = _picture(4, 3, 3)
    yield Case.from_reference(
        "more targets than queries", _looped_costs, logits[:2], boxes[:2], labels,
        targets, hardening=True, **close,
    )  # fmt: skip
    yield Case(
        "no target",
        (logits, boxes, labels[:0], targets[:0]),
        expected=logits.new_zeros(4, 0),
        hardening=True,
    )
    yield Case(
        "a class that is not there",
        (logits, boxes, torch.tensor([0, 3, 1]), targets),
        raises=ValueError,
    )
    yield Case(
        "a logit that is NaN",
        (logits * torch.tensor([1, math.nan, 1, 1]), boxes, labels, targets),
        raises=ValueError,
    )
    spoiled = torch.tensor([1, 1, math.nan, 1])
    yield Case(
        "a box that is NaN", (logits, boxes * spoiled, labels, targets),
        raises=ValueError,
    )  # fmt: skip
    yield Case(
        "a target's box that is NaN", (logits, boxes, labels, targets * spoiled),
        raises=ValueError,
    )  # fmt: skip


def _wrong_costs(logits, boxes, target_labels, target_boxes, *, way: str) -> Tensor:
    """The right answer with one thing wrong."""
    _check(logits, boxes, target_labels, target_boxes)
    sure = logits.softmax(-1)
    if way == "logarithm":
        sure = logits.log_softmax(-1)
    elif way == "logits":
        sure = logits
    elif way == "without the last":
        sure = logits[:, :-1].softmax(-1)
    elif way == "sigmoid":
        sure = logits.sigmoid()
    elif way == "over queries":
        sure = logits.softmax(0)
    by_class = -sure[:, target_labels]
    by_sides = (boxes[:, None] - target_boxes).abs().sum(-1)
    if way == "mean":
        by_sides = by_sides / 4
    elif way == "squares":
        by_sides = (boxes[:, None] - target_boxes).square().sum(-1)
    elif way == "distance":
        by_sides = (boxes[:, None] - target_boxes).norm(dim=-1)
    elif way == "smooth":
        each = (boxes[:, None] - target_boxes).abs()
        by_sides = torch.where(each < 1, each**2 / 2, each - 0.5).sum(-1)
    elif way == "centers":
        by_sides = (boxes[:, None] - target_boxes)[..., :2].abs().sum(-1)
    elif way == "corners":
        by_sides = (_corners(boxes)[:, None] - _corners(target_boxes)).abs().sum(-1)
    measure = ops.box_iou if way == "IoU" else ops.generalized_box_iou
    overlap = -measure(_corners(boxes), _corners(target_boxes))
    if way == "cxcywh":
        overlap = -ops.generalized_box_iou(boxes, target_boxes)
    elif way == "xywh":
        overlap = -ops.generalized_box_iou(
            ops.box_convert(boxes, "xywh", "xyxy"),
            ops.box_convert(target_boxes, "xywh", "xyxy"),
        )
    elif way == "cut at 0":
        overlap = overlap.clamp(max=0)
    elif way == "1 - GIoU":
        overlap = 1 + overlap
    elif way == "sign of GIoU":
        overlap = -overlap
    if way == "largest":
        by_class = -sure.amax(-1, keepdim=True).expand_as(by_class)
    if way == "1 - p":
        by_class = 1 + by_class
    elif way == "sign of p":
        by_class = -by_class
    weights = {
        "no weights": (1, 1, 1),
        "weights swapped": (1, 2, 5),
        "L1 unweighted": (1, 1, 2),
        "GIoU unweighted": (1, 5, 1),
        "class doubled": (2, 5, 2),
    }.get(way, (1, 5, 2))
    cost = weights[0] * by_class + weights[1] * by_sides + weights[2] * overlap
    if way == "both":
        cost = cost + 3  # 1 - p, and twice 1 - GIoU
    if way == "diagonal":
        return cost.diagonal()
    return cost.T if way == "turned" else cost


_CONSTANT = (
    "Every cost is larger by the same number: 1 − p is −p and a constant, and so it is "
    "with the generalized IoU. The matching would be the same; here −p and −GIoU are "
    "asked for."
)
_NOT_P = "The first term is minus the *probability* of the target's class: "
_PAIR_COSTS = Exercise(
    name="pair_costs",
    solution=set_prediction.pair_costs,
    cases=_costs_cases,
    mistakes=(
        Mistake(
            _NOT_P + "you have taken its logarithm, as a loss does.",
            partial(_wrong_costs, way="logarithm"),
        ),
        Mistake(
            _NOT_P + "take the softmax of the logits first.",
            partial(_wrong_costs, way="logits"),
        ),
        Mistake(
            _NOT_P + "the softmax is over all K + 1 logits, that of no object too.",
            partial(_wrong_costs, way="without the last"),
        ),
        Mistake(
            _NOT_P + "of a softmax over the classes, not of a sigmoid.",
            partial(_wrong_costs, way="sigmoid"),
        ),
        Mistake(
            _NOT_P + "the softmax is over the classes, not over the queries.",
            partial(_wrong_costs, way="over queries"),
        ),
        Mistake(
            "A query that is sure of the class should be cheap: the probability counts "
            "with a minus.",
            partial(_wrong_costs, way="sign of p"),
        ),
        Mistake(
            "A query whose box fits should be cheap: the generalized IoU counts with a "
            "minus.",
            partial(_wrong_costs, way="sign of GIoU"),
        ),
        Mistake(
            "The L1 distance is the *sum* over the four numbers of a box, not their "
            "mean.",
            partial(_wrong_costs, way="mean"),
        ),
        Mistake(
            "L1 is the sum of absolute differences. Yours are squared.",
            partial(_wrong_costs, way="squares"),
        ),
        Mistake(
            "L1 is the sum of absolute differences. Yours is the Euclidean distance.",
            partial(_wrong_costs, way="distance"),
        ),
        Mistake(
            "The L1 distance is of the boxes as they are given, cxcywh. Only the "
            "generalized IoU wants corners.",
            partial(_wrong_costs, way="corners"),
        ),
        Mistake(
            "The boxes are cxcywh. The generalized IoU wants xyxy: convert both sets.",
            partial(_wrong_costs, way="cxcywh"),
        ),
        Mistake(
            "This is the plain IoU, which is 0 for all boxes that do not touch. Asked "
            "for is the generalized one.",
            partial(_wrong_costs, way="IoU"),
        ),
        *(
            Mistake(
                "The three terms have weights: 1 for the class, 5 for the L1 distance, "
                "2 for the generalized IoU.",
                partial(_wrong_costs, way=way),
            )
            for way in (
                "no weights",
                "L1 unweighted",
                "GIoU unweighted",
                "class doubled",
            )
        ),
        Mistake(
            "The first two numbers of a box are its *center*. You convert as if they "
            "were a corner.",
            partial(_wrong_costs, way="xywh"),
        ),
        Mistake(
            "The generalized IoU may be below 0, where it tells boxes apart that do "
            "not touch: do not cut it off at 0.",
            partial(_wrong_costs, way="cut at 0"),
        ),
        Mistake(
            "L1 is the sum of absolute differences. Yours is smooth L1, which squares "
            "small ones.",
            partial(_wrong_costs, way="smooth"),
        ),
        Mistake(
            "The L1 distance is over all four numbers, width and height, too.",
            partial(_wrong_costs, way="centers"),
        ),
        Mistake(
            _NOT_P + "yours is the largest probability that the query gives.",
            partial(_wrong_costs, way="largest"),
        ),
        Mistake(
            "*Each* query is to be compared with each target, (Q, N), not the first "
            "with the first.",
            partial(_wrong_costs, way="diagonal"),
        ),
        Mistake(
            "5 is the weight of the L1 distance, 2 that of the generalized IoU.",
            partial(_wrong_costs, way="weights swapped"),
        ),
        Mistake(_CONSTANT, partial(_wrong_costs, way="1 - p")),
        Mistake(_CONSTANT, partial(_wrong_costs, way="1 - GIoU")),
        Mistake(_CONSTANT, partial(_wrong_costs, way="both")),
        Mistake(
            "Rows are queries and columns are targets, (Q, N). Yours is turned.",
            partial(_wrong_costs, way="turned"),
        ),
    ),
    hints=(
        "`logits.softmax(-1)[:, target_labels]` has the probability that each query "
        "gives the class of each target, (Q, N).",
        "`boxes[:, None] - target_boxes` is (Q, N, 4).",
        "`lesson_utils.common.boxes` has `cxcywh_to_xyxy` and `generalized_box_iou`.",
    ),
)


# set_loss ---------------------------------------------------------------------------


def _looped_loss(
    logits, boxes, target_labels, target_boxes, matched, *, no_object=0.1
) -> tuple[Tensor, Tensor, Tensor]:
    """Query by query."""
    target_of = {query: j for j, query in enumerate(matched.tolist())}
    total, weights = logits.new_zeros(()), 0.0
    sides, overlaps = boxes.sum() * 0, boxes.sum() * 0
    for i, row in enumerate(logits):
        j = target_of.get(i)
        label = len(row) - 1 if j is None else int(target_labels[j])
        weight = no_object if j is None else 1.0
        total = total + weight * (row.logsumexp(0) - row[label])
        weights += weight
        if j is not None:
            sides = sides + (boxes[i] - target_boxes[j]).abs().sum()
            mine, wanted = _corners(boxes[i : i + 1]), _corners(target_boxes[j : j + 1])
            overlaps = overlaps + 1 - ops.generalized_box_iou(mine, wanted)[0, 0]
    number = max(len(target_of), 1)
    return total / weights, sides / number, overlaps / number


def _loss_cases() -> Iterator[Case]:
    logits = torch.tensor([[0.0, 0, 0, 0], [2.0, 0, 0, 0], [0.0, 0, 0, 4]]).double()
    boxes = torch.tensor(
        [[0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0.5, 0.5], [0.1, 0.1, 0.2, 0.2]]
    ).double()
    target = torch.tensor([[0.25, 0.25, 0.5, 0.5]]).double()
    entropies = (math.log(4), math.log(math.exp(2) + 3) - 2, math.log1p(3 / math.e**4))
    by_class = (0.5 * entropies[0] + entropies[1] + 0.5 * entropies[2]) / 2
    expected = tuple(
        torch.tensor(value).double() for value in (by_class, 0.5, 1 - (1 / 7 - 2 / 9))
    )
    close = {"rtol": 1e-5, "atol": 1e-6}  # torchvision's loss has an epsilon
    yield Case(
        "three queries and a target, by hand",
        (logits, boxes, torch.tensor([0]), target, torch.tensor([1])),
        {"no_object": 0.5},
        expected=expected,
        **close,
    )
    for queries, targets, classes, matched in (
        (5, 3, 4, [4, 0, 2]),
        (6, 2, 3, [1, 5]),
        (3, 3, 2, [2, 0, 1]),
    ):
        yield Case.from_reference(
            f"{queries} queries, {targets} targets, {classes} classes",
            _looped_loss,
            *_picture(queries, targets, classes, seed=queries),
            torch.tensor(matched),
            no_object=0.25,
            gradient=True,
            **close,
        )
    yield Case.from_reference(
        "no_object left out", _looped_loss, *_picture(8, 2, 3), torch.tensor([6, 3]),
        **close,
    )  # fmt: skip
    logits, boxes, labels, targets = _picture(4, 2, 3)
    yield Case.from_reference(
        "no target", _looped_loss, logits, boxes, labels[:0], targets[:0],
        torch.zeros(0, dtype=torch.int64), hardening=True,
    )  # fmt: skip
    for name, matched in (
        ("a query that is not there", [1, 4]),
        ("a query twice", [2, 2]),
        ("a query for one of two targets", [2]),
    ):
        yield Case(
            name,
            (logits, boxes, labels, targets, torch.tensor(matched)),
            raises=ValueError,
        )


def _wrong_loss(
    logits, boxes, target_labels, target_boxes, matched, *, no_object=0.1, way: str
) -> tuple[Tensor, Tensor, Tensor]:
    """The right answer with one thing wrong."""
    queries, number = len(logits), len(target_labels)
    if len(matched) != number or len(matched.unique()) != number:
        raise ValueError("not one query for each target")
    if number and matched.max() >= queries:
        raise ValueError("no such query")
    if way == "in order":
        matched = torch.arange(number)
    elif way == "turned":
        matched = matched.argsort()
    elif way == "targets by query":
        target_labels = target_labels[matched.argsort()]
        target_boxes = target_boxes[matched.argsort()]
    nothing = 0 if way == "first class" else logits.shape[1] - 1
    classes = torch.full((queries,), nothing)
    classes[matched] = target_labels
    weight = torch.ones_like(logits[0])
    weight[nothing] = no_object
    if way == "softmax twice":
        logits = logits.softmax(-1)
    if way == "weight of the first":
        weight = weight.flip(0)
    elif way == "always 0.1":
        weight[nothing] = 0.1
    each = F.cross_entropy(logits, classes, reduction="none")
    weights = weight[classes]
    by_class = (weights * each).sum() / weights.sum()
    if way == "no weight":
        by_class = each.mean()
    elif way == "over queries":
        by_class = (weights * each).sum() / queries
    elif way == "over targets":
        by_class = (weights * each).sum() / max(number, 1)
    elif way == "sum":
        by_class = (weights * each).sum()
    elif way == "matched only":
        by_class = each[matched].sum() / max(number, 1)
    mine, count = boxes[matched], max(number, 1)
    sides = (mine - target_boxes).abs().sum() / count
    if way == "mean of four":
        sides = sides / 4
    elif way == "squares":
        sides = (mine - target_boxes).square().sum() / count
    elif way == "smooth":
        sides = F.smooth_l1_loss(mine, target_boxes, reduction="sum") / count
    elif way == "distance":
        sides = (mine - target_boxes).norm(dim=-1).sum() / count
    elif way == "sides summed":
        sides = sides * count
    elif way == "sides over queries":
        sides = sides * count / queries
    measure = ops.box_iou if way == "IoU" else ops.generalized_box_iou
    corners = (lambda b: b) if way == "cxcywh" else _corners
    overlap = measure(corners(mine), corners(target_boxes))
    sums = overlap.diagonal().sum()
    if way == "all with all":
        return by_class, sides, 1 - overlap.mean()
    if way == "not 1 -":
        return by_class, sides, sums / count
    if way == "minus":
        return by_class, sides, -sums / count
    share = queries if way == "boxes over queries" else count
    sides = sides * count / share
    overlaps = (number - sums) / share
    if way in ("boxes summed", "overlaps summed"):
        overlaps = overlaps * count
        sides = sides * count if way == "boxes summed" else sides
    if way == "swapped":
        return by_class, overlaps, sides
    if way == "weighted":
        return by_class, 5 * sides, 2 * overlaps
    if way == "total":
        return by_class + 5 * sides + 2 * overlaps
    return by_class, sides, overlaps


def _weighs_all_alike(
    logits, boxes, target_labels, target_boxes, matched, *, no_object=1.0
):
    """Another value where none is given."""
    return set_prediction.set_loss(
        logits, boxes, target_labels, target_boxes, matched, no_object=no_object
    )


_WEIGHTED = (
    "The weighted mean divides by the sum of the *weights*: a query without a target "
    "weighs no_object above the fraction and below it."
)
_SET_LOSS = Exercise(
    name="set_loss",
    solution=set_prediction.set_loss,
    cases=_loss_cases,
    mistakes=(
        Mistake(_WEIGHTED, partial(_wrong_loss, way="over queries")),
        Mistake(_WEIGHTED, partial(_wrong_loss, way="over targets")),
        Mistake(_WEIGHTED, partial(_wrong_loss, way="sum")),
        Mistake(
            "All queries count alike in your cross entropy. Those without a target "
            "weigh no_object.",
            partial(_wrong_loss, way="no weight"),
        ),
        Mistake(
            "Queries without a target have a class to learn, too: no object, the last.",
            partial(_wrong_loss, way="matched only"),
        ),
        Mistake(
            "No object is the *last* class here, not the first.",
            partial(_wrong_loss, way="first class"),
        ),
        Mistake(
            "`F.cross_entropy` takes the logits and does the softmax itself. You have "
            "done one before it.",
            partial(_wrong_loss, way="softmax twice"),
        ),
        Mistake(
            "The small weight belongs to *no object*, the last class, not to the "
            "first.",
            partial(_wrong_loss, way="weight of the first"),
        ),
        Mistake(
            "The weight of *no object* is the argument `no_object`, not always 0.1.",
            partial(_wrong_loss, way="always 0.1"),
        ),
        Mistake(
            "`no_object` is 0.1 where nobody says otherwise.",
            _weighs_all_alike,
        ),
        Mistake(
            "`matched[j]` is the query of target j, so `boxes[matched]` stands in the "
            "order of the targets. You have turned it round.",
            partial(_wrong_loss, way="turned"),
        ),
        Mistake(
            "`boxes[matched]` stands in the order of the targets already; yours are "
            "sorted by query.",
            partial(_wrong_loss, way="targets by query"),
        ),
        *(
            Mistake(
                "The losses of boxes are means over the targets; yours are sums.",
                partial(_wrong_loss, way=way),
            )
            for way in ("boxes summed", "sides summed", "overlaps summed")
        ),
        Mistake(
            "L1 is the sum of absolute differences. Yours is smooth L1, which squares "
            "small ones.",
            partial(_wrong_loss, way="smooth"),
        ),
        Mistake(
            "L1 is the sum of absolute differences. Yours is the Euclidean distance.",
            partial(_wrong_loss, way="distance"),
        ),
        Mistake(
            "The order is: class, L1, generalized IoU. The last two have changed "
            "places.",
            partial(_wrong_loss, way="swapped"),
        ),
        Mistake(
            "The weights 5 and 2 belong to the sum. Here the three losses are asked "
            "for as they are.",
            partial(_wrong_loss, way="weighted"),
        ),
        Mistake(
            "The three losses are asked for one by one, without weights, not their "
            "sum.",
            partial(_wrong_loss, way="total"),
        ),
        Mistake(
            "`matched[j]` is the query of target j. You have taken the first queries "
            "in their order.",
            partial(_wrong_loss, way="in order"),
        ),
        Mistake(
            "The L1 distance is the sum over the four numbers of a box; only over the "
            "targets it is a mean.",
            partial(_wrong_loss, way="mean of four"),
        ),
        Mistake(
            "L1 is the sum of absolute differences. Yours are squared.",
            partial(_wrong_loss, way="squares"),
        ),
        Mistake(
            "This is the plain IoU, whose gradient is 0 for boxes that do not touch. "
            "Asked for is the generalized one.",
            partial(_wrong_loss, way="IoU"),
        ),
        Mistake(
            "The boxes are cxcywh. The generalized IoU wants xyxy: convert both sets.",
            partial(_wrong_loss, way="cxcywh"),
        ),
        Mistake(
            "Each box is compared with its own target only: of the matrix of all pairs "
            "you want the diagonal.",
            partial(_wrong_loss, way="all with all"),
        ),
        Mistake(
            "A loss has to fall as boxes fit better: 1 − GIoU.",
            partial(_wrong_loss, way="not 1 -"),
        ),
        Mistake(
            "The third loss is 1 − GIoU: the 1 is missing.",
            partial(_wrong_loss, way="minus"),
        ),
        *(
            Mistake(
                "The losses of boxes are means over the *targets*, not over all "
                "queries.",
                partial(_wrong_loss, way=way),
            )
            for way in ("boxes over queries", "sides over queries")
        ),
    ),
    hints=(
        "Begin with a class for each query, all of them K (no object), and set those "
        "of the matched queries: `classes[matched] = target_labels`.",
        "`F.cross_entropy(logits, classes, weight=...)` is the weighted mean; its "
        "weight has a number for each of the K + 1 classes.",
        "`boxes[matched]` has the boxes in the order of the targets.",
    ),
)


# sine_positions ---------------------------------------------------------------------


def _looped_positions(height, width, channels, *, temperature=20.0) -> Tensor:
    """Position by position, in double precision."""
    quarter, rows = channels // 4, []
    for i in range(height):
        for j in range(width):
            row = []
            for place, size in ((i, height), (j, width)):
                t = 2 * math.pi * (place + 0.5) / size
                angles = [t / temperature ** (k / quarter) for k in range(quarter)]
                row += [math.sin(a) for a in angles] + [math.cos(a) for a in angles]
            rows.append(row)
    return torch.tensor(rows, dtype=torch.float64)


def _positions_cases() -> Iterator[Case]:
    tolerance = {"same_dtype": False, "rtol": 1e-4, "atol": 1e-5}
    root = math.sqrt(0.5)
    yield Case(
        "a column of 4, 4 channels, by hand",
        (4, 1, 4),
        expected=torch.tensor(
            [
                [root, root, 0, -1],
                [root, -root, 0, -1],
                [-root, -root, 0, -1],
                [-root, root, 0, -1],
            ]
        ),
        **tolerance,
    )
    for sizes in ((3, 5, 8), (4, 2, 16), (6, 6, 12)):
        yield Case.from_reference(
            "{} x {}, {} channels".format(*sizes),
            _looped_positions,
            *sizes,
            **tolerance,
        )
    yield Case.from_reference(
        "another temperature", _looped_positions, 2, 3, 8, temperature=100.0,
        **tolerance,
    )  # fmt: skip
    yield Case.from_reference(
        "one position", _looped_positions, 1, 1, 4, hardening=True, **tolerance
    )
    yield Case("6 channels", (2, 2, 6), raises=ValueError)
    yield Case("no row", (0, 2, 8), raises=ValueError)
    yield Case("a temperature of 0", (2, 2, 8), {"temperature": 0.0}, raises=ValueError)


def _wrong_positions(height, width, channels, *, temperature=20.0, way: str) -> Tensor:
    """The right answer with one thing wrong."""
    if channels % 4 or min(height, width) < 1 or temperature <= 0:
        raise ValueError("a size")
    quarter = channels // 4
    power = torch.arange(quarter).double() / quarter
    if way == "twice the power":
        power = 2 * power
    elif way == "to the end":
        power = power * quarter / max(quarter - 1, 1)
    elif way in ("half the power", "a quarter of the power"):
        power = power / (2 if way == "half the power" else 4)
    elif way == "turned power":
        power = -power
    elif way == "powers from 1":
        power = power + 1 / quarter
    elif way == "in pairs":
        power = torch.arange(quarter).div(2, rounding_mode="floor").double()
        power = 2 * power / quarter
    if way == "temperature left out":
        temperature = 20.0
    waves = temperature**power
    halves = []
    for size in (height, width):
        place = torch.arange(size).double() + (0 if way == "starts" else 0.5)
        if way == "counted from 1":
            place = place + 0.5
        if way == "by the last":
            place = place / max(size - 1, 1)
        elif way == "by the larger":
            place = place / max(height, width)
        elif way != "pixels":
            place = place / size
        turn = {"no turn": 1, "half a turn": math.pi}.get(way, 2 * math.pi)
        angles = place[:, None] * turn / waves
        parts = [angles.sin(), angles.cos()]
        if way == "cosines first":
            parts = parts[::-1]
        halves.append(
            torch.stack(parts, 2).flatten(1)
            if way == "in turn"
            else torch.cat(parts, 1)
        )
    rows = halves[0][:, None].expand(-1, width, -1)
    columns = halves[1].expand(height, -1, -1)
    pair = [columns, rows] if way == "columns first" else [rows, columns]
    grid = torch.cat(pair, dim=2)
    if way == "a map":
        return grid.float()
    if way == "channels first":
        return grid.flatten(0, 1).T.float()
    return (grid.transpose(0, 1) if way == "turned" else grid).flatten(0, 1).float()


def _another_temperature(height, width, channels, *, temperature=10000.0):
    """That of the transformer for sentences, where none is given."""
    return transformer.sine_positions(height, width, channels, temperature=temperature)


_WAVES = "The wavelengths are T^(k / (D/4)) for k = 0 … D/4 − 1: look at your exponent."
_SINE_POSITIONS = Exercise(
    name="sine_positions",
    solution=transformer.sine_positions,
    cases=_positions_cases,
    mistakes=(
        Mistake(
            "A position lies at its center: i + ½, not i.",
            partial(_wrong_positions, way="starts"),
        ),
        Mistake(
            "A position lies at its center: i + ½, not i + 1.",
            partial(_wrong_positions, way="counted from 1"),
        ),
        Mistake(
            "Divide a place by the number of rows (or columns), so that every map runs "
            "from 0 to 2π.",
            partial(_wrong_positions, way="pixels"),
        ),
        Mistake(
            "A factor of 2π is missing: the map runs from 0 to 2π.",
            partial(_wrong_positions, way="no turn"),
        ),
        Mistake(
            "The map runs from 0 to 2π, a whole turn; yours makes half a turn.",
            partial(_wrong_positions, way="half a turn"),
        ),
        Mistake(
            "Divide by the number of rows, H, not by H − 1, and so with the columns.",
            partial(_wrong_positions, way="by the last"),
        ),
        Mistake(
            "Rows are divided by H and columns by W; you divide both by the larger.",
            partial(_wrong_positions, way="by the larger"),
        ),
        Mistake(
            "Your answer does not heed `temperature`.",
            partial(_wrong_positions, way="temperature left out"),
        ),
        Mistake(
            "`temperature` is 20 where nobody says otherwise.",
            _another_temperature,
        ),
        *(
            Mistake(_WAVES, partial(_wrong_positions, way=way))
            for way in (
                "twice the power",
                "half the power",
                "a quarter of the power",
                "turned power",
                "powers from 1",
                "in pairs",
                "to the end",
            )
        ),
        Mistake(
            "Your sines and cosines take turns. Here all sines of an axis come first, "
            "then all its cosines.",
            partial(_wrong_positions, way="in turn"),
        ),
        Mistake(
            "Sines come first, then cosines.",
            partial(_wrong_positions, way="cosines first"),
        ),
        Mistake(
            "The first half of the channels is about the row, the second about the "
            "column. Yours are swapped.",
            partial(_wrong_positions, way="columns first"),
        ),
        Mistake(
            "Positions go row by row, as one reads. Yours go down the columns.",
            partial(_wrong_positions, way="turned"),
        ),
        Mistake(
            "One row for each position is asked for, (H · W, D): flatten the first two "
            "dimensions.",
            partial(_wrong_positions, way="a map"),
        ),
        Mistake(
            "Positions are rows and channels are columns, (H · W, D). Yours is turned.",
            partial(_wrong_positions, way="channels first"),
        ),
    ),
    hints=(
        "Make the half of one axis first: (H, D/2), then that of the other, (W, D/2).",
        "`rows[:, None].expand(-1, width, -1)` gives each column the same numbers; "
        "`columns.expand(height, -1, -1)` each row.",
        "Join them along the last dimension and `flatten(0, 1)`.",
    ),
)

EXERCISES = (_PAIR_COSTS, _SET_LOSS, _SINE_POSITIONS)
