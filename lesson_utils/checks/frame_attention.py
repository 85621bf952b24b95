"""The checks of the chapter `book/attention/frame_attention.ipynb`."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from lesson_utils import frame_attention
from lesson_utils.common.motion import lucas_kanade
from lesson_utils.grading.draws import normal, uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# distance_weights -------------------------------------------------------------------


def _slow_weights(features: Tensor, *, temperature: float) -> Tensor:
    """Frame by frame, the softmax written out."""
    frames = list(features.unbind(-2))
    mean = sum(frames) / len(frames)
    distances = [(f - mean).square().sum(-1).sqrt() for f in frames]
    nearest = torch.stack(distances, -1).amin(-1)
    grown = [torch.exp((nearest - d) / temperature) for d in distances]
    return torch.stack([g / sum(grown) for g in grown], -1)


def _distance_cases() -> Iterator[Case]:
    line = torch.tensor([[[0.0], [0.0], [3.0]]], dtype=torch.float64)  # mean 1
    e = torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64).neg().exp()
    yield Case(
        "0, 0 and 3 on a line, temperature 1", (line,), {"temperature": 1.0},
        expected=(e / e.sum())[None], rtol=1e-5, atol=1e-6,
    )  # fmt: skip
    # `pairwise_distance` adds 1e-6 to each difference. Four videos of four frames: a
    # mean without `keepdim` gets through there, and has a value of its own.
    for name, shape, temperature in (
        ("two videos of five frames, temperature 0.5", (2, 5, 3), 0.5),
        ("four videos of four frames, temperature 2", (4, 4, 6), 2.0),
    ):
        yield Case.from_reference(
            name, _slow_weights, normal(*shape, seed=shape[0]) + 1,
            temperature=temperature, gradient=True, rtol=1e-5, atol=1e-5,
        )  # fmt: skip
    yield Case.from_reference(
        "three frames of 50 numbers", _slow_weights, normal(1, 3, 50, seed=8),
        temperature=1.5, rtol=1e-5, atol=1e-5,
    )  # fmt: skip
    one, alike = normal(2, 1, 3), torch.ones(1, 4, 3, dtype=torch.float64)
    yield Case(
        "one frame, and its gradient", (one,), {"temperature": 0.1},
        expected=torch.ones(2, 1, dtype=torch.float64),
        gradients=(torch.zeros_like(one),), hardening=True, atol=1e-5,
    )  # fmt: skip
    yield Case(
        "four frames alike", (alike,), {"temperature": 0.1},
        expected=torch.full((1, 4), 0.25, dtype=torch.float64), hardening=True,
    )  # fmt: skip
    yield Case.from_reference(
        "distances of thousands, temperature 0.1", _slow_weights,
        1e4 * normal(2, 4, 3, seed=4), temperature=0.1, hardening=True, atol=1e-5,
    )  # fmt: skip
    frames = normal(1, 3, 2)
    yield Case("no frame", (frames[:, :0],), {"temperature": 1.0}, raises=ValueError)
    for temperature in (0.0, -1.0):
        yield Case(
            f"temperature {temperature:g}", (frames,), {"temperature": temperature},
            raises=ValueError,
        )  # fmt: skip


def _wrong_weights(features: Tensor, *, temperature: float, way: str) -> Tensor:
    """The right answer with one thing wrong."""
    if not features.shape[-2] or temperature <= 0:
        raise ValueError("no frame, or a temperature that is not above 0")
    center = features.mean(-2, keepdim=True)
    if way == "median":
        center = features.median(-2, keepdim=True).values
    elif way == "first":
        center = features[..., :1, :]
    elif way == "of the batch":
        center = features.mean((0, 1), keepdim=True)
    elif way == "over videos alone":
        center = features.mean(0, keepdim=True)
    elif way == "over numbers":
        center = features.mean(-1, keepdim=True)
    elif way == "axis lost":
        center = features.mean(-2)
    elif way == "center detached":
        center = center.detach()
    apart = features - center
    distances = torch.linalg.vector_norm(apart, dim=-1)
    if way == "root of 0":
        distances = apart.square().sum(-1).sqrt()
    if way == "all pairs":
        distances = torch.cdist(features, features).mean(-1)
    if way == "mean of squares":
        distances = apart.square().mean(-1)
    if way == "squared":
        distances = apart.square().sum(-1)
    elif way == "root mean":
        distances = distances / features.shape[-1] ** 0.5
    elif way == "absolute":
        distances = apart.abs().sum(-1)
    elif way == "cosine":
        distances = 1 - torch.cosine_similarity(features, center, dim=-1)
    scores = -distances / temperature
    if way == "grows":
        scores = -scores
    elif way == "times":
        scores = -distances * temperature
    elif way == "no temperature":
        scores = -distances
    elif way == "bell":
        scores = -(distances.square()) / (2 * temperature**2)
    elif way == "bell without the 2":
        scores = -(distances.square()) / temperature**2
    if way == "scores":
        return scores
    if way == "logarithms":
        return scores.log_softmax(-1)
    if way == "pooled":
        return (scores.softmax(-1)[..., None] * features).sum(-2)
    if way == "not normalized":
        return scores.exp()
    if way == "all videos together":
        return scores.exp() / scores.exp().sum()
    if way == "overflow":
        grown = scores.exp()
        return grown / grown.sum(-1, keepdim=True)
    if way == "inverse":
        near = 1 / (distances + temperature)
        return near / near.sum(-1, keepdim=True)
    if way == "plain inverse":
        return (1 / distances) / (1 / distances).sum(-1, keepdim=True)
    if way == "over videos":
        return scores.softmax(0)
    if way == "kept":
        return scores.softmax(-1)[..., None]
    return scores.softmax(-1)


_ANOTHER_CENTER = (
    "Distances are to the *mean* of the video's own frames, over the dimension of the "
    "frames, `features.mean(-2, keepdim=True)`."
)
_ANOTHER_DISTANCE = (
    "The distance is the Euclidean one: square the differences, add up over the D "
    "numbers, take the root."
)
_DISTANCE_WEIGHTS = Exercise(
    name="distance_weights",
    solution=frame_attention.distance_weights,
    cases=_distance_cases,
    mistakes=(
        Mistake(
            "Your weights *grow* with the distance, as those of the exponential loss "
            "do. To pool, the frame near the mean weighs most: the softmax of minus "
            "the distance.",
            partial(_wrong_weights, way="grows"),
        ),
        Mistake(
            "The distance is divided by the temperature. You multiply.",
            partial(_wrong_weights, way="times"),
        ),
        Mistake(
            "The temperature makes no difference in your answer: divide the distance "
            "by it.",
            partial(_wrong_weights, way="no temperature"),
        ),
        Mistake(
            "A video's weights add up to 1. Divide by their sum, or take a softmax.",
            partial(_wrong_weights, way="not normalized"),
        ),
        Mistake(
            "The softmax runs over the frames of one video, the last dimension of "
            "(B, T), not over the videos.",
            partial(_wrong_weights, way="over videos"),
        ),
        Mistake(
            "All exponentials are 0 where distances are large, and 0 / 0 is NaN. "
            "`torch.softmax` takes the largest score off first.",
            partial(_wrong_weights, way="overflow"),
        ),
        Mistake(
            "One weight for each frame is asked for, (B, T), without a last dimension "
            "of 1.",
            partial(_wrong_weights, way="kept"),
        ),
        *(
            Mistake(
                "Weights fall exponentially: e to the power of minus distance over "
                "temperature, not one over the distance.",
                partial(_wrong_weights, way=way),
            )
            for way in ("inverse", "plain inverse")
        ),
        *(
            Mistake(
                "This is a bell, with the distance squared. Here the distance itself "
                "is divided by the temperature.",
                partial(_wrong_weights, way=way),
            )
            for way in ("bell", "bell without the 2")
        ),
        *(
            Mistake(_ANOTHER_CENTER, partial(_wrong_weights, way=way))
            for way in (
                "median",
                "first",
                "of the batch",
                "over videos alone",
                "over numbers",
                "axis lost",
            )
        ),
        *(
            Mistake(_ANOTHER_DISTANCE, partial(_wrong_weights, way=way))
            for way in (
                "squared",
                "mean of squares",
                "root mean",
                "absolute",
                "cosine",
            )
        ),
        Mistake(
            "This is the mean distance to all frames. One distance is asked for, that "
            "to the mean of the frames.",
            partial(_wrong_weights, way="all pairs"),
        ),
        Mistake(
            "The mean depends on the features, too, and its gradient is missing: no "
            "`detach`.",
            partial(_wrong_weights, way="center detached"),
        ),
        Mistake(
            "A square root has no finite gradient at 0, where a frame is the mean. "
            "`torch.linalg.vector_norm` has one.",
            partial(_wrong_weights, way="root of 0"),
        ),
        Mistake(
            "These are the scores, minus distance over temperature. Weights are their "
            "softmax.",
            partial(_wrong_weights, way="scores"),
        ),
        Mistake(
            "These are logarithms of the weights: `softmax`, not `log_softmax`.",
            partial(_wrong_weights, way="logarithms"),
        ),
        Mistake(
            "This is the weighted mean. The weights themselves are asked for, (B, T).",
            partial(_wrong_weights, way="pooled"),
        ),
        Mistake(
            "The weights of *each* video add up to 1, not those of all together: "
            "`sum(-1, keepdim=True)`.",
            partial(_wrong_weights, way="all videos together"),
        ),
    ),
    hints=(
        "Three steps: the mean of the frames, the distance of each frame from it, and "
        "a softmax over the frames.",
        "`torch.linalg.vector_norm(features - mean, dim=-1)` has a gradient even where "
        "a frame is the mean; a square root of 0 has none.",
    ),
)


# attention_pool ---------------------------------------------------------------------


def _slow_pool(features: Tensor, scores: Tensor, mask: Tensor | None = None) -> Tensor:
    """Video by video, with the real frames only."""
    rows = []
    for number, (frames, own) in enumerate(zip(features, scores, strict=True)):
        kept = slice(None) if mask is None else mask[number]
        grown = (own[kept] - own[kept].max()).exp()
        rows.append((grown[:, None] / grown.sum() * frames[kept]).sum(0))
    return torch.stack(rows)


def _pool_cases() -> Iterator[Case]:
    frames = torch.tensor([[[1.0, 0], [0, 1], [5, 5]]], dtype=torch.float64)
    scores = torch.tensor([[0.0, 3, 9]], dtype=torch.float64).log1p()  # 1 to 4 to 10
    mask = torch.tensor([[True, True, False]])
    yield Case(
        "weights 1/5 and 4/5, the third frame padded", (frames, scores, mask),
        expected=torch.tensor([[0.2, 0.8]], dtype=torch.float64),
    )  # fmt: skip
    mask = torch.tensor([[True] * 4 + [False], [True, False, True, False, False]])
    features, scores = normal(2, 5, 3, seed=1) + 1, normal(2, 5, seed=2)
    yield Case.from_reference(
        "four real frames of five, and two", _slow_pool, features, scores, mask,
        gradient=True,
    )  # fmt: skip
    yield Case.from_reference("no mask", _slow_pool, features, scores, gradient=True)
    # As many frames as numbers: weights that meet the numbers have a value here.
    yield Case.from_reference(
        "five frames of five numbers", _slow_pool, normal(2, 5, 5, seed=3), scores, mask
    )
    yield Case.from_reference(
        "scores far below 0", _slow_pool, features, scores - 9,
        mask | torch.tensor([False, True, False, False, False]),
    )  # fmt: skip
    for name, shift in (
        ("scores of tens of thousands", 30000),
        ("scores far below minus ten thousand", -30000),
    ):
        yield Case.from_reference(
            name, _slow_pool, features, 1000 * scores + shift, mask, hardening=True
        )
    yield Case.from_reference(
        "padded frames with scores higher by thousands", _slow_pool, features,
        scores.masked_fill(~mask, 5000.0), mask, hardening=True,
    )  # fmt: skip
    spoiled = features.masked_fill(~mask[..., None], torch.nan)
    yield Case.from_reference(
        "NaN in the padded frames", _slow_pool, spoiled, scores, mask, hardening=True
    )
    yield Case.from_reference(
        "NaN in the padded frames, and the gradient", _slow_pool, spoiled, scores, mask,
        hardening=True, gradient=True,
    )  # fmt: skip
    yield Case("no frame", (features[:, :0], scores[:, :0]), raises=ValueError)
    none = mask & torch.tensor([[True], [False]])
    yield Case(
        "all frames of one video padded", (features, scores, none), raises=ValueError
    )
    yield Case(
        "a score too few", (features, scores[:, 1:]), raises=(ValueError, RuntimeError)
    )


def _wrong_pool(
    features: Tensor, scores: Tensor, mask: Tensor | None = None, *, way: str
) -> Tensor:
    """The right answer with one thing wrong."""
    real = torch.ones_like(scores, dtype=torch.bool) if mask is None else mask
    if not features.shape[1] or not real.any(1).all():
        raise ValueError("no frame")
    if way == "turned":
        features = features.nan_to_num(0)
    elif way == "turned twice" and mask is not None:
        features = features.masked_fill(real[..., None], 0)
    elif way not in ("NaN", "NaN late", "no mask", "scores alone times mask"):
        features = features.masked_fill(~real[..., None], 0)
    masked = scores.masked_fill(~real, -torch.inf)
    if way in ("scores times mask", "scores alone times mask"):
        weights = (scores * real).softmax(1)
    elif way == "no mask":
        weights = scores.softmax(1)
    elif way == "after the softmax":
        weights = scores.softmax(1) * real
    elif way == "renormed":
        weights = scores.softmax(1) * real
        weights = weights / weights.sum(1, keepdim=True)
    elif way in ("turned", "turned alone", "turned twice") and mask is not None:
        weights = scores.masked_fill(real, -torch.inf).softmax(1)
        if way == "turned":
            weights = weights.nan_to_num(0)
    elif way == "not low enough":
        weights = scores.masked_fill(~real, -1e4).softmax(1)
    elif way == "over videos, filled":
        weights = masked.softmax(0).nan_to_num(0)
    elif way == "over videos":
        weights = masked.softmax(0)
    elif way == "over all":
        weights = masked.flatten().softmax(0).view_as(masked)
    elif way == "scores":
        weights = scores * real
    elif way == "sigmoid by the sum":
        weights = scores.sigmoid() * real
        weights = weights / weights.sum(1, keepdim=True)
    elif way == "falls":
        weights = (-scores).masked_fill(~real, -torch.inf).softmax(1)
    elif way == "equal":
        weights = real.to(scores) / real.sum(1, keepdim=True)
    elif way == "scaled":
        weights = (masked / features.shape[2] ** 0.5).softmax(1)
    elif way == "sigmoid":
        weights = scores.sigmoid() * real
    elif way == "by the sum":
        weights = scores * real / (scores * real).sum(1, keepdim=True)
    elif way == "overflow":
        grown = scores.exp() * real
        weights = grown / grown.sum(1, keepdim=True)
    else:
        weights = masked.softmax(1)
    if way == "weights":
        return weights
    if way == "axis lost":
        return (weights * features).sum(1)
    if way == "axis in front":
        return (weights[:, None] * features).sum(1)
    if way == "weights detached":
        weights = weights.detach()
    pooled = weights[..., None] * features
    if way == "NaN late":
        return pooled.masked_fill(~real[..., None], 0).sum(1)
    if way == "divided by the count":
        return pooled.sum(1) / real.sum(1, keepdim=True)
    if way == "largest":
        return pooled.amax(1)
    if way == "divided by T":
        return pooled.mean(1)
    if way == "not added up":
        return pooled
    if way == "best":
        return features[torch.arange(len(features)), masked.argmax(1)]
    return pooled.sum(1)


_STILL_COUNTED = (
    "Padded frames still have weight: a score of 0 is e⁰ = 1 behind the softmax. Give "
    "them a score of minus infinity *before* it."
)
_ATTENTION_POOL = Exercise(
    name="attention_pool",
    solution=frame_attention.attention_pool,
    cases=_pool_cases,
    mistakes=(
        Mistake(_STILL_COUNTED, partial(_wrong_pool, way="scores times mask")),
        Mistake(_STILL_COUNTED, partial(_wrong_pool, way="scores alone times mask")),
        Mistake(
            "The mask makes no difference to your weights. Give padded frames a score "
            "of minus infinity before the softmax.",
            partial(_wrong_pool, way="no mask"),
        ),
        Mistake(
            "The weights of the real frames no longer add up to 1: you masked after "
            "the softmax. Mask the scores, with minus infinity, before it.",
            partial(_wrong_pool, way="after the softmax"),
        ),
        *(
            Mistake(
                "The mask is true for *real* frames. Your weights go to the padding.",
                partial(_wrong_pool, way=way),
            )
            for way in ("turned", "turned alone", "turned twice")
        ),
        *(
            Mistake(
                "The softmax runs over the frames of one video, `dim=1`, not over the "
                "videos.",
                partial(_wrong_pool, way=way),
            )
            for way in ("over videos", "over videos, filled", "over all")
        ),
        *(
            Mistake(
                "Weights are the softmax of the scores over the frames, not their "
                "sigmoid.",
                partial(_wrong_pool, way=way),
            )
            for way in ("sigmoid", "sigmoid by the sum")
        ),
        Mistake(
            "Scores are no weights yet: they may be negative, and do not add up to 1. "
            "Take their softmax.",
            partial(_wrong_pool, way="scores"),
        ),
        Mistake(
            "Your weights fall where scores grow. A higher score means more weight.",
            partial(_wrong_pool, way="falls"),
        ),
        Mistake(
            "The scores make no difference in your answer: weigh the frames by their "
            "softmax.",
            partial(_wrong_pool, way="equal"),
        ),
        Mistake(
            "The softmax is of the scores as they come, without a division by √D.",
            partial(_wrong_pool, way="scaled"),
        ),
        Mistake(
            "These are the weights. The weighted mean of the frames is asked for, "
            "(B, D).",
            partial(_wrong_pool, way="weights"),
        ),
        *(
            Mistake(
                "A weight belongs to a frame, with all its numbers: `weights[..., "
                "None] * features`.",
                partial(_wrong_pool, way=way),
            )
            for way in ("axis lost", "axis in front")
        ),
        Mistake(
            "No gradient arrives at the scores: weights may not be detached.",
            partial(_wrong_pool, way="weights detached"),
        ),
        Mistake(
            "Padded frames with the best scores take all the weight, and 0 / 0 is "
            "left. Mask the scores, with minus infinity, before the softmax.",
            partial(_wrong_pool, way="renormed"),
        ),
        Mistake(
            "Real scores may lie below the number that you put in the place of padded "
            "ones. Minus infinity is below all.",
            partial(_wrong_pool, way="not low enough"),
        ),
        Mistake(
            "The value is right, and the gradient is NaN: it went through 0 times NaN. "
            "Fill padded frames *before* you weigh them.",
            partial(_wrong_pool, way="NaN late"),
        ),
        Mistake(
            "Add the weighted frames up: this is the largest of them, number by "
            "number.",
            partial(_wrong_pool, way="largest"),
        ),
        Mistake(
            "Scores may be negative: divided by their sum they are no weights. Take "
            "the softmax.",
            partial(_wrong_pool, way="by the sum"),
        ),
        Mistake(
            "exp overflows where scores are large. `torch.softmax` takes the largest "
            "score off first.",
            partial(_wrong_pool, way="overflow"),
        ),
        *(
            Mistake(
                "The weights add up to 1 already: add the weighted frames up, do not "
                "take their mean.",
                partial(_wrong_pool, way=way),
            )
            for way in ("divided by T", "divided by the count")
        ),
        Mistake(
            "Add the weighted frames up: one descriptor for each video, (B, D).",
            partial(_wrong_pool, way="not added up"),
        ),
        Mistake(
            "This is the one frame with the best score. Pooling takes a weighted sum "
            "of all real ones.",
            partial(_wrong_pool, way="best"),
        ),
        Mistake(
            "0 times NaN is NaN: what stands in padded frames gets through. Fill them "
            "with 0, `features.masked_fill(~mask[..., None], 0)`, before you weigh.",
            partial(_wrong_pool, way="NaN"),
        ),
    ),
    hints=(
        "Weights are the softmax of the scores over the frames; then the sum of weight "
        "times frame.",
        "`scores.masked_fill(~mask, -torch.inf)` before the softmax leaves nothing for "
        "padded frames, and `weights[..., None]` lets weights meet frames.",
    ),
)


# lucas_kanade -----------------------------------------------------------------------


def _by_lstsq(first: Tensor, second: Tensor) -> Tensor:
    """The same equations, one for each inner pixel, given to torch's solver."""
    rows, changes = [], []
    mean = (first + second) / 2
    for y in range(1, first.shape[0] - 1):
        for x in range(1, first.shape[1] - 1):
            along_x = (mean[y, x + 1] - mean[y, x - 1]) / 2
            along_y = (mean[y + 1, x] - mean[y - 1, x]) / 2
            rows.append(torch.stack([along_x, along_y]))
            changes.append(first[y, x] - second[y, x])
    return torch.linalg.lstsq(
        torch.stack(rows), torch.stack(changes)[:, None]
    ).solution[:, 0]


