"""A new chapter: well made, unfinished, and never half written."""

import os
import shutil
import subprocess
import sys

import pytest

from tools import new_chapter as tool
from tools.contract.generated import (
    BEGIN,
    END,
    facts_are_true,
    tables_are_up_to_date,
)
from tools.contract.rules import RULES
from tools.contract.tree import Tree
from tools.new_chapter import add_to_toc, new_chapter
from tools.tables import write_tables

TOC = """\
# The only place that holds an order.
format: jb-book
root: book/index
parts:
  - caption: Before you start
    chapters:
      - file: book/notation  # symbols
  - caption: "Foundations"
    chapters:
      - file: book/foundations/stencils
        sections:
          - file: book/foundations/more
      # what comes last
      - file: book/foundations/last

  # The part that all wait for.
  - caption: Detecting
    chapters:
      - file: book/detection/nms
"""

# The rules that an unfinished chapter may break: they ask for content.
UNFINISHED = {
    "chapters_have_figures",
    "checks_know_mistakes",
    "facts_are_true",  # until `python -m tools.tables` has run, as has the next
    "tables_are_up_to_date",
    "nothing_is_left_to_do",
    "quizzes_are_short",
    "stubs_are_checked",
    "summaries_have_five_lines",
    "terms_are_given_in_chinese",
}

PAGES = (
    "README.md",
    "book/index.md",
    "book/teachers.md",
    "book/exercises.md",
    "book/hardware.md",
    "book/glossary.md",
)
DETECTING = {"caption": "Detecting"}


