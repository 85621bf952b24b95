"""Metric learning: a network whose distances mean something.

The module of the chapter `book/losses/metric_learning.ipynb`. Embeddings are (N, D),
floating point; labels are (N,), whole numbers, equal for what belongs together.
"""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.data import Sampler

from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    INTEGERS,
    require_not_negative,
    require_positive,
    require_shape,
    require_whole,
)
from lesson_utils.common.schedules import hold_then_fall
from lesson_utils.common.training import Run


def pairwise_distance(a: Tensor, b: Tensor, *, squared: bool = False) -> Tensor:
    """The Euclidean distance of every row of one set from every row of another.

    It adds up squared differences: |a|² + |b|² - 2 a·b would be faster, and loses all
    digits where two rows are much closer to each other than to the origin.

    Args:
        a: (N, D), floating point.
        b: (M, D), likewise.
        squared: whether to leave the root out.

    Returns:
        (N, M), not negative. Where two rows are equal the gradient is 0, though the
        root has no slope there. In float32, differences below 1e-22 count as 0.

    Raises:
        ValueError: another shape, or not floating point.

    Source: the definition.
    """
    require_shape("a", a, "N D", floating=True)
    require_shape("b", b, "M D", floating=True, D=a.shape[1])
    a, b = at_least_float32(a), at_least_float32(b)
    rows = max(1, 2**22 // max(1, b.numel()))  # at once, for the memory's sake
    # Of a difference of 0, vector_norm takes the slope as 0: a bare root has none.
    parts = [torch.linalg.vector_norm(x[:, None] - b, dim=2) for x in a.split(rows)]
    distance = torch.cat(parts)  # (N, M)
    return distance.square() if squared else distance


def unit_vectors(values: Tensor) -> Tensor:
    """Vectors divided by their lengths.

    Args:
        values: (..., D), floating point.

    Returns:
        The same shape, of length 1; zeros stay zeros, with a gradient of 0.

    Raises:
        ValueError: not floating point.

    Source: the definition.
    """
    require_shape("values", values, "... D", floating=True)
    values = at_least_float32(values)
    # Only the direction counts: scaled first, so that no square leaves the range.
    scale = values.detach().abs().amax(dim=-1, keepdim=True)
    scaled = values / scale.masked_fill(scale == 0, 1)
    length = _safe_root(scaled.square().sum(dim=-1, keepdim=True))
    return scaled / length.masked_fill(scale == 0, 1)


def cosine_similarity(a: Tensor, b: Tensor) -> Tensor:
    """The cosine of the angle between every row of one set and every row of another.

    Args:
        a: (N, D), floating point.
        b: (M, D), likewise.

    Returns:
        (N, M), in [-1, 1]; 0 for a vector of zeros, which has no direction.

    Raises:
        ValueError: another shape, or not floating point.

    Source: the definition.
    """
    require_shape("a", a, "N D", floating=True)
    require_shape("b", b, "M D", floating=True, D=a.shape[1])
    a, b = unit_vectors(a), unit_vectors(b)
    dtype = torch.promote_types(a.dtype, b.dtype)
    cosine = a.to(dtype) @ b.to(dtype).T
    return cosine + (cosine.clamp(-1, 1) - cosine).detach()  # rounding, not a slope


def contrastive_loss(
    embeddings1: Tensor, embeddings2: Tensor, same: Tensor, *, margin: float = 1.0
) -> Tensor:
    """Pull pairs of one class together; push others apart, as far as a margin.

    Args:
        embeddings1: (N, D), floating point.
        embeddings2: (N, D), the other one of each pair.
        same: (N,), boolean: whether the two are of one class.
        margin: the distance at which a pair of two classes is left alone.

    Returns:
        A scalar: the mean of d²/2 over pairs that are the same, and of
        max(0, margin - d)²/2 over those that are not.

    Raises:
        ValueError: no pair, another shape or dtype, or a margin that is not above 0.

    Source: Hadsell, Chopra and LeCun, Dimensionality Reduction by Learning an
        Invariant Mapping, CVPR 2006, equation 4, where the sum is taken.
    """
    _require_alike(embeddings1=embeddings1, embeddings2=embeddings2)
    if same.shape != embeddings1.shape[:1] or same.dtype != torch.bool:
        raise ValueError(
            f"same must be ({len(embeddings1)},), boolean, got {tuple(same.shape)} of "
            f"{same.dtype}"
        )
    require_positive("margin", margin)
    distance = _distance(embeddings1, embeddings2)  # (N,)
    pull, push = distance.square(), (margin - distance).clamp(min=0).square()
    return torch.where(same, pull, push).mean() / 2


def triplet_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, margin: float = 0.2
) -> Tensor:
    """Ask that an anchor's partner be nearer to it than a stranger, by a margin.

    Args:
        anchor: (N, D), floating point.
        positive: (N, D), of the anchor's class.
        negative: (N, D), of another one.
        margin: by how much nearer.

    Returns:
        A scalar: the mean of max(0, d(anchor, positive) + margin - d(anchor, negative))

    Raises:
        ValueError: no triplet, another shape, or a margin below 0.

    Source: Schroff et al., FaceNet, CVPR 2015, section 3.1, with d where that has d²,
        as Hermans et al. recommend (In Defense of the Triplet Loss, 2017).
    """
    _require_alike(anchor=anchor, positive=positive, negative=negative)
    require_not_negative("margin", margin)
    nearer = _distance(anchor, positive) - _distance(anchor, negative)
    return (nearer + margin).clamp(min=0).mean()


