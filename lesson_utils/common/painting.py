"""Painting maps: who reads the sentence, who judges, the losses, and the training.

A map says of each pixel which part it belongs to: (B, S, S), whole numbers from 0 to
P - 1. Sentences are (B, T) whole numbers, <pad> behind their ends. Pictures are
(B, 3, S, S), in [-1, 1] inside the networks and in [0, 1] outside.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.generating import (
    gradient_penalty,
    tanh_to_unit_range,
    unit_to_tanh_range,
)
from lesson_utils.common.require import (
    require_not_negative,
    require_positive,
    require_shape,
    require_share,
    require_whole,
)
from lesson_utils.common.schedules import hold_then_fall
from lesson_utils.common.sentences import END, PAD, START, hide_words
from lesson_utils.common.training import Run, drawer

PENALTY_EVERY = 8  # steps: the gradient's length changes slowly, and costs much
_NOISE = 2  # what random numbers are drawn for, beside `ORDER` and `CHANGE`


class TextEncoder(nn.Module):
    """A GRU that reads a sentence: what each word means there, and the whole.

    It reads from left to right, so that padding behind the end changes nothing.

    Args:
        dim: D, numbers for each word, and for the sentence.
        num_words: V, of the vocabulary.

    Raises:
        ValueError: a number is not whole.

    Source: Cho et al., Learning Phrase Representations using RNN Encoder-Decoder for
        Statistical Machine Translation, EMNLP 2014, section 2.3, for the GRU.
    """

    def __init__(self, dim: int, num_words: int) -> None:
        super().__init__()
        require_whole("dim", dim)
        require_whole("num_words", num_words)
        self.embed = nn.Embedding(num_words, dim)
        self.read = nn.GRU(dim, dim, batch_first=True)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Words in their sentence, the sentence, and where words are.

        Args:
            tokens: (B, T), int64, each row with <end> and <pad> behind it.

        Returns:
            (B, T, D); (B, D), the state at <end>; and (B, T), bool, False at <pad>.
        """
        words, _ = self.read(self.embed(tokens))
        last = (tokens == END).long().argmax(1)
        sentence = words[torch.arange(len(tokens), device=tokens.device), last]
        return words, sentence, tokens != PAD


class PatchDiscriminator(nn.Module):
    """Judges each patch of a picture, with its map and its sentence at hand.

    Args:
        num_parts: P, of the map.
        num_words: V, of the vocabulary.
        width: channels of the first convolution; twice and four times as many follow.

    Raises:
        ValueError: `width` is no whole number >= 1.

    Source: Isola et al., Image-to-Image Translation with Conditional Adversarial
        Networks, CVPR 2017, section 3.2.2; the sentence, as the set of its words, comes
        in by a product with the last features: Miyato and Koyama, cGANs with Projection
        Discriminator, ICLR 2018.
    """

    def __init__(self, num_parts: int, num_words: int, *, width: int = 48) -> None:
        super().__init__()
        require_whole("width", width)
        self.num_parts = num_parts
        widths = (3 + num_parts, width, 2 * width, 4 * width)
        self.layers = nn.ModuleList(
            nn.Conv2d(*pair, 4, stride=2, padding=1) for pair in pairwise(widths)
        )
        self.last = nn.Conv2d(4 * width, 4 * width, 3, padding=1)
        self.judge = nn.Conv2d(4 * width, 1, 1)
        self.words = nn.Embedding(num_words, 4 * width, padding_idx=PAD)

    def forward(self, images: Tensor, maps: Tensor, tokens: Tensor) -> list[Tensor]:
        """Features of all layers, and the logits.

        Args:
            images: (B, 3, S, S), in [-1, 1].
            maps: (B, S, S), or (B, P, S, S), as for `Generator`.
            tokens: (B, T).

        Returns:
            Features, (B, C, H, W) each, from fine to coarse; last the logits,
            (B, S / 8, S / 8): above 0 a patch is taken for real.

        Raises:
            ValueError: shapes that do not fit, or a part that does not exist.
        """
        require_shape("images", images, "B 3 S S")
        require_shape("tokens", tokens, "B T", B=len(images))
        x, found = torch.cat([images, one_hot_maps(maps, self.num_parts)], dim=1), []
        for layer in (*self.layers, self.last):
            x = F.leaky_relu(layer(x), 0.2)
            found.append(x)
        said = self.words(tokens).sum(1) / tokens.shape[1]  # (B, C)
        match = (x * said[:, :, None, None]).mean(1)
        return [*found, self.judge(x).squeeze(1) + match]


