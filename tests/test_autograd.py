"""Autograd: by hand, against torch on random graphs, differences, chains, errors."""

import ast
import graphlib
import inspect
import math
import sys

import numpy as np
import pytest
import scipy.optimize
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lesson_utils import autograd
from lesson_utils.autograd import Variable, numerical_gradient, sum_to
from lesson_utils.checks import autograd as autograd_checks
from lesson_utils.data.mnist import mnist
from tests.answers import ExerciseTests

SEEDS = st.integers(0, 2**31)


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def positive(*shape, seed=0):
    return np.exp(random(*shape, seed=seed))


def away_from_zero(*shape, seed=0):
    values = random(*shape, seed=seed)
    return values + np.sign(values)


class TestVariable:
    def test_has_exactly_three_attributes(self):
        assert list(vars(Variable(1.0))) == ["data", "creator", "grad"]

    def test_leaf_and_made(self):
        a, b = Variable(2), Variable([3, 4])
        product = a * b
        assert a.creator is None
        assert a.grad is None
        assert product.creator.name == "×"
        assert product.creator.inputs == (a, b)
        assert repr(product) == "Variable([6.0, 8.0], creator='×')"

    def test_is_float64_and_a_copy(self):
        array = np.array([1.0, 2.0])
        variable = Variable(array)
        array[0] = 9
        assert variable.data.tolist() == [1, 2]
        assert Variable(np.float32(1)).data.dtype == Variable(True).data.dtype == float

    @pytest.mark.parametrize("data", ["text", 1j, [None]])
    def test_refuses_what_is_no_number(self, data):
        with pytest.raises(ValueError, match="data must be real numbers, got dtype"):
            Variable(data)


class TestBackward:
    def test_by_hand(self):
        a, b = Variable(2.0), Variable(3.0)
        y = (a * b + a) ** 2
        y.backward()
        assert (y.data, a.grad, b.grad) == (64, 2 * 8 * 4, 2 * 8 * 2)

    def test_shared_node_counts_once_per_path(self):
        x = Variable(1.0)
        y = x
        for _ in range(30):
            y = y + y
        y.backward()
        assert x.grad == 2**30

    def test_accumulates_over_calls_in_leaves_and_between(self):
        x = Variable(3.0)
        square = x * x
        y = square * 5.0
        for calls in (1, 2, 3):
            y.backward()
            assert (x.grad, square.grad, y.grad) == (30 * calls, 5 * calls, calls)

    def test_grads_are_arrays_of_their_own(self):
        x, y = Variable([1.0, 2.0]), Variable([3.0, 4.0])
        seed = np.ones(2)
        (x + y).backward(seed)
        x.grad *= 0
        assert y.grad.tolist() == seed.tolist() == [1, 1]
        number = Variable(1.0)
        (number * 2.0).backward()
        assert isinstance(number.grad, np.ndarray)

    def test_seed_weights(self):
        x = Variable([1.0, 2.0])
        (x * x).backward([10.0, 100.0])
        assert x.grad.tolist() == [20, 400]

    @pytest.mark.parametrize("shape", [(1,), (1, 1)])
    def test_a_single_number_needs_no_seed(self, shape):
        x = Variable(np.ones(shape))
        x.backward()
        assert x.grad.shape == shape

    def test_refuses_a_non_scalar_without_seed(self):
        x = Variable([1.0, 2.0])
        with pytest.raises(ValueError, match=r"seed must be given.*shape \(2,\)"):
            (x * x).backward()
        assert x.grad is None
        with pytest.raises(ValueError, match="seed must be given"):
            Variable(np.zeros((0, 2))).backward()

    def test_refuses_a_seed_of_another_shape(self):
        with pytest.raises(ValueError, match=r"shape \(2,\), got \(\)"):
            Variable([1.0, 2.0]).backward(1.0)

    def test_chain_of_10_000_operations(self):
        assert sys.getrecursionlimit() < 10_000
        x = Variable(1.0)
        y = x
        for _ in range(10_000):
            y = y * 1.0001
        y.backward()
        assert x.grad == pytest.approx(1.0001**10_000, rel=1e-9)
        del y  # nor does freeing it

    def test_exponent_must_be_a_number(self):
        with pytest.raises(ValueError, match="exponent must be a number"):
            Variable(2.0) ** Variable(2.0)


