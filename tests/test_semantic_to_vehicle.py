"""Vehicles from words and maps: layers by hand and by torch, the painter, exercises."""

import json
import re
from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.autograd import gradcheck
from torchmetrics.functional.classification import multiclass_jaccard_index

from lesson_utils import semantic_to_vehicle as sv
from lesson_utils.checks import semantic_to_vehicle as checks
from lesson_utils.common.backbones import WEIGHTS
from lesson_utils.common.painting import paint
from lesson_utils.common.segmenting import segment
from lesson_utils.common.sentences import END, PAD, START, UNKNOWN
from lesson_utils.common.studies import read_study
from lesson_utils.data.vehicle_judges import (
    answers,
    attribute_labels,
    vehicle_judges,
)
from lesson_utils.data.vehicles import (
    COLOR_NAMES,
    GROUND_NAMES,
    KIND_NAMES,
    PART_NAMES,
    TIME_NAMES,
    Vehicles,
    parse_caption,
)
from lesson_utils.segmentation_metrics import confusion_matrix, mean_iou
from tests.answers import ExerciseTests


def normal(*shape, seed=0, dtype=torch.float64):
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=dice, dtype=dtype)


TINY = {"widths": (8, 8, 6), "num_parts": 4, "dim": 6, "noise": 3}
TEXTS = ["a red van", "a blue bus with four windows, at night, on snow"]


def tiny(image_size=16, *, seed=0, **keywords):
    torch.manual_seed(seed)
    return sv.Generator(image_size, **(TINY | keywords))


def inputs(generator, number=2, seed=0):
    """Maps, sentences and noise."""
    dice = torch.Generator().manual_seed(seed)
    side = generator.image_size
    maps = torch.randint(generator.num_parts, (number, side, side), generator=dice)
    noise = torch.randn(number, *generator.noise_shape, generator=dice)
    texts = [TEXTS[k % 2] for k in range(number)]
    return maps, sv.encode_texts(texts), noise


def parks_formula(features, gain, bias, eps=1e-5):
    """Equation 1 of the paper, place by place, with statistics of each picture."""
    batch, channels, height, width = features.shape
    result = torch.empty_like(features)
    for n in range(batch):
        for c in range(channels):
            values = [float(v) for v in features[n, c].flatten()]
            mean = sum(values) / (height * width)
            variance = sum(v * v for v in values) / (height * width) - mean * mean
            for y in range(height):
                for x in range(width):
                    normalized = (features[n, c, y, x] - mean) / (variance + eps) ** 0.5
                    result[n, c, y, x] = (
                        normalized * (1 + gain[n, c, y, x]) + bias[n, c, y, x]
                    )
    return result


class TestSpatiallyAdaptiveNorm:
    def test_is_the_papers_formula(self):
        features, gain, bias = (3 * normal(2, 3, 4, 5, seed=k) + k for k in range(3))
        found = sv.spatially_adaptive_norm(features, gain, bias)
        torch.testing.assert_close(found, parks_formula(features, gain, bias))

    def test_without_gain_and_bias_it_is_instance_norm(self):
        features, nothing = normal(2, 3, 4, 4) + 2, torch.zeros(2, 3, 4, 4).double()
        found = sv.spatially_adaptive_norm(features, nothing, nothing)
        torch.testing.assert_close(found, F.instance_norm(features))

    def test_gradients(self):
        values = [normal(2, 2, 3, 3, seed=k).requires_grad_() for k in range(3)]
        assert gradcheck(sv.spatially_adaptive_norm, values)

    def test_errors(self):
        good = torch.zeros(2, 3, 4, 4)
        for bad, words in (
            ((good[0], good[0], good[0]), r"features must be \(B, C, H, W\)"),
            ((good, good[:, :1], good), r"gain must be \(2, 3, 4, 4\)"),
            ((good, good, good[..., :1]), r"bias must be \(2, 3, 4, 4\)"),
            ((good.long(), good, good), "floating point"),
            ((good[..., :1, :1],) * 3, "must have at least two places"),
        ):
            with pytest.raises(ValueError, match=words):
                sv.spatially_adaptive_norm(*bad)


