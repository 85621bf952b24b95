"""Downloads from a server that misbehaves: the right file, or a clear error."""

import contextlib
import hashlib
import io
import multiprocessing
import os
import resource
import signal
import socket
import stat
import time
import types
import zipfile

import d2l.torch as d2l
import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import ImageFolder

from lesson_utils.data import _downloads, hub
from tests.loopback import Server, slowly, stalling, status, truncated, whole

# Forked from a process that has torch already: each child would import it for seconds.
CHILD = multiprocessing.get_context("forkserver")
CHILD.set_forkserver_preload(["lesson_utils.data.hub", "pooch", "torchvision.datasets"])
RED, BLUE = (255, 0, 0), (0, 0, 255)


def png(color, size=8):
    file = io.BytesIO()
    Image.new("RGB", (size, size), color).save(file, "png")
    return file.getvalue()


def zipped(members):
    """A zip of {name: bytes}, without the time: the same in every process."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, body in members.items():
            archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    return file.getvalue()


MEMBERS = {
    "made/ash/1.png": png(RED),
    "made/ash/2.png": png(RED),
    "made/birch/1.png": png(BLUE),
    "made/noise.bin": np.random.default_rng(0).bytes(300_000),
}
BODY = zipped(MEMBERS)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """No waiting between tries, half a second for a stall, no proxy, no bar."""
    monkeypatch.setattr("pooch.core.time", types.SimpleNamespace(sleep=lambda s: None))
    monkeypatch.setattr(_downloads, "TIMEOUT", 0.5)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("TQDM_DISABLE", "1")


@pytest.fixture
def fetch(tmp_path, monkeypatch):
    """`fetch(url, body)` of an archive that is known to be `body`."""

    def call(url, body=BODY, **options):
        archive = archive_of(url, body, **options)
        monkeypatch.setitem(hub.ARCHIVES, "made", archive)
        return hub.fetch("made", root=tmp_path)

    return call


def archive_of(url, body=BODY, **options):
    sha1 = hashlib.sha1(body, usedforsecurity=False).hexdigest()
    return hub.Archive(url, sha1, "made", **options)


def assert_right(folder):
    for name, body in MEMBERS.items():
        assert (folder.parent / name).read_bytes() == body


def assert_nothing_left(root):
    """No final name, no temporary file: at most the lock, or an archive by hand."""
    left = {path.name for path in root.rglob("*") if path.is_file()}
    assert left <= {"lock"}


class TestTheRightFile:
    def test_once_and_then_from_the_cache(self, fetch):
        with Server(whole(BODY)) as server:
            first = fetch(server.url)
            assert_right(first)
            assert fetch(server.url) == first
        assert server.requests == 1

    def test_no_network_is_asked_when_it_is_there(self, fetch, monkeypatch):
        with Server(whole(BODY)) as server:
            fetch(server.url)

        def refuse(*_):
            raise AssertionError("the cache asked for the network")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        assert_right(fetch(server.url))

    @pytest.mark.parametrize(
        "first",
        [
            status(500),
            truncated(BODY),
            stalling(BODY, seconds=2),
            whole(BODY[:-10] + b"0123456789"),
            whole(b"<!DOCTYPE html><html>Please log in</html>"),
        ],
        ids=["500", "truncated", "stall", "another checksum", "a web page"],
    )
    def test_a_second_try_helps(self, fetch, first):
        with Server(first, whole(BODY)) as server:
            assert_right(fetch(server.url))
        assert server.requests == 2

    def test_a_file_put_there_by_hand(self, fetch, tmp_path):
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "made.zip").write_bytes(BODY)
        assert_right(fetch("http://127.0.0.1:1/made.zip"))

    def test_a_damaged_archive_is_replaced(self, fetch, tmp_path):
        (tmp_path / "made").mkdir()
        (tmp_path / "made" / "made.zip").write_bytes(BODY[:1000])
        with Server(whole(BODY)) as server:
            assert_right(fetch(server.url))
        assert (tmp_path / "made" / "made.zip").read_bytes() == BODY

    @pytest.mark.parametrize("damage", ["missing", "shorter", "manifest"])
    def test_a_damaged_folder_is_unpacked_again(self, fetch, damage):
        with Server(whole(BODY)) as server:
            folder = fetch(server.url)
            if damage == "missing":
                (folder / "ash" / "2.png").unlink()
            elif damage == "shorter":
                (folder / "noise.bin").write_bytes(b"12")
            else:
                (folder.parent / hub.MANIFEST).write_text("{")
            assert_right(fetch(server.url))
        assert server.requests == 1  # from the archive that is there

    def test_a_new_checksum_brings_the_new_file(self, fetch):
        other = zipped({"made/new.txt": b"new"})
        with Server(whole(BODY), whole(other)) as server:
            fetch(server.url)
            folder = fetch(server.url, other)
        assert [path.name for path in folder.iterdir()] == ["new.txt"]

    def test_two_processes_at_once(self, tmp_path):
        with Server(slowly(BODY, seconds=3)) as server:
            children = [
                CHILD.Process(target=fetch_in_child, args=(server.url, tmp_path))
                for _ in range(2)
            ]
            for child in children:
                child.start()
            for child in children:
                child.join()
        assert [child.exitcode for child in children] == [0, 0]
        assert server.requests == 1
        assert_right(tmp_path / "made" / "unpacked" / "made")

    def test_after_a_run_that_was_killed(self, fetch, tmp_path):
        with Server(stalling(BODY, seconds=60), whole(BODY)) as server:
            child = CHILD.Process(target=fetch_in_child, args=(server.url, tmp_path))
            child.start()
            part = tmp_path / "made" / "part"
            wait_for(lambda: any(p.stat().st_size for p in part.glob("*")))
            os.kill(child.pid, signal.SIGKILL)
            child.join()
            assert not (tmp_path / "made" / "made.zip").exists()
            assert not (tmp_path / "made" / "unpacked").exists()
            assert_right(fetch(server.url))
        assert not part.exists()

    def test_an_interruption_while_unpacking(self, fetch, tmp_path, monkeypatch):
        def interrupted(archive, folder, *, max_bytes):
            folder.mkdir()
            (folder / "half").write_bytes(b"half")
            raise KeyboardInterrupt

        with Server(whole(BODY)) as server:
            with monkeypatch.context() as patch:
                patch.setattr(hub, "unpack", interrupted)
                with pytest.raises(KeyboardInterrupt):
                    fetch(server.url)
            assert {path.name for path in (tmp_path / "made").iterdir()} == {
                "lock",
                "made.zip",
            }
            assert_right(fetch(server.url))
        assert server.requests == 1


def fetch_in_child(url, root):
    _downloads.TIMEOUT = 60
    hub.ARCHIVES["made"] = archive_of(url)
    hub.fetch("made", root=root)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


class TestAClearError:
    @pytest.mark.parametrize(
        ("answer", "words"),
        [
            (status(404), "the server answered 404"),
            (status(500), "the server answered 500"),
            (truncated(BODY), "the connection broke before the file was whole"),
            (stalling(BODY, seconds=2), "sent nothing for 0.5 seconds"),
            (whole(BODY[:-1] + b"0"), "does not match the known hash"),
            (whole(b" <html>Log in</html>"), "a web page came instead of the file"),
        ],
        ids=["404", "500", "truncated", "stall", "another checksum", "a web page"],
    )
    def test_of_the_server(self, fetch, tmp_path, answer, words):
        with Server(answer) as server, pytest.raises(hub.FetchError, match=words):
            fetch(server.url)
        assert_nothing_left(tmp_path)

    def test_the_message_says_what_to_do(self, fetch, tmp_path):
        with Server(status(404)) as server, pytest.raises(hub.FetchError) as caught:
            fetch(server.url)
        message = str(caught.value)
        for part in (
            "'made'",
            server.url,
            hashlib.sha1(BODY, usedforsecurity=False).hexdigest(),
            str(tmp_path / "made" / "made.zip"),
            'source="bundled"',
        ):
            assert part in message

    def test_refused(self, fetch, tmp_path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with pytest.raises(hub.FetchError, match="refused the connection"):
            fetch(f"http://127.0.0.1:{port}/made.zip")
        assert_nothing_left(tmp_path)

    def test_name_not_resolved(self, fetch, tmp_path, monkeypatch):
        def unknown(*_, **__):
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(hub.FetchError, match="name was not found"):
            fetch("http://nowhere.invalid/made.zip")
        assert_nothing_left(tmp_path)

    def test_a_wrong_file_by_hand_is_named_and_kept(self, fetch, tmp_path):
        (tmp_path / "made").mkdir()
        by_hand = tmp_path / "made" / "made.zip"
        by_hand.write_bytes(b"something else")
        with (
            Server(status(404)) as server,
            pytest.raises(hub.FetchError, match="made.zip has another checksum"),
        ):
            fetch(server.url)
        assert by_hand.read_bytes() == b"something else"

    def test_a_folder_that_cannot_be_made(self, tmp_path, monkeypatch):
        monkeypatch.setitem(hub.ARCHIVES, "made", archive_of("http://127.0.0.1:1/a"))
        (tmp_path / "file").write_text("no folder")
        with pytest.raises(hub.FetchError, match="Not a directory"):
            hub.fetch("made", root=tmp_path / "file")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
    def test_a_read_only_folder(self, fetch, tmp_path):
        tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
        with pytest.raises(hub.FetchError, match="Permission denied"):
            fetch("http://127.0.0.1:1/made.zip")
        tmp_path.chmod(stat.S_IRWXU)

    @pytest.mark.parametrize("limit", [100_000, 310_000])
    def test_a_full_disk(self, tmp_path, limit):
        """One limit is hit by the download, the other by what is unpacked."""
        members = {"made/large.bin": b"0123456789abcdef" * 30_000}
        members["made/noise.bin"] = MEMBERS["made/noise.bin"]
        body = zipped(members)
        assert len(body) < 310_000
        queue = CHILD.Queue()
        with Server(whole(body)) as server:
            child = CHILD.Process(
                target=fetch_on_a_full_disk,
                args=(server.url, body, tmp_path, limit, queue),
            )
            child.start()
            message = queue.get(timeout=120)
            child.join()
        assert "File too large" in message
        left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
        assert left <= {"lock", "made.zip"}
        archive = tmp_path / "made" / "made.zip"
        assert not archive.exists() or archive.read_bytes() == body

    def test_an_unknown_name(self):
        with pytest.raises(ValueError, match="one of pokemon.*got 'digimon'"):
            hub.fetch("digimon")


def fetch_on_a_full_disk(url, body, root, limit, queue):
    """A limit on the size of a file stands in for a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    hub.ARCHIVES["made"] = archive_of(url, body)
    try:
        hub.fetch("made", root=root)
    except hub.FetchError as error:
        queue.put(str(error))
    else:
        queue.put("nothing was raised")


