"""What generators need: ranges, sizes, ways between latents, measures of samples."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.require import (
    require_floating,
    require_shape,
    require_unit_range,
    require_whole,
)


def unit_to_tanh_range(images: Tensor) -> Tensor:
    """From [0, 1] to [-1, 1]: subtract a mean of 0.5, divide by a deviation of 0.5.

    Args:
        images: any shape, floating point in [0, 1], or uint8 in 0 … 255.

    Returns:
        The shape of `images`, in [-1, 1]; float32 for uint8, else the same dtype.

    Raises:
        ValueError: the values are neither uint8 nor floating point in [0, 1]
            (pictures of 0 … 255 held as floats often are not).

    Source: Radford et al., Unsupervised Representation Learning with Deep
        Convolutional Generative Adversarial Networks, 2016, section 4.
    """
    if images.dtype == torch.uint8:
        images = images.float() / 255
    require_floating("images", images)
    require_unit_range("images", images)
    return (images - 0.5) / 0.5


def tanh_to_unit_range(images: Tensor) -> Tensor:
    """From [-1, 1] back to [0, 1], where pictures are shown and saved.

    Args:
        images: any shape, floating point in [-1, 1].

    Returns:
        The shape and dtype of `images`, in [0, 1].

    Raises:
        ValueError: the values are not floating point in [-1, 1].

    Source: the inverse of `unit_to_tanh_range`.
    """
    require_floating("images", images)
    require_unit_range("images", images, low=-1)
    return images * 0.5 + 0.5


def sample(generator: nn.Module, latents: Tensor, *, batch_size: int = 256) -> Tensor:
    """Pictures of a trained generator, to be shown.

    Args:
        generator: from (B, latent_dim) to pictures in [-1, 1]; it is put into
            evaluation mode for this, and back.
        latents: (B, latent_dim).
        batch_size: how many to draw at a time.

    Returns:
        (B, C, S, S), in [0, 1], float32 on the CPU.

    Raises:
        ValueError: a picture leaves [-1, 1], as NaN does.
    """
    device, was_training = next(generator.parameters()).device, generator.training
    generator.eval()
    with torch.inference_mode():
        pictures = [
            tanh_to_unit_range(generator(part.to(device)).float()).cpu()
            for part in latents.split(batch_size)
        ]
    generator.train(was_training)
    return torch.cat(pictures)


def conv_transpose_output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """How many rows come out of a transposed convolution, or columns.

    Args:
        size: rows, or columns, that go in.
        kernel_size: k, rows of the kernel.
        stride: how far apart the kernel's copies are laid.
        padding: p, rows *cut off* at each end.
        output_padding: rows added at one end, fewer than the stride or the dilation.
        dilation: the distance between two rows of the kernel.

    Returns:
        (size - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1.

    Raises:
        ValueError: an argument is out of its range, or nothing is left.

    Source: Dumoulin and Visin, A Guide to Convolution Arithmetic for Deep Learning,
        2016, section 4.
    """
    for name, value, least in (
        ("size", size, 1),
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("output_padding", output_padding, 0),
        ("dilation", dilation, 1),
    ):
        require_whole(name, value, least)
    if output_padding >= max(stride, dilation):
        raise ValueError(
            f"output_padding must be below stride {stride} or dilation {dilation}, "
            f"got {output_padding}"
        )
    laid = (size - 1) * stride + dilation * (kernel_size - 1) + 1
    left = laid - 2 * padding + output_padding
    if left < 1:
        raise ValueError(f"padding must leave a row, got {padding} for {laid} rows")
    return left


def slerp(start: Tensor, end: Tensor, share: Tensor | float) -> Tensor:
    """Between two vectors along the arc, so that the length does not sag on the way.

    Args:
        start: (..., D), not 0.
        end: (..., D), not 0, and not opposite to `start`.
        share: how far, a scalar or a shape that fits (..., 1); 0 is `start`, 1 `end`.

    Returns:
        (..., D); for two of one length, vectors of that length.

    Raises:
        ValueError: two vectors are opposite, or one is 0: then no arc is the shortest.

    Source: Shoemake, Animating Rotation with Quaternion Curves, SIGGRAPH 1985; for
        latent vectors White, Sampling Generative Networks, 2016.
    """
    cosine = F.cosine_similarity(start, end, dim=-1)[..., None].clamp(-1, 1)
    angle = cosine.arccos()
    lengths = torch.minimum(start.norm(dim=-1), end.norm(dim=-1))
    if not (angle < math.pi - 1e-3).all() or not (lengths > 0).all():
        raise ValueError(
            "start and end must not be 0, nor opposite to each other, got an angle of "
            f"{angle.max().item():.4f} and a length of {lengths.min().item():g}"
        )
    straight = angle < 1e-3  # the arc is its chord, and the sine below nearly 0
    sine = angle.where(~straight, 1.0).sin()
    first = (((1 - share) * angle).sin() / sine).where(~straight, 1 - share)
    second = ((share * angle).sin() / sine).where(~straight, share)
    return first * start + second * end


def kernel_distance(features1: Tensor, features2: Tensor) -> Tensor:
    """Squared maximum mean discrepancy under the kernel (x·y / D + 1)³, unbiased.

    With the features of an Inception network this is the KID; any fixed features do.

    Args:
        features1: (N, D), N >= 2.
        features2: (M, D), M >= 2.

    Returns:
        (), 0 on average for two samples of one distribution, so at times below 0.

    Raises:
        ValueError: features are not (N, D) with one D, or fewer than two.

    Source: Bińkowski et al., Demystifying MMD GANs, ICLR 2018, section 3.
    """
    for name, features in (("features1", features1), ("features2", features2)):
        if features.dim() != 2 or len(features) < 2:
            raise ValueError(
                f"{name} must be (N, D) with N >= 2, got {tuple(features.shape)}"
            )
    if features1.shape[1] != features2.shape[1]:
        raise ValueError(
            f"features1 and features2 must have one D, got {features1.shape[1]} and "
            f"{features2.shape[1]}"
        )
    within = _mean_off_diagonal(features1) + _mean_off_diagonal(features2)
    return within - 2 * _kernel(features1, features2).mean()


def minibatch_std(x: Tensor, *, group_size: int = 8) -> Tensor:
    """Append to each point how much the points of its group differ.

    A discriminator that sees this number recognizes a generator that repeats itself.

    Args:
        x: (..., B, D), floating point; B is a multiple of `group_size`.
        group_size: how many consecutive points make a group, >= 2.

    Returns:
        (..., B, D + 1): the last column is the standard deviation within the group,
        its mean over the D dimensions.

    Raises:
        ValueError: `x` has no B and D, or B does not split into groups, or a group is
            smaller than 2.

    Source: Karras et al., Progressive Growing of GANs for Improved Quality, Stability,
        and Variation, ICLR 2018, section 3.
    """
    require_shape("x", x, "... B D")
    require_whole("group_size", group_size, 2)
    if x.shape[-2] % group_size:
        raise ValueError(
            f"B must be a multiple of group_size, got {x.shape[-2]} and {group_size}"
        )
    groups = x.unflatten(-2, (-1, group_size))  # (..., G, group_size, D)
    # The root's slope is infinite at 0, where a generator has collapsed to a point.
    spread = (groups.var(dim=-2, correction=0) + 1e-8).sqrt().mean(-1)  # (..., G)
    spread = spread.repeat_interleave(group_size, dim=-1)  # (..., B)
    return torch.cat([x, spread[..., None]], dim=-1)


def gradient_penalty(logits: Tensor, real: Tensor) -> Tensor:
    """Half the squared length of the logit's gradient at real pictures, on average.

    Args:
        logits: (B,), the discriminator's on `real`.
        real: (B, C, S, S), with a gradient.

    Returns:
        (), through which gradients reach the discriminator's weights.

    Source: Mescheder et al., Which Training Methods for GANs do actually Converge?,
        ICML 2018, equation 9 (R1), without its weight.
    """
    (slopes,) = torch.autograd.grad(logits.sum(), real, create_graph=True)
    return slopes.square().flatten(1).sum(dim=1).mean() / 2


def lattice_power(images: Tensor, period: int = 2) -> Tensor:
    """How much a pattern that repeats stands out of a picture's spectrum.

    What repeats every `period` pixels sits at the frequencies that are multiples of
    1 / period. Their mean power is divided by that of their neighbors, one step of
    the spectrum away: 1 if nothing stands out, as in noise.

    Args:
        images: (..., S, S), S a multiple of `period`.
        period: in pixels, at least 2.

    Returns:
        (...,).

    Raises:
        ValueError: the period is below 2 or does not divide S.

    Source: the definition; Odena et al., Deconvolution and Checkerboard Artifacts,
        Distill, 2016, describe what it measures.
    """
    size = images.shape[-1]
    if period < 2 or size % period or size < 4 * period or images.shape[-2] != size:
        raise ValueError(
            f"period must be at least 2 and divide S, S at least 4 periods, got "
            f"{period} for {tuple(images.shape[-2:])}"
        )
    if not images.numel():  # some transforms refuse an empty batch
        return images.new_zeros(images.shape[:-2])
    flat = images - images.mean((-2, -1), keepdim=True)
    power = torch.fft.fft2(flat).abs().square()  # (..., S, S)
    peaks = torch.arange(0, size, size // period)
    rows, columns = torch.cartesian_prod(peaks, peaks)[1:].T  # all but frequency 0
    around = [
        power[..., (rows + down) % size, (columns + right) % size]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
        if (down, right) != (0, 0)
    ]
    # In a flat picture nothing stands out: 1, not 0 / 0.
    tiny = torch.finfo(power.dtype).tiny
    peak, rest = power[..., rows, columns].mean(-1), torch.stack(around).mean((0, -1))
    return (peak + tiny) / (rest + tiny)


def _kernel(features1: Tensor, features2: Tensor) -> Tensor:
    return (features1 @ features2.T / features1.shape[1] + 1) ** 3


def _mean_off_diagonal(features: Tensor) -> Tensor:
    # A vector with itself is left out: that is what makes the estimate unbiased.
    kernel, number = _kernel(features, features), len(features)
    return (kernel.sum() - kernel.trace()) / (number * (number - 1))
