"""What each part of the mutual-channel loss does, for the chapter on it.

    python -m studies.mc_loss [--seeds 5] [--out FILE]

Writes `lesson_utils/studies/mc_loss.json`, in some twenty minutes of one core. Twelve
variants of drawn aircraft, sixty pictures of each. The bundled `small_net`, which was
never told a variant, is held still and computed once; on its features a last
convolution, of channels that belong to classes, and a classifier are trained for the
same number of steps with every loss. Steps and learning rate are those at which cross
entropy alone does best on pictures that are used for nothing else.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import mc_loss
from lesson_utils.common.backbones import SmallNet, small_net
from lesson_utils.common.studies import STUDIES, machine, write_study
from lesson_utils.data.aircraft import Aircraft

NUM_VARIANTS, PER_CLASS = 12, 60  # four families of three; pictures of each variant
FEW = 10  # pictures of each variant, where a network learns them by heart
PICTURE_SEEDS = {"train": 31, "test": 32, "choose": 33}
STEPS, BATCH, RATE = 360, 32, 1e-1
GRID = [(steps, rate) for steps in (120, 360) for rate in (1e-2, 3e-2, 1e-1)]
XI, MU, DIVERSITY = 4, 1.0, 3.0  # where nothing else is said
# Cross entropy, with L_dis, with both.
MAIN: list[dict] = [{"mu": 0.0, "diversity": 0.0}, {"diversity": 0.0}, {}]
# What tells the variants of a family apart, but for the length of some.
TELLING = {
    "Boeing 737": ("windows",),
    "A320": ("windows", "doors", "exits"),
    "MD-80": ("windows", "engines"),
    "LC-1": ("doors", "antennas"),
}


@dataclass(frozen=True)
class Pictures:
    """Pictures, or what the network makes of them, with labels and part boxes."""

    images: Tensor
    targets: Tensor
    boxes: list[Tensor]

    def first(self, number: int) -> "Pictures":
        """The first of them; variants take turns."""
        return Pictures(
            self.images[:number], self.targets[:number], self.boxes[:number]
        )


def main() -> None:
    """Draw, train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=STUDIES / "mc_loss.json")
    options = parser.parse_args()
    torch.set_num_threads(1)  # one core: other threads would not be comparable
    network = small_net()
    data = {name: frozen(network, draw(seed)) for name, seed in PICTURE_SEEDS.items()}
    rows = [choice(data, *pair, seed) for seed in range(2) for pair in GRID]
    print(*rows, sep="\n", flush=True)
    for seed in range(options.seeds):
        for part, setting in settings():
            rows.append({"part": part, **setting, "seed": seed})
            rows[-1] |= measure(data, setting, seed)
            print(rows[-1], flush=True)
    study = {
        "command": "python -m studies.mc_loss",
        "seeds": list(range(options.seeds)),
        "variants": NUM_VARIANTS,
        "pictures_per_class": PER_CLASS,
        "few": FEW,
        "steps": STEPS,
        "batch_size": BATCH,
        "learning_rate": RATE,
        "machine": machine(),
        "minutes": round(time.process_time() / 60, 1),  # of one core's work
        "rows": rows,
    }
    write_study(study, options.out)


def settings() -> list[tuple[str, dict]]:
    """Each part of the study with its settings; the first three are the main ones."""
    base = {"xi": XI, "mu": MU, "diversity": DIVERSITY, "keep": 0.5}
    base |= {"per_sample": False, "pool": "max", "per_class": PER_CLASS}
    chosen = [
        *(("loss", each) for each in MAIN),
        *(("xi", {"xi": xi, "mu": mu}) for xi in (2, 8) for mu in (0.0, MU)),
        *(("mu", {"mu": mu}) for mu in (0.3, 3.0)),
        *(("diversity", {"diversity": value}) for value in (1.0, 10.0)),
        ("pool", {"pool": "mean", "diversity": 0.0}),
        *(("keep", {"keep": keep}) for keep in (2 / 3, 1.0)),
        ("mask", {"per_sample": True}),
        *(("few", {**each, "per_class": FEW}) for each in MAIN),
    ]
    return [(part, {**base, **changed}) for part, changed in chosen]


def choice(data: dict[str, Pictures], steps: int, rate: float, seed: int) -> dict:
    """How well cross entropy alone does on the pictures set aside for the choice."""
    model = build(XI, seed)
    train(model, data["train"], None, steps, rate, seed)
    correct = accuracy(maps_of(model, data["choose"])[0], data["choose"].targets)
    setting = {"part": "choice", "steps": steps, "learning_rate": rate}
    return setting | {"seed": seed, "accuracy": correct}


