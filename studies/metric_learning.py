"""The metric-learning chapter's table: what is found that was never trained on.

    python -m studies.metric_learning [--steps 250] [--seeds 3] [--fresh] [--out FILE]

Three parts, the same network and the same steps. "digits": trained on MNIST's 0 to 6,
the held-out 7, 8 and 9 look for each other. "creatures": trained on 150 creatures in
six views each, 100 others are looked for, two views of each among four more of all.
"plane": all ten digits in two dimensions, where mining decides whether anything is
learned. A row has recall at 1 and mean average precision, by Euclidean distance and by
cosine, and what the loss and the embeddings' spread were on the way.
"""

import argparse
from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import metric_learning as ml
from lesson_utils.common.embedding import EmbeddingNet, embed
from lesson_utils.common.retrieval import mean_average_precision, recall_at_k
from lesson_utils.data.creatures import Creatures
from lesson_utils.data.mnist import mnist
from studies.skeleton import Study

SEEN, UNSEEN, VIEWS, LOOKED_FOR = 150, 100, 6, 2  # creatures, and their pictures
SIDE, DIM, MARGIN = 32, 32, 1.0


def main(arguments: list[str] | None = None) -> None:
    """Measure what needs no training, then train by each loss and seed, and write."""
    study = Study("metric_learning", __doc__, arguments, seeds=3, add=add_options)
    for part, data in (("digits", digits), ("creatures", creatures)):
        for name, features in FEATURES.items():
            key = {"part": part, "loss": name, "seed": 0}
            study.row(key, lambda d=data, f=features: judge(*map_queries(d(), f)))
        for seed in study.seeds:
            for name in LOSSES:
                key = {"part": part, "loss": name, "seed": seed}
                study.row(key, lambda k=key, d=data: measure(k, d(), study.options))
    for seed in study.seeds:
        for name in PLANE:
            key = {"part": "plane", "loss": name, "seed": seed}
            study.row(key, lambda k=key: measure(k, plane(), study.options))
    study.write(steps=study.options.steps, dim=DIM, margin=MARGIN)


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=250)


Data = tuple[Tensor, Tensor, Tensor, Tensor, Tensor]


@cache
def digits() -> Data:
    """Training pictures and labels; held-out ones; which of these are looked for."""
    (images, labels), (others, their) = mnist("train"), mnist("test")
    seen, unseen = labels < 7, their >= 7
    everything = torch.ones(int(unseen.sum()), dtype=torch.bool)
    return images[seen], labels[seen], others[unseen], their[unseen], everything


@cache
def plane() -> Data:
    """All ten digits, to train with and held out."""
    (images, labels), (others, their) = mnist("train"), mnist("test")
    return images, labels, others, their, torch.ones(len(their), dtype=torch.bool)


@cache
def creatures() -> Data:
    """Creatures to train with, others to find; the first views of each are queries."""
    images, labels = views(SEEN, seed=1)
    others, their = views(UNSEEN, seed=2)
    looked_for = torch.arange(len(their)) % VIEWS < LOOKED_FOR
    return images, labels, others, their, looked_for


def views(number: int, *, seed: int) -> tuple[Tensor, Tensor]:
    """Each creature `VIEWS` times, and whose picture each is."""
    drawn = Creatures(number, seed=seed, image_size=SIDE)
    images = [drawn.view(i, k) for i in range(number) for k in range(VIEWS)]
    return torch.stack(images), torch.arange(number).repeat_interleave(VIEWS)


def colors(images: Tensor) -> Tensor:
    """What share of each channel's pixels lies in each of eight ranges, (N, C * 8)."""
    bins = (images * 8).long().clamp(max=7).flatten(2)  # (N, C, H * W)
    return F.one_hot(bins, 8).float().mean(dim=2).flatten(1)


def untrained(images: Tensor) -> Tensor:
    """The embeddings of a network that has learned nothing."""
    torch.manual_seed(0)
    return embed(EmbeddingNet(DIM, channels=images.shape[1]).eval(), images)


FEATURES: dict[str, Callable[[Tensor], Tensor]] = {
    "pixels": lambda images: images.flatten(1),
    "histogram": colors,
    "untrained network": untrained,
}


def map_queries(data: Data, features: Callable[[Tensor], Tensor]) -> tuple:
    """What `judge` takes."""
    return features(data[2]), data[3], data[4]


