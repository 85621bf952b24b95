"""Augmentation: random changes of a picture that leave its label true.

The module of the chapter `book/training/augmentation.ipynb`. Pictures are (C, H, W) or
batches (B, C, H, W), floating point; in a batch each picture gets its own draw. Boxes
are xyxy in pixels *by their edges*, as torchvision's: 0 is the left edge of the first
column, W the right edge of the last, a box is x2 - x1 wide, and a flip takes x to
W - x. (A box that names its first and last pixel becomes one of these by adding 1 to x2
and y2.) Numbers are drawn on the CPU, from `generator` or from torch's global one; the
pictures may be on any device.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils.common.boxes import (
    crop_boxes,
    flip_boxes,
)
from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_boxes_within,
    require_crop,
    require_picture,
    require_positive,
    require_probabilities,
    require_share,
    require_whole,
    size_pair,
)


def random_horizontal_flip(
    image: Tensor,
    boxes: Tensor | None = None,
    *,
    p: float = 0.5,
    generator: torch.Generator | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Mirror a picture with probability p, and its boxes with it.

    Args:
        image: (C, H, W), or (B, C, H, W) with a coin for each picture.
        boxes: (N, 4), xyxy in pixels, by their edges; only with a single picture.
        p: the probability, in [0, 1].
        generator: where the coins come from.

    Returns:
        The picture, in the shape of `image`; with boxes, the picture and the boxes
        (N, 4).

    Raises:
        ValueError: the image has another shape, a box leaves the picture, boxes come
            with a batch, or p leaves [0, 1].

    Source: Krizhevsky et al., ImageNet Classification with Deep CNNs, NeurIPS 2012.
    """
    require_picture(image)
    require_share("p", p)
    coins = torch.rand(image.shape[:-3], generator=generator) < p  # () or (B,)
    flipped = torch.where(
        coins[..., None, None, None].to(image.device), image.flip(-1), image
    )
    if boxes is None:
        return flipped
    _check_boxes_of(image, boxes)
    return flipped, flip_boxes(boxes, image.shape[-1]) if coins else boxes


def sample_crop(
    height: int,
    width: int,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    generator: torch.Generator | None = None,
) -> tuple[int, int, int, int]:
    """Draw where to crop: area uniformly, shape log-uniformly, place uniformly.

    A box that does not fit into the picture is drawn anew, ten times at most; then it
    is the largest box of an allowed shape in the middle.

    Args:
        height: H, in pixels.
        width: W, in pixels.
        scale: least and largest share of the picture's area, in (0, 1].
        ratio: least and largest width / height.
        generator: where the numbers come from.

    Returns:
        A box x1, y1, x2, y2 in whole pixels, by its edges: `image[:, y1:y2, x1:x2]`.

    Raises:
        ValueError: H or W is not a whole number >= 1, or a range is empty, not
            positive, or (the scale's) beyond 1.

    Source: Szegedy et al., Going Deeper with Convolutions, CVPR 2015; the fallback and
        the log-uniform shapes as `torchvision.transforms.v2.RandomResizedCrop`.
    """
    require_whole("height", height)
    require_whole("width", width)
    _check_range("scale", scale, 1)
    _check_range("ratio", ratio, math.inf)
    log_low, log_high = (math.log(bound) for bound in ratio)
    for _ in range(10):
        share, shape, x, y = torch.rand(4, generator=generator).tolist()
        area = height * width * (scale[0] + (scale[1] - scale[0]) * share)
        shape = math.exp(log_low + (log_high - log_low) * shape)  # width / height
        w, h = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
        if 0 < w <= width and 0 < h <= height:
            # + 1: a box as wide as the picture still has one place to lie.
            left, top = int(x * (width - w + 1)), int(y * (height - h + 1))
            return left, top, left + w, top + h
    return _middle_crop(height, width, ratio)


def resized_crop(
    image: Tensor, crop: Sequence[int], size: int | tuple[int, int]
) -> Tensor:
    """Cut a box out of a picture and resize it.

    Args:
        image: (C, H, W) or (B, C, H, W).
        crop: (4,), x1, y1, x2, y2 in whole pixels, by their edges.
        size: height and width afterwards, or one number for both.

    Returns:
        (C, h, w) or (B, C, h, w), with h, w from `size`: bilinear, smoothed first
        where it shrinks.

    Raises:
        ValueError: the image has another shape, the crop is empty or leaves it, or a
            size is not a whole number >= 1.

    Source: `torchvision.transforms.v2.functional.resized_crop` returns the same.
    """
    require_picture(image)
    x1, y1, x2, y2 = require_crop(crop, *image.shape[-2:])
    cut = image[..., y1:y2, x1:x2].reshape(-1, *image.shape[-3:-2], y2 - y1, x2 - x1)
    pair = size_pair("size", size)
    # In float32 at least, since torch smooths nothing in half precision.
    resized = F.interpolate(
        at_least_float32(cut), pair, mode="bilinear", antialias=True
    ).to(image.dtype)
    return resized.reshape(*image.shape[:-2], *pair)


