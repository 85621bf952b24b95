"""Bilinear attention pooling: parts that nobody has labeled, one vector for each.

The module of the chapter `book/fine_grained/attention_pooling.ipynb`. Features are
(B, N, H, W); attention maps, (B, M, H, W), say where on them each of M parts is, and
are not negative. Boxes are xyxy in shares of the picture.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.bilinear import signed_sqrt
from lesson_utils.common.dtypes import at_least_float32
from lesson_utils.common.require import (
    require_choice,
    require_labels,
    require_not_negative,
    require_positive,
    require_shape,
    require_share,
    require_whole,
)
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import CHANGE, Run, drawer


def bilinear_attention_pool(features: Tensor, attentions: Tensor) -> Tensor:
    """One feature vector for each part: features weighted by the part's map.

    Args:
        features: (B, N, H, W).
        attentions: (B, M, H, W), of the same pictures and positions.

    Returns:
        (B, M, N), means over the positions, H W of them, whatever the maps sum to.

    Raises:
        ValueError: the two have other batches or positions, or no position at all.

    Source: Hu et al., See Better Before Looking Closer: Weakly Supervised Data
        Augmentation Network for Fine-Grained Visual Classification, arXiv:1901.09891,
        2019, on bilinear attention pooling, with the mean as pooling.
    """
    places = features.shape[:1] + features.shape[2:]
    if (
        (features.dim(), attentions.dim()) != (4, 4)
        or attentions.shape[:1] + attentions.shape[2:] != places
        or not features.shape[2:].numel()
    ):
        raise ValueError(
            "features must be (B, N, H, W) and attentions (B, M, H, W) with at least "
            f"one position, got {tuple(features.shape)} and {tuple(attentions.shape)}"
        )
    # Divided first, so that half precision does not overflow in the sum.
    shares = attentions.flatten(2) / features.shape[2:].numel()
    return shares @ features.flatten(2).mT


def normalize_parts(parts: Tensor) -> Tensor:
    """Signed square roots of part features, and the whole matrix of length 1.

    Args:
        parts: (B, M, N).

    Returns:
        (B, M, N), each of the B matrices of length 1; zeros stay zeros.

    Raises:
        ValueError: `parts` is not (B, M, N).

    Source: Lin et al., Bilinear CNN Models for Fine-Grained Visual Recognition, ICCV
        2015, section 2.1.
    """
    require_shape("parts", parts, "B M N")
    return F.normalize(signed_sqrt(parts).flatten(1), eps=1e-6).view_as(parts)


def center_loss(parts: Tensor, centers: Tensor, labels: Tensor) -> Tensor:
    """How far each picture's parts are from the mean parts of its class, squared.

    Args:
        parts: (B, M, N), normalized.
        centers: (K, M, N), for each class the place its parts are drawn to; no
            gradient goes there.
        labels: (B,), int64, in 0 to K - 1.

    Returns:
        (), squared distances, summed over a picture's parts, mean over the pictures.

    Raises:
        ValueError: shapes that do not fit, an empty batch, or a label out of range.

    Source: Hu et al., arXiv:1901.09891, 2019, on attention regularization.
    """
    _check_centers(parts, centers, labels)
    return (parts - centers[labels].detach()).square().sum((1, 2)).mean()


def move_centers(
    centers: Tensor, parts: Tensor, labels: Tensor, *, rate: float = 0.05
) -> Tensor:
    """Each class's center, a step nearer to the parts of its pictures in the batch.

    Args:
        centers: (K, M, N).
        parts: (B, M, N); no gradient is kept.
        labels: (B,), int64.
        rate: of the step, in [0, 1].

    Returns:
        (K, M, N): new centers; classes that are not in the batch stay. A class with
        several pictures goes towards their mean.

    Raises:
        ValueError: see `center_loss`, or a rate outside [0, 1].

    Source: Hu et al., arXiv:1901.09891, 2019, on attention regularization.
    """
    _check_centers(parts, centers, labels)
    require_share("rate", rate)
    number = labels.bincount(minlength=len(centers))  # (K,)
    total = torch.zeros_like(centers).index_add(0, labels, parts.detach())
    mean = total / number.clamp(min=1)[:, None, None]
    return torch.where((number > 0)[:, None, None], centers.lerp(mean, rate), centers)


def pick_maps(
    attentions: Tensor, *, generator: torch.Generator | None = None
) -> Tensor:
    """One map for each picture, more often one that responds strongly.

    Args:
        attentions: (B, M, H, W), not negative.
        generator: of the randomness.

    Returns:
        (B, H, W), scaled to [0, 1] by each map's largest value; zeros stay zeros.

    Raises:
        ValueError: `attentions` is not (B, M, H, W), is negative or not finite.

    Source: Hu et al., arXiv:1901.09891, 2019, where each map is equally likely.
    """
    if attentions.dim() != 4 or not (attentions >= 0).all():
        raise ValueError(
            "attentions must be (B, M, H, W) and not negative, got shape "
            f"{tuple(attentions.shape)}"
        )
    strength = attentions.mean((2, 3)) + 1e-6  # (B, M); dead maps can be drawn, too
    chosen = torch.multinomial(strength, 1, generator=generator)[:, 0]
    maps = attentions[torch.arange(len(attentions), device=chosen.device), chosen]
    return maps / maps.amax((1, 2), keepdim=True).clamp(min=1e-12)


def attention_boxes(maps: Tensor, *, threshold: float = 0.5) -> Tensor:
    """The smallest box around where a map is above a threshold.

    Args:
        maps: (B, H, W), in [0, 1].
        threshold: in [0, 1).

    Returns:
        (B, 4), xyxy in shares of the picture, around whole cells, at least float32; the
        whole picture where a map is nowhere above the threshold.

    Raises:
        ValueError: maps outside [0, 1] or of another shape, or a threshold outside
            [0, 1).

    Source: Hu et al., arXiv:1901.09891, 2019, on attention cropping.
    """
    above = _above(maps, threshold)
    none = ~above.flatten(1).any(1)
    above = above | none[:, None, None]
    edges = []
    for dim, length in ((1, maps.shape[2]), (2, maps.shape[1])):
        there = above.any(dim).int()  # (B, W), then (B, H)
        first = there.argmax(1)
        last = length - there.flip(1).argmax(1)
        # Whole numbers divided would be of torch's default dtype.
        ends = torch.stack([first, last], dim=1).to(at_least_float32(maps).dtype)
        edges.append(ends / length)
    (x1, x2), (y1, y2) = (edge.unbind(1) for edge in edges)
    return torch.stack([x1, y1, x2, y2], dim=1)


def crop(images: Tensor, boxes: Tensor) -> Tensor:
    """Enlarge a box of each picture to the whole.

    Args:
        images: (B, C, H, W).
        boxes: (B, 4), xyxy in shares of the picture, each with an area.

    Returns:
        (B, C, H, W), bilinear.

    Raises:
        ValueError: another number of boxes, a box outside the picture or without area.

    Source: Hu et al., arXiv:1901.09891, 2019, on attention cropping.
    """
    if boxes.shape != (len(images), 4):
        raise ValueError(
            f"boxes must be one for each of {len(images)} images, got "
            f"{tuple(boxes.shape)}"
        )
    if not len(images):  # torch refuses an empty grid
        return images.clone()
    low, high = boxes[:, :2], boxes[:, 2:]
    if not ((low >= 0) & (low < high) & (high <= 1)).all():
        raise ValueError(
            "boxes must be xyxy in [0, 1] with an area, got "
            f"{boxes.min().item():g} to {boxes.max().item():g}"
        )
    # grid_sample counts from -1 at the left edge to 1 at the right one.
    theta = torch.zeros(len(images), 2, 3, dtype=images.dtype, device=images.device)
    theta[:, [0, 1], [0, 1]] = (high - low).to(images)
    theta[:, :, 2] = (low + high - 1).to(images)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def drop(images: Tensor, maps: Tensor, *, threshold: float = 0.5) -> Tensor:
    """Set to 0 where a map is above a threshold, so that other parts must do.

    Args:
        images: (B, C, H, W).
        maps: (B, h, w), in [0, 1], enlarged to the picture's size, edge to edge.
        threshold: in [0, 1).

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: see `attention_boxes`, or maps of another number.

    Source: Hu et al., arXiv:1901.09891, 2019, on attention dropping.
    """
    if len(maps) != len(images):
        raise ValueError(f"maps must be {len(images)}, one an image, got {len(maps)}")
    _above(maps, threshold)
    large = F.interpolate(
        maps[:, None], images.shape[2:], mode="bilinear", align_corners=False
    )
    return images * (large <= threshold)


class AttentionNet(nn.Module):
    """A classifier that looks at M parts which nobody has shown it.

    Args:
        features: from (B, 3, H, W) to (B, N, h, w).
        num_features: N.
        num_attentions: M.
        num_classes: K.

    Attributes:
        attention: from features to maps: a 1 x 1 convolution, batch normalization,
            ReLU.
        classifier: linear, from all part features to logits.

    Raises:
        ValueError: a number that is no whole number >= 1.

    Source: Hu et al., See Better Before Looking Closer, arXiv 2019.
    """

    def __init__(
        self,
        features: nn.Module,
        *,
        num_features: int,
        num_attentions: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        require_whole("num_features", num_features)
        require_whole("num_attentions", num_attentions)
        require_whole("num_classes", num_classes)
        self.features = features
        self.attention = nn.Sequential(
            nn.Conv2d(num_features, num_attentions, 1, bias=False),
            nn.BatchNorm2d(num_attentions),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(num_attentions * num_features, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Classify, and say where it looked.

        Args:
            images: (B, 3, H, W), standardized.

        Returns:
            Logits (B, K), part features (B, M, N), normalized, and maps (B, M, h, w).
        """
        features = self.features(images)
        maps = self.attention(features)
        parts = normalize_parts(bilinear_attention_pool(features, maps))
        # Of length 1 they would make logits too small to be sure of anything.
        return self.classifier(100 * parts.flatten(1)), parts, maps


