"""The contract of the book holds, and every rule of it has been seen to fail."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from tools.contract import (
    docstrings,
    exercises,
    figures,
    imports,
    layout,
    structure,
    text,
)
from tools.contract.__main__ import ROOT, main
from tools.contract.markdown import directives, prose_words
from tools.contract.rules import RULES
from tools.contract.tree import Tree

REAL = Tree(ROOT)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_book_keeps(rule):
    complaints = rule(REAL)
    assert not complaints, "\n".join(complaints)


# A small book of one chapter that keeps every rule. Nothing in it imports torch, so
# that its checks are imported in no time.

FILES = {
    "_toc.yml": """\
format: jb-book
root: book/index
parts:
  - caption: Before you start
    chapters:
      - file: book/references
  - caption: Foundations
    chapters:
      - file: book/foundations/stencils
""",
    "book/references.md": "# References\n\n```{bibliography}\n```\n",
    "README.md": "| chapter |\n|---|\n| [S](book/foundations/stencils.ipynb) |\n",
    "book/index.md": "# Small book\n\nAll in {cite:p}`shimrat1962algorithm`.\n\n"
    "| chapter |\n|---|\n| [](foundations/stencils.ipynb) |\n",
    "book/references.bib": """\
@article{shimrat1962algorithm,
  title = {Algorithm 112}, author = {Shimrat, M.}, journal = {CACM}, year = {1962}
}
""",
    "lesson_utils/__init__.py": '"""The package."""\n',
    "lesson_utils/stencils.py": '''\
"""Stencils. The module of the chapter `book/foundations/stencils.ipynb`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def keep(values: Tensor, mask: Tensor) -> Tensor:
    """The values where the mask is 1, and 0 elsewhere.

    Args:
        values: (..., H, W).
        mask: (H, W), of nothing
            but 0 and 1.

    Returns:
        The shape of `values`.

    Raises:
        ValueError: the shapes do not fit.

    Source: the definition.
    """
    _check_shapes(values, mask)
    return values * mask


def drop(values: Tensor, mask: Tensor) -> Tensor:
    """The values where the mask is 0, and 0 elsewhere.

    Args:
        values: (N, M).
        mask: (N, M), of 0 and 1.

    Returns:
        (N, M).

    Source: the definition.
    """
    return values * (1 - mask)


class Stencil:
    """A mask to lay on values.

    Args:
        mask: (H, W).

    Source: the definition.
    """

    def __init__(self, mask: Tensor) -> None:
        self.mask = mask

    def forward(self, values: Tensor) -> Tensor:
        """Lay it on.

        Args:
            values: (B, H, W), at most 1.

        Returns:
            (B, H, W).
        """
        return values * self.mask


def _check_shapes(values: Tensor, mask: Tensor) -> None:
    if mask.shape != values.shape[-2:]:
        raise ValueError(f"mask must fit, got {mask.shape}")
''',
    "lesson_utils/common/__init__.py": '"""Shared."""\n',
    "lesson_utils/common/plotting.py": '''\
"""Pictures."""


def show_images(images: list, *, caption: str, alt: str) -> object:
    """Pictures side by side.

    Args:
        images: the pictures.
        caption: what to see.
        alt: what they show.

    Returns:
        A figure.
    """
    from IPython.display import HTML

    return HTML(caption + alt)
''',
    "lesson_utils/common/quiz.py": '"""Quizzes."""\n',
    "lesson_utils/data/__init__.py": '"""Data."""\n',
    "lesson_utils/data/photographs.py": '''\
"""Photographs."""

from lesson_utils.common.plotting import show_images


def show_photograph(name: str) -> None:
    """Show one.

    Args:
        name: of it.
    """
    show_images([name], caption=name, alt=name)
''',
    "lesson_utils/checks/__init__.py": '''\
"""Checks."""

from lesson_utils.grading.exercise import Exercise


def check(name: str, answer: object) -> Exercise:
    """Check."""
''',
    "lesson_utils/grading/exercise.py": '''\
"""Exercises."""

from typing import NamedTuple


class Exercise(NamedTuple):
    """An exercise."""

    name: str
    hints: tuple
    mistakes: tuple
''',
    "lesson_utils/checks/stencils.py": '''\
"""The checks of stencils."""

from lesson_utils import stencils
from lesson_utils.grading.exercise import Exercise

MISTAKES = (stencils.keep,) * 5

