"""The painter of vehicles, what it obeys, and what each of its parts buys.

    python -m studies.semantic_to_vehicle [--seeds 3] [--fresh] [--out FILE]

Painters of 96 pixels are trained on drawn vehicles and judged on vehicles that they
have not seen, and on colors that no vehicle of their kind has had in training. The
first seed's is written as the weights `vehicle_painter`. At 32 pixels smaller ones are
trained without one part or another. A GPU is used where there is one.
"""

import copy
import time
from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor, nn

from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.checkpoints import load_checkpoint, save_checkpoint
from lesson_utils.common.compute import pick_device
from lesson_utils.common.generating import kernel_distance
from lesson_utils.common.painting import PatchDiscriminator, paint, train
from lesson_utils.common.segmenting import segment
from lesson_utils.common.studies import machine
from lesson_utils.common.training import average_weights
from lesson_utils.data.vehicle_judges import QUESTIONS, answers, vehicle_judges
from lesson_utils.data.vehicles import PART_NAMES
from lesson_utils.semantic_to_vehicle import VOCABULARY, Generator, map_iou
from studies.skeleton import Study, write_weights
from studies.vehicle_judges import TEST_SEED, Drawn, draw, trained

TEST, OTHERS = 500, 500  # vehicles to judge by, and others to compare them with
KEEP, EVERY = 0.999, 4  # of the generator's running mean: a step's share, and steps
LARGE = {"number": 20_000, "size": 96, "width": 48, "steps": 3050, "batch_size": 64}
SMALL = {"number": 8000, "size": 32, "width": 32, "steps": 1350, "batch_size": 16}
RATE, SAVE_EVERY = 1e-3, 250
PARTS: dict[str, dict] = {
    "all parts": {},
    "no SPADE": {"spade": False},
    "no gates": {"gated": False},
    "no word attention": {"attention": False},
    "batch norm": {"norm": "batch"},
}


def main(arguments: list[str] | None = None) -> None:
    """Train, measure, write."""
    study = Study("semantic_to_vehicle", __doc__, arguments, seeds=3)
    study.folder.mkdir(parents=True, exist_ok=True)
    for part, rows in (("real", [None]), ("painter", study.seeds)):
        for seed in rows:
            key = {"part": part} | ({} if seed is None else {"seed": seed})
            study.row(key, partial(measured_large, study.checkpoint, seed))
    study.row({"part": "real, 32"}, partial(measured_small, study.checkpoint, None, 0))
    for seed in study.seeds:
        for name in PARTS:
            study.row(
                {"part": name, "seed": seed},
                partial(measured_small, study.checkpoint, name, seed),
            )
    network, trained_on = painter(LARGE, {}, study.seeds[0], study.checkpoint)
    first = next(row for row in study.rows if row["part"] == "painter")
    write_weights(
        network.half(),
        {
            "command": "python -m studies.semantic_to_vehicle",
            "seed": study.seeds[0],
            "classes": list(PART_NAMES),
            "data": f"{LARGE['number']:,} drawn vehicles of 96 x 96 pixels",
            "steps": LARGE["steps"],
            "held_out": {
                name.replace(" ", "_").lower(): value
                for name, value in first["held out"].items()
            },
            **trained_on,
        },
        WEIGHTS / "vehicle_painter.safetensors",
    )
    study.write(large=LARGE, small=SMALL, keep=KEEP, test=TEST, rate=RATE)


def measured_large(checkpoint: Callable, seed: int | None) -> dict:
    """A row of 96 pixels: of a painter, or of the drawn pictures if seed is None."""
    judges = nn.ModuleList(vehicle_judges())
    if seed is None:
        return measured(None, judges, 96)
    generator, trained_on = painter(LARGE, {}, seed, checkpoint)
    return {**measured(generator, judges, 96), **trained_on}


def measured_small(checkpoint: Callable, name: str | None, seed: int) -> dict:
    """A row of 32 pixels, likewise."""
    judges = small_judges(checkpoint)
    if name is None:
        return measured(None, judges, 32)
    generator, trained_on = painter(SMALL, PARTS[name], seed, checkpoint)
    weights = sum(each.numel() for each in generator.parameters())
    return {**measured(generator, judges, 32), "weights": weights, **trained_on}


@cache
def training_data(number: int, size: int) -> Drawn:
    """Vehicles to learn from."""
    return draw(number, 0, size=size)


@cache
def test_data(size: int, seed: int, held_out: bool) -> Drawn:
    """Vehicles to judge by."""
    return draw(TEST, seed, size=size, held_out=held_out)