# Each operation with the arrays it is tried on; the same lambda runs on torch.
OPERATIONS = {
    "+": (lambda a, b: a + b, random(3, 1), random(2, 1, 4, seed=1)),
    "−": (lambda a, b: a - b, random(3, 1), random(2, 1, 4, seed=1)),
    "negative": (lambda a: -a, random(3)),
    "*": (lambda a, b: a * b, random(3, 1), random(2, 1, 4, seed=1)),
    "/": (lambda a, b: a / b, random(3, 1), away_from_zero(2, 1, 4, seed=1)),
    "number on the left": (lambda a: 2.0 - 3.0 / a + 4.0 * a + 1.0, away_from_zero(3)),
    "** 3": (lambda a: a**3, random(4)),
    "** -1.5": (lambda a: a**-1.5, positive(4)),
    "** 0": (lambda a: a**0, np.array([0.0, 2.0])),
    "** 1": (lambda a: a**1, np.array([0.0, 2.0])),
    "sum": (lambda a: a.sum(), random(2, 3)),
    "sum dim": (lambda a: a.sum(dim=1), random(2, 3)),
    "sum two dims": (lambda a: a.sum(dim=(0, -1)), random(2, 3, 4)),
    "sum keepdim": (lambda a: a.sum(dim=0, keepdim=True), random(2, 3)),
    "mean": (lambda a: a.mean(), random(2, 3)),
    "mean dim": (lambda a: a.mean(dim=(0, 2)), random(2, 3, 4)),
    "mean keepdim": (lambda a: a.mean(dim=-1, keepdim=True), random(2, 3)),
    "exp": (lambda a: a.exp(), random(4)),
    "log": (lambda a: a.log(), positive(4)),
    "relu": (lambda a: a.relu(), away_from_zero(6)),
    "tanh": (lambda a: a.tanh(), random(4)),
    "sigmoid": (lambda a: a.sigmoid(), 4 * random(4)),
    "reshape": (lambda a: a.reshape(3, -1), random(2, 3)),
    "transpose": (lambda a: a.transpose(0, -1), random(2, 3, 4)),
    "row": (lambda a: a[1], random(3, 4)),
    "slice": (lambda a: a[:, 1:3], random(3, 4)),
    "element": (lambda a: a[2, 0], random(3, 4)),
    "new axis": (lambda a: a[:, None], random(3)),
    "repeated index": (lambda a: a[[0, 2, 2, 2]], random(3, 4)),
    "boolean index": (lambda a: a[np.array([True, False, True])], random(3, 4)),
    "matrix @ matrix": (lambda a, b: a @ b, random(2, 3), random(3, 4, seed=1)),
    "vector @ vector": (lambda a, b: a @ b, random(3), random(3, seed=1)),
    "vector @ batch": (lambda a, b: a @ b, random(3), random(5, 3, 2, seed=1)),
    "batch @ vector": (lambda a, b: a @ b, random(5, 2, 3), random(3, seed=1)),
    "batch @ matrix": (lambda a, b: a @ b, random(5, 2, 3), random(3, 4, seed=1)),
    "broadcast batch": (
        lambda a, b: a @ b,
        random(5, 1, 2, 3),
        random(4, 3, 2, seed=1),
    ),
}


