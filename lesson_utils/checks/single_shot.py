"""The exercises of the chapter `book/detection/single_shot.ipynb`."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from lesson_utils import single_shot as chapter
from lesson_utils.common.detections import average_precision
from lesson_utils.grading.draws import normal, seeded
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# flatten_head -----------------------------------------------------------------------


def _rows_by_loop(output: Tensor, values: int) -> Tensor:
    batch, channels, height, width = output.shape
    return torch.stack(
        [
            torch.stack(
                [
                    output[b, a * values : (a + 1) * values, y, x]
                    for y in range(height)
                    for x in range(width)
                    for a in range(channels // values)
                ]
            )
            for b in range(batch)
        ]
    )


def _flatten_head_cases() -> Iterator[Case]:
    # Channel c at pixel p is 10 c + p.
    small = torch.tensor([[0.0, 1], [10, 11], [20, 21], [30, 31]]).view(1, 4, 1, 2)
    yield Case(
        "two anchors of two values on a map of 1 × 2; channel c at pixel p is 10c + p",
        (small, 2),
        expected=torch.tensor([[[0.0, 10], [20, 30], [1, 11], [21, 31]]]),
    )
    yield Case.from_reference(
        "two pictures, two anchors of five values, a map of 3 × 4",
        _rows_by_loop,
        normal(2, 10, 3, 4),
        5,
        gradient=True,
    )
    yield Case.from_reference(
        "one anchor, a map of 2 × 3", _rows_by_loop, normal(2, 4, 2, 3, seed=1), 4
    )
    yield Case.from_reference(
        "memory laid out as channels_last",
        _rows_by_loop,
        normal(2, 6, 3, 2, seed=2).to(memory_format=torch.channels_last),
        3,
        hardening=True,
    )
    yield Case(
        "four channels that are to be groups of three",
        (torch.zeros(1, 4, 1, 3), 3),
        raises=ValueError,
    )


def _checked(output: Tensor, values: int) -> Tensor:
    if output.shape[1] % values:
        raise ValueError("channels")
    return output


def _as_it_lies(output, values):
    return _checked(output, values).reshape(len(output), -1, values)


def _columns_first(output, values):
    return _checked(output, values).permute(0, 3, 2, 1).reshape(len(output), -1, values)


def _values_first(output, values):
    groups = _checked(output, values).unflatten(1, (values, -1))
    return groups.permute(0, 3, 4, 2, 1).reshape(len(output), -1, values)


def _anchors_first(output, values):
    groups = _checked(output, values).unflatten(1, (-1, values))
    return groups.permute(0, 1, 3, 4, 2).reshape(len(output), -1, values)


def _pictures_together(output, values):
    return _checked(output, values).permute(0, 2, 3, 1).reshape(-1, values)


def _viewed(output, values):
    moved = _checked(output, values).permute(0, 2, 3, 1)
    return moved.view(len(output), -1, values)


def _unchecked(output, values):
    return output.permute(0, 2, 3, 1).reshape(len(output), -1, values)


_FLATTEN_HEAD = Exercise(
    name="flatten_head",
    solution=chapter.flatten_head,
    cases=_flatten_head_cases,
    mistakes=(
        Mistake(
            "You reshape the output as it lies in memory, where a channel's "
            "pixels are neighbors. Move the channels to the end first: "
            "`permute(0, 2, 3, 1)`.",
            _as_it_lies,
        ),
        Mistake(
            "Rows and columns have changed places: the anchors go along a row of "
            "pixels first. Keep H before W in the `permute`.",
            _columns_first,
        ),
        Mistake(
            "You take neighboring channels for the same value of different anchors. "
            "They are the values of one anchor: channels are (n, values).",
            _values_first,
        ),
        Mistake(
            "All pixels of the first anchor come before the second anchor. The anchors "
            "of one pixel stand together.",
            _anchors_first,
        ),
        Mistake(
            "The pictures have been run together. Keep the batch as the first "
            "dimension: (B, H · W · n, values).",
            _pictures_together,
        ),
        Mistake(
            "`view` cannot cross what `permute` has moved. Use `reshape`, which copies "
            "where it must.",
            _viewed,
        ),
        Mistake(
            "Four channels are no groups of three, and `reshape` does not notice, "
            "because the whole number of values fits. Raise a `ValueError`.",
            _unchecked,
        ),
    ),
    hints=(
        "Which dimension must be the last one, so that the values of one anchor are "
        "neighbours?",
        "From (B, n · values, H, W) to (B, H, W, n · values), and then one `reshape`.",
        "`output.permute(0, 2, 3, 1).reshape(len(output), -1, values)`, once you have "
        "made sure that the channels split into groups of `values`.",
    ),
)


# hard_negative_mask -----------------------------------------------------------------


def _mask_by_loop(losses: Tensor, is_positive: Tensor, *, ratio: int = 3) -> Tensor:
    mask = torch.zeros_like(is_positive)
    for b, (row, positive) in enumerate(
        zip(losses.tolist(), is_positive.tolist(), strict=True)
    ):
        background = [a for a, has_object in enumerate(positive) if not has_object]
        background.sort(key=lambda a, row=row: -row[a])  # stable: the first wins
        for a in background[: ratio * max(1, sum(positive))]:
            mask[b, a] = True
    return mask


def _hard_negative_cases() -> Iterator[Case]:
    losses = torch.tensor([[0.1, 0.9, 0.5, 0.7, 0.3, 2.0]])
    last = torch.tensor([[False, False, False, False, False, True]])
    yield Case(
        "losses 0.1, 0.9, 0.5, 0.7, 0.3, 2.0, the last one an object",
        (losses, last),
        expected=torch.tensor([[False, True, True, True, False, False]]),
    )
    yield Case(
        "the same with ratio=1",
        (losses, last),
        {"ratio": 1},
        expected=torch.tensor([[False, True, False, False, False, False]]),
    )
    two = torch.tensor([[5.0, 4, 3, 2, 1, 0], [0.5, 0.4, 0.3, 0.2, 0.1, 0.0]])
    objects = torch.tensor([[False] * 5 + [True], [True] * 2 + [False] * 4])
    yield Case(
        "two pictures, the first with large losses",
        (two, objects),
        {"ratio": 1},
        expected=torch.tensor(
            [[True] + [False] * 5, [False, False, True, True, False, False]]
        ),
    )
    yield Case(
        "fewer background anchors than asked for",
        (torch.tensor([[0.2, 0.1, 0.4]]), torch.tensor([[False, True, True]])),
        expected=torch.tensor([[True, False, False]]),
        hardening=True,
    )
    yield Case(
        "a picture without objects",
        (torch.tensor([[0.4, 0.1, 0.3, 0.2]]), torch.zeros(1, 4, dtype=torch.bool)),
        {"ratio": 2},
        expected=torch.tensor([[True, False, True, False]]),
        hardening=True,
    )
    yield Case(
        "nothing but objects",
        (torch.tensor([[0.4, 0.1]]), torch.ones(1, 2, dtype=torch.bool)),
        expected=torch.zeros(1, 2, dtype=torch.bool),
        hardening=True,
    )
    yield Case(
        "equal losses, all of them 0",
        (torch.zeros(1, 5), torch.tensor([[True, False, False, False, False]])),
        {"ratio": 2},
        expected=torch.tensor([[False, True, True, False, False]]),
        hardening=True,
    )
    generator = seeded(3)
    many = torch.rand(4, 200, generator=generator, dtype=torch.float64)
    some = torch.rand(4, 200, generator=generator) < 0.03
    yield Case.from_reference(
        "four pictures of 200 anchors", _mask_by_loop, many, some, ratio=3
    )
    nan = losses.clone()
    nan[0, 2] = math.nan
    yield Case("a loss that is NaN", (nan, last), raises=ValueError)
    yield Case("a mask for other anchors", (losses, last[:, 1:]), raises=ValueError)


def _refusing(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The mistake alone, without that of taking whatever comes."""

    def answer(losses, is_positive, *, ratio=3):
        if losses.shape != is_positive.shape or losses.isnan().any():
            raise ValueError("losses")
        return function(losses, is_positive, ratio)

    return answer