class TestTheLayer:
    """SPADE with the convolutions that make gain and bias."""

    @pytest.mark.parametrize("norm", sv.NORMS)
    def test_a_silenced_map_leaves_the_plain_norm(self, norm):
        torch.manual_seed(0)
        layer = sv.SpatiallyAdaptiveNorm(3, 5, 4, norm=norm).double()
        nn.init.zeros_(layer.gain_and_bias.weight)
        nn.init.zeros_(layer.gain_and_bias.bias)
        features, condition = 2 * normal(4, 3, 5, 5) + 1, normal(4, 5, 5, 5, seed=1)
        plain = {
            "instance": nn.InstanceNorm2d(3),
            "batch": nn.BatchNorm2d(3, affine=False).double(),
        }[norm]
        torch.testing.assert_close(layer(features, condition), plain(features))
        if norm == "batch":  # with the running statistics, too
            torch.testing.assert_close(
                layer.eval()(features, condition), plain.eval()(features)
            )

    @pytest.mark.parametrize("norm", sv.NORMS)
    def test_gain_comes_first_and_bias_second(self, norm):
        layer = sv.SpatiallyAdaptiveNorm(2, 3, 4, norm=norm)
        nn.init.zeros_(layer.gain_and_bias.weight)
        layer.gain_and_bias.bias.data = torch.tensor([1.0, 0.0, 0.0, 7.0])
        features = normal(2, 2, 4, 4, dtype=torch.float32)
        found = layer(features, torch.zeros(2, 3, 4, 4))
        plain = F.batch_norm(features, None, None, training=True)
        plain = plain if norm == "batch" else F.instance_norm(features)
        expected = torch.stack([2 * plain[:, 0], plain[:, 1] + 7], 1)
        torch.testing.assert_close(found, expected)

    def test_a_uniform_map_is_washed_away_by_instance_norm_and_not_by_this(self):
        """The paper's argument: a convolution of one label is the same everywhere."""
        torch.manual_seed(0)
        planes = torch.eye(3)[:, :, None, None].expand(3, 3, 6, 6)
        seen = nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate")(planes)
        washed = F.instance_norm(seen)
        assert washed.abs().max() < 1e-3
        kept = sv.SpatiallyAdaptiveNorm(4, 3, 8)(seen, planes)
        middle = kept[:, :, 2:4, 2:4].mean((2, 3))
        assert (middle[0] - middle[1]).abs().max() > 0.05

    def test_errors(self):
        for bad, words in (
            ((0, 3, 4), "channels must be a whole number"),
            ((2, 1.5, 4), "condition must be a whole number"),
            ((2, 3, 0), "hidden must be a whole number"),
        ):
            with pytest.raises(ValueError, match=words):
                sv.SpatiallyAdaptiveNorm(*bad)
        with pytest.raises(ValueError, match="norm must be one of instance, batch"):
            sv.SpatiallyAdaptiveNorm(2, 3, 4, norm="layer")


class TestGateChannels:
    def test_is_torchs_glu(self):
        features, gates = normal(2, 3, 4, 5), 3 * normal(2, 3, seed=1)
        torch.testing.assert_close(
            sv.gate_channels(features, gates), torchs_gates(features, gates)
        )

    def test_gradients(self):
        values = normal(2, 3, 2, 2).requires_grad_(), normal(2, 3).requires_grad_()
        assert gradcheck(sv.gate_channels, values)

    def test_errors(self):
        features = torch.zeros(2, 3, 4, 4)
        for gates in (torch.zeros(3, 2), torch.zeros(2, 1), torch.zeros(3)):
            with pytest.raises(ValueError, match=r"gates must be \(2, 3\)"):
                sv.gate_channels(features, gates)
        with pytest.raises(ValueError, match="features must be"):
            sv.gate_channels(features[0], torch.zeros(2, 3))


