"""A small book of one chapter that keeps every rule of the contract.

Nothing in it imports torch, so that its checks are imported in no time.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from tools.contract.__main__ import ROOT
from tools.contract.tree import Tree

FILES = {
    "_toc.yml": """\
format: jb-book
root: book/index
parts:
  - caption: Before you start
    chapters:
      - file: book/references
      - file: book/teachers
      - file: book/exercises
      - file: book/hardware
      - file: book/glossary
  - caption: Foundations
    chapters:
      - file: book/foundations/stencils
""",
    "book/references.md": "# References\n\n```{bibliography}\n```\n",
    # The tables are written out here, so that the rules have something to be held to.
    "README.md": """\
# Small book

<!-- made by python -m tools.tables -->
| part | chapter | what you build | core path, min |
|---|---|---|---|
| Foundations | [Stencils](book/foundations/stencils.ipynb) | a stencil | 11 |
<!-- end -->

The end.
""",
    "book/index.md": """\
# Small book

All in {cite:p}`shimrat1962algorithm`.

<!-- made by python -m tools.tables -->
## Three ways in

::::{grid} 1 2 3 3
:gutter: 3

:::{grid-item-card} Ninety minutes
*0 chapters, 0 min*

To find out whether this is for you.
:::

:::{grid-item-card} The ten classic topics
*0 chapters, 0 min*

What everyone in the field is expected to know.
:::

:::{grid-item-card} All of it
*1 chapter, 11 min*

In the order of the list at the side.
:::
::::

## The chapters

::::{grid} 1 2 3 3
:gutter: 3

:::{grid-item-card} Foundations
*1 chapter, 11 min*

- [](foundations/stencils.ipynb), 11 min
:::
::::

:::{dropdown} What you build in each
| part | chapter | what you build | core path, min |
|---|---|---|---|
| Foundations | [](foundations/stencils.ipynb) | a stencil | 11 |
:::
<!-- end -->
""",
    "book/teachers.md": """\
# For teachers

<!-- made by python -m tools.tables -->
| week | topic | lecture | min | at home | min | checked exercises |
|---|---|---|---|---|---|---|
<!-- end -->
""",
    "book/exercises.md": """\
# Exercises

