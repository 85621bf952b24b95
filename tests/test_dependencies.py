"""What a notebook depends on: a change there, and only there, makes it stale."""

import nbformat
import pytest

from tools.dependencies import notebook_digest, notebook_modules

FILES = {
    "requirements.txt": "torch==1\n",
    "constraints.txt": "torch==1\n",
    "lesson_utils/__init__.py": "",
    "lesson_utils/apples.py": "from lesson_utils.common.boxes import area\n",
    "lesson_utils/pears.py": "import torch\n",
    "lesson_utils/common/__init__.py": "",
    "lesson_utils/common/boxes.py": "def f():\n    import lesson_utils.data.crates\n",
    "lesson_utils/common/plotting.py": "",
    "lesson_utils/data/__init__.py": "",
    "lesson_utils/data/crates.py": "",
    "lesson_utils/checks/__init__.py": "from lesson_utils.grading.run import run\n",
    "lesson_utils/checks/_run.py": "",
    "lesson_utils/checks/apples.py": "from lesson_utils import apples\n",
    "lesson_utils/checks/pears.py": "",
    "lesson_utils/weights/tiny.safetensors": "0",
}


@pytest.fixture
def tree(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def write(root, code, name="apples"):
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    path = root / "book" / f"{name}.ipynb"
    path.parent.mkdir(exist_ok=True)
    nbformat.write(notebook, path)
    return path


def modules(root, code):
    found = notebook_modules(root, write(root, code))
    return {str(path.relative_to(root / "lesson_utils")) for path in found}


def test_imports_are_followed_into_functions_and_parents(tree):
    assert modules(tree, "from lesson_utils.apples import pick") == {
        "__init__.py",
        "apples.py",
        "common/__init__.py",
        "common/boxes.py",
        "data/__init__.py",
        "data/crates.py",
    }


def test_a_module_may_be_imported_as_a_name(tree):
    assert "pears.py" in modules(tree, "from lesson_utils import pears")
    assert "pears.py" in modules(tree, "import lesson_utils.pears as p")


def test_the_checks_bring_the_notebooks_own_and_no_others(tree):
    found = modules(tree, "from lesson_utils.checks import check")
    assert {"checks/__init__.py", "checks/_run.py", "checks/apples.py"} <= found
    assert "checks/pears.py" not in found


def test_magics_are_no_obstacle_and_broken_cells_leave_nothing_out(tree):
    assert "pears.py" not in modules(tree, "%matplotlib inline\n!ls\nimport torch")
    assert "pears.py" in modules(tree, "def broken(:")


@pytest.mark.parametrize(
    "changed",
    [
        "lesson_utils/apples.py",
        "lesson_utils/common/boxes.py",
        "lesson_utils/data/crates.py",
        "lesson_utils/weights/tiny.safetensors",
        "constraints.txt",
        "requirements.txt",
    ],
)
def test_a_change_of_what_is_used_changes_the_digest(tree, changed):
    notebook = write(tree, "import lesson_utils.apples")
    before = notebook_digest(tree, notebook)
    (tree / changed).write_text(FILES[changed] + "# changed\n")
    assert notebook_digest(tree, notebook) != before


@pytest.mark.parametrize(
    "changed", ["lesson_utils/pears.py", "lesson_utils/common/plotting.py"]
)
def test_a_change_of_what_is_not_used_does_not(tree, changed):
    notebook = write(tree, "import lesson_utils.apples")
    before = notebook_digest(tree, notebook)
    (tree / changed).write_text("# changed\n")
    assert notebook_digest(tree, notebook) == before


def test_a_change_of_the_notebook_does(tree):
    before = notebook_digest(tree, write(tree, "x = 1"))
    assert notebook_digest(tree, write(tree, "x = 2")) != before
