"""Feedback on the page: as a card where there is a notebook, as text elsewhere."""

import re
import sys
from html import escape
from typing import Any

from lesson_utils.grading.outcome import Failure, Outcome

RECORD = "look_closer"  # where an output's metadata tells programs of an outcome

# Without the book's stylesheet too a card must be legible, light and dark: text keeps
# the page's color, and the bar's colors stand 3:1 against white and near-black.
_BARS = {"right": "#2f855a", "wrong": "#d04848", "todo": "#5a7fb0"}
_CARD = (
    "border:1px solid currentColor;border-left:0.4em solid {};border-radius:4px;"
    "padding:0.5em 1em;margin:0.5em 0"
)
_DD = "margin:0 0 0.4em 1em"
_PRE = (
    "margin:0;padding:0;border:0;background:none;color:inherit;white-space:pre-wrap;"
    "overflow-wrap:anywhere"
)


def show(*, text: str, record: dict[str, Any] | None = None, **formats: str) -> None:
    """Display something in the notebook, or print its text where there is none.

    Args:
        text: the plain form.
        record: what the output's metadata tells programs, under `RECORD`.
        **formats: other forms by short name: html, markdown.
    """
    if not _in_notebook():
        print(text)
        return
    from IPython.display import display

    bundle = {f"text/{name}": form for name, form in formats.items()}
    metadata = {RECORD: record} if record else {}
    display({"text/plain": text, **bundle}, raw=True, metadata=metadata)


def outcome_record(outcome: Outcome) -> dict[str, Any]:
    """What a program needs to know of an outcome.

    Args:
        outcome: the outcome.

    Returns:
        The exercise's name and state, whether it is correct and how many cases of each
        kind fail; of the first of those the name and the hint.
    """
    first = outcome.failures[0] if outcome.failures else None
    return {
        "name": outcome.name,
        "state": outcome.state,
        "correct": outcome.correct,
        "failed": sum(not failure.hardening for failure in outcome.failures),
        "to_harden": sum(failure.hardening for failure in outcome.failures),
        "case": first.case if first else None,
        "hint": first.hint if first else None,
    }


def outcome_text(outcome: Outcome) -> str:
    """An outcome as plain text.

    Args:
        outcome: the outcome.

    Returns:
        Some lines.
    """
    lines = [f"{_headline(outcome)} {_summary(outcome)}"]
    for title, text in _facts(outcome):
        # Values stand below each other, to be compared at a glance.
        lines.append(f"  {title + ':':<10}" + text.replace("\n", "\n" + " " * 12))
    for names, problem, expected, hint in _left_to_harden(outcome):
        lines.append(f"  – {names}: {problem} ({expected})")
        lines += [f"    Hint: {hint}"] if hint else []
    return "\n".join([*lines, *outcome.notes])


def outcome_html(outcome: Outcome) -> str:
    """An outcome as a card.

    Args:
        outcome: the outcome.

    Returns:
        HTML in which everything that came from the reader is escaped.
    """
    state = "right" if outcome.correct else "wrong" if outcome.attempted else "todo"
    parts = [f"<p><strong>{_headline(outcome)}</strong> {_rich(_summary(outcome))}</p>"]
    if facts := _facts(outcome):
        rows = (
            f'<dt>{title}</dt><dd style="{_DD}">{_value(title, text)}</dd>'
            for title, text in facts
        )
        parts.append(f"<dl>{''.join(rows)}</dl>")
    if left := _left_to_harden(outcome):
        items = (
            f"<li>{escape(names)}: {_rich(problem)} ({_rich(expected)})"
            + (f"<br>{_rich(hint)}" if hint else "")
            + "</li>"
            for names, problem, expected, hint in left
        )
        parts.append(f"<ul>{''.join(items)}</ul>")
    parts += [f'<p class="lc-check-note">{_rich(note)}</p>' for note in outcome.notes]
    style = _CARD.format(_BARS[state])
    opening = f'<div class="lc-check lc-check-{state}" role="status" style="{style}">'
    return f"{opening}{''.join(parts)}</div>"


def _headline(outcome: Outcome) -> str:
    if outcome.correct:
        return "Right."
    return "Not right yet." if outcome.attempted else "Not attempted yet."


def _summary(outcome: Outcome) -> str:
    short = outcome.name.rpartition(".")[2]
    if outcome.state == "not attempted":
        return (
            "Put your code in place of `raise NotImplementedError` and run both cells "
            f'again. `hint("{outcome.name}")` helps you to begin.'
        )
    if outcome.passed:
        only = "the one case passes" if outcome.cases == 1 else _all(outcome.cases)
        return f"`{short}`: {only}."
    if outcome.correct:
        ordinary, left = outcome.cases - outcome.hardening, len(outcome.failures)
        return (
            f"`{short}`: {_all(ordinary)}. To harden it, look at {left} of "
            f"{outcome.hardening} more:"
        )
    return f"`{short}`, case “{outcome.failures[0].case}”:"


def _all(cases: int) -> str:
    return f"all {cases} cases pass"


def _facts(outcome: Outcome) -> list[tuple[str, str]]:
    """The first failure of the idea, one titled text after another."""
    if outcome.correct or not outcome.failures:
        return []
    first: Failure = outcome.failures[0]
    facts = [
        ("Input", first.given),
        ("Expected", first.expected),
        ("Got", first.got),
        ("Problem", first.problem),
    ]
    return [*facts, ("Hint", first.hint)] if first.hint else facts


def _left_to_harden(outcome: Outcome) -> list[tuple[str, str, str, str]]:
    """Names, problem, what is due and hint of what a right answer does not do yet.

    Cases that come to the same are told together.
    """
    if not outcome.correct:
        return []
    told: dict[tuple[str, str, str], list[str]] = {}
    for failure in outcome.failures:
        due = failure.expected
        due = due if due.startswith("raises ") else f"{_line(due)} is due"
        told.setdefault((failure.problem, due, failure.hint), []).append(failure.case)
    return [
        (", ".join(f"“{name}”" for name in names), *facts)
        for facts, names in told.items()
    ]


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:79] + "…"


def _value(title: str, text: str) -> str:
    if title in ("Problem", "Hint"):
        return _rich(text)
    return f'<pre style="{_PRE}">{escape(text)}</pre>'


def _rich(text: str) -> str:
    """Text in which `this` is code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _in_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None
