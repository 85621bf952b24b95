"""Metric learning: by hand, against loops and pytorch-metric-learning, gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck

from lesson_utils import metric_learning as ml
from lesson_utils.checks import metric_learning as metric_learning_checks
from lesson_utils.checks.metric_learning import (
    _contrastive_by_loop,
    _hard_by_loop,
    _quadruplet_by_loop,
)
from lesson_utils.common.embedding import EmbeddingNet
from lesson_utils.common.retrieval import recall_at_k
from lesson_utils.common.studies import read_study
from tests.answers import ExerciseTests

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1, 1, 3])


def random(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


class TestDistances:
    def test_by_hand(self):
        a, b = torch.tensor([[0.0, 0], [3, 4]]), torch.tensor([[0.0, 0], [3, 0]])
        assert ml.pairwise_distance(a, b).tolist() == [[0, 3], [5, 4]]
        assert ml.pairwise_distance(a, b, squared=True).tolist() == [[0, 9], [25, 16]]
        assert ml.cosine_similarity(a, b)[1].tolist() == pytest.approx([0, 0.6])

    @given(st.integers(0, 6), st.integers(0, 6), st.integers(1, 5))
    @settings(max_examples=40, deadline=None)
    def test_are_torchs(self, number, other, dim):
        a, b = random(number, dim), random(other, dim, seed=1)
        torch.testing.assert_close(ml.pairwise_distance(a, b), torch.cdist(a, b))
        theirs = F.cosine_similarity(a[:, None], b[None], dim=2)
        torch.testing.assert_close(ml.cosine_similarity(a, b), theirs)

    def test_in_blocks_as_at_once(self):
        a, b = random(5, 900), random(2000, 900, seed=1)  # two rows at once
        torch.testing.assert_close(ml.pairwise_distance(a, b), torch.cdist(a, b))

    def test_keeps_its_digits_far_from_the_origin(self):
        a = torch.tensor([[1000.0, 1000.0]])
        b = a + torch.tensor([[0.03125, 0.0]])  # exact in float32
        assert ml.pairwise_distance(a, b).item() == 0.03125
        fast = a.square().sum() + b.square().sum() - 2 * (a * b).sum()
        assert fast.clamp(min=0).sqrt().item() != pytest.approx(0.03125, rel=0.1)

    def test_the_gradient_at_zero_is_zero(self):
        a = torch.ones(2, 3, requires_grad=True)
        ml.pairwise_distance(a, torch.ones(1, 3)).sum().backward()
        assert a.grad.tolist() == [[0] * 3] * 2

    def test_gradients(self):
        a, b = random(3, 2).requires_grad_(), random(4, 2, seed=1).requires_grad_()
        for squared in (False, True):
            assert gradcheck(
                lambda x, y, s=squared: ml.pairwise_distance(x, y, squared=s), (a, b)
            )
        assert gradcheck(ml.cosine_similarity, (a, b))

    def test_a_vector_of_zeros_has_no_direction(self):
        zero = torch.zeros(1, 3, requires_grad=True)
        cosine = ml.cosine_similarity(zero, torch.ones(2, 3))
        assert cosine.tolist() == [[0, 0]]
        cosine.sum().backward()
        assert zero.grad.isfinite().all()

    def test_lengths_do_not_matter(self):
        a = random(4, 3, dtype=torch.float32)
        for scale in (1e-30, 1e30):
            torch.testing.assert_close(ml.unit_vectors(scale * a), ml.unit_vectors(a))
        assert ml.unit_vectors(a).norm(dim=1).tolist() == pytest.approx([1] * 4)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_rounding_leads_to_no_cosine_beyond_1(self, dtype):
        a = random(50, 3, dtype=dtype)
        unit = ml.unit_vectors(a)
        assert (unit @ unit.T).max() > 1  # what rounding does
        assert ml.cosine_similarity(a, a).max() == 1
        assert ml.cosine_similarity(a, -a).min() == -1

    def test_of_unit_vectors_both_rank_alike(self):
        a, b = ml.unit_vectors(random(5, 3)), ml.unit_vectors(random(9, 3, seed=1))
        squares, cosine = (
            ml.pairwise_distance(a, b, squared=True),
            ml.cosine_similarity(a, b),
        )
        torch.testing.assert_close(squares, 2 - 2 * cosine)
        assert torch.equal(squares.argsort(1), (-cosine).argsort(1))

    def test_errors(self):
        with pytest.raises(ValueError, match=r"b must be \(M, 2\)"):
            ml.pairwise_distance(random(3, 2), random(3, 3))
        with pytest.raises(ValueError, match=r"a must be \(N, D\)"):
            ml.cosine_similarity(random(3), random(3, 3))
        whole = torch.ones(3, 2).long()
        for function in (ml.pairwise_distance, ml.cosine_similarity):
            for name, pair in (
                ("a", (whole, random(3, 2))),
                ("b", (random(3, 2), whole)),
            ):
                with pytest.raises(ValueError, match=f"{name} must be .*int64"):
                    function(*pair)


class TestLosses:
    def test_by_loops(self):
        one, other = 0.5 * random(9, 3), 0.5 * random(9, 3, seed=1)
        same = torch.arange(9) % 2 == 0
        for margin in (0.5, 1.0, 2.0):
            torch.testing.assert_close(
                ml.contrastive_loss(one, other, same, margin=margin),
                _contrastive_by_loop(one, other, same, margin=margin),
            )
        sets = [random(9, 3, seed=k) for k in range(4)]
        torch.testing.assert_close(
            ml.quadruplet_loss(*sets, margin1=0.7, margin2=1.2),
            _quadruplet_by_loop(*sets, margin1=0.7, margin2=1.2),
        )

    def test_triplet_is_torchs(self):
        sets = [random(9, 3, seed=k) for k in range(3)]
        theirs = F.triplet_margin_loss(*sets, margin=0.4, eps=0)
        torch.testing.assert_close(ml.triplet_loss(*sets, margin=0.4), theirs)

    def test_gradients(self):
        sets = [random(5, 2, seed=k).requires_grad_() for k in range(4)]
        same = torch.tensor([True, False, True, False, False])
        assert gradcheck(lambda a, b: ml.contrastive_loss(a, b, same), sets[:2])
        assert gradcheck(lambda *s: ml.triplet_loss(*s, margin=1), sets[:3])
        assert gradcheck(lambda *s: ml.quadruplet_loss(*s), sets)

    def test_at_one_point_all_gradients_are_zero(self):
        """Why a collapse lasts: the loss is the margin, and nothing pushes."""
        point = torch.ones(4, 2, requires_grad=True)
        same = torch.tensor([True, False, False, True])
        losses = (
            (ml.contrastive_loss(point, point.detach(), same), 0.25),
            (ml.triplet_loss(point, point, point, margin=0.3), 0.3),
            (ml.quadruplet_loss(point, point, point, point), 1.5),
        )
        for loss, value in losses:
            assert loss.item() == pytest.approx(value)
            (slope,) = torch.autograd.grad(loss, point)
            assert not slope.any()

    def test_errors(self):
        a = random(3, 2)
        with pytest.raises(ValueError, match=r"same must be \(3,\), boolean"):
            ml.contrastive_loss(a, a, torch.ones(3))
        with pytest.raises(ValueError, match="margin must be finite and above 0"):
            ml.contrastive_loss(a, a, torch.ones(3).bool(), margin=0)
        with pytest.raises(ValueError, match=r"negative must be \(3, 2\)"):
            ml.triplet_loss(a, a, a[:1])
        with pytest.raises(ValueError, match="anchor must have a row"):
            ml.triplet_loss(a[:0], a[:0], a[:0])
        with pytest.raises(ValueError, match="margin2 must be finite and not neg"):
            ml.quadruplet_loss(a, a, a, a, margin2=-1)


class TestAgainstPytorchMetricLearning:
    """It normalizes, and averages over what is not 0, unless it is told otherwise."""

    @pytest.fixture
    def distance(self):
        distances = pytest.importorskip("pytorch_metric_learning.distances")
        return distances.LpDistance(normalize_embeddings=False, p=2, power=1)

    @pytest.fixture
    def points(self):
        return random(len(LABELS), 3)

    def test_triplets(self, distance, points):
        from pytorch_metric_learning import losses, miners, reducers

        hard = miners.BatchHardMiner(distance=distance)
        semi = miners.TripletMarginMiner(
            margin=0.6, type_of_triplets="semihard", distance=distance
        )
        loss = losses.TripletMarginLoss(
            margin=0.6, distance=distance, reducer=reducers.MeanReducer()
        )
        ours = (
            ml.batch_hard_triplets(points, LABELS),
            ml.semi_hard_triplets(points, LABELS, margin=0.6),
        )
        for miner, chosen in zip((hard, semi), ours, strict=True):
            theirs = miner(points, LABELS)
            rows = [sorted(zip(*(x.tolist() for x in t), strict=True)) for t in
                    (theirs, chosen)]  # fmt: skip
            assert rows[0]
            assert rows[0] == rows[1]
            sets = [points[index] for index in chosen]
            torch.testing.assert_close(
                loss(points, LABELS, theirs), ml.triplet_loss(*sets, margin=0.6)
            )

    def test_contrastive(self, distance, points):
        """Its two terms, not squared and each averaged by itself; here per pair."""
        from pytorch_metric_learning import losses, reducers

        points = 0.4 * points
        loss = losses.ContrastiveLoss(
            pos_margin=0, neg_margin=1, distance=distance,
            reducer=reducers.DoNothingReducer(),
        )  # fmt: skip
        found = loss(points, LABELS)
        squares = [found[name]["losses"].square() for name in ("pos_loss", "neg_loss")]
        first, second = (~torch.eye(len(LABELS)).bool()).nonzero().unbind(1)
        same = LABELS[first] == LABELS[second]
        ours = ml.contrastive_loss(points[first], points[second], same)
        torch.testing.assert_close(torch.cat(squares).mean() / 2, ours)


class TestMining:
    @given(st.integers(0, 99), st.integers(2, 12), st.integers(1, 4))
    @settings(max_examples=40, deadline=None)
    def test_by_loops(self, seed, number, classes):
        points = random(number, 2, seed=seed)
        labels = torch.randint(
            classes, (number,), generator=torch.Generator().manual_seed(seed)
        )
        hard = ml.batch_hard_triplets(points, labels)
        for one, other in zip(hard, _hard_by_loop(points, labels), strict=True):
            assert torch.equal(one, other)
        expected = []
        for a in range(number):
            for p in range(number):
                for n in range(number):
                    if p != a and labels[a] == labels[p] != labels[n]:
                        near = math.dist(points[a].tolist(), points[p].tolist())
                        far = math.dist(points[a].tolist(), points[n].tolist())
                        if near < far < near + 0.5:
                            expected.append((a, p, n))
        semi = ml.semi_hard_triplets(points, labels, margin=0.5)
        assert [*zip(*(x.tolist() for x in semi), strict=True)] == expected

    def test_nothing_to_choose(self):
        points = random(3, 2)
        for labels in (torch.zeros(3).long(), torch.arange(3)):
            for chosen in (
                ml.batch_hard_triplets(points, labels),
                ml.semi_hard_triplets(points, labels),
            ):
                assert [len(index) for index in chosen] == [0, 0, 0]
                assert all(index.dtype == torch.int64 for index in chosen)

    def test_errors(self):
        with pytest.raises(ValueError, match=r"labels must be \(3,\)"):
            ml.batch_hard_triplets(random(3, 2), torch.arange(2))
        with pytest.raises(ValueError, match="whole numbers"):
            ml.semi_hard_triplets(random(3, 2), torch.ones(3))
        with pytest.raises(ValueError, match="margin must be"):
            ml.semi_hard_triplets(random(3, 2), torch.arange(3), margin=-1)


class TestSampler:
    def sampler(self, **changed):
        options = {"classes": 3, "samples": 2, "batches": 5} | changed
        return ml.PKSampler(LABELS, **options)

    def test_each_batch_has_p_classes_of_k(self):
        batches = [*self.sampler()]
        assert len(batches) == len(self.sampler()) == 5
        for batch in batches:
            names, counts = LABELS[batch].unique(return_counts=True)
            assert len(names) == 3
            assert counts.tolist() == [2, 2, 2]

    def test_a_small_class_gives_some_twice_and_others_none(self):
        for batch in self.sampler(classes=4, samples=3):
            for name in range(4):
                own = [i for i in batch if LABELS[i] == name]
                assert len(own) == 3
                assert len(set(own)) == min(3, int((name == LABELS).sum()))

    def test_the_seed_decides(self):
        assert [*self.sampler()] == [*self.sampler()] != [*self.sampler(seed=1)]

    def test_a_loader_takes_it(self):
        data = torch.utils.data.TensorDataset(LABELS)
        loader = torch.utils.data.DataLoader(data, batch_sampler=self.sampler())
        assert [len(labels) for (labels,) in loader] == [6] * 5

    @pytest.mark.parametrize(
        ("changed", "rule"),
        [
            ({"classes": 1}, "classes must be a whole number from 2 to 4"),
            ({"classes": 5}, "classes must be a whole number from 2 to 4"),
            ({"samples": 1}, "samples must be a whole number >= 2"),
            ({"batches": 0}, "batches must be a whole number >= 1"),
            ({"seed": -1}, "seed must be"),
        ],
    )
    def test_errors(self, changed, rule):
        with pytest.raises(ValueError, match=rule):
            self.sampler(**changed)

    def test_one_class_only(self):
        with pytest.raises(ValueError, match="labels must be of 2 classes, got 1"):
            ml.PKSampler(torch.zeros(9).long(), classes=2, samples=2, batches=1)


def blobs():
    """Eight pictures of three patterns each, with noise."""
    labels = torch.arange(3).repeat_interleave(8)
    patterns = (random(3, 1, 16, 16, dtype=torch.float32) > 0).float()
    noise = 0.2 * random(24, 1, 16, 16, seed=1, dtype=torch.float32)
    return (patterns[labels] + noise).clamp(0, 1), labels


class TestTraining:
    def test_learns_and_repeats(self):
        images, labels = blobs()

        def loss(points, labels):
            chosen = ml.batch_hard_triplets(points, labels)
            return ml.triplet_loss(*(points[index] for index in chosen))

        def learn():
            torch.manual_seed(0)
            network = EmbeddingNet(4)
            history = ml.train(
                network, images, labels, loss, steps=12, classes=3, samples=4,
                progress=False,
            )  # fmt: skip
            return network, history

        (network, history), (_, again) = learn(), learn()
        assert history == again
        assert history["loss"][-1] < 0.3 * history["loss"][0]
        assert not network.training
        assert len(history["spread"]) == 12

    def test_errors(self):
        images, labels = blobs()
        with pytest.raises(ValueError, match="steps|batches"):
            ml.train(nn.Flatten(), images, labels, None, steps=0, progress=False)


def test_the_study_says_what_the_chapter_needs():
    from studies.metric_learning import FEATURES, LOSSES, PLANE

    rows = read_study("metric_learning")["rows"]
    for part in ("digits", "creatures"):
        found = {row["loss"] for row in rows if row["part"] == part}
        assert found == {*FEATURES, *LOSSES}
    collapsed = [r for r in rows if r["part"] == "plane" and "hardest" in r["loss"]]
    assert {row["loss"] for row in collapsed} == {n for n in PLANE if "hardest" in n}


# The exercises: right answers written in another way than the module's.


def contrast_by_indices(embeddings1, embeddings2, same, *, margin=1.0):
    if embeddings1.shape != embeddings2.shape or len(embeddings1) == 0:
        raise ValueError("sets")
    if same.dtype != torch.bool or len(same) != len(embeddings1) or not margin > 0:
        raise ValueError("same")
    apart = embeddings1 - embeddings2
    pulled = apart[same].pow(2).sum()
    pushed = apart[~same]
    pushed = pushed[(pushed != 0).any(1)]
    at_one = int((~same).sum()) - len(pushed)
    lengths = torch.linalg.vector_norm(pushed, dim=1)
    pushed = F.relu(margin - lengths).pow(2).sum() + at_one * margin**2
    return (pulled + pushed) / (2 * len(same))


def hard_by_sorting(embeddings, labels):
    if embeddings.dim() != 2 or len(embeddings) != len(labels):
        raise ValueError("labels")
    rows = []
    for i, point in enumerate(embeddings.double()):
        distance = (embeddings.double() - point).pow(2).sum(1).tolist()
        mates = [j for j, n in enumerate(labels) if n == labels[i] and j != i]
        others = [j for j, n in enumerate(labels) if n != labels[i]]
        if mates and others:
            far = sorted(mates, key=lambda j, d=distance: -d[j])[0]
            near = sorted(others, key=lambda j, d=distance: d[j])[0]
            rows.append((i, far, near))
    return tuple(torch.tensor(rows, dtype=torch.int64).reshape(-1, 3).unbind(1))


def quadruplet_by_norms(
    anchor, positive, negative1, negative2, *, margin1=1.0, margin2=0.5
):
    shapes = {x.shape for x in (anchor, positive, negative1, negative2)}
    if len(shapes) > 1 or not len(anchor) or margin1 < 0 or margin2 < 0:
        raise ValueError("quadruplets")
    pair = torch.einsum("nd,nd->n", anchor - positive, anchor - positive)
    own = torch.einsum("nd,nd->n", anchor - negative1, anchor - negative1)
    far = torch.einsum("nd,nd->n", negative1 - negative2, negative1 - negative2)
    return (F.relu(pair - own + margin1) + F.relu(pair - far + margin2)).mean()


def recall_by_counting(distances, query_labels, gallery_labels, k):
    """How many strangers stand before the first right entry."""
    if k < 1 or distances.isnan().any():
        raise ValueError("k")
    hits = []
    for row, label in zip(distances, query_labels, strict=True):
        order = sorted(range(len(row)), key=lambda j, r=row: float(r[j]))
        right = [gallery_labels[j] == label and row[j] < math.inf for j in order]
        if any(right):
            hits.append(right.index(True) < k)
    if not hits:
        raise ValueError("no query has an answer")
    return sum(hits) / len(hits)


def pml_hard(embeddings, labels):
    from pytorch_metric_learning import distances, miners

    distance = distances.LpDistance(normalize_embeddings=False)
    return tuple(miners.BatchHardMiner(distance=distance)(embeddings, labels))


def torchmetrics_recall(distances, query_labels, gallery_labels, k):
    from torchmetrics.functional.retrieval import retrieval_hit_rate

    values = []
    for row, label in zip(distances, query_labels, strict=True):
        target = gallery_labels == label
        if target.any():
            values.append(float(retrieval_hit_rate(-row, target, top_k=k)))
    return sum(values) / len(values)


RIGHT = {
    "contrastive_loss": contrast_by_indices,
    "batch_hard_triplets": hard_by_sorting,
    "quadruplet_loss": quadruplet_by_norms,
    "recall_at_k": recall_by_counting,
}
PLAIN = {
    "contrastive_loss": lambda a, b, same, *, margin=1.0: (
        torch.where(
            same,
            (a - b).norm(dim=1).square(),
            F.relu(margin - (a - b).norm(dim=1)).square(),
        ).mean()
        / 2
    ),
    "batch_hard_triplets": lambda e, y: (
        torch.arange(len(y)),
        torch.cdist(e, e).masked_fill(y[:, None] != y, -1).argmax(1),
        torch.cdist(e, e).masked_fill(y[:, None] == y, math.inf).argmin(1),
    ),
    "quadruplet_loss": lambda a, p, n, m, *, margin1=1.0, margin2=0.5: (
        F.relu(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + margin1)
        + F.relu(((a - p) ** 2).sum(1) - ((n - m) ** 2).sum(1) + margin2)
    ).mean(),
    "recall_at_k": lambda d, q, g, k: (
        (g[d.topk(k, largest=False).indices] == q[:, None])
        .any(1)[(q[:, None] == g).any(1)]
        .double()
        .mean()
        .item()
    ),
}
LIBRARY = {
    "contrastive_loss": "no library squares both terms; the tests above compare",
    "batch_hard_triplets": pml_hard,
    "quadruplet_loss": "no library at hand has it",
    "recall_at_k": torchmetrics_recall,
}


def mined(pick_positive, pick_negative, keep=None):
    """An answer by other choices, its hardening as it should be."""

    def answer(embeddings, labels):
        anchors, *_ = hard_by_sorting(embeddings, labels)
        if keep is not None and len(labels):
            anchors = torch.arange(len(labels))
        apart = torch.cdist(embeddings.double(), embeddings.double())
        positives, negatives = [], []
        for i in anchors.tolist():
            mates = [j for j, n in enumerate(labels) if n == labels[i] and j != i]
            others = [j for j, n in enumerate(labels) if n != labels[i]]
            key = apart[i].tolist().__getitem__
            positives.append(pick_positive(mates or [0], key=key))
            negatives.append(pick_negative(others or [0], key=key))
        return anchors, torch.tensor(positives).long(), torch.tensor(negatives).long()

    return answer


def changed(answer, change):
    """The right answer's arguments or result, changed."""
    return lambda *args, **options: change(answer, *args, **options)


