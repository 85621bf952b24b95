"""What each augmentation gains and costs, for the chapter on augmentation.

    python -m studies.augmentation [--seeds 5] [--fresh] [--out FILE]

Writes `lesson_utils/studies/augmentation.json`, in about half an hour of one
core. Three tasks: MNIST's digits, 10 to 100 of each; which of eight photographs a gray
piece is cut from, with 5 or 20 pieces of each; and drawn creatures, whose type is their
color. One small network is trained in the same way on all of them; what differs is the
change that its training pictures undergo.
"""

from collections.abc import Callable
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import augmentation
from lesson_utils.common import colors
from lesson_utils.common.classifying import accuracy, plain_classifier
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import Run
from lesson_utils.data.creatures import Creatures
from lesson_utils.data.mnist import mnist
from lesson_utils.data.photographs import photograph
from studies.skeleton import Study

STEPS, BATCH, RATE = 300, 32, 0.005
PHOTOGRAPHS = (
    *("astronaut", "brick", "chelsea", "china"),
    *("coffee", "flower", "grass", "gravel"),
)
PIECE, SHRUNK = 48, 2  # pixels of a piece's side; by how much it is shrunk then
CREATURE_SIDE = 24

Pictures = tuple[Tensor, Tensor]

askew = {"degrees": 15, "shift": 0.1, "zoom": 0.15}
gentle = {"brightness": 0.3, "contrast": 0.3, "saturation": 0.3}
CHANGES: dict[str, Callable[..., Tensor]] = {
    "none": lambda images, **_: images,
    "flip": augmentation.random_horizontal_flip,
    "affine": partial(augmentation.random_affine, **askew, p=0.5),
    "always affine": partial(augmentation.random_affine, **askew),
    "crop": lambda images, **rest: augmentation.random_resized_crop(
        images, images.shape[-1], scale=(0.5, 1), **rest
    ),
    "flip and crop": lambda images, **rest: CHANGES["crop"](
        augmentation.random_horizontal_flip(images, **rest), **rest
    ),
    "flip and affine": lambda images, **rest: CHANGES["affine"](
        augmentation.random_horizontal_flip(images, **rest), **rest
    ),
    "jitter": partial(colors.color_jitter, **gentle),
    "jitter with hue": partial(colors.color_jitter, **gentle, hue=0.5),
}
MIXES = {"mixup": augmentation.mixup, "CutMix": augmentation.cutmix}
LONG = 4  # times as many steps, where the pictures are many
TASKS = {  # pictures of each class, and what is tried
    "digits": (
        (10, 30, 100),
        ("none", "flip", "affine", "always affine", "crop", "mixup", "CutMix"),
    ),
    "pieces": (
        (5, 20),
        ("none", "flip", "flip and affine", "flip and crop", "mixup", "CutMix"),
    ),
    "creatures": (
        (20,),
        ("none", "flip and crop", "jitter", "jitter with hue", "mixup", "CutMix"),
    ),
}


def main(arguments: list[str] | None = None) -> None:
    """Train on each task with each change, measure, write."""
    study = Study("augmentation", __doc__, arguments, seeds=5)
    for task, (sizes, changes) in TASKS.items():
        for size in sizes:
            for change in changes:
                for seed in study.seeds:
                    key = {"task": task, "size": size, "change": change, "seed": seed}
                    study.row(key, partial(measure, **key))
    for change in ("none", "affine"):
        for seed in study.seeds:
            key = {"task": "digits, longer", "size": 100, "change": change}
            measured = partial(measure, "digits", 100, change, seed, LONG * STEPS)
            study.row(key | {"seed": seed}, measured)
    study.write(longer=LONG, steps=STEPS, batch_size=BATCH, learning_rate=RATE)


def measure(
    task: str, size: int, change: str, seed: int, steps: int = STEPS
) -> dict[str, object]:
    """Train one network; its accuracy on its training pictures and on the test's."""
    train, test = split(task, size, seed)
    num_classes = int(test[1].max()) + 1
    torch.manual_seed(seed)
    network = plain_classifier(train[0].shape[1], num_classes)
    targets = F.one_hot(train[1], num_classes).float()
    run = Run(
        network,
        torch.optim.Adam(network.parameters(), lr=RATE),
        number=len(targets),
        steps=steps,
        batch_size=BATCH,
        seed=seed,
        schedule=one_cycle,
        progress=False,
    )
    for _ in run:
        images, soft = run.batch(train[0], targets, change=partial(changed, change))
        run.learn(loss=F.cross_entropy(run.network(images), soft))
    row: dict[str, object] = {
        "training": round(accuracy(network, *train), 4),
        "accuracy": round(accuracy(network, *test), 4),
    }
    if task == "digits":
        digits = range(num_classes)
        masks = [test[1] == digit for digit in digits]
        each = [accuracy(network, test[0][m], test[1][m]) for m in masks]
        row["each"] = [round(value, 3) for value in each]
    return row


def changed(
    name: str, images: Tensor, targets: Tensor, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A batch of pictures and targets as the network is to see them."""
    if name in MIXES:
        return MIXES[name](images, targets, generator=generator)
    return CHANGES[name](images, generator=generator), targets


def split(task: str, size: int, seed: int) -> tuple[Pictures, Pictures]:
    """`size` training pictures of each class, others for each seed, and a test set."""
    if task == "pieces":  # the left halves are trained on, the right halves tested
        return pieces(size, seed, "left"), pieces(100, 10_000, "right")
    if task == "digits":
        (images, labels), test = mnist("train"), mnist("test")
    else:
        (images, labels), test = draw(800, 0), draw(500, 1)
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    chosen = torch.cat([order[labels[order] == k][:size] for k in labels.unique()])
    return (images[chosen], labels[chosen]), test


@cache
def pieces(number: int, seed: int, half: str) -> Pictures:
    """Gray pieces of one half of each photograph; all have one mean and one spread."""
    generator = torch.Generator().manual_seed(seed)
    images = []
    for name in PHOTOGRAPHS:
        gray = colors.to_gray(photograph(name, size=400))
        middle = gray.shape[2] // 2
        gray = gray[:, :, :middle] if half == "left" else gray[:, :, middle:]
        for _ in range(number):
            free = (side - PIECE + 1 for side in gray.shape[1:])
            y, x = (int(torch.randint(n, (), generator=generator)) for n in free)
            piece = F.avg_pool2d(gray[:, y : y + PIECE, x : x + PIECE], SHRUNK)
            # Else the lightness alone would tell the photographs apart.
            piece = (piece - piece.mean()) / (4 * piece.std() + 0.001) + 0.5
            images.append(piece.clamp(0, 1))
    labels = torch.arange(len(PHOTOGRAPHS)).repeat_interleave(number)
    return torch.stack(images), labels


@cache
def draw(number: int, seed: int) -> Pictures:
    """Creatures of all ten types."""
    data = Creatures(number, seed=seed, image_size=CREATURE_SIDE)
    images, labels = zip(*(data[i] for i in range(number)), strict=True)
    return torch.stack(images), torch.tensor(labels)


if __name__ == "__main__":
    main()
