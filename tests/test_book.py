"""The contract of the book holds, and every rule of it has been seen to fail."""

import re

import pytest

from tests.small_book import (
    CELLS,
    CHECKS,
    EXERCISE,
    FACTS,
    FILES,
    MODULE,
    NOTEBOOK,
    OUTPUT,
    PLAIN,
    SENTENCE,
    make_small_book,
)
from tools.contract import (
    docstrings,
    exercises,
    figures,
    generated,
    imports,
    layout,
    measured,
    pattern,
    structure,
    text,
)
from tools.contract.__main__ import ROOT, main
from tools.contract.markdown import directives, prose_words
from tools.contract.rules import RULES
from tools.contract.tree import Tree
from tools.tables import write_tables

REAL = Tree(ROOT)


@pytest.fixture
def small_book(tmp_path):
    return make_small_book(tmp_path)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_book_keeps(rule):
    complaints = rule(REAL)
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_small_book_keeps(rule, small_book):
    assert rule(small_book.tree) == []


# A table of what was measured that has drifted.
LINKS = "\n<!-- made by python -m tools.tables: links -->\n| nothing |\n<!-- end -->\n"
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
        "cell 7: line 1",
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
        lambda b: b.edit("_toc.yml", "book/references", "book/foundations/other"),
        "_toc.yml",
        "under 'Before you start', not 'Foundations'",
    ),
    (
        layout.chapters_stand_in_parts,
        lambda b: b.append("_toc.yml", "      - file: book/losses/hashing\n"),
        "_toc.yml: Foundations",
        "must share one folder",
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
            f"{NOTEBOOK}: cell 14",
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
        f"{NOTEBOOK}: cell 14",
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
            ("11 min", "eleven minutes", "the facts must be"),
            (" · **Before** [arrays](https://example.org)", "", "the facts must be"),
            ("utils/stencils.py", "utils/masks.py", "module must be"),
        )
    ),
    (
        structure.first_cells_introduce,
        lambda b: b.rebuild(CELLS[3:]),
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
            ("## Going deeper", "### Going deeper", "headings: the sections must"),
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
            structure.chapters_describe_themselves,
            lambda b, o=old, n=new: b.edit(NOTEBOOK, o, n),
            f"{NOTEBOOK}: metadata: look_closer",
            says,
        )
        for old, new, says in (
            ('"builds": "a stencil"', '"builds": " "', "builds must say"),
            ('"builds": "a stencil"', '"builds": 3', "builds must say"),
            ('"builds": "a stencil"', '"builds": "a\\nb"', "in one line"),
            ('"builds"', '"makes"', "got None"),
            ('"seconds": 5', '"seconds": 61', "seconds must be … to 60, got 61"),
            ('"seconds": 5', '"seconds": 0', "got 0"),
            ('"seconds": 5', '"seconds": 4.5', "got 4.5"),
            ('"mib": 1200', '"mib": 2049', "mib must be a whole number from 1 to 2048"),
            ('"mib": 1200', '"mib": "much"', "got 'much'"),
            ('"look_closer": {', '"look_closer": [], "old": {', "got None"),
        )
    ),
    *(
        (generated.facts_are_true, change, f"{NOTEBOOK}: cell 0", due)
        for change, due in (
            (lambda b: b.source("**Core** 11", "**Core** 12"), repr(FACTS)),
            (lambda b: b.source("deeper** 1", "deeper** 0"), repr(FACTS)),
            (lambda b: b.source("**Exercises** 65", "**Exercises** 60"), repr(FACTS)),
            (lambda b: b.source("**Runs** 5", "**Runs** 4"), repr(FACTS)),
            (lambda b: b.source("utils/stencils.py", "utils/mask.py"), repr(FACTS)),
            (lambda b: b.source(SENTENCE * 100, SENTENCE * 122), "**Core** 13 min"),
            (lambda b: b.cells(("x = 1\n" * 24, ())), "**Core** 13 min"),
            (
                lambda b: b.edit(
                    MODULE,
                    "mask)\n    return",
                    "mask)\n" + "    3\n" * 24 + "    return",
                ),
                "**Core** 13 min",
            ),
            (
                lambda b: b.source("One more", SENTENCE * 22),
                "**Going deeper** 3 min",
            ),
            (lambda b: b.source("Easy · 10", "Easy · 25"), "**Exercises** 80 min"),
            (lambda b: b.edit(NOTEBOOK, '"seconds": 5', '"seconds": 6'), "Runs** 6 s"),
        )
    ),
    (
        measured.named_tables_are_up_to_date,
        lambda b: b.append("book/hardware.md", LINKS),
        "book/hardware.md",
        "links: the table must have the line '| page | link |', got '| nothing |'",
    ),
    (
        measured.named_tables_are_up_to_date,
        lambda b: b.append("book/hardware.md", LINKS.replace("links", "ghosts")),
        "book/hardware.md",
        "a table's name must be of benchmarks, mutants, … got ghosts",
    ),
    *(
        (generated.tables_are_up_to_date, change, page, says)
        for change, page, says in (
            *(
                (lambda b, p=page, o=old, n=new: b.edit(p, o, n), page, f"{old}…{new}")
                for page, old, new in (
                    ("README.md", "11", "12"),
                    ("README.md", "Foundations", "Beginnings"),
                    ("book/index.md", "a stencil", "a mask"),
                    ("book/exercises.md", "easy", "hard"),
                    ("book/exercises.md", "thinking", "code"),
                    ("book/hardware.md", "1,200", "1,250"),
                    ("book/glossary.md", "what is kept", "kept"),
                    ("lesson_utils/weights/README.md", "0.9", "1.0"),
                )
            ),
            (lambda b: b.remove("book/exercises.md"), "book/exercises.md", "got 0"),
            (lambda b: b.edit("README.md", "<!-- end -->", ""), "README.md", "got 0"),
            (
                lambda b: b.append("README.md", FILES["README.md"]),
                "README.md",
                "one table must stand between … got 2",
            ),
            (
                lambda b: b.edit("README.md", " 11 |\n", " 11 |\n| more |\n"),
                "README.md",
                "must have the line None, got '| more",
            ),
            (
                lambda b: b.edit(
                    "book/hardware.md",
                    "| [](foundations/stencils.ipynb) | 5 | 1,200 |\n",
                    "",
                ),
                "book/hardware.md",
                "1,200 |', got None",
            ),
            (
                lambda b: b.edit("lesson_utils/weights/net.json", "disks", "rings"),
                "lesson_utils/weights/README.md",
                "rings…disks",
            ),
            (
                lambda b: b.source("# Stencils", "# Masks"),
                "README.md",
                "Masks…Stencils",
            ),
            (
                lambda b: b.source("{exercise} keep", "{exercise} Hold on"),
                "book/exercises.md",
                "Hold on…keep",
            ),
            (
                lambda b: b.other("other", *CELLS),
                "book/hardware.md",
                "other.ipynb…got None",
            ),
        )
    ),
    (
        generated.terms_keep_their_chinese,
        lambda b: b.other(
            "other",
            (
                "## In Chinese\n\n| term | 中文 | in one line |\n|---|---|---|\n"
                "| Mask | 面具 | another |",
                None,
            ),
        ),
        "book/foundations/other.ipynb: In Chinese",
        f"'Mask' must be '掩膜', as in {NOTEBOOK}, got '面具'",
    ),
    (
        pattern.pictures_come_first,
        lambda b: b.without("    [0],"),
        f"{NOTEBOOK}: cell 2",
        "a picture must stand before the first section",
    ),
    (
        pattern.pictures_come_first,
        lambda b: b.cells(("x = 1\n" * 11, ()), at=2),
        f"{NOTEBOOK}: whole chapter",
        "at most 10 lines of code may be visible before the first picture, got 11",
    ),
    (
        pattern.drawing_is_folded,
        lambda b: b.tags("    [3],", "other"),
        f"{NOTEBOOK}: cell 12",
        "must be tagged hide-input",
    ),
    (
        pattern.drawing_is_folded,
        lambda b: b.tags("import stencils", "other"),
        f"{NOTEBOOK}: cell 1",
        "at most 3 imports may be visible in a cell, got 4",
    ),
    (
        pattern.visible_cells_are_short,
        lambda b: b.cells(("x = 1\n\n" * 26, ())),
        f"{NOTEBOOK}: cell 14",
        "at most 25 lines, got 26",
    ),
    (
        # 3,600 words of sentences and 76 others: 28.3 minutes, and 0.75 of code.
        pattern.core_paths_are_short,
        lambda b: b.source(SENTENCE * 100, SENTENCE * 300),
        f"{NOTEBOOK}: whole chapter",
        "must take 25 minutes at most, got 30, of 3676 words and 9 visible lines",
    ),
    *(
        (pattern.plain_versions_come_first, change, f"{NOTEBOOK}: From scratch", says)
        for change, says in (
            (lambda b: b.tags("def plain_keep", "other"), "plain-version, got 0"),
            (
                lambda b: b.tags("def plain_keep", "plain-version", "hide-input"),
                "got 0",
            ),
            (lambda b: b.cells(*[(PLAIN, ["plain-version"])] * 3, at=6), "got 4"),
            (
                lambda b: b.cells(("show_source(stencils.drop)", ()), at=6),
                "must stand before what show_source shows",
            ),
            (
                lambda b: b.rebuild([*CELLS[:6], *CELLS[7:9], CELLS[9], CELLS[6]]),
                "got 0",
            ),
        )
    ),
    *(
        (
            pattern.outputs_are_numbers,
            lambda b, t=text: b.cell('print("kept', outputs=[OUTPUT | {"text": [t]}]),
            f"{NOTEBOOK}: cell 8",
            f"must not end in True or False…got '{line}'",
        )
        for text, line in (
            ("equal: True\n", "equal: True"),
            ("1 of 2\nequal: False \n2\n", "equal: False"),
            ("tensor(True)\n", "tensor(True)"),
        )
    ),
    (
        pattern.symptoms_have_remedies,
        lambda b: b.source("| symptom |", "| sign |"),
        f"{NOTEBOOK}: Where it goes wrong",
        "there must be a table with the head '| symptom",
    ),
    (
        pattern.symptoms_have_remedies,
        lambda b: (
            b.rebuild(
                [*CELLS[:14], ("## Where it goes wrong", None), *CELLS[15:], CELLS[14]]
            )
            or b.source("## Where it goes wrong — often", "## Further reading")
        ),
        f"{NOTEBOOK}: Where it goes wrong",
        "there must be a table",
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
            f"{NOTEBOOK}: cell 2",
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
            f"{NOTEBOOK}: cell 14",
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
            f"{NOTEBOOK}: cell 14",
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
            (lambda b: b.rebuild([*CELLS[:-8], *CELLS[-6:]]), "got 2"),
            (
                lambda b: b.cells(
                    (EXERCISE.format(title="x", label="x", effort="x") * 3, None), at=-8
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
        lambda b: b.cells(("keep([1], [1])", ()), at=-7),
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
        f"{NOTEBOOK}: cell 4",
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
            f"{NOTEBOOK}: cell 14",
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
        f"{NOTEBOOK}: cell 8",
        "path of one machine",
    ),
    (
        text.no_machine_is_named,
        lambda b: b.append("book/index.md", "See `/root/data`."),
        "book/index.md: line 48",
        "path of one machine",
    ),
    (
        text.notebooks_are_formatted,
        lambda b: b.source('print("kept:", 2)', "print('kept:',2)"),
        NOTEBOOK,
        "cell 8: line 1: unformatted",
    ),
    (
        text.notebooks_are_formatted,
        lambda b: b.cells(("import math", ())),
        NOTEBOOK,
        "cell 14: line 1: F401",
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
    pattern = ".*".join(map(re.escape, [begins, *goes_on.split("…")]))
    fitting = [complaint for complaint in complaints if re.match(pattern, complaint)]
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


@pytest.mark.parametrize(
    ("output", "number"),
    [
        ({"output_type": "error"}, 0),
        ({"output_type": "display_data", "data": {"image/png": ""}}, 0),
        ({"output_type": "execute_result", "data": {"text/plain": ["True"]}}, 1),
        ({"output_type": "execute_result", "data": {"text/plain": "(True, 1)"}}, 0),
    ],
)
def test_outputs_of_every_kind_are_read(small_book, output, number):
    small_book.cell('print("kept', outputs=[output])
    assert len(pattern.outputs_are_numbers(small_book.tree)) == number


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
    lambda b: b.cells(("x = 1\n" * 10, ()), at=2),
    lambda b: b.cells(("x = 1\n\n" * 25, ())),
    lambda b: b.cells(("import math\nimport re\nimport ast", ())),
    lambda b: b.source("One more line.", SENTENCE * 1000),
    lambda b: b.cells(*[(PLAIN, ["plain-version"])] * 2, at=6),
    lambda b: b.tags("show_source(stencils.keep)", "hide-input"),
    lambda b: b.cells(("![A disk](disk.png)", None)),
    lambda b: b.edit(
        NOTEBOOK, "| mask | 掩膜 |", r"| $\\lVert x\\rVert$ or a \\| b | 范数 |"
    ),
]


@pytest.mark.parametrize("change", HONEST, ids=range(len(HONEST)))
def test_an_honest_book_is_accepted(small_book, change):
    change(small_book)
    write_tables(small_book.root)
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
