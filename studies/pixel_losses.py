"""The pixel losses chapter's table: one denoiser, trained by five losses.

    python -m studies.pixel_losses [--steps 500] [--seeds 3] [--fresh] [--out FILE]

Network, pieces, order, noise and steps are the same for all losses. Each row judges the
middles of photographs that no network was trained on by every measure of the chapter:
mean absolute error, decibels, SSIM, MS-SSIM, and how far the mean of a color channel is
moved. The rows of no loss are the noisy pictures as they are.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor

from lesson_utils import pixel_losses as pl
from lesson_utils.data.photographs import NAMES, photograph, random_crops
from lesson_utils.upsampling import HELD_OUT
from studies.skeleton import Study

CROPS, SIDE, BATCH, WIDTH, NOISE = 4000, 40, 16, 24, 0.1
MIDDLE = 288  # of each photograph that is judged, in pixels
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "L2": pl.l2_loss,
    "L1": pl.l1_loss,
    "Huber": lambda x, y: pl.huber_loss(x, y, delta=0.03),
    "SSIM": lambda x, y: 1 - pl.ssim(x, y).mean(),
    "SSIM and L1": pl.mixed_loss,
}
DETAIL = (66, 46, 96)  # of the cat: top, left, side


def main(arguments: list[str] | None = None) -> None:
    """Train by every loss with every seed, judge, write."""
    study = Study("pixel_losses", __doc__, arguments, seeds=3, add=add_options)
    names = [name for name in NAMES if name not in HELD_OUT]
    crops = random_crops(names, CROPS, size=SIDE, seed=0)
    clean = torch.stack([middle(name) for name in HELD_OUT])
    dice = torch.Generator().manual_seed(0)
    noisy = clean + NOISE * torch.randn(clean.shape, generator=dice)
    study.row({"loss": "none", "seed": 0}, lambda: judge(noisy, clean))
    details = [detail(noisy)]
    for seed in study.seeds:
        for name, loss in LOSSES.items():
            weights = study.checkpoint(name.replace(" ", "-"), seed)

            def measure(loss=loss, seed=seed, weights=weights) -> dict[str, object]:
                return judge(denoised(loss, seed, weights, crops, noisy, study), clean)

            study.row({"loss": name, "seed": seed}, measure)
            if seed == 0:
                made = denoised(loss, seed, weights, crops, noisy, study)
                details.append(detail(made))
    details.append(detail(clean))
    study.picture("eyes", torch.cat(details, dim=2))
    study.write(steps=study.options.steps, width=WIDTH, noise=NOISE)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=500)


def denoised(
    loss: Callable[[Tensor, Tensor], Tensor],
    seed: int,
    checkpoint: object,
    crops: Tensor,
    noisy: Tensor,
    study: Study,
) -> Tensor:
    """The noisy pictures after a network of this loss, trained or read again."""
    torch.manual_seed(seed)
    network = pl.Denoiser(width=WIDTH)
    study.folder.mkdir(parents=True, exist_ok=True)
    pl.train(
        network,
        crops,
        loss,
        noise=NOISE,
        steps=study.options.steps,
        batch_size=BATCH,
        seed=seed,
        checkpoint=checkpoint,
        save_every=100,
        progress=False,
    )
    with torch.no_grad():
        return torch.cat([network(image[None]) for image in noisy])


def middle(name: str) -> Tensor:
    """The middle of a photograph, (3, MIDDLE, MIDDLE)."""
    image = photograph(name)
    top, left = ((side - MIDDLE) // 2 for side in image.shape[1:])
    return image[:, top : top + MIDDLE, left : left + MIDDLE]


def detail(images: Tensor) -> Tensor:
    """An eye out of the cat's picture, each pixel twice as wide and high."""
    top, left, side = DETAIL
    eye = images[
        HELD_OUT.index("chelsea"), :, top : top + side, left : left + side
    ].clamp(0, 1)
    return eye.repeat_interleave(2, 1).repeat_interleave(2, 2)


@torch.no_grad()
def judge(made: Tensor, clean: Tensor) -> dict[str, object]:
    """Every measure of every picture, and what all have in the mean."""
    moved = (made - clean).mean((2, 3)).abs().mean(1)  # (N,)
    made = made.clamp(0, 1)
    values = {
        "error": (made - clean).abs().mean((1, 2, 3)),
        "psnr": pl.psnr(made, clean),
        "ssim": pl.ssim(made, clean),
        "ms_ssim": pl.ms_ssim(made, clean),
        "moved": moved,
    }
    means = {name: round(each.mean().item(), 5) for name, each in values.items()}
    pictures = {
        f"{name}_of_each": [round(value, 4) for value in values[name].tolist()]
        for name in ("psnr", "ssim")
    }
    return means | pictures


if __name__ == "__main__":
    main()
