"""Normalization: batch, instance, layer and group, and what a running estimate is.

The module of the chapter `book/foundations/normalization.ipynb`. Feature maps are
(B, C, H, W), floating point. The four functions differ in which numbers share a mean
and a variance; each then scales and shifts by what was learned. float16 and bfloat16
are normalized in float32 and returned in their own dtype. The names of arguments,
parameters and buffers are torch's.
"""

import torch
from torch import Tensor, nn

from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_positive,
    require_shape,
    require_share,
    require_whole,
)


def batch_norm(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    *,
    training: bool,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Batch normalization: each channel by its own mean and variance.

    Args:
        x: (B, C, H, W).
        weight: (C,), the learned scale; None for 1.
        bias: (C,), the learned shift; None for 0.
        running_mean: (C,); changed in place if `training`. None, together with
            `running_var`, keeps no running estimate.
        running_var: (C,); changed in place if `training`.
        training: True for the statistics of this batch, False for the running ones.
        momentum: the share of this batch in the new running estimate, in [0, 1].
        eps: added to the variance, positive.

    Returns:
        (B, C, H, W), in the dtype of `x`.

    Raises:
        ValueError: `x` is not (B, C, H, W) and floating point, a vector is not (C,),
            one of the running estimates is given alone or, out of training, is
            missing, `momentum` or `eps` is out of its range, or in training a
            channel has fewer than two values.

    Source: Ioffe and Szegedy, Batch Normalization, ICML 2015, algorithms 1 and 2.
    """
    if (running_mean is None) != (running_var is None):
        raise ValueError("running_mean and running_var must be given both, or neither")
    if training:
        start = (running_mean, running_var)
        if running_mean is None:
            start = (x.new_zeros(x.shape[1:2]), x.new_ones(x.shape[1:2]))
        y, *updated = batch_norm_train(
            x, weight, bias, *start, momentum=momentum, eps=eps
        )
        if running_mean is not None:
            running_mean.copy_(updated[0])
            running_var.copy_(updated[1])
        return y
    if running_mean is None:
        raise ValueError("running_mean and running_var must be given if not training")
    _check_input(x, eps)
    _check_vectors(x, weight, bias, running_mean=running_mean, running_var=running_var)
    scale = (running_var + eps).rsqrt()
    normalized = (at_least_float32(x) - _per_channel(running_mean)) * _per_channel(
        scale
    )
    return _scale_and_shift(normalized, weight, bias, x.dtype)


def batch_norm_train(
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor, Tensor]:
    """One training step of batch normalization, nothing changed in place.

    The biased variance normalizes; the unbiased one goes into the running estimate.

    Args:
        x: (B, C, H, W).
        weight: (C,), the learned scale; None for 1.
        bias: (C,), the learned shift; None for 0.
        running_mean: (C,), the estimate so far.
        running_var: (C,), the estimate so far.
        momentum: the share of this batch in the new estimates, in [0, 1].
        eps: added to the variance, positive.

    Returns:
        The output (B, C, H, W), in the dtype of `x`, and the two new estimates (C,),
        through which no gradient flows.

    Raises:
        ValueError: `x` is not (B, C, H, W) and floating point, a vector is not (C,),
            `momentum` or `eps` is out of its range, or a channel has fewer than two
            values.

    Source: Ioffe and Szegedy, Batch Normalization, ICML 2015, algorithm 1.
    """
    _check_input(x, eps)
    _check_vectors(x, weight, bias, running_mean=running_mean, running_var=running_var)
    require_share("momentum", momentum)
    normalized, mean, var = _normalize(x, (0, 2, 3), eps, "channel")
    count = x.numel() // x.shape[1]
    unbiased = var * count / (count - 1)
    with torch.no_grad():
        mean = torch.lerp(running_mean, mean.flatten().to(running_mean), momentum)
        var = torch.lerp(running_var, unbiased.flatten().to(running_var), momentum)
    return _scale_and_shift(normalized, weight, bias, x.dtype), mean, var


def instance_norm(
    x: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    eps: float = 1e-5,
) -> Tensor:
    """Instance normalization: each channel of each image by itself.

    Args:
        x: (B, C, H, W).
        weight: (C,), the learned scale; None for 1.
        bias: (C,), the learned shift; None for 0.
        eps: added to the variance, positive.

    Returns:
        (B, C, H, W), in the dtype of `x`.

    Raises:
        ValueError: `x` is not (B, C, H, W) and floating point, a vector is not (C,),
            `eps` is not positive, or an image has fewer than two pixels.

    Source: Ulyanov et al., Instance Normalization, arXiv:1607.08022, 2016.
    """
    _check_input(x, eps)
    _check_vectors(x, weight, bias)
    normalized, _, _ = _normalize(x, (2, 3), eps, "channel of an image")
    return _scale_and_shift(normalized, weight, bias, x.dtype)


def layer_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, *, eps: float = 1e-5
) -> Tensor:
    """Layer normalization: each image by itself, over all its channels and pixels.

    Args:
        x: (B, C, H, W).
        weight: (C, H, W), a learned scale for every number; None for 1.
        bias: (C, H, W), a learned shift for every number; None for 0.
        eps: added to the variance, positive.

    Returns:
        (B, C, H, W), in the dtype of `x`.

    Raises:
        ValueError: `x` is not (B, C, H, W) and floating point, `weight` or `bias` is
            not (C, H, W), `eps` is not positive, or an image has fewer than two values.

    Source: Ba et al., Layer Normalization, arXiv:1607.06450, 2016.
    """
    _check_input(x, eps)
    for name, value in (("weight", weight), ("bias", bias)):
        _check_shape(name, value, x.shape[1:])
    normalized, _, _ = _normalize(x, (1, 2, 3), eps, "image")
    normalized = normalized if weight is None else normalized * weight
    return (normalized if bias is None else normalized + bias).to(x.dtype)


def group_norm(
    x: Tensor,
    num_groups: int,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    *,
    eps: float = 1e-5,
) -> Tensor:
    """Group normalization: each image by itself, neighboring channels together.

    Args:
        x: (B, C, H, W).
        num_groups: G, a divisor of C; group g holds the channels g C/G to
            (g + 1) C/G - 1.
        weight: (C,), the learned scale; None for 1.
        bias: (C,), the learned shift; None for 0.
        eps: added to the variance, positive.

    Returns:
        (B, C, H, W), in the dtype of `x`.

    Raises:
        ValueError: `x` is not (B, C, H, W) and floating point, `num_groups` is not a
            divisor of C, a vector is not (C,), `eps` is not positive, or a group has
            fewer than two values.

    Source: Wu and He, Group Normalization, ECCV 2018.
    """
    _check_input(x, eps)
    _check_vectors(x, weight, bias)
    require_whole("num_groups", num_groups)
    if x.shape[1] % num_groups:
        raise ValueError(
            f"num_groups must be a divisor of the {x.shape[1]} channels of x, "
            f"got {num_groups!r}"
        )
    groups = x.unflatten(1, (num_groups, -1))  # (B, G, C/G, H, W)
    normalized, _, _ = _normalize(groups, (2, 3, 4), eps, "group")
    return _scale_and_shift(normalized.flatten(1, 2), weight, bias, x.dtype)


def fold_batch_norm(
    kernel: Tensor,
    bias: Tensor | None,
    bn_weight: Tensor,
    bn_bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    *,
    eps: float = 1e-5,
) -> tuple[Tensor, Tensor]:
    """The one convolution that equals a convolution and then BN out of training.

    Args:
        kernel: (C, D, h, w), the convolution's weights, C being its outputs.
        bias: (C,), the convolution's bias; None for 0.
        bn_weight: (C,), the scale of the normalization.
        bn_bias: (C,), its shift.
        running_mean: (C,).
        running_var: (C,), not negative.
        eps: of the normalization, positive.

    Returns:
        The new kernel (C, D, h, w) and the new bias (C,), in the dtype of `kernel`.

    Raises:
        ValueError: the kernel is not 4-D and floating point, a vector is not (C,),
            `eps` is not positive, or a running variance is negative or NaN.

    Source: the algebra of Ioffe and Szegedy, ICML 2015, algorithm 2, line 11.
    """
    _check_input(kernel, eps, name="kernel", shape="C D h w")
    vectors = {
        "bias": bias,
        "bn_weight": bn_weight,
        "bn_bias": bn_bias,
        "running_mean": running_mean,
        "running_var": running_var,
    }
    for name, value in vectors.items():
        _check_shape(name, value, kernel.shape[:1])
    if not (running_var >= 0).all():  # false for NaN, too
        lowest = running_var.min().item()
        raise ValueError(f"running_var must not be negative or NaN, got {lowest:g}")
    scale = bn_weight * (running_var + eps).rsqrt()  # (C,)
    old_bias = torch.zeros_like(running_mean) if bias is None else bias
    new_bias = (old_bias - running_mean) * scale + bn_bias
    new_kernel = kernel * scale[:, None, None, None]
    return new_kernel.to(kernel.dtype), new_bias.to(kernel.dtype)


class BatchNorm2d(nn.Module):
    """`batch_norm` with its parameters and buffers, named as torch's.

    A state dict of `torch.nn.BatchNorm2d` loads into it, and the other way round. In
    half precision, too, its running estimates are kept in float32.

    Args:
        num_features: C.
        eps: added to the variance, positive.
        momentum: the share of a batch in the running estimates, in [0, 1].

    Raises:
        ValueError: an input (B, C, H, W) does not fit; see `batch_norm`.

    Source: Ioffe and Szegedy, Batch Normalization, ICML 2015.
    """

    def __init__(
        self, num_features: int, *, eps: float = 1e-5, momentum: float = 0.1
    ) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.weight = nn.Parameter(torch.ones(num_features))
        self.bias = nn.Parameter(torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def _apply(self, *arguments: object, **options: object) -> "BatchNorm2d":
        # `half()` comes by here. The square of a spread of 300 is infinite in float16:
        # running estimates stay in float32, whatever the layer computes in.
        before = {name: self._buffers[name] for name in ("running_mean", "running_var")}
        super()._apply(*arguments, **options)
        for name, value in before.items():
            now = self._buffers[name]
            if now.dtype in (torch.float16, torch.bfloat16):
                self._buffers[name] = value.to(now.device)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Normalize by the batch in training, by the running estimates in eval.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, C, H, W).
        """
        y = batch_norm(
            x,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            training=self.training,
            momentum=self.momentum,
            eps=self.eps,
        )
        self.num_batches_tracked += int(self.training)
        return y


def _normalize(
    x: Tensor, dims: tuple[int, ...], eps: float, what: str
) -> tuple[Tensor, Tensor, Tensor]:
    """Mean 0 and variance 1 over some dimensions; also the mean and the variance."""
    count = torch.Size(x.shape[dim] for dim in dims).numel()
    if count < 2:
        raise ValueError(
            f"x must have at least two values for each {what}, got {count} "
            f"with shape {tuple(x.shape)}: one value less its own mean is always 0"
        )
    x = at_least_float32(x)
    mean = x.mean(dims, keepdim=True)
    # Center first, square after: the mean of squares minus the squared mean loses
    # its digits where the mean is large.
    centered = x - mean
    var = centered.square().mean(dims, keepdim=True)
    return centered * (var + eps).rsqrt(), mean, var


def _per_channel(vector: Tensor) -> Tensor:
    """(C,) as (C, 1, 1), which lines up with the channels of (B, C, H, W)."""
    return vector[:, None, None]


def _scale_and_shift(
    normalized: Tensor, weight: Tensor | None, bias: Tensor | None, dtype: torch.dtype
) -> Tensor:
    if weight is not None:
        normalized = normalized * _per_channel(weight)
    if bias is not None:
        normalized = normalized + _per_channel(bias)
    return normalized.to(dtype)


def _check_input(
    x: Tensor, eps: float, name: str = "x", shape: str = "B C H W"
) -> None:
    require_shape(name, x, shape, floating=True)
    require_positive("eps", eps)


def _check_vectors(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, **others: Tensor
) -> None:
    for name, value in {"weight": weight, "bias": bias, **others}.items():
        _check_shape(name, value, x.shape[1:2])


def _check_shape(name: str, value: Tensor | None, shape: torch.Size) -> None:
    """Refuse what torch would broadcast by accident, such as (W,) for (C,)."""
    if value is not None and value.shape != shape:
        raise ValueError(
            f"{name} must have shape {tuple(shape)}, got {tuple(value.shape)}"
        )
