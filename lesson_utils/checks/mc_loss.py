"""The exercises of the chapter `book/fine_grained/mc_loss.ipynb`."""

import math
from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from lesson_utils import mc_loss
from lesson_utils.grading.draws import seeded, uniform
from lesson_utils.grading.exercise import Case, Exercise, Mistake


def _features(*shape: int, seed: int = 0, scale: float = 1.0) -> Tensor:
    """Maps as they come out of a ReLU, in float64, without ties but at 0."""
    return scale * uniform(*shape, seed=seed)


# channel_max_pool -------------------------------------------------------------------


def _pool_by_loop(features: Tensor, channels_per_class: int) -> Tensor:
    pooled = [
        torch.stack(list(features[:, first : first + channels_per_class].unbind(1)))
        .sort(dim=0)
        .values[-1]
        for first in range(0, features.shape[1], channels_per_class)
    ]
    return torch.stack(pooled, dim=1)


def _channel_max_pool_cases() -> Iterator[Case]:
    maps = torch.tensor([1.0, 5.0, 3.0, 2.0, 0.0, 7.0]).reshape(1, 6, 1, 1)
    expected = torch.tensor([5.0, 3.0, 7.0]).reshape(1, 3, 1, 1)
    yield Case("two channels for each of three classes", (maps, 2), expected=expected)
    for name, shape, xi in (
        ("three of four channels, maps of 3 × 5", (2, 12, 3, 5), 4),
        ("one channel for each class", (2, 4, 3, 3), 1),
        ("one class", (2, 5, 2, 2), 5),
        ("one sample, maps of 1 × 1", (1, 6, 1, 1), 3),
    ):
        features = _features(*shape)
        yield Case.from_reference(name, _pool_by_loop, features, xi, gradient=True)
    below = -_features(2, 6, 3, 4, seed=1)
    yield Case.from_reference("values below 0", _pool_by_loop, below, 3)
    half = _features(2, 6, 3, 4, seed=2).half()
    yield Case.from_reference("half precision", _pool_by_loop, half, 2, hardening=True)
    yield Case(
        "7 channels in groups of 3", (_features(1, 7, 2, 2), 3), raises=ValueError
    )


def _refuse_rest(features: Tensor, xi: int) -> None:
    if features.shape[1] % xi:
        raise ValueError("the channels do not split into groups of that size")


def _dealt_in_turn(features, channels_per_class):
    _refuse_rest(features, channels_per_class)
    return features.unflatten(1, (channels_per_class, -1)).amax(dim=1)


def _average(features, channels_per_class):
    _refuse_rest(features, channels_per_class)
    return features.unflatten(1, (-1, channels_per_class)).mean(dim=2)


def _pools_positions(features, channels_per_class):
    _refuse_rest(features, channels_per_class)
    return features.unflatten(1, (-1, channels_per_class)).amax(dim=(2, 3, 4))


def _over_classes(features, channels_per_class):
    _refuse_rest(features, channels_per_class)
    return features.unflatten(1, (-1, channels_per_class)).amax(dim=1)


def _largest_size(features, channels_per_class):
    _refuse_rest(features, channels_per_class)
    return features.unflatten(1, (-1, channels_per_class)).abs().amax(dim=2)


def _places(features, channels_per_class):
    _refuse_rest(features, channels_per_class)
    return features.unflatten(1, (-1, channels_per_class)).argmax(dim=2)


def _drops_the_rest(features, channels_per_class):
    whole = features.shape[1] - features.shape[1] % channels_per_class
    return _pool_by_loop(features[:, :whole], channels_per_class)


