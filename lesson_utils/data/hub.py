"""Real data sets: fetched once, verified, unpacked, and never half there.

An archive is downloaded into the cache folder, compared with its checksum, unpacked
beside its final place and moved there in one step. One process at a time does this for
a data set; the others wait and find it done.
"""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lesson_utils.data._archives import unpack
from lesson_utils.data._downloads import download
from lesson_utils.data.detection_folder import DetectionFolder
from lesson_utils.data.sprite_folder import SpriteFolder

MANIFEST = ".complete.json"  # lies in an unpacked data set, and says what it holds


class FetchError(RuntimeError):
    """A data set could not be fetched; the message says how to get it by hand."""


@dataclass(frozen=True)
class Archive:
    """A data set's archive, and how to know it.

    Args:
        url: where it is.
        sha1: its checksum, hexadecimal.
        folder: the folder in the archive that is the data set.
        max_bytes: what it may hold when unpacked; more is refused.
    """

    url: str
    sha1: str
    folder: str
    max_bytes: int = 2 * 2**30

    @property
    def filename(self) -> str:
        """The last part of the address."""
        return self.url.rsplit("/", 1)[-1]


# Addresses and checksums as d2l 0.17.0 publishes them, by HTTPS instead of HTTP.
_D2L = "https://d2l-data.s3-accelerate.amazonaws.com"
ARCHIVES = {
    "pokemon": Archive(
        f"{_D2L}/pokemon.zip", "c065c0e2593b8b161a2d7873e42418bf6a21106c", "pokemon"
    ),
    "hotdog": Archive(
        f"{_D2L}/hotdog.zip", "fba480ffa8aa7e0febbb511d181409f899b9baa5", "hotdog"
    ),
    "banana-detection": Archive(
        f"{_D2L}/banana-detection.zip",
        "5de26c8fce5ccdea9f91267273464dc968d20d72",
        "banana-detection",
    ),
}


def data_folder(root: str | Path | None = None) -> Path:
    """Where real data sets are kept.

    Args:
        root: a folder of your own; None for the one that the environment variable
            `LESSON_UTILS_DATA` names, or else the cache folder of this platform.

    Returns:
        The folder, which need not exist yet.

    Raises:
        ModuleNotFoundError: platformdirs is not installed, and nothing else says where.
    """
    chosen = root or os.environ.get("LESSON_UTILS_DATA")
    if chosen:
        return Path(chosen).expanduser().absolute()
    import platformdirs  # not on every GPU server

    return platformdirs.user_cache_path("lesson_utils")


def fetch(name: str, *, root: str | Path | None = None) -> Path:
    """The folder of a real data set, downloaded and unpacked if it is not there yet.

    A file that you put into the cache folder by hand is verified and used. An
    interrupted or damaged download is repaired by calling this again.

    Args:
        name: a key of `ARCHIVES`, such as "pokemon".
        root: as for `data_folder`.

    Returns:
        The data set's folder, whole.

    Raises:
        ValueError: no such data set.
        FetchError: it could not be downloaded, verified, unpacked or written.
    """
    if name not in ARCHIVES:
        raise ValueError(f"name must be one of {', '.join(ARCHIVES)}, got {name!r}")
    archive = ARCHIVES[name]
    home = data_folder(root) / name
    unpacked = home / "unpacked"
    try:
        if not _is_whole(unpacked, archive):
            with _one_process_at_a_time(home):
                # Another process may have done it while this one waited.
                if not _is_whole(unpacked, archive):
                    _fetch_into(home, archive)
    except (OSError, ValueError) as error:
        raise FetchError(_advice(name, archive, home, error)) from error
    return unpacked / archive.folder


class Pokemon(SpriteFolder):
    """The Pokémon sprites that d2l publishes, one folder for each Pokémon.

    Downloads them at the first use, see `fetch`.

    Args:
        root: as for `data_folder`.
        image_size: S, the side of the pictures, in pixels.

    Raises:
        FetchError: the data set could not be fetched.

    Source: Zhang et al., Dive into Deep Learning, chapter on DCGAN.
    """

    def __init__(self, root: str | Path | None = None, image_size: int = 64) -> None:
        super().__init__(fetch("pokemon", root=root), image_size=image_size)


