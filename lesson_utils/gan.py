"""Generative adversarial networks: two losses from logits, and the game they play.

The module of the chapter `book/generating/gan.ipynb`. A discriminator returns logits,
not probabilities: D(x) is their sigmoid. Data and latents are (..., B, D); where a
network takes `runs`, that many independent networks lie side by side in one, and their
data are (runs, B, D), so that a study over several seeds is one training.
"""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from lesson_utils.common.require import (
    require_floating,
    require_positive,
    require_share,
    require_whole,
)
from lesson_utils.common.training import require_finite


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Half of the cross entropy on real against 1 plus that on fake against 0.

    The value of the game is this loss times -2.

    Args:
        real_logits: any shape, floating point, at least one value: D's on real data.
        fake_logits: any shape, the dtype of `real_logits`: D's on generated data.

    Returns:
        (), a single number, not negative: -(mean log D(x) + mean log(1 - D(G(z)))) / 2.

    Raises:
        ValueError: logits are not floating point, are none, or differ in dtype.

    Source: Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014, equation 1.
    """
    _check_logits("real_logits", real_logits)
    _check_logits("fake_logits", fake_logits)
    if real_logits.dtype != fake_logits.dtype:
        raise ValueError(
            "real_logits and fake_logits must have one dtype, got "
            f"{real_logits.dtype} and {fake_logits.dtype}"
        )
    # log(1 - sigmoid(z)) is logsigmoid(-z): nothing here is ever 1 - 1.
    return -(F.logsigmoid(real_logits).mean() + F.logsigmoid(-fake_logits).mean()) / 2


def generator_loss(fake_logits: Tensor, *, saturating: bool = False) -> Tensor:
    """What the generator minimizes, in either of its two forms.

    Args:
        fake_logits: any shape, floating point, not empty: D's on generated data.
        saturating: the game's own loss, mean log(1 - D(G(u))); else -mean log D(G(u)).

    Returns:
        (), a single number: not negative, or not positive if `saturating`.

    Raises:
        ValueError: logits are not floating point, or are none.

    Source: Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014, section 3.
    """
    _check_logits("fake_logits", fake_logits)
    if saturating:
        return F.logsigmoid(-fake_logits).mean()
    return -F.logsigmoid(fake_logits).mean()


def optimal_discriminator(log_p: Tensor, log_q: Tensor) -> Tensor:
    """The best discriminator there is: p / (p + q), from the logarithms of both.

    Its logit is log p - log q, so that nothing underflows far from the data.

    Args:
        log_p: any shape, floating point: of the data's density; -inf where it is 0.
        log_q: the shape of `log_p`: that of the generator's.

    Returns:
        The shape of `log_p`, in [0, 1]; 0.5 without a gradient where both are 0.

    Raises:
        ValueError: the shapes differ, or the tensors are not floating point.

    Source: Goodfellow et al., Generative Adversarial Nets, 2014, proposition 1.
    """
    for name, value in (("log_p", log_p), ("log_q", log_q)):
        require_floating(name, value)
    if log_p.shape != log_q.shape:
        raise ValueError(
            "log_p and log_q must have one shape, got "
            f"{tuple(log_p.shape)} and {tuple(log_q.shape)}"
        )
    nowhere = (log_p == -math.inf) & (log_q == -math.inf)
    # Selected before the difference: -inf minus -inf is NaN, and so is its gradient.
    log_p, log_q = (value.masked_fill(nowhere, 0) for value in (log_p, log_q))
    return torch.sigmoid(log_p - log_q)


class ParallelLinear(nn.Module):
    """A linear layer, or several of one size side by side, each with its own weights.

    Initialized as `nn.Linear` is.

    Args:
        in_features: the length of each input vector.
        out_features: the length of each output vector.
        runs: how many layers lie side by side; None for one.

    Raises:
        ValueError: a number is not a whole number >= 1.

    Source: the definition.
    """

    def __init__(self, in_features: int, out_features: int, *, runs: int | None = None):
        super().__init__()
        require_whole("in_features", in_features)
        require_whole("out_features", out_features)
        if runs is not None:
            require_whole("runs", runs)
        side, bound = () if runs is None else (runs,), 1 / math.sqrt(in_features)
        weight = torch.empty(*side, in_features, out_features)
        bias = torch.empty(*side, *[1] * len(side), out_features)  # (R, 1, out)
        self.weight = nn.Parameter(weight.uniform_(-bound, bound))
        self.bias = nn.Parameter(bias.uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Apply each layer to its own inputs.

        Args:
            x: (..., B, in_features).

        Returns:
            (..., B, out_features).
        """
        return x @ self.weight + self.bias


