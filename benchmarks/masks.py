"""The masks chapter: beside scikit-image and torchvision, and at full size."""

import time

import numpy as np
import skimage.feature
import torch
import torchvision
from skimage.morphology import dilation

from benchmarks._timing import compare, note
from lesson_utils import masks
from lesson_utils.common.compute import pick_device


def main() -> None:
    """Print the table, then the times of the exercise at full size."""
    generator = torch.Generator().manual_seed(0)
    image = torch.rand(1, 512, 512, generator=generator)
    for side in (8, 16, 32):
        template = image[:, 50 : 50 + side, 70 : 70 + side].clone()
        picture, patch = image[0].numpy(), template[0].numpy()
        compare(
            f"match_template, {side} x {side} in 512 x 512",
            lambda template=template: masks.match_template(image, template),
            lambda p=picture, t=patch: skimage.feature.match_template(p, t),
            "scikit-image",
        )
    mask = torch.rand(512, 512, generator=generator) < 0.01
    array = mask.numpy()
    for radius in (1, 8):
        side = (2 * radius + 1, 2 * radius + 1)
        compare(
            f"dilate, radius {radius}, 512 x 512",
            lambda radius=radius: masks.dilate(mask, radius),
            lambda side=side: dilation(array, np.ones(side, dtype=bool), mode="min"),
            "scikit-image",
        )
    stack = torch.rand(100, 256, 256, generator=generator) < 0.01
    compare(
        "masks_to_boxes, 100 of 256 x 256",
        lambda: masks.masks_to_boxes(stack),
        lambda: torchvision.ops.masks_to_boxes(stack),
        "torchvision",
    )
    _full_size(generator)


def _full_size(generator: torch.Generator) -> None:
    """The exercise "A template in a 4K picture", on each device there is."""
    picture = torch.rand(3, 2160, 3840, generator=generator)
    for device in dict.fromkeys(["cpu", pick_device().type]):
        image = picture.to(device)
        template = image[:, 50:114, 70:134].clone()
        taken = {}
        for name, search in {
            "convolution": masks.match_template,
            "numerator alone, by FFT": numerator_by_fft,
        }.items():
            start = time.perf_counter()
            best = search(image, template).argmax().item()  # waits for the device
            taken[name] = time.perf_counter() - start
            found = divmod(best, 3840 - 64 + 1)[::-1]
            print(f"4K, {device}, {name}: {taken[name]:.2f} s, found at {found}")
        note(
            f"match_template, 64 x 64 in 3840 x 2160, {device}",
            *taken.values(),
            "its numerator alone, by FFT",
        )


def numerator_by_fft(image: torch.Tensor, template: torch.Tensor) -> torch.Tensor:
    """The numerator of the normalized correlation through the Fourier transform."""
    template = template - template.mean()
    (height, width), size = template.shape[1:], image.shape[1:]
    spectrum = torch.fft.rfft2(image) * torch.fft.rfft2(template, s=size).conj()
    full = torch.fft.irfft2(spectrum.sum(dim=0), s=size)
    return full[: size[0] - height + 1, : size[1] - width + 1]
