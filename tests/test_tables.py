"""What the tables command writes: all that has drifted, and nothing else."""

import json
import sys

import nbformat
import pytest

from tests.small_book import ABOUT, CELLS, FACTS, FILES, NOTEBOOK, make_small_book
from tools import mutants
from tools import tables as tool
from tools.contract import generated
from tools.contract.generated import BEGIN, COMMAND, END
from tools.contract.measured import MAKERS
from tools.contract.plan import WAYS, WEEKS, Week
from tools.contract.tree import Tree
from tools.tables import take_measurements, write_tables
from tools.tidy_notebooks import stripped

PAGES = [path for path, text in FILES.items() if BEGIN in text]


@pytest.fixture
def book(tmp_path):
    return make_small_book(tmp_path)


def content(book):
    files = (path for path in book.root.rglob("*") if path.is_file())
    return {path: path.read_bytes() for path in files}


def about(book):
    return json.loads((book.root / NOTEBOOK).read_text("utf-8"))["metadata"][
        "look_closer"
    ]


def first_cell(book):
    return book.tree.notebooks[0].cells[0].source


def run_took(book, seconds, mib):
    """Leave an executed copy, as the build does."""
    copy = nbformat.read(book.root / NOTEBOOK, as_version=4)
    copy.metadata["look_closer"] = {"seconds": seconds, "peak_mib": mib, "files": {}}
    book.write(f"_build/executed/{NOTEBOOK}", nbformat.writes(copy))


def test_nothing_is_written_where_nothing_has_drifted(book):
    before = content(book)
    assert write_tables(book.root) == []
    assert content(book) == before


@pytest.mark.parametrize("page", PAGES)
def test_a_page_without_its_table_gets_it_back(book, page):
    text = FILES[page]
    start, end = text.index(BEGIN) + len(BEGIN) + 1, text.index(END)
    book.write(page, text[:start] + text[end:])
    assert write_tables(book.root) == [page]
    assert (book.root / page).read_text("utf-8") == text
    assert write_tables(book.root) == []


@pytest.mark.parametrize(
    "line",
    [
        FACTS.replace("11 min", "99 min"),
        FACTS.replace("Runs** 5", "Runs** 7").replace("stencils", "masks"),
        "**Read** 20 min · **Runs** 9 s on a CPU · **Module** `x.py` · "
        "**Before** [arrays](https://example.org)",
    ],
)
def test_the_line_of_facts_is_written_again(book, line):
    book.source(FACTS, line)
    assert write_tables(book.root) == [NOTEBOOK]
    assert first_cell(book) == CELLS[0][0]
    assert write_tables(book.root) == []


def test_the_plan_has_the_minutes_of_what_there_is(book, monkeypatch):
    weeks = [
        Week("Holes", ("ghosts", "stencils"), ()),
        Week("Ghosts", ("ghosts",), ()),
        Week("More", (), ("stencils",)),
    ]
    monkeypatch.setattr(generated, "WEEKS", weeks)
    assert write_tables(book.root) == ["book/teachers.md"]
    text = (book.root / "book/teachers.md").read_text("utf-8")
    link = "[](foundations/stencils.ipynb)"
    assert f"| 1 | Holes | {link} | 11 | | 0 | 2 |" in text
    assert f"| 3 | More | | 0 | {link} | 11 | 2 |" in text
    assert "Ghosts" not in text


def test_every_chapter_is_in_one_week_and_ninety_minutes_are_enough():
    book = Tree(tool.ROOT)
    planned = [s for week in WEEKS for s in (*week.lecture, *week.at_home)]
    assert len(WEEKS) == 10
    assert len(planned) == len(set(planned))
    there = {notebook.stem: notebook for notebook in book.chapters}
    assert there.keys() <= set(planned)
    ninety, ten, everything = WAYS
    assert sum(generated.core_minutes(there[stem]) for stem in ninety.stems) <= 90
    assert len(ten.stems) == 10
    assert {*ninety.stems, *ten.stems} <= there.keys()
    assert everything.stems is None


def test_what_stands_behind_before_is_the_authors(book):
    book.source("**Before** [arrays](https://example.org)", "**Before** nothing at all")
    assert write_tables(book.root) == []
    assert first_cell(book).endswith(" · **Before** nothing at all")