def train(
    network: AttentionNet,
    images: Tensor,
    labels: Tensor,
    *,
    steps: int,
    center_weight: float = 0.0,
    twins: str | None = None,
    batch_size: int = 32,
    learning_rate: float = 5e-3,
    backbone_rate: float | None = None,
    seed: int = 0,
) -> dict[str, list[float]]:
    """Train with cross entropy, with centers and with changed twins if wanted.

    AdamW, whose rates rise and fall to 0. The network is left in evaluation mode.

    Args:
        network: trained in place, on the device that is there.
        images: (N, ...), as its features take them.
        labels: (N,), from 0 to K - 1.
        steps: batches.
        center_weight: of `center_loss`, at least 0.
        twins: "crop" or "drop": each picture is learned from a second time, cropped to
            a map of its own or with that dropped; None for no twins.
        batch_size: B.
        learning_rate: of maps and classifier, at its maximum.
        backbone_rate: of the features; by default the same.
        seed: of the order of the pictures and of the maps picked.

    Returns:
        Each loss at each step, by its name.

    Raises:
        ValueError: a number is out of its range, or another kind of twins.
        FloatingPointError: the loss is NaN or infinite.

    Source: Hu et al., arXiv:1901.09891, 2019, who crop and drop each picture at once.
    """
    require_not_negative("center_weight", center_weight)
    require_choice("twins", twins, (None, "crop", "drop"))
    rates = {"features": learning_rate if backbone_rate is None else backbone_rate}
    groups = []
    for name, part in network.named_children():
        rate = rates.get(name, learning_rate)
        require_positive(f"learning rate of the {name}", rate)
        groups += [{"params": p, "lr": rate} for p in part.parameters()]
    run = Run(
        network,
        torch.optim.AdamW(groups),
        number=len(labels),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        schedule=one_cycle,
        progress=False,
    )
    centers, classes = None, network.classifier.out_features
    for step in run:
        pictures, answers = run.batch(images, labels)
        logits, parts, maps = run.network(pictures)
        losses = {"cross_entropy": F.cross_entropy(logits, answers)}
        if center_weight:
            if centers is None:
                centers = torch.zeros_like(parts[:1]).repeat(classes, 1, 1)
            losses["center"] = center_weight * center_loss(parts, centers, answers)
            centers = move_centers(centers, parts, answers)
        if twins:
            dice = drawer(seed, CHANGE, step)
            picked = pick_maps(maps.detach().cpu(), generator=dice).to(maps.device)
            boxes = attention_boxes(picked, threshold=0.2)
            twin = crop(pictures, boxes) if twins == "crop" else drop(pictures, picked)
            losses["twins"] = F.cross_entropy(run.network(twin)[0], answers)
        run.learn(**losses)
    return run.history


def _above(maps: Tensor, threshold: float) -> Tensor:
    if maps.dim() != 3 or not ((maps >= 0) & (maps <= 1)).all():
        raise ValueError(
            f"maps must be (B, H, W) in [0, 1], got shape {tuple(maps.shape)}"
        )
    require_share("threshold", threshold, "[0, 1)")
    return maps > threshold


def _check_centers(parts: Tensor, centers: Tensor, labels: Tensor) -> None:
    require_shape("parts", parts, "B M N")
    if centers.shape[1:] != parts.shape[1:] or labels.shape != parts.shape[:1]:
        raise ValueError(
            "centers must be (K, M, N) and labels (B,) for parts (B, M, N), got shapes "
            f"{tuple(centers.shape)}, {tuple(labels.shape)}, {tuple(parts.shape)}"
        )
    if not len(labels):
        raise ValueError("parts must be of at least one picture, got none")
    require_labels("labels", labels, len(parts), len(centers))
