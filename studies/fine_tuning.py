"""From ImageNet to digits and to aircraft, for the chapter on fine-tuning.

    python -m studies.fine_tuning [--seeds 3] [--fresh] [--out FILE]

Writes `lesson_utils/studies/fine_tuning.json`, in under half an hour of one core.
EfficientNet-Lite0 learns MNIST's digits and families of drawn aircraft from 5, 15 or 50
pictures of each: from scratch, frozen, at one rate, and with its head at ten times that
of the rest. A sweep on pictures of its own chooses each way's rate on each target, and
which statistics batch norm uses: those of the batch, or ImageNet's. After each training
ImageNet's head is put back, to see what the network still says of photographs.
"""

from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import fine_tuning
from lesson_utils.common.classifying import accuracy, predict
from lesson_utils.common.pretrained import efficientnet_lite0
from lesson_utils.data.aircraft import Aircraft
from lesson_utils.data.mnist import mnist
from lesson_utils.data.photographs import photograph
from studies.skeleton import Study

BATCH, STEPS = 16, 40
HEAD_STEPS = 200  # on features that are computed once, a step costs next to nothing
SIDES = {"digits": 64, "aircraft": 96}  # pixels
# For each way what batch norm uses, and the learning rates that are tried with it.
RATES = {
    "scratch": {"batch": (1e-3, 3e-3, 1e-2)},
    "frozen": {"held": (1e-3, 3e-3, 1e-2)},
    "one rate": {"held": (1e-4, 3e-4, 1e-3), "batch": (1e-3, 3e-3, 1e-2)},
    "head x10": {"held": (3e-5, 1e-4, 3e-4), "batch": (3e-4, 1e-3, 3e-3)},
}
SIZES = (5, 15, 50)  # pictures of each class
TUNING, TUNING_SEED = 15, 100  # the sweep's pictures of each class; its seed
# Photographs of things that ImageNet knows.
KNOWN = (
    *("chelsea", "coffee", "astronaut", "china", "flower"),
    *("rocket", "motorcycle", "clock", "coins", "camera"),
)

Pictures = tuple[Tensor, Tensor]


def main(arguments: list[str] | None = None) -> None:
    """Sweep, train, measure, write."""
    study = Study("fine_tuning", __doc__, arguments, seeds=3)
    chosen = {}
    for target in SIDES:
        chosen[target] = sweep(study, target)
        print(f"{target}: {chosen[target]}")
        for seed in study.seeds:
            for size in SIZES:
                for way, options in chosen[target].items():
                    key = {"target": target, "size": size, "way": way, "seed": seed}
                    run = partial(measure, **key, **options)
                    study.row({"part": "curve"} | key, run)
    study.write(
        tuning_seed=TUNING_SEED,
        chosen=chosen,
        steps=STEPS,
        head_steps=HEAD_STEPS,
        batch_size=BATCH,
        image_sizes=SIDES,
        views=len(views()[0]),
    )


def sweep(study: Study, target: str) -> dict[str, dict]:
    """Each way's best learning rate and statistics, on pictures of the sweep's own."""
    chosen = {}
    for way, by_statistics in RATES.items():
        rows = []
        for statistics, rates in by_statistics.items():
            for rate in rates:
                key = {"target": target, "way": way}
                key |= {"statistics": statistics, "rate": rate}
                run = partial(
                    measure, **key, size=TUNING, seed=TUNING_SEED, tuning=True
                )
                rows.append(study.row({"part": "sweep"} | key, run))
        best = max(rows, key=lambda row: row["accuracy"])
        chosen[way] = {key: best[key] for key in ("statistics", "rate")}
    return chosen


