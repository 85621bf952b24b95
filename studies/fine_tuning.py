"""Four ways to a classifier of few pictures, for the chapter on fine-tuning.

    python -m studies.fine_tuning [--seeds 5] [--fresh] [--out FILE]

Writes `lesson_utils/studies/fine_tuning.json`, in under ten minutes on one core. Two
target sets: five types of creatures and five families of textures, none of which the
bundled `tiny_vgg` has seen. A sweep on two seeds and pictures of its own chooses each
way's learning rate; then each way is trained for each number of pictures and seed, and
afterwards the old head is put back to see what is left of the source task.
"""

import statistics
from functools import partial

import torch
from torch import Tensor, nn

from lesson_utils import fine_tuning
from lesson_utils.common.backbones import tiny_vgg
from lesson_utils.common.classifying import accuracy
from lesson_utils.data.creatures import Creatures
from lesson_utils.data.textures import FAMILIES, Textures
from studies.skeleton import Study

SIDE, BATCH, STEPS = 40, 16, 120
RATES = {
    "scratch": (5e-4, 1e-3, 2e-3),
    "frozen": (1e-3, 3e-3, 1e-2),
    "one rate": (5e-5, 1e-4, 3e-4, 1e-3),
    "head x10": (5e-5, 1e-4, 3e-4, 1e-3),
}
SIZES = {"creatures": (5, 15, 50), "textures": (5, 15)}  # pictures of each class
TYPES = range(5, 10)  # of creatures, that the backbone has not seen
TUNING, TUNING_SEEDS = 15, (100, 101)  # the sweep's pictures of each class; its seeds

Pictures = tuple[Tensor, Tensor]


def main(arguments: list[str] | None = None) -> None:
    """Sweep, train, measure, write."""
    study = Study("fine_tuning", __doc__, arguments, seeds=5)
    sweep(study)
    rates = {way: best_rate(study.rows, way) for way in RATES}
    print(f"learning rates: {rates}")
    curves(study, rates)
    study.write(
        tuning_seeds=TUNING_SEEDS,
        learning_rates=rates,
        steps=STEPS,
        batch_size=BATCH,
        image_size=SIDE,
    )


def sweep(study: Study) -> None:
    """The accuracy of each way at each of its learning rates, on creatures."""
    pool, test = draw("creatures", 20, 60), draw("creatures", 21, 40)

    def measure(way: str, rate: float, seed: int) -> dict[str, float]:
        network, _ = fit(way, subset(pool, TUNING, seed), rate, seed)
        return {"accuracy": round(accuracy(network, *test), 4)}

    for way, rates in RATES.items():
        for rate in rates:
            for seed in TUNING_SEEDS:
                study.row(
                    {"part": "sweep", "way": way, "rate": rate, "seed": seed},
                    partial(measure, way, rate, seed),
                )


def curves(study: Study, rates: dict[str, float]) -> None:
    """Each way's accuracy by target, size and seed, and what is left of the source."""
    source = draw_source()

    def measure(way: str, data: Pictures, test: Pictures, seed: int) -> dict:
        network, old = fit(way, data, rates[way], seed)
        row = {"accuracy": round(accuracy(network, *test), 4)}
        if way != "scratch":  # which has never been there
            network.classifier = old
            row["source"] = round(accuracy(network, *source), 4)
        return row

    for target, sizes in SIZES.items():
        pool, test = draw(target, 10, 60), draw(target, 11, 60)
        for size in sizes:
            for way in rates:
                for seed in study.seeds:
                    key = {"part": "curve", "target": target, "size": size, "way": way}
                    data = subset(pool, size, seed)
                    study.row(
                        key | {"seed": seed}, partial(measure, way, data, test, seed)
                    )
    study.row(
        {"part": "source before"},
        lambda: {"accuracy": round(accuracy(tiny_vgg(), *source), 4)},
    )


def fit(
    way: str, data: Pictures, rate: float, seed: int
) -> tuple[nn.Module, nn.Linear]:
    """A network trained in one of the ways, and the head it had before."""
    torch.manual_seed(seed)
    network = tiny_vgg(weights=None if way == "scratch" else "bundled")
    old, (images, labels) = network.classifier, data
    if way == "frozen":
        fine_tuning.freeze(network)
    fine_tuning.replace_head(network, 5)
    options = {"steps": STEPS, "batch_size": BATCH, "learning_rate": rate}
    options |= {"head_multiplier": 10 if way == "head x10" else 1}
    options |= {"seed": seed, "progress": False}
    if way == "frozen":  # its features never change, so they are computed once
        images = fine_tuning.extract_features(network, images)
        fine_tuning.train(network.classifier, images, labels, **options)
    else:
        fine_tuning.train(network, images, labels, **options)
    return network, old


def draw(target: str, seed: int, number: int) -> Pictures:
    """Pictures of the five classes of a target, `number` of each."""
    if target == "creatures":
        data = Creatures(30 * number, seed=seed, image_size=SIDE)
        return fine_tuning.take_per_class(data, number, classes=TYPES)
    seen = tiny_vgg().classes
    families = [family for family in FAMILIES if family not in seen][::2][:5]
    images, labels = fine_tuning.take_per_class(
        Textures(5 * number, seed=seed, families=families), number, classes=range(5)
    )
    return middle(images), labels


def draw_source() -> Pictures:
    """Test pictures of the source task: five of each texture, twenty of each type."""
    families = tiny_vgg().classes[:-5]
    textures, labels = fine_tuning.take_per_class(
        Textures(5 * len(families), seed=1, families=families),
        5,
        classes=range(len(families)),
    )
    creatures, types = fine_tuning.take_per_class(
        Creatures(500, seed=1, image_size=SIDE), 20, classes=range(5)
    )
    images = torch.cat([middle(textures), creatures])
    return images, torch.cat([labels, types + len(families)])


def middle(images: Tensor) -> Tensor:
    """Textures are cut, not shrunk: the backbone knows them at this scale."""
    start = (images.shape[-1] - SIDE) // 2
    return images[..., start : start + SIDE, start : start + SIDE]


def subset(pool: Pictures, size: int, seed: int) -> Pictures:
    """Some pictures of each of the five classes, others for each seed."""
    generator = torch.Generator().manual_seed(seed)
    each = len(pool[1]) // 5
    chosen = torch.cat(
        [torch.randperm(each, generator=generator)[:size] + k * each for k in range(5)]
    )
    return pool[0][chosen], pool[1][chosen]


def best_rate(rows: list[dict], way: str) -> float:
    """The learning rate with the highest mean accuracy in the sweep."""
    return max(
        RATES[way],
        key=lambda rate: statistics.mean(
            row["accuracy"] for row in rows if (row["way"], row["rate"]) == (way, rate)
        ),
    )


if __name__ == "__main__":
    main()
