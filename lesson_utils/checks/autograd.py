"""The exercises of the chapter `book/foundations/autograd.ipynb`."""

from collections.abc import Callable, Iterator, Mapping
from itertools import pairwise

import numpy as np
import torch

from lesson_utils import autograd
from lesson_utils.autograd import Operation, Variable
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# topological_order ------------------------------------------------------------------

# A graph is written as what each Variable was made from, a leaf from nothing.
_DIAMOND = {"x": "", "a": "x", "b": "x", "y": "ab"}
_SHORT_AND_LONG_WAY = {"x": "", "a": "x", "b": "a", "y": "xb"}
_TWO_WAYS_CROSSED = {"x": "", "a": "x", "b": "xa", "c": "ba", "d": "ac", "y": "dbx"}


def _build(graph: Mapping[str, str]) -> dict[str, Variable]:
    made: dict[str, Variable] = {}
    for name, parts in graph.items():
        made[name] = Variable(0.0)
        if parts:
            inputs = tuple(made[part] for part in parts)
            made[name].creator = Operation("f", inputs, lambda grad: ())
    return made


def _names_in_order(answer: Callable, graph: Mapping[str, str]) -> object:
    """What is wrong with the answer's order; there is more than one right order."""
    made = _build(graph)
    order = answer(list(made.values())[-1])
    if not isinstance(order, list | tuple):
        return order
    names = {variable: name for name, variable in made.items()}
    found = [
        names.get(item, "a stranger") if isinstance(item, Variable) else repr(item)
        for item in order
    ]
    return _first_fault(found, graph) or _IN_ORDER


_IN_ORDER = "every Variable once, inputs before what they make"


def _first_fault(found: list[str], graph: Mapping[str, str]) -> str:
    """In words that are the same for all orders with the same mistake."""
    strange = [name for name in found if name not in graph]
    missing = [name for name in graph if name not in found]
    twice = [name for name in graph if found.count(name) > 1]
    if strange or missing or twice:
        sets = {"missing": missing, "more than once": twice, "no Variable": strange}
        return "; ".join(f"{', '.join(v)}: {what}" for what, v in sets.items() if v)
    late = _pairs_out_of_order(found, graph)
    if late and not _pairs_out_of_order(found[::-1], graph):
        return "every Variable before all its inputs"
    return late[0] if late else ""


def _pairs_out_of_order(found: list[str], graph: Mapping[str, str]) -> list[str]:
    place = {name: index for index, name in enumerate(found)}
    return [
        f"{name} before its input {part}"
        for name, parts in graph.items()
        for part in parts
        if place[part] > place[name]
    ]


def _length_of_chain(answer: Callable, length: int) -> object:
    end = start = Variable(0.0)
    for _ in range(length):
        end = end.tanh()
    order = answer(end)
    if not isinstance(order, list | tuple):
        return order
    place = {id(variable): index for index, variable in enumerate(order)}
    return len(order) if place.get(id(start), 0) < place.get(id(end), -1) else -1


def _topological_order_cases() -> Iterator[Case]:
    for name, graph in {
        "a leaf alone": {"x": ""},
        "x makes a, a makes y": {"x": "", "a": "x", "y": "a"},
        "y = a + b, both from x": _DIAMOND,
        "y = x + x": {"x": "", "y": "xx"},
        "x is used by y at once, and by way of a and b": _SHORT_AND_LONG_WAY,
        "the same, its inputs exchanged": {**_SHORT_AND_LONG_WAY, "y": "bx"},
        "ways that cross": _TWO_WAYS_CROSSED,
    }.items():
        yield Case(name, (graph,), expected=_IN_ORDER, call=_names_in_order)
    letters = "xabcdefghijklmnopqrstuvwy"
    ladder = {"x": ""} | {name: 2 * below for below, name in pairwise(letters)}
    yield Case(
        "24 additions of a Variable to itself: 16 million ways, 25 Variables",
        (ladder,),
        expected=_IN_ORDER,
        call=_names_in_order,
        hardening=True,
    )
    yield Case(
        "a chain of 10,000 operations",
        (10_000,),
        expected=10_001,
        call=_length_of_chain,
        hardening=True,
    )


