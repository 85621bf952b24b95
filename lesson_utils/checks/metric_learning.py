"""The exercises of the chapter `book/losses/metric_learning.ipynb`."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from lesson_utils import metric_learning
from lesson_utils.common import retrieval
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

LABELS = torch.tensor([2, 0, 1, 0, 2, 2, 1, 0, 1])

# contrastive_loss -------------------------------------------------------------------


def _contrastive_by_loop(
    embeddings1: Tensor, embeddings2: Tensor, same: Tensor, *, margin: float = 1.0
) -> Tensor:
    total = embeddings1.new_zeros(())
    for first, second, alike in zip(embeddings1, embeddings2, same, strict=True):
        distance = (first - second).pow(2).sum().sqrt()
        if alike:
            total = total + distance**2 / 2
        elif distance < margin:
            total = total + (margin - distance) ** 2 / 2
    return total / len(same)


def _contrastive_cases() -> Iterator[Case]:
    points = torch.tensor([[0.3, 0.4], [0.3, 0.4], [3.0, 4.0]], dtype=torch.float64)
    origin, yes, no = torch.zeros_like(points), torch.tensor([True]), torch.zeros(1)
    no = no.bool()
    # `F.pairwise_distance` adds 1e-6 before the root: right all the same.
    loose = {"rtol": 1e-4, "atol": 1e-5}
    for name, row, same, value in (
        ("a pair that belongs together, 0.5 apart", 0, yes, 0.125),
        ("a pair of two classes, 0.5 apart", 0, no, 0.125),
        ("a pair of two classes, 5 apart", 2, no, 0.0),
        ("a pair that belongs together, 5 apart", 2, yes, 12.5),
    ):
        pair = points[row : row + 1], origin[:1], same
        due = torch.tensor(value, dtype=torch.float64)
        yield Case(name, pair, expected=due, **loose)
    one, other = 0.4 * normal(12, 3), 0.4 * normal(12, 3, seed=1)
    same = torch.arange(12) % 3 == 0
    for margin in (0.5, 1.0, 2.0):
        yield Case.from_reference(
            f"twelve pairs, a margin of {margin}",
            _contrastive_by_loop,
            one,
            other,
            same,
            margin=margin,
            gradient=margin == 1,
            **loose,
        )
    yield Case(
        "two classes at one point",
        (one[:1], one[:1].clone(), no),
        expected=torch.tensor(0.5, dtype=torch.float64),
        gradients=(torch.zeros(1, 3).double(), torch.zeros(1, 3).double()),
        hardening=True,
    )
    yield Case("no pair", (one[:0], other[:0], same[:0]), raises=ValueError)
    yield Case("sets of two sizes", (one, other[:6], same), raises=ValueError)
    yield Case("`same` as numbers", (one, other, same.double()), raises=ValueError)
    yield Case("a margin of 0", (one, other, same), {"margin": 0}, raises=ValueError)


def _root(squares: Tensor) -> Tensor:
    zero = squares == 0
    return squares.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


def _contrast(
    of_pair: Callable[[Tensor, Tensor, float], Tensor],
    embeddings1: Tensor,
    embeddings2: Tensor,
    same: Tensor,
    *,
    margin: float = 1.0,
    mean: Callable[[Tensor], Tensor] = torch.mean,
) -> Tensor:
    """The right answer but for the loss of a pair, or for how these are averaged."""
    if not len(same) or embeddings1.shape != embeddings2.shape or margin <= 0:
        raise ValueError("pairs")
    if same.dtype != torch.bool:
        raise ValueError("same")
    distance = _root((embeddings1 - embeddings2).square().sum(1))
    return mean(of_pair(distance, same, margin)) / 2


def _right_pair(distance, same, margin):
    push = (margin - distance).clamp(min=0).square()
    return torch.where(same, distance.square(), push)


def _swapped(distance, same, margin):
    return _right_pair(distance, ~same, margin)


def _not_halved(distance, same, margin):
    return 2 * _right_pair(distance, same, margin)


def _no_margin(distance, same, margin):
    return torch.where(same, distance.square(), (margin - distance).square())


def _margin_of_square(distance, same, margin):
    push = (margin - distance.square()).clamp(min=0)
    return torch.where(same, distance.square(), push)


def _margin_of_square_squared(distance, same, margin):
    push = (margin - distance.square()).clamp(min=0).square()
    return torch.where(same, distance.square(), push)


def _not_squared(distance, same, margin):
    return torch.where(same, distance, (margin - distance).clamp(min=0))


def _push_not_squared(distance, same, margin):
    push = (margin - distance).clamp(min=0)
    return torch.where(same, distance.square(), push)


def _pull_not_squared(distance, same, margin):
    return torch.where(same, distance, _right_pair(distance, same, margin))


def _margin_of_one(distance, same, margin):
    return _right_pair(distance, same, 1.0)


def _bare_root(embeddings1, embeddings2, same, *, margin=1.0):
    """As the formula has it: 0 times infinity where two points are one."""
    _contrast(_right_pair, embeddings1, embeddings2, same, margin=margin)
    distance = (embeddings1 - embeddings2).square().sum(1).sqrt()
    return _right_pair(distance, same, margin).mean() / 2


_CONTRASTIVE_LOSS = Exercise(
    name="contrastive_loss",
    solution=metric_learning.contrastive_loss,
    cases=_contrastive_cases,
    mistakes=(
        Mistake(
            "`same` is the other way round: pairs that belong together pay for their "
            "distance, others for being closer than the margin.",
            partial(_contrast, _swapped),
        ),
        Mistake(
            "The loss of each pair is halved: d²/2 and max(0, margin − d)²/2.",
            partial(_contrast, _not_halved),
        ),
        Mistake(
            "Beyond the margin a pair of two classes costs nothing: clamp margin − d "
            "at 0 before you square it.",
            partial(_contrast, _no_margin),
        ),
        Mistake(
            "You compare the margin with d². It is max(0, margin − d), squared.",
            partial(_contrast, _margin_of_square),
        ),
        Mistake(
            "You compare the margin with d²: take the root before, and square the "
            "difference after it.",
            partial(_contrast, _margin_of_square_squared),
        ),
        Mistake(
            "Both terms are squares: d² and max(0, margin − d)².",
            partial(_contrast, _not_squared),
        ),
        Mistake(
            "What is missing to the margin is squared: max(0, margin − d)².",
            partial(_contrast, _push_not_squared),
        ),
        Mistake(
            "The distance of a pair that belongs together is squared: d²/2.",
            partial(_contrast, _pull_not_squared),
        ),
        Mistake(
            "`margin` is not heeded: yours is always 1.",
            partial(_contrast, _margin_of_one),
        ),
        Mistake(
            "Take the mean over pairs, not the sum.",
            partial(_contrast, _right_pair, mean=torch.sum),
        ),
        Mistake(
            "Where two points are one, the root's slope is infinite, and the gradient "
            "NaN. Fill those places before the root, and set them to 0 after it.",
            _bare_root,
        ),
    ),
    hints=(
        "One distance for each pair: subtract, square, add up along the last "
        "dimension, take the root.",
        "`torch.where(same, pull, push)` chooses for each pair.",
        "`push = (margin - distance).clamp(min=0).square()`.",
    ),
)


# batch_hard_triplets ----------------------------------------------------------------


def _hard_by_loop(embeddings: Tensor, labels: Tensor) -> tuple[Tensor, ...]:
    rows = []
    for i in range(len(labels)):
        best, far, near = [None, None], -1.0, math.inf
        for j in range(len(labels)):
            distance = math.dist(embeddings[i].tolist(), embeddings[j].tolist())
            if labels[i] == labels[j] and i != j and distance > far:
                best[0], far = j, distance
            if labels[i] != labels[j] and distance < near:
                best[1], near = j, distance
        if None not in best:
            rows.append([i, *best])
    columns = torch.tensor(rows, dtype=torch.int64).reshape(-1, 3)
    return tuple(columns.unbind(1))


def _batch_hard_cases() -> Iterator[Case]:
    line = torch.tensor([0.0, 1.0, 3.0, 7.0, 8.0]).double()[:, None]
    two = torch.tensor([0, 0, 1, 1, 0])
    chosen = ([0, 1, 2, 3, 4], [4, 4, 3, 2, 0], [2, 2, 1, 4, 3])
    yield Case(
        "five points on a line",
        (line, two),
        expected=tuple(torch.tensor(row) for row in chosen),
    )
    for dim, seed in ((2, 0), (3, 1), (8, 2)):
        yield Case.from_reference(
            f"nine points with {dim} numbers each",
            _hard_by_loop,
            normal(9, dim, seed=seed) * (1 + torch.arange(9)[:, None] / 4),
            LABELS,
        )
    yield Case.from_reference(
        "far from the origin",
        _hard_by_loop,
        normal(9, 2).float() + 3000,
        LABELS,
        hardening=True,
    )
    alone = torch.tensor([0, 0, 1, 0, 2])
    yield Case.from_reference(
        "two points without a partner", _hard_by_loop, line, alone, hardening=True
    )
    ties = torch.tensor([0.0, 1.0, -1.0, 2.0, -2.0]).double()[:, None]
    yield Case.from_reference(
        "equal distances",
        _hard_by_loop,
        ties,
        torch.tensor([0, 1, 1, 0, 0]),
        hardening=True,
    )
    nothing = (torch.zeros(0, dtype=torch.int64),) * 3
    yield Case("one class only", (line, 0 * two), expected=nothing, hardening=True)
    yield Case("an empty batch", (line[:0], two[:0]), expected=nothing, hardening=True)
    yield Case("labels of another number", (line, two[:3]), raises=ValueError)
    yield Case("a single point", (line[0], two[:1]), raises=ValueError)


def _choose(
    positives: Callable[..., Tensor],
    negatives: Callable[..., Tensor],
    embeddings: Tensor,
    labels: Tensor,
    *,
    distance: Callable[[Tensor], Tensor] | None = None,
    lonely: bool = False,
    itself: bool = False,
) -> tuple[Tensor, ...]:
    """The right answer but for who is chosen, or by which distance."""
    if embeddings.dim() != 2 or labels.shape != embeddings.shape[:1]:
        raise ValueError("labels")
    if not len(labels):
        return (labels,) * 3
    apart = (distance or _apart)(embeddings)
    same = labels[:, None] == labels
    partner = same & (~torch.eye(len(labels), dtype=torch.bool) | torch.tensor(itself))
    anchors = partner.any(1) & (~same).any(1)
    anchors = anchors | torch.tensor(lonely)
    anchors = anchors.nonzero().flatten()
    p, n = positives(apart, partner), negatives(apart, ~same)
    return anchors, p[anchors], n[anchors]


def _apart(embeddings):
    return (embeddings[:, None] - embeddings).square().sum(2)


def _farthest(apart, allowed):
    return apart.masked_fill(~allowed, -1).argmax(1)


def _nearest(apart, allowed):
    return apart.masked_fill(~allowed, torch.inf).argmin(1)


def _last_farthest(apart, allowed):
    flipped = apart.masked_fill(~allowed, -1).flip(1)
    return len(apart) - 1 - flipped.argmax(1)


def _last_nearest(apart, allowed):
    flipped = apart.masked_fill(~allowed, torch.inf).flip(1)
    return len(apart) - 1 - flipped.argmin(1)


def _exchanged(embeddings, labels):
    anchors, positives, negatives = _choose(_farthest, _nearest, embeddings, labels)
    return anchors, negatives, positives


def _nearest_of_all(apart, allowed):
    itself = torch.eye(len(apart), dtype=torch.bool)
    return apart.masked_fill(itself, torch.inf).argmin(1)


def _by_angle(embeddings):
    unit = embeddings / embeddings.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return 1 - unit @ unit.T


def _by_products(embeddings):
    squares = embeddings.square().sum(1)
    return squares[:, None] + squares - 2 * embeddings @ embeddings.T


_BATCH_HARD_TRIPLETS = Exercise(
    name="batch_hard_triplets",
    solution=metric_learning.batch_hard_triplets,
    cases=_batch_hard_cases,
    mistakes=(
        Mistake(
            "These are the easiest triplets: the nearest partner and the farthest "
            "stranger. The hardest are the other way round.",
            partial(_choose, _nearest, _farthest),
        ),
        Mistake(
            "The hardest positive is the *farthest* of an anchor's class.",
            partial(_choose, _nearest, _nearest),
        ),
        Mistake(
            "The hardest negative is the *nearest* of another class.",
            partial(_choose, _farthest, _farthest),
        ),
        Mistake(
            "A negative must be of another class: mask the anchor's own before you "
            "look for the nearest.",
            partial(_choose, _farthest, _nearest_of_all),
        ),
        Mistake(
            "You compare angles. Here distances are Euclidean, of embeddings as they "
            "are.",
            partial(_choose, _farthest, _nearest, distance=_by_angle),
        ),
        Mistake(
            "An anchor without a partner or without a stranger makes no triplet: "
            "leave it out.",
            partial(_choose, _farthest, _nearest, lonely=True),
        ),
        Mistake(
            "An anchor is not its own partner: take the diagonal out before you look "
            "for the farthest.",
            partial(_choose, _farthest, _nearest, itself=True),
        ),
        Mistake("The order is anchors, positives, negatives.", _exchanged),
        Mistake(
            "Of equal distances the first counts.",
            partial(_choose, _last_farthest, _last_nearest),
        ),
        Mistake(
            "|a|² + |b|² − 2a·b loses its digits where points are far from the origin "
            "and close to each other. Subtract first, then square.",
            partial(_choose, _farthest, _nearest, distance=_by_products),
        ),
    ),
    hints=(
        "Two tables (N, N): the distances, and `labels[:, None] == labels`.",
        "Who may not be chosen gets a distance that never wins: −1 for the farthest, "
        "infinity for the nearest.",
        "Anchors are the rows in which both tables allow somebody: "
        "`(partner.any(1) & stranger.any(1)).nonzero().flatten()`.",
    ),
)


# quadruplet_loss --------------------------------------------------------------------


def _quadruplet_by_loop(
    anchor, positive, negative1, negative2, *, margin1=1.0, margin2=0.5
):
    total = anchor.new_zeros(())
    for a, p, n, m in zip(anchor, positive, negative1, negative2, strict=True):
        pair = ((a - p) ** 2).sum()
        total = total + torch.relu(pair - ((a - n) ** 2).sum() + margin1)
        total = total + torch.relu(pair - ((n - m) ** 2).sum() + margin2)
    return total / len(anchor)


def _quadruplet_cases() -> Iterator[Case]:
    a, p, n, m = (torch.tensor([[x]]).double() for x in (0.0, 1.0, 3.0, 3.5))
    # (1 − 9 + 1)₊ = 0 and (1 − 0.25 + 0.5)₊ = 1.25
    value = torch.tensor(1.25).double()
    yield Case("one quadruplet on a line", (a, p, n, m), expected=value)
    for name, arguments, value in (
        ("its anchor at the negative", (n, p, n, a), 5.0),
        ("all in order", (a, p, n, -n), 0.0),
    ):
        expected = torch.tensor(value).double()
        yield Case(name, arguments, expected=expected)
    four = [0.8 * normal(10, 3, seed=k) for k in range(4)]
    for margins in ((1.0, 0.5), (0.3, 0.9)):
        yield Case.from_reference(
            f"ten quadruplets, margins {margins[0]} and {margins[1]}",
            _quadruplet_by_loop,
            *four,
            margin1=margins[0],
            margin2=margins[1],
            gradient=margins[0] == 1,
        )
    yield Case.from_reference(
        "margins of 0", _quadruplet_by_loop, *four, margin1=0, margin2=0,
        hardening=True,
    )  # fmt: skip
    yield Case("no quadruplet", tuple(x[:0] for x in four), raises=ValueError)
    yield Case("sets of two sizes", (*four[:3], four[3][:1]), raises=ValueError)
    for name in ("margin1", "margin2"):
        yield Case(f"{name} below 0", tuple(four), {name: -0.1}, raises=ValueError)


def _four(
    terms: Callable[..., Tensor],
    anchor: Tensor,
    positive: Tensor,
    negative1: Tensor,
    negative2: Tensor,
    *,
    margin1: float = 1.0,
    margin2: float = 0.5,
) -> Tensor:
    """The right answer but for its terms."""
    sets = (anchor, positive, negative1, negative2)
    if not len(anchor) or len({x.shape for x in sets}) > 1 or min(margin1, margin2) < 0:
        raise ValueError("quadruplets")
    return terms(*sets, margin1, margin2)


def _squared(x, y):
    return (x - y).square().sum(1)


def _rooted(x, y):
    return (x - y).norm(dim=1)


def _terms_by(first, distance, a, p, n, m, margin1, margin2):
    """`first` is the left end of the second term's distance."""
    pair = distance(a, p)
    own = (pair - distance(a, n) + margin1).clamp(min=0).mean()
    left = {"negative": n, "anchor": a, "positive": p}[first]
    return own + (pair - distance(left, m) + margin2).clamp(min=0).mean()


