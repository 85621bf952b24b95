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
    """

    case: str
    given: str
    expected: str
    got: str
    problem: str
    hint: str


@dataclass(frozen=True)
class Outcome:
    """What became of an answer.

    Args:
        name: the exercise's name, with its chapter if it belongs to one.
        cases: how many cases the exercise has.
        attempted: False if the answer is still the stub.
        failures: the cases that fail, in order; those after a time limit are not run.
        notes: what is worth saying beside right and wrong.
    """

    name: str
    cases: int
    attempted: bool = True
    failures: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the answer was attempted and every case passes."""
        return self.attempted and not self.failures

    @property
    def state(self) -> str:
        """One of "right", "wrong" and "not attempted"."""
        if not self.attempted:
            return "not attempted"
        return "wrong" if self.failures else "right"
