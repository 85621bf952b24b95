"""The checks of the chapter `book/attention/channel_attention.ipynb`."""

import math
from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lesson_utils import channel_attention
from lesson_utils.grading.draws import normal
from lesson_utils.grading.exercise import Case, Exercise, Mistake

# squeeze_excite ---------------------------------------------------------------------


def _by_picture(features, weight1, bias1, weight2, bias2):
    """Picture by picture, channel by channel, the sigmoid by its formula."""
    result = []
    for maps in features:
        means = torch.stack([channel.sum() / channel.numel() for channel in maps])
        hidden = weight1 @ means + bias1
        hidden = hidden * (hidden > 0)
        gates = 1 / (1 + (-(weight2 @ hidden + bias2)).exp())
        result.append(
            torch.stack([g * channel for g, channel in zip(gates, maps, strict=True)])
        )
    return torch.stack(result) if result else features * 1


def _layers(channels: int, squeezed: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Two layers whose hidden numbers are of both signs."""
    return (
        normal(squeezed, channels, seed=seed),
        normal(squeezed, seed=seed + 1),
        normal(channels, squeezed, seed=seed + 2),
        normal(channels, seed=seed + 3),
    )


def _squeeze_cases() -> Iterator[Case]:
    features = torch.tensor([[[[1.0, 3.0]], [[0.0, 4.0]]]], dtype=torch.float64)
    layers = (
        torch.tensor([[1.0, -1.0], [1.0, 1.0]], dtype=torch.float64),  # of means 2, 2
        torch.tensor([-1.0, 0.0], dtype=torch.float64),  # hidden -1 → 0, and 4
        torch.tensor([[5.0, 0.0], [0.0, -0.25]], dtype=torch.float64),  # 0 and -1
        torch.tensor([0.0, 1.0 + math.log(3)], dtype=torch.float64),  # 0 and log 3
    )
    gates = torch.tensor([1 / 2, 3 / 4], dtype=torch.float64)[:, None, None]
    yield Case(
        "two channels, gates 1/2 and 3/4",
        (features, *layers),
        expected=features * gates,
    )
    yield Case.from_reference(
        "a batch of three, six channels",
        _by_picture,
        normal(3, 6, 4, 5, seed=5) + 0.5,
        *_layers(6, 2),
        gradient=True,
    )
    yield Case.from_reference(
        "two pictures, four channels, three hidden numbers",
        _by_picture,
        normal(2, 4, 3, 3, seed=9),
        *_layers(4, 3, seed=3),
        gradient=True,
    )
    yield Case.from_reference(
        "one place", _by_picture, normal(2, 5, 1, 1, seed=2), *_layers(5, 1, seed=7)
    )
    yield Case.from_reference(
        "as many hidden numbers as channels",
        _by_picture,
        normal(2, 4, 4, 4, seed=4),
        *_layers(4, 4, seed=6),
    )
    far = tuple(1e4 * each for each in _layers(3, 2))
    yield Case.from_reference(
        "gates that are all but open or shut",
        _by_picture,
        normal(1, 3, 2, 2, seed=3),
        *far,
        hardening=True,
    )
    empty = torch.zeros(0, 6, 4, 4, dtype=torch.float64)
    yield Case("no picture", (empty, *_layers(6, 2)), expected=empty, hardening=True)
    maps = normal(2, 6, 4, 4)
    layers = _layers(6, 2)
    yield Case("no place", (maps[..., :0], *layers), raises=ValueError)
    yield Case("other channels than the layers'", (maps[:, :5], *layers),
               raises=(ValueError, RuntimeError))  # fmt: skip
    yield Case("features without a batch", (maps[0], *layers), raises=ValueError)


def _refuse_features(features: Tensor) -> None:
    if features.dim() != 4 or 0 in features.shape[2:]:
        raise ValueError("features must be (B, C, H, W) with a place")


def _wrong_squeeze(features, weight1, bias1, weight2, bias2, way="no relu"):
    """The right answer with one thing wrong."""
    _refuse_features(features)
    means = features.mean((2, 3))
    if way == "sums":
        means = features.sum((2, 3))
    elif way == "maxima":
        means = features.amax((2, 3))
    elif way == "of the batch":
        means = means.mean(0, keepdim=True)
    elif way == "one axis":
        means = features.mean(2)[:, :, 0]
    bias1 = 0 if way in ("no bias", "no first bias") else bias1
    bias2 = 0 if way in ("no bias", "no second bias") else bias2
    if way == "not turned":
        hidden = F.relu(means @ weight1 + bias1)
        logits = hidden @ weight2 + bias2
    else:
        between = {"no relu": nn.Identity(), "sigmoid twice": torch.sigmoid}
        hidden = between.get(way, F.relu)(means @ weight1.T + bias1)
        logits = hidden @ weight2.T + bias2
    if way == "cbam":
        largest = F.relu(features.amax((2, 3)) @ weight1.T + bias1)
        logits = logits + largest @ weight2.T + bias2
    kinds = {
        "softmax": lambda values: values.softmax(1),
        "no sigmoid": nn.Identity(),
        "relu gates": F.relu,
        "tanh gates": torch.tanh,
        "inverted": lambda values: 1 - values.sigmoid(),
        "detached": lambda values: values.sigmoid().detach(),
    }
    gates = kinds.get(way, torch.sigmoid)(logits)
    wide = gates[:, :, None, None]
    last = {
        "gates only": lambda: gates,
        "gates (B, C, 1, 1)": lambda: wide,
        "gates everywhere": lambda: wide.expand_as(features),
        "means": lambda: means * gates,
        "added": lambda: features + wide,
        "residual": lambda: features + features * wide,
        "not viewed": lambda: features * gates,
        "viewed last": lambda: features * gates[:, None, None],
    }
    return last.get(way, lambda: features * wide)()


_GATES_ALONE = (
    "These are the gates alone. Multiply the features with them: view them as "
    "(B, C, 1, 1)."
)
_BROADCAST = (
    "Shapes are lined up from the right, so that gates of (B, C) meet H and W, or fail "
    "to. View them as (B, C, 1, 1): `gates[:, :, None, None]`."
)
_SQUEEZE_EXCITE = Exercise(
    name="squeeze_excite",
    solution=channel_attention.squeeze_excite,
    cases=_squeeze_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_squeeze, way=way))
        for way, hint in {
            "no relu": "Between the two layers stands a ReLU; without it they are one "
            "linear layer.",
            "sigmoid twice": "The first layer's activation is a ReLU; the sigmoid "
            "comes after the second alone.",
            "sums": "The squeeze is the *mean* over places: a sum grows with the size "
            "of the map.",
            "maxima": "The squeeze is the mean over places, not the largest value.",
            "of the batch": "The gates are mixed over the batch. Each picture has "
            "means, and so gates, of its own: average over H and W only.",
            "softmax": "Softmax lets channels compete: its gates add up to 1. A "
            "sigmoid decides for each channel by itself.",
            "no sigmoid": "The sigmoid behind the second layer is missing: a gate lies "
            "between 0 and 1.",
            "relu gates": "The gates come from a ReLU; they need a sigmoid, which "
            "keeps them between 0 and 1.",
            "gates only": _GATES_ALONE,
            "gates (B, C, 1, 1)": _GATES_ALONE,
            "gates everywhere": _GATES_ALONE,
            "means": "You multiply the means. The gates are for the features "
            "themselves, (B, C, H, W).",
            "not viewed": _BROADCAST,
            "viewed last": _BROADCAST,
            "added": "The gates are added. Features are *multiplied* by them.",
            "residual": "Features times gates is all; the features are not added once "
            "more.",
            "no bias": "The two biases are left out.",
            "no first bias": "The first layer's bias is left out.",
            "no second bias": "The second layer's bias is left out.",
            "not turned": "The weights are (outputs, inputs), as `F.linear` takes "
            "them. A product of your own needs them turned: `means @ weight1.T`.",
            "one axis": "The mean is over H *and* W, `features.mean((2, 3))`: yours "
            "leaves places out.",
            "cbam": "This is CBAM's gate, which adds what the maxima say. Here the "
            "means decide alone.",
            "tanh gates": "The gates come from a tanh and can be negative; a sigmoid "
            "keeps them between 0 and 1.",
            "inverted": "You multiply by 1 minus the gate.",
            "detached": "The result is right, its gradient is not: the gates are cut "
            "off from the features (`detach`, `no_grad`), so that no layer of theirs "
            "can learn.",
        }.items()
    ),
    hints=(
        "Three steps: a number for each channel, a gate for each channel, a product.",
        "Mean over H and W; a linear layer and ReLU; a linear layer and sigmoid. The "
        "weights are (outputs, inputs), as `F.linear` wants them.",
        "`gates = F.linear(F.relu(F.linear(features.mean((2, 3)), weight1, bias1)), "
        "weight2, bias2).sigmoid()`, and then `features * gates[:, :, None, None]`.",
    ),
)


# spatial_attention ------------------------------------------------------------------


def _by_place(features, weight):
    """Each place's surroundings are cut out and weighed by hand."""
    size = weight.shape[-1]
    mean = features.sum(1) / features.shape[1]
    largest = features.sort(dim=1).values[:, -1]
    padded = F.pad(torch.stack([mean, largest], 1), (size // 2,) * 4)
    rows = [
        [
            (padded[:, :, y : y + size, x : x + size] * weight).sum((1, 2, 3))
            for x in range(features.shape[3])
        ]
        for y in range(features.shape[2])
    ]
    logits = torch.stack([torch.stack(row, -1) for row in rows], 1)  # (B, H, W)
    return features / (1 + (-logits).exp())[:, None]


def _spatial_cases() -> Iterator[Case]:
    features = torch.tensor([[[[4.0, 1.0]], [[2.0, -3.0]]]], dtype=torch.float64)
    weight = torch.tensor([1.0, -0.75], dtype=torch.float64).view(1, 2, 1, 1)
    # Means 3 and -1, maxima 4 and 1: logits 0 and -1.75.
    gates = torch.tensor([0.0, -1.75], dtype=torch.float64).sigmoid()
    yield Case("two places, 1 × 1", (features, weight), expected=features * gates)
    for name, shape, size, seed in (
        ("3 × 3, a batch of two", (2, 4, 5, 6), 3, 1),
        ("5 × 5, as large as the map", (2, 3, 5, 5), 5, 14),
        ("7 × 7, larger than the map", (2, 3, 4, 3), 7, 4),
        ("9 × 9 on 3 × 3", (1, 2, 3, 3), 9, 16),
    ):
        yield Case.from_reference(
            name,
            _by_place,
            normal(*shape, seed=seed),
            normal(1, 2, size, size, seed=seed + 1) / size,
            gradient=True,
        )
    yield Case.from_reference(
        "one channel: mean and maximum are equal",
        _by_place,
        normal(2, 1, 4, 4, seed=8),
        normal(1, 2, 3, 3, seed=9),
    )
    below = -normal(1, 3, 3, 3, seed=10).abs() - 0.1
    yield Case.from_reference(
        "all features below 0", _by_place, below, normal(1, 2, 5, 5, seed=11)
    )
    empty = torch.zeros(0, 3, 4, 4, dtype=torch.float64)
    kernel = normal(1, 2, 3, 3, seed=12)
    yield Case("no picture", (empty, kernel), expected=empty, hardening=True)
    maps = normal(2, 3, 4, 4)
    yield Case("no channel", (maps[:, :0], kernel), raises=(ValueError, IndexError))
    yield Case("an even kernel", (maps, normal(1, 2, 4, 4)), raises=ValueError)
    yield Case("a kernel for three maps", (maps, normal(1, 3, 3, 3)),
               raises=(ValueError, RuntimeError))  # fmt: skip


def _wrong_spatial(features, weight, way="swapped"):
    """The right answer with one thing wrong."""
    if features.dim() != 4 or not features.shape[1] or weight.shape[-1] % 2 == 0:
        raise ValueError("features must be (B, C, H, W) with a channel, the kernel odd")
    if weight.shape[:2] != (1, 2):
        raise ValueError("weight must be (1, 2, K, K)")
    mean, largest = features.mean(1), features.max(1).values
    if way == "over places":
        mean = features.mean((2, 3)).mean(1)[:, None, None].expand_as(mean)
        largest = features.amax((1, 2, 3))[:, None, None].expand_as(mean)
    pairs = {
        "swapped": lambda: (largest, mean),
        "mean twice": lambda: (mean, mean),
        "maximum twice": lambda: (largest, largest),
        "sum": lambda: (features.sum(1), largest),
        "smallest": lambda: (mean, features.min(1).values),
        "index": lambda: (mean, features.argmax(1).to(mean)),
        "of the batch": lambda: (mean, features.amax((0, 1)).expand_as(mean)),
    }
    pooled = torch.stack(pairs.get(way, lambda: (mean, largest))(), 1)
    kernel = weight.flip((-2, -1)) if way == "flipped" else weight
    half = weight.shape[-1] // 2
    if way in ("reflect", "replicate"):
        logits = F.conv2d(F.pad(pooled, (half,) * 4, mode=way), kernel)
    else:
        padding = {"not padded": 0, "padded by 1": 1, "padded by 3": 3}.get(way, half)
        logits = F.conv2d(pooled, kernel, padding=padding)
    if way == "normalized":
        logits = F.batch_norm(logits, None, None, training=True)
    kinds = {
        "softmax": lambda values: values.flatten(1).softmax(1).view_as(values),
        "softmax of one": lambda values: values.softmax(1),
        "no sigmoid": nn.Identity(),
        "relu gates": F.relu,
        "tanh gates": torch.tanh,
        "inverted": lambda values: 1 - values.sigmoid(),
        "detached": lambda values: values.sigmoid().detach(),
    }
    gates = kinds.get(way, torch.sigmoid)(logits)
    last = {
        "gates only": lambda: gates,
        "gates (B, H, W)": lambda: gates[:, 0],
        "gates everywhere": lambda: gates.expand_as(features),
        "pair": lambda: pooled * gates,
        "added": lambda: features + gates,
        "residual": lambda: features + features * gates,
        "not viewed": lambda: features * gates[:, 0],
    }
    return last.get(way, lambda: features * gates)()


_PLACE_GATES_ALONE = (
    "These are the gates alone. Multiply the features with them, (B, 1, H, W)."
)
_PADDING = (
    "The padding does not keep the size: on each side it is K // 2 of zeros, whatever "
    "K is."
)
_ZEROS = "The padding is of zeros; yours repeats or mirrors values at the border."
_SPATIAL_ATTENTION = Exercise(
    name="spatial_attention",
    solution=channel_attention.spatial_attention,
    cases=_spatial_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_spatial, way=way))
        for way, hint in {
            "swapped": "Mean and maximum have changed places: the first kernel is for "
            "the mean.",
            "mean twice": "Both maps are the mean; the second one is the maximum over "
            "channels.",
            "maximum twice": "Both maps are the maximum; the first one is the mean "
            "over channels.",
            "sum": "The first map is the sum over channels; the mean is asked for.",
            "smallest": "The second map is the smallest channel; the largest is asked "
            "for.",
            "over places": "You pool over places. Here channels are pooled, so that a "
            "map of places remains.",
            "flipped": "The kernel is turned around. Torch's convolution does not turn "
            "it: use the weight as it is.",
            "softmax": "Softmax lets places compete: the gates add up to 1. A sigmoid "
            "decides for each place by itself.",
            "no sigmoid": "The sigmoid behind the convolution is missing: a gate lies "
            "between 0 and 1.",
            "gates only": _PLACE_GATES_ALONE,
            "gates (B, H, W)": _PLACE_GATES_ALONE,
            "gates everywhere": _PLACE_GATES_ALONE,
            "pair": "You multiply the two pooled maps. The gates are for the features "
            "themselves, all C channels.",
            "not viewed": "Gates of (B, H, W) meet the axes C, H and W, for shapes are "
            "lined up from the right. Keep their axis of size 1: (B, 1, H, W).",
            "not padded": _PADDING,
            "padded by 1": _PADDING,
            "padded by 3": _PADDING,
            "reflect": _ZEROS,
            "replicate": _ZEROS,
            "index": "The second map says *which* channel is largest. `max(1)` gives "
            "values and indices; take the values.",
            "of the batch": "The maximum is over channels alone, for each picture; "
            "yours mixes the pictures.",
            "normalized": "A batch normalization stands behind your convolution, as in "
            "timm. The formula has none.",
            "softmax of one": "Softmax over an axis of size 1 is 1 everywhere. Take a "
            "sigmoid.",
            "relu gates": "The gates come from a ReLU; they need a sigmoid, which "
            "keeps them between 0 and 1.",
            "tanh gates": "The gates come from a tanh and can be negative; a sigmoid "
            "keeps them between 0 and 1.",
            "inverted": "You multiply by 1 minus the gate.",
            "detached": "The result is right, its gradient is not: the gates are cut "
            "off from features and weight (`detach`, `no_grad`), so that the kernel "
            "cannot learn.",
            "added": "The gates are added. Features are *multiplied* by them.",
            "residual": "Features times gates is all; the features are not added once "
            "more.",
        }.items()
    ),
    hints=(
        "Pool over channels in two ways, look at the surroundings, multiply.",
        "Stack mean and maximum to (B, 2, H, W); one `F.conv2d` with enough padding "
        "keeps the size; then a sigmoid.",
        "`pooled = torch.stack([features.mean(1), features.max(1).values], 1)`, then "
        "multiply the features by "
        "`F.conv2d(pooled, weight, padding=weight.shape[-1] // 2).sigmoid()`.",
    ),
)


