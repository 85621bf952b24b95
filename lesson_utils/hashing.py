"""Hashing: a picture as a few dozen bits, and search among very many of them.

The module of the chapter `book/losses/hashing.ipynb`. Features and a network's outputs
are (N, D), floating point. A code is B bits: (N, B), boolean, or packed into bytes,
(N, ceil(B / 8)), uint8, as numpy's `packbits` and faiss have them.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_labels,
    require_not_negative,
    require_positive,
    require_shape,
    require_whole,
)
from lesson_utils.common.schedules import hold_then_fall
from lesson_utils.common.training import Run

SHARD = 2**14  # codes that `search` looks at in one go


def sign_codes(values: Tensor) -> Tensor:
    """One bit for each number: is it above 0?

    Args:
        values: (..., B), floating point: what a network or hyperplanes put out.

    Returns:
        (..., B), boolean; false for 0.

    Raises:
        ValueError: `values` is not floating point, or holds a NaN.

    Source: the definition.
    """
    require_shape("values", values, "... B", floating=True)
    if values.isnan().any():
        raise ValueError("values must hold no NaN, which has no sign, got one")
    return values > 0


def pack_codes(codes: Tensor) -> Tensor:
    """Eight bits in each byte, the first bit highest.

    Args:
        codes: (N, B), boolean.

    Returns:
        (N, ceil(B / 8)), uint8; the last byte is filled up with zeros.

    Raises:
        ValueError: `codes` is not (N, B) and boolean, or B is 0.

    Source: the definition, in the order of numpy's `packbits`.
    """
    require_shape("codes", codes, "N B")
    if codes.dtype != torch.bool or not codes.shape[1]:
        raise ValueError(
            f"codes must be boolean, with a bit at least, got {codes.dtype} of "
            f"{tuple(codes.shape)}"
        )
    missing = codes.new_zeros(len(codes), -codes.shape[1] % 8)
    bits = torch.cat([codes, missing], dim=1).byte().unflatten(1, (-1, 8))
    places = torch.arange(7, -1, -1, device=codes.device, dtype=torch.uint8)
    return (bits << places).sum(2, dtype=torch.uint8)


def hamming_distance(codes1: Tensor, codes2: Tensor) -> Tensor:
    """In how many bits each code of one set differs from each of another.

    Args:
        codes1: (N, S), uint8, packed.
        codes2: (M, S), uint8, packed likewise.

    Returns:
        (N, M), int64, from 0 to 8 S.

    Raises:
        ValueError: one is not of bytes, (N, S), or they have another number of bytes.

    Source: the definition; bits are counted as in Warren, Hacker's Delight, 5-1.
    """
    words1, words2 = _words("codes1", codes1), _words("codes2", codes2)
    if codes1.shape[1] != codes2.shape[1]:
        raise ValueError(
            f"codes2 must have {codes1.shape[1]} bytes a code, as codes1 has, got "
            f"{codes2.shape[1]}"
        )
    distance = words1.new_zeros(len(words1), len(words2))
    for one, other in zip(words1.T, words2.T, strict=True):
        distance += _count_ones(one[:, None] ^ other)
    return distance


def search(codes: Tensor, queries: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k nearest codes of each query, by looking at all of them.

    Args:
        codes: (N, S), uint8, packed: what is searched.
        queries: (M, S), uint8, packed.
        k: how many are found, at most N.

    Returns:
        Distances in bits, rising, and places in `codes`: (M, k), int64, each. Of codes
        that are equally far the earlier comes first.

    Raises:
        ValueError: see `hamming_distance`; `k` is not a whole number from 1 to N.

    Source: the definition.
    """
    require_shape("codes", codes, "N S")
    require_shape("queries", queries, "M S")
    number = len(codes)
    require_whole("k", k, 1, number)
    keys = torch.empty(len(queries), 0, dtype=torch.int64, device=codes.device)
    place = torch.arange(number, device=codes.device)
    # Shard by shard, so that what is computed with stays near the processor.
    for shard, index in zip(codes.split(SHARD), place.split(SHARD), strict=True):
        new = hamming_distance(queries, shard) * number + index  # by distance, by place
        keys = torch.cat([keys, new.topk(min(k, len(shard)), largest=False).values], 1)
        keys = keys.topk(min(k, keys.shape[1]), largest=False).values
    return keys // number, keys % number


