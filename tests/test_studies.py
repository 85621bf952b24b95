"""Studies: each that is there can be read; what is none is refused."""

import hashlib
import json

import numpy as np
import pytest
from PIL import Image

from lesson_utils.common import studies
from lesson_utils.common.studies import (
    STUDIES,
    card_line,
    digest_of,
    machine,
    read_picture,
    read_study,
    show_study,
    write_study,
)

NAMES = sorted(path.stem for path in STUDIES.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_study_says_how_it_was_made(name):
    study = read_study(name)
    assert study["command"] == f"python -m studies.{name}"
    assert study["rows"]
    assert study["seconds"] > 0
    assert study["seeds"]
    assert {"torch", "cores", "cpu"} <= study["machine"].keys()


def test_there_is_a_study():
    assert "fine_tuning" in NAMES


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(studies, "STUDIES", tmp_path)
    return tmp_path


ROWS = [{"a": 1.5, "way": "×10"}, {"a": 2.5}]
MADE = {"command": "c", "seeds": [0, 1], "seconds": 90, "rows": ROWS}
MADE |= {"machine": machine(), "rates": (1, 2)}


def test_read_as_written(folder):
    study = {**MADE, "rates": [1, 2]}  # as JSON has it
    study["digest"] = digest_of(study)
    (folder / "plain.json").write_text(json.dumps(study))
    assert read_study("plain") == study
    write_study(MADE, folder / "new" / "made.json")
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
        ('{"rows": [], "seconds": 1}', "without command, digest, machine, seeds"),
    ],
)
def test_a_broken_study(folder, text, words):
    (folder / "made.json").write_text(text)
    with pytest.raises(ValueError, match=words):
        read_study("made")


def test_an_edited_study(folder):
    write_study(MADE, folder / "made.json")
    text = (folder / "made.json").read_text().replace("2.5", "3.5")
    (folder / "made.json").write_text(text)
    with pytest.raises(ValueError, match="as its script wrote it, got .* another dig"):
        read_study("made")


@pytest.mark.parametrize("key", ["command", "seeds", "seconds", "machine", "rows"])
def test_a_study_that_does_not_say_how_it_was_made(folder, key):
    less = {name: value for name, value in MADE.items() if name != key}
    with pytest.raises(ValueError, match=f"study must say {key}"):
        write_study(less, folder / "made.json")
    assert not list(folder.iterdir())


def test_an_interrupted_write_leaves_the_old_one(folder, monkeypatch):
    write_study(MADE, folder / "made.json")
    before = read_study("made")

    def break_off(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(studies.os, "fsync", break_off)
    with pytest.raises(KeyboardInterrupt):
        write_study({**MADE, "seconds": 5}, folder / "made.json")
    assert read_study("made") == before
    assert [file.name for file in folder.iterdir()] == ["made.json"]


def test_the_card_is_shown(folder, capsys):
    write_study(MADE, folder / "made.json")
    study = show_study("made")
    line = capsys.readouterr().out.strip()
    assert line == card_line(study)
    assert line.startswith("c · seeds 0 to 1 · 1.5 min of 1 core, ")
    assert line.endswith(f"digest {study['digest'][:8]}")
    assert "seed 3 ·" in card_line({**study, "seeds": [3]})
    assert "of 2 cores" in card_line({**study, "machine": machine(2)})


def test_a_picture_is_read_as_it_is(folder):
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    pixels[0, 1] = 255, 51, 0
    Image.fromarray(pixels).save(folder / "made-dots.webp", lossless=True)
    digest = hashlib.sha256((folder / "made-dots.webp").read_bytes()).hexdigest()
    write_study({**MADE, "pictures": {"dots": digest}}, folder / "made.json")
    picture = read_picture("made", "dots")
    assert picture.shape == (3, 2, 3)
    assert picture[:, 0, 1].tolist() == pytest.approx([1, 0.2, 0])
    assert picture.sum().item() == pytest.approx(1.2)
    with pytest.raises(ValueError, match="picture must be one of dots, got 'lines'"):
        read_picture("made", "lines")


def test_what_json_cannot_hold_is_refused(folder):
    with pytest.raises(ValueError, match="JSON"):
        write_study({**MADE, "seconds": float("nan")}, folder / "made.json")
    assert not list(folder.iterdir())


def test_a_study_is_written_to_be_read_by_people(folder):
    made = {**MADE, "command": "mit Maß"}
    write_study(made, folder / "made.json")
    lines = (folder / "made.json").read_text("utf-8").splitlines()
    assert '  "command": "mit Maß",' in lines
    assert '    {"a": 1.5, "way": "×10"},' in lines
