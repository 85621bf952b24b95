"""Normalization: by hand, against torch, degenerate cases, gradients, errors."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd import gradcheck
from torch.nn.utils.fusion import fuse_conv_bn_weights

from lesson_utils import normalization
from lesson_utils.checks import normalization as normalization_checks
from studies import normalization as study_normalization
from tests.answers import ExerciseTests

SEEDS = st.integers(0, 2**31)


def random(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def four_vectors(channels, seed=1):
    weight, bias, mean, var = random(4, channels, seed=seed)
    return weight, bias, mean, var.abs() + 0.1


def with_gradients(function, *inputs):
    """The output and its gradients, weighted so that no sum over the output cancels."""
    leaves = [value.clone().requires_grad_() for value in inputs]
    output = function(*leaves)
    weights = random(*output.shape, seed=99, dtype=output.dtype)
    return output.detach(), *torch.autograd.grad((output * weights).sum(), leaves)


def assert_same(ours, theirs, *inputs, **tolerance):
    pairs = zip(
        with_gradients(ours, *inputs), with_gradients(theirs, *inputs), strict=True
    )
    for mine, reference in pairs:
        torch.testing.assert_close(mine, reference, **tolerance)


class TestBatchNorm:
    def test_by_hand(self):
        x = torch.tensor([1.0, 3.0]).reshape(2, 1, 1, 1)
        y, mean, var = normalization.batch_norm_train(
            x, None, None, torch.zeros(1), torch.ones(1), eps=3.0
        )
        assert y.flatten().tolist() == [-0.5, 0.5]  # deviation: the root of 1 + 3
        assert mean.item() == pytest.approx(0.2)
        assert var.item() == pytest.approx(0.9 + 0.1 * 2)  # unbiased

    @given(
        seed=SEEDS,
        shape=st.tuples(*[st.integers(1, 5)] * 4).filter(
            lambda s: s[0] * s[2] * s[3] > 1
        ),
        momentum=st.sampled_from([0.0, 0.1, 1.0]),
    )
    @settings(max_examples=40, deadline=None)
    def test_training_matches_torch(self, seed, shape, momentum):
        x = 3 * random(*shape, seed=seed) + 5
        weight, bias, mean, var = four_vectors(shape[1], seed=seed)
        states = [(mean.clone(), var.clone()) for _ in range(2)]

        def ours(x, w, b):
            return normalization.batch_norm(
                x, w, b, *states[0], training=True, momentum=momentum
            )

        def theirs(x, w, b):
            return F.batch_norm(x, *states[1], w, b, True, momentum)

        assert_same(ours, theirs, x, weight, bias, rtol=1e-6, atol=1e-8)
        torch.testing.assert_close(states[0], states[1])

    def test_evaluation_matches_torch_and_changes_nothing(self):
        x, (weight, bias, mean, var) = random(2, 3, 4, 5), four_vectors(3)
        kept = mean.clone(), var.clone()
        assert_same(
            lambda x, w, b: normalization.batch_norm(
                x, w, b, mean, var, training=False
            ),
            lambda x, w, b: F.batch_norm(x, mean, var, w, b, False),
            x,
            weight,
            bias,
        )
        torch.testing.assert_close((mean, var), kept, rtol=0, atol=0)

    def test_without_running_estimates_and_affine(self):
        x = random(4, 3, 2, 2)
        got = normalization.batch_norm(x, None, None, None, None, training=True)
        torch.testing.assert_close(got, F.batch_norm(x, None, None, training=True))

    @pytest.mark.parametrize(("mean", "deviation"), [(1e4, 1.0), (-1e4, 10.0)])
    def test_a_large_mean_in_float32(self, mean, deviation):
        x = mean + deviation * random(8, 3, 16, 16, dtype=torch.float32)
        exact = F.batch_norm(x.double(), None, None, training=True).float()
        got = normalization.batch_norm(x, None, None, None, None, training=True)
        # A float32 near 10,000 is known to 0.0005; no more can be asked.
        torch.testing.assert_close(got, exact, atol=2e-3, rtol=0)
        state = torch.zeros(3), torch.ones(3)
        _, _, var = normalization.batch_norm_train(x, None, None, *state, momentum=1.0)
        expected = x.double().var((0, 2, 3)).float()
        torch.testing.assert_close(var, expected, rtol=1e-3, atol=0)

    def test_a_large_mean_and_its_gradient_match_torch(self):
        x = 1e4 + random(4, 2, 5, 5)
        assert_same(
            lambda x: normalization.batch_norm(
                x, None, None, None, None, training=True
            ),
            lambda x: F.batch_norm(x, None, None, training=True),
            x,
            rtol=1e-5,
            atol=1e-8,
        )

    def test_a_flat_channel_is_the_bias(self):
        y, _, var = normalization.batch_norm_train(
            torch.full((2, 1, 3, 3), 7.0), None, torch.tensor([0.5]),
            torch.zeros(1), torch.ones(1), momentum=1.0,
        )  # fmt: skip
        assert (y == 0.5).all()
        assert var.item() == 0

    def test_nothing_is_changed_in_place_and_no_gradient_is_kept(self):
        x, (weight, bias, mean, var) = random(2, 3, 4, 4), four_vectors(3)
        copies = [v.clone() for v in (x, weight, bias, mean, var)]
        x.requires_grad_()
        _, new_mean, new_var = normalization.batch_norm_train(
            x, weight, bias, mean, var
        )
        assert not new_mean.requires_grad
        assert not new_var.requires_grad
        for now, before in zip((x, weight, bias, mean, var), copies, strict=True):
            assert torch.equal(now, before)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_is_normalized_in_float32(self, dtype):
        x = (100 + random(4, 2, 16, 16, dtype=torch.float32)).to(dtype)
        mean, var = torch.zeros(2), torch.ones(2)
        got = normalization.batch_norm(
            x, torch.ones(2), torch.zeros(2), mean, var, training=True, momentum=1.0
        )
        exact = F.batch_norm(x.double(), None, None, training=True)
        assert got.dtype == dtype
        assert mean.dtype == torch.float32
        torch.testing.assert_close(got, exact.to(dtype), atol=2e-2, rtol=1e-2)
        torch.testing.assert_close(mean, x.float().mean((0, 2, 3)))

    def test_gradcheck(self):
        weight, bias, mean, var = four_vectors(2)

        def output(x, w, b):
            return normalization.batch_norm_train(x, w, b, mean, var)[0]

        inputs = [v.requires_grad_() for v in (random(3, 2, 2, 2), weight, bias)]
        assert gradcheck(output, inputs)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"x": random(1, 3, 1, 1)}, r"two values for each channel, got 1.*\(1, 3"),
            ({"x": random(0, 3, 2, 2)}, "two values for each channel, got 0"),
            ({"x": random(3, 2, 2)}, r"x must be \(B, C, H, W\).*\(3, 2, 2\)"),
            ({"x": torch.ones(2, 3, 2, 2).long()}, "floating point.*int64"),
            ({"weight": random(2)}, r"weight must have shape \(3,\), got \(2,\)"),
            ({"bias": random(3, 1)}, r"bias must have shape \(3,\), got \(3, 1\)"),
            ({"running_mean": random(4)}, r"running_mean must have shape \(3,\)"),
            ({"running_var": random(4)}, r"running_var must have shape \(3,\)"),
            ({"momentum": 1.5}, r"momentum must lie in \[0, 1\], got 1.5"),
            ({"eps": 0.0}, "eps must be finite and above 0, got 0.0"),
        ],
    )
    def test_errors_in_training(self, change, message):
        names = ("weight", "bias", "running_mean", "running_var")
        arguments = dict(zip(names, four_vectors(3), strict=True))
        arguments = {"x": random(2, 3, 4, 4), **arguments, **change}
        with pytest.raises(ValueError, match=message):
            normalization.batch_norm(**arguments, training=True)

    def test_errors_out_of_training(self):
        x, mean = random(2, 3, 4, 4), torch.zeros(3)
        with pytest.raises(ValueError, match="must be given if not training"):
            normalization.batch_norm(x, None, None, None, None, training=False)
        with pytest.raises(ValueError, match="given both, or neither"):
            normalization.batch_norm(x, None, None, mean, None, training=True)
        with pytest.raises(ValueError, match="eps must be finite and above 0"):
            normalization.batch_norm(
                x, None, None, mean, mean, training=False, eps=-1.0
            )
        with pytest.raises(ValueError, match="running_var must have shape"):
            normalization.batch_norm(x, None, None, mean, random(4), training=False)

    def test_one_pixel_is_enough_out_of_training(self):
        x, (weight, bias, mean, var) = random(1, 3, 1, 1), four_vectors(3)
        got = normalization.batch_norm(x, weight, bias, mean, var, training=False)
        torch.testing.assert_close(got, F.batch_norm(x, mean, var, weight, bias))


class TestTheOthers:
    @given(seed=SEEDS, shape=st.tuples(*[st.integers(2, 5)] * 4))
    @settings(max_examples=25, deadline=None)
    def test_instance_norm_matches_torch(self, seed, shape):
        weight, bias, *_ = four_vectors(shape[1], seed=seed)
        x = 3 * random(*shape, seed=seed) + 5
        assert_same(
            normalization.instance_norm,
            lambda x, w, b: F.instance_norm(x, weight=w, bias=b),
            x,
            weight,
            bias,
            rtol=1e-6,
            atol=1e-8,
        )

    @given(seed=SEEDS, shape=st.tuples(*[st.integers(2, 5)] * 4))
    @settings(max_examples=25, deadline=None)
    def test_layer_norm_matches_torch(self, seed, shape):
        x = 3 * random(*shape, seed=seed) + 5
        weight, bias = random(2, *shape[1:], seed=seed + 1)
        assert_same(
            normalization.layer_norm,
            lambda x, w, b: F.layer_norm(x, x.shape[1:], w, b),
            x,
            weight,
            bias,
            rtol=1e-6,
            atol=1e-8,
        )

    @pytest.mark.parametrize("groups", [1, 2, 3, 6])
    def test_group_norm_matches_torch(self, groups):
        weight, bias, *_ = four_vectors(6)
        assert_same(
            lambda x, w, b: normalization.group_norm(x, groups, w, b),
            lambda x, w, b: F.group_norm(x, groups, w, b),
            3 * random(2, 6, 4, 3) + 5,
            weight,
            bias,
        )

    def test_without_affine(self):
        x = random(2, 4, 3, 3)
        ours = normalization
        torch.testing.assert_close(ours.instance_norm(x), F.instance_norm(x))
        torch.testing.assert_close(ours.group_norm(x, 2), F.group_norm(x, 2))
        torch.testing.assert_close(
            ours.layer_norm(x, None, None), F.layer_norm(x, x.shape[1:])
        )

    def test_the_family_meets_at_its_ends(self):
        x = random(2, 4, 3, 3)
        one, each = normalization.group_norm(x, 1), normalization.group_norm(x, 4)
        torch.testing.assert_close(one, normalization.layer_norm(x, None, None))
        torch.testing.assert_close(each, normalization.instance_norm(x))
        single = normalization.batch_norm(x[:1], None, None, None, None, training=True)
        torch.testing.assert_close(single, normalization.instance_norm(x[:1]))

    @pytest.mark.parametrize(
        "normalize",
        [
            normalization.instance_norm,
            lambda x: normalization.layer_norm(x, None, None),
            lambda x: normalization.group_norm(x, 2),
        ],
    )
    def test_a_large_mean_in_float32(self, normalize):
        x = 1e4 + random(2, 4, 16, 16, dtype=torch.float32)
        torch.testing.assert_close(
            normalize(x), normalize(x.double()).float(), atol=2e-3, rtol=0
        )

    def test_gradchecks(self):
        x, (weight, bias, *_) = random(2, 4, 2, 2), four_vectors(4)
        inputs = [v.requires_grad_() for v in (x, weight, bias)]
        assert gradcheck(normalization.instance_norm, inputs)
        assert gradcheck(lambda x, w, b: normalization.group_norm(x, 2, w, b), inputs)
        full = [x, *(v.requires_grad_() for v in random(2, 4, 2, 2, seed=3))]
        assert gradcheck(normalization.layer_norm, full)

    @pytest.mark.parametrize("groups", [4, 0, -1, 7, 2.0])
    def test_groups_that_do_not_divide(self, groups):
        with pytest.raises(ValueError, match=f"num_groups must be a .*got {groups}"):
            normalization.group_norm(random(2, 6, 3, 3), groups)

    def test_errors(self):
        pixel = random(4, 3, 1, 1)
        with pytest.raises(ValueError, match="each channel of an image, got 1"):
            normalization.instance_norm(pixel)
        with pytest.raises(ValueError, match="each group, got 1"):
            normalization.group_norm(pixel, 3)
        with pytest.raises(ValueError, match="each image, got 1"):
            normalization.layer_norm(pixel[:, :1], None, None)
        with pytest.raises(ValueError, match=r"weight must have shape \(3, 2, 2\)"):
            normalization.layer_norm(random(1, 3, 2, 2), torch.ones(3), None)
        with pytest.raises(ValueError, match=r"bias must have shape \(3,\)"):
            normalization.instance_norm(random(1, 3, 2, 2), None, torch.ones(2))
        with pytest.raises(ValueError, match="eps must be finite and above 0, got -1"):
            normalization.instance_norm(random(1, 3, 2, 2), eps=-1)


class TestModules:
    def test_batch_norm_steps_as_torchs(self):
        ours = normalization.BatchNorm2d(3, momentum=0.2, eps=1e-3).double()
        theirs = nn.BatchNorm2d(3, momentum=0.2, eps=1e-3).double()
        for step in range(5):
            x = 3 * random(4, 3, 5, 5, seed=step) + step
            torch.testing.assert_close(ours(x), theirs(x))
        torch.testing.assert_close(dict(ours.state_dict()), dict(theirs.state_dict()))
        x = random(1, 3, 1, 1)
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))

    def test_batch_norm_loads_torchs_state(self):
        theirs, ours = nn.BatchNorm2d(4), normalization.BatchNorm2d(4)
        nn.init.normal_(theirs.weight)
        theirs(random(3, 4, 5, 5, dtype=torch.float32))
        ours.load_state_dict(theirs.state_dict())
        x = random(3, 4, 5, 5, seed=1, dtype=torch.float32)
        torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))
        nn.BatchNorm2d(4).load_state_dict(ours.state_dict())

    def test_wrong_number_of_channels(self):
        x = random(2, 3, 4, 4, dtype=torch.float32)
        with pytest.raises(ValueError, match=r"must have shape \(3,\), got \(4,\)"):
            normalization.BatchNorm2d(4)(x)


class TestFold:
    @pytest.mark.parametrize("bias", [True, False])
    @pytest.mark.parametrize("groups", [1, 2])
    def test_equals_convolution_and_batch_norm(self, bias, groups):
        conv = nn.Conv2d(4, 6, 3, padding=1, stride=2, bias=bias, groups=groups)
        conv.double()
        vectors = four_vectors(6)
        folded = normalization.fold_batch_norm(conv.weight, conv.bias, *vectors)
        x = random(2, 4, 7, 9)
        weight, shift, mean, var = vectors
        expected = F.batch_norm(conv(x), mean, var, weight, shift)
        got = F.conv2d(x, *folded, stride=2, padding=1, groups=groups)
        torch.testing.assert_close(got, expected)

    def test_keeps_dtype(self):
        vectors = [v.float() for v in four_vectors(2)]
        kernel, bias = normalization.fold_batch_norm(
            random(2, 1, 3, 3).half(), None, *vectors
        )
        assert (kernel.dtype, bias.dtype) == (torch.float16, torch.float16)

    def test_errors(self):
        kernel, (weight, bias, mean, var) = random(3, 2, 1, 1), four_vectors(3)
        fold = normalization.fold_batch_norm
        with pytest.raises(ValueError, match="running_var must not be negative or NaN"):
            fold(kernel, None, weight, bias, mean, -var)
        with pytest.raises(ValueError, match="got nan"):
            fold(kernel, None, weight, bias, mean, var * torch.nan)
        with pytest.raises(ValueError, match=r"kernel must be \(C, D, h, w\)"):
            fold(kernel[0], None, weight, bias, mean, var)
        with pytest.raises(
            ValueError, match=r"bias must have shape \(3,\), got \(2,\)"
        ):
            fold(kernel, random(2), weight, bias, mean, var)
        with pytest.raises(ValueError, match="eps must be finite and above 0"):
            fold(kernel, None, weight, bias, mean, var, eps=0)


class TestStudy:
    def test_networks_side_by_side_know_nothing_of_each_other(self):
        both = study_normalization.side_by_side("BN", [0, 1], 1)
        first = study_normalization.side_by_side("BN", [0], 1)
        x = random(6, 1, 14, 14, dtype=torch.float32)
        together = both(x.expand(-1, 2, -1, -1))
        torch.testing.assert_close(together[:, :1], first(x))
        assert not torch.allclose(together[:, 1], together[:, 0])

    def test_a_row_holds_a_share_for_each_seed(self, monkeypatch):
        monkeypatch.setattr(study_normalization, "TRAIN", 16)
        monkeypatch.setattr(study_normalization, "CHOOSE", 10)
        monkeypatch.setattr(study_normalization, "EPOCHS", {8: 3})
        digits = study_normalization.halved("test")
        few = digits[0][:30], digits[1][:30]
        monkeypatch.setattr(study_normalization, "halved", lambda split: few)
        row = study_normalization.measure("BN", 8, [0, 1])
        assert row["rate"] in study_normalization.RATES[8]
        for key in ("accuracy", "after_two_thirds", "on_training", "alone"):
            assert len(row[key]) == 2
            assert all(0 <= share <= 1 for share in row[key])


# The exercises: right answers written in another way than the module's.


def batch_norm_by_rows(
    x, weight, bias, running_mean, running_var, momentum=0.1, eps=1e-5
):
    rows = x.transpose(0, 1).reshape(x.shape[1], -1)  # (C, B * H * W)
    if rows.shape[1] == 1:
        raise ValueError("one value for each channel")
    var, mean = torch.var_mean(rows, dim=1, correction=0)
    normal = (rows - mean[:, None]) / torch.sqrt(var[:, None] + eps)
    if weight is not None:
        normal = normal * weight[:, None]
    if bias is not None:
        normal = normal + bias[:, None]
    y = normal.reshape(x.shape[1], len(x), *x.shape[2:]).transpose(0, 1)
    new_mean = running_mean + momentum * (rows.mean(1).detach() - running_mean)
    new_var = running_var + momentum * (rows.var(1).detach() - running_var)
    return y, new_mean, new_var


def instance_norm_by_loop(x, weight=None, bias=None, eps=1e-5):
    if x[0, 0].numel() < 2:
        raise ValueError("one pixel")
    planes = []
    for image in x:
        for channel, plane in enumerate(image):
            centered = plane - plane.mean()
            plane = centered / (centered.pow(2).mean() + eps) ** 0.5
            scale = 1 if weight is None else weight[channel]
            shift = 0 if bias is None else bias[channel]
            planes.append(plane * scale + shift)
    return torch.stack(planes).view_as(x)


def fold_by_lines(
    kernel, bias, bn_weight, bn_bias, running_mean, running_var, eps=1e-5
):
    if running_var.min() < 0:
        raise ValueError("variance")
    kernels, biases = [], []
    for c in range(len(kernel)):
        deviation = (running_var[c] + eps) ** 0.5
        kernels.append(bn_weight[c] / deviation * kernel[c])
        start = -running_mean[c] if bias is None else bias[c] - running_mean[c]
        biases.append(bn_weight[c] * start / deviation + bn_bias[c])
    return torch.stack(kernels), torch.stack(biases)


RIGHT = {
    "batch_norm_train": batch_norm_by_rows,
    "instance_norm": instance_norm_by_loop,
    "fold_batch_norm": fold_by_lines,
}


def torchs(x, w, b, mean, var, momentum=0.1, eps=1e-5, **parts):
    """torch's answer for training, with parts replaced."""
    new_mean, new_var = mean.clone(), var.clone()
    y = F.batch_norm(x, new_mean, new_var, w, b, True, momentum, eps)
    return parts.get("y", y), new_mean, parts.get("new_var", new_var)


