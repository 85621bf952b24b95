"""Mutual-channel loss: by hand, as published, bounds, gradients, errors."""

import math
import random as python_random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck

from lesson_utils import mc_loss
from lesson_utils.checks import mc_loss as mc_loss_checks
from lesson_utils.common.studies import read_study
from studies import mc_loss as study_mc_loss
from tests.answers import ExerciseTests

SEEDS = st.integers(0, 2**31)
UNEQUAL = (2, 3, 1, 3)


def maps(*shape, seed=0, dtype=torch.float64, scale=1.0):
    """Like maps after a ReLU; no ties."""
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.rand(*shape, generator=generator, dtype=dtype)


def targets(batch, classes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, classes, (batch,), generator=generator)


def published(features, labels, xi, mask=None):
    """L_dis and 1 - L_div / xi, step by step as the published code goes about it.

    Channels are brought to the last place and pooled there; one mask, drawn class by
    class, serves the whole batch.
    """
    batch, channels, side, _ = features.shape

    def pool(values):
        moved = values.transpose(1, 3)
        return F.max_pool2d(moved, (1, xi), stride=(1, xi)).transpose(1, 3)

    shares = F.softmax(features.reshape(batch, channels, -1), dim=2)
    strongest = pool(shares.reshape(features.shape)).reshape(batch, channels // xi, -1)
    alike = 1 - strongest.sum(dim=2).mean() / xi
    if mask is None:
        drawn, row = [], [1] * (xi - xi // 2) + [0] * (xi // 2)
        for _ in range(channels // xi):
            python_random.shuffle(row)
            drawn += row
        mask = torch.from_numpy(np.array([drawn] * batch))[:, :, None, None]
    pooled = pool(features * mask.to(features))
    logits = F.avg_pool2d(pooled.contiguous(), side).reshape(batch, -1)
    return F.cross_entropy(logits, labels), alike


def by_loop(features, sizes):
    """L_div and the logits of L_dis, one class and one sample at a time."""
    diversity, logits = [], []
    for sample in features:
        for group in sample.split(list(sizes)):
            shares = group.flatten(1).softmax(dim=1)
            diversity.append(shares.max(dim=0).values.sum())
            logits.append(group.flatten(1).max(dim=0).values.mean())
    logits = torch.stack(logits).reshape(len(features), -1)
    return torch.stack(diversity).mean(), logits


class TestChannelGroups:
    def test_by_hand(self):
        assert mc_loss.channel_groups(10, 4) == (2, 2, 3, 3)
        assert mc_loss.channel_groups(12, 4) == (3, 3, 3, 3)
        assert mc_loss.channel_groups(4, 4) == (1, 1, 1, 1)

    def test_two_hundred_birds(self):
        sizes = mc_loss.channel_groups(2048, 200)
        assert sizes == (10,) * 152 + (11,) * 48

    @given(st.integers(1, 60), st.integers(0, 300))
    @settings(max_examples=50, deadline=None)
    def test_all_are_dealt_out_and_nearly_alike(self, classes, more):
        sizes = mc_loss.channel_groups(classes + more, classes)
        assert sum(sizes) == classes + more
        assert max(sizes) - min(sizes) <= 1

    @pytest.mark.parametrize(
        ("args", "message"),
        [
            ((3, 4), "num_channels must be at least one for each of 4.*got 3"),
            ((4, 0), "num_classes must be a whole number >= 1, got 0"),
            ((4.0, 2), "num_channels must be a whole number >= 1, got 4.0"),
        ],
    )
    def test_errors(self, args, message):
        with pytest.raises(ValueError, match=message):
            mc_loss.channel_groups(*args)


class TestChannelMask:
    @pytest.mark.parametrize(
        ("xi", "keep", "kept"),
        [(4, 0.5, 2), (3, 0.5, 2), (3, 2 / 3, 2), (6, 2 / 3, 4), (9, 0.5, 5),
         (10, 0.5, 5), (11, 0.5, 6), (1, 0.5, 1), (5, 0.01, 1), (4, 1.0, 4)],
    )  # fmt: skip
    def test_the_right_number_in_each_group(self, xi, keep, kept):
        mask = mc_loss.channel_mask(xi, num_classes=7, keep=keep, batch_size=5)
        assert mask.shape == (5, 7 * xi, 1, 1)
        assert set(mask.unique().tolist()) <= {0.0, 1.0}
        assert (mask.reshape(5, 7, xi).sum(dim=2) == kept).all()

    def test_unequal_groups(self):
        mask = mc_loss.channel_mask(UNEQUAL, num_classes=4, keep=0.5, batch_size=50)
        groups = mask.flatten(1).split(list(UNEQUAL), dim=1)
        for group, kept in zip(groups, (1, 2, 1, 2), strict=True):
            assert (group.sum(dim=1) == kept).all()

    def test_one_for_the_batch_or_one_each(self):
        options = {"num_classes": 30, "keep": 0.5}
        assert mc_loss.channel_mask(4, **options).shape == (120, 1, 1)
        each = mc_loss.channel_mask(4, batch_size=3, **options)
        assert not torch.equal(each[0], each[1])

    def test_a_generator_fixes_it(self):
        masks = [
            mc_loss.channel_mask(
                4,
                num_classes=9,
                keep=0.5,
                generator=torch.Generator().manual_seed(seed),
            )
            for seed in (3, 3, 4)
        ]
        assert torch.equal(masks[0], masks[1])
        assert not torch.equal(masks[0], masks[2])

    def test_every_pattern_is_as_likely(self):
        mask = mc_loss.channel_mask(
            4,
            num_classes=6000,
            keep=0.5,
            generator=torch.Generator().manual_seed(0),
        )
        codes = mask.reshape(6000, 4) @ torch.tensor([1.0, 2, 4, 8])
        counts = codes.unique(return_counts=True)[1]
        assert len(counts) == 6
        assert (counts - 1000).abs().max() < 150  # five standard deviations

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"keep": 0}, r"keep must lie in \(0, 1\], got 0"),
            ({"keep": math.nan}, "keep must lie in"),
            ({"num_classes": 0}, "num_classes must be a whole number"),
            ({"batch_size": 0}, "batch_size must be a whole number >= 1, got 0"),
            ({"channels_per_class": 0}, "channels_per_class must be a whole number"),
            ({"channels_per_class": (1, 2)}, r"3 numbers >= 1, got \(1, 2\)"),
            ({"channels_per_class": (1, 2, 0)}, r"3 numbers >= 1, got \(1, 2, 0\)"),
        ],
    )
    def test_errors(self, options, message):
        options = {"channels_per_class": 3, "num_classes": 3, "keep": 0.5} | options
        with pytest.raises(ValueError, match=message):
            mc_loss.channel_mask(options.pop("channels_per_class"), **options)


