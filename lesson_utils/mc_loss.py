"""Mutual-channel loss: some channels for each class, made to agree and to differ.

The module of the chapter `book/fine_grained/mc_loss.ipynb`. Features are the maps of
the last convolution after its ReLU, (B, N, H, W), not negative; their N channels are
grouped by class: the first group is class 0's. Everywhere `channels_per_class` (the
paper's xi) is one number for all classes, or one number for each class. Both losses
are computed in float32 for features of half precision, and come back in float32.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils.common.require import (
    require_labels,
    require_not_negative,
    require_positive,
    require_share,
    require_whole,
)
from lesson_utils.common.schedules import one_cycle
from lesson_utils.common.training import CHANGE, Run, drawer


def channel_groups(num_channels: int, num_classes: int) -> tuple[int, ...]:
    """Deal channels out to classes so that no two classes differ by more than one.

    Args:
        num_channels: N, at least one for each class.
        num_classes: K, at least 1.

    Returns:
        K sizes that add up to N, the smaller ones first.

    Raises:
        ValueError: an argument is no whole number >= 1, or a class would go without.

    Source: Chang et al., The Devil is in the Channels, IEEE TIP 2020, who give 152
        classes of birds 10 of 2,048 channels each, and 48 of them 11.
    """
    require_whole("num_classes", num_classes)
    require_whole("num_channels", num_channels)
    if num_channels < num_classes:
        raise ValueError(
            f"num_channels must be at least one for each of {num_classes} classes, "
            f"got {num_channels}"
        )
    size, larger = divmod(num_channels, num_classes)
    return (size,) * (num_classes - larger) + (size + 1,) * larger


def channel_mask(
    channels_per_class: int | Sequence[int],
    *,
    num_classes: int,
    keep: float,
    batch_size: int | None = None,
    generator: torch.Generator | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Drop the same share of each class's channels, drawn at random (the paper's CWA).

    Of a group of xi channels (1 - keep) xi are dropped, rounded down: of three at a
    share of a half, one. At least one is always kept.

    Args:
        channels_per_class: xi, or one for each class.
        num_classes: K.
        keep: the share that is kept, in (0, 1].
        batch_size: B for a mask of its own for each sample; None for one for all, as
            in the published code.
        generator: where the draw comes from; torch's own if left out.
        device: of the mask; the generator's if left out, or the CPU.

    Returns:
        (N, 1, 1), or (B, N, 1, 1), float32, of 0 and 1; to be multiplied with features.

    Raises:
        ValueError: an argument is out of its range, or the sizes are not K.

    Source: Chang et al., The Devil is in the Channels, IEEE TIP 2020.
    """
    sizes = _sizes(channels_per_class, num_classes)
    require_share("keep", keep, "(0, 1]")
    if batch_size is not None:
        require_whole("batch_size", batch_size)
    source = generator.device if generator is not None else "cpu"
    device = source if device is None else device
    xi = torch.tensor(sizes, device=source)[:, None]  # (K, 1)
    slots = torch.arange(max(sizes), device=source) < xi  # (K, xi), which exist
    shape = (batch_size or 1, *slots.shape)
    draw = torch.rand(shape, generator=generator, device=source)
    # The rank of each channel among its group's draws; slots that do not exist rank
    # last. Counting ranks, not comparing draws, keeps the number exact on ties.
    rank = draw.masked_fill(~slots, 2).argsort(dim=-1).argsort(dim=-1)
    # The small number keeps a third of three from being one and a bit.
    dropped = ((1 - keep) * xi.double() + 1e-9).floor().clamp(max=xi - 1)
    mask = (rank < xi - dropped)[:, slots].float()[..., None, None]  # (B, N, 1, 1)
    return (mask if batch_size else mask[0]).to(device)


def channel_max_pool(
    features: Tensor, channels_per_class: int | Sequence[int]
) -> Tensor:
    """At each position, the strongest channel of each class (the paper's CCMP).

    Args:
        features: (B, N, H, W), grouped by class.
        channels_per_class: xi, which N must be a multiple of; or one for each class,
            which add up to N.

    Returns:
        (B, K, H, W), in the dtype of `features`. On a tie one channel has the gradient.

    Raises:
        ValueError: the features are not (B, N, H, W), or their channels do not fit.

    Source: Chang et al., The Devil is in the Channels, IEEE TIP 2020.
    """
    groups = _grouped(features, _fitting_sizes(features, channels_per_class))
    # max, not amax: on a tie max gives the gradient to one channel, amax shares it.
    return groups.max(dim=2).values.unflatten(2, features.shape[2:])


