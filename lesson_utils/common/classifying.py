"""What a classifier says, and how often it is right.

Pictures are (N, 3, H, W), uint8 or in [0, 1]; a model with buffers `mean` and `std`,
(3,) each, has them standardised by those, any other model takes its inputs as they are.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from lesson_utils.common.require import require_images, require_labels, require_whole


def standardize(images: Tensor, model: nn.Module) -> Tensor:
    """Pictures as a model takes them: its own mean taken off, by its own deviation.

    Args:
        images: (B, 3, H, W), uint8, or floating point in [0, 1].
        model: with buffers `mean` and `std`, (3,) each; without them the images come
            back as they are, whatever they hold.

    Returns:
        (B, 3, H, W), floating point.

    Raises:
        ValueError: the images are not (B, 3, H, W) in [0, 1] or uint8.

    Source: Krizhevsky et al., ImageNet Classification with Deep Convolutional Neural
        Networks, 2012, section 2, for the mean; by the deviation, too, as in
        torchvision.
    """
    if getattr(model, "mean", None) is None:
        return images
    require_images("images", images, f"B {len(model.mean)} H W")
    if images.dtype == torch.uint8:
        images = images.float() / 255
    shape = (-1, 1, 1)
    return (images - model.mean.view(shape)) / model.std.view(shape)


def predict(model: nn.Module, images: Tensor, *, batch_size: int = 256) -> Tensor:
    """A model's logits, in evaluation mode.

    Args:
        model: from (B, ...) to (B, K); its modes are put back afterwards.
        images: (N, 3, H, W), uint8 or in [0, 1], or what else the model takes.
        batch_size: pictures at a time.

    Returns:
        (N, K), on the CPU.

    Raises:
        ValueError: there are no images, `batch_size` is not a whole number >= 1, or
            the images are not as said.

    Source: the definition.
    """
    require_whole("batch_size", batch_size)
    if not len(images):
        raise ValueError(f"images must be at least one, got {tuple(images.shape)}")
    device = next(model.parameters()).device
    with evaluating(model):
        logits = [
            model(standardize(part.to(device), model)).cpu()
            for part in images.split(batch_size)
        ]
    return torch.cat(logits)


def accuracy(
    model: nn.Module, images: Tensor, labels: Tensor, *, batch_size: int = 256
) -> float:
    """The share of pictures whose largest logit is that of their label.

    Args:
        model: from (B, ...) to (B, K).
        images: (N, 3, H, W), uint8 or in [0, 1], or what else the model takes.
        labels: (N,), whole numbers from 0 to K - 1.
        batch_size: pictures at a time.

    Returns:
        A scalar in [0, 1].

    Raises:
        ValueError: see `predict`, or the labels are not as said.

    Source: the definition.
    """
    logits = predict(model, images, batch_size=batch_size)
    require_labels("labels", labels, len(images), logits.shape[1])
    return (logits.argmax(1) == labels.cpu()).float().mean().item()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; each part's own mode is put back.

    Args:
        model: a network, changed for as long as the block lasts.

    Yields:
        Nothing.
    """
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, mode in modes:
            part.training = mode