class TestAttendWords:
    def made(self, seed=0):
        values = normal(2, 5, 4, seed=seed), normal(2, 3, 4, seed=seed + 1)
        mask = torch.tensor([[True, True, True], [True, False, True]])
        return *values, normal(2, 3, 6, seed=seed + 2), mask

    def test_is_torchs(self):
        queries, keys, values, mask = self.made()
        told, weights = sv.attend_words(queries, keys, values, mask)
        expected = F.scaled_dot_product_attention(
            queries, keys, values, attn_mask=mask[:, None]
        )
        torch.testing.assert_close(told, expected)
        torch.testing.assert_close(weights.sum(2), torch.ones(2, 5).double())
        assert (weights[1, :, 1] == 0).all()
        assert (weights[mask[:, None].expand(-1, 5, -1)] > 0).all()

    def test_is_multihead_attention_of_one_head(self):
        queries, keys, _, mask = self.made(4)
        layer = nn.MultiheadAttention(4, 1, bias=False, batch_first=True).double()
        layer.in_proj_weight.data = torch.eye(4).double().repeat(3, 1)
        layer.out_proj.weight.data = torch.eye(4).double()
        expected = layer(queries, keys, keys, key_padding_mask=~mask)
        found = sv.attend_words(queries, keys, keys, mask)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs)

    def test_gradients(self):
        *values, mask = self.made(2)
        values = [each.requires_grad_() for each in values]
        assert gradcheck(lambda *three: sv.attend_words(*three, mask), values)

    def test_errors(self):
        queries, keys, values, mask = self.made()
        for bad, words in (
            ((queries[0], keys, values, mask), r"queries must be \(B, N, A\)"),
            ((queries, keys[..., :3], values, mask), r"keys must be \(2, T, 4\)"),
            ((queries, keys, values[:, :2], mask), r"values must be \(2, 3, D\)"),
            ((queries, keys, values, mask[:1]), r"mask must be \(2, 3\)"),
            ((queries, keys, values, mask & ~mask), "must leave a word in each row"),
        ):
            with pytest.raises(ValueError, match=words):
                sv.attend_words(*bad)

    def test_places_are_told_apart(self):
        """Where the map is the same all around, a place hears the same."""
        torch.manual_seed(0)
        ask = sv.WordAttention(3, 6).double()
        parts = torch.zeros(1, 3, 12, 12).double()
        parts[:, 0, :, :6], parts[:, 1, :, 6:] = 1, 1
        words, mask = normal(1, 4, 6), torch.ones(1, 4, dtype=torch.bool)
        told, weights = ask(parts, words, mask)
        assert told.shape == (1, 6, 12, 12)
        assert weights.shape == (1, 4, 12, 12)
        torch.testing.assert_close(weights.sum(1), torch.ones(1, 12, 12).double())
        torch.testing.assert_close(told[..., 5, 2], told[..., 6, 2])
        assert (told[..., 5, 2] - told[..., 5, 9]).abs().max() > 1e-3
        # A place's mean, by hand.
        values = words[0] @ ask.value.weight.T + ask.value.bias
        torch.testing.assert_close(told[0, :, 3, 4], weights[0, :, 3, 4] @ values)


OPTIONS = [
    {},
    {"spade": False},
    {"gated": False},
    {"attention": False},
    {"norm": "batch"},
    {"spade": False, "gated": False, "attention": False},
]


