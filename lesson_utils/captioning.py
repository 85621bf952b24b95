"""Captioning: an encoder's places, attention, a decoder that writes word by word.

The module of the chapter `book/attention/captioning.ipynb`.
Sentences are (B, T) whole numbers, positions in a vocabulary: <start>, the words,
<end>, then <pad>. Features are (B, N, D): D numbers at each of N places of a picture.
Attention weights are (B, T - 1, N): one row for each word that is written.
"""

from collections.abc import Callable, Sequence
from math import sqrt

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.backbones import WEIGHTS, verified_card
from lesson_utils.common.require import (
    require_choice,
    require_not_negative,
    require_shape,
    require_whole,
)
from lesson_utils.common.sentences import END, PAD, START
from lesson_utils.data.captions import WORDS

Tokens = tuple[int, ...]
ATTENTIONS = ("additive", "dot", "mean")


def additive_attention(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor | None = None,
    *,
    weight: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Compare by a small network, make shares of the scores, and take the mean.

    Args:
        query: (B, A), what is asked for.
        keys: (B, N, A), what each of N places offers.
        values: (B, N, D), what is averaged.
        mask: (B, N), bool, True where one may look; None for everywhere.
        weight: (A,), the last layer of the network; None for ones.

    Returns:
        The context, (B, D), and the weights, (B, N), of sum 1, and 0 at hidden places.

    Raises:
        ValueError: shapes that do not fit, no place, or a row without a place to look.

    Source: Bahdanau et al., Neural Machine Translation by Jointly Learning to Align and
        Translate, ICLR 2015, section 3.1 and appendix A.1.2.
    """
    hidden = torch.tanh(query[:, None] + keys)  # (B, N, A)
    scores = hidden.sum(2) if weight is None else hidden @ weight  # (B, N)
    return _average(scores, values, mask)


def dot_product_attention(
    query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Compare by scaled dot products, make shares of the scores, and take the mean.

    Args:
        query: (B, A), what is asked for.
        keys: (B, N, A), what each of N places offers.
        values: (B, N, D), what is averaged.
        mask: (B, N), bool, True where one may look.

    Returns:
        The context, (B, D), and the weights, (B, N), as `additive_attention`.

    Raises:
        ValueError: as `additive_attention`.

    Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017, section 3.2.1.
    """
    scores = (keys @ query[:, :, None]).squeeze(2) / sqrt(query.shape[1])  # (B, N)
    return _average(scores, values, mask)


def _average(
    scores: Tensor, values: Tensor, mask: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The mean of values (B, N, D), by the softmax of scores (B, N), and it."""
    require_shape("values", values, "B N D", B=scores.shape[0], N=scores.shape[1])
    if not values.shape[1]:
        raise ValueError("values must hold at least one place, got none")
    if mask is not None:
        require_shape("mask", mask, "B N", B=scores.shape[0], N=scores.shape[1])
        if not mask.any(1).all():
            raise ValueError(
                "mask must leave a place in each row, got a row that hides all"
            )
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(1)
    return (weights[:, None] @ values).squeeze(1), weights


class CaptionEncoder(nn.Module):
    """Four convolutions: from a picture to features at places of 8 x 8 pixels.

    Args:
        widths: channels of the four convolutions; the last is D.

    Source: the definition.
    """

    def __init__(self, widths: Sequence[int] = (48, 64, 96, 96)) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        ends = zip((12, *widths), widths, (2, 1, 2, 1), strict=False)
        for inputs, outputs, stride in ends:
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        self.convolutions = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Features at each place, row by row.

        Args:
            images: (B, 3, H, W), uint8, or in [0, 1]; H and W multiples of 8.

        Returns:
            (B, N, D), N being H W / 64.
        """
        images = images / 255 if images.dtype == torch.uint8 else images
        images = (4 * images - 2).contiguous(memory_format=torch.channels_last)
        return self.convolutions(images).flatten(2).mT


class CaptionDecoder(nn.Module):
    """An LSTM that looks at the picture before it writes each word.

    Args:
        num_words: V, of the vocabulary.
        side: the picture's places, side x side of them.
        dim: D, of the features.
        hidden: numbers in the LSTM's state.
        embedding: numbers that stand for a word.
        attention: one of `ATTENTIONS`; "mean" looks everywhere alike, always.

    Attributes:
        where: rows and columns of the places, (N, 2), in [-1, 1].

    Raises:
        ValueError: a number that is not whole, or an attention that does not exist.

    Source: Xu et al., Show, Attend and Tell, ICML 2015, sections 3.1.2 and 4.2; here
        without the gate on the context.
    """

    def __init__(
        self,
        num_words: int = len(WORDS),
        *,
        side: int = 8,
        dim: int = 96,
        hidden: int = 128,
        embedding: int = 32,
        attention: str = "additive",
    ) -> None:
        super().__init__()
        sizes = {"num_words": num_words, "side": side, "dim": dim, "hidden": hidden}
        for name, value in sizes.items():
            require_whole(name, value)
        require_choice("attention", attention, ATTENTIONS)
        self.attention = attention
        line = torch.linspace(-1, 1, side)
        self.register_buffer("where", torch.cartesian_prod(line, line))
        self.mix = nn.Linear(dim + 2, dim)  # what a place shows, and where it is
        self.embed, dim = nn.Embedding(num_words, embedding), dim + 2
        self.start = nn.Linear(dim, 2 * hidden)
        self.query, self.key = nn.Linear(hidden, 32), nn.Linear(dim, 32)
        self.weight = nn.Parameter(torch.randn(32) / 4)
        self.cell = nn.LSTMCell(embedding + dim, hidden)
        self.word = nn.Linear(hidden + dim, num_words)

    def forward(self, features: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Logits for the word after each word that is given: teacher forcing.

        Args:
            features: (B, N, D), of the encoder.
            tokens: (B, T), int64; the last column is not read, only predicted.

        Returns:
            Logits, (B, T - 1, V), and attention weights, (B, T - 1, N).
        """
        where = self.where.expand(len(features), -1, -1)
        mixed = F.relu(self.mix(torch.cat([features, where], dim=2)))
        values = torch.cat([mixed, 2 * where], dim=2)  # (B, N, D + 2)
        keys, words = self.key(values), self.embed(tokens)
        hidden, cell = self.start(values.mean(1)).tanh().chunk(2, dim=1)
        logits, looked = [], []
        for step in range(tokens.shape[1] - 1):
            context, weights = self.look(hidden, keys, values)
            state = torch.cat([words[:, step], context], dim=1)
            hidden, cell = self.cell(state, (hidden, cell))
            logits.append(self.word(torch.cat([hidden, context], dim=1)))
            looked.append(weights)
        return torch.stack(logits, dim=1), torch.stack(looked, dim=1)

    def look(
        self, hidden: Tensor, keys: Tensor, values: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Where to look now, by what was written so far.

        Args:
            hidden: (B, hidden), the LSTM's state.
            keys: (B, N, 32).
            values: (B, N, D + 2); the last two say where a place is.

        Returns:
            The context, (B, D + 2), and the weights, (B, N).
        """
        if self.attention == "mean":
            weights = values.new_full(values.shape[:2], 1 / values.shape[1])
            return values.mean(1), weights
        query = self.query(hidden)
        if self.attention == "dot":
            return dot_product_attention(query, keys, values)
        return additive_attention(query, keys, values, weight=self.weight)


def caption_loss(
    logits: Tensor, weights: Tensor, tokens: Tensor, *, doubly: float = 0.0
) -> Tensor:
    """Cross entropy of each next word, padding left out; and the regularizer.

    Args:
        logits: (B, T - 1, V).
        weights: (B, T - 1, N), of the attention.
        tokens: (B, T), int64, <start> first.
        doubly: lambda, how much the doubly stochastic regularizer counts.

    Returns:
        A scalar.

    Raises:
        ValueError: shapes that do not fit, or a negative `doubly`.

    Source: Xu et al., Show, Attend and Tell, ICML 2015, section 4.2.1.
    """
    require_not_negative("doubly", doubly)
    targets = tokens[:, 1:]
    require_shape("logits", logits, "B T V", B=len(tokens), T=targets.shape[1])
    loss = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), ignore_index=PAD)
    return loss + doubly * doubly_stochastic(weights, targets != PAD)


def doubly_stochastic(weights: Tensor, written: Tensor) -> Tensor:
    """How far each place is from being looked at once in a sentence, squared.

    Args:
        weights: (B, T, N), of the attention, each row of sum 1.
        written: (B, T), bool, False where the sentence has ended.

    Returns:
        A scalar, the sum over places of (1 - sum over words)², mean over sentences.

    Raises:
        ValueError: shapes that do not fit.

    Source: Xu et al., Show, Attend and Tell, ICML 2015, section 4.2.1.
    """
    require_shape("written", written, "B T", B=weights.shape[0], T=weights.shape[1])
    looked = (weights * written[..., None]).sum(1)  # (B, N)
    return (1 - looked).square().sum(1).mean()


@torch.no_grad()
def greedy(
    decoder: nn.Module, features: Tensor, *, max_length: int = 16
) -> tuple[Tensor, Tensor]:
    """Write the likeliest next word, again and again, until all sentences have ended.

    Args:
        decoder: as `CaptionDecoder`.
        features: (B, N, D).
        max_length: the most words, <end> among them.

    Returns:
        Sentences, (B, T), int64, from <start> on, and weights, (B, T - 1, N).

    Raises:
        ValueError: `max_length` is no whole number >= 1.

    Source: the definition.
    """
    require_whole("max_length", max_length)
    tokens = torch.full((len(features), 1), START, device=features.device)
    for _ in range(max_length):
        logits, weights = decoder(features, F.pad(tokens, (0, 1), value=PAD))
        ended = (tokens == END).any(1)
        following = logits[:, -1].argmax(1).masked_fill(ended, PAD)
        tokens = torch.cat([tokens, following[:, None]], dim=1)
        if (ended | (following == END)).all():
            break
    return tokens, weights


def next_words(decoder: nn.Module, features: Tensor) -> Callable[[Tensor], Tensor]:
    """What `beam_search` asks, of a decoder and one picture.

    Args:
        decoder: as `CaptionDecoder`.
        features: (1, N, D), of the picture.

    Returns:
        From beginnings (M, t) to log probabilities of the next word, (M, V).

    Source: the definition.
    """

    def step(beginnings: Tensor) -> Tensor:
        tokens = F.pad(beginnings.to(features.device), (0, 1), value=PAD)
        logits, _ = decoder(features.expand(len(tokens), -1, -1), tokens)
        return logits[:, -1].log_softmax(1)

    return step


def beam_search(
    step: Callable[[Tensor], Tensor],
    start: int,
    end: int,
    width: int,
    max_length: int,
    *,
    power: float = 0.0,
) -> list[tuple[Tokens, float]]:
    """The likeliest sentences, with only so many kept at each length.

    Args:
        step: from beginnings (M, t), int64, to the log probability of each next word,
            (M, V).
        start: the token that all begin with.
        end: the token that ends a sentence.
        width: how many are kept, ended ones among them.
        max_length: the most words, `end` among them, `start` not.
        power: sentences are compared by log probability / length^power; 0 does not
            look at the length, 1 takes the mean of a word.

    Returns:
        Up to `width` pairs, the best first: the tokens behind `start`, and the log
        probability, not divided. Of equal ones, the smaller tokens come first.

    Raises:
        ValueError: `width` or `max_length` is no whole number >= 1, or `power` < 0.

    Source: the definition.
    """
    require_whole("width", width)
    require_whole("max_length", max_length)
    require_not_negative("power", power)

    def rank(pair: tuple[Tokens, float]) -> tuple[float, Tokens]:
        return -pair[1] / max(1, len(pair[0])) ** power, pair[0]

    beam: list[tuple[Tokens, float]] = [((), 0.0)]
    for _ in range(max_length):
        ended = [pair for pair in beam if pair[0][-1:] == (end,)]
        growing = [pair for pair in beam if pair[0][-1:] != (end,)]
        if not growing:
            break
        following = step(torch.tensor([(start, *tokens) for tokens, _ in growing]))
        longer = [
            ((*tokens, word), total + score)
            for (tokens, total), scores in zip(growing, following.tolist(), strict=True)
            for word, score in enumerate(scores)
        ]
        beam = sorted(ended + longer, key=rank)[:width]
    return beam


def scene_captioner() -> tuple[CaptionEncoder, CaptionDecoder]:
    """The book's own captioner of drawn scenes.

    Returns:
        Encoder and decoder, in evaluation mode, for `CaptionedScenes` and `WORDS`.

    Raises:
        ValueError: the weights or their card are missing or broken.

    Source: `studies.captioning`.
    """
    from safetensors.torch import load_file  # not on every GPU server

    path = WEIGHTS / "scene_captioner.safetensors"
    verified_card(path)
    network = nn.ModuleList([CaptionEncoder(), CaptionDecoder()])
    network.load_state_dict(load_file(path))  # float16, to float32
    encoder, decoder = network.eval()
    return encoder, decoder
