"""Margins in softmax: by hand, against loops and pytorch-metric-learning, limits."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lesson_utils import margin_softmax as ms
from lesson_utils.checks import margin_softmax as margin_softmax_checks
from lesson_utils.checks.margin_softmax import (
    _arcface_by_loop,
    _by_bisection,
    _cosface_by_loop,
)
from lesson_utils.common.studies import read_study
from tests.answers import ExerciseTests

TARGETS = torch.tensor([1, 0, 3, 2, 2])
ANGLES = torch.linspace(0, math.pi, 721, dtype=torch.float64)


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


def cosines():
    return 1.8 * random(5, 4) - 0.9


def along(logits, **options):
    """The own class's logit at every angle from 0 to pi."""
    cosine = torch.stack([ANGLES.cos(), torch.zeros_like(ANGLES)], dim=1)
    return logits(cosine, torch.zeros(len(ANGLES)).long(), **options)[:, 0]


class TestCosines:
    def test_by_hand(self):
        features, weight = torch.tensor([[3.0, 4], [0, 0]]), torch.tensor([[2.0, 0]])
        assert ms.cosine_logits(features, weight).flatten().tolist() == pytest.approx(
            [0.6, 0]
        )

    def test_is_torchs(self):
        a, b = random(6, 3) - 0.5, random(4, 3, seed=1) - 0.5
        theirs = F.linear(F.normalize(a), F.normalize(b))
        torch.testing.assert_close(ms.cosine_logits(a, b), theirs)

    def test_errors(self):
        with pytest.raises(ValueError, match=r"weight must be \(K, 3\)"):
            ms.cosine_logits(random(2, 3), random(4, 2))


class TestLogits:
    @given(st.integers(0, 9), st.floats(0, 1), st.floats(1, 64))
    @settings(max_examples=30, deadline=None)
    def test_by_loops(self, seed, margin, scale):
        cosine = 2 * random(5, 4, seed=seed) - 1
        for ours, loop in (
            (ms.cosface_logits, _cosface_by_loop),
            (ms.arcface_logits, _arcface_by_loop),
        ):
            torch.testing.assert_close(
                ours(cosine, TARGETS, margin=margin, scale=scale),
                loop(cosine, TARGETS, margin=margin, scale=scale),
            )

    @pytest.mark.parametrize("margin", [1, 2, 3, 4, 5])
    def test_sphereface_by_its_definition(self, margin):
        cosine, norms = cosines(), random(5) + 1
        logits = ms.sphereface_logits(cosine, norms, TARGETS, margin=margin)
        for i, target in enumerate(TARGETS.tolist()):
            angle = math.acos(cosine[i, target])
            k = math.floor(angle * margin / math.pi)
            psi = (-1) ** k * math.cos(margin * angle) - 2 * k
            expected = cosine[i].clone()
            expected[target] = psi
            torch.testing.assert_close(logits[i], norms[i] * expected)

    def test_the_own_logit_falls_with_the_angle(self):
        ones = torch.ones(len(ANGLES), dtype=torch.float64)
        for margin in (1, 2, 4):
            psi = along(
                lambda c, t, m=margin: ms.sphereface_logits(c, ones, t, margin=m)
            )
            assert psi.diff().max() < 1e-12
            assert psi[[0, -1]].tolist() == pytest.approx([1, 1 - 2 * margin])
        for logits in (ms.cosface_logits, ms.arcface_logits):
            for margin in (0, 0.2, 0.5, 1.0):
                assert along(logits, margin=margin).diff().max() < 1e-9

    def test_without_a_margin_all_are_the_cosine(self):
        cosine, ones = cosines(), torch.ones(5).double()
        for logits in (
            ms.sphereface_logits(cosine, ones, TARGETS, margin=1),
            ms.cosface_logits(cosine, TARGETS, margin=0, scale=1),
            ms.arcface_logits(cosine, TARGETS, margin=0, scale=1),
        ):
            torch.testing.assert_close(logits, cosine)

    def test_gradients(self):
        cosine = cosines().requires_grad_()
        norms = (random(5) + 1).requires_grad_()
        assert gradcheck(lambda c: ms.cosface_logits(c, TARGETS), cosine)
        assert gradcheck(lambda c: ms.arcface_logits(c, TARGETS), cosine)
        assert gradcheck(
            lambda c, n: ms.sphereface_logits(c, n, TARGETS, margin=3), (cosine, norms)
        )

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_gradients_are_finite_at_the_ends(self, dtype):
        for end in (1.0, -1.0, 1 - 6e-8, -1 + 6e-8, 1.0005, -1.0005):
            cosine = torch.tensor([[end, 0.1]], dtype=dtype, requires_grad=True)
            own = torch.tensor([0])
            for logits in (
                ms.arcface_logits(cosine, own),
                ms.cosface_logits(cosine, own),
                ms.sphereface_logits(cosine, torch.ones(1, dtype=dtype), own),
            ):
                (slope,) = torch.autograd.grad(logits.sum(), cosine)
                assert slope.isfinite().all()
                assert logits.isfinite().all()

    def test_errors(self):
        cosine = cosines()
        with pytest.raises(ValueError, match=r"cosine must lie in \[-1, 1\]"):
            ms.arcface_logits(cosine * 3, TARGETS)
        with pytest.raises(ValueError, match="targets must lie"):
            ms.cosface_logits(cosine, TARGETS + 2)
        with pytest.raises(ValueError, match="margin must be a whole number"):
            ms.sphereface_logits(cosine, random(5), TARGETS, margin=1.5)
        with pytest.raises(ValueError, match="margin must lie in"):
            ms.arcface_logits(cosine, TARGETS, margin=3.5)
        with pytest.raises(ValueError, match=r"norms must be \(5,\)"):
            ms.sphereface_logits(cosine, random(4), TARGETS)


