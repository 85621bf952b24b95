"""Executing notebooks: progress, failures, what is run again and what is not."""

import nbformat
import pytest

from tools import execute, store_outputs

GOOD, BAD = "print('fine')", "fruit = {}\n\nfruit['pear']"


@pytest.fixture
def tree(tmp_path):
    for name in ("requirements.txt", "constraints.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "lesson_utils").mkdir()
    return tmp_path


def write(root, **chapters):
    lines = ["root: book/index", "parts:", "  - caption: Fruit", "    chapters:"]
    for name, sources in chapters.items():
        cells = [
            nbformat.v4.new_code_cell(source, id=str(index))
            for index, source in enumerate(sources)
        ]
        path = root / "book" / f"{name}.ipynb"
        path.parent.mkdir(exist_ok=True)
        nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
        lines.append(f"      - file: book/{name}")
    (root / "_toc.yml").write_text("\n".join(lines))


def test_pages_are_listed_in_reading_order(tree):
    write(tree, pears=[], apples=[])
    pages = ["book/index", "book/pears", "book/apples"]
    assert execute.listed_pages(tree) == pages


def test_each_is_run_once_and_only_the_changed_ones_again(tree, capsys):
    write(tree, apples=[GOOD], pears=[GOOD])
    source = tree / "book/apples.ipynb"
    before = source.read_bytes()
    first = execute.execute_all(tree, jobs=2)
    assert all(run.error is None for run in first)
    lines = capsys.readouterr().out
    assert "0 up to date, 2 to run" in lines
    assert "2/2  " in lines
    executed = nbformat.read(tree / "_build/executed/book/apples.ipynb", as_version=4)
    assert executed.cells[0].outputs[0].text == "fine\n"
    assert 20 < executed.metadata.look_closer.peak_mib < 2000
    assert source.read_bytes() == before

    assert execute.execute_all(tree, jobs=2) == []
    write(tree, apples=[GOOD], pears=["print('changed')"])
    assert [run.notebook.stem for run in execute.execute_all(tree, jobs=2)] == ["pears"]


def test_a_cell_that_raises_is_named_and_leaves_no_copy(tree, capsys):
    write(tree, apples=[GOOD])
    execute.execute_all(tree, jobs=1)
    write(tree, apples=[GOOD, BAD])
    (run,) = execute.execute_all(tree, jobs=1)
    assert run.error.startswith("cell 1 (fruit = {}):")
    assert "KeyError: 'pear'" in run.error
    assert "\x1b" not in run.error
    assert "apples" in capsys.readouterr().out.partition("FAILED")[0]
    assert not (tree / "_build/executed/book/apples.ipynb").exists()


def test_the_command_exits_with_1_and_says_where(tree, monkeypatch, capsys):
    write(tree, apples=[BAD])
    monkeypatch.setattr(execute, "ROOT", tree)
    monkeypatch.setattr("sys.argv", ["execute"])
    with pytest.raises(SystemExit) as stop:
        execute.main()
    assert stop.value.code == 1
    assert "book/apples.ipynb, cell 0 (fruit = {}):" in capsys.readouterr().err


def test_a_cell_that_does_not_end_is_stopped(tree, monkeypatch):
    monkeypatch.setattr(execute, "CELL_SECONDS", 1)
    book = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell("while True: pass")]
    )
    assert "did not end within 1 s" in execute.run_cells(book, tree)


def test_only_checked_outputs_are_stored(tree):
    write(tree, apples=[GOOD, GOOD])
    path = tree / "book/apples.ipynb"
    book = nbformat.read(path, as_version=4)
    book.cells[1].metadata.tags = ["nbval-check-output", "keep_output"]
    nbformat.write(book, path)
    assert store_outputs.store(path) is None
    first, second = nbformat.read(path, as_version=4).cells
    assert first.outputs == []
    assert second.outputs[0].text == "fine\n"
    assert second.execution_count == 1  # or nbval compares nothing
    assert first.execution_count is None


def test_nothing_is_stored_if_a_cell_raises(tree):
    write(tree, apples=[BAD])
    path = tree / "book/apples.ipynb"
    before = path.read_bytes()
    assert "KeyError" in store_outputs.store(path)
    assert path.read_bytes() == before
