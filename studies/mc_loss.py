"""What the mutual-channel loss does, with the whole network trained and with a part.

    python -m studies.mc_loss [--seeds 5] [--fresh]

Four grounds. "unfrozen": twelve variants of drawn aircraft, sixty pictures of each;
the bundled `small_net`, which was never told a variant, is trained from end to end.
"lite": the same task at 160 pixels for EfficientNet-Lite0, of which the last block that
is used is trained and what lies before it held still. "digits": MNIST, fifty of each
digit, a small network from nothing. On each the rate is chosen for each loss by
itself, on pictures that are used for nothing else. "frozen": `small_net` held still
and computed once, for the sweeps over what the loss has to set.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import mc_loss
from lesson_utils.common.backbones import small_net
from lesson_utils.common.pretrained import efficientnet_lite0
from lesson_utils.data.aircraft import Aircraft
from studies.skeleton import Study

VARIANTS, PER_CLASS = 12, 60  # four families of three; pictures of each variant
FEW = 10  # pictures of each variant, where a network learns them by heart
DIGITS = 50  # of each digit
PICTURE_SEEDS = {"train": 31, "test": 32, "choose": 33}
BATCH, XI, MU, DIVERSITY = 32, 4, 1.0, 3.0
LOSSES = {
    "CE": {"mu": 0.0},
    "CE + L_dis": {"diversity": 0.0},
    "CE + L_dis + L_div": {},
}
RATES = (0.02, 0.06, 0.2, 0.6)  # of the new layers; the backbone's is a share of it
FROZEN = {"steps": 360, "rate": 0.1}  # where cross entropy alone did best
# What tells the variants of a family apart, but for the length of some.
TELLING = {
    "Boeing 737": ("windows",),
    "A320": ("windows", "doors", "exits"),
    "MD-80": ("windows", "engines"),
    "LC-1": ("doors", "antennas"),
}


@dataclass(frozen=True)
class Pictures:
    """Pictures, or what a network makes of them, with labels and part boxes."""

    images: Tensor
    targets: Tensor
    boxes: list[Tensor] | None = None

    def first(self, number: int) -> "Pictures":
        """The first of them; classes take turns."""
        boxes = self.boxes and self.boxes[:number]
        return Pictures(self.images[:number], self.targets[:number], boxes)


@dataclass(frozen=True)
class Ground:
    """What is trained on what, and for how long."""

    data: Callable[[str], Pictures]
    build: Callable[[int], mc_loss.ChannelNet]
    steps: int
    backbone_share: float  # of the learning rate of the new layers
    choice_seeds: int = 1


def main(arguments: list[str] | None = None) -> None:
    """Choose, train, measure, write."""
    study = Study("mc_loss", __doc__, arguments, seeds=5)
    rates = {}
    for part, ground in GROUNDS.items():
        rates[part] = choose(study, part, ground)
        compare(study, part, ground, rates[part])
    sweep(study)
    study.write(
        variants=VARIANTS,
        pictures_per_class=PER_CLASS,
        digits_per_class=DIGITS,
        few=FEW,
        steps={part: ground.steps for part, ground in GROUNDS.items()}
        | {"frozen": FROZEN["steps"]},
        batch_size=BATCH,
        rates=rates,
    )


def choose(study: Study, part: str, ground: Ground) -> dict[str, float]:
    """For each loss the rate at which it does best on the pictures set aside."""
    best = {}
    for name, setting in LOSSES.items():
        found = {}
        for rate in RATES:
            rows = [
                study.row(
                    {"part": part, "for": "choice", "loss": name, "rate": rate} | seed,
                    lambda s=setting, r=rate, seed=seed["seed"]: {
                        "accuracy": accuracy(
                            trained(ground, BASE | s, r, seed), ground.data("choose")
                        )
                    },
                )
                for seed in ({"seed": 100 + k} for k in range(ground.choice_seeds))
            ]
            found[rate] = sum(row["accuracy"] for row in rows)
        best[name] = max(found, key=found.get)
    return best


def compare(study: Study, part: str, ground: Ground, rates: dict[str, float]) -> None:
    """Every loss at its rate, on every seed."""
    for seed in study.seeds:
        for name, setting in LOSSES.items():
            key = {"part": part, "for": "loss", "loss": name, "seed": seed}
            study.row(
                key,
                lambda n=name, s=BASE | setting, k=seed: measure(
                    ground, s, rates[n], k
                ),
            )


def sweep(study: Study) -> None:
    """On frozen features: what each number of the loss does."""
    for seed in study.seeds:
        for what, setting in SWEEPS:
            key = {"part": "frozen", "for": what, **BASE, **setting, "seed": seed}

            def run(setting=setting, seed=seed) -> dict:
                chosen = {**BASE, **setting}
                ground = replace(FROZEN_GROUND, build=lambda s: head(chosen["xi"], s))
                return measure(ground, chosen, FROZEN["rate"], seed)

            study.row(key, run)


def trained(
    ground: Ground, setting: dict, rate: float, seed: int
) -> mc_loss.ChannelNet:
    """A network trained with one setting."""
    model, data = ground.build(seed), fitted(ground, setting)
    mc_loss.train(
        model,
        data.images,
        data.targets,
        steps=ground.steps,
        loss=loss_of(setting, int(data.targets.max()) + 1),
        batch_size=BATCH,
        learning_rate=rate,
        backbone_rate=rate * ground.backbone_share,
        seed=seed,
    )
    return model


def fitted(ground: Ground, setting: dict) -> Pictures:
    """The pictures that are trained on: all, or the first few of each class."""
    data = ground.data("train")
    few = setting["per_class"]
    return data.first(few * (int(data.targets.max()) + 1)) if few else data


def measure(ground: Ground, setting: dict, rate: float, seed: int) -> dict:
    """Train with one setting, and say what came of it on the test pictures."""
    test, start = ground.data("test"), time.process_time()
    model, xi = trained(ground, setting, rate, seed), setting["xi"]
    seconds = time.process_time() - start
    logits, maps = maps_of(model, test)
    fit = fitted(ground, setting)
    by_channels = mc_loss.channel_max_pool(maps, xi).mean(dim=(2, 3))
    before = maps_of(ground.build(seed), test)[1]
    row = {
        "rate": rate,
        "accuracy": share(logits, test.targets),
        "train_accuracy": share(maps_of(model, fit)[0], fit.targets),
        "channel_accuracy": share(by_channels, test.targets),
        "diversity_before": round(mc_loss.diversity_loss(before, xi).item(), 3),
        "diversity_after": round(mc_loss.diversity_loss(maps, xi).item(), 3),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds, 1),
    }
    if test.boxes is not None:
        own = [mc_loss.own_channels(m, test.targets, xi) for m in (before, maps)]
        hits = [mc_loss.peak_hits(each, test.boxes) for each in own]
        row |= {
            "hits_before": round(hits[0][0].item(), 4),
            "hits": round(hits[1][0].item(), 4),
            "chance": round(hits[1][1].item(), 4),
        }
    return row


def accuracy(model: mc_loss.ChannelNet, data: Pictures) -> float:
    """The share of pictures that a trained network classifies rightly."""
    return share(maps_of(model, data)[0], data.targets)


def share(logits: Tensor, targets: Tensor) -> float:
    """The share that is right, to four digits."""
    return round((logits.argmax(dim=1) == targets).float().mean().item(), 4)


def loss_of(setting: dict, classes: int) -> Callable[..., Tensor] | None:
    """The loss on the channels; None for cross entropy alone."""
    if not setting["mu"]:
        return None
    if setting["pool"] == "mean":
        return average_loss(setting)
    names = ("mu", "diversity", "keep", "per_sample")
    return mc_loss.MutualChannelLoss(
        classes, setting["xi"], **{name: setting[name] for name in names}
    )


def average_loss(setting: dict) -> Callable[..., Tensor]:
    """L_dis with an average over a class's channels where the paper has a maximum."""
    xi = setting["xi"]

    def loss(features: Tensor, targets: Tensor, *, generator: torch.Generator):
        mask = mc_loss.channel_mask(
            xi, num_classes=VARIANTS, keep=setting["keep"], generator=generator
        )
        groups = (features * mask).unflatten(1, (VARIANTS, xi))
        return setting["mu"] * F.cross_entropy(groups.mean(dim=(2, 3, 4)), targets)

    return loss


