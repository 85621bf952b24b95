"""Frame attention, tested."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torchvision.transforms.functional import gaussian_blur

from lesson_utils import frame_attention as fa
from lesson_utils.checks import frame_attention as frame_checks
from lesson_utils.common import motion
from lesson_utils.common.embedding import frame_encoder, likeness_loss
from lesson_utils.common.studies import read_study
from lesson_utils.data.photographs import photograph
from lesson_utils.metric_learning import train
from tests.answers import ExerciseTests

DICE = torch.Generator().manual_seed(0)


def rand(*shape):
    return torch.rand(shape, generator=DICE)


def randn(*shape, dtype=torch.float32):
    return torch.randn(shape, generator=DICE, dtype=dtype)


class TestWeights:
    def test_by_hand(self):
        line = torch.tensor([[0.0], [0.0], [3.0]])
        assert fa.mean_distances(line).tolist() == [1, 1, 2]
        weights = fa.distance_weights(line, temperature=1 / math.log(2))
        torch.testing.assert_close(weights, torch.tensor([0.4, 0.4, 0.2]))

    def test_padding_is_no_part_of_the_mean(self):
        features, mask = randn(3, 5, 4), torch.arange(5) < torch.tensor([[5], [3], [1]])
        spoiled = features.masked_fill(~mask[..., None], torch.nan)
        weights = fa.distance_weights(spoiled, temperature=0.5, mask=mask)
        for row, frames, count in zip(weights, features, (5, 3, 1), strict=True):
            alone = fa.distance_weights(frames[:count], temperature=0.5)
            torch.testing.assert_close(row[:count], alone)
            assert row[count:].sum() == 0

    def test_extremes_of_the_temperature(self):
        features = randn(4, 6, 3)
        cold = fa.distance_weights(features, temperature=1e-6)
        nearest = fa.mean_distances(features).argmin(1)
        assert torch.equal(cold.argmax(1), nearest)
        assert cold.amax(1).min() > 0.99
        warm = fa.distance_weights(features, temperature=1e6)
        torch.testing.assert_close(warm, torch.full((4, 6), 1 / 6))

    def test_gradient_even_at_the_mean(self):
        features = randn(2, 4, 3, dtype=torch.float64).requires_grad_()
        assert torch.autograd.gradcheck(
            lambda f: fa.distance_weights(f, temperature=0.7), features
        )
        alike = torch.ones(1, 3, 2, requires_grad=True)
        fa.distance_weights(alike, temperature=0.1)[0, 0].backward()
        assert alike.grad.isfinite().all()

    def test_errors(self):
        features = randn(2, 3, 4)
        with pytest.raises(ValueError, match="with a frame at least"):
            fa.distance_weights(features[:, :0], temperature=1)
        for wrong in (0, -1, math.nan):
            with pytest.raises(ValueError, match="temperature must be"):
                fa.distance_weights(features, temperature=wrong)
        with pytest.raises(ValueError, match="mask must leave"):
            fa.mean_distances(features, torch.zeros(2, 3, dtype=torch.bool))
        for mask in (torch.ones(2, 3), torch.ones(3, dtype=torch.bool)):
            with pytest.raises(ValueError, match="mask must be"):
                fa.mean_distances(features, mask)


class TestAttentionPool:
    def test_is_scaled_dot_product_attention(self):
        """One query of length 1 whose product with the keys are the scores."""
        features, scores = randn(2, 5, 4), randn(2, 5)
        mask = torch.tensor([[True] * 5, [True, True, False, True, False]])
        theirs = F.scaled_dot_product_attention(
            torch.ones(2, 1, 1), scores[..., None], features,
            attn_mask=mask[:, None], scale=1.0,
        )  # fmt: skip
        ours = fa.attention_pool(features, scores, mask)
        torch.testing.assert_close(ours, theirs[:, 0])

    def test_one_video_without_a_batch(self):
        features, scores = randn(2, 5, 4), randn(2, 5)
        both = fa.attention_pool(features, scores)
        torch.testing.assert_close(fa.attention_pool(features[1], scores[1]), both[1])

    def test_equal_scores_give_the_mean(self):
        features, mask = randn(1, 4, 3), torch.tensor([[True, True, True, False]])
        pooled = fa.attention_pool(features, torch.full((1, 4), 7.0), mask)
        torch.testing.assert_close(pooled, features[:, :3].mean(1))

    def test_padding_may_be_anything(self):
        features, scores = randn(2, 4, 3), randn(2, 4)
        mask = torch.tensor([[True, True, True, False]] * 2)
        clean = fa.attention_pool(features, scores, mask)
        features[:, 3], scores[:, 3] = torch.nan, torch.inf
        assert torch.equal(fa.attention_pool(features, scores, mask), clean)

    def test_gradient(self):
        features = randn(2, 4, 3, dtype=torch.float64).requires_grad_()
        scores = randn(2, 4, dtype=torch.float64).requires_grad_()
        mask = torch.tensor([[True, True, True, False], [True] * 4])
        assert torch.autograd.gradcheck(fa.attention_pool, (features, scores, mask))

    def test_errors(self):
        features, scores = randn(2, 3, 4), randn(2, 3)
        for wrong in (scores[:, 1:], scores.long(), scores[..., None]):
            with pytest.raises(ValueError, match="scores must be"):
                fa.attention_pool(features, wrong)
        none = torch.tensor([[True, True, True], [False] * 3])
        with pytest.raises(ValueError, match="mask must leave"):
            fa.attention_pool(features, scores, none)


@pytest.mark.parametrize("kind", [fa.AttentionPool, fa.TemporalLSTM])
class TestLearnedPools:
    def test_padding_makes_no_difference(self, kind):
        torch.manual_seed(0)
        pool, features = kind(6), randn(2, 3, 6)
        padded = torch.cat([features, torch.full((2, 2, 6), torch.nan)], 1)
        mask = torch.tensor([[True] * 3 + [False] * 2] * 2)
        torch.testing.assert_close(pool(padded, mask), pool(features))

    def test_learns(self, kind):
        """Of which kind a video is; two frames of five show another one, marked."""
        centers = torch.eye(8)
        labels = torch.arange(8).repeat_interleave(8)
        features = torch.zeros(64, 5, 9)
        features[..., :8] = centers[labels][:, None]
        others = torch.randint(8, (64, 2), generator=DICE)
        features[:, :2, :8], features[:, :2, 8] = centers[others], 1
        torch.manual_seed(0)
        pool = kind(9)
        history = train(
            pool, features, labels, likeness_loss, steps=80, classes=8, samples=4,
            learning_rate=1e-2, progress=False,
        )  # fmt: skip
        assert history["loss"][-1] < history["loss"][0] - 0.2
        if kind is fa.AttentionPool:
            assert pool.scores(features).softmax(1)[:, :2].sum(1).max() < 0.1

    def test_errors(self, kind):
        with pytest.raises(ValueError, match="dim must be"):
            kind(0)


def test_the_lstm_sees_the_order_and_attention_does_not():
    torch.manual_seed(0)
    features = randn(2, 5, 6)
    for kind, same in ((fa.AttentionPool, True), (fa.TemporalLSTM, False)):
        pool = kind(6)
        assert torch.allclose(pool(features), pool(features.flip(1)), atol=1e-6) == same


class TestLikenessLoss:
    def test_is_cross_entropy_where_each_has_one_partner(self):
        embeddings, labels = randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])
        unit = F.normalize(embeddings, dim=1)
        logits = (unit @ unit.T * 16).masked_fill(torch.eye(6, dtype=bool), -torch.inf)
        theirs = F.cross_entropy(logits, torch.tensor([3, 4, 5, 0, 1, 2]))
        torch.testing.assert_close(likeness_loss(embeddings, labels), theirs)

    def test_focus_turns_to_the_hard_or_away(self):
        embeddings, labels = randn(6, 4), torch.tensor([0, 0, 1, 1, 2, 2])
        away, alike, hard = (
            likeness_loss(embeddings, labels, focus=focus) for focus in (-1, 0, 1)
        )
        assert away < alike < hard

    def test_errors(self):
        with pytest.raises(ValueError, match="labels must hold each label twice"):
            likeness_loss(randn(3, 2), torch.tensor([0, 0, 1]))
        with pytest.raises(ValueError, match="temperature must be"):
            likeness_loss(randn(2, 2), torch.tensor([0, 0]), temperature=0)
        with pytest.raises(ValueError, match="labels must be"):
            likeness_loss(randn(2, 2), torch.tensor([0, 0, 0]))


def shifted_photograph(name, dx, dy, factor=8):
    """Two pictures of one scene, the second's content moved by whole subpixels."""
    sharp = photograph(name).mean(0)[None, None]
    margin = 4 * factor
    height, width = ((side - 2 * margin) // factor * factor for side in sharp.shape[2:])
    crops = [
        sharp[..., margin - y : margin - y + height, margin - x : margin - x + width]
        for x, y in ((0, 0), (dx, dy))
    ]
    return [F.avg_pool2d(crop, factor)[0, 0] for crop in crops]


class TestLucasKanade:
    def test_is_least_squares(self):
        first = rand(7, 9).double()
        second = first + 0.1 * rand(7, 9)
        mean = ((first + second) / 2).numpy()
        along_y, along_x = np.gradient(mean)
        slopes = np.stack([along_x[1:-1, 1:-1].ravel(), along_y[1:-1, 1:-1].ravel()], 1)
        change = (second - first)[1:-1, 1:-1].flatten()
        theirs = torch.linalg.lstsq(torch.from_numpy(slopes), -change).solution
        torch.testing.assert_close(motion.lucas_kanade(first, second), theirs)

    @pytest.mark.parametrize("name", ["chelsea", "coffee", "motorcycle"])
    @pytest.mark.parametrize(("dx", "dy"), [(2, 0), (0, -3), (4, 4), (-4, 2), (-1, -1)])
    def test_shifts_of_a_photograph_within_a_tenth_of_a_pixel(self, name, dx, dy):
        pair = torch.stack(shifted_photograph(name, dx, dy))
        # What is finer than a slope can see makes shifts too large: smooth it away.
        first, second = gaussian_blur(pair, 9, 1.5)
        found = motion.lucas_kanade(first, second)
        assert (found - torch.tensor([dx, dy]) / 8).abs().max() < 0.1

    def test_gradient(self):
        first = rand(5, 6).double().requires_grad_()
        second = rand(5, 6).double().requires_grad_()
        assert torch.autograd.gradcheck(motion.lucas_kanade, (first, second))

    def test_without_texture(self):
        flat, edge = torch.ones(6, 6), torch.linspace(0, 1, 6).expand(6, 6)
        slanted = (edge + edge.T) ** 2
        for window in (flat, edge, edge.T, slanted, flat * torch.nan):
            with pytest.raises(ValueError, match="must have texture in two directions"):
                motion.lucas_kanade(window, window + 0.1)

    def test_errors(self):
        window = rand(6, 6)
        with pytest.raises(ValueError, match="second must be"):
            motion.lucas_kanade(window, window[1:])
        with pytest.raises(ValueError, match="first must be"):
            motion.lucas_kanade((window * 255).byte(), (window * 255).byte())
        with pytest.raises(ValueError, match="3 rows and columns"):
            motion.lucas_kanade(window[:2], window[:2])
        with pytest.raises(ValueError, match=r"first must be \(H, W\)"):
            motion.lucas_kanade(window[None], window[None])


class TestOpticalFlow:
    def test_is_lucas_kanade_in_each_window(self):
        first, second = shifted_photograph("chelsea", 3, -2)
        flow = motion.optical_flow(first, second, window=9, damping=1e-12)
        for y, x in ((10, 12), (20, 30), (15, 40)):
            rows, columns = slice(y - 5, y + 6), slice(x - 5, x + 6)
            alone = motion.lucas_kanade(first[rows, columns], second[rows, columns])
            torch.testing.assert_close(flow[:, y, x], alone, rtol=1e-3, atol=1e-3)

    def test_levels_follow_large_shifts(self):
        first, second = shifted_photograph("motorcycle", 12, 0, factor=4)  # 3 pixels
        inner = (..., slice(10, -10), slice(10, -10))
        errors = [
            (motion.optical_flow(first, second, levels=n)[inner][0] - 3).abs().median()
            for n in (1, 3)
        ]
        assert errors[1] < 0.2 < errors[0]

    def test_batches_and_what_has_no_texture(self):
        first, second = rand(2, 3, 12, 14), rand(2, 3, 12, 14)
        flow = motion.optical_flow(first, second, levels=2)
        assert flow.shape == (2, 3, 2, 12, 14)
        alone = motion.optical_flow(first[1, 2], second[1, 2], levels=2)
        torch.testing.assert_close(flow[1, 2], alone)
        flat = torch.full((8, 8), 0.5)
        assert motion.optical_flow(flat, flat + 0.2).abs().max() == 0

    def test_errors(self):
        first = rand(8, 8)
        for words, keywords in (
            ("window must be odd", {"window": 4}),
            ("levels must leave", {"levels": 3}),
            ("levels must be", {"levels": 0}),
            ("damping must be", {"damping": 0}),
        ):
            with pytest.raises(ValueError, match=words):
                motion.optical_flow(first, first, **keywords)
        with pytest.raises(ValueError, match="first must lie"):
            motion.optical_flow(255 * first, 255 * first)


class TestStreams:
    def test_frame_difference(self):
        frames = rand(2, 4, 3, 5, 5)
        changes = motion.frame_difference(frames)
        assert torch.equal(changes[:, 1], frames[:, 2] - frames[:, 1])
        for wrong in (frames[:, :1], (255 * frames).byte(), frames[0, 0]):
            with pytest.raises(ValueError, match="frames must be"):
                motion.frame_difference(wrong)

    def test_fused_distances_add_up(self):
        a, m = F.normalize(randn(4, 5), dim=1), F.normalize(randn(4, 3), dim=1)
        joined = fa.fuse(3 * a, m / 2, weight=0.5)
        distance = torch.cdist(joined, joined) ** 2
        apart = torch.cdist(a, a) ** 2 + 0.25 * torch.cdist(m, m) ** 2
        torch.testing.assert_close(distance, apart, rtol=1e-4, atol=1e-5)

    def test_fuse_errors(self):
        with pytest.raises(ValueError, match="motion must be"):
            fa.fuse(randn(2, 3), randn(3, 3))
        with pytest.raises(ValueError, match="weight must be"):
            fa.fuse(randn(2, 3), randn(2, 3), weight=-1)


def test_the_encoder_knows_creatures_it_has_not_seen():
    from lesson_utils.data.tracklets import Tracklets
    from studies.frame_encoder import frame_features

    data = Tracklets(12, cameras=2, occluded=0, swapped=0)
    images = torch.stack([(255 * data[k][0]).byte() for k in range(len(data))])
    unit = F.normalize(frame_features(frame_encoder(), images).mean(1), dim=1)
    found = (unit[::2] @ unit[1::2].T).argmax(1)
    assert (found == torch.arange(12)).sum() >= 6  # by chance 1


def test_study_says_what_the_chapter_says():
    from studies.frame_attention import FOCUS, OCCLUDED

    study = read_study("frame_attention")
    rows = {(row["part"], row.get("samples"), row["seed"]) for row in study["rows"]}
    for seed in study["seeds"]:
        assert {("training", way, seed) for way in FOCUS} < rows
        assert {("pooling", None, seed), ("streams", None, seed)} < rows
    found = [r["found"] for r in study["rows"] if r["part"] == "pooling"]
    mean = {k: np.mean([f[k] for f in found], 0) for k in found[0]}
    at = OCCLUDED.index(0.4)
    assert mean["exponential"][at] < mean["mean"][at] < mean["distance"][at]
    assert mean["distance"][at] < mean["known"][at]


# Exercises --------------------------------------------------------------------------


def looped_weights(features, *, temperature):
    if temperature <= 0 or features.shape[1] == 0:
        raise ValueError("no frame, or a temperature that is not above 0")
    return plain_weights(features, temperature=temperature)


def plain_weights(features, *, temperature):
    rows = []
    for frames in features:
        apart = frames - frames.mean(0)
        rows.append(F.softmin(torch.linalg.vector_norm(apart, dim=1) / temperature, 0))
    return torch.stack(rows)


def numpy_like_pool(features, scores, mask=None):
    if mask is None:
        mask = torch.ones(features.shape[:2], dtype=torch.bool)
    if features.shape[1] == 0 or scores.shape != mask.shape:
        raise ValueError("no frame, or other scores")
    if not mask.any(1).all():
        raise ValueError("padding only")
    rows = [
        scores[k][mask[k]].softmax(0) @ features[k][mask[k]]
        for k in range(len(features))
    ]
    return torch.stack(rows)


def plain_pool(features, scores, mask=None):
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
        features = torch.where(mask[..., None], features, torch.zeros_like(features))
    return torch.einsum("bt,btd->bd", scores.softmax(1), features)


def sdpa_pool(features, scores, mask=None):
    query = torch.ones(len(features), 1, 1, dtype=features.dtype)
    allowed = None if mask is None else mask[:, None]
    if mask is not None:
        features = features.masked_fill(~mask[..., None], 0)
    return F.scaled_dot_product_attention(
        query, scores[..., None], features, attn_mask=allowed, scale=1.0
    )[:, 0]


def equations(first, second):
    mean = (first + second) / 2
    along_y, along_x = torch.gradient(mean)
    slopes = torch.stack([along_x[1:-1, 1:-1], along_y[1:-1, 1:-1]], -1)
    return slopes.reshape(-1, 2), (first - second)[1:-1, 1:-1].reshape(-1, 1)


def careful_kanade(first, second):
    if first.shape != second.shape or min(first.shape) < 3:
        raise ValueError("windows")
    slopes, change = equations(first, second)
    sizes = torch.linalg.svdvals(slopes.detach())
    if not sizes[1] > 1e-3 * sizes[0]:
        raise ValueError("no texture")
    return (torch.linalg.inv(slopes.T @ slopes) @ slopes.T @ change)[:, 0]


def cramer_kanade(first, second):
    slopes, change = equations(first, second)
    (a, b), (_, d) = slopes.T @ slopes
    u, v = (slopes.T @ change)[:, 0]
    return torch.stack([d * u - b * v, a * v - b * u]) / (a * d - b * b)


def library_weights(features, *, temperature):
    mean = features.mean(1, keepdim=True).expand_as(features)
    return F.softmin(F.pairwise_distance(features, mean) / temperature, 1)


def library_kanade(first, second):
    slopes, change = equations(first, second)
    return torch.linalg.lstsq(slopes, change).solution[:, 0]


def farthest_first(features, *, temperature):
    apart = (features - features.mean(1, keepdim=True)).norm(dim=2)
    return (apart / temperature).softmax(1)


def squares(features, *, temperature):
    apart = features - features.mean(1, keepdim=True)
    return (-apart.pow(2).sum(2) / temperature).softmax(1)


def times(features, *, temperature):
    apart = (features - features.mean(1, keepdim=True)).norm(dim=2)
    return (-apart * temperature).softmax(1)


def bare(features, *, temperature):
    apart = (features - features.mean(1, keepdim=True)).norm(dim=2)
    return torch.exp(-apart / temperature)


def medians(features, *, temperature):
    apart = (features - features.median(1, keepdim=True).values).norm(dim=2)
    return (-apart / temperature).softmax(1)


def across(features, *, temperature):
    apart = (features - features.mean(1, keepdim=True)).norm(dim=2)
    return (-apart / temperature).softmax(0)


def hand_made(features, *, temperature):
    apart = (features - features.mean(1, keepdim=True)).norm(dim=2)
    grown = torch.exp(-apart / temperature)
    return grown / grown.sum(1, keepdim=True)


def weighing(change):
    def answer(features, *, temperature):
        if features.shape[1] == 0 or temperature <= 0:
            raise ValueError("no frame, or a temperature that is not above 0")
        return change(features, features.mean(1, keepdim=True), temperature)

    return answer


def rooted(features, mean, temperature):
    return F.softmin((features - mean).pow(2).sum(2).sqrt() / temperature, 1)


def inverse(features, mean, temperature):
    near = 1 / (features - mean).norm(dim=2)
    return near / near.sum(1, keepdim=True)


def of_all(features, mean, temperature):
    grown = torch.exp(-(features - mean).norm(dim=2) / temperature)
    return grown / grown.sum()


def bell(features, mean, temperature):
    apart = (features - mean).norm(dim=2)
    return torch.softmax(-((apart / temperature) ** 2) / 2, 1)


def pooling(weigh, join="bt,btd->bd", fill=True):
    def answer(features, scores, mask=None):
        if mask is None:
            mask = torch.ones_like(scores, dtype=torch.bool)
        if features.shape[1] == 0 or not mask.any(1).all():
            raise ValueError("no frame")
        if fill:
            features = torch.where(mask[..., None], features, 0.0)
        return torch.einsum(join, weigh(scores, mask), features)

    return answer


def renormed(scores, mask):
    weights = F.softmax(scores, 1).masked_fill(~mask, 0)
    return F.normalize(weights, p=1, dim=1, eps=0)


def ten_thousand(scores, mask):
    return torch.where(mask, scores, -1e4).softmax(1)


def turned(scores, mask):
    return torch.where(mask, -torch.inf, scores).softmax(1)


def nansummed(features, scores, mask=None):
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(1)[..., None] * features).nansum(1)