def discriminality_loss(
    features: Tensor,
    targets: Tensor,
    channels_per_class: int | Sequence[int],
    *,
    mask: Tensor | None = None,
) -> Tensor:
    """Cross entropy of each class's strongest channel, averaged over positions (L_dis).

    There is no weight between the channels and the loss: a class's logit is read off
    its own channels, and nothing else can make up for them.

    Args:
        features: (B, N, H, W), not negative: else a dropped channel, which is 0, wins
            over channels that are kept.
        targets: (B,), whole numbers from 0 to K - 1.
        channels_per_class: as for `channel_max_pool`.
        mask: (N, 1, 1) or (B, N, 1, 1) from `channel_mask`; None keeps all.

    Returns:
        (), float32 or float64; at least 0.

    Raises:
        ValueError: the batch is empty, channels, targets or mask do not fit, or the
            targets are not whole numbers of that range.

    Source: Chang et al., The Devil is in the Channels, IEEE TIP 2020.
    """
    sizes = _fitting_sizes(features, channels_per_class)
    require_labels("targets", targets, len(features), len(sizes))
    features = _at_least_float32(features)
    if mask is not None:
        _check_mask(mask, features)
        features = features * mask.to(features)
    logits = channel_max_pool(features, sizes).mean(dim=(2, 3))  # (B, K)
    return F.cross_entropy(logits, targets.long())


def diversity_loss(features: Tensor, channels_per_class: int | Sequence[int]) -> Tensor:
    """How many different places a class's channels look at (L_div), to be maximized.

    Each channel is turned into a distribution over positions; the largest share at
    each position is taken over the class's channels, and added up over positions. It
    is 1 where all channels are one distribution, and xi where no two meet.

    Args:
        features: (B, N, H, W).
        channels_per_class: as for `channel_max_pool`.

    Returns:
        (), float32 or float64, in [1, xi]: the mean over classes and samples. With xi
        of 1, and on maps of one position, it is 1 whatever the features are, and its
        gradient 0; it is never more than the number of positions. With unequal groups
        the bound is the mean of the classes' min(xi, HW).

    Raises:
        ValueError: the batch is empty, or the channels do not fit.

    Source: Chang et al., The Devil is in the Channels, IEEE TIP 2020.
    """
    sizes = _fitting_sizes(features, channels_per_class)
    shares = _at_least_float32(features).flatten(2).softmax(dim=2)  # (B, N, HW)
    largest = channel_max_pool(shares[..., None], sizes)  # (B, K, HW, 1)
    return largest.sum(dim=(2, 3)).mean()