<!-- made by python -m tools.tables -->
| chapter | exercise | kind | difficulty | min |
|---|---|---|---|---|
| [](foundations/stencils.ipynb) | [keep](#stencils-keep) | code | easy | 10 |
| [](foundations/stencils.ipynb) | [drop](#stencils-drop) | code | easy | 10 |
| [](foundations/stencils.ipynb) | [Why?](#stencils-why) | thinking | hard | 5 to 15 |
| [](foundations/stencils.ipynb) | [Large](#stencils-large) | at full size | | 30 |
<!-- end -->
""",
    "book/hardware.md": """\
# Hardware

<!-- made by python -m tools.tables -->
| chapter | seconds | peak memory, MiB |
|---|---|---|
| [](foundations/stencils.ipynb) | 5 | 1,200 |
<!-- end -->
""",
    "book/glossary.md": """\
# Glossary

<!-- made by python -m tools.tables -->
| term | 中文 | in one line | chapter |
|---|---|---|---|
| mask | 掩膜 | what is kept | [](foundations/stencils.ipynb) |
<!-- end -->
""",
    "lesson_utils/weights/README.md": """\
<!-- made by python -m tools.tables -->
| file | trained on | reaches | time | command |
|---|---|---|---|---|
| `net.safetensors` | disks | accuracy 0.9 over 2 classes | 1.5 min, seed 0 | `python -m n` |
<!-- end -->
""",  # noqa: E501
    "lesson_utils/weights/net.json": """\
{
 "command": "python -m n", "data": "disks", "seed": 0, "seconds": 90,
 "accuracy": 0.9, "classes": ["disk", "ring"]
}
""",
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


FACTS = (
    "**Core** 11 min · **Going deeper** 1 min · **Exercises** 65 min · "
    "**Runs** 5 s on a CPU · **Module** `lesson_utils/stencils.py` · "
    "**Before** [arrays](https://example.org)"
)
PLAIN = """\
def plain_keep(values, mask):
    return [value * bit for value, bit in zip(values, mask, strict=True)]


plain_keep([1, 2], [0, 1])"""

# Each cell as (source, tags); Markdown has None for tags. What is read of the core is
# 1,200 words of sentences and 76 others (the digits of the facts count as words), and
# 9 lines of code: 3 of the plain version, 1 that asks for a source, 4 of that source,
# 1 that prints. That is 9.8 and 0.75 minutes.
CELLS = [
    (f"# Stencils\n\nLearn what a stencil keeps.\n\n{FACTS}", None),
    (
        "from lesson_utils import stencils\n"
        "from lesson_utils.checks import check\n"
        "from lesson_utils.common.plotting import show_images, show_source\n"
        "from lesson_utils.common.quiz import show_quiz",
        ["hide-input"],
    ),
    (FIGURE.format(number=0), ["hide-input"]),
    ("## The idea: a stencil\n\n" + SENTENCE * 100, None),
    ("## The mathematics\n\nAs {cite:t}`shimrat1962algorithm` has it.", None),
    ("## From scratch", None),
    (PLAIN, ["plain-version"]),
    ("show_source(stencils.keep)", ()),
    ('print("kept:", 2)', ["nbval-check-output", "keep_output"]),
    ("## See it work", None),
    *((FIGURE.format(number=number), ["hide-input"]) for number in range(1, 5)),
    (
        "## Where it goes wrong — often\n\n"
        "| symptom | cause | remedy |\n|---|---|---|\n| gray | zeros | divide |",
        None,
    ),
    ("## Exercises", None),
    *checked_exercise("keep"),
    *checked_exercise("drop"),
    (
        EXERCISE.format(title="Why?", label="why", effort="Hard · 5 to 15")
        + SOLUTION.format(label="why"),
        None,
    ),
    (
        EXERCISE.format(title="Large", label="large", effort="At full size · 30")
        + SOLUTION.format(label="large"),
        None,
    ),
    ("## Quiz", None),
    ("show_quiz([1, 2, 3])", ["remove-input"]),
    ("## Summary\n\n" + "- A line,\n  which goes on.\n" * 5, None),
    ("## Going deeper\n\nOne more line.", None),
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
ABOUT = {"builds": "a stencil", "mib": 1200, "seconds": 5}


def cell_of(index, source, tags):
    cell = {"cell_type": "markdown", "id": str(index), "metadata": {}, "source": source}
    if tags is None:
        return cell
    if tags:
        cell["metadata"]["tags"] = tags
    outputs, count = ([OUTPUT], 1) if "keep_output" in tags else ([], None)
    return cell | {"cell_type": "code", "execution_count": count, "outputs": outputs}


KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def notebook_of(cells):
    return {
        "cells": [cell_of(index, *cell) for index, cell in enumerate(cells)],
        "metadata": {"kernelspec": KERNEL, "look_closer": ABOUT},
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
        at = 14 if at is None else at
        self.rebuild([*CELLS[:at], *more, *CELLS[at:]])

    def without(self, holding):
        self.rebuild([cell for cell in CELLS if holding not in cell[0]])

    def rebuild(self, cells):
        notebook = json.dumps(notebook_of(cells), indent=1, ensure_ascii=False)
        self.write(NOTEBOOK, notebook + "\n")

    def other(self, stem, *cells):
        """Add another chapter's notebook, which comes after, and nothing else of it."""
        path = f"book/foundations/{stem}.ipynb"
        self.write(path, json.dumps(notebook_of(cells), ensure_ascii=False))
        self.append("_toc.yml", f"      - file: book/foundations/{stem}\n")


def make_small_book(root):
    book = SmallBook(root)
    for path, content in FILES.items():
        book.write(path, content)
    book.rebuild(CELLS)
    book.write("pyproject.toml", (ROOT / "pyproject.toml").read_text("utf-8"))
    return book
