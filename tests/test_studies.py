"""Studies: each that is there can be read; what is none is refused."""

import json

import pytest

from lesson_utils.common import studies
from lesson_utils.common.studies import STUDIES, machine, read_study, write_study

NAMES = sorted(path.stem for path in STUDIES.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_study_says_how_it_was_made(name):
    study = read_study(name)
    assert study["command"] == f"python -m studies.{name}"
    assert study["rows"]
    assert study["minutes"] > 0
    assert {"torch", "cores", "cpu"} <= study["machine"].keys()


def test_there_is_a_study():
    assert "fine_tuning" in NAMES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "STUDIES", tmp_path)
    return tmp_path


def test_read_as_written(folder):
    rows = [{"a": 1.5}, {"a": 2.5}]
    study = {"command": "c", "machine": machine(), "minutes": 1, "rows": rows}
    (folder / "plain.json").write_text(json.dumps(study))
    assert read_study("plain") == study
    write_study(study, folder / "new" / "made.json")
    (folder / "new" / "made.json").rename(folder / "made.json")
    assert read_study("made") == study
    lines = (folder / "made.json").read_text().splitlines()
    assert sum('"a"' in line for line in lines) == 2  # a line for each row


@pytest.mark.parametrize("name", ["unknown", "", "../secret", "made.json"])
def test_no_such_study(folder, name):
    (folder / "made.json").write_text("{}")
    with pytest.raises(ValueError, match="name must be one of made, got"):
        read_study(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "whole study"),
        ("[]", "whole study"),
        ('{"rows": [], "minutes": 1}', "without command, machine"),
    ],
)
def test_a_broken_study(folder, text, words):
    (folder / "made.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_study("made")
