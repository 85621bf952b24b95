"""Three poolings on two networks, frozen and trained.

    python -m studies.bilinear [--seeds 3] [--fresh] [--out FILE]

Twelve variants of drawn aircraft, thirty pictures of each. Two networks: the
bundled `small_net`, which learned families of these aircraft, at 96 pixels; and
EfficientNet-Lite0, which learned photographs, at 160. *frozen*: a ridge classifier on
the last maps of either, described in seven ways. *tuned*: the linear layer is fitted
first, by logistic regression; then all of `small_net`, or the last block of
EfficientNet-Lite0's fifth stage on what lies before it, is trained together with that
layer. The rate is chosen with `small_net`, for each pooling by itself, on pictures used
for nothing else. EfficientNet's own average, after its last layer, is there to compare.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.linear_model import RidgeClassifierCV
from torch import Tensor, nn

from lesson_utils import bilinear
from lesson_utils.common.backbones import small_net
from lesson_utils.common.classifying import predict
from lesson_utils.common.pretrained import efficientnet_lite0
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import Run
from lesson_utils.data.aircraft import Aircraft
from studies.skeleton import Study

VARIANTS, SHOTS, POOL, BATCH = 12, 30, 40, 24  # POOL: of which a seed takes SHOTS
RATES = (1e-3, 4e-3)
CHOOSES, LAST = "small_net", "average of the last layer"
PENALTIES = np.logspace(-4, 1, 11)
DRAWN = {"train": (20, POOL), "test": (21, 40), "choose": (22, 20)}  # seed, of each
FAMILIES = torch.tensor(Aircraft(1, num_variants=VARIANTS).families)


@dataclass(frozen=True)
class Ground:
    """A network, held still up to a place, and trained from there on."""

    size: int  # of a picture
    before: Callable[[], nn.Module]
    after: Callable[[], nn.Module]
    channels: int
    steps: int


def main(arguments: list[str] | None = None) -> None:
    """Train, measure, write."""
    study = Study("bilinear", __doc__, arguments, seeds=3)
    rates = {}
    for part in GROUNDS:
        for seed in study.seeds:
            for way in describe(torch.rand(1, 2, 2, 2)):
                study.row(
                    {"part": "frozen", "network": part, "way": way, "seed": seed},
                    lambda p=part, w=way, s=seed: frozen(p, w, s),
                )
            if part != CHOOSES:
                study.row(
                    {"part": "frozen", "network": part, "way": LAST, "seed": seed},
                    lambda p=part, s=seed: frozen(p, LAST, s),
                )
        for pooling in bilinear.POOLINGS if part == CHOOSES else ():
            rates[pooling] = choose(study, part, pooling)
        for seed in study.seeds:
            for pooling, rate in rates.items():
                study.row(
                    {"part": "tuned", "network": part, "pool": pooling, "seed": seed},
                    lambda p=part, w=pooling, r=rate, s=seed: tuned(p, w, r, s),
                )
    study.write(
        variants=VARIANTS,
        shots=SHOTS,
        steps={part: ground.steps for part, ground in GROUNDS.items()},
        batch_size=BATCH,
        rates=rates,
    )


def choose(study: Study, part: str, pooling: str) -> float:
    """The rate at which a pooling does best on pictures set aside."""
    found = {}
    for rate in RATES:
        row = study.row(
            {"part": "choice", "network": part, "pool": pooling, "rate": rate},
            lambda r=rate: tuned(part, pooling, r, 100, "choose"),
        )
        found[rate] = row["variant"]
    return max(found, key=found.get)


def tuned(part: str, pooling: str, rate: float, seed: int, test: str = "test") -> dict:
    """A pooling before and after its network is trained with it."""
    ground, (inputs, labels) = GROUNDS[part], data(part, "train")
    chosen = taken_by(seed)
    inputs, labels = inputs[chosen], labels[chosen]
    torch.manual_seed(seed)
    network = bilinear.PooledNet(ground.after(), ground.channels, VARIANTS, pooling)
    bilinear.fit_classifier(network.eval(), inputs, labels)
    before = scores(network, *data(part, test))["variant"]
    fit(network, inputs, labels, rate, ground.steps, seed)
    after = scores(network, *data(part, test))
    return {"rate": rate, "frozen": before, **after}


def fit(
    network: nn.Module,
    inputs: Tensor,
    labels: Tensor,
    rate: float,
    steps: int,
    seed: int,
) -> None:
    """Train everything, with one cycle of the learning rate."""
    run = Run(
        network,
        torch.optim.AdamW(network.parameters(), rate),
        number=len(labels),
        steps=steps,
        batch_size=BATCH,
        seed=seed,
        schedule=one_cycle,
        progress=False,
    )
    for _ in run:
        pictures, answers = run.batch(inputs, labels)
        run.learn(loss=F.cross_entropy(run.network(pictures), answers))


def describe(maps: Tensor) -> dict[str, Callable[[], Tensor]]:
    """The descriptors of maps, in seven ways, each computed when it is asked for."""

    def plain() -> Tensor:
        return bilinear.bilinear_pool(maps, maps)

    def rooted(values: Tensor) -> Tensor:
        return bilinear.signed_sqrt(values)

    return {
        "average": lambda: bilinear.pool(maps, "average"),
        "average, √, length": lambda: F.normalize(rooted(maps.mean((2, 3)))),
        "products of averages, √, length": lambda: bilinear.pool(maps, "products"),
        "bilinear": plain,
        "bilinear, length": lambda: F.normalize(plain()),
        "bilinear, √": lambda: rooted(plain()),
        "bilinear, √, length": lambda: bilinear.pool(maps, "bilinear"),
    }


def frozen(part: str, way: str, seed: int) -> dict:
    """Accuracy of a ridge classifier on frozen maps, its penalty left one out."""
    (train, labels), (test, truth) = (last_maps(part, s) for s in ("train", "test"))
    chosen = taken_by(seed)
    if way == LAST:
        inputs, others = last_average(train[chosen]), last_average(test)
    else:
        inputs, others = (describe(maps)[way]() for maps in (train[chosen], test))
    mean = inputs.mean(dim=0)
    scale = (inputs - mean).norm(dim=1).mean()  # penalties mean the same for all
    inputs, others = (((x - mean) / scale).double().numpy() for x in (inputs, others))
    ridge = RidgeClassifierCV(PENALTIES).fit(inputs, labels[chosen].numpy())
    found = torch.from_numpy(ridge.predict(others))
    return {"accuracy": share(found == truth)}


def taken_by(seed: int) -> Tensor:
    """Numbers of the pictures that a seed takes; classes take turns."""
    generator = torch.Generator().manual_seed(seed)
    turns = torch.randperm(POOL, generator=generator)[:SHOTS]
    return (turns[:, None] * VARIANTS + torch.arange(VARIANTS)).flatten()


@cache
def drawn(name: str, size: int) -> Tensor:
    """Pictures (N, 3, size, size), in [0, 1]; variants take turns."""
    seed, number = DRAWN[name]
    aircraft = Aircraft(
        number * VARIANTS, seed=seed, image_size=size, num_variants=VARIANTS
    )
    return torch.stack([aircraft[index][0] for index in range(len(aircraft))])


@cache
@torch.no_grad()
def data(part: str, name: str) -> tuple[Tensor, Tensor]:
    """What the part of a network that is held still makes of the pictures; variants."""
    ground, images = GROUNDS[part], drawn(name, GROUNDS[part].size)
    network = ground.before()
    inputs = torch.cat([network(piece) for piece in images.split(60)])
    return inputs, torch.arange(len(images)) % VARIANTS


@cache
@torch.no_grad()
def last_maps(part: str, name: str) -> tuple[Tensor, Tensor]:
    """The last maps, nothing trained; variants."""
    (inputs, labels), network = data(part, name), GROUNDS[part].after().eval()
    return torch.cat([network(piece) for piece in inputs.split(60)]), labels


class Preprocess(nn.Module):
    """A network's own standardizing, and some of its layers."""

    def __init__(self, network: nn.Module, layers: nn.Module) -> None:
        super().__init__()
        self.network, self.layers = network, layers

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W), in [0, 1], to maps."""
        return self.layers(self.network.preprocess(images))


@torch.no_grad()
def last_average(maps: Tensor) -> Tensor:
    """EfficientNet-Lite0's 1,280 averages, from the maps of its fifth stage."""
    layers = efficientnet_lite0().features[6:]
    return torch.cat([layers(piece).mean((2, 3)) for piece in maps.split(60)])


def lite_before() -> nn.Module:
    """EfficientNet-Lite0, up to the second block of its fifth stage."""
    network = efficientnet_lite0()
    layers = [*network.features[:5], *network.features.stage5[:2]]
    return Preprocess(network, nn.Sequential(*layers))


GROUNDS = {
    "small_net": Ground(
        96,
        lambda: Preprocess(small_net(), nn.Identity()),
        lambda: small_net().features,
        96,
        60,
    ),
    "EfficientNet-Lite0": Ground(
        160, lite_before, lambda: efficientnet_lite0().features.stage5[2:], 112, 60
    ),
}


def scores(network: nn.Module, inputs: Tensor, variants: Tensor) -> dict[str, float]:
    """The share of right variants, and of variants of the right family."""
    found = predict(network, inputs).argmax(dim=1)
    return {
        "variant": share(found == variants),
        "family": share(FAMILIES[found] == FAMILIES[variants]),
    }


def share(right: Tensor) -> float:
    """The share of what is true, to four digits."""
    return round(right.float().mean().item(), 4)


if __name__ == "__main__":
    main()
