"""A new chapter: well made, unfinished, and never half written."""

import os
import shutil
import subprocess
import sys

import pytest

from tools import new_chapter as tool
from tools.contract.rules import RULES
from tools.contract.tree import PARTS, Tree
from tools.new_chapter import add_to_toc, new_chapter

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
    "chapters_have_a_length",
    "chapters_have_figures",
    "checks_know_mistakes",
    "exercises_are_stated",
    "nothing_is_left_to_do",
    "quizzes_are_short",
    "stubs_are_checked",
    "summaries_have_five_lines",
    "tables_list_every_chapter",
    "terms_are_given_in_chinese",
}


@pytest.fixture
def root(tmp_path):
    """A book without chapters: the real package's shared code, and its settings."""
    for folder in ("checks", "common", "data"):
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
    toc += "    chapters:\n      - file: book/references\n"
    (tmp_path / "_toc.yml").write_text(toc, encoding="utf-8")
    (tmp_path / "book").mkdir()
    (tmp_path / "book/index.md").write_text("# Index\n", encoding="utf-8")
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
    written = new_chapter(root, part, stem, title)
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
    written = new_chapter(root, "detection", "anchors", "Anchor boxes")
    book = Tree(root)
    complaints = {rule.__name__: rule(book) for rule in RULES}
    refused = {name for name, found in complaints.items() if found}
    assert refused == UNFINISHED, {n: complaints[n] for n in refused ^ UNFINISHED}
    marked = "\n".join(complaints["nothing_is_left_to_do"])
    assert all(path.relative_to(root).as_posix() in marked for path in written[:-1])


def test_two_chapters_stand_side_by_side(root):
    new_chapter(root, "detection", "anchors", "Anchor boxes")
    new_chapter(root, "detection", "nms", "Suppression")
    new_chapter(root, "losses", "hashing", "Hashing")
    assert Tree(root).toc == (
        ("", "book/index"),
        ("First", "book/references"),
        ("Losses and measures", "book/losses/hashing"),
        ("Detecting", "book/detection/anchors"),
        ("Detecting", "book/detection/nms"),
    )


@pytest.mark.parametrize(
    ("part", "stem", "title", "message"),
    [
        ("detecting", "anchors", "A", "part must be one of found.*got 'detecting'"),
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
        new_chapter(root, part, stem, title)
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
        new_chapter(root, "detection", "anchors", "Anchor boxes")
    assert everything(root) == before


def test_without_a_table_of_contents(root):
    (root / "_toc.yml").unlink()
    before = everything(root)
    with pytest.raises(FileNotFoundError, match=r"must hold _toc.yml, got '/.*"):
        new_chapter(root, "detection", "anchors", "Anchor boxes")
    assert everything(root) == before


def test_a_table_of_contents_that_cannot_be_edited(root):
    (root / "_toc.yml").write_text("parts: [{caption: Detecting, chapters: []}]\n")
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
        new_chapter(root, "detection", "anchors", "Anchor boxes")
    after = {path: content for path, content in everything(root).items() if content}
    assert len(moved) == 3
    assert after == before


@pytest.mark.parametrize(
    ("part", "after", "added"),
    [
        (
            "foundations",
            "      - file: book/foundations/last\n",
            "      - file: book/foundations/x\n",
        ),
        (
            "detection",
            "      - file: book/detection/nms\n",
            "      - file: book/detection/x\n",
        ),
        (
            "losses",
            "      - file: book/foundations/last\n\n",
            "  - caption: Losses and measures\n    chapters:\n"
            "      - file: book/losses/x\n",
        ),
        (
            "project",
            "      - file: book/detection/nms\n",
            "  - caption: Project\n    chapters:\n      - file: book/project/x\n",
        ),
    ],
)
def test_the_table_of_contents_keeps_its_comments_and_order(part, after, added):
    assert add_to_toc(TOC, part, f"book/{part}/x") == TOC.replace(after, after + added)


def test_parts_of_the_design_each_take_a_chapter():
    text = TOC
    for part in reversed(PARTS):
        text = add_to_toc(text, part, f"book/{part}/x")
    captions = [line for line in text.splitlines() if "caption" in line]
    order = [line.split(": ")[1].strip('"') for line in captions]
    assert order == ["Before you start", *PARTS.values()]


def test_the_command(root, monkeypatch, capsys):
    monkeypatch.setattr(tool, "ROOT", root)
    monkeypatch.setattr(sys, "argv", ["new_chapter", "detection", "anchors", "Boxes"])
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