def _parts(variable: Variable) -> tuple[Variable, ...]:
    return variable.creator.inputs if variable.creator else ()


def _outputs_first(root):
    return autograd.topological_order(root)[::-1]


def _recursive(root):
    order, seen = [], set()

    def visit(variable):
        if variable not in seen:
            seen.add(variable)
            for part in _parts(variable):
                visit(part)
            order.append(variable)

    visit(root)
    return order


def _each_path(root):
    parts = [item for part in _parts(root) for item in _each_path(part)]
    return [*parts, root]


def _level_by_level(root):
    order, seen, waiting = [], {root}, [root]
    while waiting:
        variable = waiting.pop(0)
        order.append(variable)
        for part in _parts(variable):
            if part not in seen:
                seen.add(part)
                waiting.append(part)
    return order[::-1]


def _depth_first_reversed(root):
    order, seen, stack = [], set(), [root]
    while stack:
        variable = stack.pop()
        if variable not in seen:
            seen.add(variable)
            order.append(variable)
            stack.extend(_parts(variable))
    return order[::-1]


def _marked_when_pushed(root):
    order, seen, stack = [], {root}, [(root, False)]
    while stack:
        variable, placed = stack.pop()
        if placed:
            order.append(variable)
            continue
        new = [part for part in dict.fromkeys(_parts(variable)) if part not in seen]
        seen.update(new)
        stack += [(variable, True), *((part, False) for part in new)]
    return order


def _no_root(root):
    return autograd.topological_order(root)[:-1]


def _no_leaves(root):
    order = autograd.topological_order(root)
    return [variable for variable in order if variable.creator is not None]


def _only_first_input(root):
    order = [root]
    while _parts(order[-1]):
        order.append(_parts(order[-1])[0])
    return order[::-1]


_DISCOVERY = (
    "You list a Variable when you come upon it. It may be needed again by one that you "
    "come upon later: place it only after all its inputs are placed."
)

_TOPOLOGICAL_ORDER = Exercise(
    name="topological_order",
    time_limit=3.0,  # far too little for 16 million ways, far too much for 25 Variables
    solution=autograd.topological_order,
    cases=_topological_order_cases,
    mistakes=(
        Mistake(
            "Every Variable is there, but outputs come first. Return the inputs "
            "first, the root last; `backward` is what walks it in reverse.",
            _outputs_first,
        ),
        Mistake(
            "Python allows about 1,000 calls inside of each other. Keep the Variables "
            "that are still to be placed in a list of your own.",
            _recursive,
        ),
        Mistake(
            "A Variable comes once for each path that leads to it. Remember in a set "
            "which ones you have met.",
            _each_path,
        ),
        Mistake(_DISCOVERY, _level_by_level),
        Mistake(_DISCOVERY, _depth_first_reversed),
        Mistake(_DISCOVERY, _marked_when_pushed),
        Mistake("The root itself is missing: it comes last.", _no_root),
        Mistake(
            "The leaves are missing. They have no creator, but it is their gradients "
            "that are wanted.",
            _no_leaves,
        ),
        Mistake(
            "You follow one input of each operation. An operation may have several.",
            _only_first_input,
        ),
    ),
    hints=(
        "When may a Variable be put on the list? When all that it was made from is on "
        "it already.",
        "A recursion does it: visit the inputs, then append yourself, and skip whoever "
        "was visited before. Then get rid of the recursion, for long chains.",
        "Put pairs on a stack: a Variable, and whether its inputs are placed. On False "
        "push it back with True, and its inputs with False above it; on True append.",
    ),
)


# product_backward -------------------------------------------------------------------


