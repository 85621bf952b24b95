"""The checks of the chapter `book/project/semantic_to_vehicle.ipynb`."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import semantic_to_vehicle
from lesson_utils.data.vehicles import (
    COLOR_NAMES,
    GROUND_NAMES,
    KIND_NAMES,
    TIME_NAMES,
    WORDS,
    parse_caption,
)
from lesson_utils.grading.draws import normal, seeded
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# spatially_adaptive_norm ------------------------------------------------------------


def _channel_by_channel(features: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    """Each channel of each picture by itself, with sums."""
    result = features * 1
    for b in range(len(features)):
        for c in range(features.shape[1]):
            places = features[b, c]
            mean = places.sum() / places.numel()
            variance = ((places - mean) ** 2).sum() / places.numel()
            normal_ = (places - mean) / (variance + 1e-5) ** 0.5
            changed = normal_ + gain[b, c] * normal_ + bias[b, c]
            result = result.index_put((torch.tensor(b), torch.tensor(c)), changed)
    return result


def _spade(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Features that are neither centered nor of deviation 1, a gain and a bias."""
    features = 2 * normal(*shape, seed=seed) + 0.5
    return features, normal(*shape, seed=seed + 1), normal(*shape, seed=seed + 2)


def _spade_cases() -> Iterator[Case]:
    features = torch.tensor([[[[1.0, 3.0]]]], dtype=torch.float64)  # mean 2, variance 1
    gain = torch.tensor([[[[1.0, 0.0]]]], dtype=torch.float64)
    bias = torch.tensor([[[[0.0, 10.0]]]], dtype=torch.float64)
    one = (1 + 1e-5) ** -0.5
    expected = torch.tensor([[[[-2 * one, 10 + one]]]], dtype=torch.float64)
    yield Case("two places", (features, gain, bias), expected=expected)
    for name, shape, seed in (
        ("three pictures, four channels", (3, 4, 3, 4), 1),
        ("one picture", (1, 3, 4, 4), 5),
    ):
        yield Case.from_reference(
            name, _channel_by_channel, *_spade(*shape, seed=seed), gradient=True
        )
    features, gain, bias = _spade(2, 3, 4, 4, seed=13)
    yield Case.from_reference(
        "a gain of 0: instance norm and a bias",
        _channel_by_channel,
        features,
        torch.zeros_like(gain),
        bias,
    )
    yield Case.from_reference(
        "a small deviation, beside which 1e-5 counts",
        _channel_by_channel,
        4e-4 * features,
        gain,
        bias,
    )
    constant = torch.full_like(features, 7.0)
    yield Case(
        "channels without a deviation", (constant, gain, bias), expected=bias,
        hardening=True,
    )  # fmt: skip
    none = features[:0]
    yield Case("no picture", (none, none, none), expected=none, hardening=True)
    two = (ValueError, RuntimeError)
    yield Case("a gain for each channel", (features, gain[:1, :, :1, :1], bias),
               raises=ValueError)  # fmt: skip
    yield Case("one bias for all pictures", (features, gain, bias[:1]),
               raises=ValueError)  # fmt: skip
    yield Case("a gain of another size", (features, gain[..., :3], bias), raises=two)
    yield Case("a channel too few", (features[:, :2], gain, bias), raises=two)
    yield Case("without a batch", (features[0], gain[0], bias[0]), raises=two)
    yield Case(
        "one place",
        (features[..., :1, :1], gain[..., :1, :1], bias[..., :1, :1]),
        raises=ValueError,
    )


def _refuse_spade(features: Tensor, gain: Tensor, bias: Tensor) -> None:
    if features.dim() != 4 or not features.shape == gain.shape == bias.shape:
        raise ValueError("features, gain and bias must be (B, C, H, W)")
    if features.shape[2] * features.shape[3] < 2:
        raise ValueError("features must have two places")


