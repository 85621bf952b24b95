"""Batch, group and instance normalization against none, on MNIST to convergence.

    python -m studies.normalization [--seeds 3] [--fresh]

A network of three convolutions learns 1,000 of MNIST's digits, halved to 14 x 14, at
batch sizes from 1 to 64 and at three learning rates each, which fall to 0. The rate is
chosen for each layer at each size by itself, on 1,000 digits used for nothing else. The
networks of all seeds and rates stand side by side in one, in groups that know nothing
of each other: one call does for nine. Those of the largest size are asked once more
for digits that fade to gray or darken.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.training import drawer
from lesson_utils.data.mnist import mnist
from studies.skeleton import Study

WIDTH, GROUPS, MOMENTUM = 8, 2, 0.9
TRAIN, CHOOSE = 1000, 1000
EPOCHS = {64: 36, 8: 15, 2: 9, 1: 6}  # by batch size: 540 to 6,000 steps
RATES = {
    64: (0.1, 0.3, 1.0),
    8: (0.03, 0.1, 0.3),
    2: (0.01, 0.03, 0.1),
    1: (0.003, 0.01, 0.03),
}
LEVELS = (0.0, 0.3, 0.6)  # of fading and of darkening
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda nets: nn.Identity(),
    "BN": lambda nets: nn.BatchNorm2d(nets * WIDTH),
    "GN": lambda nets: nn.GroupNorm(nets * GROUPS, nets * WIDTH),
    "IN": lambda nets: nn.InstanceNorm2d(nets * WIDTH, affine=True),
}


def main(arguments: list[str] | None = None) -> None:
    """Train, choose, measure, write."""
    study = Study("normalization", __doc__, arguments, seeds=3)
    for batch in RATES:
        for norm in NORMS:
            study.row(
                {"norm": norm, "batch": batch},
                lambda n=norm, b=batch: measure(n, b, study.seeds),
            )
    study.write(
        digits=TRAIN,
        levels=LEVELS,
        epochs={str(k): v for k, v in EPOCHS.items()},
        rates={str(k): v for k, v in RATES.items()},
    )


def halved(split: str) -> tuple[Tensor, Tensor]:
    """MNIST's digits at 14 x 14, (N, 1, 14, 14), and their labels (N,)."""
    images, labels = mnist(split)
    return F.avg_pool2d(images, 2), labels


def side_by_side(norm: str, seeds: list[int], copies: int) -> nn.Sequential:
    """Networks of equal weights for each seed: images (B, 1, ...) to (B, nets, 10)."""
    nets = len(seeds) * copies

    def layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Conv2d:
        made = nn.Conv2d(
            nets * inputs, nets * outputs, kernel, stride, kernel // 2, groups=nets
        )
        each = []
        for seed in seeds:
            scale = (2 / (inputs * kernel**2)) ** 0.5  # He et al.
            weight = torch.randn(
                outputs,
                inputs,
                kernel,
                kernel,
                generator=drawer(seed, inputs, outputs, kernel),
            )
            each += copies * [scale * weight]
        with torch.no_grad():
            made.weight.copy_(torch.cat(each))
            made.bias.zero_()
        return made

    layers: list[nn.Module] = []
    for index, stride in enumerate((1, 2, 2)):
        # What is drawn depends on the seed and on the shape alone.
        convolution = layer(WIDTH if index else 1, WIDTH, (5, 3, 5)[index], stride)
        layers += [convolution, NORMS[norm](nets), nn.ReLU()]
    layers += [nn.AdaptiveAvgPool2d(1), layer(WIDTH, 10, 1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Unflatten(1, (nets, 10)))


def measure(norm: str, batch: int, seeds: list[int]) -> dict:
    """Train all seeds at all rates, choose the rate, and test."""
    rates = RATES[batch]
    nets = len(seeds) * len(rates)
    network = side_by_side(norm, list(seeds), len(rates))
    images, labels = halved("train")
    # A network's gradient times a factor is its learning rate times that factor.
    rate_of = torch.tensor(len(seeds) * rates)  # (nets,)
    optimizer = torch.optim.SGD(network.parameters(), 1.0, MOMENTUM, fused=True)
    epochs = EPOCHS[batch]
    steps = epochs * (TRAIN // batch)
    network.train()
    halfway = None
    for step in range(steps):
        epoch, place = divmod(step, TRAIN // batch)
        if place == 0:
            order = torch.randperm(TRAIN, generator=drawer(0, 9, epoch))
            if epoch == 2 * epochs // 3:
                halfway = right(network, *halved("test"))
        chosen = order[place * batch : (place + 1) * batch]
        logits = network(images[chosen].expand(-1, nets, -1, -1))
        targets = labels[chosen][:, None].expand(-1, nets)
        losses = F.cross_entropy(
            logits.flatten(0, 1), targets.flatten(), reduction="none"
        )
        optimizer.param_groups[0]["lr"] = 1 - step / steps
        optimizer.zero_grad()
        (losses.view(batch, nets).mean(0) * rate_of).sum().backward()
        optimizer.step()
    last = slice(TRAIN, TRAIN + CHOOSE)
    by_rate = right(network, images[last], labels[last]).view(-1, len(rates))
    choice = by_rate.mean(0).argmax().item()
    test_images, test_labels = halved("test")

    def chosen_nets(pictures: Tensor, answers: Tensor, **options: bool) -> list[float]:
        shares = right(network, pictures, answers, **options)
        return shares.view(-1, len(rates))[:, choice].tolist()

    row = {
        "rate": rates[choice],
        "by_rate": by_rate.mean(0).tolist(),
        "accuracy": chosen_nets(test_images, test_labels),
        "after_two_thirds": halfway.view(-1, len(rates))[:, choice].tolist(),
        "on_training": chosen_nets(images[:TRAIN], labels[:TRAIN]),
    }
    if norm == "BN":
        row["alone"] = chosen_nets(test_images, test_labels, alone=True)
    if batch == max(RATES):
        for name, change in (
            ("fading", lambda level: (1 - level) * test_images + level * 0.5),
            ("darkening", lambda level: (1 - level) * test_images),
        ):
            changed = [(change(level), test_labels) for level in LEVELS]
            row[name] = [chosen_nets(*pair) for pair in changed]
            if norm == "BN":
                row[f"{name}_batch"] = [
                    chosen_nets(*pair, own=True) for pair in changed
                ]
    return row


@torch.no_grad()
def right(
    network: nn.Sequential,
    images: Tensor,
    labels: Tensor,
    *,
    own: bool = False,
    alone: bool = False,
) -> Tensor:
    """(nets,) shares of right answers, by running statistics or by those of the batch.

    `own` takes the statistics of 250 pictures, `alone` those of each picture.
    """
    size = 1 if alone else 250
    nets = network[0].groups
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network.train(own or alone)
    parts = [
        network(part.expand(-1, nets, -1, -1)).argmax(-1) for part in images.split(size)
    ]
    network.load_state_dict(before)  # the statistics of what was tested are forgotten
    network.train()
    return (torch.cat(parts) == labels[:, None]).float().mean(0)


if __name__ == "__main__":
    main()
