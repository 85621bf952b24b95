"""The exercises of the chapter `book/losses/classification_losses.ipynb`."""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import classification_losses
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# exponential_loss -------------------------------------------------------------------


def _exponential_loss_cases() -> Iterator[Case]:
    margins = torch.tensor([0.0, math.log(2), -math.log(3)])
    expected = torch.tensor([1.0, 0.5, 3.0])
    yield Case("0, log 2 and -log 3", (margins,), expected=expected)
    reference = lambda m: math.e**-m  # noqa: E731
    margins = normal(3, 4)
    yield Case.from_reference("three rows of four", reference, margins)
    yield Case.from_reference("its gradient", reference, margins, gradient=True)
    yield Case("no margins", (torch.zeros(0),), expected=torch.zeros(0), hardening=True)
    far = torch.tensor([-20.0, 20.0])
    expected = torch.tensor([4.851652e8, 2.0611537e-9])
    yield Case(
        "margins of 20", (far,), expected=expected, rtol=1e-4, atol=0, hardening=True
    )


_EXPONENTIAL_LOSS = Exercise(
    name="exponential_loss",
    solution=classification_losses.exponential_loss,
    cases=_exponential_loss_cases,
    mistakes=(
        Mistake(
            "The sign is turned: a wrong answer has a negative margin and must cost "
            "more than a right one.",
            torch.exp,
        ),
        Mistake(
            "One loss for each margin is wanted, not their mean.",
            lambda margins: torch.exp(-margins).mean(),
        ),
        Mistake(
            "One loss for each margin is wanted, not their sum.",
            lambda margins: torch.exp(-margins).sum(),
        ),
        Mistake(
            "This is the logistic loss: no 1 is added, and no logarithm taken.",
            lambda margins: F.softplus(-margins),
        ),
        Mistake(
            "The size of the margin alone is no use: its sign says who is right.",
            lambda margins: torch.exp(-margins.abs()),
        ),
        Mistake("This is a power of 2; the base is e.", lambda margins: 2.0**-margins),
        Mistake(
            "That is the sigmoid of -m, the slope of the logistic loss.",
            lambda margins: torch.sigmoid(-margins),
        ),
    ),
    hints=("One call of torch.", "`torch.exp` of minus the margins."),
)


# exponential_weights ----------------------------------------------------------------


def _weights_reference(margins: Tensor) -> Tensor:
    return torch.softmax(-margins, dim=-1)


def _exponential_weights_cases() -> Iterator[Case]:
    margins = torch.tensor([0.0, math.log(2), -math.log(3)])
    expected = torch.tensor([1.0, 0.5, 3.0]) / 4.5
    yield Case("0, log 2 and -log 3", (margins,), expected=expected)
    yield Case("all alike", (torch.full((5,), 0.7),), expected=torch.full((5,), 0.2))
    yield Case.from_reference("random margins", _weights_reference, 2 * normal(6))
    far = torch.tensor([-1000.0, -999.0, 3.0])
    expected = torch.tensor([1 / (1 + math.exp(-1)), 1 / (1 + math.e), 0.0])
    yield Case("margins of -1,000", (far,), expected=expected, hardening=True)
    yield Case(
        "margins of 1,000",
        (torch.tensor([1000.0, 1000.0]),),
        expected=torch.tensor([0.5, 0.5]),
        hardening=True,
    )


def _through_exp(margins):
    losses = torch.exp(-margins)
    return losses / losses.sum()


_EXPONENTIAL_WEIGHTS = Exercise(
    name="exponential_weights",
    solution=classification_losses.exponential_weights,
    cases=_exponential_weights_cases,
    mistakes=(
        Mistake(
            "e to the 1,000 is infinite, and infinity over infinity is NaN. Take the "
            "smallest margin off all of them first: the parts stay the same.",
            _through_exp,
        ),
        Mistake(
            "The sign is turned: the smallest margin pulls most.",
            lambda margins: torch.softmax(margins, dim=-1),
        ),
        Mistake(
            "Divide by the sum, so that the parts add up to 1.",
            lambda margins: torch.exp(-margins),
        ),
        Mistake(
            "Divide by the sum and not by the largest, so that the parts add up to 1.",
            lambda margins: torch.exp(margins.min() - margins),
        ),
        Mistake(
            "These are the parts of the logistic loss, whose slope is a sigmoid.",
            lambda margins: torch.sigmoid(-margins) / torch.sigmoid(-margins).sum(),
        ),
        Mistake(
            "These are the logarithms of the parts.",
            lambda margins: torch.log_softmax(-margins, dim=-1),
        ),
        Mistake(
            "Clamping makes margins alike that are not. Take the smallest off all of "
            "them instead: the parts stay the same.",
            lambda margins: torch.softmax(-margins.clamp(-80, 80), dim=-1),
        ),
        Mistake(
            "You divide by the length of the vector; divide by its sum.",
            lambda margins: F.normalize(torch.exp(-margins), dim=0),
        ),
    ),
    hints=(
        "The slope of e^-m is -e^-m: a point's part is e^-m over the sum of all.",
        "Where have you seen e^z over a sum of such? Put z = -m.",
    ),
)