_CHANNEL_MAX_POOL = Exercise(
    name="channel_max_pool",
    solution=mc_loss.channel_max_pool,
    cases=_channel_max_pool_cases,
    mistakes=(
        Mistake(
            "The channels are dealt out in turn. Class 0 owns the *first* "
            "`channels_per_class` of them: `unflatten(1, (-1, channels_per_class))`.",
            _dealt_in_turn,
        ),
        Mistake(
            "This is the average of a class's channels. Take the largest.", _average
        ),
        Mistake(
            "You take the maximum over the positions as well. They stay: the result "
            "is (B, K, H, W).",
            _pools_positions,
        ),
        Mistake(
            "You take the maximum over the classes. It is taken within a class: over "
            "the dimension of size `channels_per_class`.",
            _over_classes,
        ),
        Mistake(
            "You compare sizes without signs. The largest of −3 and 2 is 2.",
            _largest_size,
        ),
        Mistake(
            "These are the places of the largest channels, not their values.", _places
        ),
        Mistake(
            "Channels that fill no whole group are lost in silence. Raise a "
            "`ValueError`.",
            _drops_the_rest,
        ),
    ),
    hints=(
        "Give the classes a dimension of their own, and the channels of a class one.",
        "`features.unflatten(1, (-1, channels_per_class))` is (B, K, ξ, H, W).",
        "`.max(dim=2).values` of that, after a look at "
        "`features.shape[1] % channels_per_class`.",
    ),
)


# channel_mask -----------------------------------------------------------------------


