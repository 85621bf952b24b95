"""Train the book's network for aircraft to tell families; write weights and card.

    python -m studies.small_net [--epochs 20] [--images 10000] [--fresh] [--out FOLDER]

It is never told a variant. What its features know of variants all the same is measured
by a linear probe, beside random weights: the chapters on fine-grained classification
begin there.
"""

import argparse
import os

import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from lesson_utils.common.backbones import WEIGHTS, SmallNet
from lesson_utils.common.compute import pick_device, seed_everything
from lesson_utils.data.aircraft import Aircraft
from studies.skeleton import Study, train_classifier
from studies.tiny_vgg import accuracy, gather, standardize

SEEDS = {"train": 1000, "test": 1001}  # of the pictures; chapters draw from others
BATCH = 64


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, measure, write."""
    study = Study(
        "small_net",
        __doc__,
        arguments,
        out=WEIGHTS,
        threads=os.cpu_count() or 1,
        add=add_options,
    )
    options = study.options
    images, families, _ = draw(SEEDS["train"], options.images)
    print(f"{len(images):,} pictures drawn in {study.seconds:.0f} s")
    seed_everything(options.seed)
    network = SmallNet(int(families.max()) + 1)
    train_classifier(
        network,
        images,
        families,
        epochs=options.epochs,
        batch_size=BATCH,
        change=maybe_flip,
        checkpoint=study.checkpoint("training"),
    )
    fresh, answers, variants = draw(SEEDS["test"], 2400)
    study.write_weights(
        network,
        data=f"{len(images):,} drawn aircraft, labeled by family",
        epochs=options.epochs,
        device=str(pick_device()),
        accuracy=round(accuracy(network, fresh, answers), 3),
        variant_probe=round(probe(network, fresh, variants), 3),
        variant_probe_random_weights=round(
            probe(SmallNet(1).eval(), fresh, variants), 3
        ),
        classes=list(Aircraft(1, annotation_level="family").classes),
    )


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--images", type=int, default=10_000)


def draw(seed: int, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (N, 3, 96, 96), uint8, their families (N,) and variants (N,)."""
    aircraft = Aircraft(number, seed=seed)
    images, variants = gather(aircraft)
    return images, torch.tensor(aircraft.families)[variants], variants


def maybe_flip(images: Tensor) -> Tensor:
    """Half of the batches mirrored."""
    return standardize(images.flip(-1) if torch.rand(()) < 0.5 else images)


@torch.no_grad()
def probe(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Test accuracy of a linear classifier of variants on the mean features."""
    features = torch.cat(
        [network.features(standardize(part)).mean((2, 3)) for part in images.split(200)]
    )
    half = len(images) // 2
    scaler = StandardScaler().fit(features[:half])
    linear = LogisticRegression(C=0.1, max_iter=2000)
    linear.fit(scaler.transform(features[:half]), labels[:half])
    return float(linear.score(scaler.transform(features[half:]), labels[half:]))


if __name__ == "__main__":
    main()
