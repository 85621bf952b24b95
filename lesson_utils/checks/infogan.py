"""The exercises of the chapter `book/generating/infogan.ipynb`."""

import itertools
import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import infogan
from lesson_utils.common import codes as common_codes
from lesson_utils.common.require import require_probabilities, require_shape
from lesson_utils.grading.draws import normal, seeded, uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# mutual_information_loss --------------------------------------------------------------


def _loss_reference(logits, codes, means, values, *, deviation=1.0):
    """By torch's distributions."""
    category = torch.distributions.Categorical(logits=logits)
    around = torch.distributions.Normal(means, deviation)
    parts = category.log_prob(codes), around.log_prob(values).sum(1)
    return tuple(-part.sum() / len(logits) for part in parts)


def _loss_cases() -> Iterator[Case]:
    logits = torch.tensor([[math.log(2), 0.0, 0.0], [0.0, 0.0, 0.0]])
    codes = torch.tensor([0, 2])
    means = torch.tensor([[0.0, 0.5], [1.0, -0.5]])
    values = torch.tensor([[0.0, 0.5], [0.0, 0.5]])  # squares: 0 0, 1 1
    constant = math.log(2 * math.pi) / 2
    yield Case(
        "by hand",
        (logits, codes, means, values),
        expected=(
            torch.tensor((math.log(2) + math.log(3)) / 2),
            torch.tensor(0.5 + 2 * constant),
        ),
    )
    batch = (
        normal(5, 4, dtype=torch.float32),
        torch.tensor([3, 0, 0, 2, 1]),
        normal(5, 3, seed=1, dtype=torch.float32),
        2 * uniform(5, 3, seed=2, dtype=torch.float32) - 1,
    )
    yield Case.from_reference("a batch of five", _loss_reference, *batch)
    yield Case.from_reference("a narrower Q", _loss_reference, *batch, deviation=0.25)
    wide = tuple(each.double() if each.is_floating_point() else each for each in batch)
    yield Case.from_reference(
        "its gradient", _loss_reference, *wide, deviation=0.5, gradient=True
    )
    yield Case.from_reference(
        "one continuous code",
        _loss_reference,
        wide[0],
        wide[1],
        wide[2][:, :1],
        wide[3][:, :1],
        deviation=2.0,
    )
    yield Case(
        "no continuous code",
        (
            torch.zeros(3, 10),
            torch.tensor([1, 5, 9]),
            torch.zeros(3, 0),
            torch.zeros(3, 0),
        ),
        expected=(torch.tensor(math.log(10)), torch.tensor(0.0)),
        hardening=True,
        atol=1e-6,
    )
    yield Case.from_reference(
        "logits of 1,000",
        _loss_reference,
        1000 * wide[0],
        *wide[1:],
        hardening=True,
    )
    empty = (
        torch.zeros(0, 4),
        torch.zeros(0).long(),
        torch.zeros(0, 2),
        torch.zeros(0, 2),
    )
    yield Case("no picture", empty, raises=ValueError)
    yield Case(
        "a category out of range",
        (batch[0], batch[1] + 1, *batch[2:]),
        raises=(ValueError, IndexError, RuntimeError),
    )
    yield Case(
        "one value for all codes", (*batch[:3], batch[3][:, :1]), raises=ValueError
    )
    yield Case(
        "a row of means", (*batch[:2], batch[2][:1], batch[3]), raises=ValueError
    )
    broken = batch[3].clone()
    broken[0, 0] = math.nan
    yield Case("a NaN in the values", (*batch[:3], broken), raises=ValueError)
    yield Case("a deviation of 0", batch, {"deviation": 0.0}, raises=ValueError)


def _guarded(function: Callable) -> Callable:
    """An answer that refuses what is to be refused, around a mistake."""

    def answer(logits, codes, means, values, *, deviation=1.0):
        if not len(logits) or means.shape != values.shape or len(means) != len(logits):
            raise ValueError("shapes")
        if values.isnan().any() or not deviation > 0:
            raise ValueError("numbers")
        return function(logits, codes, means, values, deviation)

    return answer


def _normal_part(means, values, deviation):
    """The log of the normal density, (B, C), negative."""
    return (
        ((values - means) / deviation).square() / 2
        + math.log(deviation)
        + math.log(2 * math.pi) / 2
    )


@_guarded
def _softmax_twice(logits, codes, means, values, deviation):
    found = F.cross_entropy(logits.softmax(1), codes)
    return found, _normal_part(means, values, deviation).sum(1).mean()