def _ranks(losses: Tensor, descending: bool = True) -> Tensor:
    order = losses.argsort(dim=1, descending=descending, stable=True)
    return order.argsort(dim=1)


def _wanted(is_positive: Tensor, ratio: int) -> Tensor:
    return ratio * is_positive.sum(1, keepdim=True).clamp(min=1)


def _with_objects(losses, is_positive, ratio):
    return _ranks(losses.masked_fill(is_positive, math.inf)) < _wanted(
        is_positive, ratio
    ) + is_positive.sum(1, keepdim=True)


def _objects_take_places(losses, is_positive, ratio):
    return (_ranks(losses) < _wanted(is_positive, ratio)) & ~is_positive


def _easiest(losses, is_positive, ratio):
    rank = _ranks(losses.masked_fill(is_positive, math.inf), descending=False)
    return (rank < _wanted(is_positive, ratio)) & ~is_positive


def _one_budget(losses, is_positive, ratio):
    flat, positive = losses.flatten()[None], is_positive.flatten()[None]
    rank = _ranks(flat.masked_fill(positive, -math.inf))
    kept = (rank < _wanted(positive, ratio)) & ~positive
    return kept.view(is_positive.shape)


def _order_for_rank(losses, is_positive, ratio):
    order = losses.masked_fill(is_positive, -math.inf).argsort(
        dim=1, descending=True, stable=True
    )
    return (order < _wanted(is_positive, ratio)) & ~is_positive


