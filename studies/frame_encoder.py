"""Train the book's network for frames of walking creatures; write weights and card.

    python -m studies.frame_encoder [--steps 500] [--fresh] [--out FOLDER]

It sees single frames of short videos, none of them occluded, and is to tell by whom two
frames are: frames of one creature near each other, of two creatures apart. The card
says how well it finds creatures that it has never seen, by the mean of ten frames.
"""

import argparse
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.embedding import EmbeddingNet, embed, likeness_loss
from lesson_utils.common.retrieval import mean_average_precision
from lesson_utils.data.tracklets import Tracklets, stack_tracklets
from lesson_utils.metric_learning import train
from studies.skeleton import Study

DIM, TRAIN, TEST, CAMERAS = 64, 240, 80, 3  # identities, and videos of each
CLASSES, SAMPLES, RATE = 24, 4, 2e-3


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, measure, write."""
    study = Study("frame_encoder", __doc__, arguments, out=WEIGHTS, add=add_options)
    steps, seed = study.options.steps, study.options.seed
    network = train_encoder(
        *clean_frames(), steps=steps, seed=seed, checkpoint=study.checkpoint("training")
    )
    network.half().float()  # as it is read again
    scores = {}
    for occluded in (0.0, 0.4):
        images, _, _ = held_out_videos(occluded)
        scores[f"mean_average_precision_{round(100 * occluded)}"] = round(
            search(frame_features(network, images).mean(1)), 3
        )
    study.write_weights(
        network.half(),
        dim=DIM,
        classes=[],
        data=f"videos of {TRAIN} drawn creatures, 4 of each, frames of 40 x 40 pixels",
        steps=steps,
        **scores,
    )


def clean_frames() -> tuple[Tensor, Tensor]:
    """Frames to learn from, (N, 3, S, S) in [0, 1], and whose they are."""
    data = Tracklets(TRAIN, cameras=4, seed=1, occluded=0, swapped=0)
    images, identities, _ = stack_tracklets(data)
    frames = images.flatten(0, 1).float() / 255
    return frames, identities.repeat_interleave(images.shape[1])


def held_out_videos(occluded: float, *, twins: bool = False) -> tuple[Tensor, ...]:
    """Of creatures that are not learned from: what `stack_tracklets` returns."""
    swapped = 0 if twins else 1
    return stack_tracklets(
        Tracklets(
            TEST, cameras=CAMERAS, occluded=occluded, swapped=swapped, twins=twins
        )
    )


def train_encoder(
    images: Tensor,
    labels: Tensor,
    *,
    steps: int,
    seed: int,
    focus: float = 0.0,
    checkpoint: Path | None = None,
) -> EmbeddingNet:
    """A network for frames, in evaluation mode."""
    torch.manual_seed(seed)
    network = EmbeddingNet(DIM, channels=3)
    if checkpoint is not None:
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
    train(
        network,
        images,
        labels,
        partial(likeness_loss, focus=focus),
        steps=steps,
        classes=CLASSES,
        samples=SAMPLES,
        learning_rate=RATE,
        seed=seed,
        checkpoint=checkpoint,
        progress=False,
    )
    return network.eval()


def frame_features(network: EmbeddingNet, images: Tensor) -> Tensor:
    """Unit vectors of frames: (N, T, 3, S, S), bytes, to (N, T, D)."""
    parts = [
        embed(network, part.flatten(0, 1).float() / 255) for part in images.split(40)
    ]
    return F.normalize(torch.cat(parts), dim=1).unflatten(0, images.shape[:2])


def distances(descriptors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of the first video of each identity to all others; and both sides' labels."""
    unit = F.normalize(descriptors, dim=1).unflatten(0, (-1, CAMERAS))
    labels = torch.arange(len(unit))
    gallery = unit[:, 1:].flatten(0, 1)
    return (
        torch.cdist(unit[:, 0], gallery),
        labels,
        labels.repeat_interleave(CAMERAS - 1),
    )


def search(descriptors: Tensor) -> float:
    """Mean average precision."""
    return mean_average_precision(*distances(descriptors))


def add_options(parser: argparse.ArgumentParser) -> None:
    """What this study's command line says beside what all of them do."""
    parser.add_argument("--steps", type=int, default=500)


if __name__ == "__main__":
    main()