@_guarded
def _summed(logits, codes, means, values, deviation):
    found = F.cross_entropy(logits, codes, reduction="sum")
    return found, _normal_part(means, values, deviation).sum()


@_guarded
def _mean_over_codes(logits, codes, means, values, deviation):
    return F.cross_entropy(logits, codes), _normal_part(means, values, deviation).mean()


@_guarded
def _no_constant(logits, codes, means, values, deviation):
    squares = ((values - means) / deviation).square() / 2
    return F.cross_entropy(logits, codes), squares.sum(1).mean()


@_guarded
def _no_two_pi(logits, codes, means, values, deviation):
    part = _normal_part(means, values, deviation) - math.log(2 * math.pi) / 2
    return F.cross_entropy(logits, codes), part.sum(1).mean()


@_guarded
def _no_deviation(logits, codes, means, values, deviation):
    part = _normal_part(means, values, deviation) - math.log(deviation)
    return F.cross_entropy(logits, codes), part.sum(1).mean()


@_guarded
def _not_halved(logits, codes, means, values, deviation):
    part = _normal_part(means, values, deviation)
    part = part + ((values - means) / deviation).square() / 2
    return F.cross_entropy(logits, codes), part.sum(1).mean()


@_guarded
def _as_variance(logits, codes, means, values, deviation):
    part = _normal_part(means, values, math.sqrt(deviation))
    return F.cross_entropy(logits, codes), part.sum(1).mean()


@_guarded
def _likelihoods(logits, codes, means, values, deviation):
    part = _normal_part(means, values, deviation)
    return -F.cross_entropy(logits, codes), -part.sum(1).mean()


@_guarded
def _one_number(logits, codes, means, values, deviation):
    part = _normal_part(means, values, deviation).sum(1).mean()
    return F.cross_entropy(logits, codes) + part


@_guarded
def _entropy_of_q(logits, codes, means, values, deviation):
    log_q = logits.log_softmax(1)
    found = -(log_q.exp() * log_q).sum(1).mean()
    return found, _normal_part(means, values, deviation).sum(1).mean()


@_guarded
def _exchanged(logits, codes, means, values, deviation):
    part = _normal_part(means, values, deviation).sum(1).mean()
    return part, F.cross_entropy(logits, codes)


@_guarded
def _weighted(logits, codes, means, values, deviation):
    part = _normal_part(means, values, deviation).sum(1).mean()
    return F.cross_entropy(logits, codes), 0.1 * part


@_guarded
def _constant_once(logits, codes, means, values, deviation):
    squares = ((values - means) / deviation).square() / 2
    constant = math.log(deviation) + math.log(2 * math.pi) / 2
    return F.cross_entropy(logits, codes), squares.sum(1).mean() + constant


@_guarded
def _loss_in_bits(logits, codes, means, values, deviation):
    part = _normal_part(means, values, deviation).sum(1).mean()
    return F.cross_entropy(logits, codes) / math.log(2), part / math.log(2)


def _loss(
    category: Callable = F.cross_entropy,
    *,
    scale: Callable = lambda s: 2 * s**2,
    constant: Callable = lambda s: math.log(s) + math.log(2 * math.pi) / 2,
    average: Callable = lambda part: part.sum(1).mean(),
) -> Callable:
    """The right answer, with one part of it made in another way."""

    @_guarded
    def answer(logits, codes, means, values, deviation):
        part = (values - means).square() / scale(deviation) + constant(deviation)
        return category(logits, codes), average(part)

    return answer


_CATEGORY_SUMMED = _loss(lambda logits, c: F.cross_entropy(logits, c, reduction="sum"))
_NO_LOG_SOFTMAX = _loss(F.nll_loss)
_NORMAL_SUMMED = _loss(average=Tensor.sum)
_MEAN_TIMES_CODES = _loss(average=lambda part: part.mean() * part.shape[1])
_TWICE_THE_DEVIATION = _loss(scale=lambda s: 2 * s)
_MINUS_LOG = _loss(constant=lambda s: math.log(2 * math.pi) / 2 - math.log(s))
_NOT_HEEDED = _loss(scale=lambda s: 2, constant=lambda s: math.log(2 * math.pi) / 2)
_SQUARED_ERRORS = tuple(
    _loss(scale=lambda s: 1, constant=lambda s: 0, average=average)
    for average in (Tensor.mean, lambda part: part.sum(1).mean())
)
_WHOLE_LOGS = tuple(
    _loss(constant=lambda s, a=a, b=b: a * math.log(s) + b * math.log(2 * math.pi))
    for a, b in ((1, 1), (2, 0.5), (2, 1))
)