class TestGenerator:
    @pytest.mark.parametrize("options", OPTIONS, ids=str)
    def test_shapes_ranges_and_gradients(self, options):
        generator = tiny(**options)
        images, weights = generator.paint_and_tell(*inputs(generator))
        assert images.shape == (2, 3, 16, 16)
        assert images.abs().max() <= 1
        if options.get("attention", True):
            assert weights.shape == (2, 12, 4, 4)
        else:
            assert weights is None
        (images * normal(2, 3, 16, 16, seed=9, dtype=torch.float32)).sum().backward()
        for name, parameter in generator.named_parameters():
            assert parameter.grad is not None, name
        # Instance norm takes off what is one number for a channel, softmax what is
        # one number for all words: such numbers alone may learn nothing.
        for name, parameter in generator.named_parameters():
            if not name.startswith("whole") and not name.endswith("bias"):
                assert parameter.grad.abs().max() > 1e-7, name

    @pytest.mark.parametrize(
        ("size", "widths", "base"),
        [(8, (4, 4), 4), (32, (6, 4, 4, 2), 4), (24, (8, 4), 12), (16, (4,), 16)],
    )
    def test_sizes(self, size, widths, base):
        generator = tiny(size, widths=widths)
        assert generator.noise_shape == (3, base, base)
        assert generator(*inputs(generator)).shape == (2, 3, size, size)

    @pytest.mark.parametrize("size", sv.LEVELS)
    def test_the_books_own_are_small(self, size):
        generator = sv.Generator(size)
        assert generator.num_parts == len(PART_NAMES)
        assert sum(each.numel() for each in generator.parameters()) <= 1_200_000

    def test_noise_decides_and_nothing_else_that_is_random(self):
        generator = tiny().eval()
        maps, tokens, noise = inputs(generator)
        first = generator(maps, tokens, noise)
        assert torch.equal(generator(maps, tokens, noise), first)
        other = generator(maps, tokens, noise.flip(0))
        assert (other - first).abs().mean() > 1e-3

    def test_whole_numbers_are_planes(self):
        generator = tiny().eval()
        maps, tokens, noise = inputs(generator)
        planes = F.one_hot(maps, 4).permute(0, 3, 1, 2).float()
        first = generator(maps, tokens, noise)
        torch.testing.assert_close(generator(planes, tokens, noise), first)
        assert torch.equal(generator(maps.byte(), tokens, noise), first)

    def test_a_picture_follows_its_map_and_its_sentence(self):
        generator = tiny(32, widths=(8, 8, 8)).eval()
        maps, tokens, noise = inputs(generator)
        first = generator(maps, tokens, noise)
        edited = maps.clone()
        edited[0, 4:8, 4:8] = (edited[0, 4:8, 4:8] + 1) % 4
        second = generator(edited, tokens, noise)
        change = (second - first).abs().mean(1)
        assert change[0, 4:8, 4:8].mean() > 3 * change[0, 20:, 20:].mean()
        torch.testing.assert_close(second[1], first[1])
        assert (generator(maps, tokens.flip(0), noise) - first).abs().mean() > 1e-4

    def test_pictures_of_a_batch_do_not_meet(self):
        generator = tiny().eval()
        maps, tokens, noise = inputs(generator, 3)
        together = generator(maps, tokens, noise)
        alone = generator(maps[1:2], tokens[1:2], noise[1:2])
        torch.testing.assert_close(alone, together[1:2], rtol=1e-4, atol=1e-5)

    def test_padding_changes_nothing(self):
        generator = tiny().eval()
        maps, tokens, noise = inputs(generator)
        longer = F.pad(tokens, (0, 5), value=PAD)
        torch.testing.assert_close(
            generator(maps, longer, noise), generator(maps, tokens, noise)
        )

    def test_mixed_maps_are_taken(self):
        """Shares of parts, as on the way from one map to another."""
        generator = tiny().eval()
        maps, tokens, noise = inputs(generator)
        planes = F.one_hot(maps, 4).permute(0, 3, 1, 2).float()
        middle = generator((planes + planes.flip(0)) / 2, tokens, noise)
        assert middle.isfinite().all()

    def test_errors(self):
        for bad, words in (
            ({"image_size": 18}, "image_size must be a multiple of 4"),
            ({"image_size": 4}, "image_size must be a whole number >= 8"),
            ({"widths": None, "image_size": 64}, "image_size must be one of 32, 96"),
            ({"widths": (8, 1)}, "widths must be a whole number >= 2, got 1"),
            ({"widths": (2,) * 5}, "at least twice that, got 16"),
            ({"norm": "layer"}, "norm must be one of instance, batch, got 'layer'"),
            ({"norm": "layer", "spade": False}, "norm must be one of"),
            ({"num_parts": 0}, "num_parts must be a whole number"),
            ({"dim": 1.5}, "dim must be a whole number"),
            ({"noise": -1}, "noise must be a whole number >= 0"),
        ):
            with pytest.raises(ValueError, match=words):
                tiny(**bad)

    def test_errors_of_what_it_is_given(self):
        generator = tiny().eval()
        maps, tokens, noise = inputs(generator)
        planes = F.one_hot(maps, 4).permute(0, 3, 1, 2).float()
        planes[0, 0, 3, 3] = torch.nan
        for bad, words in (
            ((maps + 1, tokens, noise), r"maps must be of parts from 0 to 3, got"),
            ((maps - 1, tokens, noise), r"from 0 to 3, got \[-1, 2\]"),
            ((maps[:, :8, :8], tokens, noise), r"maps must be \(B, P, 16, 16\)"),
            ((maps[0], tokens, noise), r"maps must be \(B, H, W\)"),
            ((planes[:, :3], tokens, noise), r"maps must be \(B, 4, H, W\)"),
            ((planes, tokens, noise), "maps must be finite"),
            ((maps, tokens[:1], noise), r"tokens must be \(2, T\)"),
            ((maps, tokens, noise[:1]), r"noise must be \(2, 3, 4, 4\)"),
            ((maps, tokens, noise[..., :2]), r"noise must be \(2, 3, 4, 4\)"),
            ((maps, tokens, noise * torch.nan), "noise must be finite"),
        ):
            with pytest.raises(ValueError, match=words):
                generator(*bad)