def test_a_longer_chapter_changes_its_line_and_both_tables_at_once(book):
    book.source("## The mathematics\n", "## The mathematics\n\n" + "word " * 270)
    assert write_tables(book.root) == [NOTEBOOK, "README.md", "book/index.md"]
    assert "**Core** 13 min" in first_cell(book)
    for page in ("README.md", "book/index.md"):
        text = (book.root / page).read_text("utf-8")
        due = FILES[page].replace("| 11 |", "| 13 |").replace("11 min", "13 min")
        assert text == due
    assert write_tables(book.root) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda b: b.edit(NOTEBOOK, '"builds"', '"makes"'), "builds must say"),
        (lambda b: b.edit("README.md", END, ""), "README.md: one table must stand"),
        (lambda b: b.remove("book/hardware.md"), "hardware.md: one table must stand"),
    ],
)
def test_what_cannot_be_written_leaves_all_as_it_was(book, change, message):
    book.edit("book/glossary.md", "what is kept", "kept")
    change(book)
    before = content(book)
    with pytest.raises(ValueError, match=message):
        write_tables(book.root)
    assert content(book) == before


def test_no_file_is_ever_half_written(book, monkeypatch):
    book.edit("book/glossary.md", "what is kept", "kept")
    before = (book.root / "book/glossary.md").read_text("utf-8")

    def full(path, target):
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="no space left"):
        write_tables(book.root)
    assert (book.root / "book/glossary.md").read_text("utf-8") == before


@pytest.mark.parametrize(
    ("seconds", "mib", "due"),
    [
        (5.0, 1200, (5, 1200)),
        (6.1, 1590, (10, 1200)),  # 10 is twice 5; 1,600 is a third more, not over it
        (0.2, 1601, (5, 1650)),
        (44.9, 790, (45, 1200)),  # 800 is a third less
        (45.1, 750, (50, 750)),
        (5.0, None, (5, 1200)),
    ],
)
def test_a_measurement_counts_if_it_differs_by_a_third(book, seconds, mib, due):
    run_took(book, seconds, mib)
    noted = take_measurements(book.root)
    assert about(book) == ABOUT | {"seconds": due[0], "mib": due[1]}
    assert len(noted) == (due[0] != 5) + (due[1] != 1200)
    assert take_measurements(book.root) == []


def test_without_a_run_nothing_is_measured(book):
    before = content(book)
    assert take_measurements(book.root) == []
    assert content(book) == before


def test_tidying_keeps_what_the_metadata_says(book):
    kept = stripped(nbformat.read(book.root / NOTEBOOK, as_version=4))
    assert kept.metadata["look_closer"] == ABOUT


NAMED = "\n<!-- made by python -m tools.tables: {} -->\n<!-- end -->\n"