WRONG = {
    "contrastive_loss": [
        (
            lambda a, b, same, *, margin=1.0: contrast_by_indices(
                a, b, ~same if same.dtype == torch.bool else same, margin=margin
            ),
            "other way round",
        ),
        (
            lambda a, b, same, *, margin=1.0: (
                2 * contrast_by_indices(a, b, same, margin=margin)
            ),
            "is halved",
        ),
        (
            lambda a, b, same, *, margin=1.0: (
                len(same) * contrast_by_indices(a, b, same, margin=margin)
            ),
            "not the sum",
        ),
        (
            lambda a, b, same, *, margin=1.0: (
                contrast_by_indices(a, b, same, margin=margin) * 0
                + torch.where(
                    same, (a - b).pow(2).sum(1), F.relu(margin - (a - b).pow(2).sum(1))
                ).mean()
                / 2
            ),
            "compare the margin with d²",
        ),
        (
            lambda a, b, same, *, margin=1.0: (
                contrast_by_indices(a, b, same, margin=margin) * 0
                + torch.where(
                    same, (a - b).norm(dim=1), F.relu(margin - (a - b).norm(dim=1))
                ).mean()
                / 2
            ),
            "Both terms are squares",
        ),
        (
            lambda a, b, same, *, margin=1.0: (
                contrast_by_indices(a, b, same, margin=margin) * 0
                + torch.where(
                    same,
                    (a - b).pow(2).sum(1),
                    (margin - (a - b).norm(dim=1)).square(),
                ).mean()
                / 2
            ),
            "costs nothing",
        ),
    ],
    "batch_hard_triplets": [
        (mined(min, max), "easiest"),
        (mined(min, min), "*farthest*"),
        (mined(max, max), "*nearest*"),
        (
            lambda e, y: (
                *hard_by_sorting(e, y)[:2],
                torch.cdist(e, e)
                .fill_diagonal_(math.inf)
                .argmin(1)[hard_by_sorting(e, y)[0]]
                if len(y)
                else y,
            ),
            "of another class: mask",
        ),
        (
            lambda e, y: hard_by_sorting(
                F.normalize(e, dim=1) if e.dim() == 2 else e, y
            ),
            "angles",
        ),
    ],
    "quadruplet_loss": [
        (
            lambda a, p, n, m, **options: (
                quadruplet_by_norms(a, p, n, m, **options) * len(a)
            ),
            "not the sum",
        ),
        (
            lambda a, p, n, m, *, margin1=1.0, margin2=0.5: quadruplet_by_norms(
                a, p, n, m, margin1=margin2, margin2=margin1
            ),
            "belongs to",
        ),
        (
            lambda a, p, n, m, *, margin1=1.0, margin2=0.5: (
                quadruplet_by_norms(a, p, n, m, margin1=margin1, margin2=margin2) * 0
                + F.relu(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + margin1).mean()
            ),
            "term alone",
        ),
        (
            lambda a, p, n, m, *, margin1=1.0, margin2=0.5: (
                quadruplet_by_norms(a, p, n, m, margin1=margin1, margin2=margin2) * 0
                + F.relu(((a - p) ** 2).sum(1) - ((a - n) ** 2).sum(1) + margin1).mean()
                + F.relu(((a - p) ** 2).sum(1) - ((a - m) ** 2).sum(1) + margin2).mean()
            ),
            "of the two negatives from",
        ),
        (
            lambda a, p, n, m, *, margin1=1.0, margin2=0.5: (
                quadruplet_by_norms(a, p, n, m, margin1=margin1, margin2=margin2) * 0
                + F.relu(
                    2 * ((a - p) ** 2).sum(1)
                    - ((a - n) ** 2).sum(1)
                    - ((n - m) ** 2).sum(1)
                    + margin1
                    + margin2
                ).mean()
            ),
            "of its own",
        ),
    ],
    "recall_at_k": [
        (
            lambda d, q, g, k: (
                0 * recall_by_counting(d, q, g, k)
                + sum(
                    float((g[row.argsort()[:k]] == name).double().mean())
                    for row, name in zip(d, q, strict=True)
                    if (g == name).any()
                )
                / max(1, sum(bool((g == name).any()) for name in q))
            ),
            "precision at k",
        ),
        (
            lambda d, q, g, k: (
                0 * recall_by_counting(d, q, g, k)
                + sum(
                    float((g[row.argsort()[:k]] == name).sum() / (g == name).sum())
                    for row, name in zip(d, q, strict=True)
                    if (g == name).any()
                )
                / max(1, sum(bool((g == name).any()) for name in q))
            ),
            "You divide by the number",
        ),
        (lambda d, q, g, k: recall_by_counting(-d, q, g, k), "from the largest"),
        (
            lambda d, q, g, k: (
                recall_by_counting(d, q, g, k)
                - (recall_by_counting(d, q, g, k - 1) if k > 1 else 0)
            ),
            "",
        ),
        (
            lambda d, q, g, k: (
                recall_by_counting(d, q, g, k)
                * float(((q[:, None] == g) & ~d.isinf()).any(1).double().mean())
            ),
            "cannot be answered",
        ),
    ],
}


def test_the_measure_is_the_solution_of_its_exercise():
    distances = random(4, 6).abs()
    ours, theirs = torch.tensor([0, 1, 2, 9]), torch.arange(6) % 3
    for k in (1, 2, 9):
        assert recall_at_k(distances, ours, theirs, k) == pytest.approx(
            recall_by_counting(distances, ours, theirs, k)
        )


class TestExercises(ExerciseTests):
    checks, right, wrong = metric_learning_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
