"""Find walking creatures again from ten frames, by several ways of pooling them.

    python -m studies.frame_attention [--seeds 3] [--fresh]

A network for single frames is trained without occluded frames. Its features of other
creatures' videos are pooled to one descriptor, and videos are searched by it, with more
and more frames occluded. What is learned for pooling, scores or an LSTM, is learned on
creatures that neither the network nor the search has seen.

The network is trained in three ways, too: samples with a large loss weigh more, as in
the exponential loss, or less, as outliers do in a robust mean, or as all others.

Then creatures in pairs of twins, which look alike and walk differently, are searched by
appearance, by motion, and by both.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import frame_attention as fa
from lesson_utils.common import motion
from lesson_utils.common.embedding import EmbeddingNet, embed, likeness_loss
from lesson_utils.common.retrieval import cmc, mean_average_precision
from lesson_utils.data.tracklets import Tracklets, stack_tracklets
from lesson_utils.metric_learning import train
from studies.frame_encoder import (
    DIM,
    clean_frames,
    distances,
    frame_features,
    held_out_videos,
    search,
    train_encoder,
)
from studies.skeleton import Study

STEPS, FOCUS = 250, {"alike": 0.0, "hard more": 1.0, "hard less": -1.0}
OCCLUDED = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6)
POOL_STEPS, POOL_TRAIN = 250, 160  # identities that pooling is learned from
TEMPERATURE, TEMPERATURES = 0.1, (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
MOTION_STEPS, MOTION_TRAIN, MOTION_DIM = 150, 160, 32
FUSION = (0.25, 0.5, 1.0, 2.0)


def main(arguments: list[str] | None = None) -> None:
    """Draw, train, search, write."""
    study = Study("frame_attention", __doc__, arguments, seeds=3)
    frames = clean_frames()
    videos = {share: held_out_videos(share) for share in OCCLUDED}
    learned_from = [
        stack_tracklets(Tracklets(POOL_TRAIN, cameras=2, occluded=share, seed=2))
        for share in (0.2, 0.5)
    ]
    twins = stack_tracklets(
        Tracklets(MOTION_TRAIN, cameras=4, occluded=0, swapped=0, twins=True, seed=3)
    )
    twin_videos = held_out_videos(0.0, twins=True)
    for seed in study.seeds:
        networks: dict[str, EmbeddingNet] = {}

        def encoder(way: str, seed: int = seed, networks: dict = networks):
            if way not in networks:
                path = study.checkpoint("encoder", way.replace(" ", "_"), seed)
                networks[way] = train_encoder(
                    *frames, steps=STEPS, seed=seed, focus=FOCUS[way], checkpoint=path
                )
            return networks[way]

        for way in FOCUS:
            study.row(
                {"part": "training", "samples": way, "seed": seed},
                lambda way=way, encoder=encoder: training_row(
                    encoder(way), *frames, videos[0.0][0]
                ),
            )
        study.row(
            {"part": "pooling", "seed": seed},
            lambda seed=seed, encoder=encoder: pooling_row(
                encoder("alike"), learned_from, videos, seed
            ),
        )
        study.row(
            {"part": "streams", "seed": seed},
            lambda seed=seed, encoder=encoder: streams_row(
                encoder("alike"), twins, twin_videos, seed
            ),
        )
    study.write(
        steps=STEPS,
        occluded=OCCLUDED,
        temperature=TEMPERATURE,
        temperatures=TEMPERATURES,
        fusion=FUSION,
    )


def training_row(
    network: EmbeddingNet, frames: Tensor, labels: Tensor, videos: Tensor
) -> dict:
    """How a network finds videos, and how often it errs on what it has learned from."""
    chosen = torch.arange(0, len(frames), 8)
    unit = F.normalize(embed(network, frames[chosen]), dim=1)
    likeness = (unit @ unit.T).fill_diagonal_(-2)
    wrong = labels[chosen][likeness.argmax(1)] != labels[chosen]
    features = frame_features(network, videos)
    return {
        "trained_wrong": wrong.double().mean().item(),
        "mean": search(features.mean(1)),
        "one_frame": search(features[:, 0]),
    }


def pooling_row(
    network: EmbeddingNet, learned_from: list, videos: dict, seed: int
) -> dict:
    """Mean average precision by way of pooling and by how much is occluded."""
    features = torch.cat([frame_features(network, part[0]) for part in learned_from])
    labels = torch.cat([part[1] for part in learned_from])
    torch.manual_seed(seed)
    learned = {"attention": fa.AttentionPool(DIM), "lstm": fa.TemporalLSTM(DIM)}
    for pooling in learned.values():
        train(
            pooling, features, labels, likeness_loss, steps=POOL_STEPS, classes=24,
            samples=4, learning_rate=3e-3, seed=seed, progress=False,
        )  # fmt: skip
        pooling.eval()
    found: dict[str, list] = {}
    first: dict[str, list] = {}
    weights: dict[str, list] = {"mean": [], "distance": [], "attention": []}
    for share in OCCLUDED:
        images, _, bad = videos[share]
        features = frame_features(network, images)
        with torch.no_grad():
            scores = learned["attention"].scores(features)
            by_way = {
                "one frame": features[:, 0],
                "mean": features.mean(1),
                "median": features.median(1).values,
                "distance": weighted(features, TEMPERATURE),
                "attention": fa.attention_pool(features, scores),
                "lstm": learned["lstm"](features),
                "exponential": weighted(features, -TEMPERATURE),
                "known": fa.attention_pool(
                    features, torch.zeros_like(bad), mask=bad == 0
                ),
            }
        for way, descriptors in by_way.items():
            ranking = distances(descriptors)
            found.setdefault(way, []).append(mean_average_precision(*ranking))
            first.setdefault(way, []).append(cmc(*ranking, max_rank=5).tolist())
        good = (bad == 0).float()
        weights["mean"].append(good.mean().item())
        for way, each in (
            ("distance", fa.distance_weights(features, temperature=TEMPERATURE)),
            ("attention", scores.softmax(1)),
        ):
            weights[way].append((each * good).sum(1).mean().item())
    features = frame_features(network, videos[0.4][0])
    by_temperature = [search(weighted(features, t)) for t in TEMPERATURES]
    return {
        "found": found,
        "cmc": first,
        "good_weight": weights,
        "by_temperature": by_temperature,
    }


def weighted(features: Tensor, temperature: float) -> Tensor:
    """Pooled by the softmax of -distance / temperature, which may be negative."""
    return fa.attention_pool(features, -fa.mean_distances(features) / temperature)


def gray_frames(images: Tensor) -> Tensor:
    """Half as large and gray, (N, T, S / 2, S / 2), from bytes (N, T, 3, S, S)."""
    gray = images.flatten(0, 1).float().mean(1, keepdim=True) / 255
    return F.avg_pool2d(gray, 2)[:, 0].unflatten(0, images.shape[:2])


def flow_of(images: Tensor) -> Tensor:
    """(N, T - 1, 2, S / 2, S / 2), in pixels of the smaller frames."""
    gray = gray_frames(images)
    return motion.optical_flow(gray[:, :-1], gray[:, 1:], window=9, levels=2)


def network_input(images: Tensor, way: str) -> Tensor:
    """The motion of whole videos as channels of one picture, centered at 0.5."""
    if way == "difference":
        gray = gray_frames(images)[:, :, None]
        return 2 * motion.frame_difference(gray).flatten(1, 2) + 0.5
    return flow_of(images).clamp(-3, 3).flatten(1, 2) + 0.5


def streams_row(
    network: EmbeddingNet, twins: tuple, twin_videos: tuple, seed: int
) -> dict:
    """Mean average precision by appearance, by motion, and by both."""
    appearance = frame_features(network, twin_videos[0]).mean(1)
    descriptors = {"gait": motion.gait_spectrum(flow_of(twin_videos[0]))}
    for way in ("difference", "flow"):
        inputs, test = (network_input(part[0], way) for part in (twins, twin_videos))
        torch.manual_seed(seed)
        moti: nn.Module = EmbeddingNet(MOTION_DIM, channels=inputs.shape[1])
        train(
            moti, inputs, twins[1], likeness_loss, steps=MOTION_STEPS, classes=24,
            samples=4, learning_rate=2e-3, seed=seed, progress=False,
        )  # fmt: skip
        descriptors[f"network, {way}"] = embed(moti.eval(), test)
    found = {"appearance": search(appearance)}
    for way, each in descriptors.items():
        found[way] = search(each)
        found[f"{way}, fused"] = [
            search(fa.fuse(appearance, each, weight=weight)) for weight in FUSION
        ]
    return {"found": found}


if __name__ == "__main__":
    main()