@pytest.fixture
def root(tmp_path):
    """A book without chapters: the real package's shared code, and its settings."""
    for folder in ("checks", "common", "data", "grading"):
        shutil.copytree(
            tool.ROOT / "lesson_utils" / folder,
            tmp_path / "lesson_utils" / folder,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    for path in (tmp_path / "lesson_utils" / "checks").glob("[a-z]*.py"):
        path.unlink()
    for name in ("pyproject.toml", "lesson_utils/__init__.py"):
        shutil.copy(tool.ROOT / name, tmp_path / name)
    toc = "format: jb-book\nroot: book/index\nparts:\n  - caption: First\n"
    toc += "    chapters:\n"
    for page in ("references", "teachers", "exercises", "hardware", "glossary"):
        toc += f"      - file: book/{page}\n"
    (tmp_path / "_toc.yml").write_text(toc, encoding="utf-8")
    (tmp_path / "book").mkdir()
    for page in PAGES:
        text = f"# Page\n\n{BEGIN}\n{END}\n"
        (tmp_path / page).write_text(text, encoding="utf-8")
    (tmp_path / "book/references.bib").write_text("", encoding="utf-8")
    listing = "# References\n\n```{bibliography}\n```\n"
    (tmp_path / "book/references.md").write_text(listing, encoding="utf-8")
    return tmp_path


def everything(root):
    """Every file with its content, and every folder."""
    return {
        path.relative_to(root).as_posix(): path.is_file() and path.read_bytes()
        for path in root.rglob("*")
    }


@pytest.mark.parametrize(
    ("part", "stem", "title"),
    [
        ("detection", "anchors", "Anchor boxes"),
        ("project", "semantic_to_a_vehicle_at_large", "T" * tool.LONGEST_TITLE),
    ],
)
def test_its_files_are_well_made(root, part, stem, title):
    written = new_chapter(root, part, stem, title, caption="Of its own")
    paths = [path.relative_to(root).as_posix() for path in written]
    assert paths == [
        f"book/{part}/{stem}.ipynb",
        f"lesson_utils/{stem}.py",
        f"lesson_utils/checks/{stem}.py",
        f"tests/test_{stem}.py",
        "_toc.yml",
    ]
    assert not list(root.glob(".new_chapter*"))
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", *paths[:-1]]
        run = subprocess.run(ruff, cwd=root, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout


def test_the_contract_refuses_it_only_as_unfinished(root):
    written = new_chapter(root, "detection", "hashing", "Short codes", **DETECTING)
    book = Tree(root)
    complaints = {rule.__name__: rule(book) for rule in RULES}
    refused = {name for name, found in complaints.items() if found}
    assert refused == UNFINISHED, {n: complaints[n] for n in refused ^ UNFINISHED}
    marked = "\n".join(complaints["nothing_is_left_to_do"])
    assert all(path.relative_to(root).as_posix() in marked for path in written[:-1])


def test_the_tables_command_brings_it_in(root):
    new_chapter(root, "detection", "hashing", "Short codes", **DETECTING)
    changed = write_tables(root)
    assert changed == ["book/detection/hashing.ipynb", *PAGES]
    assert "[Short codes](book/detection/hashing.ipynb)" in (
        root / "README.md"
    ).read_text("utf-8")
    book = Tree(root)
    assert facts_are_true(book) == tables_are_up_to_date(book) == []
    assert "**Exercises** 50 min" in book.notebooks[0].cells[0].source  # 10 + 10 + 30


def test_two_chapters_stand_side_by_side(root):
    new_chapter(root, "detection", "anchors", "Anchor boxes", **DETECTING)
    new_chapter(root, "detection", "nms", "Suppression")
    new_chapter(root, "project", "machine", "A machine", caption="Project")
    new_chapter(root, "losses", "hashing", "H", caption="Losses", after="detection")
    assert Tree(root).toc[-4:] == (
        ("Detecting", "book/detection/anchors"),
        ("Detecting", "book/detection/nms"),
        ("Losses", "book/losses/hashing"),
        ("Project", "book/project/machine"),
    )
    parts = {"detection": "Detecting", "losses": "Losses", "project": "Project"}
    assert Tree(root).parts == parts


@pytest.mark.parametrize(
    ("part", "stem", "title", "message"),
    [
        ("detection", "Anchors", "A", "stem must be snake_case.*got 'Anchors'"),
        ("detection", "two__parts", "A", "stem must be snake_case"),
        ("detection", "3d", "A", "stem must be snake_case"),
        ("detection", "../anchors", "A", "stem must be snake_case"),
        ("detection", "", "A", "stem must be snake_case.*got ''"),
        ("detection", "lambda", "A", "stem must not be a word.*got 'lambda'"),
        ("detection", "checks", "A", "stem must not be a word.*got 'checks'"),
        ("detection", "a" * 31, "A", "stem must be at most 30 letters"),
        ("detection", "plotting", "A", "like that of lesson_utils/common/plotting.py"),
        ("detection", "photo_graph", "A", "like that of lesson_utils/data/photographs"),
        ("detection", "anchors", "", "title must be one line.*got ''"),
        ("detection", "anchors", "  ", "title must be one line"),
        ("detection", "anchors", "A\nB", "title must be one line"),
        ("detection", "anchors", 'The "best"', "title must be one line"),
        ("detection", "anchors", "T" * 61, "title must be one line of 1 to 60"),
    ],
)
def test_what_is_refused_leaves_no_trace(root, part, stem, title, message):
    before = everything(root)
    with pytest.raises(ValueError, match=message):
        new_chapter(root, part, stem, title, **DETECTING)
    assert everything(root) == before


@pytest.mark.parametrize(
    ("part", "more", "message"),
    [
        ("detecting", {}, "part must be one of detection, or.*got 'detecting'"),
        ("../x", {"caption": "X"}, r"part must be snake_case.*got '\.\./x'"),
        ("x", {"caption": "Detecting"}, "that no other part has, got 'Detecting'"),
        ("x", {"caption": "X: y"}, "caption must be plain words.*got 'X: y'"),
        ("x", {"caption": ""}, "caption must be plain words.*got ''"),
        ("x", {"caption": "X", "after": "y"}, "one of detection, got 'y'"),
        (
            "detection",
            {"caption": "Other"},
            "'detection' is in _toc.yml as 'Detecting'",
        ),
        ("detection", {"after": "detection"}, "are for a new one"),
    ],
)
def test_a_part_that_is_refused_leaves_no_trace(root, part, more, message):
    new_chapter(root, "detection", "nms", "Suppression", **DETECTING)
    before = everything(root)
    with pytest.raises(ValueError, match=message):
        new_chapter(root, part, "anchors", "Anchor boxes", **more)
    assert everything(root) == before


@pytest.mark.parametrize(
    "path",
    [
        "book/losses/anchors.ipynb",
        "lesson_utils/anchors.py",
        "lesson_utils/checks/anchors.py",
        "tests/test_anchors.py",
        "lesson_utils/anchor.py",
        "tools/anchors.py",
    ],
)
def test_a_stem_that_is_taken_is_refused(root, path):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).touch()
    before = everything(root)
    with pytest.raises(ValueError, match=f"like that of {path}, got 'anchors'"):
        new_chapter(root, "detection", "anchors", "Anchor boxes", **DETECTING)
    assert everything(root) == before


def test_without_a_table_of_contents(root):
    (root / "_toc.yml").unlink()
    before = everything(root)
    with pytest.raises(FileNotFoundError, match=r"must hold _toc.yml, got '/.*"):
        new_chapter(root, "detection", "anchors", "Anchor boxes")
    assert everything(root) == before


def test_a_table_of_contents_that_cannot_be_edited(root):
    page = "{file: book/detection/nms}"
    toc = f"parts: [{{caption: Detecting, chapters: [{page}]}}]\n"
    (root / "_toc.yml").write_text(toc)
    before = everything(root)
    with pytest.raises(ValueError, match=r"_toc\.yml must"):
        new_chapter(root, "detection", "anchors", "Anchor boxes")
    assert everything(root) == before


def test_a_move_that_fails_is_taken_back(root, monkeypatch):
    link, moved = os.link, []

    def full(source, target):
        if len(moved) == 3:
            raise OSError("no space left on device")
        moved.append(target)
        link(source, target)

    monkeypatch.setattr(os, "link", full)
    before = {path: content for path, content in everything(root).items() if content}
    with pytest.raises(OSError, match="no space left"):
        new_chapter(root, "detection", "anchors", "Anchor boxes", **DETECTING)
    after = {path: content for path, content in everything(root).items() if content}
    assert len(moved) == 3
    assert after == before


@pytest.mark.parametrize(
    ("part", "new", "behind", "added"),
    [
        (
            "foundations",
            {},
            "      - file: book/foundations/last\n",
            "      - file: book/foundations/x\n",
        ),
        (
            "detection",
            {},
            "      - file: book/detection/nms\n",
            "      - file: book/detection/x\n",
        ),
        (
            "losses",
            {"caption": "Losses and measures", "after": "foundations"},
            "      - file: book/foundations/last\n\n",
            "  - caption: Losses and measures\n    chapters:\n"
            "      - file: book/losses/x\n",
        ),
        (
            "project",
            {"caption": "Project"},
            "      - file: book/detection/nms\n",
            "  - caption: Project\n    chapters:\n      - file: book/project/x\n",
        ),
        (
            "project",
            {"caption": "Project", "after": "detection"},
            "      - file: book/detection/nms\n",
            "  - caption: Project\n    chapters:\n      - file: book/project/x\n",
        ),
    ],
)
def test_the_table_of_contents_keeps_its_comments_and_order(part, new, behind, added):
    edited = add_to_toc(TOC, part, f"book/{part}/x", **new)
    assert edited == TOC.replace(behind, behind + added)


def test_the_command(root, monkeypatch, capsys):
    monkeypatch.setattr(tool, "ROOT", root)
    arguments = ["detection", "anchors", "Boxes", "--caption", "Detecting"]
    monkeypatch.setattr(sys, "argv", ["new_chapter", *arguments])
    tool.main()
    assert "lesson_utils/checks/anchors.py\n" in capsys.readouterr().out
    with pytest.raises(SystemExit) as done:
        tool.main()
    assert done.value.code == 2
    assert "stem must not be like that of book/detection" in capsys.readouterr().err


def test_the_script_runs_from_any_folder(tmp_path):
    command = [sys.executable, tool.__file__, "detecting", "anchors", "Boxes"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 2
    assert "part must be one of foundations" in run.stderr
