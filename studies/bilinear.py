"""Bilinear against average pooling, fine-tuned, and how hard the variants are.

    python -m studies.bilinear [--seeds 5] [--fresh] [--out FILE]

Writes `lesson_utils/studies/bilinear.json`, in about ten minutes on one core.
*scratch*: the book's small network is trained from nothing, on families or on variants,
with few pictures or more. *tuned*: it starts from the bundled weights, which know
families only, and is trained on few pictures of each variant, with average or bilinear
pooling before the linear layer. That layer is fitted first, on frozen features; then
everything is trained together, by one schedule and at one learning rate for both, which
was tuned for neither.
"""

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import bilinear
from lesson_utils.common.backbones import SmallNet, small_net
from lesson_utils.data.aircraft import Aircraft
from studies.skeleton import Study
from studies.small_net import draw

VARIANTS, BATCH = 24, 32
SCRATCH = ((60, "family"), (60, "variant"), (200, "variant"))  # pictures of each
SCRATCH_PASSES, SCRATCH_RATE = 12, 4e-3
SHOTS, PASSES, RATE = 30, 4, 2e-3  # pictures of each variant, in fine-tuning
POOLS = {
    "average": lambda f: f.mean((2, 3)),
    "bilinear": lambda f: bilinear.bilinear_pool(f, f, normalize=True),
}
PICTURE_SEEDS = {"train": 20, "test": 21}

Pictures = tuple[Tensor, Tensor]  # (N, 3, 96, 96), uint8, and variants (N,)


class Pooled(nn.Module):
    """Features, a pooling, and a linear layer."""

    def __init__(self, features: nn.Module, pool: str, num_classes: int) -> None:
        super().__init__()
        self.features, self.pool = features, POOLS[pool]
        width = 96 if pool == "average" else 96**2
        self.classifier = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), standardised, to logits (B, K)."""
        return self.classifier(self.pool(self.features(images)))


def main(arguments: list[str] | None = None) -> None:
    """Train, measure, write."""
    study = Study("bilinear", __doc__, arguments, seeds=5)
    families = torch.tensor(Aircraft(1).families)
    most = max(number for number, _ in SCRATCH)
    train = draw(PICTURE_SEEDS["train"], most * VARIANTS)[::2]
    test = draw(PICTURE_SEEDS["test"], 50 * VARIANTS)[::2]
    for number, level in SCRATCH:
        study.row(
            {"part": "scratch", "pictures": number, "level": level},
            partial(scratch, number, level, train, test, families),
        )
    for seed in study.seeds:
        for pool in POOLS:
            study.row(
                {"part": "tuned", "pool": pool, "seed": seed},
                partial(tuned, pool, seed, train, test, families),
            )
    study.write(
        learning_rate=RATE,
        shots=SHOTS,
        passes=PASSES,
        scratch_passes=SCRATCH_PASSES,
        batch_size=BATCH,
    )


def tuned(
    pool: str, seed: int, train: Pictures, test: Pictures, families: Tensor
) -> dict[str, float]:
    """A pooling before and after fine-tuning; other pictures for each seed."""
    images, labels = train
    generator = torch.Generator().manual_seed(seed)
    turns = torch.randperm(len(images) // VARIANTS, generator=generator)[:SHOTS]
    chosen = (turns[:, None] * VARIANTS + torch.arange(VARIANTS)).flatten()
    data = images[chosen], labels[chosen]
    network = start(pool, data, seed)
    frozen = scores(network, test, families)["variant"]
    fit(network, *data, RATE, PASSES, seed)
    return {"frozen": frozen, **scores(network, test, families)}


def scratch(
    number: int, level: str, train: Pictures, test: Pictures, families: Tensor
) -> dict[str, float]:
    """The small network with average pooling, from random weights."""
    images, variants = (part[: number * VARIANTS] for part in train)
    labels = variants if level == "variant" else families[variants]
    torch.manual_seed(0)
    network = Pooled(SmallNet(1).features, "average", int(labels.max()) + 1)
    network.to(memory_format=torch.channels_last)
    fit(network, images, labels, SCRATCH_RATE, SCRATCH_PASSES, 0)
    if level == "variant":
        return scores(network, test, families)
    images, variants = test
    right = predict(network, images) == families[variants]
    return {"family": round(right.float().mean().item(), 4)}


def start(pool: str, data: Pictures, seed: int) -> Pooled:
    """The bundled backbone, and a linear layer fitted to its frozen features."""
    torch.manual_seed(seed)
    network = Pooled(small_net().features, pool, VARIANTS)
    network.to(memory_format=torch.channels_last).eval()
    images, labels = data
    with torch.no_grad():
        inputs = torch.cat(
            [
                network.pool(network.features(standardize(part)))
                for part in images.split(120)
            ]
        )
    # Descriptors of one scale, so that the penalty weighs the same on each.
    mean = inputs.mean(0)
    scale = (inputs - mean).norm(dim=1).mean()
    inputs, linear = (inputs - mean) / scale, network.classifier
    nn.init.zeros_(linear.weight)
    optimizer = torch.optim.LBFGS(
        linear.parameters(), max_iter=40, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(linear(inputs), labels)
        (loss + 1e-4 * linear.weight.square().sum()).backward()
        return loss

    optimizer.step(closure)
    with torch.no_grad():
        linear.weight /= scale
        linear.bias -= linear.weight @ mean
    return network


def fit(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    rate: float,
    passes: int,
    seed: int,
) -> None:
    """Train everything, with one cycle of the learning rate."""
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.01)
    steps = len(images) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=rate, total_steps=passes * steps
    )
    network.train()
    for _ in range(passes):
        order = torch.randperm(len(images), generator=generator)
        for chosen in order[: steps * BATCH].split(BATCH):
            batch = images[chosen]
            batch = (
                batch.flip(-1) if torch.rand((), generator=generator) < 0.5 else batch
            )
            loss = F.cross_entropy(network(standardize(batch)), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()


def standardize(images: Tensor) -> Tensor:
    """uint8 to what the network takes."""
    values = (images.float() / 255 - 0.5) / 0.25
    return values.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def predict(network: nn.Module, images: Tensor) -> Tensor:
    """(N,), the class of each picture."""
    return torch.cat(
        [network(standardize(part)).argmax(1) for part in images.split(120)]
    )


def scores(network: nn.Module, test: Pictures, families: Tensor) -> dict[str, float]:
    """The share of right variants, and of variants of the right family."""
    images, variants = test
    found = predict(network, images)
    return {
        "variant": round((found == variants).float().mean().item(), 4),
        "family": round(
            (families[found] == families[variants]).float().mean().item(), 4
        ),
    }


if __name__ == "__main__":
    main()
