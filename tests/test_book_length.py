"""How long a chapter takes, counted by hand."""

import pytest

from tests.small_book import make_small_book, notebook_of
from tools.contract.length import (
    exercise_minutes,
    minutes,
    parts_of,
    shown_sources,
    visible_lines,
    words_and_lines,
)
from tools.contract.notebook import Notebook

MODULE = '''\
"""A module."""


def twice(value):
    """Twice a value.

    Args:
        value: a number.
    """
    # The sum is exact.

    return value + value


class Variable:
    """A number that remembers.

    It has more to say.
    """

    def backward(self):
        """Walk back.

        Over many lines.
        """
        self.walk()

    @staticmethod
    def zero():
        return 0
'''


def notebook(*cells):
    return Notebook("book/foundations/x.ipynb", notebook_of(cells))


def core(*cells, root=None):
    chapter = notebook(*cells)
    sources = shown_sources(root, chapter) if root else {}
    return words_and_lines(parts_of(chapter)["core"], sources)


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "lesson_utils"
    folder.mkdir()
    (folder / "things.py").write_text(MODULE, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "lines", "due"),
    [(0, 0, 0), (1, 0, 1), (130, 0, 1), (131, 0, 2), (65, 6, 1), (0, 13, 2)],
)
def test_minutes(words, lines, due):
    assert minutes(words, lines) == due


@pytest.mark.parametrize(
    ("source", "tags", "lines"),
    [
        ("x = 1", (), 1),
        ("x = 1\n\n\ny = 2\n", (), 2),
        ("# why\nx = 1", (), 2),
        ("x = 1", ["hide-input"], 0),
        ("x = 1", ["remove-input"], 0),
        ("x = 1", ["hide-cell"], 0),
        ("x = 1", ["remove-cell"], 0),
        ("x = 1", ["nbval-check-output", "keep_output"], 1),
        ("x = 1", None, 0),
    ],
)
def test_visible_lines(source, tags, lines):
    assert visible_lines(notebook((source, tags)).cells[0]) == lines


def test_words_and_lines_of_the_core():
    counted = core(
        ("# Two words\n\nThree more words", None),
        ("x = 1\ny = 2", ()),
        ("x = 1", ["hide-input"]),
        ("## The idea\n\nFour words with `code()` here", None),
    )
    assert counted == (2 + 3 + 2 + 4, 2)


def test_what_is_done_looked_up_or_left_out_is_no_core():
    cells = [
        ("## The idea\n\nFirst. ", None),
        ("## Exercises\n\nSecond", None),
        ("x = 1", ()),
        ("## Quiz\n\nThird\n\n## Summary\n\nLast of all", None),
        ("y = 2", ()),
        ("## Going deeper: more\n\nFourth\n\n### And so on\n\nFifth", None),
        ("z = 3", ()),
        ("## In Chinese\n\nSixth\n\n## Further reading\n\nSeventh", None),
    ]
    parts = parts_of(notebook(*cells))
    counted = {name: words_and_lines(pieces, {}) for name, pieces in parts.items()}
    assert counted == {
        "core": (2 + 1 + 1 + 3, 1),
        "apart": (1 + 1 + 1 + 1, 1),
        "deeper": (3 + 1 + 3 + 1, 1),
        "behind": (2 + 1 + 2 + 1, 0),
    }


@pytest.mark.parametrize(
    ("imports", "shown", "lines"),
    [
        # def, the docstring's first line, the comment and return; no empty line.
        ("from lesson_utils import things", "things.twice", 4),
        ("from lesson_utils import things as t", "t.twice", 4),
        ("from lesson_utils.things import twice", "twice", 4),
        ("from lesson_utils.things import twice as double", "double", 4),
        ("import lesson_utils.things", "lesson_utils.things.twice", 4),
        ("from lesson_utils import things", "things.Variable.backward", 3),
        ("from lesson_utils.things import Variable", "Variable.backward", 3),
        ("from lesson_utils import things", "things.Variable.zero", 3),
        # class and its line, the two methods of 3 each; no empty line.
        ("from lesson_utils import things", "things.Variable", 8),
        ("from lesson_utils import things", "things.ghost", 0),
        ("from lesson_utils import things", "things.Variable.ghost", 0),
        ("from lesson_utils import things", "things.twice.ghost", 0),
        ("from lesson_utils import ghosts", "ghosts.twice", 0),
        ("import torch", "torch.relu", 0),
    ],
)
def test_shown_source_counts_without_its_docstring(root, imports, shown, lines):
    cells = [(imports, ["hide-input"]), (f"show_source({shown})", ["hide-input"])]
    assert core(*cells, root=root) == (0, lines)
    visible = [cells[0], (f"show_source({shown})", ())]
    assert core(*visible, root=root) == (0, lines + 1)


def test_two_sources_in_a_cell(root):
    imports = ("from lesson_utils import things", ["hide-input"])
    both = "show_source(things.twice)\nshow_source(things.Variable.zero)"
    assert core(imports, (both, ()), root=root) == (0, 2 + 4 + 3)


def test_minutes_of_exercises():
    efforts = ("Easy · 10", "Medium · 10 to 20", "At full size · Hard · 5–15")
    text = "\n\n".join(
        f"```{{exercise}} T\n:label: x-{n}\n\n**{effort} min.** In 99 min.\n```"
        for n, effort in enumerate(efforts)
    )
    assert exercise_minutes(notebook((text, None))) == 10 + 20 + 15
    assert exercise_minutes(notebook(("None.", None))) == 0


def test_the_small_book_by_hand(tmp_path):
    book = make_small_book(tmp_path).tree
    (chapter,) = book.notebooks
    parts, sources = parts_of(chapter), shown_sources(book.root, chapter)
    assert words_and_lines(parts["core"], sources) == (1276, 9)
    assert words_and_lines(parts["deeper"], sources) == (5, 0)
    assert exercise_minutes(chapter) == 10 + 10 + 15 + 30
