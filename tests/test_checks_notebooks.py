"""`python -m lesson_utils.checks`: listing exercises, grading folders of notebooks."""

import sys

import nbformat
import pytest

from lesson_utils import checks
from lesson_utils.checks.__main__ import main
from lesson_utils.grading import notebooks, render  # noqa: F401 before `__path__` changes

CHAPTER = """
from lesson_utils.grading.exercise import Case, Exercise

def double(x):
    if x < 0:
        raise ValueError
    return 2 * x

def cases():
    yield Case("one", (1,), expected=2)
    yield Case("none", (0,), expected=0)
    yield Case("below 0", (-1,), raises=ValueError)

EXERCISES = (
    Exercise("double", double, cases, hints=("a", "b")),
    Exercise("twice", double, cases, hints=("a", "b", "c")),
)
"""


@pytest.fixture
def book(tmp_path, monkeypatch):
    """The folder of a book whose one chapter, `made`, has two exercises."""
    folder = tmp_path / "book"
    folder.mkdir()
    (folder / "made.py").write_text(CHAPTER)
    monkeypatch.setattr(checks, "__path__", [str(folder)])
    yield folder
    sys.modules.pop("lesson_utils.checks.made", None)
    vars(checks).pop("made", None)


@pytest.fixture
def write(tmp_path, book):
    """Writes a notebook of code cells, whose kernel may know the made chapter too."""
    setup = (
        "import lesson_utils.checks as checks\n"
        "from lesson_utils.checks import check\n"
        f"checks.__path__[:] = [{str(book)!r}]"
    )

    def make(name, *cells, knows_book=True):
        cells = (setup, *cells) if knows_book else cells
        notebook = nbformat.v4.new_notebook()
        notebook.cells = [nbformat.v4.new_markdown_cell("# Title")]
        notebook.cells += [nbformat.v4.new_code_cell(c) for c in cells]
        path = tmp_path / "solved" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nbformat.write(notebook, path)
        return path

    make.folder = tmp_path / "solved"
    return make


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    return code, [
        " ".join(line.split()) for line in capsys.readouterr().out.splitlines()
    ]


def test_exercises_are_listed_in_columns(book, capsys):
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "chapter  exercise  cases  to harden  hints",
        "made     double    3      1          2",
        "made     twice     3      1          3",
    ]


def test_right_unattempted_and_raising_cells_are_no_failure(write, capsys):
    path = write(
        "anna/made.ipynb",
        "from pathlib import Path\nassert Path.cwd().name == 'anna'",
        "check('double', lambda x: x)",  # corrected below: the last check counts
        "undefined_name",
        "check('made.double', lambda x: x + x)",
        "def twice(x):\n    raise NotImplementedError",
        "check('twice', twice)",
    )
    before = path.read_bytes()
    copy = path.parent / ".ipynb_checkpoints" / "made-checkpoint.ipynb"
    copy.parent.mkdir()
    copy.write_text("not read")
    code, lines = run(capsys, write.folder)
    assert code == 0
    assert lines == [
        "notebook exercise state",
        "anna/made.ipynb double right, not hardened (below 0)",
        "anna/made.ipynb twice not attempted",
        "anna/made.ipynb: cell [4] `undefined_name` raised NameError: "
        "name 'undefined_name' is not defined",
        f"{write.folder}: 1 of 2 exercises right, 0 of 1 chapters complete; "
        "next: twice in made.ipynb",
    ]
    assert path.read_bytes() == before


def test_wrong_and_missing_answers(write, capsys):
    write("made.ipynb", "check('double', lambda x: x + 1)")
    code, lines = run(capsys, write.folder)
    assert code == 1
    assert lines[1:] == [
        "made.ipynb double wrong (none)",
        "made.ipynb twice not found",
        f"{write.folder}: 0 of 2 exercises right, 0 of 1 chapters complete; "
        "next: double in made.ipynb",
    ]


def said(name, state="right"):
    """A cell that shows what `check` would; it needs no torch, and so starts fast."""
    record = {"name": name, "state": state, "case": None, "hint": None}
    metadata = {render.RECORD: record}
    show = f"display({{'text/plain': ''}}, raw=True, metadata={metadata})"
    return f"from IPython.display import display\n{show}"


def test_a_notebook_that_cannot_end_hides_no_other(write, capsys):
    endless = (said("made.double"), "while True:\n    pass", said("made.twice"))
    path = write("a/made.ipynb", *endless, knows_book=False)
    notebook = nbformat.read(path, as_version=4)
    record = {"name": "made.twice", "state": "right", "case": None}
    stored = nbformat.v4.new_output("display_data", metadata={render.RECORD: record})
    notebook.cells[3].outputs = [stored]
    nbformat.write(notebook, path)  # an output stored by an earlier run is no proof
    write("b/other.ipynb", said("x"), "import os\nos._exit(1)", knows_book=False)

    code, lines = run(capsys, write.folder, "--timeout", "3")
    assert code == 1
    assert lines[1:] == [
        "a/made.ipynb double right",
        "a/made.ipynb twice not found",
        "b/other.ipynb x right",
        "a/made.ipynb: cell [2] `while True:` did not end within 3 s; "
        "the cells after it were not run",
        "b/other.ipynb: cell [2] `import os` ended the kernel; "
        "the cells after it were not run",
        f"{write.folder}: 2 of 3 exercises right, 1 of 2 chapters complete; "
        "next: twice in made.ipynb",
    ]


def test_each_of_a_class_has_a_line_of_progress(write, capsys):
    both = (said("made.double"), said("made.twice"))
    write("anna/made.ipynb", *both, knows_book=False)
    write("ben/made.ipynb", both[1], knows_book=False)
    code, lines = run(capsys, write.folder)
    assert code == 0
    assert lines[-2:] == [
        "anna: 2 of 2 exercises right, 1 of 1 chapters complete",
        "ben: 1 of 2 exercises right, 0 of 1 chapters complete; "
        "next: double in made.ipynb",
    ]


def test_a_file_that_is_no_notebook(write, capsys):
    write.folder.mkdir()
    (write.folder / "made.ipynb").write_text("{")
    code, lines = run(capsys, write.folder)
    assert code == 1
    assert lines[-2].startswith("made.ipynb: cannot be read:")
    assert "0 of 2 exercises right" in lines[-1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "missing is not a folder"),
        (["a_file"], "a_file is not a folder"),
        (["empty"], "empty has no notebooks (*.ipynb) in it or below it"),
        (["empty", "--timeout", "0"], "--timeout must be positive, not 0"),
        (["empty", "--timeout", "nan"], "--timeout must be positive, not nan"),
        (["empty", "--timeout", "soon"], "invalid float value: 'soon'"),
        (["empty", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_arguments_that_cannot_be_used(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "a_file").touch()
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
