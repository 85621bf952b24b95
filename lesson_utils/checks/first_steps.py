"""The checks of the chapter `book/foundations/first_steps.ipynb`."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import first_steps
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# convolve ---------------------------------------------------------------------------


def _by_library(image, kernel, *, stride=1, padding=0):
    return F.conv2d(image[None, None], kernel[None, None], None, stride, padding)[0, 0]


def _draw(*shape: int, seed: int = 0) -> Tensor:
    return normal(*shape, seed=seed, dtype=torch.float32)  # as `torch.zeros` makes it


def _convolve_cases() -> Iterator[Case]:
    image = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    kernel = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
    yield Case(
        "2 × 3 pixels, 2 × 2 weights", (image, kernel),
        expected=torch.tensor([[0.0, 2.0]]),
    )  # fmt: skip
    case = Case.from_reference
    yield case("a 3 × 3 kernel", _by_library, _draw(5, 6), _draw(3, 3, seed=1))
    yield case("a kernel of 2 rows and 3 columns", _by_library, _draw(6, 5, seed=2),
               _draw(2, 3, seed=3))  # fmt: skip
    for name, shape, size, settings in (
        ("stride 2", (7, 9), (3, 3), {"stride": 2}),
        ("padding 1", (4, 6), (3, 3), {"padding": 1}),
        ("stride 2 and padding 2", (9, 8), (5, 5), {"stride": 2, "padding": 2}),
        ("stride 3, some pixels left over", (9, 12), (2, 4), {"stride": 3}),
    ):
        yield case(name, _by_library, _draw(*shape, seed=4), _draw(*size, seed=5),
                   **settings)  # fmt: skip
    harder = partial(case, hardening=True)
    yield harder("a kernel as large as the image", _by_library, _draw(3, 4),
                 _draw(3, 4, seed=1))  # fmt: skip
    yield harder("a kernel of one weight", _by_library, _draw(3, 4), _draw(1, 1))
    yield harder("a kernel that fits only into the padded image", _by_library,
                 _draw(2, 2), _draw(3, 3, seed=1), padding=1)  # fmt: skip
    for name, shape, size, settings in (
        ("an image with three axes", (1, 4, 4), (3, 3), {}),
        ("a kernel with one axis", (4, 4), (3,), {}),
        ("a kernel that is too high", (2, 4), (3, 3), {}),
        ("a kernel that is too wide", (4, 2), (3, 3), {}),
        ("stride 0", (4, 4), (3, 3), {"stride": 0}),
        ("padding −1", (6, 6), (3, 3), {"padding": -1}),
    ):
        yield Case(name, (_draw(*shape), _draw(*size)), settings, raises=ValueError)


def _wrong_convolve(image, kernel, *, stride=1, padding=0, way):
    """The right answer with one thing wrong."""
    if image.dim() != 2 or kernel.dim() != 2 or stride < 1 or padding < 0:
        raise ValueError("image and kernel have two axes, stride >= 1, padding >= 0")
    m, n = kernel.shape
    if m > image.shape[0] + 2 * padding or n > image.shape[1] + 2 * padding:
        raise ValueError("the kernel does not fit")
    flips = {"flipped": (0, 1), "upside down": (0,), "left to right": (1,)}
    kernel = kernel.flip(flips.get(way, ()))
    if way == "turned":
        kernel = kernel.T
    if way == "mean":
        kernel = kernel / kernel.numel()
    pad = 0 if way in ("no padding", "plain") else padding
    sides = {"before only": (pad, 0, pad, 0), "after only": (0, pad, 0, pad)}
    image = F.pad(image, sides.get(way, 4 * (pad,)), value=float(way == "ones"))
    step = 1 if way in ("no stride", "plain", "not moved") else stride
    steps = {"down only": (stride, 1), "across only": (1, stride)}
    result = _by_library(image, kernel, stride=steps.get(way, step))
    if way == "not moved":
        rows, columns = ((s - k) // stride + 1 for s, k in
                         zip(image.shape, (m, n), strict=True))  # fmt: skip
        return result[:rows, :columns]
    if way == "one too few":
        return result[:-1, :-1]
    if way == "axes left":
        return result[None, None]
    return result.T if way == "output turned" else result


_STRIDE = "The stride counts down *and* across; yours moves in one direction only."
_SIDES = "The rim of zeros goes all round: `padding` pixels on each of the four sides."
_CONVOLVE = Exercise(
    name="convolve",
    solution=first_steps.convolve,
    cases=_convolve_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_convolve, way=way))
        for way, hint in {
            "flipped": "The kernel is turned round, as in mathematics. Deep learning's "
            "convolution lays it on the picture as it is.",
            "upside down": "The kernel is upside down.",
            "left to right": "The kernel is flipped left to right.",
            "turned": "The kernel is transposed: its rows go with the image's rows.",
            "mean": "The *sum* of weight times pixel is asked for, not the mean.",
            "plain": "Stride and padding are left out: this is the plain version of "
            "the page.",
            "no padding": "The padding is left out.",
            "before only": _SIDES,
            "after only": _SIDES,
            "ones": "The rim is of zeros, not of ones.",
            "no stride": "The stride is left out: from a window to the next it is "
            "`stride` pixels.",
            "down only": _STRIDE,
            "across only": _STRIDE,
            "not moved": "The output has the right size, but its windows lie side by "
            "side as with stride 1: output [y, x] is of the window at "
            "[stride * y, stride * x].",
            "one too few": "The last row and the last column of windows are missing: "
            "there are H − m + 1 places for a window, and `range` leaves its end out.",
            "axes left": "`F.conv2d` wants four axes and gives four back; take the "
            "first two away again: `[0, 0]`.",
            "output turned": "The output is transposed: y is the row, x the column.",
        }.items()
    ),
    hints=(
        "Begin without stride and padding: it is the plain version of the page.",
        "Pad first, with `F.pad(image, 4 * (padding,))`; it makes a new tensor.",
        "`range(0, height - m + 1, stride)` holds the top row of each window.",
    ),
)


# accuracy ---------------------------------------------------------------------------


def _as_number(answer: Callable, logits: Tensor, labels: Tensor) -> object:
    """A Python number, whether the answer is one or a tensor with one number."""
    result = answer(logits, labels)
    if not isinstance(result, Tensor):
        return result
    return result.item() if result.numel() == 1 else result.double()


def _row_by_row(logits: Tensor, labels: Tensor) -> float:
    right = 0
    for row, label in zip(logits.tolist(), labels.tolist(), strict=True):
        right += row.index(max(row)) == label
    return right / len(labels)


def _accuracy_cases() -> Iterator[Case]:
    logits = torch.tensor(
        [[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [0.5, 0.2, 0.4], [-3.0, -2.0, -1.0]]
    )
    labels = torch.tensor([0, 1, 2, 2])
    case = partial(Case, call=_as_number)
    yield case("three of four are right", (logits, labels), expected=0.75)
    for name, number, classes, seed in (
        ("seven pictures, five classes", 7, 5, 3),
        ("as many pictures as classes", 6, 6, 2),
        ("thirty pictures, two classes", 30, 2, 5),
    ):
        logits = _draw(number, classes, seed=seed)
        labels = logits.argmax(1)
        labels[::3] = (labels[::3] + 1) % classes  # every third is wrong
        yield case(name, (logits, labels), expected=_row_by_row(logits, labels))
    one = torch.tensor([[0.1, 0.7]])
    yield case("one picture, right", (one, torch.tensor([1])), expected=1.0)
    yield case("one picture, wrong", (one, torch.tensor([0])), expected=0.0)
    logits = _draw(5, 4, seed=7)
    yield case("labels as bytes", (logits, logits.argmax(1).byte()), expected=1.0,
               hardening=True)  # fmt: skip
    yield case("logits all far below 0", (logits - 1000, logits.argmax(1)),
               expected=1.0, hardening=True)  # fmt: skip
    labels = logits.argmax(1)
    for name, args in (
        ("no picture", (logits[:0], labels[:0])),
        ("labels of shape (N, 1)", (logits, labels[:, None])),
        ("a label too few", (logits, labels[:-1])),
        ("one label for all", (logits, labels[:1])),
        ("a label of −1", (logits, torch.tensor([0, 1, -1, 2, 3]))),
        ("a label of K", (logits, torch.tensor([0, 1, 4, 2, 3]))),
    ):
        yield case(name, args, raises=ValueError)


def _wrong_accuracy(logits, labels, *, way):
    """The right answer with one thing wrong."""
    number, classes = logits.shape
    if not number or labels.shape != (number,):
        raise ValueError("labels must be (N,), of at least one picture")
    if not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError("labels must be classes")
    labels = labels.long()
    right = logits.argmax(1) == labels
    places = {
        "broadcast": lambda: logits.argmax(1, keepdim=True),
        "axis 0": lambda: logits.argmax(0),
        "of all": lambda: logits.argmax(),
    }
    if way in places:
        return (places[way]() == labels).double().mean()
    own = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    return {
        "percent": lambda: 100 * right.double().mean().item(),
        "count": lambda: right.sum().item(),
        "errors": lambda: 1 - right.double().mean().item(),
        "smallest": lambda: (logits.argmin(1) == labels).double().mean().item(),
        "probability": lambda: own.mean().item(),
        "by classes": lambda: right.sum().item() / classes,
        "whole": lambda: right.sum().item() // number,
        "each": lambda: right,
        "each as a number": lambda: right.double(),
        "value": lambda: (logits.max(1).values == labels).double().mean().item(),
        "top two": lambda: (
            (logits.topk(2).indices == labels[:, None]).any(1).double().mean().item()
        ),
        "sure": lambda: (own > 0.5).double().mean().item(),
    }[way]()


_EACH = "This says of each picture whether it is right; take the mean of that."
_ACCURACY = Exercise(
    name="accuracy",
    solution=first_steps.accuracy,
    cases=_accuracy_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_accuracy, way=way))
        for way, hint in {
            "percent": "A share from 0 to 1 is asked for, not a percentage.",
            "count": "This is how many are right. Divide by the number of pictures.",
            "errors": "This is the share of *wrong* answers.",
            "smallest": "The answer is the *largest* logit: `argmax`, not `argmin`.",
            "probability": "This is the mean probability of the right class, not how "
            "often it has the largest logit.",
            "by classes": "Divide by the number of pictures, not of classes.",
            "whole": "`//` rounds down: use `/`.",
            "each": _EACH,
            "each as a number": _EACH,
            "value": "You hold the largest logit itself against the label. Its *place* "
            "is the answer: `argmax`, not `max`.",
            "top two": "Only the first place counts, not the first two.",
            "sure": "The largest logit wins even where its probability is below 0.5.",
            "broadcast": "Answers of shape (N, 1) are held against labels of shape "
            "(N,): that compares every picture with every label. Print both shapes.",
            "of all": "`argmax()` looks for the largest of *all* numbers. One for each "
            "picture is wanted: `argmax(dim=1)`.",
            "axis 0": "The largest logit is looked for among the pictures. The classes "
            "lie along axis 1: `argmax(dim=1)`.",
        }.items()
    ),
    hints=(
        "Which place in each row has the largest number?",
        "`logits.argmax(dim=1)` has shape (N,), and `==` compares place by place.",
        "`(logits.argmax(dim=1) == labels).float().mean()`, after the checks.",
    ),
)


# split_indices ----------------------------------------------------------------------


def _facts(answer: Callable, num: int, shares: Sequence[float], seed: int) -> object:
    """What is true of a split, in words, or the answer itself if it is none."""
    sets = answer(num, list(shares), seed=seed)
    torch.rand(5)  # whoever takes PyTorch's own dice gets others the next time
    again = answer(num, list(shares), seed=seed)
    other = answer(num, list(shares), seed=seed + 1)
    if sets is None:
        return None
    if not isinstance(sets, list | tuple):
        return {"what comes back": f"{type(sets).__name__}, no list or tuple of sets"}
    parts = [torch.as_tensor(part) for part in sets]
    if any(part.dtype == torch.bool for part in parts):
        return {"what comes back": "masks"}
    if any(part.dim() != 1 for part in parts):
        return {"what comes back": "not one axis each"}
    whole = all(not part.is_floating_point() or not len(part) for part in parts)
    dealt = torch.cat([part.long() for part in parts]) if parts else torch.empty(0)
    sizes = [len(part) for part in parts]
    off = [abs(n - num * share) for n, share in zip(sizes, shares, strict=False)]
    facts = {
        "what comes back": "whole numbers" if whole else "decimal numbers",
        "sets": len(parts),
        "numbers dealt out twice": _some(len(dealt.unique()) < len(dealt)),
        "numbers missing": _some(not set(range(num)) <= set(dealt.tolist())),
        "numbers beyond num − 1 or below 0": _some(
            not set(dealt.tolist()) <= set(range(num))
        ),
        "sizes": str(sizes) if any(gap >= len(shares) for gap in off) else "right",
    }
    if min(sizes) > 2:  # else chance may do it
        facts["order"] = "as it was" if _in_blocks(parts) else "shuffled"
        facts["same seed"] = "same sets" if _same(sets, again) else "other sets"
        facts["another seed"] = "same sets" if _same(sets, other) else "other sets"
    return facts


def _some(any_at_all: bool) -> str:
    return "some" if any_at_all else "none"


def _in_blocks(parts: list[Tensor]) -> bool:
    """Whether each set is a block of neighbors, or every k-th number."""
    gaps = [part.sort().values.diff() for part in parts]
    return all((gap == gap[0]).all() for gap in gaps)


def _same(left: Sequence, right: Sequence) -> bool:
    pairs = zip(left, right, strict=False)
    return all(sorted(map(int, a)) == sorted(map(int, b)) for a, b in pairs)


def _dice(answer: Callable, num: int, shares: Sequence[float], seed: int) -> str:
    """What a split does to PyTorch's own dice."""
    before = torch.get_rng_state()
    answer(num, list(shares), seed=seed)
    same = torch.equal(before, torch.get_rng_state())
    return "PyTorch's dice are as before" if same else "PyTorch's dice are moved"