class TestChannelMaxPool:
    def test_by_hand(self):
        features = torch.tensor([1.0, 5, 3, 2, 0, 7]).reshape(1, 6, 1, 1)
        pooled = mc_loss.channel_max_pool(features, 2)
        assert pooled.flatten().tolist() == [5, 3, 7]
        pooled = mc_loss.channel_max_pool(features, (1, 3, 2))
        assert pooled.flatten().tolist() == [1, 5, 7]

    def test_matches_torch_pooling(self):
        features = maps(2, 12, 3, 5) - 0.5
        expected = F.max_pool3d(features[:, None], (4, 1, 1))[:, 0]
        assert torch.equal(mc_loss.channel_max_pool(features, 4), expected)

    @pytest.mark.parametrize("sizes", [3, UNEQUAL])
    def test_a_tie_gives_its_gradient_to_one(self, sizes):
        features = torch.zeros(1, 9, 2, 2, requires_grad=True)
        mc_loss.channel_max_pool(features, sizes).sum().backward()
        assert set(features.grad.unique().tolist()) == {0.0, 1.0}

    def test_keeps_dtype(self):
        features = maps(2, 6, 3, 3).half()
        assert mc_loss.channel_max_pool(features, 3).dtype == torch.float16

    @pytest.mark.parametrize("sizes", [3, UNEQUAL])
    def test_gradient(self, sizes):
        features = maps(2, 9, 2, 3).requires_grad_()
        assert gradcheck(lambda f: mc_loss.channel_max_pool(f, sizes), features)

    @pytest.mark.parametrize(
        ("features", "sizes", "message"),
        [
            (maps(1, 7, 2, 2), 3, "must divide the 7 channels, got 3.*channel_groups"),
            (maps(1, 7, 2, 2), (3, 3), "add up to the 7 channels, got 6"),
            (maps(1, 7, 2, 2), 0, "channels_per_class must be a whole number"),
            (maps(1, 7, 2, 2), (), "channels_per_class must be"),
            (maps(7, 2, 2), 1, r"must be \(B, N, H, W\).*\(7, 2, 2\)"),
            (maps(1, 7, 2, 2).long(), 1, "floating point.*int64"),
            (maps(0, 6, 2, 2), 3, r"features must not be empty, got \(0, 6, 2, 2\)"),
            (maps(1, 6, 0, 2), 3, "features must not be empty"),
        ],
    )
    def test_errors(self, features, sizes, message):
        with pytest.raises(ValueError, match=message):
            mc_loss.channel_max_pool(features, sizes)


