"""InfoGAN: a generator whose inputs can be read off its pictures again.

The module of the chapter `book/generating/infogan.ipynb`. Pictures are (B, 1, 28, 28);
as data they lie in [0, 1], 1 being ink, inside the networks in [-1, 1]. A latent vector
(B, Z + K + C) has Z entries of noise, a category as a one-hot vector of K, and C
continuous codes. Information is measured in nats.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.backbones import WEIGHTS, verified_card
from lesson_utils.common.codes import join_latents
from lesson_utils.common.generating import unit_to_tanh_range
from lesson_utils.common.require import (
    require_images,
    require_labels,
    require_not_negative,
    require_positive,
    require_shape,
    require_whole,
)
from lesson_utils.common.training import Run, drawer

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SIDE = 28  # pixels, of a digit
MEASURES = (
    "discriminator_loss",
    "generator_loss",
    "categorical_loss",
    "continuous_loss",
)  # what `train` writes down at each step
_LATENTS = 2  # what random numbers are drawn for, beside `ORDER` and `CHANGE`


def sample_latents(
    batch: int,
    *,
    noise: int = 32,
    categories: int = 10,
    continuous: int = 2,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw noise and codes: normal, uniform over K, and uniform in [-1, 1].

    Args:
        batch: B.
        noise: Z, entries that nobody asks for again; 0 for none.
        categories: K, at least 2.
        continuous: C, 0 for none.
        generator: draws the numbers; torch's global one by default.

    Returns:
        Latent vectors (B, Z + K + C), the categories (B,), int64, from 0 to K - 1, and
        the values of the continuous codes (B, C).

    Raises:
        ValueError: a number is not whole, or too small.

    Source: Chen et al., InfoGAN, NIPS 2016, section 7.2; in appendix C.1 Z is 62.
    """
    require_whole("batch", batch)
    _require(noise, categories, continuous)
    codes = torch.randint(categories, (batch,), generator=generator)
    values = 2 * torch.rand(batch, continuous, generator=generator) - 1
    numbers = torch.randn(batch, noise, generator=generator)
    return join_latents(numbers, codes, values, categories), codes, values