def _wrong_spade(
    features: Tensor, gain: Tensor, bias: Tensor, *, way: str = "no 1"
) -> Tensor:
    """The right answer with one thing wrong."""
    if way != "any shape":
        _refuse_spade(features, gain, bias)
    if way == "no picture":
        return torch.stack([_wrong_spade(*each, way="") for each in
                            zip(features[:, None], gain[:, None], bias[:, None],
                                strict=True)])[:, 0]  # fmt: skip
    over = {
        "batch": (0, 2, 3),
        "layer": (1, 2, 3),
        "channels": (1,),
        "rows": (2,),
        "columns": (3,),
    }.get(way, (2, 3))
    source = {"map's": gain, "bias's": bias}.get(way, features)
    if way == "late":
        source = features = features * (1 + gain) + bias
    mean = source.mean(over, keepdim=True)
    variance = source.var(over, keepdim=True, unbiased=way == "unbiased")
    if way == "detached":
        mean, variance = mean.detach(), variance.detach()
    centered = features if way == "not centered" else features - mean
    scale: dict[str, Callable[[], Tensor | float]] = {
        "eps behind the root": lambda: variance.sqrt() + 1e-5,
        "eps missing": variance.sqrt,
        "eps clamped": lambda: variance.clamp(min=1e-5).sqrt(),
        "by variance": lambda: variance + 1e-5,
        "only centered": lambda: 1.0,
        "not normalized": lambda: 1.0,
    }
    divided = centered / scale.get(way, lambda: (variance + 1e-5).sqrt())()
    if way == "not normalized":
        divided = features
    if way in ("late", "norm alone"):
        return divided
    last: dict[str, Callable[[], Tensor]] = {
        "no 1": lambda: divided * gain + bias,
        "bias first": lambda: (divided + bias) * (1 + gain),
        "bias multiplied": lambda: divided * (1 + gain) * bias,
        "bias minus": lambda: divided * (1 + gain) - bias,
        "no bias": lambda: divided * (1 + gain),
        "no gain": lambda: divided + bias,
        "exchanged": lambda: divided * (1 + bias) + gain,
        "adain": lambda: (
            divided * (1 + gain.mean((2, 3), keepdim=True))
            + bias.mean((2, 3), keepdim=True)
        ),
        "features kept": lambda: features + divided * gain + bias,
        "one less": lambda: divided * (1 - gain) + bias,
        "exponential": lambda: divided * gain.exp() + bias,
        "sigmoid": lambda: divided * (1 + gain.sigmoid()) + bias,
    }
    return last.get(way, lambda: divided * (1 + gain) + bias)()


_EPS = (
    "The 1e-5 under the root is missing. It is added to the variance, always: without "
    "it a channel without deviation is 0 / 0."
)
_ONE_AXIS = (
    "The mean and the variance are taken along one axis of the map. They belong to all "
    "places of a channel: `dim=(2, 3)`."
)
_OF_MAP = (
    "You normalize by the statistics of the gain or of the bias. They are not "
    "normalized, and their statistics are not used: the features' own are."
)
_SPATIALLY_ADAPTIVE_NORM = Exercise(
    name="spatially_adaptive_norm",
    solution=semantic_to_vehicle.spatially_adaptive_norm,
    cases=_spade_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_spade, way=way))
        for way, hint in {
            "no 1": "The gain says how much *more* than 1: multiply by 1 + gain. With "
            "a gain of 0 yours wipes the features out.",
            "batch": "The statistics are mixed over the batch: that is batch norm. "
            "Each picture has its own, over H and W.",
            "layer": "The statistics are mixed over the channels: that is layer norm. "
            "Each channel has its own, over H and W.",
            "channels": "You normalize along the channels, place by place. Each "
            "channel is normalized over its places: `dim=(2, 3)`.",
            "rows": _ONE_AXIS,
            "columns": _ONE_AXIS,
            "unbiased": "The variance divides by H · W, not by H · W − 1: "
            "`unbiased=False` (or `correction=0`).",
            "eps behind the root": "1e-5 belongs under the root, added to the "
            "variance: `(variance + 1e-5).sqrt()`.",
            "eps missing": _EPS,
            "eps clamped": _EPS,
            "by variance": "You divide by the variance; divide by its root.",
            "only centered": "The features are centered, and not divided by their "
            "deviation.",
            "not centered": "The mean is not taken off before the division.",
            "not normalized": "The features are not normalized: take off the mean, "
            "divide by the deviation, and only then gain and bias.",
            "map's": _OF_MAP,
            "bias's": _OF_MAP,
            "late": "Gain and bias come first here, and are then normalized away "
            "again. Normalize first.",
            "norm alone": "This is instance norm alone; gain and bias are still to "
            "come.",
            "bias first": "The bias is added before the product. First times 1 + gain, "
            "then plus the bias.",
            "bias multiplied": "The bias is multiplied. It is *added*.",
            "bias minus": "The bias is taken off. It is added.",
            "no bias": "The bias is missing.",
            "no gain": "The gain is missing.",
            "exchanged": "Gain and bias have changed places.",
            "adain": "You take the gain's and the bias's means over places: that is "
            "AdaIN, one number for each channel. Here each place has its own.",
            "features kept": "The 1 of 1 + gain stands before the *normalized* "
            "features; you keep the features as they came.",
            "one less": "You multiply by 1 − gain; it is 1 + gain.",
            "exponential": "You multiply by the gain's exponential; it is 1 + gain.",
            "sigmoid": "The gain is not squashed: multiply by 1 + gain as it is.",
            "detached": "The result is right, its gradient is not: mean and variance "
            "are cut off from the features (`detach`, `no_grad`, `.item()`).",
            "no picture": "A loop over pictures has nothing to stack where there is "
            "none.",
        }.items()
    ),
    hints=(
        "Two steps: instance norm, then a gain and a bias for each place.",
        "Mean and variance are over H and W, with `keepdim=True`, so that they are "
        "(B, C, 1, 1) and line up with the features.",
        "`mean = features.mean((2, 3), keepdim=True)`, the variance likewise with "
        "`unbiased=False`; `(features - mean) / (variance + 1e-5).sqrt() * (1 + gain) "
        "+ bias`. `F.instance_norm` does the first half.",
    ),
)