class TestPublished:
    """Equal groups, square maps: the published computation, gradients and all."""

    @given(SEEDS, st.integers(1, 4), st.integers(1, 5), st.integers(1, 4))
    @settings(max_examples=30, deadline=None)
    def test_same_losses_and_gradients(self, seed, xi, classes, side):
        features = maps(3, xi * classes, side, side, seed=seed, scale=5)
        labels = targets(3, classes, seed)
        mask = mc_loss.channel_mask(
            xi,
            num_classes=classes,
            keep=0.5,
            generator=torch.Generator().manual_seed(seed),
        )
        ours, theirs = (features.clone().requires_grad_() for _ in range(2))
        dis, alike = published(theirs, labels, xi, mask)
        (2 * dis + 20 * alike).backward()
        own_dis = mc_loss.discriminality_loss(ours, labels, xi, mask=mask)
        own_alike = 1 - mc_loss.diversity_loss(ours, xi) / xi
        torch.testing.assert_close(own_dis, dis)
        torch.testing.assert_close(own_alike, alike)
        (2 * own_dis + 20 * own_alike).backward()
        torch.testing.assert_close(ours.grad, theirs.grad)

    def test_its_own_mask_drops_as_many(self):
        """With one strong channel in each class, its loss tells what it dropped."""
        features = torch.ones(1, 30, 1, 1)
        python_random.seed(0)
        dis, _ = published(features, torch.tensor([0]), 3)
        mask = mc_loss.channel_mask(3, num_classes=10, keep=0.5)
        own = mc_loss.discriminality_loss(features, torch.tensor([0]), 3, mask=mask)
        torch.testing.assert_close(own, dis)

    def test_module_is_their_weighted_sum(self):
        features, labels = maps(4, 15, 3, 3, scale=4), targets(4, 5)
        loss = mc_loss.MutualChannelLoss(5, 3, mu=2, diversity=10, keep=1)
        dis, alike = published(features, labels, 3, torch.ones(15, 1, 1))
        torch.testing.assert_close(loss(features, labels), 2 * dis + 20 * alike)


class TestDiscriminality:
    def test_by_hand(self):
        features = torch.tensor([[2.0, 0], [0, 4], [1, 1], [0, 0]]).reshape(1, 4, 1, 2)
        # The logits are (2 + 4) / 2 and (1 + 1) / 2.
        loss = mc_loss.discriminality_loss(features, torch.tensor([0]), 2)
        assert loss.item() == pytest.approx(math.log(1 + math.exp(1 - 3)))

    @pytest.mark.parametrize("per_sample", [False, True])
    @given(seed=SEEDS)
    @settings(max_examples=15, deadline=None)
    def test_unequal_groups_match_a_loop(self, per_sample, seed):
        features, labels = maps(3, 9, 2, 5, seed=seed, scale=5), targets(3, 4, seed)
        mask = mc_loss.channel_mask(
            UNEQUAL, num_classes=4, keep=0.5, batch_size=3 if per_sample else None
        ).double()
        expected = F.cross_entropy(by_loop(features * mask, UNEQUAL)[1], labels)
        loss = mc_loss.discriminality_loss(features, labels, UNEQUAL, mask=mask)
        torch.testing.assert_close(loss, expected)

    def test_a_dropped_channel_has_no_gradient(self):
        """Even where all that is kept is 0 as well, and the dropped one comes first."""
        features = torch.zeros(1, 4, 2, 2, requires_grad=True)
        mask = torch.tensor([0.0, 1, 0, 1]).reshape(4, 1, 1)
        mc_loss.discriminality_loss(
            features, torch.tensor([0]), 2, mask=mask
        ).backward()
        assert (features.grad[:, [0, 2]] == 0).all()

    def test_a_class_of_all_zeros_is_no_nan(self):
        features = torch.zeros(2, 6, 2, 2, requires_grad=True)
        loss = mc_loss.discriminality_loss(features, torch.tensor([0, 1]), 3)
        loss.backward()
        assert loss.item() == pytest.approx(math.log(2))
        assert features.grad.isfinite().all()

    @pytest.mark.parametrize("sizes", [3, UNEQUAL])
    def test_gradient(self, sizes):
        features = maps(3, 9, 2, 3).requires_grad_()
        labels = targets(3, 3)
        classes = 3 if sizes == 3 else 4
        mask = mc_loss.channel_mask(sizes, num_classes=classes, keep=0.5, batch_size=3)
        assert gradcheck(
            lambda f: mc_loss.discriminality_loss(f, labels, sizes, mask=mask.double()),
            features,
        )

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision(self, dtype):
        features, labels = maps(3, 9, 7, 7, scale=5).to(dtype), targets(3, 3)
        exact = mc_loss.discriminality_loss(features.float(), labels, 3)
        features.requires_grad_()
        loss = mc_loss.discriminality_loss(features, labels, 3)
        assert loss.dtype == torch.float32
        torch.testing.assert_close(loss, exact)
        loss.backward()
        assert features.grad.dtype == dtype
        assert features.grad.isfinite().all()

    @pytest.mark.parametrize(
        ("labels", "mask", "message"),
        [
            (torch.tensor([0, 3]), None, r"\[0, 2\], got \[0, 3\]"),
            (torch.tensor([-1, 0]), None, r"\[0, 2\], got \[-1, 0\]"),
            (
                torch.tensor([0]),
                None,
                r"targets must be \(2,\), one for each sample, got \(1,\)",
            ),
            (torch.tensor([0.0, 1.0]), None, "whole numbers, got torch.float32"),
            (torch.tensor([0, 1]), torch.ones(9), r"\(9, 1, 1\).*got \(9,\)"),
            (torch.tensor([0, 1]), torch.ones(3, 9, 1, 1), r"mask must be.*\(3, 9"),
        ],
    )
    def test_errors(self, labels, mask, message):
        with pytest.raises(ValueError, match=message):
            mc_loss.discriminality_loss(maps(2, 9, 2, 2), labels, 3, mask=mask)

    def test_an_empty_batch(self):
        with pytest.raises(ValueError, match="features must not be empty"):
            mc_loss.discriminality_loss(maps(0, 9, 2, 2), torch.zeros(0).long(), 3)


