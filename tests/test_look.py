import socket
import urllib.error
import urllib.request

import pytest
from PIL import Image

from tools import look, serve


@pytest.fixture
def html(tmp_path):
    folder = tmp_path / "html"
    (folder / "book").mkdir(parents=True)
    (folder / "index.html").write_text("<h1>The book</h1>")
    return folder


def test_serving_is_on_loopback_and_ends_with_the_block(html):
    with serve.serving(html) as site:
        assert site.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{site}index.html") as answer:  # noqa: S310
            assert answer.read() == b"<h1>The book</h1>"
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(site)  # noqa: S310


def test_a_port_that_is_taken_gives_way_to_the_next_free_one(html):
    with socket.socket() as taken:
        taken.bind((serve.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with serve.bind(html, port) as server:
            assert port < server.server_port <= port + 100


@pytest.mark.parametrize("port", [-1, 65536])
def test_no_such_port(html, port):
    with pytest.raises(ValueError, match=f"port must be in 0 to 65535, got {port}"):
        serve.bind(html, port)


def test_no_built_book(tmp_path, html):
    assert serve.check_built(html) == html
    with pytest.raises(FileNotFoundError, match=f"{tmp_path}.*make book"):
        serve.check_built(tmp_path)


def test_no_browser(monkeypatch):
    monkeypatch.setattr(look.shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"chromium.*google-chrome.*PATH"):
        look.find_chromium()


def test_the_first_browser_that_is_there(monkeypatch):
    there = {"google-chrome": "/opt/google-chrome"}
    monkeypatch.setattr(look.shutil, "which", there.get)
    assert look.find_chromium() == "/opt/google-chrome"


def test_a_page_that_was_not_built(html, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"book/gone is in _toc\.yml, but not"):
        look.take(html, ["book/gone"], tmp_path / "look")


def test_contact_sheet_has_a_cell_for_each_page_and_view(tmp_path):
    shots = {}
    for page in ("book/index", "book/foundations/masks"):
        for view in look.VIEWS:
            shots[page, view.name] = tmp_path / f"{page[-5:]}-{view.name}.png"
            picture = Image.new("RGB", (view.width, 2000), "#0000ff")
            picture.save(shots[page, view.name])
    sheet = look.contact_sheet(shots)
    blue = sum(count for count, color in sheet.getcolors(1 << 24) if color[2] == 255)
    cell_area = sum(view.thumbnail * 760 for view in look.VIEWS)
    assert blue == 2 * cell_area


def test_no_proxy_stands_before_this_machine():
    assert "--no-proxy-server" in look.QUIET