class TestAgainstPytorchMetricLearning:
    """Its margins of angles are in degrees."""

    def compare(self, theirs, ours, scale=None):
        features, targets = random(9, 6) - 0.5, torch.arange(9) % 4
        weight = theirs.W.detach().T.double()
        theirs.W.data = theirs.W.data.double()
        cosine = ms.cosine_logits(features, weight)
        expected = theirs(features, targets)
        logits = ours(cosine, features, targets)
        torch.testing.assert_close(F.cross_entropy(logits, targets), expected)

    def test_cosface_and_arcface(self):
        losses = pytest.importorskip("pytorch_metric_learning.losses")
        torch.manual_seed(0)
        self.compare(
            losses.CosFaceLoss(4, 6, margin=0.35, scale=64),
            lambda cosine, _, targets: ms.cosface_logits(cosine, targets),
        )
        self.compare(
            losses.ArcFaceLoss(4, 6, margin=math.degrees(0.5), scale=64),
            lambda cosine, _, targets: ms.arcface_logits(cosine, targets),
        )

    def test_sphereface(self):
        losses = pytest.importorskip("pytorch_metric_learning.losses")
        torch.manual_seed(0)
        self.compare(
            losses.SphereFaceLoss(4, 6, margin=4, scale=1),
            lambda cosine, features, targets: ms.sphereface_logits(
                cosine, features.norm(dim=1), targets, margin=4
            ),
        )