# gate_channels ----------------------------------------------------------------------


def _plane_by_plane(features: Tensor, gates: Tensor) -> Tensor:
    """Each channel of each picture by itself, the sigmoid by its formula."""
    rows = [
        torch.stack(
            [plane / (1 + (-gate).exp()) for plane, gate in zip(*pair, strict=True)]
        )
        for pair in zip(features, gates, strict=True)
    ]
    return torch.stack(rows)


def _gate_cases() -> Iterator[Case]:
    features = torch.tensor([[[[1.0, 3.0]], [[-2.0, 8.0]]]], dtype=torch.float64)
    gates = torch.tensor([[0.0, 3.0]], dtype=torch.float64).log()  # 0 → gate 0
    gates[0, 0] = 0.0
    expected = torch.tensor([[[[0.5, 1.5]], [[-1.5, 6.0]]]], dtype=torch.float64)
    yield Case("gates 1/2 and 3/4", (features, gates), expected=expected)
    for name, shape, seed in (
        ("as many pictures as channels, rows and columns", (3, 3, 3, 3), 1),
        ("two pictures, five channels", (2, 5, 3, 4), 3),
        ("four pictures, one channel", (4, 1, 2, 3), 5),
        ("one place", (3, 4, 1, 1), 7),
    ):
        yield Case.from_reference(
            name,
            _plane_by_plane,
            normal(*shape, seed=seed),
            2 * normal(*shape[:2], seed=seed + 1),
            gradient=True,
        )
    features = normal(2, 2, 3, 3, seed=9)
    far = torch.tensor([[1e4, -1e4], [-1e4, 1e4]], dtype=torch.float64)
    yield Case(
        "gates of 1e4 and -1e4",
        (features, far),
        expected=features * (far > 0)[:, :, None, None],
        hardening=True,
    )
    none = features[:0]
    yield Case("no picture", (none, far[:0]), expected=none, hardening=True)
    features, gates, two = normal(2, 3, 4, 4), normal(2, 3), (ValueError, RuntimeError)
    yield Case("gates (C, B)", (features, gates.T), raises=two)
    yield Case("gates (B, 1)", (features, gates[:, :1]), raises=two)
    yield Case("gates (1, C)", (features, gates[:1]), raises=two)
    yield Case("gates (C,)", (features, gates[0]), raises=(*two, IndexError))
    yield Case("gates (B, C, 1)", (features, gates[..., None]), raises=two)
    yield Case("without a batch", (features[0], gates[0]), raises=(*two, IndexError))


def _refuse_gates(features: Tensor, gates: Tensor) -> None:
    if features.dim() != 4 or gates.shape != features.shape[:2]:
        raise ValueError("features must be (B, C, H, W), gates (B, C)")


def _wrong_gates(features: Tensor, gates: Tensor, *, way: str = "no sigmoid") -> Tensor:
    """The right answer with one thing wrong."""
    _refuse_gates(features, gates)
    kinds: dict[str, Callable[[Tensor], Tensor]] = {
        "no sigmoid": nn.Identity(),
        "softmax": lambda values: values.softmax(1),
        "softmax of the batch": lambda values: values.softmax(0),
        "tanh": torch.tanh,
        "relu": F.relu,
        "twice": lambda values: values.sigmoid().sigmoid(),
        "inverted": lambda values: 1 - values.sigmoid(),
        "one more": lambda values: 1 + values,
        "doubled": lambda values: 2 * values.sigmoid(),
        "detached": lambda values: values.sigmoid().detach(),
        "overflow": lambda values: values.exp() / (1 + values.exp()),
        "hard": lambda values: (values > 0).to(values),
    }
    opened = kinds.get(way, torch.sigmoid)(gates)
    wide = opened[:, :, None, None]
    plain = gates[:, :, None, None]
    if way == "turned":
        return features * opened.T[:, :, None, None]
    last: dict[str, Callable[[], Tensor]] = {
        "not viewed": lambda: features * opened,
        "viewed last": lambda: features * opened[:, None, None],
        "viewed (B, C, 1)": lambda: features * opened[..., None],
        "viewed (B, 1, C, 1)": lambda: features * opened[:, None, :, None],
        "means": lambda: features.mean((2, 3)) * opened,
        "means kept": lambda: features.mean((2, 3), keepdim=True) * wide,
        "halves": lambda: plain * features.sigmoid(),
        "product": lambda: (features * plain).sigmoid(),
        "added": lambda: features + wide,
        "residual": lambda: features + features * wide,
        "gates alone": lambda: opened,
        "gates (B, C, 1, 1)": lambda: wide,
        "gates everywhere": lambda: wide.expand_as(features),
        "one gate": lambda: features * gates.mean(1).sigmoid()[:, None, None, None],
        "of the batch": lambda: features * gates.mean(0).sigmoid()[:, None, None],
        "with themselves": lambda: features * features.sigmoid(),
    }
    return last.get(way, lambda: features * wide)()