def random_hyperplanes(
    dimension: int, bits: int, *, generator: torch.Generator | None = None
) -> Tensor:
    """Directions drawn evenly; the sign of the product with each is a bit.

    Args:
        dimension: D, of the features.
        bits: B, how many are drawn.
        generator: where they come from.

    Returns:
        (D, B), float32, from a normal distribution.

    Raises:
        ValueError: `dimension` or `bits` is not a whole number >= 1.

    Source: Charikar, Similarity Estimation Techniques from Rounding Algorithms, STOC
        2002.
    """
    require_whole("dimension", dimension)
    require_whole("bits", bits)
    return torch.randn(dimension, bits, generator=generator, dtype=torch.float32)


def expected_collisions(features1: Tensor, features2: Tensor, bits: int = 1) -> Tensor:
    """How many bits of random hyperplanes two features share in the mean.

    Args:
        features1: (N, D), floating point, no row zero.
        features2: (N, D), floating point, no row zero: compared row by row.
        bits: B, of the codes; with 1 the result is a probability.

    Returns:
        (N,), B (1 - angle / π), from 0 to B.

    Raises:
        ValueError: the two are not (N, D) of one shape and floating point, a row is
            zero or not finite, or `bits` is no whole number >= 1.

    Source: Goemans and Williamson, Journal of the ACM 1995; Charikar, STOC 2002.
    """
    require_shape("features1", features1, "N D", floating=True)
    require_shape("features2", features2, "N D", floating=True, N=len(features1))
    require_shape("features2", features2, "N D", D=features1.shape[1])
    require_whole("bits", bits)
    one, other = (
        _directions("features1", features1),
        _directions("features2", features2),
    )
    # Not the arc cosine, whose slope is infinite where two directions are equal.
    angle = 2 * torch.atan2((one - other).norm(dim=1), (one + other).norm(dim=1))
    return bits * (1 - angle / torch.pi)


def quantization_loss(outputs: Tensor) -> Tensor:
    """How far outputs are from -1 and 1, which their signs will make of them.

    Args:
        outputs: (N, B), floating point.

    Returns:
        (), the distance to the nearer of the two, summed over bits, mean over rows.

    Raises:
        ValueError: `outputs` is not (N, B) and floating point, or is empty.

    Source: Liu et al., Deep Supervised Hashing for Fast Image Retrieval, CVPR 2016.
    """
    _require_outputs(outputs)
    return (at_least_float32(outputs).abs() - 1).abs().sum(1).mean()


def balance_loss(outputs: Tensor) -> Tensor:
    """How far bits are from being 1 for half of the pictures.

    Args:
        outputs: (N, B), floating point.

    Returns:
        (), the sum over bits of the squared mean over rows.

    Raises:
        ValueError: as for `quantization_loss`.

    Source: the constraint of Weiss, Torralba and Fergus, Spectral Hashing, NIPS 2008.
    """
    _require_outputs(outputs)
    return at_least_float32(outputs).mean(0).square().sum()


def hashing_loss(
    outputs: Tensor,
    labels: Tensor,
    *,
    margin: float | None = None,
    alpha: float = 0.01,
    beta: float = 0.0,
) -> Tensor:
    """Deep supervised hashing's loss, over all pairs of a batch.

    Args:
        outputs: (N, B), floating point.
        labels: (N,), whole numbers: equal for pictures that are to share a code.
        margin: the squared distance that different pictures are to have; by default
            2 B, that of codes of which half the bits differ.
        alpha: weight of the quantization, once for each picture of a pair.
        beta: weight of the balance, which the paper does not have.

    Returns:
        (), not negative: half the squared distance, or half of what it lacks to the
        margin, mean over pairs; and the two regularizers.

    Raises:
        ValueError: as for `quantization_loss`; there is one row only, labels are not
            (N,), the margin is not above 0, or a weight is negative.

    Source: Liu et al., CVPR 2016.
    """
    _require_outputs(outputs, rows=2)
    require_shape("labels", labels, "N", N=len(outputs))
    margin = 2 * outputs.shape[1] if margin is None else margin
    require_positive("margin", margin)
    require_not_negative("alpha", alpha)
    require_not_negative("beta", beta)
    outputs = at_least_float32(outputs)
    number = len(outputs)
    first, second = torch.triu_indices(number, number, 1)
    squared = (outputs[first] - outputs[second]).square().sum(1)  # (pairs,)
    same = labels[first] == labels[second]
    pairs = torch.where(same, squared, (margin - squared).clamp(min=0)).mean() / 2
    regular = 2 * alpha * quantization_loss(outputs) + beta * balance_loss(outputs)
    return pairs + regular


