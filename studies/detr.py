"""How fast a DETR learns, beside the single-shot detector, and what its trunk is worth.

    python -m studies.detr [--steps 600] [--fresh] [--out FILE]

Three networks learn from the same scenes, in the same order, all of their weights: the
single-shot detector from random weights, a DETR from random weights, and a DETR whose
trunk is that of the bundled single-shot detector. From time to time each is measured on
held-out scenes. A few hundred steps are the beginning of a training: what becomes of a
DETR in thousands is on the card of `studies/scene_detr.py`.
"""

import argparse
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lesson_utils import detr, single_shot
from lesson_utils.common.detections import COCO_THRESHOLDS, average_precisions
from lesson_utils.data.scenes import TYPES, Scenes, flip, stack_scenes
from lesson_utils.single_shot import SingleShot
from studies.scene_detr import from_detector
from studies.skeleton import Study

SIDE, TRAIN, TEST, BATCH, EVERY = 96, 2000, 150, 16, 100
SEEDS = {"train": 1000, "test": 99}
RATES = {"single shot": 4e-3, "DETR": 1e-3, "DETR, trained trunk": 1e-3}


def main(arguments: list[str] | None = None) -> None:
    """Train three networks, measure each on its way."""
    study = Study("detr", __doc__, arguments, add=add_options)
    steps = study.options.steps
    test = stack_scenes(Scenes(TEST, seed=SEEDS["test"], image_size=SIDE))
    data = stack_scenes(Scenes(TRAIN, seed=SEEDS["train"], image_size=SIDE))
    study.folder.mkdir(parents=True, exist_ok=True)
    for name in RATES:
        learn(study, name, data, test)
    study.write(steps=steps, batch_size=BATCH, train_scenes=TRAIN, test_scenes=TEST)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=600)


def learn(
    study: Study,
    name: str,
    data: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
) -> None:
    """Train one network, and measure it on its way."""
    torch.manual_seed(study.options.seed)
    kind = single_shot if name == "single shot" else detr
    network = SingleShot if kind is single_shot else detr.Detr
    model = network(len(TYPES), image_size=SIDE)
    if "trained" in name:
        from_detector(model)
    weights = sum(each.numel() for each in model.parameters())
    first = study.row(
        {"network": name, "steps": 0},
        lambda: {"begun": study.seconds, "weights": weights},
    )
    after = watch(study, name, model, test, first["begun"])
    common = {
        "steps": study.options.steps,
        "batch_size": BATCH,
        "learning_rate": RATES[name],
        "seed": study.options.seed,
        "progress": False,
    }
    if kind is single_shot:
        # It tells nobody after which step it is: count them, from the first on.
        single_shot.train(model, *data, augment=counting(after), **common)
        after(study.options.steps)
    else:
        file = study.checkpoint(name.replace(", ", "-").replace(" ", "-"))
        detr.train(
            model, *data, after=after, checkpoint=file, save_every=EVERY, **common
        )


def watch(
    study: Study,
    name: str,
    model: nn.Module,
    test: tuple[Tensor, Tensor],
    begun: float,
) -> Callable[[int], None]:
    """What is called after each step: it measures, now and then."""

    def after(step: int) -> None:
        if step % EVERY == 0:
            seconds = round(study.seconds - begun)
            study.row(
                {"network": name, "steps": step},
                lambda: {"seconds": seconds, **measure(model, test)},
            )
            model.train()

    return after


def counting(after: Callable[[int], None]) -> Callable[..., tuple[Tensor, Tensor]]:
    """`flip`, and before it what is to be done after each step of a training."""
    done = 0

    def augment(images: Tensor, labels: Tensor, **options) -> tuple[Tensor, Tensor]:
        nonlocal done
        if done:
            after(done)
        done += 1
        return flip(images, labels, **options)

    return augment


def measure(model: nn.Module, test: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Average precisions of a network of either kind on held-out scenes."""
    images, labels = test
    kind = detr if isinstance(model, detr.Detr) else single_shot
    table = average_precisions(
        kind.predict(model, images),
        labels,
        num_classes=len(TYPES),
        iou_thresholds=COCO_THRESHOLDS,
    )  # (K, T)
    numbers = {"map50": table[:, 0].mean().item(), "map": table.mean().item()}
    return {key: round(value, 3) for key, value in numbers.items()}


if __name__ == "__main__":
    main()
