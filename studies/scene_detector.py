"""Train the single-shot detector for long; write its weights and their card.

    python -m studies.scene_detector [--steps 3500] [--scenes 4000] [--fresh]
                                     [--out FOLDER]

The network is the chapter's, with the chapter's losses; what changes is the time and
the number of scenes. The card says what it finds on held-out scenes: the mean average
precisions, and in how many scenes everything that is shown is right and nothing is
missing. The weights are written in half precision, and measured after that.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from lesson_utils import single_shot
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.detections import (
    COCO_THRESHOLDS,
    Detections,
    average_precisions,
    diagnose,
)
from lesson_utils.data.scenes import TYPES, Scenes, stack_scenes
from lesson_utils.single_shot import SingleShot
from studies.skeleton import Study

SIDE, TEST, BATCH, SHOWN = 96, 300, 32, 0.4
SEEDS = {"train": 1000, "test": 99}  # of the scenes; the page trains on others


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, measure, write."""
    study = Study("scene_detector", __doc__, arguments, out=WEIGHTS, add=add_options)
    options = study.options
    data = stack_scenes(Scenes(options.scenes, seed=SEEDS["train"], image_size=SIDE))
    print(f"{options.scenes:,} scenes drawn in {study.seconds:.0f} s", flush=True)
    checkpoint = study.checkpoint("training")
    Path(checkpoint).parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    model = SingleShot(len(TYPES), image_size=SIDE)
    single_shot.train(
        model,
        *data,
        steps=options.steps,
        batch_size=BATCH,
        seed=options.seed,
        checkpoint=checkpoint,
        save_every=100,
    )
    test = stack_scenes(Scenes(TEST, seed=SEEDS["test"], image_size=SIDE))
    numbers = measure(model.half().float(), test)  # as they are read again
    study.write_weights(
        model.half(),
        data=f"{options.scenes:,} drawn scenes of {SIDE} pixels",
        steps=options.steps,
        batch_size=BATCH,
        held_out_scenes=TEST,
        **numbers,
        classes=list(TYPES),
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=3500)
    parser.add_argument("--scenes", type=int, default=4000)


def measure(model: SingleShot, test: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Average precisions, and how many scenes are shown without a fault."""
    images, labels = test
    found = single_shot.predict(model, images)
    table = average_precisions(
        found, labels, num_classes=len(TYPES), iou_thresholds=COCO_THRESHOLDS
    )  # (K, T)
    clean = [is_clean(*pair) for pair in zip(found, labels, strict=True)]
    numbers = {
        "map50": table[:, 0].mean().item(),
        "map75": table[:, 5].mean().item(),
        "map": table.mean().item(),
        "clean_scenes": sum(clean) / len(clean),
    }
    return {name: round(value, 3) for name, value in numbers.items()}


def is_clean(found: Detections, ground_truth: Tensor) -> bool:
    """Whether what is shown of a scene is right, and nothing is missing."""
    shown = Detections(*(part[found.scores >= SHOWN] for part in found))
    diagnosis = diagnose(shown, ground_truth)
    return {*diagnosis.kinds} <= {"right"} and not diagnosis.missed.any()


if __name__ == "__main__":
    main()