# cross_entropy ----------------------------------------------------------------------


def _cross_entropy_reference(logits: Tensor, targets: Tensor) -> Tensor:
    return F.nll_loss(torch.log_softmax(logits, dim=1), targets)


def _cross_entropy_cases() -> Iterator[Case]:
    logits = torch.tensor([[0.0, math.log(3)], [math.log(7), 0.0]])
    targets = torch.tensor([1, 1])
    expected = torch.tensor((math.log(4 / 3) + math.log(8)) / 2)
    yield Case("two samples of two classes", (logits, targets), expected=expected)
    logits, targets = 2 * normal(6, 4), torch.tensor([0, 3, 1, 1, 2, 0])
    reference = _cross_entropy_reference
    yield Case.from_reference("six samples", reference, logits, targets)
    yield Case.from_reference("its gradient", reference, logits, targets, gradient=True)
    large = torch.tensor([[1000.0, 0.0, -1000.0], [0.0, 1000.0, 0.0]])
    yield Case(
        "logits of 1,000",
        (large, torch.tensor([1, 1])),
        expected=torch.tensor(500.0),
        hardening=True,
    )
    excluded = torch.tensor([[0.0, -torch.inf, 0.0]])
    yield Case(
        "a class that is excluded by a logit of -inf",
        (excluded, torch.tensor([2])),
        expected=torch.tensor(math.log(2)),
        hardening=True,
    )
    for wrong in (4, -1):
        yield Case(
            f"a target of {wrong}", (normal(1, 4), torch.tensor([wrong])),
            raises=(ValueError, IndexError),
        )  # fmt: skip
    empty = torch.zeros(0, 4), torch.zeros(0, dtype=torch.long)
    yield Case("no samples", empty, raises=ValueError)


def _refused(logits: Tensor, targets: Tensor) -> None:
    if not len(logits) or targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise ValueError("targets")


def _picked(log_p: Tensor, targets: Tensor) -> Tensor:
    return -log_p[torch.arange(len(targets)), targets]


def _naive(logits, targets):
    _refused(logits, targets)
    p = logits.exp() / logits.exp().sum(1, keepdim=True)
    return _picked(p.log(), targets).mean()


def _log_of_softmax(logits, targets):
    _refused(logits, targets)
    return _picked(torch.softmax(logits, 1).log(), targets).mean()


def _sum(logits, targets):
    _refused(logits, targets)
    return _picked(logits.log_softmax(1), targets).sum()


def _over_batch(logits, targets):
    _refused(logits, targets)
    return _picked(logits.log_softmax(0), targets).mean()


def _each(logits, targets):
    _refused(logits, targets)
    return _picked(logits.log_softmax(1), targets)


def _negative(logits, targets):
    return -_right(logits, targets)


def _probability(logits, targets):
    _refused(logits, targets)
    return _picked(torch.softmax(logits, 1), targets).mean() + 1


def _twice(logits, targets):
    _refused(logits, targets)
    return _picked(torch.softmax(logits, 1).log_softmax(1), targets).mean()


def _right(logits, targets):
    _refused(logits, targets)
    return _picked(logits.log_softmax(1), targets).mean()


def _binary(logits, targets):
    _refused(logits, targets)
    hot = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, hot)


def _one_hot_times(logits, targets):
    _refused(logits, targets)
    hot = F.one_hot(targets, logits.shape[1]).to(logits.dtype)
    return -(hot * logits.log_softmax(1)).sum(1).mean()


def _mean_of_all(logits, targets):
    return _right(logits, targets) / logits.shape[1]


def _minus_p(logits, targets):
    _refused(logits, targets)
    return _picked(torch.softmax(logits, 1), targets).mean()


def _minus_logit(logits, targets):
    _refused(logits, targets)
    return _picked(logits, targets).mean()


def _in_bits(logits, targets):
    return _right(logits, targets) / math.log(2)


def _wraps(logits, targets):
    if not len(logits):
        raise ValueError("empty")
    return _picked(logits.log_softmax(1), targets).mean()