class TestDiversity:
    def test_the_lower_end(self):
        same = maps(2, 1, 4, 4).repeat(1, 6, 1, 1)
        assert mc_loss.diversity_loss(same, 3).item() == pytest.approx(1)

    def test_the_upper_end(self):
        apart = torch.zeros(2, 6, 2, 2)
        for channel in range(6):
            apart[:, channel].view(2, -1)[:, channel % 3] = 1000
        assert mc_loss.diversity_loss(apart, 3).item() == pytest.approx(3)

    @given(SEEDS, st.integers(1, 6), st.integers(1, 4), st.floats(0, 50))
    @settings(max_examples=60, deadline=None)
    def test_bounds(self, seed, xi, side, scale):
        features = maps(2, 3 * xi, side, side, seed=seed, scale=scale)
        value = mc_loss.diversity_loss(features, xi).item()
        assert 1 - 1e-9 <= value <= min(xi, side * side) + 1e-9

    @pytest.mark.parametrize(
        ("shape", "xi"), [((2, 5, 3, 4), 1), ((2, 6, 1, 1), 3)], ids=["xi 1", "1 x 1"]
    )
    def test_where_it_is_1_whatever_comes(self, shape, xi):
        features = maps(*shape, scale=9).requires_grad_()
        value = mc_loss.diversity_loss(features, xi)
        value.backward()
        assert value.item() == pytest.approx(1)
        assert features.grad.abs().max() < 1e-12

    @given(SEEDS)
    @settings(max_examples=15, deadline=None)
    def test_unequal_groups_match_a_loop(self, seed):
        features = maps(3, 9, 2, 5, seed=seed, scale=5)
        torch.testing.assert_close(
            mc_loss.diversity_loss(features, UNEQUAL), by_loop(features, UNEQUAL)[0]
        )

    def test_many_samples_are_as_good_as_few(self):
        """The parts in which a large batch is worked through leave no trace."""
        features = maps(5, 60, 60, 60, dtype=torch.float32).requires_grad_()
        mc_loss.diversity_loss(features, 3).backward()
        alone = features[3:4].detach().requires_grad_()
        mc_loss.diversity_loss(alone, 3).backward()
        torch.testing.assert_close(features.grad[3] * 5, alone.grad[0])

    @pytest.mark.parametrize("sizes", [3, UNEQUAL])
    def test_gradient(self, sizes):
        features = maps(2, 9, 2, 3, scale=3).requires_grad_()
        assert gradcheck(lambda f: mc_loss.diversity_loss(f, sizes), features)

    def test_half_precision(self):
        features = maps(2, 6, 14, 14, scale=5).half()
        exact = mc_loss.diversity_loss(features.float(), 3)
        value = mc_loss.diversity_loss(features, 3)
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, exact)

    def test_large_values_do_not_overflow(self):
        assert mc_loss.diversity_loss(maps(1, 4, 2, 2, scale=1e5), 2).isfinite()

    def test_errors(self):
        with pytest.raises(ValueError, match="must divide the 7 channels"):
            mc_loss.diversity_loss(maps(1, 7, 2, 2), 3)
        with pytest.raises(ValueError, match="features must not be empty"):
            mc_loss.diversity_loss(maps(0, 6, 2, 2), 3)


