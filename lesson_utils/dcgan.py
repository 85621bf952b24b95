"""DCGAN: a generator and a discriminator made of convolutions, and their training.

The module of the chapter `book/generating/dcgan.ipynb`. Pictures are (B, C, S, S), S a
power of two from 8 on, C 3 for color and 1 for gray. As data they lie in [0, 1], as
everywhere in the book; inside the networks in [-1, 1], the range of the tanh at the
generator's end. Latent vectors are (B, latent_dim), standard normal.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.backbones import WEIGHTS, verified_card
from lesson_utils.common.generating import (
    gradient_penalty,
    minibatch_std,
    unit_to_tanh_range,
)
from lesson_utils.common.require import (
    require_not_negative,
    require_positive,
    require_share,
    require_whole,
)
from lesson_utils.common.schedules import hold_then_fall
from lesson_utils.common.training import Run, drawer

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_LOSSES, _REAL = ("discriminator_loss", "generator_loss"), "real_probability"
MEASURES = (*_LOSSES, _REAL, "fake_probability")  # `train` writes down at each step
PENALTY_EVERY = 8  # steps: the gradient's length changes slowly, and costs much
_NOISE = 2  # what random numbers are drawn for, beside `ORDER` and `CHANGE`


def initialize(network: nn.Module, *, generator: torch.Generator | None = None) -> None:
    """Draw a network's weights as DCGAN does, in place.

    Convolutions, transposed or not: weights N(0, 0.02²), biases 0. Batch norm: weights
    N(1, 0.02²), biases 0, so that it begins near the identity. All else stays.

    Args:
        network: with such layers, however deep inside.
        generator: draws the numbers; torch's global one by default.

    Source: Radford et al., 2016, section 4 (N(0, 0.02²)); that batch norm is drawn
        round 1 is in the authors' published code, not in the paper.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, 0.02, generator=generator)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


class Generator(nn.Module):
    """From a latent vector to a picture, twice the size at each step.

    Args:
        latent_dim: the length of a latent vector (B, latent_dim).
        base_channels: channels of the last hidden layer, at S / 2; twice as many at
            each smaller size.
        image_size: S, a power of two from 8 on.
        channels: C, 3 for color or 1 for gray.
        resize: double by repeating each pixel and a 3 x 3 convolution, instead of by a
            transposed convolution.

    Raises:
        ValueError: a size is not as said, or the latents are not (B, latent_dim).

    Source: Radford et al., 2016, figure 1 (there base_channels is 128); `resize` is
        Odena et al., Deconvolution and Checkerboard Artifacts, Distill, 2016.
    """

    def __init__(
        self,
        *,
        latent_dim: int = 100,
        base_channels: int = 64,
        image_size: int = 64,
        channels: int = 3,
        resize: bool = False,
    ) -> None:
        super().__init__()
        require_whole("latent_dim", latent_dim)
        require_whole("base_channels", base_channels)
        require_whole("channels", channels)
        self.latent_dim = latent_dim
        double = _resized if resize else _transposed
        widths = _widths(base_channels, image_size)[::-1]  # 8c, 4c, 2c, c at S = 64
        layers = [nn.ConvTranspose2d(latent_dim, widths[0], 4, bias=False)]
        for width, following in pairwise(widths):
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers += double(width, following, bias=False)
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, *double(widths[-1], channels, bias=True))
        initialize(self)

    def forward(self, latents: Tensor) -> Tensor:
        """Pictures of latent vectors.

        Args:
            latents: (B, latent_dim).

        Returns:
            (B, C, S, S), in [-1, 1].
        """
        if latents.dim() != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(
                f"latents must be (B, {self.latent_dim}), got {tuple(latents.shape)}"
            )
        return self.layers(latents[:, :, None, None]).tanh()


