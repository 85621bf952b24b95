"""Where a tensor differs from the one expected, and what that looks like."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lesson_utils.grading.clues import shape_clue, value_clue

# Relative and absolute, wide enough for another order of summation.
_TOLERANCES = {
    torch.float64: (1e-7, 1e-9),
    torch.float32: (1e-4, 1e-6),
    torch.float16: (1e-2, 1e-3),
}
_COARSE = (2e-2, 1e-2)  # bfloat16 and smaller


@dataclass(frozen=True)
class Difference:
    """One way in which a result is not what was expected.

    Args:
        text: what differs, in one line.
        hint: what it may come from; may be empty.
    """

    text: str
    hint: str = ""


@dataclass(frozen=True)
class Rules:
    """How exactly a result must agree.

    Args:
        rtol: relative tolerance, None for one that fits the dtype.
        atol: absolute tolerance, None for one that fits the dtype and grows with the
            largest value expected.
        same_dtype: whether dtypes must agree.
    """

    rtol: float | None = None
    atol: float | None = None
    same_dtype: bool = True


def compare_tensors(expected: Tensor, got: Tensor, rules: Rules) -> Difference | None:
    """The first difference between two tensors: device, layout, shape, dtype, values.

    NaN equals NaN here, and infinity itself: where they are expected they are right.

    Args:
        expected: (...), of any dtype, without history.
        got: any tensor, without history.
        rules: tolerances.

    Returns:
        None where they agree.
    """
    facts = ["device", "layout", "shape"] + ["dtype"] * rules.same_dtype
    for fact in facts:
        due, came = getattr(expected, fact), getattr(got, fact)
        if due != came:
            return Difference(
                f"{fact} {_name(came)}, where {_name(due)} is due",
                _fact_clue(fact, due, came),
            )
    rtol, atol = _tolerance(expected.dtype, got.dtype, rules)
    expected, got = _widened(expected, got)
    if expected.is_floating_point() or expected.is_complex():
        atol = atol * max(1.0, _largest(expected)) if rules.atol is None else atol
        same = torch.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
        lost = got.isfinite().logical_not() & expected.isfinite()
        if lost.any():
            return _lost_values(got, lost)
    else:
        same = got == expected
    return None if same.all() else _wrong_values(expected, got, ~same)


def _fact_clue(fact: str, due: Any, came: Any) -> str:
    if fact == "shape":
        return shape_clue(due, came)
    if fact == "dtype":
        return f"Keep the {_name(due)} that the input calls for."
    if fact == "device":
        return (
            "Make new tensors on the input's device: `x.new_zeros`, `device=x.device`."
        )
    return ""


def _tolerance(
    expected: torch.dtype, got: torch.dtype, rules: Rules
) -> tuple[float, float]:
    """The coarser of two dtypes' tolerances, where the rules do not say."""
    real = [d.to_real() for d in (expected, got) if d.is_floating_point or d.is_complex]
    pairs = [_TOLERANCES.get(dtype, _COARSE) for dtype in real] or [(0.0, 0.0)]
    rtol, atol = max(pairs)
    return (
        rtol if rules.rtol is None else rules.rtol,
        atol if rules.atol is None else rules.atol,
    )


def _largest(expected: Tensor) -> float:
    """The largest finite size: sums of such numbers are rounded in its last digits."""
    sizes = expected.abs()
    return max(sizes[sizes.isfinite()].flatten().tolist(), default=0.0)


def _widened(expected: Tensor, got: Tensor) -> tuple[Tensor, Tensor]:
    """Both on the CPU in one dtype: the widest of its sort, or as they are."""
    pair = [
        t.cpu() if t.layout == torch.strided else t.cpu().to_dense()
        for t in (expected, got)
    ]
    if any(tensor.is_complex() for tensor in pair):
        wide = torch.complex128
    elif any(t.is_floating_point() for t in pair) or pair[0].dtype != pair[1].dtype:
        wide = torch.float64
    else:
        wide = pair[0].dtype
    return pair[0].to(wide), pair[1].to(wide)


def _lost_values(got: Tensor, lost: Tensor) -> Difference:
    nan = (got.isnan() & lost).any()
    name = "NaN" if nan else "infinite"
    where = got.isnan() & lost if nan else lost
    cause = (
        "NaN comes from 0 / 0, inf - inf, or the logarithm or root of a negative."
        if nan
        else "inf comes from a division by 0, the logarithm of 0, or a large `exp`."
    )
    return Difference(f"{_count(where)} {name}{_place(where)}", cause)


def _wrong_values(expected: Tensor, got: Tensor, wrong: Tensor) -> Difference:
    index = tuple(wrong.nonzero()[0].tolist())
    came, due = got[index].item(), expected[index].item()
    texts = [f"{value:.7g}" for value in (came, due)]
    if texts[0] == texts[1]:
        texts = [repr(came), repr(due)]
    count = f"{_count(wrong)} wrong{_place(wrong)}: " if wrong.dim() else ""
    text = f"{count}{texts[0]} came back, {texts[1]} is due"
    return Difference(text, value_clue(expected, got))


def _count(where: Tensor) -> str:
    count, total = int(where.sum()), where.numel()
    if total == 1:
        return "the value is"
    return f"{count} of {total} values {'is' if count == 1 else 'are'}"


def _place(where: Tensor) -> str:
    return f", the first at {where.nonzero()[0].tolist()}" if where.dim() else ""


def _name(fact: Any) -> str:
    text = str(tuple(fact) if isinstance(fact, torch.Size) else fact)
    return text.removeprefix("torch.")