class TestModule:
    def test_has_no_parameters_and_takes_any_shape(self):
        loss = mc_loss.MutualChannelLoss(4, UNEQUAL, per_sample=True)
        assert not list(loss.parameters())
        features = maps(3, 9, 2, 7, dtype=torch.float32).requires_grad_()
        value = loss(features, targets(3, 4))
        value.backward()
        assert value.shape == ()
        assert value >= 0
        assert features.grad.abs().sum() > 0

    def test_a_generator_fixes_it(self):
        loss = mc_loss.MutualChannelLoss(5, 4)
        features, labels = maps(4, 20, 3, 3, scale=5), targets(4, 5)
        first, again, other = (
            loss(features, labels, generator=torch.Generator().manual_seed(seed))
            for seed in (1, 1, 2)
        )
        assert first == again
        assert first != other

    def test_drops_nothing_in_evaluation(self):
        features, labels = maps(4, 20, 3, 3, scale=5), targets(4, 5)
        loss = mc_loss.MutualChannelLoss(5, 4, mu=3, diversity=0).eval()
        expected = 3 * mc_loss.discriminality_loss(features, labels, 4)
        torch.testing.assert_close(loss(features, labels), expected)

    @pytest.mark.parametrize("per_sample", [False, True])
    def test_in_training_it_is_the_sum_of_its_parts(self, per_sample):
        """Unequal groups, a mask that is drawn again from the same generator."""
        features, labels = maps(4, 9, 3, 3, scale=5), targets(4, 4)
        loss = mc_loss.MutualChannelLoss(
            4, UNEQUAL, mu=2, diversity=3, per_sample=per_sample
        )
        value = loss(features, labels, generator=torch.Generator().manual_seed(1))
        mask = mc_loss.channel_mask(
            UNEQUAL,
            num_classes=4,
            keep=0.5,
            batch_size=4 if per_sample else None,
            generator=torch.Generator().manual_seed(1),
        )
        dis = mc_loss.discriminality_loss(features, labels, UNEQUAL, mask=mask)
        alike = 1 - mc_loss.diversity_loss(features, UNEQUAL) / (9 / 4)
        torch.testing.assert_close(value, 2 * (dis + 3 * alike))

    def test_zero_weight_is_zero(self):
        loss = mc_loss.MutualChannelLoss(5, 4, mu=0)
        assert loss(maps(2, 20, 3, 3), targets(2, 5)) == 0

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"mu": -1}, "mu must be finite and not negative, got -1"),
            ({"diversity": math.inf}, "diversity must be finite"),
            ({"keep": 2}, "keep must lie in"),
            ({"num_classes": 0}, "num_classes must be a whole number"),
            ({"channels_per_class": (1, 2)}, "channels_per_class must be 5 numbers"),
        ],
    )
    def test_errors(self, options, message):
        with pytest.raises(ValueError, match=message):
            mc_loss.MutualChannelLoss(
                **{"num_classes": 5, "channels_per_class": 3, **options}
            )

    def test_an_empty_batch(self):
        loss = mc_loss.MutualChannelLoss(5, 4, per_sample=True)
        with pytest.raises(ValueError, match="features must not be empty"):
            loss(maps(0, 20, 3, 3), torch.zeros(0).long())

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
    @pytest.mark.parametrize("sizes", [3, UNEQUAL])
    def test_on_a_gpu(self, sizes):
        classes = 3 if sizes == 3 else 4
        loss = mc_loss.MutualChannelLoss(classes, sizes, keep=1)
        features, labels = maps(3, 9, 5, 4, dtype=torch.float32), targets(3, classes)
        there = features.cuda().requires_grad_()
        here = features.requires_grad_()
        loss(here, labels).backward()
        loss(there, labels.cuda()).backward()
        torch.testing.assert_close(there.grad.cpu(), here.grad)
        half = features.detach().cuda().bfloat16()
        masked = mc_loss.MutualChannelLoss(classes, sizes)(half, labels.cuda())
        assert masked.dtype == torch.float32
        generator = torch.Generator("cuda").manual_seed(0)
        mask = mc_loss.channel_mask(
            sizes, num_classes=classes, keep=0.5, generator=generator
        )
        assert mask.is_cuda


