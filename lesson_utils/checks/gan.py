"""The exercises of the chapter `book/generating/gan.ipynb`."""

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import gan
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake


def _random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return 2 * normal(*shape, seed=seed, dtype=dtype)


def _cross_entropy(logits: Tensor, label: float) -> Tensor:
    """Torch's own, which the module does not call."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label))


def _refuse(**logits: Tensor) -> None:
    for name, values in logits.items():
        if not values.is_floating_point() or not values.numel():
            raise ValueError(f"{name} must be floating point and not empty")


# discriminator_loss -----------------------------------------------------------------


def _discriminator_reference(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    return (_cross_entropy(real_logits, 1.0) + _cross_entropy(fake_logits, 0.0)) / 2


def _discriminator_cases() -> Iterator[Case]:
    logits = torch.tensor([math.log(3.0), 0.0], dtype=torch.float64)  # D = 3/4, 1/2
    by_hand = -(math.log(3 / 4) + math.log(1 / 2) + math.log(1 / 4) + math.log(1 / 2))
    yield Case(
        "D = 3/4 and 1/2 on both",
        (logits, logits),
        expected=torch.tensor(by_hand / 4, dtype=torch.float64),
    )
    zero = torch.zeros(5)
    yield Case("all logits 0", (zero, zero), expected=torch.tensor(math.log(2.0)))
    real, fake = _random(6), _random(6, seed=1)
    yield Case.from_reference("random", _discriminator_reference, real, fake)
    yield Case.from_reference(
        "their gradients", _discriminator_reference, real, fake, gradient=True
    )
    yield Case.from_reference(
        "six real, two generated", _discriminator_reference, real, fake[:2]
    )
    yield Case.from_reference(
        "logits (B, 1)", _discriminator_reference, _random(4, 1), _random(4, 1, seed=1)
    )
    real, fake = torch.tensor([-1e4, 2.0, 1e4]), torch.tensor([-1e4, -2.0, 1e4])
    yield Case.from_reference(
        "logits of ±10,000, and their gradients",
        _discriminator_reference,
        real,
        fake,
        gradient=True,
        hardening=True,
    )
    yield Case(
        "its value where D is nearly right",
        (torch.tensor([25.0]), torch.tensor([-25.0])),
        expected=torch.tensor(math.exp(-25)),
        rtol=1e-4,
        atol=0,
        hardening=True,
    )
    yield Case("no real logits", (torch.zeros(0), zero), raises=ValueError)
    yield Case("no generated logits", (zero, torch.zeros(0)), raises=ValueError)
    integers = torch.tensor([1, 0])
    yield Case("integers", (integers, integers), raises=ValueError)


def _not_halved(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    return 2 * _discriminator_reference(real_logits, fake_logits)


def _labels_swapped(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    return _discriminator_reference(fake_logits, real_logits)


def _pooled(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    logits = torch.cat([real_logits.flatten(), fake_logits.flatten()])
    labels = torch.zeros_like(logits)
    labels[: real_logits.numel()] = 1
    return F.binary_cross_entropy_with_logits(logits, labels)


def _log_of_sigmoid(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    real, fake = real_logits.sigmoid(), fake_logits.sigmoid()
    return -(real.log().mean() + (1 - fake).log().mean()) / 2


def _bce_of_sigmoid(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    real, fake = real_logits.sigmoid(), fake_logits.sigmoid()
    real_loss = F.binary_cross_entropy(real, torch.ones_like(real))
    return (real_loss + F.binary_cross_entropy(fake, torch.zeros_like(fake))) / 2


def _epsilon(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    real, fake = real_logits.sigmoid(), fake_logits.sigmoid()
    return -((real + 1e-8).log().mean() + (1 - fake + 1e-8).log().mean()) / 2


def _takes_logits_for_probabilities(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    return -(real_logits.log().mean() + (1 - fake_logits).log().mean()) / 2


def _value_of_the_game(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    return -_discriminator_reference(real_logits, fake_logits)


def _summed(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    return (F.softplus(-real_logits).sum() + F.softplus(fake_logits).sum()) / 2


def _real_only(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    return _cross_entropy(real_logits, 1.0)


def _no_check(real_logits, fake_logits):
    return (F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()) / 2


def _bce_of_logits(real_logits, fake_logits):
    _refuse(real=real_logits, fake=fake_logits)
    return _discriminator_reference(real_logits, fake_logits)


_FROM_LOGITS = (
    "The sigmoid rounds to exactly 0 or 1 far out, and log(0) is infinite. Stay with "
    "the logits: −log σ(z) is softplus(−z), and −log(1 − σ(z)) is softplus(z)."
)

_DIFFERENCE = (
    "`binary_cross_entropy_with_logits` against 0 is a difference of two numbers as "
    "large as the logit. Where D is sure and right, all digits of the tiny result are "
    "lost in it. `F.softplus` of the logit keeps them."
)

_DISCRIMINATOR_LOSS = Exercise(
    name="discriminator_loss",
    solution=gan.discriminator_loss,
    cases=_discriminator_cases,
    mistakes=(
        Mistake(
            "This is twice the value due. Of the two means, on real and on generated "
            "data, take half of the sum, as d2l does.",
            _not_halved,
        ),
        Mistake(
            "The labels have changed places: real data should get 1, generated data 0.",
            _labels_swapped,
        ),
        Mistake(
            "You average over all logits together. With six real ones and two "
            "generated, each side should still count for half: take two means.",
            _pooled,
        ),
        Mistake(_FROM_LOGITS, _log_of_sigmoid),
        Mistake(
            "`binary_cross_entropy` bounds its logarithm at −100, so that a logit of "
            "−10,000 costs 100, and has no gradient. "
            "Use the version that takes logits.",
            _bce_of_sigmoid,
        ),
        Mistake(_DIFFERENCE, _bce_of_logits),
        Mistake(
            "A small number inside of the logarithm hides the infinity and makes the "
            "gradient 0 where it should be largest. Stay with the logits.",
            _epsilon,
        ),
        Mistake(
            "These are logits, any real numbers, and not probabilities: a logarithm of "
            "a negative number is NaN.",
            _takes_logits_for_probabilities,
        ),
        Mistake(
            "The sign: this goes down as the discriminator gets worse. A loss is what "
            "is minimized.",
            _value_of_the_game,
        ),
        Mistake("You sum over the batch. Take the mean.", _summed),
        Mistake("Half of the loss is missing: that on generated data.", _real_only),
        Mistake(
            "The mean of nothing is NaN, and integers are labels rather than logits. "
            "Raise a `ValueError` for both.",
            _no_check,
        ),
    ),
    hints=(
        "It is a cross entropy with two kinds of examples. What are their labels?",
        "−log D(x) is softplus(−z) of the logit z, and −log(1 − D(x)) is softplus(z).",
        "`(F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()) / 2`, "
        "after refusing what is empty or not floating point.",
    ),
)


# generator_loss ---------------------------------------------------------------------


def _generator_reference(fake_logits: Tensor, *, saturating: bool = False) -> Tensor:
    if saturating:
        return -_cross_entropy(fake_logits, 0.0)
    return _cross_entropy(fake_logits, 1.0)


def _generator_cases() -> Iterator[Case]:
    quarter = torch.tensor([-math.log(3.0)], dtype=torch.float64)  # D = 1/4
    expected = torch.tensor([4.0, 0.75], dtype=torch.float64).log()
    yield Case(
        "D = 1/4",
        (quarter,),
        expected=expected[0],
        gradients=(torch.tensor([-0.75], dtype=torch.float64),),
    )
    yield Case(
        "D = 1/4, saturating",
        (quarter,),
        {"saturating": True},
        expected=expected[1],
        gradients=(torch.tensor([-0.25], dtype=torch.float64),),
    )
    logits = _random(7)
    far = torch.tensor([-1e4, -3.0, 0.0, 3.0, 1e4])
    for saturating in (False, True):
        kind = ", saturating" if saturating else ""
        for name, values in (
            ("random, and their gradient", logits),
            ("logits (B, 1), and their gradient", _random(4, 1, seed=2)),
            ("logits of ±10,000, and their gradient", far),
        ):
            yield Case.from_reference(
                name + kind,
                _generator_reference,
                values,
                gradient=True,
                hardening="10,000" in name,
                saturating=saturating,
            )
    yield Case(
        "its gradient where D is sure, saturating",
        (torch.tensor([-30.0]),),
        {"saturating": True},
        expected=torch.tensor(-math.exp(-30)),
        gradients=(torch.tensor([-math.exp(-30)]),),
        rtol=1e-4,
        atol=0,
        hardening=True,
    )
    yield Case("no logits", (torch.zeros(0),), raises=ValueError)
    yield Case(
        "no logits, saturating",
        (torch.zeros(0),),
        {"saturating": True},
        raises=ValueError,
    )
    yield Case("integers", (torch.tensor([1, 0]),), raises=ValueError)


def _sign_forgotten(fake_logits, *, saturating=False):
    _refuse(fake=fake_logits)
    if saturating:
        return _cross_entropy(fake_logits, 0.0)
    return _cross_entropy(fake_logits, 1.0)


def _forms_swapped(fake_logits, *, saturating=False):
    _refuse(fake=fake_logits)
    return _generator_reference(fake_logits, saturating=not saturating)


def _saturating_ignored(fake_logits, *, saturating=False):
    _refuse(fake=fake_logits)
    return _generator_reference(fake_logits)


def _generator_log_of_sigmoid(fake_logits, *, saturating=False):
    _refuse(fake=fake_logits)
    d = fake_logits.sigmoid()
    return (1 - d).log().mean() if saturating else -d.log().mean()


def _one_minus_sigmoid(fake_logits, *, saturating=False):
    _refuse(fake=fake_logits)
    if saturating:
        return (1 - fake_logits.sigmoid()).log().clamp(min=-1e30).mean()
    return F.softplus(-fake_logits).mean()


def _detached(fake_logits, *, saturating=False):
    _refuse(fake=fake_logits)
    return _generator_reference(fake_logits.detach(), saturating=saturating)


def _fools_nobody(fake_logits, *, saturating=False):
    _refuse(fake=fake_logits)
    if saturating:
        return -_cross_entropy(fake_logits, 1.0)
    return _cross_entropy(fake_logits, 0.0)


def _generator_summed(fake_logits, *, saturating=False):
    _refuse(fake=fake_logits)
    return fake_logits.numel() * _generator_reference(
        fake_logits, saturating=saturating
    )


def _generator_halved(fake_logits, *, saturating=False):
    _refuse(fake=fake_logits)
    return _generator_reference(fake_logits, saturating=saturating) / 2


def _generator_no_check(fake_logits, *, saturating=False):
    return (-F.softplus(fake_logits) if saturating else F.softplus(-fake_logits)).mean()


def _generator_bce_of_logits(fake_logits, *, saturating=False):
    _refuse(fake=fake_logits)
    return _generator_reference(fake_logits, saturating=saturating)


_GENERATOR_LOSS = Exercise(
    name="generator_loss",
    solution=gan.generator_loss,
    cases=_generator_cases,
    mistakes=(
        Mistake(
            "With `saturating`, the generator minimizes log(1 − D), which is *minus* "
            "the cross entropy against 0. Yours goes up as D is fooled.",
            _sign_forgotten,
        ),
        Mistake(
            "The two forms have changed places: −log D is the default, log(1 − D) the "
            "saturating one.",
            _forms_swapped,
        ),
        Mistake("`saturating` makes no difference in yours.", _saturating_ignored),
        Mistake(_FROM_LOGITS, _generator_log_of_sigmoid),
        Mistake(_DIFFERENCE, _generator_bce_of_logits),
        Mistake(
            "1 − σ(z) is rounded to multiples of 6e-8 in float32: the small loss, and "
            "with it the story of this chapter, is lost. It is σ(−z).",
            _one_minus_sigmoid,
        ),
        Mistake(
            "The value is right and the gradient is missing. Detaching belongs into "
            "the *discriminator's* step; here the gradient must reach the generator.",
            _detached,
        ),
        Mistake(
            "This teaches the generator to be found out: it is lowest where D says "
            "“generated”. Its label is 1.",
            _fools_nobody,
        ),
        Mistake("This sums over the batch. Take the mean.", _generator_summed),
        Mistake(
            "The half belongs to the discriminator's loss, which has two terms. This "
            "one has a single term.",
            _generator_halved,
        ),
        Mistake(
            "The mean of nothing is NaN, and integers are no logits. Raise a "
            "`ValueError` for both.",
            _generator_no_check,
        ),
    ),
    hints=(
        "Both forms go down as D is fooled. Which label does the generator wish for?",
        "−log D is softplus(−z) of the logit z; log(1 − D) is −softplus(z).",
        "`F.softplus(-fake_logits).mean()`, or `-F.softplus(fake_logits).mean()`.",
    ),
)


# optimal_discriminator --------------------------------------------------------------


def _optimal_reference(log_p: Tensor, log_q: Tensor) -> Tensor:
    """By the definition, p over the sum, in logarithms all the way."""
    return (log_p - torch.logaddexp(log_p, log_q)).exp()


def _optimal_by_loop(log_p: Tensor, log_q: Tensor) -> Tensor:
    """From densities that do not underflow, point by point."""
    pairs = zip(log_p.exp(), log_q.exp(), strict=True)
    return torch.stack([p / (p + q) if p + q > 0 else 0 * p + 0.5 for p, q in pairs])


def _optimal_cases() -> Iterator[Case]:
    p = torch.tensor([0.1, 0.3, 0.5], dtype=torch.float64)
    q = torch.tensor([0.3, 0.1, 0.5], dtype=torch.float64)
    expected = torch.tensor([0.25, 0.75, 0.5], dtype=torch.float64)
    yield Case("p and q of 0.1 and 0.3", (p.log(), q.log()), expected=expected)
    log_p, log_q = _random(3, 4), _random(3, 4, seed=1)
    yield Case.from_reference("random", _optimal_reference, log_p, log_q)
    yield Case.from_reference(
        "their gradients", _optimal_reference, log_p, log_q, gradient=True
    )
    low = torch.tensor([-1e4, -1e4, -500.0])
    yield Case(
        "far out, where both densities underflow",
        (low, low + torch.tensor([math.log(3.0), -math.log(3.0), 400.0])),
        expected=torch.tensor([0.25, 0.75, 0.0]),
        # float32 numbers round 10,000 are 0.001 apart.
        rtol=1e-3,
        atol=1e-6,
        hardening=True,
    )
    yield Case(
        "logarithms of 400, where both overflow",
        (torch.tensor([400.0, 400.0]), torch.tensor([400.0, -400.0])),
        expected=torch.tensor([0.5, 1.0]),
        hardening=True,
    )
    half = -math.log(2.0)
    yield Case.from_reference(
        "one density 0, or both, and the gradients there",
        _optimal_by_loop,
        torch.tensor([-math.inf, half, -math.inf, half]),
        torch.tensor([half, -math.inf, -math.inf, half]),
        gradient=True,
        hardening=True,
    )
    yield Case("two shapes", (torch.zeros(3), torch.zeros(2, 3)), raises=ValueError)


def _same_shape(log_p: Tensor, log_q: Tensor) -> None:
    if log_p.shape != log_q.shape:
        raise ValueError("log_p and log_q must have one shape")


def _of_densities(log_p, log_q):
    _same_shape(log_p, log_q)
    p, q = log_p.exp(), log_q.exp()
    return p / (p + q)


def _generated_instead(log_p, log_q):
    _same_shape(log_p, log_q)
    return gan.optimal_discriminator(log_q, log_p)


def _ratio_of_logs(log_p, log_q):
    _same_shape(log_p, log_q)
    return log_p / (log_p + log_q)


def _the_logit(log_p, log_q):
    _same_shape(log_p, log_q)
    return log_p - log_q


def _difference_of_densities(log_p, log_q):
    _same_shape(log_p, log_q)
    return torch.sigmoid(log_p.exp() - log_q.exp())


def _both_zero_is_nan(log_p, log_q):
    _same_shape(log_p, log_q)
    return torch.sigmoid(log_p - log_q)


def _mended_by_epsilon(log_p, log_q):
    _same_shape(log_p, log_q)
    p, q = log_p.exp(), log_q.exp()
    return (p + 1e-12) / (p + q + 2e-12)


def _mended_afterwards(log_p, log_q):
    _same_shape(log_p, log_q)
    nowhere = (log_p == -math.inf) & (log_q == -math.inf)
    return torch.where(nowhere, 0.5, torch.sigmoid(log_p - log_q))


def _broadcasts(log_p, log_q):
    log_p, log_q = torch.broadcast_tensors(log_p, log_q)
    return gan.optimal_discriminator(log_p, log_q)


_OPTIMAL_DISCRIMINATOR = Exercise(
    name="optimal_discriminator",
    solution=gan.optimal_discriminator,
    cases=_optimal_cases,
    mistakes=(
        Mistake(
            "Far from the data both densities underflow to 0, and 0/0 is NaN. Divide "
            "by p first: 1 / (1 + q/p), and q/p is an exponential of a difference.",
            _of_densities,
        ),
        Mistake(
            "This is q / (p + q), how likely a point is *generated*.",
            _generated_instead,
        ),
        Mistake(
            "This is a ratio of logarithms. p and q are their exponentials.",
            _ratio_of_logs,
        ),
        Mistake(
            "This is the best *logit*, which is right, and its sigmoid is due.",
            _the_logit,
        ),
        Mistake(
            "The logit is the difference of the *logarithms*, not of the densities.",
            _difference_of_densities,
        ),
        Mistake(
            "Where both densities are 0, −∞ minus −∞ is NaN. Return 0.5 there.",
            _both_zero_is_nan,
        ),
        Mistake(
            "A small number added below pulls every point far from the data to 0.5, "
            "where D* may well be sure. Subtract the logarithms instead.",
            _mended_by_epsilon,
        ),
        Mistake(
            "The value is right and the gradient NaN: 0 times NaN. Replace both "
            "logarithms *before* you subtract them.",
            _mended_afterwards,
        ),
        Mistake(
            "Two shapes are two different sets of points. Raise a `ValueError`.",
            _broadcasts,
        ),
    ),
    hints=(
        "Divide p / (p + q) above and below by p. What is q/p, in logarithms?",
        "1 / (1 + e^−u) is the sigmoid of u, and u is log p − log q.",
        "For points where both are −∞: `masked_fill(nowhere, 0)` on both, before the "
        "difference; the sigmoid of 0 is 0.5.",
    ),
)


EXERCISES = (_DISCRIMINATOR_LOSS, _GENERATOR_LOSS, _OPTIMAL_DISCRIMINATOR)
