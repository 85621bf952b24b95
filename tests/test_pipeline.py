"""The steps of `make book` and `make test`: order, times, where they stop."""

import subprocess

import pytest

from tools import environment, pipeline


@pytest.fixture
def steps(monkeypatch):
    """A pipeline whose commands are recorded; those in `fail` end with status 3."""
    called, fail = [], set()

    def run(command, *, env, **_):
        assert command[0] == str(environment.python())
        assert env["PYTHONPATH"] == str(environment.ROOT)
        called.append(" ".join(command[1:]))
        code = 3 if any(word in called[-1] for word in fail) else 0
        return subprocess.CompletedProcess(command, code)

    monkeypatch.setattr(environment, "ensure", lambda: False)
    monkeypatch.setattr(pipeline.subprocess, "run", run)
    return called, fail


def rows(text):
    table = [line.split() for line in text.splitlines() if line.endswith(" s")]
    return [row[0] for row in table]


def test_the_order_and_a_table_of_seconds(steps, capsys):
    called, _ = steps
    assert pipeline.run("test") == 0
    words = ["ruff check", "ruff format", "not browser", "execute", "pages", "browser"]
    assert all(word in call for word, call in zip(words, called, strict=True))
    told = capsys.readouterr().out
    names = ["environment", "lint", "units", "notebooks", "pages", "browser", "in"]
    assert rows(told) == names
    assert "index.html" in told


def test_the_book_is_two_of_these_steps_and_forgives_a_last_digit(steps, capsys):
    called, _ = steps
    assert pipeline.run("book") == 0
    assert called == ["-m tools.execute", "-m tools.pages"]
    assert rows(capsys.readouterr().out) == ["environment", "notebooks", "pages", "in"]


def test_it_stops_at_the_first_that_fails_and_still_says_the_times(steps, capsys):
    called, fail = steps
    fail.add("tools.execute")
    assert pipeline.run("test") == 3
    assert called[-1] == "-m tools.execute --strict"
    told = capsys.readouterr().out
    assert rows(told) == ["environment", "lint", "units", "notebooks", "in"]
    assert "`make test` failed at: notebooks" in told
    assert "index.html" not in told


def test_an_unknown_goal(monkeypatch):
    monkeypatch.setattr("sys.argv", ["pipeline", "cake"])
    with pytest.raises(SystemExit, match=r"book\|test"):
        pipeline.main()


def test_every_target_is_listed_and_make_alone_lists_them():
    run = subprocess.run(
        ["make", "--no-print-directory"],
        cwd=environment.ROOT,
        capture_output=True,
        text=True,
    )
    listed = {line.split()[1] for line in run.stdout.splitlines()}
    makefile = (environment.ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = [x for x in makefile.splitlines() if x.startswith(".PHONY:")]
    assert listed == set(phony.split()[1:]) - {"env"}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        *((name, "eol: lf") for name in ("a.sh", "a.py", "a.ipynb", "a.md")),
        *((name, "eol: lf") for name in ("Makefile", ".ci/run")),
        *((name, "text: unset") for name in ("a.webp", "a.safetensors")),
    ],
)
def test_files_are_the_same_bytes_on_every_system(name, wanted):
    command = ["git", "check-attr", "text", "eol", "--", name]
    run = subprocess.run(
        command, cwd=environment.ROOT, capture_output=True, text=True, check=True
    )
    assert f"{name}: {wanted}" in run.stdout