@torch.no_grad()
def maps_of(model: mc_loss.ChannelNet, data: Pictures) -> tuple[Tensor, Tensor]:
    """Logits and maps, in evaluation mode."""
    parts = [model.eval()(part) for part in data.images.split(120)]
    logits, maps = zip(*parts, strict=True)
    return torch.cat(logits), torch.cat(maps)


@cache
def draw(name: str, size: int = 96) -> Pictures:
    """Pictures in [0, 1] with the boxes of what tells their family's variants apart."""
    number = VARIANTS * PER_CLASS
    seed = PICTURE_SEEDS[name]
    data = Aircraft(number, seed=seed, num_variants=VARIANTS, image_size=size)
    images, boxes = [], []
    for record in map(data.describe, range(number)):
        images.append(record.image)
        telling = [p for p in TELLING[record.family] if p in record.parts]
        boxes.append(torch.stack([record.parts[part] for part in telling]))
    return Pictures(torch.stack(images), torch.arange(number) % VARIANTS, boxes)


@cache
def standardized(name: str) -> Pictures:
    """As `small_net` takes them."""
    network, data = small_net(), draw(name)
    images = (data.images - network.mean[:, None, None]) / network.std[:, None, None]
    return replace(data, images=images)


@cache
def frozen(name: str) -> Pictures:
    """What `small_net` makes of the pictures, up to its last convolution."""
    return computed(small_net().features, standardized(name))


