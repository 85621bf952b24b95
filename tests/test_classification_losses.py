"""Classification losses: by hand, as torch and torchvision have them; AdaBoost."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import AdaBoostClassifier
from sklearn.linear_model import LogisticRegression
from torchvision.ops import sigmoid_focal_loss

from lesson_utils import classification_losses as cl
from lesson_utils.checks import classification_losses as loss_checks
from tests.answers import ExerciseTests

MARGIN_LOSSES = {
    "zero_one_loss": (1, 1, 1, 0, 0),
    "hinge_loss": (3, 2, 1, 0, 0),
    "squared_hinge_loss": (9, 4, 1, 0, 0),
    "logistic_loss": (2.126928, 1.313262, math.log(2), 0.313262, 0.126928),
    "exponential_loss": (math.e**2, math.e, 1, 1 / math.e, math.e**-2),
}


def randn(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


class TestMarginLosses:
    @pytest.mark.parametrize("name", MARGIN_LOSSES)
    def test_by_hand(self, name):
        margins = torch.arange(-2, 3).double()
        got = getattr(cl, name)(margins)
        expected = torch.tensor(MARGIN_LOSSES[name], dtype=torch.float64)
        torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)

    @pytest.mark.parametrize("name", MARGIN_LOSSES)
    def test_whole_numbers_are_refused(self, name):
        with pytest.raises(ValueError, match="margins must be floating"):
            getattr(cl, name)(torch.arange(3))

    @pytest.mark.parametrize("name", list(MARGIN_LOSSES)[1:])
    def test_gradients(self, name):
        margins = randn(20).requires_grad_()
        assert torch.autograd.gradcheck(getattr(cl, name), margins)

    @pytest.mark.parametrize("name", list(MARGIN_LOSSES)[1:])
    def test_convex_and_never_below_the_mistakes(self, name):
        """All but zero-one are convex; over log 2 the logistic bounds mistakes too."""
        loss, margins = (
            getattr(cl, name),
            torch.linspace(-5, 5, 401, dtype=torch.float64),
        )
        values = loss(margins)
        assert (values.diff().diff() >= -1e-9).all()
        scale = math.log(2) if name == "logistic_loss" else 1
        assert (values / scale >= cl.zero_one_loss(margins) - 1e-12).all()

    def test_logistic_far_out(self):
        margins = torch.tensor([-1e4, -100.0, 100.0, 1e4], requires_grad=True)
        losses = cl.logistic_loss(margins)
        torch.testing.assert_close(losses, F.softplus(-margins))
        losses.sum().backward()
        torch.testing.assert_close(margins.grad, torch.tensor([-1.0, -1, 0, 0]))

    def test_logistic_slope_at_zero(self):
        margin = torch.zeros((), requires_grad=True)
        cl.logistic_loss(margin).backward()
        assert margin.grad == -0.5

    def test_exponential_overflows_where_it_says(self):
        losses = cl.exponential_loss(torch.tensor([-88.7, -88.8]))
        assert losses.isfinite().tolist() == [True, False]


class TestExponentialWeights:
    def test_are_the_slopes(self):
        margins = randn(30).requires_grad_()
        cl.exponential_loss(margins).sum().backward()
        expected = margins.grad / margins.grad.sum()
        torch.testing.assert_close(cl.exponential_weights(margins.detach()), expected)

    def test_far_out_and_in_rows(self):
        margins = torch.tensor([[-1e4, 0.0, 1e4], [5.0, 5.0, 5.0]])
        expected = torch.tensor([[1.0, 0, 0], [1 / 3, 1 / 3, 1 / 3]])
        torch.testing.assert_close(cl.exponential_weights(margins), expected)

    def test_error(self):
        with pytest.raises(ValueError, match="margins must be floating"):
            cl.exponential_weights(torch.arange(3))


class TestCrossEntropy:
    @pytest.mark.parametrize("smoothing", [0, 0.1, 1])
    def test_is_torchs(self, smoothing):
        logits, targets = randn(9, 4).requires_grad_(), torch.arange(9) % 4
        ours = cl.cross_entropy(logits, targets, label_smoothing=smoothing)
        theirs = F.cross_entropy(logits, targets, label_smoothing=smoothing)
        torch.testing.assert_close(ours, theirs)
        slopes = [torch.autograd.grad(each, logits)[0] for each in (ours, theirs)]
        torch.testing.assert_close(*slopes)

    def test_of_two_classes_is_the_logistic_loss(self):
        scores, targets = randn(8), torch.tensor([0, 1] * 4)
        logits = torch.stack([torch.zeros(8).double(), scores], dim=1)
        margins = torch.where(targets == 1, scores, -scores)
        expected = cl.logistic_loss(margins).mean()
        torch.testing.assert_close(cl.cross_entropy(logits, targets), expected)

    def test_an_excluded_class(self):
        logits = torch.tensor([[0.0, 0.0, -torch.inf]])
        assert cl.cross_entropy(logits, torch.tensor([0])) == pytest.approx(math.log(2))

    def test_half_precision_is_computed_in_float32(self):
        logits = torch.tensor([[20.0, -20.0]]).half()
        loss = cl.cross_entropy(logits, torch.tensor([1], dtype=torch.uint8))
        assert loss.dtype == torch.float32
        assert loss == pytest.approx(40)

    @pytest.mark.parametrize(
        ("logits", "targets", "smoothing"),
        [
            (torch.zeros(2, 3), torch.tensor([0, 3]), 0),
            (torch.zeros(2, 3), torch.tensor([0, -1]), 0),
            (torch.zeros(2, 3), torch.tensor([0]), 0),
            (torch.zeros(2, 3), torch.tensor([0.0, 1.0]), 0),
            (torch.zeros(0, 3), torch.zeros(0, dtype=torch.long), 0),
            (torch.zeros(3), torch.tensor([0, 1, 2]), 0),
            (torch.zeros(2, 3).long(), torch.tensor([0, 1]), 0),
            (torch.zeros(2, 3), torch.tensor([0, 1]), 1.5),
            (torch.zeros(2, 3), torch.tensor([0, 1]), -0.1),
        ],
    )
    def test_errors(self, logits, targets, smoothing):
        with pytest.raises(ValueError, match="must"):
            cl.cross_entropy(logits, targets, label_smoothing=smoothing)


class TestFocalLoss:
    @pytest.mark.parametrize("gamma", [0, 0.5, 2, 5])
    @pytest.mark.parametrize("alpha", [None, 0.25, 1])
    def test_is_torchvisions(self, gamma, alpha):
        logits, targets = 3 * randn(40), (torch.arange(40) % 2).double()
        ours = cl.focal_loss(logits, targets, gamma=gamma, alpha=alpha)
        theirs = sigmoid_focal_loss(
            logits, targets, -1 if alpha is None else alpha, gamma
        )
        torch.testing.assert_close(ours, theirs)

    @pytest.mark.parametrize("gamma", [0, 1e-3, 0.1, 0.5, 1, 2, 7.5, 1000])
    @pytest.mark.parametrize("size", [0, 1, 17, 88, 104, 1e4, 1e30])
    def test_gradients_are_finite(self, gamma, size):
        logits = torch.tensor([float(size), -size] * 2, requires_grad=True)
        losses = cl.focal_loss(logits, torch.tensor([1, 1, 0, 0]), gamma=gamma)
        losses.sum().backward()
        assert losses.isfinite().all()
        assert logits.grad.isfinite().all()

    def test_gradcheck(self):
        targets = torch.arange(6) % 2
        loss = lambda z: cl.focal_loss(z, targets, gamma=0.7)  # noqa: E731
        assert torch.autograd.gradcheck(loss, randn(6).requires_grad_())

    @pytest.mark.parametrize(
        ("targets", "options"),
        [
            (torch.tensor([0.5, 1]), {}),
            (torch.tensor([2, 1]), {}),
            (torch.tensor([math.nan, 1]), {}),
            (torch.tensor([1]), {}),
            (torch.tensor([0, 1]), {"gamma": -1}),
            (torch.tensor([0, 1]), {"gamma": math.nan}),
            (torch.tensor([0, 1]), {"alpha": 1.1}),
        ],
    )
    def test_errors(self, targets, options):
        with pytest.raises(ValueError, match="must"):
            cl.focal_loss(torch.zeros(2), targets, **options)

    def test_whole_logits_are_refused(self):
        with pytest.raises(ValueError, match="logits must be floating"):
            cl.focal_loss(torch.tensor([1, 0]), torch.tensor([1, 0]))


def logistic(scores, labels):
    return cl.logistic_loss(labels * scores)


class TestFitLinear:
    def test_is_scikit_learns(self):
        points, decay = randn(80, 3), 0.05
        labels = torch.where(points[:, 0] + 0.5 * randn(80, seed=1) > 0, 1.0, -1.0)
        weight, bias = cl.fit_linear(points, labels, logistic, decay=decay)
        theirs = LogisticRegression(C=1 / (80 * decay), tol=1e-10, max_iter=1000)
        theirs.fit(points.numpy(), labels.numpy())
        expected = torch.tensor(theirs.coef_[0])
        torch.testing.assert_close(weight, expected, rtol=1e-4, atol=1e-5)
        assert bias.item() == pytest.approx(theirs.intercept_[0], abs=1e-4)

    def test_of_a_constant_is_half_the_log_odds(self):
        """Of equal points: the exponential loss finds half of the logistic one's."""
        points = torch.zeros(100, 1).double()
        labels = torch.where(torch.arange(100) < 20, 1.0, -1.0).double()
        exponential = lambda f, y: cl.exponential_loss(y * f)  # noqa: E731
        both = [cl.fit_linear(points, labels, f)[1] for f in (logistic, exponential)]
        odds = math.log(20 / 80)
        assert both[0].item() == pytest.approx(odds, abs=1e-4)
        assert both[1].item() == pytest.approx(odds / 2, abs=1e-4)

    @pytest.mark.parametrize(
        ("points", "targets", "options"),
        [
            (torch.zeros(0, 2), torch.zeros(0), {}),
            (torch.zeros(3), torch.zeros(3), {}),
            (torch.zeros(3, 2), torch.zeros(2), {}),
            (torch.zeros(3, 2).long(), torch.zeros(3), {}),
            (torch.zeros(3, 2), torch.zeros(3), {"decay": -1}),
            (torch.zeros(3, 2), torch.zeros(3), {"steps": 0.5}),
        ],
    )
    def test_errors(self, points, targets, options):
        with pytest.raises(ValueError, match="must"):
            cl.fit_linear(points, targets, logistic, **options)


