"""Executing notebooks: once each, side by side, compared, and what goes wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools import compare, environment, execute, pipeline, run_notebook, store_outputs

GOOD, BAD = "print('fine')", "fruit = {}\n\nfruit['pear']"
CHECKED = ["nbval-check-output", "keep_output"]
KILL_WORKER = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"
KILL_KERNEL = "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def tree(tmp_path):
    for name in ("requirements.txt", "constraints.txt"):
        (tmp_path / name).write_text("")
    return tmp_path


def code(source, stored=None):
    cell = nbformat.v4.new_code_cell(source)
    if stored is not None:
        cell.metadata.tags = CHECKED
        cell.execution_count = 1
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=stored)]
    return cell


def write(root, **chapters):
    lines = ["root: book/index", "parts:", "  - caption: Fruit", "    chapters:"]
    for name, sources in chapters.items():
        cells = [code(s) if isinstance(s, str) else s for s in sources]
        for index, cell in enumerate(cells):
            cell.id = str(index)
        path = root / "book" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        lines.append(f"      - file: book/{name}")
    (root / "_toc.yml").write_text("\n".join(lines))


def executed(root, name):
    return nbformat.read(root / f"_build/executed/book/{name}.ipynb", as_version=4)


def text_of(cell):
    return "".join(output.get("text", "") for output in cell.outputs)


def call(tree, monkeypatch, *options):
    """The command, as the steps of `make` call it, on a tree; its exit status."""
    monkeypatch.setattr(execute, "ROOT", tree)
    monkeypatch.setattr("sys.argv", ["execute", *options])
    with pytest.raises(SystemExit) as stop:
        execute.main()
    return stop.value.code


def test_pages_are_listed_in_reading_order(tree):
    write(tree, pears=[], apples=[])
    pages = ["book/index", "book/pears", "book/apples"]
    assert execute.listed_pages(tree) == pages


class TestOnce:
    """What a notebook costs: one execution, counted by the notebook itself."""

    def options(self, goal):
        (command,) = pipeline.commands("notebooks", goal)
        assert command[:2] == ["-m", "tools.execute"]
        return command[2:]

    def test_test_executes_each_once_and_book_none_before_or_after(
        self, tree, monkeypatch, capsys
    ):
        count = "from pathlib import Path\nwith open('../count', 'a') as f:\n"
        count += "    f.write('apples ')\nprint('fine')"
        write(tree, apples=[code(count, "fine\n")], pears=[GOOD])
        for goal in ("test", "book", "test"):
            assert call(tree, monkeypatch, *self.options(goal)) == 0
        assert (tree / "count").read_text() == "apples "
        assert "2 up to date, 0 to run" in capsys.readouterr().out

    def test_no_step_of_a_goal_executes_beside_that_one(self):
        for goal, steps in (("book", pipeline.BOOK), ("test", pipeline.TEST)):
            called = [c for step in steps for c in pipeline.commands(step, goal)]
            assert sum("tools.execute" in c for c in called) == 1
            assert not any("nbval" in part for c in called for part in c)

    def test_only_the_changed_ones_again(self, tree, capsys):
        write(tree, apples=[GOOD], pears=[GOOD])
        source = tree / "book/apples.ipynb"
        before = source.read_bytes()
        first = execute.execute_all(tree, jobs=2)
        assert [run.error for run in first] == [None, None]
        lines = capsys.readouterr().out
        assert "0 up to date, 2 to run" in lines
        assert "2/2  " in lines
        assert text_of(executed(tree, "apples").cells[0]) == "fine\n"
        assert 20 < executed(tree, "apples").metadata.look_closer.peak_mib < 2000
        assert source.read_bytes() == before

        write(tree, apples=[GOOD], pears=["print('changed')"])
        (again,) = execute.execute_all(tree, jobs=2)
        assert again.notebook.stem == "pears"


class TestComparison:
    """nbval compares what the pages are built from."""

    def test_a_changed_output_stops_test_but_not_book(self, tree, monkeypatch, capsys):
        write(tree, apples=[GOOD, code(GOOD, "good\n")], pears=[code(GOOD, "fine\n")])
        assert call(tree, monkeypatch) == 0
        told = capsys.readouterr().out
        assert "apples.ipynb::Cell 1" in told
        assert "Cell outputs differ" in told  # nbval's own words
        assert "'good\\n' == 'fine\\n'" in told
        assert "pears" not in told.partition("Checked outputs differ")[2]
        assert text_of(executed(tree, "apples").cells[1]) == "fine\n"
        assert call(tree, monkeypatch, "--strict") == 1
        assert "Cell outputs differ" in capsys.readouterr().err

    def test_progress_comes_out_as_in_jupyter(self, tree):
        sources = [
            "print('10 %', end='\\r')\nprint('fine')",
            "from IPython.display import clear_output\n"
            "print('10 %')\nclear_output()\nprint('fine')",
            "print('fi', end='', flush=True)\nprint('ne')",
        ]
        write(tree, apples=[code(source, "fine\n") for source in sources])
        (run,) = execute.execute_all(tree, jobs=1)
        assert run.error is None
        assert compare.differences(tree, [run.notebook]) == ""
        shown = [text_of(cell) for cell in executed(tree, "apples").cells]
        assert [text.rpartition("\r")[2] for text in shown] == ["fine\n"] * 3

    def test_two_builds_give_the_same_checked_outputs(self, tree):
        """The outputs of one run are stored; another kernel's are held against them."""
        trains = (
            "network = torch.nn.Linear(3, 1)\n"
            "optimizer = torch.optim.SGD(network.parameters(), lr=0.1)\n"
            "inputs = torch.randn(8, 3)\n"
            "for _ in range(20):\n"
            "    loss = (network(inputs) - inputs[:, :1]).square().mean()\n"
            "    optimizer.zero_grad()\n"
            "    loss.backward()\n"
            "    optimizer.step()\n"
            "print(loss.item())"
        )
        programs = {
            "seeded": "import torch\ntorch.manual_seed(0)\n" + trains,
            "unseeded": "import torch\n" + trains,
        }
        write(tree, **{name: [code(text, "")] for name, text in programs.items()})
        paths = {name: tree / f"book/{name}.ipynb" for name in programs}
        for path in paths.values():
            assert store_outputs.store(path) is None
        assert [run.error for run in execute.execute_all(tree, jobs=1)] == [None] * 2
        assert compare.differences(tree, [paths["seeded"]]) == ""
        told = compare.differences(tree, list(paths.values()))
        assert "unseeded.ipynb::Cell 0" in told
        assert "/seeded.ipynb::Cell 0" not in told

    def test_a_display_is_updated_where_it_stands(self, tree):
        show = "from IPython.display import display\nd = display(1, display_id=True)"
        write(tree, apples=[show, "d.update(2)\n3"])
        execute.execute_all(tree, jobs=1)
        first, second = executed(tree, "apples").cells
        assert first.outputs[0].data["text/plain"] == "2"
        assert second.outputs[0].data["text/plain"] == "3"
        assert (first.execution_count, second.execution_count) == (1, 2)

    def test_an_expected_error_is_no_fault(self, tree, monkeypatch):
        cell = code(BAD)
        cell.metadata.tags = ["raises-exception"]
        write(tree, apples=[cell, code(GOOD, "fine\n")])
        assert call(tree, monkeypatch, "--strict") == 0

    def test_what_was_not_executed_is_an_error(self, tree):
        write(tree, apples=[code(GOOD, "fine\n")])
        told = compare.differences(tree, [tree / "book/apples.ipynb"])
        assert "apples.ipynb was not executed" in told

    def test_another_cell_than_was_executed_is_an_error(self, tree):
        write(tree, apples=[code(GOOD, "fine\n")])
        execute.execute_all(tree, jobs=1)
        write(tree, apples=[code("print('fine' )", "fine\n")])
        told = compare.differences(tree, [tree / "book/apples.ipynb"])
        assert "the executed copy has no such cell" in told

    def test_nbval_alone_still_starts_a_kernel(self, tree):
        write(tree, apples=[code("print(6 * 7)", "41\n")])
        command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env"]
        run = subprocess.run(
            [*command, "-p", "no:cacheprovider", "book/apples.ipynb"],
            cwd=tree,
            env=environment.clean(os.environ),
            capture_output=True,
            text=True,
        )
        assert run.returncode == 1
        assert "42" in run.stdout
        assert "Cell outputs differ" in run.stdout


