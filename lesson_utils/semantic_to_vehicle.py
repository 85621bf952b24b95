"""Vehicles from words and maps: a generator that paints a map as a sentence says.

The module of the chapter `book/project/semantic_to_vehicle.ipynb`. A map says of each
pixel which part it belongs to: (B, S, S), whole numbers from 0 to P - 1. Sentences are
(B, T) whole numbers, as `encode_captions` makes them of words. Pictures are
(B, 3, S, S), in [-1, 1] inside the networks and in [0, 1] outside.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.backbones import WEIGHTS, verified_card
from lesson_utils.common.painting import TextEncoder, one_hot_maps
from lesson_utils.common.require import require_choice, require_shape, require_whole
from lesson_utils.common.sentences import SPECIAL, encode_captions
from lesson_utils.data.vehicles import PART_NAMES, WORDS
from lesson_utils.segmentation_metrics import confusion_matrix, mean_iou

VOCABULARY = (*SPECIAL, *WORDS)
LEVELS = {32: (64, 64, 48, 32), 96: (128, 128, 96, 64, 48)}  # widths, coarse to fine
NORMS = ("instance", "batch")


def spatially_adaptive_norm(
    features: Tensor, gain: Tensor, bias: Tensor, *, eps: float = 1e-5
) -> Tensor:
    """Normalize each channel of each picture; then a gain and a bias for each place.

    Args:
        features: (B, C, H, W), with at least two places.
        gain: (B, C, H, W), how much more or less than 1 each value is multiplied by.
        bias: (B, C, H, W), what is added.
        eps: added to the variance.

    Returns:
        (B, C, H, W): (1 + gain) (x - mean) / sqrt(variance + eps) + bias.

    Raises:
        ValueError: shapes that do not fit, or fewer than two places.

    Source: Park et al., Semantic Image Synthesis with Spatially-Adaptive Normalization,
        CVPR 2019, equation 1, with instance norm's mean and deviation; that 1 is added
        to the gain is in the authors' published code.
    """
    require_shape("features", features, "B C H W", floating=True)
    sizes = dict(zip("BCHW", features.shape, strict=True))
    require_shape("gain", gain, "B C H W", **sizes)
    require_shape("bias", bias, "B C H W", **sizes)
    if sizes["H"] * sizes["W"] < 2:
        raise ValueError(
            f"features must have at least two places, got {tuple(features.shape)}"
        )
    return F.instance_norm(features, eps=eps) * (1 + gain) + bias


def gate_channels(features: Tensor, gates: Tensor) -> Tensor:
    """A gated linear unit: channels multiplied by what a sentence lets through.

    Args:
        features: (B, C, H, W).
        gates: (B, C), any numbers; the sigmoid is taken here.

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: shapes that do not fit.

    Source: Dauphin et al., Language Modeling with Gated Convolutional Networks, ICML
        2017, equation 1, the gate being the same at all places of a picture.
    """
    require_shape("features", features, "B C H W", floating=True)
    require_shape("gates", gates, "B C", B=features.shape[0], C=features.shape[1])
    return features * gates.sigmoid()[:, :, None, None]


def attend_words(
    queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor
) -> tuple[Tensor, Tensor]:
    """Each place takes a mean of the words, weighted by how well they answer it.

    Args:
        queries: (B, N, A), one for each place.
        keys: (B, T, A), one for each word.
        values: (B, T, D), what a word has to say.
        mask: (B, T), bool, True for words, False for padding.

    Returns:
        What the places have taken, (B, N, D), and the weights, (B, N, T), which sum to
        1 over the words, and are 0 at the padding.

    Raises:
        ValueError: shapes that do not fit, or a sentence without a word.

    Source: Xu et al., AttnGAN, CVPR 2018, section 3.1; scaled as in Vaswani et al.,
        Attention Is All You Need, NeurIPS 2017, section 3.2.1.
    """
    require_shape("queries", queries, "B N A")
    batch, _, dim = queries.shape
    require_shape("keys", keys, "B T A", B=batch, A=dim)
    require_shape("values", values, "B T D", B=batch, T=keys.shape[1])
    require_shape("mask", mask, "B T", B=batch, T=keys.shape[1])
    if not mask.any(1).all():
        raise ValueError("mask must leave a word in each row, got a row that hides all")
    scores = queries @ keys.mT / dim**0.5  # (B, N, T)
    weights = scores.masked_fill(~mask[:, None], -torch.inf).softmax(2)
    return weights @ values, weights


def map_iou(found: Tensor, asked: Tensor, num_parts: int) -> Tensor:
    """How well painted pictures keep to the maps they were asked to show.

    Args:
        found: (B, H, W), whole numbers, the parts that a segmenter sees.
        asked: (B, H, W), likewise, the maps.
        num_parts: P.

    Returns:
        (), intersection over union of each part over the whole batch, averaged over the
        parts that occur.

    Raises:
        ValueError: the shapes differ, or a part is not within 0 ... P - 1.

    Source: Long et al., CVPR 2015, section 5, as "mean IU".
    """
    return mean_iou(confusion_matrix(found, asked, num_parts))


class SpatiallyAdaptiveNorm(nn.Module):
    """`spatially_adaptive_norm`, gain and bias being made of a map by convolutions.

    Args:
        channels: C, of the features.
        condition: M, channels of the map.
        hidden: channels between the map and its gain and bias.
        norm: "instance", each picture by itself, or "batch", all of a batch together.

    Raises:
        ValueError: a number is not whole, or a norm that does not exist.

    Source: Park et al., CVPR 2019, section 3.
    """

    def __init__(
        self, channels: int, condition: int, hidden: int, *, norm: str = "instance"
    ) -> None:
        super().__init__()
        sizes = {"channels": channels, "condition": condition, "hidden": hidden}
        for name, value in sizes.items():
            require_whole(name, value)
        require_choice("norm", norm, NORMS)
        self.batch = nn.BatchNorm2d(channels, affine=False) if norm == "batch" else None
        self.shared = nn.Conv2d(condition, hidden, 3, padding=1)
        self.gain_and_bias = nn.Conv2d(hidden, 2 * channels, 3, padding=1)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Normalize features, and let a map decide what becomes of them.

        Args:
            features: (B, C, H, W).
            condition: (B, M, H, W).

        Returns:
            (B, C, H, W).
        """
        hidden = F.relu(self.shared(condition))
        gain, bias = self.gain_and_bias(hidden).chunk(2, dim=1)
        if self.batch is None:
            return spatially_adaptive_norm(features, gain, bias)
        return self.batch(features) * (1 + gain) + bias


