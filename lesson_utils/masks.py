"""Masks: stencils for pixels, statistics, attention and losses.

The module of the chapter `book/foundations/masks.ipynb`. A mask is boolean, or a number
tensor of nothing but 0 and 1; True or 1 means "keep". Results are boolean. Boxes are
xyxy in pixels and name the first and the last one, so that the box of a single pixel is
(x, y, x, y). Masks of simple shapes are drawn by `lesson_utils.common.shapes`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils.common.require import (
    require_floating,
    require_unit_range,
    require_whole,
)


def apply_mask(image: Tensor, mask: Tensor) -> Tensor:
    """The picture where the mask is 1, and 0 elsewhere.

    This is the elementwise product of the two, but for one thing: what lies behind
    the mask cannot leak, though it be NaN or infinite (0 times NaN is NaN).

    Args:
        image: (..., H, W).
        mask: (H, W), or the shape of `image`; boolean or 0/1.

    Returns:
        The shape and dtype of `image`.

    Raises:
        ValueError: the shapes do not fit, the mask is not boolean or 0/1, or a kept
            value is NaN.

    Source: Gonzalez and Woods, Digital Image Processing, 2018 (elementwise operations).
    """
    mask = _as_boolean(mask, "mask")
    _check_shape(image, mask, "image")
    kept = torch.where(mask, image, 0)
    _check_not_nan(kept, "image")
    return kept


def masked_mean(
    values: Tensor, mask: Tensor, dim: int | tuple[int, ...] | None = None
) -> Tensor:
    """Mean of the kept values: their sum over their number, not over all.

    Args:
        values: (..., H, W), or any shape if the mask has the same; floating point.
            Values that are not kept may be NaN.
        mask: the shape of `values`, or (H, W); boolean or 0/1.
        dim: the dimension or dimensions of `values` to average over; None for all.

    Returns:
        `values` without the dimensions `dim`; a scalar () for None.

    Raises:
        ValueError: the shapes do not fit, the mask is not boolean or 0/1, nothing is
            kept for some mean, a kept value is NaN, or `values` are not floating
            point (a sum of uint8 pixels would have to choose a type).

    Source: the definition.
    """
    require_floating("values", values)
    mask = _as_boolean(mask, "mask")
    _check_shape(values, mask, "values")
    kept = torch.where(mask, values, 0)
    _check_not_nan(kept, "values")
    count = mask.expand_as(values).sum(dim=dim)
    if (count == 0).any():
        raise ValueError(
            f"mask keeps nothing for {int((count == 0).sum())} of {count.numel()} "
            "means: every mean needs at least one kept value"
        )
    return kept.sum(dim=dim) / count


def composite(foreground: Tensor, background: Tensor, alpha: Tensor) -> Tensor:
    """Lay one picture over another: alpha * foreground + (1 - alpha) * background.

    Args:
        foreground: (..., H, W), not multiplied by alpha beforehand.
        background: the shape of `foreground`.
        alpha: (H, W), or the shape of `foreground`; the foreground's share, in [0, 1]
            or boolean.

    Returns:
        The shape of `foreground`.

    Raises:
        ValueError: the shapes do not fit, or alpha leaves [0, 1] or is NaN.

    Source: Porter and Duff, Compositing Digital Images, SIGGRAPH 1984 ("over", onto
        an opaque background).
    """
    if foreground.shape != background.shape:
        raise ValueError(
            "foreground and background must have one shape, got "
            f"{tuple(foreground.shape)} and {tuple(background.shape)}"
        )
    _check_shape(foreground, alpha, "foreground", name="alpha")
    alpha = alpha.to(foreground.dtype)
    require_unit_range("alpha", alpha)
    return alpha * foreground + (1 - alpha) * background


def match_template(image: Tensor, template: Tensor) -> Tensor:
    """Zero-mean normalized cross-correlation of a template with every window.

    At each position the correlation coefficient of the template and the window under
    it, over pixels and channels together: 1 for a window that is the template up to
    brightness and contrast, -1 for its negative, 0 for a flat window.

    Args:
        image: (C, H, W), floating point.
        template: (C, h, w), of the dtype of `image`, with h <= H and w <= W.

    Returns:
        (H - h + 1, W - w + 1), in [-1, 1]; entry (i, j) is the window whose top left
        pixel is at x = j, y = i.

    Raises:
        ValueError: an argument is not (C, H, W) and floating point, the channels or
            dtypes differ, the template is larger than the picture or flat, or a
            value is NaN or infinite.

    Source: Lewis, Fast Template Matching, Vision Interface 1995.
    """
    _check_template(image, template)
    # One constant taken from the whole picture changes no coefficient, but it keeps
    # the difference of two large numbers below from eating the digits.
    image = _near_one(image - image.mean())[None]
    template = _near_one(template - template.mean())[None]
    numerator = F.conv2d(image, template)[0, 0]  # the window's mean drops out
    size = template.shape[2:]
    square_sum = _window_sums(image.square().sum(1), size)  # (H - h + 1, W - w + 1)
    energy = square_sum - _window_sums(image.sum(1), size).square() / template.numel()
    # What rounding leaves of a flat window's energy is not contrast.
    flat = energy <= 100 * torch.finfo(image.dtype).eps * square_sum
    score = numerator / (energy.where(~flat, 1) * template.square().sum()).sqrt()
    return score.where(~flat, 0).clamp(-1, 1)


def dilate(mask: Tensor, radius: int) -> Tensor:
    """Grow a mask: keep every pixel that has a kept one within `radius`.

    Args:
        mask: (..., H, W), boolean or 0/1.
        radius: r >= 0, in rows and in columns; the structuring element is the square
            of side 2r + 1.

    Returns:
        (..., H, W), boolean.

    Raises:
        ValueError: the mask is not boolean or 0/1 or has less than two dimensions, or
            the radius is not a whole number >= 0.

    Source: Serra, Image Analysis and Mathematical Morphology, 1982; a dilation is the
        maximum over the structuring element.
    """
    mask = _as_boolean(mask, "mask")
    if mask.dim() < 2:
        raise ValueError(f"mask must be (..., H, W), got shape {tuple(mask.shape)}")
    require_whole("radius", radius, 0)
    planes = mask.reshape(-1, 1, *mask.shape[-2:]).float()
    if not planes.numel():
        return mask
    # Pooling pads with -inf, so that the outside of the picture adds nothing. Rows
    # first and columns after is the same maximum in 2(2r + 1) steps for (2r + 1)^2.
    for side in ((2 * radius + 1, 1), (1, 2 * radius + 1)):
        padding = (side[0] // 2, side[1] // 2)
        planes = F.max_pool2d(planes, side, stride=1, padding=padding)
    return planes.reshape(mask.shape) > 0


def erode(mask: Tensor, radius: int) -> Tensor:
    """Shrink a mask: keep a pixel if all within `radius` rows and columns are kept.

    Growing the background is shrinking the mask. What lies outside of the picture
    counts as kept: the picture's border takes nothing away.

    Args:
        mask: (..., H, W), boolean or 0/1.
        radius: r >= 0, in pixels; the structuring element is the square of side 2r + 1.

    Returns:
        (..., H, W), boolean.

    Raises:
        ValueError: as `dilate`.

    Source: Serra, Image Analysis and Mathematical Morphology, 1982 (duality).
    """
    return ~dilate(~_as_boolean(mask, "mask"), radius)


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The smallest box round each mask.

    Args:
        masks: (N, H, W), boolean or 0/1.

    Returns:
        (N, 4), float32, xyxy: the first and last kept column and row, both included.
        A mask of one pixel therefore has a box of width x2 - x1 = 0.

    Raises:
        ValueError: masks are not (N, H, W) or not boolean or 0/1, or one is empty.

    Source: the definition; `torchvision.ops.masks_to_boxes` returns the same.
    """
    masks = _as_boolean(masks, "masks")
    _check_stack(masks, "masks")
    empty = (~masks.flatten(1).any(dim=1)).nonzero().flatten().tolist()
    if empty:
        raise ValueError(f"masks must each keep a pixel; empty: {empty}")
    boxes = masks.new_zeros(len(masks), 4, dtype=torch.float32)
    for box, mask in zip(boxes, masks, strict=True):
        y, x = mask.nonzero(as_tuple=True)
        box[:] = torch.stack([x.min(), y.min(), x.max(), y.max()])
    return boxes


