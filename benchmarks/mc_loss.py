"""The mutual-channel loss beside a transcription of the published computation.

Forward and backward on (32, 600, 14, 14), 200 classes with three channels each, and
the share of the loss in a training step of VGG-16, timed on a few pictures.
"""

import random

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor
from torch.utils.benchmark import Timer

from benchmarks._timing import compare, note
from lesson_utils import mc_loss

BATCH, CLASSES, XI, SIDE = 32, 200, 3, 14
PICTURES = 2  # of 224 pixels in the step of VGG-16


def main() -> None:
    """Print the times and the share."""
    generator = torch.Generator().manual_seed(0)
    shape = (BATCH, CLASSES * XI, SIDE, SIDE)
    features = torch.rand(shape, generator=generator).requires_grad_()
    targets = torch.randint(0, CLASSES, (BATCH,), generator=generator)
    loss = mc_loss.MutualChannelLoss(CLASSES, XI, mu=2, diversity=10)
    unequal = (XI - 1, XI + 1) + (XI,) * (CLASSES - 2)
    padded = mc_loss.MutualChannelLoss(CLASSES, unequal, mu=2, diversity=10)

    def run(value: Tensor) -> None:
        features.grad = None
        value.backward()

    compare(
        "loss, forward and backward, equal groups",
        lambda: run(loss(features, targets)),
        lambda: run(transcription(features, targets, XI)),
        "published",
    )
    compare(
        "loss, forward and backward, unequal groups",
        lambda: run(padded(features, targets)),
        lambda: run(transcription(features, targets, XI)),
        "published, equal groups",
    )
    timer = Timer("call()", globals={"call": lambda: run(loss(features, targets))})
    ours = timer.blocked_autorange(min_run_time=2).median / BATCH
    step = vgg16_step(generator)
    note("loss, forward and backward, a picture", ours, step, "a step of VGG-16")


def transcription(features: Tensor, targets: Tensor, xi: int) -> Tensor:
    """2 L_dis + 20 (1 - L_div / xi), in the order of the published code."""
    batch, channels, side, _ = features.shape
    shares = features.reshape(batch, channels, side * side).softmax(dim=2)
    strongest = _pool(shares.reshape(features.shape), xi)
    strongest = strongest.reshape(batch, channels // xi, side * side)
    alike = 1 - strongest.sum(dim=2).mean() / xi
    mask = _mask(batch, channels // xi, xi).to(features.device)
    logits = F.avg_pool2d(_pool(features * mask, xi), side).reshape(batch, -1)
    return 2 * F.cross_entropy(logits, targets) + 20 * alike


def _pool(values: Tensor, xi: int) -> Tensor:
    """The maximum over channels by a pooling of the last dimension, and back."""
    pooled = F.max_pool2d(values.transpose(1, 3), (1, xi), stride=(1, xi))
    return pooled.transpose(1, 3).contiguous()


def _mask(batch: int, classes: int, xi: int) -> Tensor:
    """One mask, shuffled class by class, repeated for each sample."""
    drawn, row = [], [1] * (xi - xi // 2) + [0] * (xi // 2)
    for _ in range(classes):
        random.shuffle(row)
        drawn += row
    every = np.array([drawn for _ in range(batch)]).astype("float32")
    return torch.from_numpy(every.reshape(batch, classes * xi, 1, 1))


def vgg16_step(generator: torch.Generator) -> float:
    """Seconds a picture for forward and backward through VGG-16."""
    network = torchvision.models.vgg16(num_classes=CLASSES)
    images = torch.rand(PICTURES, 3, 224, 224, generator=generator)
    targets = torch.zeros(PICTURES, dtype=torch.long)

    def step() -> None:
        network.zero_grad()
        F.cross_entropy(network(images), targets).backward()

    timer = Timer("step()", globals={"step": step})
    return timer.timeit(3).median / PICTURES


if __name__ == "__main__":
    main()