class MutualChannelLoss(nn.Module):
    """L_MC times its weight, to be added to the cross entropy of the classifier.

    The value is mu (L_dis + diversity (1 - L_div / xi)): the paper's mu (L_dis -
    lambda L_div) with lambda = diversity / xi, but for a constant that keeps it from
    being negative. It has no parameters. In evaluation mode no channel is dropped.

    Args:
        num_classes: K.
        channels_per_class: xi, or one for each class; their mean stands for xi above.
        mu: the weight of the whole, at least 0.
        diversity: the weight of 1 - L_div / xi within it, at least 0.
        keep: the share of each class's channels that is kept, in (0, 1].
        per_sample: whether each sample has a mask of its own.

    Raises:
        ValueError: an argument is out of its range.

    Source: Chang et al., The Devil is in the Channels, IEEE TIP 2020.
    """

    def __init__(
        self,
        num_classes: int,
        channels_per_class: int | Sequence[int],
        *,
        mu: float = 1.0,
        diversity: float = 1.0,
        keep: float = 0.5,
        per_sample: bool = False,
    ) -> None:
        super().__init__()
        self.sizes = _sizes(channels_per_class, num_classes)
        require_not_negative("mu", mu)
        require_not_negative("diversity", diversity)
        require_share("keep", keep, "(0, 1]")
        self.mu, self.diversity = mu, diversity
        self.keep, self.per_sample = keep, per_sample

    def forward(
        self,
        features: Tensor,
        targets: Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """The weighted loss of a batch.

        Args:
            features: (B, N, H, W), not negative.
            targets: (B,), from 0 to K - 1.
            generator: where the mask comes from; torch's own if left out.

        Returns:
            (), at least 0.

        Raises:
            ValueError: as `discriminality_loss`.
        """
        _fitting_sizes(features, self.sizes)
        mask = None
        if self.training and self.keep < 1:
            mask = channel_mask(
                self.sizes,
                num_classes=len(self.sizes),
                keep=self.keep,
                batch_size=len(features) if self.per_sample else None,
                generator=generator,
                device=features.device,
            )
        loss = discriminality_loss(features, targets, self.sizes, mask=mask)
        if self.diversity:
            xi = sum(self.sizes) / len(self.sizes)
            diversity = diversity_loss(features, self.sizes)
            loss = loss + self.diversity * (1 - diversity / xi)
        return self.mu * loss


class ChannelNet(nn.Module):
    """A backbone, a last convolution whose channels belong to classes, a classifier.

    Args:
        backbone: from pictures (B, 3, H, W) to (B, C, h, w); it is used, not copied.
        num_inputs: C.
        num_classes: K.
        channels_per_class: xi, or one for each class.

    Attributes:
        backbone: as given.
        channels: the last convolution, of 1 x 1, with BN and ReLU, to N channels.
        classifier: a linear layer on the mean over positions.

    Raises:
        ValueError: a number is no whole number >= 1, or the sizes are not K.

    Source: after Chang et al., The Devil is in the Channels, IEEE TIP 2020.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_inputs: int,
        num_classes: int,
        channels_per_class: int | Sequence[int],
    ) -> None:
        super().__init__()
        require_whole("num_inputs", num_inputs)
        num_channels = sum(_sizes(channels_per_class, num_classes))
        self.backbone = backbone
        self.channels = nn.Sequential(
            nn.Conv2d(num_inputs, num_channels, 1, bias=False),
            nn.BatchNorm2d(num_channels),
            nn.ReLU(),
        )
        self.classifier = nn.Linear(num_channels, num_classes)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Classify pictures, and give the maps that the loss needs.

        Args:
            images: (B, 3, H, W), as the backbone takes them.

        Returns:
            (B, K), logits, and (B, N, h, w), the maps of the last convolution.
        """
        maps = self.channels(self.backbone(images))
        return self.classifier(maps.mean(dim=(2, 3))), maps


def train(
    network: ChannelNet,
    images: Tensor,
    targets: Tensor,
    *,
    steps: int,
    loss: Callable[..., Tensor] | None = None,
    batch_size: int = 32,
    learning_rate: float = 1e-2,
    backbone_rate: float | None = None,
    seed: int = 0,
) -> list[float]:
    """Train with cross entropy, and with a loss on the channels if there is one.

    AdamW, whose rates rise to their maximum and fall to 0; each picture is seen once
    before any is seen again. The network is left in evaluation mode.

    Args:
        network: trained in place, on the device that is there.
        images: (M, ...), as its backbone takes them.
        targets: (M,), from 0 to K - 1.
        steps: batches.
        loss: called as `loss(maps, targets, generator=...)`, such as a
            `MutualChannelLoss`; None for cross entropy alone.
        batch_size: B.
        learning_rate: of the new layers, at its maximum.
        backbone_rate: of the backbone; by default the same.
        seed: of the order of the pictures and of the masks.

    Returns:
        The sum of the losses at each step.

    Raises:
        ValueError: `steps` or `batch_size` is no whole number >= 1, or a rate is not
            finite and above 0.
        FloatingPointError: the loss is NaN or infinite.

    Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, ICLR 2019,
        for the optimizer.
    """
    rates = {"backbone": backbone_rate or learning_rate}
    rates |= dict.fromkeys(("channels", "classifier"), learning_rate)
    for name, rate in rates.items():
        require_positive(f"learning rate of the {name}", rate)
    groups = [
        {"params": parameters, "lr": rate}
        for name, rate in rates.items()
        if (parameters := list(getattr(network, name).parameters()))
    ]
    run = Run(
        network,
        torch.optim.AdamW(groups),
        number=len(targets),
        steps=steps,
        batch_size=batch_size,
        seed=seed,
        schedule=one_cycle,
        progress=False,
    )
    for step in run:
        pictures, answers = run.batch(images, targets)
        logits, maps = run.network(pictures)
        losses = {"cross_entropy": F.cross_entropy(logits, answers)}
        if loss is not None:
            dice = drawer(seed, CHANGE, step)
            losses["mutual_channel"] = loss(maps, answers, generator=dice)
        run.learn(**losses)
    return [sum(values) for values in zip(*run.history.values(), strict=True)]


def own_channels(
    features: Tensor, targets: Tensor, channels_per_class: int | Sequence[int]
) -> Tensor:
    """The channels of each sample's own class.

    Args:
        features: (B, N, H, W), grouped by class.
        targets: (B,), from 0 to K - 1.
        channels_per_class: as for `channel_max_pool`.

    Returns:
        (B, xi, H, W); a class with fewer than the largest repeats its last channel.

    Raises:
        ValueError: as `discriminality_loss`.

    Source: the definition.
    """
    sizes = _fitting_sizes(features, channels_per_class)
    require_labels("targets", targets, len(features), len(sizes))
    chosen = _grouped(features, sizes)[torch.arange(len(features)), targets]
    return chosen.unflatten(2, features.shape[2:])


def peak_hits(features: Tensor, boxes: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """How often the strongest position of a channel lies on a part, and by chance.

    A position stands for a cell of the picture; it lies on a part if its cell and one
    of the picture's boxes overlap. A map without any value above 0 has no peak.

    Args:
        features: (B, N, H, W), not negative.
        boxes: B of them, (M, 4) each, xyxy as shares of the side.

    Returns:
        The share of the peaks that hit, and the share of all positions that would: what
        a peak anywhere hits. Both (); the first is NaN if there is no peak.

    Raises:
        ValueError: the features are no maps, or the boxes are not one set a sample.

    Source: the definition; Zhang et al., Top-down Neural Attention by Excitation
        Backprop, IJCV 2018, call a like measure the pointing game.
    """
    _fitting_sizes(features, 1)
    batch, _, height, width = features.shape
    if len(boxes) != batch:
        raise ValueError(f"boxes must be one set for each of {batch}, got {len(boxes)}")
    x = torch.arange(width, device=features.device) / width  # left edges of cells
    y = torch.arange(height, device=features.device) / height
    on = features.new_zeros(batch, height, width, dtype=torch.bool)
    for inside, box in zip(on, boxes, strict=True):
        x1, y1, x2, y2 = box.to(features.device).T[..., None]  # (M, 1) each
        columns = (x < x2) & (x + 1 / width > x1)  # (M, W)
        rows = (y < y2) & (y + 1 / height > y1)  # (M, H)
        inside |= (rows[:, :, None] & columns[:, None]).any(dim=0)
    highest, place = features.flatten(2).max(dim=2)  # (B, N)
    hit = on.flatten(1).gather(1, place)[highest > 0]
    return hit.float().mean(), on.float().mean()


def _grouped(features: Tensor, sizes: tuple[int, ...]) -> Tensor:
    """(B, N, H, W) to (B, K, xi, HW); smaller groups repeat their own last channel.

    A repeated channel changes no maximum, and its gradients are added up.
    """
    flat = features.flatten(2)
    if len(set(sizes)) > 1:
        xi = torch.tensor(sizes, device=flat.device)[:, None]  # (K, 1)
        slot = torch.arange(max(sizes), device=flat.device).minimum(xi - 1)
        first = xi.cumsum(dim=0) - xi
        flat = flat.index_select(1, (first + slot).flatten())  # (B, K xi, HW)
    return flat.unflatten(1, (len(sizes), max(sizes)))


def _at_least_float32(values: Tensor) -> Tensor:
    # A sum of 196 shares of 1/196 each loses its digits in half precision.
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _sizes(channels_per_class: int | Sequence[int], num_classes: int) -> tuple:
    """One size a class."""
    require_whole("num_classes", num_classes)
    if isinstance(channels_per_class, int):
        require_whole("channels_per_class", channels_per_class)
        return (channels_per_class,) * num_classes
    sizes = tuple(int(size) for size in channels_per_class)
    if len(sizes) != num_classes or min(sizes) < 1:
        raise ValueError(
            f"channels_per_class must be {num_classes} numbers >= 1, got {sizes}"
        )
    return sizes


def _fitting_sizes(
    features: Tensor, channels_per_class: int | Sequence[int]
) -> tuple[int, ...]:
    """One size a class, once the features are maps whose channels they share out."""
    if features.dim() != 4 or not features.is_floating_point():
        raise ValueError(
            "features must be (B, N, H, W) and floating point, got "
            f"{tuple(features.shape)} of {features.dtype}"
        )
    if not features.numel():
        raise ValueError(f"features must not be empty, got {tuple(features.shape)}")
    num_channels = features.shape[1]
    if isinstance(channels_per_class, int):
        require_whole("channels_per_class", channels_per_class)
        if num_channels % channels_per_class:
            raise ValueError(
                f"channels_per_class must divide the {num_channels} channels, got "
                f"{channels_per_class}: channel_groups deals out unequal groups"
            )
        return (channels_per_class,) * (num_channels // channels_per_class)
    sizes = _sizes(channels_per_class, max(len(channels_per_class), 1))
    if sum(sizes) != num_channels:
        raise ValueError(
            f"channels_per_class must add up to the {num_channels} channels, got "
            f"{sum(sizes)}"
        )
    return sizes


def _check_mask(mask: Tensor, features: Tensor) -> None:
    one = (features.shape[1], 1, 1)
    if mask.shape not in (one, (len(features), *one)):
        raise ValueError(
            f"mask must be {one} or {(len(features), *one)}, got {tuple(mask.shape)}"
        )
