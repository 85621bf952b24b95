"""Pixel losses: how far a picture is from the one that was wanted.

The module of the chapter `book/losses/pixel_losses.ipynb`. Pictures are (B, C, H, W),
floating point, as a rule in [0, 1]. Losses are means over all numbers, measures have a
value for each picture. Half precision is computed and returned in float32.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_floating,
    require_not_negative,
    require_positive,
    require_shape,
    require_share,
    require_whole,
)
from lesson_utils.common.schedules import hold_then_fall
from lesson_utils.common.training import Run

# Of the five sizes, from the full one down.
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
K1, K2 = 0.01, 0.03  # SSIM's constants, in shares of the data range


def l1_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error.

    Args:
        predictions: any shape, floating point.
        targets: the shape of `predictions`: nothing is broadcast.

    Returns:
        (), not negative.

    Raises:
        ValueError: the shapes differ, there is no number in them, or one is not
            floating point.

    Source: the definition.
    """
    return _errors(predictions, targets).abs().mean()


def l2_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """Mean squared error.

    Args:
        predictions: any shape, floating point.
        targets: the shape of `predictions`.

    Returns:
        (), not negative.

    Raises:
        ValueError: as for `l1_loss`.

    Source: the definition.
    """
    return _errors(predictions, targets).square().mean()


def huber_loss(predictions: Tensor, targets: Tensor, *, delta: float = 1.0) -> Tensor:
    """Half the square of small errors, and a straight line for large ones.

    Args:
        predictions: any shape, floating point.
        targets: the shape of `predictions`.
        delta: where the line begins; from there on the slope is `delta`.

    Returns:
        (), the mean, not negative.

    Raises:
        ValueError: as for `l1_loss`; `delta` is not finite and above 0.

    Source: Huber, Robust Estimation of a Location Parameter, Annals of Mathematical
        Statistics 1964.
    """
    require_positive("delta", delta)
    errors = _errors(predictions, targets).abs()
    # e²/2 below delta, delta (e - delta/2) above it, and no `where`.
    near = errors.clamp(max=delta)
    return (near * (errors - near / 2)).mean()