@cache
def lite(name: str) -> Pictures:
    """What EfficientNet-Lite0 makes of them, up to the block that is trained."""
    network, data = efficientnet_lite0(), draw(name, 160)
    images = (data.images - network.mean[:, None, None]) / network.std[:, None, None]
    return computed(network.features[:5], replace(data, images=images))


@torch.no_grad()
def computed(network: nn.Module, data: Pictures) -> Pictures:
    """The features of the pictures, a few pictures at a time."""
    parts = [network(part) for part in data.images.split(60)]
    return replace(data, images=torch.cat(parts))


@cache
def digits(name: str) -> Pictures:
    """A few of MNIST's digits, and others to choose by and to test with."""
    from lesson_utils.data.mnist import mnist  # no other ground needs it

    images, labels = mnist("test" if name == "test" else "train")
    if name == "test":
        return Pictures(images, labels)
    places = [(labels == digit).nonzero().flatten() for digit in range(10)]
    start = 0 if name == "train" else DIGITS
    number = DIGITS if name == "train" else 100
    # Classes take turns, so that the first few are as many of each.
    order = torch.stack([place[start : start + number] for place in places], dim=1)
    return Pictures(images[order.flatten()], labels[order.flatten()])


def head(xi: int, seed: int) -> mc_loss.ChannelNet:
    """The layers on frozen features: the same at a seed, whatever the loss."""
    torch.manual_seed(seed)
    return mc_loss.ChannelNet(nn.Identity(), 96, VARIANTS, xi)


def whole(seed: int) -> mc_loss.ChannelNet:
    """`small_net`'s convolutions, to be trained, and new layers."""
    torch.manual_seed(seed)
    return mc_loss.ChannelNet(small_net().features, 96, VARIANTS, XI)


def lite_end(seed: int) -> mc_loss.ChannelNet:
    """EfficientNet-Lite0's fifth stage, to be trained, and new layers."""
    torch.manual_seed(seed)
    return mc_loss.ChannelNet(efficientnet_lite0().features.stage5, 112, VARIANTS, XI)


def digit_net(seed: int) -> mc_loss.ChannelNet:
    """Three convolutions from nothing, and maps of 14 by 14."""
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for inputs, outputs, stride in ((1, 24, 1), (24, 48, 2), (48, 48, 1)):
        layers += [
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        ]
    return mc_loss.ChannelNet(nn.Sequential(*layers), 48, 10, XI)


BASE = {"xi": XI, "mu": MU, "diversity": DIVERSITY, "keep": 0.5}
BASE |= {"per_sample": False, "pool": "max", "per_class": 0}
SWEEPS: list[tuple[str, dict]] = [
    *(("loss", each) for each in LOSSES.values()),
    *(("xi", {"xi": xi, "mu": mu}) for xi in (2, 8) for mu in (0.0, MU)),
    *(("mu", {"mu": mu}) for mu in (0.3, 3.0)),
    *(("diversity", {"diversity": value}) for value in (1.0, 10.0)),
    ("pool", {"pool": "mean", "diversity": 0.0}),
    *(("keep", {"keep": keep}) for keep in (2 / 3, 1.0)),
    ("mask", {"per_sample": True}),
    *(("few", {**each, "per_class": FEW}) for each in LOSSES.values()),
]
FROZEN_GROUND = Ground(frozen, whole, FROZEN["steps"], 1.0)
GROUNDS = {
    "unfrozen": Ground(standardized, whole, 150, 1 / 30),
    "digits": Ground(digits, digit_net, 200, 1.0, 2),
    "lite": Ground(lite, lite_end, 120, 1 / 30),
}


if __name__ == "__main__":
    main()