def _refuses_nothing(logits, codes, means, values, *, deviation=1.0):
    part = _normal_part(means, values, deviation)  # log 0 refuses itself
    return F.cross_entropy(logits, codes), part.sum(1).mean()


_LOSS = Exercise(
    name="mutual_information_loss",
    solution=infogan.mutual_information_loss,
    cases=_loss_cases,
    mistakes=(
        Mistake(
            "`F.cross_entropy` takes logits and does the softmax itself: here it is "
            "done twice.",
            _softmax_twice,
        ),
        Mistake("Take the mean over the batch, not the sum.", _summed),
        Mistake(
            "The category's part is summed over the batch: take its mean.",
            _CATEGORY_SUMMED,
        ),
        Mistake(
            "The continuous part is summed over the batch: take its mean.",
            _NORMAL_SUMMED,
        ),
        Mistake(
            "`F.nll_loss` expects log-probabilities, and logits are none. "
            "`F.cross_entropy` does the softmax and the logarithm.",
            _NO_LOG_SOFTMAX,
        ),
        Mistake(
            "The continuous codes are independent, so their log-likelihoods are added: "
            "sum over the codes, then take the mean over the batch.",
            _mean_over_codes,
        ),
        Mistake(
            "The squares are right; the density's constant is missing: log of the "
            "deviation, and half of log 2π, for each code.",
            _no_constant,
        ),
        Mistake("Half of log 2π is missing for each code.", _no_two_pi),
        Mistake(
            "A narrower normal density is higher: log of the deviation is missing.",
            _no_deviation,
        ),
        Mistake("The exponent of a normal density has a half in it.", _not_halved),
        Mistake(
            "`deviation` is the deviation; you use it as the variance, its square.",
            _as_variance,
        ),
        *(
            Mistake(
                "This is the squared error. The negative log-likelihood divides it by "
                "twice the variance and adds the density's constant, for each code.",
                answer,
            )
            for answer in _SQUARED_ERRORS
        ),
        Mistake(
            "The exponent divides by twice the variance, 2σ²; here it is twice the "
            "deviation.",
            _TWICE_THE_DEVIATION,
        ),
        *(
            Mistake(
                "A normal density divides by the root of 2πσ²: *half* of log 2π and "
                "*half* of log σ² is due for each code.",
                answer,
            )
            for answer in _WHOLE_LOGS
        ),
        Mistake(
            "The density has 1/σ in it: minus its log is *plus* log σ.", _MINUS_LOG
        ),
        Mistake(
            "The density's constant is due for each code: add it before the sum over "
            "the codes.",
            _constant_once,
        ),
        Mistake(
            "`deviation` has no effect in your answer: it scales the differences, and "
            "its logarithm is added for each code.",
            _NOT_HEEDED,
        ),
        Mistake(
            "The category's part comes first, then that of the continuous codes.",
            _exchanged,
        ),
        Mistake(
            "Weights belong to the training. Return both parts as they are.", _weighted
        ),
        Mistake(
            "This is in bits. The chapter measures in nats: natural logarithms.",
            _loss_in_bits,
        ),
        Mistake(
            "With C = 0 a mean over the codes is one over nothing, NaN. Sum over the "
            "codes, then take the mean over the batch.",
            _MEAN_TIMES_CODES,
        ),
        Mistake("A loss is to fall: take *minus* the log-likelihoods.", _likelihoods),
        Mistake(
            "Return the two parts as a pair: training weights them differently.",
            _one_number,
        ),
        Mistake(
            "This is how unsure Q is, whatever the truth is. Look up −log Q at the "
            "category that the picture was made with.",
            _entropy_of_q,
        ),
        Mistake(
            "Shapes that do not fit are broadcast, the mean of nothing is NaN, and NaN "
            "goes through: compare the shapes and look for an empty batch, for NaN in "
            "the values and for a deviation that is not above 0 first.",
            _refuses_nothing,
        ),
    ),
    hints=(
        "Two negative log-likelihoods: of a category under a softmax, and of numbers "
        "under a normal distribution.",
        "`F.cross_entropy` is the first. The second is a squared difference over twice "
        "the variance, plus log σ and half of log 2π, summed over the codes.",
        "`squares = ((values - means) / deviation).square() / 2`, then "
        "`(squares + log(deviation) + log(2π) / 2).sum(1).mean()`.",
    ),
)


