"""Slides of core paths, from notebooks that nobody runs."""

import json
import sys

import nbformat
import pytest

from tools import slides as tool
from tools.contract.notebook import Notebook
from tools.slides import core_path, show


def markdown(*lines):
    return {"cell_type": "markdown", "metadata": {}, "source": "\n".join(lines)}


def code(source, *tags, text=None):
    output = {"output_type": "stream", "name": "stdout", "text": [text or ""]}
    return {
        "cell_type": "code",
        "metadata": {"tags": list(tags)},
        "execution_count": None,
        "source": source,
        "outputs": [output] if text else [],
    }


CELLS = [
    markdown("# Stencils", "", "Keep what you want {cite:p}`porter1984`."),
    code("import torch", "hide-input"),
    code("draw()", "hide-input", text="a picture"),
    markdown("## The idea", "", ":::{note}", "Mind $x$.", ":::"),
    markdown("## From scratch"),
    markdown("### On one slide", "", "In one line:"),
    code("plain = 1", "plain-version"),
    markdown("Run it:"),
    code("print(plain)", text="1"),
    markdown("## Exercises", "", "Do it."),
    code("answer()"),
    markdown("## Going deeper", "", "Down."),
]


@pytest.fixture
def made():
    return core_path(Notebook("book/foundations/stencils.ipynb", {"cells": CELLS}))


def groups(made):
    slides = []
    for cell in made.cells:
        if cell.metadata.slideshow.slide_type == "slide":
            slides.append([])
        slides[-1].append(cell.source)
    return slides


def test_a_slide_begins_at_headings_and_the_plain_version_has_its_own(made):
    assert groups(made) == [
        ["# Stencils\n\nKeep what you want porter1984.", "draw()"],
        ["## The idea\n\nMind $x$."],
        ["## From scratch", "### On one slide\n\nIn one line:"],
        ["plain = 1"],
        ["Run it:", "print(plain)"],
    ]


def test_the_show_has_pictures_without_the_code_that_draws_them(made):
    page = show(made, "Stencils & more", "../mathjax")
    assert page.count("<section ") == 5
    assert "<title>Stencils &amp; more" in page
    assert "a picture" in page
    assert "draw" not in page
    assert "plain" in page
    assert 'src="../mathjax/startup.js"' in page
    assert "http" not in page.replace("http-equiv", "")


def test_a_real_chapter(tmp_path):
    page = tool.write(tool.ROOT, "nms", tmp_path)
    source = json.loads((tool.ROOT / "book/detection/nms.ipynb").read_text("utf-8"))
    plain = [
        "".join(cell["source"])
        for cell in source["cells"]
        if "plain-version" in cell["metadata"].get("tags", [])
    ]
    made = groups(nbformat.read(tmp_path / "nms.ipynb", as_version=4))
    assert page.read_text("utf-8").count("<section ") == len(made)
    with_plain = [slide for slide in made if set(plain) & set(slide)]
    # Nothing but its heading stands beside a plain version.
    assert [slide[-1] for slide in with_plain] == plain
    assert all(text.startswith("#") for slide in with_plain for text in slide[:-1])
    assert "## Exercises" not in str(made)


def test_no_such_chapter(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["slides", "ghosts", "--out", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"stem must be one of .*masks.*got 'ghosts'"):
        tool.main()
    assert list(tmp_path.iterdir()) == []