class TestArchivesThatAreNotTrusted:
    @pytest.mark.parametrize(
        "name",
        ["../evil.txt", "made/../../evil.txt", "/evil.txt", "C:/evil.txt"],
    )
    def test_paths_that_lead_out(self, fetch, tmp_path, name):
        body = zipped({"made/good.txt": b"good", name: b"evil"})
        with (
            Server(whole(body)) as server,
            pytest.raises(hub.FetchError, match="leads out of it"),
        ):
            fetch(server.url, body)
        assert not list(tmp_path.parent.rglob("evil.txt"))
        assert not os.path.exists("/evil.txt")
        assert not (tmp_path / "made" / "unpacked").exists()

    def test_a_link(self, fetch):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            link = zipfile.ZipInfo("made/link")
            link.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(link, "/etc/passwd")
        body = file.getvalue()
        with (
            Server(whole(body)) as server,
            pytest.raises(hub.FetchError, match="'made/link' is a link"),
        ):
            fetch(server.url, body)

    def test_a_member_that_comes_twice(self, fetch):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("made/a", "first")
            with pytest.warns(UserWarning, match="Duplicate name"):
                archive.writestr("made/a", "second")
        body = file.getvalue()
        with (
            Server(whole(body)) as server,
            pytest.raises(hub.FetchError, match="'made/a' twice"),
        ):
            fetch(server.url, body)

    def test_a_bomb_of_one_file(self, fetch):
        body = zipped({"made/zeros": bytes(20_000_000)})
        assert len(body) < 30_000
        with (
            Server(whole(body)) as server,
            pytest.raises(hub.FetchError, match="grow from .* 20,000,000 bytes"),
        ):
            fetch(server.url, body)

    def test_a_bomb_of_many_files(self, fetch):
        body = zipped({f"made/{i}": bytes(1_000_000) for i in range(12)})
        with (
            Server(whole(body)) as server,
            pytest.raises(hub.FetchError, match="12,000,000 bytes, more than"),
        ):
            fetch(server.url, body, max_bytes=10_000_000)

    def test_what_is_no_zip(self, fetch):
        with (
            Server(whole(b"not a zip")) as server,
            pytest.raises(hub.FetchError, match="made.zip is not a whole zip"),
        ):
            fetch(server.url, b"not a zip")

    def test_damage_inside_of_a_zip(self, fetch):
        at = BODY.index(MEMBERS["made/noise.bin"][1000:1100])
        body = BODY[:at] + bytes(100) + BODY[at + 100 :]
        with (
            Server(whole(body)) as server,
            pytest.raises(hub.FetchError, match="not a whole zip: Bad CRC"),
        ):
            fetch(server.url, body)

    def test_a_zip_without_the_folder(self, fetch):
        body = zipped({"other/a": b"a"})
        with (
            Server(whole(body)) as server,
            pytest.raises(hub.FetchError, match="holds no folder 'made'"),
        ):
            fetch(server.url, body)


