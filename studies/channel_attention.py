"""A small network with and without gates, at equal parameters, on drawn aircraft.

    python -m studies.channel_attention [--seeds 5] [--fresh] [--out FILE]

Twelve variants of drawn aircraft, forty pictures of each, at 96 pixels. The bundled
`small_net`, which learned families, learns them, with new layers behind each of its
four convolutions: none; squeeze and excitation; CBAM; squeeze and excitation whose
two layers keep random weights; and, with as many weights as squeeze and excitation,
two 1 x 1 convolutions around a shortcut, which gate nothing. All is trained, but for
the random gates. Then the learned gates are given to the wrong picture, or replaced
by each channel's mean, and it is measured how far a gate depends on the class.
"""

import copy
import time
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.channel_attention import CBAM, SqueezeExcitation
from lesson_utils.common.backbones import small_net
from lesson_utils.common.classifying import accuracy, predict, standardize
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import Run
from lesson_utils.data.aircraft import Aircraft
from studies.skeleton import Study

VARIANTS, SIDE, REDUCTION = 12, 96, 4
STEPS, BATCH, RATE, FASTER, DECAY = 120, 24, 2e-3, 5, 0.05
SPREAD = 3.0  # of random weights
DRAWN = {"train": (51, 40), "test": (52, 40)}  # seed, of each variant
PICTURED, SHOWN = ("CBAM", 0), (0, 3, 6, 9)  # kind and seed; test pictures
KINDS = ("none", "1 x 1", "SE", "CBAM", "random gate")


class Pointwise(nn.Module):
    """The two layers of squeeze and excitation, at each place and without a gate."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // REDUCTION, 1)
        self.fc2 = nn.Conv2d(channels // REDUCTION, channels, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        return features + self.fc2(F.relu(self.fc1(features)))


class GatedNet(nn.Module):
    """`small_net` with a new layer behind each of its four, and a new classifier."""

    def __init__(self, make_gate: Callable[[int], nn.Module]) -> None:
        super().__init__()
        trained = small_net()
        self.register_buffer("mean", trained.mean)
        self.register_buffer("std", trained.std)
        layers = list(trained.features)
        self.stages = nn.ModuleList(
            nn.Sequential(*layers[place : place + 3])
            for place in range(0, len(layers), 3)
        )
        widths = [stage[0].out_channels for stage in self.stages]
        self.gates = nn.ModuleList(map(make_gate, widths))
        self.head = nn.Linear(widths[-1], VARIANTS)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, S, S), standardized, to logits (B, K)."""
        for stage, gate in zip(self.stages, self.gates, strict=True):
            images = gate(stage(images))
        return self.head(images.mean((2, 3)))