def broadcast(features, scores, mask=None):
    return (scores.softmax(1) * features).sum(1)


def zeroed(features, scores, mask=None):
    if mask is not None:
        scores = scores * mask
        features = features * mask[..., None]
    return (scores.softmax(1)[..., None] * features).sum(1)


def blind(features, scores, mask=None):
    return (scores.softmax(1)[..., None] * features).sum(1)


def late(features, scores, mask=None):
    weights = scores.softmax(1)
    if mask is not None:
        weights = weights * mask
    return (weights[..., None] * features.nan_to_num(0)).sum(1)


def inverted(features, scores, mask=None):
    if mask is not None:
        scores = scores.masked_fill(mask, -torch.inf)
    weights = scores.softmax(1).nan_to_num(0)
    return (weights[..., None] * features.nan_to_num(0)).sum(1)


def averaged(features, scores, mask=None):
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
        features = features.masked_fill(~mask[..., None], 0)
    return (scores.softmax(1)[..., None] * features).mean(1)


def leaking(features, scores, mask=None):
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return (scores.softmax(1)[..., None] * features).sum(1)


def wrong_kanade(change):
    def answer(first, second):
        slopes, difference = equations(first, second)
        slopes, difference = change(slopes, difference, first, second)
        return torch.linalg.lstsq(slopes, difference).solution[:, 0]

    return answer