class TestDataSets:
    @pytest.mark.parametrize("name", hub.ARCHIVES)
    def test_address_and_checksum_are_d2ls(self, name):
        url, sha1 = d2l.DATA_HUB[name]
        archive = hub.ARCHIVES[name]
        assert archive.sha1 == sha1
        assert archive.url == url.replace("http://", "https://")
        assert archive.folder == name

    @pytest.fixture
    def serve(self, monkeypatch):
        """Put a data set of these members on a server, and that on the list."""
        servers = contextlib.ExitStack()

        def call(name, members):
            body = zipped(members)
            server = servers.enter_context(Server(whole(body)))
            sha1 = hashlib.sha1(body, usedforsecurity=False).hexdigest()
            archive = hub.Archive(server.url, sha1, name)
            monkeypatch.setitem(hub.ARCHIVES, name, archive)

        with servers:
            yield call

    def test_hotdog(self, tmp_path, serve):
        folders = ("train/hotdog", "train/not-hotdog", "test/hotdog", "test/not-hotdog")
        serve("hotdog", {f"hotdog/{folder}/1.png": png(RED) for folder in folders})
        train, test = hub.hotdog_folders(tmp_path)
        for folder in (train, test):
            pictures = ImageFolder(folder)
            assert pictures.classes == ["hotdog", "not-hotdog"]
            assert [label for _, label in pictures] == [0, 1]
        assert train != test

    def test_bananas(self, tmp_path, serve):
        table = b"img_name,label,xmin,ymin,xmax,ymax\n0.png,0,4,0,8,4\n"
        members = {}
        for split in ("train", "val"):
            folder = f"banana-detection/bananas_{split}"
            members |= {
                f"{folder}/label.csv": table,
                f"{folder}/images/0.png": png(RED),
            }
        serve("banana-detection", members)
        for split in ("train", "val"):
            ((image, boxes, labels),) = list(
                hub.Bananas(tmp_path, split=split, image_size=16)
            )
            assert image.shape == (3, 16, 16)
            assert labels.tolist() == [0]
            assert boxes.shape == (1, 4)
        with pytest.raises(ValueError, match="split must be 'train' or 'val'"):
            hub.Bananas(tmp_path, split="test")

    def test_pokemon(self, tmp_path, serve):
        serve(
            "pokemon", {f"pokemon/{k.split('/', 1)[1]}": v for k, v in MEMBERS.items()}
        )
        pokemon = hub.Pokemon(tmp_path, image_size=16)
        assert pokemon.classes == ["ash", "birch"]
        assert [label for _, label in pokemon] == [0, 0, 1]
        assert pokemon[2][0].shape == (3, 16, 16)
        torch.testing.assert_close(pokemon[2][0][:, 8, 8], torch.tensor([0.0, 0, 1]))


class TestDataFolder:
    def test_in_this_order(self, tmp_path, monkeypatch):
        monkeypatch.delenv("LESSON_UTILS_DATA", raising=False)
        assert hub.data_folder().name == "lesson_utils"
        monkeypatch.setenv("LESSON_UTILS_DATA", str(tmp_path / "variable"))
        assert hub.data_folder() == tmp_path / "variable"
        assert hub.data_folder(tmp_path / "own") == tmp_path / "own"
        assert hub.data_folder("~/own").is_absolute()