_LINED_UP = (
    "Shapes are lined up from the right, so that gates of (B, C) meet H and W, or fail "
    "to. View them as (B, C, 1, 1): `gates[:, :, None, None]`."
)
_SOFTMAX = (
    "Softmax lets gates compete: they add up to 1. A sigmoid opens or shuts each one "
    "by itself."
)
_NO_PLACES = (
    "The mean over places is taken first, and the places are gone. Each place of a "
    "channel is multiplied by the channel's gate."
)
_GATES_ALONE = "These are the gates alone. Multiply the features by them."
_RESIDUAL = (
    "Features times gates is all; the features are not added once more (a 1 + gate is "
    "the same)."
)
_ONE_FOR_ALL = (
    "The gates are averaged. Each channel of each picture has a gate of its own."
)
_GATE_CHANNELS = Exercise(
    name="gate_channels",
    solution=semantic_to_vehicle.gate_channels,
    cases=_gate_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_gates, way=way))
        for way, hint in {
            "no sigmoid": "The sigmoid is missing: a gate lies between 0, shut, and 1, "
            "open.",
            "softmax": _SOFTMAX,
            "softmax of the batch": _SOFTMAX,
            "tanh": "A tanh gives gates from −1 to 1; a sigmoid keeps them between 0 "
            "and 1.",
            "relu": "A ReLU gives gates without an upper end; a sigmoid keeps them "
            "between 0 and 1.",
            "hard": "A gate is not either open or shut: the sigmoid has all values "
            "between 0 and 1, and a slope to learn by.",
            "twice": "The sigmoid is taken twice.",
            "inverted": "You multiply by 1 minus the gate.",
            "one more": "That is SPADE's gain, 1 + gate. A gated linear unit "
            "multiplies by the sigmoid.",
            "doubled": "The gate is twice the sigmoid; a plain one is asked for.",
            "turned": "Pictures and channels of the gates have changed places: they "
            "are (B, C) already.",
            "not viewed": _LINED_UP,
            "viewed last": _LINED_UP,
            "viewed (B, C, 1)": _LINED_UP,
            "viewed (B, 1, C, 1)": _LINED_UP,
            "means": _NO_PLACES,
            "means kept": _NO_PLACES,
            "halves": "The halves are exchanged: you take the sigmoid of the features. "
            "`F.glu` takes it of its *second* half, where the gates belong.",
            "product": "The sigmoid is of the gates alone, not of the product.",
            "added": "The gates are added. Features are *multiplied* by them.",
            "residual": _RESIDUAL,
            "gates alone": _GATES_ALONE,
            "gates (B, C, 1, 1)": _GATES_ALONE,
            "gates everywhere": _GATES_ALONE,
            "one gate": _ONE_FOR_ALL,
            "of the batch": _ONE_FOR_ALL,
            "with themselves": "The features gate themselves here. The sentence does: "
            "take the sigmoid of `gates`.",
            "detached": "The result is right, its gradient is not: the gates are cut "
            "off (`detach`, `no_grad`), so that the sentence can learn nothing.",
            "overflow": "`exp(1e4)` is infinite, and infinity / infinity is NaN: "
            "`torch.sigmoid` looks after that.",
        }.items()
    ),
    hints=(
        "A gate is a number between 0 and 1 for each channel of each picture.",
        "`gates.sigmoid()` is (B, C). What must it be viewed as, to be the same at all "
        "places of (B, C, H, W)?",
        "`features * gates.sigmoid()[:, :, None, None]`.",
    ),
)


# map_iou ----------------------------------------------------------------------------


def _number(answer: Callable[..., Any], *arguments: Any) -> Any:
    """A number, whether it came as one or as a tensor without dimensions."""
    result = answer(*arguments)
    return result.item() if isinstance(result, Tensor) and not result.dim() else result


def _by_sets(found: Tensor, asked: Tensor, num_parts: int) -> float:
    """Part by part, of sets of places."""
    scores = []
    for part in range(num_parts):
        sets = [
            {tuple(place) for place in (maps == part).nonzero().tolist()}
            for maps in (found, asked)
        ]
        if sets[0] | sets[1]:
            scores.append(len(sets[0] & sets[1]) / len(sets[0] | sets[1]))
    return sum(scores) / len(scores)


def _parts(num_parts: int, *shape: int, seed: int, share: float = 0.4) -> tuple:
    """Maps of unequally common parts, of which a share is seen as another one."""
    dice = seeded(seed)
    common = torch.arange(num_parts, 0, -1).double()
    number = torch.Size(shape).numel()
    asked, other = (
        torch.multinomial(common, number, replacement=True, generator=dice).view(shape)
        for _ in range(2)
    )
    wrong = torch.rand(shape, generator=dice) < share
    return torch.where(wrong, other, asked), asked


