"""Train the book's network that enlarges photographs; write its weights and card.

    python -m studies.super_resolver [--steps 12000] [--fresh] [--out FOLDER]

An ESPCN for a factor of three, on the lightness of pieces of sixteen photographs. The
card says how far five others are from the originals: the peak signal-to-noise ratio of
each in decibels, lightness alone, without a margin of as many pixels as the factor.
"""

import argparse

import torch
from torch import Tensor, nn

from lesson_utils import upsampling
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.colors import to_gray
from lesson_utils.data.photographs import NAMES, photograph, random_crops
from studies.skeleton import Study

FACTOR, CROPS, SIDE, BATCH = 3, 8000, 54, 16


def main(arguments: list[str] | None = None) -> None:
    """Cut, train, measure, write."""
    study = Study("super_resolver", __doc__, arguments, out=WEIGHTS, add=add_options)
    options = study.options
    torch.manual_seed(options.seed)
    network = upsampling.ESPCN(FACTOR)
    checkpoint = study.checkpoint("training")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    upsampling.train(
        network,
        pieces(CROPS, options.seed),
        steps=options.steps,
        batch_size=BATCH,
        seed=options.seed,
        checkpoint=checkpoint,
        save_every=500,
    )
    psnr = judge(network.half().float())  # as it is read again
    study.write_weights(
        network.half(),
        data=f"{CROPS:,} pieces of {len(training_names())} photographs",
        steps=options.steps,
        psnr=psnr,
        psnr_bicubic=judge(None),
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=12000)


def training_names() -> list[str]:
    """The photographs that are not held out."""
    return [name for name in NAMES if name not in upsampling.HELD_OUT]


def pieces(number: int, seed: int) -> Tensor:
    """Lightness of pieces of the training photographs, (N, 1, S, S), uint8."""
    crops = random_crops(training_names(), number, size=SIDE, seed=seed)
    return torch.cat(
        [(255 * to_gray(part / 255)).round().byte() for part in crops.split(500)]
    )


@torch.no_grad()
def judge(network: nn.Module | None) -> dict[str, float]:
    """Decibels of each held-out photograph, enlarged from a third of its size."""
    return {
        name: round(decibels(*enlarged(name, network)), 2)
        for name in upsampling.HELD_OUT
    }


def enlarged(name: str, network: nn.Module | None) -> tuple[Tensor, Tensor]:
    """The lightness of a photograph made small and large again, and as it was."""
    image = to_gray(photograph(name))[None]
    height, width = (side // FACTOR * FACTOR for side in image.shape[2:])
    image = image[..., :height, :width]
    small = upsampling.shrink(image, FACTOR)
    return upsampling.enlarge(small, FACTOR, network).clamp(0, 1), image


def decibels(image1: Tensor, image2: Tensor) -> float:
    """The peak signal-to-noise ratio, without a margin of `FACTOR` pixels."""
    from skimage.metrics import peak_signal_noise_ratio

    inner = (slice(FACTOR, -FACTOR), slice(FACTOR, -FACTOR))
    pair = (image[0, 0][inner].numpy() for image in (image1, image2))
    return float(peak_signal_noise_ratio(*pair, data_range=1.0))


if __name__ == "__main__":
    main()