@pytest.mark.parametrize("name", OPERATIONS)
class TestOperations:
    def test_matches_torch(self, name):
        function, *arrays = OPERATIONS[name]
        ours = [Variable(array) for array in arrays]
        theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
        our_result, their_result = function(*ours), function(*theirs)
        seed = random(*their_result.shape, seed=9)
        our_result.backward(seed)
        their_result.backward(torch.tensor(seed))
        np.testing.assert_allclose(our_result.data, their_result.detach(), rtol=1e-12)
        for variable, tensor in zip(ours, theirs, strict=True):
            assert variable.grad.shape == tuple(tensor.shape)
            np.testing.assert_allclose(
                variable.grad, tensor.grad, rtol=1e-9, atol=1e-12
            )

    def test_gradcheck(self, name):
        function, *arrays = OPERATIONS[name]
        seed = random(*function(*[Variable(a) for a in arrays]).data.shape, seed=9)
        ours = [Variable(array) for array in arrays]
        function(*ours).backward(seed)
        for index, variable in enumerate(ours):

            def weighted(point, index=index):
                inputs = [*arrays[:index], point, *arrays[index + 1 :]]
                result = function(*[Variable(array) for array in inputs])
                return float((result.data * seed).sum())

            expected = numerical_gradient(weighted, arrays[index])
            np.testing.assert_allclose(variable.grad, expected, rtol=1e-6, atol=1e-7)


class TestDegenerate:
    @pytest.mark.filterwarnings("error")
    def test_sigmoid_and_relu_far_out(self):
        x = Variable([-1e4, -40.0, 0.0, 40.0, 1e4])
        y = x.sigmoid()
        y.sum().backward()
        expected = torch.tensor(x.data).sigmoid()
        np.testing.assert_allclose(y.data, expected, rtol=1e-12)
        np.testing.assert_allclose(x.grad, expected * (1 - expected), rtol=1e-9)
        assert y.data[1] > 0  # 4e-18, and not rounded away

    def test_slope_of_relu_at_zero_is_zero(self):
        x = Variable([0.0, -0.0])
        x.relu().sum().backward()
        assert x.grad.tolist() == [0, 0]

    def test_no_numbers_at_all(self):
        x = Variable(np.zeros((0, 3)))
        (x * 2.0).sum().backward()
        assert x.grad.shape == (0, 3)
        assert Variable(np.zeros((3, 0))).mean(dim=0).data.shape == (0,)

    def test_numpy_on_the_left_makes_one_variable(self):
        x, array = Variable([1.0, 2.0]), np.array([3.0, 4.0])
        for result, expected in (
            (array * x, [3, 8]),
            (array - x, [2, 2]),
            (array / x, [3, 2]),
            (np.eye(2) @ x, [1, 2]),
        ):
            assert isinstance(result, Variable)
            assert result.data.tolist() == expected

    def test_sum_to_by_hand(self):
        grad = np.arange(6.0).reshape(2, 3)
        assert sum_to(grad, ()).tolist() == 15
        assert sum_to(grad, (3,)).tolist() == [3, 5, 7]
        assert sum_to(grad, (2, 1)).tolist() == [[3], [12]]
        assert sum_to(grad, (2, 3)).tolist() == grad.tolist()
        assert isinstance(sum_to(grad, ()), np.ndarray)


# Random expressions: each step takes one or two results of earlier steps.

UNARY = {
    "tanh": lambda x: x.tanh(),
    "sigmoid": lambda x: x.sigmoid(),
    "exp": lambda x: x.tanh().exp(),
    "log": lambda x: (x * x + 1.0).log(),
    "relu": lambda x: x.relu(),
    "power": lambda x: (x * x + 0.5) ** 1.5 / 4.0,
    "square": lambda x: x.tanh() ** 2,
    "mean": lambda x: x.mean(dim=0, keepdim=True),
    "sum": lambda x: x.sum(dim=1, keepdim=True) / 3.0,
    "rows": lambda x: x[[0, -1, 0]].sum(dim=0, keepdim=True),
    "swap": lambda x: (x.transpose(0, 1) @ x).mean(dim=0, keepdim=True)[:, :1],
    "shape": lambda x: x.reshape(-1)[0] * x,
    "minus": lambda x: 1.0 - x,
}
BINARY = {
    "add": lambda x, y: x + y,
    "subtract": lambda x, y: x - y,
    "multiply": lambda x, y: x.tanh() * y,
    "divide": lambda x, y: x / (y * y + 1.0),
    "matmul": lambda x, y: (
        (x + 0.0 * y).tanh() @ (y + 0.0 * x).tanh().transpose(0, 1)
    ).sum(dim=1, keepdim=True),
}
# Every two of these shapes broadcast with each other.
SHAPES = [(3, 4), (1, 4), (3, 1), (1, 1)]
STEPS = st.lists(
    st.tuples(
        st.sampled_from([*UNARY, *BINARY]),
        st.integers(0, 99),
        st.integers(0, 99),
    ),
    min_size=1,
    max_size=12,
)