def _one_clamp(a, p, n, m, margin1, margin2):
    own = _squared(a, p) - _squared(a, n) + margin1
    other = _squared(a, p) - _squared(n, m) + margin2
    return (own + other).clamp(min=0).mean()


def _margins_changed(a, p, n, m, margin1, margin2):
    return _terms_by("negative", _squared, a, p, n, m, margin2, margin1)


def _one_margin(a, p, n, m, margin1, margin2):
    return _terms_by("negative", _squared, a, p, n, m, margin1, margin1)


def _summed(a, p, n, m, margin1, margin2):
    return len(a) * _terms_by("negative", _squared, a, p, n, m, margin1, margin2)


def _mean_of_squares(x, y):
    return (x - y).square().mean(1)


def _only_a_triplet(a, p, n, m, margin1, margin2):
    return (_squared(a, p) - _squared(a, n) + margin1).clamp(min=0).mean()


_QUADRUPLET_LOSS = Exercise(
    name="quadruplet_loss",
    solution=metric_learning.quadruplet_loss,
    cases=_quadruplet_cases,
    mistakes=(
        Mistake(
            "Here all distances are squared, as in the paper: leave the root out.",
            partial(
                _four, partial(_terms_by, "negative", lambda x, y: (x - y).norm(dim=1))
            ),
        ),
        Mistake(
            "The second term compares with the distance of the two negatives from "
            "each other, not of the second one from the anchor.",
            partial(_four, partial(_terms_by, "anchor", _squared)),
        ),
        Mistake(
            "The second term compares with the distance of the two negatives from "
            "each other, not of the second one from the positive.",
            partial(_four, partial(_terms_by, "positive", _squared)),
        ),
        Mistake(
            "A squared distance is the *sum* over the D numbers, not their mean.",
            partial(_four, partial(_terms_by, "negative", _mean_of_squares)),
        ),
        Mistake(
            "Each term has a max(0, …) of its own: a term that is fulfilled must not "
            "pay for the other.",
            partial(_four, _one_clamp),
        ),
        Mistake(
            "`margin1` belongs to the anchor's negative, `margin2` to the two "
            "negatives.",
            partial(_four, _margins_changed),
        ),
        Mistake(
            "The second term has a margin of its own.", partial(_four, _one_margin)
        ),
        Mistake(
            "Take the mean over quadruplets, not the sum.", partial(_four, _summed)
        ),
        Mistake(
            "This is the triplet's term alone. The second one asks that the pair be "
            "closer than the two negatives are.",
            partial(_four, _only_a_triplet),
        ),
    ),
    hints=(
        "Two triplet losses that share the pair: one with the anchor's negative, one "
        "with two strangers.",
        "`pair = (anchor - positive).square().sum(1)` stands in both.",
        "The mean of max(0, pair − d(anchor, negative1)² + margin1), plus the mean of "
        "max(0, pair − d(negative1, negative2)² + margin2).",
    ),
)


