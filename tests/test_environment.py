"""The first step on a bare machine: what is refused, and when it installs."""

import subprocess
import sys

import pytest

from tools import environment


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