def _by_torch(grad: np.ndarray, a: np.ndarray, b: np.ndarray) -> tuple:
    leaves = [torch.tensor(factor, requires_grad=True) for factor in (a, b)]
    (leaves[0] * leaves[1]).backward(torch.tensor(grad))
    return tuple(leaf.grad.numpy() for leaf in leaves)


def _as_arrays(answer: Callable, grad: np.ndarray, a: np.ndarray, b: np.ndarray):
    """The answer's pair; a number that NumPy made of a () array is an array again."""
    pair = answer(grad, a, b)
    if not isinstance(pair, list | tuple):
        return pair
    return [np.asarray(p) if isinstance(p, np.floating | float) else p for p in pair]


def _product_backward_cases() -> Iterator[Case]:
    two, five = np.array([2.0, 3.0]), np.array([5.0, 7.0])
    grad = np.array([1.0, 10.0])
    by_hand = (np.array([5.0, 70.0]), np.array([2.0, 30.0]))
    yield Case(
        "two vectors of two", (grad, two, five), expected=by_hand, call=_as_arrays
    )
    generator = np.random.default_rng(0)
    for name, shape_a, shape_b in (
        ("one number times a vector", (), (3,)),
        ("a matrix times a row (4,)", (3, 4), (4,)),
        ("a column (3, 1) times a matrix", (3, 1), (3, 4)),
        ("a column (3, 1) times a row (4,)", (3, 1), (4,)),
        ("one number times one number", (), ()),
        ("a square and a row: the axis matters", (3, 3), (3,)),
        ("a square and a column: the axis matters", (3, 3), (3, 1)),
        ("a length of 1 that is not broadcast", (1, 3), (1, 3)),
        ("four dimensions", (2, 1, 3, 1), (4, 1, 5)),
        ("no rows at all", (0, 3), (3,)),
    ):
        a, b = generator.normal(size=shape_a), generator.normal(size=shape_b)
        grad = generator.normal(size=np.broadcast_shapes(shape_a, shape_b))
        # asarray: NumPy draws a () as a bare number.
        args = tuple(np.asarray(array) for array in (grad, a, b))
        yield Case(
            name,
            args,
            expected=_by_torch(*args),
            hardening=name == "no rows at all",
            call=_as_arrays,
        )


def _swapped(grad, a, b):
    return autograd.sum_to(grad * a, a.shape), autograd.sum_to(grad * b, b.shape)


def _exchanged(grad, a, b):
    return autograd.product_backward(grad, a, b)[::-1]


def _not_summed(grad, a, b):
    return grad * b, grad * a


def _no_grad_given(grad, a, b):
    ones = np.ones_like(grad)
    return autograd.product_backward(ones, a, b)


def _averaged(grad, a, b):
    to_a, to_b = autograd.product_backward(grad, a, b)
    size = max(grad.size, 1)
    return to_a * (a.size / size), to_b * (b.size / size)


def _only_in_front(grad, a, b):
    return tuple(
        part.sum(axis=tuple(range(part.ndim - factor.ndim)))
        for part, factor in ((grad * b, a), (grad * a, b))
    )


def _only_ones(grad, a, b):
    pairs = []
    for part, factor in ((grad * b, a), (grad * a, b)):
        ones = tuple(
            i - factor.ndim for i, length in enumerate(factor.shape) if length == 1
        )
        pairs.append(part.sum(axis=ones, keepdims=True))
    return tuple(pairs)


def _squeezed(grad, a, b):
    pairs = []
    for part, factor in ((grad * b, a), (grad * a, b)):
        part = part.sum(axis=tuple(range(part.ndim - factor.ndim)))
        ones = tuple(i for i, length in enumerate(factor.shape) if length == 1)
        pairs.append(part.sum(axis=ones))
    return tuple(pairs)


def _summed_behind(grad, a, b):
    return tuple(
        part.sum(axis=tuple(range(factor.ndim, part.ndim))).reshape(factor.shape)
        for part, factor in ((grad * b, a), (grad * a, b))
    )


