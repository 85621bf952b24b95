"""The exercises of the chapter `book/foundations/dilated_convolution.ipynb`."""

import itertools
import math
from collections.abc import Iterator

import torch
from torch import Tensor

from lesson_utils import dilated_convolution as dc
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# dilate_kernel ----------------------------------------------------------------------


def _dilated_by_placing(weight: Tensor, dilation: int) -> Tensor:
    """A 0/1 matrix puts rows and columns where they belong: no indexing in common."""

    def spread(length: int) -> Tensor:
        matrix = torch.zeros(dilation * (length - 1) + 1, length, dtype=weight.dtype)
        for place in range(length):
            matrix[dilation * place, place] = 1
        return matrix

    return spread(weight.shape[-2]) @ weight @ spread(weight.shape[-1]).T


def _dilate_kernel_cases() -> Iterator[Case]:
    by_hand = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    yield Case(
        "2 × 2 at rate 2",
        (by_hand, 2),
        expected=torch.tensor([[1.0, 0, 2], [0, 0, 0], [3, 0, 4]]),
    )
    yield Case.from_reference("3 × 3 at rate 2", _dilated_by_placing, normal(3, 3), 2)
    yield Case.from_reference("3 × 3 at rate 3", _dilated_by_placing, normal(3, 3), 3)
    yield Case("rate 1 changes nothing", (by_hand, 1), expected=by_hand)
    weight = normal(4, 2, 3, 5)
    yield Case.from_reference(
        "the weight of a layer, (4, 2, 3, 5), at rate 2", _dilated_by_placing, weight, 2
    )
    yield Case.from_reference(
        "its gradient", _dilated_by_placing, weight, 4, gradient=True
    )
    yield Case.from_reference(
        "a single weight", _dilated_by_placing, normal(2, 1, 1), 5, hardening=True
    )
    yield Case.from_reference(
        "half precision",
        _dilated_by_placing,
        normal(2, 3).half(),
        2,
        hardening=True,
    )
    yield Case("a rate of 0", (by_hand, 0), raises=ValueError)
    yield Case("an empty kernel", (torch.zeros(2, 0, 3), 2), raises=ValueError)


def _refuse(weight: Tensor, dilation: int) -> None:
    if dilation < 1 or 0 in weight.shape[-2:]:
        raise ValueError("a rate from 1 on, and a kernel that is not empty")


def _holes_are_filled(weight, dilation):
    _refuse(weight, dilation)
    filled = weight.repeat_interleave(dilation, -1).repeat_interleave(dilation, -2)
    height, width = (dilation * (size - 1) + 1 for size in weight.shape[-2:])
    return filled[..., :height, :width]


def _zeros_behind(weight, dilation):
    _refuse(weight, dilation)
    height, width = weight.shape[-2:]
    size = (*weight.shape[:-2], dilation * height, dilation * width)
    dilated = weight.new_zeros(size)
    dilated[..., ::dilation, ::dilation] = weight
    return dilated


def _so_many_holes(weight, dilation):
    _refuse(weight, dilation)
    return dc.dilate_kernel(weight, dilation + 1)


def _rows_only(weight, dilation):
    _refuse(weight, dilation)
    return dc.dilate_kernel(weight, (dilation, 1))


def _columns_only(weight, dilation):
    _refuse(weight, dilation)
    return dc.dilate_kernel(weight, (1, dilation))


def _first_axes(weight, dilation):
    _refuse(weight, dilation)
    size = [dilation * (length - 1) + 1 for length in weight.shape[:2]]
    dilated = weight.new_zeros((*size, *weight.shape[2:]))
    dilated[::dilation, ::dilation] = weight
    return dilated


def _keeps_the_sum(weight, dilation):
    _refuse(weight, dilation)
    return dc.dilate_kernel(weight, dilation) / dilation


def _takes_single_precision(weight, dilation):
    _refuse(weight, dilation)
    return dc.dilate_kernel(weight.float(), dilation)