def two_classes(number=60):
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(number, 3, generator=generator, dtype=torch.float64)
    labels = torch.where(points[:, 0] + points[:, 1] ** 2 > 0.8, 1.0, -1.0)
    return points, labels.double()


def every_stump(points):
    """All that can be asked: feature, threshold, sign; by loops."""
    for feature in range(points.shape[1]):
        values = sorted(set(points[:, feature]))
        for low, high in pairwise(values):
            for sign in (1, -1):
                yield feature, (low + high) / 2, sign


def freund_and_schapire(points, labels, rounds):
    """The paper's algorithm, line by line, with labels of 0 and 1 and its β."""
    targets = (labels + 1) / 2
    w, results = np.full(len(points), 1 / len(points)), []
    for _ in range(rounds):
        p, best = w / w.sum(), (2, None, None)
        for feature, threshold, sign in every_stump(points):
            above = points[:, feature] > threshold
            h = np.where(above, sign == 1, sign != 1).astype(float)
            error = (p * np.abs(h - targets)).sum()
            if error < best[0] - 1e-12:
                best = error, h, (feature, threshold, sign)
        beta = best[0] / (1 - best[0])
        results.append((p, best[2], best[0], math.log(1 / beta)))
        w = w * beta ** (1 - np.abs(best[1] - targets))
    return results


