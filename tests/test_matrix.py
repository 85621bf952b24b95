"""Other versions of Python and torch: whose pins, what is missing, what is told."""

import json
import subprocess
import sys

import pytest

from tools import matrix

PINS = """\
# Networks.
torch==2.14.1
torchvision==0.29.2              # a pair
torchmetrics==1.9.0
nvidia-cublas==13.1.1.3
triton==3.8.0
numpy==2.4.6
"""


def test_only_torch_and_what_goes_with_it_is_exchanged():
    assert matrix.with_torch(PINS, "2.11.0", "0.26.0").splitlines() == [
        "# Networks.",
        "torch==2.11.0",
        "torchvision==0.26.0",
        "torchmetrics==1.9.0",
        "numpy==2.4.6",
    ]


def test_a_pin_is_read():
    assert matrix.pinned(PINS, "torchvision") == "0.29.2"
    with pytest.raises(ValueError, match="requirements.txt must pin scipy"):
        matrix.pinned(PINS, "scipy")


def test_the_running_interpreter_is_found_and_none_of_the_future(monkeypatch):
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    monkeypatch.setattr(matrix.shutil, "which", lambda name: sys.executable)
    assert matrix.interpreter(version) == sys.executable
    assert matrix.interpreter("3.99") is None


class TestCells:
    @pytest.fixture
    def cell(self, tmp_path, monkeypatch):
        """A cell whose commands are recorded; those with a word of `fail` fail."""
        called, fail = [], {}

        def run(command, **_):
            called.append(" ".join(map(str, command)))
            word = next((word for word in fail if word in called[-1]), None)
            out = fail.get(word, "3 passed in 2.1s\n")
            return subprocess.CompletedProcess(command, word is not None, out, out)

        monkeypatch.setattr(matrix.subprocess, "run", run)
        monkeypatch.setattr(matrix, "interpreter", lambda version: "/python3.13")

        def measure(*tests):
            return matrix.measure("3.13", "2.14.1", "0.29.2", list(tests), tmp_path)

        return measure, called, fail

    def test_a_cell_is_made_once_and_its_tests_run(self, cell):
        measure, called, _ = cell
        outcome = measure()
        assert (outcome.state, outcome.text) == ("passed", "3 passed")
        assert outcome.tests == "all unit tests"
        words = ["-m venv", "requirements.txt", "--no-deps", "import", "not browser"]
        assert all(word in call for word, call in zip(words, called, strict=True))
        assert called[-1].endswith(" tests")
        called.clear()
        assert measure("nms").tests.endswith("the tests of nms")
        assert len(called) == 2
        assert called[-1].endswith(" tests/test_nms.py")

    def test_a_wheel_that_is_missing_is_named_and_nothing_half_made_stays(
        self, cell, tmp_path
    ):
        measure, _, fail = cell
        fail["requirements.txt"] = "notice\nERROR: No matching distribution for faiss\n"
        outcome = measure()
        assert outcome.state == "could not be had"
        assert outcome.text == "No matching distribution for faiss"
        assert outcome.tests == "none"
        assert not list(tmp_path.iterdir())

    def test_an_interpreter_that_is_missing(self, cell, monkeypatch):
        measure, called, _ = cell
        monkeypatch.setattr(matrix, "interpreter", lambda version: None)
        assert "no interpreter of Python 3.13" in measure().text
        assert called == []

    def test_a_disk_that_is_full(self, cell, monkeypatch):
        measure, called, _ = cell
        monkeypatch.setattr(matrix.shutil, "disk_usage", lambda _: FULL)
        assert measure().text == "less than 9 GB are free on the disk"
        assert called == []

    @pytest.mark.parametrize(
        ("word", "says"),
        [
            ("import lesson_utils", "ImportError: no such name"),
            ("-m pytest", "1 failed, 2 passed"),
        ],
    )
    def test_what_fails_says_its_last_line(self, cell, word, says):
        measure, _, fail = cell
        fail[word] = f"Traceback\n{says}\n"
        outcome = measure("nms")
        assert (outcome.state, outcome.text) == ("failed", says)


class FULL:
    free = 1e9


def test_every_module_is_imported():
    names = matrix.imports_of(matrix.ROOT)
    assert {"lesson_utils", "lesson_utils.nms", "lesson_utils.common.boxes"} < {*names}
    assert not any("__" in name for name in names)


def test_no_other_goal_calls_it():
    text = (matrix.ROOT / "tools/pipeline.py").read_text("utf-8")
    assert "matrix" not in text
    assert "mutants" not in text


def test_the_committed_cells_are_those_of_the_tool():
    rows = json.loads((matrix.ROOT / matrix.MEASURED).read_text("utf-8"))
    pythons = {python for python, _, _ in matrix.CELLS}
    for row in rows:
        assert row["python"] in pythons
        assert row["state"] in ("passed", "failed", "could not be had")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["2.7"], "python must be of 3.12, 3.13, 3.11, got '2.7'"),
        (["--tests", "ghosts"], "--tests must name files of tests by stem, got 'gh"),
    ],
)
def test_what_it_refuses(arguments, says, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["matrix", *arguments])
    with pytest.raises(SystemExit):
        matrix.main()
    assert says in capsys.readouterr().err