def evaluate(steps, results):
    for name, first, second in steps:
        x, y = results[first % len(results)], results[second % len(results)]
        results.append(UNARY[name](x) if name in UNARY else BINARY[name](x, y))
    # All of them count, so that many are used more than once.
    total = results[0].sum()
    for result in results[1:]:
        total = total + result.mean()
    return total


@given(
    steps=STEPS,
    shapes=st.lists(st.sampled_from(SHAPES), min_size=1, max_size=3),
    seed=SEEDS,
)
@settings(max_examples=250, deadline=None)
def test_random_graphs_match_torch(steps, shapes, seed):
    arrays = [random(*shape, seed=[seed, i]) for i, shape in enumerate(shapes)]
    ours = [Variable(array) for array in arrays]
    theirs = [torch.tensor(array, requires_grad=True) for array in arrays]
    our_total, their_total = evaluate(steps, [*ours]), evaluate(steps, [*theirs])
    our_total.backward()
    their_total.backward()
    np.testing.assert_allclose(
        our_total.data, their_total.detach(), rtol=1e-9, atol=1e-9
    )
    for variable, tensor in zip(ours, theirs, strict=True):
        scale = max(1.0, tensor.grad.abs().max().item())
        np.testing.assert_allclose(
            variable.grad, tensor.grad, rtol=0, atol=1e-9 * scale
        )


class TestTopologicalOrder:
    def test_by_hand(self):
        x = Variable(1.0)
        a = x.exp()
        y = a * x
        assert autograd.topological_order(y) == [x, a, y]
        assert autograd.topological_order(x) == [x]

    @given(steps=STEPS, seed=SEEDS)
    @settings(max_examples=50, deadline=None)
    def test_each_once_inputs_first_root_last(self, steps, seed):
        root = evaluate(steps, [Variable(random(3, 4, seed=seed))])
        order = autograd.topological_order(root)
        place = {variable: index for index, variable in enumerate(order)}
        assert len(place) == len(order)
        assert order[-1] is root
        for variable in order:
            for part in variable.creator.inputs if variable.creator else ():
                assert place[part] < place[variable]


class TestNumericalGradient:
    def test_by_hand(self):
        gradient = numerical_gradient(lambda x: float((x**2).sum()), np.array([3, 4]))
        np.testing.assert_allclose(gradient, [6, 8], rtol=1e-7)

    @pytest.mark.parametrize("step", [0.0, -1.0, math.nan])
    def test_refuses_a_step_that_is_not_positive(self, step):
        with pytest.raises(ValueError, match="step must be finite and above 0, got"):
            numerical_gradient(np.sum, np.ones(2), step)


def test_a_network_on_mnist_learns_as_under_torch():
    images, labels = (part.numpy() for part in mnist("train"))
    images, labels = images.reshape(-1, 784).astype(float)[:2000], labels[:2000]
    start = random(784, 16, seed=1) / 28, random(16, 10, seed=2) / 4

    def logits(x, weights):
        return (x @ weights[0]).tanh() @ weights[1]

    def trained(make):
        weights, losses = [make(array) for array in start], []
        for step in range(60):
            at = np.arange(step * 100, (step + 1) * 100) % len(labels)
            z = logits(make(images[at]), weights)
            right = z[np.arange(100), labels[at]]
            loss = (z.exp().sum(dim=1).log() - right).mean()
            loss.backward()
            losses.append(float(loss.data))
            for weight in weights:
                weight.data -= 0.5 * weight.grad
                weight.grad = None
        arrays = [torch.as_tensor(weight.data) for weight in weights]
        guesses = logits(torch.tensor(images), arrays).argmax(1).numpy()
        return np.array(losses), (guesses == labels).mean()

    ours = trained(Variable)
    theirs = trained(lambda array: torch.tensor(array, requires_grad=True))
    assert np.abs(ours[0] - theirs[0]).max() < 1e-9
    assert ours[1] >= 0.98 * theirs[1] > 0.8


