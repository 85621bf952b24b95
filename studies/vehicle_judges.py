"""Train the judges of painted vehicles on drawn ones; write their weights and card.

    python -m studies.vehicle_judges [--fresh] [--out FOLDER]

A U-Net gives each pixel its part, and a classifier answers what a sentence tells:
color, kind, time, ground, extra and load. The classifier learns from held-out colors,
too: one that has seen no blue fire engine takes blue for a sign that it is none. The
card says how well both do on drawn vehicles that they have not seen.
"""

import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common import segmenting
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import Run
from lesson_utils.data.vehicle_judges import (
    QUESTIONS,
    AttributeNet,
    Judges,
    answers,
    attribute_labels,
)
from lesson_utils.data.vehicles import PART_NAMES, Vehicles
from lesson_utils.segmentation_metrics import confusion_matrix, mean_iou
from lesson_utils.semantic_to_vehicle import encode_texts
from studies.skeleton import Study

TRAIN, HELD_OUT, TEST = 20_000, 5000, 500  # vehicles
SEGMENTER_STEPS, CLASSIFIER_STEPS = {96: 2000, 32: 1500}, 1500
BATCH, RATE = 32, 4e-3
TRAIN_SEED, TEST_SEED = 0, 1  # of the vehicles


class Drawn(NamedTuple):
    """Vehicles as tensors."""

    images: Tensor  # (N, 3, S, S), uint8
    maps: Tensor  # (N, S, S), uint8
    tokens: Tensor  # (N, T)
    labels: Tensor  # (N, 6), the answers to `QUESTIONS`


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, measure, write."""
    study = Study("vehicle_judges", __doc__, arguments, out=WEIGHTS)
    study.folder.mkdir(parents=True, exist_ok=True)
    network = trained(TRAIN, HELD_OUT, 96, study.checkpoint)
    network.half().float()  # as it is read again
    study.write_weights(
        network.half(),
        classes=list(PART_NAMES),
        data=f"{TRAIN:,} drawn vehicles of 96 x 96 pixels; for the classifier "
        f"{HELD_OUT:,} of held-out colors, too",
        steps=[SEGMENTER_STEPS[96], CLASSIFIER_STEPS],
        seen=judged(network.float(), draw(TEST, TEST_SEED)),
        held_out=judged(network, draw(TEST, TEST_SEED, held_out=True)),
    )


def draw(number: int, seed: int, *, size: int = 96, held_out: bool = False) -> Drawn:
    """Vehicles, drawn by all cores."""
    cores = os.cpu_count() or 1
    bounds = [number * k // cores for k in range(cores + 1)]
    vehicles = Vehicles(number, seed=seed, image_size=size, held_out=held_out)
    with ProcessPoolExecutor(cores) as pool:
        parts = list(pool.map(partial(_draw, vehicles), bounds, bounds[1:]))
    images, maps, texts, labels = zip(*parts, strict=True)
    tokens = encode_texts([text for some in texts for text in some])
    return Drawn(
        torch.from_numpy(np.concatenate(images)),
        torch.from_numpy(np.concatenate(maps)),
        tokens,
        torch.from_numpy(np.concatenate(labels)),
    )


def trained(
    number: int, held_out: int, size: int, checkpoint: Callable[[str], Path | None]
) -> nn.ModuleList:
    """Both judges, in evaluation mode."""
    seen = draw(number, TRAIN_SEED, size=size)
    torch.manual_seed(TRAIN_SEED)
    segmenter, classifier = network = Judges()
    segmenting.train(
        segmenter,
        seen.images,
        seen.maps,
        steps=SEGMENTER_STEPS[size],
        batch_size=BATCH,
        learning_rate=RATE,
        checkpoint=checkpoint("segmenter"),
        save_every=250,
    )
    others = draw(held_out, TRAIN_SEED, size=size, held_out=True)
    teach_attributes(
        classifier,
        torch.cat([seen.images, others.images]),
        torch.cat([seen.labels, others.labels]),
        checkpoint("classifier"),
    )
    return network.cpu().eval()


def teach_attributes(
    network: AttributeNet, images: Tensor, labels: Tensor, checkpoint: Path | None
) -> None:
    """Cross entropy of all questions, added up."""
    run = Run(
        network,
        torch.optim.AdamW(network.parameters(), lr=RATE),
        number=len(images),
        steps=CLASSIFIER_STEPS,
        batch_size=BATCH,
        schedule=one_cycle,
        checkpoint=checkpoint,
        save_every=250,
    )
    for _ in run:
        pictures, answers = run.batch(images, labels)
        logits = run.network(pictures).values()
        pairs = zip(logits, answers.T, strict=True)
        run.learn(loss=torch.stack([F.cross_entropy(a, b) for a, b in pairs]).sum())


def judged(network: nn.ModuleList, drawn: Drawn) -> dict[str, float]:
    """How well both do on drawn vehicles."""
    segmenter, classifier = network
    found = segmenting.segment(segmenter, drawn.images)
    confusion = confusion_matrix(found, drawn.maps.long(), len(PART_NAMES))
    right = (answers(classifier, drawn.images) == drawn.labels).float().mean(0)
    shares = dict(zip(QUESTIONS, right.tolist(), strict=True))
    return {
        "mean_iou": round(mean_iou(confusion).item(), 3),
        **{name: round(share, 3) for name, share in shares.items()},
    }


def _draw(vehicles: Vehicles, first: int, end: int) -> tuple:
    """What is sent between processes is numpy's: it needs no shared memory."""
    some = [vehicles.describe(index) for index in range(first, end)]
    images = torch.stack([(255 * each.image).round().byte() for each in some])
    maps = torch.stack([each.parts.byte() for each in some])
    labels = attribute_labels([each.attributes for each in some])
    texts = [each.caption for each in some]
    return images.numpy(), maps.numpy(), texts, labels.numpy()


if __name__ == "__main__":
    main()