# class_activation_map ---------------------------------------------------------------


def _summed(features, weight, label):
    """Channel by channel, picture by picture."""
    maps = []
    for index, picture in enumerate(features):
        own = int(label[index]) if isinstance(label, Tensor) and label.dim() else label
        total = 0 * picture[0]
        for channel, values in enumerate(picture):
            total = total + weight[int(own), channel] * values
        maps.append(total)
    return torch.stack(maps) if maps else features.sum(1)


def _map_cases() -> Iterator[Case]:
    features = torch.tensor([[[[1.0, 2.0]], [[0.0, 3.0]]]], dtype=torch.float64)
    weight = torch.tensor([[1.0, 0.0], [2.0, -1.0]], dtype=torch.float64)
    expected = torch.tensor([[[2.0, 1.0]]], dtype=torch.float64)
    yield Case("two channels, class 1", (features, weight, 1), expected=expected)
    yield Case.from_reference(
        "a batch of three, class 0",
        _summed,
        normal(3, 5, 4, 6, seed=1),
        normal(7, 5, seed=2),
        0,
        gradient=True,
    )
    maps, weights = normal(4, 6, 3, 5, seed=3), normal(9, 6, seed=4)
    labels = torch.tensor([8, 0, 3, 3])
    yield Case.from_reference(
        "a label for each picture", _summed, maps, weights, labels
    )
    yield Case.from_reference(
        "as many classes as channels",
        _summed,
        normal(2, 4, 3, 3, seed=5),
        normal(4, 4, seed=6),
        2,
    )
    yield Case.from_reference(
        "two pictures of two places, two labels",
        _summed,
        normal(2, 2, 1, 2, seed=7),
        normal(2, 2, seed=8),
        torch.tensor([1, 0]),
    )
    yield Case(
        "no picture", (maps[:0], weights, 3), expected=maps[:0].sum(1), hardening=True
    )
    refused = (ValueError, IndexError, RuntimeError)
    yield Case("class -1", (maps, weights, -1), raises=refused)
    yield Case("class 9 of 9", (maps, weights, 9), raises=refused)
    yield Case("three labels for four pictures", (maps, weights, labels[:3]),
               raises=refused)  # fmt: skip
    yield Case("weights for other channels", (maps, weights[:, :5], 0), raises=refused)


