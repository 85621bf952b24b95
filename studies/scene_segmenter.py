"""Train the book's U-Net on drawn scenes; write its weights and their card.

    python -m studies.scene_segmenter [--steps 5500] [--fresh] [--out FOLDER]

Each pixel is given one of five classes: background, or one of four types of creatures.
The card says how well it does on scenes that it has not seen, by each metric of the
chapter on segmentation metrics, all pixels of the test scenes taken together.
"""

import argparse

import torch

from lesson_utils import segmentation_metrics as sm
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.segmenting import UNet, segment, train
from lesson_utils.data.scenes import Scenes, stack_classes
from studies.skeleton import Study

SIDE, TRAIN, TEST, BATCH, RATE = 64, 3000, 200, 8, 4e-3
METRICS = (
    sm.pixel_accuracy,
    sm.mean_pixel_accuracy,
    sm.mean_iou,
    sm.frequency_weighted_iou,
    sm.dice,
)


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, measure, write."""
    study = Study("scene_segmenter", __doc__, arguments, out=WEIGHTS, add=add_options)
    options = study.options
    drawn = Scenes(TRAIN, seed=options.seed, image_size=SIDE, max_objects=3)
    images, classes = stack_classes(drawn)
    torch.manual_seed(options.seed)
    network = UNet(1 + len(drawn.classes))
    checkpoint = study.checkpoint("training")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    train(
        network,
        images,
        classes,
        steps=options.steps,
        batch_size=BATCH,
        learning_rate=RATE,
        seed=options.seed,
        checkpoint=checkpoint,
        save_every=500,
    )
    test_images, test_classes = stack_classes(
        Scenes(TEST, seed=options.seed + 1, image_size=SIDE, max_objects=3)
    )
    network.half().float()  # as it is read again
    confusion = sm.confusion_matrix(
        segment(network, test_images), test_classes, 1 + len(drawn.classes)
    )
    study.write_weights(
        network.half(),
        classes=["background", *drawn.classes],
        data=f"{TRAIN:,} drawn scenes of {SIDE} x {SIDE} pixels",
        steps=options.steps,
        **{metric.__name__: round(metric(confusion).item(), 3) for metric in METRICS},
        iou=[round(value, 3) for value in sm.class_iou(confusion).tolist()],
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=5500)


if __name__ == "__main__":
    main()
