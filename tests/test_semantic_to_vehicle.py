"""Vehicles from words and maps: layers by hand and by torch, the painter, exercises."""

import re
from functools import partial
from itertools import pairwise

import torch
import torch.nn.functional as F
from torchmetrics.functional.classification import multiclass_jaccard_index

from lesson_utils import semantic_to_vehicle as sv
from lesson_utils.checks import semantic_to_vehicle as checks
from lesson_utils.data.vehicles import (
    COLOR_NAMES,
    GROUND_NAMES,
    KIND_NAMES,
    TIME_NAMES,
    parse_caption,
)
from lesson_utils.segmentation_metrics import confusion_matrix, mean_iou
from tests.answers import ExerciseTests


def normal(*shape, seed=0, dtype=torch.float64):
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=dice, dtype=dtype)


# Exercises --------------------------------------------------------------------------


def refuse(fits):
    if not fits:
        raise ValueError("shapes do not fit")


def spade_of_flat(features, gain, bias):
    """With the second moment, of flattened maps."""
    refuse(features.dim() == 4 and features.shape == gain.shape == bias.shape)
    refuse(features[0:1, 0:1].numel() != 1 and features.shape[2:] != (1, 1))
    flat = features.flatten(2)
    flat = flat - flat.mean(-1, keepdim=True)
    scale = torch.rsqrt(flat.square().mean(-1, keepdim=True) + 1e-5)
    return torch.addcmul(bias, (flat * scale).view_as(features), gain.add(1))


def plain_spade(features, gain, bias):
    mean = features.mean((2, 3), keepdim=True)
    variance = ((features - mean) ** 2).mean((2, 3), keepdim=True)
    return (features - mean) / torch.sqrt(variance + 1e-5) * (1 + gain) + bias


def torchs_spade(features, gain, bias):
    return torch.addcmul(bias, F.instance_norm(features), 1 + gain)


def gates_by_einsum(features, gates):
    refuse(features.dim() == 4 and features.shape[:2] == gates.shape)
    return torch.einsum("bchw,bc->bchw", features, torch.sigmoid(gates))


def plain_gates(features, gates):
    return features * gates.sigmoid().unsqueeze(-1).unsqueeze(-1)


def torchs_gates(features, gates):
    wide = gates[:, :, None, None].expand_as(features)
    return F.glu(torch.cat([features, wide], 1), 1)


def iou_by_masks(found, asked, num_parts):
    if found.shape != asked.shape:
        raise ValueError("two shapes")
    total, number = 0.0, 0
    for maps in (found, asked):
        if maps.numel() and (maps.long().min() < 0 or maps.max() >= num_parts):
            raise ValueError("no such part")
    for part in range(num_parts):
        union = int(((found == part) | (asked == part)).sum())
        if union:
            total += int(((found == part) & (asked == part)).sum()) / union
            number += 1
    return total / number if number else float("nan")


def iou_of_planes(found, asked, num_parts):
    a, b = F.one_hot(found, num_parts) > 0, F.one_hot(asked, num_parts) > 0
    both, either = (a & b).sum((0, 1, 2)), (a | b).sum((0, 1, 2))
    return (both[either > 0] / either[either > 0]).mean()


def torchmetrics_iou(found, asked, num_parts):
    return multiclass_jaccard_index(found, asked, num_classes=num_parts)


def books_iou(found, asked, num_parts):
    return mean_iou(confusion_matrix(found, asked, num_parts)).item()


KEYS = ("color", "kind", "windows", "extra", "load", "time", "ground")
EXTRAS, LOADS = (
    ("a stripe", "a roof rack", "a ladder"),
    ("sand", "logs", "boxes", "hay"),
)
NUMBERS = ["no", "one", "two", "three", "four", "five", "six"]


def parse_by_words(text):
    """Runs of words compared with lists."""
    words = tuple(text.lower().replace(",", " ").split())
    runs = {words[i:j] for i in range(len(words)) for j in range(i + 1, len(words) + 1)}

    def find(names, *before):
        hits = [name for name in names if (*before, *name.split()) in runs]
        return hits[0] if hits else None

    windows = None
    for number, window in pairwise(words):
        if number in NUMBERS and window.rstrip("s") == "window":
            windows = NUMBERS.index(number)
    return {
        "windows": windows,
        "color": find(COLOR_NAMES),
        "kind": find(KIND_NAMES),
        "extra": find(EXTRAS),
        "load": find(LOADS, "carrying"),
        "time": find(TIME_NAMES),
        "ground": find(GROUND_NAMES, "on"),
    }