class OneStump(ClassifierMixin, BaseEstimator):
    """The book's stump as scikit-learn wants a classifier."""

    def fit(self, points, labels, sample_weight=None):
        self.classes_ = np.array([-1.0, 1.0])
        weights = torch.from_numpy(sample_weight / sample_weight.sum())
        data = torch.from_numpy(points), torch.from_numpy(labels)
        self.stump_ = cl.best_stump(*data, weights)[0]
        return self

    def predict(self, points):
        return self.stump_(torch.from_numpy(points)).numpy()


class TestAdaBoost:
    def test_is_freund_and_schapires(self):
        points, labels = two_classes()
        theirs = freund_and_schapire(points.numpy(), labels.numpy(), 12)
        for ours, (weights, stump, error, vote) in zip(
            cl.adaboost(points, labels, 12), theirs, strict=True
        ):
            np.testing.assert_allclose(ours.weights.numpy(), weights, atol=1e-12)
            assert ours.stump == pytest.approx(stump)
            assert ours.error == pytest.approx(error)
            assert 2 * ours.alpha == pytest.approx(vote)

    def test_is_scikit_learns_but_for_a_factor_of_two(self):
        points, labels = two_classes()
        theirs = AdaBoostClassifier(OneStump(), n_estimators=8)
        theirs.fit(points.numpy(), labels.numpy())
        ours = [each.alpha for each in cl.adaboost(points, labels, 8)]
        np.testing.assert_allclose(theirs.estimator_weights_, [2 * a for a in ours])

    def test_each_vote_is_the_step_that_lowers_the_loss_most(self):
        points, labels = two_classes()
        rounds = cl.adaboost(points, labels, 6)
        before = cl.boosted_scores(rounds[:-1], points)
        answers = rounds[-1].stump(points)

        def loss(vote):
            return cl.exponential_loss(labels * (before + vote * answers)).mean()

        alpha = rounds[-1].alpha
        assert loss(alpha) < min(loss(alpha + 1e-3), loss(alpha - 1e-3))

    def test_the_loss_is_the_product_of_what_the_rounds_leave(self):
        points, labels = two_classes()
        rounds = cl.adaboost(points, labels, 10)
        left = math.prod(2 * math.sqrt(r.error * (1 - r.error)) for r in rounds)
        loss = cl.exponential_loss(labels * cl.boosted_scores(rounds, points)).mean()
        assert loss.item() == pytest.approx(left)

    def test_half_of_the_weight_is_wrong_by_the_last_stump(self):
        points, labels = two_classes()
        first, second = cl.adaboost(points, labels, 2)
        wrong = first.stump(points) != labels
        assert second.weights[wrong].sum().item() == pytest.approx(0.5)

    def test_a_perfect_stump_ends_it(self):
        points = torch.tensor([[0.0], [1.0], [2.0]])
        (only,) = cl.adaboost(points, torch.tensor([-1.0, 1, 1]), 5)
        assert only.stump == (0, 0.5, 1)
        assert (only.error, only.alpha) == (0, 1)

    def test_chance_ends_it(self):
        points = torch.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
        assert cl.adaboost(points, torch.tensor([1.0, -1, -1, 1]), 5) == []
        assert cl.boosted_scores([], points).tolist() == [0] * 4

    @pytest.mark.parametrize(
        ("points", "labels", "rounds"),
        [
            (torch.rand(3, 2), torch.tensor([1, 1, 1]), 2),
            (torch.rand(3, 2), torch.tensor([0, 1, 1]), 2),
            (torch.rand(3, 2), torch.tensor([-1, 1]), 2),
            (torch.rand(0, 2), torch.zeros(0), 2),
            (torch.ones(2, 2), torch.tensor([-1, 1]), 2),
            (torch.rand(3), torch.tensor([-1, 1, 1]), 2),
            (torch.rand(3, 2), torch.tensor([-1, 1, 1]), 0),
        ],
    )
    def test_errors(self, points, labels, rounds):
        with pytest.raises(ValueError, match="must"):
            cl.adaboost(points, labels, rounds)


