"""First steps: a convolution, a training loop, an honest split, and four probes.

The module of the chapter `book/foundations/first_steps.ipynb`.
Digits are (N, 1, 28, 28), float32, in [0, 1]; labels are (N,), int64, 0 to 9. A program
is all that a training consists of; each of `FAULTS` has one thing wrong with it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.require import (
    require_labels,
    require_not_negative,
    require_shape,
    require_whole,
)
from lesson_utils.common.training import batch_of_step

CLASSES = 10


def convolve(
    image: Tensor, kernel: Tensor, *, stride: int = 1, padding: int = 0
) -> Tensor:
    """Weighted sums of an image's windows, as deep learning's convolution has them.

    The kernel is not flipped.

    Args:
        image: (H, W).
        kernel: (m, n), no larger than the image with its rim.
        stride: s, pixels from a window to the next, across and down.
        padding: p, pixels of zeros that are put round the image first.

    Returns:
        ((H + 2p - m) // s + 1, (W + 2p - n) // s + 1); [y, x] is the sum over the
        window whose top left pixel is [s y, s x].

    Raises:
        ValueError: one of them does not have two dimensions, the kernel is empty or
            does not fit into the image with its rim, or stride and padding are no whole
            numbers of at least 1 and 0.

    Source: Dumoulin & Visin, A guide to convolution arithmetic for deep learning, 2016.
    """
    require_shape("image", image, "H W")
    require_shape("kernel", kernel, "m n")
    require_whole("stride", stride, 1)
    require_whole("padding", padding, 0)
    image = F.pad(image, 4 * (padding,))
    (height, width), (m, n) = image.shape, kernel.shape
    if not kernel.numel() or m > height or n > width:
        raise ValueError(
            f"kernel must have pixels and fit into the image, got {m} by {n} on "
            f"{height} by {width}"
        )
    tops, lefts = range(0, height - m + 1, stride), range(0, width - n + 1, stride)
    sums = [(image[y : y + m, x : x + n] * kernel).sum() for y in tops for x in lefts]
    return torch.stack(sums).view(len(tops), len(lefts))


def accuracy(logits: Tensor, labels: Tensor) -> float:
    """The share of pictures whose largest logit is that of their label.

    Args:
        logits: (N, K), any numbers, the larger the likelier.
        labels: (N,), whole numbers from 0 to K - 1.

    Returns:
        In [0, 1].

    Raises:
        ValueError: there are no pictures, or labels are not (N,) or no class. Labels of
            shape (N, 1) would be held against every picture.

    Source: the definition.
    """
    require_shape("logits", logits, "N K")
    if not len(logits):
        raise ValueError("logits must be of at least one picture, got none")
    require_labels("labels", labels, *logits.shape)
    return (logits.argmax(dim=1) == labels).double().mean().item()


def split_indices(
    num: int, shares: Sequence[float], *, seed: int = 0
) -> tuple[Tensor, ...]:
    """Deal out samples to sets at random: nobody twice, nobody left out.

    Args:
        num: N, of samples.
        shares: of each set, such as (0.6, 0.2, 0.2); they add up to 1.
        seed: of the order. The same seed gives the same sets.

    Returns:
        For each share the indices of its samples, (n,), int64; n is at most 1 away
        from `num` times the share.

    Raises:
        ValueError: `num` is no whole number >= 0, a share is negative, or they do not
            add up to 1.

    Source: the definition.
    """
    require_whole("num", num, 0)
    for share in shares:
        require_not_negative("a share", share)
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"shares must add up to 1, got {sum(shares):g}")
    order = torch.randperm(num, generator=torch.Generator().manual_seed(seed))
    # Cut at rounded sums: sizes that are rounded one by one may miss a sample.
    ends = [round(num * sum(shares[:k])) for k in range(1, len(shares))]
    return order.tensor_split(ends)


def make_network(*, seed: int = 0) -> nn.Sequential:
    """A classifier of digits: two convolutions and a linear layer, 9,226 numbers.

    Args:
        seed: of its first weights.

    Returns:
        From (N, 1, 28, 28) to logits, (N, 10).

    Source: the definition.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 5, stride=2, padding=2),  # (N, 8, 14, 14)
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),  # (N, 16, 7, 7)
            nn.ReLU(),
            nn.Flatten(),  # (N, 784)
            nn.Linear(784, CLASSES),  # (N, 10)
        )


