"""The exercises of the chapter `book/fine_grained/attention_pooling.ipynb`."""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import attention_pooling as chapter
from lesson_utils.grading.draws import normal, uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# bilinear_attention_pool ------------------------------------------------------------


def _pool_by_loop(features: Tensor, attentions: Tensor) -> Tensor:
    """Part by part, channel by channel."""
    return torch.stack(
        [
            torch.stack([(features * part[:, None]).mean((2, 3))], dim=1)
            for part in attentions.unbind(1)
        ],
        dim=1,
    )[:, :, 0]


def _pool_cases() -> Iterator[Case]:
    features = torch.tensor([[[[1.0, 2], [3, 4]]]])
    maps = torch.tensor([[[[1.0, 0], [0, 0]], [[0, 0], [1, 1]]]])
    yield Case(
        "one channel, 1 2 3 4; one map on the 1, one on the 3 and the 4",
        (features, maps),
        expected=torch.tensor([[[0.25], [1.75]]]),
    )
    reference = _pool_by_loop
    yield Case.from_reference(
        "2 pictures, 5 channels, 3 parts, 4 x 6 positions",
        reference,
        normal(2, 5, 4, 6),
        normal(2, 3, 4, 6, seed=1).abs(),
        gradient=True,
    )
    yield Case.from_reference(
        "as many parts as channels", reference, normal(2, 4, 3, 5), normal(2, 4, 3, 5)
    )
    yield Case.from_reference(
        "a map of 1 x 1", reference, normal(3, 4, 1, 1), normal(3, 2, 1, 1)
    )
    yield Case(
        "maps that are 0",
        (normal(1, 3, 2, 2), torch.zeros(1, 2, 2, 2, dtype=torch.float64)),
        expected=torch.zeros(1, 2, 3, dtype=torch.float64),
        hardening=True,
    )
    yield Case.from_reference(
        "float32",
        reference,
        normal(2, 6, 5, 5, dtype=torch.float32),
        normal(2, 4, 5, 5, seed=2, dtype=torch.float32),
    )


def _pooler(
    products: str = "bmhw,bnhw->bmn",
    divide: Callable[[Tensor, Tensor], Tensor | float] = lambda f, a: f[0, 0].numel(),
    prepare: Callable[[Tensor], Tensor] = lambda attentions: attentions,
) -> Callable:
    """The pooling, right but for what is given."""

    def answer(features, attentions):
        weights = prepare(attentions)
        return torch.einsum(products, weights, features) / divide(features, weights)

    return answer


def _mean_of_each(features, attentions):
    return attentions.mean((2, 3))[:, :, None] * features.mean((2, 3))[:, None]


def _largest(features, attentions):
    return (attentions[:, :, None] * features[:, None]).amax((3, 4))


def _all_parts_together(features, attentions):
    total = attentions.sum(1, keepdim=True).expand_as(attentions)
    return _pooler()(features, total)


def _normalised(features, attentions):
    return F.normalize(_pooler()(features, attentions).flatten(1), dim=1).reshape(
        len(features), attentions.shape[1], -1
    )


_POOL = Exercise(
    name="bilinear_attention_pool",
    solution=chapter.bilinear_attention_pool,
    cases=_pool_cases,
    mistakes=(
        Mistake(
            "You sum over the positions; take the mean, or the result grows with the "
            "size of the picture.",
            _pooler(divide=lambda features, weights: 1.0),
        ),
        Mistake(
            "You return (B, N, M): a column for each part. A part is a row.",
            _pooler("bmhw,bnhw->bnm"),
        ),
        Mistake(
            "You divide by the sum of each map. That is another pooling, which forgets "
            "how strongly a part was found; here H W is asked for.",
            _pooler(
                divide=lambda f, weights: weights.sum((2, 3)).clamp(min=1e-9)[..., None]
            ),
        ),
        Mistake(
            "You put a softmax over the positions first. Take the maps as they are.",
            _pooler(prepare=lambda a: a.flatten(2).softmax(2).view_as(a)),
        ),
        Mistake(
            "You put a sigmoid on the maps first. Take them as they are.",
            _pooler(prepare=torch.sigmoid),
        ),
        Mistake(
            "You multiply the means of map and features. Multiply place by place "
            "first, and take the mean of the products.",
            _mean_of_each,
        ),
        Mistake(
            "You take the largest product of the positions; the mean is asked for.",
            _largest,
        ),
        Mistake(
            "All parts of a picture come out alike: you have added the maps up.",
            _all_parts_together,
        ),
        Mistake(
            "You normalize the result as well. That comes after the pooling, and is "
            "not asked for.",
            _normalised,
        ),
    ),
    hints=(
        "For part m and channel n, multiply map m with channel n, position by "
        "position, and take the mean.",
        "All pairs (m, n) at once are a product of matrices, (M, HW) and (HW, N).",
        '`torch.einsum("bmhw,bnhw->bmn", attentions, features)`, and then divide.',
    ),
)