def biased_estimate(x, w, b, mean, var, momentum=0.1, eps=1e-5):
    new = x.detach().var((0, 2, 3), correction=0)
    new_var = var.lerp(new, momentum)
    return torchs(x, w, b, mean, var, momentum, eps, new_var=new_var)


def from_estimates(x, w, b, mean, var, momentum=0.1, eps=1e-5):
    y = F.batch_norm(x, mean, var, w, b, False, eps=eps)
    return torchs(x, w, b, mean, var, momentum, eps, y=y)


def scaled(y, w, b):
    return y if w is None else y * w[:, None, None] + b[:, None, None]


def over_everything(x, w, b, mean, var, momentum=0.1, eps=1e-5):
    y = scaled((x - x.mean()) / (x.var(correction=0) + eps).sqrt(), w, b)
    return torchs(x, w, b, mean, var, momentum, eps, y=y)


def unbiased_output(x, w, b, mean, var, momentum=0.1, eps=1e-5):
    axes = (0, 2, 3)
    y = (x - x.mean(axes, True)) / (x.var(axes, keepdim=True) + eps).sqrt()
    return torchs(x, w, b, mean, var, momentum, eps, y=scaled(y, w, b))


# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "batch_norm_train": [
        (over_everything, "each channel has its own"),
        (unbiased_output, "unbiased variance"),
        (biased_estimate, "divided by n − 1"),
        (from_estimates, "only kept, for later"),
        (
            lambda x, w, b, m, v, momentum=0.1, eps=1e-5: torchs(
                x, w, b, m, v, 1 - momentum, eps
            ),
            "changed places",
        ),
        (
            lambda x, w, b, m, v, momentum=0.1, eps=1e-5: torchs(
                x,
                w,
                b,
                m,
                v,
                momentum,
                eps,
                y=F.instance_norm(x, None, None, w, b, eps=eps),
            ),
            "instance normalization",
        ),
    ],
    "instance_norm": [
        (
            lambda x, w=None, b=None, eps=1e-5: F.batch_norm(
                x, None, None, w, b, True, eps=eps
            ),
            "batch normalization",
        ),
        (
            lambda x, w=None, b=None, eps=1e-5: F.group_norm(x, 1, w, b, eps),
            "layer normalization",
        ),
        (
            lambda x, w=None, b=None, eps=1e-5: F.instance_norm(x, eps=eps),
            "not used",
        ),
        (
            lambda x, w=None, b=None, eps=1e-5: (
                (x - x.mean((2, 3), True))
                / (x.var((2, 3), keepdim=True) + eps).sqrt()
                * (1 if w is None else w[:, None, None])
                + (0 if b is None else b[:, None, None])
            ),
            "unbiased",
        ),
        (
            lambda x, w=None, b=None, eps=1e-5: F.group_norm(x, x.shape[1], w, b, eps),
            "One value less its own mean",
        ),
    ],
    "fold_batch_norm": [
        (
            lambda k, b, w, s, m, v, eps=1e-5: fold_by_lines(k, None, w, s, m, v, eps),
            "own bias is lost",
        ),
        (
            lambda k, b, w, s, m, v, eps=1e-5: fold_by_lines(
                k, b, torch.ones_like(w), s, m, v, eps
            ),
            "is not used",
        ),
        (
            lambda k, b, w, s, m, v, eps=1e-5: fold_by_lines(k, b, w, s, m, v, 0.0),
            "`eps` is missing",
        ),
        (
            lambda k, b, w, s, m, v, eps=1e-5: fold_by_lines(
                k, b, w, s, m, (v + eps) ** 2, 0.0
            ),
            "divide by the variance",
        ),
        (
            lambda k, b, w, s, m, v, eps=1e-5: (
                k * (w / (v + eps).sqrt()).view(-1, 1, 1, 1),
                (0 if b is None else b) + s - m * w / (v + eps).sqrt(),
            ),
            "added as it is",
        ),
    ],
}