class TestFailures:
    """Chapter, cell and traceback; and the others run all the same."""

    def test_a_cell_that_raises_leaves_no_copy(self, tree, monkeypatch, capsys):
        write(tree, apples=[GOOD, BAD])
        copy = tree / "_build/executed/book/apples.ipynb"
        copy.parent.mkdir(parents=True)
        copy.write_bytes((tree / "book/apples.ipynb").read_bytes())
        for options in ([], ["--strict"]):
            assert call(tree, monkeypatch, *options) == 1
            told = capsys.readouterr()
            assert "book/apples.ipynb, cell 1 (fruit = {}):" in told.err
            assert "KeyError: 'pear'" in told.err
            assert "\x1b" not in told.err
            assert "apples" in told.out.partition("FAILED")[0]
            assert not copy.exists()

    def test_a_death_costs_its_own_chapter(self, tree, monkeypatch, capsys):
        good = code(GOOD, "fine\n")
        write(tree, apples=[KILL_WORKER], pears=[KILL_KERNEL], plums=[good])
        assert call(tree, monkeypatch, "--jobs", "1") == 1
        told = capsys.readouterr()
        assert "3/3" in told.out
        apples, pears = told.err.strip().split("\n\n")
        assert apples.startswith("book/apples.ipynb, the process that ran it was ended")
        assert "by signal 9" in apples
        assert pears.startswith("book/pears.ipynb, cell 0 (import os, signal):")
        assert "the kernel died" in pears
        assert text_of(executed(tree, "plums").cells[0]) == "fine\n"

    def test_a_cell_that_does_not_end_is_stopped(self, tree, monkeypatch):
        monkeypatch.setattr(run_notebook, "CELL_SECONDS", 1)
        book = nbformat.v4.new_notebook(cells=[code("while True: pass")])
        error = run_notebook.run_cells(book, tree / "book.ipynb", tree).error
        assert "did not end within 1 s" in error

    def test_a_kernel_that_does_not_start_says_why(self, tree, monkeypatch):
        broken = tree / "kernel.py"
        broken.write_text("raise SystemExit('no kernel today')")
        monkeypatch.setattr(run_notebook.kernel, "__file__", str(broken))
        book = nbformat.v4.new_notebook(cells=[code(GOOD)])
        error = run_notebook.run_cells(book, tree / "book.ipynb", tree).error
        assert "before the first cell:\nthe kernel did not start" in error

    def test_a_copy_that_cannot_be_read_is_made_again(self, tree):
        write(tree, apples=[GOOD])
        execute.execute_all(tree, jobs=1)
        (tree / "_build/executed/book/apples.ipynb").write_text("{")  # half of it
        assert len(execute.execute_all(tree, jobs=1)) == 1