class FixedGates(nn.Module):
    """Multiplies by gates that are given, instead of asking the features."""

    def __init__(self, gates: Tensor) -> None:
        super().__init__()
        self.values = gates

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W), for gates (B, C) or (1, C)."""
        return features * self.values[:, :, None, None]


def main(arguments: list[str] | None = None) -> None:
    """Train, measure, write."""
    study = Study("channel_attention", __doc__, arguments, seeds=5)
    kept: dict[tuple[str, int], GatedNet] = {}
    for seed in study.seeds:
        for kind in KINDS:
            key = {"kind": kind, "seed": seed}
            study.row(key, lambda k=kind, s=seed: measure(k, s, kept))
    if PICTURED not in kept:  # the rows are of a run that was interrupted
        measure(*PICTURED, kept)
    study.picture("places", places(kept[PICTURED]))
    study.write(
        variants=list(Aircraft(1, num_variants=VARIANTS).classes),
        pictures_per_class={name: number for name, (_, number) in DRAWN.items()},
        side=SIDE,
        steps=STEPS,
        batch_size=BATCH,
        rate=RATE,
        faster=FASTER,
        weight_decay=DECAY,
        reduction=REDUCTION,
    )


def make_network(kind: str) -> GatedNet:
    """A network of one kind."""
    makers: dict[str, Callable[[int], nn.Module]] = {
        "none": lambda channels: nn.Identity(),
        "1 x 1": Pointwise,
        "SE": lambda channels: SqueezeExcitation(channels, reduction=REDUCTION),
        "CBAM": lambda channels: CBAM(channels, reduction=REDUCTION),
    }
    network = GatedNet(makers.get(kind, makers["SE"]))
    if kind == "random gate":
        for gate in network.gates:
            # As wide apart as learned gates: torch's own weights give all nearly 0.5.
            for layer in (gate.fc1, gate.fc2):
                nn.init.normal_(layer.weight, std=SPREAD / layer.in_features**0.5)
            gate.requires_grad_(False)
    return network


def size_of(network: nn.Module) -> int:
    """How many weights a network has, learned or not."""
    return sum(parameter.numel() for parameter in network.parameters())


def measure(kind: str, seed: int, kept: dict[tuple[str, int], GatedNet]) -> dict:
    """Train a network of one kind and measure it; that of the picture is kept."""
    torch.manual_seed(seed)
    network, start = make_network(kind), time.process_time()
    images, labels = data("train")
    new = [*network.gates.parameters(), *network.head.parameters()]
    new = [parameter for parameter in new if parameter.requires_grad]
    groups = [{"params": network.stages.parameters()}]
    groups += [{"params": new, "lr": FASTER * RATE}]
    optimizer = torch.optim.AdamW(groups, lr=RATE, weight_decay=DECAY)
    run = Run(
        network,
        optimizer,
        number=len(images),
        steps=STEPS,
        batch_size=BATCH,
        seed=seed,
        schedule=one_cycle,
        progress=False,
    )
    for _ in run:
        chosen, answers = run.batch(images, labels)
        logits = run.network(standardize(chosen, network))
        run.learn(loss=F.cross_entropy(logits, answers))
    if (kind, seed) == PICTURED:
        kept[PICTURED] = network
    row = {
        "weights": size_of(network),
        "seconds": round(time.process_time() - start, 1),
        "loss": round(sum(run.history["loss"][-20:]) / 20, 4),
        "accuracy": right(network),
    }
    if kind in ("SE", "random gate"):
        row |= look_at_gates(network, keep=kind == "SE" and seed == 0)
    return row


def right(network: nn.Module) -> float:
    """The accuracy on the test pictures."""
    return round(accuracy(network, *data("test")), 4)


@torch.no_grad()
def places(network: GatedNet) -> Tensor:
    """Test pictures above CBAM's gates for places, by layer: black 0, white 1."""
    images = data("test")[0][list(SHOWN)]
    found: list[Tensor] = []
    hooks = [
        gate.spatial.register_forward_pre_hook(
            lambda module, inputs: found.append(module.gates(inputs[0]))
        )
        for gate in network.gates
    ]
    predict(network, images)
    for hook in hooks:
        hook.remove()
    rows = [images]
    rows += [F.interpolate(gates, SIDE).expand(-1, 3, -1, -1) for gates in found]
    return torch.stack(rows).permute(2, 0, 3, 1, 4).flatten(3).flatten(1, 2)


@torch.no_grad()
def look_at_gates(network: GatedNet, *, keep: bool) -> dict:
    """What the gates are, what they depend on, and what is lost with them."""
    images, labels = data("test")
    found: list[Tensor] = []
    hooks = [
        gate.register_forward_pre_hook(
            lambda module, inputs: found.append(module.gates(inputs[0]))
        )
        for gate in network.gates
    ]
    predict(network, images, batch_size=len(images))
    for hook in hooks:
        hook.remove()
    other = torch.randperm(len(images), generator=torch.Generator().manual_seed(1))
    fixed = {
        "shuffled": [gates[other] for gates in found],
        "mean": [gates.mean(0, keepdim=True) for gates in found],
        "half": [torch.full_like(gates[:1], 0.5) for gates in found],
    }
    row: dict = {name: right_with(network, gates) for name, gates in fixed.items()}
    by_class = [
        torch.stack([gates[labels == k].mean(0) for k in range(VARIANTS)])
        for gates in found
    ]
    row["deviation"] = [round(gates.std(0).mean().item(), 4) for gates in found]
    row["between_channels"] = [round(g.mean(0).std().item(), 4) for g in found]
    row["class_share"] = [  # of all channels' variance together
        round(
            (means.var(0, correction=0).sum() / g.var(0, correction=0).sum()).item(), 4
        )
        for means, g in zip(by_class, found, strict=True)
    ]
    row["saturated"] = [
        round(((g < 0.05) | (g > 0.95)).float().mean().item(), 4) for g in found
    ]
    if keep:
        row["gates"] = [
            [[round(g, 2) for g in line] for line in means.tolist()]
            for means in by_class
        ]
    return row


def right_with(network: GatedNet, gates: list[Tensor]) -> float:
    """The accuracy on the test pictures with gates of our own, (N, C) or (1, C)."""
    changed = copy.deepcopy(network).eval()
    changed.gates = nn.ModuleList(map(FixedGates, gates))
    images, labels = data("test")
    answers = predict(changed, images, batch_size=len(images)).argmax(1)
    return round((answers == labels).float().mean().item(), 4)


@cache
def data(name: str) -> tuple[Tensor, Tensor]:
    """The pictures of a part, and their variants."""
    seed, number = DRAWN[name]
    drawn = Aircraft(
        number * VARIANTS, seed=seed, num_variants=VARIANTS, image_size=SIDE
    )
    pairs = [drawn[index] for index in range(len(drawn))]
    images, labels = zip(*pairs, strict=True)
    return torch.stack(images), torch.tensor(labels)


if __name__ == "__main__":
    main()
