"""The chapter on margins in softmax: circle and sphere, verification, the last layer.

    python -m studies.margin_softmax [--steps 250] [--seeds 3] [--fresh] [--out FILE]

Three parts. "layer": time and memory of a last layer up to 100,000 classes, with all of
them and with a tenth. "circle" and "sphere": MNIST in two and three dimensions, first
by softmax, the same for all, then for half as many steps by each loss; angles within
and between the held-out digits' classes, in degrees. "verify": trained on 150 creatures
in six views each, all pairs of the views of 100 others are told apart.
"""

import argparse
import copy
import resource
import time
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import margin_softmax as ms
from lesson_utils import metric_learning as ml
from lesson_utils.common.embedding import EmbeddingNet, embed
from lesson_utils.common.verification import fold_accuracy, tar_at_far
from lesson_utils.data.mnist import mnist
from studies.metric_learning import SEEN, UNSEEN, pairs, views
from studies.skeleton import Study

DIM, SCALE, SHOWN = 32, 16.0, 400
# On the circle ten classes leave a cosine margin of 1 - cos 36 degrees = 0.19.
HEADS = {
    "softmax": {"margin": 0},
    "sphereface": {"margin": 2},
    "cosface": {"margin": 0.15},
    "arcface": {"margin": 0.3},
}
VERIFIERS = {
    **HEADS,
    "sphereface": {"margin": 2},
    "cosface": {"margin": 0.3},
    "arcface": {"margin": 0.4},
    "no margin": {"margin": 0},
    "contrastive": None,
}


def main(arguments: list[str] | None = None) -> None:
    """Measure the layer, train on the circle, the sphere, and creatures, and write."""
    study = Study("margin_softmax", __doc__, arguments, seeds=3, add=add_options)
    for classes in (1000, 10_000, 100_000):
        key = {"part": "layer", "classes": classes}
        study.row(key, lambda c=classes: layer(c))
    for seed in study.seeds:
        for part, dim in (("circle", 2), ("sphere", 3)):
            for loss in HEADS:
                key = {"part": part, "loss": loss, "seed": seed}
                study.row(key, lambda k=key, d=dim: round_ball(k, d, study.options))
    for seed in study.seeds:
        for loss in VERIFIERS:
            key = {"part": "verify", "loss": loss, "seed": seed}
            study.row(key, lambda k=key: verify(k, study.options))
    study.write(steps=study.options.steps, scale=SCALE, dim=DIM)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=250)