def _wrong_map(features, weight, label, way="relu"):
    """The right answer with one thing wrong."""
    if features.shape[1] != weight.shape[1]:
        raise ValueError("weight must be (K, C)")
    labels = torch.as_tensor(label)
    if labels.dim() and len(labels) != len(features):
        raise ValueError("one label for each picture")
    if labels.numel() and not (labels.min() >= 0 and labels.max() < len(weight)):
        raise ValueError("label is out of range")
    labels = labels.expand(len(features))
    rows = weight[labels]  # (B, C)
    if way == "first label":
        rows = weight[labels[:1]].expand(len(features), -1)
    elif way == "absolute":
        rows = rows.abs()
    elif way == "of the transposed":
        rows = weight.T[labels]
    elif way == "column":
        rows = weight[:, label]
        rows = rows.T if rows.dim() == 2 else rows[None]
    elif way in ("one label", "column of one label"):
        row = weight[label] if way == "one label" else weight[:, label]
        return torch.einsum("bchw,c->bhw", features, row)
    elif way == "not viewed":
        return (features * weight[label]).sum(1)
    elif way == "every class":
        return torch.einsum("bchw,kc->bkhw", features, weight)
    elif way == "over classes":
        scores = torch.einsum("bchw,kc->bkhw", features, weight).softmax(1)
        return scores[torch.arange(len(features)), labels]
    maps = (features * rows[:, :, None, None]).sum(1)
    last = {
        "relu": lambda: maps.clamp(min=0),
        "mean of channels": lambda: maps / features.shape[1],
        "mean of places": lambda: maps / maps[0].numel(),
        "scaled": lambda: _scaled(maps),
        "scaled together": lambda: _scaled(maps, (0, 1, 2)),
        "over its largest": lambda: maps / maps.amax((1, 2), keepdim=True),
        "relu, over its largest": lambda: (
            maps.relu() / maps.relu().amax((1, 2), keepdim=True)
        ),
        "sigmoid": lambda: maps.sigmoid(),
        "softmax": lambda: maps.flatten(1).softmax(1).view_as(maps),
        "no sum": lambda: features * rows[:, :, None, None],
        "largest channel": lambda: (features * rows[:, :, None, None]).amax(1),
        "logit": lambda: maps.mean((1, 2)),
        "unweighted": lambda: features.sum(1),
        "keeps a dimension": lambda: maps[:, None],
    }
    return last[way]() if way in last and len(maps) else maps


