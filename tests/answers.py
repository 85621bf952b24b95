"""The tests that every chapter's exercises take, given right and wrong answers."""

from types import ModuleType

import pytest

from lesson_utils.checks import grade


class ExerciseTests:
    """Inherit from it in a chapter's tests, and say what it is to try.

    Attributes:
        checks: the chapter's module of checks.
        right: for each exercise, a right answer in another way than the solution's.
        wrong: for each, wrong answers as readers write them, with words of the hint
            that each earns.
    """

    checks: ModuleType
    right: dict
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
        assert names == set(self.right) == set(self.wrong)

    def test_right_answers_pass(self, exercise):
        for answer in (exercise.solution, self.right[exercise.name]):
            outcome = grade(exercise.name, answer)
            assert outcome.passed, outcome.failures

    def test_wrong_answers_get_the_fitting_hint(self, name, answer, words):
        outcome = grade(name, answer)
        assert outcome.attempted
        assert not outcome.passed
        assert words in outcome.failures[0].hint

    def test_each_known_mistake_earns_its_own_hint(self, exercise):
        for mistake in exercise.mistakes:
            outcome = grade(exercise.name, mistake.answer)
            assert not outcome.passed
            assert outcome.failures[0].hint == mistake.hint
