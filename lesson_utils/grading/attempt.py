"""One answer on one case: run it, and see whether two answers do the same."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lesson_utils.grading.compare import compare, is_comparable
from lesson_utils.grading.exercise import Case
from lesson_utils.grading.gradients import copy_inputs, detached, gradients_of
from lesson_utils.grading.sandbox import Run, run_guarded
from lesson_utils.grading.show import name_arguments
from lesson_utils.grading.tensors import Rules

_EXACT = Rules(rtol=0.0, atol=0.0)
NOTHING: Any = object()  # an answer that was never called returned nothing


@dataclass(frozen=True, eq=False)
class Attempt:
    """An answer's run on a case.

    Args:
        case: the case.
        arguments: its arguments by name, as they were before the call.
        run: what the call did.
        value: what it returned, cut from the graph.
        gradients: with respect to the floating arguments, if the case asks for them.
        changed: the names of the arguments that the call changed in place.
        returned: where the case has a `call` of its own, what the answer gave back to
            it the last time, or `NOTHING`.
    """

    case: Case
    arguments: Mapping[str, Any]
    run: Run
    value: Any
    gradients: tuple
    changed: tuple[str, ...]
    returned: Any = NOTHING

    @property
    def rules(self) -> Rules:
        """How exactly the case wants its values."""
        return Rules(self.case.rtol, self.case.atol, self.case.same_dtype)


def attempt(
    answer: Callable[..., Any],
    case: Case,
    solution: Callable[..., Any],
    seconds: float,
) -> Attempt:
    """Run an answer on copies of a case's input, under guard.

    Args:
        answer: the reader's, or a mistake's.
        case: the case.
        solution: whose parameters name the arguments.
        seconds: the time limit.

    Returns:
        What happened.
    """
    wanted = case.gradients is not None
    args, kwargs, leaves = copy_inputs(case.args, case.kwargs, gradient=wanted)
    returned = [NOTHING]

    def recorded(*args: Any, **kwargs: Any) -> Any:
        returned[0] = NOTHING
        returned[0] = answer(*args, **kwargs)
        return returned[0]

    def work() -> tuple[Any, tuple]:
        if case.call:
            result = case.call(recorded, *args, **kwargs)
        else:
            result = answer(*args, **kwargs)
        return detached(result), gradients_of(result, leaves) if wanted else ()

    run = run_guarded(work, seconds)
    value, gradients = run.value if run.value is not None else (None, ())
    before = arguments_of(case, solution)
    after = (*args, *kwargs.values())
    changed = tuple(
        name
        for (name, old), new in zip(before.items(), after, strict=True)
        if is_comparable(old) and compare(old, new, _EXACT)
    )
    return Attempt(case, before, run, value, gradients, changed, returned[0])


def arguments_of(case: Case, solution: Callable[..., Any]) -> dict[str, Any]:
    """A case's arguments by name.

    Args:
        case: the case.
        solution: whose parameters name them, unless the case has a `call` of its own.

    Returns:
        Every argument, in order.
    """
    if case.call:
        return name_arguments(case.call, case.args, case.kwargs, skip=1)
    return name_arguments(solution, case.args, case.kwargs)


def agree(left: Attempt, right: Attempt) -> bool:
    """Whether two answers did the same on a case.

    Args:
        left: one.
        right: the other, on the same case.

    Returns:
        True if both were stopped, raised the same exception, or came to the same
        result and gradients and changed the same arguments.
    """
    ends = [
        (a.run.timed_out, a.run.raised and a.run.raised.type) for a in (left, right)
    ]
    if ends[0] != ends[1] or left.changed != right.changed:
        return False
    if left.run.timed_out or left.run.raised:
        return True
    pairs = zip(
        (left.value, *left.gradients), (right.value, *right.gradients), strict=True
    )
    return all(compare(one, other, left.rules) is None for one, other in pairs)