def _scaled(maps, axes=(1, 2)):
    low, high = maps.amin(axes, keepdim=True), maps.amax(axes, keepdim=True)
    return (maps - low) / (high - low)


_SCALED = (
    "The map is scaled. That is for showing it; the values themselves are asked for."
)
_COLUMN = (
    "You take a column of the weights. Those of class k are their row k: "
    "`weight[label]`, of `weight` (K, C)."
)
_CLASS_ACTIVATION_MAP = Exercise(
    name="class_activation_map",
    solution=channel_attention.class_activation_map,
    cases=_map_cases,
    mistakes=tuple(
        Mistake(hint, partial(_wrong_map, way=way))
        for way, hint in {
            "relu": "Places that speak against the class come out as 0. Keep their "
            "values below 0: only then is the mean the logit.",
            "mean of channels": "The channels are averaged; they are to be summed, "
            "each by its weight.",
            "scaled": _SCALED,
            "scaled together": _SCALED,
            "over its largest": _SCALED,
            "relu, over its largest": _SCALED,
            "sigmoid": "A sigmoid is taken at each place; the weighted sums themselves "
            "are asked for.",
            "mean of places": "You divide by the number of places. That belongs to the "
            "mean, which makes the logit of the map.",
            "of the transposed": _COLUMN,
            "column": _COLUMN,
            "column of one label": _COLUMN,
            "one label": "Right for one label. Of a tensor of labels, `weight[label]` "
            "is (B, C), a row for each picture; and a test such as `label < 0` wants "
            "`.any()` then.",
            "not viewed": "The weights have to meet the channels: view a row as "
            "(C, 1, 1), and rows for all pictures as (B, C, 1, 1).",
            "every class": "These are the maps of all K classes. Take the one of the "
            "label.",
            "largest channel": "You take the largest of the weighted channels; they "
            "are to be summed.",
            "softmax": "A softmax over places hides how large the values are; the "
            "weighted sums themselves are asked for.",
            "over classes": "A softmax over classes is taken at each place; the "
            "weighted sums themselves are asked for.",
            "no sum": "The channels are weighted, and not yet summed.",
            "logit": "You average over places, and that is the logit. The map is what "
            "was there before.",
            "unweighted": "The channels are summed without their weights.",
            "absolute": "The weights' signs are lost: a channel may speak against a "
            "class.",
            "first label": "One label is taken for all pictures; each has its own.",
            "keeps a dimension": "One dimension too many: (B, H, W) is asked for.",
        }.items()
    ),
    hints=(
        "The logit is a mean over places of sums over channels. Leave the mean out.",
        "A weighted sum of the C maps, by the C weights of the one class.",
        '`torch.einsum("bchw,c->bhw", features, weight[label])` for one label; '
        "`weight[label]` is (B, C) for several.",
    ),
)


EXERCISES = (_SQUEEZE_EXCITE, _SPATIAL_ATTENTION, _CLASS_ACTIVATION_MAP)
