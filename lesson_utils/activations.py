"""Activations: the bends between linear layers, their slopes, and gates.

The module of the chapter `book/foundations/activations.ipynb`. All functions work
element by element on floating-point tensors and keep shape, dtype and device. They
are made of tensor operations that autograd differentiates, so written that values and
gradients stay right where an exponential overflows or underflows. NaN stays NaN.
"""

import math

import torch
from torch import Tensor, nn

from lesson_utils.common.require import (
    require_choice,
    require_finite_number,
    require_floating,
    require_positive,
    require_whole,
)

# The two constants with which mean 0 and variance 1 map to themselves.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


def sigmoid(x: Tensor) -> Tensor:
    """The logistic function 1 / (1 + exp(-x)), without an overflow on either side.

    Args:
        x: any shape, floating point.

    Returns:
        The shape of `x`, in [0, 1].

    Raises:
        ValueError: `x` is not floating point.

    Source: the definition.
    """
    require_floating("x", x)
    negative = x < 0
    # -|x|, but with a slope at 0, where the derivative of abs is 0.
    z = torch.where(negative, x, -x).exp()
    return torch.where(negative, z, 1) / (1 + z)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent, to full precision near 0 as well.

    Args:
        x: any shape, floating point.

    Returns:
        The shape of `x`, in [-1, 1].

    Raises:
        ValueError: `x` is not floating point.

    Source: the definition.
    """
    require_floating("x", x)
    positive = x > 0
    twice = torch.where(positive, -2 * x, 2 * x)  # -2 |x|, with a slope at 0
    # Near 0 the value needs expm1; far out the slope needs exp, since that of expm1 is
    # computed as the value plus 1, of which nothing is left where the value is -1.
    far = twice < -1
    z = twice.masked_fill(far, 0).expm1()  # in (-1, 0]
    e = twice.masked_fill(~far, -1).exp()  # in [0, 0.37)
    ratio = torch.where(far, (e - 1) / (e + 1), z / (z + 2))
    return torch.where(positive, -ratio, ratio)


def softplus(x: Tensor, *, beta: float = 1.0) -> Tensor:
    """The smooth ReLU log(1 + exp(beta * x)) / beta.

    Args:
        x: any shape, floating point.
        beta: how sharp the bend is, > 0.

    Returns:
        The shape of `x`, not negative.

    Raises:
        ValueError: `x` is not floating point, or `beta` is not positive and finite.

    Source: Dugas et al., Incorporating Second-Order Functional Knowledge for Better
        Option Pricing, NIPS 2000.
    """
    require_floating("x", x)
    require_positive("beta", beta)
    x = beta * x
    positive = x > 0
    rest = torch.where(positive, -x, x).exp().log1p()
    return (torch.where(positive, x, 0) + rest) / beta


def relu(x: Tensor) -> Tensor:
    """Zero below zero, the identity above; the slope at 0 is taken to be 0.

    Args:
        x: any shape, floating point.

    Returns:
        The shape of `x`, not negative.

    Raises:
        ValueError: `x` is not floating point.

    Source: Nair and Hinton, Rectified Linear Units Improve Restricted Boltzmann
        Machines, ICML 2010.
    """
    return leaky_relu(x, negative_slope=0.0)


def leaky_relu(x: Tensor, *, negative_slope: float = 0.01) -> Tensor:
    """A small slope below zero, the identity above.

    Args:
        x: any shape, floating point.
        negative_slope: the slope for x <= 0.

    Returns:
        The shape of `x`.

    Raises:
        ValueError: `x` is not floating point, or `negative_slope` is not finite.

    Source: Maas et al., Rectifier Nonlinearities Improve Neural Network Acoustic
        Models, ICML workshop 2013.
    """
    require_floating("x", x)
    require_finite_number("negative_slope", negative_slope)
    if negative_slope == 0:
        return torch.where(x <= 0, 0, x)  # not 0 * x, which is NaN at minus infinity
    return torch.where(x <= 0, negative_slope * x, x)


def prelu(x: Tensor, weight: Tensor) -> Tensor:
    """Leaky ReLU whose slopes below zero are parameters.

    Args:
        x: (N, C, ...), or any shape if there is one slope; floating point.
        weight: (C,) or (1,), the slopes for x <= 0.

    Returns:
        The shape of `x`.

    Raises:
        ValueError: `x` is not floating point, or `weight` is neither (1,) nor (C,).

    Source: He et al., Delving Deep into Rectifiers, ICCV 2015, equation 1.
    """
    require_floating("x", x)
    channels = x.shape[1] if x.dim() > 1 else 1
    if weight.shape not in {(1,), (channels,)}:
        raise ValueError(
            f"weight must be (1,) or one slope for each of {channels} channels, got "
            f"{tuple(weight.shape)} for x of shape {tuple(x.shape)}"
        )
    slopes = weight.reshape(-1, *[1] * (x.dim() - 2))  # (C, 1, ..., 1)
    return torch.where(x <= 0, slopes * x, x)


def elu(x: Tensor, *, alpha: float = 1.0) -> Tensor:
    """The identity above zero, alpha * (exp(x) - 1) below.

    Args:
        x: any shape, floating point.
        alpha: what is approached far below zero, with a minus sign.

    Returns:
        The shape of `x`, at least -alpha.

    Raises:
        ValueError: `x` is not floating point, or `alpha` is not finite.

    Source: Clevert et al., Fast and Accurate Deep Network Learning by Exponential
        Linear Units, ICLR 2016.
    """
    require_floating("x", x)
    require_finite_number("alpha", alpha)
    # What is not chosen must not overflow: 0 times infinity would be its gradient.
    below = torch.where(x > 0, 0, x)
    # Near 0 the value needs expm1; far below it the slope needs exp, since that of
    # expm1 is computed as the value plus 1, which has no digits left.
    far = below < -1
    near = below.masked_fill(far, 0).expm1()
    below = torch.where(far, below.exp() - 1, near)
    return torch.where(x > 0, x, alpha * below)


def selu(x: Tensor) -> Tensor:
    """ELU with the two constants that keep mean 0 and variance 1.

    Args:
        x: any shape, floating point.

    Returns:
        The shape of `x`, at least -SELU_SCALE * SELU_ALPHA.

    Raises:
        ValueError: `x` is not floating point.

    Source: Klambauer et al., Self-Normalizing Neural Networks, NeurIPS 2017.
    """
    return SELU_SCALE * elu(x, alpha=SELU_ALPHA)


def gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    """The input times the normal distribution function of it.

    Args:
        x: any shape, floating point.
        approximate: "none" for the exact function, "tanh" for the approximation that
            some published weights were trained with. They differ in the fourth digit
            after the point.

    Returns:
        The shape of `x`, at least -0.17.

    Raises:
        ValueError: `x` is not floating point, or `approximate` is another word.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016, section 2.
    """
    require_floating("x", x)
    if approximate == "none":
        # erfc(-x), not 1 + erf(x), which has no digits left far below zero.
        return x * torch.special.erfc(-x * math.sqrt(0.5)) / 2
    if approximate == "tanh":
        cubic = x + 0.044715 * x**3
        return x * sigmoid(2 * math.sqrt(2 / math.pi) * cubic)  # (1 + tanh(u)) / 2
    raise ValueError(f'approximate must be "none" or "tanh", got {approximate!r}')


def silu(x: Tensor) -> Tensor:
    """The input times its own sigmoid; also called Swish.

    Args:
        x: any shape, floating point.

    Returns:
        The shape of `x`, at least -0.28.

    Raises:
        ValueError: `x` is not floating point.

    Source: Elfwing et al., Sigmoid-Weighted Linear Units for Neural Network Function
        Approximation in Reinforcement Learning, Neural Networks 2018.
    """
    return x * sigmoid(x)


def mish(x: Tensor) -> Tensor:
    """The input times the tanh of its softplus.

    Args:
        x: any shape, floating point.

    Returns:
        The shape of `x`, at least -0.31.

    Raises:
        ValueError: `x` is not floating point.

    Source: Misra, Mish: A Self Regularized Non-Monotonic Activation Function, BMVC
        2020.
    """
    return x * tanh(softplus(x))


def glu(x: Tensor, dim: int = -1) -> Tensor:
    """The gated linear unit: the first half of x times the sigmoid of the second.

    Args:
        x: (..., 2 * D, ...), floating point.
        dim: the dimension that holds 2 * D values.

    Returns:
        (..., D, ...).

    Raises:
        ValueError: `x` is not floating point, has no dimension `dim`, or an odd one.

    Source: Dauphin et al., Language Modeling with Gated Convolutional Networks, ICML
        2017, equation 1.
    """
    linear, gate = _halves(x, dim)
    return linear * sigmoid(gate)


def reglu(x: Tensor, dim: int = -1) -> Tensor:
    """GLU with a ReLU for a gate: the first half of x times the ReLU of the second.

    Args:
        x: (..., 2 * D, ...), floating point.
        dim: the dimension that holds 2 * D values.

    Returns:
        (..., D, ...).

    Raises:
        ValueError: as `glu`.

    Source: Shazeer, GLU Variants Improve Transformer, 2020, section 2.
    """
    linear, gate = _halves(x, dim)
    return linear * relu(gate)


def geglu(x: Tensor, dim: int = -1) -> Tensor:
    """GLU with an exact GELU for a gate.

    Args:
        x: (..., 2 * D, ...), floating point.
        dim: the dimension that holds 2 * D values.

    Returns:
        (..., D, ...).

    Raises:
        ValueError: as `glu`.

    Source: Shazeer, GLU Variants Improve Transformer, 2020, section 2.
    """
    linear, gate = _halves(x, dim)
    return linear * gelu(gate)


def swiglu(x: Tensor, dim: int = -1) -> Tensor:
    """GLU with a SiLU (Swish) for a gate.

    Args:
        x: (..., 2 * D, ...), floating point.
        dim: the dimension that holds 2 * D values.

    Returns:
        (..., D, ...).

    Raises:
        ValueError: as `glu`.

    Source: Shazeer, GLU Variants Improve Transformer, 2020, section 2.
    """
    linear, gate = _halves(x, dim)
    return linear * silu(gate)


class GatedLinear(nn.Module):
    """A linear layer and a gate beside it: f(X) = (XW + b) ⊗ gate(XV + c).

    W and V lie side by side in the weight of one `nn.Linear`, and so do b and c.

    Args:
        in_features: the length of each input vector.
        out_features: the length of each output vector, D.
        gate: "sigmoid" (GLU), "relu" (ReGLU), "gelu" (GEGLU) or "silu" (SwiGLU).

    Raises:
        ValueError: a length is not a whole number >= 1, or no gate has this name.

    Source: Dauphin et al., Language Modeling with Gated Convolutional Networks, ICML
        2017, equation 1; Shazeer, GLU Variants Improve Transformer, 2020.
    """

    def __init__(self, in_features: int, out_features: int, *, gate: str = "sigmoid"):
        super().__init__()
        require_whole("in_features", in_features)
        require_whole("out_features", out_features)
        gates = {"sigmoid": glu, "relu": reglu, "gelu": geglu, "silu": swiglu}
        require_choice("gate", gate, gates)
        self.linear = nn.Linear(in_features, 2 * out_features)
        self.gate = gates[gate]

    def forward(self, x: Tensor) -> Tensor:
        """Apply the layer.

        Args:
            x: (..., in_features), floating point.

        Returns:
            (..., out_features).
        """
        return self.gate(self.linear(x))


def _halves(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    require_floating("x", x)
    if not -x.dim() <= dim < x.dim():
        raise ValueError(f"dim must be one of x, of shape {tuple(x.shape)}, got {dim}")
    if x.shape[dim] % 2:
        raise ValueError(
            f"x must be even along dim {dim} to split in two halves, got "
            f"{x.shape[dim]} in shape {tuple(x.shape)}"
        )
    return x.chunk(2, dim)
