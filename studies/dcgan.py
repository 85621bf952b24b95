"""What has to change in DCGAN's recipe before its creatures have colors.

    python -m studies.dcgan [--seeds 1] [--fresh] [--out FILE]

All rows train for as many steps, from the same first weights of the generator. The
last row's settings are those of `studies.creature_gan`, which goes on for longer.
"""

import copy
from functools import partial

import torch
from torchvision.utils import make_grid

from lesson_utils import dcgan
from lesson_utils.common import generating
from lesson_utils.common.training import average_weights
from studies.creature_gan import (
    BATCH,
    DISCRIMINATOR,
    GENERATOR,
    HELD_OUT,
    KEEP,
    LATENT,
    PENALTY,
    RATE,
    SIZE,
    TRAIN,
    color_distance,
    draw,
    grey,
)
from studies.skeleton import Study

EPOCHS = 3
PAPER = {"batch_norm": True, "penalty": 0.0, "beta1": 0.5, "spread": False}
STEADY = {"batch_norm": False, "penalty": PENALTY}
RECIPES = {
    "DCGAN's recipe": {},
    "the same, β₁ = 0": {"beta1": 0.0},
    "no BN in D": {"batch_norm": False},
    "no BN, penalty": STEADY,
    "no BN, penalty, β₁ = 0": {**STEADY, "beta1": 0.0},
    "all, and D sees spreads": {**STEADY, "beta1": 0.0, "spread": True},
}


def main(arguments: list[str] | None = None) -> None:
    """Draw the creatures, train each recipe with each seed, measure, write."""
    study = Study("dcgan", __doc__, arguments, seeds=1)
    real, held_out = draw(TRAIN, 0), draw(HELD_OUT, 1)
    for seed in study.seeds:
        for name, change in RECIPES.items():
            study.row(
                {"recipe": name, "seed": seed},
                partial(measure, real, held_out, PAPER | change, seed),
            )
    # Twelve samples of each row, as whole numbers, are for the picture alone.
    shown = [torch.tensor(row.pop("shown")) for row in study.rows][: len(RECIPES)]
    study.picture("recipes", make_grid(torch.cat(shown) / 255, 12, pad_value=1.0))
    study.write(
        steps=EPOCHS * (TRAIN // BATCH),
        colors_of_grey=round(color_distance(grey(real), real, held_out), 3),
        colors_of_real=round(color_distance(real, real, held_out), 3),
    )


def measure(
    real: torch.Tensor, held_out: torch.Tensor, recipe: dict, seed: int
) -> dict:
    """One row: the distances of the colors, and twelve samples."""
    samples = train(real, recipe, seed)
    return {
        "colors": {
            kind: round(color_distance(images, real, held_out), 3)
            for kind, images in samples.items()
        },
        "shown": (255 * samples["averaged"][:12]).round().int().tolist(),
    }


def train(real: torch.Tensor, recipe: dict, seed: int) -> dict[str, torch.Tensor]:
    """Samples (512, 3, S, S) of the generator and of its averaged weights."""
    torch.manual_seed(seed)
    generator = dcgan.Generator(
        latent_dim=LATENT, base_channels=GENERATOR, image_size=SIZE
    )
    discriminator = dcgan.Discriminator(
        base_channels=DISCRIMINATOR,
        image_size=SIZE,
        batch_norm=recipe["batch_norm"],
        spread=recipe["spread"],
    )
    average = copy.deepcopy(generator)

    def follow(step: int) -> None:
        keep = min(KEEP, step / (step + 10))
        average_weights(average, generator, keep=keep)

    dcgan.train(
        generator,
        discriminator,
        real,
        epochs=EPOCHS,
        learning_rate=RATE,
        batch_size=BATCH,
        beta1=recipe["beta1"],
        penalty=recipe["penalty"],
        seed=seed,
        on_step=follow,
        progress=False,
    )
    dice = torch.Generator().manual_seed(seed + 1)
    latents = torch.randn(512, LATENT, generator=dice)
    return {
        "last": generating.sample(generator, latents),
        "averaged": generating.sample(average, latents),
    }


if __name__ == "__main__":
    main()