def _empty_keeps_none(losses, is_positive, ratio):
    rank = _ranks(losses.masked_fill(is_positive, -math.inf))
    return (rank < ratio * is_positive.sum(1, keepdim=True)) & ~is_positive


def _by_value(losses, is_positive, ratio):
    negative = losses.masked_fill(is_positive, -math.inf)
    last = _wanted(is_positive, ratio).clamp(max=losses.shape[1]) - 1
    least = negative.sort(dim=1, descending=True).values.gather(1, last)
    return (negative >= least) & ~is_positive


def _zeros_for_objects(losses, is_positive, ratio):
    rank = _ranks(losses.masked_fill(is_positive, 0))
    return (rank < _wanted(is_positive, ratio)) & ~is_positive


def _by_topk(losses, is_positive, ratio, subset):
    """The largest by `topk`: of the background alone, or with objects put last."""
    mask = torch.zeros_like(is_positive)
    for row, objects, kept in zip(losses, is_positive, mask, strict=True):
        background = (~objects).nonzero().flatten()
        number = min(max(int(objects.sum()), 1) * ratio, len(background))
        if subset:
            kept[background[row[background].topk(number).indices]] = True
        else:
            kept[row.masked_fill(objects, -torch.inf).topk(number).indices] = True
    return mask


def _takes_nan(losses, is_positive, *, ratio=3):
    if losses.shape != is_positive.shape:
        raise ValueError("shapes")
    rank = _ranks(losses.masked_fill(is_positive, -math.inf))
    return (rank < _wanted(is_positive, ratio)) & ~is_positive


_HARD_NEGATIVE_MASK = Exercise(
    name="hard_negative_mask",
    solution=chapter.hard_negative_mask,
    cases=_hard_negative_cases,
    mistakes=(
        Mistake(
            "Anchors with an object are in your mask. It is for the background alone: "
            "`& ~is_positive`.",
            _refusing(_with_objects),
        ),
        Mistake(
            "Anchors with an object take places in the ranking, so that too few of the "
            "background are left. Give them a loss of minus infinity before you sort.",
            _refusing(_objects_take_places),
        ),
        Mistake(
            "You keep the smallest losses. Those are the easy ones: sort downwards.",
            _refusing(_easiest),
        ),
        Mistake(
            "You rank the anchors of all pictures together. Each picture has its own "
            "number, `ratio` times its own objects: sort along `dim=1`.",
            _refusing(_one_budget),
        ),
        Mistake(
            "`argsort` says which anchor stands at each place. You need the place of "
            "each anchor: take `argsort` of that once more.",
            _refusing(_order_for_rank),
        ),
        Mistake(
            "A picture without objects keeps nothing, and so teaches nothing. Let it "
            "count as if it had one: `.clamp(min=1)`.",
            _refusing(_empty_keeps_none),
        ),
        Mistake(
            "You compare with the last value that is kept, and all that are equal to "
            "it come along. Compare ranks.",
            _refusing(_by_value),
        ),
        Mistake(
            "A loss of 0 does not put the objects last: the background may have a loss "
            "of 0 as well. Use minus infinity.",
            _refusing(_zeros_for_objects),
        ),
        *(
            Mistake(
                "Among equal losses the first are due, and `topk` takes any of them. "
                "Sort with `stable=True`.",
                _refusing(partial(_by_topk, subset=subset)),
            )
            for subset in (True, False)
        ),
        Mistake(
            "NaN is sorted to the front, as if it were the hardest of all. Raise a "
            "`ValueError` where a loss is NaN.",
            _takes_nan,
        ),
    ),
    hints=(
        "Rank the background anchors of each picture by their loss. How many may stay?",
        "Set the losses of the objects to minus infinity, sort downwards along "
        "`dim=1`, and find the place of each anchor in that order.",
        "`order.argsort(dim=1)` turns an order into ranks. Keep ranks below "
        "`ratio * is_positive.sum(1, keepdim=True).clamp(min=1)`, and no objects.",
    ),
)


