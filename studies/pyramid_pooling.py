"""One network for many sizes, and where an object is, from pyramids of several levels.

    python -m studies.pyramid_pooling [--seeds 3] [--fresh]

Five small classifiers learn the type of the creature in a drawn scene, each for the
same number of steps. They see scenes of three sizes or of one, and end in a pyramid, in
one maximum, in the mean, or in maps of a fixed size, to which all pictures are resized.
They are tested on other scenes, at sizes that none of them has seen among others.

Then a ridge regression reads from the features of EfficientNet-Lite0, pooled in 1 x 1,
2 x 2 or 4 x 4 bins or by their mean, where a scene's creature is, and which type it is.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils.common.pretrained import efficientnet_lite0
from lesson_utils.common.segmenting import standardize
from lesson_utils.data.scenes import Scenes
from lesson_utils.pyramid_pooling import (
    PyramidNet,
    spatial_pyramid_pool,
    train,
)
from studies.skeleton import Study

SIDE, TRAIN, TEST, CLASSES = 96, 2000, 500, 4
STEPS, BATCH, RATE = 300, 32, 4e-3
SIZES = (32, 48, 64)  # of training
TESTED = (32, 40, 48, 56, 64, 80, 96)
# Name: levels, sizes of training, and the size that all pictures get, if there is one.
NETWORKS = {
    "pyramid, three sizes": ((1, 2, 4), SIZES, None),
    "pyramid, one size": ((1, 2, 4), (48,), None),
    "resized to one size": ((6,), (48,), 48),  # of maps of 6 x 6: nothing is pooled
    "one maximum, three sizes": ((1,), SIZES, None),
    "mean, three sizes": (None, SIZES, None),
}
PROBE_SIDE, PROBE_TRAIN, PROBE_TEST = 128, 900, 300
LAYERS = ("stage5", "head")  # of 112 and of 1,280 channels
PENALTIES = (1e-3, 1e-2, 1e-1, 1.0, 10.0)


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, measure, probe, write."""
    study = Study("pyramid_pooling", __doc__, arguments, seeds=3)
    images, labels, _ = draw(TRAIN, seed=0)
    test_images, test_labels, _ = draw(TEST, seed=1)
    for seed in study.seeds:
        for name in NETWORKS:
            study.row(
                {"part": "sizes", "network": name, "seed": seed},
                lambda name=name, seed=seed: sizes_row(
                    name, seed, images, labels, test_images, test_labels
                ),
            )
    features: dict[str, Tensor] = {}
    pictures, kinds, centers = draw(PROBE_TRAIN + PROBE_TEST, seed=2, side=PROBE_SIDE)
    for layer in LAYERS:
        for pooling in ("mean", "1", "2", "4", "1, 2, 4"):
            for seed in study.seeds:

                def measure(layer: str = layer, pooling: str = pooling, seed=seed):
                    if not features:
                        features.update(maps_of(pictures))
                    vectors = pooled(features[layer], pooling)
                    return probe(vectors, kinds, centers, seed)

                study.row(
                    {"part": "where", "layer": layer, "bins": pooling, "seed": seed},
                    measure,
                )
    study.write(
        steps=STEPS,
        batch_size=BATCH,
        rate=RATE,
        scenes=TRAIN,
        test_scenes=TEST,
        side=SIDE,
        tested=TESTED,
        probe_scenes=[PROBE_TRAIN, PROBE_TEST],
        probe_side=PROBE_SIDE,
    )


def draw(number: int, *, seed: int, side: int = SIDE) -> tuple[Tensor, Tensor, Tensor]:
    """Scenes of one creature: bytes, types, and centers of boxes in shares, (N, 2)."""
    scenes = Scenes(number, seed=seed, image_size=side, max_objects=1)
    images = torch.empty(number, 3, side, side, dtype=torch.uint8)
    labels = torch.empty(number, dtype=torch.int64)
    centers = torch.empty(number, 2)
    for index, (image, boxes, types) in enumerate(scenes):
        images[index] = (255 * image).round().byte()
        labels[index] = types[0]
        centers[index] = (boxes[0, :2] + boxes[0, 2:]) / 2
        if index == number - 1:
            break
    return images, labels, centers