def mask_iou(masks1: Tensor, masks2: Tensor) -> Tensor:
    """Intersection over union of every mask of one set with every mask of another.

    Args:
        masks1: (N, H, W), boolean or 0/1.
        masks2: (M, H, W), boolean or 0/1.

    Returns:
        (N, M), float32, in [0, 1]; two empty masks score 0, not NaN.

    Raises:
        ValueError: a set is not (N, H, W) or not boolean or 0/1, or the heights or
            widths differ.

    Source: Everingham et al., The PASCAL Visual Object Classes Challenge, IJCV 2010,
        for boxes; here pixels are counted.
    """
    masks1, masks2 = _as_boolean(masks1, "masks1"), _as_boolean(masks2, "masks2")
    _check_stack(masks1, "masks1")
    _check_stack(masks2, "masks2")
    if masks1.shape[1:] != masks2.shape[1:]:
        raise ValueError(
            "masks1 and masks2 must have one height and width, got "
            f"{tuple(masks1.shape)} and {tuple(masks2.shape)}"
        )
    # Counts, as floats for the matrix product: exact up to 2^24 pixels.
    masks1, masks2 = masks1.flatten(1).float(), masks2.flatten(1).float()
    intersection = masks1 @ masks2.T  # (N, M)
    union = masks1.sum(1)[:, None] + masks2.sum(1) - intersection
    return intersection / union.clamp(min=1)