_PRODUCT_BACKWARD = Exercise(
    name="product_backward",
    solution=autograd.product_backward,
    cases=_product_backward_cases,
    mistakes=(
        Mistake(
            "Each factor is multiplied by itself. The slope of a·b in a is b: the "
            "other factor.",
            _swapped,
        ),
        Mistake(
            "The two gradients have changed places: that of a is first.", _exchanged
        ),
        Mistake(
            "The gradients have the shape of the product. A number that was copied "
            "has acted in several places: sum over the copies, until the gradient "
            "has the shape of its factor.",
            _not_summed,
        ),
        Mistake(
            "The incoming gradient is not used. The chain rule multiplies by it.",
            _no_grad_given,
        ),
        Mistake(
            "You average over the copies. Each of them moves the result by its own "
            "share: sum.",
            _averaged,
        ),
        Mistake(
            "You sum over the dimensions that broadcasting put in front, but not over "
            "those of length 1 that it stretched.",
            _only_in_front,
        ),
        Mistake(
            "You sum over the dimensions of length 1 that were stretched, but not "
            "over those that broadcasting put in front.",
            _only_ones,
        ),
        Mistake(
            "A dimension of length 1 is lost in the sum. Keep it (`keepdims=True`): "
            "the gradient has the shape of its factor.",
            _squeezed,
        ),
        Mistake(
            "Broadcasting lines shapes up at the *last* dimension. What it adds "
            "stands in front, so that is where to sum.",
            _summed_behind,
        ),
    ),
    hints=(
        "Without broadcasting it is the product rule: `grad * b` and `grad * a`. Which "
        "shape has each, and which should it have?",
        "Broadcasting does two things: it puts dimensions in front, and it stretches "
        "those of length 1. Undo both with sums.",
        "Sum over the first `part.ndim - a.ndim` axes, then over each axis where "
        "`a.shape` has 1, with `keepdims=True`.",
    ),
)


# numerical_gradient -----------------------------------------------------------------


def _weighted_square(x: np.ndarray) -> float:
    weights = np.arange(1.0, x.size + 1).reshape(x.shape)
    return float((weights * x**2).sum())


def _mixed(x: np.ndarray) -> float:
    return float(np.exp(x.sum() / 4) + (x[0] * x[-1]).sum())


def _cube(x: np.ndarray) -> float:
    return float((x**3).sum())


def _numerical_gradient_cases() -> Iterator[Case]:
    accuracy = {"rtol": 1e-6, "atol": 1e-7}
    yield Case(
        "x₁² + 2 x₂² at (3, 4)",
        (_weighted_square, np.array([3.0, 4.0])),
        expected=np.array([6.0, 16.0]),
        **accuracy,
    )
    cube = np.array([1.0, -2.0])
    # (x + h)³ − (x − h)³ = 2h (3x² + h²): the error of a central difference is h².
    yield Case(
        "x³ with a step of 0.1: 3x² + 0.01",
        (_cube, cube),
        {"step": 0.1},
        expected=3 * cube**2 + 0.01,
        **accuracy,
    )
    generator = np.random.default_rng(0)
    point = generator.normal(size=(3, 2))
    leaf = torch.tensor(point, requires_grad=True)
    (torch.exp(leaf.sum() / 4) + (leaf[0] * leaf[-1]).sum()).backward()
    yield Case(
        "a function of a matrix",
        (_mixed, point),
        expected=leaf.grad.numpy(),
        **accuracy,
    )
    yield Case(
        "one number, shape ()",
        (_cube, np.array(2.0)),
        expected=np.array(12.0),
        **accuracy,
        hardening=True,
    )
    yield Case(
        "whole numbers as a point",
        (_weighted_square, np.array([3, 4])),
        expected=np.array([6.0, 16.0]),
        **accuracy,
        hardening=True,
    )
    point = np.array([3.0, 4.0])
    for step in (0.0, -1e-6):
        yield Case(
            f"a step of {step:g}",
            (_weighted_square, point),
            {"step": step},
            raises=ValueError,
        )


