"""Autograd: a reverse-mode engine on NumPy arrays, small enough to be read whole.

The module of the chapter `book/foundations/autograd.ipynb`. A `Variable` has the three
attributes data, creator and grad. Arrays are float64 and of any shape; operations
broadcast as NumPy's do and are named as torch's, so that the same lines run on both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from lesson_utils.common.require import require_positive

Numbers = float | list | np.ndarray  # whatever NumPy makes an array of


@dataclass(frozen=True, eq=False)
class Operation:
    """What made a Variable: its name, what went in, and the way back.

    Args:
        name: what is written in a picture of the graph.
        inputs: the Variables that went in.
        backward: takes the gradient of the output, in its shape (...), and returns a
            gradient for each input, in the shape of that input.

    Source: Baydin et al., Automatic Differentiation in Machine Learning, JMLR 2018,
        section 3.2 (reverse mode).
    """

    name: str
    inputs: tuple[Variable, ...]
    backward: Callable[[np.ndarray], tuple[np.ndarray, ...]]


class Variable:
    """An array that remembers which operation made it.

    Args:
        data: an array of any shape (...), or what NumPy makes one of; it is copied.

    Attributes:
        data: the values, float64.
        creator: the `Operation` that made it; None for a leaf, made by you.
        grad: after `backward`, the gradient, in the shape of `data`; None before.

    Raises:
        ValueError: the data are not real numbers.

    Source: the three attributes are those of PyTorch's first Variable.
    """

    # NumPy leaves `array * variable` to Variable instead of multiplying one by one.
    __array_ufunc__ = None

    def __init__(self, data: Numbers):
        array = np.asarray(data)
        if array.dtype.kind not in "biuf":
            raise ValueError(f"data must be real numbers, got dtype {array.dtype}")
        self.data = array.astype(np.float64)  # a copy
        self.creator: Operation | None = None
        self.grad: np.ndarray | None = None

    def __repr__(self) -> str:
        creator = self.creator and self.creator.name
        return f"Variable({self.data.tolist()}, creator={creator!r})"

    def backward(self, seed: Numbers | None = None) -> None:
        """Add to `grad`, of this Variable and of all it was made from.

        Args:
            seed: the gradient of the final quantity with respect to this Variable, in
                its shape (...); may be left out if it holds a single number, and is 1.

        Raises:
            ValueError: there is no seed and this is not a single number, or the seed
                has another shape.
        """
        if seed is None and self.data.size != 1:
            raise ValueError(
                "seed must be given for the gradient of a non-scalar, got none for "
                f"shape {self.data.shape}: sum() or mean() it first, or weight it"
            )
        seed = np.ones(self.data.shape) if seed is None else np.asarray(seed, float)
        if seed.shape != self.data.shape:
            raise ValueError(
                f"seed must have the shape {self.data.shape}, got {seed.shape}"
            )
        arrived = {self: seed}
        for variable in reversed(topological_order(self)):
            # Complete by now: all that use this variable have had their turn.
            grad = arrived.pop(variable)
            before = 0.0 if variable.grad is None else variable.grad
            variable.grad = np.asarray(before + grad)
            if variable.creator is not None:
                grads = variable.creator.backward(grad)
                for part, to_part in zip(variable.creator.inputs, grads, strict=True):
                    arrived[part] = arrived.get(part, 0.0) + to_part

    def __add__(self, other: Variable | Numbers) -> Variable:
        other = _as_variable(other)

        def backward(grad):
            return sum_to(grad, self.data.shape), sum_to(grad, other.data.shape)

        return _made_by("+", (self, other), self.data + other.data, backward)

    def __mul__(self, other: Variable | Numbers) -> Variable:
        other = _as_variable(other)

        def backward(grad):
            return product_backward(grad, self.data, other.data)

        return _made_by("×", (self, other), self.data * other.data, backward)

    def __truediv__(self, other: Variable | Numbers) -> Variable:
        other = _as_variable(other)
        quotient = self.data / other.data

        def backward(grad):
            up = grad / other.data
            return sum_to(up, self.data.shape), sum_to(-up * quotient, other.data.shape)

        return _made_by("/", (self, other), quotient, backward)

    def __pow__(self, exponent: float) -> Variable:
        if not isinstance(exponent, int | float | np.number):
            raise ValueError(f"exponent must be a number, got {exponent!r}")

        def backward(grad):
            if exponent == 0:  # 0 · 0⁻¹ is NaN, but a constant has slope 0
                return (np.zeros_like(self.data),)
            return (grad * exponent * self.data ** (exponent - 1),)

        return _made_by(f"^{exponent:g}", (self,), self.data**exponent, backward)

    def __matmul__(self, other: Variable | Numbers) -> Variable:
        other = _as_variable(other)
        product = self.data @ other.data
        # A vector is a row on the left and a column on the right.
        a = np.atleast_2d(self.data)
        b = other.data[:, None] if other.data.ndim == 1 else other.data
        full = (a @ b).shape  # (..., N, M)

        def backward(grad):
            grad = grad.reshape(full)
            to_a = sum_to(grad @ b.swapaxes(-1, -2), a.shape)
            to_b = sum_to(a.swapaxes(-1, -2) @ grad, b.shape)
            return to_a.reshape(self.data.shape), to_b.reshape(other.data.shape)

        return _made_by("@", (self, other), product, backward)

    def __getitem__(self, index: object) -> Variable:
        def backward(grad):
            spread = np.zeros_like(self.data)
            np.add.at(spread, index, grad)  # an element taken twice gets both
            return (spread,)

        return _made_by("[ ]", (self,), self.data[index], backward)

    def __neg__(self) -> Variable:
        return self * -1.0

    def __sub__(self, other: Variable | Numbers) -> Variable:
        return self + -_as_variable(other)

    def __rsub__(self, other: Numbers) -> Variable:
        return -self + other

    def __rtruediv__(self, other: Numbers) -> Variable:
        return _as_variable(other) / self

    def __rmatmul__(self, other: Numbers) -> Variable:
        return _as_variable(other) @ self

    __radd__ = __add__
    __rmul__ = __mul__

    def sum(
        self, dim: int | tuple[int, ...] | None = None, keepdim: bool = False
    ) -> Variable:
        """The sum over dimensions: each summand gets the whole gradient of the sum.

        Args:
            dim: the dimension or dimensions to sum over; None for all.
            keepdim: whether they stay, with length 1.

        Returns:
            A Variable without the dimensions `dim`, of shape () for None.
        """
        kept = self.data.sum(axis=dim, keepdims=True)
        total = kept if keepdim else self.data.sum(axis=dim)

        def backward(grad):
            return (np.broadcast_to(grad.reshape(kept.shape), self.data.shape),)

        return _made_by("sum", (self,), total, backward)

    def mean(
        self, dim: int | tuple[int, ...] | None = None, keepdim: bool = False
    ) -> Variable:
        """The mean over dimensions.

        Args:
            dim: the dimension or dimensions to average over; None for all.
            keepdim: whether they stay, with length 1.

        Returns:
            A Variable without the dimensions `dim`, of shape () for None.
        """
        total = self.sum(dim, keepdim)
        return total / (self.data.size / max(total.data.size, 1))

    def exp(self) -> Variable:
        """The exponential, element by element.

        Returns:
            A Variable of the same shape (...).
        """
        result = np.exp(self.data)
        return _made_by("exp", (self,), result, lambda grad: (grad * result,))

    def log(self) -> Variable:
        """The natural logarithm, element by element.

        Returns:
            A Variable of the same shape (...).
        """
        result = np.log(self.data)
        return _made_by("log", (self,), result, lambda grad: (grad / self.data,))

    def relu(self) -> Variable:
        """The larger of the value and 0; its slope at 0 is taken as 0.

        Returns:
            A Variable of the same shape (...).
        """
        result = np.maximum(self.data, 0.0)
        return _made_by("relu", (self,), result, lambda grad: (grad * (result > 0),))

    def tanh(self) -> Variable:
        """The hyperbolic tangent, element by element.

        Returns:
            A Variable of the same shape (...).
        """
        result = np.tanh(self.data)
        return _made_by("tanh", (self,), result, lambda grad: (grad * (1 - result**2),))

    def sigmoid(self) -> Variable:
        """1 / (1 + exp(−x)), element by element, without overflow.

        Returns:
            A Variable of the same shape (...), in [0, 1].
        """
        result = np.exp(-np.logaddexp(0.0, -self.data))
        slope = result * (1 - result)
        return _made_by("σ", (self,), result, lambda grad: (grad * slope,))

    def reshape(self, *shape: int) -> Variable:
        """The same numbers in another shape.

        Args:
            *shape: the new shape; one entry may be -1.

        Returns:
            A Variable of that shape.
        """

        def backward(grad):
            return (grad.reshape(self.data.shape),)

        return _made_by("reshape", (self,), self.data.reshape(shape), backward)

    def transpose(self, dim0: int, dim1: int) -> Variable:
        """Two dimensions exchanged.

        Args:
            dim0: one of them.
            dim1: the other.

        Returns:
            A Variable of the shape with the two lengths exchanged.
        """

        def backward(grad):
            return (grad.swapaxes(dim0, dim1),)

        return _made_by("transpose", (self,), self.data.swapaxes(dim0, dim1), backward)


def topological_order(root: Variable) -> list[Variable]:
    """All that a Variable was made from, each once, inputs before what they make.

    The stack is a list and not the call stack, so that a chain may have any length.

    Args:
        root: a Variable of any shape (...).

    Returns:
        The Variables of its graph; the last is `root`.

    Source: Tarjan, Edge-Disjoint Spanning Trees and Depth-First Search, Acta
        Informatica 1976 (the order in which a depth-first search leaves its nodes).
    """
    order, seen = [], set()
    stack = [(root, False)]
    while stack:
        variable, inputs_are_placed = stack.pop()
        if inputs_are_placed:
            order.append(variable)
        elif variable not in seen:
            seen.add(variable)
            stack.append((variable, True))
            if variable.creator is not None:
                stack += [(part, False) for part in variable.creator.inputs]
    return order


def sum_to(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo a broadcast: sum a gradient over the copies that broadcasting made.

    Args:
        grad: (...), the shape that `shape` was broadcast to.
        shape: of the array before it was broadcast.

    Returns:
        An array of that shape.

    Source: the definition; copying and summing are each other's transpose.
    """
    in_front = grad.ndim - len(shape)
    grad = grad.sum(axis=tuple(range(in_front)))
    stretched = tuple(i for i, n in enumerate(shape) if n == 1 != grad.shape[i])
    return np.asarray(grad.sum(axis=stretched, keepdims=True))