# recall_at_k ------------------------------------------------------------------------


def _recall_by_loop(distances, query_labels, gallery_labels, k):
    hits = []
    for row, label in zip(distances.tolist(), query_labels.tolist(), strict=True):
        entries = [
            (distance, column)
            for column, distance in enumerate(row)
            if distance != math.inf
        ]
        names = [int(gallery_labels[column]) for _, column in sorted(entries)]
        if label in names:
            hits.append(label in names[:k])
    return sum(hits) / len(hits)


def _recall_cases() -> Iterator[Case]:
    table = torch.tensor([[0.1, 0.4, 0.2], [0.3, 0.2, 0.9]]).double()
    queries, gallery = torch.tensor([1, 0]), torch.tensor([0, 1, 1])
    for k, value in ((1, 0.0), (2, 1.0)):
        yield Case(
            f"two queries, k = {k}", (table, queries, gallery, k), expected=value
        )
    distances = normal(8, 12).abs()
    ours, theirs = torch.arange(8) % 4, torch.arange(12) % 5
    for k in (1, 2, 3, 5):
        yield Case.from_reference(
            f"eight queries, twelve entries, k = {k}",
            _recall_by_loop,
            distances,
            ours,
            theirs,
            k,
        )
    yield Case.from_reference(
        "k beyond the gallery", _recall_by_loop, distances, ours, theirs, 99,
        hardening=True,
    )  # fmt: skip
    yield Case.from_reference(
        "infinite distances, for entries that are left out",
        _recall_by_loop,
        normal(8, 8).abs().fill_diagonal_(math.inf),
        ours,
        ours,
        1,
        hardening=True,
    )
    yield Case.from_reference(
        "a query whose only right entry is infinitely far",
        _recall_by_loop,
        torch.tensor([[math.inf, 0.5, 0.1], [0.3, 0.4, 0.2]]).double(),
        torch.tensor([0, 1]),
        torch.tensor([0, 1, 1]),
        1,
        hardening=True,
    )
    yield Case.from_reference(
        "queries of a class that the gallery has not",
        _recall_by_loop,
        distances,
        torch.tensor([0, 9, 1, 9, 2, 3, 9, 4]),
        theirs,
        2,
        hardening=True,
    )
    yield Case(
        "equal distances",
        (torch.ones(1, 3).double(), torch.tensor([1]), torch.tensor([0, 1, 1]), 1),
        expected=0.0,
        hardening=True,
    )
    yield Case("k = 0", (distances, ours, theirs, 0), raises=ValueError)
    yield Case("a NaN", (distances * math.nan, ours, theirs, 1), raises=ValueError)
    yield Case("no query", (distances[:0], ours[:0], theirs, 1), raises=ValueError)
    yield Case("no answer", (distances, ours + 9, theirs, 1), raises=ValueError)