# Answers as readers write them ------------------------------------------------------


def refused(logits, targets):
    if len(logits) == 0 or targets.min() < 0 or targets.max() >= logits.shape[1]:
        raise ValueError("targets")


def cross_entropy_by_max(logits, targets):
    refused(logits, targets)
    top = logits.max(dim=1, keepdim=True).values
    lse = top[:, 0] + (logits - top).exp().sum(dim=1).log()
    return (lse - logits.gather(1, targets[:, None])[:, 0]).mean()


def cross_entropy_of(change):
    def answer(logits, targets):
        refused(logits, targets)
        return change(logits, targets)

    return answer


def by_softmax(logits, targets):
    return picked(logits.softmax(1).log(), targets).mean()


def over_samples(logits, targets):
    return picked(logits.log_softmax(0), targets).mean()


def target_from_the_end(logits, targets):
    return picked(logits.log_softmax(1), targets % logits.shape[1]).mean()


def picked(log_p, targets):
    return -log_p.gather(1, targets[:, None])[:, 0]


def good_focal(targets, gamma):
    if not ((targets == 0) | (targets == 1)).all() or gamma < 0:
        raise ValueError("targets, gamma")


def focal_by_logsigmoid(logits, targets, *, gamma=2.0, alpha=0.25):
    good_focal(targets, gamma)
    sign = 2 * targets - 1
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    modulation = torch.exp(gamma * F.logsigmoid(-sign * logits))
    return -weight * modulation * F.logsigmoid(sign * logits)


