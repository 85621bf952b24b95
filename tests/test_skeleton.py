"""Long runs: an interrupted one goes on, nothing is half written or measured twice."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from lesson_utils.common import studies
from lesson_utils.common.studies import read_picture, read_study
from studies import skeleton
from studies.skeleton import Study, write_weights

ROOT = Path(__file__).resolve().parent.parent
DOC = "A made study.\n\nMore."


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("LESSON_UTILS_STUDIES", str(tmp_path / "cache"))
    monkeypatch.setattr(studies, "STUDIES", tmp_path)
    monkeypatch.setattr(skeleton, "STUDIES", tmp_path)
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def run(*arguments, stop=None, seeds=3, **options):
    """A study of one row a seed; how many it measured. `stop`: the plug is pulled."""
    measured = []

    def measure(seed):
        if len(measured) == stop:
            raise KeyboardInterrupt
        measured.append(seed)
        return {"square": seed**2, "pair": (seed, seed)}

    study = Study("made", DOC, list(arguments), seeds=seeds, **options)
    for seed in study.seeds:
        study.row({"seed": seed}, lambda seed=seed: measure(seed))
    study.write(steps=7)
    return measured


def test_a_whole_run():
    assert run() == [0, 1, 2]
    study = read_study("made")
    assert study["rows"][2] == {"seed": 2, "square": 4, "pair": [2, 2]}
    assert study["command"] == "python -m studies.made"
    assert (study["seeds"], study["steps"]) == ([0, 1, 2], 7)
    assert study["machine"]["cores"] == 1
    assert study["seconds"] >= 0


def test_an_interrupted_run_goes_on(tmp_path):
    run("--out", str(tmp_path / "whole.json"))
    with pytest.raises(KeyboardInterrupt):
        run(stop=2)
    assert not (tmp_path / "made.json").exists()
    assert run() == [2]  # the other rows are there
    assert read_study("made")["rows"] == read_study("whole")["rows"]
    assert not list((tmp_path / "cache").iterdir())  # nothing is left behind


def test_a_finished_study_is_measured_anew():
    run()
    assert run() == [0, 1, 2]


def test_more_seeds_are_more_rows():
    with pytest.raises(KeyboardInterrupt):
        run(stop=2)
    assert run("--seeds", "4") == [2, 3]


def test_fresh():
    with pytest.raises(KeyboardInterrupt):
        run(stop=2)
    assert run("--fresh") == [0, 1, 2]


def test_other_options_are_other_rows():
    def add(parser):
        parser.add_argument("--steps", type=int, default=1)

    with pytest.raises(KeyboardInterrupt):
        run(stop=2, add=add)
    assert run("--steps", "2", add=add) == [0, 1, 2]
    assert run(add=add) == [2]


def test_other_code_is_other_rows(monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        run(stop=2)
    monkeypatch.setattr(skeleton, "_digest_of_code", lambda name: "edited")
    assert run() == [0, 1, 2]


def test_the_code_is_what_was_imported(tmp_path, monkeypatch):
    before = skeleton._digest_of_code("fine_tuning")
    assert before != skeleton._digest_of_code("single_shot")
    package = tmp_path / "package"
    package.mkdir()
    (package / "used.py").write_text("X = 1\n")
    (package / "unused.py").write_text("X = 1\n")
    monkeypatch.setattr(skeleton, "PACKAGE", package)
    monkeypatch.syspath_prepend(str(package))
    __import__("used")
    first = skeleton._digest_of_code("made")
    (package / "unused.py").write_text("X = 2\n")
    assert skeleton._digest_of_code("made") == first
    (package / "used.py").write_text("X = 2\n")
    assert skeleton._digest_of_code("made") != first
    del sys.modules["used"]


def test_half_a_row_is_measured_again(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(stop=2)
    (kept,) = (tmp_path / "cache").glob("made-*/rows.jsonl")
    whole = kept.read_bytes()
    for cut in (1, 20):
        kept.write_bytes(whole[:-cut])
        with pytest.raises(KeyboardInterrupt):
            run(stop=0)
        kept.write_bytes(whole[:-cut])
    assert run() == [1, 2]


def test_the_same_row_twice():
    study = Study("made", DOC, [], seeds=1)
    study.row({"a": 1, "b": 2}, lambda: {"c": 3})
    with pytest.raises(ValueError, match="key must be another for each row"):
        study.row({"b": 2, "a": 1}, lambda: {"c": 3})


def test_a_row_that_is_no_number():
    study = Study("made", DOC, [], seeds=1)
    with pytest.raises(ValueError, match="JSON compliant"):
        study.row({"a": 1}, lambda: {"c": float("nan")})
    assert not study.rows


@pytest.mark.parametrize("wrong", ["0", "-2"])
def test_no_seeds(wrong):
    with pytest.raises(ValueError, match="--seeds must be a whole number >= 1"):
        run("--seeds", wrong)


def test_one_seed():
    study = Study("made", DOC, ["--seed", "5"])
    assert list(study.seeds) == [5]


def test_threads():
    Study("made", DOC, [], threads=2)
    assert torch.get_num_threads() == 2


class TestPictures:
    def test_written_with_the_table(self, tmp_path):
        study = Study("made", DOC, [], seeds=1)
        image = torch.zeros(3, 20, 30)
        image[0, :, 15:] = 1
        study.picture("half", image)
        assert not list(tmp_path.glob("*.webp"))
        study.write()
        torch.testing.assert_close(
            read_picture("made", "half").mean((1, 2)),
            image.mean((1, 2)),
            atol=0.05,
            rtol=0,
        )
        with pytest.raises(ValueError, match="picture must be one of half, got 'no'"):
            read_picture("made", "no")
        Study("made", DOC, [], seeds=1).write()  # a run without pictures
        assert not list(tmp_path.glob("*.webp"))

    def test_a_picture_of_another_run(self, tmp_path):
        study = Study("made", DOC, [], seeds=1)
        study.picture("flat", torch.zeros(3, 8, 8))
        study.write()
        (tmp_path / "made-flat.webp").write_bytes(b"other")
        with pytest.raises(ValueError, match="a study with its own pictures"):
            read_study("made")

    def test_too_many(self):
        study = Study("made", DOC, [], seeds=1)
        for number in range(skeleton.MAX_PICTURES):
            study.picture(f"{number}", torch.zeros(3, 8, 8))
        study.picture("0", torch.ones(3, 8, 8))  # one that is there may be replaced
        with pytest.raises(ValueError, match="pictures must be 5 at most, got 'more'"):
            study.picture("more", torch.zeros(3, 8, 8))

    def test_too_large(self):
        noise = torch.rand(3, 600, 600, generator=torch.Generator().manual_seed(0))
        study = Study("made", DOC, [], seeds=1)
        with pytest.raises(ValueError, match="image must fit into 60,000 bytes"):
            study.picture("noise", noise)
        study.picture("noise", noise[:, :200, :200])


_KILLED = """
import os, sys
from studies.skeleton import Study

