"""Changing modules on purpose: which changes, in whose place, and what is kept."""

import ast
import json
import subprocess
import sys

import pytest

from tools import mutants

SOURCE = '''\
"""A module."""

import math

LIMIT: int = 3


def share(part: float, whole: float = 2.0, *, strict: bool = True) -> float | None:
    """A share of 7 parts."""
    if not strict and part < 0:
        raise ValueError(f"part must be at least {0 + 0}, got {part}")
    print("progress", part + 1)
    return None if whole == 0 else -part / whole
'''
TESTS = """\
from lesson_utils.shares import share


def test_by_hand():
    assert share(1.0, 4.0) == -0.25
    assert share(1.0) == -0.5
    assert share(1.0, 0) is None
"""


def changes(source=SOURCE):
    return {(m.before, m.after) for m in mutants.mutants_of(source)}


def test_each_kind_of_change():
    expression = "None if whole == 0 else -part / whole"
    assert changes() == {
        ("3", "4"),
        ("2.0", "3.0"),
        ("True", "False"),
        ("not strict and part < 0", "not (not strict and part < 0)"),
        ("not strict and part < 0", "not strict or part < 0"),
        ("not strict", "strict"),
        ("part < 0", "part <= 0"),
        ("0", "1"),
        (expression, "None"),
        ("whole == 0", "not whole == 0"),
        ("whole == 0", "whole != 0"),
        ("-part / whole", "-part * whole"),
        ("-part", "part"),
    }


@pytest.mark.parametrize(
    "line",
    [
        '"""Two and 3."""',
        "x: Literal[3] | None",
        "@cache(maxsize=3)\ndef f(x: 'a + b', /): pass",
        "raise ValueError('of ' + name, 3 + 4)",
        "text = f'{3:.2f} of {a + b}'",
        "text = 'one ' + name",
        "warnings.warn('too many', stacklevel=2)",
        "if TYPE_CHECKING:\n    x = 3",
        "def f(): return None",
    ],
)
def test_what_is_left_alone(line):
    assert changes(line) == set()


def test_a_mutant_has_one_change_and_the_lines_of_the_original():
    every = mutants.mutants_of(SOURCE)
    seen = {ast.unparse(ast.parse(SOURCE))}
    for mutant in every:
        tree = mutants.mutated(SOURCE, mutant.number)
        compile(tree, "shares.py", "exec")
        seen.add(ast.unparse(tree))
        line = SOURCE.splitlines()[mutant.line - 1].strip()
        assert mutant.code == line
        assert line[mutant.column :].startswith(mutant.before.split()[0])
    assert len(seen) == 1 + len(every)


def test_a_sample_is_the_same_at_each_call():
    drawn = mutants.sample_of("shares", SOURCE, 5)
    assert drawn == mutants.sample_of("shares", SOURCE, 5)
    assert len(set(drawn)) == 5
    assert drawn != mutants.sample_of("parts", SOURCE, 5)
    assert mutants.sample_of("shares", SOURCE, 99) == mutants.mutants_of(SOURCE)


def test_a_digest_is_of_what_a_module_does():
    digest = mutants.digest_of(SOURCE)
    assert mutants.digest_of(SOURCE.replace("A share", "The share")) == digest
    assert mutants.digest_of(SOURCE + "\n\n# The end.\n") == digest
    assert mutants.digest_of(SOURCE.replace("2.0", "2.5")) != digest


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "lesson_utils/common").mkdir(parents=True)
    (tmp_path / "tests").mkdir()
    (tmp_path / "lesson_utils/__init__.py").write_text("")
    (tmp_path / "lesson_utils/shares.py").write_text(SOURCE)
    (tmp_path / "tests/test_shares.py").write_text(TESTS)
    return tmp_path


def row(mutant, result, **more):
    digest = mutants.digest_of(SOURCE)
    about = {"module": "shares", "digest": digest, "tests": "", "by": "", "slow": 0}
    return json.dumps(about | vars(mutant) | {"result": result, "seconds": 1} | more)


def test_a_report_waits_until_a_module_is_whole(tree):
    store, chosen = tree / "kept.jsonl", mutants.sample_of("shares", SOURCE)
    lines = [row(mutant, "killed") for mutant in chosen[1:]]
    store.write_text("\n".join(lines) + '\n{"module": "shares", "dig')
    assert mutants.result_of(tree, store)["modules"] == {}
    lines.append(row(chosen[0], "survived"))
    store.write_text("\n".join(lines))
    table = mutants.result_of(tree, store)["modules"]["shares"]
    assert (table["run"], table["killed"]) == (8, 7)
    assert [s["before"] for s in table["survivors"]] == [chosen[0].before]
    told = mutants.report(tree, mutants.result_of(tree, store))
    assert f"lesson_utils/shares.py:{chosen[0].line}" in told
    assert "7 of 8 mutants killed (87.5%); 0 of the survivors" in told
    # Nothing is known of another text.
    (tree / "lesson_utils/shares.py").write_text(SOURCE.replace("3", "5"))
    assert mutants.result_of(tree, store)["modules"] == {}