def psnr(images1: Tensor, images2: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio: the squared error in decibels.

    Args:
        images1: (B, C, H, W), floating point.
        images2: the shape of `images1`.
        data_range: the largest possible value less the smallest.

    Returns:
        (B,), in decibels; infinite for two equal pictures.

    Raises:
        ValueError: the pictures are not (B, C, H, W) of one shape, floating point and
            with pixels, or `data_range` is not finite and above 0.

    Source: the definition.
    """
    images1, images2 = _pair(images1, images2)
    require_positive("data_range", data_range)
    mean = (images1 - images2).div(data_range).square().mean((1, 2, 3))  # (B,)
    # The clamp keeps the slope finite where two pictures are equal.
    decibels = -10 * mean.clamp(min=torch.finfo(mean.dtype).tiny).log10()
    return decibels.masked_fill(mean == 0, torch.inf)


def local_statistics(
    images1: Tensor, images2: Tensor, *, window_size: int = 11, sigma: float = 1.5
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Means, variances and covariance in a Gaussian window round each pixel.

    Args:
        images1: (B, C, H, W), floating point, neither side below `window_size`.
        images2: the shape of `images1`.
        window_size: n, in pixels.
        sigma: the window's standard deviation, in pixels.

    Returns:
        Two means, two variances, covariance: (B, C, H - n + 1, W - n + 1) each, for all
        places where the window fits. Variances divide by the weights' sum, 1.

    Raises:
        ValueError: the pictures are not (B, C, H, W) of one shape and floating point,
            or smaller than the window; `window_size` is no whole number >= 1 or `sigma`
            not finite and above 0.

    Source: Wang et al., Image Quality Assessment: From Error Visibility to Structural
        Similarity, IEEE Transactions on Image Processing 2004.
    """
    images1, images2 = _pair(images1, images2)
    require_whole("window_size", window_size)
    require_positive("sigma", sigma)
    if min(images1.shape[2:]) < window_size:
        raise ValueError(
            f"images1 must have sides of at least window_size, {window_size}, got "
            f"{tuple(images1.shape)}"
        )
    # E[x²] - E[x]² loses its digits far from 0: move both pictures there first.
    center1, center2 = (x.mean((2, 3), keepdim=True) for x in (images1, images2))
    x, y = images1 - center1, images2 - center2
    products = torch.stack([x, y, x * x, y * y, x * y])  # (5, B, C, H, W)
    place = torch.arange(window_size, device=x.device, dtype=x.dtype)
    place = place - (window_size - 1) / 2
    window = torch.softmax(-(place**2) / (2 * sigma**2), dim=0)  # (n,), adds up to 1
    maps = F.conv2d(products.flatten(0, 2)[:, None], window.view(1, 1, -1, 1))
    maps = F.conv2d(maps, window.view(1, 1, 1, -1))[:, 0]
    mean1, mean2, square1, square2, product = maps.unflatten(0, products.shape[:3])
    return (
        mean1 + center1,
        mean2 + center2,
        square1 - mean1 * mean1,
        square2 - mean2 * mean2,
        product - mean1 * mean2,
    )


def ssim_maps(
    images1: Tensor, images2: Tensor, *, data_range: float = 1.0, **window: float
) -> tuple[Tensor, Tensor]:
    """The two factors of SSIM, at each place of the window.

    Args:
        images1: (B, C, H, W), as for `local_statistics`.
        images2: (B, C, H, W), likewise.
        data_range: the largest possible value less the smallest.
        **window: `window_size` and `sigma`, as for `local_statistics`.

    Returns:
        How alike the local means are, and how alike contrast and structure are:
        (B, C, H - n + 1, W - n + 1) each, in [-1, 1]. Their product is the SSIM map.

    Raises:
        ValueError: see `local_statistics`; `data_range` is not finite and above 0.

    Source: Wang et al., IEEE Transactions on Image Processing 2004.
    """
    require_positive("data_range", data_range)
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2
    mean1, mean2, variance1, variance2, covariance = local_statistics(
        images1, images2, **window
    )
    luminance = (2 * mean1 * mean2 + c1) / (mean1**2 + mean2**2 + c1)
    structure = (2 * covariance + c2) / (variance1 + variance2 + c2)
    return luminance, structure


def ssim(
    images1: Tensor,
    images2: Tensor,
    *,
    window_size: int = 11,
    sigma: float = 1.5,
    data_range: float = 1.0,
) -> Tensor:
    """Structural similarity of pictures: how alike they are window by window.

    Args:
        images1: (B, C, H, W), as for `local_statistics`.
        images2: (B, C, H, W), likewise.
        window_size: likewise.
        sigma: likewise.
        data_range: the largest possible value less the smallest.

    Returns:
        (B,), the mean over channels and places, at most 1, as for two equal pictures.

    Raises:
        ValueError: see `local_statistics`; `data_range` is not finite and above 0.

    Source: Wang et al., IEEE Transactions on Image Processing 2004.
    """
    luminance, structure = ssim_maps(
        images1, images2, window_size=window_size, sigma=sigma, data_range=data_range
    )
    return (luminance * structure).mean((1, 2, 3))


def ms_ssim(images1: Tensor, images2: Tensor, *, data_range: float = 1.0) -> Tensor:
    """Structural similarity at five sizes, each half of the one before.

    The smallest has room for few windows: there, and there alone, the border is
    continued by reflection, as torchmetrics does.

    Args:
        images1: (B, C, H, W), floating point, both sides over 160 pixels.
        images2: the shape of `images1`.
        data_range: the largest possible value less the smallest.

    Returns:
        (B,), in [0, 1]; 0 if at one of the sizes the two are opposites in the mean.

    Raises:
        ValueError: see `ssim`; or a side is of 160 pixels or less.

    Source: Wang, Simoncelli and Bovik, Multiscale Structural Similarity for Image
        Quality Assessment, Asilomar 2003.
    """
    images1, images2 = _pair(images1, images2)
    if min(images1.shape[2:]) <= 160:  # (11 - 1) * 2**4
        raise ValueError(
            "images1 must have sides of more than 160 pixels, to be halved four times "
            f"and hold a window of 11, got {tuple(images1.shape)}"
        )
    result = images1.new_ones(len(images1))
    for weight in SCALE_WEIGHTS[:-1]:
        _, structure = ssim_maps(images1, images2, data_range=data_range)
        result = result * _root(structure.mean((1, 2, 3)), weight)
        images1, images2 = F.avg_pool2d(images1, 2), F.avg_pool2d(images2, 2)
    images1, images2 = (F.pad(x, [5] * 4, mode="reflect") for x in (images1, images2))
    last = ssim(images1, images2, data_range=data_range)
    return result * _root(last, SCALE_WEIGHTS[-1])


def mixed_loss(predictions: Tensor, targets: Tensor, *, alpha: float = 0.84) -> Tensor:
    """One less SSIM, for structure, and some of the absolute error, for brightness.

    Args:
        predictions: (B, C, H, W), floating point, in [0, 1], sides of at least 11.
        targets: the shape of `predictions`.
        alpha: the share of SSIM in the loss.

    Returns:
        (), not negative.

    Raises:
        ValueError: see `ssim`; `alpha` is not in [0, 1].

    Source: Zhao et al., Loss Functions for Image Restoration with Neural Networks, IEEE
        Transactions on Computational Imaging 2017; there MS-SSIM, for large pieces.
    """
    require_share("alpha", alpha)
    structural = 1 - ssim(predictions, targets).mean()
    return alpha * structural + (1 - alpha) * l1_loss(predictions, targets)


class Denoiser(nn.Module):
    """Convolutions that look for the noise of a picture and take it away.

    Args:
        width: channels between the layers.
        depth: number of convolutions.

    Raises:
        ValueError: `width` is not a whole number >= 1, or `depth` not one >= 2.

    Source: Zhang et al., Beyond a Gaussian Denoiser, IEEE Transactions on Image
        Processing 2017, without batch normalization.
    """

    def __init__(self, *, width: int = 32, depth: int = 4) -> None:
        super().__init__()
        require_whole("width", width)
        require_whole("depth", depth, 2)
        layers = []
        for inputs in (3, *[width] * (depth - 2)):
            layers += [nn.Conv2d(inputs, width, 3, padding=1), nn.ReLU()]
        self.noise = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, images: Tensor) -> Tensor:
        """The pictures (B, 3, H, W) without what the layers take for noise.

        Args:
            images: (B, 3, H, W).

        Returns:
            (B, 3, H, W).
        """
        return images - self.noise(images)