def slopes_of_first(slopes, difference, first, second):
    return equations(first, first)[0], difference


def own_axis(first, second):
    slopes, change = equations(first, second)
    return (slopes * change).sum(0) / (slopes**2).sum(0)


def pseudo(first, second):
    slopes, change = equations(first, second)
    return (torch.linalg.pinv(slopes) @ change)[:, 0]


def to_the_rim(first, second):
    along_y, along_x = torch.gradient((first + second) / 2)
    slopes = torch.stack([along_x.flatten(), along_y.flatten()], 1)
    return torch.linalg.lstsq(slopes, (first - second).reshape(-1, 1)).solution[:, 0]


def sobel(first, second):
    kernel = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=first.dtype)
    kernels = torch.stack([kernel, kernel.T])[:, None] / 8
    slopes = F.conv2d(((first + second) / 2)[None, None], kernels)[0].flatten(1).T
    return torch.linalg.lstsq(slopes, equations(first, second)[1]).solution[:, 0]


def bounded(enough):
    def answer(first, second):
        if min(first.shape) < 3:
            raise ValueError("too small")
        slopes, change = equations(first, second)
        if not enough(*torch.linalg.eigvalsh(slopes.T @ slopes)):
            raise ValueError("no texture")
        return torch.linalg.solve(slopes.T @ slopes, slopes.T @ change)[:, 0]

    return answer


