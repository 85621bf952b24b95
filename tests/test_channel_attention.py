"""Channel attention: by hand, against torchvision and timm, counted, and errors."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from timm.layers.cbam import CbamModule, ChannelAttn, SpatialAttn
from torch import nn
from torch.autograd import gradcheck
from torch.utils.flop_counter import FlopCounterMode
from torchvision import ops

from lesson_utils import channel_attention as ca
from lesson_utils.checks import channel_attention as channel_attention_checks
from lesson_utils.common.studies import read_study
from tests.answers import ExerciseTests


def normal(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def as_kernels(state, names):
    """Weights of linear layers by the names, and in the shape, of 1 x 1 kernels."""
    return {
        new: value[:, :, None, None] if value.dim() == 2 else value
        for new, value in zip(names, state.values(), strict=True)
    }


class TestSqueezeExcitation:
    def test_by_hand(self):
        features = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]])  # means 2 and 2
        weight1, bias1 = torch.tensor([[1.0, 0.5]]), torch.tensor([-1.0])  # hidden 2
        weight2, bias2 = torch.tensor([[0.5], [0.0]]), torch.tensor([0.0, 100.0])
        found = ca.squeeze_excite(features, weight1, bias1, weight2, bias2)
        gates = torch.tensor([1 / (1 + 2.718281828**-1), 1.0])
        torch.testing.assert_close(found, features * gates[:, None, None])

    @given(st.integers(1, 40), st.integers(1, 8), st.integers(0, 2**20))
    @settings(max_examples=25, deadline=None)
    def test_is_torchvisions(self, channels, reduction, seed):
        reduction = min(channels, reduction)
        torch.manual_seed(seed)
        ours = ca.SqueezeExcitation(channels, reduction=reduction)
        theirs = ops.SqueezeExcitation(channels, channels // reduction)
        theirs.load_state_dict(as_kernels(ours.state_dict(), theirs.state_dict()))
        features = normal(2, channels, 5, 4, seed=seed, dtype=torch.float32)
        torch.testing.assert_close(ours(features), theirs(features))
        layers = ours.fc1.weight, ours.fc1.bias, ours.fc2.weight, ours.fc2.bias
        torch.testing.assert_close(
            ca.squeeze_excite(features, *layers), theirs(features)
        )

    def test_gradients(self):
        features = normal(2, 4, 3, 3).requires_grad_()
        layers = normal(2, 4, seed=1), normal(2), normal(4, 2, seed=2), normal(4)
        layers = [each.requires_grad_() for each in layers]
        assert gradcheck(ca.squeeze_excite, (features, *layers))

    @pytest.mark.parametrize(("channels", "reduction"), [(64, 16), (96, 4), (10, 3)])
    def test_cost_is_the_formulas(self, channels, reduction):
        gate = ca.SqueezeExcitation(channels, reduction=reduction)
        squeezed = channels // reduction
        size = sum(parameter.numel() for parameter in gate.parameters())
        assert size == 2 * channels * squeezed + squeezed + channels
        with FlopCounterMode(display=False) as counter:
            gate(torch.zeros(1, channels, 7, 7))
        assert counter.get_total_flops() == 2 * 2 * channels * squeezed

    def test_gates_follow_means_alone(self):
        gate = ca.SqueezeExcitation(6, reduction=2)
        features = normal(1, 6, 4, 4, dtype=torch.float32)
        mixed = features.flatten(2)[:, :, torch.randperm(16)].view_as(features)
        torch.testing.assert_close(gate.gates(features), gate.gates(mixed))

    def test_no_picture(self):
        for gate in (ca.SqueezeExcitation(4, reduction=2), ca.CBAM(4, reduction=2)):
            assert gate(torch.zeros(0, 4, 3, 3)).shape == (0, 4, 3, 3)

    @pytest.mark.parametrize("kind", [ca.SqueezeExcitation, ca.ChannelAttention])
    def test_errors(self, kind):
        with pytest.raises(
            ValueError, match="reduction must be .* from 1 to 8, got 16"
        ):
            kind(8)
        with pytest.raises(ValueError, match="channels must be a whole number"):
            kind(0)
        gate = kind(8, reduction=4)
        with pytest.raises(ValueError, match="features must have a place"):
            gate(torch.zeros(1, 8, 0, 3))
        with pytest.raises(ValueError, match=r"features must be \(B, C, H, W\)"):
            gate(torch.zeros(8, 3, 3))

    def test_errors_of_the_function(self):
        layers = normal(2, 4), normal(2), normal(4, 2), normal(4)
        for features, words in (
            (normal(1, 5, 2, 2), r"weight1 must be \(S, 5\)"),
            (normal(4, 2, 2), "features must be"),
            (normal(1, 4, 2, 0), "must have a place"),
        ):
            with pytest.raises(ValueError, match=words):
                ca.squeeze_excite(features, *layers)
        with pytest.raises(ValueError, match=r"weight2 must be \(4, 2\)"):
            ca.squeeze_excite(normal(1, 4, 2, 2), *layers[:2], layers[2].T, layers[3])


class TestCBAM:
    def test_channels_are_timms(self):
        torch.manual_seed(0)
        ours = ca.ChannelAttention(32, reduction=4)
        theirs = ChannelAttn(32, rd_ratio=1 / 4)
        theirs.load_state_dict(as_kernels(ours.state_dict(), theirs.state_dict()))
        features = normal(3, 32, 6, 5, dtype=torch.float32)
        torch.testing.assert_close(ours(features), theirs(features))

    @pytest.mark.parametrize("size", [1, 3, 7])
    def test_places_are_timms_with_its_normalization_passed(self, size):
        torch.manual_seed(0)
        ours, theirs = ca.SpatialAttention(kernel_size=size), SpatialAttn(size)
        theirs.conv.bn = nn.Identity()
        theirs.conv.conv.weight = ours.conv.weight
        features = normal(3, 8, 6, 9, dtype=torch.float32)
        torch.testing.assert_close(ours(features), theirs(features))
        found = ca.spatial_attention(features, ours.conv.weight)
        torch.testing.assert_close(found, theirs(features))

    def test_is_timms(self):
        torch.manual_seed(0)
        ours, theirs = ca.CBAM(32), CbamModule(32)
        theirs.spatial.conv.bn = nn.Identity()
        theirs.load_state_dict(as_kernels(ours.state_dict(), theirs.state_dict()))
        features = normal(2, 32, 9, 9, dtype=torch.float32)
        torch.testing.assert_close(ours(features), theirs(features))

    def test_timms_normalization_matters(self):
        """In training it standardizes over the batch: equal weights, other gates."""
        ours, theirs = ca.SpatialAttention(), SpatialAttn()
        theirs.conv.conv.weight = ours.conv.weight
        features = normal(3, 8, 6, 9, dtype=torch.float32)
        assert (ours(features) - theirs(features)).abs().max() > 0.05

    def test_by_hand(self):
        features = torch.tensor([[[[4.0, 1.0]], [[2.0, -3.0]]]])  # means 3, -1
        weight = torch.tensor([1.0, -0.75]).view(1, 2, 1, 1)  # maxima 4, 1
        found = ca.spatial_attention(features, weight)
        gates = torch.tensor([0.0, -1.75]).sigmoid()
        torch.testing.assert_close(found, features * gates)

    def test_gradients(self):
        features = normal(2, 4, 5, 5).requires_grad_()
        weight = normal(1, 2, 3, 3, seed=1).requires_grad_()
        assert gradcheck(ca.spatial_attention, (features, weight))
        gate = ca.CBAM(4, reduction=2, kernel_size=3).double()
        assert gradcheck(gate, (features,))

    def test_of_equal_channels_one_gets_the_gradient(self):
        features = torch.ones(1, 3, 1, 1, requires_grad=True)
        weight = torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)
        gates = ca.spatial_attention(features, weight) / features.detach()
        gates[0, 0, 0, 0].backward()
        assert (features.grad.flatten() > 0.2).sum() == 1

    def test_sizes(self):
        size = sum(parameter.numel() for parameter in ca.CBAM(64).parameters())
        assert size == 2 * 64 * 4 + 2 * 7 * 7
        with FlopCounterMode(display=False) as counter:
            ca.CBAM(64)(torch.zeros(1, 64, 10, 12))
        assert counter.get_total_flops() == 2 * (2 * 2 * 64 * 4 + 98 * 10 * 12)

    def test_errors(self):
        for size in (2, 0, 7.0):
            with pytest.raises(ValueError, match="kernel_size must be"):
                ca.SpatialAttention(kernel_size=size)
        with pytest.raises(ValueError, match="reduction must be"):
            ca.CBAM(8)
        kernel = torch.zeros(1, 2, 3, 3)
        for features, weight, words in (
            (torch.zeros(1, 0, 2, 2), kernel, "must have a channel"),
            (torch.zeros(3, 2, 2), kernel, "features must be"),
            (torch.zeros(1, 3, 2, 2), kernel[..., :2, :2], "must be odd"),
            (torch.zeros(1, 3, 2, 2), kernel[:, :1], "weight must be"),
            (torch.zeros(1, 3, 2, 2), kernel.double(), "features' dtype"),
        ):
            with pytest.raises(ValueError, match=words):
                ca.spatial_attention(features, weight)


class TestClassActivationMap:
    def test_by_hand(self):
        features = torch.tensor([[[[1.0, 2.0]], [[0.0, 3.0]]]])
        weight = torch.tensor([[1.0, 0.0], [2.0, -1.0]])
        found = ca.class_activation_map(features, weight, 1)
        assert found.tolist() == [[[2.0, 1.0]]]

    @given(st.integers(1, 5), st.integers(1, 6), st.integers(0, 2**20))
    @settings(max_examples=25, deadline=None)
    def test_its_mean_is_the_logit(self, number, channels, seed):
        features, head = (
            normal(number, channels, 3, 4, seed=seed),
            nn.Linear(channels, 7),
        )
        head = head.double()
        logits = head(features.mean((2, 3)))
        labels = torch.randint(7, (number,))
        maps = ca.class_activation_map(features, head.weight, labels)
        expected = logits[torch.arange(number), labels]
        torch.testing.assert_close(maps.mean((1, 2)) + head.bias[labels], expected)

    def test_is_the_classifier_at_each_place(self):
        features, weight = normal(2, 5, 3, 4), normal(7, 5, seed=1)
        everywhere = F.conv2d(features, weight[:, :, None, None])
        for label in range(7):
            found = ca.class_activation_map(features, weight, label)
            torch.testing.assert_close(found, everywhere[:, label])
            same = ca.class_activation_map(features, weight, torch.tensor(label))
            assert torch.equal(found, same)

    def test_gradients(self):
        inputs = normal(2, 3, 2, 2).requires_grad_(), normal(4, 3).requires_grad_()
        assert gradcheck(lambda f, w: ca.class_activation_map(f, w, 2), inputs)

    def test_errors(self):
        features, weight = normal(2, 3, 2, 2), normal(4, 3)
        for label in (-1, 4, 1.0, True, torch.tensor(1.5), torch.tensor([0, 4])):
            with pytest.raises(ValueError, match="label must"):
                ca.class_activation_map(features, weight, label)
        with pytest.raises(ValueError, match=r"label must be \(2,\)"):
            ca.class_activation_map(features, weight, torch.tensor([0, 1, 2]))
        with pytest.raises(ValueError, match=r"weight must be \(K, 3\)"):
            ca.class_activation_map(features, weight.T, 0)
        with pytest.raises(ValueError, match=r"features must be \(B, C, H, W\)"):
            ca.class_activation_map(features[0], weight, 0)
        assert ca.class_activation_map(features[:0], weight, 0).shape == (0, 2, 2)


class TestStudy:
    def test_is_of_these_networks(self):
        from studies.channel_attention import KINDS, make_network, size_of

        study = read_study("channel_attention")
        keys = {(row["kind"], row["seed"]) for row in study["rows"]}
        assert keys == set(itertools.product(KINDS, study["seeds"]))
        sizes = {row["kind"]: row["weights"] for row in study["rows"]}
        for kind in KINDS:
            assert size_of(make_network(kind)) == sizes[kind]
        gated = [sizes[kind] for kind in KINDS if kind != "none"]
        assert max(gated) <= 1.005 * min(gated)

    def test_gates_that_are_given(self):
        from studies.channel_attention import FixedGates, make_network

        torch.manual_seed(0)
        network, images = make_network("SE").eval(), torch.rand(2, 3, 32, 32)
        open_gates = make_network("none").eval()
        open_gates.head = network.head
        network.gates = nn.ModuleList(FixedGates(torch.ones(1, 1)) for _ in range(4))
        with torch.no_grad():
            torch.testing.assert_close(network(images), open_gates(images))


# Exercises --------------------------------------------------------------------------


def by_kernels(features, weight1, bias1, weight2, bias2):
    """With 1 x 1 convolutions, where the solution has linear layers."""
    if features.dim() != 4 or not features.shape[2] * features.shape[3]:
        raise ValueError("(B, C, H, W), not without a place")
    squeezed = features.mean((2, 3), keepdim=True)
    hidden = F.conv2d(squeezed, weight1[:, :, None, None], bias1).clamp(min=0)
    return F.conv2d(hidden, weight2[:, :, None, None], bias2).sigmoid() * features


def torchvisions(features, weight1, bias1, weight2, bias2):
    layer = ops.SqueezeExcitation(weight1.shape[1], weight1.shape[0])
    kernels = weight1[:, :, None, None], bias1, weight2[:, :, None, None], bias2
    names = dict(layer.named_parameters())
    given_ = dict(zip(names, kernels, strict=True))
    return torch.func.functional_call(layer, given_, (features,))


def by_unfolding(features, weight):
    if not features.shape[1] or weight.shape[-1] % 2 == 0:
        raise ValueError("no channel, or an even kernel")
    pooled = torch.cat(
        [features.mean(1, keepdim=True), features.max(1, keepdim=True)[0]], 1
    )
    if not len(features):
        return features.clone()
    size = weight.shape[-1]
    columns = F.unfold(pooled, size, padding=size // 2)  # (B, 2 K², H W)
    gates = (weight.flatten() @ columns).sigmoid().view(-1, 1, *features.shape[2:])
    return gates * features


def plain_spatial(features, weight):
    pair = features.mean(1, keepdim=True), features.amax(1, keepdim=True)
    logits = F.conv2d(torch.cat(pair, 1), weight, padding=weight.shape[-1] // 2)
    return features * logits.sigmoid()


def timms_places(features, weight):
    gate = SpatialAttn(weight.shape[-1])
    gate.conv.bn = nn.Identity()
    return torch.func.functional_call(gate, {"conv.conv.weight": weight}, (features,))


def by_convolution(features, weight, label):
    labels = torch.as_tensor(label)
    if labels.min() < 0:
        raise ValueError("a label below 0")
    maps = F.conv2d(features, weight[:, :, None, None])
    labels = labels if labels.dim() else labels.expand(len(features))
    if len(labels) != len(features):
        raise ValueError("one label each")
    return maps[torch.arange(len(features)), labels]


def plain_map(features, weight, label):
    return (features * weight[label].view(-1, features.shape[1], 1, 1)).sum(1)


def by_one_by_one(features, weight, label):
    maps = F.conv2d(features, weight[:, :, None, None])
    if isinstance(label, int):
        return maps[:, label]
    return torch.stack([m[k] for m, k in zip(maps, label, strict=True)])


RIGHT = {
    "squeeze_excite": by_kernels,
    "spatial_attention": by_unfolding,
    "class_activation_map": by_convolution,
}
PLAIN = {
    "squeeze_excite": lambda x, a, b, c, d: (
        x * torch.sigmoid(F.relu(x.mean((2, 3)) @ a.T + b) @ c.T + d)[..., None, None]
    ),
    "spatial_attention": plain_spatial,
    "class_activation_map": plain_map,
}
LIBRARY = {
    "squeeze_excite": torchvisions,
    "spatial_attention": timms_places,
    "class_activation_map": by_one_by_one,
}


def squeeze(
    x, weight1, bias1, weight2, bias2, *, pool=None, between=F.relu, gate=torch.sigmoid
):
    """The gates, (B, C), with one of the steps done otherwise."""
    means = x.mean((2, 3)) if pool is None else pool(x)
    return gate(F.linear(between(F.linear(means, weight1, bias1)), weight2, bias2))


def changed(**steps):
    """Features times such gates."""
    return lambda x, *layers: x * squeeze(x, *layers, **steps)[..., None, None]


def unturned(x, weight1, bias1, weight2, bias2):
    if x.dim() != 4:
        raise ValueError("(B, C, H, W)")
    hidden = (torch.mm(x.flatten(2).mean(2), weight1) + bias1).clamp(min=0)
    return x * (torch.mm(hidden, weight2) + bias2).sigmoid()[:, :, None, None]


def of_cbam(x, weight1, bias1, weight2, bias2):
    pooled = torch.stack([x.mean((2, 3)), x.amax((2, 3))])  # (2, B, C)
    hidden = F.linear(pooled, weight1, bias1).relu()
    gates = F.linear(hidden, weight2, bias2).sum(0).sigmoid()
    return torch.einsum("bchw,bc->bchw", x, gates)


WRONG = {
    "squeeze_excite": [
        (changed(between=nn.Identity()), "stands a ReLU"),
        (changed(between=torch.sigmoid), "activation is a ReLU"),
        (changed(gate=lambda v: v.softmax(1)), "compete"),
        (changed(gate=nn.Identity()), "sigmoid behind the second"),
        (changed(gate=F.relu), "come from a ReLU"),
        (changed(pool=lambda x: x.amax((2, 3))), "not the largest"),
        (changed(pool=lambda x: x.sum((2, 3))), "a sum grows"),
        (changed(pool=lambda x: x.mean((0, 2, 3))[None]), "mixed over the batch"),
        (changed(pool=lambda x: x.mean(2)[..., 0]), "leaves places out"),
        (changed(gate=torch.tanh), "come from a tanh"),
        (changed(gate=lambda v: torch.sigmoid(-v)), "1 minus the gate"),
        (changed(gate=lambda v: v.sigmoid().detach()), "its gradient is not"),
        (squeeze, "These are the gates"),
        (lambda x, *layers: squeeze(x, *layers)[..., None, None], "are the gates"),
        (lambda x, *layers: x * squeeze(x, *layers), "lined up from the right"),
        (lambda x, *layers: x * squeeze(x, *layers)[:, None, None], "from the right"),
        (lambda x, *layers: x.mean((2, 3)) * squeeze(x, *layers), "multiply the means"),
        (lambda x, *layers: x + changed()(x, *layers), "once more"),
        (lambda x, a, b, c, d: changed()(x, a, 0 * b, c, d), "The first layer's bias"),
        (lambda x, a, b, c, d: changed()(x, a, b, c, 0 * d), "The second layer's bias"),
        (lambda x, a, b, c, d: changed()(x, a, 0 * b, c, 0 * d), "two biases"),
        (unturned, "needs them turned"),
        (of_cbam, "CBAM's gate"),
    ],
    "spatial_attention": [
        (
            lambda x, w: x * _conv([x.max(1)[0], x.mean(1)], w).sigmoid(),
            "changed places",
        ),
        (
            lambda x, w: x * _conv([x.mean(1), x.max(1)[0]], w),
            "behind the conv",
        ),
        (lambda x, w: _conv([x.mean(1), x.max(1)[0]], w).sigmoid(), "are the gates"),
        (
            lambda x, w: x + x * _conv([x.mean(1), x.max(1)[0]], w).sigmoid(),
            "once more",
        ),
        (lambda x, w: x * _conv([x.mean(1), x.min(1)[0]], w).sigmoid(), "smallest"),
        (lambda x, w: x * _conv([x.sum(1), x.max(1)[0]], w).sigmoid(), "the sum over"),
        (lambda x, w: x * place_gates(x, w)[:, 0], "lined up from the right"),
        (lambda x, w: place_gates(x, w)[:, 0], "are the gates"),
        (lambda x, w: place_gates(x, w).expand_as(x), "are the gates"),
        (lambda x, w: x * place_gates(x, w, padding=0), "does not keep the size"),
        (lambda x, w: x * place_gates(x, w, padding=3), "does not keep the size"),
        (lambda x, w: x * place_gates(x, w, padding=1), "does not keep the size"),
        (lambda x, w: x * place_gates(x, w, mode="replicate"), "of zeros"),
        (lambda x, w: x * place_gates(x, w).detach(), "its gradient is not"),
        (lambda x, w: x - x * place_gates(x, w), "1 minus the gate"),
        (lambda x, w: x * place_gates(x, w, gate=F.relu), "come from a ReLU"),
        (
            lambda x, w: x * place_gates(x, w, gate=lambda v: v.softmax(1)),
            "axis of size 1",
        ),
        (
            lambda x, w: x * _conv([x.mean(1), x.max(1)[1].to(x)], w).sigmoid(),
            "values and indices",
        ),
        (
            lambda x, w: torch.func.functional_call(
                SpatialAttn(w.shape[-1]).double(), {"conv.conv.weight": w}, (x,)
            ),
            "batch normalization",
        ),
    ],
    "class_activation_map": [
        (lambda f, w, k: plain_map(f, w, k).relu(), "below 0"),
        (lambda f, w, k: plain_map(f, w, k).mean((1, 2)), "that is the logit"),
        (lambda f, w, k: plain_map(f, w, k) / f.shape[1], "are averaged"),
        (lambda f, w, k: f.sum(1), "without their weights"),
        (lambda f, w, k: plain_map(f, w.abs(), k), "signs are lost"),
        (
            lambda f, w, k: f * w[k].view(-1, f.shape[1], 1, 1),
            "not yet summed",
        ),
        (lambda f, w, k: plain_map(f, w, k) / f[0, 0].numel(), "number of places"),
        (lambda f, w, k: plain_map(f, w, k).sigmoid(), "A sigmoid is taken"),
        (lambda f, w, k: over_largest(plain_map(f, w, k)), "is scaled"),
        (lambda f, w, k: over_largest(plain_map(f, w, k).clamp(min=0)), "is scaled"),
        (lambda f, w, k: plain_map(f, w.T, k), "take a column"),
        (lambda f, w, k: (f * w[:, k].view(-1, 1, 1)).sum(1), "take a column"),
        (lambda f, w, k: (f * w[k]).sum(1), "have to meet the channels"),
        (lambda f, w, k: torch.einsum("bchw,c->bhw", f, w[k]), "Right for one label"),
        (lambda f, w, k: (f * w[k].view(-1, 1, 1)).sum(1), "Right for one label"),
        (lambda f, w, k: F.conv2d(f, w[:, :, None, None]), "all K classes"),
    ],
}


def over_largest(maps):
    return maps / maps.flatten(1).max(1).values[:, None, None]


def place_gates(x, weight, *, padding=None, mode="constant", gate=torch.sigmoid):
    if weight.shape[-1] % 2 == 0:
        raise ValueError("an even kernel")
    half = weight.shape[-1] // 2 if padding is None else padding
    pair = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], 1)
    return gate(F.conv2d(F.pad(pair, (half,) * 4, mode=mode), weight))


def _conv(pair, weight):
    return F.conv2d(torch.stack(pair, 1), weight, padding=weight.shape[-1] // 2)


class TestExercises(ExerciseTests):
    checks, right, wrong = channel_attention_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