def _iou_cases() -> Iterator[Case]:
    asked = torch.tensor([[[0, 0, 1, 1]], [[0, 0, 0, 2]]])
    found = torch.tensor([[[0, 1, 1, 1]], [[0, 0, 0, 0]]])
    yield Case(  # 4 of 6, 2 of 3, 0 of 1
        "two pictures of four pixels",
        (found, asked, 3),
        expected=(4 / 6 + 2 / 3 + 0 / 1) / 3,
        **_IOU,
    )
    yield Case(
        "the same, and parts 3 to 5 occur nowhere",
        (found, asked, 6),
        expected=(4 / 6 + 2 / 3 + 0 / 1) / 3,
        **_IOU,
    )
    yield Case(  # 0 of 2, 1 of 1, 0 of 2
        "part 2 is painted, and nobody asked for it",
        (torch.tensor([[[1, 2], [2, 0]]]) * 1, torch.tensor([[[1, 0], [0, 0]]]), 3),
        expected=(1 / 3 + 1 / 1 + 0 / 2) / 3,
        **_IOU,
    )
    for name, arguments in {
        "three pictures, nine parts": (*_parts(9, 3, 6, 7, seed=1), 9),
        "four small pictures, five parts": (*_parts(5, 4, 2, 3, seed=2), 5),
        "nine parts, of which four occur": (*_parts(4, 2, 5, 5, seed=3), 9),
    }.items():
        expected = _by_sets(*arguments)
        yield Case(name, arguments, expected=expected, **_IOU)
    yield Case(
        "all as asked, without a background",
        (asked + 1, asked + 1, 9),
        expected=1.0,
        **_IOU,
    )
    yield Case(
        "bytes", (found.byte(), asked.byte(), 3), expected=(4 / 6 + 2 / 3) / 3,
        hardening=True, **_IOU,
    )  # fmt: skip
    yield Case("no picture", (found[:0], asked[:0], 3), expected=torch.nan,
               hardening=True, **_IOU)  # fmt: skip
    yield Case("another number of pictures", (found[:1], asked, 3), raises=ValueError)
    yield Case("maps turned", (found, asked.mT, 3), raises=ValueError)
    yield Case("part 2 of two", (found, asked, 2), raises=ValueError)
    yield Case("part -1", (found - 1, asked, 3), raises=ValueError)


_IOU: dict[str, Any] = {
    "same_dtype": False,
    "rtol": 1e-5,
    "atol": 1e-6,
    "call": _number,
}


def _refuse_parts(found: Tensor, asked: Tensor, num_parts: int) -> None:
    if found.shape != asked.shape:
        raise ValueError("found and asked must be of one shape")
    for maps in (found, asked):
        if maps.numel() and not 0 <= maps.min() <= maps.max() < num_parts:
            raise ValueError("a part is out of range")


def _wrong_iou(
    found: Tensor, asked: Tensor, num_parts: int, *, way: str = "absent is 0"
) -> Tensor:
    """The right answer with one thing wrong."""
    _refuse_parts(found, asked, num_parts)
    parts = torch.arange(num_parts)
    if way == "background pixels":
        kept = asked != 0
        found, asked = found[kept][None], asked[kept][None]
    if way == "background left out":
        parts = parts[1:]
    if way == "of those found":
        parts = found.unique()
    seen, due = (
        (maps[None] == parts.view(-1, *(1,) * maps.dim())).flatten(2).double()
        for maps in (found, asked)
    )  # (P, B, H W)
    both, has, says = (seen * due).sum(2), due.sum(2), seen.sum(2)  # (P, B)
    if way not in ("by picture", "by picture and part"):
        both, has, says = both.sum(1), has.sum(1), says.sum(1)
    union = has + says - both
    scores = both / union  # 0 / 0 is NaN
    results: dict[str, Callable[[], Tensor]] = {
        "by picture": lambda: scores.nanmean(0).mean(),
        "by picture and part": scores.nanmean,
        "absent is 0": lambda: scores.nan_to_num(0).mean(),
        "absent is 1": lambda: scores.nan_to_num(1).mean(),
        "absent is NaN": scores.mean,
        "of those asked": lambda: scores[has > 0].mean(),
        "accuracy": lambda: (found == asked).double().mean(),
        "dice": lambda: (2 * both / (has + says)).nanmean(),
        "sum": lambda: (both / (has + says)).nanmean(),
        "weighted": lambda: (has * scores).nansum() / has.sum(),
        "summed first": lambda: both.sum() / union.sum(),
        "recall": lambda: (both / has).nanmean(),
        "precision": lambda: (both / says).nanmean(),
        "recall, absent is 0": lambda: (both / has).nan_to_num(0).mean(),
        "each part": lambda: scores,
        "median": scores.nanmedian,
    }
    return results.get(way, scores.nanmean)()


