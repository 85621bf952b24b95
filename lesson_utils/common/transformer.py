"""The parts of a transformer: attention with several heads, and the two layers.

Sequences are (B, N, D): N tokens of D numbers for each of B pictures. A token may have
a position of its own, (N, D) or (B, N, D), which is added where tokens are compared and
never to what is handed on. Parameters have the names and the layout of
`nn.MultiheadAttention`, so that weights can be exchanged.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.require import (
    require_positive,
    require_shape,
    require_whole,
)


def sine_positions(
    height: int, width: int, channels: int, *, temperature: float = 20.0
) -> Tensor:
    """Where each position of a map lies, as sines and cosines of many wavelengths.

    Args:
        height: H.
        width: W.
        channels: D, a multiple of 4: the first half is about the row, the second about
            the column; of each half, first the sines, then the cosines.
        temperature: the longest wavelength nearly, in heights (or widths) of the map;
            the shortest is 1.

    Returns:
        (H * W, D), each in [-1, 1], row after row of the map. With t = 2 pi (i + 1/2)
        / H, row i has sin(t / T^(k / (D/4))) and the cosines, for k = 0 ... D/4 - 1.

    Raises:
        ValueError: a size is no whole number >= 1, `channels` is no multiple of 4, or
            the temperature is not above 0.

    Source: Carion et al., End-to-End Object Detection with Transformers, ECCV 2020,
        appendix A.4, with a temperature for small maps (its code: 10000).
    """
    for name, value in (("height", height), ("width", width), ("channels", channels)):
        require_whole(name, value)
    require_positive("temperature", temperature)
    if channels % 4:
        raise ValueError(f"channels must be a multiple of 4, got {channels}")
    waves = temperature ** (torch.arange(channels // 4) / (channels // 4))
    rows, columns = (
        2 * math.pi * (torch.arange(size) + 0.5)[:, None] / size / waves
        for size in (height, width)
    )
    rows, columns = (
        torch.cat([each.sin(), each.cos()], dim=1) for each in (rows, columns)
    )
    grid = rows[:, None].expand(-1, width, -1), columns.expand(height, -1, -1)
    return torch.cat(grid, dim=2).flatten(0, 1)


def multi_head_attention(
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    in_weight: Tensor,
    in_bias: Tensor,
    out_weight: Tensor,
    out_bias: Tensor,
    *,
    heads: int,
) -> tuple[Tensor, Tensor]:
    """Each query takes a weighted mean of all values, once for each head.

    Args:
        queries: (B, N, D).
        keys: (B, M, D), what each query is compared with.
        values: (B, M, D), what it takes.
        in_weight: (3D, D): the projections of queries, keys and values.
        in_bias: (3D,).
        out_weight: (D, D), of what the heads have found, side by side.
        out_bias: (D,).
        heads: h, a divisor of D; each works on D / h of the numbers.

    Returns:
        What the queries have taken, (B, N, D), and the weights of each head,
        (B, h, N, M), which sum to 1 over the keys.

    Raises:
        ValueError: shapes do not fit each other, or D is no multiple of `heads`.

    Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017, section 3.2.
    """
    require_whole("heads", heads)
    require_shape("queries", queries, "B N D")
    batch, _, dim = queries.shape
    require_shape("keys", keys, "B M D", B=batch, D=dim)
    require_shape("values", values, "B M D", B=batch, M=keys.shape[1], D=dim)
    for name, weight, shape in (
        ("in_weight", in_weight, "E D"),
        ("in_bias", in_bias, "E"),
        ("out_weight", out_weight, "D D"),
        ("out_bias", out_bias, "D"),
    ):
        require_shape(name, weight, shape, E=3 * dim, D=dim)
    if dim % heads:
        raise ValueError(f"D must be a multiple of {heads} heads, got {dim}")
    q, k, v = (
        F.linear(x, w, b).unflatten(2, (heads, -1)).transpose(1, 2)  # (B, h, ., D / h)
        for x, w, b in zip(
            (queries, keys, values), in_weight.chunk(3), in_bias.chunk(3), strict=True
        )
    )
    weights = (q @ k.mT / (dim // heads) ** 0.5).softmax(dim=-1)  # (B, h, N, M)
    found = (weights @ v).transpose(1, 2).flatten(2)  # (B, N, D)
    return F.linear(found, out_weight, out_bias), weights


class MultiHeadAttention(nn.Module):
    """`multi_head_attention` with parameters of its own.

    Args:
        dim: D.
        heads: h, a divisor of D.

    Raises:
        ValueError: a number is no whole number >= 1, or D is no multiple of `heads`.

    Source: Vaswani et al., Attention Is All You Need, NeurIPS 2017, section 3.2.2; the
        first values are those of `nn.MultiheadAttention`.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        require_whole("dim", dim)
        require_whole("heads", heads)
        if dim % heads:
            raise ValueError(f"dim must be a multiple of {heads} heads, got {dim}")
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, queries: Tensor, keys: Tensor, values: Tensor) -> tuple:
        """See `multi_head_attention`.

        Args:
            queries: (B, N, D).
            keys: (B, M, D).
            values: (B, M, D).

        Returns:
            What the queries have taken, (B, N, D), and the weights, (B, h, N, M).
        """
        return multi_head_attention(
            queries,
            keys,
            values,
            self.in_proj_weight,
            self.in_proj_bias,
            self.out_proj.weight,
            self.out_proj.bias,
            heads=self.heads,
        )