def train(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int,
    rate: float = 0.2,
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy,
    zero_grad: bool = True,
    batch_size: int = 50,
    seed: int = 0,
) -> list[float]:
    """The chapter's training loop: batch, loss, gradients, step.

    Args:
        network: what is trained, in place; on the images' device.
        images: (N, ...), what it takes.
        labels: (N,).
        steps: how many.
        rate: the learning rate.
        loss: of logits and labels, a single number.
        zero_grad: False forgets to clear the gradients of the step before.
        batch_size: B; every picture is seen once before any is seen twice.
        seed: of the order of the pictures.

    Returns:
        The loss of each step's batch, before the step.

    Source: Robbins & Monro, A Stochastic Approximation Method, 1951.
    """
    optimizer = torch.optim.SGD(network.parameters(), lr=rate)
    losses = []
    for step in range(steps):
        batch = batch_of_step(len(images), batch_size, seed, step).to(images.device)
        value = loss(network(images[batch]), labels[batch])
        if zero_grad:
            optimizer.zero_grad()
        value.backward()
        optimizer.step()
        losses.append(value.detach())
    return [each.item() for each in losses]


# Programs, right and wrong ----------------------------------------------------------

Pair = tuple[Tensor, Tensor]


def _keep(images: Tensor, labels: Tensor) -> Pair:
    return images, labels


def _shuffle_labels(images: Tensor, labels: Tensor) -> Pair:
    (order,) = split_indices(len(labels), [1.0], seed=1)
    return images, labels[order]


def _leave_bytes(images: Tensor, labels: Tensor) -> Pair:
    return images * 255, labels


def _softmax_twice(logits: Tensor, labels: Tensor) -> Tensor:
    return F.cross_entropy(logits.softmax(dim=1), labels)


def _born_dead(*, seed: int) -> nn.Sequential:
    network = make_network(seed=seed)
    nn.init.constant_(network[0].bias, -10.0)
    return network


@dataclass(frozen=True)
class Program:
    """A training program: its data, network, loss, rate and loop.

    Args:
        prepare: from images and labels to those that the network is trained with.
        build: the network, from a seed.
        loss: of logits and labels.
        rate: the learning rate.
        zero_grad: whether gradients are cleared.

    Source: the definition.
    """

    prepare: Callable[[Tensor, Tensor], Pair] = _keep
    build: Callable[..., nn.Module] = make_network
    loss: Callable[[Tensor, Tensor], Tensor] = F.cross_entropy
    rate: float = 0.2
    zero_grad: bool = True

    def run(
        self,
        images: Tensor,
        labels: Tensor,
        *,
        steps: int,
        rate: float | None = None,
        seed: int = 0,
    ) -> tuple[nn.Module, list[float]]:
        """Train a new network.

        Args:
            images: as they come out of the file, (N, 1, 28, 28).
            labels: (N,).
            steps: how many.
            rate: in place of the program's own.
            seed: of first weights and order.

        Returns:
            The network and the loss of each step.
        """
        network = self.build(seed=seed)
        losses = train(
            network,
            *self.prepare(images, labels),
            steps=steps,
            rate=rate or self.rate,
            loss=self.loss,
            zero_grad=self.zero_grad,
            seed=seed,
        )
        return network, losses

    def first_gradients(self, images: Tensor, labels: Tensor) -> list[float]:
        """How long the first batch's gradient is, layer by layer.

        Args:
            images: (B, 1, 28, 28), the batch.
            labels: (B,).

        Returns:
            For each layer with weights, the norm of their gradient: the root of the sum
            of its squares.
        """
        network = self.build(seed=0)
        images, labels = self.prepare(images, labels)
        self.loss(network(images), labels).backward()
        weights = [each for each in network.parameters() if each.dim() > 1]
        return [weight.grad.norm().item() for weight in weights]


FAULTS = {
    "nothing wrong": Program(),
    "labels shuffled": Program(prepare=_shuffle_labels),
    "softmax twice": Program(loss=_softmax_twice),
    "rate × 100": Program(rate=20.0),
    "rate / 100": Program(rate=0.002),
    "no zero_grad": Program(zero_grad=False),
    "pixels 0 to 255": Program(prepare=_leave_bytes),
    "dead ReLU": Program(build=_born_dead),
}