study = Study("made", "A made study.", sys.argv[1:], seeds=4)
for seed in study.seeds:
    def measure():
        if seed == 2 and not os.environ.get("GO_ON"):
            os.kill(os.getpid(), 9)
        return {"square": seed ** 2, "by": os.getpid()}
    study.row({"seed": seed}, measure)
study.write()
"""


def test_a_run_that_was_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(_KILLED)
    command = [sys.executable, str(script), "--out", str(tmp_path / "made.json")]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, capture_output=True, timeout=120)
    assert done.returncode == -9
    assert not (tmp_path / "made.json").exists()
    done = subprocess.run(
        command,
        env=environment | {"GO_ON": "1"},
        capture_output=True,
        timeout=120,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "2 rows of an earlier run" in done.stderr
    rows = read_study("made")["rows"]
    assert [row["square"] for row in rows] == [0, 1, 4, 9]
    assert [row["by"] == rows[0]["by"] for row in rows] == [True, True, False, False]


def test_weights_and_their_card(tmp_path):
    network = nn.Linear(2, 3)
    write_weights(network, {"seed": 1}, tmp_path / "net.safetensors")
    assert torch.equal(
        load_file(tmp_path / "net.safetensors")["weight"], network.weight
    )
    card = json.loads((tmp_path / "net.json").read_text())
    assert card["seed"] == 1
    assert len(card["sha256"]) == 64
