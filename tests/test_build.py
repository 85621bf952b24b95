"""The strict build of the pages: what is staged, what stops it, what is kept."""

import nbformat
import pytest

from tools import pages

CONFIG = """
title: Test
execute: {execute_notebooks: "off"}
only_build_toc_files: true
"""


@pytest.fixture
def tree(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "lesson_utils").mkdir()
    (tmp_path / "constraints.txt").write_text("")
    (tmp_path / "_config.yml").write_text(CONFIG)
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nchapters:\n  - file: book/apples\n"
    )
    (tmp_path / "book/index.md").write_text("# Index\n\nFirst words.\n")
    write(tmp_path / "book/apples.ipynb", "source")
    write(tmp_path / "_build/executed/book/apples.ipynb", "executed")
    return tmp_path


def write(path, word):
    cell = nbformat.v4.new_markdown_cell(f"# Apples\n\nThis is {word}.")
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)


def test_pages_show_what_was_executed_and_are_built_again_only_for_a_change(tree):
    assert pages.build(tree)
    html = tree / "_build/html/book"
    assert "This is executed" in (html / "apples.html").read_text()
    assert not pages.build(tree)
    (tree / "book/index.md").write_text("# Index\n\nOther words.\n")
    assert pages.build(tree)
    assert "Other words" in (html / "index.html").read_text()


def test_a_warning_stops_it_and_leaves_no_pages(tree, capsys):
    old = tree / "_build/html/book/index.html"
    old.parent.mkdir(parents=True)
    old.write_text("First words.")
    (tree / "book/index.md").write_text("# Index\n\n[](nowhere.md)\n")
    with pytest.raises(SystemExit, match="were not built"):
        pages.build(tree)
    assert "nowhere.md" in capsys.readouterr().err
    assert not (tree / "_build/html").exists()
    # Nor anything that a second try might take for its own work.
    assert not (tree / "_build/site").exists()


def test_a_notebook_that_was_not_executed_stops_it(tree):
    (tree / "_build/executed/book/apples.ipynb").unlink()
    with pytest.raises(SystemExit, match="book/apples.ipynb was not executed"):
        pages.build(tree)
