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
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import Dataset

from lesson_utils.common.dtypes import as_floating, at_least_float32
from lesson_utils.common.require import (
    require_positive,
    require_probabilities,
    require_share,
    require_unit_range,
    require_whole,
    size_pair,
)


def flip_boxes(boxes: Tensor, width: int) -> Tensor:
    """Boxes in the mirrored picture: x becomes W - x, and left and right change places.

    Args:
        boxes: (N, 4), xyxy in pixels, by their edges.
        width: W, in pixels.

    Returns:
        (N, 4), with x1 <= x2 again; int64 for whole numbers.

    Raises:
        ValueError: boxes are not (N, 4), or one is not within 0 <= x1 <= x2 <= W.

    Source: the definition; `torchvision.transforms.v2.functional.horizontal_flip`
        returns the same.
    """
    _check_boxes(boxes, math.inf, width)
    # In bytes, a width of 300 less x would count from 0 again.
    boxes = boxes if boxes.is_floating_point() else boxes.long()
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    return torch.stack([width - x2, y1, width - x1, y2], dim=1)


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
    _check_picture(image)
    require_share("p", p)
    coins = _uniform(image, 0, 1, generator) < p  # () or (B,)
    flipped = torch.where(_per_picture(coins, image), image.flip(-1), image)
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
    _check_picture(image)
    x1, y1, x2, y2 = _checked_crop(crop, *image.shape[-2:])
    cut = image[..., y1:y2, x1:x2].reshape(-1, *image.shape[-3:-2], y2 - y1, x2 - x1)
    pair = size_pair("size", size)
    # In float32 at least, since torch smooths nothing in half precision.
    resized = F.interpolate(
        at_least_float32(cut), pair, mode="bilinear", antialias=True
    ).to(image.dtype)
    return resized.reshape(*image.shape[:-2], *pair)


def crop_boxes(
    boxes: Tensor, crop: Sequence[int], size: int | tuple[int, int]
) -> Tensor:
    """Boxes in a picture that is cropped and resized: shifted, clipped, scaled.

    Args:
        boxes: (N, 4), xyxy in pixels, by their edges.
        crop: (4,), x1, y1, x2, y2 in whole pixels of the same picture.
        size: height and width of the crop afterwards, or one number for both.

    Returns:
        (N, 4), floating point, within the new picture. A box that lay outside of the
        crop has no area now; drop it together with its label.

    Raises:
        ValueError: boxes are not (N, 4) with 0 <= x1 <= x2 and 0 <= y1 <= y2, the
            crop is empty or begins below 0, or a size is not a whole number >= 1.

    Source: the definition.
    """
    _check_boxes(boxes, math.inf, math.inf)
    x1, y1, x2, y2 = _checked_crop(crop, math.inf, math.inf)
    height, width = size_pair("size", size)
    boxes = as_floating(boxes)
    scale = boxes.new_tensor([width / (x2 - x1), height / (y2 - y1)] * 2)
    x = (boxes[:, 0::2] - x1).clamp(0, x2 - x1)  # (N, 2)
    y = (boxes[:, 1::2] - y1).clamp(0, y2 - y1)  # (N, 2)
    return torch.stack([x, y], dim=2).flatten(1) * scale


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
    _check_picture(image)
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


def adjust_brightness(images: Tensor, factor: float | Tensor) -> Tensor:
    """Blend with black: 0 is black, 1 changes nothing, 2 is twice as bright.

    Args:
        images: (3, H, W) or (B, 3, H, W), in [0, 1].
        factor: a number >= 0; or (B,), one for each picture of a batch.

    Returns:
        The shape of `images`, in [0, 1].

    Raises:
        ValueError: another shape, a value outside [0, 1], or a negative factor.

    Source: `torchvision.transforms.v2.functional.adjust_brightness` returns the same.
    """
    return _blend(images, images.new_zeros(()), factor)


def adjust_contrast(images: Tensor, factor: float | Tensor) -> Tensor:
    """Blend with the picture's mean grey: 0 is flat, 1 changes nothing.

    Args:
        images: (3, H, W) or (B, 3, H, W), in [0, 1].
        factor: a number >= 0; or (B,), one for each picture of a batch.

    Returns:
        The shape of `images`, in [0, 1].

    Raises:
        ValueError: another shape, a value outside [0, 1], or a negative factor.

    Source: `torchvision.transforms.v2.functional.adjust_contrast` returns the same.
    """
    return _blend(images, _to_gray(images).mean(dim=(-2, -1), keepdim=True), factor)