def _hill(height: int, width: int, dx: float = 0.0, dy: float = 0.0) -> Tensor:
    """A quadratic hill with waves, moved by (dx, dy)."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float64),
        torch.arange(width, dtype=torch.float64),
        indexing="ij",
    )
    x, y = x - dx, y - dy
    return 0.02 * x * x + 0.03 * x * y - 0.01 * y * y + 0.3 * x - 0.1 * y


def _traces(ratio: float) -> tuple[Tensor, Tensor]:
    """An upright edge, nearly: eigenvalues of this ratio; moved by (0.25, 0.5)."""
    y, x = torch.meshgrid(
        *[torch.arange(-3.0, 4, dtype=torch.float64)] * 2, indexing="ij"
    )
    return tuple(
        (x - dx) + (x - dx).square() / 8 + ratio**0.5 * 0.364 * (y - dy).square()
        for dx, dy in ((0, 0), (0.25, 0.5))
    )


def _kanade_cases() -> Iterator[Case]:
    yield Case(
        "a quadratic hill moved by (0.5, -0.25)",
        (_hill(7, 9), _hill(7, 9, 0.5, -0.25)),
        expected=torch.tensor([0.5, -0.25], dtype=torch.float64),
    )
    for name, shape, seed in (
        ("noise, 6 x 8", (6, 8), 1),
        ("noise, 9 x 5", (9, 5), 2),
    ):
        first = uniform(*shape, seed=seed)
        second = first + 0.1 * uniform(*shape, seed=seed + 5)
        yield Case.from_reference(name, _by_lstsq, first, second, gradient=True)
    yield Case(
        "nothing moved", (_hill(5, 5), _hill(5, 5)),
        expected=torch.zeros(2, dtype=torch.float64),
    )  # fmt: skip
    first = uniform(3, 4, seed=9)
    yield Case.from_reference(
        "3 x 4, two inner pixels", _by_lstsq, first, first + 0.01, hardening=True
    )
    yield Case.from_reference(
        "faint, a millionth of the contrast", _by_lstsq,
        1e-6 * uniform(6, 8, seed=1), 1e-6 * uniform(6, 8, seed=4), hardening=True,
    )  # fmt: skip
    flat = torch.full((6, 6), 0.5, dtype=torch.float64)
    yield Case("no texture", (flat, flat + 0.1), raises=ValueError)
    edge = torch.linspace(0, 1, 7, dtype=torch.float64).square().expand(7, 7)
    yield Case("an upright edge", (edge, edge + 0.1), raises=ValueError)
    slanted = (
        torch.arange(7, dtype=torch.float64)[:, None] + torch.arange(7.0)
    ).square() / 100
    yield Case("a slanted edge", (slanted, slanted + 0.1), raises=ValueError)
    yield Case.from_reference(
        "little texture along an edge, three millionths", _by_lstsq,
        *_traces(3e-6), hardening=True, rtol=1e-5,
    )  # fmt: skip
    yield Case(
        "still less, three tenths of a millionth", _traces(3e-7), raises=ValueError
    )
    yield Case("two rows", (flat[:2], flat[:2]), raises=ValueError)
    yield Case(
        "windows of two sizes", (first, uniform(4, 3)),
        raises=(ValueError, RuntimeError),
    )  # fmt: skip


def _wrong_kanade(first: Tensor, second: Tensor, *, way: str) -> Tensor:
    """The right answer with one thing wrong."""
    lucas_kanade(first, second)  # what it refuses
    seen = {"first": first, "second": second}.get(way, (first + second) / 2)
    along_x = (seen[1:-1, 2:] - seen[1:-1, :-2]) / 2
    along_y = (seen[2:, 1:-1] - seen[:-2, 1:-1]) / 2
    change = (second - first)[1:-1, 1:-1]
    if way == "not halved":
        along_x, along_y = 2 * along_x, 2 * along_y
    if way == "forward":
        along_x = seen[1:-1, 2:] - seen[1:-1, 1:-1]
        along_y = seen[2:, 1:-1] - seen[1:-1, 1:-1]
    if way == "sobel":
        along_x, along_y = _beside(along_x, seen, 0), _beside(along_y, seen, 1)
    if way == "sobel, not divided":
        along_x, along_y = _beside(along_x, seen, 0) * 8, _beside(along_y, seen, 1) * 8
    if way == "to the rim":
        along_y, along_x = torch.gradient(seen)
        change = second - first
    if way == "sign":
        change = -change
    if way == "y first":
        along_x, along_y = along_y, along_x
    slopes = torch.stack([along_x.flatten(), along_y.flatten()], 1)
    if way == "each axis alone":
        return -(slopes * change.flatten()[:, None]).sum(0) / slopes.square().sum(0)
    if way == "ridge":
        matrix = slopes.T @ slopes + 1e-2 * torch.eye(2, dtype=slopes.dtype)
        return torch.linalg.solve(matrix, -slopes.T @ change.flatten())
    shift = torch.linalg.solve(slopes.T @ slopes, -slopes.T @ change.flatten())
    return shift[:, None] if way == "column" else shift


def _beside(own: Tensor, seen: Tensor, axis: int) -> Tensor:
    """Slopes averaged 1, 2, 1 over the neighbors, as Sobel does."""
    slopes = torch.gradient(seen, dim=1 - axis)[0]
    slopes = slopes[:, 1:-1] if axis == 0 else slopes[1:-1]
    length = own.shape[axis]
    before, after = slopes.narrow(axis, 0, length), slopes.narrow(axis, 2, length)
    return (before + 2 * own + after) / 4


def _asks_for_contrast(first: Tensor, second: Tensor, *, least: float) -> Tensor:
    """The smaller eigenvalue, held against a fixed number."""
    shift = lucas_kanade(first, second)
    mean = (first + second) / 2
    along_x = (mean[1:-1, 2:] - mean[1:-1, :-2]) / 2
    along_y = (mean[2:, 1:-1] - mean[:-2, 1:-1]) / 2
    slopes = torch.stack([along_x.flatten(), along_y.flatten()], 1)
    if torch.linalg.eigvalsh(slopes.T @ slopes)[0] < least:
        raise ValueError("no texture")
    return shift


def _refuses_the_perfect(first: Tensor, second: Tensor, *, bound: float) -> Tensor:
    """Refuses only what has no answer at all."""
    if first.shape != second.shape or min(first.shape) < 3:
        raise ValueError("windows")
    mean = (first + second) / 2
    along_x = (mean[1:-1, 2:] - mean[1:-1, :-2]) / 2
    along_y = (mean[2:, 1:-1] - mean[:-2, 1:-1]) / 2
    slopes = torch.stack([along_x.flatten(), along_y.flatten()], 1)
    sizes = torch.linalg.eigvalsh(slopes.T @ slopes)
    if not sizes[0] > bound * sizes[1]:
        raise ValueError("no texture")
    change = (first - second)[1:-1, 1:-1].flatten()
    return torch.linalg.solve(slopes.T @ slopes, slopes.T @ change)


def _refuses_nothing(first: Tensor, second: Tensor) -> Tensor:
    """A pseudo-inverse has an answer for everything."""
    if first.shape != second.shape:
        raise ValueError("two sizes")
    mean = (first + second) / 2
    slopes = torch.stack(
        [
            ((mean[1:-1, 2:] - mean[1:-1, :-2]) / 2).flatten(),
            ((mean[2:, 1:-1] - mean[:-2, 1:-1]) / 2).flatten(),
        ],
        dim=1,
    )
    return torch.linalg.pinv(slopes) @ (first - second)[1:-1, 1:-1].flatten()


_ONE_FRAME = (
    "Slopes are asked for of the *mean* of both windows. Those of one window alone are "
    "half a shift too early or too late."
)
_LUCAS_KANADE = Exercise(
    name="lucas_kanade",
    solution=lucas_kanade,
    cases=_kanade_cases,
    mistakes=(
        Mistake(
            "The sign is turned. Where the content moves along a rising slope, the "
            "pixel gets *darker*: slope · shift = −(second − first), and slopes are "
            "(right − left) / 2, (lower − upper) / 2.",
            partial(_wrong_kanade, way="sign"),
        ),
        Mistake(
            "x and y have changed places: x runs along the columns, the last "
            "dimension, and comes first.",
            partial(_wrong_kanade, way="y first"),
        ),
        Mistake(
            "All shifts are half of what is due. Slopes are (right − left) / 2 and "
            "(lower − upper) / 2, and of the mean, not of the sum, of both windows.",
            partial(_wrong_kanade, way="not halved"),
        ),
        Mistake(_ONE_FRAME, partial(_wrong_kanade, way="first")),
        Mistake(_ONE_FRAME, partial(_wrong_kanade, way="second")),
        Mistake(
            "These are differences to the next pixel. Take central ones, (right − "
            "left) / 2, which belong to the pixel itself.",
            partial(_wrong_kanade, way="forward"),
        ),
        Mistake(
            "You solve for x and y each by itself. They meet in the products of both "
            "slopes: solve the 2 × 2 equations together.",
            partial(_wrong_kanade, way="each axis alone"),
        ),
        Mistake(
            "Something is added to the matrix, which makes the shift too small. One "
            "window with texture needs no damping.",
            partial(_wrong_kanade, way="ridge"),
        ),
        Mistake(
            "Two numbers are asked for, (2,), no column (2, 1).",
            partial(_wrong_kanade, way="column"),
        ),
        *(
            Mistake(
                "These are Sobel's slopes, which average over neighbors, too. Plain "
                "central differences are asked for, (right − left) / 2.",
                partial(_wrong_kanade, way=way),
            )
            for way in ("sobel", "sobel, not divided")
        ),
        Mistake(
            "You use the outermost rows and columns, too. They have no neighbor on one "
            "side: leave them out, `[1:-1, 1:-1]`.",
            partial(_wrong_kanade, way="to the rim"),
        ),
        *(
            Mistake(
                "A faint window has texture, too. Hold the smaller eigenvalue against "
                "a millionth of the *larger one*, not against a fixed number.",
                partial(_asks_for_contrast, least=least),
            )
            for least in (1e-6, 1e-12)
        ),
        *(
            Mistake(
                "The bound is for the *eigenvalues* of AᵀA: refuse where the smaller "
                "is not above a millionth of the larger.",
                partial(_refuses_the_perfect, bound=bound),
            )
            for bound in (1e-3, 1e-5, 1e-12)
        ),
        Mistake(
            "A window without texture, or with one straight edge, has to be refused: "
            "its smaller eigenvalue is (all but) 0, and some shift would be made up.",
            _refuses_nothing,
        ),
    ),
    hints=(
        "Each inner pixel has one equation: slope along x times dx plus slope along y "
        "times dy = −change. Two unknowns, many equations: least squares.",
        "Stack the slopes in a matrix A (N, 2). Then (AᵀA) shift = −Aᵀ change, and the "
        "eigenvalues of AᵀA (`torch.linalg.eigvalsh`) tell whether it can be solved.",
    ),
)

EXERCISES = (_DISTANCE_WEIGHTS, _ATTENTION_POOL, _LUCAS_KANADE)
