"""The exercises of the chapter `book/foundations/activations.ipynb`."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import activations
from lesson_utils.common.probes import dead_fraction
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# dead_fraction ----------------------------------------------------------------------


def _dead_by_loop(outputs: Tensor) -> float:
    """The definition, unit by unit."""
    units = [outputs[:, unit].abs().max().item() for unit in range(outputs.shape[1])]
    return sum(largest == 0 for largest in units) / len(units)


def _dead_fraction_cases() -> Iterator[Case]:
    by_hand = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]])
    yield Case("two of four units", (by_hand,), expected=0.5)
    relu = normal(6, 9).clamp(min=0)
    relu[:, [1, 4, 5]] = 0
    yield Case("three of nine, on six inputs", (relu,), expected=_dead_by_loop(relu))
    maps = normal(3, 4, 5, 6).clamp(min=0)
    maps[:, 2] = 0
    maps[0, 1] = 0  # quiet on one image only
    yield Case("four channels with positions", (maps,), expected=_dead_by_loop(maps))
    silent = torch.tensor([[0.0, 0.0, 0.0], [1.0, 0.0, 2.0]])
    yield Case("an input on which all are silent", (silent,), expected=1 / 3)
    leaky = F.leaky_relu(-normal(5, 4).abs())
    yield Case("small negative outputs", (leaky,), expected=0.0)
    opposite = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [2.0, 0.0], [-2.0, 0.0]])
    yield Case("outputs that add up to 0", (opposite,), expected=0.5)
    yield Case("nothing but zeros", (torch.zeros(2, 3),), expected=1.0)
    yield Case("a single input", (torch.tensor([[0.0, 3.0]]),), expected=0.5)
    yield Case("one dimension", (torch.zeros(4),), raises=ValueError)
    yield Case("a batch of none", (torch.zeros(0, 4),), raises=ValueError)


def _refuse_empty(outputs: Tensor) -> None:
    if outputs.dim() < 2 or not outputs.numel():
        raise ValueError("outputs must be (B, D, ...) with a value")


def _share_of_zeros(outputs):
    _refuse_empty(outputs)
    return (outputs == 0).double().mean().item()


def _quiet_once(outputs):
    _refuse_empty(outputs)
    quiet = (outputs.transpose(0, 1).flatten(1) == 0).any(dim=1)
    return quiet.double().mean().item()


def _not_positive(outputs):
    _refuse_empty(outputs)
    dead = (outputs.transpose(0, 1).flatten(1) <= 0).all(dim=1)
    return dead.double().mean().item()


def _sums_to_zero(outputs):
    _refuse_empty(outputs)
    return (outputs.transpose(0, 1).flatten(1).sum(1) == 0).double().mean().item()


def _share_of_inputs(outputs):
    _refuse_empty(outputs)
    return (outputs.flatten(1) == 0).all(dim=1).double().mean().item()


def _each_position(outputs):
    _refuse_empty(outputs)
    return (outputs == 0).all(dim=0).double().mean().item()


def _number_not_share(outputs):
    _refuse_empty(outputs)
    return float((outputs.transpose(0, 1).flatten(1) == 0).all(dim=1).sum())


def _no_refusal(outputs):
    outputs = outputs[:, None] if outputs.dim() < 2 else outputs
    dead = (outputs.transpose(0, 1).flatten(1) == 0).all(dim=1)
    return dead.double().mean().item()


_DEAD_FRACTION = Exercise(
    name="dead_fraction",
    solution=dead_fraction,
    cases=_dead_fraction_cases,
    mistakes=(
        Mistake(
            "This is the share of zeros among all outputs. A unit is dead if *all* of "
            "its outputs are 0: first `all` for each unit, then the mean over units.",
            _share_of_zeros,
        ),
        Mistake(
            "One zero does not make a unit dead: use `all` over the inputs, not `any`.",
            _quiet_once,
        ),
        Mistake(
            "A negative output is not 0: a leaky unit below 0 is alive. Compare with "
            "`== 0`.",
            _not_positive,
        ),
        Mistake(
            "Outputs of opposite sign can add up to 0. Compare each one with 0.",
            _sums_to_zero,
        ),
        Mistake(
            "You count inputs on which all units are silent. Dimension 0 holds the "
            "inputs, dimension 1 the units.",
            _share_of_inputs,
        ),
        Mistake(
            "You count each position of a channel as a unit of its own. A channel is "
            "dead if it is 0 at all of its positions.",
            _each_position,
        ),
        Mistake(
            "This is the number of dead units. Divide by the number of units.",
            _number_not_share,
        ),
        Mistake(
            "What has no units, or no values, has no share of dead ones: raise a "
            "`ValueError` for fewer than two dimensions and for no value.",
            _no_refusal,
        ),
    ),
    hints=(
        "Two questions, one after the other: is this unit always 0? How many are?",
        "Bring the units to the front, `outputs.transpose(0, 1)`; flatten the rest.",
        "`(rows == 0).all(dim=1)` is True for each dead unit; its mean is the answer.",
    ),
)


# softplus ---------------------------------------------------------------------------


def _softplus_reference(x: Tensor) -> Tensor:
    """Through torch's logaddexp in float64: no line in common with the module."""
    wide = x.double()
    return torch.logaddexp(wide, torch.zeros_like(wide)).to(x.dtype)