# code_accuracy ------------------------------------------------------------------------


def _accuracy_reference(codes, labels, *, number=10):
    """All permutations, one after the other."""
    best = 0.0
    for meaning in itertools.permutations(range(number)):
        found = torch.tensor(meaning)[codes.long()]
        best = max(best, (found == labels).float().mean().item())
    return torch.tensor(best)


def _pairs(counts: list[list[int]]) -> tuple[Tensor, Tensor]:
    """Codes and labels that meet so often."""
    table = torch.tensor(counts)
    code, label = torch.meshgrid(*map(torch.arange, table.shape), indexing="ij")
    times = table.flatten()
    return code.flatten().repeat_interleave(times), label.flatten().repeat_interleave(
        times
    )


def _accuracy_cases() -> Iterator[Case]:
    yield Case(
        "codes that are permuted labels",
        (torch.tensor([2, 2, 0, 1]), torch.tensor([0, 0, 1, 2])),
        {"number": 3},
        expected=torch.tensor(1.0),
    )
    # Greedy takes 5 and is left with 0 + 1; the best matching has 4 + 4 + 1 of 15.
    yield Case(
        "the largest count is a trap",
        _pairs([[5, 4, 0], [4, 0, 0], [1, 0, 1]]),
        {"number": 3},
        expected=torch.tensor(9 / 15),
    )
    yield Case(
        "two codes for one label",
        _pairs([[6, 1, 0], [5, 2, 0], [0, 1, 3]]),
        {"number": 3},
        expected=torch.tensor(11 / 18),
    )
    # Shares of rows, or of columns, choose 8 + 1 + 2 of 21; the best has 10 + 0 + 2.
    yield Case(
        "rare codes",
        _pairs([[10, 8, 0], [1, 0, 0], [0, 0, 2]]),
        {"number": 3},
        expected=torch.tensor(12 / 21),
    )
    draw = seeded(3)
    yield Case.from_reference(
        "forty at random",
        _accuracy_reference,
        torch.randint(5, (40,), generator=draw),
        torch.randint(5, (40,), generator=draw),
        number=5,
    )
    digits = torch.arange(10).repeat(3)
    yield Case(
        "ten, the default",
        ((digits + 3) % 10, digits),
        expected=torch.tensor(1.0),
    )
    yield Case(
        "a code and a label that never come",
        (torch.tensor([3, 3, 0]), torch.tensor([1, 1, 2])),
        {"number": 4},
        expected=torch.tensor(1.0),
        hardening=True,
    )
    yield Case(
        "one code for all",
        (torch.zeros(6).long(), torch.tensor([0, 1, 1, 2, 2, 2])),
        {"number": 3},
        expected=torch.tensor(0.5),
        hardening=True,
    )
    yield Case(
        "a single picture",
        (torch.tensor([4]), torch.tensor([7])),
        expected=torch.tensor(1.0),
        hardening=True,
    )
    none = torch.zeros(0).long()
    yield Case("no picture", (none, none), raises=ValueError)
    yield Case(
        "a label out of range",
        (torch.tensor([0, 1]), torch.tensor([0, 3])),
        {"number": 3},
        raises=(ValueError, IndexError, RuntimeError),
    )
    yield Case(
        "a code below 0",
        (torch.tensor([0, -1]), torch.tensor([0, 2])),
        {"number": 3},
        raises=(ValueError, IndexError, RuntimeError),
    )
    yield Case(
        "more labels than codes",
        (torch.tensor([0]), torch.tensor([0, 1])),
        {"number": 3},
        raises=(ValueError, IndexError, RuntimeError),
    )


def _table(codes, labels, number, *, guarded=True) -> Tensor:
    """Counts (K, K), after what is to be refused is refused."""
    if guarded:
        if len(codes) != len(labels) or not len(codes):
            raise ValueError("length")
        both = torch.stack([codes, labels])
        if both.min() < 0 or both.max() >= number:
            raise ValueError("range")
    return torch.stack(
        [(labels[codes == code]).bincount(minlength=number) for code in range(number)]
    )


def _share(matched: Tensor | float, labels: Tensor) -> Tensor:
    return torch.as_tensor(float(matched) / len(labels))