def _refusal(answer: Callable, num: int, shares: Sequence[float]) -> object:
    return answer(num, list(shares))


def _due(num: int, shares: Sequence[float], *, large: bool = True) -> dict:
    due = {
        "what comes back": "whole numbers",
        "sets": len(shares),
        "numbers dealt out twice": "none",
        "numbers missing": "none",
        "numbers beyond num − 1 or below 0": "none",
        "sizes": "right",
    }
    words = {
        "order": "shuffled",
        "same seed": "same sets",
        "another seed": "other sets",
    }
    return due | (words if large else {})


def _split_cases() -> Iterator[Case]:
    for name, num, shares, seed in (
        ("100 numbers, 60 : 20 : 20", 100, (0.6, 0.2, 0.2), 0),
        ("50 numbers in two halves", 50, (0.5, 0.5), 3),
        ("101 numbers in thirds", 101, (1 / 3, 1 / 3, 1 / 3), 1),
        ("1,000 numbers, 5 : 80 : 15", 1000, (0.05, 0.8, 0.15), 7),
    ):
        yield Case(name, (num, shares, seed), expected=_due(num, shares), call=_facts)
    for name, num, shares in (
        ("no numbers", 0, (0.5, 0.5)),
        ("a share of 0", 20, (0.5, 0.0, 0.5)),
        ("one set", 7, (1.0,)),
        ("fewer numbers than sets", 2, (0.25,) * 4),
    ):
        due = _due(num, shares, large=name == "one set")
        if name == "one set":  # it holds everything, whatever the seed
            due |= {"order": "as it was", "another seed": "same sets"}
        yield Case(name, (num, shares, 0), expected=due, call=_facts, hardening=True)
    # Ten times 0.1 adds up to a little less than 1.
    tenths = (0.1,) * 10
    yield Case("ten shares of 0.1", (200, tenths, 2), expected=_due(200, tenths),
               call=_facts, hardening=True)  # fmt: skip
    yield Case("PyTorch's own dice", (30, (0.5, 0.5), 4), call=_dice, hardening=True,
               expected="PyTorch's dice are as before")  # fmt: skip
    for name, num, shares in (
        ("num = −1", -1, (0.5, 0.5)),
        ("a negative share", 10, (1.2, -0.2)),
        ("shares that add up to 0.9", 10, (0.6, 0.3)),
        ("shares that add up to 1.1", 10, (0.6, 0.5)),
    ):
        yield Case(name, (num, shares), raises=ValueError, call=_refusal)