def masked_softmax(logits: Tensor, mask: Tensor, dim: int = -1) -> Tensor:
    """Softmax over the kept logits; what is not kept gets exactly 0.

    Args:
        logits: any shape, floating point. Logits that are not kept may be anything.
        mask: the shape of `logits`, or (H, W) for logits (..., H, W); boolean or 0/1.
        dim: the dimension along which the kept probabilities add up to 1.

    Returns:
        The shape and dtype of `logits`. A row that keeps nothing is all zeros, with
        zero gradient, where a softmax over -inf alone is NaN.

    Raises:
        ValueError: the shapes do not fit, the mask is not boolean or 0/1, `logits`
            are not floating point, or a kept logit is NaN or +inf.

    Source: Vaswani et al., Attention Is All You Need, 2017, section 3.2.3 (masking by
        -inf before the softmax); zeros for an empty row are our choice.
    """
    require_floating("logits", logits)
    mask = _as_boolean(mask, "mask")
    _check_shape(logits, mask, "logits")
    logits = logits.masked_fill(~mask, float("-inf"))
    if not (logits < float("inf")).all():  # false for NaN, too
        raise ValueError("logits must not be NaN or +inf where the mask keeps them")
    # A row of nothing but -inf must not compute -inf - (-inf).
    top = (
        logits.detach().amax(dim, keepdim=True).clamp(min=torch.finfo(logits.dtype).min)
    )
    weights = (logits - top).exp()
    total = weights.sum(dim, keepdim=True)
    # Not clamp: a row with one kept logit sums to exactly 1, and a clamp at its bound
    # may drop the gradient. Only a row that keeps nothing sums to 0.
    return weights / (total + (total == 0))


def _as_boolean(mask: Tensor, name: str) -> Tensor:
    """The mask as booleans, or a ValueError if it is neither boolean nor 0/1."""
    if mask.dtype == torch.bool:
        return mask
    if not ((mask == 0) | (mask == 1)).all():
        raise ValueError(
            f"{name} must be boolean or hold only 0 and 1, got {mask.dtype} with "
            f"values in {_range(mask)}"
        )
    return mask.bool()


def _check_shape(values: Tensor, mask: Tensor, what: str, name: str = "mask") -> None:
    """Refuse what torch would broadcast by accident, such as (H,) against (H, H)."""
    fits = mask.shape == values.shape
    fits |= mask.dim() == 2 and mask.shape == values.shape[-2:]
    if not fits:
        raise ValueError(
            f"{name} must have the shape of {what}, {tuple(values.shape)}, or its last "
            f"two dimensions, got {tuple(mask.shape)}"
        )


def _check_not_nan(values: Tensor, name: str) -> None:
    if values.isnan().any():
        raise ValueError(
            f"{name} must not be NaN where the mask keeps them, got "
            f"{int(values.isnan().sum())} NaN of {values.numel()}"
        )


def _check_stack(masks: Tensor, name: str) -> None:
    if masks.dim() != 3:
        raise ValueError(f"{name} must be (N, H, W), got shape {tuple(masks.shape)}")


def _window_sums(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """The sum over every window of a plane (1, H, W): rows first, then columns."""
    for side in ((size[0], 1), (1, size[1])):
        plane = F.avg_pool2d(plane, side, stride=1) * (side[0] * side[1])
    return plane[0]


def _near_one(values: Tensor) -> Tensor:
    """Divided, without rounding, by a power of two, so that no square leaves its type.

    A coefficient of correlation does not see it.
    """
    largest = values.abs().amax()
    return values * torch.ldexp(torch.ones_like(largest), -torch.frexp(largest)[1])


def _check_template(image: Tensor, template: Tensor) -> None:
    for name, value in (("image", image), ("template", template)):
        if value.dim() != 3 or not value.is_floating_point():
            raise ValueError(
                f"{name} must be (C, H, W) and floating point, got "
                f"{tuple(value.shape)} of {value.dtype}"
            )
        if not value.isfinite().all():
            raise ValueError(f"{name} must be finite, got NaN or infinite values")
    if image.dtype != template.dtype or len(image) != len(template):
        raise ValueError(
            "template must have the image's channels and dtype, got "
            f"{len(template)} of {template.dtype} for {len(image)} of {image.dtype}"
        )
    if template.shape[1] > image.shape[1] or template.shape[2] > image.shape[2]:
        raise ValueError(
            f"template {tuple(template.shape)} must not be larger than the image "
            f"{tuple(image.shape)}"
        )
    if not template.numel() or template.amax() == template.amin():
        raise ValueError(
            f"template {tuple(template.shape)} must vary: a flat one has no correlation"
        )


def _range(values: Tensor) -> str:
    if not values.numel():
        return "[]"
    return f"[{values.min().item():g}, {values.max().item():g}]"