class WordAttention(nn.Module):
    """Each region of a map asks the sentence what it should look like.

    Args:
        num_parts: P.
        dim: D, of words and of what is taken.

    Source: Xu et al., AttnGAN, CVPR 2018, section 3.1, where the places of a picture
        ask; here it is the map's, before there is a picture.
    """

    def __init__(self, num_parts: int, dim: int) -> None:
        super().__init__()
        self.ask = nn.Sequential(
            nn.Conv2d(num_parts, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=2, dilation=2),
            nn.ReLU(),
            nn.Conv2d(32, 32, 1),
        )
        self.key, self.value = nn.Linear(dim, 32), nn.Linear(dim, dim)

    def forward(
        self, parts: Tensor, words: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """What each place has been told.

        Args:
            parts: (B, P, H, W), the share of each part at each place.
            words: (B, T, D).
            mask: (B, T), bool.

        Returns:
            (B, D, H, W), and how much each place listened to each word, (B, T, H, W).
        """
        queries = self.ask(parts).flatten(2).mT  # (B, N, 32)
        told, weights = attend_words(queries, self.key(words), self.value(words), mask)
        size = parts.shape[2:]
        return told.mT.unflatten(2, size), weights.mT.unflatten(2, size)


class _Level(nn.Module):
    """Normalize by map and words, convolve, gate by the sentence."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        condition: int,
        dim: int,
        *,
        norm: str,
        spade: bool,
        gated: bool,
    ) -> None:
        super().__init__()
        if spade:
            self.norm = SpatiallyAdaptiveNorm(inputs, condition, inputs // 2, norm=norm)
        else:
            self.norm = nn.InstanceNorm2d(inputs, affine=True)
        self.convolve = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.gate = nn.Linear(dim, outputs) if gated else None

    def forward(self, x: Tensor, condition: Tensor, sentence: Tensor) -> Tensor:
        if isinstance(self.norm, SpatiallyAdaptiveNorm):
            x = self.norm(x, condition)
        else:
            x = self.norm(x)
        x = self.convolve(F.leaky_relu(x, 0.2))
        return x if self.gate is None else gate_channels(x, self.gate(sentence))


class Generator(nn.Module):
    """From a map, a sentence and noise to a picture, twice the size at each level.

    Args:
        image_size: S.
        widths: channels of each level, coarse to fine; the first level has
            S / 2^(levels - 1) pixels a side. None for those of `LEVELS`.
        num_parts: P, of the map.
        dim: D, of words and sentences.
        noise: Z, planes of noise, which decides on what neither map nor sentence says.
        norm: one of `NORMS`.
        spade: False: the map goes in at the first level only, as any input would.
        gated: False: the sentence gates no channels.
        attention: False: each place is told the sentence, and no words.

    Attributes:
        noise_shape: (Z, base, base), of one picture's noise.

    Raises:
        ValueError: a number is not whole, or S is no multiple of 2^(levels - 1).

    Source: Park et al., CVPR 2019, section 3.1, for the levels; words and gates as
        in the sources of their functions.
    """

    def __init__(
        self,
        image_size: int = 96,
        *,
        widths: Sequence[int] | None = None,
        num_parts: int = len(PART_NAMES),
        dim: int = 64,
        noise: int = 8,
        norm: str = "instance",
        spade: bool = True,
        gated: bool = True,
        attention: bool = True,
    ) -> None:
        super().__init__()
        require_whole("image_size", image_size, 8)
        require_whole("num_parts", num_parts)
        require_whole("noise", noise, 0)
        require_choice("norm", norm, NORMS)
        if widths is None:
            require_choice("image_size", image_size, tuple(LEVELS))
            widths = LEVELS[image_size]
        for width in widths:
            require_whole("widths", width, 2)
        base, rest = divmod(image_size, 2 ** (len(widths) - 1))
        if rest or base < 2:
            raise ValueError(
                f"image_size must be a multiple of {2 ** (len(widths) - 1)} for "
                f"{len(widths)} levels, and at least twice that, got {image_size}"
            )
        self.image_size, self.num_parts = image_size, num_parts
        self.noise_shape = (noise, base, base)
        self.text = TextEncoder(dim, len(VOCABULARY))
        self.ask = WordAttention(num_parts, dim) if attention else None
        self.start = nn.Conv2d(num_parts + dim + noise, widths[0], 3, padding=1)
        self.whole = nn.Linear(dim, widths[0])
        options = {"norm": norm, "spade": spade, "gated": gated}
        self.levels = nn.ModuleList(
            _Level(*pair, num_parts + dim, dim, **options)
            for pair in pairwise([*widths, widths[-1]])
        )
        self.paint = nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, maps: Tensor, tokens: Tensor, noise: Tensor) -> Tensor:
        """Pictures.

        Args:
            maps: (B, S, S), whole numbers, the part of each pixel; or (B, P, S, S),
                floating point, its shares of all parts.
            tokens: (B, T), int64, sentences.
            noise: (B, Z, base, base), standard normal.

        Returns:
            (B, 3, S, S), in [-1, 1].

        Raises:
            ValueError: shapes that do not fit, a part that does not exist, or, in
                evaluation mode, NaN.
        """
        return self.paint_and_tell(maps, tokens, noise)[0]

    def paint_and_tell(
        self, maps: Tensor, tokens: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """As `forward`, and how much each place listened to each word.

        Args:
            maps: (B, S, S), or (B, P, S, S), as `forward`.
            tokens: (B, T), as `forward`.
            noise: (B, Z, base, base), as `forward`.

        Returns:
            (B, 3, S, S), and weights (B, T, S / 4, S / 4); None without attention.
        """
        parts = one_hot_maps(maps, self.num_parts)
        side = self.image_size
        require_shape("maps", parts, f"B P {side} {side}")
        require_shape("tokens", tokens, "B T", B=len(parts))
        if noise.shape != (len(parts), *self.noise_shape):
            raise ValueError(
                f"noise must be {(len(parts), *self.noise_shape)}, got "
                f"{tuple(noise.shape)}"
            )
        for name, values in (("maps", parts), ("noise", noise)):
            # In training the losses tell: each look here would wait for a GPU.
            if not self.training and not values.isfinite().all():
                raise ValueError(f"{name} must be finite, got NaN or infinity")
        words, sentence, mask = self.text(tokens)
        if self.ask is None:
            weights, told = None, sentence[:, :, None, None]
            told = told.expand(-1, -1, side // 4, side // 4)
        else:
            told, weights = self.ask(F.avg_pool2d(parts, 4), words, mask)
        x = noise
        for number, level in enumerate(self.levels):
            x = F.interpolate(x, scale_factor=2) if number else x
            condition = torch.cat([_at(parts, x), _at(told, x)], dim=1)
            if not number:
                x = self.start(torch.cat([condition, x], dim=1))
                x = x + self.whole(sentence)[:, :, None, None]
            x = level(x, condition, sentence)
        return self.paint(F.leaky_relu(x, 0.2)).tanh(), weights


def vehicle_painter() -> Generator:
    """The book's own painter of vehicles of 96 x 96 pixels.

    Returns:
        The generator, in evaluation mode, for maps of `PART_NAMES`.

    Raises:
        ValueError: the weights or their card are missing or broken.

    Source: `studies.semantic_to_vehicle`.
    """
    from safetensors.torch import load_file  # not on every GPU server

    path = WEIGHTS / "vehicle_painter.safetensors"
    verified_card(path)
    generator = Generator()
    generator.load_state_dict(load_file(path))  # float16, to float32
    return generator.eval()


def encode_texts(texts: Sequence[str]) -> Tensor:
    """Sentences as numbers; commas are passed over, and a text may be empty.

    Args:
        texts: B sentences.

    Returns:
        (B, T), int64, of `VOCABULARY`; a word that is not in it becomes <unknown>.

    Raises:
        ValueError: there is no sentence, or one string instead of several.

    Source: the definition.
    """
    if isinstance(texts, str):
        raise ValueError(f"texts must be a list of sentences, got {texts!r}")
    plain = [text.lower().replace(",", " ") for text in texts]
    return encode_captions(plain, VOCABULARY, allow_empty=True)


def _at(planes: Tensor, x: Tensor) -> Tensor:
    """Planes at the size of x: means of many, or in between of few."""
    if planes.shape[2] == x.shape[2]:
        return planes
    if planes.shape[2] > x.shape[2]:
        return F.adaptive_avg_pool2d(planes, x.shape[2:])
    return F.interpolate(planes, x.shape[2:], mode="bilinear")
