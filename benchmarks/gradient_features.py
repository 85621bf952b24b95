"""The gradient features chapter: beside scikit-image."""

import torch
from skimage.feature import hog

from benchmarks._timing import compare
from lesson_utils import gradient_features
from lesson_utils.data.photographs import photograph


def main() -> None:
    """Print the table."""
    for name, size in (("astronaut", 512), ("coins", 256)):
        image = photograph(name, size=(size, size)).mean(0)
        array = image.numpy()
        compare(
            f"hog, {size} x {size}, cells of 8",
            lambda image=image: gradient_features.hog(image),
            lambda array=array: hog(array, 9, (8, 8), (2, 2)),
            "scikit-image",
        )
    wide = torch.stack([photograph("camera", size=(128, 128))[0]] * 16)
    compare(
        "hog, 16 of 128 x 128, cells of 8",
        lambda: gradient_features.hog(wide),
        lambda: [hog(image, 9, (8, 8), (2, 2)) for image in wide.numpy()],
        "scikit-image",
    )