class TestLimits:
    def test_boundaries(self):
        for angle in (0.3, 1.0, 2.0, math.pi):
            for loss, margin in (
                ("softmax", 0),
                ("cosface", 0.03),
                ("arcface", 0.2),
                ("sphereface", 4),
            ):
                found = ms.boundary_angle(angle, loss=loss, margin=margin)
                expected = _by_bisection(angle, loss=loss, margin=margin)
                assert found == pytest.approx(expected, abs=1e-9)

    def test_at_the_largest_margin_the_boundary_is_the_class_itself(self):
        angle = 2 * math.pi / 10
        margin = ms.largest_margin(10, 2)
        assert margin == pytest.approx(0.19, abs=0.002)
        at = ms.boundary_angle(angle, loss="cosface", margin=margin - 1e-12)
        assert at == pytest.approx(0, abs=1e-5)
        with pytest.raises(ValueError, match="margin must be at most"):
            ms.boundary_angle(angle, loss="cosface", margin=margin + 1e-6)

    def test_the_simplex_has_the_largest_margin(self):
        corners = torch.eye(5).double() - 0.2
        cosine = ms.cosine_logits(corners, corners)
        expected = 1 - cosine[0, 1].item()
        assert ms.largest_margin(5, 4) == pytest.approx(expected)
        assert ms.largest_margin(3, 2) == pytest.approx(1.5)

    def test_the_smallest_scale(self):
        for classes in (2, 10, 1000):
            for other in (-1 / (classes - 1), 0.0, 0.5):
                scale = ms.smallest_scale(classes, 0.9, other=other)
                logits = torch.full((classes,), other * scale, dtype=torch.float64)
                logits[0] = scale
                assert logits.softmax(0)[0].item() == pytest.approx(0.9)
        assert ms.smallest_scale(2, 0.3, other=0) == 0

    def test_errors(self):
        with pytest.raises(ValueError, match="dim must be 2 or at least 9"):
            ms.largest_margin(10, 5)
        with pytest.raises(ValueError, match="probability must lie"):
            ms.smallest_scale(10, 1.0, other=0)
        with pytest.raises(ValueError, match="loss must be one of"):
            ms.boundary_angle(1.0, loss="triplet")
        with pytest.raises(ValueError, match="margin must be 0 for softmax"):
            ms.boundary_angle(1.0, loss="softmax", margin=0.1)


class TestHeadAndTraining:
    @pytest.mark.parametrize("loss", ms.LOSSES)
    def test_learns(self, loss):
        torch.manual_seed(0)
        labels = torch.arange(30) % 3
        images = (torch.eye(3)[labels] + 0.1 * torch.rand(30, 3)).clamp(0, 1)
        network = torch.nn.Linear(3, 4)
        margin = 0 if loss == "softmax" else 2 if loss == "sphereface" else 0.2
        head = ms.MarginHead(4, 3, loss=loss, margin=margin, scale=8)
        history = ms.train(
            network, head, images, labels, steps=60, learning_rate=3e-2, progress=False
        )
        assert history["loss"][-1] < 0.5 * history["loss"][0]
        best = ms.cosine_logits(network(images), head.weight).argmax(1)
        assert (best == labels).all()

    def test_errors(self):
        with pytest.raises(ValueError, match="loss must be one of"):
            ms.MarginHead(4, 3, loss="hinge", margin=0, scale=1)
        head = ms.MarginHead(4, 3, loss="cosface", margin=0.1, scale=8)
        with pytest.raises(ValueError, match="labels must lie"):
            ms.train(torch.nn.Linear(3, 4), head, random(4, 3), torch.arange(4))


class TestSampling:
    def test_has_the_batchs_classes_and_others(self):
        targets = torch.tensor([7, 2, 7, 40])
        dice = torch.Generator().manual_seed(0)
        classes, names = ms.sample_classes(targets, 50, 10, generator=dice)
        assert len(classes) == 10
        assert torch.equal(classes, classes.sort().values)
        assert torch.equal(classes[names], targets)
        everything, same = ms.sample_classes(targets, 50, 50, generator=dice)
        assert torch.equal(everything, torch.arange(50))
        assert torch.equal(same, targets)

    def test_others_are_drawn_evenly(self):
        targets, dice = torch.tensor([0]), torch.Generator().manual_seed(0)
        counts = torch.zeros(20)
        for _ in range(2000):
            counts[ms.sample_classes(targets, 20, 5, generator=dice)[0]] += 1
        assert counts[0] == 2000
        expected = 2000 * 4 / 19
        assert (counts[1:] - expected).abs().max() < 5 * math.sqrt(expected)

    def test_errors(self):
        with pytest.raises(ValueError, match="number must be a whole number from 2"):
            ms.sample_classes(torch.tensor([1, 2]), 9, 1, generator=None)


