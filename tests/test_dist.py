"""What can be taken along: the zips of a small made site, and their digests."""

import hashlib
import re
import shutil
import sys
import zipfile

import pytest

from tests.small_site import BODIES, make_small_site
from tools import dist, look


@pytest.fixture
def root(tmp_path):
    return make_small_site(tmp_path / "repository")


def make(root, **options):
    return dist.make(root, root / "_build/html", root / "out", pdf=False, **options)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_pages_are_in_one_folder_without_the_builds_own_notes(root):
    with zipfile.ZipFile(make(root)[0]) as archive:
        names = set(archive.namelist())
        assert archive.testzip() is None
        index = archive.read("look-closer/index.html")
    assert index == (root / "_build/html/index.html").read_bytes()
    pages = {f"look-closer/book/{name}.html" for name in BODIES}
    assert names == pages | {"look-closer/index.html", "look-closer/_static/cover.webp"}


def test_the_notebooks_bring_what_they_need(root):
    with zipfile.ZipFile(make(root)[1]) as archive:
        names = {name.partition("/")[2] for name in archive.namelist()}
        start = archive.read("look-closer-notebooks/START_HERE.txt").decode()
    assert names == {
        "START_HERE.txt",
        "requirements.txt",
        "book/index.md",
        "book/foundations/stencils.ipynb",
        "lesson_utils/stencils.py",
        "lesson_utils/weights/net.json",
    }
    assert "pip install -r requirements.txt" in start


def test_all_that_the_start_speaks_of_is_in_the_zip():
    names = {name.partition("/")[2] for name in dist.notebook_files(dist.ROOT)}
    files = set(re.findall(r"[\w-]+\.txt", dist.START))
    assert files == {"requirements.txt", "constraints.txt", "requirements-weights.txt"}
    assert files | {"pyproject.toml", "README.md"} <= names
    assert "book/foundations/masks.ipynb" in names
    assert "lesson_utils/weights/tiny_vgg.safetensors" in names


def test_digests_are_those_of_the_files(root):
    *files, sums = make(root)
    lines = sums.read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == [file.name for file in files]
    for line, file in zip(lines, files, strict=True):
        assert line.split()[0] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_two_runs_give_the_same_bytes(root, tmp_path):
    make(root)
    first = content(root / "out")
    copy = tmp_path / "another"
    shutil.copytree(root, copy, copy_function=shutil.copy)  # with other times
    shutil.rmtree(copy / "out")
    (copy / "_build/html/book/index.html").chmod(0o755)
    make(copy)
    assert content(copy / "out") == first
    (copy / "_build/html/book/index.html").write_text("changed")
    make(copy)
    changed = content(copy / "out")
    assert changed["look-closer-html.zip"] != first["look-closer-html.zip"]
    assert changed["SHA256SUMS"] != first["SHA256SUMS"]


def test_what_else_the_folder_holds_stays(root):
    (root / "out").mkdir()
    (root / "out/mine.txt").write_text("mine")
    make(root)
    make(root)
    names = {"look-closer-html.zip", "look-closer-notebooks.zip", "SHA256SUMS"}
    assert set(content(root / "out")) == names | {"mine.txt"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError("no space left")])
@pytest.mark.parametrize("stage", ["first", "second"])
def test_nothing_is_left_half_written(root, monkeypatch, error, stage):
    make(root)
    before = content(root / "out")
    (root / "_build/html/book/index.html").write_text("a newer page")
    write = zipfile.ZipFile.writestr

    def full(archive, entry, data):
        if stage == "first" or "notebooks" in entry.filename:
            raise error
        write(archive, entry, data)

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises((KeyboardInterrupt, OSError)):
        make(root)
    assert content(root / "out") == before


def test_no_built_book(root):
    (root / "_build/html/index.html").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no built book: run `make book"):
        make(root)
    assert not (root / "out").exists()


def test_a_page_that_was_not_built(root):
    (root / "_build/html/book/foundations/kernels.html").unlink()
    with pytest.raises(FileNotFoundError, match="kernels is in _toc.yml, but not in"):
        make(root)
    assert not (root / "out").exists()


class TestCommand:
    def call(self, root, monkeypatch, *arguments):
        monkeypatch.setattr(dist, "ROOT", root)
        html = ("--html", str(root / "_build/html"))
        monkeypatch.setattr(sys, "argv", ["dist", *html, *arguments])
        dist.main()

    def test_says_what_was_made(self, root, monkeypatch, capsys):
        self.call(root, monkeypatch, "--no-pdf", "--out", str(root / "out"))
        lines = capsys.readouterr().out.splitlines()
        assert [line.rpartition("/")[2] for line in lines] == [
            "look-closer-html.zip",
            "look-closer-notebooks.zip",
            "SHA256SUMS",
        ]

    def test_without_a_browser(self, root, monkeypatch):
        monkeypatch.setattr(look.shutil, "which", lambda name: None)
        with pytest.raises(SystemExit, match=r"apt install chromium.*--no-pdf does"):
            self.call(root, monkeypatch, "--out", str(root / "out"))
        assert not (root / "out").exists()

    def test_a_folder_that_cannot_be_written(self, root, monkeypatch):
        (root / "out").write_text("a file")
        with pytest.raises(SystemExit, match="--out must be a folder that can be wri"):
            self.call(root, monkeypatch, "--no-pdf", "--out", str(root / "out"))
        assert (root / "out").read_text() == "a file"

    def test_interrupted(self, root, monkeypatch):
        def stop(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(dist, "zip_files", stop)
        with pytest.raises(SystemExit, match="interrupted: nothing was left half"):
            self.call(root, monkeypatch, "--no-pdf", "--out", str(root / "out"))
        assert list((root / "out").iterdir()) == []