class Discriminator(nn.Module):
    """From a picture to one logit: above 0 it is taken for real.

    Args:
        base_channels: as of `Generator`.
        image_size: S, a power of two from 8 on.
        channels: C, of a picture.
        negative_slope: of the leaky ReLU; 0 makes it a ReLU.
        batch_norm: in all layers but the first; without it weights begin as He's.
        spread: let the last layer see how much each group of eight pictures differs.

    Raises:
        ValueError: a size is not as said, or the pictures are not (B, C, S, S).

    Source: Radford et al., 2016, sections 3 and 4; `spread` is Karras et al.,
        Progressive Growing of GANs, ICLR 2018, section 3.
    """

    def __init__(
        self,
        *,
        base_channels: int = 64,
        image_size: int = 64,
        channels: int = 3,
        negative_slope: float = 0.2,
        batch_norm: bool = True,
        spread: bool = False,
    ) -> None:
        super().__init__()
        require_whole("base_channels", base_channels)
        require_whole("channels", channels)
        self.shape = (channels, image_size, image_size)
        widths = _widths(base_channels, image_size)  # c, 2c, 4c, 8c at S = 64
        layers = [nn.Conv2d(channels, widths[0], 4, stride=2, padding=1)]
        layers += [nn.LeakyReLU(negative_slope, inplace=True)]
        for width, following in pairwise(widths):
            bias = not batch_norm  # batch norm has one of its own
            layers += [nn.Conv2d(width, following, 4, stride=2, padding=1, bias=bias)]
            layers += [nn.BatchNorm2d(following)] if batch_norm else []
            layers += [nn.LeakyReLU(negative_slope, inplace=True)]
        layers += [_Spread()] if spread else []
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1] + spread, 1, 4))
        initialize(self)
        if not batch_norm:
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    nn.init.kaiming_normal_(layer.weight, negative_slope)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of pictures.

        Args:
            images: (B, C, S, S), in [-1, 1].

        Returns:
            (B,).
        """
        if images.shape[1:] != self.shape:
            raise ValueError(
                f"images must be (B, {', '.join(map(str, self.shape))}), got "
                f"{tuple(images.shape)}"
            )
        return self.layers(images).flatten()


class _Spread(nn.Module):
    """One more channel: at each place, how much the pictures of a group differ."""

    def forward(self, features: Tensor) -> Tensor:
        spread = minibatch_std(features.flatten(1))[:, -1, None, None, None]  # (B, 1…)
        return torch.cat([features, spread.expand_as(features[:, :1])], dim=1)


def creature_generator() -> Generator:
    """The book's own generator of creatures in color, 32 pixels, of 48 latent numbers.

    Returns:
        The network, in evaluation mode.

    Raises:
        ValueError: the weights or their card are missing or broken.

    Source: `studies.creature_gan`.
    """
    from safetensors.torch import load_file  # not on every GPU server

    path = WEIGHTS / "creature_gan.safetensors"
    verified_card(path)
    generator = Generator(latent_dim=48, base_channels=24, image_size=32)
    generator.load_state_dict(load_file(path))  # float16, to float32
    return generator.eval()


def train(
    generator: Generator,
    discriminator: Discriminator,
    images: Tensor,
    *,
    epochs: int = 20,
    learning_rate: float = 2e-4,
    batch_size: int = 128,
    beta1: float = 0.5,
    penalty: float = 0.0,
    change: Callable[..., Tensor] | None = None,
    schedule: Callable[..., float] = hold_then_fall,
    seed: int = 0,
    fabric: Fabric | None = None,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    on_step: Callable[[int], None] | None = None,
    progress: bool = True,
) -> dict[str, list[float]]:
    """Train both networks in place, step by step in turn, at one learning rate.

    Order and noise of a step depend on `seed` and its number alone: a run that is
    resumed goes on as if it had never stopped.

    Args:
        generator: (B, latent_dim) to (B, C, S, S).
        discriminator: (B, C, S, S) to (B,).
        images: (N, C, S, S), uint8, or floating point in [0, 1].
        epochs: passes over the images; what does not fill a batch is left for the next.
        learning_rate: of both; `schedule` lets it fall.
        batch_size: pictures a step, in all processes together.
        beta1: Adam's, the share of the last direction that is kept.
        penalty: the weight of `gradient_penalty`, which is added at every eighth step,
            eight times as heavy.
        change: `change(pictures, generator=…)` returns what is seen in their place.
        schedule: one of `common.schedules`.
        seed: of the order of the pictures and of the noise.
        fabric: as for `Run`, like the next three.
        checkpoint: a file, to go on from if it is there.
        save_every: in steps; an epoch's by default.
        progress: whether to show a bar.
        on_step: called with the number of steps done; it must leave all as it was.

    Returns:
        For each of `MEASURES` one number a step: the two losses, and the mean of D on
        real pictures and on the generator's, before it learned from them.

    Raises:
        ValueError: as `Run`, or the images are not as said.
        FloatingPointError: a loss is no longer a number.

    Source: Radford et al., 2016, section 4.
    """
    require_whole("epochs", epochs)
    require_whole("batch_size", batch_size)
    require_positive("learning_rate", learning_rate)
    require_share("beta1", beta1, "[0, 1)")
    require_not_negative("penalty", penalty)
    if images.dim() != 4 or len(images) < batch_size:
        raise ValueError(
            f"images must be (N, C, S, S) with N at least the batch size {batch_size}, "
            f"got {tuple(images.shape)}"
        )
    players = (generator, discriminator)
    adam = {"lr": learning_rate, "betas": (beta1, 0.999), "fused": True}
    optimizers = [torch.optim.Adam(each.parameters(), **adam) for each in players]
    each = len(images) // batch_size  # steps an epoch
    run = Run(
        players,
        optimizers,
        number=len(images),
        steps=epochs * each,
        batch_size=batch_size,
        seed=seed,
        schedule=schedule,
        settings={"rate": learning_rate, "beta1": beta1, "penalty": penalty},
        fabric=fabric,
        checkpoint=checkpoint,
        save_every=each if save_every is None else save_every,
        progress=progress,
    )
    own = slice(run.fabric.global_rank, None, run.fabric.world_size)
    for step in run:
        (real,) = run.batch(images, change=change)
        dice = drawer(seed, _NOISE, step)
        noise = torch.randn(batch_size, generator.latent_dim, generator=dice)[own]
        row = train_step(
            *zip(run.networks, run.optimizers, strict=True),
            unit_to_tanh_range(real),
            run.fabric.to_device(noise),
            run.fabric,
            penalty=0.0 if step % PENALTY_EVERY else PENALTY_EVERY * penalty,
        )
        run.note(**dict(zip(MEASURES, row, strict=True)))
        if on_step is not None:
            on_step(step + 1)
    return run.history


def train_step(
    generating: tuple[nn.Module, torch.optim.Optimizer],
    judging: tuple[nn.Module, torch.optim.Optimizer],
    real: Tensor,
    noise: Tensor,
    fabric: Fabric,
    *,
    penalty: float = 0.0,
) -> Tensor:
    """One step of the discriminator, then one of the generator.

    Args:
        generating: the generator and its optimizer, as Fabric has set them up.
        judging: the discriminator and its optimizer, likewise.
        real: (B, C, S, S), in [-1, 1].
        noise: (B, latent_dim).
        fabric: it takes the gradients, in its precision and over all processes.
        penalty: the weight of `gradient_penalty` in this step.

    Returns:
        (4,), the step's row of `MEASURES`, on the device of `real`.

    Source: Goodfellow et al., Generative Adversarial Nets, 2014, algorithm 1.
    """
    generator, generator_optimizer = generating
    discriminator, discriminator_optimizer = judging
    fake = generator(noise)
    discriminator_optimizer.zero_grad()
    # Two batches, one after the other: batch norm sees them apart. Each has its own
    # backward: in several processes a second forward changes what the first one needs.
    real_logits = discriminator(real).float()
    real_loss = F.softplus(-real_logits).mean() / 2
    slopes = 0.0
    if penalty:
        # Fabric's wrapper lets no gradient be taken but by its own backward.
        with fabric.autocast():
            logits = discriminator.module(real.requires_grad_()).float()
        slopes = penalty * gradient_penalty(logits, real)
    fabric.backward(real_loss + slopes)
    fake_logits = discriminator(fake.detach()).float()
    fake_loss = F.softplus(fake_logits).mean() / 2
    fabric.backward(fake_loss)
    discriminator_optimizer.step()

    generator_optimizer.zero_grad()
    # The gradient passes through the discriminator and is not kept there. In several
    # processes the outer module would wait for such gradients: ask the inner one.
    discriminator.requires_grad_(False)
    with fabric.autocast():
        logits = discriminator.module(fake)
    generator_loss = F.softplus(-logits.float()).mean()
    fabric.backward(generator_loss)
    generator_optimizer.step()
    discriminator.requires_grad_(True)
    probabilities = torch.stack([real_logits, fake_logits]).sigmoid().mean(1)
    losses = torch.stack([real_loss + fake_loss, generator_loss])
    return torch.cat([losses, probabilities]).detach()


def _transposed(width: int, following: int, *, bias: bool) -> list[nn.Module]:
    return [nn.ConvTranspose2d(width, following, 4, stride=2, padding=1, bias=bias)]


def _resized(width: int, following: int, *, bias: bool) -> list[nn.Module]:
    convolution = nn.Conv2d(width, following, 3, padding=1, bias=bias)
    return [nn.Upsample(scale_factor=2), convolution]


def _widths(base_channels: int, image_size: int) -> list[int]:
    """Channels from S / 2 down to 4 pixels."""
    if image_size < 8 or image_size & (image_size - 1):
        raise ValueError(f"image_size must be a power of two >= 8, got {image_size}")
    return [base_channels << k for k in range(image_size.bit_length() - 3)]