_CROSS_ENTROPY = Exercise(
    name="cross_entropy",
    solution=classification_losses.cross_entropy,
    cases=_cross_entropy_cases,
    mistakes=(
        Mistake(
            "`exp` of a logit of 1,000 is infinite. Subtract `logsumexp` from the "
            "logits and never leave the logarithms.",
            _naive,
        ),
        Mistake(
            "The softmax of a hopeless class is exactly 0, and its log is -inf. "
            "Subtract `logsumexp` from the logits and never leave the logarithms.",
            _log_of_softmax,
        ),
        Mistake("The mean over the samples is wanted, not the sum.", _sum),
        Mistake("The classes run along dimension 1, and the softmax too.", _over_batch),
        Mistake("One number for the batch is wanted: the mean.", _each),
        Mistake("The sign is turned: a loss is *minus* the logarithm.", _negative),
        Mistake("This is 1 - p in the mean; the loss is -log p.", _probability),
        Mistake(
            "The softmax is taken twice: logits go in, and one log-softmax is enough.",
            _twice,
        ),
        Mistake(
            "These are K questions of yes or no. One softmax over the classes is "
            "wanted.",
            _binary,
        ),
        Mistake(
            "0 times an infinite logarithm is NaN: pick the right class by its index "
            "instead of multiplying with a one-hot row.",
            _one_hot_times,
        ),
        Mistake(
            "The mean is over the samples, N, and not over all N · K places of a "
            "one-hot table.",
            _mean_of_all,
        ),
        Mistake("This is minus the probability: its logarithm is missing.", _minus_p),
        Mistake(
            "This is minus the logit: the softmax's sum is missing. Subtract "
            "`logsumexp` of the row.",
            _minus_logit,
        ),
        Mistake("`log2` gives bits; the loss has the natural logarithm.", _in_bits),
        Mistake(
            "A target of -1 takes the last class without a word. Refuse what lies "
            "outside 0 to K - 1.",
            _wraps,
        ),
    ),
    hints=(
        "log p is a logit less `logsumexp` of its row.",
        "Pick one entry from each row by `log_p[torch.arange(len(targets)), targets]`.",
    ),
)


# focal_loss -------------------------------------------------------------------------


def _focal_reference(logits, targets, *, gamma=2.0, alpha=0.25) -> Tensor:
    p = torch.where(targets == 1, torch.sigmoid(logits), torch.sigmoid(-logits))
    weight = torch.where(targets == 1, alpha, 1 - alpha).to(p.dtype)
    return -weight * (1 - p) ** gamma * p.log()


def _with(targets: Tensor, gamma: float) -> Callable:
    """A call by the logits alone: only their gradient is asked for."""
    return lambda answer, logits: answer(logits, targets.clone(), gamma=gamma)


def _focal_loss_cases() -> Iterator[Case]:
    zero = torch.zeros(2)
    targets = torch.tensor([1.0, 0.0])
    expected = torch.tensor([0.25, 0.75]) * 0.25 * math.log(2)
    yield Case("undecided", (zero, targets), expected=expected)
    logits, targets = 2 * normal(7), torch.tensor([1.0, 0, 0, 1, 1, 0, 0]).double()
    options = ({}, {"gamma": 0.0, "alpha": 0.9}, {"gamma": 0.5}, {"gamma": 5.0})
    for keywords in options:
        words = ", ".join(f"{k}={v:g}" for k, v in keywords.items()) or "as the paper"
        yield Case.from_reference(words, _focal_reference, logits, targets, **keywords)
    yield Case.from_reference(
        "its gradient",
        lambda z: _focal_reference(z, targets, gamma=1.5),
        logits,
        gradient=True,
        call=_with(targets, 1.5),
    )
    sure, right = torch.tensor([200.0, -200.0]), torch.tensor([1.0, 0.0])
    for gamma in (0.0, 0.5, 2.0):
        yield Case(
            f"answers that are right and sure, gamma={gamma:g}",
            (sure,),
            expected=torch.zeros(2),
            gradients=(torch.zeros(2),),
            hardening=True,
            call=_with(right, gamma),
        )
    yield Case.from_reference(
        "answers that are wrong and sure",
        lambda z: torch.tensor([0.25, 0.75]) * z.abs(),
        -sure,
        gradient=True,
        hardening=True,
        call=_with(right, 2.0),
    )
    for target in (0.3, 2.0):
        wrong = torch.zeros(2), torch.tensor([1.0, target])
        yield Case(f"a target of {target:g}", wrong, raises=ValueError)
    wrong = torch.zeros(2), torch.tensor([1.0, 0.0])
    yield Case("gamma=-1", wrong, {"gamma": -1.0}, raises=ValueError)