def focal_plain(logits, targets, *, gamma=2.0, alpha=0.25):
    p = torch.sigmoid(logits)
    p_t = p * targets + (1 - p) * (1 - targets)
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return -weight * (1 - p_t) ** gamma * torch.log(p_t)


def focal_of(change):
    def answer(logits, targets, *, gamma=2.0, alpha=0.25):
        good_focal(targets, gamma)
        return change(logits, targets, gamma=gamma, alpha=alpha)

    return answer


def power(logits, targets, gamma, alpha):
    """Torch's cross entropy, times the power of 1 - p."""
    ce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    weight = alpha * targets + (1 - alpha) * (1 - targets)
    return weight * (1 - torch.exp(-ce)) ** gamma * ce


def focal_unchecked(logits, targets, *, gamma=2.0, alpha=0.25):
    sign = torch.where(targets == 1, 1, -1)
    weight = torch.where(targets == 1, alpha, 1 - alpha)
    return (
        weight
        * torch.exp(-gamma * F.softplus(sign * logits))
        * F.softplus(-sign * logits)
    )


def library_focal(logits, targets, *, gamma=2.0, alpha=0.25):
    return sigmoid_focal_loss(logits, targets, alpha, gamma)


RIGHT = {
    "exponential_loss": lambda m: 1 / m.exp(),
    "exponential_weights": lambda m: (m.min() - m).exp() / (m.min() - m).exp().sum(),
    "cross_entropy": cross_entropy_by_max,
    "focal_loss": focal_by_logsigmoid,
}
PLAIN = {
    "exponential_loss": lambda m: math.e**-m,
    "exponential_weights": lambda m: (-m).exp() / (-m).exp().sum(),
    "cross_entropy": lambda z, t: -z.log_softmax(1)[torch.arange(len(t)), t].mean(),
    "focal_loss": focal_plain,
}
LIBRARY = {
    "exponential_loss": "torch has no exponential loss.",
    "exponential_weights": lambda m: F.softmin(m, dim=0),
    "cross_entropy": F.cross_entropy,
    "focal_loss": library_focal,
}
WRONG = {
    "exponential_loss": [
        (lambda m: m.exp(), "sign is turned"),
        (lambda m: (-m).exp().mean(), "not their mean"),
        (lambda m: (-m).exp().sum(), "not their sum"),
        (lambda m: torch.log(1 + torch.exp(-m)), "logistic loss"),
        (lambda m: torch.exp(-abs(m)), "size of the margin"),
        (lambda m: 1 / (1 + m.exp()), "sigmoid of -m"),
    ],
    "exponential_weights": [
        (lambda m: (-m).exp() / (-m).exp().sum(), "infinity over infinity"),
        (lambda m: m.softmax(0), "sign is turned"),
        (lambda m: (-m).exp(), "Divide by the sum"),
        (lambda m: (1 / (1 + m.exp())) / (1 / (1 + m.exp())).sum(), "logistic"),
        (lambda m: (-m).log_softmax(0), "logarithms of the parts"),
    ],
    "cross_entropy": [
        (cross_entropy_of(by_softmax), "hopeless"),
        (cross_entropy_of(lambda z, t: len(z) * F.cross_entropy(z, t)), "sum"),
        (cross_entropy_of(over_samples), "dimension 1"),
        (cross_entropy_of(lambda z, t: F.cross_entropy(z.softmax(1), t)), "twice"),
        (cross_entropy_of(lambda z, t: -F.cross_entropy(z, t)), "sign"),
        (target_from_the_end, "-1 takes the last"),
    ],
    "focal_loss": [
        (focal_of(focal_plain), "logarithms"),
        (focal_of(lambda z, t, gamma, alpha: power(z, t, gamma, 1 - alpha)), "places"),
        (
            focal_of(lambda z, t, gamma, alpha: 2 * power(z, t, gamma, 0.5)),
            "is missing",
        ),
        (focal_of(lambda z, t, gamma, alpha: power(z, t, gamma, alpha).mean()), "mean"),
        (focal_of(lambda z, t, gamma, alpha: power(-z, 1 - t, gamma, alpha)), "places"),
        (focal_of(power), "infinite slope at 0"),
        (focal_unchecked, "raise `ValueError` yourself"),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = loss_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