def pairs(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The contrastive loss of all pairs of a batch."""
    first, second = torch.triu_indices(len(labels), len(labels), 1)
    same = labels[first] == labels[second]
    return ml.contrastive_loss(
        embeddings[first], embeddings[second], same, margin=MARGIN
    )


def triplets(embeddings: Tensor, chosen: tuple[Tensor, ...]) -> Tensor:
    """The triplet loss of those that were chosen; 0 for none."""
    if not len(chosen[0]):
        return 0 * embeddings.sum()
    return ml.triplet_loss(*(embeddings[index] for index in chosen), margin=MARGIN)


def all_triplets(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The triplet loss of all triplets of a batch."""
    same = labels[:, None] == labels
    partner = same & ~torch.eye(len(labels), dtype=torch.bool)
    chosen = (partner[:, :, None] & ~same[:, None]).nonzero().unbind(1)
    return triplets(embeddings, chosen)


def semi_hard(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The triplet loss of the semi-hard ones."""
    return triplets(
        embeddings, ml.semi_hard_triplets(embeddings, labels, margin=MARGIN)
    )


def hardest(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The triplet loss of the hardest ones."""
    return triplets(embeddings, ml.batch_hard_triplets(embeddings, labels))


def quadruplets(embeddings: Tensor, labels: Tensor) -> Tensor:
    """The hardest triplets, and the nearest stranger of each one's negative."""
    anchor, positive, negative = ml.batch_hard_triplets(embeddings, labels)
    distance = ml.pairwise_distance(embeddings.detach(), embeddings.detach())[negative]
    no_third = (labels == labels[anchor][:, None]) | (
        labels == labels[negative][:, None]
    )
    other = distance.masked_fill(no_third, torch.inf).argmin(dim=1)
    chosen = (embeddings[k] for k in (anchor, positive, negative, other))
    return ml.quadruplet_loss(*chosen, margin1=MARGIN, margin2=MARGIN / 2)


LOSSES = {
    "classifier": None,
    "contrastive": pairs,
    "triplet, all": all_triplets,
    "triplet, semi-hard": semi_hard,
    "triplet, hardest": hardest,
    "quadruplet": quadruplets,
}
PLANE = {
    "contrastive": 2,
    "triplet, all": 2,
    "triplet, semi-hard": 2,
    "triplet, hardest": 2,
    "hardest in the second half": 2,
    "hardest, 32 numbers": 32,
    "hardest, small steps": 2,
}


def measure(key: dict, data: Data, options: argparse.Namespace) -> dict[str, object]:
    """Train, then look for what was not trained on."""
    images, labels, others, their, looked_for = data
    torch.manual_seed(key["seed"])
    dim = PLANE[key["loss"]] if key["part"] == "plane" else DIM
    network = EmbeddingNet(dim, channels=images.shape[1])
    history = fit(network, images, labels, key, options.steps)
    found = judge(embed(network, others), their, looked_for)
    return {
        **found,
        "losses": [round(value, 4) for value in history["loss"][9::10]],
        "spreads": [round(value, 4) for value in history.get("spread", [])[9::10]],
    }


def fit(
    network: EmbeddingNet, images: Tensor, labels: Tensor, key: dict, steps: int
) -> dict[str, list[float]]:
    """One training, by the loss that the key names."""
    name, common = key["loss"], {"seed": key["seed"], "progress": False}
    rate = 3e-4 if name == "hardest, small steps" else 3e-3
    common |= {"classes": 10 if key["part"] == "plane" else 7, "samples": 6}
    if key["part"] == "creatures":
        common["classes"] = 10
    if name == "classifier":
        head = nn.Linear(DIM, int(labels.max()) + 1)
        both = nn.Sequential(network, head)
        history = ml.train(both, images, labels, F.cross_entropy, steps=steps,
                           learning_rate=rate, **common)  # fmt: skip
        del history["spread"]  # of the logits, not of the embeddings
        return history
    if name == "hardest in the second half":
        half = steps // 2
        ml.train(
            network, images, labels, pairs, steps=half, learning_rate=rate, **common
        )
        name, steps = "triplet, hardest", steps - half
    loss = LOSSES.get(name, hardest)
    return ml.train(
        network, images, labels, loss, steps=steps, learning_rate=rate, **common
    )


def judge(embeddings: Tensor, labels: Tensor, looked_for: Tensor) -> dict[str, float]:
    """Recall at 1 and mean average precision: queries against all that are none.

    Where everything is a query, each is left out of its own gallery.
    """
    itself = bool(looked_for.all())
    gallery = looked_for if itself else ~looked_for
    found = {}
    for word, distances in (
        ("", ml.pairwise_distance(embeddings[looked_for], embeddings[gallery])),
        ("_cosine", -ml.cosine_similarity(embeddings[looked_for], embeddings[gallery])),
    ):
        if itself:
            distances.fill_diagonal_(torch.inf)
        ranking = distances, labels[looked_for], labels[gallery]
        found["recall" + word] = round(recall_at_k(*ranking, 1), 4)
        found["map" + word] = round(mean_average_precision(*ranking), 4)
    return found


if __name__ == "__main__":
    main()