_PICTURES = (
    "You average over pictures. Count the pixels of all pictures together, and divide "
    "once for each part: a part that has few pixels in one picture then weighs no more "
    "there than they do."
)
_BACKGROUND = (
    "The background is left out. It is a part like the others: number 0 counts."
)
_RECALL = (
    "You divide by the pixels that were asked for. The union has those, too, that were "
    "painted where nobody asked."
)
_MAP_IOU = Exercise(
    name="map_iou",
    solution=semantic_to_vehicle.map_iou,
    cases=_iou_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_iou, way=way))
        for way, hint in {
            "by picture": _PICTURES,
            "by picture and part": _PICTURES,
            "absent is 0": "A part that occurs in neither counts as 0 here. It was not "
            "asked for and not painted: leave it out of the mean.",
            "absent is 1": "A part that occurs in neither counts as 1 here, and pulls "
            "the mean up. Leave it out.",
            "absent is NaN": "A part that occurs in neither is 0 / 0, which makes the "
            "mean NaN. Leave it out (`nanmean`).",
            "of those asked": "You average over the parts that were asked for. One "
            "that was painted though nobody asked for it has an IoU of 0, and counts.",
            "of those found": "You average over the parts that were found. One that "
            "was asked for and is not seen has an IoU of 0, and counts.",
            "accuracy": "This is the share of right pixels: sky and ground decide it "
            "almost alone. Intersection over union is for each part, then averaged.",
            "dice": "This is Dice, twice what is in both over the *sum* of the two. "
            "IoU divides by the union.",
            "sum": "The sum counts pixels that are in both twice. The union is the sum "
            "minus the intersection.",
            "background left out": _BACKGROUND,
            "background pixels": _BACKGROUND,
            "weighted": "You weigh each part by its share of the pixels. All parts "
            "that occur count alike, the small ones, too.",
            "summed first": "You add up all intersections and all unions, and divide "
            "once: large parts drown small ones. Divide for each part, then average.",
            "recall": _RECALL,
            "recall, absent is 0": _RECALL,
            "precision": "You divide by the pixels that were found. The union has "
            "those, too, that were asked for and not painted.",
            "each part": "One number for each part came back. Average them.",
            "median": "The median of the parts came back. The mean is asked for.",
        }.items()
    ),
    hints=(
        "For one part: `seen = found == part`, `due = asked == part`. Which two counts "
        "do you need?",
        "`(seen & due).sum() / (seen | due).sum()`, over the whole batch. What if the "
        "union is empty?",
        "Collect the ratios of the parts whose union is not empty, and average. "
        "`mean_iou(confusion_matrix(found, asked, num_parts))` of the chapter on "
        "segmentation metrics does it.",
    ),
)


# parse_caption ----------------------------------------------------------------------

_KEYS = ("color", "kind", "windows", "extra", "load", "time", "ground")
_NUMBERS = ("no", "one", "two", "three", "four", "five", "six")
_EXTRAS = ("a stripe", "a roof rack", "a ladder")
_LOADS = ("sand", "logs", "boxes", "hay")

_REQUIRED = ("color", "kind", "windows", "time", "ground")  # in each whole sentence
_UNKNOWN = {f"{kind.__name__} on unknown": kind for kind in (KeyError, ValueError)}
_MISSING = {
    f"{kind.__name__} on missing": kind
    for kind in (TypeError, AttributeError, IndexError, ValueError, StopIteration)
}

Said = dict[str, str | int | None]


def _said(*values: str | int | None, **others: str | int) -> Said:
    """Values in the order of the keys, or by key; None for the rest."""
    return dict.fromkeys(_KEYS) | dict(zip(_KEYS, values, strict=False)) | others


def _parse_cases() -> Iterator[Case]:
    grammar = {
        "a red van with three windows and a roof rack, at dusk, on grass": _said(
            "red", "van", 3, "a roof rack", None, "at dusk", "grass"
        ),
        "an orange truck with two windows and a stripe, carrying logs, by day, on a "
        "road": _said("orange", "truck", 2, "a stripe", "logs", "by day", "a road"),
        "a blue fire engine with one window and a ladder, at night, on snow": _said(
            "blue", "fire engine", 1, "a ladder", None, "at night", "snow"
        ),
        "a white bus with six windows, at night, on a road": _said(
            "white", "bus", 6, None, None, "at night", "a road"
        ),
        "a black pickup with one window, carrying sand, by day, on snow": _said(
            "black", "pickup", 1, None, "sand", "by day", "snow"
        ),
        "a green tractor with two windows, carrying hay, at dusk, on sand": _said(
            "green", "tractor", 2, None, "hay", "at dusk", "sand"
        ),
        "a purple car with two windows, by day, on sand": _said(
            "purple", "car", 2, None, None, "by day", "sand"
        ),
        "a yellow truck with one window, carrying boxes, by day, on grass": _said(
            "yellow", "truck", 1, None, "boxes", "by day", "grass"
        ),
    }
    for text, expected in grammar.items():
        yield Case(text, (text,), expected=expected)
    harder = {
        "a short sentence": ("a red bus", _said("red", "bus")),
        "no vehicle": ("at night, on a road", _said(time="at night", ground="a road")),
        "no windows": ("a van with no windows", _said(None, "van", 0)),
        "an extra alone": (
            "a fire engine with a ladder",
            _said(None, "fire engine", None, "a ladder"),
        ),
        "capital letters": (
            "A Red Fire Engine with ONE window, At Dusk, on A Road",
            _said("red", "fire engine", 1, None, None, "at dusk", "a road"),
        ),
        "no commas, and spaces": (
            " a red  truck with one  window carrying  sand at  night  on  snow ",
            _said("red", "truck", 1, None, "sand", "at night", "snow"),
        ),
        "unknown words": (
            "a shiny red hovercraft with three windows, singing, at dusk, on grass",
            _said("red", None, 3, None, None, "at dusk", "grass"),
        ),
        "known words inside of unknown ones": (
            "a scarred minivan with windowsills, on grassland",
            _said(),
        ),
        "nothing but unknown words": ("colorless green-ish ideas", _said()),
        "an empty text": ("", _said()),
    }
    for name, (text, expected) in harder.items():
        yield Case(name, (text,), expected=expected, hardening=True)