def parse_by_expression(text):
    def find(names, before=""):
        found = re.search(rf"\b{before}({'|'.join(names)})\b", text)
        return found and found[1]

    number = find(NUMBERS[1:], "") and re.search(r"(\w+) windows?\b", text)[1]
    return {
        "color": find(COLOR_NAMES),
        "kind": find(KIND_NAMES),
        "windows": NUMBERS.index(number),
        "extra": find(EXTRAS),
        "load": find(LOADS, "carrying "),
        "time": find(TIME_NAMES),
        "ground": find(GROUND_NAMES, "on "),
    }


RIGHT = {
    "spatially_adaptive_norm": spade_of_flat,
    "gate_channels": gates_by_einsum,
    "map_iou": iou_by_masks,
    "parse_caption": parse_by_words,
}
PLAIN = {
    "spatially_adaptive_norm": plain_spade,
    "gate_channels": plain_gates,
    "map_iou": iou_of_planes,
    "parse_caption": parse_by_expression,
}
LIBRARY = {
    "spatially_adaptive_norm": torchs_spade,
    "gate_channels": torchs_gates,
    "map_iou": torchmetrics_iou,
    "parse_caption": "no library knows the book's grammar",
}


def checked(answer, checker):
    """A wrong answer that refuses what is to be refused."""

    def wrong(*arguments):
        checker(*arguments)
        return answer(*arguments)

    return wrong


spade = partial(checked, checker=sv.spatially_adaptive_norm)
gate = partial(checked, checker=sv.gate_channels)


def iou(answer):
    return checked(answer, checks.map_iou)


def mean_of_pictures(found, asked, num_parts):
    pairs = zip(found, asked, strict=True)
    scores = [mean_iou(confusion_matrix(*pair, num_parts)) for pair in pairs]
    return torch.stack(scores).mean() if scores else torch.tensor(torch.nan)


def table_of_pictures(found, asked, num_parts):
    a, b = F.one_hot(found.long(), num_parts), F.one_hot(asked.long(), num_parts)
    both, either = (a & b).sum((1, 2)), (a | b).sum((1, 2))  # (B, P)
    return (both / either).nanmean().item()


def over_all(found, asked, num_parts):
    a, b = F.one_hot(found.long(), num_parts), F.one_hot(asked.long(), num_parts)
    both, either = (a & b).sum((0, 1, 2)), (a | b).sum((0, 1, 2))
    return (both / either.clamp(min=1)).sum().item() / num_parts


def with_epsilon(found, asked, num_parts):
    a, b = F.one_hot(found.long(), num_parts), F.one_hot(asked.long(), num_parts)
    both, either = (a & b).sum((0, 1, 2)), (a | b).sum((0, 1, 2))
    return ((both + 1e-9) / (either + 1e-9)).mean().item()


def sums_as_unions(found, asked, num_parts):
    scores = []
    for part in range(num_parts):
        seen, due = found == part, asked == part
        if seen.sum() + due.sum():
            scores.append((seen & due).sum() / (seen.sum() + due.sum()))
    return torch.stack(scores).mean() if scores else torch.nan


def dice_of_parts(found, asked, num_parts):
    confusion = confusion_matrix(found, asked, num_parts)
    both = confusion.diag()
    return (2 * both / (confusion.sum(0) + confusion.sum(1))).nanmean()


def without_background(found, asked, num_parts):
    scores = []
    for part in range(1, num_parts):
        seen, due = found == part, asked == part
        if (seen | due).any():
            scores.append((seen & due).sum() / (seen | due).sum())
    return torch.stack(scores).mean() if scores else torch.nan


def changed(**changes):
    """The right dictionary, with some values changed."""

    def wrong(text):
        said = parse_caption(text)
        for key, change in changes.items():
            if said[key] is not None:
                said[key] = change(said[key])
        return said

    return wrong


def careless(text):
    """Substrings everywhere."""
    text = text.lower().replace(",", "")
    said = parse_caption(text)
    said["kind"] = next((name for name in KIND_NAMES if name in text), None)
    return said


def single_words(text):
    words = text.lower().replace(",", "").split()
    kinds = [word for word in words if word in KIND_NAMES]
    return parse_caption(text) | {"kind": kinds[0] if kinds else None}


def loads_anywhere(text):
    words = text.lower().replace(",", " ").split()
    load = next((word for word in words if word in LOADS), None)
    return parse_caption(text) | {"load": load}


def only_what_is_said(text):
    return {key: value for key, value in parse_caption(text).items() if value}


def strict_parse(text):
    for word in text.lower().replace(",", " ").split():
        if word not in (*sv.VOCABULARY, "no"):
            raise KeyError(word)
    return parse_caption(text)


def as_it_stands(text):
    return parse_caption(text) if text == text.lower() else dict.fromkeys(KEYS)


def red_anywhere(text):
    plain = text.lower()
    color = next((name for name in COLOR_NAMES if name in plain), None)
    return parse_caption(text) | {"color": color}