def feature_matching(fake: Sequence[Tensor], real: Sequence[Tensor]) -> Tensor:
    """How far features of painted pictures are from those of the real ones.

    Args:
        fake: a discriminator's features of generated pictures, (B, C, H, W) for each
            layer.
        real: (B, C, H, W) each, of the real pictures with the same maps and sentences;
            no gradient reaches them.

    Returns:
        (), the mean over layers of the mean absolute difference.

    Raises:
        ValueError: the lists differ in length, or are empty.

    Source: Wang et al., High-Resolution Image Synthesis and Semantic Manipulation with
        Conditional GANs, CVPR 2018 (pix2pixHD).
    """
    if len(fake) != len(real) or not fake:
        raise ValueError(
            "fake and real must be features of as many layers, at least one, got "
            f"{len(fake)} and {len(real)}"
        )
    pairs = zip(fake, real, strict=True)
    return torch.stack([F.l1_loss(a, b.detach()) for a, b in pairs]).mean()


def one_hot_maps(maps: Tensor, num_parts: int) -> Tensor:
    """Maps as one plane of zeros and ones for each part.

    Args:
        maps: (B, H, W), whole numbers; or planes (B, P, H, W) already, as they are.
        num_parts: P.

    Returns:
        (B, P, H, W), floating point.

    Raises:
        ValueError: another shape, or a part that does not exist.

    Source: the definition.
    """
    if maps.is_floating_point():
        require_shape("maps", maps, "B P H W", P=num_parts)
        return maps
    require_shape("maps", maps, "B H W")
    if maps.numel():
        least, largest = maps.aminmax()
        if not 0 <= least <= largest < num_parts:
            raise ValueError(
                f"maps must be of parts from 0 to {num_parts - 1}, got [{least}, "
                f"{largest}]"
            )
    return F.one_hot(maps.long(), num_parts).permute(0, 3, 1, 2).float()