def test_the_study_says_what_the_chapter_needs():
    from studies.margin_softmax import HEADS, VERIFIERS

    rows = read_study("margin_softmax")["rows"]
    for part, names in (("circle", HEADS), ("sphere", HEADS), ("verify", VERIFIERS)):
        assert {row["loss"] for row in rows if row["part"] == part} == set(names)
    layers = [row["classes"] for row in rows if row["part"] == "layer"]
    assert layers == [1000, 10_000, 100_000]


# The exercises: right answers written in another way than the module's.


def refuse(cosine, targets, margin, scale):
    if cosine.abs().max() > 1.001 if cosine.numel() else False:
        raise ValueError("cosine")
    if len(targets) != len(cosine) or any(
        not 0 <= t < cosine.shape[1] for t in targets.tolist()
    ):
        raise ValueError("targets")
    if not 0 <= margin < math.pi or not scale > 0:
        raise ValueError("margin or scale")


def cosface_by_index(cosine, targets, *, margin=0.35, scale=64.0):
    refuse(cosine, targets, margin, scale)
    logits = cosine.clone()
    logits[range(len(targets)), targets] -= margin
    return logits * scale


def arcface_by_clamped_angles(cosine, targets, *, margin=0.5, scale=64.0):
    refuse(cosine, targets, margin, scale)
    tiny = torch.finfo(cosine.dtype).eps
    own = cosine[range(len(targets)), targets]
    angle = own.clamp(-1 + tiny, 1 - tiny).acos()
    moved = (
        (angle + margin)
        .cos()
        .where(angle + margin < math.pi, own - margin * math.sin(margin))
    )
    logits = cosine.clone()
    logits[range(len(targets)), targets] = moved
    return logits * scale


def boundary_by_cases(angle, *, loss, margin=0.0):
    if not 0 < angle <= math.pi or loss not in ms.LOSSES:
        raise ValueError("angle or loss")
    if loss == "softmax":
        return angle / 2
    if loss == "sphereface":
        if margin < 1:
            raise ValueError("margin")
        return angle / (1 + margin)
    largest = {"cosface": 1 - math.cos(angle), "arcface": angle}[loss]
    if not 0 <= margin <= largest:
        raise ValueError("margin")
    if loss == "arcface":
        return (angle - margin) / 2
    return _by_bisection(angle, loss=loss, margin=margin)


def pml_own(name, cosine, targets, margin, scale):
    from pytorch_metric_learning import losses

    loss = getattr(losses, name)(cosine.shape[1], 2, margin=margin, scale=scale)
    rows = torch.arange(len(targets))
    own = loss.modify_cosine_of_target_classes(cosine[rows, targets])
    return scale * cosine.scatter(1, targets[:, None], own[:, None])


def rewritten(of_own, *, everywhere=False, others=False):
    """An answer by another own cosine, or by one for other columns."""

    def answer(cosine, targets, *, margin=None, scale=64.0):
        margin = (0.35 if of_own in COSFACE else 0.5) if margin is None else margin
        refuse(cosine, targets, margin, scale)
        own = F.one_hot(targets, cosine.shape[1]).bool()
        own = torch.ones_like(own) if everywhere else ~own if others else own
        return scale * torch.where(own, of_own(cosine, margin), cosine)

    return answer


def shifted(cosine, margin):
    return cosine - margin


def eased(cosine, margin):
    return cosine + margin


COSFACE = (shifted, eased)


def turned(cosine, margin):
    sine = (1 - cosine**2).clamp(min=0)
    sine = torch.where(sine > 0, sine, 1).sqrt() * (sine > 0)
    moved = cosine * math.cos(margin) - sine * math.sin(margin)
    return torch.where(
        cosine > -math.cos(margin), moved, cosine - margin * math.sin(margin)
    )