WRONG = {
    "spatially_adaptive_norm": [
        (spade(lambda x, g, b: F.instance_norm(x) * g + b), "multiply by 1 + gain"),
        (
            spade(
                lambda x, g, b: (
                    F.batch_norm(x, None, None, training=True) * (1 + g) + b
                    if len(x)
                    else x
                )
            ),
            "that is batch norm",
        ),
        (
            spade(lambda x, g, b: F.layer_norm(x, x.shape[1:]) * (1 + g) + b),
            "that is layer norm",
        ),
        (
            spade(
                lambda x, g, b: (
                    (x - x.mean((2, 3), keepdim=True))
                    / (x.var((2, 3), keepdim=True) + 1e-5).sqrt()
                    * (1 + g)
                    + b
                )
            ),
            "not by H · W − 1",
        ),
        (
            spade(
                lambda x, g, b: (
                    (x - x.mean((2, 3), keepdim=True))
                    / (x.std((2, 3), keepdim=True, correction=0) + 1e-5)
                    * (1 + g)
                    + b
                )
            ),
            "under the root",
        ),
        (spade(lambda x, g, b: F.instance_norm(x, eps=0.0) * (1 + g) + b), "is missing. It is"),
        (spade(lambda x, g, b: F.instance_norm(x) * (1 + g) * b), "It is *added*"),
        (spade(lambda x, g, b: (F.instance_norm(x) + b) * (1 + g)), "before the prod"),
        (spade(lambda x, g, b: F.instance_norm(x * (1 + g) + b)), "Normalize first"),
        (spade(lambda x, g, b: F.instance_norm(x) * (1 + b) + g), "changed places"),
        (
            spade(
                lambda x, g, b: (
                    (x - g.mean((2, 3), keepdim=True))
                    / (g.var((2, 3), keepdim=True, correction=0) + 1e-5).sqrt()
                    * (1 + g)
                    + b
                )
            ),
            "the features' own are",
        ),
    ],
    "gate_channels": [
        (gate(lambda x, g: x * g[:, :, None, None]), "The sigmoid is missing"),
        (gate(lambda x, g: x * g.softmax(1)[:, :, None, None]), "gates compete"),
        (gate(lambda x, g: x * g.tanh()[:, :, None, None]), "A tanh gives"),
        (gate(lambda x, g: x * g.clamp(min=0)[:, :, None, None]), "A ReLU gives"),
        (gate(lambda x, g: x * g.sigmoid()), "lined up from the right"),
        (gate(lambda x, g: x * g.sigmoid()[:, None, None, :]), "lined up from the"),
        (gate(lambda x, g: x * g.T.sigmoid()[:, :, None, None]), "changed places"),
        (gate(lambda x, g: x.mean((2, 3)) * g.sigmoid()), "The mean over places"),
        (
            gate(
                lambda x, g: F.glu(
                    torch.cat([g[:, :, None, None].expand_as(x), x], 1), 1
                )
            ),
            "The halves are exchanged",
        ),
        (gate(lambda x, g: x + g.sigmoid()[:, :, None, None]), "*multiplied*"),
    ],
    "map_iou": [
        (iou(mean_of_pictures), "average over pictures"),
        (iou(table_of_pictures), "average over pictures"),
        (iou(over_all), "counts as 0"),
        (iou(with_epsilon), "counts as 1"),
        (iou(lambda f, a, n: (f == a).float().mean()), "share of right pixels"),
        (iou(dice_of_parts), "This is Dice"),
        (iou(sums_as_unions), "counts pixels that are in both twice"),
        (iou(without_background), "The background is left out"),
        (
            iou(
                lambda f, a, n: multiclass_jaccard_index(
                    f.long(), a.long(), n, average="weighted"
                )
            ),
            "You weigh each part",
        ),
        (
            iou(
                lambda f, a, n: multiclass_jaccard_index(
                    f.long(), a.long(), n, average="micro"
                )
            ),
            "divide once",
        ),
    ],
    "parse_caption": [
        (careless, "“car” is found in “carrying”"),
        (single_words, "one kind of two words"),
        (changed(ground=lambda name: name.split()[-1]), "with its article"),
        (changed(windows=str), "is an int"),
        (changed(windows=lambda number: NUMBERS[number]), "is an int"),
        (changed(load=lambda name: f"carrying {name}"), "without “carrying”"),
        (changed(time=lambda name: name.split()[1]), "with its preposition"),
        (loads_anywhere, "is a load and a ground"),
        (only_what_is_said, "its key is there all the same"),
        (strict_parse, "Nothing is an error here"),
        (as_it_stands, "Capital letters"),
        (red_anywhere, "inside of another one"),
    ],
}  # fmt: skip


class TestExercises(ExerciseTests):
    checks, right, wrong = checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