class TestEncodeTexts:
    def test_by_hand(self):
        words = [sv.VOCABULARY.index(word) for word in ("a", "red", "van")]
        found = sv.encode_texts(["A red, van", "", "a pink van"])
        assert found.tolist() == [
            [START, *words, END],
            [START, END, PAD, PAD, PAD],
            [START, words[0], UNKNOWN, words[2], END],
        ]

    def test_nothing_and_unknown_words_are_painted(self):
        """The documented result: a picture, of the map alone; no error."""
        generator = tiny().eval()
        maps, _, noise = inputs(generator)
        tokens = sv.encode_texts(["", "zzz"])
        assert generator(maps, tokens, noise).isfinite().all()
        # An unknown word is the same as any other unknown word.
        assert torch.equal(sv.encode_texts(["qqq"]), sv.encode_texts(["zzz"]))

    def test_errors(self):
        with pytest.raises(ValueError, match="captions must each hold a word"):
            sv.encode_texts([])
        with pytest.raises(ValueError, match="texts must be a list of sentences"):
            sv.encode_texts("a red van")


class TestVehiclePainter:
    def test_pictures_keep_to_maps_and_sentences(self):
        generator = sv.vehicle_painter()
        assert not generator.training
        data = [Vehicles(8, seed=7).describe(k) for k in range(8)]
        maps = torch.stack([each.parts for each in data])
        tokens = sv.encode_texts([each.caption for each in data])
        images = paint(generator, maps, tokens)
        segmenter, classifier = vehicle_judges()
        found = segment(segmenter, images)
        scores = [
            float(sv.map_iou(found, asked, len(PART_NAMES)))
            for asked in (maps, maps.roll(1, 0))
        ]
        drawn = torch.stack([each.image for each in data])
        best = float(sv.map_iou(segment(segmenter, drawn), maps, len(PART_NAMES)))
        assert scores[0] > (best + scores[1]) / 2
        right = answers(classifier, images) == attribute_labels(
            [each.attributes for each in data]
        )
        color, kind = right[:, 0].sum(), right[:, 1].sum()
        assert color >= 6
        assert kind >= 6
        # Another sentence, another color, in the same place.
        red, blue = (
            [re.sub(f"^an? ({'|'.join(COLOR_NAMES)}) ", f"a {name} ", e.caption)
             for e in data]
            for name in ("red", "blue")
        )  # fmt: skip
        assert all(text.startswith("a red ") for text in red)
        pair = [paint(generator, maps, sv.encode_texts(texts)) for texts in (red, blue)]
        body = (maps == PART_NAMES.index("body"))[:, None].expand(-1, 3, -1, -1)
        change = (pair[0] - pair[1]).abs()
        assert change[body].mean() > 2 * change[~body].mean()


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
    return checked(answer, sv.map_iou)


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
        (
            spade(lambda x, g, b: F.instance_norm(x, eps=0.0) * (1 + g) + b),
            "is missing. It is",
        ),
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