# average_precision ------------------------------------------------------------------


def _area_by_hits(scores: Tensor, is_right: Tensor, num_truths: int) -> Tensor:
    """The k-th truth that is found counts the best precision from there on."""
    pairs = sorted(
        zip(scores.tolist(), is_right.tolist(), strict=True), key=lambda pair: -pair[0]
    )
    precisions, hits = [], []
    for _, right in pairs:
        hits.append((hits[-1] if hits else 0) + right)
        precisions.append(hits[-1] / len(hits))
    total = 0.0
    for k in range(1, (hits[-1] if hits else 0) + 1):
        total += max(p for p, h in zip(precisions, hits, strict=True) if h >= k)
    return torch.tensor(total / num_truths)


def _number(
    answer: Callable, scores: Tensor, is_right: Tensor, num_truths: int
) -> object:
    """A number is as good as a tensor without dimensions, whatever its type."""
    result = answer(scores, is_right, num_truths)
    if isinstance(result, int | float) and not isinstance(result, bool):
        return torch.tensor(float(result))
    if isinstance(result, Tensor) and result.dim() == 0:
        return result.detach().float()
    return result


def _bools(text: str) -> Tensor:
    return torch.tensor([letter == "r" for letter in text], dtype=torch.bool)


def _average_precision_cases() -> Iterator[Case]:
    def case(name, scores, right, truths, expected=None):
        arguments = torch.tensor(scores), _bools(right), truths
        value = _area_by_hits(*arguments) if expected is None else expected
        return Case(
            name,
            arguments,
            expected=torch.as_tensor(value).float(),
            hardening=name.startswith(("no detections", "equal scores")),
            call=_number,
        )

    falling = [0.9, 0.8, 0.7, 0.6]
    yield case("right, wrong, right, right; four truths", falling, "rwrr", 4, 0.625)
    yield case("the same four in another order", [0.7, 0.9, 0.6, 0.8], "rrrw", 4, 0.625)
    yield case("all right, all found", falling, "rrrr", 4, 1.0)
    yield case("all right, half of the truths found", falling[:2], "rr", 4, 0.5)
    yield case("nothing right", falling, "wwww", 3, 0.0)
    yield case("no detections", [], "", 3, 0.0)
    yield case("one truth, reported three times", falling[:3], "rww", 1, 1.0)
    yield case("wrong ones first", falling, "wwrr", 2, 0.5)
    yield case("equal scores: wrong, right, in this order", [0.5, 0.5], "wr", 1, 0.5)
    generator = seeded(4)
    scores = torch.rand(300, generator=generator).tolist()
    right = "".join("rw"[int(torch.rand((), generator=generator) > s)] for s in scores)
    yield case("300 detections", scores, right, right.count("r") + 40)
    two = torch.tensor([0.9, 0.8])
    for name, arguments in {
        "a score that is NaN": (torch.tensor([0.9, math.nan]), _bools("rw"), 2),
        "three verdicts for two scores": (two, _bools("rwr"), 2),
        "no truths": (two, _bools("ww"), 0),
        "more right detections than truths": (two, _bools("rr"), 1),
    }.items():
        yield Case(name, arguments, raises=ValueError, call=_number)


def _curve(scores, is_right, num_truths, *, sort=True, descending=True):
    """Precision and recall, with all that is to be refused refused."""
    if (
        scores.shape != is_right.shape
        or scores.isnan().any()
        or num_truths < max(1, int(is_right.sum()))
    ):
        raise ValueError("arguments")
    if sort:
        is_right = is_right[scores.argsort(descending=descending, stable=True)]
    hits = is_right.double().cumsum(0)
    return hits / torch.arange(1, len(hits) + 1), hits / num_truths