def _softplus_cases() -> Iterator[Case]:
    by_hand = torch.tensor([0.0, math.log(3.0), -math.log(3.0)], dtype=torch.float64)
    expected = torch.tensor([2.0, 4.0, 4 / 3], dtype=torch.float64).log()
    yield Case("0, log 3 and −log 3", (by_hand,), expected=expected)
    x = 3 * normal(4, 5)
    yield Case.from_reference("random numbers", _softplus_reference, x)
    yield Case.from_reference("their gradient", _softplus_reference, x, gradient=True)
    far = torch.tensor([-1e4, -200.0, 200.0, 1e4])
    yield Case(
        "values at ±200 and ±10,000", (far,), expected=far.clamp(min=0), hardening=True
    )
    yield Case(
        "the gradient at ±10,000",
        (torch.tensor([-1e4, 1e4]),),
        expected=torch.tensor([0.0, 1e4]),
        # Weighted as every case's gradient is; the reference is linear out there.
        gradients=Case.from_reference(
            "linear", F.relu, torch.tensor([-1e4, 1e4]), gradient=True
        ).gradients,
        hardening=True,
    )
    yield Case(
        "the gradient at exactly 0",
        (torch.tensor(0.0),),
        expected=torch.tensor(math.log(2.0)),
        gradients=(torch.tensor(0.5),),
        hardening=True,
    )
    low = torch.tensor([-20.0, -50.0, -80.0])
    yield Case(
        "small values at −20, −50, −80",
        (low,),
        expected=low.exp(),
        rtol=1e-4,
        atol=0,
        hardening=True,
    )
    yield Case.from_reference(
        "half precision",
        _softplus_reference,
        normal(6).half(),
        rtol=5e-3,
        hardening=True,
    )


def _naive(x):
    return (1 + x.exp()).log()


def _naive_log1p(x):
    return x.exp().log1p()


def _selects_the_output(x):
    return torch.where(x > 20, x, x.exp().log1p())


def _abs(x):
    return x.relu() + (-x.abs()).exp().log1p()


def _slopes_of_both_sides(x):
    zero = torch.zeros_like(x)
    return torch.maximum(x, zero) + torch.where(x > 0, -x, x).exp().log1p()


def _without_log1p(x):
    positive = x > 0
    small = torch.where(positive, -x, x).exp()
    return torch.where(positive, x, 0) + (1 + small).log()


def _clamps_input(x):
    return x.clamp(max=80 if x.dtype != torch.float16 else 11).exp().log1p()


def _relu(x):
    return x.relu()


def _sigmoid(x):
    return x.sigmoid()


def _to_double(x):
    return _softplus_reference(x.double())


_SELECT_THE_INPUT = (
    "The value is right and its gradient is NaN: the branch that is not taken has "
    "overflowed, and 0 times infinity is NaN. Select what goes *into* `exp`."
)

_SLOPE_AT_ZERO = (
    "Look at exactly 0: torch's derivatives of `abs`, `relu` and `clamp` are all 0 "
    "there. Choose a side with `torch.where(x > 0, -x, x)` instead."
)

_SLOPE_OF_ONE = (
    "At exactly 0 the slopes of the two parts must add up to 0.5, and yours add up to "
    "1. Let one condition choose for both: `torch.where(x > 0, x, 0)` and "
    "`torch.where(x > 0, -x, x)`."
)

_SOFTPLUS = Exercise(
    name="softplus",
    solution=activations.softplus,
    cases=_softplus_cases,
    mistakes=(
        Mistake(
            "In float32 `exp(89)` is infinite, and 1 + 1e-9 is 1. Pull the large part "
            "out, and keep the digits of the small one: max(x, 0) + log1p(exp(−|x|)).",
            _naive,
        ),
        Mistake(
            "`log1p` saves the small values, and `exp(x)` overflows above 88 all the "
            "same. Take the exponential of what is never positive.",
            _naive_log1p,
        ),
        Mistake(_SELECT_THE_INPUT, _selects_the_output),
        Mistake(_SLOPE_AT_ZERO, _abs),
        Mistake(_SLOPE_OF_ONE, _slopes_of_both_sides),
        Mistake(
            "1 + 1e-9 is 1 in float32, and its logarithm 0: the digits of small values "
            "are lost. Use `log1p`.",
            _without_log1p,
        ),
        Mistake(
            "A clamped input cannot grow, and neither can its softplus: at 10,000 it "
            "should be 10,000.",
            _clamps_input,
        ),
        Mistake("This is ReLU: the smooth bend near 0 is missing.", _relu),
        Mistake(
            "This is the sigmoid, which is the *slope* of softplus, not its value.",
            _sigmoid,
        ),
        Mistake(
            "The result comes back in float64. Keep the dtype of the input.", _to_double
        ),
    ),
    hints=(
        "Which part of log(1 + exp(x)) is too large for float32, and what is the "
        "function there, nearly?",
        "max(x, 0) + log(1 + exp(−|x|)). The exponential is now at most 1; `log1p` "
        "keeps its digits.",
        "`positive = x > 0`; then `torch.where(positive, -x, x)` is −|x|, with a slope "
        "at 0, and `torch.where(positive, x, 0)` is the large part.",
    ),
)