def test_the_engine_stays_small():
    """Lines of code: no docstrings, comments or empty lines."""
    number = 0
    for part in (
        autograd.Operation,
        Variable,
        autograd.topological_order,
        sum_to,
        autograd.product_backward,
        autograd._as_variable,
        autograd._made_by,
    ):
        tree = ast.parse(inspect.getsource(part))
        for node in ast.walk(tree):
            documented = isinstance(node, ast.FunctionDef | ast.ClassDef)
            if documented and ast.get_docstring(node):
                node.body = node.body[1:]
        number += sum(bool(line.strip()) for line in ast.unparse(tree).splitlines())
    assert number <= 150


# The exercises: right answers written in another way than the module's.


def order_by_counting(root):
    """Kahn's way: a Variable is placed once all that use it are; then turned round."""
    uses, waiting = {root: 0}, [root]
    while waiting:
        variable = waiting.pop()
        for part in variable.creator.inputs if variable.creator else ():
            if part not in uses:
                uses[part] = 0
                waiting.append(part)
            uses[part] += 1
    order, ready = [], [root]
    while ready:
        variable = ready.pop()
        order.append(variable)
        for part in variable.creator.inputs if variable.creator else ():
            uses[part] -= 1
            if uses[part] == 0:
                ready.append(part)
    return order[::-1]


def product_backward_by_axes(grad, a, b):
    def fold(part, shape):
        padded = (1,) * (part.ndim - len(shape)) + shape
        for axis, length in enumerate(padded):
            if length == 1:
                part = part.sum(axis, keepdims=True)
        return part.reshape(shape)

    return [fold(np.asarray(grad * b), a.shape), fold(np.asarray(grad * a), b.shape)]


def numerical_gradient_flat(function, point, step=1e-6):
    if step <= 0:
        raise ValueError("step")
    point = np.asarray(point, dtype=float)
    units = np.eye(point.size).reshape(point.size, *point.shape)
    slopes = [
        (function(point + step * u) - function(point - step * u)) / step / 2
        for u in units
    ]
    return np.reshape(slopes, point.shape)


RIGHT = {
    "topological_order": order_by_counting,
    "product_backward": product_backward_by_axes,
    "numerical_gradient": numerical_gradient_flat,
}


def inputs_of(variable):
    return variable.creator.inputs if variable.creator else ()


def marked_when_pushed(root):
    order, seen, stack = [], {root}, [(root, False)]
    while stack:
        variable, placed = stack.pop()
        if placed:
            order.append(variable)
            continue
        stack.append((variable, True))
        for part in inputs_of(variable):
            if part not in seen:
                seen.add(part)
                stack.append((part, False))
    return order


def recursive_generator(root):
    seen = set()

    def visit(variable):
        if id(variable) in seen:
            return
        seen.add(id(variable))
        for part in inputs_of(variable):
            yield from visit(part)
        yield variable

    return list(visit(root))