@cache
def small_judges(checkpoint: Callable) -> nn.ModuleList:
    """Judges of 32 pixels."""
    number = SMALL["number"]
    return trained(number, number // 4, 32, partial(checkpoint, "judges-32"))


def painter(
    size: dict, parts: dict, seed: int, checkpoint: Callable
) -> tuple[Generator, dict]:
    """The running mean of a trained generator's weights, and what it took to get it."""
    path = checkpoint("-".join([str(size["size"]), *parts, str(seed)]))
    unfinished = path.with_suffix(".unfinished"), path.with_suffix(".average")
    torch.manual_seed(seed)
    generator = Generator(size["size"], **parts)
    device, average = pick_device(), copy.deepcopy(generator)
    if path.exists():
        kept = load_checkpoint(path)
        average.load_state_dict(kept["average"])
        return average.eval(), kept["trained on"]
    discriminator = PatchDiscriminator(
        len(PART_NAMES), len(VOCABULARY), width=size["width"]
    )
    if unfinished[1].exists():
        average.load_state_dict(load_checkpoint(unfinished[1]))
    average.to(device)

    def follow(step: int) -> None:
        if step % EVERY == 0:
            keep = min(KEEP**EVERY, step / (step + 10 * EVERY))
            average_weights(average, generator, keep=keep)
        if step % SAVE_EVERY == 0:
            save_checkpoint(unfinished[1], average.state_dict())

    started = time.monotonic()
    data = training_data(size["number"], size["size"])
    train(
        generator,
        discriminator,
        *(values.to(device) for values in data[:2]),
        data.tokens,  # a few of their words are hidden, which is done on the CPU
        steps=size["steps"],
        batch_size=size["batch_size"],
        learning_rate=RATE,
        seed=seed,
        on_step=follow,
        checkpoint=unfinished[0],
        save_every=SAVE_EVERY,
    )
    average.cpu().eval()
    where = machine() if device.type == "cpu" else {"gpu": torch.cuda.get_device_name()}
    trained_on = {"machine": where, "seconds": round(time.monotonic() - started)}
    save_checkpoint(path, {"average": average.state_dict(), "trained on": trained_on})
    for each in unfinished:
        each.unlink(missing_ok=True)
    return average, trained_on


def measured(generator: Generator | None, judges: nn.ModuleList, size: int) -> dict:
    """What the judges say of painted, or of drawn pictures."""
    rows = {
        name: obeyed(generator, judges, test_data(size, TEST_SEED, held_out))
        for name, held_out in (("seen", False), ("held out", True))
    }
    data = test_data(size, TEST_SEED, False)
    others = test_data(size, TEST_SEED + 1, False)
    _, classifier = judges
    images = pictures(generator, data)
    distance = kernel_distance(
        *(features(classifier, some) for some in (images, others.images))
    )
    sky = PART_NAMES.index("background")
    if generator is None:
        pairs = _like(data, others)
        first, second = data.images[pairs[0]] / 255, others.images[pairs[1]] / 255
        clear = (data.maps[pairs[0]] == sky) & (others.maps[pairs[1]] == sky)
    else:
        first, second = images, pictures(generator, data, seed=1)
        clear = data.maps == sky
    differ = (first - second).abs().mean(1)  # (N, S, S)
    return {
        **rows,
        "kernel distance": round(distance.item(), 4),
        "sky differs": round(differ[clear].mean().item(), 4),
        "vehicle differs": round(differ[data.maps > 1].mean().item(), 4)
        if generator is not None
        else None,
    }


def obeyed(generator: Generator | None, judges: nn.ModuleList, data: Drawn) -> dict:
    """Do pictures show the map and the sentence they were asked for?"""
    segmenter, classifier = judges
    images = pictures(generator, data)
    found, asked = segment(segmenter, images), data.maps.long()
    right = (answers(classifier, images) == data.labels).float().mean(0)
    return {
        "mean IoU": _iou(found, asked),
        "shuffled": _iou(found, asked.roll(1, 0)),
        **{
            name: round(share, 3)
            for name, share in zip(QUESTIONS, right.tolist(), strict=True)
        },
    }


def pictures(generator: Generator | None, data: Drawn, seed: int = 0) -> Tensor:
    """Painted, or the drawn ones, (N, 3, S, S), in [0, 1]."""
    if generator is None:
        return data.images / 255
    return paint(generator, data.maps.long(), data.tokens, seed=seed)


@torch.no_grad()
def features(classifier: nn.Module, images: Tensor) -> Tensor:
    """What pictures are compared by, (N, C)."""
    return torch.cat([classifier.features(some) for some in images.split(64)])


def _iou(found: Tensor, asked: Tensor) -> float:
    return round(map_iou(found, asked, len(PART_NAMES)).item(), 3)


def _like(one: Drawn, other: Drawn) -> tuple[Tensor, Tensor]:
    """Pairs of drawn vehicles at one time of the day."""
    time_of = list(QUESTIONS).index("time")
    chosen, partners = [], []
    for value in one.labels[:, time_of].unique():
        first = (one.labels[:, time_of] == value).nonzero().flatten()
        second = (other.labels[:, time_of] == value).nonzero().flatten()
        number = min(len(first), len(second))
        chosen.append(first[:number])
        partners.append(second[:number])
    return torch.cat(chosen), torch.cat(partners)


if __name__ == "__main__":
    main()
