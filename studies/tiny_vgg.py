"""Train the book's small backbone on drawn pictures; write its weights and their card.

    python -m studies.tiny_vgg [--epochs 8] [--per-class 400] [--fresh] [--out FOLDER]

The pictures are textures of 44 families and creatures of five types. Eleven families of
textures and the other types are kept from the training: a linear probe on the families
says what the features are worth, beside random ones. Batch normalization helps the
training and is then folded into the convolutions.
"""

import argparse
import os
from itertools import pairwise

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from lesson_utils.common.backbones import WEIGHTS, TinyVGG
from lesson_utils.common.compute import pick_device, seed_everything
from lesson_utils.data.creatures import Creatures
from lesson_utils.data.textures import FAMILIES, Textures
from lesson_utils.normalization import fold_batch_norm
from studies.skeleton import Study, train_classifier

HELD_OUT = FAMILIES[2::5]  # families the probe has to tell apart
SEEDS = {"train": 0, "test": 1, "probe": 2}  # of the pictures
TYPES = 5  # types of creatures to learn; the others are left for fine-tuning
BATCH = 128
CROP = 56  # of 64 pixels: another place at each pass


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, measure, fold, write."""
    study = Study(
        "tiny_vgg",
        __doc__,
        arguments,
        out=WEIGHTS,
        threads=os.cpu_count() or 1,
        add=add_options,
    )
    options = study.options
    images, labels, classes = draw(SEEDS["train"], options.per_class)
    print(f"{len(images):,} pictures drawn in {study.seconds:.0f} s")
    seed_everything(options.seed)
    trained = with_batch_norm(TinyVGG(len(classes)))
    train_classifier(
        trained,
        images,
        labels,
        epochs=options.epochs,
        batch_size=BATCH,
        change=crop_and_flip,
        checkpoint=study.checkpoint("training"),
        rise=0.2,
    )
    network = fold(trained, len(classes))
    fresh, answers, _ = draw(SEEDS["test"], 40)
    untrained = [probe(TinyVGG(1).eval()) for _ in range(5)]
    study.write_weights(
        network,
        data=f"{len(images):,} drawn pictures, {len(classes)} classes",
        epochs=options.epochs,
        device=str(pick_device()),
        accuracy=round(accuracy(network, fresh, answers), 3),
        probe_families=HELD_OUT,
        probe_accuracy=round(probe(network), 3),
        probe_accuracy_random_weights=[round(value, 3) for value in untrained],
        classes=classes,
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--per-class", type=int, default=400)


def draw(seed: int, per_class: int) -> tuple[Tensor, Tensor, list[str]]:
    """Pictures (N, 3, 64, 64), uint8, of all classes alike, labels (N,), their names.

    Args:
        seed: of the pictures.
        per_class: how many of each class.

    Returns:
        The three of them.
    """
    families = [family for family in FAMILIES if family not in HELD_OUT]
    textures = Textures(per_class * len(families), seed=seed, families=families)
    creatures = Creatures(per_class * len(Creatures.classes), seed=seed)
    images, labels = gather(textures)
    sprites, types = gather(creatures)
    known = types < TYPES
    return (
        torch.cat([images, sprites[known]]),
        torch.cat([labels, types[known] + len(families)]),
        families + [f"{name} creature" for name in Creatures.classes[:TYPES]],
    )


def gather(pictures: Dataset) -> tuple[Tensor, Tensor]:
    """A data set's pictures as bytes, (N, 3, S, S), and its labels, (N,)."""
    loader = DataLoader(pictures, batch_size=500, num_workers=os.cpu_count() or 1)
    batches = [((images * 255).byte(), labels) for images, labels in loader]
    images, labels = zip(*batches, strict=True)
    return torch.cat(images), torch.cat(labels)


def with_batch_norm(network: TinyVGG) -> nn.Sequential:
    """The same layers with batch normalization behind each convolution, to train."""
    layers = []
    for layer in network.features:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.BatchNorm2d(layer.out_channels))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), network.classifier]
    return nn.Sequential(*layers, *head)


def fold(network: nn.Sequential, num_classes: int) -> TinyVGG:
    """A `TinyVGG` that computes what the trained network does in evaluation."""
    result, layers = TinyVGG(num_classes), list(network)
    convolutions = (m for m in result.features if isinstance(m, nn.Conv2d))
    with torch.no_grad():
        for layer, norm in pairwise(layers):
            if isinstance(layer, nn.Conv2d):
                statistics = norm.weight, norm.bias, norm.running_mean, norm.running_var
                kernel, bias = fold_batch_norm(
                    layer.weight, layer.bias, *statistics, eps=norm.eps
                )
                target = next(convolutions)
                target.weight.copy_(kernel)
                target.bias.copy_(bias)
        result.classifier.load_state_dict(layers[-1].state_dict())
    return result.eval()


def standardize(images: Tensor) -> Tensor:
    """Bytes (B, 3, H, W) as the network takes them."""
    return (images.float() / 255 - 0.5) / 0.25


def crop_and_flip(images: Tensor) -> Tensor:
    """Another place of each picture at each pass, and half of the batches mirrored."""
    top, left = torch.randint(0, 64 - CROP + 1, (2,)).tolist()
    images = images[:, :, top : top + CROP, left : left + CROP]
    return standardize(images.flip(-1) if torch.rand(()) < 0.5 else images)


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """The share of right answers."""
    guesses = [network(standardize(part)).argmax(1) for part in images.split(200)]
    return (torch.cat(guesses) == labels).float().mean().item()


@torch.no_grad()
def probe(network: TinyVGG) -> float:
    """Test accuracy of a linear classifier on features of families never seen."""
    images, labels = gather(
        Textures(60 * len(HELD_OUT), seed=SEEDS["probe"], families=HELD_OUT)
    )
    features = torch.cat(
        [network.features(standardize(p)).mean((2, 3)) for p in images.split(200)]
    )
    half = len(images) // 2
    scaler = StandardScaler().fit(features[:half])
    linear = LogisticRegression(C=0.1, max_iter=2000)
    linear.fit(scaler.transform(features[:half]), labels[:half])
    return float(linear.score(scaler.transform(features[half:]), labels[half:]))


if __name__ == "__main__":
    main()