# Wrong answers as readers write them, each with words of the hint that it earns.
WRONG = {
    "topological_order": [
        (lambda root: order_by_counting(root)[::-1], "outputs come first"),
        (recursive_generator, "about 1,000 calls"),
        (marked_when_pushed, "only after all its inputs are placed"),
        (lambda root: order_by_counting(root)[:-1], "root itself is missing"),
        (
            lambda root: [v for v in order_by_counting(root) if v.creator],
            "leaves are missing",
        ),
    ],
    "product_backward": [
        (lambda g, a, b: product_backward_by_axes(g, b, a), "changed places"),
        (lambda g, a, b: (g * b, g * a), "have the shape of the product"),
        (
            lambda g, a, b: product_backward_by_axes(np.ones(g.shape), a, b),
            "incoming gradient is not used",
        ),
        (
            lambda g, a, b: (
                (g * b).sum(axis=tuple(range(g.ndim - a.ndim))),
                (g * a).sum(axis=tuple(range(g.ndim - b.ndim))),
            ),
            "those of length 1 that it stretched",
        ),
        (
            lambda g, a, b: [
                part * part.size / max(g.size, 1)
                for part in product_backward_by_axes(g, a, b)
            ],
            "average over the copies",
        ),
    ],
    "numerical_gradient": [
        (
            lambda f, p, step=1e-6: (
                2 * numerical_gradient_flat(f, np.asarray(p, float), step)
            ),
            "Twice too large",
        ),
        (
            lambda f, p, step=1e-6: np.full(
                p.shape, (f(p + step) - f(p - step)) / step / 2
            ),
            "all numbers of the point at once",
        ),
        (
            lambda f, p, step=1e-6: numerical_gradient_flat(f, p, step).ravel(),
            "shape of the point",
        ),
        (lambda f, p, step=1e-6: numerical_gradient_flat(f, p), "`step` is not used"),
        (
            lambda f, p, step=1e-6: np.reshape(
                [
                    (f(p + step * u) - f(p)) / step
                    for u in np.eye(p.size).reshape(p.size, *p.shape)
                ],
                p.shape,
            ),
            "difference on one side",
        ),
    ],
}


def order_by_recursion(root):
    order, seen = [], set()

    def visit(variable):
        if variable in seen:
            return
        seen.add(variable)
        for part in inputs_of(variable):
            visit(part)
        order.append(variable)

    visit(root)
    return order


def order_of_graphlib(root):
    graph, waiting = {}, [root]
    while waiting:
        variable = waiting.pop()
        if variable not in graph:
            graph[variable] = inputs_of(variable)
            waiting.extend(graph[variable])
    return list(graphlib.TopologicalSorter(graph).static_order())


def product_backward_plainly(grad, a, b):
    def shrink(part, like):
        while part.ndim > like.ndim:
            part = part.sum(axis=0)
        for axis in range(like.ndim):
            if like.shape[axis] == 1:
                part = part.sum(axis=axis, keepdims=True)
        return part

    return shrink(grad * b, a), shrink(grad * a, b)


def product_backward_of_torch(grad, a, b):
    a, b = (torch.tensor(factor, requires_grad=True) for factor in (a, b))
    pair = torch.autograd.grad(a * b, (a, b), torch.tensor(grad))
    return tuple(part.numpy() for part in pair)


def numerical_gradient_plainly(function, point, step=1e-6):
    gradient = np.zeros_like(point)
    for index in np.ndindex(*point.shape):
        up, down = point.copy(), point.copy()
        up[index] += step
        down[index] -= step
        gradient[index] = (function(up) - function(down)) / (2 * step)
    return gradient


def numerical_gradient_of_scipy(function, point, step=1e-6):
    def flat(numbers):
        return function(numbers.reshape(np.shape(point)))

    jacobian = scipy.optimize._numdiff.approx_derivative(
        flat, np.ravel(point), method="3-point", abs_step=step
    )
    return jacobian.reshape(np.shape(point))


# Right answers as readers write them, without a look at bad input.
PLAIN = {
    "topological_order": order_by_recursion,
    "product_backward": product_backward_plainly,
    "numerical_gradient": numerical_gradient_plainly,
}
LIBRARY = {
    "topological_order": order_of_graphlib,
    "product_backward": product_backward_of_torch,
    "numerical_gradient": numerical_gradient_of_scipy,
}


class TestExercises(ExerciseTests):
    checks, right, wrong = autograd_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