def precision(
    codes: Tensor, labels: Tensor, queries: Tensor, query_labels: Tensor, *, k: int
) -> float:
    """Which share of the k nearest codes has the query's label, in the mean.

    Args:
        codes: (N, S), as for `search`.
        labels: (N,), of the codes.
        queries: (M, S), as for `search`.
        query_labels: (M,).
        k: as for `search`.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: see `search`; labels are not one for each code.

    Source: the definition.
    """
    require_shape("labels", labels, "N", N=len(codes))
    require_shape("query_labels", query_labels, "M", M=len(queries))
    _, found = search(codes, queries, k)
    return (labels[found] == query_labels[:, None]).float().mean().item()


class HashNet(nn.Module):
    """Two convolutions and two linear layers, from a digit to a number for each bit.

    Args:
        bits: B.

    Raises:
        ValueError: `bits` is not a whole number >= 1.

    Source: in the spirit of Liu et al., CVPR 2016, and smaller.
    """

    def __init__(self, bits: int) -> None:
        super().__init__()
        require_whole("bits", bits)
        self.layers = nn.Sequential(
            *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Linear(32 * 7 * 7, 128), nn.ReLU()),
            nn.Linear(128, bits),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Outputs, whose signs are the code.

        Args:
            images: (B, 1, 28, 28).

        Returns:
            (B, bits).
        """
        return self.layers(images)


def train(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    alpha: float = 0.01,
    beta: float = 0.0,
    steps: int = 400,
    batch_size: int = 64,
    learning_rate: float = 1e-3,
    seed: int = 0,
    **run: object,
) -> dict[str, list[float]]:
    """Teach a network codes, by all pairs of each batch.

    Args:
        network: from pictures to outputs (B, bits); trained in place.
        images: (N, C, H, W).
        labels: (N,), whole numbers from 0.
        alpha: as for `hashing_loss`.
        beta: likewise.
        steps: batches of training.
        batch_size: pictures a step.
        learning_rate: Adam's, in the first half; then it falls to 0.
        seed: of the order.
        **run: as `lesson_utils.common.training.Run` has it.

    Returns:
        "loss": a number for each step.

    Raises:
        ValueError: as `Run` and `hashing_loss` have it.
        FloatingPointError: the loss is no longer a number.

    Source: Liu et al., CVPR 2016, with Adam.
    """
    require_labels("labels", labels, len(images), int(labels.max()) + 1)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    sizes = {"number": len(images), "steps": steps, "batch_size": batch_size}
    run = Run(network, optimizer, **sizes, seed=seed, schedule=hold_then_fall, **run)
    for _ in run:
        some, theirs = run.batch(images, labels)
        outputs = run.network(some)
        run.learn(loss=hashing_loss(outputs, theirs, alpha=alpha, beta=beta))
    return run.history


def _words(name: str, codes: Tensor) -> Tensor:
    """(N, S) bytes as (N, ceil(S / 8)) words of 64 bits, or a ValueError."""
    require_shape(name, codes, "N S")
    if codes.dtype != torch.uint8:
        raise ValueError(f"{name} must be packed into uint8, got {codes.dtype}")
    missing = codes.new_zeros(len(codes), -codes.shape[1] % 8)
    return torch.cat([codes, missing], dim=1).view(torch.int64)


def _count_ones(words: Tensor) -> Tensor:
    """How many bits of each int64 are 1: added up in pairs, fours, eights, and all."""
    words = words - ((words >> 1) & 0x5555555555555555)
    words = (words & 0x3333333333333333) + ((words >> 2) & 0x3333333333333333)
    words = (words + (words >> 4)) & 0x0F0F0F0F0F0F0F0F
    return (words * 0x0101010101010101) >> 56


def _directions(name: str, features: Tensor) -> Tensor:
    features = at_least_float32(features)
    largest = features.abs().amax(1, keepdim=True)
    if not ((largest > 0) & largest.isfinite()).all():
        raise ValueError(f"{name} must have finite rows, none of them zero, got one")
    return F.normalize(features / largest, dim=1)


def _require_outputs(outputs: Tensor, rows: int = 1) -> None:
    require_shape("outputs", outputs, "N B", floating=True)
    if len(outputs) < rows or not outputs.shape[1]:
        size = tuple(outputs.shape)
        raise ValueError(f"outputs must have {rows} rows or more and a bit, got {size}")
