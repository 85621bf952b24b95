"""A small U-Net with and without its skip connections, and with rare classes weighted.

    python -m studies.segmentation_metrics [--seeds 3] [--fresh]

Three networks learn the class of each pixel of drawn scenes: background, or one of four
types of creatures. The second has nothing handed over from the way down to the way up;
the third is the first one, with a loss in which each class weighs the more, the rarer
it is. All are judged by the metrics of the chapter, and by the share of right pixels
in creatures of three sizes and at outlines.
"""

import torch
from torch import Tensor

from lesson_utils import segmentation_metrics as sm
from lesson_utils.common.colors import paint_classes
from lesson_utils.common.segmenting import UNet, segment, train
from lesson_utils.data.scenes import Scenes, stack_classes
from lesson_utils.masks import dilate, erode
from studies.scene_segmenter import METRICS
from studies.skeleton import Study

SIDE, TRAIN, TEST, CLASSES = 64, 1200, 200, 5
STEPS, BATCH, RATE = 500, 8, 4e-3
NETWORKS = ("skip", "no skip", "weighted")
SIZES = ((1, 60), (61, 250), (251, SIDE**2))  # of creatures, in pixels
SHOWN = (0, 1, 2, 3)  # test scenes in the picture


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, measure, write."""
    study = Study("segmentation_metrics", __doc__, arguments, seeds=3)
    images, classes = stack_classes(scenes(TRAIN, seed=0))
    test = scenes(TEST, seed=1)
    test_images, test_classes = stack_classes(test)
    areas = areas_of(test)
    shares = classes.flatten().bincount(minlength=CLASSES) / classes.numel()
    rarity = 1 / shares / (1 / shares).mean()
    shown = list(SHOWN)
    columns = [test_images[shown], paint_classes(test_classes[shown])]
    for name in NETWORKS:
        kept: dict[int, Tensor] = {}

        def learn(name: str, seed: int, kept: dict[int, Tensor] = kept) -> dict:
            torch.manual_seed(seed)
            network = UNet(CLASSES, skip=name != "no skip")
            train(
                network,
                images,
                classes,
                steps=STEPS,
                batch_size=BATCH,
                learning_rate=RATE,
                seed=seed,
                weight=rarity if name == "weighted" else None,
                progress=False,
            )
            kept[seed] = segment(network, test_images)
            return measure(kept[seed], test_classes, areas)

        for seed in study.seeds:
            key = {"network": name, "seed": seed}
            study.row(key, lambda name=name, seed=seed: learn(name, seed))
        if 0 not in kept:  # the rows are of a run that was interrupted
            learn(name, 0)
        columns.append(paint_classes(kept[0][shown]))
    table = torch.stack(columns, dim=1)  # (scenes, columns, 3, S, S)
    large = table.repeat_interleave(2, -1).repeat_interleave(2, -2)
    study.picture("predictions", large.permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2))
    study.write(
        steps=STEPS,
        batch_size=BATCH,
        rate=RATE,
        scenes=TRAIN,
        test_scenes=TEST,
        side=SIDE,
        sizes=SIZES,
        shares=shares.tolist(),
    )


def scenes(number: int, *, seed: int) -> Scenes:
    """Scenes of up to three creatures."""
    return Scenes(number, seed=seed, image_size=SIDE, max_objects=3)


def areas_of(drawn: Scenes) -> Tensor:
    """For each pixel, how many pixels its creature shows: (N, S, S), 0 for none."""
    maps = []
    for index in range(len(drawn)):
        masks = drawn.describe(index).masks
        maps.append((masks * masks.sum((1, 2))[:, None, None]).sum(0))
    return torch.stack(maps)


def measure(predicted: Tensor, classes: Tensor, areas: Tensor) -> dict:
    """The metrics, all test scenes together, and what is right where."""
    confusion = sm.confusion_matrix(predicted, classes, CLASSES)
    creature, right = classes > 0, predicted == classes
    rim = dilate(creature, 1) & ~erode(creature, 1)  # one pixel on either side
    boundary = sm.boundary_iou(predicted > 0, creature)
    return {
        **{metric.__name__: metric(confusion).item() for metric in METRICS},
        "iou": sm.class_iou(confusion).tolist(),
        "boundary_iou": boundary.nanmean().item(),
        "right_at_rims": right[rim].float().mean().item(),
        "right_by_size": [
            right[(areas >= low) & (areas <= high)].float().mean().item()
            for low, high in SIZES
        ],
        "creature_predicted": (predicted > 0).float().mean().item(),
    }


if __name__ == "__main__":
    main()
