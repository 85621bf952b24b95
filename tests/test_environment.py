"""The first step on a bare machine: what is refused, and when it installs."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

from tools import environment
from tools.serve import ROOT


@pytest.fixture
def bare(tmp_path, monkeypatch):
    """An empty repository in which every command is recorded and does nothing."""
    for name in environment.INPUTS:
        (tmp_path / name).write_text("")
    commands = []

    def record(command, **_):
        commands.append(" ".join(command))
        if "venv" in command:
            path = environment.python()
            path.parent.mkdir(parents=True)
            path.touch()
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return subprocess.CompletedProcess(command, 0, stdout=f"{version}\n")

    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(environment, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(environment.subprocess, "run", record)
    return tmp_path, commands


def test_it_installs_once(bare):
    _, commands = bare
    assert environment.ensure()
    assert any("-m venv" in command for command in commands)
    assert any("-r requirements.txt -c constraints.txt" in c for c in commands)
    assert any("--no-deps --editable ." in command for command in commands)
    commands.clear()
    assert not environment.ensure()
    assert commands == []


@pytest.mark.parametrize("name", environment.INPUTS)
def test_new_pins_install_anew_into_the_same_environment(bare, name):
    root, commands = bare
    environment.ensure()
    commands.clear()
    (root / name).write_text("changed")
    assert environment.ensure()
    assert not any("-m venv" in command for command in commands)
    assert any("pip install" in command for command in commands)


def test_an_install_that_was_cut_off_is_done_again(bare, monkeypatch):
    _, commands = bare
    record = environment.subprocess.run

    def cut_off(command, **options):
        done = record(command, **options)
        code = int("--editable" in command)
        return subprocess.CompletedProcess(command, code, stdout=done.stdout)

    with monkeypatch.context() as patch:
        patch.setattr(environment.subprocess, "run", cut_off)
        with pytest.raises(SystemExit, match="installing lesson_utils failed"):
            environment.ensure()
    commands.clear()
    assert environment.ensure()
    assert any("pip install" in command for command in commands)


def test_a_python_that_is_too_old(monkeypatch):
    monkeypatch.setattr(environment.sys, "version_info", (3, 10, 4))
    with pytest.raises(SystemExit, match="Python >= 3.11 is needed, this is 3.10.4"):
        environment.ensure()


def test_packages_taken_for_their_weights_come_without_their_dependencies(bare):
    root, commands = bare
    environment.ensure()
    assert not any(environment.WEIGHTS in command for command in commands)
    (root / environment.WEIGHTS).write_text("weights==1")
    commands.clear()
    assert environment.ensure()
    (command,) = [c for c in commands if environment.WEIGHTS in c]
    assert "--no-deps" in command
    assert not environment.ensure()


def test_pip_does_not_talk_of_where_scripts_lie(bare):
    environment.ensure()
    installs = [command for command in bare[1] if "pip install" in command]
    assert installs
    assert all("--quiet" in c and "--no-warn-script-location" in c for c in installs)


def test_a_stamp_is_written_last_and_whole(bare, monkeypatch):
    root, _ = bare
    stamp = root / ".venv" / ".pins"
    record = environment.subprocess.run

    def look(command, **options):
        assert not stamp.exists()
        return record(command, **options)

    monkeypatch.setattr(environment.subprocess, "run", look)
    environment.ensure()
    assert stamp.exists()
    assert [p.name for p in stamp.parent.iterdir() if p.suffix == ".part"] == []


class TestAFolderThatWasRenamed:
    @pytest.fixture
    def renamed(self, tmp_path, monkeypatch):
        """A folder "book" with a real environment and a script, renamed to "b 2"."""
        old, new = tmp_path / "book", tmp_path / "b 2"
        command = [sys.executable, "-m", "venv", "--without-pip", str(old / ".venv")]
        subprocess.run(command, check=True)
        script = old / ".venv" / "bin" / "tool"
        script.write_text(f"#!{old}/.venv/bin/python\nprint('{old}/.venv-other')\n")
        script.chmod(0o755)
        for name in environment.INPUTS:
            (old / name).write_text("")
        old.rename(new)
        monkeypatch.setattr(environment, "ROOT", new)
        monkeypatch.setattr(environment, "VENV", new / ".venv")
        monkeypatch.setattr(environment, "_works", lambda: True)  # it has no pip
        monkeypatch.setattr(environment, "_run", lambda *_: None)
        return old, new

    def test_it_heals_itself_once(self, renamed, capsys):
        old, new = renamed
        assert environment.ensure()
        assert "was made elsewhere" in capsys.readouterr().out
        script = new / ".venv" / "bin" / "tool"
        assert script.read_text().splitlines() == [
            f"#!{new}/.venv/bin/python",
            f"print('{old}/.venv-other')",  # another folder's name stays
        ]
        assert script.stat().st_mode & 0o111
        activate = (new / ".venv" / "bin" / "activate").read_text()
        assert f"{new}/.venv" in activate
        assert f"{old}/.venv" not in activate
        assert not environment.ensure()

    def test_nothing_is_called_by_a_path_that_is_written_into_it(self):
        root = Path(environment.__file__).parent.parent
        for name in ("Makefile", ".ci/run", "tools/pages.py", "tools/pipeline.py"):
            text = (root / name).read_text(encoding="utf-8")
            called = re.findall(r"(?:\.venv/bin/|\$\(BIN\)/|with_name\()(\S+)", text)
            assert set(called) <= {"python"}, name


class TestVariables:
    def test_what_is_foreign_goes_and_the_rest_stays(self):
        names = ["PYTHONHOME", "PYTHONOPTIMIZE", "JUPYTER_PATH", "MPLCONFIGDIR"]
        names += ["PYTEST_ADDOPTS", "http_proxy", "HTTPS_PROXY", "no_proxy"]
        foreign = dict.fromkeys(names, "foreign")
        kept = environment.clean({**foreign, "HOME": "/home", "MATPLOTLIBRC": "mine"})
        assert "foreign" not in kept.values()
        assert kept["HOME"] == "/home"
        assert kept["MATPLOTLIBRC"] != "mine"
        assert kept["PYTHONPATH"] == str(environment.ROOT)

    def test_pip_keeps_the_proxies_and_loses_other_folders(self, monkeypatch):
        monkeypatch.setenv("HTTPS_PROXY", "http://proxy")
        monkeypatch.setenv("PYTHONPATH", "/elsewhere")
        monkeypatch.setenv("PIP_TARGET", "/elsewhere")
        kept = environment._for_pip()
        assert kept["HTTPS_PROXY"] == "http://proxy"
        assert "/elsewhere" not in kept.values()


# What a hosted notebook is asked to install covers what is imported there.

INSTALLED = {
    name.lower().replace("_", "-")
    for packages in importlib.metadata.packages_distributions().values()
    for name in packages
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
# Come with any Jupyter.
JUPYTER = {"ipython", "ipykernel", "jupyter-client", "nbclient", "nbformat"}


def names(requirements):
    """Packages by their plain names, without versions and extras."""
    found = (re.match(r"[\w.-]+", line)[0] for line in requirements)
    return {name.lower().replace("_", "-") for name in found}


def brought(asked):
    """What is asked for, and what comes with that."""
    due, seen = set(asked), set()
    while due:
        name = due.pop()
        seen.add(name)
        lines = importlib.metadata.requires(name) or []
        due |= names(line for line in lines if "extra ==" not in line) & INSTALLED
        due -= seen
    return seen


def imported(source):
    """The packages that a piece of code imports."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_all_that_pages_and_modules_import_is_asked_for():
    extras = PROJECT["optional-dependencies"]
    asked = names([*PROJECT["dependencies"], *extras["real"], *extras["pages"]])
    asked = brought(asked & INSTALLED)
    weights = (ROOT / "requirements-weights.txt").read_text("utf-8").splitlines()
    asked |= names(line for line in weights if line and not line.startswith("#"))
    packages = importlib.metadata.packages_distributions()
    missing = {}
    sources = [
        (path.name, path.read_text("utf-8"))
        for path in (ROOT / "lesson_utils").rglob("*.py")
    ]
    for path in (ROOT / "book").rglob("*.ipynb"):
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "code":
                sources.append((path.name, cell.source))
    assert len(sources) > 500
    for where, source in sources:
        for module in imported(source):
            if module in sys.stdlib_module_names or module == "lesson_utils":
                continue
            if not names(packages.get(module, [module])) & (asked | JUPYTER):
                missing.setdefault(module, set()).add(where)
    assert missing == {}


def test_how_to_use_asks_for_them():
    page = (ROOT / "book/how_to_use.md").read_text("utf-8")
    (line,) = (row for row in page.splitlines() if "hosted notebook that" in row)
    assert '".[pages]"' in line
    assert "requirements-weights.txt" in line