def _by_logarithms(margins, gamma):
    """p^γ, (1 - p)^γ and the cross entropy; the other two lose one or all of them."""
    inner, outer = F.logsigmoid(margins), F.logsigmoid(-margins)
    return torch.exp(gamma * inner), torch.exp(gamma * outer), -inner


def _by_cross_entropy(margins, gamma):
    loss = F.softplus(-margins)
    return torch.exp(-loss) ** gamma, (1 - torch.exp(-loss)) ** gamma, loss


def _by_probabilities(margins, gamma):
    p = margins.sigmoid()
    return p**gamma, (1 - p) ** gamma, -p.log()


def _focal(change, way):
    def answer(logits, targets, *, gamma=2.0, alpha=0.25):
        if not ((targets == 0) | (targets == 1)).all() or gamma < 0:
            raise ValueError("targets, gamma")
        parts = way(torch.where(targets == 1, logits, -logits), gamma)
        yes = (targets == 1).to(logits.dtype)
        return change(*parts, alpha * yes + (1 - alpha) * (1 - yes), yes)

    return answer


def _product(right, wrong, loss, weight, yes):
    return weight * wrong * loss


def _always_two(way):
    return lambda margins, gamma: way(margins, 2.0)


def _as_factor(way):
    """γ (1 - p) in the place of the power."""

    def parts(margins, gamma):
        right, wrong, loss = way(margins, 1.0)
        return gamma * right, gamma * wrong, loss

    return parts


# What is wrong with the idea, however the reader computes the parts.
_WRONG_PRODUCTS = (
    (
        "The factor is (1 - p)^γ: it must be small where the answer is right.",
        lambda right, wrong, loss, weight, yes: weight * right * loss,
    ),
    (
        "α weights the ones and 1 - α the zeros; here they have changed places.",
        lambda right, wrong, loss, weight, yes: (1 - weight) * wrong * loss,
    ),
    (
        "α is missing: it weights the ones, and 1 - α the zeros.",
        lambda right, wrong, loss, weight, yes: wrong * loss,
    ),
    (
        "One loss for each logit is wanted, not their mean.",
        lambda right, wrong, loss, weight, yes: (weight * wrong * loss).mean(),
    ),
    (
        "The sign is turned: a loss is *minus* the logarithm.",
        lambda right, wrong, loss, weight, yes: -weight * wrong * loss,
    ),
    (
        "α is for the ones only: zeros have the weight 1 - α.",
        lambda right, wrong, loss, weight, yes: (
            (weight * yes + (1 - weight) * (1 - yes)) * wrong * loss
        ),
    ),
    (
        "The zeros have a loss, too: there p is the probability of 0.",
        lambda right, wrong, loss, weight, yes: yes * weight * wrong * loss,
    ),
    (
        "The weight (1 - p)^γ is part of the loss: do not detach it.",
        lambda right, wrong, loss, weight, yes: weight * wrong.detach() * loss,
    ),
)
_WAYS = (_by_logarithms, _by_cross_entropy, _by_probabilities)


_FOCAL_LOSS = Exercise(
    name="focal_loss",
    solution=classification_losses.focal_loss,
    cases=_focal_loss_cases,
    mistakes=(
        *(
            Mistake(hint, _focal(change, way))
            for hint, change in _WRONG_PRODUCTS
            for way in _WAYS
        ),
        *(
            Mistake(hint, _focal(_product, changed(way)))
            for hint, changed in (
                ("`gamma` is not heeded: it is the power of (1 - p).", _always_two),
                ("γ is a power of (1 - p), and here it is a factor.", _as_factor),
            )
            for way in _WAYS
        ),
        Mistake(
            "The sigmoid of a sure answer is exactly 0 or 1, and then `log` or a power "
            "has no finite slope. Work with logarithms: log(1 - p) is `logsigmoid` of "
            "minus the margin, and (1 - p)^γ is `exp` of γ times that.",
            _focal(_product, _by_probabilities),
        ),
        Mistake(
            "The value is right, but not its slope: a power below 1 has an infinite "
            "slope at 0. Write (1 - p)^γ as `exp` of γ log(1 - p).",
            _focal(_product, _by_cross_entropy),
        ),
    ),
    hints=(
        "Turn the sign of a logit where the target is 0: then p is its sigmoid in both "
        "cases, and 1 - p the sigmoid of minus it.",
        "`F.logsigmoid(margins)` is log p, `F.logsigmoid(-margins)` is log(1 - p); "
        "`torch.exp(gamma * …)` makes the power.",
    ),
)


EXERCISES = (_EXPONENTIAL_LOSS, _EXPONENTIAL_WEIGHTS, _CROSS_ENTROPY, _FOCAL_LOSS)