def quadruplet_loss(
    anchor: Tensor,
    positive: Tensor,
    negative1: Tensor,
    negative2: Tensor,
    *,
    margin1: float = 1.0,
    margin2: float = 0.5,
) -> Tensor:
    """A triplet's demand, and that a pair be closer than any two strangers.

    Args:
        anchor: (N, D), floating point.
        positive: (N, D), of the anchor's class.
        negative1: (N, D), of a second class.
        negative2: (N, D), of a third class.
        margin1: by how much d(anchor, negative1)² is to exceed d(anchor, positive)².
        margin2: by how much d(negative1, negative2)² is to exceed it.

    Returns:
        A scalar: the sum of the two terms' means.

    Raises:
        ValueError: no quadruplet, another shape, or a margin below 0.

    Source: Chen et al., Beyond Triplet Loss: A Deep Quadruplet Network for Person
        Re-Identification, CVPR 2017, with the Euclidean distance as the metric.
    """
    _require_alike(
        anchor=anchor, positive=positive, negative1=negative1, negative2=negative2
    )
    require_not_negative("margin1", margin1)
    require_not_negative("margin2", margin2)
    pair = _distance(anchor, positive, squared=True)
    own = pair - _distance(anchor, negative1, squared=True) + margin1
    foreign = pair - _distance(negative1, negative2, squared=True) + margin2
    return own.clamp(min=0).mean() + foreign.clamp(min=0).mean()