class Generator(nn.Module):
    """The smallest generator: one linear layer, from latents to data.

    Of standard normal latents it makes a normal distribution: its mean is the bias.

    Args:
        latent_dim: the length of a latent vector.
        data_dim: the length of a data point.
        runs: how many generators lie side by side; None for a single one.

    Raises:
        ValueError: a number is not a whole number >= 1.

    Source: the definition.
    """

    def __init__(
        self, latent_dim: int = 2, data_dim: int = 2, *, runs: int | None = None
    ):
        super().__init__()
        self.linear = ParallelLinear(latent_dim, data_dim, runs=runs)

    def forward(self, latents: Tensor) -> Tensor:
        """Generate data.

        Args:
            latents: (..., B, latent_dim).

        Returns:
            (..., B, data_dim).
        """
        return self.linear(latents)


class Discriminator(nn.Module):
    """Three linear layers with leaky ReLUs between them, from data to logits.

    Args:
        data_dim: the length of a data point.
        hidden: the width of both hidden layers.
        runs: how many discriminators lie side by side; None for a single one.

    Raises:
        ValueError: a number is not a whole number >= 1.

    Source: the definition; the slope is Radford et al.'s, ICLR 2016.
    """

    def __init__(self, data_dim: int = 2, hidden: int = 64, *, runs: int | None = None):
        super().__init__()
        self.layers = nn.Sequential(
            ParallelLinear(data_dim, hidden, runs=runs),
            nn.LeakyReLU(0.2),
            ParallelLinear(hidden, hidden, runs=runs),
            nn.LeakyReLU(0.2),
            ParallelLinear(hidden, 1, runs=runs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Judge data.

        Args:
            x: (..., B, data_dim).

        Returns:
            (..., B), logits, high for real.
        """
        return self.layers(x).squeeze(-1)


def mode_shares(samples: Tensor, centers: Tensor, *, radius: float) -> Tensor:
    """What share of the samples lies on each mode of a mixture.

    Args:
        samples: (..., N, D), at least one.
        centers: (K, D), the modes' centers.
        radius: a sample belongs to its nearest center if it is at most this far off.

    Returns:
        (..., K), not negative; what is missing from a sum of 1 lies on no mode.

    Raises:
        ValueError: the shapes do not fit or are empty; the radius is not positive.

    Source: the definition.
    """
    fits = samples.dim() >= 2 and centers.dim() == 2
    fits = fits and samples.shape[-1] == centers.shape[-1]
    if not fits or not samples.shape[-2] or not len(centers):
        raise ValueError(
            "samples must be (..., N, D) and centers (K, D), none empty, got "
            f"{tuple(samples.shape)} and {tuple(centers.shape)}"
        )
    require_positive("radius", radius)
    distance, nearest = torch.cdist(samples, centers).min(dim=-1)  # (..., N)
    hits = F.one_hot(nearest, len(centers)) * (distance <= radius)[..., None]
    return hits.to(samples.dtype).mean(dim=-2)


def count_modes(
    samples: Tensor, centers: Tensor, *, radius: float, at_least: float = 0.02
) -> Tensor:
    """How many modes of a mixture a generator has found.

    Args:
        samples: (..., N, D), at least one.
        centers: (K, D), the modes' centers.
        radius: as in `mode_shares`.
        at_least: the share of all samples from which on a mode counts as found.

    Returns:
        (...), int64, each in [0, K].

    Raises:
        ValueError: as `mode_shares`, or `at_least` is not in (0, 1].

    Source: the definition.
    """
    require_share("at_least", at_least, "(0, 1]")
    shares = mode_shares(samples, centers, radius=radius)
    return (shares >= at_least).sum(dim=-1)


def train(
    generator: nn.Module,
    discriminator: nn.Module,
    draw_real: Callable[[tuple[int, ...], torch.Generator], Tensor],
    *,
    latent_dim: int = 2,
    runs: int | None = None,
    steps: int = 2000,
    batch_size: int = 64,
    generator_rate: float = 0.01,
    discriminator_rate: float = 0.01,
    betas: tuple[float, float] = (0.5, 0.999),
    decay: bool = True,
    saturating: bool = False,
    seed: int = 0,
    keep_every: int | None = None,
    keep_samples: int = 500,
    progress: bool | None = None,
) -> dict[str, Tensor]:
    """Play the game: at each step one step of Adam for D, then one for G.

    Args:
        generator: maps latents (..., B, latent_dim) to data; trained in place.
        discriminator: maps data to logits (..., B); trained in place.
        draw_real: `draw_real(shape, rng)` returns real data (*shape, D).
        latent_dim: the length of a latent vector; latents are standard normal.
        runs: how many networks lie side by side in both; None for single ones.
        steps: how many pairs of steps.
        batch_size: B, of real data and of generated.
        generator_rate: G's learning rate at the start.
        discriminator_rate: D's.
        betas: Adam's, for both.
        decay: let both rates fall to 0 in a line, in the second half.
        saturating: as of `generator_loss`.
        seed: of all that is drawn.
        keep_every: keep samples at step 0, at every so many steps, and at the end.
        keep_samples: how many, from the same latents each time.
        progress: show a bar; None shows it in a terminal only.

    Returns:
        "discriminator_loss" and "generator_loss", (steps,), means over the runs. If
        samples are kept, "samples", (K, ..., keep_samples, D), and "steps", (K,).

    Raises:
        ValueError: a number is out of range, or `draw_real` returns another shape.
        FloatingPointError: a loss is no longer finite (looked at every 50 steps).

    Source: Goodfellow et al., Generative Adversarial Nets, 2014, algorithm 1, k = 1.
    """
    require_whole("latent_dim", latent_dim)
    require_whole("steps", steps)
    require_whole("batch_size", batch_size)
    require_whole("keep_samples", keep_samples)
    if keep_every is not None:
        require_whole("keep_every", keep_every)
    require_positive("generator_rate", generator_rate)
    require_positive("discriminator_rate", discriminator_rate)
    parameter = next(generator.parameters())
    rng = torch.Generator(parameter.device).manual_seed(seed)
    side = () if runs is None else (runs,)

    def draw_latents(number: int) -> Tensor:
        like = {"device": parameter.device, "dtype": parameter.dtype}
        return torch.randn(*side, number, latent_dim, generator=rng, **like)

    kept_latents = draw_latents(keep_samples)
    play_d = _Player(discriminator, discriminator_rate, betas, steps if decay else None)
    play_g = _Player(generator, generator_rate, betas, steps if decay else None)
    losses, kept = [], {}
    hidden = None if progress is None else not progress
    for step in tqdm(range(steps), desc="GAN", disable=hidden):
        if keep_every and step % keep_every == 0:
            kept[step] = _sample(generator, kept_latents)
        real = draw_real((*side, batch_size), rng)
        fake = generator(draw_latents(batch_size))
        if real.shape != fake.shape:
            raise ValueError(
                "draw_real must return data of the generator's shape, "
                f"{tuple(fake.shape)}, got {tuple(real.shape)}"
            )
        # Detached: this step is D's, and no gradient is to reach the generator.
        loss_d = play_d.step(
            discriminator_loss(discriminator(real), discriminator(fake.detach()))
        )
        # Judged anew: the discriminator has just changed.
        loss_g = play_g.step(generator_loss(discriminator(fake), saturating=saturating))
        losses.append(torch.stack([loss_d, loss_g]))
        if step % 50 == 0 or step == steps - 1:
            require_finite(step, discriminator_loss=loss_d, generator_loss=loss_g)
    loss_d, loss_g = torch.stack(losses, dim=1).cpu()  # (steps,) each
    history = {"discriminator_loss": loss_d, "generator_loss": loss_g}
    if keep_every:
        kept[steps] = _sample(generator, kept_latents)
        history["samples"] = torch.stack(list(kept.values()))
        history["steps"] = torch.tensor(list(kept))
    return history


class _Player:
    """A network with its own Adam, whose rate may fall to 0 in the end."""

    def __init__(
        self, network: nn.Module, rate: float, betas: tuple, decay_steps: int | None
    ):
        self.parameters = list(network.parameters())
        adam = {"lr": rate, "betas": betas, "fused": True}
        self.optimizer = torch.optim.Adam(self.parameters, **adam)
        # Not from the first step: who is far from home would be frozen on the way.
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda step: min(1.0, 2 - 2 * step / decay_steps) if decay_steps else 1.0,
        )

    def step(self, loss: Tensor) -> Tensor:
        """Lower a loss by one step of this player; the other one stays as it is."""
        self.optimizer.zero_grad()
        loss.backward(inputs=self.parameters)
        self.optimizer.step()
        self.schedule.step()
        return loss.detach()


@torch.no_grad()
def _sample(generator: nn.Module, latents: Tensor) -> Tensor:
    return generator(latents).cpu()


def _check_logits(name: str, logits: Tensor) -> None:
    require_floating(name, logits)
    if not logits.numel():
        raise ValueError(
            f"{name} must hold at least one value, got {tuple(logits.shape)}"
        )
