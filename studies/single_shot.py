"""What each ingredient of a small detector adds, for the chapter on single-shot.

    python -m studies.single_shot [--seeds 3] [--steps 400] [--fresh] [--out FILE]

Writes `lesson_utils/studies/single_shot.json`, in some fifteen minutes on one idle
core. The detector of the chapter is trained on drawn scenes, once as it is and then
with one thing changed at a time; each seed has its own scenes to train on, its own
first weights and its own order, and all are measured on the same held-out scenes.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import single_shot
from lesson_utils.anchors import STD
from lesson_utils.common.dense_losses import focal_cross_entropy, masked_l1
from lesson_utils.common.detections import (
    COCO_THRESHOLDS,
    Detections,
    average_precisions,
    diagnose,
)
from lesson_utils.data.scenes import TYPES, Scenes, stack_scenes
from lesson_utils.single_shot import SCALES, SingleShot
from studies.skeleton import Study

SIDE, TRAIN, TEST, TEST_SEED, BATCH = 96, 1000, 300, 99, 16
ALL_SCALES = tuple(scale for level in SCALES for scale in level)

Pictures = tuple[Tensor, Tensor]


class Unscaled(SingleShot):
    """Puts out offsets in sides and logarithms: what is said is not divided by σ."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Args and results as `SingleShot`; the division is left to the reader."""
        logits, offsets = super().forward(images)
        return logits, offsets / _std(offsets)


class WrongOrder(SingleShot):
    """Reads the heads' outputs as if the channels came last, which they do not."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Args and results as `SingleShot`, in the wrong order within each map."""
        logits, offsets = super().forward(images)
        return self._mix(logits), self._mix(offsets)

    def _mix(self, rows: Tensor) -> Tensor:
        sides = (16, 8, 4)
        levels = rows.split([2 * side**2 for side in sides], dim=1)
        return torch.cat(
            [
                level.reshape(len(rows), side, side, -1)
                .permute(0, 3, 1, 2)  # the head's own output again
                .reshape(level.shape)  # and flattened as it lies
                for level, side in zip(levels, sides, strict=True)
            ],
            dim=1,
        )


def every_anchor(logits: Tensor, classes: Tensor) -> Tensor:
    """Cross entropy of all anchors, over the number with an object: nothing mined."""
    total = F.cross_entropy(logits.mT, classes, reduction="sum")
    return total / (classes > 0).sum().clamp(min=1)


def unscaled_l1(offsets: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
    """The error of the offsets before they are divided by σ."""
    scale = _std(offsets)
    return masked_l1(offsets * scale, targets * scale, mask)


def _std(offsets: Tensor) -> Tensor:
    return torch.tensor(STD, device=offsets.device)


@dataclass(frozen=True)
class Variant:
    """One row of the table: what is changed in the network, and in the training."""

    name: str
    build: Callable[..., SingleShot] = SingleShot
    network: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    longer: int = 1


FOCAL = {"class_loss": focal_cross_entropy}
EVERY = {"class_loss": every_anchor}
VARIANTS = (
    Variant("as it is"),
    Variant("focal loss", training=FOCAL),
    Variant("every anchor", training=EVERY),
    Variant("no prior", network={"prior": None}),
    Variant("focal loss, no prior", network={"prior": None}, training=FOCAL),
    Variant("every anchor, no prior", network={"prior": None}, training=EVERY),
    Variant("one map, 16 x 16", network={"scales": (ALL_SCALES, (), ())}),
    Variant("one map, 8 x 8", network={"scales": ((), ALL_SCALES, ())}),
    Variant("no flips", training={"augment": None}),
    Variant("no sigma", Unscaled, training={"box_loss": unscaled_l1}),
    Variant("wrong order", WrongOrder),
    Variant("twice as long", longer=2),
)


def main(arguments: list[str] | None = None) -> None:
    """Train, measure, write."""
    study = Study(
        "single_shot",
        __doc__,
        arguments,
        seeds=3,
        add=lambda parser: parser.add_argument("--steps", type=int, default=400),
    )
    steps = study.options.steps
    test = stack_scenes(Scenes(TEST, seed=TEST_SEED, image_size=SIDE))
    for seed in study.seeds:
        data = stack_scenes(Scenes(TRAIN, seed=seed, image_size=SIDE))
        for variant in VARIANTS:
            study.row(
                {"variant": variant.name, "seed": seed},
                partial(fit_and_measure, variant, data, test, seed, steps),
            )
    study.write(
        steps=steps,
        batch_size=BATCH,
        image_size=SIDE,
        scenes=TRAIN,
        held_out_scenes=TEST,
    )


def fit_and_measure(
    variant: Variant, data: Pictures, test: Pictures, seed: int, steps: int
) -> dict:
    """What a variant is worth on the held-out scenes."""
    return measure(fit(variant, data, seed, steps), test)


def fit(variant: Variant, data: Pictures, seed: int, steps: int) -> SingleShot:
    """A detector of one variant, trained."""
    torch.manual_seed(seed)
    model = variant.build(len(TYPES), image_size=SIDE, **variant.network)
    single_shot.train(
        model,
        *data,
        steps=variant.longer * steps,
        batch_size=BATCH,
        seed=seed,
        progress=False,
        **variant.training,
    )
    return model


def measure(model: SingleShot, test: Pictures) -> dict[str, float | list[float]]:
    """Average precisions, and what is found of the smallest and the largest truths."""
    images, labels = test
    found = single_shot.predict(model, images)
    table = average_precisions(
        found, labels, num_classes=len(TYPES), iou_thresholds=COCO_THRESHOLDS
    )  # (K, T)
    hit, side = hits(found, labels)
    thirds = hit[side.argsort()].float().tensor_split(3)
    numbers = {
        "map50": table[:, 0].mean(),
        "map75": table[:, 5].mean(),
        "map": table.mean(),
        "small": thirds[0].mean(),
        "large": thirds[2].mean(),
    }
    return {name: round(value.item(), 4) for name, value in numbers.items()} | {
        "classes": [round(value, 4) for value in table[:, 0].tolist()]
    }


def hits(found: list[Detections], labels: Tensor) -> tuple[Tensor, Tensor]:
    """Which truths are found when as many reports are shown as there are truths.

    Whatever the scores mean, this asks all detectors for equally many reports.
    """
    number = int((labels[..., 0] >= 0).sum())
    scores = torch.cat([one.scores for one in found])
    least = scores.sort(descending=True).values[number - 1]
    hit, sides = [], []
    for one, truths in zip(found, labels, strict=True):
        shown = Detections(*(part[one.scores >= least] for part in one))
        diagnosis = diagnose(shown, truths)
        right = [m for m, kind in zip(diagnosis.about, diagnosis.kinds, strict=True)
                 if kind == "right"]  # fmt: skip
        rows = (truths[:, 0] >= 0).nonzero()[:, 0]
        hit.append(torch.isin(rows, torch.tensor(right, dtype=rows.dtype)))
        boxes = truths[rows, 1:]
        sides.append((boxes[:, 2:] - boxes[:, :2]).prod(dim=1).sqrt())
    return torch.cat(hit), torch.cat(sides)


if __name__ == "__main__":
    main()