def _find(text: str, phrases: tuple[str, ...], before: str = "") -> str | None:
    """The first phrase that stands in the text as whole words."""
    for phrase in phrases:
        if re.search(rf"(?<![^\s,]){before}{phrase}(?![^\s,])", text):
            return phrase
    return None


def _by_commas(text: str) -> Said:
    """Piece by piece, as commas cut them."""
    first, *pieces = text.lower().split(", ")
    said = _wrong_parse(first, way="as it is")
    result = said | dict.fromkeys(("load", "time", "ground"))
    for piece in pieces:
        if piece.startswith("carrying "):
            result["load"] = piece.removeprefix("carrying ")
        elif piece.startswith("on "):
            result["ground"] = piece.removeprefix("on ")
        elif piece in TIME_NAMES:
            result["time"] = piece
    return result


def _wrong_parse(text: str, *, way: str = "car in carrying") -> Said:
    """The right answer with one thing wrong."""
    if way == "commas":
        return _by_commas(text)
    plain = (text if way == "capitals" else text.lower()).replace(",", " ")
    words = plain.split()
    if way == "spaces":
        words = plain.split(" ")  # with "" between two spaces
    joined = " ".join(words)
    if way in _UNKNOWN and set(words) - {*WORDS, "no"}:
        raise _UNKNOWN[way]("an unknown word")
    if way == "raises on nothing" and not words:
        raise ValueError("empty")
    if way == "nothing for nothing" and not words:
        return {}
    found: Said = {
        "color": _find(joined, COLOR_NAMES),
        "kind": _find(joined, KIND_NAMES),
        "windows": None,
        "extra": _find(joined, _EXTRAS),
        "load": _find(joined, _LOADS, "carrying "),
        "time": _find(joined, TIME_NAMES),
        "ground": _find(joined, GROUND_NAMES, "on "),
    }
    said = re.search(rf"\b({'|'.join(_NUMBERS)}) windows?(?![^\s,])", joined)
    if said:
        found["windows"] = _NUMBERS.index(said[1])
    inside: dict[str, tuple[str, tuple[str, ...], str]] = {
        "car in carrying": ("kind", KIND_NAMES, ""),
        "color inside": ("color", COLOR_NAMES, ""),
        "ground inside": ("ground", GROUND_NAMES, "on "),
    }
    if way in inside or way == "all inside":
        for key, names, before in (
            inside.values() if way == "all inside" else [inside[way]]
        ):
            found[key] = next((n for n in names if before + n in joined), None)
    if way == "kind inside, longest first":
        longest = sorted(KIND_NAMES, key=len, reverse=True)
        found["kind"] = next((name for name in longest if name in joined), None)
    if way == "two words" and found["kind"] == "fire engine":
        found["kind"] = None
    if way in ("fire", "engine") and found["kind"] == "fire engine":
        found["kind"] = way
    if way == "road" and found["ground"] == "a road":
        found["ground"] = "road"
    if way == "no road" and found["ground"] == "a road":
        found["ground"] = None
    if way == "on":
        found["ground"] = found["ground"] and f"on {found['ground']}"
    if way == "carrying":
        found["load"] = found["load"] and f"carrying {found['load']}"
    if way == "sand for ground":
        found["ground"] = _find(joined, GROUND_NAMES)
    if way == "sand for load":
        found["load"] = _find(joined, _LOADS)
    if way == "sand for both":
        found["ground"], found["load"] = (
            _find(joined, names) for names in (GROUND_NAMES, _LOADS)
        )
    if way in ("first sand", "first sand of both"):
        found["load"] = next((word for word in words if word in _LOADS), None)
    if way == "first sand of both":
        found["ground"] = _find(joined, GROUND_NAMES)
    if way == "bare extra":
        found["extra"] = found["extra"] and str(found["extra"])[2:]
    if way == "last of extra":
        found["extra"] = found["extra"] and str(found["extra"]).split()[-1]
    if way == "with an extra":
        found["extra"] = found["extra"] and f"and {found['extra']}"
    if way == "bare time":
        found["time"] = found["time"] and str(found["time"])[3:]
    if found["windows"] is not None:
        number = int(found["windows"])
        found["windows"] = {
            "word": _NUMBERS[number],
            "digits": str(number),
            "one less": number - 1,
            "0 is None": number or None,
        }.get(way, number)
        if way == "windows only" and number == 1:
            found["windows"] = None
    elif way == "0 for None":
        found["windows"] = 0
    if way in _MISSING and not all(map(found.get, _REQUIRED)):
        raise _MISSING[way]("nothing was found")
    if way == "left out":
        return {key: value for key, value in found.items() if value is not None}
    if way in ("none", ""):
        return {key: way if value is None else value for key, value in found.items()}
    if way == "after with" and " and " not in joined and found["extra"]:
        found["extra"] = None
    return found


