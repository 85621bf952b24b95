"""Activations: by hand, against torch, far out and at 0, gradients, errors."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from lesson_utils import activations
from lesson_utils.checks import activations as activations_checks
from tests.answers import ExerciseTests

PAIRS = {
    "sigmoid": (activations.sigmoid, torch.sigmoid),
    "tanh": (activations.tanh, torch.tanh),
    "softplus": (activations.softplus, F.softplus),
    "softplus, beta 2.5": (
        lambda x: activations.softplus(x, beta=2.5),
        lambda x: F.softplus(x, beta=2.5),
    ),
    "relu": (activations.relu, F.relu),
    "leaky_relu": (activations.leaky_relu, F.leaky_relu),
    "leaky_relu, 0.3": (
        lambda x: activations.leaky_relu(x, negative_slope=0.3),
        lambda x: F.leaky_relu(x, 0.3),
    ),
    "elu": (activations.elu, F.elu),
    "elu, alpha 1.7": (
        lambda x: activations.elu(x, alpha=1.7),
        lambda x: F.elu(x, 1.7),
    ),
    "selu": (activations.selu, F.selu),
    "gelu": (activations.gelu, F.gelu),
    "gelu, tanh": (
        lambda x: activations.gelu(x, approximate="tanh"),
        lambda x: F.gelu(x, approximate="tanh"),
    ),
    "silu": (activations.silu, F.silu),
    "mish": (activations.mish, F.mish),
}
SMOOTH = ("sigmoid", "tanh", "softplus", "gelu", "gelu, tanh", "silu", "mish")
FAR = (-1e4, -500.0, -89.0, -30.0, -1e-6, 0.0, 1e-6, 30.0, 89.0, 500.0, 1e4)
GATES = {
    "glu": (activations.glu, torch.sigmoid),
    "reglu": (activations.reglu, F.relu),
    "geglu": (activations.geglu, F.gelu),
    "swiglu": (activations.swiglu, F.silu),
}


def random(*shape, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def values_and_slopes(function, x):
    x = x.detach().clone().requires_grad_()
    values = function(x)
    return values.detach(), torch.autograd.grad(values.sum(), x)[0]


class TestElementwise:
    @pytest.mark.parametrize(
        ("function", "x", "value"),
        [
            (activations.sigmoid, math.log(3), 0.75),
            (activations.tanh, math.log(3), 0.8),
            (activations.softplus, 0, math.log(2)),
            (activations.relu, -3, 0),
            (activations.relu, 3, 3),
            (activations.leaky_relu, -3, -0.03),
            (activations.elu, -math.log(2), -0.5),
            (activations.selu, 2, 2 * 1.0507009873554805),
            (activations.gelu, 1, 0.8413447460685429),  # a standard table's Phi(1)
            (activations.silu, math.log(3), 0.75 * math.log(3)),
            (activations.mish, 0, 0),
        ],
    )
    def test_by_hand(self, function, x, value):
        got = function(torch.tensor(x, dtype=torch.float64)).item()
        assert got == pytest.approx(value, rel=1e-12, abs=1e-15)

    @pytest.mark.parametrize("name", PAIRS)
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_matches_torch(self, name, dtype):
        ours, theirs = PAIRS[name]
        x = torch.cat([torch.tensor(FAR, dtype=dtype), 5 * random(1000).to(dtype)])
        # Above its threshold of 20 torch's softplus leaves out up to exp(-20).
        atol = 3e-9 if dtype == torch.float64 else 1e-5
        for got, due in zip(
            values_and_slopes(ours, x), values_and_slopes(theirs, x), strict=True
        ):
            assert got.dtype == dtype
            torch.testing.assert_close(got, due, rtol=1e-5, atol=atol)

    @pytest.mark.parametrize("name", PAIRS)
    def test_finite_values_and_slopes_far_out(self, name):
        values, slopes = values_and_slopes(PAIRS[name][0], torch.tensor(FAR))
        assert values.isfinite().all()
        assert slopes.isfinite().all()
        above = 0.0 if name in ("sigmoid", "tanh") else 1.0
        above = activations.SELU_SCALE if name == "selu" else above
        assert slopes[-1].item() == pytest.approx(above)

    @pytest.mark.parametrize("name", SMOOTH)
    def test_gradients_of_both_orders_at_0_too(self, name):
        x = torch.tensor([0.0, 0.3, -0.7, 2.0], dtype=torch.float64).requires_grad_()
        assert gradcheck(PAIRS[name][0], x)
        assert gradgradcheck(PAIRS[name][0], x)

    @pytest.mark.parametrize("name", PAIRS)
    def test_shape_dtype_and_nan(self, name):
        function = PAIRS[name][0]
        assert function(torch.zeros(0, 3)).shape == (0, 3)
        assert function(torch.tensor(1.0)).shape == ()
        assert function(torch.ones(2, dtype=torch.bfloat16)).dtype == torch.bfloat16
        assert function(torch.tensor([math.nan])).isnan().all()

    @pytest.mark.parametrize("name", ["relu", "elu", "softplus", "sigmoid", "tanh"])
    def test_infinity(self, name):
        ours, theirs = PAIRS[name]
        x = torch.tensor([-math.inf, math.inf])
        assert torch.equal(ours(x), theirs(x))

    @given(st.floats(-60, 60))
    @settings(max_examples=100, deadline=None)
    def test_small_values_keep_their_digits(self, number):
        x = torch.tensor(number, dtype=torch.float32)
        wide = x.double()
        due = torch.logaddexp(wide, torch.zeros_like(wide))
        assert activations.softplus(x).item() == pytest.approx(
            due.item(), rel=1e-5, abs=0
        )
        due = torch.exp(-torch.logaddexp(-wide, torch.zeros_like(wide)))
        assert activations.sigmoid(x).item() == pytest.approx(
            due.item(), rel=1e-5, abs=0
        )
        due = torch.tanh(wide)
        assert activations.tanh(x).item() == pytest.approx(due.item(), rel=1e-5, abs=0)

    def test_the_two_gelus_differ(self):
        x = torch.linspace(-4, 4, 801, dtype=torch.float64)
        gap = activations.gelu(x) - activations.gelu(x, approximate="tanh")
        assert 1e-4 < gap.abs().max() < 1e-3

    def test_selu_keeps_mean_and_variance(self):
        values = activations.selu(random(400_000))
        assert values.mean().abs() < 0.01
        assert values.var().item() == pytest.approx(1, abs=0.02)

    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: activations.softplus(torch.ones(2), beta=0), "beta.*got 0"),
            (lambda: activations.elu(torch.ones(2), alpha=math.nan), "alpha.*nan"),
            (
                lambda: activations.leaky_relu(torch.ones(2), negative_slope=math.inf),
                "negative_slope must be a finite number, got inf",
            ),
            (
                lambda: activations.gelu(torch.ones(2), approximate="erf"),
                "approximate must be .*got 'erf'",
            ),
            *(
                (lambda f=f: f(torch.ones(2).long()), "x must be floating.*int64")
                for f, _ in PAIRS.values()
            ),
        ],
    )
    def test_errors(self, call, message):
        with pytest.raises(ValueError, match=message):
            call()


class TestPrelu:
    @pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5), (2, 3, 4, 4), (0, 3)])
    @pytest.mark.parametrize("slopes", [1, 3])
    def test_matches_torch(self, shape, slopes):
        x, weight = random(*shape), random(slopes, seed=1)
        inputs = [t.clone().requires_grad_() for t in (x, weight)]
        results = [f(*inputs) for f in (activations.prelu, F.prelu)]
        torch.testing.assert_close(*results)
        grads = [torch.autograd.grad(r.square().sum(), inputs) for r in results]
        torch.testing.assert_close(*grads)

    def test_one_dimension(self):
        got = activations.prelu(torch.tensor([-2.0, 3.0]), torch.tensor([0.5]))
        assert got.tolist() == [-1, 3]

    @pytest.mark.parametrize(
        ("x", "weight"),
        [
            (torch.ones(2, 3), torch.ones(2)),
            (torch.ones(3), torch.ones(3)),
            (torch.ones(2, 3), torch.ones(1, 3)),
        ],
    )
    def test_errors(self, x, weight):
        with pytest.raises(ValueError, match="weight must be"):
            activations.prelu(x, weight)


class TestGates:
    def test_by_hand(self):
        x = torch.tensor([[2.0, -3.0, 0.0, 2.0]])
        assert activations.glu(x)[0, 0].item() == 1
        assert activations.reglu(x).tolist() == [[0, -6]]

    @pytest.mark.parametrize("name", GATES)
    @pytest.mark.parametrize("dim", [0, 1, -1])
    def test_matches_torch_on_the_halves(self, name, dim):
        ours, gate = GATES[name]
        x = random(4, 6, 2)
        first, second = x.tensor_split(2, dim)
        torch.testing.assert_close(ours(x, dim), first * gate(second))
        if name == "glu":
            torch.testing.assert_close(ours(x, dim), F.glu(x, dim))

    @pytest.mark.parametrize("name", GATES)
    def test_gradient_and_far_out(self, name):
        assert gradcheck(GATES[name][0], random(3, 4).requires_grad_())
        far = torch.tensor([[1.0, -2.0, 3.0, 1e4, -1e4, 0.0]])
        values, slopes = values_and_slopes(GATES[name][0], far)
        assert values.isfinite().all()
        assert slopes.isfinite().all()

    @pytest.mark.parametrize("name", GATES)
    @pytest.mark.parametrize(
        ("x", "dim", "message"),
        [
            (torch.ones(2, 5), -1, r"even along dim -1.*got 5 in shape \(2, 5\)"),
            (torch.ones(3, 4), 0, "even along dim 0.*got 3"),
            (torch.ones(2, 4), 2, "dim must be one of x.*got 2"),
            (torch.tensor(1.0), -1, "dim must be one of x"),
            (torch.ones(2, 4).int(), -1, "floating point"),
        ],
    )
    def test_errors(self, name, x, dim, message):
        with pytest.raises(ValueError, match=message):
            GATES[name][0](x, dim)


class TestGatedLinear:
    @pytest.mark.parametrize(
        ("gate", "function"),
        [
            ("sigmoid", torch.sigmoid),
            ("relu", F.relu),
            ("gelu", F.gelu),
            ("silu", F.silu),
        ],
    )
    def test_is_the_formula(self, gate, function):
        torch.manual_seed(0)
        layer = activations.GatedLinear(5, 3, gate=gate)
        x = random(2, 7, 5, dtype=torch.float32)
        weight, bias = layer.linear.weight, layer.linear.bias
        passed = x @ weight[:3].T + bias[:3]
        due = passed * function(x @ weight[3:].T + bias[3:])
        torch.testing.assert_close(layer(x), due)
        assert sum(p.numel() for p in layer.parameters()) == 2 * (5 * 3 + 3)

    def test_the_first_branch_is_linear(self):
        layer = activations.GatedLinear(4, 2).double()
        with torch.no_grad():
            layer.linear.weight[2:] = 0  # gates that do not depend on the input
            layer.linear.bias.zero_()
        x, y = random(3, 4), random(3, 4, seed=1)
        torch.testing.assert_close(layer(x - 2 * y), layer(x) - 2 * layer(y))

    def test_gradient(self):
        layer = activations.GatedLinear(4, 2).double()
        assert gradcheck(layer, random(3, 4).requires_grad_())

    @pytest.mark.parametrize(
        ("args", "gate", "message"),
        [
            ((0, 2), "sigmoid", "in_features.*got 0"),
            ((2, 1.5), "sigmoid", "out_features.*got 1.5"),
            ((2, 2), "swish", "gate must be one of sigmoid.*got 'swish'"),
        ],
    )
    def test_errors(self, args, gate, message):
        with pytest.raises(ValueError, match=message):
            activations.GatedLinear(*args, gate=gate)


# The exercises: right answers written in another way than the module's.


def dead_fraction_by_count(outputs):
    if outputs.dim() < 2 or outputs.numel() == 0:
        raise ValueError("no units")
    alive = outputs.ne(0).sum(dim=[d for d in range(outputs.dim()) if d != 1])
    return (alive == 0).sum().item() / outputs.shape[1]


def softplus_by_maximum(x):
    # A tie shares the gradient of maximum in halves, which is the slope of 0.5.
    zero = torch.zeros_like(x)
    small = torch.exp(torch.minimum(x, zero) - torch.maximum(x, zero))
    return torch.maximum(x, zero) + torch.log1p(small)


def glu_by_narrow(x, dim=-1):
    half, rest = divmod(x.shape[dim], 2)
    if rest:
        raise ValueError(f"odd: {x.shape[dim]}")
    gate = x.narrow(dim, half, half)
    return x.narrow(dim, 0, half) * (1 + torch.tanh(gate / 2)) / 2


RIGHT = {
    "dead_fraction": dead_fraction_by_count,
    "softplus": softplus_by_maximum,
    "glu": glu_by_narrow,
}

# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "dead_fraction": [
        (lambda o: (o == 0).float().mean().item(), "share of zeros"),
        (
            lambda o: (
                (o.transpose(0, 1).flatten(1).amax(1) <= 0).double().mean().item()
            ),
            "negative output is not 0",
        ),
        (lambda o: (o == 0).flatten(1).all(1).double().mean().item(), "Dimension 0"),
        (lambda o: (o == 0).all(0).double().mean().item(), "each position"),
        (lambda o: dead_fraction_by_count(o) * o.shape[1], "number of dead"),
        (
            lambda o: (o == 0).transpose(0, 1).flatten(1).any(1).double().mean().item(),
            "not `any`",
        ),
    ],
    "softplus": [
        (lambda x: torch.log(1 + torch.exp(x)), "large part"),
        (lambda x: torch.log1p(torch.exp(x)), "what is never positive"),
        (lambda x: torch.where(x < 30, x.exp().log1p(), x), "goes *into*"),
        (lambda x: F.relu(x) + torch.log1p(torch.exp(-abs(x))), "exactly 0"),
        (
            lambda x: F.relu(x) + torch.log(1 + torch.exp(torch.where(x > 0, -x, x))),
            "digits of small values",
        ),
        (
            lambda x: (
                torch.maximum(x, torch.zeros_like(x))
                + torch.log1p(torch.exp(torch.where(x > 0, -x, x)))
            ),
            "add up to 1",
        ),
        (lambda x: F.relu(x), "ReLU"),
        (lambda x: 1 / (1 + torch.exp(-x)), "slope"),
    ],
    "glu": [
        (
            lambda x, dim=-1: glu_by_narrow(x.roll(x.shape[dim] // 2, dim), dim),
            "places",
        ),
        (
            lambda x, dim=-1: (
                F.relu(x.narrow(dim, 0, x.shape[dim] // 2))
                * x.narrow(dim, x.shape[dim] // 2, x.shape[dim] // 2).sigmoid()
            ),
            "stay linear",
        ),
        (lambda x, dim=-1: glu_by_narrow(x, -1), "whatever `dim`"),
        (lambda x, dim=-1: torch.mul(*x.chunk(2, dim)), "missing its sigmoid"),
        (
            lambda x, dim=-1: (
                x.narrow(dim, 0, x.shape[dim] // 2)
                * x.narrow(dim, x.shape[dim] // 2, x.shape[dim] // 2).sigmoid()
            ),
            "no halves",
        ),
        (
            lambda x, dim=-1: torch.mul(
                x.chunk(2, dim)[0], torch.sigmoid(x.chunk(2, dim)[1])
            ),
            "three and two",
        ),
        (lambda x, dim=-1: F.glu(x, dim), "raise `ValueError` yourself"),
        (
            lambda x, dim=-1: torch.mul(
                x.transpose(dim, -1)[..., ::2],
                x.transpose(dim, -1)[..., 1::2].sigmoid(),
            ).transpose(dim, -1),
            "contiguous",
        ),
    ],
}


def dead_fraction_by_loop(outputs):
    dead = 0
    for unit in range(outputs.shape[1]):
        if not outputs[:, unit].any():
            dead += 1
    return dead / outputs.shape[1]


def glu_by_halves(x, dim=-1):
    half = x.shape[dim] // 2
    first, second = torch.split(x, half, dim)
    return first / (1 + torch.exp(-second))


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "dead_fraction": dead_fraction_by_loop,
    "softplus": lambda x: x.clamp(min=0) + torch.log1p(torch.exp(-x.abs())),
    "glu": glu_by_halves,
}
LIBRARY = {
    "dead_fraction": "torch counts no dead units",
    "softplus": F.softplus,
    "glu": F.glu,
}


class TestExercises(ExerciseTests):
    checks, right, wrong = activations_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