def _wrong_split(num, shares, *, seed=0, way):
    """The right answer with one thing wrong."""
    if num < 0 or min(shares) < 0 or abs(sum(shares) - 1) > 1e-6:
        raise ValueError("num and shares at least 0, and shares add up to 1")
    generator = torch.Generator().manual_seed(0 if way == "one seed" else seed)
    order = torch.randperm(num, generator=generator)
    if way == "global seed":
        torch.manual_seed(seed)
        order = torch.randperm(num)
    elif way == "no seed":
        order = torch.randperm(num)
    elif way == "not shuffled":
        order = torch.arange(num)
    elif way == "with replacement":
        order = torch.randint(max(num, 1), (num,), generator=generator)
    elif way == "from 1":
        order = order + 1
    ends = [round(num * sum(shares[:k])) for k in range(1, len(shares))]
    parts = list(order.tensor_split(ends))
    sizes = [int(num * share + 1e-9) for share in shares]
    return {
        "backward": lambda: parts[::-1],
        "lost": lambda: list(order[: sum(sizes)].split(sizes)),
        "all for each": lambda: [
            torch.randperm(num, generator=generator) for _ in shares
        ],
        "drawn anew": lambda: [
            torch.randperm(num, generator=generator)[: len(part)] for part in parts
        ],
        "training set whole": lambda: [order, *parts[1:]],
        "masks": lambda: [torch.isin(torch.arange(num), part) for part in parts],
        "equal": lambda: list(order.tensor_split(len(shares))),
        "sizes": lambda: [len(part) for part in parts],
    }.get(way, lambda: parts)()


