"""What the page for teachers shows is what the commands print."""

import re

import nbformat
import pytest

from lesson_utils.checks.__main__ import main
from tools.serve import ROOT

PAGE = (ROOT / "book/teachers.md").read_text("utf-8")
BLOCKS = re.findall(r"(?ms)^```(python|text)\n(.*?)^```$", PAGE)
WRONG, OUTCOME, RIGHT, TABLE = (text for _, text in BLOCKS)

CHECK = "check('masked_mean', masked_mean)"


def test_the_page_has_two_answers_and_what_they_get():
    assert [kind for kind, _ in BLOCKS] == ["python", "text"] * 2


def test_grade_prints_what_the_page_shows(capsys):
    exec(WRONG, {})  # noqa: S102
    assert capsys.readouterr().out == OUTCOME


@pytest.mark.timeout(600)
def test_the_folder_check_prints_what_the_page_shows(tmp_path, capsys):
    for who, answer in (("s07", RIGHT), ("s12", WRONG)):
        check = (
            "from lesson_utils.checks import check\ncheck('masked_mean', masked_mean)"
        )
        cells = [nbformat.v4.new_code_cell(code) for code in (answer, check)]
        path = tmp_path / who / "masks.ipynb"
        path.parent.mkdir()
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == TABLE
