"""Unpacking an archive that is not trusted."""

import shutil
import stat
import zipfile
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

MAX_RATIO = 200  # deflate makes at most 1,032 of one byte; pictures hardly shrink

# What zipfile raises for damage; RuntimeError is for a password, of all things.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    RuntimeError,
)


def unpack(archive: Path, folder: Path, *, max_bytes: int) -> dict[str, int]:
    """Unpack a zip into a new folder, and nowhere else.

    Args:
        archive: the zip.
        folder: made by this; its parent exists.
        max_bytes: what all files together may hold.

    Returns:
        The size of each file in bytes, by its path below `folder`, with slashes.

    Raises:
        ValueError: it is no whole zip, a path leads out of `folder`, a member is a
            link or comes twice, or it holds too much.
        OSError: it could not be written.
    """
    try:
        with zipfile.ZipFile(archive) as packed:
            members = [info for info in packed.infolist() if not info.is_dir()]
            _refuse_dangerous(members, max_bytes)
            folder.mkdir()
            for info in members:
                target = folder / info.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                # zipfile compares each member with its size and CRC as it reads.
                with packed.open(info) as source, target.open("wb") as file:
                    shutil.copyfileobj(source, file)
    except _BROKEN as error:
        raise ValueError(f"{archive.name} is not a whole zip: {error}") from error
    return {info.filename: info.file_size for info in members}


def _refuse_dangerous(members: list[zipfile.ZipInfo], max_bytes: int) -> None:
    seen = set()
    for info in members:
        path = PurePosixPath(info.filename)
        outside = path.is_absolute() or ".." in path.parts
        # A backslash or a drive would matter on Windows, where slashes are not all.
        if outside or PureWindowsPath(info.filename).drive or "\\" in info.filename:
            raise ValueError(f"the archive's path {info.filename!r} leads out of it")
        if stat.S_ISLNK(info.external_attr >> 16):
            raise ValueError(f"the archive's {info.filename!r} is a link")
        if path in seen:
            raise ValueError(f"the archive holds {info.filename!r} twice")
        seen.add(path)
        if info.file_size > MAX_RATIO * max(info.compress_size, 1) + 2**20:
            raise ValueError(
                f"the archive's {info.filename!r} would grow from "
                f"{info.compress_size:,} to {info.file_size:,} bytes: a zip bomb"
            )
    total = sum(info.file_size for info in members)
    if total > max_bytes:
        raise ValueError(
            f"the archive would unpack to {total:,} bytes, more than the "
            f"{max_bytes:,} it may: a zip bomb"
        )
