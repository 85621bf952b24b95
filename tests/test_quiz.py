import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from lesson_utils.common.quiz import Choice, Question, show_quiz

WRONG = Choice("All pixels", "Then the zeros count.")
RIGHT = Choice("The kept pixels", "As many terms as ones.", correct=True)
QUESTION = Question("What does the masked mean divide by?", [WRONG, RIGHT])


class Tags(HTMLParser):
    """The tags of a piece of HTML with their attributes, and the faults of nesting."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.open, self.faults = [], [], []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag != "input":
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.faults.append(tag)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def test_markup_is_a_form_of_fieldsets_of_labeled_radio_buttons():
    other = Question("Another?", [WRONG, RIGHT])
    html = show_quiz([QUESTION, other]).data
    tags = Tags(html)
    assert not tags.faults
    assert not tags.open
    assert [form["class"] for form in tags.all("form")] == ["lc-quiz"]
    assert [f["class"] for f in tags.all("fieldset")] == ["lc-quiz-question"] * 2
    assert len(tags.all("legend")) == 2
    inputs = tags.all("input")
    assert {i["type"] for i in inputs} == {"radio"}
    assert [label["for"] for label in tags.all("label")] == [i["id"] for i in inputs]
    assert len({i["id"] for i in inputs}) == 4
    names = [i["name"] for i in inputs]
    assert names[0] == names[1] != names[2] == names[3]
    feedback = [p["class"] for p in tags.all("p")]
    assert feedback == ["lc-quiz-feedback lc-wrong", "lc-quiz-feedback lc-right"] * 2


def test_no_script_and_no_choice_made_beforehand():
    tags = Tags(show_quiz([QUESTION]).data)
    assert not tags.all("script")
    assert not any("checked" in i for i in tags.all("input"))
    assert not any(name.startswith("on") for _, a in tags.tags for name in a)


def test_verdict_stands_in_words_and_signs():
    html = show_quiz([QUESTION]).data
    assert "✗ Not quite.</strong> Then the zeros count." in html
    assert "✓ Right.</strong> As many terms as ones." in html


def test_the_same_questions_give_the_same_html():
    again = Question("What does the masked mean divide by?", (WRONG, RIGHT))
    assert show_quiz([QUESTION]).data == show_quiz([again]).data


def test_ids_do_not_depend_on_what_stands_around_a_question():
    def names(*questions):
        return set(re.findall(r'name="([^"]+)"', show_quiz(questions).data))

    other = Question("Another?", [WRONG, RIGHT])
    assert names(QUESTION) < names(other, QUESTION)


def test_text_is_escaped_and_code_set():
    question = Question(
        "Is `a < b` & c?",
        [
            Choice("<script>alert(1)</script>", "`x` and `y`"),
            Choice('say "no"', "It's `<b>`.", correct=True),
        ],
    )
    html = show_quiz([question]).data
    assert "<legend>1. Is <code>a &lt; b</code> &amp; c?</legend>" in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<code>x</code> and <code>y</code>" in html
    assert "It&#x27;s <code>&lt;b&gt;</code>." in html
    assert "say &quot;no&quot;" in html


def test_a_lone_backtick_stays():
    html = show_quiz([Question("The sign ` is?", [WRONG, RIGHT])]).data
    assert "The sign ` is?" in html


def test_style_that_hides_and_shows_comes_once():
    html = show_quiz([QUESTION, Question("Another?", [WRONG, RIGHT])]).data
    assert html.count("<style>") == 1
    assert ".lc-quiz-feedback { display: none; }" in html


def test_no_questions():
    with pytest.raises(ValueError, match="questions must be one or more, got none"):
        show_quiz([])


def test_duplicate_questions():
    with pytest.raises(ValueError, match="questions must differ.*masked mean"):
        show_quiz([QUESTION, QUESTION])


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ([], "must be two or more, got 0"),
        ([RIGHT], "must be two or more, got 1"),
        ([WRONG, Choice("Nothing", "No.")], r"must have exactly one correct, got \[\]"),
        (
            [RIGHT, Choice("Both", "No.", correct=True)],
            "must have exactly one correct, got .*kept pixels.*Both",
        ),
        ([RIGHT, WRONG, WRONG], "must differ.*All pixels"),
    ],
)
def test_bad_choices_are_refused_with_question_and_rule(choices, message):
    with pytest.raises(ValueError, match=f"choices of question 'Why\\?' {message}"):
        Question("Why?", choices)


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_empty_texts(empty):
    with pytest.raises(ValueError, match="text must not be empty"):
        Question(empty, [WRONG, RIGHT])
    with pytest.raises(ValueError, match="text must not be empty"):
        Choice(empty, "Because.")
    with pytest.raises(ValueError, match="feedback of choice 'Nothing' must not be"):
        Choice("Nothing", empty)


def test_importing_needs_no_ipython():
    code = (
        "import sys; sys.modules['IPython'] = None\n"
        "import lesson_utils.common.quiz as q\n"
        "q.Question('Why?', [q.Choice('a', 'b'), q.Choice('c', 'd', correct=True)])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
