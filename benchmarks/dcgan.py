"""The dcgan chapter: its training beside a plain loop."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks._timing import note
from lesson_utils.common.compute import make_fabric, pick_device
from lesson_utils.dcgan import Discriminator, Generator, train

ROUNDS = 8
# base_channels, batch size, steps: the page's network, and on a GPU the full size.
ON_CPU = ((16, 64, 10), (24, 64, 6))
ON_GPU = ((64, 256, 40), (128, 256, 20))


def main() -> None:
    """Print the time of both, measured in turn in one run, and the ratio."""
    device = pick_device()
    for base_channels, batch_size, steps in ON_GPU if device.type == "cuda" else ON_CPU:
        images = torch.rand(batch_size * steps, 3, 64, 64, device=device)
        ours, theirs = (
            _networks(base_channels, device, compiled=device.type == "cuda"),
            _networks(base_channels, device, compiled=False),
        )
        fabric = make_fabric()
        fabric.launch()
        calls = (
            lambda ours=ours, x=images, b=batch_size, f=fabric: train(
                *ours, x, epochs=1, batch_size=b, fabric=f, progress=False
            ),
            lambda theirs=theirs, x=images, b=batch_size: plain_epoch(
                *theirs, 2 * x - 1, b
            ),
        )
        note(
            f"an epoch of {steps} steps, {base_channels} base channels, "
            f"batches of {batch_size}",
            *_fastest(calls, device),
            "a plain loop",
        )


def plain_epoch(
    generator: nn.Module, discriminator: nn.Module, images: Tensor, batch_size: int
) -> None:
    """As course texts write it: float32, and everything computed where it is needed.

    Args:
        generator: (B, latent_dim) to (B, 3, S, S).
        discriminator: (B, 3, S, S) to (B,).
        images: (N, 3, S, S), in [-1, 1].
        batch_size: pictures a step.
    """
    loss = nn.BCEWithLogitsLoss()
    optimizers = [
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    ]
    order = torch.randperm(len(images), device=images.device)
    total = 0.0
    for index in order.split(batch_size):
        real = images[index]
        noise = torch.randn(len(real), generator.latent_dim, device=images.device)
        ones, zeros = torch.ones(len(real)), torch.zeros(len(real))
        ones, zeros = ones.to(images.device), zeros.to(images.device)

        optimizers[1].zero_grad()
        fake = generator(noise)
        judged = discriminator(real), discriminator(fake.detach())
        d_loss = (loss(judged[0], ones) + loss(judged[1], zeros)) / 2
        d_loss.backward()
        optimizers[1].step()

        optimizers[0].zero_grad()
        g_loss = loss(discriminator(generator(noise)), ones)
        g_loss.backward()
        optimizers[0].step()
        total += d_loss.item() + g_loss.item()


def _networks(
    base_channels: int, device: torch.device, *, compiled: bool
) -> tuple[Generator, Discriminator]:
    torch.manual_seed(0)
    networks = (
        Generator(base_channels=base_channels).to(device),
        Discriminator(base_channels=base_channels).to(device),
    )
    if compiled:
        for network in networks:
            network.compile()
    return networks


def _fastest(
    calls: tuple[Callable[[], object], ...], device: torch.device
) -> list[float]:
    """Seconds of each call: the fastest of some rounds, after one that warms up."""
    seconds = [[] for _ in calls]
    for _ in range(1 + ROUNDS):
        for call, times in zip(calls, seconds, strict=True):
            start = time.perf_counter()
            call()
            if device.type == "cuda":
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    # The fastest, since what else the machine does can only slow a round down.
    return [min(times[1:]) for times in seconds]
