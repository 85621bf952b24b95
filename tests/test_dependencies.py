"""What a page depends on: a change there, and only there, makes it stale."""

import nbformat
import pytest

from tools import dependencies, execute

FILES = {
    "requirements.txt": "torch==1\n",
    "constraints.txt": "torch==1\n",
    "apples/__init__.py": "",
    "apples/tree.py": "def f():\n    import apples.late\n",
    "apples/late.py": "",
    "apples/unused.py": "",
    "apples/studies/harvest.json": "{}",
    "apples/studies/harvest.webp": "0",
    "apples/studies/drought.json": "{}",
    "apples/weights/small.safetensors": "0",
    "apples/weights/large.safetensors": "0",
}
# As a chapter does: modules, one late, a study and its picture, weights, all listed.
READ = """
import pathlib, sys
sys.path.insert(0, "..")
from apples import tree
tree.f()
folder = pathlib.Path("../apples")
print(sorted(p.name for p in folder.rglob("*.json")))
(folder / "studies/harvest.json").read_text()
open("../apples/studies/harvest.webp", "rb").close()
(folder / "weights/small.safetensors").read_bytes()
pathlib.Path("../written.txt").write_text("by the notebook")
"""
USED = [
    "requirements.txt",
    "constraints.txt",
    "apples/__init__.py",
    "apples/tree.py",
    "apples/late.py",
    "apples/studies/harvest.json",
    "apples/studies/harvest.webp",
    "apples/weights/small.safetensors",
]
UNUSED = [
    "apples/unused.py",
    "apples/studies/drought.json",
    "apples/weights/large.safetensors",
    "written.txt",
]


@pytest.fixture(scope="module")
def run_once(tmp_path_factory):
    """A tree whose notebook has been executed, and what is kept about the run."""
    root = tmp_path_factory.mktemp("tree")
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    notebook = root / "book/apples.ipynb"
    notebook.parent.mkdir()
    cells = [nbformat.v4.new_code_cell(READ)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook)
    # Twice: the second time the modules come as bytecode.
    for _ in range(2):
        run = execute.execute(root, notebook)
        assert run.error is None
    copy = nbformat.read(root / "_build/executed/book/apples.ipynb", as_version=4)
    return root, notebook, copy.metadata["look_closer"]


@pytest.fixture
def changing(run_once):
    """A function that says whether the run still holds after a change, undone after."""
    root, notebook, recorded = run_once
    undo = {}

    def holds_after(name, text):
        path = root / name
        undo[path] = path.read_bytes() if path.exists() else None
        path.write_text(text)
        return dependencies.still_holds(root, notebook, recorded)

    yield holds_after
    for path, content in undo.items():
        path.unlink() if content is None else path.write_bytes(content)


def test_it_holds_while_nothing_changes(run_once):
    assert dependencies.still_holds(*run_once)


def test_exactly_what_was_read_is_kept(run_once):
    files = set(run_once[2]["files"])
    assert files == {"book/apples.ipynb", "requirements-weights.txt", *USED}


@pytest.mark.parametrize("name", [*USED, "book/apples.ipynb"])
def test_a_change_of_what_is_read_makes_it_stale(changing, name):
    assert not changing(name, "changed")


@pytest.mark.parametrize("name", UNUSED)
def test_a_change_of_what_is_not_read_does_not(changing, name):
    assert changing(name, "changed")


def test_new_files_beside_what_is_read_do_not(changing):
    assert changing("apples/weights/new.safetensors", "0")
    assert changing("apples/studies/new.json", "{}")


def test_pins_that_come_later_do(changing):
    assert not changing("requirements-weights.txt", "weights==1\n")


def test_a_file_that_is_gone_does(run_once):
    root, notebook, recorded = run_once
    path = root / "apples/late.py"
    content = path.read_bytes()
    path.unlink()
    assert not dependencies.still_holds(root, notebook, recorded)
    path.write_bytes(content)


def test_another_python_does(run_once, monkeypatch):
    monkeypatch.setattr(dependencies.platform, "python_version", lambda: "3.99.0")
    assert not dependencies.still_holds(*run_once)


def test_a_file_that_changed_while_the_notebook_ran_is_not_trusted(run_once):
    root, notebook, _ = run_once
    before_all = 0.0
    recorded = dependencies.record(root, notebook, ["apples/tree.py"], before_all)
    assert not dependencies.still_holds(root, notebook, recorded)


def test_nothing_recorded_holds_nothing(run_once):
    root, notebook, _ = run_once
    assert not dependencies.still_holds(root, notebook, {})
