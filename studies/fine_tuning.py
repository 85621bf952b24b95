"""Four ways to a classifier of few pictures, for the chapter on fine-tuning.

    python -m studies.fine_tuning [--seeds 5] [--out FILE]

Writes `lesson_utils/studies/fine_tuning.json`, in under ten minutes on one core. Two
target sets: five types of creatures and five families of textures, none of which the
bundled `tiny_vgg` has seen. A sweep on two seeds and pictures of its own chooses each
way's learning rate; then each way is trained for each number of pictures and seed, and
afterwards the old head is put back to see what is left of the source task.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch
from torch import Tensor, nn

from lesson_utils import fine_tuning
from lesson_utils.common.backbones import tiny_vgg
from lesson_utils.common.studies import STUDIES, machine, write_study
from lesson_utils.data.creatures import Creatures
from lesson_utils.data.textures import FAMILIES, Textures

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


def main() -> None:
    """Sweep, train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=STUDIES / "fine_tuning.json")
    options = parser.parse_args()
    torch.set_num_threads(1)  # one core: other threads would not be comparable
    rows = sweep()
    rates = {way: best_rate(rows, way) for way in RATES}
    print(f"learning rates: {rates}")
    rows += curves(rates, range(options.seeds))
    study = {
        "command": "python -m studies.fine_tuning",
        "seeds": list(range(options.seeds)),
        "tuning_seeds": list(TUNING_SEEDS),
        "learning_rates": rates,
        "steps": STEPS,
        "batch_size": BATCH,
        "image_size": SIDE,
        "machine": machine(),
        "minutes": round(time.process_time() / 60, 1),  # of one core's work
        "rows": rows,
    }
    write_study(study, options.out)


def sweep() -> list[dict]:
    """The accuracy of each way at each of its learning rates, on creatures."""
    pool, test = draw("creatures", 20, 60), draw("creatures", 21, 40)
    rows = []
    for way, rates in RATES.items():
        for rate in rates:
            for seed in TUNING_SEEDS:
                network, _ = fit(way, subset(pool, TUNING, seed), rate, seed)
                score = fine_tuning.accuracy(network, *test)
                rows.append(
                    {"part": "sweep", "way": way, "rate": rate, "seed": seed}
                    | {"accuracy": round(score, 4)}
                )
                print(rows[-1], flush=True)
    return rows


def curves(rates: dict[str, float], seeds: range) -> list[dict]:
    """Each way's accuracy by target, size and seed, and what is left of the source."""
    rows, source = [], draw_source()
    for target, sizes in SIZES.items():
        pool, test = draw(target, 10, 60), draw(target, 11, 60)
        for size in sizes:
            for way, rate in rates.items():
                for seed in seeds:
                    network, old = fit(way, subset(pool, size, seed), rate, seed)
                    row = {"part": "curve", "target": target, "size": size, "way": way}
                    row |= {"seed": seed}
                    score = fine_tuning.accuracy(network, *test)
                    network.classifier = old
                    left = fine_tuning.accuracy(network, *source)
                    row |= {"accuracy": round(score, 4), "source": round(left, 4)}
                    if way == "scratch":
                        del row["source"]  # it has never been there
                    rows.append(row)
                    print(row, flush=True)
    network = tiny_vgg()
    before = round(fine_tuning.accuracy(network, *source), 4)
    return [*rows, {"part": "source before", "accuracy": before}]


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
