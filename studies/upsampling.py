"""The upsampling chapter's table: one super-resolver with six ways to enlarge.

    python -m studies.upsampling [--steps 800] [--seeds 3] [--fresh] [--out FILE]

The two layers before it are the same, and so are pieces, order and steps. Each row has
the decibels that a head gains over bicubic interpolation, in the mean of the held-out
photographs, and how far the lattice of its factor stands out of their spectrum, before
the training and after it (1 for nothing). The last rows have that of the originals.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lesson_utils import upsampling
from lesson_utils.common.generating import lattice_power
from studies.skeleton import Study
from studies.super_resolver import FACTOR, decibels, enlarged, pieces

WIDTH, CROPS, BATCH, SPECTRUM = 32, 4000, 16, 288


def main(arguments: list[str] | None = None) -> None:
    """Train every head with every seed, measure, write."""
    study = Study("upsampling", __doc__, arguments, seeds=3, add=add_options)
    crops = pieces(CROPS, 0)
    for seed in study.seeds:
        for head in HEADS:
            key = {"head": head, "seed": seed}
            study.row(key, lambda h=head, s=seed: measure(h, s, crops, study.options))
    for name in upsampling.HELD_OUT:
        study.row(
            {"head": "the original", "photograph": name},
            lambda n=name: {"lattice": lattice(enlarged(n, None)[1])},
        )
    study.write(steps=study.options.steps, width=WIDTH)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=800)


def measure(
    head: str, seed: int, crops: Tensor, options: argparse.Namespace
) -> dict[str, object]:
    """One training: gains and lattices."""
    torch.manual_seed(seed)
    network = Enlarger(HEADS[head](WIDTH // 2))
    before = judge(network)
    upsampling.train(network, crops, steps=options.steps, batch_size=BATCH, seed=seed)
    after = judge(network)
    gains = [a - b for a, b in zip(after[0], judge(None)[0], strict=True)]
    mean = {"gain": sum(gains) / len(gains), "start": before[1], "end": after[1]}
    return {
        "parameters": sum(p.numel() for p in network.head.parameters()),
        "gains": [round(gain, 3) for gain in gains],
        **{name: round(value, 3) for name, value in mean.items()},
    }


class Enlarger(nn.Module):
    """The layers of an ESPCN, and a head of another kind."""

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.features = upsampling.ESPCN(FACTOR, width=WIDTH).features
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) to (B, 1, FACTOR * H, FACTOR * W)."""
        return self.head(self.features(images))


def shuffled(channels: int) -> nn.Module:
    """As ESPCN has it."""
    return nn.Sequential(
        nn.Conv2d(channels, FACTOR**2, 3, padding=1), nn.PixelShuffle(FACTOR)
    )


def shuffled_from_one(channels: int) -> nn.Module:
    """The same, but that all pixels of a block start from one kernel (ICNR)."""
    head = shuffled(channels)
    with torch.no_grad():
        for values in (head[0].weight, head[0].bias):
            values.copy_(values[:1].expand_as(values).clone())
    return head


def transposed(channels: int, kernel: int) -> nn.Module:
    """A transposed convolution, whose stamps overlap unless kernel and stride agree."""
    surplus = kernel - FACTOR
    return nn.ConvTranspose2d(
        channels,
        1,
        kernel,
        stride=FACTOR,
        padding=(surplus + 1) // 2,
        output_padding=surplus % 2,
    )


def resized(channels: int, mode: str) -> nn.Module:
    """Interpolation first, a convolution after it."""
    return nn.Sequential(
        nn.Upsample(scale_factor=FACTOR, mode=mode),
        nn.Conv2d(channels, 1, 9, padding=4),
    )


HEADS: dict[str, Callable[[int], nn.Module]] = {
    "pixel shuffle": shuffled,
    "pixel shuffle, equal start": shuffled_from_one,
    "transposed, 5 x 5": lambda channels: transposed(channels, 5),
    "transposed, 9 x 9": lambda channels: transposed(channels, 9),
    "nearest, then convolution": lambda channels: resized(channels, "nearest"),
    "bilinear, then convolution": lambda channels: resized(channels, "bilinear"),
}


@torch.no_grad()
def judge(network: nn.Module | None) -> tuple[list[float], float]:
    """Decibels of each held-out photograph, and the mean of their lattices."""
    pairs = [enlarged(name, network) for name in upsampling.HELD_OUT]
    values = [decibels(*pair) for pair in pairs]
    return values, sum(lattice(pair[0]) for pair in pairs) / len(pairs)


def lattice(image: Tensor) -> float:
    """`lattice_power` of the middle of a picture."""
    top, left = ((side - SPECTRUM) // 2 for side in image.shape[2:])
    middle = image[0, 0, top : top + SPECTRUM, left : left + SPECTRUM]
    return round(lattice_power(middle, FACTOR).item(), 3)


if __name__ == "__main__":
    main()
