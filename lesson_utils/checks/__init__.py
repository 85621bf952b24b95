"""Exercises that answer back: `check` yours, ask for a `hint`, `reveal` the solution.

    from lesson_utils.checks import check

    check("masked_mean", masked_mean)

An exercise may be named by its function or, in full, by "chapter.function". A chapter's
checks are imported when one of its names is first looked up.
"""

import inspect
from collections import Counter
from collections.abc import Callable
from typing import Any

from lesson_utils.grading.exercise import Exercise
from lesson_utils.grading.grade import grade_exercise
from lesson_utils.grading.outcome import Outcome
from lesson_utils.grading.registry import find
from lesson_utils.grading.render import outcome_html, outcome_record, outcome_text, show

_hints_given: Counter[str] = Counter()


def check(exercise: str | Exercise, answer: Callable[..., Any]) -> None:
    """Try an answer, and show whether it is right and, if not, where it goes wrong.

    Of a right answer it says so first, and then what is left to harden: empty input,
    extreme values, arguments that are to be refused.

    Args:
        exercise: the exercise's name.
        answer: your function itself, not what it returns.

    Raises:
        ValueError: no exercise, or more than one, has this name.
    """
    outcome = grade(exercise, answer)
    show(
        text=outcome_text(outcome),
        html=outcome_html(outcome),
        record=outcome_record(outcome),
    )


def grade(exercise: str | Exercise, answer: Callable[..., Any]) -> Outcome:
    """Try an answer, and return what became of it; for teachers and tests.

    Args:
        exercise: the exercise's name, or an exercise that no chapter lists.
        answer: the function.

    Returns:
        The outcome: `attempted`, `correct` (every case of the idea passes), `passed`
        (every case does), `failures`, `cases`, `hardening`, `notes`.

    Raises:
        ValueError: no exercise, or more than one, has this name.
    """
    name, exercise = _resolve(exercise)
    return grade_exercise(name, exercise, answer)


def hint(exercise: str | Exercise) -> None:
    """Show the next hint; after the last one, say so.

    Args:
        exercise: the exercise's name.

    Raises:
        ValueError: no exercise, or more than one, has this name.
    """
    name, exercise = _resolve(exercise)
    number, total = _hints_given[name] + 1, len(exercise.hints)
    if number > total:
        text = (
            f'That was the last of {total} hints. `reveal("{name}")` shows a solution.'
        )
        show(text=text, markdown=text)
        return
    _hints_given[name] = number
    title, text = f"Hint {number} of {total}.", exercise.hints[number - 1]
    show(text=f"{title} {text}", markdown=f"**{title}** {text}")


def reveal(exercise: str | Exercise) -> None:
    """Show the source of the solution.

    Args:
        exercise: the exercise's name.

    Raises:
        ValueError: no exercise, or more than one, has this name.
    """
    source = inspect.getsource(_resolve(exercise)[1].solution).rstrip()
    show(text=source, markdown=f"```python\n{source}\n```")


def _resolve(exercise: str | Exercise) -> tuple[str, Exercise]:
    if isinstance(exercise, Exercise):
        return exercise.name, exercise
    return find(exercise)
