"""An answer on all cases of an exercise."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from lesson_utils.grading.attempt import Attempt, agree, arguments_of, attempt
from lesson_utils.grading.exercise import Case, Exercise, Mistake
from lesson_utils.grading.judge import Fault, expected_text, judge, signature_fault
from lesson_utils.grading.outcome import Failure, Outcome
from lesson_utils.grading.show import show_arguments
from lesson_utils.grading.state import seeded_and_restored

_MOST_WARNINGS = 3


@dataclass(frozen=True)
class _Record:
    """A case, the answer's attempt at it if it could be called, and what is wrong."""

    case: Case
    attempt: Attempt | None
    fault: Fault | None


def grade_exercise(name: str, exercise: Exercise, answer: Any) -> Outcome:
    """Run an answer on every case, and explain the first that it fails.

    Args:
        name: what to call the exercise.
        exercise: the exercise.
        answer: what the reader wrote: usually, but not surely, a function.

    Returns:
        What became of it.
    """
    with seeded_and_restored():
        cases = exercise.list_cases()
    records = list(_run(exercise, cases, answer))
    attempts = [record.attempt for record in records if record.attempt]
    first = attempts[0].run.raised if attempts else None
    if first and first.stub:
        return Outcome(name, len(cases), attempted=False)
    failed = [record for record in records if record.fault]
    failures = [_failure(record, exercise) for record in failed]
    if failed and failed[0].attempt:
        hint = _known_hint(exercise, failed[0].attempt, attempts)
        failures[0] = replace(failures[0], hint=hint or failures[0].hint)
    notes = list(_notes(attempts, len(cases) - len(records), len(cases)))
    return Outcome(name, len(cases), True, failures, notes)


def _run(exercise: Exercise, cases: list[Case], answer: Any) -> Iterator[_Record]:
    """Case after case, until the time is over."""
    left = exercise.time_limit
    for case in cases:
        if fault := signature_fault(answer, case, exercise.solution):
            yield _Record(case, None, fault)
            continue
        tried = attempt(answer, case, exercise.solution, left)
        yield _Record(case, tried, judge(tried))
        left -= tried.run.seconds
        if tried.run.timed_out:
            return


def _failure(record: _Record, exercise: Exercise) -> Failure:
    case, fault = record.case, record.fault
    return Failure(
        case=case.name,
        given=show_arguments(arguments_of(case, exercise.solution)),
        expected=fault.expected or expected_text(case),
        got=fault.got,
        problem=fault.problem,
        hint=fault.hint,
    )


def _known_hint(exercise: Exercise, failed: Attempt, attempts: list[Attempt]) -> str:
    """The hint of the mistake that does as the answer does, on `failed` and mostly.

    All mistakes together may take as long as the answer itself, one of them at most
    half of that: one that never ends must not keep the others from being tried.
    """
    best, best_count, left = "", 0, exercise.time_limit
    for mistake in exercise.mistakes:
        seconds = min(left, exercise.time_limit / 2)
        count, took = _agreements(exercise, mistake, [failed, *attempts], seconds)
        left -= took
        if count > best_count:
            best, best_count = mistake.hint, count
    return best


def _agreements(
    exercise: Exercise, mistake: Mistake, attempts: Iterable[Attempt], seconds: float
) -> tuple[int, float]:
    """On how many attempts a mistake does the same, 0 if not on the first; seconds."""
    count, left = 0, seconds
    for theirs in attempts:
        its = attempt(mistake.answer, theirs.case, exercise.solution, left)
        left -= its.run.seconds
        same = agree(its, theirs)
        if not same and count == 0:
            break
        count += same
    return count, seconds - left


def _notes(attempts: list[Attempt], unrun: int, total: int) -> Iterator[str]:
    printed = [attempt.run.printed for attempt in attempts if attempt.run.printed]
    if printed:
        text = " ".join(printed[0].split())
        text = text if len(text) <= 80 else text[:79] + "…"
        yield f'Your function printed: "{text}"'
    warned = dict.fromkeys(text for a in attempts for text in a.run.warned)
    for text in list(warned)[:_MOST_WARNINGS]:
        yield f"Your function caused a warning: {text}"
    if unrun:
        yield f"Time was up with {unrun} of {total} cases untried."
