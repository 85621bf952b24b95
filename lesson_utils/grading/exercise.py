"""What an author writes: cases, known mistakes, and the exercise that holds them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from torch import Tensor

from lesson_utils.grading.compare import is_comparable
from lesson_utils.grading.gradients import copy_inputs, detached, gradients_of
from lesson_utils.grading.state import seeded_and_restored

NOT_GIVEN: Any = object()  # `expected=None` is a promise too: the function returns None


@dataclass(frozen=True, eq=False)
class Case:
    """One call of the reader's function, and what it must do.

    A case is of one of two kinds. *The idea*: ordinary values and gradients; an answer
    that passes all of these is right. *Hardening*: what is empty, tied, extreme, NaN
    or refused; it is asked for once the idea is right.

    The answer always gets deep copies of `args` and `kwargs`, and may not change them.
    Before each call the global generators of torch, numpy and `random` are seeded.

    Args:
        name: what is special about this input, as the reader is told it.
        args: the positional arguments, a tuple.
        kwargs: the keyword arguments.
        expected: a tensor, array, number, bool, string or None, or a tuple, list or
            dict of them. Shape, dtype and device must agree too.
        raises: instead of `expected`, the exception (or a tuple of several) due.
        hardening: whether the case hardens an answer that has the idea; by default,
            whether it `raises`.
        gradients: the gradients of the result with respect to each floating tensor
            among the arguments, in order; None skips one. A result that is not a
            single number is first weighted with `gradients.cotangent_like` and
            summed, so that mistakes of opposite sign do not cancel.
        rtol: relative tolerance; by default chosen by dtype.
        atol: absolute tolerance; by default chosen by the dtype and the largest value
            that is expected. Where right values are tiny, give 0.
        same_dtype: whether the result must have the dtype of `expected`.
        call: `call(answer, *args, **kwargs)` returns what is compared: for an answer
            that is a class, or whose work shows elsewhere than in its result.

    Raises:
        ValueError: the case says nothing, or says two things, or is malformed.
    """

    name: str
    args: tuple = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    _: KW_ONLY
    expected: Any = NOT_GIVEN
    raises: type[BaseException] | tuple[type[BaseException], ...] | None = None
    hardening: bool | None = None
    gradients: tuple[Tensor | None, ...] | None = None
    rtol: float | None = None
    atol: float | None = None
    same_dtype: bool = True
    call: Callable[..., Any] | None = None

    def __post_init__(self):
        for fault in _faults_of_case(self):
            raise ValueError(f"case {self.name!r}: {fault}")
        if self.hardening is None:
            object.__setattr__(self, "hardening", self.raises is not None)

    @classmethod
    def from_reference(
        cls,
        name: str,
        reference: Callable[..., Any],
        /,
        *args: Any,
        gradient: bool = False,
        hardening: bool = False,
        rtol: float | None = None,
        atol: float | None = None,
        same_dtype: bool = True,
        call: Callable[..., Any] | None = None,
        **kwargs: Any,
    ) -> "Case":
        """A case whose expected values an independent reference computes.

        Args:
            name: what is special about this input.
            reference: called as `reference(*args, **kwargs)`, on copies; it should
                not be the exercise's own solution.
            *args: the positional arguments.
            gradient: whether the reference's gradients are expected too.
            hardening: as for `Case`.
            rtol: as for `Case`.
            atol: as for `Case`.
            same_dtype: as for `Case`.
            call: as for `Case`; the reference is called without it.
            **kwargs: the keyword arguments.

        Returns:
            The case.
        """
        own_args, own_kwargs, leaves = copy_inputs(args, kwargs, gradient=gradient)
        with seeded_and_restored():
            result = reference(*own_args, **own_kwargs)
            gradients = gradients_of(result, leaves) if gradient else None
        return cls(
            name,
            args,
            kwargs,
            expected=detached(result),
            hardening=hardening,
            gradients=gradients,
            rtol=rtol,
            atol=atol,
            same_dtype=same_dtype,
            call=call,
        )


@dataclass(frozen=True)
class Mistake:
    """A known wrong answer, and the hint that whoever makes it needs.

    Args:
        hint: one or two sentences to the reader; `code` in backticks.
        answer: the wrong answer, in the exercise's own signature.
    """

    hint: str
    answer: Callable[..., Any]


@dataclass(frozen=True)
class Exercise:
    """A function the reader writes, and all it takes to judge it.

    Args:
        name: the function's name, or "chapter.name".
        solution: the right answer, which `reveal` shows.
        cases: called anew for each grading; each case's name is its own.
        mistakes: known wrong answers.
        hints: at least two, from vague to plain; `hint` gives them one at a time.
        time_limit: seconds for all cases together.

    Raises:
        ValueError: a field is not as said above.
    """

    name: str
    solution: Callable[..., Any]
    cases: Callable[[], Iterable[Case]]
    mistakes: tuple[Mistake, ...] = ()
    hints: tuple[str, ...] = ()
    time_limit: float = 10.0

    def __post_init__(self):
        for fault in _faults_of_exercise(self):
            raise ValueError(f"exercise {self.name!r}: {fault}")

    def list_cases(self) -> list[Case]:
        """The cases, made anew: first those of the idea, then those that harden it.

        Returns:
            At least one.

        Raises:
            ValueError: there is none, or two share a name.
        """
        cases = list(self.cases())
        names = [case.name for case in cases]
        if not names:
            raise ValueError(f"exercise {self.name!r}: has no cases")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"exercise {self.name!r}: cases share a name: {twice}")
        return sorted(cases, key=lambda case: bool(case.hardening))


def _faults_of_case(case: Case) -> Iterable[str]:
    if not isinstance(case.name, str) or not case.name.strip():
        yield "needs a name that tells the reader what is special about it"
    if not isinstance(case.args, tuple):
        yield f"args must be a tuple, as in (x,), not a {type(case.args).__name__}"
    if not isinstance(case.kwargs, Mapping):
        yield f"kwargs must be a dict, not a {type(case.kwargs).__name__}"
    if (case.expected is NOT_GIVEN) == (case.raises is None):
        yield "needs either expected or raises, and not both"
    if case.raises is None and not is_comparable(case.expected):
        yield f"expected holds what cannot be compared: {case.expected!r}"
    if case.gradients is not None:
        yield from _faults_of_gradients(case)


def _faults_of_gradients(case: Case) -> Iterable[str]:
    leaves = copy_inputs(case.args, case.kwargs, gradient=False)[2]
    if case.raises is not None:
        yield "gradients need expected, not raises"
    if not leaves:
        yield "gradients need a floating tensor among the arguments"
    if len(case.gradients) != len(leaves):
        given = len(case.gradients)
        yield f"{given} gradients for {len(leaves)} floating tensors in the arguments"


def _faults_of_exercise(exercise: Exercise) -> Iterable[str]:
    parts = str(exercise.name).split(".")
    if len(parts) > 2 or not all(part.isidentifier() for part in parts):
        yield "the name must be a function's name, or chapter.name"
    if not callable(exercise.solution):
        yield "the solution must be a function or a class"
    if not callable(exercise.cases):
        yield "cases must be a function that returns the cases"
    if isinstance(exercise.hints, str) or len(exercise.hints) < 2:
        yield "needs at least two hints"
    if not all(isinstance(mistake, Mistake) for mistake in exercise.mistakes):
        yield "mistakes must be a tuple of Mistake"
    if not exercise.time_limit > 0:
        yield f"the time limit must be positive, not {exercise.time_limit}"