def _recall(
    measure: Callable[[Tensor, int], Tensor],
    distances: Tensor,
    query_labels: Tensor,
    gallery_labels: Tensor,
    k: int,
    *,
    descending: bool = False,
    infinite: bool = False,
    unanswered: bool = False,
) -> float:
    """The right answer but for what is measured, ranked, or counted."""
    right = (query_labels[:, None] == gallery_labels) & (
        ~distances.isinf() | torch.tensor(infinite)
    )
    order = distances.sort(dim=1, stable=True, descending=descending).indices
    right = right.gather(1, order)
    answered = right.any(1)
    if k < 1 or distances.isnan().any() or not answered.any():
        raise ValueError("nothing to measure")
    if not unanswered:
        right = right[answered]
    return measure(right, k).double().mean().item()


def _exchanged_sets(distances, query_labels, gallery_labels, k):
    """Every entry of the gallery asks for queries."""
    if k < 1:
        raise ValueError("k")
    return _recall(_any_of, distances.T, gallery_labels, query_labels, k)


def _any_of(right, k):
    return right[:, :k].any(1)


def _share_of_k(right, k):
    return right[:, :k].double().mean(1)


def _share_of_all(right, k):
    return right[:, :k].sum(1) / right.sum(1).clamp(min=1)


def _at_k_alone(right, k):
    return right[:, min(k, right.shape[1]) - 1]