def measure(data: dict[str, Pictures], setting: dict, seed: int) -> dict:
    """Train with one setting, and say what came of it on the test pictures."""
    model = build(setting["xi"], seed)
    before = maps_of(model, data["test"])[1]
    fitted = data["train"].first(NUM_VARIANTS * setting["per_class"])
    start = time.process_time()
    train(model, fitted, loss_of(setting), STEPS, RATE, seed)
    seconds = time.process_time() - start
    test, xi = data["test"], setting["xi"]
    logits, maps = maps_of(model, test)
    fit = maps_of(model, fitted)[0]
    by_channels = mc_loss.channel_max_pool(maps, xi).mean(dim=(2, 3))
    hits, chance = mc_loss.peak_hits(
        mc_loss.own_channels(maps, test.targets, xi), test.boxes
    )
    hits_before, _ = mc_loss.peak_hits(
        mc_loss.own_channels(before, test.targets, xi), test.boxes
    )
    return {
        "accuracy": accuracy(logits, test.targets),
        "train_accuracy": accuracy(fit, fitted.targets),
        "channel_accuracy": accuracy(by_channels, test.targets),
        "diversity_before": round(mc_loss.diversity_loss(before, xi).item(), 3),
        "diversity_after": round(mc_loss.diversity_loss(maps, xi).item(), 3),
        "hits_before": round(hits_before.item(), 4),
        "hits": round(hits.item(), 4),
        "chance": round(chance.item(), 4),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds, 2),
    }


def build(xi: int, seed: int) -> mc_loss.ChannelNet:
    """The layers that are trained: the same at a seed, whatever the loss."""
    torch.manual_seed(seed)
    return mc_loss.ChannelNet(nn.Identity(), 96, NUM_VARIANTS, xi)


def train(
    model: mc_loss.ChannelNet,
    data: Pictures,
    loss: Callable[..., Tensor] | None,
    steps: int,
    rate: float,
    seed: int,
) -> None:
    """Train on these pictures; the module's own training."""
    mc_loss.train(
        model,
        data.images,
        data.targets,
        steps=steps,
        loss=loss,
        batch_size=BATCH,
        learning_rate=rate,
        seed=seed,
    )


def loss_of(setting: dict) -> Callable[..., Tensor] | None:
    """The loss on the channels; None for cross entropy alone."""
    if not setting["mu"]:
        return None
    if setting["pool"] == "mean":
        return average_loss(setting)
    return mc_loss.MutualChannelLoss(
        NUM_VARIANTS,
        setting["xi"],
        mu=setting["mu"],
        diversity=setting["diversity"],
        keep=setting["keep"],
        per_sample=setting["per_sample"],
    )


def average_loss(setting: dict) -> Callable[..., Tensor]:
    """L_dis with an average over a class's channels where the paper has a maximum."""
    xi = setting["xi"]

    def loss(features: Tensor, targets: Tensor, *, generator: torch.Generator):
        mask = mc_loss.channel_mask(
            xi, num_classes=NUM_VARIANTS, keep=setting["keep"], generator=generator
        )
        groups = (features * mask).unflatten(1, (NUM_VARIANTS, xi))
        return setting["mu"] * F.cross_entropy(groups.mean(dim=(2, 3, 4)), targets)

    return loss


@torch.no_grad()
def maps_of(model: mc_loss.ChannelNet, data: Pictures) -> tuple[Tensor, Tensor]:
    """Logits and maps, in evaluation mode."""
    parts = [model.eval()(part) for part in data.images.split(120)]
    logits, maps = zip(*parts, strict=True)
    return torch.cat(logits), torch.cat(maps)


def accuracy(logits: Tensor, targets: Tensor) -> float:
    """The share that is right, to four digits."""
    return round((logits.argmax(dim=1) == targets).float().mean().item(), 4)


def draw(seed: int) -> Pictures:
    """Pictures in [0, 1] with the boxes of what tells their family's variants apart."""
    number = NUM_VARIANTS * PER_CLASS
    data = Aircraft(number, seed=seed, num_variants=NUM_VARIANTS)
    images, boxes = [], []
    for record in map(data.describe, range(number)):
        images.append(record.image)
        telling = [p for p in TELLING[record.family] if p in record.parts]
        boxes.append(torch.stack([record.parts[part] for part in telling]))
    return Pictures(torch.stack(images), torch.arange(number) % NUM_VARIANTS, boxes)


@torch.no_grad()
def frozen(network: SmallNet, data: Pictures) -> Pictures:
    """What the network makes of the pictures, up to its last convolution."""
    mean, std = network.mean[:, None, None], network.std[:, None, None]
    parts = [network.features((part - mean) / std) for part in data.images.split(120)]
    return Pictures(torch.cat(parts), data.targets, data.boxes)


if __name__ == "__main__":
    main()