EXERCISES = (
    Exercise("keep", ("a hint", "another"), MISTAKES),
    Exercise("stencils.drop", ("a hint", "another"), MISTAKES),
)
''',
    "tests/test_stencils.py": 'NAMES = ("keep", "drop")\n',
    "tests/test_photographs.py": "",
}

SENTENCE = "A mask keeps what is one and it drops what is zero.\n"
OUTPUT = {"output_type": "stream", "name": "stdout", "text": ["kept: 2\n"]}
FIGURE = """show_images(
    [{number}],
    caption="A disk.",
    alt="A white disk on a black ground.",
)"""
EXERCISE = """\
```{{exercise}} {title}
:label: stencils-{label}

**{effort} min.** Write it.
```
"""
SOLUTION = """\
````{{solution}} stencils-{label}
:class: dropdown

```{{literalinclude}} ../../lesson_utils/stencils.py
```
````
"""


def checked_exercise(name):
    yield EXERCISE.format(title=name, label=name, effort="Easy · 10"), None
    stub = f"def {name}(values, mask):\n    raise NotImplementedError"
    yield stub, ["exercise"]
    yield f'check("{name}", {name})', ()
    yield SOLUTION.format(label=name), None


# Each cell as (source, tags); Markdown has None for tags.
CELLS = [
    (
        "# Stencils\n\nLearn what a stencil keeps.\n\n"
        "**Read** 20 min · **Runs** 5 s on a CPU · **Module** "
        "`lesson_utils/stencils.py` · **Before** [arrays](https://example.org)",
        None,
    ),
    ("## The idea: a stencil\n\n" + SENTENCE * 200, None),
    (
        "from lesson_utils import stencils\n"
        "from lesson_utils.checks import check\n"
        "from lesson_utils.common.plotting import show_images, show_source\n"
        "from lesson_utils.common.quiz import show_quiz",
        (),
    ),
    ("## The mathematics\n\nAs {cite:t}`shimrat1962algorithm` has it.", None),
    ("## From scratch", None),
    ("show_source(stencils.keep)", ()),
    ('print("kept:", 2)', ["nbval-check-output", "keep_output"]),
    ("## See it work", None),
    *((FIGURE.format(number=number), ()) for number in range(5)),
    ("## Where it goes wrong — often", None),
    ("## Exercises", None),
    *checked_exercise("keep"),
    *checked_exercise("drop"),
    (
        EXERCISE.format(title="Large", label="large", effort="At full size · 30")
        + SOLUTION.format(label="large"),
        None,
    ),
    ("## Quiz", None),
    ("show_quiz([1, 2, 3])", ["remove-input"]),
    ("## Summary\n\n" + "- A line,\n  which goes on.\n" * 5, None),
    (
        "## In Chinese\n\n| term | 中文 | in one line |\n|---|---|---|\n"
        + "| mask | 掩膜 | what is kept |\n" * 5,
        None,
    ),
    (
        "## Further reading\n\n- All in {cite:t}`shimrat1962algorithm`.",
        None,
    ),
]


def cell_of(index, source, tags):
    cell = {"cell_type": "markdown", "id": str(index), "metadata": {}, "source": source}
    if tags is None:
        return cell
    if tags:
        cell["metadata"]["tags"] = tags
    outputs, count = ([OUTPUT], 1) if "keep_output" in tags else ([], None)
    return cell | {"cell_type": "code", "execution_count": count, "outputs": outputs}


def notebook_of(cells):
    return {
        "cells": [cell_of(index, *cell) for index, cell in enumerate(cells)],
        "metadata": {"kernelspec": {"name": "python3", "language": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


NOTEBOOK = "book/foundations/stencils.ipynb"
MODULE = "lesson_utils/stencils.py"
CHECKS = "lesson_utils/checks/stencils.py"


@dataclass
class SmallBook:
    root: Path

    @property
    def tree(self):
        return Tree(self.root)

    def write(self, path, content=""):
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content, encoding="utf-8")

    def remove(self, path):
        (self.root / path).unlink()

    def move(self, path, to):
        (self.root / to).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).rename(self.root / to)

    def edit(self, path, old, new):
        content = (self.root / path).read_text("utf-8")
        assert old in content
        self.write(path, content.replace(old, new))

    def append(self, path, content):
        self.write(path, (self.root / path).read_text("utf-8") + content)

    def cell(self, holding, **changes):
        """Change the first cell whose source holds a string."""
        notebook = json.loads((self.root / NOTEBOOK).read_text("utf-8"))
        cell = next(c for c in notebook["cells"] if holding in c["source"])
        cell |= changes
        self.write(NOTEBOOK, json.dumps(notebook, indent=1, ensure_ascii=False) + "\n")

    def source(self, old, new):
        """Change the source of the first cell that holds a string."""
        notebook = json.loads((self.root / NOTEBOOK).read_text("utf-8"))
        source = next(c["source"] for c in notebook["cells"] if old in c["source"])
        self.cell(old, source=source.replace(old, new))

    def tags(self, holding, *tags):
        self.cell(holding, metadata={"tags": list(tags)})

    def cells(self, *more, at=None):
        """Put cells in, by default at the end of `See it work`."""
        at = 13 if at is None else at
        self.rebuild([*CELLS[:at], *more, *CELLS[at:]])

    def without(self, holding):
        self.rebuild([cell for cell in CELLS if holding not in cell[0]])

    def rebuild(self, cells):
        notebook = json.dumps(notebook_of(cells), indent=1, ensure_ascii=False)
        self.write(NOTEBOOK, notebook + "\n")


@pytest.fixture
def small_book(tmp_path):
    book = SmallBook(tmp_path)
    for path, content in FILES.items():
        book.write(path, content)
    book.rebuild(CELLS)
    book.write("pyproject.toml", (ROOT / "pyproject.toml").read_text("utf-8"))
    return book


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_small_book_keeps(rule, small_book):
    assert rule(small_book.tree) == []


# What breaks a rule: the rule, the change, and how the complaint begins and goes on.
BROKEN = [
    (
        layout.files_are_readable,
        lambda b: b.append(MODULE, "def ("),
        MODULE,
        "invalid syntax",
    ),
    (layout.files_are_readable, lambda b: b.write(NOTEBOOK, "{"), NOTEBOOK, "notebook"),
    (
        layout.files_are_readable,
        lambda b: b.write(NOTEBOOK, "[]"),
        NOTEBOOK,
        "notebook",
    ),
    (
        layout.files_are_readable,
        lambda b: b.source("show_source(stencils.keep)", "show_source("),
        NOTEBOOK,
        "cell 5: line 1",
    ),
    (
        layout.files_are_readable,
        lambda b: b.remove("_toc.yml"),
        "_toc.yml",
        "must list",
    ),
    *(
        (layout.chapters_are_whole, lambda b, p=path: b.remove(p), missing, "missing")
        for path, missing in (
            (NOTEBOOK, "book/<part>/stencils.ipynb"),
            (MODULE, MODULE),
            (CHECKS, CHECKS),
            ("tests/test_stencils.py", "tests/test_stencils.py"),
        )
    ),
    (
        layout.chapters_are_whole,
        lambda b: b.write("lesson_utils/_helpers.py"),
        "book/<part>/_helpers.ipynb",
        "the chapter '_helpers' has lesson_utils/_helpers.py",
    ),
    *(
        (
            layout.tables_list_every_chapter,
            lambda b, p=page: b.edit(p, "stencils.ipynb", "masks.ipynb"),
            page,
            "must link to",
        )
        for page in ("README.md", "book/index.md")
    ),
    (
        layout.chapters_stand_in_parts,
        lambda b: b.move(NOTEBOOK, "book/basics/stencils.ipynb"),
        "book/basics/stencils.ipynb",
        "one of the parts",
    ),
    (
        layout.chapters_stand_in_parts,
        lambda b: b.move(NOTEBOOK, "book/stencils.ipynb"),
        "book/stencils.ipynb",
        "one of the parts",
    ),
    (
        layout.chapters_stand_in_parts,
        lambda b: b.edit("_toc.yml", "Foundations", "Detecting"),
        "_toc.yml",
        "under 'Foundations', not 'Detecting'",
    ),
    (
        layout.chapters_stand_in_parts,
        lambda b: b.write("book/losses/stencils.ipynb", "{}"),
        "book/losses/stencils.ipynb",
        "share this stem",
    ),
    (
        layout.toc_lists_every_page,
        lambda b: b.edit("_toc.yml", "      - file: book/foundations/stencils\n", ""),
        NOTEBOOK,
        "not in _toc.yml",
    ),
    (
        layout.toc_lists_every_page,
        lambda b: b.write("book/notation.md"),
        "book/notation.md",
        "not in _toc.yml",
    ),
    (
        layout.toc_lists_every_page,
        lambda b: b.append("_toc.yml", "      - file: book/foundations/ghost\n"),
        "_toc.yml",
        "ghost: no such file",
    ),
    (
        layout.toc_lists_every_page,
        lambda b: b.append("_toc.yml", "      - file: book/foundations/stencils\n"),
        "_toc.yml",
        "listed twice",
    ),
    (
        layout.no_file_is_left_over,
        lambda b: b.write("tests/test_ghost.py"),
        "tests/test_ghost.py",
        "'ghost' to test",
    ),
    (
        layout.no_file_is_left_over,
        lambda b: b.write("lesson_utils/extras/more.py"),
        "lesson_utils/extras",
        "has only",
    ),
    *(
        (imports.layers_are_kept, lambda b, p=path, c=code: b.append(p, c), path, says)
        for path, code, says in (
            (MODULE, "from lesson_utils.checks import check", "chapter must not"),
            (MODULE, "import lesson_utils.checks.stencils", "chapter must not"),
            (MODULE, "import tools.look", "tools.look"),
            (MODULE, "def f():\n    from lesson_utils.checks import check", "line 74"),
            (MODULE, "from lesson_utils import ghost", "lesson_utils.ghost"),
            (
                "lesson_utils/common/plotting.py",
                "import lesson_utils.data.photographs",
                "common must not",
            ),
            (
                "lesson_utils/common/plotting.py",
                "from lesson_utils import stencils",
                "common must not",
            ),
            (
                "lesson_utils/data/photographs.py",
                "from lesson_utils import stencils",
                "data must not",
            ),
            (CHECKS, "from lesson_utils.checks import check", "checks must not"),
            (
                MODULE,
                "from lesson_utils.data.drawing import airframes",
                "chapter must not",
            ),
            (
                "lesson_utils/grading/exercise.py",
                "import lesson_utils.stencils",
                "grading must not",
            ),
        )
    ),
    *(
        (
            imports.layers_are_kept,
            lambda b, p=path: (
                b.write("lesson_utils/other.py"),
                b.append(p, "from lesson_utils.other import it"),
            ),
            path,
            "lesson_utils.other.it",
        )
        for path in (MODULE, CHECKS)
    ),
    *(
        (
            imports.notebooks_import_what_is_public,
            lambda b, c=code: b.cells((c, ())),
            f"{NOTEBOOK}: cell 13",
            "must not import",
        )
        for code in (
            "from lesson_utils.grading.exercise import Exercise",
            "from lesson_utils.stencils import _check_shapes",
            "from lesson_utils.checks.stencils import EXERCISES",
            "from tools import look",
            "from lesson_utils import ghost",
            "import lesson_utils.common.ghost.more",
        )
    ),
    (
        imports.imports_are_absolute,
        lambda b: b.append(MODULE, "from . import common"),
        MODULE,
        "in full",
    ),
    (
        imports.imports_are_absolute,
        lambda b: b.append(CHECKS, "from math import *"),
        CHECKS,
        "in full",
    ),
    (
        imports.imports_are_absolute,
        lambda b: b.cells(("from math import *", ())),
        f"{NOTEBOOK}: cell 13",
        "in full",
    ),
    (
        imports.nothing_is_exported_again,
        lambda b: b.append("lesson_utils/__init__.py", "import math"),
        "lesson_utils/__init__.py",
        "must import nothing",
    ),
    (
        imports.nothing_is_exported_again,
        lambda b: b.append(MODULE, '__all__ = ["keep"]'),
        MODULE,
        "no __all__",
    ),
    *(
        (
            imports.modules_import_without_jupyter,
            lambda b, p=path, c=code: b.append(p, c),
            path,
            "in the function",
        )
        for path, code in (
            (MODULE, "from d2l import torch as d2l"),
            (MODULE, "import lightning.fabric"),
            (MODULE, "try:\n    import IPython\nexcept ImportError:\n    pass"),
            (MODULE, "class A:\n    import IPython"),
            ("lesson_utils/common/plotting.py", "from IPython.display import HTML"),
            ("lesson_utils/data/photographs.py", "import lightning_fabric as fabric"),
        )
    ),
    *(
        (
            imports.importing_does_nothing,
            lambda b, c=code: b.append(MODULE, c),
            MODULE,
            "importing must do nothing",
        )
        for code in (
            "print('hello')",
            "import torch\ntorch.manual_seed(0)",
            "import torch\nGENERATOR = torch.manual_seed(0)",
            "import torch\nif True:\n    torch.manual_seed(0)",
            "import matplotlib.pyplot as plt\nplt.style.use('dark_background')",
            "import matplotlib as mpl\nmpl.rcParams['figure.dpi'] = 90",
            "import torch\ntorch.backends.cudnn.benchmark = True",
            "def f(x=print('hello')): pass",
        )
    ),
    (
        structure.notebooks_are_tidy,
        lambda b: b.cell("# Stencils", id="3f"),
        f"{NOTEBOOK}: cell 0",
        "id must be '0'",
    ),
    (
        structure.notebooks_are_tidy,
        lambda b: b.edit(NOTEBOOK, '"nbformat_minor": 5', '"nbformat_minor": 4'),
        NOTEBOOK,
        "format must be 4.5",
    ),
    (
        structure.notebooks_are_tidy,
        lambda b: b.edit(NOTEBOOK, '"language": "python"', '"language": ""'),
        NOTEBOOK,
        "the language python",
    ),
    *(
        (
            structure.first_cells_introduce,
            lambda b, o=old, n=new: b.source(o, n),
            f"{NOTEBOOK}: cell 0",
            says,
        )
        for old, new, says in (
            ("# Stencils", "Stencils", "form '# Title'"),
            ("keeps.", "keeps. And what not.", "one sentence"),
            ("keeps.", "keeps", "one sentence"),
            ("Learn what a stencil keeps.\n\n", "", "got 2 blocks"),
            ("20 min", "twenty minutes", "the facts must be"),
            (" · **Before** [arrays](https://example.org)", "", "the facts must be"),
            ("utils/stencils.py", "utils/masks.py", "module must be"),
            ("5 s", "90 s", "in 60 s"),
        )
    ),
    (
        structure.first_cells_introduce,
        lambda b: b.rebuild(CELLS[1:]),
        f"{NOTEBOOK}: cell 0",
        "got 2 blocks",
    ),
    *(
        (
            structure.headings_are_in_order,
            lambda b, o=old, n=new: b.source(o, n),
            NOTEBOOK,
            says,
        )
        for old, new, says in (
            ("## The idea: a", "## An idea: a", "must begin with one of"),
            ("## The idea: a", "## The ideal", "must begin with one of"),
            ("## From scratch", "### From scratch", "headings: the sections must"),
            ("## Quiz", "## Summary", "headings: the sections must"),
            ("## Quiz", "# Quiz", "must not be of level 1"),
            ("## Quiz", "## Quiz\n\n## Quiz", "headings: the sections must"),
        )
    ),
    *(
        (
            structure.outputs_are_stored_where_checked,
            lambda b, h=holding, c=changes: b.cell(h, **c),
            NOTEBOOK,
            says,
        )
        for holding, changes, says in (
            ("print", {"outputs": []}, "must have a stored output"),
            ("print", {"outputs": [OUTPUT | {"name": "stderr"}]}, "must be text"),
            ("print", {"outputs": [OUTPUT, {"output_type": "error"}]}, "no error"),
            (
                "print",
                {
                    "outputs": [
                        {"output_type": "display_data", "data": {"image/png": ""}}
                    ]
                },
                "no picture",
            ),
            ("print", {"metadata": {"tags": ["keep_output"]}}, "go together"),
            ("print", {"metadata": {"tags": ["nbval-check-output"]}}, "go together"),
            ("print", {"metadata": {}}, "in a cell not checked"),
            ("print", {"execution_count": None}, "must have a count"),
            ("show_source(", {"outputs": [OUTPUT]}, "in a cell not checked"),
            ("show_source(", {"execution_count": 3}, "in a cell not checked"),
        )
    ),
    (
        structure.source_is_shown,
        lambda b: b.source("show_source(stencils.keep)", "stencils.keep"),
        NOTEBOOK,
        "From scratch",
    ),
    *(
        (structure.quizzes_are_short, change, NOTEBOOK, says)
        for change, says in (
            (lambda b: b.without("show_quiz(["), "got 0 calls"),
            (lambda b: b.cells(("show_quiz([1, 2, 3])", ["remove-input"])), "2 calls"),
            (lambda b: b.cells(("show_quiz([1, 2, 3])", ())), "under Quiz"),
            (lambda b: b.tags("show_quiz([", "hide"), "tagged remove-input"),
            (lambda b: b.source("[1, 2, 3]", "[1, 2]"), "3 to 5"),
            (lambda b: b.source("[1, 2, 3]", "[1, 2, 3, 4, 5, 6]"), "3 to 5"),
            (lambda b: b.source("[1, 2, 3]", "questions"), "3 to 5"),
        )
    ),
    *(
        (
            structure.summaries_have_five_lines,
            lambda b, n=number: b.source(
                "- A line,\n  which goes on.\n" * 5, "- x\n" * n
            ),
            NOTEBOOK,
            f"got {number}",
        )
        for number in (0, 4, 6)
    ),
    *(
        (
            structure.terms_are_given_in_chinese,
            lambda b, o=old, n=new: b.source(o, n),
            NOTEBOOK,
            says,
        )
        for old, new, says in (
            ("| term |", "| word |", "at least 5 rows"),
            ("| mask | 掩膜 | what is kept |\n" * 5, "| a | 掩 | b |\n" * 3, "got 3"),
            ("掩膜 | what is kept |\n| mask", " | what |\n| mask", "filled cells"),
            ("| mask | 掩膜 |", "| mask | mask |", "second one in Chinese"),
            ("| 掩膜 | what is kept |", "| 掩膜 |", "3 filled cells"),
        )
    ),
    *(
        (
            structure.chapters_have_a_length,
            lambda b, n=number: b.source(SENTENCE * 200, SENTENCE * n),
            NOTEBOOK,
            "1800 to 4000 words",
        )
        for number in (100, 400)
    ),
    (
        structure.chapters_have_a_length,
        lambda b: b.source(SENTENCE * 200, f"```python\n{SENTENCE * 200}```"),
        NOTEBOOK,
        "words of prose",
    ),
    (
        figures.chapters_have_figures,
        lambda b: b.without("    [3],"),
        NOTEBOOK,
        "at least 5 figures, got 4",
    ),
    *(
        (
            figures.figures_are_described,
            lambda b, o=old, n=new: b.source(o, n),
            f"{NOTEBOOK}: cell 8",
            says,
        )
        for old, new, says in (
            ('    alt="A white disk on a black ground.",\n', "", "alt="),
            ("A white disk on a black ground.", "A disk.", "at least 20"),
            ("A white disk on a black ground.", " " * 30, "at least 20"),
            (
                '"A white disk on a black ground."',
                'f"A disk {1} on a ground."',
                "literal",
            ),
            ('    caption="A disk.",\n', "", "caption="),
            ('caption="A disk."', 'caption=" "', "caption="),
        )
    ),
    *(
        (
            figures.figures_are_shown_one_way,
            lambda b, c=code: b.cells((c, ())),
            f"{NOTEBOOK}: cell 13",
            says,
        )
        for code, says in (
            ("plt.show()", "plt.show()"),
            ("figure.show()", "figure.show()"),
            ("import matplotlib.pyplot as plt", "pyplot"),
            ("from matplotlib import pyplot as plt", "pyplot"),
        )
    ),
    *(
        (
            figures.markdown_images_are_described,
            lambda b, s=source: b.cells((s, None)),
            f"{NOTEBOOK}: cell 13",
            says,
        )
        for source, says in (
            ("![](disk.png)", "alternative text"),
            ('<img src="disk.png">', "alternative text"),
            ('<img src="disk.png" alt="">', "alternative text"),
            ("```{figure} disk.png\n:name: disk\n```", "alternative text"),
            ("![A disk](data:image/png;base64,iVBORw0=)", "base64"),
        )
    ),
    (
        figures.markdown_images_are_described,
        lambda b: b.append("book/index.md", "![](disk.png)"),
        "book/index.md",
        "alternative text",
    ),
    (
        figures.markdown_images_are_described,
        lambda b: b.cell(
            "## Quiz", attachments={"disk.png": {"image/png": "iVBORw0="}}
        ),
        NOTEBOOK,
        "attached",
    ),
    *(
        (exercises.exercises_are_stated, change, NOTEBOOK, says)
        for change, says in (
            (lambda b: b.without("{exercise} Large"), "got 2"),
            (
                lambda b: b.cells(
                    (EXERCISE.format(title="x", label="x", effort="x") * 4, None), at=-6
                ),
                "got 7",
            ),
            (lambda b: b.source("At full size · 30", "Hard · 30"), "got 0"),
            (lambda b: b.source("Easy · 10", "At full size · 10"), "got 2"),
            (lambda b: b.source("Easy · 10 min", "Easy"), "must begin like"),
            (lambda b: b.source("Easy · 10 min", "Tricky · 10 min"), "must begin like"),
            (lambda b: b.source(":label: stencils-keep", ":label: keep"), "label of"),
            (lambda b: b.source(":label: stencils-keep", ""), "got ''"),
            (
                lambda b: b.cells(
                    (EXERCISE.format(title="x", label="x", effort="x"), None)
                ),
                "under Exercises",
            ),
        )
    ),
    *(
        (exercises.exercises_are_solved, change, NOTEBOOK, says)
        for change, says in (
            (lambda b: b.without("{solution} stencils-keep"), "got 1 and 0"),
            (lambda b: b.source("{solution} stencils-keep", "{solution} x"), "0 and 1"),
            (lambda b: b.source(":label: stencils-keep", ":label: stencils-drop"), "2"),
            (
                lambda b: b.source("stencils-keep\n:class: dropdown", "stencils-keep"),
                "lies open",
            ),
            (
                lambda b: b.cells(("```{solution-start} stencils-keep\n```", None)),
                "plain",
            ),
        )
    ),
    *(
        (exercises.stubs_are_checked, change, NOTEBOOK, says)
        for change, says in (
            (lambda b: b.without('check("keep"'), "must be followed"),
            (lambda b: b.without('check("keep"'), "at least 2 must be checked, got 1"),
            (lambda b: b.source("raise NotImplementedError", "pass"), "must raise"),
            (lambda b: b.source("raise NotImplementedError", "raise"), "must raise"),
            (lambda b: b.tags("def keep", "other"), "cell tagged exercise"),
            (
                lambda b: b.source('"keep", keep', '"keep", stencils.keep2'),
                "must follow",
            ),
            (lambda b: b.source('"keep", keep', '"keep", lambda x: x'), "must follow"),
            (lambda b: b.source("def keep", "def held"), "defines keep"),
            (lambda b: b.source('check("keep"', 'check("kept"'), "stencils-kept"),
        )
    ),
    (
        exercises.readers_functions_are_not_used,
        lambda b: b.cells(("keep([1], [1])", ()), at=-5),
        NOTEBOOK,
        "keep must not be used",
    ),
    *(
        (exercises.checks_and_notebooks_agree, change, file, says)
        for change, file, says in (
            (
                lambda b: b.edit(CHECKS, 'Exercise("keep"', 'Exercise("held"'),
                NOTEBOOK,
                "'keep' must be in the EXERCISES",
            ),
            (
                lambda b: b.edit(CHECKS, 'Exercise("keep"', 'Exercise("held"'),
                CHECKS,
                "'held' must be checked",
            ),
            (
                lambda b: b.source('check("keep"', 'check("other.keep"'),
                NOTEBOOK,
                "'other.keep' must be in",
            ),
            (
                lambda b: b.edit(CHECKS, "EXERCISES", "OTHERS"),
                CHECKS,
                "AttributeError",
            ),
            (lambda b: b.append(CHECKS, "1 / 0"), CHECKS, "ZeroDivisionError"),
            (
                lambda b: b.write(
                    "lesson_utils/checks/other.py",
                    FILES[CHECKS].replace("stencils.drop", "other.drop"),
                ),
                NOTEBOOK,
                "must be asked for as 'stencils.keep'",
            ),
        )
    ),
    (
        exercises.checks_know_mistakes,
        lambda b: b.edit(CHECKS, "* 5", "* 4"),
        CHECKS,
        "keep: there must be at least 2 hints and 5 mistakes, got 2 and 4",
    ),
    (
        exercises.checks_know_mistakes,
        lambda b: b.edit(CHECKS, ', "another"', ","),
        CHECKS,
        "stencils.drop: there must be at least 2 hints",
    ),
    (
        exercises.checks_are_tested,
        lambda b: b.edit("tests/test_stencils.py", ', "drop"', ""),
        "tests/test_stencils.py",
        "'drop' must be tested",
    ),
    *(
        (
            docstrings.chapter_docstrings_say_shapes,
            lambda b, o=old, n=new: b.edit(MODULE, o, n),
            MODULE,
            says,
        )
        for old, new, says in (
            ("        mask: (N, M), of 0 and 1.\n", "", "drop: Args must name mask"),
            ("mask: (N, M), of", "masks: (N, M), of", "names masks, which is no"),
            ("mask: (N, M), of 0 and 1.", "mask: of 0 and 1.", "drop: mask must have"),
            ("mask: (N, M), of 0", "mask: (not NaN), of 0", "drop: mask must have"),
            ("    Returns:\n        (N, M).\n", "", "drop: there must be Returns"),
            (
                "    Returns:\n        (N, M).\n",
                "    Returns:\n        All.\n",
                "a shape",
            ),
            ("    Raises:\n        ValueError: the shapes do not fit.\n", "", "Raises"),
            ("    Source: the definition.\n", "", "keep: there must be Source"),
            ("Source: the definition.", "Source:", "Stencil: there must be Source"),
            ("        mask: (H, W).\n", "        cut: (H, W).\n", "Stencil: Args must"),
            ("values: (B, H, W), at", "values: at", "Stencil.forward: values must"),
            ("        mask: (H, W).\n", "        mask: it.\n", "Stencil: mask must"),
            (
                "self.mask = mask",
                "_check_shapes(mask, mask)",
                "Stencil: there must be R",
            ),
            (
                '"""A mask to lay on values.',
                'TEXT = """A mask',
                "Stencil: there must be a doc",
            ),
            (
                "def _check_shapes",
                "def check_shapes",
                "check_shapes: there must be a d",
            ),
        )
    ),
    (
        docstrings.shared_docstrings_name_arguments,
        lambda b: b.edit("lesson_utils/data/photographs.py", "    name: of it.\n", ""),
        "lesson_utils/data/photographs.py",
        "show_photograph: Args must name name",
    ),
    (
        docstrings.shared_docstrings_name_arguments,
        lambda b: b.edit(
            "lesson_utils/common/plotting.py", "    Returns:\n        A figure.\n", ""
        ),
        "lesson_utils/common/plotting.py",
        "show_images: there must be Returns",
    ),
    (
        text.citations_have_entries,
        lambda b: b.source("shimrat1962algorithm", "shimrat1962algorithm,ghost2020"),
        f"{NOTEBOOK}: cell 3",
        "ghost2020 must be an entry",
    ),
    (
        text.citations_have_entries,
        lambda b: b.append("book/index.md", "{cite}`ghost2020`"),
        "book/index.md",
        "ghost2020 must be an entry",
    ),
    (
        text.citations_have_entries,
        lambda b: b.append("book/references.bib", "@book{serra1982, title = {x}}\n"),
        "book/references.bib",
        "serra1982: an entry must be cited",
    ),
    (
        text.citations_have_entries,
        lambda b: b.append("book/references.bib", "@book{serra1982, title = {x\n"),
        "book/references.bib",
        "must be BibTeX",
    ),
    (
        text.citations_have_entries,
        lambda b: b.append("book/references.bib", FILES["book/references.bib"]),
        "book/references.bib",
        "repeated",
    ),
    (
        text.citations_have_entries,
        lambda b: b.remove("book/references.bib"),
        "book/references.bib",
        "must be BibTeX",
    ),
    *(
        (text.sources_are_listed, change, "book/references.md", found)
        for change, found in (
            (lambda b: b.edit("book/references.md", "bibliography", "note"), "none"),
            (
                lambda b: b.source("- All in", "```{bibliography}\n```\n- All in"),
                NOTEBOOK,
            ),
            (
                lambda b: b.append("book/index.md", "```{bibliography}\n```"),
                "book/index.md",
            ),
        )
    ),
    *(
        (
            text.nothing_is_left_to_do,
            lambda b, p=path, m=mark: b.append(p, m),
            path,
            "must be done",
        )
        for path, mark in (
            (MODULE, "# TODO: faster"),
            ("lesson_utils/common/plotting.py", "# FIXME"),
            ("tests/test_stencils.py", "# XXX"),
            ("book/index.md", "Lorem ipsum"),
        )
    ),
    (
        text.nothing_is_left_to_do,
        lambda b: b.source("## Quiz", "## Quiz\n\nTODO"),
        NOTEBOOK,
        "'TODO' must be done",
    ),
    *(
        (
            text.no_machine_is_named,
            lambda b, p=path: b.cells((f'open("{p}x")', ())),
            f"{NOTEBOOK}: cell 13",
            "path of one machine",
        )
        for path in (
            "/home/",
            "file:///root/",
            "/work/",
            "a:/Users/",
            "C:\\\\Users\\\\",
        )
    ),
    (
        text.no_machine_is_named,
        lambda b: b.cell("print(", outputs=[OUTPUT | {"text": ["in /home/x\n"]}]),
        f"{NOTEBOOK}: cell 6",
        "path of one machine",
    ),
    (
        text.no_machine_is_named,
        lambda b: b.append("book/index.md", "See `/root/data`."),
        "book/index.md: line 8",
        "path of one machine",
    ),
    (
        text.notebooks_are_formatted,
        lambda b: b.source('print("kept:", 2)', "print('kept:',2)"),
        NOTEBOOK,
        "cell 6: line 1: unformatted",
    ),
    (
        text.notebooks_are_formatted,
        lambda b: b.cells(("import math", ())),
        NOTEBOOK,
        "cell 13: line 1: F401",
    ),
]


@pytest.mark.parametrize(
    ("rule", "change", "begins", "goes_on"),
    BROKEN,
    ids=[f"{rule.__name__}-{index}" for index, (rule, *_) in enumerate(BROKEN)],
)
def test_a_broken_book_is_refused(small_book, rule, change, begins, goes_on):
    change(small_book)
    complaints = rule(small_book.tree)
    fitting = [c for c in complaints if c.startswith(begins) and goes_on in c]
    assert fitting, f"no complaint of {begins}: … {goes_on} … in {complaints}"


@pytest.mark.parametrize(
    ("place", "accepted"), [("before", True), ("after", False), ("absent", False)]
)
def test_a_chapter_asks_only_for_chapters_before_it(small_book, place, accepted):
    line = "      - file: book/foundations/stencils\n"
    other = line.replace("stencils", "other")
    lines = {"before": other + line, "after": line + other, "absent": line}
    small_book.edit("_toc.yml", line, lines[place])
    small_book.write("lesson_utils/other.py")
    small_book.append(MODULE, "from lesson_utils.other import it")
    assert (imports.layers_are_kept(small_book.tree) == []) is accepted


def test_every_rule_is_broken_somewhere():
    assert {rule for rule, *_ in BROKEN} == set(RULES)


# What looks like a breach and is none.
HONEST = [
    lambda b: b.append(MODULE, "\n\nREST = (\n    7\n    % 4\n)\n"),
    lambda b: b.append(MODULE, "\n\nSHOUT = lambda text: print(text)\n"),
    lambda b: b.append(MODULE, 'if __name__ == "__main__":\n    print(keep)\n'),
    lambda b: b.append(MODULE, "TABLE = {}\nTABLE['x'] = 1\n"),
    lambda b: b.edit(
        MODULE, "    from torch", "    from IPython import display\n    from torch"
    ),
    lambda b: b.edit(MODULE, "(N, M), of 0", "(B, classes * K, H // 2, ⌊W/2⌋), of 0"),
    lambda b: b.edit(MODULE, "mask: (N, M), of", "mask (Tensor): (N,), of"),
    lambda b: b.edit(
        "lesson_utils/common/plotting.py",
        "    from IPython",
        "    import lightning_fabric  # noqa: F401\n    from IPython",
    ),
    lambda b: b.edit(MODULE, "return values * self.mask", "raise ValueError"),
    lambda b: b.source(
        "what a stencil keeps", "what, e.g. BN or Li et al. Keep, keeps"
    ),
    lambda b: b.write("tests/test_checks_sandbox.py"),
    lambda b: b.append("book/index.md", "<https://example.org/home/masks/work/>"),
    lambda b: b.append("book/index.md", r"A map $F:\mathbb R \to \mathbb R$."),
    lambda b: b.source(
        "keeps.", "keeps, i.e. what 1.5 times 0 is, vs. what you expect!"
    ),
    lambda b: b.source("## Quiz", "```python\n## no heading\n```\n\n## Quiz – try it"),
    lambda b: b.source("Easy · 10 min", "Medium · 10–15 min"),
    lambda b: b.source('check("drop"', 'check("stencils.drop"'),
    lambda b: b.cells(("%timeit 2 + 2", ())),
    lambda b: b.cells(("![A disk](disk.png)", None)),
    lambda b: b.edit(
        NOTEBOOK, "| mask | 掩膜 |", r"| $\\lVert x\\rVert$ or a \\| b | 范数 |"
    ),
]


@pytest.mark.parametrize("change", HONEST, ids=range(len(HONEST)))
def test_an_honest_book_is_accepted(small_book, change):
    change(small_book)
    book = small_book.tree
    # ruff takes its time, and none of these changes is about its settings.
    rules = [rule for rule in RULES if rule is not text.notebooks_are_formatted]
    assert [fault for rule in rules for fault in rule(book)] == []


def test_the_command_prints_complaints_and_fails(small_book, monkeypatch, capsys):
    monkeypatch.setattr("tools.contract.__main__.ROOT", small_book.root)
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 0
    assert capsys.readouterr().out == f"{len(RULES)} rules hold.\n"
    small_book.remove(CHECKS)
    with pytest.raises(SystemExit) as done:
        main()
    assert done.value.code == 1
    complaint = f"{CHECKS}: the file is missing; the chapter 'stencils' has {NOTEBOOK}"
    assert complaint in capsys.readouterr().out


def test_words_are_counted_as_a_reader_would():
    source = """\
Two words, and $x + y$ with {cite:p}`key` and `code here` in [a link](http://x.y).

掩膜
```{exercise} Title
:label: a-b

**Easy · 10 min.** Don't.
```
```python
none of these
```
"""
    # Two words and with and in a link, Easy 10 min, Don't.
    assert prose_words(source) == 12


def test_directives_are_found_in_directives():
    source = "````{solution} a\n:class: dropdown\n\n```{figure} x.png\n```\n````"
    outer, inner = directives(source)
    assert (outer.name, outer.argument, outer.options) == (
        "solution",
        "a",
        {"class": "dropdown"},
    )
    assert (inner.name, inner.argument) == ("figure", "x.png")
