"""What every long run shares: arguments, threads, seeds, rows, card, and pictures.

A study is a script with a function `main` that makes a `Study`, asks it for one row
after another, and has it written:

    def main(arguments: list[str] | None = None) -> None:
        study = Study("nms", __doc__, arguments, seeds=5)
        for seed in study.seeds:
            study.row({"threshold": 0.5, "seed": seed}, lambda: measure(0.5, seed))
        study.write(steps=STEPS)

Each row is kept in the platform's cache folder as soon as it is measured. A run that
was interrupted goes on from there when its command is given again, and measures no row
twice; `--fresh` starts anew. Rows of other code or of other options are never mixed in.
What is written is whole or is not there.
"""

import argparse
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from lesson_utils.common.checkpoints import load_checkpoint, save_checkpoint
from lesson_utils.common.compute import pick_device
from lesson_utils.common.require import require_whole
from lesson_utils.common.studies import STUDIES, machine, write_study, write_whole
from lesson_utils.common.training import require_finite

MAX_PICTURES, MAX_BYTES = 5, 60_000  # of a study: what a page can carry
PACKAGE = Path(__file__).resolve().parent.parent / "lesson_utils"


class Study:
    """One run of a study: what it is told, the rows it has, and what it writes.

    Args:
        name: the script's stem.
        description: the script's docstring; its first line is the help's.
        arguments: of the command line; None for those of this process.
        seeds: how many seeds there are, where `--seeds` says nothing; they count from
            0. None for a study of one seed, which `--seed` chooses.
        out: the file that is written; None for the package's own.
        threads: cores that torch may use: one, so that seconds can be compared.
        add: called with the argument parser, to add what is this study's own.

    Attributes:
        options: what the command line says.
        seeds: a range, or a list of the one seed.
        rows: those measured so far, in order.
        folder: where a run of this code with these options keeps what it has: in the
            platform's cache folder, or in the one that the environment variable
            `LESSON_UTILS_STUDIES` names.
    """

    def __init__(
        self,
        name: str,
        description: str,
        arguments: Sequence[str] | None = None,
        *,
        seeds: int | None = None,
        out: Path | None = None,
        threads: int = 1,
        add: Callable[[argparse.ArgumentParser], object] | None = None,
    ) -> None:
        parser = argparse.ArgumentParser(
            prog=f"python -m studies.{name}", description=description.splitlines()[0]
        )
        if seeds is None:
            parser.add_argument("--seed", type=int, default=0)
        else:
            parser.add_argument("--seeds", type=int, default=seeds)
        parser.add_argument("--out", type=Path, default=out or STUDIES / f"{name}.json")
        parser.add_argument(
            "--fresh", action="store_true", help="measure every row anew"
        )
        if add is not None:
            add(parser)
        self.name, self.options = name, parser.parse_args(arguments)
        if seeds is None:
            require_whole("--seed", self.options.seed, 0)
            self.seeds: Sequence[int] = [self.options.seed]
        else:
            require_whole("--seeds", self.options.seeds)
            self.seeds = range(self.options.seeds)
        # Once, now: what is edited while the study runs is not what it runs.
        self.folder = _folder(name, self.options)
        torch.set_num_threads(threads)
        self.threads, self._start = threads, time.process_time()
        self.rows: list[dict] = []
        self._seen: set[str] = set()
        self._kept: dict[str, dict] = {}
        self._earlier = 0.0  # seconds of the runs that this one goes on from
        self._pictures: dict[str, bytes] = {}
        if self.options.fresh:
            self._forget()
        self._read_kept()

    def row(self, key: dict, measure: Callable[[], dict]) -> dict:
        """One row of the table: measured, or taken from a run that was interrupted.

        Args:
            key: what tells this row from all others, such as its part and its seed.
            measure: called without arguments, returns what else the row says.

        Returns:
            The row: `key`, and what was measured.

        Raises:
            ValueError: a row with this key is there already.
        """
        name = json.dumps(key, sort_keys=True)
        if name in self._seen:
            raise ValueError(f"key must be another for each row, got {name} twice")
        if name in self._kept:
            row = self._kept[name]
        else:
            row = json.loads(json.dumps({**key, **measure()}, allow_nan=False))
            self._keep(name, row)
            print(row, flush=True)
        self.rows.append(row)
        self._seen.add(name)
        return row

    def checkpoint(self, *parts: object) -> Path:
        """Where a training within a study may keep its checkpoint.

        Args:
            *parts: what tells this training from others.

        Returns:
            The path of a file in the study's folder, which need not be there yet.
        """
        return self.folder / ("-".join(map(str, parts)) + ".pt")

    def picture(self, name: str, image: Tensor) -> None:
        """Keep a result picture, to be written with the table.

        Args:
            name: the picture's own.
            image: (3, H, W), in [0, 1].

        Raises:
            ValueError: it is one too many, or cannot be made small enough.
        """
        if len({*self._pictures, name}) > MAX_PICTURES:
            raise ValueError(f"pictures must be {MAX_PICTURES} at most, got {name!r}")
        self._pictures[name] = _small(name, image)

    @property
    def seconds(self) -> float:
        """What the study has taken up to now, in seconds of its cores' work.

        Returns:
            A number, the runs it goes on from included.
        """
        return self._earlier + time.process_time() - self._start

    def write(self, **settings: object) -> Path:
        """Write table, card and pictures, and forget what was kept for a resumption.

        Args:
            **settings: what else the study says, such as its steps.

        Returns:
            The table's path.
        """
        command = f"python -m studies.{self.name}"
        pictures = {}
        for name, data in self._pictures.items():
            path = self.options.out.with_name(f"{self.options.out.stem}-{name}.webp")
            write_whole(path, data)
            pictures[name] = hashlib.sha256(data).hexdigest()
        study = {
            "command": command,
            "seeds": list(self.seeds),
            **settings,
            "machine": machine(self.threads),
            "seconds": round(self.seconds),
            **({"pictures": pictures} if pictures else {}),
            "rows": self.rows,
        }
        write_study(study, self.options.out)
        for old in self.options.out.parent.glob(f"{self.options.out.stem}-*.webp"):
            if old.stem.removeprefix(f"{self.options.out.stem}-") not in pictures:
                old.unlink()  # of an earlier run, and no longer part of the study
        self._forget()
        print(f"written: {self.options.out}")
        return self.options.out

    def write_weights(self, network: nn.Module, **card: object) -> Path:
        """Write a network's weights and their card, and forget what was kept.

        Args:
            network: its state dict is written.
            **card: what the weights are: at least their classes.

        Returns:
            The weights' path, in the folder `--out`.
        """
        path = self.options.out / f"{self.name}.safetensors"
        said = {
            "command": f"python -m studies.{self.name}",
            "seed": self.seeds[0],
            **card,
            "machine": machine(self.threads),
            "seconds": round(self.seconds),
        }
        write_weights(network, said, path)
        self._forget()
        print(f"written: {path}")
        return path

    def _keep(self, name: str, row: dict) -> None:
        line = json.dumps({"key": name, "row": row, "seconds": self.seconds})
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "rows.jsonl").open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())

    def _read_kept(self) -> None:
        path = self.folder / "rows.jsonl"
        if not path.exists():
            return
        whole = []
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            try:
                record = json.loads(line) if line.endswith("\n") else None
            except ValueError:
                record = None
            if record is None:
                break  # the row that was being written when the run ended
            whole.append(line)
            self._kept[record["key"]] = record["row"]
            self._earlier = record["seconds"]
        write_whole(path, "".join(whole).encode("utf-8"))
        print(
            f"{len(self._kept)} rows of an earlier run in {path.parent} "
            "(--fresh measures them anew)",
            file=sys.stderr,
        )

    def _forget(self) -> None:
        if self.folder.exists():
            for file in self.folder.iterdir():
                file.unlink()
            self.folder.rmdir()