def batch_hard_triplets(
    embeddings: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """For each sample of a batch the farthest partner and the nearest stranger.

    Args:
        embeddings: (N, D), floating point.
        labels: (N,), whole numbers.

    Returns:
        Positions of anchors, positives and negatives, (T,) each, int64, anchors in
        order. Who has no partner or no stranger is no anchor, so that T may be 0. Of
        equal distances the first counts.

    Raises:
        ValueError: another shape or dtype.

    Source: Hermans et al., In Defense of the Triplet Loss, 2017, section 2.
    """
    partner, stranger = _relations(embeddings, labels)
    distance = pairwise_distance(embeddings.detach(), embeddings.detach())
    if not len(labels):
        return (labels.long(),) * 3
    positives = distance.masked_fill(~partner, -1).argmax(dim=1)
    negatives = distance.masked_fill(~stranger, torch.inf).argmin(dim=1)
    anchors = (partner.any(dim=1) & stranger.any(dim=1)).nonzero().flatten()
    return anchors, positives[anchors], negatives[anchors]


def semi_hard_triplets(
    embeddings: Tensor, labels: Tensor, *, margin: float = 0.2
) -> tuple[Tensor, Tensor, Tensor]:
    """All triplets that are in the right order, but by less than the margin.

    Args:
        embeddings: (N, D), floating point.
        labels: (N,), whole numbers.
        margin: as for `triplet_loss`.

    Returns:
        Positions of anchors, positives and negatives, (T,) each, int64, with
        d(anchor, positive) < d(anchor, negative) < d(anchor, positive) + margin.

    Raises:
        ValueError: another shape or dtype, or a margin below 0.

    Source: Schroff et al., FaceNet, CVPR 2015, section 3.2.
    """
    require_not_negative("margin", margin)
    partner, stranger = _relations(embeddings, labels)
    distance = pairwise_distance(embeddings.detach(), embeddings.detach())
    lead = distance[:, None] - distance[:, :, None]  # (anchor, positive, negative)
    chosen = partner[:, :, None] & stranger[:, None] & (lead > 0) & (lead < margin)
    return chosen.nonzero().unbind(dim=1)


class PKSampler(Sampler[list[int]]):
    """Batches of P classes with K samples of each, so that each anchor has a partner.

    Args:
        labels: (N,), whole numbers, of all samples.
        classes: P, different ones in each batch; at least 2.
        samples: K, of each; at least 2. A class that has fewer gives some twice.
        batches: how many there are.
        seed: of what is drawn: the same seed, the same batches.

    Raises:
        ValueError: fewer than P classes, or an argument that is not as said.

    Source: Hermans et al., 2017, section 2.
    """

    def __init__(
        self, labels: Tensor, *, classes: int, samples: int, batches: int, seed: int = 0
    ) -> None:
        _require_labels(labels)
        require_whole("samples", samples, 2)
        require_whole("batches", batches)
        require_whole("seed", seed, 0)
        names = labels.unique()
        require_whole("classes", classes, 2, max(2, len(names)))
        if len(names) < classes:
            raise ValueError(f"labels must be of {classes} classes, got {len(names)}")
        self.members = [(labels == name).nonzero().flatten() for name in names]
        self.classes, self.samples = classes, samples
        self.batches, self.seed = batches, seed

    def __len__(self) -> int:
        return self.batches

    def __iter__(self) -> Iterator[list[int]]:
        dice = torch.Generator().manual_seed(self.seed)
        for _ in range(self.batches):
            chosen = torch.randperm(len(self.members), generator=dice)[: self.classes]
            groups = [self._draw(self.members[k], dice) for k in chosen.tolist()]
            yield torch.cat(groups).tolist()

    def _draw(self, members: Tensor, dice: torch.Generator) -> Tensor:
        rounds = -(-self.samples // len(members))
        order = [torch.randperm(len(members), generator=dice) for _ in range(rounds)]
        return members[torch.cat(order)[: self.samples]]


def train(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    steps: int = 300,
    classes: int = 8,
    samples: int = 8,
    learning_rate: float = 1e-3,
    seed: int = 0,
    **run: object,
) -> dict[str, list[float]]:
    """Train a network on batches of P classes with K samples of each.

    Args:
        network: from (B, C, H, W) to (B, D); trained in place.
        images: (N, C, H, W), in [0, 1].
        labels: (N,), whole numbers.
        loss: from embeddings (B, D) and labels (B,) to a scalar.
        steps: batches of training.
        classes: P.
        samples: K; a batch has P * K pictures.
        learning_rate: Adam's, in the first half; then it falls to 0.
        seed: of the batches.
        **run: of `lesson_utils.common.training.Run`, such as `checkpoint`.

    Returns:
        "loss" and "spread", the mean distance of a batch's embeddings from their mean:
        a number for each step.

    Raises:
        ValueError: as `PKSampler` and `Run` have it.
        FloatingPointError: the loss is no longer a number.

    Source: Hermans et al., 2017, section 2.
    """
    sampler = PKSampler(
        labels, classes=classes, samples=samples, batches=steps, seed=seed
    )
    batches = torch.tensor([*sampler])  # (steps, P * K)
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    run = Run(
        network,
        optimizer,
        number=steps,  # of batches, which are drawn already
        steps=steps,
        batch_size=1,
        seed=seed,
        schedule=hold_then_fall,
        **run,
    )

    for _ in run:
        batch, names = run.batch(
            batches, change=lambda rows, **_: (images[rows[0]], labels[rows[0]])
        )
        embeddings = run.network(batch)
        run.note(spread=(embeddings - embeddings.mean(dim=0)).norm(dim=1).mean())
        run.learn(loss=loss(embeddings, names))
    return run.history


def _safe_root(squares: Tensor) -> Tensor:
    """The square root, with a slope of 0 at 0, where it has none."""
    zero = squares == 0
    return squares.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def _distance(a: Tensor, b: Tensor, *, squared: bool = False) -> Tensor:
    """Row by row, (N, D) and (N, D) to (N,)."""
    squares = (at_least_float32(a) - at_least_float32(b)).square().sum(dim=1)
    return squares if squared else _safe_root(squares)


def _require_alike(**sets: Tensor) -> None:
    shape = next(iter(sets.values())).shape
    for name, values in sets.items():
        require_shape(name, values, "N D", floating=True, N=shape[0], D=shape[-1])
        if not len(values):
            raise ValueError(f"{name} must have a row at least, got none")


def _require_labels(labels: Tensor, number: int | None = None) -> None:
    fits = labels.dim() == 1 and number in (None, len(labels))
    if not fits or labels.dtype not in INTEGERS:
        raise ValueError(
            f"labels must be ({'N' if number is None else number},), whole numbers, "
            f"got {tuple(labels.shape)} of {labels.dtype}"
        )


def _relations(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Who is whose partner and who is whose stranger, (N, N) each."""
    require_shape("embeddings", embeddings, "N D", floating=True)
    _require_labels(labels, len(embeddings))
    same = labels[:, None] == labels
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    return same & ~itself, ~same