def mutual_information_loss(
    logits: Tensor,
    codes: Tensor,
    means: Tensor,
    values: Tensor,
    *,
    deviation: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """How badly Q reads the codes off the pictures: -log Q of the true ones, averaged.

    What is missing to the mutual information's lower bound is the codes' entropy: for
    the category log K - categorical, for C uniform codes C log 2 - continuous.

    Args:
        logits: (B, K), Q's for the category.
        codes: (B,), the categories that the pictures were made with.
        means: (B, C), Q's for the continuous codes.
        values: (B, C), those that the pictures were made with.
        deviation: of Q's normal distributions around its means.

    Returns:
        The categorical part, a cross entropy, and the continuous part, the negative
        log-likelihood of `values`, summed over C; each (), the mean over the batch.

    Raises:
        ValueError: an empty batch, other shapes, a code out of range, a NaN in what was
            drawn, or a deviation that is not above 0.

    Source: Chen et al., InfoGAN, NIPS 2016, equation 5 and section 6.
    """
    require_shape("logits", logits, "B K", floating=True)
    require_labels("codes", codes, len(logits), logits.shape[1])
    require_shape("means", means, "B C", B=len(logits), floating=True)
    require_shape("values", values, "B C", B=len(logits), C=means.shape[1])
    require_positive("deviation", deviation)
    if not len(logits):
        raise ValueError("logits must be of at least one picture, got none")
    if values.isnan().any():
        raise ValueError("values must be numbers, got NaN")
    categorical = F.cross_entropy(logits, codes.long())
    squares = ((values - means) / deviation).square() / 2  # (B, C)
    constant = math.log(deviation) + math.log(2 * math.pi) / 2
    return categorical, (squares + constant).sum(dim=1).mean()


class Generator(nn.Module):
    """From noise and codes to a digit: a map of 7 x 7, doubled twice.

    Args:
        noise: Z.
        categories: K.
        continuous: C.
        channels: of the map of 14 x 14; that of 7 x 7 has twice as many.

    Raises:
        ValueError: a number is not whole or too small, or the latents' length.

    Source: Chen et al., InfoGAN, NIPS 2016, appendix C.1; there wider, with Z = 62.
    """

    def __init__(
        self,
        *,
        noise: int = 32,
        categories: int = 10,
        continuous: int = 2,
        channels: int = 16,
    ) -> None:
        super().__init__()
        _require(noise, categories, continuous, channels)
        self.noise, self.categories, self.continuous = noise, categories, continuous
        length, wide = noise + categories + continuous, 2 * channels
        self.layers = nn.Sequential(
            nn.Linear(length, wide * 7 * 7, bias=False),
            nn.BatchNorm1d(wide * 7 * 7),
            nn.ReLU(),
            nn.Unflatten(1, (wide, 7, 7)),
            nn.ConvTranspose2d(wide, channels, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.ConvTranspose2d(channels, 1, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Pictures of latent vectors.

        Args:
            latents: (B, Z + K + C).

        Returns:
            (B, 1, 28, 28), in [-1, 1].
        """
        length = self.noise + self.categories + self.continuous
        require_shape("latents", latents, "B D", D=length, floating=True)
        return self.layers(latents)


class DiscriminatorAndQ(nn.Module):
    """Two readers of a picture with one trunk: is it real, and what are its codes?

    Args:
        categories: K.
        continuous: C.
        channels: of the map of 14 x 14; that of 7 x 7 has twice as many.

    Attributes:
        trunk: from pictures to 128 features.
        real: from the features to the logit of being real.
        codes: from the features to what Q says: K logits, and C means.

    Raises:
        ValueError: a number is not whole or too small, or the pictures' shape.

    Source: Chen et al., InfoGAN, NIPS 2016, section 6 and appendix C.1.
    """

    def __init__(
        self, *, categories: int = 10, continuous: int = 2, channels: int = 16
    ) -> None:
        super().__init__()
        _require(0, categories, continuous, channels)
        self.categories, wide = categories, 2 * channels
        self.trunk = nn.Sequential(
            nn.Conv2d(1, channels, 4, stride=2, padding=1),
            nn.LeakyReLU(0.1),
            nn.Conv2d(channels, wide, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(wide),
            nn.LeakyReLU(0.1),
            nn.Flatten(),
            nn.Linear(wide * 7 * 7, 128, bias=False),
            nn.BatchNorm1d(128),
            nn.LeakyReLU(0.1),
        )
        self.real = nn.Linear(128, 1)
        self.codes = nn.Sequential(
            nn.Linear(128, 64, bias=False),
            nn.BatchNorm1d(64),
            nn.LeakyReLU(0.1),
            nn.Linear(64, categories + continuous),
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What D and Q say of pictures.

        Args:
            images: (B, 1, 28, 28), in [-1, 1].

        Returns:
            D's logits (B,), Q's logits of the category (B, K), and Q's means of the
            continuous codes (B, C).
        """
        require_shape("images", images, f"B 1 {SIDE} {SIDE}", floating=True)
        features = self.trunk(images)
        found = self.codes(features)
        logits, means = found[:, : self.categories], found[:, self.categories :]
        return self.real(features).flatten(), logits, means


def train(
    generator: Generator,
    network: DiscriminatorAndQ,
    images: Tensor,
    *,
    steps: int = 500,
    batch_size: int = 32,
    learning_rate: float = 1e-3,
    weight: float = 1.0,
    continuous_weight: float = 0.5,
    seed: int = 0,
    on_step: Callable[[int], None] | None = None,
    **run: object,
) -> dict[str, list[float]]:
    """Train both networks in place, step by step in turn.

    Args:
        generator: from latent vectors to pictures.
        network: D and Q, of as many codes.
        images: (N, 1, 28, 28), in [0, 1] or bytes.
        steps: batches of training.
        batch_size: pictures a step, in all processes together.
        learning_rate: Adam's, of both.
        weight: lambda of the category; 0 is a plain GAN, whose Q learns nothing.
        continuous_weight: lambda of the continuous codes, as a share of `weight`.
        seed: of the order of the pictures and of the latents.
        on_step: called with the number of steps done; it must leave all as it was.
        **run: of `lesson_utils.common.training.Run`, such as `checkpoint`.

    Returns:
        For each of `MEASURES` one number a step.

    Raises:
        ValueError: as `Run`, or a number is out of range.
        FloatingPointError: a loss is no longer a number.

    Source: Chen et al., InfoGAN, NIPS 2016, equation 6 and appendix C.
    """
    require_images("images", images, f"B 1 {SIDE} {SIDE}")
    require_positive("learning_rate", learning_rate)
    require_not_negative("weight", weight)
    require_not_negative("continuous_weight", continuous_weight)
    players = (generator, network)
    adam = {"lr": learning_rate, "betas": (0.5, 0.999), "fused": True}
    run = Run(
        players,
        [torch.optim.Adam(each.parameters(), **adam) for each in players],
        number=len(images),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        settings={"rate": learning_rate, "weights": (weight, continuous_weight)},
        **run,
    )
    own = slice(run.fabric.global_rank, None, run.fabric.world_size)
    for step in run:
        (real,) = run.batch(images)
        drawn = sample_latents(
            min(batch_size, len(images)),
            noise=generator.noise,
            categories=generator.categories,
            continuous=generator.continuous,
            generator=drawer(seed, _LATENTS, step),
        )
        row = train_step(
            *zip(run.networks, run.optimizers, strict=True),
            unit_to_tanh_range(real),
            run.fabric.to_device(tuple(part[own] for part in drawn)),
            run.fabric,
            weights=(weight, weight * continuous_weight),
        )
        run.note(**dict(zip(MEASURES, row, strict=True)))
        if on_step is not None:
            on_step(step + 1)
    return run.history


def train_step(
    generating: tuple[nn.Module, torch.optim.Optimizer],
    reading: tuple[nn.Module, torch.optim.Optimizer],
    real: Tensor,
    drawn: tuple[Tensor, Tensor, Tensor],
    fabric: Fabric,
    *,
    weights: tuple[float, float] = (1.0, 0.5),
) -> Tensor:
    """One step of D and Q, then one of the generator.

    Args:
        generating: the generator and its optimizer, as Fabric has set them up.
        reading: D with Q, likewise.
        real: (B, 1, 28, 28), in [-1, 1].
        drawn: what `sample_latents` returns, (B, Z + K + C), (B,) and (B, C).
        fabric: it takes the gradients, in its precision and over all processes.
        weights: lambda of the category, and of the continuous codes.

    Returns:
        (4,), the step's row of `MEASURES`, on the device of `real`.

    Raises:
        ValueError: the parts do not fit each other, or the networks.

    Source: Chen et al., InfoGAN, NIPS 2016, equation 6.
    """
    generator, generator_optimizer = generating
    network, network_optimizer = reading
    latents, codes, values = drawn
    fake = generator(latents)
    network_optimizer.zero_grad()
    # Real and fake pictures apart, each with its own backward, as in `dcgan`.
    real_loss = F.softplus(-network(real)[0].float()).mean() / 2
    fabric.backward(real_loss)
    logits, guess, means = network(fake.detach())
    fake_loss = F.softplus(logits.float()).mean() / 2
    parts = mutual_information_loss(guess.float(), codes, means.float(), values)
    fabric.backward(fake_loss + _weighted(parts, weights))
    network_optimizer.step()

    generator_optimizer.zero_grad()
    # The gradient passes through D and Q and is not kept there.
    network.requires_grad_(False)
    with fabric.autocast():
        logits, guess, means = network.module(fake)
    generator_loss = F.softplus(-logits.float()).mean()
    parts = mutual_information_loss(guess.float(), codes, means.float(), values)
    fabric.backward(generator_loss + _weighted(parts, weights))
    generator_optimizer.step()
    network.requires_grad_(True)
    return torch.stack([real_loss + fake_loss, generator_loss, *parts]).detach()


def digit_writer() -> tuple[Generator, DiscriminatorAndQ]:
    """The book's own InfoGAN of digits.

    Returns:
        The generator, and D with Q, both in evaluation mode.

    Raises:
        ValueError: the weights or their card are missing or broken.

    Source: `studies.infogan`.
    """
    from safetensors.torch import load_file  # not on every GPU server

    path = WEIGHTS / "digit_writer.safetensors"
    verified_card(path)
    pair = nn.ModuleList([Generator(), DiscriminatorAndQ()])
    pair.load_state_dict(load_file(path))  # float16, to float32
    return tuple(pair.eval())


def _require(noise: int, categories: int, continuous: int, channels: int = 1) -> None:
    require_whole("noise", noise, 0)
    require_whole("categories", categories, 2)
    require_whole("continuous", continuous, 0)
    require_whole("channels", channels)


def _weighted(parts: tuple[Tensor, Tensor], weights: tuple[float, float]) -> Tensor:
    if len(weights) != len(parts):
        raise ValueError(
            f"weights must be two, of the category and of the values, got {weights}"
        )
    # A product with 0 would be NaN for an infinite part: what is not asked is not in.
    return sum(w * part for w, part in zip(weights, parts, strict=True) if w)
