"""Train the small DETR for long; write its weights and their card.

    python -m studies.scene_detr [--steps 4000] [--tuning 700] [--scenes 6000]
                                 [--fresh] [--out FOLDER]

The trunk comes from the single-shot detector of `studies/scene_detector.py`. At first
it stays as it is: what it makes of all scenes, and of their mirror images, is computed
once, and the transformer alone learns, from that. Then all of the network learns, from
pictures. The card says what it finds on held-out scenes, after which steps and seconds;
the last line is measured with the weights as they are read again, in half precision.
"""

import argparse
from pathlib import Path

import torch
from torch import Tensor

from lesson_utils import detr
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.detections import COCO_THRESHOLDS, average_precisions
from lesson_utils.data.scenes import TYPES, Scenes, stack_scenes
from lesson_utils.single_shot import scene_detector
from studies.skeleton import Study

SIDE, TEST, BATCH = 96, 300, 32
SEEDS = {"train": 1000, "test": 99}  # those of `studies/scene_detector.py`
EVERY = {"transformer": 250, "all": 250}  # steps between two measurements


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, measure, write."""
    study = Study("scene_detr", __doc__, arguments, out=WEIGHTS, add=add_options)
    options = study.options
    test = stack_scenes(Scenes(TEST, seed=SEEDS["test"], image_size=SIDE))
    study.folder.mkdir(parents=True, exist_ok=True)
    data = drawn(options.scenes, study.folder / "scenes.pt")
    torch.manual_seed(options.seed)
    model = from_detector(detr.Detr(len(TYPES), image_size=SIDE))
    begun = study.row({"part": "start"}, lambda: {"seconds": study.seconds})["seconds"]

    def watch(part: str, number: int):
        def after(step: int) -> None:
            if step % EVERY[part] == 0 or step == number:
                study.row(
                    {"part": part, "steps": step}, lambda: measured(study.seconds)
                )
                model.train()

        return after

    def measured(seconds: float) -> dict[str, float]:
        return {"seconds": round(seconds - begun), **measure(model, test)}

    common = {"batch_size": BATCH, "seed": options.seed, "progress": False}
    for part, steps, rate in (
        ("transformer", options.steps, 3e-3),
        ("all", options.tuning, 4e-4),
    ):
        checkpoint = study.checkpoint(part)
        known = part == "transformer"
        detr.train(
            model,
            *(with_features(model, *data) if known else data),
            steps=steps,
            learning_rate=rate,
            augment=None if known else detr.flip,
            after=watch(part, steps),
            checkpoint=checkpoint,
            save_every=500 if known else 100,
            **common,
        )
    model.half().float()  # as it is read again
    numbers = measure(model, test)
    study.write_weights(
        model.half(),
        data=f"{options.scenes:,} drawn scenes of {SIDE} pixels",
        steps=options.steps,
        tuning_steps=options.tuning,
        batch_size=BATCH,
        held_out_scenes=TEST,
        **numbers,
        curve=[row for row in study.rows if row["part"] != "start"],
        classes=list(TYPES),
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--tuning", type=int, default=700)
    parser.add_argument("--scenes", type=int, default=6000)


def drawn(number: int, kept: Path) -> tuple[Tensor, Tensor]:
    """The scenes to learn from; drawn once, for a run that is resumed."""
    if kept.exists():
        return torch.load(kept)
    data = stack_scenes(Scenes(number, seed=SEEDS["train"], image_size=SIDE))
    torch.save(data, kept)
    return data


def from_detector(model: detr.Detr) -> detr.Detr:
    """The network with the trunk of the bundled single-shot detector."""
    trained = scene_detector()
    model.stem.load_state_dict(trained.stem.state_dict())
    model.stages.load_state_dict(trained.stages.state_dict())
    return model


@torch.no_grad()
def with_features(
    model: detr.Detr, images: Tensor, labels: Tensor
) -> tuple[Tensor, Tensor]:
    """What the trunk makes of all pictures, then of their mirror images, in half."""
    model.eval()
    mirrored = labels.clone()
    mirrored[..., 1], mirrored[..., 3] = 1 - labels[..., 3], 1 - labels[..., 1]
    maps = [
        model.features(part).half()
        for each in (images, images.flip(-1))
        for part in each.split(100)
    ]
    return torch.cat(maps), torch.cat([labels, mirrored])


def measure(model: detr.Detr, test: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Average precisions of a network on held-out scenes."""
    images, labels = test
    table = average_precisions(
        detr.predict(model, images),
        labels,
        num_classes=len(TYPES),
        iou_thresholds=COCO_THRESHOLDS,
    )  # (K, T)
    numbers = {
        "map50": table[:, 0].mean().item(),
        "map75": table[:, 5].mean().item(),
        "map": table.mean().item(),
    }
    return {name: round(value, 3) for name, value in numbers.items()}


if __name__ == "__main__":
    main()