def _kernel_any(weight, dilation):
    dilation = max(dilation, 1)
    height, width = (max(dilation * (size - 1) + 1, 0) for size in weight.shape[-2:])
    dilated = weight.new_zeros((*weight.shape[:-2], height, width))
    dilated[..., ::dilation, ::dilation] = weight
    return dilated


_DILATE_KERNEL = Exercise(
    name="dilate_kernel",
    solution=dc.dilate_kernel,
    cases=_dilate_kernel_cases,
    mistakes=(
        Mistake(
            "The holes are zeros. You have filled them with copies of the weights, "
            "which makes another, larger kernel.",
            _holes_are_filled,
        ),
        Mistake(
            "Behind the last weight there is no hole: the length is `dilation * "
            "(length - 1) + 1`, not `dilation * length`.",
            _zeros_behind,
        ),
        Mistake(
            "At rate r the weights lie r apart: there are r − 1 zeros between two of "
            "them, not r.",
            _so_many_holes,
        ),
        Mistake("The columns move apart, too, not only the rows.", _rows_only),
        Mistake("The rows move apart, too, not only the columns.", _columns_only),
        Mistake(
            "The *last* two axes are rows and columns; a layer's weight begins with "
            "its output and input channels.",
            _first_axes,
        ),
        Mistake(
            "The weights stay as they are, whatever the rate: there are as many as "
            "before.",
            _keeps_the_sum,
        ),
        Mistake(
            "The result has the dtype of the weight: `weight.new_zeros(...)`.",
            _takes_single_precision,
        ),
        Mistake(
            "A rate below 1 and a kernel without weights are a `ValueError`.",
            _kernel_any,
        ),
    ),
    hints=(
        "Make zeros of the right size first, then put the weights where they belong.",
        "Along one axis k weights at rate r take r (k − 1) + 1 places: 3 weights at "
        "rate 2 take 5.",
        "`dilated[..., ::dilation, ::dilation] = weight` puts them there.",
    ),
)


# coverage ---------------------------------------------------------------------------


def _coverage_by_paths(rates: list[int], kernel_size: int = 3) -> Tensor:
    """Every path there is, one by one."""
    steps = itertools.product(range(kernel_size), repeat=len(rates))
    places = [sum(r * s for r, s in zip(rates, path, strict=True)) for path in steps]
    field = sum(rates) * (kernel_size - 1) + 1
    return torch.tensor([places.count(place) for place in range(field)])


def _coverage_cases() -> Iterator[Case]:
    yield Case("one layer", ([1],), expected=torch.tensor([1, 1, 1]))
    yield Case("1-1", ([1, 1],), expected=torch.tensor([1, 2, 3, 2, 1]))
    yield Case("one layer at rate 2", ([2],), expected=torch.tensor([1, 0, 1, 0, 1]))
    for rates in ([1, 2, 4], [2, 2, 2], [1, 2, 5], [2, 3], [3, 1, 1, 2]):
        name = "-".join(map(str, rates))
        yield Case.from_reference(name, _coverage_by_paths, rates)
    yield Case.from_reference("1-2, kernels of 5", _coverage_by_paths, [1, 2], 5)
    yield Case.from_reference("1-2-4, kernels of 2", _coverage_by_paths, [1, 2, 4], 2)
    yield Case("no layers", ([],), expected=torch.tensor([1]), hardening=True)
    yield Case("kernels of 1", ([3, 2], 1), expected=torch.tensor([1]), hardening=True)
    yield Case("a rate of 0", ([1, 0],), raises=ValueError)
    yield Case("kernels of 0", ([1, 2], 0), raises=ValueError)


def _refuse_rates(rates, kernel_size):
    if kernel_size < 1 or any(rate < 1 for rate in rates):
        raise ValueError("rates and kernel_size must be whole numbers from 1 on")


def _used_or_not(rates, kernel_size=3):
    _refuse_rates(rates, kernel_size)
    return (dc.coverage(rates, kernel_size) > 0).long()


