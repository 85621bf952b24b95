"""The doctor's report, on this machine and on ones that lack something."""

import importlib.metadata
import os
import subprocess
import sys

import pytest
import torch

from lesson_utils import __main__ as doctor


def finding(findings, what):
    return next(f for f in findings if f.what == what)


def test_this_machine_is_well(capsys):
    with pytest.raises(SystemExit) as end:
        doctor.main()
    report = capsys.readouterr().out
    assert end.value.code == 0, report
    python = "! " if "better install" in report else "ok"
    assert f"{python}  Python " in report
    for what in (
        "torch",
        "torchvision",
        "d2l",
        "device",
        "data cache",
        "weights",
    ):
        assert f"ok  {what} " in report


FOREIGN = {"lesson_utils/__init__.py": "", "numpy/__init__.py": "raise OSError('no')"}


def test_foreign_modules_are_named_and_nothing_dies(tmp_path):
    for name, text in FOREIGN.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text)
    run = subprocess.run(
        [sys.executable, "-m", "lesson_utils"],
        cwd=doctor.ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert "Traceback" not in run.stderr
    assert f"!!  lesson_utils {tmp_path}" in run.stdout
    assert "!!  imports      they fail: OSError: no" in run.stdout
    assert f"PYTHONPATH is {tmp_path}: unset it" in run.stdout
    assert "ok  torch " in run.stdout  # and the rest of the report is there


@pytest.mark.parametrize("error", [OSError("no"), SystemExit(3), RuntimeError("a\nb")])
@pytest.mark.parametrize("look", ["_packages", "_device", "_caches", "_weights"])
def test_whatever_is_broken_is_a_line_of_the_report(monkeypatch, look, error):
    def broken(root):
        raise error

    broken.__name__ = look
    monkeypatch.setattr(doctor, look, broken)
    findings = doctor.examine()
    assert finding(findings, look.strip("_")).serious
    assert finding(findings, "Python")


def test_a_process_that_is_killed_by_an_import(monkeypatch):
    monkeypatch.setattr(doctor, "_imported_elsewhere", lambda: ("", -4, ""))
    findings = doctor.examine()
    assert finding(findings, "imports").value == "they fail: signal 4"
    assert finding(findings, "lesson_utils").serious


def test_weights_that_cannot_be_read(monkeypatch):
    def unreadable():
        raise PermissionError("no")

    monkeypatch.setattr("lesson_utils.common.backbones.tiny_vgg", unreadable)
    assert finding(doctor.examine(), "weights").value == "PermissionError: no"


def test_a_version_that_is_not_the_pin(tmp_path):
    (tmp_path / "requirements.txt").write_text("torch==9.9.9  # a comment\n")
    torch = finding(doctor.examine(tmp_path), "torch")
    assert "tested with 9.9.9" in torch.advice
    assert not torch.serious


def test_a_local_build_of_the_pinned_version_is_the_pin(tmp_path, monkeypatch):
    (tmp_path / "requirements.txt").write_text("torch==2.14.1\n")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.14.1+cu130")
    assert finding(doctor.examine(tmp_path), "torch").advice == ""


@pytest.mark.parametrize(("version", "serious"), [("2.10.0", True), ("2.11.0", False)])
def test_what_is_too_old(tmp_path, monkeypatch, version, serious):
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version)
    assert finding(doctor.examine(tmp_path), "torch").serious is serious


def test_what_is_missing(tmp_path, monkeypatch):
    def missing(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    findings = doctor.examine(tmp_path)
    assert finding(findings, "torch").serious
    assert finding(findings, "d2l").advice.startswith("install it")
    assert not finding(findings, "d2l").serious


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(sys, "version_info", (3, 9, 0))
    assert finding(doctor.examine(), "Python").serious


@pytest.mark.parametrize(
    ("version", "warned"),
    [((3, 12, 9), False), ((3, 13, 0), True), ((3, 13, 7), True), ((3, 13, 8), False)],
)
def test_a_python_that_does_not_stop_endless_calls(monkeypatch, version, warned):
    monkeypatch.setattr(sys, "version_info", version)
    python = finding(doctor.examine(), "Python")
    assert ("better install 3.13.8" in python.advice) == warned
    assert not python.serious


def test_a_processor_with_its_threads(monkeypatch):
    monkeypatch.setenv("LESSON_UTILS_DEVICE", "cpu")
    due = f"cpu {torch.get_num_threads()} threads"
    assert finding(doctor.examine(), "device").value == due


def test_a_device_that_is_not_there(monkeypatch):
    monkeypatch.setenv("LESSON_UTILS_DEVICE", "abacus")
    device = finding(doctor.examine(), "device")
    assert device.serious
    assert "'abacus'" in device.advice


def test_a_torchvision_that_does_not_fit_torch(monkeypatch):
    import torchvision

    def broken(*_):
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr(torchvision.ops, "nms", broken)
    device = finding(doctor.examine(), "device")
    assert device.serious
    assert "no pair" in device.advice


def test_the_caches_and_their_size(tmp_path, monkeypatch):
    monkeypatch.setenv("LESSON_UTILS_DATA", str(tmp_path))
    (tmp_path / "file").write_bytes(b"0" * 3 * 2**20)
    assert finding(doctor.examine(), "data cache").value == f"{tmp_path} (3.0 MiB)"


def test_exit_status(monkeypatch, capsys):
    bad = doctor.Finding("torch", "not installed", "install it", serious=True)
    monkeypatch.setattr(doctor, "examine", lambda: [bad])
    with pytest.raises(SystemExit) as stop:
        doctor.main()
    assert stop.value.code == 1
    report = capsys.readouterr().out
    assert report.startswith("!!  torch ")
    assert "-> install it" in report


def test_modules_that_notebooks_find_here(monkeypatch):
    there = doctor.ROOT / "lesson_utils/__init__.py"
    monkeypatch.setattr(doctor, "_imported_elsewhere", lambda: (str(there), 0, ""))
    modules = finding(doctor.examine(), "lesson_utils")
    assert (modules.value, modules.advice) == (str(there.parent), "")


def test_damaged_weights(monkeypatch, tmp_path):
    monkeypatch.setattr("lesson_utils.common.backbones.WEIGHTS", tmp_path)
    weights = finding(doctor.examine(), "weights")
    assert weights.serious
    assert "tiny_vgg.json" in weights.advice
