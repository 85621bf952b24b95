"""The NMS chapter: beside d2l and torchvision, at growing numbers of boxes."""

import torch
import torchvision
from d2l import torch as d2l

from benchmarks._timing import compare
from lesson_utils.common.compute import pick_device
from lesson_utils.nms import nms


def main() -> None:
    """Print the table, on each device there is; then what memory 20,000 boxes take."""
    for device in dict.fromkeys(["cpu", pick_device().type]):
        for number in (1_000, 4_000, 10_000):
            boxes, scores = lightly_overlapping(number, device)
            for peer, theirs in (
                ("d2l", d2l.nms),
                ("torchvision", torchvision.ops.nms),
            ):
                compare(
                    f"nms, {number:,} boxes, {device}",
                    lambda b=boxes, s=scores: nms(b, s, 0.5).cpu(),
                    lambda b=boxes, s=scores, f=theirs: f(b, s, 0.5).cpu(),
                    peer,
                )
    boxes, scores = lightly_overlapping(20_000, "cpu")
    with torch.profiler.profile(profile_memory=True) as profile:
        nms(boxes, scores, 0.5)
    largest = max(event.self_cpu_memory_usage for event in profile.events())
    print(f"nms, 20,000 boxes, cpu: largest allocation {largest / 2**20:.0f} MiB")


def lightly_overlapping(number: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Small boxes anywhere, of which about nine in ten are kept at 10,000."""
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(number, 2, generator=generator)
    side = 0.005 + 0.03 * torch.rand(number, 2, generator=generator)
    scores = torch.rand(number, generator=generator)
    return torch.cat([corner, corner + side], dim=1).to(device), scores.to(device)