def _mask(answer: Callable, xi: int, classes: int, keep: float, seed: int) -> Tensor:
    mask = answer(xi, num_classes=classes, keep=keep, generator=seeded(seed))
    if isinstance(mask, Tensor) and mask.shape == (xi * classes, 1, 1):
        return mask.flatten()
    got = tuple(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
    raise TypeError(f"the mask must be a tensor ({xi * classes}, 1, 1), got {got}")


def _kept_counts(answer, xi, classes, keep):
    """How many are kept of each class, and which values there are."""
    mask = _mask(answer, xi, classes, keep, seed=1)
    values = sorted(set(mask.tolist()))
    return mask.reshape(classes, xi).sum(dim=1), values


def _same_under_a_generator(answer, xi, classes, keep):
    first, second = (_mask(answer, xi, classes, keep, seed=5) for _ in range(2))
    return bool(torch.equal(first, second))


def _spread(answer, xi, classes, keep):
    """Whether draws differ, groups differ, and each channel is dropped at times."""
    draws = torch.stack([_mask(answer, xi, classes, keep, seed=s) for s in range(200)])
    groups = draws.reshape(200, classes, xi)
    return {
        "another draw, another mask": bool((draws != draws[0]).any()),
        "classes are drawn apart": bool((groups != groups[:, :1]).any()),
        "each channel is kept about as often": bool(
            ((draws.mean(dim=0) - draws.mean()).abs() < 0.15).all()
        ),
    }


def _channel_mask_cases() -> Iterator[Case]:
    for name, xi, classes, keep, kept in (
        ("half of four", 4, 5, 0.5, 2),
        ("half of three: one is dropped", 3, 40, 0.5, 2),
        ("two of three", 3, 40, 2 / 3, 2),
        ("half of one: it is kept", 1, 6, 0.5, 1),
        ("a tenth of five: one is kept", 5, 4, 0.1, 1),
        ("all", 4, 3, 1.0, 4),
    ):
        counts = torch.full((classes,), float(kept))
        values = [1.0] if kept == xi else [0.0, 1.0]
        yield Case(
            name,
            (xi, classes, keep),
            expected=(counts, values),
            hardening=name == "two of three",  # 1 − 2/3 is less than a third
            call=_kept_counts,
        )
    yield Case(
        "the same generator twice", (4, 6, 0.5), expected=True,
        call=_same_under_a_generator,
    )  # fmt: skip
    fair = dict.fromkeys(
        (
            "another draw, another mask",
            "classes are drawn apart",
            "each channel is kept about as often",
        ),
        True,
    )
    yield Case("200 draws", (4, 6, 0.5), expected=fair, call=_spread)
    for keep in (0.0, 1.5):
        yield Case(
            f"keep = {keep}", (3,), {"num_classes": 2, "keep": keep}, raises=ValueError
        )


def _share(keep: float) -> float:
    if not 0 < keep <= 1:
        raise ValueError("keep must be a share in (0, 1]")
    return keep


def _kept(xi: int, keep: float) -> int:
    return xi - min(math.floor((1 - _share(keep)) * xi + 1e-9), xi - 1)


def _shuffled(xi, num_classes, kept, generator):
    rows = [torch.randperm(xi, generator=generator) for _ in range(num_classes)]
    return (torch.stack(rows) < kept).float().reshape(-1, 1, 1)


def _coin_flips(channels_per_class, *, num_classes, keep, generator=None):
    draw = torch.rand(num_classes * channels_per_class, 1, 1, generator=generator)
    return (draw < _share(keep)).float()


def _over_all_channels(channels_per_class, *, num_classes, keep, generator=None):
    total = channels_per_class * num_classes
    order = torch.randperm(total, generator=generator)
    kept = _kept(channels_per_class, keep) * num_classes
    return (order < kept).float().reshape(-1, 1, 1)


def _drops_what_is_kept(channels_per_class, *, num_classes, keep, generator=None):
    kept = _kept(channels_per_class, keep)
    return 1 - _shuffled(channels_per_class, num_classes, kept, generator)


def _rounds_down(channels_per_class, *, num_classes, keep, generator=None):
    kept = math.floor(_share(keep) * channels_per_class + 1e-9)
    return _shuffled(channels_per_class, num_classes, kept, generator)


def _scaled(channels_per_class, *, num_classes, keep, generator=None):
    kept = _kept(channels_per_class, keep)
    mask = _shuffled(channels_per_class, num_classes, kept, generator)
    return mask * channels_per_class / kept


def _one_pattern(channels_per_class, *, num_classes, keep, generator=None):
    kept = _kept(channels_per_class, keep)
    return _shuffled(channels_per_class, 1, kept, generator).repeat(num_classes, 1, 1)


def _always_the_first(channels_per_class, *, num_classes, keep, generator=None):
    kept = _kept(channels_per_class, keep)
    row = torch.arange(channels_per_class) < kept
    return row.repeat(num_classes).float().reshape(-1, 1, 1)


def _ignores_generator(channels_per_class, *, num_classes, keep, generator=None):
    _ignores_generator.calls += 1  # two calls from one seeded state still differ
    own = torch.Generator().manual_seed(_ignores_generator.calls)
    kept = _kept(channels_per_class, keep)
    return _shuffled(channels_per_class, num_classes, kept, own)


_ignores_generator.calls = 0


def _any_share(channels_per_class, *, num_classes, keep, generator=None):
    dropped = min(
        max(math.floor((1 - keep) * channels_per_class + 1e-9), 0),
        channels_per_class - 1,
    )
    kept = channels_per_class - dropped
    return _shuffled(channels_per_class, num_classes, kept, generator)


_CHANNEL_MASK = Exercise(
    name="channel_mask",
    solution=mc_loss.channel_mask,
    cases=_channel_mask_cases,
    mistakes=(
        Mistake(
            "Each channel is dropped by a coin of its own, so that a class loses more "
            "or fewer than it should, and sometimes all. Fix the number in each class "
            "and draw which ones.",
            _coin_flips,
        ),
        Mistake(
            "The right number is dropped in all, but not in each class: one class "
            "loses what another one keeps.",
            _over_all_channels,
        ),
        Mistake(
            "The mask is the wrong way round: 1 keeps a channel, 0 drops it.",
            _drops_what_is_kept,
        ),
        Mistake(
            "The number that is *dropped* is rounded down, not the number that is "
            "kept: of three at a half, one goes and two stay.",
            _rounds_down,
        ),
        Mistake(
            "The kept channels are scaled up, as dropout does. This mask is only 0 and "
            "1.",
            _scaled,
        ),
        Mistake("All classes share one pattern. Draw for each class.", _one_pattern),
        Mistake(
            "The same channels are kept each time. Which ones must be drawn.",
            _always_the_first,
        ),
        Mistake(
            "The same generator gives another mask: pass `generator=generator` to the "
            "draw.",
            _ignores_generator,
        ),
        Mistake(
            "A `keep` outside (0, 1] is a mistake of the caller: raise a `ValueError`.",
            _any_share,
        ),
    ),
    hints=(
        "Draw an order for each class, and keep the first of it.",
        "`torch.rand(num_classes, channels_per_class, generator=generator)` and a "
        "sort give each class an order: the argsort of an argsort is a rank.",
        "Dropped are `min(floor((1 - keep) * channels_per_class + 1e-9), "
        "channels_per_class - 1)`; the small number is for 1 − 2/3, which is a little "
        "less than a third of three in floating point.",
    ),
)


# diversity_loss ---------------------------------------------------------------------


def _diversity_by_loop(features: Tensor, channels_per_class: int) -> Tensor:
    values = []
    for sample in features:
        for group in sample.split(channels_per_class):
            weights = torch.exp(group.flatten(1) - group.amax())
            shares = weights / weights.sum(dim=1, keepdim=True)
            values.append(torch.stack([column.max() for column in shares.T]).sum())
    return torch.stack(values).mean()


def _diversity_cases() -> Iterator[Case]:
    same = torch.zeros(1, 4, 2, 2, dtype=torch.float64)
    one = torch.tensor(1.0, dtype=torch.float64)
    yield Case("channels that are all alike", (same, 2), expected=one)
    apart = torch.zeros(1, 4, 2, 2, dtype=torch.float64)
    for channel, place in enumerate((0, 3, 1, 2)):
        apart[0, channel].view(-1)[place] = 1000.0
    yield Case("channels with a place each", (apart, 2), expected=2 * one)
    yield Case("one class, four places", (apart, 4), expected=4 * one)
    for name, shape, xi in (
        ("random maps of 3 × 5, two channels a class", (3, 8, 3, 5), 2),
        ("four channels a class", (3, 8, 3, 5), 4),
        ("one channel a class", (2, 3, 2, 2), 1),
        ("maps of 1 × 1", (2, 6, 1, 1), 3),
    ):
        features = _features(*shape, scale=4)
        yield Case.from_reference(
            name, _diversity_by_loop, features, xi, gradient="one" not in name
        )


def _shares(features: Tensor) -> Tensor:
    return features.flatten(2).softmax(dim=2).view(features.shape)


def _over_channels(features, channels_per_class):
    return _pool_by_loop(features.softmax(1), channels_per_class).sum((2, 3)).mean()


def _over_rows(features, channels_per_class):
    return _pool_by_loop(features.softmax(3), channels_per_class).sum((2, 3)).mean()


def _no_softmax(features, channels_per_class):
    return _pool_by_loop(features, channels_per_class).sum((2, 3)).mean()


def _mean_over_positions(features, channels_per_class):
    return _pool_by_loop(_shares(features), channels_per_class).mean()


def _sum_over_classes(features, channels_per_class):
    return _pool_by_loop(_shares(features), channels_per_class).sum((1, 2, 3)).mean()


def _to_be_minimised(features, channels_per_class):
    return 1 - _diversity_by_loop(features, channels_per_class) / channels_per_class


def _negative(features, channels_per_class):
    return -_diversity_by_loop(features, channels_per_class)


def _averages_channels(features, channels_per_class):
    groups = _shares(features).unflatten(1, (-1, channels_per_class))
    return groups.mean(dim=2).sum((2, 3)).mean()


def _shares_dealt_in_turn(features, channels_per_class):
    groups = _shares(features).unflatten(1, (channels_per_class, -1))
    return groups.amax(dim=1).sum((2, 3)).mean()


def _pools_first(features, channels_per_class):
    return _shares(_pool_by_loop(features, channels_per_class)).sum((2, 3)).mean()


_ALWAYS_ONE = (
    "Your value is 1 whatever the maps are. That happens with an average in place of "
    "the maximum, and with a softmax that comes after the maximum instead of before it."
)

_DIVERSITY_LOSS = Exercise(
    name="diversity_loss",
    solution=mc_loss.diversity_loss,
    cases=_diversity_cases,
    mistakes=(
        Mistake(
            "The softmax runs over the channels. It runs over the positions of one "
            "channel: `features.flatten(2).softmax(dim=2)`.",
            _over_channels,
        ),
        Mistake(
            "The softmax runs along rows. Flatten height and width first, so that a "
            "channel adds up to 1 over all positions.",
            _over_rows,
        ),
        Mistake(
            "Without the softmax a channel has no total of 1, and the value has no "
            "bounds.",
            _no_softmax,
        ),
        Mistake(
            "You average over the positions. Add up over them; the mean is over "
            "classes and samples.",
            _mean_over_positions,
        ),
        Mistake(
            "You add up over the classes. The mean over them keeps the value in "
            "[1, ξ].",
            _sum_over_classes,
        ),
        Mistake(
            "This is 1 − L_div/ξ, the term of the published code. Asked for is L_div.",
            _to_be_minimised,
        ),
        Mistake(
            "The sign belongs to the sum of the losses. L_div itself is positive.",
            _negative,
        ),
        Mistake(
            _ALWAYS_ONE,
            _averages_channels,
        ),
        Mistake(
            "The channels are dealt out in turn. Class 0 owns the first "
            "`channels_per_class` of them.",
            _shares_dealt_in_turn,
        ),
        Mistake(
            _ALWAYS_ONE,
            _pools_first,
        ),
    ),
    hints=(
        "First turn each channel into a distribution over positions.",
        "Then the maximum over a class's channels, at each position, and the sum over "
        "positions.",
        "`features.flatten(2).softmax(2).unflatten(1, (-1, channels_per_class))"
        ".amax(2)` is (B, K, HW): sum over the last, mean over the rest.",
    ),
)


# discriminality_loss ----------------------------------------------------------------


def _discriminality_by_loop(
    features: Tensor, targets: Tensor, channels_per_class: int, *, mask=None
) -> Tensor:
    if mask is not None:
        features = features * mask
    pooled = _pool_by_loop(features, channels_per_class)
    logits = torch.stack([sample.flatten(1).mean(dim=1) for sample in pooled])
    picked = [row.logsumexp(0) - row[k] for row, k in zip(logits, targets, strict=True)]
    return torch.stack(picked).mean()


def _discriminality_cases() -> Iterator[Case]:
    maps = torch.zeros(1, 4, 1, 2, dtype=torch.float64)
    maps[0, :, 0] = torch.tensor([[2.0, 0.0], [0.0, 4.0], [1.0, 1.0], [0.0, 0.0]])
    # Logits 3 and 1.
    value = torch.tensor(math.log(1 + math.exp(-2)), dtype=torch.float64)
    yield Case("logits 3 and 1", (maps, torch.tensor([0]), 2), expected=value)
    targets = torch.tensor([2, 0, 1, 2])
    features = _features(4, 12, 3, 5, scale=6)
    common = torch.tensor([1.0, 0, 1, 1] * 3, dtype=torch.float64).reshape(12, 1, 1)
    own = (_features(4, 12, 1, 1, seed=3) < 0.6).double()
    own[:, ::4] = 1
    for name, mask in {
        "no mask": None,
        "one mask for the batch": common,
        "a mask for each sample": own,
    }.items():
        yield Case.from_reference(
            name, _discriminality_by_loop, features, targets, 4, mask=mask
        )
    yield Case.from_reference(
        "its gradient", _discriminality_by_loop, features, targets, 4, gradient=True
    )
    large = features * 200
    yield Case.from_reference(
        "maps up to 1,200", _discriminality_by_loop, large, targets, 4, hardening=True
    )
    tiny = _features(2, 6, 1, 1, scale=3)
    yield Case.from_reference(
        "maps of 1 × 1", _discriminality_by_loop, tiny, torch.tensor([0, 1]), 3
    )
    yield Case(
        "a target of 3 with three classes",
        (features, torch.tensor([2, 0, 3, 1]), 4),
        raises=(ValueError, IndexError),
    )


def _logits(features, xi, mask):
    masked = features if mask is None else features * mask
    return _pool_by_loop(masked, xi).mean(dim=(2, 3))


def _ignores_mask(features, targets, channels_per_class, *, mask=None):
    return F.cross_entropy(_logits(features, channels_per_class, None), targets)


def _softmax_twice(features, targets, channels_per_class, *, mask=None):
    logits = _logits(features, channels_per_class, mask)
    return F.cross_entropy(logits.softmax(dim=1), targets)


def _log_of_softmax(features, targets, channels_per_class, *, mask=None):
    logits = _logits(features, channels_per_class, mask)
    shares = logits.exp() / logits.exp().sum(dim=1, keepdim=True)
    if targets.max() >= shares.shape[1]:
        raise ValueError("targets")
    return -shares[torch.arange(len(targets)), targets].log().mean()


def _largest_position(features, targets, channels_per_class, *, mask=None):
    masked = features if mask is None else features * mask
    logits = _pool_by_loop(masked, channels_per_class).amax(dim=(2, 3))
    return F.cross_entropy(logits, targets)


def _sum_of_positions(features, targets, channels_per_class, *, mask=None):
    masked = features if mask is None else features * mask
    logits = _pool_by_loop(masked, channels_per_class).sum(dim=(2, 3))
    return F.cross_entropy(logits, targets)


def _averages_first(features, targets, channels_per_class, *, mask=None):
    masked = features if mask is None else features * mask
    means = masked.mean(dim=(2, 3)).unflatten(1, (-1, channels_per_class))
    return F.cross_entropy(means.amax(dim=2), targets)


def _average_of_channels(features, targets, channels_per_class, *, mask=None):
    masked = features if mask is None else features * mask
    groups = masked.unflatten(1, (-1, channels_per_class))
    return F.cross_entropy(groups.mean(dim=(2, 3, 4)), targets)


def _sum_of_samples(features, targets, channels_per_class, *, mask=None):
    logits = _logits(features, channels_per_class, mask)
    return F.cross_entropy(logits, targets, reduction="sum")


def _logits_dealt_in_turn(features, targets, channels_per_class, *, mask=None):
    masked = features if mask is None else features * mask
    groups = masked.unflatten(1, (channels_per_class, -1)).amax(dim=1)
    return F.cross_entropy(groups.mean(dim=(2, 3)), targets)


_DISCRIMINALITY_LOSS = Exercise(
    name="discriminality_loss",
    solution=mc_loss.discriminality_loss,
    cases=_discriminality_cases,
    mistakes=(
        Mistake(
            "The positions are averaged before the maximum, so that one channel must "
            "win for the whole picture. Maximum first, average after.",
            _averages_first,
        ),
        Mistake(
            "You average a class's channels. At each position the strongest counts.",
            _average_of_channels,
        ),
        Mistake(
            "You take the strongest position. The positions are averaged.",
            _largest_position,
        ),
        Mistake(
            "You add up over positions, and the logits grow with the size of the map. "
            "Average.",
            _sum_of_positions,
        ),
        Mistake(
            "`F.cross_entropy` has the softmax in it. Give it the averages themselves.",
            _softmax_twice,
        ),
        Mistake(
            "The channels are dealt out in turn. Class 0 owns the first "
            "`channels_per_class` of them.",
            _logits_dealt_in_turn,
        ),
        Mistake("You add up over the samples. Take their mean.", _sum_of_samples),
        Mistake("The mask is not used: `features * mask` comes first.", _ignores_mask),
        Mistake(
            "exp(1,200) overflows. `F.cross_entropy` takes the logits and subtracts "
            "the largest first.",
            _log_of_softmax,
        ),
    ),
    hints=(
        "Mask, maximum over a class's channels, average over positions: that is one "
        "number for each class.",
        "Those numbers are logits as they are. No weight comes in.",
        "`F.cross_entropy(strongest.mean(dim=(2, 3)), targets)`.",
    ),
)


EXERCISES = (_CHANNEL_MAX_POOL, _CHANNEL_MASK, _DIVERSITY_LOSS, _DISCRIMINALITY_LOSS)