def _refuse(step: float) -> None:
    if not step > 0:
        raise ValueError("step must be positive")


def _forward_difference(function, point, step=1e-6):
    _refuse(step)
    gradient = np.zeros(point.shape)
    for index in np.ndindex(point.shape):
        above = np.array(point, float)
        above[index] += step
        gradient[index] = (function(above) - function(np.array(point, float))) / step
    return gradient


def _not_halved(function, point, step=1e-6):
    return 2 * autograd.numerical_gradient(function, point, step)


def _all_at_once(function, point, step=1e-6):
    _refuse(step)
    slope = (function(point + step) - function(point - step)) / (2 * step)
    return np.full(point.shape, slope)


def _not_put_back(function, point, step=1e-6):
    _refuse(step)
    gradient = np.zeros(point.shape)
    point = np.array(point, float)
    for index in np.ndindex(point.shape):
        point[index] += step
        above = function(point)
        point[index] -= 2 * step
        gradient[index] = (above - function(point)) / (2 * step)
    return gradient


def _in_place(function, point, step=1e-6):
    gradient = _not_put_back(function, point, step)
    point -= step
    return gradient


def _keeps_integers(function, point, step=1e-6):
    _refuse(step)
    gradient = np.zeros(point.shape)
    for index in np.ndindex(point.shape):
        above, below = point.copy(), point.copy()
        above[index] = above[index] + step
        below[index] = below[index] - step
        gradient[index] = (function(above) - function(below)) / (2 * step)
    return gradient


def _flat(function, point, step=1e-6):
    return autograd.numerical_gradient(function, point, step).reshape(-1)


def _any_step(function, point, step=1e-6):
    gradient = np.zeros(point.shape)
    for index in np.ndindex(point.shape):
        above, below = np.array(point, float), np.array(point, float)
        above[index] += step
        below[index] -= step
        gradient[index] = (function(above) - function(below)) / (2 * step)
    return gradient


def _ignores_step(function, point, step=1e-6):
    _refuse(step)
    return autograd.numerical_gradient(function, point)


_NUMERICAL_GRADIENT = Exercise(
    name="numerical_gradient",
    solution=autograd.numerical_gradient,
    cases=_numerical_gradient_cases,
    mistakes=(
        Mistake(
            "This is the difference on one side, whose error shrinks with the step "
            "only. Go to both sides, and the error shrinks with its square.",
            _forward_difference,
        ),
        Mistake(
            "Twice too large: the two points lie 2 · step apart, so divide by that.",
            _not_halved,
        ),
        Mistake(
            "You move all numbers of the point at once and get the sum of the "
            "gradient's entries. Move one at a time.",
            _all_at_once,
        ),
        Mistake(
            "You change the caller's point. Work on a copy.",
            _in_place,
        ),
        Mistake(
            "A number is not put back before the next is moved, so that the later "
            "entries are taken at another point.",
            _not_put_back,
        ),
        Mistake(
            "In an array of whole numbers, 3 + 0.000001 is stored as 3, and 3 − "
            "0.000001 as 2. Make a floating-point copy first.",
            _keeps_integers,
        ),
        Mistake("The gradient must have the shape of the point.", _flat),
        Mistake(
            "A step of 0 is 0/0, and a negative one is a slip of the caller: raise a "
            "`ValueError`.",
            _any_step,
        ),
        Mistake("The argument `step` is not used.", _ignores_step),
    ),
    hints=(
        "What does the function do when one number of the point goes up a little, and "
        "what when it goes down?",
        "`np.ndindex(point.shape)` runs over all indices, whatever the number of "
        "dimensions, and once over () for a single number.",
        "For each index: two fresh floating-point copies, one with `+= step`, one with "
        "`-= step`; their difference in value, divided by `2 * step`.",
    ),
)


EXERCISES = (_TOPOLOGICAL_ORDER, _PRODUCT_BACKWARD, _NUMERICAL_GRADIENT)
