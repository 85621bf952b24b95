"""Segmenting: a U-Net, its training by the class of each pixel, and its answers.

Pictures are (N, 3, H, W), in [0, 1] or bytes; maps of classes are (N, H, W), of whole
numbers from 0 to K - 1. A network takes pictures in [-2, 2] and returns logits
(B, K, H, W).
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.backbones import WEIGHTS, verified_card
from lesson_utils.common.require import require_images, require_shape, require_whole
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import Run


class UNet(nn.Module):
    """Down by pooling, up by transposed convolutions, and what was fine handed over.

    Args:
        num_classes: K.
        widths: channels at each size, from the picture's on; the sides are halved
            between one and the next.
        skip: whether the maps of the way down are joined to those of the way up; a
            network without has fewer weights there.

    Attributes:
        down: two convolutions for each size.
        up: a transposed convolution for each size but the smallest.
        merge: two convolutions for each of these.
        head: from the finest maps to logits.

    Raises:
        ValueError: a number is not whole, or there are fewer than two widths.

    Source: Ronneberger et al., U-Net: Convolutional Networks for Biomedical Image
        Segmentation, MICCAI 2015, figure 1; here with padding, so that the size stays,
        with batch normalization, and with far fewer channels.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        widths: Sequence[int] = (8, 16, 32, 64),
        skip: bool = True,
    ) -> None:
        super().__init__()
        require_whole("num_classes", num_classes)
        for width in widths:
            require_whole("widths", width)
        if len(widths) < 2:
            raise ValueError(f"widths must be two or more, got {list(widths)}")
        self.skip = skip
        fine, coarse = widths[-2::-1], widths[:0:-1]  # on the way up
        self.down = nn.ModuleList(map(_two_convolutions, (3, *widths), widths))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(c, f, 2, stride=2)
            for c, f in zip(coarse, fine, strict=True)
        )
        self.merge = nn.ModuleList(
            _two_convolutions((1 + skip) * width, width) for width in fine
        )
        self.head = nn.Conv2d(widths[0], num_classes, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits for each pixel.

        Args:
            images: (B, 3, H, W), in [-2, 2]; H and W multiples of 2 to the power of
                the number of widths less one.

        Returns:
            (B, K, H, W).
        """
        x, kept = self.down[0](images), []
        for block in self.down[1:]:
            kept.append(x)
            x = block(F.max_pool2d(x, 2))
        for up, merge in zip(self.up, self.merge, strict=True):
            x, fine = up(x), kept.pop()
            x = merge(torch.cat([fine, x], dim=1) if self.skip else x)
        return self.head(x)


def train(
    network: nn.Module,
    images: Tensor,
    classes: Tensor,
    *,
    steps: int = 300,
    batch_size: int = 16,
    learning_rate: float = 4e-3,
    seed: int = 0,
    weight: Tensor | None = None,
    **run: object,
) -> dict[str, list[float]]:
    """Teach a network the class of each pixel, by cross entropy.

    Args:
        network: from pictures in [-2, 2] to logits (B, K, H, W); trained in place.
        images: (N, 3, H, W), in [0, 1], or uint8.
        classes: (N, H, W), whole numbers: the ground truth.
        steps: batches of training.
        batch_size: pictures a step; half of them, drawn anew, are mirrored.
        learning_rate: AdamW's highest; it rises and falls.
        seed: of the order, and of what is mirrored.
        weight: (K,), how much a pixel of each class counts; None for all alike.
        **run: of `lesson_utils.common.training.Run`, such as `checkpoint`.

    Returns:
        "loss": a number for each step.

    Raises:
        ValueError: as `Run` has it, or images and classes are of other shapes.
        FloatingPointError: the loss is no longer a number.

    Source: the definition.
    """
    require_images("images", images)
    require_shape("classes", classes, "N H W", N=len(images))
    run = Run(
        network,
        torch.optim.AdamW(network.parameters(), lr=learning_rate),
        number=len(images),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        schedule=one_cycle,
        **run,
    )
    for _ in run:
        pictures, targets = run.batch(images, classes, change=_mirror)
        logits = run.network(standardize(pictures))
        run.learn(loss=F.cross_entropy(logits, targets.long(), weight))
    return run.history


def standardize(images: Tensor) -> Tensor:
    """Pictures from [0, 1], or bytes, to [-2, 2].

    Args:
        images: (B, 3, H, W).

    Returns:
        The shape of `images`, floating point.

    Raises:
        ValueError: another shape or range.

    Source: the definition.
    """
    require_images("images", images)
    images = images / 255 if images.dtype == torch.uint8 else images
    return 4 * images - 2


@torch.no_grad()
def segment(network: nn.Module, images: Tensor, *, batch_size: int = 32) -> Tensor:
    """The class of each pixel: that of the largest logit.

    Args:
        network: from pictures in [-2, 2] to logits (B, K, H, W); the mode it is in
            stays.
        images: (N, 3, H, W), in [0, 1], or uint8.
        batch_size: pictures at a time.

    Returns:
        (N, H, W), int64.

    Raises:
        ValueError: another shape or range, or no picture.

    Source: the definition.
    """
    require_whole("batch_size", batch_size)
    if not len(images):
        raise ValueError("images must hold at least one picture, got none")
    parts = images.split(batch_size)
    return torch.cat([network(standardize(part)).argmax(1) for part in parts])


def scene_segmenter() -> UNet:
    """The book's own U-Net, trained on drawn scenes.

    Returns:
        The network, in evaluation mode; class 0 is the background, the others are the
        types of `lesson_utils.data.scenes.Scenes`, in their order.

    Raises:
        ValueError: the weights or their card are missing or broken.

    Source: `studies.scene_segmenter`.
    """
    from safetensors.torch import load_file  # not on every GPU server

    path = WEIGHTS / "scene_segmenter.safetensors"
    card = verified_card(path)
    network = UNet(len(card["classes"]))
    network.load_state_dict(load_file(path))  # float16, to float32
    return network.eval()


def _two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        layers += [
            nn.Conv2d(width, outputs, 3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def _mirror(
    images: Tensor, classes: Tensor, *, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    chosen = torch.rand(len(images), generator=generator)[:, None, None] < 0.5
    mirrored = torch.where(chosen[:, None], images.flip(-1), images)
    return mirrored, torch.where(chosen, classes.flip(-1), classes)