def instance_norm_plainly(x, weight=None, bias=None, *, eps=1e-5):
    mean = x.mean(dim=(2, 3), keepdim=True)
    var = ((x - mean) ** 2).mean(dim=(2, 3), keepdim=True)
    y = (x - mean) / torch.sqrt(var + eps)
    if weight is not None:
        y = y * weight.view(1, -1, 1, 1)
    return y if bias is None else y + bias.view(1, -1, 1, 1)


def batch_norm_plainly(
    x, weight, bias, running_mean, running_var, *, momentum=0.1, eps=1e-5
):
    mean = x.mean(dim=(0, 2, 3))
    var = x.var(dim=(0, 2, 3), unbiased=False)
    y = (x - mean[:, None, None]) / (var[:, None, None] + eps).sqrt()
    if weight is not None:
        y = y * weight[:, None, None] + bias[:, None, None]
    n = x.numel() / x.shape[1]
    new_var = var.detach() * n / (n - 1)
    return (
        y,
        (1 - momentum) * running_mean + momentum * mean.detach(),
        (1 - momentum) * running_var + momentum * new_var,
    )


def fold_plainly(
    kernel, bias, bn_weight, bn_bias, running_mean, running_var, *, eps=1e-5
):
    scale = bn_weight / torch.sqrt(running_var + eps)
    bias = torch.zeros_like(running_mean) if bias is None else bias
    return kernel * scale.view(-1, 1, 1, 1), scale * (bias - running_mean) + bn_bias


def fold_of_torch(
    kernel, bias, bn_weight, bn_bias, running_mean, running_var, *, eps=1e-5
):
    parts = fuse_conv_bn_weights(
        kernel, bias, running_mean, running_var, eps, bn_weight, bn_bias
    )
    return tuple(part.detach() for part in parts)


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "instance_norm": instance_norm_plainly,
    "batch_norm_train": batch_norm_plainly,
    "fold_batch_norm": fold_plainly,
}
LIBRARY = {
    "instance_norm": lambda x, weight=None, bias=None, *, eps=1e-5: F.instance_norm(
        x, weight=weight, bias=bias, eps=eps
    ),
    "batch_norm_train": torchs,
    "fold_batch_norm": fold_of_torch,
}


class TestExercises(ExerciseTests):
    checks, right, wrong = normalization_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