class TestWhatWasMeasured:
    """Tables under a name, from the files in `benchmarks/measured`."""

    def table(self, book, name):
        book.append("book/hardware.md", NAMED.format(name))
        write_tables(book.root)
        assert write_tables(book.root) == []
        text = (book.root / "book/hardware.md").read_text("utf-8")
        return text.partition(f": {name} -->\n")[2].partition(END)[0]

    def test_benchmarks(self, book):
        assert self.table(book, "benchmarks") == "Nothing was measured yet.\n"
        row = {"benchmark": "stencils", "what": "keep", "peer": "numpy", "ratio": 0.25}
        run = {"command": "make bench", "machine": "two cores", "python": "3.11"}
        run |= {"versions": {"numpy": "2.4"}, "rows": [row]}
        book.write("benchmarks/measured/benchmarks.json", json.dumps(run))
        write_tables(book.root)
        text = (book.root / "book/hardware.md").read_text("utf-8")
        assert "`make bench`, two cores, Python 3.11, numpy 2.4:\n\n" in text
        assert "| stencils | keep | numpy | 0.25 |\n" in text

    def test_other_versions(self, book):
        names = ("python", "torch", "torchvision", "tests", "state", "text")
        row = dict.fromkeys(names, "a|b")
        book.write("benchmarks/measured/matrix.json", json.dumps([row]))
        told = self.table(book, "matrix")
        assert "| " + " | ".join(["a\\|b"] * 6) + " |\n" in told
        assert "| 3.12 | pinned | pinned | nothing | not run | |\n" in told

    def test_mutants_say_what_is_not_measured(self, book):
        told = self.table(book, "mutants")
        assert "0 of 3 modules are measured" in told
        assert "| `stencils.py` | | not yet | | | |\n" in told
        assert "| `common/quiz.py` | | no tests yet | | | |\n" in told

    @pytest.mark.parametrize("changed", [False, True])
    def test_mutants_say_what_has_changed_since(self, book, changed):
        path = book.root / "lesson_utils/stencils.py"
        digest = mutants.digest_of(path.read_text("utf-8"))
        place = {"function": "keep", "code": "x < 1", "column": 0}
        place |= {"before": "x < 1", "after": "x <= 1"}
        lived = {"line": 3, "kind": "comparison exchanged", **place}
        other = lived | {"column": 4, "before": "1", "after": "2|2"}
        one = {"file": "lesson_utils/stencils.py", "digest": digest, "mutants": 9}
        one |= {"run": 5, "killed": 3, "survivors": [lived, other]}
        run = {"modules": {"stencils": one}}
        book.write("benchmarks/measured/mutants.json", json.dumps(run))
        same = [{"module": "stencils", **place, "reason": "x is never 1"}]
        book.write("benchmarks/measured/equivalent_mutants.json", json.dumps(same))
        if changed:
            book.append("lesson_utils/stencils.py", "\n\nLIMIT = 3\n")
        told = self.table(book, "mutants")
        state = "before its last change" if changed else "as it stands"
        assert f"| `stencils.py` | 9 | 5 | 3 | 1 | {state} |\n" in told
        assert "killed 3: 60.0%" in told
        assert "without them, 75.0% were killed" in told
        told = self.table(book, "survivors")
        assert "| `stencils.py:3` | `x < 1` → `x <= 1` | x is never 1 |\n" in told
        assert "| `1` → `2\\|2` | not told from the original" in told

    def test_links_and_dois(self, book):
        book.append("book/glossary.md", "See [this](https://example.org/a_b), too.\n")
        entry = "@misc{{{0},\n  author = {{A}},\n  title = {{T}},\n  {1},\n}}\n\n"
        book.append(
            "book/references.bib",
            "\n"
            + entry.format("a2020", "howpublished = {arXiv:2006.13846}")
            + entry.format("b2020", "doi = {10.1000/xyz}")
            + entry.format("c2020", "year = {2020}"),
        )
        told = self.table(book, "links")
        assert "| [](/book/glossary.md) | <https://example.org/a_b> |\n" in told
        told = self.table(book, "dois")
        assert "2 of the 4 references are listed with a DOI" in told
        assert (
            "| {cite:t}`a2020` | <https://doi.org/10.48550/arXiv.2006.13846> |" in told
        )
        assert "| {cite:t}`b2020` | <https://doi.org/10.1000/xyz> |" in told


def test_the_book_shows_each_table_of_what_was_measured_once():
    text = "".join(path.read_text("utf-8") for path in tool.ROOT.glob("book/*.md"))
    for name in MAKERS:
        assert text.count(f"<!-- made by {COMMAND}: {name} -->") == 1


class TestCommand:
    def call(self, book, monkeypatch, *arguments):
        monkeypatch.setattr(tool, "ROOT", book.root)
        monkeypatch.setattr(sys, "argv", ["tables", *arguments])
        tool.main()

    def test_says_what_changed(self, book, monkeypatch, capsys):
        self.call(book, monkeypatch)
        assert capsys.readouterr().out == "All tables are up to date.\n"
        book.edit("book/glossary.md", "what is kept", "kept")
        self.call(book, monkeypatch)
        assert capsys.readouterr().out == "book/glossary.md\n"

    def test_takes_measurements_into_all_places(self, book, monkeypatch, capsys):
        run_took(book, 18.2, 1210)
        self.call(book, monkeypatch, "--measured")
        assert f"{NOTEBOOK}: seconds: 5 → 20\n" in capsys.readouterr().out
        assert "**Runs** 20 s on a CPU" in first_cell(book)
        table = (book.root / "book/hardware.md").read_text("utf-8")
        assert "| [](foundations/stencils.ipynb) | 20 | 1,200 |" in table

    def test_takes_what_is_built(self, book, monkeypatch):
        self.call(book, monkeypatch, "--builds", "stencils", "holes in a sheet")
        assert "| holes in a sheet | 11 |" in (book.root / "README.md").read_text()

    def test_refuses_what_it_does_not_know(self, book, monkeypatch, capsys):
        with pytest.raises(SystemExit) as done:
            self.call(book, monkeypatch, "--builds", "ghosts", "fear")
        assert done.value.code == 2
        assert "--builds must name a chapter, got 'ghosts'" in capsys.readouterr().err
        book.edit(NOTEBOOK, '"builds"', '"makes"')
        with pytest.raises(SystemExit, match="builds must say"):
            self.call(book, monkeypatch)