class TestStudy:
    rows = read_study("semantic_to_vehicle")["rows"]

    def of(self, part: str) -> list[dict]:
        return [row for row in self.rows if row["part"] == part]

    def mean(self, part: str, split: str, name: str) -> float:
        values = [row[split][name] for row in self.of(part)]
        return sum(values) / len(values)

    def test_three_seeds_of_all_that_is_trained(self):
        trained = ("painter", "all parts", "no SPADE", "no gates", "no word attention")
        for part in (*trained, "batch norm"):
            assert [row["seed"] for row in self.of(part)] == [0, 1, 2], part

    def test_the_page_says_what_the_painters_rows_say(self):
        for split in ("seen", "held out"):
            ceiling = self.of("real")[0][split]["mean IoU"]
            for row in self.of("painter"):
                reached, floor = row[split]["mean IoU"], row[split]["shuffled"]
                assert reached / ceiling > 0.97
                assert (reached - floor) / (ceiling - floor) > 0.955
                assert row[split]["color"] > 0.99
                assert row[split]["time"] == row[split]["ground"] == 1.0
                assert row[split]["extra"] < self.of("real")[0][split]["extra"] - 0.02
        for row in self.of("painter"):
            assert abs(row["kernel distance"]) < 0.005
            assert 0.4 < row["sky differs"] / self.of("real")[0]["sky differs"] < 0.6

    def test_the_page_says_what_the_ablation_says(self):
        whole = {
            name: self.mean("all parts", "seen", name) for name in ("mean IoU", "color")
        }
        assert self.mean("no SPADE", "seen", "mean IoU") < whole["mean IoU"] - 0.2
        assert (
            0.1 < self.mean("no SPADE", "seen", "color") < 0.16
        )  # one of eight: 0.125
        assert self.mean("no word attention", "seen", "color") < whole["color"] - 0.4
        assert (
            self.mean("no word attention", "seen", "mean IoU")
            > whole["mean IoU"] - 0.03
        )
        assert self.mean("no gates", "seen", "color") > whole["color"]
        assert self.mean("no gates", "seen", "mean IoU") > whole["mean IoU"]
        for split in ("seen", "held out"):
            worst = min(row[split]["color"] for row in self.of("batch norm"))
            assert worst > self.mean("all parts", split, "color") + 0.1

    def test_weights_are_those_of_the_first_seed(self):
        card = json.loads((WEIGHTS / "vehicle_painter.json").read_text("utf-8"))
        assert card["seed"] == 0
        assert (
            card["held_out"]["mean_iou"]
            == self.of("painter")[0]["held out"]["mean IoU"]
        )
        sizes = [
            (WEIGHTS / f"{name}.safetensors").stat().st_size
            for name in ("vehicle_painter", "vehicle_judges")
        ]
        assert sum(sizes) < 6_000_000
