"""Attention pooling, frozen and trained: against the mean, with centers, with twins.

    python -m studies.attention_pooling [--seeds 3] [--fresh] [--out FILE]

Twelve variants of drawn aircraft, forty pictures of each. Two networks get new layers
on top: the bundled `small_net`, which learned families, at 96 pixels, and is trained as
a whole; and EfficientNet-Lite0, which learned photographs, at 160, up to its fifth
stage: held still, or with that stage's last block trained. The last maps are pooled by
their mean, or under eight attention maps; those are trained alone, with the center
loss, or (where the whole network sees pictures) with twins that are cropped or dropped
by a map. The rate is chosen for the mean and for the maps by themselves, on pictures
that are used for nothing else.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from lesson_utils import attention_pooling as ap
from lesson_utils.common.backbones import small_net
from lesson_utils.common.pretrained import efficientnet_lite0
from lesson_utils.common.probes import part_hits
from lesson_utils.data.aircraft import Aircraft
from studies.skeleton import Study

VARIANTS, MAPS, BATCH = 12, 8, 24
DRAWN = {"train": (31, 40), "test": (32, 40), "choose": (33, 20)}  # seed, of each
PARTS = ("windows", "doors", "engines", "fin", "wing", "tip", "cockpit", "stabiliser")
WAYS: dict[str, dict] = {
    "mean": {},
    "maps": {},
    "maps, centers": {"center_weight": 10.0},
    "maps, crop": {"twins": "crop"},
    "maps, drop": {"twins": "drop"},
}
RATES = (1e-3, 4e-3)  # of the features
# New layers learn faster; those on the mean see small numbers, and fastest.
FASTER = {"mean": 30, "maps": 3}


@dataclass(frozen=True)
class Ground:
    """A network, held still up to a place, and trained from there on."""

    size: int  # of a picture
    before: Callable[[Tensor], Tensor]
    after: Callable[[], nn.Module]
    channels: int
    steps: int
    ways: tuple[str, ...]


class MeanNet(nn.Module):
    """The baseline: features, their mean, and a linear layer."""

    def __init__(self, features: nn.Module, num_features: int) -> None:
        super().__init__()
        self.features = features
        self.classifier = nn.Linear(num_features, VARIANTS)

    def forward(self, images: Tensor) -> tuple[Tensor, None, None]:
        """(B, ...) to logits (B, K); no parts, no maps."""
        return self.classifier(self.features(images).mean((2, 3))), None, None


def main(arguments: list[str] | None = None) -> None:
    """Choose, train, measure, write."""
    study = Study("attention_pooling", __doc__, arguments, seeds=3)
    rates = {}
    for part, ground in GROUNDS.items():
        rates[part] = {kind: choose(study, part, kind) for kind in FASTER}
        for seed in study.seeds:
            for way in ground.ways:
                rate = rates[part][kind_of(way)]
                study.row(
                    {"part": part, "way": way, "seed": seed},
                    lambda p=part, w=way, r=rate, s=seed: measure(p, w, r, s),
                )
    study.write(
        variants=VARIANTS,
        pictures_per_class=DRAWN["train"][1],
        maps=MAPS,
        steps={part: ground.steps for part, ground in GROUNDS.items()},
        batch_size=BATCH,
        center_weight=WAYS["maps, centers"]["center_weight"],
        rates=rates,
    )


def kind_of(way: str) -> str:
    """Whose rate a way of pooling has."""
    return way.split(",")[0]


def choose(study: Study, part: str, kind: str) -> float:
    """The rate of the features at which a way does best on pictures set aside."""
    found = {}
    for rate in RATES:
        row = study.row(
            {"part": part, "choice": kind, "rate": rate},
            lambda r=rate: {
                "accuracy": accuracy(trained(part, kind, r, 100), part, "choose")
            },
        )
        found[rate] = row["accuracy"]
    return max(found, key=found.get)


def trained(part: str, way: str, rate: float, seed: int) -> nn.Module:
    """A network trained in one way."""
    ground, (inputs, labels, _) = GROUNDS[part], data(part, "train")
    torch.manual_seed(seed)
    if way == "mean":
        network: nn.Module = MeanNet(ground.after(), ground.channels)
    else:
        network = ap.AttentionNet(
            ground.after(),
            num_features=ground.channels,
            num_attentions=MAPS,
            num_classes=VARIANTS,
        )
    ap.train(
        network,
        inputs,
        labels,
        steps=ground.steps,
        batch_size=BATCH,
        learning_rate=rate * FASTER[kind_of(way)],
        backbone_rate=rate,
        seed=seed,
        **WAYS[way],
    )
    return network


def measure(part: str, way: str, rate: float, seed: int) -> dict:
    """Train in one way, and say what came of it on the test pictures."""
    start = time.process_time()
    network = trained(part, way, rate, seed)
    row = {"rate": rate, "seconds": round(time.process_time() - start, 1)}
    row["accuracy"] = accuracy(network, part, "test")
    row["train_accuracy"] = accuracy(network, part, "train")
    if way == "mean":
        return row
    inputs, _, boxes = data(part, "test")
    maps = outputs(network, inputs)[1]
    row["hits"], names = own_part(maps, boxes)
    row["hits_elsewhere"] = own_part(maps.roll(len(maps) // 3 + 1, 0), boxes)[0]
    row["parts_found"] = len(set(names))
    unit = torch.nn.functional.normalize(maps.flatten(2), dim=2)
    alike = (unit @ unit.mT).mean(dim=0)
    row["alike"] = round(((alike.sum() - alike.trace()) / (MAPS**2 - MAPS)).item(), 4)
    return row


def own_part(maps: Tensor, boxes: Tensor) -> tuple[float, list[str]]:
    """How often maps hit the part that is theirs, on average, and which that is.

    A map's part is the one it hits most often in the first half of the pictures; the
    second half judges.
    """
    hits = part_hits(maps, boxes).float()
    first, second = (half.mean(dim=0) for half in hits.chunk(2))  # (M, parts)
    own = first.argmax(dim=1)
    share = second.gather(1, own[:, None]).mean()
    return round(share.item(), 4), [PARTS[place] for place in own.tolist()]


def accuracy(network: nn.Module, part: str, name: str) -> float:
    """The share of pictures that a network classifies rightly."""
    inputs, labels, _ = data(part, name)
    right = outputs(network, inputs)[0].argmax(dim=1) == labels
    return round(right.float().mean().item(), 4)


@torch.no_grad()
def outputs(network: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor | None]:
    """Logits and maps, in evaluation mode."""
    parts = [network.eval()(piece) for piece in inputs.split(120)]
    logits = torch.cat([part[0] for part in parts])
    return logits, None if parts[0][2] is None else torch.cat([p[2] for p in parts])


@cache
@torch.no_grad()
def data(part: str, name: str) -> tuple[Tensor, Tensor, Tensor]:
    """What is held still makes of the pictures; variants; boxes of parts (N, P, 4)."""
    ground, (seed, number) = GROUNDS[part], DRAWN[name]
    number *= VARIANTS
    aircraft = Aircraft(
        number, seed=seed, num_variants=VARIANTS, image_size=ground.size
    )
    records = [aircraft.describe(index) for index in range(number)]
    boxes = torch.full((number, len(PARTS), 4), 2.0)  # outside: what is not there
    for place, record in enumerate(records):
        for at, part_name in enumerate(PARTS):
            if part_name in record.parts:
                boxes[place, at] = record.parts[part_name]
    images = torch.stack([record.image for record in records])
    inputs = torch.cat([ground.before(piece) for piece in images.split(60)])
    return inputs, torch.arange(number) % VARIANTS, boxes


def lite_before(images: Tensor, blocks: int = 3) -> Tensor:
    """EfficientNet-Lite0, up to so many blocks of its fifth stage, of three."""
    network = lite()
    maps = network.features[:5](network.preprocess(images))
    return network.features.stage5[:blocks](maps)


@cache
def lite() -> nn.Module:
    """Read once."""
    return efficientnet_lite0()


GROUNDS = {
    "small_net": Ground(
        96,
        lambda images: small_net().preprocess(images),
        lambda: small_net().features,
        96,
        90,
        tuple(WAYS),
    ),
    "EfficientNet-Lite0": Ground(
        160,
        lite_before,
        nn.Identity,
        112,
        90,
        ("mean", "maps", "maps, centers"),
    ),
    "EfficientNet-Lite0, its last block trained": Ground(
        160,
        lambda images: lite_before(images, blocks=2),
        lambda: efficientnet_lite0().features.stage5[2:],
        112,
        90,
        ("mean", "maps", "maps, centers"),
    ),
}


if __name__ == "__main__":
    main()
