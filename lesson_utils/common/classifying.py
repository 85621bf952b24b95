"""What a classifier says, and how often it is right.

Pictures are (N, 3, H, W), uint8 or in [0, 1]; a model with buffers `mean` and `std`,
(3,) each, has them standardized by those, any other model takes its inputs as they are.
"""

from collections.abc import Callable, Iterator, Sequence
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


def plain_classifier(channels: int, num_classes: int, *, width: int = 16) -> nn.Module:
    """A small network for small pictures: three convolutions, and the mean of the last.

    Args:
        channels: of a picture: 1 for gray, 3 for color.
        num_classes: K.
        width: channels of the first convolution; the others have 2 and 4 times as many.

    Returns:
        A network from (B, channels, H, W), H and W at least 4, to logits (B, K).
    """
    layers: list[nn.Module] = []
    for outputs in (width, 2 * width, 4 * width):
        if layers:
            layers.append(nn.MaxPool2d(2))
        layers += [nn.Conv2d(channels, outputs, 3, padding=1, bias=False)]
        layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
        channels = outputs
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, num_classes)]
    return nn.Sequential(*layers, *head)


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


def average_over_views(
    model: nn.Module, images: Tensor, views: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """Test-time augmentation: the mean of a model's probabilities over several views.

    Args:
        model: images to logits (..., K); call `eval()` on it before.
        images: (B, C, H, W).
        views: functions of a batch, such as the identity and a mirror.

    Returns:
        (..., K), probabilities.

    Raises:
        ValueError: there is no view.

    Source: Krizhevsky et al., ImageNet Classification with Deep CNNs, NeurIPS 2012.
    """
    if not views:
        raise ValueError(f"views must hold at least one function, got {views!r}")
    probabilities = [model(view(images)).softmax(dim=-1) for view in views]
    return torch.stack(probabilities).mean(dim=0)


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