def _area(precision: Tensor, recall: Tensor) -> Tensor:
    envelope = precision.flip(0).cummax(0).values.flip(0)
    return (envelope * recall.diff(prepend=recall.new_zeros(1))).sum()


def _with_dents(scores, is_right, num_truths):
    precision, recall = _curve(scores, is_right, num_truths)
    return (precision * recall.diff(prepend=recall.new_zeros(1))).sum()


def _over_the_found(scores, is_right, num_truths):
    _curve(scores, is_right, num_truths)
    return _area(*_curve(scores, is_right, max(1, int(is_right.sum()))))


def _unsorted(scores, is_right, num_truths):
    return _area(*_curve(scores, is_right, num_truths, sort=False))


def _upwards(scores, is_right, num_truths):
    return _area(*_curve(scores, is_right, num_truths, descending=False))


def _from_the_left(scores, is_right, num_truths):
    precision, recall = _curve(scores, is_right, num_truths)
    envelope = precision.cummax(0).values if len(precision) else precision
    return (envelope * recall.diff(prepend=recall.new_zeros(1))).sum()


def _eleven_points(scores, is_right, num_truths):
    precision, recall = _curve(scores, is_right, num_truths)
    levels = [k / 10 for k in range(11)]
    best = [precision[recall >= level - 1e-9] for level in levels]
    return sum(float(b.max()) if len(b) else 0.0 for b in best) / 11


def _just_precision(scores, is_right, num_truths):
    _curve(scores, is_right, num_truths)
    return is_right.float().mean() if len(is_right) else torch.tensor(0.0)


def _nan_passes(scores, is_right, num_truths):
    _curve(torch.zeros_like(scores), is_right, num_truths)
    return _area(*_curve(scores.nan_to_num(1), is_right, num_truths))


def _nothing_is_zero(scores, is_right, num_truths):
    if num_truths == 0:
        return torch.tensor(0.0)
    return _area(*_curve(scores, is_right, num_truths))


def _more_than_all(scores, is_right, num_truths):
    if scores.shape != is_right.shape or scores.isnan().any() or num_truths < 1:
        raise ValueError("arguments")
    precision, recall = _curve(scores, is_right, max(num_truths, int(is_right.sum())))
    return _area(precision, recall * max(1, int(is_right.sum()) / num_truths))


_AVERAGE_PRECISION = Exercise(
    name="average_precision",
    solution=average_precision,
    cases=_average_precision_cases,
    mistakes=(
        Mistake(
            "You take each precision as it is. At each recall the largest precision "
            "from there on counts: a cumulative maximum from the right.",
            _with_dents,
        ),
        Mistake(
            "You divide by the number of truths that were found. Truths that are "
            "missed have to cost something: recall is over `num_truths`.",
            _over_the_found,
        ),
        Mistake("The detections are not sorted by their scores.", _unsorted),
        Mistake(
            "You sort the least sure detection to the front: `descending=True`.",
            _upwards,
        ),
        Mistake(
            "The maximum runs from the wrong side. A precision may be replaced by a "
            "better one at a higher recall, not at a lower one: flip, `cummax`, flip.",
            _from_the_left,
        ),
        Mistake(
            "These are the eleven recalls of VOC 2007. Take the whole area: each "
            "precision times the step in recall.",
            _eleven_points,
        ),
        Mistake(
            "This is the precision of all detections, whatever their scores: one point "
            "of the curve, not the area under it.",
            _just_precision,
        ),
        Mistake(
            "A NaN among the scores is sorted to the front and taken for the surest "
            "detection. Raise a `ValueError`.",
            _nan_passes,
        ),
        Mistake(
            "Without a truth there is no recall, and 0 would be a verdict. Raise a "
            "`ValueError`.",
            _nothing_is_zero,
        ),
        Mistake(
            "More right detections than objects means that one was counted twice. "
            "Raise a `ValueError`.",
            _more_than_all,
        ),
    ),
    hints=(
        "Sort by score. After each report, how many were right so far, and what share "
        "of the truths is that?",
        "`hits = is_right[order].cumsum(0)`; the precision is hits over 1, 2, 3, …, "
        "the recall hits over `num_truths`.",
        "Replace each precision by the largest from there on (`flip`, `cummax`, "
        "`flip`), and add up precision times step in recall.",
    ),
)

EXERCISES = (_FLATTEN_HEAD, _HARD_NEGATIVE_MASK, _AVERAGE_PRECISION)