def adjust_saturation(images: Tensor, factor: float | Tensor) -> Tensor:
    """Blend each pixel with its own grey: 0 is grey, 1 changes nothing.

    Args:
        images: (3, H, W) or (B, 3, H, W), in [0, 1].
        factor: a number >= 0; or (B,), one for each picture of a batch.

    Returns:
        The shape of `images`, in [0, 1].

    Raises:
        ValueError: another shape, a value outside [0, 1], or a negative factor.

    Source: `torchvision.transforms.v2.functional.adjust_saturation` returns the same.
    """
    return _blend(images, _to_gray(images), factor)


def adjust_hue(images: Tensor, shift: float | Tensor) -> Tensor:
    """Turn the colour circle: 0.5 takes each colour to the opposite one.

    Args:
        images: (3, H, W) or (B, 3, H, W), in [0, 1].
        shift: in turns, in [-0.5, 0.5]; or (B,), one for each picture of a batch.

    Returns:
        The shape of `images`, in [0, 1].

    Raises:
        ValueError: another shape, a value outside [0, 1], or a shift out of its range.

    Source: Smith, Color Gamut Transform Pairs, SIGGRAPH 1978, for hue, saturation and
        value; `torchvision.transforms.v2.functional.adjust_hue` returns the same.
    """
    _check_colors(images)
    shift = _per_picture(_factor("shift", shift, images, -0.5, 0.5), images)
    hue, saturation, value = _rgb_to_hsv(images).split(1, dim=-3)
    return _hsv_to_rgb(torch.cat([(hue + shift) % 1, saturation, value], dim=-3))


