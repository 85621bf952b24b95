"""The exercises of the chapter `book/training/augmentation.ipynb`.

Their results are random, and there is more than one right order in which to draw. So
the cases fix what can be fixed (probability 0 or 1) and otherwise call the answer many
times and look at what must hold of every draw, or of most.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from lesson_utils import augmentation
from lesson_utils.grading.draws import seeded, uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake


def _random(*shape: int, seed: int = 0) -> Tensor:
    return uniform(*shape, seed=seed, dtype=torch.float32)


def _follows_generator(draw: Callable[[torch.Generator], object]) -> dict[str, bool]:
    """Whether results depend on the generator, and on nothing else that is random."""
    first, again, other = (
        [draw(generator) for _ in range(30)]
        for generator in (seeded(1), seeded(1), seeded(2))
    )
    return {
        "same seed, same results": first == again,
        "another seed, other results": first != other,
    }


_GENERATOR = {"same seed, same results": True, "another seed, other results": True}


# random_horizontal_flip -------------------------------------------------------------


def _flip_by_torchvision(image, boxes=None, *, p=1.0, generator=None):
    from torchvision import tv_tensors
    from torchvision.transforms.v2 import functional

    if boxes is None:
        return functional.horizontal_flip(image)
    size = tuple(image.shape[-2:])
    moved = functional.horizontal_flip(
        tv_tensors.BoundingBoxes(boxes, format="XYXY", canvas_size=size)
    )
    return functional.horizontal_flip(image), moved.as_subclass(Tensor)


def _flip_often(answer, image, boxes, p):
    """400 calls: how often the picture is flipped, and whether the boxes go with it."""
    generator, flips, together = seeded(), 0, True
    for _ in range(400):
        got, moved = answer(image, boxes, p=p, generator=generator)
        flipped = not torch.equal(got, image)
        together &= flipped != torch.equal(moved, boxes)
        flips += flipped
    return {
        "the boxes go with the picture": bool(together),
        "flipped as often as p says": abs(flips / 400 - p) < 0.12,
    }


def _flip_coins(answer, image, boxes):
    def draw(generator):
        return answer(image, boxes, p=0.5, generator=generator)[0].tolist()

    return _follows_generator(draw)


def _random_horizontal_flip_cases() -> Iterator[Case]:
    image = torch.arange(6.0).reshape(1, 2, 3) / 6
    box = torch.tensor([[0.0, 0, 1, 2]])
    mirrored = torch.tensor([[2.0, 1, 0], [5, 4, 3]])[None] / 6
    yield Case(
        "p=1, a box on the first column of three",
        (image, box),
        {"p": 1.0},
        expected=(mirrored, torch.tensor([[2.0, 0, 3, 2]])),
    )
    reference, picture = _flip_by_torchvision, _random(3, 8, 12)
    corners = _random(5, 2, 2, seed=1).sort(dim=1).values * torch.tensor([12.0, 8])
    boxes = corners.flatten(1)
    yield Case.from_reference("p=1, five boxes", reference, picture, boxes, p=1.0)
    edge = torch.tensor([[0.0, 0, 12, 8], [11, 7, 12, 8]])
    yield Case.from_reference(
        "p=1, boxes up to the edges", reference, picture, edge, p=1.0
    )
    yield Case.from_reference("p=1, no boxes given", reference, picture, p=1.0)
    none = torch.zeros(0, 4)
    yield Case.from_reference(
        "p=1, a picture without objects",
        reference,
        picture,
        none,
        p=1.0,
        hardening=True,
    )
    yield Case("p=0", (picture, boxes), {"p": 0.0}, expected=(picture, boxes))
    each = {"the boxes go with the picture": True, "flipped as often as p says": True}
    for p in (0.5, 0.2):
        yield Case(
            f"400 calls with p={p}", (image, box, p), expected=each, call=_flip_often
        )
    yield Case("its generator", (image, box), expected=_GENERATOR, call=_flip_coins)
    for name, bad in {
        "a box that reaches past the right edge": [[5.0, 0, 12.5, 8]],
        "a box that begins left of the picture": [[-1.0, 0, 5, 8]],
        "a box with x1 > x2": [[6.0, 0, 5, 8]],
    }.items():
        yield Case(name, (picture, torch.tensor(bad)), {"p": 1.0}, raises=ValueError)
    yield Case("p=1.5", (picture, boxes), {"p": 1.5}, raises=ValueError)


def _refuse_flip(image: Tensor, boxes: Tensor | None, p: float) -> None:
    if not 0 <= p <= 1:
        raise ValueError("p")
    if boxes is not None:
        x1, y1, x2, y2 = boxes.T
        height, width = image.shape[-2:]
        inside = (x1 >= 0) & (x1 <= x2) & (x2 <= width)
        if not (inside & (y1 >= 0) & (y1 <= y2) & (y2 <= height)).all():
            raise ValueError("boxes")


def _flipper(
    move: Callable[[Tensor, int, int], Tensor] | None = None,
    coin: Callable = lambda p, generator: torch.rand((), generator=generator) < p,
    *,
    axis: int = -1,
    refuses: bool = True,
) -> Callable:
    """A flip, right but for what is given."""

    def right(boxes, height, width):
        x1, y1, x2, y2 = boxes.T
        return torch.stack([width - x2, y1, width - x1, y2], dim=1)

    def answer(image, boxes=None, *, p=0.5, generator=None):
        if refuses:
            _refuse_flip(image, boxes, p)
        flipped = coin(p, generator)
        moved = boxes
        if flipped and boxes is not None:
            moved = (move or right)(boxes, *image.shape[-2:])
        image = image.flip(axis) if flipped else image
        return image if boxes is None else (image, moved)

    return answer


def _swaps_nothing(boxes, height, width):
    x1, y1, x2, y2 = boxes.T
    return torch.stack([width - x1, y1, width - x2, y2], dim=1)


def _counts_pixels(boxes, height, width):
    x1, y1, x2, y2 = boxes.T
    return torch.stack([width - 1 - x2, y1, width - 1 - x1, y2], dim=1)


def _moves_y(boxes, height, width):
    x1, y1, x2, y2 = boxes.T
    return torch.stack([x1, height - y2, x2, height - y1], dim=1)


def _takes_height(boxes, height, width):
    x1, y1, x2, y2 = boxes.T
    return torch.stack([height - x2, y1, height - x1, y2], dim=1)


def _tosses_twice(image, boxes=None, *, p=0.5, generator=None):
    _refuse_flip(image, boxes, p)
    flipped = _flipper()(image, p=p, generator=generator)
    if boxes is None:
        return flipped
    return flipped, _flipper()(image, boxes, p=p, generator=generator)[1]


def _always_a_pair(image, boxes=None, *, p=0.5, generator=None):
    result = _flipper()(image, boxes, p=p, generator=generator)
    return (result, None) if boxes is None else result


_RANDOM_HORIZONTAL_FLIP = Exercise(
    name="random_horizontal_flip",
    solution=augmentation.random_horizontal_flip,
    cases=_random_horizontal_flip_cases,
    mistakes=(
        Mistake(
            "The picture is mirrored and the boxes stay where they were.",
            _flipper(lambda boxes, height, width: boxes),
        ),
        Mistake(
            "Mirrored, the right edge becomes the left one: x1 must be `W - x2`, or "
            "the box has x1 > x2.",
            _flipper(_swaps_nothing),
        ),
        Mistake(
            "`W - 1 - x` mirrors the number of a pixel. These boxes name edges, from "
            "0 to W: `W - x`.",
            _flipper(_counts_pixels),
        ),
        Mistake(
            "The boxes move up and down. A horizontal flip changes x only.",
            _flipper(_moves_y),
        ),
        Mistake(
            "You mirror x in the picture's height: the width is `image.shape[-1]`.",
            _flipper(_takes_height),
        ),
        Mistake(
            "The picture is turned upside down: columns are its last dimension, -1.",
            _flipper(axis=-2),
        ),
        Mistake(
            "Picture and boxes have a coin each. Toss once, and do both or neither.",
            _tosses_twice,
        ),
        Mistake(
            "The picture is flipped whatever p is.",
            _flipper(coin=lambda p, generator: True),
        ),
        Mistake(
            "p is the probability of *no* flip here: a number in [0, 1) is below p "
            "with probability p.",
            _flipper(
                coin=lambda p, generator: torch.rand((), generator=generator) >= p
            ),
        ),
        Mistake(
            "The generator is not used: `torch.rand((), generator=generator)`.",
            _flipper(coin=lambda p, generator: torch.rand(()) < p),
        ),
        Mistake(
            "Without boxes, return the picture alone and not a pair.", _always_a_pair
        ),
        Mistake(
            "A box outside of the picture, or a p outside of [0, 1], goes through "
            "unnoticed. Raise a `ValueError`.",
            _flipper(refuses=False),
        ),
    ),
    hints=(
        "Mirror a strip of paper in your mind: what is 2 from the left edge is then 2 "
        "from the right edge, at W - 2.",
        "Toss one coin, `torch.rand((), generator=generator) < p`, and let both depend "
        "on it.",
        "The new x1 comes from the old x2: the boxes are [W - x2, y1, W - x1, y2].",
    ),
)


# sample_crop ------------------------------------------------------------------------

_SIDES = (80, 120)  # height and width


def _draw_crops(answer, scale, ratio, seed=0, number=300):
    generator = seeded(seed)
    return [
        answer(*_SIDES, scale=scale, ratio=ratio, generator=generator)
        for _ in range(number)
    ]


def _keeps_the_rules(answer, scale, ratio):
    """300 draws: each must be a box in the picture, of a size and shape allowed."""
    crops = _draw_crops(answer, scale, ratio)
    x1, y1, x2, y2 = np.array(crops, dtype=float).T
    width, height = x2 - x1, y2 - y1
    # Rounding moves a side by half a pixel at most.
    loose = 0.5 * (width + height) + 0.25
    area, whole = width * height, _SIDES[0] * _SIDES[1]
    low = (width + 0.5) / np.maximum(height - 0.5, 0.01) >= ratio[0]
    high = (width - 0.5) / (height + 0.5) <= ratio[1]
    inside = (x1 >= 0) & (x1 < x2) & (x2 <= _SIDES[1])
    inside &= (y1 >= 0) & (y1 < y2) & (y2 <= _SIDES[0])
    large = area + loose >= scale[0] * whole
    return {
        "whole numbers": all(isinstance(n, int | np.integer) for c in crops for n in c),
        "x1, y1, x2, y2 inside of the picture": bool(inside.all()),
        "area within scale": bool((large & (area - loose <= scale[1] * whole)).all()),
        "width / height within ratio": bool((low & high).all()),
    }


def _is_spread_evenly(answer, scale, ratio):
    """300 draws: sizes, shapes and places must be as often small as large."""
    x1, y1, x2, y2 = np.array(_draw_crops(answer, scale, ratio), dtype=float).T
    area = (x2 - x1) * (y2 - y1) / (_SIDES[0] * _SIDES[1])
    with np.errstate(all="ignore"):  # a box may have any sides before it is right
        shape = (x2 - x1) / (y2 - y1)
        across, down = x1 / (_SIDES[1] - (x2 - x1)), y1 / (_SIDES[0] - (y2 - y1))

    def halves(values, middle):
        return bool(0.35 < (values < middle).mean() < 0.65)

    return {
        "areas: half below the middle of scale": halves(area, sum(scale) / 2),
        "shapes: half below the geometric mean of ratio": halves(
            shape, math.sqrt(ratio[0] * ratio[1])
        ),
        "places: half on the left, half above": halves(across, 0.5)
        and halves(down, 0.5),
        "places: some near the upper left": bool(
            across.min() < 0.1 and down.min() < 0.1
        ),
        "places: some near the lower right": bool(
            across.max() > 0.9 and down.max() > 0.9
        ),
    }


def _reaches_the_edges(answer):
    """Squares of 3 pixels in a picture of 4: there are two places on each axis."""
    generator = seeded()
    crops = [
        answer(4, 4, scale=(9 / 16, 9 / 16), ratio=(1.0, 1.0), generator=generator)
        for _ in range(60)
    ]
    return {
        "x1 takes the values": sorted({int(c[0]) for c in crops}),
        "y1 takes the values": sorted({int(c[1]) for c in crops}),
    }


def _falls_back(answer, height, width, middle):
    """What an answer does where no box of the whole area has an allowed shape."""
    crop = tuple(answer(height, width, scale=(1.0, 1.0), generator=seeded()))
    if crop == middle:
        return "the largest box in the middle that is allowed"
    return "the whole picture" if crop == (0, 0, width, height) else "another box"


def _crops_of_generator(answer):
    def draw(generator):
        return tuple(answer(50, 60, generator=generator))

    return _follows_generator(draw)


def _sample_crop_cases() -> Iterator[Case]:
    rules = (
        "whole numbers",
        "x1, y1, x2, y2 inside of the picture",
        "area within scale",
        "width / height within ratio",
    )
    for name, scale, ratio in (
        ("300 crops of a picture 80 × 120", (0.1, 0.4), (0.75, 4 / 3)),
        ("300 crops that are wider than high", (0.1, 0.2), (2.0, 3.0)),
        ("300 crops of up to the whole area", (0.3, 1.0), (0.5, 2.0)),
    ):
        yield Case(
            name, (scale, ratio), expected=dict.fromkeys(rules, True),
            call=_keeps_the_rules,
        )  # fmt: skip
    spread = (
        "areas: half below the middle of scale",
        "shapes: half below the geometric mean of ratio",
        "places: half on the left, half above",
        "places: some near the upper left",
        "places: some near the lower right",
    )
    yield Case(
        "how 300 crops are spread",
        ((0.02, 0.1), (0.2, 5.0)),
        expected=dict.fromkeys(spread, True),
        call=_is_spread_evenly,
    )
    yield Case(
        "squares of 3 in a picture of 4",
        (),
        expected={"x1 takes the values": [0, 1], "y1 takes the values": [0, 1]},
        call=_reaches_the_edges,
    )
    for name, size, middle in (
        ("the whole of a strip 10 high, 100 wide", (10, 100), (43, 0, 56, 10)),
        ("the whole of a strip 100 high, 10 wide", (100, 10), (0, 43, 10, 56)),
        ("a picture of one pixel", (1, 1), (0, 0, 1, 1)),
    ):
        due = "the largest box in the middle that is allowed"
        yield Case(
            name, (*size, middle), expected=due, hardening=True, call=_falls_back
        )
    yield Case("its generator", (), expected=_GENERATOR, call=_crops_of_generator)
    for name, options in {
        "scale=(0.5, 0.2)": {"scale": (0.5, 0.2)},
        "scale=(0.5, 1.5)": {"scale": (0.5, 1.5)},
        "ratio=(0.0, 1.0)": {"ratio": (0.0, 1.0)},
    }.items():
        yield Case(name, (20, 30), options, raises=ValueError)


def _refuse_crop(scale: tuple, ratio: tuple) -> None:
    if not 0 < scale[0] <= scale[1] <= 1 or not 0 < ratio[0] <= ratio[1]:
        raise ValueError("scale or ratio")


def _uniform_shape(ratio, number):
    return ratio[0] + (ratio[1] - ratio[0]) * number


def _log_uniform_shape(ratio, number):
    return ratio[0] * (ratio[1] / ratio[0]) ** number


def _middle(height, width, ratio):
    shape = min(max(width / height, ratio[0]), ratio[1])
    w, h = min(width, round(height * shape)), min(height, round(width / shape))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _cropper(
    *,
    shape: Callable = _log_uniform_shape,
    sides: Callable = lambda height, width, share, shape: (
        math.sqrt(height * width * share * shape),
        math.sqrt(height * width * share / shape),
    ),
    place: Callable = lambda number, room: int(number * (room + 1)),
    fallback: Callable = _middle,
    order: Callable = lambda x1, y1, x2, y2: (x1, y1, x2, y2),
    own: bool = True,
    refuses: bool = True,
) -> Callable:
    """A sampler, right but for what is given."""

    def answer(height, width, *, scale=(0.08, 1), ratio=(3 / 4, 4 / 3), generator=None):
        if refuses:
            _refuse_crop(scale, ratio)
        for _ in range(10):
            numbers = torch.rand(4, generator=generator if own else None).tolist()
            share = scale[0] + (scale[1] - scale[0]) * numbers[0]
            w, h = sides(height, width, share, shape(ratio, numbers[1]))
            w, h = round(w), round(h)
            if 0 < w <= width and 0 < h <= height:
                x1, y1 = place(numbers[2], width - w), place(numbers[3], height - h)
                return order(x1, y1, x1 + w, y1 + h)
        return order(*fallback(height, width, ratio))

    return answer


def _clips(height, width, *, scale=(0.08, 1), ratio=(3 / 4, 4 / 3), generator=None):
    _refuse_crop(scale, ratio)
    share, number, x, y = torch.rand(4, generator=generator).tolist()
    share = scale[0] + (scale[1] - scale[0]) * share
    shape = _log_uniform_shape(ratio, number)
    w = max(1, min(width, round(math.sqrt(height * width * share * shape))))
    h = max(1, min(height, round(math.sqrt(height * width * share / shape))))
    x1, y1 = int(x * (width - w + 1)), int(y * (height - h + 1))
    return x1, y1, x1 + w, y1 + h


_SAMPLE_CROP = Exercise(
    name="sample_crop",
    solution=augmentation.sample_crop,
    cases=_sample_crop_cases,
    time_limit=30.0,  # three hundred crops take their time on a busy laptop
    mistakes=(
        Mistake(
            "`scale` is the share of the *area*. Scale a side by the square root.",
            _cropper(
                sides=lambda height, width, share, shape: (
                    width * share * math.sqrt(shape),
                    height * share / math.sqrt(shape),
                )
            ),
        ),
        Mistake(
            "The ratio is drawn uniformly, which makes most boxes lie down. Draw its "
            "logarithm uniformly: 1/2 and 2 must be equally likely.",
            _cropper(shape=_uniform_shape),
        ),
        Mistake(
            "The ratio is width / height: the *width* grows with it.",
            _cropper(
                sides=lambda height, width, share, shape: (
                    math.sqrt(height * width * share / shape),
                    math.sqrt(height * width * share * shape),
                )
            ),
        ),
        Mistake(
            "That is x, y, width, height. Return x1, y1, x2, y2.",
            _cropper(order=lambda x1, y1, x2, y2: (x1, y1, x2 - x1, y2 - y1)),
        ),
        Mistake(
            "That is y before x. Return x1, y1, x2, y2.",
            _cropper(order=lambda x1, y1, x2, y2: (y1, x1, y2, x2)),
        ),
        Mistake(
            "The last place is never taken: a width of w in W has W - w + 1 places.",
            _cropper(place=lambda number, room: int(number * max(room, 1))),
        ),
        Mistake(
            "The box always begins in the corner. Its place is random, too.",
            _cropper(place=lambda number, room: 0),
        ),
        Mistake(
            "The box always lies in the middle. Its place is random, too.",
            _cropper(place=lambda number, room: room // 2),
        ),
        Mistake(
            "A box that does not fit is cut to the picture, and has another area and "
            "shape then. Draw anew, ten times at most.",
            _clips,
        ),
        Mistake(
            "After ten tries you take the whole picture, whatever its shape. Take the "
            "largest box in the middle whose shape is allowed.",
            _cropper(fallback=lambda height, width, ratio: (0, 0, width, height)),
        ),
        Mistake(
            "The generator is not used: `torch.rand(4, generator=generator)`.",
            _cropper(own=False),
        ),
        Mistake(
            "An empty range, a ratio that is not positive or a scale beyond 1 goes "
            "through unnoticed. Raise a `ValueError`.",
            _cropper(
                refuses=False,
                shape=lambda ratio, number: _log_uniform_shape(
                    (max(ratio[0], 1e-3), ratio[1]), number
                ),
            ),
        ),
    ),
    hints=(
        "Two unknowns, width and height, and two equations: w · h is the area drawn, "
        "w / h the ratio drawn.",
        "w = sqrt(area · ratio) and h = sqrt(area / ratio), rounded; the ratio is the "
        "exponential of a number drawn between the logarithms of its bounds.",
        "If it fits, x1 is one of 0 … W - w. If it does not fit ten times: clamp W / H "
        "into the allowed ratios, take the largest box of that shape, in the middle.",
    ),
)


# mixup ------------------------------------------------------------------------------


def _one_pixel_each(number: int) -> Tensor:
    """Pictures (B, 1, 1, B): a blend of them shows how much of each is in it."""
    return torch.eye(number).reshape(number, 1, 1, number)


def _how_mixed(answer, images, targets, alpha):
    """Of eight draws: whom each picture is mixed with, and whether its target is."""
    generator = seeded(5)
    partners, shares = set(), set()
    for _ in range(8):
        mixed, soft = answer(images, targets, alpha=alpha, generator=generator)
        weight = mixed[0, 0, 0, 0].item()
        partners.add(_partner(mixed.flatten(1), weight))
        shares.add(_shares(soft, targets, weight))
    return {
        "each picture is mixed with": sorted(partners),
        "its target": sorted(shares),
    }


def _partner(inside: Tensor, weight: float) -> str:
    """Read off (B, B), how much of each picture is in each result."""
    own = torch.eye(len(inside))
    for name, shift in (("the one before it", 1), ("the one after it", -1)):
        due = weight * own + (1 - weight) * own.roll(shift, 0)
        if 0 <= weight <= 1 and torch.allclose(inside, due, atol=1e-5):
            return name
    shares = inside.diagonal()[:, None]
    if torch.allclose(inside, shares * own + (1 - shares) * own.roll(1, 0), atol=1e-5):
        return "the one before it, with a weight of its own"
    if torch.allclose(inside, weight * own + (1 - weight) * own.flip(0), atol=1e-5):
        return "the batch turned round"
    if not torch.allclose(inside.sum(1), torch.ones(len(inside)), atol=1e-5):
        return "pictures whose weights do not add up to 1"
    return "something else"


def _shares(soft: Tensor, targets: Tensor, weight: float) -> str:
    others = targets.roll(1, 0)
    for name, due in (
        ("has the same shares", weight * targets + (1 - weight) * others),
        (
            "has the shares the other way round",
            (1 - weight) * targets + weight * others,
        ),
        (
            "has a share of the one after it",
            weight * targets + (1 - weight) * targets.roll(-1, 0),
        ),
        ("is all its own", targets),
        ("is all of the other", others),
    ):
        if soft.shape == due.shape and torch.allclose(soft, due, atol=1e-5):
            return name
    return "is something else"


def _weights_drawn(answer, alpha):
    """100 weights: how they are spread."""
    images, targets, generator = _one_pixel_each(2), torch.eye(2), seeded()
    weights = np.array(
        [
            answer(images, targets, alpha=alpha, generator=generator)[0][0, 0, 0, 0]
            for _ in range(100)
        ]
    )
    ends = np.minimum(weights, 1 - weights) < 0.1
    return {
        "most weights are near 0 or 1": bool(ends.mean() > 0.5),
        "as often below a half as above": bool(0.3 < (weights < 0.5).mean() < 0.7),
    }


def _mixes_of_generator(answer):
    images, targets = _one_pixel_each(3), torch.eye(3)

    def draw(generator):
        mixed, soft = answer(images, targets, generator=generator)
        return mixed.tolist(), soft.tolist()

    return _follows_generator(draw)


def _mixup_cases() -> Iterator[Case]:
    due = {
        "each picture is mixed with": ["the one before it"],
        "its target": ["has the same shares"],
    }
    soft = _random(4, 6, seed=3)
    repeated = torch.eye(3)[[0, 0, 2, 1, 0]]
    for name, targets in {
        "three pictures of three classes": torch.eye(3),
        "five pictures, three of one class": repeated,
        "targets that are soft already": soft / soft.sum(dim=1, keepdim=True),
        "four pictures": torch.eye(4),
    }.items():
        yield Case(
            name, (_one_pixel_each(len(targets)), targets, 1.0), expected=due,
            call=_how_mixed,
        )  # fmt: skip
    alone = _random(1, 3, 4, 5), torch.tensor([[0.0, 1.0]])
    yield Case("a batch of one", alone, expected=alone, hardening=True)
    for alpha, near in ((0.2, True), (1.0, False), (2.0, False)):
        yield Case(
            f"100 weights, alpha={alpha}",
            (alpha,),
            expected={
                "most weights are near 0 or 1": near,
                "as often below a half as above": True,
            },
            call=_weights_drawn,
        )
    yield Case("its generator", (), expected=_GENERATOR, call=_mixes_of_generator)
    images = _random(3, 1, 2, 2)
    for name, targets, alpha in (
        ("labels instead of probabilities", torch.tensor([0, 1, 2]), 1.0),
        ("targets of another batch size", torch.eye(4), 1.0),
        ("alpha=0", torch.eye(3), 0.0),
    ):
        yield Case(name, (images, targets), {"alpha": alpha}, raises=ValueError)


def _refuse_mixup(images, targets, alpha) -> None:
    if targets.dim() != 2 or len(targets) != len(images) or not alpha > 0:
        raise ValueError("targets or alpha")


def _beta(alpha: float, generator: torch.Generator | None) -> float:
    seed = torch.randint(2**60, (), generator=generator).item()
    return np.random.default_rng(seed).beta(alpha, alpha)


def _blend_with_previous(values, weight, other):
    return weight * values + other * values.roll(1, 0)


def _mixer(
    pictures: Callable = lambda images, weight: _blend_with_previous(
        images, weight, 1 - weight
    ),
    labels: Callable = lambda targets, weight: _blend_with_previous(
        targets, weight, 1 - weight
    ),
    draw: Callable = _beta,
    *,
    refuses: bool = True,
) -> Callable:
    """A mixup, right but for what is given."""

    def answer(images, targets, *, alpha=1.0, generator=None):
        if refuses:
            _refuse_mixup(images, targets, alpha)
        weight = draw(alpha if alpha > 0 else 1.0, generator)
        return pictures(images, weight), labels(targets, weight)

    return answer


def _next_one(values, weight):
    return weight * values + (1 - weight) * values.roll(-1, 0)


def _each_its_own(images, targets, *, alpha=1.0, generator=None):
    _refuse_mixup(images, targets, alpha)
    seed = torch.randint(2**60, (), generator=generator).item()
    weight = np.random.default_rng(seed).beta(alpha, alpha, len(images))
    weight = torch.as_tensor(weight, dtype=images.dtype)
    wide = weight[:, None, None, None]
    return (
        wide * images + (1 - wide) * images.roll(1, 0),
        weight[:, None] * targets + (1 - weight[:, None]) * targets.roll(1, 0),
    )


def _draws_twice(images, targets, *, alpha=1.0, generator=None):
    mixed = _mixer()(images, targets, alpha=alpha, generator=generator)[0]
    return mixed, _mixer()(images, targets, alpha=alpha, generator=generator)[1]


_MIXUP = Exercise(
    name="mixup",
    solution=augmentation.mixup,
    cases=_mixup_cases,
    mistakes=(
        Mistake(
            "The pictures are mixed and the targets are not: each picture is still "
            "said to be all of its own class.",
            _mixer(labels=lambda targets, weight: targets),
        ),
        Mistake(
            "The targets have the two weights the other way round.",
            _mixer(
                labels=lambda t, weight: _blend_with_previous(t, 1 - weight, weight)
            ),
        ),
        Mistake(
            "You make the target hard again. A picture that is three tenths cat keeps "
            "three tenths of its target for the cat.",
            _mixer(
                labels=lambda t, weight: t if weight > 0.5 else t.roll(1, 0),
            ),
        ),
        Mistake(
            "Pictures and targets have a weight each. Draw once and use it for both.",
            _draws_twice,
        ),
        Mistake(
            "You mix with the *next* picture. `roll(1, 0)` brings the one before.",
            _mixer(pictures=_next_one, labels=_next_one),
        ),
        Mistake(
            "Pictures and targets have different partners.",
            _mixer(labels=_next_one),
        ),
        Mistake(
            "The partner is the other way up: `flip` reverses the whole batch. "
            "`roll(1, 0)` brings the picture before.",
            _mixer(
                pictures=lambda x, weight: weight * x + (1 - weight) * x.flip(0),
                labels=lambda t, weight: weight * t + (1 - weight) * t.flip(0),
            ),
        ),
        Mistake(
            "The two weights must add up to 1: `weight` and `1 - weight`.",
            _mixer(
                pictures=lambda x, weight: _blend_with_previous(x, weight, 1),
                labels=lambda t, weight: _blend_with_previous(t, weight, 1),
            ),
        ),
        Mistake(
            "Each picture has a weight of its own. That can work as well, but here "
            "one weight is asked for the whole batch.",
            _each_its_own,
        ),
        Mistake(
            "`alpha` is not used: the weight is uniform whatever alpha is.",
            _mixer(draw=lambda alpha, g: torch.rand((), generator=g).item()),
        ),
        Mistake(
            "The weight is always the mean of its distribution. Draw it.",
            _mixer(draw=lambda alpha, generator: 0.5),
        ),
        Mistake(
            "The generator is not used. Let it draw a seed: "
            "`torch.randint(2**62, (), generator=generator)`.",
            _mixer(
                draw=lambda alpha, g: torch.distributions.Beta(alpha, alpha).sample()
            ),
        ),
        Mistake(
            "Labels (B,), another batch size or an alpha of 0 go through unnoticed, or "
            "fail in a line that does not say why. Raise a `ValueError`.",
            _mixer(
                labels=lambda t, weight: _blend_with_previous(
                    t.double(), weight, 1 - weight
                ).float(),
                refuses=False,
            ),
        ),
    ),
    hints=(
        "`images.roll(1, 0)` is the batch in which each picture is the one before.",
        "Draw one weight, then write the same line twice: weight · x + (1 - weight) · "
        "x.roll(1, 0), once for the images and once for the targets.",
        "torch's Beta takes no generator. Draw a seed with `torch.randint(2**62, (), "
        "generator=generator).item()` and give it to `np.random.default_rng(seed)`.",
    ),
)


EXERCISES = (_RANDOM_HORIZONTAL_FLIP, _SAMPLE_CROP, _MIXUP)