def _always_three(rates, kernel_size=3):
    _refuse_rates(rates, kernel_size)
    return dc.coverage(rates, 3)


def _layers_add_up(rates, kernel_size=3):
    _refuse_rates(rates, kernel_size)
    field = sum(rates) * (kernel_size - 1) + 1
    counts = torch.zeros(field, dtype=torch.int64)
    for rate in rates:
        own = dc.coverage([rate], kernel_size)
        first = (field - len(own)) // 2
        counts[first : first + len(own)] += own
    return counts


def _rates_multiply(rates, kernel_size=3):
    _refuse_rates(rates, kernel_size)
    products = list(itertools.accumulate(rates, lambda one, two: one * two))
    return dc.coverage(products, kernel_size)


def _no_rates(rates, kernel_size=3):
    _refuse_rates(rates, kernel_size)
    return dc.coverage([1] * len(rates), kernel_size)


def _as_shares(rates, kernel_size=3):
    counts = dc.coverage(rates, kernel_size)
    return counts / counts.sum()


def _as_numbers_with_points(rates, kernel_size=3):
    return dc.coverage(rates, kernel_size).float()


def _one_side(rates, kernel_size=3):
    counts = dc.coverage(rates, kernel_size)
    return counts[len(counts) // 2 :]


def _any_rates(rates, kernel_size=3):
    counts = torch.ones(1, dtype=torch.int64)
    for rate in rates:
        wider = counts.new_zeros(len(counts) + rate * max(kernel_size - 1, 0))
        for number in range(kernel_size):
            wider[number * rate : number * rate + len(counts)] += counts
        counts = wider
    return counts


_COVERAGE = Exercise(
    name="coverage",
    solution=dc.coverage,
    cases=_coverage_cases,
    mistakes=(
        Mistake(
            "Count the *paths* to each input: where two of them meet, their numbers "
            "add up.",
            _used_or_not,
        ),
        Mistake("The kernels are not always 3 wide: use `kernel_size`.", _always_three),
        Mistake(
            "Layers do not see the picture side by side. Each output of the layer "
            "below brings all of its own inputs: apply one layer to the counts of the "
            "one before.",
            _layers_add_up,
        ),
        Mistake(
            "A rate is how far apart the inputs of *this* layer lie, in steps of its "
            "own inputs. Without strides rates do not multiply.",
            _rates_multiply,
        ),
        Mistake(
            "The rates are not used: a window's inputs lie `rate` apart.", _no_rates
        ),
        Mistake("Asked for are counts, not shares.", _as_shares),
        Mistake(
            "Counts are whole numbers: `dtype=torch.int64`.", _as_numbers_with_points
        ),
        Mistake(
            "This is half of the field: it reaches to both sides of the middle.",
            _one_side,
        ),
        Mistake(
            "A rate or a kernel size below 1 is a `ValueError`.",
            _any_rates,
        ),
    ),
    hints=(
        "Walk down from the output. It starts as one path: `[1]`.",
        "A layer copies all counts `kernel_size` times, moves the copies 0, r, 2r, ... "
        "places, and adds them up.",
        "`wider = counts.new_zeros(len(counts) + rate * (kernel_size - 1))`, then in a "
        "loop `wider[k * rate : k * rate + len(counts)] += counts`.",
    ),
)


# is_gap_free ------------------------------------------------------------------------


def _gap_free_by_sets(rates: list[int], kernel_size: int = 3) -> bool:
    """The set of places that can be reached."""
    places = {0}
    for rate in rates:
        places = {p + rate * number for p in places for number in range(kernel_size)}
    return len(places) == max(places) + 1


_GAPS = (
    ([1, 1, 1], 3),
    ([1, 2, 4], 3),
    ([2, 2, 2], 3),
    ([1, 2, 5], 3),
    ([1, 2, 9], 3),
    ([5, 1, 2], 3),
    ([2, 3], 3),
    ([1, 4], 3),
    ([1, 3, 9], 3),
    ([2, 3, 4, 5], 3),
    ([1, 4], 5),
    ([1, 6], 5),
    ([1, 2, 4], 2),
    ([1, 3], 2),
    ([4, 2, 1, 1], 3),
)


def _is_gap_free_cases() -> Iterator[Case]:
    for rates, kernel_size in _GAPS:
        name = "-".join(map(str, rates))
        name += "" if kernel_size == 3 else f", kernels of {kernel_size}"
        yield Case.from_reference(name, _gap_free_by_sets, rates, kernel_size)
    yield Case("one layer at rate 1", ([1],), expected=True)
    yield Case("one layer at rate 2", ([2],), expected=False)
    yield Case("no layers", ([],), expected=True, hardening=True)
    yield Case("a kernel of 1 at rate 7", ([7], 1), expected=True, hardening=True)
    yield Case("a rate of 0", ([1, 0],), raises=ValueError)
    yield Case("kernels of 0", ([1, 2], 0), raises=ValueError)


def _wang_rule(rates, kernel_size=3):
    _refuse_rates(rates, kernel_size)
    if len(rates) < 2 or kernel_size == 1:
        return kernel_size == 1 or list(rates) in ([], [1])
    return dc.hdc_distance(rates) <= kernel_size


def _no_common_factor(rates, kernel_size=3):
    _refuse_rates(rates, kernel_size)
    return kernel_size == 1 or math.gcd(*rates) in (0, 1)


def _begins_with_one(rates, kernel_size=3):
    _refuse_rates(rates, kernel_size)
    return kernel_size == 1 or not rates or 1 in rates


def _in_the_given_order(rates, kernel_size=3):
    _refuse_rates(rates, kernel_size)
    field = 1
    for rate in rates:
        if rate > field and kernel_size > 1:
            return False
        field += rate * (kernel_size - 1)
    return True


def _threes(rates, kernel_size=3):
    _refuse_rates(rates, kernel_size)
    return kernel_size == 1 or dc.is_gap_free(rates, 3)


def _there_are_gaps(rates, kernel_size=3):
    return not dc.is_gap_free(rates, kernel_size)


def _gap_free_any(rates, kernel_size=3):
    if not rates or kernel_size < 1:
        return True
    return _gap_free_by_sets(rates, kernel_size)


_IS_GAP_FREE = Exercise(
    name="is_gap_free",
    solution=dc.is_gap_free,
    cases=_is_gap_free_cases,
    mistakes=(
        Mistake(
            "This is the rule M₂ ≤ K. It lets 2-2-2 pass, which misses every second "
            "input. Count what is really reached.",
            _wang_rule,
        ),
        Mistake(
            "No common factor is not enough: 2-3 has none, and still misses the inputs "
            "next to both ends of its field.",
            _no_common_factor,
        ),
        Mistake(
            "A rate of 1 is needed, but it is not enough: look at 1-2-9.",
            _begins_with_one,
        ),
        Mistake(
            "The order makes no difference: 5-1-2 reaches what 1-2-5 reaches. Sort the "
            "rates before you compare.",
            _in_the_given_order,
        ),
        Mistake("The kernels are not always 3 wide: use `kernel_size`.", _threes),
        Mistake(
            "This is the wrong way round: True where *nothing* is missed.",
            _there_are_gaps,
        ),
        Mistake("A rate or a kernel size below 1 is a `ValueError`.", _gap_free_any),
    ),
    hints=(
        "Which places are reached? Start with a set of one; each layer moves it.",
        "From the coverage it is one comparison: is there a 0 in it?",
        "For each rate `places = {p + rate * k for p in places for k in "
        "range(kernel_size)}`; without gaps there are as many as the field is wide.",
    ),
)

EXERCISES = (_DILATE_KERNEL, _COVERAGE, _IS_GAP_FREE)
