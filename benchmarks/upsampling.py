"""The upsampling chapter: beside torch."""

import torch
import torch.nn.functional as F

from benchmarks._timing import compare
from lesson_utils import upsampling


def main() -> None:
    """Print the table."""
    generator = torch.Generator().manual_seed(0)
    for shape, size in (
        ((1, 3, 512, 512), (1024, 1024)),
        ((1, 3, 512, 512), (256, 256)),
        ((8, 16, 64, 64), (128, 128)),
        ((1, 64, 28, 28), (224, 224)),
    ):
        images = torch.rand(shape, generator=generator)
        compare(
            f"resize_bilinear, {' x '.join(map(str, shape))} to {size[0]} x {size[1]}",
            lambda images=images, size=size: upsampling.resize_bilinear(images, size),
            lambda images=images, size=size: F.interpolate(
                images, size, mode="bilinear"
            ),
            "torch",
        )
    features = torch.rand(8, 144, 64, 64, generator=generator)
    compare(
        "pixel_shuffle, 8 x 144 x 64 x 64, factor 3",
        lambda: upsampling.pixel_shuffle(features, 3),
        lambda: F.pixel_shuffle(features, 3),
        "torch",
    )