def random_resized_crop(
    image: Tensor,
    size: int | tuple[int, int],
    boxes: Tensor | None = None,
    *,
    scale: tuple[float, float] = (0.08, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
    generator: torch.Generator | None = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Cut a random box out of a picture and resize it, and move its boxes along.

    Args:
        image: (C, H, W), or (B, C, H, W) with a crop for each picture.
        size: height and width afterwards, or one number for both.
        boxes: (N, 4), xyxy in pixels, by their edges; only with a single picture.
        scale: least and largest share of the picture's area, in (0, 1].
        ratio: least and largest width / height of the crop.
        generator: where the numbers come from.

    Returns:
        (C, h, w) or (B, C, h, w), with h, w from `size`; with boxes, the picture and
        the boxes (N, 4), see `crop_boxes`.

    Raises:
        ValueError: as `sample_crop` and `resized_crop`; a box leaves the picture, or
            boxes come with a batch.

    Source: Szegedy et al., Going Deeper with Convolutions, CVPR 2015.
    """
    require_picture(image)
    options = {"scale": scale, "ratio": ratio, "generator": generator}
    if image.dim() == 4:
        if boxes is not None:
            _check_boxes_of(image, boxes)
        return torch.stack([random_resized_crop(one, size, **options) for one in image])
    crop = sample_crop(*image.shape[-2:], **options)
    resized = resized_crop(image, crop, size)
    if boxes is None:
        return resized
    _check_boxes_of(image, boxes)
    return resized, crop_boxes(boxes, crop, size)


def random_affine(
    images: Tensor,
    *,
    degrees: float = 0.0,
    shift: float = 0.0,
    zoom: float = 0.0,
    p: float = 1.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Turn, move and scale each picture at random about its middle.

    Args:
        images: (C, H, W), or (B, C, H, W) with a draw for each picture.
        degrees: the angle is uniform in [-degrees, degrees]; at most 180.
        shift: how far, in parts of height and width; uniform in [-shift, shift].
        zoom: the factor is uniform in [1 - zoom, 1 + zoom]; zoom is below 1.
        p: the probability of a change at all, in [0, 1]. What is changed is resampled,
            and a little blurred by that: below 1 a network sees sharp pictures, too.
        generator: where the numbers come from.

    Returns:
        The shape of `images`: bilinear; what comes from outside is 0.

    Raises:
        ValueError: another shape, or a strength out of its range.

    Source: the definition; `torchvision.transforms.v2.functional.affine` returns the
        same for the same numbers.
    """
    require_picture(images)
    require_share("degrees", degrees, "[0, 180]")
    require_share("shift", shift)
    require_share("zoom", zoom, "[0, 1)")
    require_share("p", p)
    batch = images.reshape(-1, *images.shape[-3:])
    height, width = images.shape[-2:]

    def draw(strength: float) -> Tensor:
        return strength * (2 * torch.rand(len(batch), generator=generator) - 1)

    angle, factor = draw(math.radians(degrees)), 1 + draw(zoom)
    x, y = draw(shift), draw(shift)
    sine, cosine = angle.sin() / factor, angle.cos() / factor
    # From where in the old picture each new pixel comes: the inverse of the change, in
    # units in which the picture reaches from -1 to 1 each way.
    rows = [cosine, sine * height / width, -sine * width / height, cosine]
    turn = torch.stack(rows, dim=1).view(-1, 2, 2)  # (B, 2, 2)
    move = -turn @ torch.stack([2 * x, 2 * y], dim=1)[..., None]
    inverse = torch.cat([turn, move], dim=2).to(batch.device, batch.dtype)  # (B, 2, 3)
    grid = F.affine_grid(inverse, list(batch.shape), align_corners=False)
    changed = F.grid_sample(batch, grid, align_corners=False)
    if p < 1:
        coins = torch.rand(len(batch), generator=generator) < p
        coins = coins[:, None, None, None].to(batch.device)
        changed = torch.where(coins, changed, batch)
    return changed.reshape(images.shape)


def mixup(
    images: Tensor,
    targets: Tensor,
    *,
    alpha: float = 1.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Blend each picture with the one before it in the batch, and their targets alike.

    Args:
        images: (B, C, H, W).
        targets: (B, K), the probability of each class; `F.one_hot(labels, K).float()`.
        alpha: of the Beta(alpha, alpha) that the blend's weight is drawn from, > 0;
            small values keep near 0 and 1.
        generator: where the weight comes from; one for the whole batch.

    Returns:
        Images (B, C, H, W), and soft targets (B, K) whose rows add up to 1.

    Raises:
        ValueError: a shape does not fit, targets are not probabilities, or alpha is
            not positive.

    Source: Zhang et al., mixup: Beyond Empirical Risk Minimization, ICLR 2018.
    """
    _check_batch(images, targets)
    weight = _sample_beta(alpha, generator)
    # The batch is shuffled already, so the neighbor is a random partner.
    mixed = weight * images + (1 - weight) * images.roll(1, 0)
    return mixed, weight * targets + (1 - weight) * targets.roll(1, 0)


def cutmix(
    images: Tensor,
    targets: Tensor,
    *,
    alpha: float = 1.0,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Paste a box of the picture before it into each; targets by the share of pixels.

    Args:
        images: (B, C, H, W).
        targets: (B, K), the probability of each class; `F.one_hot(labels, K).float()`.
        alpha: of the Beta(alpha, alpha) that the kept share is drawn from, > 0.
        generator: where the box comes from; one for the whole batch.

    Returns:
        Images (B, C, H, W), and soft targets (B, K) whose rows add up to 1.

    Raises:
        ValueError: a shape does not fit, targets are not probabilities, or alpha is
            not positive.

    Source: Yun et al., CutMix: Regularization Strategy to Train Strong Classifiers with
        Localizable Features, ICCV 2019.
    """
    _check_batch(images, targets)
    height, width = images.shape[-2:]
    x1, y1, x2, y2 = _sample_patch(
        height, width, _sample_beta(alpha, generator), generator
    )
    mixed = images.clone()
    mixed[..., y1:y2, x1:x2] = images.roll(1, 0)[..., y1:y2, x1:x2]
    # Count what was pasted: the picture's border may have cut the box.
    pasted = (y2 - y1) * (x2 - x1) / (height * width)
    return mixed, (1 - pasted) * targets + pasted * targets.roll(1, 0)


def _middle_crop(
    height: int, width: int, ratio: tuple[float, float]
) -> tuple[int, int, int, int]:
    """The largest box of an allowed shape, in the middle."""
    shape = min(max(width / height, ratio[0]), ratio[1])
    w = min(width, max(1, round(height * shape)))
    h = min(height, max(1, round(width / shape)))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _sample_patch(
    height: int, width: int, kept: float, generator: torch.Generator | None
) -> tuple[int, int, int, int]:
    """A box of the picture's shape and 1 - kept of its area, cut off at the border."""
    half = 0.5 * math.sqrt(1 - kept)
    half_width, half_height = int(half * width), int(half * height)
    x, y = torch.rand(2, generator=generator).tolist()
    x, y = int(x * width), int(y * height)
    x1, x2 = max(x - half_width, 0), min(x + half_width, width)
    return x1, max(y - half_height, 0), x2, min(y + half_height, height)


def _sample_beta(alpha: float, generator: torch.Generator | None) -> float:
    require_positive("alpha", alpha)
    # torch's Beta takes no generator; numpy's takes a seed, and torch supplies it.
    seed = torch.randint(2**62, (), generator=generator).item()
    return np.random.default_rng(seed).beta(alpha, alpha)


def _check_boxes_of(image: Tensor, boxes: Tensor) -> None:
    if image.dim() != 3:
        raise ValueError(
            f"boxes must come with one picture (C, H, W), got {tuple(image.shape)}"
        )
    require_boxes_within(boxes, *image.shape[-2:])


def _check_range(name: str, bounds: tuple[float, float], highest: float) -> None:
    low, high = bounds
    if not (0 < low <= high <= highest and high < math.inf):
        raise ValueError(
            f"{name} must be two numbers, 0 < low <= high <= {highest}, got {bounds}"
        )


def _check_batch(images: Tensor, targets: Tensor) -> None:
    if images.dim() != 4 or not images.is_floating_point() or 0 in images.shape:
        raise ValueError(
            "images must be (B, C, H, W), floating point and not empty, got "
            f"{tuple(images.shape)} of {images.dtype}"
        )
    if targets.dim() != 2 or len(targets) != len(images):
        raise ValueError(
            f"targets must be (B, K) with B = {len(images)} (for labels: "
            f"F.one_hot(labels, K).float()), got {tuple(targets.shape)}"
        )
    require_probabilities("targets", targets)
