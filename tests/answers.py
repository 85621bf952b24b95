"""The tests that every chapter's exercises take, given right and wrong answers."""

from types import ModuleType

import pytest
import torch

from lesson_utils.checks import grade
from lesson_utils.grading.attempt import attempt
from lesson_utils.grading.judge import judge
from tests.mutations import mutants


class ExerciseTests:
    """Inherit from it in a chapter's tests, and say what it is to try.

    Attributes:
        checks: the chapter's module of checks.
        right: for each exercise, a right answer in another way than the solution's.
        plain: for each, another one that looks at no bad input: right all the same.
        library: for each, a library's function in the exercise's signature; or why
            there is none, in a sentence.
        wrong: for each, wrong answers as readers write them, with words of the hint
            that each earns.
    """

    checks: ModuleType
    right: dict
    plain: dict
    library: dict
    wrong: dict

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test an exercise, and one a wrong answer."""
        if "exercise" in metafunc.fixturenames:
            exercises = self.checks.EXERCISES
            metafunc.parametrize("exercise", exercises, ids=[e.name for e in exercises])
        elif "words" in metafunc.fixturenames:
            cases = [(name, *case) for name in self.wrong for case in self.wrong[name]]
            ids = [f"{name}: {words}" for name, _, words in cases]
            metafunc.parametrize(("name", "answer", "words"), cases, ids=ids)

    def test_every_exercise_is_tried(self):
        names = {exercise.name for exercise in self.checks.EXERCISES}
        for answers in (self.right, self.plain, self.library, self.wrong):
            assert names == set(answers)

    def test_the_idea_and_its_hardening_are_told_apart(self, exercise):
        kinds = [case.hardening for case in exercise.list_cases()]
        assert kinds.count(False) >= 2
        assert len({case.name for case in exercise.list_cases()}) == len(kinds)

    def test_right_answers_pass(self, exercise):
        for answer in (exercise.solution, self.right[exercise.name]):
            outcome = grade(exercise.name, answer)
            assert outcome.passed, outcome.failures

    def test_right_answers_that_refuse_nothing_are_correct(self, exercise):
        for answer in (self.plain[exercise.name], self.library[exercise.name]):
            if isinstance(answer, str):
                continue
            outcome = grade(exercise.name, answer)
            assert outcome.correct, outcome.failures

    def test_wrong_answers_get_the_fitting_hint(self, name, answer, words):
        outcome = grade(name, answer)
        assert outcome.attempted
        assert not outcome.passed
        assert any(words in hint for hint in shown_hints(outcome)), outcome.failures

    def test_each_known_mistake_earns_its_own_hint(self, exercise):
        for mistake in exercise.mistakes:
            outcome = grade(exercise.name, mistake.answer)
            assert not outcome.passed
            assert mistake.hint in shown_hints(outcome)

    def test_mistakes_of_other_kinds_are_refused_without_a_false_hint(self, exercise):
        for mutation, answer in mutants(exercise.solution):
            if behaves_like(exercise, answer, exercise.solution):
                continue  # such as the gradient of what has none
            outcome = grade(exercise.name, answer)
            assert not outcome.correct, mutation.name
            hint = outcome.failures[0].hint
            if not hint or any(words in hint for words in mutation.true):
                continue
            known = [m.answer for m in exercise.mistakes if m.hint == hint]
            fits = any(goes_wrong_like(exercise, answer, other) for other in known)
            assert fits, f"{mutation.name}: {hint}"


def shown_hints(outcome) -> list[str]:
    """The hints that a reader is shown: of the first failure, or all that is left."""
    hints = [failure.hint for failure in outcome.failures]
    return hints if outcome.correct else hints[:1]


def behaves_like(exercise, answer, other) -> bool:
    """Whether two answers do the same on every case of the idea."""
    return all(
        same_run(_try(exercise, answer, case), _try(exercise, other, case))
        for case in exercise.list_cases()
        if not case.hardening
    )


def goes_wrong_like(exercise, answer, mistake) -> bool:
    """Whether an answer does what a mistake does, wherever that goes wrong."""
    wrong = []
    for case in exercise.list_cases():
        theirs = _try(exercise, mistake, case)
        if not case.hardening and judge(theirs):
            wrong.append(same_run(_try(exercise, answer, case), theirs, 5e-3))
    return bool(wrong) and all(wrong)


def _try(exercise, answer, case):
    return attempt(answer, case, exercise.solution, exercise.time_limit)


def same_run(left, right, tolerance=1e-5) -> bool:
    """Whether two attempts raised the same, or came to the same results."""
    if left.run.raised or right.run.raised:
        kinds = [a.run.raised and a.run.raised.type for a in (left, right)]
        return kinds[0] == kinds[1]
    if len(left.gradients) != len(right.gradients):
        return False
    try:
        torch.testing.assert_close(
            (left.value, *left.gradients),
            (right.value, *right.gradients),
            rtol=tolerance,
            atol=tolerance,
            equal_nan=True,
        )
    except (AssertionError, TypeError, ValueError):
        try:
            return bool(left.value == right.value)
        except (RuntimeError, TypeError, ValueError):  # of tensors inside
            return False
    return True