# glu --------------------------------------------------------------------------------


def _glu_reference(x: Tensor, dim: int = -1) -> Tensor:
    return F.glu(x, dim)


def _glu_cases() -> Iterator[Case]:
    by_hand = torch.tensor([[2.0, -3.0, 0.0, 100.0]])
    yield Case("by hand", (by_hand,), expected=torch.tensor([[1.0, -3.0]]))
    x = normal(4, 6, 10)
    yield Case.from_reference("random numbers", _glu_reference, x)
    for dim in (0, 1, -2):
        yield Case.from_reference(f"dim={dim}", _glu_reference, x, dim=dim)
    yield Case.from_reference("its gradient", _glu_reference, x, gradient=True)
    far = torch.tensor([[1.0, 2.0, -3.0, 1e4, -1e4, -1e4]])
    yield Case.from_reference(
        "gates of ±10,000, and their gradient",
        _glu_reference,
        far,
        gradient=True,
        hardening=True,
    )
    yield Case.from_reference("a vector of two", _glu_reference, normal(2))
    half = normal(3, 4).half()
    yield Case.from_reference("half precision", _glu_reference, half, hardening=True)
    yield Case("an odd last dimension", (normal(4, 5),), raises=ValueError)
    yield Case("an odd dim=0", (normal(3, 4),), {"dim": 0}, raises=ValueError)


def _split(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    if x.shape[dim] % 2:
        raise ValueError("x must be even along dim")
    return x.chunk(2, dim)


def _swapped(x, dim=-1):
    first, second = _split(x, dim)
    return first.sigmoid() * second


def _relu_first(x, dim=-1):
    first, second = _split(x, dim)
    return first.relu() * second.sigmoid()


def _interleaved(x, dim=-1):
    _split(x, dim)
    pairs = x.movedim(dim, -1).unflatten(-1, (-1, 2))
    return (pairs[..., 0] * pairs[..., 1].sigmoid()).movedim(-1, dim)


def _no_sigmoid(x, dim=-1):
    first, second = _split(x, dim)
    return first * second


def _tanh_gate(x, dim=-1):
    first, second = _split(x, dim)
    return first * second.tanh()


def _ignores_dim(x, dim=-1):
    _split(x, dim)
    first, second = x.chunk(2, -1)
    return first * second.sigmoid()


def _own_sigmoid_overflows(x, dim=-1):
    first, second = _split(x, dim)
    return first * second.exp() / (1 + second.exp())


def _drops_the_odd_one(x, dim=-1):
    half = x.shape[dim] // 2
    return x.narrow(dim, 0, half) * x.narrow(dim, half, half).sigmoid()


def _leaves_the_check_to_torch(x, dim=-1):
    first, second = x.chunk(2, dim)
    return first * second.sigmoid()


def _whole_gate(x, dim=-1):
    _split(x, dim)
    return x * x.sigmoid()


_GLU = Exercise(
    name="glu",
    solution=activations.glu,
    cases=_glu_cases,
    mistakes=(
        Mistake(
            "The halves have changed places: the *second* goes through the sigmoid.",
            _swapped,
        ),
        Mistake(
            "The first half must stay linear: −3 with an open gate is −3. There is no "
            "ReLU in a GLU.",
            _relu_first,
        ),
        Mistake(
            "You take every other number. The halves are contiguous: the first D "
            "values, then the last D.",
            _interleaved,
        ),
        Mistake("The gate is missing its sigmoid.", _no_sigmoid),
        Mistake(
            "A gate lies between 0 and 1. This is a tanh; use the sigmoid.", _tanh_gate
        ),
        Mistake("You split the last dimension, whatever `dim` says.", _ignores_dim),
        Mistake(
            "exp(10,000) is infinite, and infinity over infinity is NaN. Use "
            "`torch.sigmoid`, or the stable one of the chapter.",
            _own_sigmoid_overflows,
        ),
        Mistake(
            "An odd number of values has no halves, and dropping one hides a mistake "
            "of the caller. Raise a `ValueError`.",
            _drops_the_odd_one,
        ),
        Mistake(
            "Of five values `chunk` makes three and two, and torch complains of their "
            "sizes; of three it makes two and one, which may broadcast without a word. "
            "Look first, and raise a `ValueError`.",
            _leaves_the_check_to_torch,
        ),
        Mistake(
            "Every number gates itself here, and nothing is halved: that is SiLU.",
            _whole_gate,
        ),
    ),
    hints=(
        "The output has half as many values along `dim`. Which half is scaled, and "
        "which does the scaling?",
        "`first, second = x.chunk(2, dim)`; only `second` goes through a function.",
        "Before that: `if x.shape[dim] % 2:` raise a `ValueError`.",
    ),
)


EXERCISES = (_DEAD_FRACTION, _SOFTPLUS, _GLU)