def _unmatched(codes, labels, *, number=10):
    return _share(_table(codes, labels, number).trace(), labels)


def _majority(codes, labels, *, number=10):
    return _share(_table(codes, labels, number).amax(1).sum(), labels)


def _majority_of_labels(codes, labels, *, number=10):
    return _share(_table(codes, labels, number).amax(0).sum(), labels)


def _greedy(codes, labels, *, number=10):
    table, total = _table(codes, labels, number).clone(), 0
    for _ in range(number):
        place = int(table.argmax())
        total += int(table.flatten()[place])
        table[place // number] = table[:, place % number] = -1
    return _share(total, labels)


def _greedy_in_order(codes, labels, *, number=10):
    table, total = _table(codes, labels, number).clone(), 0
    for row in range(number):
        total += int(table[row].max())
        table[:, int(table[row].argmax())] = -1
    return _share(total, labels)


def _worst(codes, labels, *, number=10):
    from scipy.optimize import linear_sum_assignment

    table = _table(codes, labels, number).numpy()
    return _share(table[linear_sum_assignment(table)].sum(), labels)


def _percent(codes, labels, *, number=10):
    return 100 * common_codes.code_accuracy(codes, labels, number=number)


def _count(codes, labels, *, number=10):
    return common_codes.code_accuracy(codes, labels, number=number) * len(labels)


def _mean_over_matched(codes, labels, *, number=10):
    """The mean of each code's own accuracy: rare codes weigh as much."""
    table = _table(codes, labels, number)
    meaning = common_codes.match_codes(codes, labels, number=number)
    hit = table[torch.arange(number), meaning]
    return (hit / table.sum(1).clamp(min=1)).mean().float()


def _matched_by_shares(dim: int, *, of_pictures: bool = True) -> Callable:
    """Matches shares of each code (dim 1) or label (0), where counts are due."""

    def answer(codes, labels, *, number=10):
        from scipy.optimize import linear_sum_assignment

        table = _table(codes, labels, number).double()
        shares = table / table.sum(dim, keepdim=True).clamp(min=1)
        matched = linear_sum_assignment(shares.numpy(), maximize=True)
        if of_pictures:
            return _share(table[matched].sum(), labels)
        return shares[matched].mean().float()

    return answer


def _accepts_all(codes, labels, *, number=10):
    from scipy.optimize import linear_sum_assignment

    table = torch.zeros(number + 1, number + 1)
    for code, label in zip(codes.tolist(), labels.tolist(), strict=False):
        table[min(code, number), min(label, number)] += 1
    table = table[:number, :number].numpy()
    matched = table[linear_sum_assignment(table, maximize=True)].sum()
    return torch.tensor(float(matched) / max(len(labels), 1))


_ACCURACY = Exercise(
    name="code_accuracy",
    solution=common_codes.code_accuracy,
    cases=_accuracy_cases,
    mistakes=(
        Mistake(
            "Code 0 need not stand for label 0: nobody told the network their names. "
            "Match codes with labels first.",
            _unmatched,
        ),
        Mistake(
            "Each code takes its own best label, so two codes may take the same one. "
            "The matching is one to one.",
            _majority,
        ),
        Mistake(
            "Each label takes its own best code, so two labels may take the same one. "
            "The matching is one to one.",
            _majority_of_labels,
        ),
        Mistake(
            "Taking the largest count first can cost more later: "
            "`scipy.optimize.linear_sum_assignment` finds the best one as a whole.",
            _greedy,
        ),
        Mistake(
            "Codes that choose in turn leave the last ones what nobody wanted. Find "
            "the best matching as a whole.",
            _greedy_in_order,
        ),
        Mistake(
            "`linear_sum_assignment` minimizes a cost: give it `maximize=True`, or the "
            "counts with a minus sign.",
            _worst,
        ),
        Mistake("A share from 0 to 1 is due, not percent.", _percent),
        Mistake("This is how many are right: divide by how many there are.", _count),
        Mistake(
            "This is the mean of the codes' own accuracies. Each *picture* weighs the "
            "same: add what is right, and divide by the number of pictures.",
            _mean_over_matched,
        ),
        *(
            Mistake(
                "Match the counts themselves. A table of shares lets a code or label "
                "that is rare weigh as much as one that is frequent.",
                _matched_by_shares(dim, of_pictures=of_pictures),
            )
            for dim in (0, 1)
            for of_pictures in (True, False)
        ),
        Mistake(
            "An empty batch, numbers out of range and unequal lengths are errors: say "
            "so with a `ValueError`.",
            _accepts_all,
        ),
    ),
    hints=(
        "Count first: how often does each code meet each label?",
        "A table (K, K) of counts. Choose one cell in each row and in each column, so "
        "that their sum is as large as can be.",
        "`linear_sum_assignment(counts, maximize=True)` returns rows and columns; "
        "`counts[rows, columns].sum() / N`.",
    ),
)


# information_bound --------------------------------------------------------------------


def _bound_reference(joint, guess):
    """Number by number."""
    of_code = [sum(row) for row in joint.unbind(0)]
    of_picture = [sum(column) for column in joint.unbind(1)]
    bound = sum(-p * p.log() for p in of_code if p > 0)
    gap = joint.new_zeros(())
    for k, x in itertools.product(*map(range, joint.shape)):
        p, q = joint[k, x], guess[k, x]
        if p > 0:
            bound = bound + p * q.log()
            gap = gap + p * (p / of_picture[x] / q).log()
    return bound, gap


def _distribution(*shape: int, seed: int) -> Tensor:
    table = uniform(*shape, seed=seed) + 0.05
    return table / table.sum()


def _columns(*shape: int, seed: int) -> Tensor:
    table = uniform(*shape, seed=seed) + 0.05
    return table / table.sum(0)


def _bound_cases() -> Iterator[Case]:
    joint = torch.tensor([[0.4, 0.1], [0.1, 0.4]])
    posterior = torch.tensor([[0.8, 0.2], [0.2, 0.8]])
    log2 = math.log(2)
    information = log2 + 0.8 * math.log(0.8) + 0.2 * math.log(0.2)
    yield Case(
        "Q is the posterior",
        (joint, posterior),
        expected=(torch.tensor(information), torch.tensor(0.0)),
        atol=1e-6,
    )
    yield Case(
        "Q knows nothing",
        (joint, torch.full((2, 2), 0.5)),
        expected=(torch.tensor(0.0), torch.tensor(information)),
        atol=1e-6,
    )
    for shape, seed in (((3, 5), 1), ((4, 2), 2)):
        yield Case.from_reference(
            f"{shape[0]} codes, {shape[1]} pictures",
            _bound_reference,
            _distribution(*shape, seed=seed),
            _columns(*shape, seed=seed + 10),
        )
    skewed = torch.tensor([[0.7, 0.1, 0.02], [0.05, 0.1, 0.03]]).double()
    yield Case.from_reference(
        "unequal codes", _bound_reference, skewed, _columns(2, 3, seed=5)
    )
    yield Case(
        "a picture tells its code",
        (torch.eye(3) / 3, torch.eye(3)),
        expected=(torch.tensor(math.log(3)), torch.tensor(0.0)),
        hardening=True,
        atol=1e-6,
    )
    yield Case(
        "a picture that never comes",
        (
            torch.tensor([[0.5, 0.0], [0.5, 0.0]]),
            torch.tensor([[0.5, 1.0], [0.5, 0.0]]),
        ),
        expected=(torch.tensor(0.0), torch.tensor(0.0)),
        hardening=True,
        atol=1e-6,
    )
    yield Case(
        "Q excludes what happens",
        (joint, torch.tensor([[1.0, 0.2], [0.0, 0.8]])),
        expected=(torch.tensor(-math.inf), torch.tensor(math.inf)),
        hardening=True,
    )
    yield Case("a joint that sums to 2", (2 * joint, posterior), raises=ValueError)
    yield Case("rows instead of columns", (
        torch.tensor([[0.4, 0.1], [0.1, 0.4]]),
        torch.tensor([[0.7, 0.3], [0.1, 0.9]]),
    ), raises=ValueError)  # fmt: skip
    yield Case("one column for all", (joint, posterior[:, :1]), raises=ValueError)
    yield Case("a NaN", (joint, posterior * math.nan), raises=ValueError)


def _on_tables(function: Callable) -> Callable:
    """An answer that refuses what is to be refused, around a mistake."""

    def answer(joint, guess):
        require_shape("guess", guess, "K X", K=len(joint), X=joint.shape[1])
        require_probabilities("joint", joint.flatten())
        require_probabilities("guess", guess.T)
        of_picture = joint.sum(0)
        posterior = joint / of_picture.where(of_picture > 0, 1.0)
        entropy = -torch.xlogy(joint.sum(1), joint.sum(1)).sum()
        gap = (torch.xlogy(joint, posterior) - torch.xlogy(joint, guess)).sum()
        return function(joint, guess, posterior, entropy, gap)

    return answer


@_on_tables
def _no_entropy(joint, guess, posterior, entropy, gap):
    return torch.xlogy(joint, guess).sum(), gap


@_on_tables
def _entropy_of_pictures(joint, guess, posterior, entropy, gap):
    of_picture = joint.sum(0)
    entropy = -torch.xlogy(of_picture, of_picture).sum()
    return entropy + torch.xlogy(joint, guess).sum(), gap


@_on_tables
def _bits(joint, guess, posterior, entropy, gap):
    bound = entropy + torch.xlogy(joint, guess).sum()
    return bound / math.log(2), gap / math.log(2)


@_on_tables
def _posterior_for_q(joint, guess, posterior, entropy, gap):
    return entropy + torch.xlogy(joint, posterior).sum(), gap


@_on_tables
def _swapped(joint, guess, posterior, entropy, gap):
    return gap, entropy + torch.xlogy(joint, guess).sum()


@_on_tables
def _reversed(joint, guess, posterior, entropy, gap):
    of_picture = joint.sum(0)
    back = (torch.xlogy(guess, guess) - torch.xlogy(guess, posterior)).sum(0)
    return entropy + torch.xlogy(joint, guess).sum(), (of_picture * back).sum()


@_on_tables
def _unweighted(joint, guess, posterior, entropy, gap):
    of_each = (torch.xlogy(posterior, posterior) - torch.xlogy(posterior, guess)).sum(0)
    return entropy + torch.xlogy(joint, guess).sum(), of_each.mean()


@_on_tables
def _minus_gap(joint, guess, posterior, entropy, gap):
    return entropy + torch.xlogy(joint, guess).sum(), -gap


@_on_tables
def _minus_entropy(joint, guess, posterior, entropy, gap):
    return torch.xlogy(joint, guess).sum() - entropy, gap


@_on_tables
def _zero_times_infinity(joint, guess, posterior, entropy, gap):
    of_code = joint.sum(1)
    bound = -(of_code * of_code.log()).sum() + (joint * guess.log()).sum()
    gap = (joint * (joint / joint.sum(0)).log()).sum() - (joint * guess.log()).sum()
    return bound, gap


def _changed(
    *,
    entropy: Callable | None = None,
    mean: Callable | None = None,
    gap: Callable | None = None,
) -> Callable:
    """The right answer, with one part of it made in another way."""

    @_on_tables
    def answer(joint, guess, posterior, h, divergence):
        h = entropy(joint) if entropy else h
        e = mean(joint, guess) if mean else torch.xlogy(joint, guess).sum()
        return h + e, gap(joint, guess, posterior) if gap else divergence

    return answer


def _never_zero(how: Callable) -> tuple[Callable, Callable]:
    """Q kept away from 0: in the bound alone, and in the gap, too."""

    def mean(joint, guess):
        return (joint * how(guess).log()).sum()

    def gap(joint, guess, posterior):
        return torch.xlogy(joint, posterior).sum() - mean(joint, guess)

    return _changed(mean=mean), _changed(mean=mean, gap=gap)


_LOG_K = _changed(entropy=lambda joint: math.log(len(joint)))
_JOINT_ENTROPY = _changed(entropy=lambda joint: -torch.xlogy(joint, joint).sum())
_UNWEIGHTED_MEANS = (
    _changed(mean=lambda joint, guess: guess.log().mean()),
    _changed(mean=lambda joint, guess: guess.log().sum(0).mean()),
    _changed(mean=lambda joint, guess: guess.log().sum()),
    _changed(mean=lambda joint, guess: (joint.sum(0) * guess.log()).sum()),
)
_SUMMED_GAP = _changed(
    gap=lambda joint, guess, posterior: (
        torch.xlogy(posterior, posterior) - torch.xlogy(posterior, guess)
    ).sum()
)
_JOINT_GAP = _changed(
    gap=lambda joint, guess, posterior: (
        torch.xlogy(joint, joint) - torch.xlogy(joint, guess)
    ).sum()
)
_NEVER_ZERO = tuple(
    answer
    for least in (1e-12, 1e-10, 1e-9, 1e-8)
    for how in (lambda q, e=least: q + e, lambda q, e=least: q.clamp(min=e))
    for answer in _never_zero(how)
)
_NOT_A_NUMBER = (
    _changed(mean=lambda joint, guess: (joint * guess.log()).sum()),
    _changed(
        gap=lambda joint, guess, posterior: (
            joint * (joint / joint.sum(0) / guess).log()
        ).sum()
    ),
    _changed(
        gap=lambda joint, guess, posterior: (
            torch.xlogy(joint, joint / joint.sum(0)) - torch.xlogy(joint, guess)
        ).sum()
    ),
)


def _any_table(joint, guess):
    of_picture = joint.sum(0)
    posterior = joint / of_picture.where(of_picture > 0, 1.0)
    entropy = -torch.xlogy(joint.sum(1), joint.sum(1)).sum()
    gap = (torch.xlogy(joint, posterior) - torch.xlogy(joint, guess)).sum()
    return entropy + torch.xlogy(joint, guess).sum(), gap


_BOUND = Exercise(
    name="information_bound",
    solution=common_codes.information_bound,
    cases=_bound_cases,
    mistakes=(
        Mistake(
            "The entropy of the codes is missing: without it the bound cannot rise "
            "above 0.",
            _no_entropy,
        ),
        Mistake(
            "H is the entropy of the *codes*, the sums of the rows, not of the "
            "pictures.",
            _entropy_of_pictures,
        ),
        Mistake(
            "log K is the entropy of K *equally likely* codes. Here they need not be: "
            "take the sums of the rows.",
            _LOG_K,
        ),
        Mistake(
            "This is the entropy of the pairs. H is that of the codes: sum each row "
            "first.",
            _JOINT_ENTROPY,
        ),
        *(
            Mistake(
                "E is the mean over the pairs that are drawn: weight each log Q by its "
                "pair's probability, `joint`, and sum.",
                answer,
            )
            for answer in _UNWEIGHTED_MEANS
        ),
        Mistake(
            "This is in bits. The chapter measures in nats: natural logarithms.",
            _bits,
        ),
        Mistake(
            "With the posterior in place of Q you have the mutual information itself. "
            "The bound asks `guess`.",
            _posterior_for_q,
        ),
        Mistake("The bound comes first, then the gap.", _swapped),
        Mistake(
            "This divergence runs the other way. The mean is taken under the "
            "posterior: P log (P / Q).",
            _reversed,
        ),
        Mistake(
            "Pictures are not equally likely: weight each one's divergence by its "
            "probability.",
            _unweighted,
        ),
        Mistake(
            "This adds the pictures' divergences. Their *mean* is due: weight each by "
            "its picture's probability.",
            _SUMMED_GAP,
        ),
        Mistake(
            "P(c|x) is the posterior: divide each column of `joint` by its sum before "
            "you take the logarithm.",
            _JOINT_GAP,
        ),
        Mistake("A gap is not negative: P log (P / Q), not P log (Q / P).", _minus_gap),
        Mistake("The entropy is −Σ p log p, and it is *added*.", _minus_entropy),
        Mistake(
            "0 · log 0 is NaN in floating point and 0 in information theory: "
            "`torch.xlogy` knows.",
            _zero_times_infinity,
        ),
        *(
            Mistake(
                "0 · log 0 and 0 / 0 are NaN in floating point, and what never happens "
                "counts 0: `torch.xlogy` knows, and a column of zeros needs another "
                "divisor.",
                answer,
            )
            for answer in _NOT_A_NUMBER
        ),
        *(
            Mistake(
                "A small number in place of 0 hides that Q excludes what happens: then "
                "the bound is −∞ and the gap ∞. `torch.xlogy` needs no such help.",
                answer,
            )
            for answer in _NEVER_ZERO
        ),
        Mistake(
            "Refuse, with a `ValueError`, what is no distribution: `joint` sums to 1, "
            "and so does each column of `guess`; the shapes are equal.",
            _any_table,
        ),
    ),
    hints=(
        "Sums of rows are the codes' probabilities, sums of columns the pictures'.",
        "Bound: −Σ p(c) log p(c) + Σ P(c, x) log Q(c|x). Gap: Σ P(c, x) log of "
        "P(c|x) / Q(c|x).",
        "`torch.xlogy(joint, guess).sum()` is the bound's second part.",
    ),
)

EXERCISES = (_LOSS, _ACCURACY, _BOUND)
