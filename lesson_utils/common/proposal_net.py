"""MTCNN's proposal network: a published detector of faces that is 30 lines long.

A fully convolutional network looks at every window of 12 x 12 pixels, on a pyramid of
smaller and smaller pictures. Boxes are xyxy, in pixels of the picture that is given.
"""

from collections import OrderedDict
from io import BytesIO

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.backbones import Backbone, he_initialized
from lesson_utils.common.packaged_files import packaged_file

WINDOW, STRIDE = 12, 2  # what one output sees, and the step between two, in pixels


class ProposalNet(Backbone):
    """P-Net: for each window of 12 x 12 pixels, is it a face, and where exactly.

    Attributes:
        features: conv1, prelu1, pool1, conv2, prelu2, conv3, prelu3; from (B, 3, H, W)
            to (B, 32, H', W'), where H' is ceil(H / 2) - 5, and W' likewise.
        face: a 1 x 1 convolution, logits of no face and face.
        offsets: a 1 x 1 convolution, how to move the window's sides.
        mean: (3,), what pictures in [0, 1] are standardized by.
        std: (3,), likewise.

    Source: Zhang et al., Joint Face Detection and Alignment Using Multitask Cascaded
        Convolutional Networks, IEEE Signal Processing Letters 2016, figure 2.
    """

    def __init__(self) -> None:
        super().__init__((127.5 / 255,) * 3, (128 / 255,) * 3)
        self.features = nn.Sequential(
            OrderedDict(
                conv1=nn.Conv2d(3, 10, 3),
                prelu1=nn.PReLU(10),
                pool1=nn.MaxPool2d(2, ceil_mode=True),
                conv2=nn.Conv2d(10, 16, 3),
                prelu2=nn.PReLU(16),
                conv3=nn.Conv2d(16, 32, 3),
                prelu3=nn.PReLU(32),
            )
        )
        self.face = nn.Conv2d(32, 2, 1)
        self.offsets = nn.Conv2d(32, 4, 1)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Look at every second window.

        Args:
            images: (B, 3, H, W), standardized, H and W at least 12.

        Returns:
            The probability of a face, (B, H', W'), and offsets, (B, 4, H', W'), of x1,
            y1, x2, y2, in sides of the window. Row r and column c are of the window
            whose top left corner is at (2c, 2r).
        """
        features = self.features(images)
        return self.face(features).softmax(1)[:, 1], self.offsets(features)

    @torch.no_grad()
    def propose(
        self,
        image: Tensor,
        *,
        min_score: float = 0.7,
        min_side: float = 20.0,
        factor: float = 0.709,
    ) -> tuple[Tensor, Tensor]:
        """Boxes that may hold a face, many around each: suppression is yet to come.

        Args:
            image: (3, H, W), RGB, in [0, 1].
            min_score: of a box that is returned, in [0, 1].
            min_side: of the smallest faces sought, in pixels, at least 12.
            factor: from one level of the pyramid to the next, in (0, 1).

        Returns:
            Boxes, (N, 4), xyxy in pixels, cut off at the picture's edge; and their
            scores, (N,), descending.

        Raises:
            ValueError: an argument is out of its range, or `image` is no such picture.
        """
        if not 0 <= min_score <= 1:
            raise ValueError(f"min_score must be in [0, 1], got {min_score!r}")
        if not WINDOW <= min_side < float("inf"):
            raise ValueError(f"min_side must be >= {WINDOW}, got {min_side!r}")
        if not 0 < factor < 1:
            raise ValueError(f"factor must be between 0 and 1, got {factor!r}")
        if image.dim() != 3:
            raise ValueError(f"image must be (3, H, W), got {tuple(image.shape)}")
        pixels = self.preprocess(image)
        size = pixels.shape[2:]
        boxes, scores = [pixels.new_zeros(0, 4)], [pixels.new_zeros(0)]
        scale = WINDOW / min_side
        while min(size) * scale >= WINDOW:
            smaller = [int(side * scale) for side in size]
            face, offsets = self(F.interpolate(pixels, smaller, mode="area"))
            row, column = (face[0] >= min_score).nonzero(as_tuple=True)  # (N,) each
            corners = STRIDE * torch.stack([column, row, column, row], 1)
            windows = corners + corners.new_tensor([0, 0, WINDOW, WINDOW])  # (N, 4)
            moved = windows + WINDOW * offsets[0, :, row, column].T
            # What was rounded off the smaller picture is put back for each axis.
            ratio = [old / new for old, new in zip(size, smaller, strict=True)][::-1]
            boxes.append(moved * moved.new_tensor(ratio * 2))
            scores.append(face[0, row, column])
            scale *= factor
        found, order = torch.cat(scores).sort(descending=True, stable=True)
        limit = found.new_tensor([size[1], size[0]] * 2)
        return torch.cat(boxes)[order].clamp(min=0).minimum(limit), found


def proposal_net(
    weights: str | None = "mtcnn", *, generator: torch.Generator | None = None
) -> ProposalNet:
    """MTCNN's proposal network, in evaluation mode, without a download.

    Args:
        weights: "mtcnn", out of the package facenet-pytorch: trained on WIDER FACE and
            CelebA; None for random ones, drawn after He et al.
        generator: dice for random weights.

    Returns:
        The network, 6,632 weights.

    Raises:
        ValueError: `weights` is something else, or the package's file has changed.
        ModuleNotFoundError: the package is missing; the message says how to install it.
    """
    if weights not in ("mtcnn", None):
        raise ValueError(f"weights must be 'mtcnn' or None, got {weights!r}")
    network = ProposalNet()
    if weights is None:
        return he_initialized(network, generator).eval()
    content = BytesIO(packaged_file("facenet-pytorch"))
    state = torch.load(content, map_location="cpu", weights_only=True)
    heads = {"conv4_1": "face", "conv4_2": "offsets"}
    renamed = {}
    for key, value in state.items():
        layer, kind = key.split(".")
        renamed[f"{heads.get(layer, f'features.{layer}')}.{kind}"] = value
    network.load_state_dict(renamed)
    return network.eval()
