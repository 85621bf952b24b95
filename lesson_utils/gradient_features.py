"""Gradient features: directions of edges, read round a center or counted in cells.

The module of the chapter `book/foundations/gradient_features.ipynb`. Images are gray,
(..., H, W), floating point. x grows to the right and y downward. The *direction* of a
gradient is its angle in degrees, from x towards y, in [0, 360); its *orientation* is
the same angle modulo 180, so that an edge from dark to light and one from light to
dark have one orientation. Votes are counted, and so autograd gets no slopes of them.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils.common.require import require_shape, require_whole

CLIP, EPSILON = 0.2, 1e-5  # of the norm L2-Hys


def image_gradients(image: Tensor) -> tuple[Tensor, Tensor]:
    """How much brighter the right neighbor is than the left, the lower than the upper.

    Args:
        image: (..., H, W).

    Returns:
        Two tensors (..., H, W), along x and along y: differences over two pixels, not
        halved; 0 in the first and the last column, or row, which lack a neighbor.

    Raises:
        ValueError: the image is not floating point, has fewer than two dimensions, or
            is not finite.

    Source: Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, CVPR
        2005, section 6.2 (the mask -1, 0, 1).
    """
    _require_map("image", image)
    gradient_x, gradient_y = torch.zeros_like(image), torch.zeros_like(image)
    gradient_x[..., 1:-1] = image[..., 2:] - image[..., :-2]
    gradient_y[..., 1:-1, :] = image[..., 2:, :] - image[..., :-2, :]
    return gradient_x, gradient_y


def orientation_histogram(
    gradient_x: Tensor,
    gradient_y: Tensor,
    *,
    cell_size: int = 8,
    num_bins: int = 9,
    signed: bool = False,
) -> Tensor:
    """For each cell, how much gradient there is in each range of orientations.

    Args:
        gradient_x: (..., H, W).
        gradient_y: of the same shape.
        cell_size: c, the side of a cell in pixels; what fills no cell is left out.
        num_bins: n; bin k takes the orientations from 180 k / n up to, and without,
            180 (k + 1) / n degrees.
        signed: whether the bins divide 360 degrees, so that dark to light and light to
            dark are told apart.

    Returns:
        (..., H // c, W // c, n): sums of magnitudes over the c * c pixels of the cell.
        Each pixel votes for one bin only.

    Raises:
        ValueError: the gradients differ in shape, are not floating point or not finite,
            or a number is not whole or below 1.

    Source: Dalal and Triggs, CVPR 2005, section 6.3; whole votes, divided by the number
        of pixels, are scikit-image's.
    """
    _require_map("gradient_x", gradient_x)
    _require_map("gradient_y", gradient_y)
    if gradient_x.shape != gradient_y.shape:
        raise ValueError(
            f"gradient_y must be {tuple(gradient_x.shape)} as gradient_x, got "
            f"{tuple(gradient_y.shape)}"
        )
    require_whole("cell_size", cell_size)
    require_whole("num_bins", num_bins)
    *batch, height, width = gradient_x.shape
    rows, columns = height // cell_size, width // cell_size
    crop = (..., slice(rows * cell_size), slice(columns * cell_size))
    # In float32 an angle next to the end of a bin may fall on its other side.
    x, y = (each[crop].detach().double() for each in (gradient_x, gradient_y))
    span = 360 if signed else 180
    angles = torch.rad2deg(torch.atan2(y, x)).remainder(span)
    bins = (angles / (span / num_bins)).long().clamp(max=num_bins - 1)

    # All votes at once: number the bins of all cells of all images through.
    size = (math.prod(batch), rows, cell_size, columns, cell_size)
    numbers = torch.arange(size[0] * rows * columns, device=x.device)
    numbers = numbers.view(size[0], rows, 1, columns, 1).expand(size)
    votes = torch.bincount(
        (numbers * num_bins + bins.reshape(size)).flatten(),
        torch.hypot(x, y).flatten(),
        minlength=size[0] * rows * columns * num_bins,
    )
    votes = votes / cell_size**2
    return votes.view(*batch, rows, columns, num_bins).to(gradient_x.dtype)


def normalize_blocks(histogram: Tensor, *, block_size: int = 2) -> Tensor:
    """Blocks of neighboring cells, each block with its own length taken off.

    The length is taken twice: to 1, then what lies above 0.2 is cut, then to 1 again
    (L2-Hys). One strong edge can so no longer outvote all others.

    Args:
        histogram: (..., R, C, n), one histogram for each cell, not negative.
        block_size: b, cells along a side of a block; blocks overlap, a new one begins
            at every cell.

    Returns:
        (..., R - b + 1, C - b + 1, b, b, n); a block without gradients stays 0.

    Raises:
        ValueError: it is not floating point or has fewer than three dimensions,
            `block_size` is not a whole number >= 1, or there are fewer cells than that.

    Source: Dalal and Triggs, CVPR 2005, section 6.4; epsilon is scikit-image's.
    """
    require_shape("histogram", histogram, "... R C n", floating=True)
    require_whole("block_size", block_size)
    if min(histogram.shape[-3:-1]) < block_size:
        raise ValueError(
            f"block_size must be at most {min(histogram.shape[-3:-1])} for cells "
            f"{tuple(histogram.shape[-3:-1])}, got {block_size}"
        )
    blocks = histogram.unfold(-3, block_size, 1).unfold(-3, block_size, 1)
    blocks = _unit(_unit(blocks).clamp(max=CLIP))  # (..., R', C', n, b, b)
    return blocks.movedim(-3, -1)


def hog(
    image: Tensor,
    *,
    cell_size: int = 8,
    block_size: int = 2,
    num_bins: int = 9,
    signed: bool = False,
) -> Tensor:
    """Histograms of oriented gradients: one vector that says where edges lead.

    Args:
        image: (..., H, W).
        cell_size: as for `orientation_histogram`.
        block_size: as for `normalize_blocks`.
        num_bins: as for `orientation_histogram`.
        signed: likewise.

    Returns:
        (..., D), block by block, in it cell by cell, in it bin by bin: with R rows and
        C columns of cells D is (R - b + 1)(C - b + 1) b b n.

    Raises:
        ValueError: see the two functions, or the image has fewer cells than a block.

    Source: Dalal and Triggs, CVPR 2005; equal to scikit-image's `hog`, L2-Hys.
    """
    gradients = image_gradients(image)
    options = {"cell_size": cell_size, "num_bins": num_bins, "signed": signed}
    histogram = orientation_histogram(*gradients, **options)
    return normalize_blocks(histogram, block_size=block_size).flatten(-5)


def score_windows(blocks: Tensor, weight: Tensor, bias: float) -> Tensor:
    """A linear classifier's scores of all windows of an image, as one convolution.

    Args:
        blocks: (R, C, b, b, n), as `normalize_blocks` returns them for a whole image.
        weight: (r, c, b, b, n), the classifier's weights for a window of r * c blocks.
        bias: the classifier's.

    Returns:
        (R - r + 1, C - c + 1), one score for each window; the window of place (i, j)
        begins at cell (i, j). Empty where the image is smaller than the window.

    Raises:
        ValueError: the blocks of the two are of other shapes, not floating point, or
            the weight is empty.

    Source: the definition.
    """
    require_shape("blocks", blocks, "R C b b n", floating=True)
    b1, b2, bins = blocks.shape[2:]
    if weight.dim() != 5 or weight.shape[2:] != blocks.shape[2:] or not weight.numel():
        raise ValueError(
            f"weight must be (r, c, {b1}, {b2}, {bins}) and not empty, got "
            f"{tuple(weight.shape)}"
        )
    room = [max(blocks.shape[d] - weight.shape[d] + 1, 0) for d in (0, 1)]
    if 0 in room:
        return blocks.new_zeros(room)
    maps, kernel = (x.flatten(2).permute(2, 0, 1)[None] for x in (blocks, weight))
    return F.conv2d(maps, kernel.to(maps.dtype))[0, 0] + bias


def shape_signature(
    edges: tuple[Tensor, Tensor], center: tuple[float, float], *, num_sectors: int = 16
) -> Tensor:
    """The orientation of a shape's edges, read once round its center.

    The plane is cut into sectors round the center, from x towards y. In each the
    orientations are averaged, weighted by magnitude. Angles of 1 and 179 degrees are
    neighbors, so what is averaged are the points (cos 2a, sin 2a) of the unit circle.

    Args:
        edges: gradients along x and along y, (H, W) each.
        center: x and y, in pixels.
        num_sectors: how many there are.

    Returns:
        (num_sectors, 2), the mean points: on the unit circle where a sector's edges
        have one orientation, inside it where they differ; 0 in a sector without edges.

    Raises:
        ValueError: the gradients are not two finite maps of one shape, or `num_sectors`
            is not a whole number >= 1.

    Source: the definition.
    """
    x, y = (each.detach() for each in edges)
    _require_map("edges", x)
    require_shape("edges", x, "H W")
    require_shape("edges", y, "H W", H=x.shape[0], W=x.shape[1])
    _require_map("edges", y)
    require_whole("num_sectors", num_sectors)
    rows, columns = (torch.arange(n, device=x.device) for n in x.shape)
    around = torch.atan2(rows[:, None] - center[1], columns[None] - center[0])
    sectors = around.remainder(2 * math.pi) / (2 * math.pi / num_sectors)
    sectors = sectors.long().clamp(max=num_sectors - 1).flatten()
    magnitude, angle = torch.hypot(x, y), torch.atan2(y, x)
    sums = [
        torch.bincount(sectors, weights.flatten().double(), minlength=num_sectors)
        for weights in (
            magnitude * (2 * angle).cos(),
            magnitude * (2 * angle).sin(),
            magnitude,
        )
    ]
    total = sums[2].clamp(min=torch.finfo(torch.float64).tiny)
    return (torch.stack(sums[:2], dim=1) / total[:, None]).to(x.dtype)


def draw_glyphs(histogram: Tensor, *, size: int = 16) -> Tensor:
    """A picture of a histogram: in each cell short lines along the edges it counted.

    Args:
        histogram: (R, C, n) of unsigned orientations.
        size: the side of a cell in the picture, in pixels, at least 3.

    Returns:
        (R * size, C * size), in [0, 1]: a line runs across the gradient, as the edge
        itself does, and is the brighter the more was counted.

    Raises:
        ValueError: it is not (R, C, n), or `size` is not a whole number >= 3.

    Source: the definition.
    """
    require_shape("histogram", histogram, "R C n", floating=True)
    require_whole("size", size, 3)
    rows, columns, bins = histogram.shape
    histogram, middle = histogram.detach(), (size - 1) / 2
    offsets = torch.arange(size, device=histogram.device, dtype=histogram.dtype)
    offsets = offsets - middle
    angles = (torch.arange(bins, device=histogram.device) + 0.5) * math.pi / bins
    across, along = angles.cos()[:, None, None], angles.sin()[:, None, None]
    distance = (across * offsets[None, None, :] + along * offsets[None, :, None]).abs()
    reach = (offsets[:, None].square() + offsets.square()).sqrt() <= middle
    lines = (1 - distance).clamp(min=0) * reach  # (n, size, size)
    picture = torch.einsum("rcn,nij->ricj", histogram, lines.to(histogram.dtype))
    picture = picture.reshape(rows * size, columns * size)
    if not picture.numel():
        return picture
    return picture / picture.max().clamp(min=torch.finfo(picture.dtype).tiny)


def _unit(blocks: Tensor) -> Tensor:
    """Blocks (..., n, b, b) divided by their lengths."""
    squares = blocks.square().sum(dim=(-3, -2, -1), keepdim=True)
    return blocks / (squares + EPSILON**2).sqrt()


def _require_map(name: str, values: Tensor) -> None:
    require_shape(name, values, "... H W", floating=True)
    if not values.isfinite().all():
        raise ValueError(f"{name} must be finite, got NaN or an infinite value")