class EncoderLayer(nn.Module):
    """Tokens look at each other, then each is worked on alone.

    Each half adds to its input what it has found, and normalizes *before* it looks.

    Args:
        dim: D.
        heads: h.
        hidden: numbers within the second half.

    Raises:
        ValueError: see `MultiHeadAttention`.

    Source: Vaswani et al., NeurIPS 2017, section 3.1; the norm stands first as in Xiong
        et al., On Layer Normalization in the Transformer Architecture, ICML 2020.
    """

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = MultiHeadAttention(dim, heads)
        self.alone = _alone(dim, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))

    def forward(self, x: Tensor, positions: Tensor) -> Tensor:
        """One layer.

        Args:
            x: (B, N, D).
            positions: (N, D), added to queries and keys.

        Returns:
            (B, N, D).
        """
        y = self.norms[0](x)
        x = x + self.attention(y + positions, y + positions, y)[0]
        return x + self.alone(self.norms[1](x))


class DecoderLayer(nn.Module):
    """Queries look at each other, then at the memory, then each works alone.

    Args:
        dim: D.
        heads: h.
        hidden: numbers within the last part.

    Raises:
        ValueError: see `MultiHeadAttention`.

    Source: as `EncoderLayer`; where positions are added is Carion et al., End-to-End
        Object Detection with Transformers, ECCV 2020, appendix A.3.
    """

    def __init__(self, dim: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.among = MultiHeadAttention(dim, heads)
        self.across = MultiHeadAttention(dim, heads)
        self.alone = _alone(dim, hidden)
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(3))

    def forward(
        self,
        x: Tensor,
        queries: Tensor,
        memory: Tensor,
        positions: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """One layer.

        Args:
            x: (B, N, D), what the queries have found so far.
            queries: (N, D), who they are: a position that is learned.
            memory: (B, M, D).
            positions: (M, D), of the memory's tokens.

        Returns:
            (B, N, D), and how much each query looked at each token, (B, h, N, M).
        """
        y = self.norms[0](x)
        x = x + self.among(y + queries, y + queries, y)[0]
        y = self.norms[1](x)
        found, weights = self.across(y + queries, memory + positions, memory)
        x = x + found
        return x + self.alone(self.norms[2](x)), weights


def _alone(dim: int, hidden: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, hidden), nn.ReLU(), nn.Linear(hidden, dim))