def _most_of_k(right, k):
    return right[:, :k].double().mean(1) > 0.5


_RECALL_AT_K = Exercise(
    name="recall_at_k",
    solution=retrieval.recall_at_k,
    cases=_recall_cases,
    mistakes=(
        Mistake(
            "This is the precision at k: which share of the k is right. Recall at k "
            "asks whether *one* of them is.",
            partial(_recall, _share_of_k),
        ),
        Mistake(
            "You divide by the number of right entries in the gallery. In metric "
            "learning recall at k asks only whether one of the k nearest is right.",
            partial(_recall, _share_of_all),
        ),
        Mistake(
            "You rank from the largest distance down: the nearest come first.",
            partial(_recall, _any_of, descending=True),
        ),
        Mistake(
            "You look at rank k alone: any of the ranks 1 to k will do.",
            partial(_recall, _at_k_alone),
        ),
        Mistake(
            "You sort the queries for each entry of the gallery. Rows are queries: "
            "sort along dimension 1.",
            _exchanged_sets,
        ),
        Mistake(
            "You let the k nearest vote. One right entry among them is enough.",
            partial(_recall, _most_of_k),
        ),
        Mistake(
            "A query that has nothing right in the gallery cannot be answered: it does "
            "not count, neither above nor below the line.",
            partial(_recall, _any_of, unanswered=True),
        ),
        Mistake(
            "An entry at an infinite distance is left out: it is no right answer.",
            partial(_recall, _any_of, infinite=True),
        ),
    ),
    hints=(
        "For each query, sort the gallery by distance, and look up which of the first "
        "k have its label.",
        "`(query_labels[:, None] == gallery_labels)` says for every pair whether it is "
        "right; `gather` puts each row in the order of its ranking.",
        "`right[:, :k].any(dim=1)`, averaged over the queries that have an answer.",
    ),
)


EXERCISES = (
    _CONTRASTIVE_LOSS,
    _BATCH_HARD_TRIPLETS,
    _QUADRUPLET_LOSS,
    _RECALL_AT_K,
)