class TestOfWhomeverBuilds:
    """Nothing of the builder's machine gets into a page."""

    @pytest.fixture
    def hostile(self, tmp_path, monkeypatch):
        """Everything that somebody may have set, each of which would be seen."""
        there = tmp_path / "hostile"
        for name, text in {
            "path/lesson_utils/__init__.py": "FOREIGN = True",
            "path/numpy/__init__.py": "raise ImportError('a broken numpy')",
            "jupyter/kernels/python3/kernel.json": json.dumps(
                {"argv": ["/bin/false"], "display_name": "x", "language": "python"}
            ),
            "ipython/profile_default/startup/00.py": "leaked = True",
            "matplotlibrc": "lines.linewidth: 37",
        }.items():
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            (there / name).write_text(text)
        for name, value in {
            "PYTHONPATH": there / "path",
            "PYTHONOPTIMIZE": 2,
            "PYTHONSTARTUP": there / "nowhere.py",
            "PYTHONWARNINGS": "error",
            "JUPYTER_PATH": there / "jupyter",
            "IPYTHONDIR": there / "ipython",
            "MATPLOTLIBRC": there / "matplotlibrc",
            "MPLBACKEND": "nonsense",
            "OMP_NUM_THREADS": 7,
            "PYTEST_ADDOPTS": "--nonsense",
            "HTTP_PROXY": "http://127.0.0.1:9",
            "all_proxy": "socks5://127.0.0.1:9",
        }.items():
            monkeypatch.setenv(name, str(value))

    def test_makes_no_difference(self, tree, hostile, monkeypatch, capsys):
        look = (
            "import os, sys, matplotlib, lesson_utils, numpy, torch\n"
            "def doc(): 'said'\n"
            "print(sys.executable)\n"
            "print(lesson_utils.__file__)\n"
            "print(matplotlib.rcParams['lines.linewidth'], 'leaked' in globals())\n"
            "print(doc.__doc__, torch.get_num_threads())\n"
            "print([n for n in os.environ if 'PROXY' in n.upper()])"
        )
        ours = Path(environment.ROOT, "lesson_utils", "__init__.py")
        wanted = f"{sys.executable}\n{ours}\n1.5 False\nsaid 1\n[]\n"
        write(tree, apples=[code(look, wanted)])
        assert call(tree, monkeypatch, "--strict") == 0, capsys.readouterr().err

    def test_a_system_without_the_resource_module(self):
        without = "import sys; sys.modules['resource'] = None\n"
        without += "from tools import execute, run_notebook\n"
        without += "print(run_notebook.peak_mib())"
        run = subprocess.run(
            [sys.executable, "-c", without],
            cwd=environment.ROOT,
            env=environment.clean(os.environ),
            capture_output=True,
            text=True,
        )
        assert run.stdout == "None\n", run.stderr

    def test_no_tool_needs_its_docstring(self):
        for path in Path(environment.ROOT, "tools").glob("*.py"):
            if not path.name.startswith(("study_", "train_")):
                assert "__doc__." not in path.read_text(encoding="utf-8"), path


class TestStoring:
    def test_only_checked_outputs_are_stored(self, tree):
        checked = code(GOOD)
        checked.metadata.tags = CHECKED
        write(tree, apples=[GOOD, checked])
        path = tree / "book/apples.ipynb"
        assert store_outputs.store(path) is None
        first, second = nbformat.read(path, as_version=4).cells
        assert first.outputs == []
        assert second.outputs[0].text == "fine\n"
        assert second.execution_count == 1  # or nbval compares nothing
        assert first.execution_count is None
        execute.execute_all(tree, jobs=1)
        assert compare.differences(tree, [path]) == ""

    def test_nothing_is_stored_if_a_cell_raises(self, tree):
        write(tree, apples=[BAD])
        path = tree / "book/apples.ipynb"
        before = path.read_bytes()
        assert "KeyError" in store_outputs.store(path)
        assert path.read_bytes() == before
