"""Motion between frames: differences, Lucas and Kanade's flow, and a gait's spectrum.

Frames are floating point, gray ones (..., H, W). Motion is x and y, in pixels from one
frame to the next: x to the right, y down.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_positive,
    require_shape,
    require_unit_range,
    require_whole,
)

SINGULAR = 1e-6  # the least ratio of eigenvalues with which a window has texture


def frame_difference(frames: Tensor) -> Tensor:
    """What changes from each frame to the next.

    Args:
        frames: (..., T, C, H, W), floating point, T at least 2.

    Returns:
        (..., T - 1, C, H, W): the later frame less the earlier one.

    Raises:
        ValueError: another shape, not floating point (bytes would wrap around), or
            fewer than two frames.

    Source: the definition.
    """
    require_shape("frames", frames, "... T C H W", floating=True)
    if frames.shape[-4] < 2:
        raise ValueError(f"frames must be 2 or more, got {frames.shape[-4]}")
    return frames.diff(dim=-4)


def lucas_kanade(first: Tensor, second: Tensor) -> Tensor:
    """How far the content of one window has moved, by least squares.

    Each inner pixel gives one equation, slope · shift = -change. Slopes are central
    differences of the mean of both windows, the change is second - first.

    Args:
        first: (H, W), floating point, gray, H and W at least 3.
        second: (H, W), the same window a frame later.

    Returns:
        (2,), x and y, in pixels.

    Raises:
        ValueError: another shape or dtype, or a window without texture: the smaller
            eigenvalue of the equations' 2 x 2 matrix is not above a millionth of the
            larger one, so that the shift along an edge, or any shift, is unknown.

    Source: Lucas and Kanade, An Iterative Image Registration Technique with an
        Application to Stereo Vision, IJCAI 1981; the mean of both is a refinement.
    """
    _require_windows(first, second)
    if first.dim() != 2:
        raise ValueError(f"first must be (H, W), got {tuple(first.shape)}")
    slopes, change = _slopes(first.double(), second.double())
    slopes, change = slopes.flatten(1).T, change.flatten()  # (N, 2), (N,)
    matrix = slopes.T @ slopes
    low, high = torch.linalg.eigvalsh(matrix.detach()).tolist()
    if not low > SINGULAR * high:  # true for NaN, too
        raise ValueError(
            f"first and second must have texture in two directions, got eigenvalues "
            f"{low:.3g} and {high:.3g}"
        )
    shift = torch.linalg.solve(matrix, -slopes.T @ change)
    return shift.to(torch.promote_types(first.dtype, second.dtype))


def optical_flow(
    first: Tensor,
    second: Tensor,
    *,
    window: int = 9,
    levels: int = 1,
    damping: float = 1e-4,
) -> Tensor:
    """The shift of each pixel: Lucas and Kanade's equations in a window around it.

    With more levels, pictures are halved first, the coarse shifts are doubled, the
    second picture is moved back by them, and only the rest is looked for.

    Args:
        first: (..., H, W), floating point, gray, in [0, 1].
        second: (..., H, W), a frame later.
        window: the side of the window, odd.
        levels: how many sizes, each half of the one before; 1 is the picture's only.
        damping: added to the mean squared slopes; it takes the shift to 0 where there
            is no texture.

    Returns:
        (..., 2, H, W), x and y, in pixels.

    Raises:
        ValueError: another shape or dtype, a picture smaller than 3 pixels at some
            level, an even window, or another number out of its range.

    Source: Lucas and Kanade, IJCAI 1981; coarse to fine as in Bouguet's pyramidal
        implementation.
    """
    _require_windows(first, second)
    require_unit_range("first", first)
    require_unit_range("second", second)
    require_whole("window", window)
    require_whole("levels", levels)
    require_positive("damping", damping)
    if window % 2 == 0:
        raise ValueError(f"window must be odd, got {window}")
    if min(first.shape[-2:]) < 3 * 2 ** (levels - 1):
        raise ValueError(
            f"levels must leave pictures of 3 pixels or more, got {levels} for "
            f"{tuple(first.shape)}"
        )
    shape, dtype = first.shape, torch.promote_types(first.dtype, second.dtype)
    a, b = (
        at_least_float32(x.to(dtype)).reshape(-1, 1, *shape[-2:])
        for x in (first, second)
    )
    flow = a.new_zeros(len(a), 2, *shape[-2:])
    for level in reversed(range(levels)):
        small = [F.avg_pool2d(x, 2**level) for x in (a, b)]
        size = small[0].shape[-2:]
        ratio = size[1] / flow.shape[-1]  # of the coarser level, or of the picture
        flow = F.interpolate(flow * ratio, size, mode="bilinear", align_corners=False)
        rest = _damped_flow(small[0], _moved(small[1], -flow), window, damping)
        flow = flow + rest
    return flow.reshape(*shape[:-2], 2, *shape[-2:]).to(dtype)


def gait_spectrum(flow: Tensor, *, length: int = 32) -> Tensor:
    """How much of each frequency is in the up and down of a video's middle.

    The mean of y over the middle half of the picture is a curve over time. Of its
    transform only the size is kept, so that it does not matter when a step begins.

    Args:
        flow: (B, T, 2, H, W), floating point, of T pairs of frames, T at least 2.
        length: the curve is filled up with zeros to so many numbers; at least T.

    Returns:
        (B, length // 2 + 1): frequency k is k / length cycles in a frame.

    Raises:
        ValueError: another shape or dtype, fewer than two pairs, or a length below T.

    Source: the definition.
    """
    require_shape("flow", flow, "B T 2 H W", floating=True)
    count, height, width = flow.shape[1], *flow.shape[3:]
    if count < 2 or min(height, width) < 2:
        raise ValueError(
            f"flow must be of 2 pairs and 2 x 2 pixels or more, got {tuple(flow.shape)}"
        )
    require_whole("length", length, count)
    middle = flow[:, :, 1, height // 4 : -(height // 4) or None]
    middle = at_least_float32(middle[..., width // 4 : -(width // 4) or None])
    curve = middle.mean((2, 3))  # (B, T)
    curve = curve - curve.mean(1, keepdim=True)
    # As a product with waves: a transform's modulus has no slope where it is 0.
    time = torch.arange(count, dtype=curve.dtype, device=curve.device)
    steps = torch.arange(length // 2 + 1, dtype=curve.dtype, device=curve.device)
    angles = 2 * torch.pi / length * time[:, None] * steps
    both = torch.stack([curve @ angles.cos(), curve @ angles.sin()], dim=-1)
    return torch.linalg.vector_norm(both, dim=-1).to(flow.dtype)


def _require_windows(first: Tensor, second: Tensor) -> None:
    require_shape("first", first, "... H W", floating=True)
    if second.shape != first.shape or not second.is_floating_point():
        raise ValueError(
            f"second must be {tuple(first.shape)} as first is, floating point, got "
            f"{tuple(second.shape)} of {second.dtype}"
        )
    if min(first.shape[-2:]) < 3:
        raise ValueError(
            f"first must have 3 rows and columns or more, got {tuple(first.shape)}"
        )


def _slopes(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Of the inner pixels: slopes along x and y, (2, ...), and the change."""
    mean = (first + second) / 2
    along_x = (mean[..., 1:-1, 2:] - mean[..., 1:-1, :-2]) / 2
    along_y = (mean[..., 2:, 1:-1] - mean[..., :-2, 1:-1]) / 2
    return torch.stack([along_x, along_y]), (second - first)[..., 1:-1, 1:-1]


def _moved(images: Tensor, flow: Tensor) -> Tensor:
    """(B, 1, H, W), its content moved by (B, 2, H, W) pixels; the border goes on."""
    height, width = images.shape[2:]
    y = torch.arange(height, dtype=flow.dtype, device=flow.device)[:, None]
    x = torch.arange(width, dtype=flow.dtype, device=flow.device)
    # A pixel's center lies at integers; grid_sample counts edges from -1 to 1.
    at_x = (2 * (x - flow[:, 0]) + 1) / width - 1
    at_y = (2 * (y - flow[:, 1]) + 1) / height - 1
    grid = torch.stack([at_x, at_y], dim=-1)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _damped_flow(first: Tensor, second: Tensor, window: int, damping: float) -> Tensor:
    """(B, 2, H, W) from (B, 1, H, W): the 2 x 2 equations of each pixel, solved."""
    first, second = (F.pad(x, (1, 1, 1, 1), mode="replicate") for x in (first, second))
    (ix, iy), it = _slopes(first, second)
    products = torch.cat([ix * ix, ix * iy, iy * iy, ix * it, iy * it], dim=1)
    sums = F.avg_pool2d(
        products, window, stride=1, padding=window // 2, count_include_pad=False
    )
    xx, xy, yy, xt, yt = sums.unbind(dim=1)
    xx, yy = xx + damping, yy + damping
    determinant = xx * yy - xy * xy  # above 0, by Cauchy and Schwarz
    u, v = (yt * xy - xt * yy) / determinant, (xt * xy - yt * xx) / determinant
    return torch.stack([u, v], dim=1)