_SPLIT = Exercise(
    name="split_indices",
    solution=first_steps.split_indices,
    cases=_split_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_split, way=way))
        for way, hint in {
            "global seed": "`torch.manual_seed` sets the dice of the whole program. "
            "Take dice of your own: `torch.Generator().manual_seed(seed)`, which "
            "`torch.randperm` takes as `generator`.",
            "no seed": "The seed is not used: the same seed has to give the same sets, "
            "whatever was drawn before.",
            "one seed": "Another seed has to give other sets.",
            "not shuffled": "The numbers are dealt out in order. Files are often "
            "sorted by class: shuffle them first.",
            "with replacement": "`randint` draws a number that was drawn before. "
            "`torch.randperm` has each number once.",
            "from 1": "The numbers are 0 to num − 1: rows of a tensor start at 0.",
            "backward": "The sets come in another order than their shares.",
            "lost": "Sizes that are rounded one by one need not add up to `num`: "
            "somebody is lost. Let the last set take what is left.",
            "all for each": "Each set holds all numbers. Cut the shuffled row in "
            "pieces.",
            "drawn anew": "Each set is drawn from all numbers, so that sets overlap: a "
            "leak. Shuffle once, and cut.",
            "training set whole": "The first set holds all numbers, those of the other "
            "sets as well: a leak.",
            "masks": "Return the numbers themselves, not a mask of True and False; "
            "`mask.nonzero()[:, 0]` turns one into the other.",
            "equal": "All sets are of one size; their sizes follow from the shares.",
            "sizes": "These are the sizes. Return which numbers each set holds.",
        }.items()
    ),
    hints=(
        "Shuffle once, then cut the shuffled row into pieces.",
        "`torch.randperm(num, generator=torch.Generator().manual_seed(seed))` is the "
        "shuffled row.",
        "The k-th cut is at `round(num * sum(shares[:k]))`; `order.tensor_split(cuts)` "
        "cuts.",
    ),
)

EXERCISES = (_CONVOLVE, _ACCURACY, _SPLIT)