def train(
    generator: nn.Module,
    discriminator: PatchDiscriminator,
    images: Tensor,
    maps: Tensor,
    tokens: Tensor,
    *,
    steps: int,
    batch_size: int = 16,
    learning_rate: float = 1e-3,
    features: float = 10.0,
    pixels: float = 5.0,
    variety: float = 3.0,
    penalty: float = 0.1,
    hidden: float = 0.03,
    silent: float = 0.05,
    seed: int = 0,
    on_step: Callable[[int], None] | None = None,
    **run: object,
) -> dict[str, list[float]]:
    """Teach a generator to paint maps as sentences say, in place.

    Args:
        generator: from maps, tokens, and noise (B, *noise_shape) to pictures in
            [-1, 1]; it has `noise_shape`.
        discriminator: judges its pictures.
        images: (N, 3, S, S), uint8, or in [0, 1].
        maps: (N, S, S), uint8 or int64.
        tokens: (N, T), int64.
        steps: batches of training.
        batch_size: B.
        learning_rate: Adam's, of both; held, then falling.
        features: how much `feature_matching` counts beside the discriminator.
        pixels: how much the mean absolute difference of the pixels counts.
        variety: how much it counts that other noise gives another picture.
        penalty: the weight of `gradient_penalty`, which is added at every eighth step,
            eight times as heavy.
        hidden: the share of words over which <unknown> is written.
        silent: the share of sentences of which nothing is left.
        seed: of the order, the noise and what is hidden.
        on_step: called with the number of steps done; it must leave all as it was.
        **run: of `lesson_utils.common.training.Run`, such as `checkpoint`.

    Returns:
        "discriminator", "generator", "features", "pixels" and "alike": a loss for each
        step.

    Raises:
        ValueError: as `Run` has it, shapes that do not fit, a weight below 0, or a
            share that is none.
        FloatingPointError: a loss is no longer a number.

    Source: Park et al., CVPR 2019, section 3.1, for adversarial loss and feature
        matching; Isola et al., CVPR 2017, equation 3, for the pixels; `alike`.
    """
    require_positive("learning_rate", learning_rate)
    weights = {
        "features": features,
        "pixels": pixels,
        "variety": variety,
        "penalty": penalty,
    }
    spoiled = {"hidden": hidden, "silent": silent}
    for name, value in weights.items():
        require_not_negative(name, value)
    require_share("silent", silent)
    require_shape("maps", maps, "N S S", N=len(images), S=images.shape[-1])
    require_shape("tokens", tokens, "N T", N=len(images))
    players = (generator, discriminator)
    adam = {"lr": learning_rate, "betas": (0.0, 0.99), "fused": True}
    run = Run(
        players,
        [torch.optim.Adam(each.parameters(), **adam) for each in players],
        number=len(images),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        schedule=hold_then_fall,
        settings={"rate": learning_rate, **weights, **spoiled},
        **run,
    )
    (painter, judge), (painter_optimizer, judge_optimizer) = (
        run.networks,
        run.optimizers,
    )

    def hide(images: Tensor, maps: Tensor, tokens: Tensor, *, generator) -> tuple:
        tokens = hide_words(tokens.cpu(), hidden, generator=generator)
        quiet = torch.rand(len(tokens), 1, generator=generator) < silent
        return images, maps, torch.where(quiet, _silence(tokens), tokens)

    for step in run:
        images_now, maps_now, said = run.batch(images, maps, tokens, change=hide)
        real = unit_to_tanh_range(images_now)
        parts = one_hot_maps(maps_now, discriminator.num_parts)
        dice = drawer(seed, _NOISE, step, run.fabric.global_rank)
        noise = torch.randn(2, len(real), *generator.noise_shape, generator=dice)
        noise, other = run.fabric.to_device(noise)
        fake = painter(parts, said, noise)

        judge_optimizer.zero_grad()
        judged = [judge(each, parts, said)[-1] for each in (real, fake.detach())]
        real_logits, fake_logits = (each.float() for each in judged)
        loss = (F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()) / 2
        slopes = 0.0
        if penalty and step % PENALTY_EVERY == 0:
            # Fabric's wrapper lets no gradient be taken but by its own backward.
            with run.fabric.autocast():
                logits = discriminator(real.requires_grad_(), parts, said)[-1]
            slopes = gradient_penalty(logits.float().mean((1, 2)), real)
        run.fabric.backward(loss + PENALTY_EVERY * penalty * slopes)
        judge_optimizer.step()

        painter_optimizer.zero_grad()
        discriminator.requires_grad_(False)
        with run.fabric.autocast():
            found = discriminator(real.detach(), parts, said)
            guessed = discriminator(fake, parts, said)
        losses = {
            "generator": F.softplus(-guessed[-1].float()).mean(),
            "features": feature_matching(guessed[:-1], found[:-1]),
            "pixels": F.l1_loss(fake, real.detach()),
        }
        few = slice(0, -(-len(real) // 4))  # a quarter says enough, and costs as much
        again = painter(parts[few], said[few], other[few])
        losses["alike"] = alike(fake[few], again, noise[few], other[few])
        run.fabric.backward(
            losses["generator"]
            + features * losses["features"]
            + pixels * losses["pixels"]
            + variety * losses["alike"]
        )
        painter_optimizer.step()
        discriminator.requires_grad_(True)
        run.note(discriminator=loss, **losses)
        if on_step is not None:
            on_step(step + 1)
    return run.history


def alike(
    images1: Tensor,
    images2: Tensor,
    noise1: Tensor,
    noise2: Tensor,
    *,
    enough: float = 0.1,
) -> Tensor:
    """How much less two pictures of a map and a sentence differ than their noises.

    Args:
        images1: (B, 3, S, S).
        images2: (B, 3, S, S), of the same maps and sentences.
        noise1: (B, ...), what the first ones were painted from.
        noise2: (B, ...), likewise.
        enough: a ratio of differences that need not be passed.

    Returns:
        (), the mean of max(0, enough - |images1 - images2| / |noise1 - noise2|), the
        differences being means of absolute values.

    Source: Yang et al., Diversity-Sensitive Conditional Generative Adversarial
        Networks, ICLR 2019, with the sign and offset of a loss >= 0.
    """
    painted = (images1 - images2).abs().flatten(1).mean(1)
    drawn = (noise1 - noise2).abs().flatten(1).mean(1)
    return F.relu(enough - painted / (drawn + 1e-8)).mean()


@torch.no_grad()
def paint(
    generator: nn.Module,
    maps: Tensor,
    tokens: Tensor,
    *,
    seed: int = 0,
    batch_size: int = 64,
) -> Tensor:
    """Pictures of a trained generator, to be shown.

    Args:
        generator: as for `train`; the mode it is in stays.
        maps: (N, S, S), whole numbers, or (N, P, S, S).
        tokens: (N, T).
        seed: of the noise; a picture's noise depends on its place among the N, too.
        batch_size: pictures at a time.

    Returns:
        (N, 3, S, S), in [0, 1], float32 on the CPU.

    Raises:
        ValueError: as the generator, or no map.

    Source: the definition.
    """
    require_whole("batch_size", batch_size)
    if not len(maps):
        raise ValueError("maps must hold at least one map, got none")
    require_shape("tokens", tokens, "B T", B=len(maps))
    device = next(generator.parameters()).device
    dice = torch.Generator().manual_seed(seed)
    noise = torch.randn(len(maps), *generator.noise_shape, generator=dice)
    parts = zip(
        *(each.split(batch_size) for each in (maps, tokens, noise)), strict=True
    )
    return torch.cat(
        [
            tanh_to_unit_range(generator(*(x.to(device) for x in part)).float()).cpu()
            for part in parts
        ]
    )


def _silence(tokens: Tensor) -> Tensor:
    """Sentences without a word, as long as these."""
    nothing = torch.full_like(tokens, PAD)
    nothing[:, 0], nothing[:, 1] = START, END
    return nothing