RIGHT = {
    "distance_weights": looped_weights,
    "attention_pool": numpy_like_pool,
    "lucas_kanade": careful_kanade,
}

PLAIN = {
    "distance_weights": plain_weights,
    "attention_pool": plain_pool,
    "lucas_kanade": cramer_kanade,
}

LIBRARY = {
    "distance_weights": library_weights,
    "attention_pool": sdpa_pool,
    "lucas_kanade": library_kanade,
}

WRONG = {
    "distance_weights": [
        (farthest_first, "*grow* with the distance"),
        (squares, "is the Euclidean one"),
        (times, "You multiply"),
        (bare, "add up to 1"),
        (medians, "to the *mean* of the video's own"),
        (across, "not over the videos"),
        (hand_made, "0 / 0 is NaN"),
        (weighing(rooted), "no finite gradient at 0"),
        (weighing(inverse), "not one over the distance"),
        (weighing(of_all), "of *each* video"),
        (weighing(bell), "is a bell"),
        (weighing(lambda f, m, t: bell(f, m, t / 2**0.5)), "is a bell"),
        (weighing(lambda f, m, t: rooted(f, m.detach(), t)), "gradient is missing"),
        (weighing(lambda f, m, t: rooted(f, f.mean(1), t)), "to the *mean* of the"),
        (weighing(lambda f, m, t: rooted(f, f.mean(0), t)), "to the *mean* of the"),
    ],
    "attention_pool": [
        (zeroed, "is e⁰ = 1"),
        (blind, "makes no difference"),
        (late, "masked after the softmax"),
        (inverted, "weights go to the padding"),
        (pooling(turned, fill=False), "weights go to the padding"),
        (pooling(turned), "weights go to the padding"),
        (pooling(renormed), "Padded frames with the best scores"),
        (pooling(ten_thousand), "Minus infinity is below all"),
        (pooling(lambda s, m: s.masked_fill(~m, -torch.inf).softmax(0)), "not over"),
        (pooling(lambda s, m: s * m), "no weights yet"),
        (pooling(lambda s, m: m / m.sum(1, keepdim=True).double()), "no difference"),
        (pooling(lambda s, m: F.normalize(s.sigmoid() * m, p=1, dim=1)), "sigmoid"),
        (pooling(lambda s, m: F.softmin(torch.where(m, s, torch.inf), 1)), "fall"),
        (nansummed, "went through 0 times NaN"),
        (broadcast, "belongs to a frame"),
        (averaged, "do not take their mean"),
        (leaking, "0 times NaN is NaN"),
    ],
    "lucas_kanade": [
        (wrong_kanade(lambda s, d, *_: (s, -d)), "sign is turned"),
        (wrong_kanade(lambda s, d, *_: (s.flip(1), d)), "changed places"),
        (wrong_kanade(lambda s, d, *_: (2 * s, d)), "half of what is due"),
        (wrong_kanade(slopes_of_first), "of the *mean* of both"),
        (own_axis, "each by itself"),
        (pseudo, "has to be refused"),
        (to_the_rim, "outermost rows and columns"),
        (sobel, "Sobel's slopes"),
        (bounded(lambda low, high: low > 1e-6), "not against a fixed number"),
        (bounded(lambda low, high: low * high > 1e-13), "not against a fixed number"),
        (bounded(lambda low, high: low > 0), "is for the *eigenvalues*"),
        (bounded(lambda low, high: low > 1e-4 * high), "is for the *eigenvalues*"),
    ],
}


class TestGaitSpectrum:
    @pytest.mark.parametrize("length", [12, 31, 32])
    def test_is_the_size_of_numpys_transform(self, length):
        flow = torch.randn(3, 12, 2, 16, 10, dtype=torch.float64)
        # Y alone counts, and of 16 rows and 10 columns those from a quarter on.
        curve = flow[:, :, 1, 4:12, 2:8].numpy().mean((2, 3))
        curve = curve - curve.mean(1, keepdims=True)
        due = np.abs(np.fft.rfft(curve, length))
        found = motion.gait_spectrum(flow, length=length)
        np.testing.assert_allclose(found.numpy(), due, atol=1e-12)
        assert torch.equal(
            motion.gait_spectrum(flow), motion.gait_spectrum(flow, length=32)
        )

    def test_errors(self):
        flow = torch.randn(1, 4, 2, 6, 6)
        for wrong in (flow[0], flow[:, :1], flow[..., :1], flow[:, :, :1]):
            with pytest.raises(ValueError, match="flow must"):
                motion.gait_spectrum(wrong)
        with pytest.raises(ValueError, match="length must be"):
            motion.gait_spectrum(flow, length=3)


class TestExercises(ExerciseTests):
    checks, right, wrong = frame_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