def color_jitter(
    images: Tensor,
    *,
    brightness: float = 0.0,
    contrast: float = 0.0,
    saturation: float = 0.0,
    hue: float = 0.0,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Change brightness, contrast, saturation and hue at random, in random order.

    Args:
        images: (3, H, W), or (B, 3, H, W) with factors for each picture and one order.
        brightness: b in [0, 1]; the factor is uniform in [1 - b, 1 + b].
        contrast: likewise.
        saturation: likewise.
        hue: h in [0, 0.5]; the shift is uniform in [-h, h].
        generator: where the numbers come from.

    Returns:
        The shape of `images`, in [0, 1].

    Raises:
        ValueError: another shape, a value outside [0, 1], or a strength out of range.

    Source: `torchvision.transforms.v2.ColorJitter`; Howard, Some Improvements on Deep
        CNN Based Image Classification, arXiv:1312.5402.
    """
    _check_colors(images)
    parts = (
        ("brightness", adjust_brightness, brightness, 1),
        ("contrast", adjust_contrast, contrast, 1),
        ("saturation", adjust_saturation, saturation, 1),
        ("hue", adjust_hue, hue, 0),
    )
    for name, _, strength, middle in parts:
        require_share(name, strength, "[0, 1]" if middle else "[0, 0.5]")
    for index in torch.randperm(len(parts), generator=generator).tolist():
        _, adjust, strength, middle = parts[index]
        if strength:
            low, high = middle - strength, middle + strength
            images = adjust(images, _uniform(images, low, high, generator))
    return images


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
    # The batch is shuffled already, so the neighbour is a random partner.
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


def average_over_views(
    model: nn.Module, images: Tensor, views: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """Test-time augmentation: the mean of a model's probabilities over several views.

    Args:
        model: images to logits (..., K); call `eval()` on it before.
        images: (B, C, H, W).
        views: functions of a batch, such as the identity and a mirror.

    Returns:
        (..., K), probabilities.

    Raises:
        ValueError: there is no view.

    Source: Krizhevsky et al., ImageNet Classification with Deep CNNs, NeurIPS 2012.
    """
    if not views:
        raise ValueError(f"views must hold at least one function, got {views!r}")
    probabilities = [model(view(images)).softmax(dim=-1) for view in views]
    return torch.stack(probabilities).mean(dim=0)


class Augmented(Dataset):
    """A data set whose pictures are changed anew each time they are asked for.

    Args:
        dataset: its items are (image, label).
        transform: from an image to an image; it should draw from torch's global
            generator, which differs between the workers of a loader.

    Source: the definition.
    """

    def __init__(self, dataset: Dataset, transform: Callable[[Tensor], Tensor]) -> None:
        self.dataset = dataset
        self.transform = transform

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One item.

        Args:
            index: as of the data set below.

        Returns:
            The changed image, (C, H, W), and its label.
        """
        image, label = self.dataset[index]
        return self.transform(image), label


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


def _uniform(
    image: Tensor, low: float, high: float, generator: torch.Generator | None
) -> Tensor:
    """Numbers in [low, high): () for a picture, (B,) for a batch, on its device."""
    drawn = torch.rand(image.shape[:-3], generator=generator)
    return (low + (high - low) * drawn).to(image.device)


def _per_picture(values: Tensor, images: Tensor) -> Tensor:
    """() or (B,) in a shape that meets its pictures: (1, 1, 1) or (B, 1, 1, 1)."""
    return values.reshape(*values.shape, 1, 1, 1).to(images.device)


def _blend(images: Tensor, other: Tensor, factor: float | Tensor) -> Tensor:
    """A mixture of factor * images and (1 - factor) * other, within [0, 1]."""
    _check_colors(images)
    factor = _per_picture(_factor("factor", factor, images, 0, math.inf), images)
    return (factor * images + (1 - factor) * other).clamp(0, 1)


def _to_gray(images: Tensor) -> Tensor:
    """Brightness as the eye weighs it: (..., 1, H, W)."""
    _check_colors(images)
    weights = images.new_tensor([0.2989, 0.587, 0.114])[:, None, None]  # ITU-R 601
    return (images * weights).sum(dim=-3, keepdim=True)


def _rgb_to_hsv(images: Tensor) -> Tensor:
    """Hue in turns (red 0, green 1/3, blue 2/3), saturation, value: each in [0, 1]."""
    red, green, blue = images.unbind(dim=-3)
    value = images.amax(dim=-3)
    chroma = value - images.amin(dim=-3)
    step = chroma + (chroma == 0)  # grey: 0 / 1 instead of 0 / 0
    sixths = torch.where(
        value == red,
        (green - blue) / step,
        torch.where(value == green, (blue - red) / step + 2, (red - green) / step + 4),
    )
    return torch.stack([sixths / 6 % 1, chroma / (value + (value == 0)), value], dim=-3)


def _hsv_to_rgb(images: Tensor) -> Tensor:
    hue, saturation, value = images.split(1, dim=-3)  # each (..., 1, H, W)
    # How far round the circle each channel is from where it begins to fade, in sixths.
    start = images.new_tensor([5, 3, 1])[:, None, None]
    distance = (start + 6 * hue) % 6
    missing = torch.minimum(distance, 4 - distance).clamp(0, 1)
    return (value - value * saturation * missing).clamp(0, 1)


def _factor(
    name: str, value: float | Tensor, images: Tensor, low: float, high: float
) -> Tensor:
    """The factor as a tensor () or (B,) of the pictures' type, or a ValueError."""
    factor = torch.as_tensor(value, dtype=images.dtype)
    if factor.shape not in ((), images.shape[:-3]):
        raise ValueError(
            f"{name} must be a number or one for each picture, got shape "
            f"{tuple(factor.shape)} for images {tuple(images.shape)}"
        )
    within = (factor >= low) & (factor <= high) & factor.isfinite()
    if not within.all():
        raise ValueError(f"{name} must lie in [{low}, {high}], got {value}")
    return factor


def _check_picture(image: Tensor) -> None:
    if image.dim() not in (3, 4) or not image.is_floating_point() or 0 in image.shape:
        raise ValueError(
            "image must be (C, H, W) or (B, C, H, W), floating point and not empty, "
            f"got {tuple(image.shape)} of {image.dtype}"
        )


def _check_colors(images: Tensor) -> None:
    _check_picture(images)
    if images.shape[-3] != 3:
        raise ValueError(f"images must have 3 channels, got {tuple(images.shape)}")
    require_unit_range("images", images)


def _check_boxes_of(image: Tensor, boxes: Tensor) -> None:
    if image.dim() != 3:
        raise ValueError(
            f"boxes must come with one picture (C, H, W), got {tuple(image.shape)}"
        )
    _check_boxes(boxes, *image.shape[-2:])


def _check_boxes(boxes: Tensor, height: float, width: float) -> None:
    if boxes.dim() != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must be (N, 4), got shape {tuple(boxes.shape)}")
    x1, y1, x2, y2 = boxes.unbind(dim=1)
    inside = (x1 >= 0) & (x1 <= x2) & (x2 <= width)
    inside &= (y1 >= 0) & (y1 <= y2) & (y2 <= height)  # false for NaN, too
    if not inside.all():
        raise ValueError(
            f"boxes must have 0 <= x1 <= x2 <= {width} and 0 <= y1 <= y2 <= {height}, "
            f"got {boxes[~inside][0].tolist()}"
        )


def _checked_crop(crop: Sequence[int], height: float, width: float) -> tuple[int, ...]:
    numbers = tuple(crop)
    whole = len(numbers) == 4 and all(isinstance(n, int) for n in numbers)
    if whole:
        x1, y1, x2, y2 = numbers
        whole = 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
    if not whole:
        raise ValueError(
            f"crop must be whole numbers with 0 <= x1 < x2 <= {width} and "
            f"0 <= y1 < y2 <= {height}, got {crop}"
        )
    return numbers


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