# attention_boxes --------------------------------------------------------------------


def _boxes_by_loop(maps: Tensor, *, threshold: float = 0.5) -> Tensor:
    boxes = []
    for some in maps:
        height, width = some.shape
        places = (some > threshold).nonzero()
        if not len(places):
            boxes.append([0.0, 0.0, 1.0, 1.0])
            continue
        (y1, x1), (y2, x2) = places.amin(0).tolist(), places.amax(0).tolist()
        boxes.append([x1 / width, y1 / height, (x2 + 1) / width, (y2 + 1) / height])
    return torch.tensor(boxes, dtype=torch.float32)


def _boxes_cases() -> Iterator[Case]:
    two = torch.zeros(1, 4, 5)
    two[0, 1, 2] = two[0, 2, 3] = 1.0
    yield Case(
        "4 x 5 cells, ones at row 1, column 2 and row 2, column 3",
        (two,),
        expected=torch.tensor([[0.4, 0.25, 0.8, 0.75]]),
    )
    yield Case(
        "nothing above the threshold: the whole picture",
        (torch.full((1, 3, 3), 0.4),),
        expected=torch.tensor([[0.0, 0, 1, 1]]),
        hardening=True,
    )
    half = torch.tensor([[[0.5, 0.6], [0.2, 0.1]]])
    yield Case(
        "a value of exactly the threshold is not above it",
        (half,),
        expected=torch.tensor([[0.5, 0, 1, 0.5]]),
        hardening=True,
    )
    maps = uniform(12, 6, 9, dtype=torch.float32) ** 6
    maps[:, 2, 3] = 0.9  # something is above the threshold everywhere
    for threshold in (0.5, 0.8, 0.2):
        yield Case.from_reference(
            f"12 random maps of 6 x 9, threshold {threshold}",
            _boxes_by_loop,
            maps,
            threshold=threshold,
        )
    yield Case(
        "one cell", (torch.ones(1, 1, 1),), expected=torch.tensor([[0.0, 0, 1, 1]])
    )


def _boxer(
    *,
    past: int = 1,
    above: Callable[[Tensor, float], Tensor] = lambda m, t: m > t,
    order: tuple[int, int] = (1, 0),
    empty: tuple[float, ...] = (0.0, 0.0, 1.0, 1.0),
    share: bool = True,
    swap: bool = False,
    fixed: float | None = None,
) -> Callable:
    """The boxes, right but for what is given."""

    def answer(maps, *, threshold=0.5):
        boxes = []
        for some in maps:
            height, width = some.shape[::-1] if swap else some.shape
            places = above(some, threshold if fixed is None else fixed).nonzero()
            if not len(places):
                boxes.append(list(empty))
                continue
            first, last = places.amin(0).tolist(), places.amax(0).tolist()
            sides = (height, width) if share else (1, 1)
            edges = [first[k] / sides[k] for k in order]
            edges += [(last[k] + past) / sides[k] for k in order]
            boxes.append(edges)
        return torch.tensor(boxes, dtype=torch.float32)

    return answer


def _around_the_largest(maps, *, threshold=0.5):
    single = torch.zeros_like(maps).flatten(1)
    places = maps.flatten(1).argmax(1, keepdim=True)
    single.scatter_(1, places, 1.0)
    return _boxer()(single.view_as(maps), threshold=threshold)


_BOXES = Exercise(
    name="attention_boxes",
    solution=chapter.attention_boxes,
    cases=_boxes_cases,
    mistakes=(
        Mistake(
            "Your box ends at the *start* of the last cell. The cell belongs to it: "
            "add 1 before you divide.",
            _boxer(past=0),
        ),
        Mistake(
            "You return y before x. Boxes are xyxy, and columns are x.",
            _boxer(order=(0, 1)),
        ),
        Mistake(
            "You divide rows by the width and columns by the height.", _boxer(swap=True)
        ),
        Mistake(
            "You return cells. Shares of the picture are asked for: divide by the "
            "width or the height of the map.",
            _boxer(share=False),
        ),
        Mistake(
            "A map that is nowhere above the threshold is to give the whole picture.",
            _boxer(empty=(0.0, 0.0, 0.0, 0.0)),
        ),
        Mistake(
            "You take in what is *at* the threshold. Above it is asked for.",
            _boxer(above=lambda m, t: m >= t),
        ),
        Mistake(
            "Your threshold is always one half. Use the one that is given.",
            _boxer(fixed=0.5),
        ),
        Mistake(
            "You box the largest value alone. All cells above the threshold are to "
            "lie in the box.",
            _around_the_largest,
        ),
    ),
    hints=(
        "For each map, find the cells above the threshold: their rows and columns.",
        "x1 is the smallest column, x2 the largest *plus one*, both over the width.",
        "`(some > threshold).nonzero()` gives (row, column) of each; `amin(0)` and "
        "`amax(0)` their extremes. Think of none.",
    ),
)

EXERCISES = (_POOL, _BOXES)