def product_backward(
    grad: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The gradients of the two factors of a broadcast product a * b.

    Args:
        grad: of the product, in its shape (...).
        a: the left factor, of any shape that broadcasts with that of `b`.
        b: the right factor.

    Returns:
        The gradients with respect to `a` and `b`, in the shapes of `a` and `b`.

    Source: the product rule.
    """
    return sum_to(grad * b, a.shape), sum_to(grad * a, b.shape)


def numerical_gradient(
    function: Callable[[np.ndarray], float], point: np.ndarray, step: float = 1e-6
) -> np.ndarray:
    """The gradient by central differences: two calls for each number of the point.

    Args:
        function: takes an array in the shape of `point`, returns a number.
        point: where the gradient is taken, an array of any shape (...); it is not
            changed.
        step: how far each number is moved to either side.

    Returns:
        An array of the shape of `point`, right up to an error of order step².

    Raises:
        ValueError: the step is not positive.

    Source: the definition of the derivative, the same on both sides.
    """
    require_positive("step", step)
    gradient = np.zeros(np.shape(point))
    for index in np.ndindex(gradient.shape):
        above, below = np.array(point, float), np.array(point, float)
        above[index], below[index] = above[index] + step, below[index] - step
        gradient[index] = (function(above) - function(below)) / (2 * step)
    return gradient


def _as_variable(value: Variable | Numbers) -> Variable:
    return value if isinstance(value, Variable) else Variable(value)


def _made_by(
    name: str,
    inputs: tuple[Variable, ...],
    data: np.ndarray,
    backward: Callable[[np.ndarray], tuple[np.ndarray, ...]],
) -> Variable:
    """A Variable that knows its creator."""
    result = Variable(data)
    result.creator = Operation(name, inputs, backward)
    return result
