"""DCGAN: a generator and a discriminator made of convolutions, and their training.

The module of the chapter `book/generating/dcgan.ipynb`. Pictures are (B, 3, S, S), S a
power of two from 8 on. As data they lie in [0, 1], as everywhere in the book; inside
the networks in [-1, 1], the range of the tanh at the generator's end. Latent vectors
are (B, latent_dim), standard normal.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.require import require_positive, require_share, require_whole
from lesson_utils.common.schedules import hold_then_fall
from lesson_utils.common.training import Run, drawer

if TYPE_CHECKING:
    from lightning_fabric import Fabric

# What `train` writes down at each step.
MEASURES = (
    "discriminator_loss",
    "generator_loss",
    "real_probability",
    "fake_probability",
)
_NOISE = 1  # what random numbers are drawn for, beside `ORDER`


def unit_to_tanh_range(images: Tensor) -> Tensor:
    """From [0, 1] to [-1, 1]: subtract a mean of 0.5, divide by a deviation of 0.5.

    Args:
        images: any shape, floating point in [0, 1], or uint8 in 0 … 255.

    Returns:
        The shape of `images`, in [-1, 1]; float32 for uint8, else the same dtype.

    Raises:
        ValueError: the values are neither uint8 nor floating point in [0, 1]
            (pictures of 0 … 255 held as floats often are not).

    Source: Radford et al., Unsupervised Representation Learning with Deep
        Convolutional Generative Adversarial Networks, 2016, section 4.
    """
    if images.dtype == torch.uint8:
        images = images.float() / 255
    _check_range("images", images, 0, 1)
    return (images - 0.5) / 0.5


def tanh_to_unit_range(images: Tensor) -> Tensor:
    """From [-1, 1] back to [0, 1], where pictures are shown and saved.

    Args:
        images: any shape, floating point in [-1, 1].

    Returns:
        The shape and dtype of `images`, in [0, 1].

    Raises:
        ValueError: the values are not floating point in [-1, 1].

    Source: the inverse of `unit_to_tanh_range`.
    """
    _check_range("images", images, -1, 1)
    return images * 0.5 + 0.5


def conv_transpose_output_size(
    size: int,
    kernel_size: int,
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """How many rows come out of a transposed convolution, or columns.

    Args:
        size: rows, or columns, that go in.
        kernel_size: k, rows of the kernel.
        stride: how far apart the kernel's copies are laid.
        padding: p, rows *cut off* at each end: those that a convolution of this
            padding would have added.
        output_padding: rows added at one end, fewer than the stride or the dilation.
        dilation: the distance between two rows of the kernel.

    Returns:
        (size - 1) stride - 2 padding + dilation (kernel_size - 1) + output_padding + 1.

    Raises:
        ValueError: an argument is out of its range, or nothing is left.

    Source: Dumoulin and Visin, A Guide to Convolution Arithmetic for Deep Learning,
        2016, section 4.
    """
    for name, value, least in (
        ("size", size, 1),
        ("kernel_size", kernel_size, 1),
        ("stride", stride, 1),
        ("padding", padding, 0),
        ("output_padding", output_padding, 0),
        ("dilation", dilation, 1),
    ):
        require_whole(name, value, least)
    if output_padding >= max(stride, dilation):
        raise ValueError(
            f"output_padding must be below stride {stride} or dilation {dilation}, "
            f"got {output_padding}"
        )
    laid = (size - 1) * stride + dilation * (kernel_size - 1) + 1
    left = laid - 2 * padding + output_padding
    if left < 1:
        raise ValueError(f"padding must leave a row, got {padding} for {laid} rows")
    return left


def initialize(network: nn.Module, *, generator: torch.Generator | None = None) -> None:
    """Draw a network's weights as DCGAN does, in place.

    Convolutions, transposed or not: weights N(0, 0.02²), biases 0. Batch norm: weights
    N(1, 0.02²), biases 0, so that it begins near the identity. All else stays.

    Args:
        network: a network with modules of any shape; its modules are walked through.
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
        resize: double by repeating each pixel and a 3 x 3 convolution, instead of by a
            transposed convolution.

    Returns:
        From its forward, (B, 3, S, S) in [-1, 1].

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
        resize: bool = False,
    ) -> None:
        super().__init__()
        require_whole("latent_dim", latent_dim)
        require_whole("base_channels", base_channels)
        self.latent_dim = latent_dim
        double = _resized if resize else _transposed
        widths = _widths(base_channels, image_size)[::-1]  # 8c, 4c, 2c, c at S = 64
        layers = [nn.ConvTranspose2d(latent_dim, widths[0], 4, bias=False)]
        for width, following in pairwise(widths):
            layers += [nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
            layers += double(width, following, bias=False)
        layers += [nn.BatchNorm2d(widths[-1]), nn.ReLU(inplace=True)]
        self.layers = nn.Sequential(*layers, *double(widths[-1], 3, bias=True))
        initialize(self)

    def forward(self, latents: Tensor) -> Tensor:
        """Pictures of latent vectors.

        Args:
            latents: (B, latent_dim).

        Returns:
            (B, 3, S, S), in [-1, 1].

        Raises:
            ValueError: the latents are not (B, latent_dim).

        Source: Radford et al., 2016, figure 1.
        """
        if latents.dim() != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(
                f"latents must be (B, {self.latent_dim}), got {tuple(latents.shape)}"
            )
        return self.layers(latents[:, :, None, None]).tanh()


class Discriminator(nn.Module):
    """From a picture to one logit: above 0 it is taken for real.

    Args:
        base_channels: channels of the first layer, at S / 2; twice as many at each
            smaller size.
        image_size: S, a power of two from 8 on.
        negative_slope: of the leaky ReLU; 0 makes it a ReLU.

    Returns:
        From its forward, for pictures (B, 3, S, S) in [-1, 1], logits (B,).

    Raises:
        ValueError: a size is not as said, or the pictures are not (B, 3, S, S).

    Source: Radford et al., 2016, section 3 (batch norm everywhere but in the first
        layer) and 4 (slope 0.2).
    """

    def __init__(
        self,
        *,
        base_channels: int = 64,
        image_size: int = 64,
        negative_slope: float = 0.2,
    ) -> None:
        super().__init__()
        require_whole("base_channels", base_channels)
        self.image_size = image_size
        widths = _widths(base_channels, image_size)  # c, 2c, 4c, 8c at S = 64
        layers = [nn.Conv2d(3, widths[0], 4, stride=2, padding=1)]
        layers += [nn.LeakyReLU(negative_slope, inplace=True)]
        for width, following in pairwise(widths):
            layers += [nn.Conv2d(width, following, 4, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(following)]
            layers += [nn.LeakyReLU(negative_slope, inplace=True)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(widths[-1], 1, 4))
        initialize(self)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of pictures.

        Args:
            images: (B, 3, S, S), in [-1, 1].

        Returns:
            (B,).

        Raises:
            ValueError: the pictures are not (B, 3, S, S).

        Source: Radford et al., 2016, section 3.
        """
        if images.shape[1:] != (3, self.image_size, self.image_size):
            raise ValueError(
                f"images must be (B, 3, {self.image_size}, {self.image_size}), got "
                f"{tuple(images.shape)}"
            )
        return self.layers(images).flatten()


def train(
    generator: Generator,
    discriminator: Discriminator,
    images: Tensor,
    *,
    epochs: int = 20,
    learning_rate: float = 2e-4,
    batch_size: int = 128,
    beta1: float = 0.5,
    seed: int = 0,
    fabric: Fabric | None = None,
    checkpoint: str | Path | None = None,
    save_every: int | None = None,
    on_step: Callable[[int], None] | None = None,
    progress: bool = True,
) -> dict[str, list[float]]:
    """Train both networks in place, step by step in turn, at one learning rate.

    Order and noise of a step depend on `seed` and its number alone. A run that is
    resumed therefore goes on as if it had never stopped, and needs no state of a
    random generator for it.

    Args:
        generator: (B, latent_dim) to (B, 3, S, S).
        discriminator: (B, 3, S, S) to (B,).
        images: (N, 3, S, S), uint8, or floating point in [0, 1].
        epochs: passes over the images; what does not fill a batch is left for the next.
        learning_rate: of both; see `common.schedules.hold_then_fall`.
        batch_size: pictures a step, in all processes together.
        beta1: Adam's, the share of the last direction that is kept.
        seed: of the order of the pictures and of the noise.
        fabric: launched; by default one process on the device that is there.
        checkpoint: a file. If it is there, the run goes on from it; it is written at
            the end and at every `save_every` steps.
        save_every: in steps; by default an epoch's.
        on_step: called after each step with the number of steps done, to look at the
            networks. It must leave them as they were.
        progress: whether to show a bar.

    Returns:
        For each of `MEASURES` one number a step, of all processes: the two losses, and
        the mean probability of "real" that the discriminator gave to real pictures and
        to the generator's, before it learned from them.

    Raises:
        ValueError: an argument is out of its range, the images are not as said, or the
            checkpoint is of another run.
        FloatingPointError: a loss is no longer a number.

    Source: Radford et al., 2016, section 4; Goodfellow et al., Generative Adversarial
        Nets, 2014, algorithm 1.
    """
    require_whole("epochs", epochs)
    require_whole("batch_size", batch_size)
    require_positive("learning_rate", learning_rate)
    require_share("beta1", beta1, "[0, 1)")
    _check_images(images, batch_size)
    players = (generator, discriminator)
    optimizers = [
        torch.optim.Adam(
            player.parameters(), learning_rate, betas=(beta1, 0.999), fused=True
        )
        for player in players
    ]
    each = len(images) // batch_size  # steps an epoch
    run = Run(
        players,
        optimizers,
        number=len(images),
        steps=epochs * each,
        batch_size=batch_size,
        seed=seed,
        schedule=hold_then_fall,
        settings={"epochs": epochs, "learning_rate": learning_rate, "beta1": beta1},
        fabric=fabric,
        checkpoint=checkpoint,
        save_every=each if save_every is None else save_every,
        progress=progress,
    )
    own = slice(run.fabric.global_rank, None, run.fabric.world_size)
    for step in run:
        (real,) = run.batch(images)
        dice = drawer(seed, _NOISE, step)
        noise = torch.randn(batch_size, generator.latent_dim, generator=dice)[own]
        row = train_step(
            *zip(run.networks, run.optimizers, strict=True),
            unit_to_tanh_range(real),
            run.fabric.to_device(noise),
            run.fabric,
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
) -> Tensor:
    """One step of the discriminator, then one of the generator.

    Args:
        generating: the generator and its optimiser, as Fabric has set them up.
        judging: the discriminator and its optimiser, likewise.
        real: (B, 3, S, S), in [-1, 1].
        noise: (B, latent_dim).
        fabric: it takes the gradients, in its precision and over all processes.

    Returns:
        (4,), the step's row of `MEASURES`, on the device of `real`.

    Source: Goodfellow et al., Generative Adversarial Nets, 2014, algorithm 1, with
        one step each.
    """
    generator, generator_optimizer = generating
    discriminator, discriminator_optimizer = judging
    fake = generator(noise)
    discriminator_optimizer.zero_grad()
    # Two batches, one after the other: batch norm sees them apart. Each has its own
    # backward, since in several processes a second forward would change the statistics
    # that the first one's backward still needs.
    real_logits = discriminator(real).float()
    real_loss = F.softplus(-real_logits).mean() / 2
    fabric.backward(real_loss)
    fake_logits = discriminator(fake.detach()).float()
    fake_loss = F.softplus(fake_logits).mean() / 2
    fabric.backward(fake_loss)
    discriminator_optimizer.step()

    generator_optimizer.zero_grad()
    # The gradient passes through the discriminator and is not kept there. Its inner
    # module, because in several processes the outer one waits for such gradients.
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


def sample(generator: Generator, latents: Tensor, *, batch_size: int = 256) -> Tensor:
    """Pictures of a trained generator, to be shown.

    Args:
        generator: it is put into evaluation mode for this, and back.
        latents: (B, latent_dim).
        batch_size: how many to draw at a time.

    Returns:
        (B, 3, S, S), in [0, 1], float32 on the CPU.

    Raises:
        ValueError: the latents are not (B, latent_dim).

    Source: Radford et al., 2016.
    """
    device, was_training = next(generator.parameters()).device, generator.training
    generator.eval()
    with torch.inference_mode():
        pictures = [
            tanh_to_unit_range(generator(part.to(device)).float()).cpu()
            for part in latents.split(batch_size)
        ]
    generator.train(was_training)
    return torch.cat(pictures)


def lattice_power(images: Tensor, period: int = 2) -> Tensor:
    """How much a pattern that repeats stands out of a picture's spectrum.

    What repeats every `period` pixels sits at the frequencies that are multiples of
    1 / period. Their mean power is divided by that of their neighbours, one step of
    the spectrum away: 1 if nothing stands out, as in noise.

    Args:
        images: (..., S, S), S a multiple of `period`.
        period: in pixels, at least 2.

    Returns:
        (...,).

    Raises:
        ValueError: the period is below 2 or does not divide S.

    Source: the definition; Odena et al., Deconvolution and Checkerboard Artifacts,
        Distill, 2016, describe what it measures.
    """
    size = images.shape[-1]
    if period < 2 or size % period or size < 4 * period or images.shape[-2] != size:
        raise ValueError(
            f"period must be at least 2 and divide S, S at least 4 periods, got "
            f"{period} for {tuple(images.shape[-2:])}"
        )
    if not images.numel():  # some transforms refuse an empty batch
        return images.new_zeros(images.shape[:-2])
    flat = images - images.mean((-2, -1), keepdim=True)
    power = torch.fft.fft2(flat).abs().square()  # (..., S, S)
    peaks = torch.arange(0, size, size // period)
    rows, columns = torch.cartesian_prod(peaks, peaks)[1:].T  # all but frequency 0
    around = [
        power[..., (rows + down) % size, (columns + right) % size]
        for down in (-1, 0, 1)
        for right in (-1, 0, 1)
        if (down, right) != (0, 0)
    ]
    # In a flat picture nothing stands out: 1, not 0 / 0.
    tiny = torch.finfo(power.dtype).tiny
    peak, rest = power[..., rows, columns].mean(-1), torch.stack(around).mean((0, -1))
    return (peak + tiny) / (rest + tiny)


def _transposed(width: int, following: int, *, bias: bool) -> list[nn.Module]:
    return [nn.ConvTranspose2d(width, following, 4, stride=2, padding=1, bias=bias)]


def _resized(width: int, following: int, *, bias: bool) -> list[nn.Module]:
    return [
        nn.Upsample(scale_factor=2),
        nn.Conv2d(width, following, 3, 1, 1, bias=bias),
    ]


def _widths(base_channels: int, image_size: int) -> list[int]:
    """Channels from S / 2 down to 4 pixels."""
    if image_size < 8 or image_size & (image_size - 1):
        raise ValueError(f"image_size must be a power of two >= 8, got {image_size}")
    return [base_channels << k for k in range(image_size.bit_length() - 3)]


def _check_range(name: str, values: Tensor, low: int, high: int) -> None:
    if not values.is_floating_point():
        raise ValueError(f"{name} must be floating point, got {values.dtype}")
    if not ((values >= low) & (values <= high)).all():  # false for NaN, too
        raise ValueError(
            f"{name} must lie in [{low}, {high}], got "
            f"[{values.min().item():g}, {values.max().item():g}]"
        )


def _check_images(images: Tensor, batch_size: int) -> None:
    if images.dim() != 4 or len(images) < batch_size:
        raise ValueError(
            f"images must be (N, 3, S, S) with N at least the batch size {batch_size}, "
            f"got {tuple(images.shape)}"
        )
