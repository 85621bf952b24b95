"""Four sets of dilation rates, and pooling, in a small segmenter of drawn scenes.

    python -m studies.dilated_convolution [--seeds 3] [--fresh]

Seven convolutions of 3 x 3 and one of 1 x 1, the same weights in number and at the
start, give each pixel of a scene one of five classes: background, or one of four types
of creatures. What differs is the rates of six of them; in a fifth network the maps are
halved by pooling instead, and the logits enlarged. Beside accuracy and mean IoU, each
row says how grainy the predictions are: how many pixels have a class that neither
neighbor has, left and right or above and below.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import segmentation_metrics as sm
from lesson_utils.common.colors import paint_classes
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import batch_of_step, drawer
from lesson_utils.data.scenes import Scenes, stack_classes
from lesson_utils.dilated_convolution import segmenter
from studies.skeleton import Study

SIDE, TRAIN, TEST, CLASSES = 40, 480, 160, 5
STEPS, BATCH, RATE = 600, 8, 0.01
NETWORKS = {  # rates of six convolutions, and whether there is pooling
    "1-1-1": ((1, 1, 1) * 2, False),
    "1-2-4": ((1, 2, 4) * 2, False),
    "2-2-2": ((2, 2, 2) * 2, False),
    "1-2-5": ((1, 2, 5) * 2, False),
    "pooled": ((1, 1, 1) * 2, True),
}
SHOWN = 4  # test scenes in the picture: the first ones


def main(arguments: list[str] | None = None) -> None:
    """Train, measure, write."""
    study = Study("dilated_convolution", __doc__, arguments, seeds=3)
    images, classes = scenes(TRAIN, seed=0)
    test_images, test_classes = scenes(TEST, seed=1)
    columns = [test_images[:SHOWN], paint_classes(test_classes[:SHOWN])]
    for name, (rates, pooled) in NETWORKS.items():
        networks: dict[int, nn.Module] = {}
        for seed in study.seeds:

            def learn(rates=rates, pooled=pooled, seed=seed, kept=networks) -> dict:
                kept[seed] = trained(rates, pooled, seed, images, classes)
                return measure(kept[seed], test_images, test_classes)

            study.row({"network": name, "seed": seed}, learn)
        # A run that goes on from an earlier one has its rows, but not its networks.
        network = networks.get(0) or trained(rates, pooled, 0, images, classes)
        with torch.no_grad():
            predicted = network(standardized(test_images[:SHOWN])).argmax(1)
        columns.append(paint_classes(predicted))
    # (scenes, columns, 3, S, S), each pixel as large as two, to one wide picture
    table = (
        torch.stack(columns, dim=1).repeat_interleave(2, -1).repeat_interleave(2, -2)
    )
    study.picture("predictions", table.permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2))
    study.write(
        steps=STEPS,
        batch_size=BATCH,
        rate=RATE,
        scenes=TRAIN,
        test_scenes=TEST,
        side=SIDE,
        grain_of_truth=grain(test_classes),
        background=(test_classes == 0).float().mean().item(),
    )


def scenes(number: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Pictures (N, 3, S, S) and the class of each pixel (N, S, S), 0 for none."""
    drawn = Scenes(number, seed=seed, image_size=SIDE, max_objects=3)
    return stack_classes(drawn)


def standardized(images: Tensor) -> Tensor:
    """Pictures (B, 3, S, S) from [0, 1] to [-2, 2]."""
    return 4 * images - 2


def trained(
    rates: tuple[int, ...], pooled: bool, seed: int, images: Tensor, classes: Tensor
) -> nn.Module:
    """A segmenter after its training; the seed gives its weights and its batches."""
    torch.manual_seed(seed)
    network = segmenter(rates, num_classes=CLASSES, pooled=pooled)
    network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), RATE)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = one_cycle(step, steps=STEPS, peak=RATE)
        chosen = batch_of_step(len(images), BATCH, seed, step)
        batch, targets = images[chosen], classes[chosen]
        mirrored = torch.rand(BATCH, generator=drawer(seed, 1, step)) < 0.5
        batch = torch.where(mirrored[:, None, None, None], batch.flip(-1), batch)
        targets = torch.where(mirrored[:, None, None], targets.flip(-1), targets)
        loss = F.cross_entropy(network(standardized(batch)), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@torch.no_grad()
def measure(network: nn.Module, images: Tensor, classes: Tensor) -> dict:
    """Pixel accuracy, mean IoU over all classes and over creatures, and grain."""
    predicted = torch.cat(
        [network(standardized(part)).argmax(1) for part in images.split(BATCH)]
    )
    confusion = sm.confusion_matrix(predicted, classes, CLASSES)
    creature = (predicted > 0) == (classes > 0)
    return {
        "accuracy": sm.pixel_accuracy(confusion).item(),
        "mean_iou": sm.mean_iou(confusion).item(),
        "creature_or_not": creature.float().mean().item(),
        "grain": grain(predicted),
    }


def grain(classes: Tensor) -> float:
    """The share of pixels (N, S, S) unlike both neighbors, across or up and down."""
    inner = classes[:, 1:-1, 1:-1]
    left, right = classes[:, 1:-1, :-2], classes[:, 1:-1, 2:]
    above, below = classes[:, :-2, 1:-1], classes[:, 2:, 1:-1]
    alone = ((inner != left) & (inner != right)) | ((inner != above) & (inner != below))
    return alone.float().mean().item()


if __name__ == "__main__":
    main()