class TestTraining:
    def network(self, seed=0):
        torch.manual_seed(seed)
        backbone = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        return mc_loss.ChannelNet(backbone, 8, 3, 2)

    def data(self):
        labels = torch.arange(30) % 3
        return maps(30, 3, 6, 6, dtype=torch.float32) * 0.3 + F.one_hot(labels, 3)[
            ..., None, None
        ], labels

    def test_network(self):
        logits, features = self.network()(torch.zeros(2, 3, 6, 5))
        assert logits.shape == (2, 3)
        assert features.shape == (2, 6, 6, 5)
        assert features.min() >= 0

    def test_the_loss_needs_no_parameters(self):
        network, loss = self.network(), mc_loss.MutualChannelLoss(3, 2)
        assert not list(loss.parameters())
        assert sum(p.numel() for p in network.channels.parameters()) == 8 * 6 + 12

    @pytest.mark.parametrize("loss", [None, mc_loss.MutualChannelLoss(3, 2)])
    def test_it_learns_and_repeats(self, loss):
        histories = []
        for _ in range(2):
            network, (images, labels) = self.network(), self.data()
            histories.append(
                mc_loss.train(
                    network, images, labels, steps=80, loss=loss, batch_size=10
                )
            )
        assert histories[0] == histories[1]
        assert len(histories[0]) == 80
        assert histories[0][-1] < 0.7 * histories[0][0]
        assert not network.training
        assert (network(images)[0].argmax(1) == labels).float().mean() > 0.9

    def test_stops_on_nan(self):
        images, labels = self.data()
        with pytest.raises(FloatingPointError, match="cross_entropy is nan at step 1"):
            mc_loss.train(self.network(), images * math.nan, labels, steps=2)

    def test_errors(self):
        with pytest.raises(ValueError, match="steps must be a whole number"):
            mc_loss.train(self.network(), *self.data(), steps=0)
        with pytest.raises(ValueError, match="batch_size must be a whole number"):
            mc_loss.train(self.network(), *self.data(), steps=1, batch_size=0)
        with pytest.raises(ValueError, match="num_inputs must be a whole number"):
            mc_loss.ChannelNet(nn.Identity(), 0, 3, 2)


class TestLooking:
    def test_own_channels(self):
        features = torch.arange(12.0).reshape(2, 6, 1, 1)
        own = mc_loss.own_channels(features, torch.tensor([2, 0]), 2)
        assert own.flatten(1).tolist() == [[4, 5], [6, 7]]
        own = mc_loss.own_channels(features, torch.tensor([0, 1]), (1, 3, 2))
        assert own.flatten(1).tolist() == [[0, 0, 0], [7, 8, 9]]

    def test_peak_hits_by_hand(self):
        features = torch.zeros(1, 3, 4, 4)
        features[0, 0, 0, 0] = 1  # in the box
        features[0, 1, 3, 3] = 1  # not; the third channel has no peak
        hits, chance = mc_loss.peak_hits(features, [torch.tensor([[0, 0, 0.3, 0.25]])])
        assert hits.item() == 0.5
        assert chance.item() == 2 / 16  # two cells in the first row, none in the next

    def test_several_boxes_count_once(self):
        boxes = torch.tensor([[0, 0, 0.25, 1], [0, 0, 1, 0.25]])
        features = torch.ones(1, 1, 4, 4)
        assert mc_loss.peak_hits(features, [boxes])[1].item() == 7 / 16

    def test_no_peak_at_all(self):
        hits, _ = mc_loss.peak_hits(torch.zeros(1, 2, 2, 2), [torch.zeros(1, 4)])
        assert hits.isnan()

    def test_errors(self):
        with pytest.raises(ValueError, match="boxes must be one set for each of 2"):
            mc_loss.peak_hits(maps(2, 3, 2, 2), [torch.zeros(1, 4)])
        with pytest.raises(ValueError, match=r"targets must lie in \[0, 2\]"):
            mc_loss.own_channels(maps(1, 6, 1, 1), torch.tensor([3]), 2)