def turned_degrees(cosine, margin):
    return turned(cosine, math.radians(margin))


def turned_and_rising(cosine, margin):
    sine = (1 - cosine**2).clamp(min=0)
    sine = torch.where(sine > 0, sine, 1).sqrt() * (sine > 0)
    return cosine * math.cos(margin) - sine * math.sin(margin)


RIGHT = {
    "cosface_logits": cosface_by_index,
    "arcface_logits": arcface_by_clamped_angles,
    "boundary_angle": boundary_by_cases,
}
PLAIN = {
    "cosface_logits": lambda c, t, *, margin=0.35, scale=64.0: (
        scale * (c - margin * F.one_hot(t, c.shape[1]))
    ),
    "arcface_logits": lambda c, t, *, margin=0.5, scale=64.0: (
        scale * torch.cos(c.acos() + margin * F.one_hot(t, c.shape[1]))
    ),
    "boundary_angle": lambda angle, *, loss, margin=0.0: _by_bisection(
        angle, loss=loss, margin=margin
    ),
}
LIBRARY = {
    "cosface_logits": lambda c, t, *, margin=0.35, scale=64.0: pml_own(
        "CosFaceLoss", c, t, margin, scale
    ),
    "arcface_logits": lambda c, t, *, margin=0.5, scale=64.0: pml_own(
        "ArcFaceLoss", c, t, math.degrees(margin), scale
    ),
    "boundary_angle": "no library has it",
}
WRONG = {
    "cosface_logits": [
        (
            lambda c, t, *, margin=0.35, scale=64.0: (
                cosface_by_index(c, t, margin=margin, scale=scale)
                + (scale - 1) * margin * F.one_hot(t, c.shape[1])
            ),
            "first, then multiply",
        ),
        (rewritten(eased), "You add the margin, and make"),
        (rewritten(shifted, everywhere=True), "from all classes"),
        (rewritten(shifted, others=True), "not off the others"),
        (
            lambda c, t, *, margin=0.35, scale=64.0: (
                cosface_by_index(c, t, margin=margin, scale=scale) / scale
            ),
            "scale is missing",
        ),
    ],
    "arcface_logits": [
        (rewritten(turned_degrees), "in radians"),
        (rewritten(turned, everywhere=True), "target's column alone"),
        (rewritten(turned, others=True), "not of the others"),
        (
            lambda c, t, *, margin=0.5, scale=64.0: rewritten(shifted)(
                c, t, margin=margin, scale=scale
            ),
            "that is CosFace",
        ),
        (
            lambda c, t, *, margin=0.5, scale=64.0: (
                arcface_by_clamped_angles(c, t, margin=margin, scale=scale) / scale
            ),
            "scale is missing",
        ),
        (rewritten(turned_and_rising), "rises again"),
    ],
    "boundary_angle": [
        (
            lambda angle, *, loss, margin=0.0: (
                angle / 2 + 0 * boundary_by_cases(angle, loss=loss, margin=margin)
            ),
            "without a margin",
        ),
        (
            lambda angle, *, loss, margin=0.0: (
                angle - boundary_by_cases(angle, loss=loss, margin=margin)
            ),
            "*other* class",
        ),
        (
            lambda angle, *, loss, margin=0.0: (
                boundary_by_cases(angle, loss=loss, margin=margin)
                - (margin / 2 if loss == "arcface" else 0)
            ),
            "*half* the margin",
        ),
        (
            lambda angle, *, loss, margin=0.0: (
                (angle - margin) / 2
                + 0 * boundary_by_cases(angle, loss=loss, margin=margin)
                if loss == "cosface"
                else boundary_by_cases(angle, loss=loss, margin=margin)
            ),
            "difference of cosines",
        ),
        (
            lambda angle, *, loss, margin=0.0: (
                boundary_by_cases(angle, loss=loss, margin=margin)
                * ((margin + 1) / (2 * margin) if loss == "sphereface" else 1)
            ),
            "ω / (m + 1)",
        ),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = margin_softmax_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
