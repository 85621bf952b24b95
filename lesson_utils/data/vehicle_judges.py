"""Judges of painted vehicles: a segmenter, and a classifier of what sentences tell.

Both are trained on drawn vehicles alone. Pictures are (B, 3, S, S), in [0, 1].
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from lesson_utils.common.backbones import WEIGHTS, verified_card
from lesson_utils.common.require import require_whole
from lesson_utils.common.segmenting import UNet, standardize
from lesson_utils.data.vehicles import (
    COLOR_NAMES,
    GROUND_NAMES,
    KIND_NAMES,
    PART_NAMES,
    TIME_NAMES,
    VehicleAttributes,
)

QUESTIONS: dict[str, tuple] = {
    "color": COLOR_NAMES,
    "kind": KIND_NAMES,
    "time": TIME_NAMES,
    "ground": GROUND_NAMES,
    "extra": (None, "a stripe", "a roof rack", "a ladder"),
    "load": (None, "sand", "logs", "boxes", "hay"),
}
SEGMENTER_WIDTHS, WIDTHS = (12, 24, 48, 64), (32, 64, 96, 128)


class AttributeNet(nn.Module):
    """Convolutions, the mean over places, and one linear layer for each question.

    Args:
        widths: channels of the convolutions; the first sees squares of 2 x 2 pixels,
            and each later one halves the sides.

    Raises:
        ValueError: a width is no whole number >= 1.

    Source: the definition.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        for inputs, outputs in pairwise((12, *widths)):
            require_whole("widths", outputs)
            layers += [
                nn.Conv2d(inputs, outputs, 3, 1 if inputs == 12 else 2, padding=1),
                nn.BatchNorm2d(outputs),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)
        self.heads = nn.ModuleDict(
            {name: nn.Linear(widths[-1], len(of)) for name, of in QUESTIONS.items()}
        )

    def features(self, images: Tensor) -> Tensor:
        """What pictures are compared by.

        Args:
            images: (B, 3, S, S), in [0, 1], or uint8.

        Returns:
            (B, C), the last maps' means over places.
        """
        return self.layers(standardize(images)).mean((2, 3))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits for each of `QUESTIONS`.

        Args:
            images: (B, 3, S, S), in [0, 1], or uint8.

        Returns:
            For each name (B, K), K being the number of its choices.
        """
        found = self.features(images)
        return {name: head(found) for name, head in self.heads.items()}


def attribute_labels(attributes: Sequence[VehicleAttributes]) -> Tensor:
    """The right answers to `QUESTIONS`.

    Args:
        attributes: of B vehicles.

    Returns:
        (B, 6), int64, in the order of `QUESTIONS`.
    """
    return torch.tensor(
        [
            [of.index(getattr(each, name)) for name, of in QUESTIONS.items()]
            for each in attributes
        ]
    )


@torch.no_grad()
def answers(network: AttributeNet, images: Tensor, *, batch_size: int = 64) -> Tensor:
    """The network's answers to `QUESTIONS`.

    Args:
        network: in evaluation mode.
        images: (N, 3, S, S), in [0, 1], or uint8.
        batch_size: pictures at a time.

    Returns:
        (N, 6), int64.

    Raises:
        ValueError: another shape or range, or no picture.
    """
    require_whole("batch_size", batch_size)
    if not len(images):
        raise ValueError("images must hold at least one picture, got none")
    return torch.cat(
        [
            torch.stack([logits.argmax(1) for logits in network(part).values()], 1)
            for part in images.split(batch_size)
        ]
    )


def vehicle_judges() -> tuple[UNet, AttributeNet]:
    """The book's own judges of vehicles of 96 x 96 pixels.

    Returns:
        A segmenter, of `PART_NAMES`, and a classifier, in evaluation mode.

    Raises:
        ValueError: the weights or their card are missing or broken.

    Source: `studies.vehicle_judges`.
    """
    from safetensors.torch import load_file  # not on every GPU server

    path = WEIGHTS / "vehicle_judges.safetensors"
    verified_card(path)
    network = Judges()
    network.load_state_dict(load_file(path))  # float16, to float32
    segmenter, classifier = network.eval()
    return segmenter, classifier


class Judges(nn.ModuleList):
    """A segmenter and a classifier, in this order, not trained.

    Args:
        widths: of the classifier, as for `AttributeNet`.

    Raises:
        ValueError: a width is no whole number >= 1.

    Source: the definition.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        segmenter = UNet(len(PART_NAMES), widths=SEGMENTER_WIDTHS)
        super().__init__([segmenter, AttributeNet(widths)])
