"""Train the book's network for aircraft to tell families; write weights and card.

    python -m studies.small_net [--epochs 20] [--images 10000] [--out FOLDER]

It is never told a variant. What its features know of variants all the same is measured
by a linear probe, beside random weights: the chapters on fine-grained classification
begin there.
"""

import argparse
import json
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from tqdm import tqdm

from lesson_utils.common.backbones import WEIGHTS, SmallNet
from lesson_utils.common.compute import pick_device, seed_everything
from lesson_utils.data.aircraft import Aircraft
from studies.tiny_vgg import accuracy, gather, standardise, write

SEEDS = {"train": 1000, "test": 1001}  # of the pictures; chapters draw from others
BATCH = 64


def main() -> None:
    """Draw, train, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)  # not after the training
    start = time.perf_counter()
    images, families, _ = draw(SEEDS["train"], options.images)
    print(f"{len(images):,} pictures drawn in {time.perf_counter() - start:.0f} s")
    seed_everything(options.seed)
    network = train(images, families, options.epochs)
    fresh, answers, variants = draw(SEEDS["test"], 2400)
    card = {
        "command": "python -m studies.small_net",
        "data": f"{len(images):,} drawn aircraft, labelled by family",
        "seed": options.seed,
        "epochs": options.epochs,
        "minutes": round((time.perf_counter() - start) / 60, 1),
        "device": str(pick_device()),
        "accuracy": round(accuracy(network, fresh, answers), 3),
        "variant_probe": round(probe(network, fresh, variants), 3),
        "variant_probe_random_weights": round(
            probe(SmallNet(1).eval(), fresh, variants), 3
        ),
        "classes": list(Aircraft(1, annotation_level="family").classes),
    }
    write(network, card, options.out / "small_net.safetensors")
    print(json.dumps(card, indent=2))


def draw(seed: int, number: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (N, 3, 96, 96), uint8, their families (N,) and variants (N,)."""
    aircraft = Aircraft(number, seed=seed)
    images, variants = gather(aircraft)
    return images, torch.tensor(aircraft.families)[variants], variants


def train(images: Tensor, labels: Tensor, epochs: int) -> SmallNet:
    """Train a new network, in bf16 on a GPU."""
    device = pick_device()
    network = SmallNet(int(labels.max()) + 1)
    network = network.to(device, memory_format=torch.channels_last)
    steps = len(images) // BATCH
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=4e-3, total_steps=epochs * steps
    )
    bf16 = torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda")
    for _ in range(epochs):
        order = torch.randperm(len(images))[: steps * BATCH].split(BATCH)
        for chosen in tqdm(order, mininterval=10):
            batch = images[chosen]
            batch = batch.flip(-1) if torch.rand(()) < 0.5 else batch
            batch = standardise(batch.to(device))
            batch = batch.contiguous(memory_format=torch.channels_last)
            with bf16:
                loss = F.cross_entropy(
                    network(batch), labels[chosen].to(device), label_smoothing=0.05
                )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        print(f"loss {loss.item():.3f}", flush=True)
    return network.cpu().eval()


@torch.no_grad()
def probe(network: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Test accuracy of a linear classifier of variants on the mean features."""
    features = torch.cat(
        [network.features(standardise(part)).mean((2, 3)) for part in images.split(200)]
    )
    half = len(images) // 2
    scaler = StandardScaler().fit(features[:half])
    linear = LogisticRegression(C=0.1, max_iter=2000)
    linear.fit(scaler.transform(features[:half]), labels[:half])
    return float(linear.score(scaler.transform(features[half:]), labels[half:]))


if __name__ == "__main__":
    main()