def test_equivalent_ones_are_known_by_their_place(tree):
    chosen = mutants.sample_of("shares", SOURCE)[0]
    listed = [vars(chosen) | {"module": "shares", "reason": "why"}]
    assert mutants.is_equivalent("shares", vars(chosen), listed)
    assert mutants.is_equivalent("shares", vars(chosen) | {"line": 99}, listed)
    assert not mutants.is_equivalent("parts", vars(chosen), listed)
    assert not mutants.is_equivalent("shares", vars(chosen) | {"column": 1}, listed)


# In a process of its own: pytest is not made to run within itself.
RUN = """
import sys
from pathlib import Path
import hypothesis, pytest, torch  # once, before the forks
from tools import mutants
root = Path(sys.argv[1])
sys.path.insert(0, str(root))
mutants.SPARE = float(sys.argv[2])
source = (root / "lesson_utils/shares.py").read_text()
mutants._measure(root, "shares", mutants.mutants_of(source), root / "kept.jsonl")
"""


def run(tree, spare=60):
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(tree), str(spare)],
        cwd=tree,
        env=mutants.environment.clean({}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_mutants_run_once_and_survivors_again_with_other_tests(tree):
    before = (tree / "lesson_utils/shares.py").read_bytes()
    told = run(tree)
    assert (tree / "lesson_utils/shares.py").read_bytes() == before
    kept = mutants.known(tree / "kept.jsonl").values()
    lived = {(r["before"], r["after"]) for r in kept if r["result"] == "survived"}
    assert lived == {
        ("3", "4"),  # nothing uses it
        ("True", "False"),
        ("not strict", "strict"),
        ("not strict and part < 0", "not strict or part < 0"),
        ("part < 0", "part <= 0"),
        ("0", "1"),  # of the error's condition
    }
    assert "killed" in told
    assert "nothing to do" in run(tree)
    more = TESTS + "    import lesson_utils.shares as s\n    assert s.LIMIT == 3\n"
    (tree / "tests/test_shares.py").write_text(more)
    told = run(tree)
    assert f"shares: {len(lived)} mutants" in told
    assert "lesson_utils/shares.py:5: 3 → 4  (tests/test_shares.py::test_by" in told


def test_a_mutant_that_hangs_is_killed(tree):
    (tree / "lesson_utils/shares.py").write_text(
        "def share(n):\n    while n > 0:\n        n = n - 1\n    return n\n"
    )
    (tree / "tests/test_shares.py").write_text(
        "from lesson_utils.shares import share\n\n\n"
        "def test_it():\n    assert share(2) == 0\n"
    )
    run(tree, spare=20)
    kept = {
        (r["before"], r["after"]): r["by"]
        for r in mutants.known(tree / "kept.jsonl").values()
        if r["result"] == "killed"
    }
    assert kept["n - 1", "n + 1"] == "time"
    assert kept["n", "None"] == "tests/test_shares.py::test_it"


def test_tests_that_fail_by_themselves_measure_nothing(tree):
    (tree / "tests/test_shares.py").write_text(TESTS.replace("-0.5", "5"))
    assert "its tests fail without a mutant: tests/test_shares.py::test" in run(tree)
    assert not (tree / "kept.jsonl").exists()


class TestOfTheBook:
    def test_what_is_listed_is_there(self):
        """Each module has tests, by its own name or by that of another module."""
        stems = set(mutants.modules(mutants.ROOT))
        assert set(mutants.TESTS) <= stems
        for stem in mutants.TESTS:
            assert len(mutants.tests_of(mutants.ROOT, stem)) == len(mutants.TESTS[stem])

    def test_the_measured_file_adds_up(self):
        measured = json.loads((mutants.ROOT / mutants.MEASURED).read_text("utf-8"))
        assert measured["seed"] == mutants.SEED
        assert measured["sample"] == mutants.SAMPLE
        for stem, one in measured["modules"].items():
            assert one["run"] == one["killed"] + len(one["survivors"]), stem
            assert one["run"] == min(mutants.SAMPLE, one["mutants"]), stem

    def test_of_what_is_as_it_was_the_sample_is_the_same(self):
        measured = json.loads((mutants.ROOT / mutants.MEASURED).read_text("utf-8"))
        for stem, path in mutants.modules(mutants.ROOT).items():
            source = path.read_text("utf-8")
            one = measured["modules"].get(stem)
            if one is None or one["digest"] != mutants.digest_of(source):
                continue
            places = {
                (m.function, m.before, m.after) for m in mutants.sample_of(stem, source)
            }
            found = {(s["function"], s["before"], s["after"]) for s in one["survivors"]}
            assert found <= places, stem
            assert one["mutants"] == len(mutants.mutants_of(source)), stem

    def test_enough_are_killed(self):
        measured = json.loads((mutants.ROOT / mutants.MEASURED).read_text("utf-8"))
        modules = measured["modules"].values()
        run = sum(one["run"] for one in modules)
        assert sum(one["killed"] for one in modules) >= 0.85 * run

    def test_each_equivalent_one_has_a_reason(self):
        for one in mutants.equivalent(mutants.ROOT):
            assert len(one["reason"].split()) > 3, one