_FIRE_ENGINE = (
    "“fire engine” is one kind of two words: look for the whole phrase, not for single "
    "words."
)
_ROAD = "“a road” is one of `GROUND_NAMES` with its article: look for the whole phrase."
_SAND = (
    "“sand” is a load and a ground. What stands behind “carrying” is the load, what "
    "stands behind “on” the ground."
)
_NUMBER = "The number of windows is an int: translate the word."
_NONE = (
    "What the sentence does not say is `None`, and its key is there all the same: all "
    "seven keys, always."
)
_ARTICLE = 'An extra comes with its article: "a stripe", "a roof rack", "a ladder".'
_INSIDE = (
    "A word is found inside of another one, such as “red” in “scarred”. Compare whole "
    "words: put a space before and behind both text and phrase, or use `\\b`."
)
_NOT_AN_ERROR = (
    "Nothing is an error here: unknown words are passed over, and what is not said is "
    "`None`."
)
_PARSE_CAPTION = Exercise(
    name="parse_caption",
    solution=parse_caption,
    cases=_parse_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_parse, way=way))
        for way, hint in {
            "car in carrying": "“car” is found in “carrying”. Compare whole words: put "
            "a space before and behind both text and phrase, or use `\\b`.",
            "two words": _FIRE_ENGINE,
            "fire": _FIRE_ENGINE,
            "engine": _FIRE_ENGINE,
            "road": _ROAD,
            "no road": _ROAD,
            "on": "The ground comes without “on”.",
            "carrying": "The load comes without “carrying”.",
            "sand for ground": _SAND,
            "sand for load": _SAND,
            "sand for both": _SAND,
            "first sand": _SAND,
            "first sand of both": _SAND,
            "bare extra": _ARTICLE,
            "last of extra": _ARTICLE,
            "with an extra": "The extra comes without “and”.",
            "bare time": "The time comes with its preposition, as in `TIME_NAMES`: "
            '"at dusk".',
            "word": _NUMBER,
            "digits": _NUMBER,
            "one less": "The number of windows is one too small: where does your list "
            "of words begin?",
            "windows only": "One window is said without an s: look for “window”, too.",
            "left out": _NONE,
            "none": _NONE,
            "": _NONE,
            "nothing for nothing": _NONE,
            "0 for None": "Where no windows are spoken of, the number is `None`, not "
            "0.",
            "0 is None": "“no windows” says a number, 0. `number or None` loses it: "
            "ask whether it `is None`.",
            "capitals": "Capital letters change nothing: `text.lower()` first.",
            "commas": "The commas may be missing, or stand right behind a word: take "
            "them out, and split at spaces.",
            "spaces": "`split()` without an argument passes over several spaces; "
            "`split(' ')` does not.",
            "color inside": _INSIDE,
            "ground inside": _INSIDE,
            "all inside": "“car” is found in “carrying”, and “red” would be in "
            "“scarred”. Compare whole words: put a space before and behind both text "
            "and phrase, or use `\\b`.",
            "kind inside, longest first": _INSIDE,
            **dict.fromkeys((*_UNKNOWN, *_MISSING), _NOT_AN_ERROR),
            "raises on nothing": _NOT_AN_ERROR,
            "after with": "An extra may come without a number of windows before it: "
            "“with a ladder”.",
        }.items()
    ),
    hints=(
        "Make the text plain first: small letters, no commas, one space between words.",
        "For each key make a list of phrases, and look which one is in the text: with "
        "a space before and behind both, so that “car” is not found in “carrying”.",
        'Loads are looked for as "carrying sand", grounds as "on sand", numbers as '
        '"one window" and "two windows"; the value that is returned is another matter.',
    ),
)

EXERCISES = (_SPATIALLY_ADAPTIVE_NORM, _GATE_CHANNELS, _MAP_IOU, _PARSE_CAPTION)
