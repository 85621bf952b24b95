"""Quizzes that answer back in the built page: no kernel, no JavaScript.

A radio button that is chosen shows the feedback beside it; the style sheet does that,
and it travels with the quiz, so that a quiz works in JupyterLab and Colab as well.
"""

import hashlib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a GPU server may have no IPython; only showing needs it
    from IPython.display import HTML

# What a quiz needs to work. The book's style sheet makes it handsome.
_STYLE = """\
<style>
.lc-quiz fieldset { min-width: 0; }
.lc-quiz-feedback { display: none; }
.lc-quiz :checked ~ [role="status"] > .lc-quiz-feedback { display: block; }
</style>"""


@dataclass(frozen=True)
class Choice:
    """One answer to choose, and what the reader is told on choosing it.

    Args:
        text: the answer; `code` may stand in backticks, here and in the feedback.
        feedback: why it is right, or which thought leads there and where it goes wrong.
        correct: whether it is the right one.

    Raises:
        ValueError: the text or the feedback is empty.
    """

    text: str
    feedback: str
    correct: bool = False

    def __post_init__(self) -> None:
        _check_text("text", self.text)
        _check_text(f"feedback of choice {self.text!r}", self.feedback)


@dataclass(frozen=True)
class Question:
    """A question with its choices, exactly one of them right.

    Args:
        text: the question; `code` may stand in backticks.
        choices: two or more, in the order in which they are shown.

    Raises:
        ValueError: the text is empty, there are fewer than two choices, two are the
            same, or not exactly one is correct.
    """

    text: str
    choices: Sequence[Choice]

    def __post_init__(self) -> None:
        _check_text("text", self.text)
        where = f"choices of question {self.text!r}"
        if len(self.choices) < 2:
            raise ValueError(f"{where} must be two or more, got {len(self.choices)}")
        _check_unique(where, [choice.text for choice in self.choices])
        correct = [choice.text for choice in self.choices if choice.correct]
        if len(correct) != 1:
            raise ValueError(f"{where} must have exactly one correct, got {correct}")


def show_quiz(questions: Sequence[Question]) -> "HTML":
    """A quiz as the value of a notebook cell.

    Args:
        questions: one or more, no two with the same text.

    Returns:
        An IPython HTML object: a form with a group of radio buttons for each question.
        The same questions give the same HTML, so a notebook run twice is unchanged.

    Raises:
        ValueError: there is no question, or one stands there twice.
    """
    if not questions:
        raise ValueError("questions must be one or more, got none")
    _check_unique("questions", [question.text for question in questions])
    from IPython.display import HTML

    body = "\n".join(
        _question_html(number, question)
        for number, question in enumerate(questions, start=1)
    )
    # A browser may send a form without a button on Enter, which would load the page
    # anew; with method "dialog", and no dialog around it, sending does nothing. And
    # some fill in the answers of the last visit, hence autocomplete.
    return HTML(
        f'{_STYLE}\n<form class="lc-quiz" method="dialog" autocomplete="off">\n'
        f"{body}\n</form>"
    )


def _question_html(number: int, question: Question) -> str:
    name = "quiz-" + hashlib.sha256(question.text.encode()).hexdigest()[:8]
    choices = "\n".join(
        _choice_html(name, f"{name}-{index}", choice)
        for index, choice in enumerate(question.choices, start=1)
    )
    legend = f"<legend>{number}. {_inline(question.text)}</legend>"
    return f'<fieldset class="lc-quiz-question">\n{legend}\n{choices}\n</fieldset>'


def _choice_html(name: str, identifier: str, choice: Choice) -> str:
    # The sign and the word say it to those who do not see the color.
    kind, verdict = (
        ("right", "✓ Right.") if choice.correct else ("wrong", "✗ Not quite.")
    )
    return (
        '<div class="lc-quiz-choice">'
        f'<input type="radio" name="{name}" id="{identifier}">'
        f'<label for="{identifier}">{_inline(choice.text)}</label>'
        f'<div role="status"><p class="lc-quiz-feedback lc-{kind}">'
        f"<strong>{verdict}</strong> {_inline(choice.feedback)}</p></div></div>"
    )


def _inline(text: str) -> str:
    """Escaped text, with `code` set as such."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _check_text(name: str, value: str) -> None:
    if not value.strip():
        raise ValueError(f"{name} must not be empty, got {value!r}")


def _check_unique(name: str, texts: list[str]) -> None:
    twice = sorted({text for text in texts if texts.count(text) > 1})
    if twice:
        raise ValueError(f"{name} must differ, got more than once: {twice}")
