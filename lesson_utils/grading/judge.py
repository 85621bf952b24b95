"""What is wrong with an answer's run on a case."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import GeneratorType
from typing import Any

from torch import Tensor

from lesson_utils.grading.attempt import NOTHING, Attempt
from lesson_utils.grading.clues import exception_clue, type_clue
from lesson_utils.grading.compare import compare
from lesson_utils.grading.exercise import Case
from lesson_utils.grading.sandbox import Raised
from lesson_utils.grading.show import brief
from lesson_utils.grading.tensors import Difference

_NO_GRADIENT = (
    "No gradient arrives. `.item()`, `.detach()`, `torch.tensor(x)`, NumPy and "
    "comparisons cut the graph."
)


@dataclass(frozen=True)
class Fault:
    """What is wrong.

    Args:
        problem: what, in one line.
        got: what came, as text.
        hint: what it may come from; may be empty.
        expected: what was due, as text, where it is not simply the case's.
    """

    problem: str
    got: str
    hint: str = ""
    expected: str = ""


@dataclass(frozen=True)
class Record:
    """A case, and what became of it.

    Args:
        case: the case.
        attempt: an answer's run on it; None if the answer could not be called.
        fault: what is wrong; None if nothing is.
    """

    case: Case
    attempt: Attempt | None
    fault: Fault | None


def signature_fault(
    answer: Any, case: Case, solution: Callable[..., Any]
) -> Fault | None:
    """Whether the answer cannot even be called as the case calls it.

    Args:
        answer: the reader's.
        case: the case.
        solution: whose parameters are the right ones.

    Returns:
        None if it can, or if there is no telling before the call.
    """
    due = f"{_name(solution)}{_signature(solution) or '(…)'}"
    if not callable(answer):
        return Fault(
            "the answer is not a function",
            brief(answer),
            "Give `check` the function itself, without calling it.",
            due,
        )
    signature = _signature(answer)
    if case.call or signature is None:
        return None
    try:
        signature.bind(*case.args, **case.kwargs)
    except TypeError as error:
        return Fault(
            f"it cannot be called as it should: {error}",
            f"{_name(answer)}{signature}",
            f"It should be callable as `{due}`.",
            due,
        )
    return None


def judge(attempt: Attempt) -> Fault | None:
    """The first thing that is wrong with an attempt.

    Args:
        attempt: an answer's run on a case.

    Returns:
        None if nothing is.
    """
    case, run = attempt.case, attempt.run
    if run.timed_out:
        return Fault(
            "it did not come to an end",
            f"no result, stopped after {run.seconds:.1f} s",
            "Is there a loop whose condition never becomes false, or a very slow one?",
        )
    if run.raised:
        due = case.raises is not None and issubclass(run.raised.type, case.raises)
        return None if due else _raised_fault(attempt)
    if case.raises is not None:
        return Fault("it raised nothing", brief(attempt.value))
    return _value_fault(attempt) or _gradient_fault(attempt) or _changed_fault(attempt)


def expected_text(case: Case) -> str:
    """What a case expects, as text.

    Args:
        case: the case.

    Returns:
        The value, or the exception that is due.
    """
    return f"raises {kinds_text(case)}" if case.raises else brief(case.expected)


def kinds_text(case: Case) -> str:
    """The exceptions that a case expects, as text.

    Args:
        case: a case that expects one.

    Returns:
        Such as "ValueError or IndexError".
    """
    kinds = case.raises if isinstance(case.raises, tuple) else (case.raises,)
    return " or ".join(kind.__name__ for kind in kinds)


def _raised_fault(attempt: Attempt) -> Fault:
    raised: Raised = attempt.run.raised
    back = attempt.returned
    own_code_runs = callable(back) or isinstance(back, GeneratorType)
    if back is not NOTHING and not (own_code_runs and raised.line[0]):
        # The answer came to its end; it is the check that could do nothing with it.
        return Fault(
            f"what came back is of no use here: {raised.text.splitlines()[0]}",
            brief(back),
            # What was due of the answer itself is known to the case's call alone.
            type_clue(NOTHING, back) if back is None else "",
        )
    number, source = raised.line
    place = f"\nline {number}: {source}".rstrip(": ") if number else ""
    # torch raises NotImplementedError too: nothing of the reader's is left open then.
    foreign = issubclass(raised.type, NotImplementedError) and not raised.stub
    hint = "" if foreign else exception_clue(raised.type, raised.text)
    return Fault(f"it raised {raised.type.__name__}", raised.text + place, hint)


def _value_fault(attempt: Attempt) -> Fault | None:
    try:
        difference = compare(attempt.case.expected, attempt.value, attempt.rules)
    except Exception as error:  # what comes back may be an object of any behavior
        difference = Difference(f"the result cannot be compared: {error}")
    if difference is None:
        return None
    text = difference.text
    if attempt.changed:
        text += f"; besides, {' and '.join(attempt.changed)} changed in place"
    return Fault(text, brief(attempt.value), difference.hint)


def _gradient_fault(attempt: Attempt) -> Fault | None:
    names = [
        name
        for name, value in attempt.arguments.items()
        if isinstance(value, Tensor) and value.is_floating_point()
    ]
    due = attempt.case.gradients or ()
    for name, expected, got in zip(names, due, attempt.gradients, strict=False):
        difference = expected is not None and compare(expected, got, attempt.rules)
        if difference:
            lost = bool(expected.any()) and not got.any()
            return Fault(
                f"the gradient with respect to {name}: {difference.text}",
                f"gradient {brief(got)}",
                _NO_GRADIENT if lost else difference.hint,
                f"gradient {brief(expected)}",
            )
    return None


def _changed_fault(attempt: Attempt) -> Fault | None:
    if not attempt.changed:
        return None
    names = " and ".join(attempt.changed)
    return Fault(
        f"the result is right, but {names} changed in place",
        brief(attempt.value),
        f"Whoever calls your function still needs {names}: work on a copy (`clone`), "
        "or use operations that make new tensors.",
        f"{brief(attempt.case.expected)}\nand {names} as before",
    )


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some functions of compiled code hide theirs
        return None


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)