def hotdog_folders(root: str | Path | None = None) -> tuple[Path, Path]:
    """The pictures of hot dogs and of other things that d2l publishes.

    Downloads them at the first use, see `fetch`. `torchvision.datasets.ImageFolder`
    reads such a folder: it holds a folder `hotdog` and a folder `not-hotdog`.

    Args:
        root: as for `data_folder`.

    Returns:
        The folders of the training and of the test pictures.

    Raises:
        FetchError: the data set could not be fetched.

    Source: Zhang et al., Dive into Deep Learning, section 14.2.
    """
    folder = fetch("hotdog", root=root)
    return folder / "train", folder / "test"


class Bananas(DetectionFolder):
    """Photographs with a drawn banana in each, and its box, that d2l publishes.

    Downloads them at the first use, see `fetch`.

    Args:
        root: as for `data_folder`.
        split: "train" or "val".
        image_size: S, the side of the pictures, in pixels; they are published at 256.

    Raises:
        ValueError: another split.
        FetchError: the data set could not be fetched.

    Source: Zhang et al., Dive into Deep Learning, section 14.6.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        split: str = "train",
        image_size: int = 256,
    ) -> None:
        if split not in ("train", "val"):
            raise ValueError(f"split must be 'train' or 'val', got {split!r}")
        folder = fetch("banana-detection", root=root) / f"bananas_{split}"
        super().__init__(folder, classes=["banana"], image_size=image_size)


def _fetch_into(home: Path, archive: Archive) -> None:
    """Download, verify and unpack, each into a place that is not the final one."""
    work = home / "part"
    shutil.rmtree(work, ignore_errors=True)  # what an interrupted run has left
    work.mkdir()
    try:
        packed = home / archive.filename
        if not packed.exists() or _sha1(packed) != archive.sha1:
            _download_over(packed, archive, work)
        fresh = work / "unpacked"
        sizes = unpack(packed, fresh, max_bytes=archive.max_bytes)
        if not (fresh / archive.folder).is_dir():
            raise ValueError(f"the archive holds no folder {archive.folder!r}")
        record = {"sha1": archive.sha1, "sizes": sizes}
        (fresh / MANIFEST).write_text(json.dumps(record), encoding="utf-8")
        shutil.rmtree(home / "unpacked", ignore_errors=True)  # damaged, or of old
        os.replace(fresh, home / "unpacked")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download_over(packed: Path, archive: Archive, work: Path) -> None:
    """Replace a file that is not there, or not the right one, by the right one."""
    try:
        download(archive.url, archive.sha1, work / archive.filename)
    except (OSError, ValueError) as error:
        if packed.exists():
            raise ValueError(
                f"{packed} has another checksum, and it could not be downloaded anew: "
                f"{error}"
            ) from error
        raise
    os.replace(work / archive.filename, packed)


def _is_whole(unpacked: Path, archive: Archive) -> bool:
    """Whether each file of this archive is there and has its size."""
    try:
        record = json.loads((unpacked / MANIFEST).read_text(encoding="utf-8"))
        return record["sha1"] == archive.sha1 and all(
            (unpacked / name).stat().st_size == size
            for name, size in record["sizes"].items()
        )
    except (OSError, ValueError, KeyError):
        return False


@contextmanager
def _one_process_at_a_time(home: Path) -> Iterator[None]:
    """Hold the data set's lock; a process that dies lets go of it."""
    import filelock  # comes with torch

    home.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(home / "lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f"another process is fetching {home.name}; waiting", file=sys.stderr)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _sha1(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()


def _advice(name: str, archive: Archive, home: Path, error: Exception) -> str:
    reason = str(error).strip() or type(error).__name__
    return (
        f"the data set {name!r} could not be fetched: {reason}\n"
        f"  wanted       {archive.url}\n"
        f"  checksum     SHA-1 {archive.sha1}\n"
        f"  by hand      save that file as {home / archive.filename} and call this "
        "again; it is verified before it is used\n"
        '  no network?  source="bundled" is drawn by lesson_utils and needs none'
    )
