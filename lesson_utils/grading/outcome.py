"""What became of an answer."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Failure:
    """A case that an answer fails, told in text.

    Args:
        case: the case's name.
        given: its input, one argument a line.
        expected: what was due.
        got: what came back.
        problem: what is wrong with it, in one line.
        hint: what it may come from; may be empty.
        hardening: whether the case hardens what is right already.
    """

    case: str
    given: str
    expected: str
    got: str
    problem: str
    hint: str
    hardening: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of an answer.

    Args:
        name: the exercise's name, with its chapter if it belongs to one.
        cases: how many cases the exercise has.
        attempted: False if the answer is still the stub.
        failures: the cases that fail, those of the idea first; those after a time
            limit are not run.
        notes: what is worth saying beside right and wrong.
        hardening: how many of the cases harden an answer that has the idea.
    """

    name: str
    cases: int
    attempted: bool = True
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hardening: int = 0

    @property
    def correct(self) -> bool:
        """Whether the answer was attempted and every case of the idea passes."""
        return self.attempted and all(failure.hardening for failure in self.failures)

    @property
    def passed(self) -> bool:
        """Whether the answer was attempted and every case passes."""
        return self.attempted and not self.failures

    @property
    def state(self) -> str:
        """One of "right", "right, not hardened", "wrong" and "not attempted"."""
        if not self.attempted:
            return "not attempted"
        if not self.correct:
            return "wrong"
        return "right" if self.passed else "right, not hardened"