def peak() -> float:
    """The most memory that this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def layer(classes: int, *, batch: int = 64, dim: int = 512) -> dict[str, float]:
    """Forward and backward through the last layer: all classes, and a tenth of them."""
    dice = torch.Generator().manual_seed(0)
    before = peak()
    weight = torch.randn(classes, dim, generator=dice).requires_grad_()
    features = torch.randn(batch, dim, generator=dice).requires_grad_()
    targets = torch.randint(classes, (batch,), generator=dice)

    def step(rows: Tensor, names: Tensor) -> None:
        cosine = ms.cosine_logits(features, rows)
        F.cross_entropy(ms.cosface_logits(cosine, names), names).backward()

    def sampled() -> None:
        number = max(len(targets.unique()), classes // 10)
        chosen, names = ms.sample_classes(targets, classes, number, generator=dice)
        step(weight.detach()[chosen].requires_grad_(), names)

    seconds = {}
    for name, once in (("all", lambda: step(weight, targets)), ("tenth", sampled)):
        times = []
        for _ in range(3):
            weight.grad = None
            start = time.process_time()
            once()
            times.append(time.process_time() - start)
        seconds[name] = round(sorted(times)[1], 4)
        if name == "all":
            used = round(peak() - before)
    return {"seconds": seconds["all"], "seconds_tenth": seconds["tenth"], "mib": used}


@cache
def start(dim: int, seed: int, steps: int) -> tuple[EmbeddingNet, ms.MarginHead]:
    """A network that softmax has trained, from which all losses go on."""
    images, labels = mnist("train")
    torch.manual_seed(seed)
    network = EmbeddingNet(dim)
    head = ms.MarginHead(dim, 10, loss="softmax", margin=0, scale=1)
    ms.train(network, head, images, labels, steps=steps, seed=seed, progress=False)
    return network, head


def round_ball(key: dict, dim: int, options: argparse.Namespace) -> dict[str, object]:
    """Go on by one loss, and measure angles."""
    (images, labels), (others, their) = mnist("train"), mnist("test")
    network, first = copy.deepcopy(start(dim, key["seed"], 2 * options.steps))
    loss = key["loss"]
    head = ms.MarginHead(dim, 10, loss=loss, scale=SCALE, **HEADS[loss])
    head.load_state_dict(first.state_dict())
    ms.train(network, head, images, labels, steps=options.steps, learning_rate=1e-3,
             seed=key["seed"] + 1, progress=False)  # fmt: skip
    features = embed(network, others)
    found = angles(features, their, head.weight.detach())
    if not key["seed"]:
        found["points"] = [
            [round(x, 3) for x in row] for row in features[:SHOWN].tolist()
        ]
        found["weight"] = [[round(x, 3) for x in row] for row in head.weight.tolist()]
    return found


def angles(features: Tensor, labels: Tensor, weight: Tensor) -> dict[str, object]:
    """Accuracy by the angle, and degrees within classes and to the next one."""
    right = ms.cosine_logits(features, weight).argmax(1) == labels
    unit = ml.unit_vectors(features)
    classes = range(len(weight))
    means = torch.stack([ml.unit_vectors(unit[labels == k].mean(0)) for k in classes])
    off = torch.rad2deg((unit * means[labels]).sum(1).clamp(-1, 1).acos())
    apart = torch.rad2deg((means @ means.T).clamp(-1, 1).acos())
    next_one = apart.fill_diagonal_(torch.inf).min(1).values
    return {
        "accuracy": round(right.double().mean().item(), 4),
        "within": round(off.median().item(), 2),
        "between": round(next_one.mean().item(), 2),
        "closest": round(next_one.min().item(), 2),
    }


@cache
def creatures() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Those to train with, and those to tell apart."""
    return (*views(SEEN, seed=1), *views(UNSEEN, seed=2))


def verify(key: dict, options: argparse.Namespace) -> dict[str, object]:
    """Train on some creatures, tell pairs of others apart."""
    images, labels, others, their = creatures()
    torch.manual_seed(key["seed"])
    network, loss = EmbeddingNet(DIM, channels=3), key["loss"]
    common = {"steps": options.steps, "seed": key["seed"], "progress": False}
    if loss == "contrastive":
        ml.train(network, images, labels, pairs, classes=10, samples=6,
                 learning_rate=3e-3, **common)  # fmt: skip
    else:
        name = "cosface" if loss == "no margin" else loss
        head = ms.MarginHead(DIM, SEEN, loss=name, scale=SCALE, **VERIFIERS[loss])
        ms.train(network, head, images, labels, learning_rate=1e-2, **common)
    return judge(embed(network, others), their)


def judge(features: Tensor, labels: Tensor) -> dict[str, object]:
    """True accept rates of all pairs, and the accuracy on balanced ones."""
    first, second = torch.triu_indices(len(labels), len(labels), 1)
    scores = ms.cosine_logits(features, features)[first, second]
    same = labels[first] == labels[second]
    found = {
        f"tar_{far:g}": round(tar_at_far(scores, same, far), 4)
        for far in (1e-2, 1e-3, 1e-4)
    }
    dice = torch.Generator().manual_seed(0)
    yes = same.nonzero().flatten()
    no = (~same).nonzero().flatten()
    yes = yes[torch.randperm(len(yes), generator=dice)]
    no = no[torch.randperm(len(no), generator=dice)[: len(yes)]]
    both = torch.cat([yes, no])
    parts = fold_accuracy(scores[both], same[both])
    found |= {"accuracy": round(parts.mean().item(), 4)}
    return found | {"deviation": round(parts.std().item(), 4)}


if __name__ == "__main__":
    main()