def train_classifier(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    epochs: int,
    batch_size: int,
    change: Callable[[Tensor], Tensor],
    checkpoint: Path,
    rise: float = 0.3,
) -> None:
    """Train all of a classifier, in place, in bf16 on a GPU; on the CPU afterwards.

    AdamW with label smoothing, and one cycle of the learning rate. All that is random
    comes from torch's global generator, whose state is in the checkpoint: a run that
    goes on ends with the same weights, to the last bit.

    Args:
        network: from (B, 3, H, W) to logits (B, K).
        images: (N, 3, H, W), uint8.
        labels: (N,), from 0 to K - 1.
        epochs: passes over the pictures.
        batch_size: B; what fills no batch is left out of an epoch.
        change: takes a batch of bytes and returns what the network is to see.
        checkpoint: a file, written after each epoch; if it is there, the training
            goes on from it.
        rise: the part of the steps in which the learning rate rises.
    """
    device = pick_device()
    network.train().to(device, memory_format=torch.channels_last)
    each = len(images) // batch_size
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=4e-3, total_steps=epochs * each, pct_start=rise
    )
    parts = {"network": network, "optimizer": optimizer, "schedule": schedule}
    done = 0
    if checkpoint.exists():
        state = load_checkpoint(checkpoint, map_location=device)
        for name, part in parts.items():
            part.load_state_dict(state[name])
        torch.set_rng_state(state["random"].cpu())
        done = state["epochs"]
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    for epoch in range(done, epochs):
        order = torch.randperm(len(images))[: each * batch_size].split(batch_size)
        for chosen in tqdm(order, mininterval=10):
            batch = change(images[chosen]).to(device)
            batch = batch.contiguous(memory_format=torch.channels_last)
            with bf16:
                loss = F.cross_entropy(
                    network(batch), labels[chosen].to(device), label_smoothing=0.05
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        require_finite(epoch + 1, loss=loss.detach())
        state = {name: part.state_dict() for name, part in parts.items()}
        state |= {"epochs": epoch + 1, "random": torch.get_rng_state()}
        save_checkpoint(checkpoint, state)
        print(f"epoch {epoch + 1} of {epochs}: loss {loss.item():.3f}", flush=True)
    network.cpu().eval()


def write_weights(network: nn.Module, card: dict, path: Path) -> None:
    """Write weights, and their card with their digest beside them.

    Args:
        network: its state dict is written.
        card: what the weights are, and how they were made.
        path: ends in .safetensors; the card is the .json beside it.
    """
    from safetensors.torch import save

    data = save({k: v.contiguous() for k, v in network.state_dict().items()})
    card = {**card, "sha256": hashlib.sha256(data).hexdigest()}
    text = json.dumps(card, indent=2, ensure_ascii=False)
    # Between the two an interruption leaves a digest that does not fit, which is
    # noticed whenever the weights are read.
    write_whole(path, data)
    write_whole(path.with_suffix(".json"), f"{text}\n".encode())


def _small(name: str, image: Tensor) -> bytes:
    """A picture as WebP, of at most `MAX_BYTES`."""
    from PIL import Image

    pixels = (image.detach().cpu().clamp(0, 1) * 255).round().byte()
    picture = Image.fromarray(pixels.permute(1, 2, 0).contiguous().numpy())
    for quality in (90, 80, 70, 60, 50, 40):
        buffer = io.BytesIO()
        picture.save(buffer, format="WEBP", method=6, quality=quality)
        if len(data := buffer.getvalue()) <= MAX_BYTES:
            return data
    raise ValueError(
        f"image must fit into {MAX_BYTES:,} bytes, got {len(data):,} for {name!r} of "
        f"{tuple(image.shape)}"
    )


def _folder(name: str, options: argparse.Namespace) -> Path:
    """Where a study keeps what it has, by its code and its options."""
    chosen = os.environ.get("LESSON_UTILS_STUDIES")
    if chosen:
        home = Path(chosen)
    else:
        import platformdirs

        home = platformdirs.user_cache_path("lesson_utils") / "studies"
    # Another number of seeds is only more rows.
    free = ("out", "fresh", "seeds")
    given = {key: value for key, value in vars(options).items() if key not in free}
    said = json.dumps(given, sort_keys=True, default=str) + _digest_of_code(name)
    return home / f"{name}-{hashlib.sha256(said.encode()).hexdigest()[:12]}"


def _digest_of_code(name: str) -> str:
    """Of the script, and of what it has imported from the package."""
    modules = [getattr(module, "__file__", None) for module in sys.modules.values()]
    files = {Path(file).resolve() for file in modules if file}
    files = {file for file in files if PACKAGE in file.parents}
    files |= {Path(__file__).with_name(f"{name}.py"), Path(__file__)}
    digest = hashlib.sha256()
    for file in sorted(files):
        if file.exists():
            digest.update(file.read_bytes())
    return digest.hexdigest()
