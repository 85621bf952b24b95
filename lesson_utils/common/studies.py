"""Studies: measurements too long for a page, made once by a script and kept as tables.

A study is a small JSON file in `lesson_utils/studies/`, and with it at most five
pictures, `<study>-<picture>.webp`. Beside its rows it says by which command, with which
seeds, on which machine and in how many seconds it was made, and it carries a digest of
all that it holds: a table that was edited by hand is refused. The scripts that write
them are in the repository's folder `studies/`.
"""

import hashlib
import json
import os
import platform
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

STUDIES = Path(__file__).resolve().parent.parent / "studies"
CARD = ("command", "seeds", "seconds", "machine", "digest")  # what each study says


def read_study(name: str) -> dict:
    """A study's table, with what it takes to make it again.

    Args:
        name: a chapter's stem, such as "fine_tuning".

    Returns:
        What the file holds: at least the words of `CARD`, and "rows", a list of dicts.

    Raises:
        ValueError: there is no such study, its file is broken, or it or one of its
            pictures is not what its digest says.
    """
    there = sorted(path.stem for path in STUDIES.glob("*.json"))
    if name not in there:
        raise ValueError(f"name must be one of {', '.join(there)}, got {name!r}")
    path = STUDIES / f"{name}.json"
    try:
        study = json.loads(path.read_text(encoding="utf-8"))
        missing = {*CARD, "rows"} - study.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"name must be of a whole study, got {path}: {error}"
        ) from error
    if missing:
        raise ValueError(
            f"name must be of a whole study, got {path} without "
            f"{', '.join(sorted(missing))}"
        )
    if digest_of(study) != study["digest"]:
        raise ValueError(
            f"name must be of a study that is as its script wrote it, got {path} with "
            f"another digest: restore it, or run `{study['command']}`"
        )
    for picture, digest in study.get("pictures", {}).items():
        _verify(picture_path(name, picture), digest, study["command"])
    return study


def show_study(name: str) -> dict:
    """Print a study's card on one line, and return the study.

    Args:
        name: as for `read_study`.

    Returns:
        As `read_study`.

    Raises:
        ValueError: see `read_study`.
    """
    study = read_study(name)
    print(card_line(study))
    return study


def card_line(card: dict) -> str:
    """How a study was made, on one line.

    Args:
        card: with the words of `CARD`.

    Returns:
        Such as "python -m studies.nms · seeds 0 to 4 · 9.5 min of 1 core, AMD EPYC
        7763, torch 2.9 · digest 3f2a9c01".
    """
    seeds, machine = card["seeds"], card["machine"]
    several = f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else ""
    said = several or f"seed {seeds[0]}"
    cores = f"{machine['cores']} core" + "s" * (machine["cores"] != 1)
    return (
        f"{card['command']} · {said} · {card['seconds'] / 60:.1f} min of {cores}, "
        f"{machine['cpu']}, torch {machine['torch'].split('+')[0]} · "
        f"digest {card['digest'][:8]}"
    )


def read_picture(name: str, picture: str) -> Tensor:
    """A result picture of a study.

    Args:
        name: the study's, as for `read_study`.
        picture: the picture's own name.

    Returns:
        (3, H, W), in [0, 1].

    Raises:
        ValueError: there is no such study or picture, or it is not what the study's
            digest says.
    """
    from PIL import Image

    pictures = read_study(name).get("pictures", {})
    if picture not in pictures:
        known = ", ".join(pictures) or "none"
        raise ValueError(f"picture must be one of {known}, got {picture!r}")
    pixels = np.array(Image.open(picture_path(name, picture)).convert("RGB"))
    return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255


def picture_path(name: str, picture: str) -> Path:
    """Where a study's picture is.

    Args:
        name: the study's.
        picture: the picture's own name.

    Returns:
        The path of a WebP file, beside the study's table.
    """
    return STUDIES / f"{name}-{picture}.webp"


def digest_of(study: dict) -> str:
    """The digest of all that a study says, its own digest left out.

    Args:
        study: what `read_study` returns.

    Returns:
        64 hexadecimal digits, SHA-256.
    """
    said = {key: value for key, value in study.items() if key != "digest"}
    text = json.dumps(said, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def write_study(study: dict, path: Path) -> None:
    """Write a study, one line for each row, so that a difference can be read.

    Args:
        study: what `read_study` is to return; its digest is put in.
        path: the file; its folder is made if it is not there. An interruption leaves
            the old one or the new one, never half of one.

    Raises:
        ValueError: it is no whole study, or holds what JSON cannot.
        OSError: the file cannot be written.
    """
    # As it will be read: tuples come back as lists, and the digest is of those.
    study = json.loads(json.dumps(study, allow_nan=False))
    study["digest"] = ""
    if missing := {*CARD, "rows"} - study.keys():
        raise ValueError(f"study must say {', '.join(sorted(missing))}, got none")
    study["rows"] = study.pop("rows")  # the rows come last
    study["digest"] = digest_of(study)
    rows = ",\n".join(
        f"    {json.dumps(row, ensure_ascii=False)}" for row in study["rows"]
    )
    head = json.dumps({**study, "rows": []}, indent=2, ensure_ascii=False)
    head = head.removesuffix("[]\n}")
    text = f"{head}[\n{rows}\n  ]\n}}\n"
    write_whole(path, text.encode("utf-8"))


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that an interruption leaves the old one or the new one.

    Args:
        path: the file; its folder is made if it is not there.
        data: what it is to hold.

    Raises:
        OSError: it cannot be written; one that was there before is still whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, since a file is moved at one stroke only within a disk.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def machine(cores: int = 1) -> dict[str, object]:
    """What the seconds of a study were measured on.

    Args:
        cores: how many of them a study uses.

    Returns:
        The processor's name, the number of cores, and torch's version.
    """
    lines = Path("/proc/cpuinfo")
    names = lines.read_text("utf-8").splitlines() if lines.exists() else []
    model = [line.split(":")[1].strip() for line in names if line.startswith("model n")]
    return {
        "cpu": model[0] if model else platform.processor(),
        "cores": cores,
        "torch": torch.__version__,
    }


def _verify(path: Path, digest: str, command: str) -> None:
    found = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "none"
    if found != digest:
        raise ValueError(
            f"name must be of a study with its own pictures, got {path} with the "
            f"digest {found} for {digest}: restore it, or run `{command}`"
        )