class TestStudy:
    """The table holds what the page says of it."""

    STUDY = read_study("mc_loss")

    def rows(self, part, what, **wanted):
        wanted = {"part": part, "for": what, **wanted}
        return [r for r in self.STUDY["rows"] if wanted.items() <= r.items()]

    def mean(self, part, loss, key):
        rows = self.rows(part, "loss", loss=loss)
        return sum(row[key] for row in rows) / len(rows)

    @pytest.mark.parametrize("part", study_mc_loss.GROUNDS)
    @pytest.mark.parametrize("loss", study_mc_loss.LOSSES)
    def test_each_loss_has_the_rate_that_does_best_where_it_is_chosen(self, part, loss):
        rows = self.rows(part, "loss", loss=loss)
        assert [row["seed"] for row in rows] == self.STUDY["seeds"] == list(range(5))
        scores = {
            rate: sum(
                r["accuracy"] for r in self.rows(part, "choice", loss=loss, rate=rate)
            )
            for rate in study_mc_loss.RATES
        }
        best = max(scores, key=scores.get)
        assert {row["rate"] for row in rows} == {best}
        # Not at an end of the grid, where a better one may lie beyond it.
        assert min(study_mc_loss.RATES) < best < max(study_mc_loss.RATES)

    def test_the_sweeps_hold_every_setting_and_seed(self):
        for what, setting in study_mc_loss.SWEEPS:
            wanted = {**study_mc_loss.BASE, **setting}
            seeds = [row["seed"] for row in self.rows("frozen", what, **wanted)]
            assert seeds == self.STUDY["seeds"] == list(range(5)), wanted

    @pytest.mark.parametrize("part", study_mc_loss.GROUNDS)
    def test_the_loss_orders_the_channels_and_sets_them_apart(self, part):
        chance = 1 / (10 if part == "digits" else study_mc_loss.VARIANTS)
        ce, dis, both = study_mc_loss.LOSSES
        assert self.mean(part, ce, "channel_accuracy") < 2 * chance
        for loss in (dis, both):
            assert self.mean(part, loss, "channel_accuracy") > 5 * chance
        assert self.mean(part, both, "diversity_after") > 3.5
        assert self.mean(part, ce, "diversity_after") < 3.5

    def test_the_average_is_the_mean_of_a_class(self):
        features, labels = maps(3, 48, 2, 2, dtype=torch.float32), targets(3, 12)
        setting = {"xi": 4, "mu": 2.0, "keep": 1.0}
        loss = study_mc_loss.average_loss(setting)
        logits = torch.stack([g.mean((1, 2, 3)) for g in features.split(4, dim=1)], 1)
        value = loss(features, labels, generator=torch.Generator())
        torch.testing.assert_close(value, 2 * F.cross_entropy(logits, labels))


# The exercises: right answers written in another way than the module's.


def pool_by_unfold(features, channels_per_class):
    if features.shape[1] % channels_per_class != 0:
        raise ValueError("no whole groups")
    groups = features.unfold(1, channels_per_class, channels_per_class)
    return groups.amax(dim=-1)


def mask_by_permutations(channels_per_class, *, num_classes, keep, generator=None):
    if keep <= 0 or keep > 1:
        raise ValueError("keep")
    dropped = int((1 - keep) * channels_per_class + 1e-9)
    dropped = min(dropped, channels_per_class - 1)
    mask = torch.ones(num_classes, channels_per_class)
    for row in mask:
        row[torch.randperm(channels_per_class, generator=generator)[:dropped]] = 0
    return mask.view(-1, 1, 1)


def diversity_by_split(features, channels_per_class):
    shares = features.flatten(2).log_softmax(dim=-1).exp()
    parts = [p.amax(dim=1).sum(-1) for p in shares.split(channels_per_class, dim=1)]
    return torch.stack(parts).mean()


def discriminality_by_nll(features, targets, channels_per_class, *, mask=None):
    kept = features if mask is None else mask * features
    logits = pool_by_unfold(kept, channels_per_class).flatten(2).mean(-1)
    return F.nll_loss(logits.log_softmax(1), targets)


RIGHT = {
    "channel_max_pool": pool_by_unfold,
    "channel_mask": mask_by_permutations,
    "diversity_loss": diversity_by_split,
    "discriminality_loss": discriminality_by_nll,
}

# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "channel_max_pool": [
        (lambda f, xi: f.reshape(len(f), xi, -1, *f.shape[2:]).amax(1), "in turn"),
        (
            lambda f, xi: F.avg_pool3d(f[:, None], (xi, 1, 1))[:, 0],
            "average of a class's",
        ),
        (lambda f, xi: f.unflatten(1, (-1, xi)).amax(1), "over the classes"),
        (lambda f, xi: pool_by_unfold(f, xi).amax((2, 3)), "positions as well"),
        (
            lambda f, xi: F.max_pool3d(f[:, None], (xi, 1, 1))[:, 0],
            "lost in silence",
        ),
    ],
    "channel_mask": [
        (
            lambda xi, *, num_classes, keep, generator=None: torch.bernoulli(
                torch.full((num_classes * xi, 1, 1), keep), generator=generator
            ),
            "coin of its own",
        ),
        (
            lambda xi, *, num_classes, keep, generator=None: mask_by_permutations(
                xi, num_classes=1, keep=keep, generator=generator
            ).repeat(num_classes, 1, 1),
            "share one pattern",
        ),
        (
            lambda xi, *, num_classes, keep, generator=None: (
                1
                - mask_by_permutations(
                    xi, num_classes=num_classes, keep=keep, generator=generator
                )
            ),
            "wrong way round",
        ),
        (
            lambda xi, *, num_classes, keep, generator=None: (
                (torch.arange(num_classes * xi) % xi < math.ceil(keep * xi - 1e-9))
                .float()
                .view(-1, 1, 1)
            ),
            "same channels are kept each time",
        ),
        (
            lambda xi, *, num_classes, keep, generator=None: (
                mask_by_permutations(
                    xi, num_classes=num_classes, keep=keep, generator=generator
                )
                * xi
                / math.ceil(keep * xi - 1e-9)
            ),
            "scaled up",
        ),
    ],
    "diversity_loss": [
        (
            lambda f, xi: pool_by_unfold(f.softmax(1), xi).sum((2, 3)).mean(),
            "over the channels",
        ),
        (
            lambda f, xi: pool_by_unfold(f.softmax(-1), xi).sum((2, 3)).mean(),
            "along rows",
        ),
        (
            lambda f, xi: (
                f.flatten(2).softmax(-1).unflatten(1, (-1, xi)).mean(2).sum(-1).mean()
            ),
            "is 1 whatever",
        ),
        (lambda f, xi: 1 - diversity_by_split(f, xi) / xi, "published code"),
        (
            lambda f, xi: diversity_by_split(f, xi) / f[0, 0].numel(),
            "average over the positions",
        ),
    ],
    "discriminality_loss": [
        (
            lambda f, t, xi, *, mask=None: F.cross_entropy(
                (f if mask is None else f * mask)
                .mean((2, 3))
                .unflatten(1, (-1, xi))
                .amax(2),
                t,
            ),
            "averaged before",
        ),
        (
            lambda f, t, xi, *, mask=None: discriminality_by_nll(f, t, xi),
            "mask is not used",
        ),
        (
            lambda f, t, xi, *, mask=None: F.cross_entropy(
                pool_by_unfold(f if mask is None else f * mask, xi).sum((2, 3)), t
            ),
            "size of the map",
        ),
        (
            lambda f, t, xi, *, mask=None: F.cross_entropy(
                pool_by_unfold(f if mask is None else f * mask, xi)
                .mean((2, 3))
                .softmax(1),
                t,
            ),
            "softmax in it",
        ),
        (
            lambda f, t, xi, *, mask=None: (
                discriminality_by_nll(f, t, xi, mask=mask) * len(t)
            ),
            "over the samples",
        ),
    ],
}


def pool_of_torch(features, channels_per_class):
    groups = features.permute(0, 2, 3, 1).flatten(1, 2)  # (B, H W, N)
    pooled = F.max_pool1d(groups, channels_per_class)
    return pooled.permute(0, 2, 1).unflatten(2, features.shape[2:])


def mask_by_random_numbers(channels_per_class, *, num_classes, keep, generator=None):
    dropped = math.floor((1 - keep) * channels_per_class + 1e-9)
    order = torch.rand(num_classes, channels_per_class, generator=generator)
    ranks = order.argsort(dim=1).argsort(dim=1)
    return (ranks >= dropped).float().reshape(-1, 1, 1)


def diversity_plainly(features, channels_per_class):
    shares = torch.softmax(features.flatten(2), dim=2)
    shares = shares.reshape(len(features), -1, channels_per_class, shares.shape[2])
    return shares.amax(dim=2).sum(dim=2).mean()


def discriminality_plainly(features, targets, channels_per_class, *, mask=None):
    if mask is not None:
        features = features * mask
    batch, _, height, width = features.shape
    groups = features.view(batch, -1, channels_per_class, height, width)
    return F.cross_entropy(groups.amax(2).mean((2, 3)), targets)


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "channel_max_pool": lambda features, channels_per_class: features.view(
        len(features), -1, channels_per_class, *features.shape[2:]
    ).amax(2),
    "channel_mask": mask_by_random_numbers,
    "diversity_loss": diversity_plainly,
    "discriminality_loss": discriminality_plainly,
}
LIBRARY = {
    "channel_max_pool": pool_of_torch,
    "channel_mask": "torch drops each channel by a coin of its own",
    "diversity_loss": "no library has the loss; the module is held against its code",
    "discriminality_loss": lambda features, targets, channels_per_class, mask=None: (
        F.cross_entropy(
            pool_of_torch(
                features if mask is None else features * mask, channels_per_class
            ).mean((2, 3)),
            targets,
        )
    ),
}


class TestExercises(ExerciseTests):
    checks, right, wrong = mc_loss_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