def sizes_row(
    name: str,
    seed: int,
    images: Tensor,
    labels: Tensor,
    test_images: Tensor,
    test_labels: Tensor,
) -> dict:
    """Train a network, and its accuracy at each size."""
    levels, sizes, fixed = NETWORKS[name]
    torch.manual_seed(seed)
    network = PyramidNet(CLASSES, levels=levels)
    history = train(
        network,
        images,
        labels,
        sizes=sizes,
        steps=STEPS,
        batch_size=BATCH,
        learning_rate=RATE,
        seed=seed,
        progress=False,
    )
    loss = sum(history["loss"][-50:]) / 50
    accuracies = [
        accuracy_at(network, test_images, test_labels, size, fixed) for size in TESTED
    ]
    weights = sum(p.numel() for p in network.parameters())
    return {"accuracy": accuracies, "loss": loss, "weights": weights}


@torch.no_grad()
def accuracy_at(
    network: PyramidNet, images: Tensor, labels: Tensor, size: int, fixed: int | None
) -> float:
    """Accuracy where pictures come in one size, and are then resized or not."""
    right = 0
    for part, truth in zip(images.split(100), labels.split(100), strict=True):
        seen = standardize(part)
        for side in (size, fixed or size):
            seen = F.interpolate(seen, [side] * 2, mode="bilinear", antialias=True)
        right += (network(seen).argmax(1) == truth).sum().item()
    return right / len(labels)


@torch.no_grad()
def maps_of(images: Tensor) -> dict[str, Tensor]:
    """Maps of EfficientNet-Lite0, by the name of the part they leave."""
    network = efficientnet_lite0()
    kept: dict[str, list[Tensor]] = {layer: [] for layer in LAYERS}
    for part in images.split(50):
        x = network.preprocess(part / 255)
        for name, layer in network.features.named_children():
            x = layer(x)
            if name in kept:
                kept[name].append(x)
    return {name: torch.cat(parts) for name, parts in kept.items()}


def pooled(maps: Tensor, pooling: str) -> Tensor:
    """Vectors from maps: the mean, or bins of the levels named."""
    if pooling == "mean":
        return maps.mean((2, 3))
    return spatial_pyramid_pool(maps, [int(m) for m in pooling.split(",")])


def probe(vectors: Tensor, labels: Tensor, centers: Tensor, seed: int) -> dict:
    """Ridge regressions to the center and to the type, on a split of its own.

    A fifth of what is learned from chooses the penalty.
    """
    order = torch.randperm(
        len(vectors), generator=torch.Generator().manual_seed(100 + seed)
    )
    test, learn = order[:PROBE_TEST], order[PROBE_TEST:]
    fit, choose = learn[: len(learn) // 5 * 4], learn[len(learn) // 5 * 4 :]
    targets = torch.cat([centers, F.one_hot(labels, CLASSES)], dim=1).double()
    x = vectors.double()
    x = (x - x[fit].mean(0)) / x[fit].std(0).clamp(min=1e-6) / x.shape[1] ** 0.5
    y = targets - targets[fit].mean(0)
    gram = x[fit] @ x[fit].T
    best: dict[str, tuple[float, float]] = {}
    for penalty in PENALTIES:
        eye = torch.eye(len(fit), dtype=torch.float64)
        dual = torch.linalg.solve(gram + penalty * eye, y[fit])
        said = x @ (x[fit].T @ dual)
        scores = {"error": distance(said, y), "wrong": wrong(said, y, targets)}
        for name, values in scores.items():
            chosen = values[choose].mean().item()
            if name not in best or chosen < best[name][0]:
                best[name] = (chosen, values[test].mean().item())
    blind = distance(torch.zeros_like(y), y)[test].mean().item()
    return {
        "error": best["error"][1],
        "blind": blind,
        "accuracy": 1 - best["wrong"][1],
        "numbers": vectors.shape[1],
    }


def distance(said: Tensor, y: Tensor) -> Tensor:
    """From the center that is said to the true one, in shares of the side, (N,)."""
    return (said[:, :2] - y[:, :2]).norm(dim=1)


def wrong(said: Tensor, y: Tensor, targets: Tensor) -> Tensor:
    """Whether the type is wrong, (N,), 0 or 1."""
    shift = targets[0] - y[0]  # what the targets were centered by
    return ((said + shift)[:, 2:].argmax(1) != targets[:, 2:].argmax(1)).double()


if __name__ == "__main__":
    main()
