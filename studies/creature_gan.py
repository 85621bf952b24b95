"""Train the book's generator of creatures in color; write its weights and their card.

    python -m studies.creature_gan [--fresh] [--out FOLDER]

A DCGAN of 32 × 32 pixels on three body plans. Its discriminator has no batch norm, but
a gradient penalty, and it sees how much the pictures of a batch differ; the generator's
weights are averaged. Why, tells the chapter's table of what failed (`studies.dcgan`).
"""

import copy

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import dcgan
from lesson_utils.common import generating
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.training import average_weights
from lesson_utils.data.creatures import Creatures
from studies.skeleton import Study

PLANS, SIZE = ("beetle", "blob", "crab"), 32
TRAIN, HELD_OUT = 4000, 256  # pictures; seeds 0 and 1 of `Creatures`
LATENT, GENERATOR, DISCRIMINATOR = 48, 24, 24  # latent numbers, channels
BATCH, RATE, BETA1, PENALTY, KEEP = 32, 1e-3, 0.0, 0.5, 0.998
STEPS, FALL = 8000, 2500  # the rate falls in the last ones


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, measure, write."""
    study = Study("creature_gan", __doc__, arguments, out=WEIGHTS)
    real, held_out = draw(TRAIN, 0), draw(HELD_OUT, 1)
    print(f"{len(real):,} pictures drawn in {study.seconds:.0f} s", flush=True)
    seed = study.options.seed
    generator, discriminator = players(seed)
    generator.average = copy.deepcopy(generator).requires_grad_(False)
    latents = torch.randn(
        512, LATENT, generator=torch.Generator().manual_seed(seed + 1)
    )

    def follow(step: int) -> None:
        keep = min(KEEP, step / (step + 10))
        average_weights(generator.average.layers, generator.layers, keep=keep)
        if step % 250 == 0:
            samples = generating.sample(generator.average, latents)
            found = color_distance(samples, real, held_out)
            print(f"step {step}: {study.seconds:.0f} s, colors {found:.3f}", flush=True)

    dcgan.train(
        generator,
        discriminator,
        real,
        epochs=STEPS // (TRAIN // BATCH),
        learning_rate=RATE,
        batch_size=BATCH,
        beta1=BETA1,
        penalty=PENALTY,
        schedule=hold_long_then_fall,
        seed=seed,
        checkpoint=study.checkpoint("training"),
        save_every=250,
        on_step=follow,
        progress=False,
    )
    average = generator.average.eval().half()  # half the bytes; as good to look at
    samples = generating.sample(copy.deepcopy(average).float(), latents)
    study.write_weights(
        average,
        data=f"{TRAIN:,} drawn creatures of three body plans, {SIZE} pixels",
        steps=STEPS,
        colors=round(color_distance(samples, real, held_out), 3),
        colors_of_grey=round(color_distance(grey(real), real, held_out), 3),
        colors_of_real=round(color_distance(real, real, held_out), 3),
        classes=list(PLANS),
    )


def draw(number: int, seed: int) -> Tensor:
    """Creatures (N, 3, S, S), uint8."""
    creatures = Creatures(number, seed=seed, image_size=SIZE, plans=PLANS)
    return torch.stack([(255 * image).round().byte() for image, _ in creatures])


def players(seed: int) -> tuple[dcgan.Generator, dcgan.Discriminator]:
    """Both networks, untrained."""
    torch.manual_seed(seed)
    generator = dcgan.Generator(
        latent_dim=LATENT, base_channels=GENERATOR, image_size=SIZE
    )
    discriminator = dcgan.Discriminator(
        base_channels=DISCRIMINATOR, image_size=SIZE, batch_norm=False, spread=True
    )
    return generator, discriminator


def hold_long_then_fall(step: int, *, steps: int, peak: float) -> float:
    """The peak, and in the last `FALL` steps what is left of it."""
    return peak * min(1.0, (steps - step) / FALL)


def grey(images: Tensor) -> Tensor:
    """Pictures (N, 3, S, S) in [0, 1] without color, of bytes."""
    return (images.float() / 255).mean(1, keepdim=True).expand(-1, 3, -1, -1)


def color_distance(images: Tensor, real: Tensor, held_out: Tensor) -> float:
    """The page's kernel distance of 4 × 4 colors to held-out pictures."""
    fields = [
        F.avg_pool2d(generating.unit_to_tanh_range(x), SIZE // 4).flatten(1)
        for x in (images[:512], held_out, real[:1024])
    ]
    center, scale = fields[2].mean(0), fields[2].std(0)
    samples, references = ((x - center) / scale for x in fields[:2])
    return generating.kernel_distance(samples, references).item()


if __name__ == "__main__":
    main()