def measure(
    *,
    target: str,
    size: int,
    way: str,
    seed: int,
    tuning: bool = False,
    **options: object,
) -> dict[str, float]:
    """Train a network in one of the ways; its accuracy, and what it has forgotten."""
    # The sweep is scored on pictures that the curves never see.
    pool = draw(target, "tuning" if tuning else "train")
    test = draw(target, "tuning test" if tuning else "test")
    network, old, history = fit(way, subset(pool, size, seed), seed, **options)
    last = history["accuracy"][-10:]
    row = {"accuracy": round(accuracy(network, *test, batch_size=40), 4)}
    row["on_training"] = round(sum(last) / len(last), 4)
    if way != "scratch" and not tuning:
        network.classifier = old
        row["agreement"] = round(agreement(network), 4)
    return row


def fit(
    way: str,
    data: Pictures,
    seed: int,
    *,
    rate: float,
    statistics: str,
) -> tuple[nn.Module, nn.Linear, dict]:
    """A network trained in one of the ways, the head it had before, the history."""
    torch.manual_seed(seed)
    network = efficientnet_lite0(None if way == "scratch" else "imagenet")
    old, (images, labels) = network.classifier, data
    if way == "frozen":
        fine_tuning.freeze(network)
    elif statistics == "held":
        fine_tuning.hold_statistics(network)
    fine_tuning.replace_head(network, int(labels.max()) + 1)
    options = {"batch_size": BATCH, "learning_rate": rate, "seed": seed}
    options |= {"head_multiplier": 10 if way == "head x10" else 1, "progress": False}
    if way == "frozen":  # its features never change, so they are computed once
        images = fine_tuning.extract_features(network, images, batch_size=40)
        head = network.classifier
        history = fine_tuning.train(head, images, labels, steps=HEAD_STEPS, **options)
    else:
        history = fine_tuning.train(network, images, labels, steps=STEPS, **options)
    return network, old, history


@cache
def draw(target: str, part: str) -> Pictures:
    """Pictures of all classes of a target, (N, 3, S, S), classes taking turns."""
    parts, side = ("train", "test", "tuning", "tuning test"), SIDES[target]
    if target == "digits":
        # A thousand of the training digits are left for the sweep.
        images, labels = mnist("test" if part == "test" else "train")
        ranges = {"train": (0, 3000), "test": (0, 400), "tuning": (3000, 3500)}
        chosen = slice(*ranges.get(part, (3500, 3800)))
        return enlarge(images[chosen], side), labels[chosen]
    number = {"train": 1200, "test": 360, "tuning": 480}.get(part, 240)
    data = Aircraft(
        number, seed=parts.index(part), image_size=side, annotation_level="family"
    )
    images, labels = zip(*(data[i] for i in range(number)), strict=True)
    return torch.stack(images), torch.tensor(labels)


def enlarge(digits: Tensor, side: int) -> Tensor:
    """Digits (N, 1, 28, 28) in three equal channels, larger."""
    return F.interpolate(digits.expand(-1, 3, -1, -1), side, mode="bilinear")


def subset(pool: Pictures, size: int, seed: int) -> Pictures:
    """`size` pictures of each class, others for each seed."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(pool[1]), generator=generator)
    chosen = [order[pool[1][order] == k][:size] for k in pool[1].unique()]
    rows = torch.cat(chosen)
    return pool[0][rows], pool[1][rows]


@cache
def views() -> tuple[Tensor, Tensor]:
    """Three cuts of each photograph, and what the network says before all training."""
    cuts = []
    for name in KNOWN:
        image = photograph(name, size=200)
        height, width = image.shape[1:]
        for where in (0, 0.5, 1):
            y, x = round(where * (height - 160)), round(where * (width - 160))
            cuts.append(image[:, y : y + 160, x : x + 160])
    images = torch.stack(cuts)
    return images, predict(efficientnet_lite0(), images, batch_size=10).argmax(1)


def agreement(network: nn.Module) -> float:
    """The share of photographs of which a network says what it has said before."""
    images, before = views()
    after = predict(network, images, batch_size=10).argmax(1)
    return (after == before).float().mean().item()


if __name__ == "__main__":
    main()
