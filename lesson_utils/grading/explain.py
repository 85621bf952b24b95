"""Hints for the cases that an answer fails: the right ones, or none.

A known mistake explains an answer only if the answer does the same on *every* case on
which the mistake goes wrong: a mistake is not read from one case alone. Where none
fits, what can be observed of the results is said instead, if it holds of all of them.
"""

from collections.abc import Iterable

from lesson_utils.grading.attempt import Attempt, agree, attempt
from lesson_utils.grading.clues import common_clue
from lesson_utils.grading.compare import differing_pairs
from lesson_utils.grading.exercise import Exercise, Mistake
from lesson_utils.grading.judge import Record, judge, kinds_text


def hints_for(exercise: Exercise, records: list[Record]) -> list[str]:
    """A hint for each case that an answer fails.

    Args:
        exercise: the exercise.
        records: the answer on its cases, those of the idea first.

    Returns:
        One text for each record with a fault, in order; empty where nothing is sure.
    """
    failed = [record for record in records if record.fault]
    idea = [record for record in failed if not record.case.hardening]
    if not failed or not all(record.attempt for record in failed):
        return [record.fault.hint for record in failed]
    if not idea:
        omissions = _explanations(exercise, records, hardening=True)
        return [omissions.get(r.case.name) or _general_hint(r) for r in failed]
    hint = _explanations(exercise, records, hardening=False).get(idea[0].case.name)
    if not hint:
        try:
            hint = _observation(idea)
        except Exception:  # what comes back may be an object of any behavior
            hint = idea[0].fault.hint
    return [hint if record is idea[0] else record.fault.hint for record in failed]


class _Rival:
    """A known mistake, tried case by case as far as its time goes.

    All mistakes together may take as long as the answer itself, one of them at most
    half of that: one that never ends must not keep the others from being tried.
    """

    def __init__(self, exercise: Exercise, mistake: Mistake, seconds: float) -> None:
        self.hint = mistake.hint
        self.spent = 0.0
        self._exercise, self._mistake, self._seconds = exercise, mistake, seconds
        self._tried: dict[str, Record] = {}

    def like(self, theirs: Record) -> bool:
        """Whether the mistake and the answer both pass, or fail in the same way."""
        its = self.on(theirs)
        if its.fault is None or theirs.fault is None:
            return its.fault is theirs.fault
        return agree(its.attempt, theirs.attempt)

    def on(self, theirs: Record) -> Record:
        """The mistake on the case of a record."""
        if (case := theirs.case).name not in self._tried:
            left = self._seconds - self.spent
            its = attempt(self._mistake.answer, case, self._exercise.solution, left)
            self.spent += its.run.seconds
            self._tried[case.name] = Record(case, its, judge(its))
        return self._tried[case.name]


def _rivals(exercise: Exercise) -> Iterable[_Rival]:
    left = exercise.time_limit
    for mistake in exercise.mistakes:
        rival = _Rival(exercise, mistake, min(left, exercise.time_limit / 2))
        yield rival
        left -= rival.spent


def _explanations(
    exercise: Exercise, records: list[Record], hardening: bool
) -> dict[str, str]:
    """Hints by the name of the failed case, of the idea or of what hardens it.

    A mistake explains an answer if the answer does the same wherever the mistake
    fails, and so passes nowhere where the mistake does not. The answer may fail in more
    places: it may have a second mistake. Of several, the one that explains most.
    """
    asked = [r for r in records if r.attempt and bool(r.case.hardening) == hardening]
    failed = [record for record in asked if record.fault]
    found: dict[str, tuple[tuple[int, int], str]] = {}
    for rival in _rivals(exercise):
        if not any(map(rival.like, failed if hardening else failed[:1])):
            continue
        # One that lacks the idea says nothing of an answer that has it.
        relevant = records if hardening else asked
        missed = [record for record in relevant if rival.on(record).fault]
        if not all(record.fault and rival.like(record) for record in missed):
            continue
        if not hardening and 2 * len(missed) <= len(failed):
            continue  # too little of what is wrong
        rest = [r for r in records if r.case.hardening and r.attempt]
        strength = len(missed), sum(map(rival.like, rest))
        for record in missed:
            if strength > found.get(record.case.name, ((0, -1), ""))[0]:
                found[record.case.name] = strength, rival.hint
    return {name: hint for name, (_, hint) in found.items()}


def _general_hint(record: Record) -> str:
    """What an answer that has the idea lacks on a case that hardens it."""
    if record.case.raises is None or record.fault.hint:
        return record.fault.hint
    kinds = kinds_text(record.case)
    return f"Look for this before you compute anything, and raise `{kinds}` yourself."


def _observation(idea: list[Record]) -> str:
    """What holds of the results in all of the cases of the idea that fail."""
    first = idea[0]
    if not all(_has_value(record.attempt) for record in idea):
        return first.fault.hint
    wrong = [(record, differing_pairs(*_values(record.attempt))) for record in idea]
    wrong = [(record, pairs) for record, pairs in wrong if pairs]
    # A first case whose type, shape or gradient is wrong says so itself.
    if not wrong or wrong[0][0] is not first:
        return first.fault.hint
    due, came = wrong[0][1][0]
    if not came.isfinite().all() and due.isfinite().all():
        return first.fault.hint  # where NaN and infinity come from, whatever else is
    return common_clue([(pairs, record.attempt.arguments) for record, pairs in wrong])


def _has_value(tried: Attempt) -> bool:
    return not (tried.run.raised or tried.run.timed_out)


def _values(tried: Attempt) -> tuple:
    return tried.case.expected, tried.value, tried.rules
