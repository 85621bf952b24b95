"""An answer on all cases of an exercise."""

from collections.abc import Iterator
from typing import Any

from lesson_utils.grading.attempt import Attempt, arguments_of, attempt
from lesson_utils.grading.exercise import Case, Exercise
from lesson_utils.grading.explain import hints_for
from lesson_utils.grading.judge import Record, expected_text, judge, signature_fault
from lesson_utils.grading.outcome import Failure, Outcome
from lesson_utils.grading.show import show_arguments
from lesson_utils.grading.state import seeded_and_restored

_MOST_WARNINGS = 3


def grade_exercise(name: str, exercise: Exercise, answer: Any) -> Outcome:
    """Run an answer on every case, and explain those that it fails.

    Args:
        name: what to call the exercise.
        exercise: the exercise.
        answer: what the reader wrote: usually, but not surely, a function.

    Returns:
        What became of it.
    """
    with seeded_and_restored():
        cases = exercise.list_cases()
    hardening = sum(bool(case.hardening) for case in cases)
    records = list(_run(exercise, cases, answer))
    attempts = [record.attempt for record in records if record.attempt]
    first = attempts[0].run.raised if attempts else None
    if first and first.stub:
        return Outcome(name, len(cases), attempted=False, hardening=hardening)
    failed = [record for record in records if record.fault]
    failures = [
        _failure(record, exercise, hint)
        for record, hint in zip(failed, hints_for(exercise, records), strict=True)
    ]
    notes = list(_notes(attempts, len(cases) - len(records), len(cases)))
    return Outcome(name, len(cases), True, failures, notes, hardening)


def _run(exercise: Exercise, cases: list[Case], answer: Any) -> Iterator[Record]:
    """Case after case, until the time is over."""
    left = exercise.time_limit
    for case in cases:
        if fault := signature_fault(answer, case, exercise.solution):
            yield Record(case, None, fault)
            continue
        tried = attempt(answer, case, exercise.solution, left)
        yield Record(case, tried, judge(tried))
        left -= tried.run.seconds
        if tried.run.timed_out:
            return


def _failure(record: Record, exercise: Exercise, hint: str) -> Failure:
    case, fault = record.case, record.fault
    return Failure(
        case=case.name,
        given=show_arguments(arguments_of(case, exercise.solution)),
        expected=fault.expected or expected_text(case),
        got=fault.got,
        problem=fault.problem,
        hint=hint,
        hardening=bool(case.hardening),
    )


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