def train(
    network: nn.Module,
    crops: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    noise: float = 0.1,
    steps: int = 300,
    batch_size: int = 16,
    learning_rate: float = 2e-3,
    seed: int = 0,
    **run: object,
) -> dict[str, list[float]]:
    """Teach a network to undo noise, by any loss.

    Args:
        network: from noisy to clean pictures, (B, 3, S, S) both; trained in place.
        crops: (N, 3, S, S), uint8, pieces of clean pictures.
        loss: takes predictions and targets and returns a single number.
        noise: standard deviation of what is added to values in [0, 1].
        steps: batches of training.
        batch_size: pieces a step.
        learning_rate: Adam's, in the first half; then it falls to 0.
        seed: of order and noise.
        **run: as `lesson_utils.common.training.Run` has it.

    Returns:
        "loss": a number for each step.

    Raises:
        ValueError: as `Run` has it; `crops` is not (N, 3, S, S) or `noise` negative.
        FloatingPointError: the loss is no longer a number.

    Source: Zhao et al., IEEE Transactions on Computational Imaging 2017, for one
        network and many losses.
    """
    require_shape("crops", crops, "N 3 S S")
    require_not_negative("noise", noise)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    sizes = {"number": len(crops), "steps": steps, "batch_size": batch_size}
    run = Run(network, optimizer, **sizes, seed=seed, schedule=hold_then_fall, **run)

    def spoil(clean: Tensor, *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        clean = clean / 255
        return clean + noise * torch.randn(clean.shape, generator=generator), clean

    for _ in run:
        noisy, clean = run.batch(crops, change=spoil)
        run.learn(loss=loss(run.network(noisy), clean))
    return run.history


def _errors(predictions: Tensor, targets: Tensor) -> Tensor:
    """Predictions less targets, or a ValueError."""
    if predictions.shape != targets.shape or not predictions.numel():
        raise ValueError(
            f"targets must have the shape of predictions, and a number at least, got "
            f"{tuple(targets.shape)} for {tuple(predictions.shape)}"
        )
    require_floating("predictions", predictions)
    require_floating("targets", targets)
    return at_least_float32(predictions) - at_least_float32(targets)


def _pair(images1: Tensor, images2: Tensor) -> tuple[Tensor, Tensor]:
    """Two batches of pictures in one dtype, or a ValueError."""
    require_shape("images1", images1, "B C H W", floating=True)
    require_floating("images2", images2)
    if images1.shape != images2.shape or 0 in images1.shape[1:]:
        raise ValueError(
            f"images2 must have the shape of images1, and pixels, got "
            f"{tuple(images2.shape)} for {tuple(images1.shape)}"
        )
    dtype = torch.promote_types(images1.dtype, images2.dtype)
    return tuple(at_least_float32(images.to(dtype)) for images in (images1, images2))


def _root(values: Tensor, weight: float) -> Tensor:
    """A power below 1, of finite slope at 0, and 0 for what is below it."""
    positive = values.clamp(min=torch.finfo(values.dtype).tiny)
    return positive**weight * (values > 0)
