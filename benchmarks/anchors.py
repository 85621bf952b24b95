"""The anchors chapter: beside d2l, on the page's sizes."""

import warnings

import torch

from benchmarks._timing import compare
from lesson_utils import anchors
from lesson_utils.common.compute import pick_device

SCALES, RATIOS = (0.75, 0.5, 0.25), (1, 2, 0.5)  # five anchors a pixel


def main() -> None:
    """Print the table, on the device there is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # d2l's meshgrid says nothing of its indexing
        from d2l import torch as d2l

        device = pick_device()
        for height, width in ((38, 50), (561, 728)):
            picture = torch.zeros(1, 3, height, width, device=device)
            compare(
                f"anchor_boxes, {height} x {width} x 5",
                lambda size=(height, width): _wait(
                    anchors.anchor_boxes(
                        *size, scales=SCALES, ratios=RATIOS, device=device
                    )
                ),
                lambda p=picture: _wait(d2l.multibox_prior(p, SCALES, RATIOS)),
                "d2l",
            )
        # Two scales and three ratios on 64 x 64 pixels: 4 x 4096 anchors.
        grid = anchors.anchor_boxes(
            64, 64, scales=SCALES[:2], ratios=RATIOS, device=device
        )
        for batch, truths in ((1, 4), (32, 10)):
            labels = _labels(batch, truths).to(device)
            compare(
                f"anchor_targets, {batch} x {len(grid)} anchors x {truths} truths",
                lambda x=labels: _wait(anchors.anchor_targets(grid, x)[0]),
                lambda x=labels: _wait(d2l.multibox_target(grid[None], x)[0]),
                "d2l",
            )


def _labels(batch: int, truths: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    classes = torch.randint(0, 4, (batch, truths, 1), generator=generator)
    center = 0.1 + 0.8 * torch.rand(batch, truths, 2, generator=generator)
    side = 0.1 + 0.4 * torch.rand(batch, truths, 2, generator=generator)
    return torch.cat([classes, center - side / 2, center + side / 2], dim=2)


def _wait(result: torch.Tensor) -> torch.Tensor:
    if result.is_cuda:
        torch.cuda.synchronize()
    return result
