"""Finding exercises: every module of `lesson_utils.checks` lists its own."""

import difflib
import importlib
import os
import pkgutil
from pathlib import Path

from lesson_utils.grading.exercise import Exercise

CHECKS = "lesson_utils.checks"  # by name: the engine lies below what it judges


def chapters() -> list[str]:
    """The chapters that have checks; none is imported to find out.

    Returns:
        The stems, sorted.
    """
    package = importlib.import_module(CHECKS)
    names = (module.name for module in pkgutil.iter_modules(package.__path__))
    return sorted(name for name in names if not name.startswith("_"))


def exercises_of(chapter: str) -> dict[str, Exercise]:
    """A chapter's exercises. Imports the chapter's checks.

    Args:
        chapter: its stem.

    Returns:
        Exercises by full name, "chapter.function", in the chapter's order.

    Raises:
        ValueError: the chapter's module does not list its exercises as it should.
    """
    module = importlib.import_module(f"{CHECKS}.{chapter}")
    found: dict[str, Exercise] = {}
    for exercise in getattr(module, "EXERCISES", ()):
        prefix, _, function = exercise.name.rpartition(".")
        full = f"{chapter}.{function}"
        if prefix not in ("", chapter):
            raise ValueError(f"exercise {exercise.name!r} belongs to chapter {chapter}")
        if full in found:
            raise ValueError(f"two exercises are named {full}")
        found[full] = exercise
    if not found:
        raise ValueError(
            f"{module.__name__} must define EXERCISES, a tuple of Exercise"
        )
    return found


def all_exercises() -> dict[str, Exercise]:
    """Every exercise of the book. Imports every chapter's checks.

    Returns:
        Exercises by full name, chapter after chapter.
    """
    found: dict[str, Exercise] = {}
    for chapter in chapters():
        found |= exercises_of(chapter)
    return found


def find(name: str) -> tuple[str, Exercise]:
    """The exercise of a name.

    Args:
        name: "function", or "chapter.function", which imports that chapter only. So
            does "function" in a chapter's notebook: Jupyter says which one runs.

    Returns:
        The full name, and the exercise.

    Raises:
        ValueError: there is none, or there are several.
    """
    if not isinstance(name, str):
        kind = type(name).__name__
        raise ValueError(f"the exercise's name comes first, as a string, not a {kind}")
    chapter = name.rpartition(".")[0]
    if chapter in chapters() and name in (found := exercises_of(chapter)):
        return name, found[name]
    # In a notebook its own chapter comes first, and no other's checks are imported.
    own = Path(os.environ.get("JPY_SESSION_NAME", "")).stem
    if own in chapters() and (full := f"{own}.{name}") in (found := exercises_of(own)):
        return full, found[full]
    known = all_exercises()
    matches = [full for full in known if full.rpartition(".")[2] == name]
    if len(matches) > 1:
        raise ValueError(f"{name!r} is in several chapters: {' or '.join(matches)}?")
    if not matches:
        raise ValueError(f"no exercise is named {name!r}; {_nearest(name, known)}")
    return matches[0], known[matches[0]]


def _nearest(name: str, known: dict[str, Exercise]) -> str:
    names = [*(full.rpartition(".")[2] for full in known), *known]
    close = list(dict.fromkeys(difflib.get_close_matches(name, names)))
    if close:
        return f"did you mean {' or '.join(close)}?"
    return f"`python -m {CHECKS}` lists them all"
