"""Argument checks: what each refuses, what it lets pass, and the words it says."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from lesson_utils.common import require

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize("value", [1, 7, 10**30, np.int32(3), np.uint8(2)])
def test_whole_numbers_pass(value):
    require.require_whole("n", value)


@pytest.mark.parametrize(
    "value", [0, -1, 1.0, 1.5, True, np.True_, "3", None, NAN, torch.tensor(3), [1]]
)
def test_what_is_no_whole_number(value):
    with pytest.raises(ValueError, match=r"n must be a whole number >= 1, got"):
        require.require_whole("n", value)


def test_the_range_of_whole_numbers():
    require.require_whole("n", 0, minimum=0)
    require.require_whole("n", 256, 16, 256)
    with pytest.raises(ValueError, match="n must be a whole number from 16 to 256, go"):
        require.require_whole("n", 257, 16, 256)


def test_any_whole_number():
    require.require_whole("n", -5, minimum=None)
    with pytest.raises(ValueError, match="n must be a whole number, got '7'"):
        require.require_whole("n", "7", minimum=None)


def test_one_size_or_two():
    assert require.size_pair("size", 8) == (8, 8)
    assert require.size_pair("size", [8, 9]) == (8, 9)
    for wrong in (7, (8, 7), (8, 8, 8), 8.0, True, None, "88"):
        with pytest.raises(ValueError, match="size must be a whole number >= 8 or two"):
            require.size_pair("size", wrong, 8)


NO_NUMBERS = [NAN, INF, -INF, True, "1", None, torch.ones(2), torch.tensor(True), 1j]


@pytest.mark.parametrize(
    ("function", "good", "bad", "rule"),
    [
        ("require_finite_number", [-2, 0, 1e300], [], "a finite number"),
        ("require_positive", [1e-300, 2], [0, -1], "finite and above 0"),
        ("require_not_negative", [0, 2.5], [-1e-9], "finite and not negative"),
        ("require_share", [0, 0.5, 1, 1.0], [-1e-9, 1.1], r"lie in \[0, 1\]"),
    ],
)
def test_numbers(function, good, bad, rule):
    check = getattr(require, function)
    for value in (*good, np.float32(0.5), torch.tensor(0.5), Fraction(1, 2)):
        check("x", value)
    for value in (*bad, *NO_NUMBERS):
        with pytest.raises(ValueError, match=f"x must be {rule}|x must {rule}"):
            check("x", value)


@pytest.mark.parametrize(
    ("interval", "ends"),
    [
        ("[0, 1]", (True, True)),
        ("(0, 1]", (False, True)),
        ("[0, 1)", (True, False)),
        ("(0, 1)", (False, False)),
    ],
)
def test_the_ends_of_an_interval(interval, ends):
    require.require_share("x", 0.5, interval)
    for value, allowed in zip((0, 1), ends, strict=True):
        if allowed:
            require.require_share("x", value, interval)
        else:
            with pytest.raises(ValueError, match="x must lie in"):
                require.require_share("x", value, interval)


def test_choices():
    require.require_choice("way", "a", ("a", "b"))
    with pytest.raises(ValueError, match="way must be one of a, b, got 'c'"):
        require.require_choice("way", "c", ("a", "b"))


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.uint8])
def test_floating(dtype):
    require.require_floating("x", torch.ones(2).half())
    with pytest.raises(ValueError, match="x must be floating point, got torch"):
        require.require_floating("x", torch.ones(2).to(dtype))


class TestShape:
    @pytest.mark.parametrize(
        ("shape", "sizes", "size"),
        [
            ("B 3 H W", {}, (2, 3, 4, 5)),
            ("B C H W", {"C": 7}, (0, 7, 1, 1)),
            ("... N 4", {}, (5, 4)),
            ("... N 4", {}, (1, 2, 5, 4)),
            ("N", {"N": 2}, (2,)),
        ],
    )
    def test_what_fits(self, shape, sizes, size):
        require.require_shape("x", torch.zeros(size), shape, **sizes)

    @pytest.mark.parametrize(
        ("shape", "sizes", "size", "words"),
        [
            ("B 3 H W", {}, (2, 4, 4, 5), r"x must be \(B, 3, H, W\), got \(2, 4, 4,"),
            ("B 3 H W", {}, (3, 4, 5), r"x must be \(B, 3, H, W\)"),
            ("B C H W", {"C": 7}, (2, 3, 4, 5), r"x must be \(B, 7, H, W\)"),
            ("... N 4", {}, (4,), r"x must be \(..., N, 4\)"),
            ("... N 4", {}, (4, 5), r"x must be \(..., N, 4\)"),
            ("N", {"N": 2}, (3,), r"x must be \(2,\), got \(3,\)"),
        ],
    )
    def test_what_does_not(self, shape, sizes, size, words):
        with pytest.raises(ValueError, match=words):
            require.require_shape("x", torch.zeros(size), shape, **sizes)

    def test_floating_point_too(self):
        with pytest.raises(ValueError, match=r"\(N,\), floating point, got \(2,\) of"):
            require.require_shape("x", torch.ones(2).int(), "N", floating=True)


class TestImages:
    @pytest.mark.parametrize(
        "images",
        [
            torch.zeros(0, 3, 4, 4),
            torch.ones(2, 3, 4, 4).half(),
            torch.full((1, 3, 2, 2), 255, dtype=torch.uint8),
        ],
    )
    def test_pictures_pass(self, images):
        require.require_images("images", images)

    @pytest.mark.parametrize(
        ("images", "words"),
        [
            (torch.zeros(3, 4, 4), r"images must be \(B, 3, H, W\)"),
            (torch.zeros(2, 1, 4, 4), r"images must be \(B, 3, H, W\)"),
            (torch.zeros(2, 3, 4, 4).int(), "images must be uint8, or floating point"),
            (torch.full((1, 3, 2, 2), 255.0), r"in \[0, 1\], or be uint8, got \[255, "),
            (torch.full((1, 3, 2, 2), NAN), r"in \[0, 1\], or be uint8, got \[nan"),
        ],
    )
    def test_what_is_refused(self, images, words):
        with pytest.raises(ValueError, match=words):
            require.require_images("images", images)

    def test_a_range(self):
        require.require_unit_range("x", torch.tensor([-1.0, 1]), low=-1)
        require.require_unit_range("x", torch.zeros(0))
        for wrong in (-0.1, 1.1, NAN, INF):
            with pytest.raises(ValueError, match=r"x must lie in \[0, 1\], got"):
                require.require_unit_range("x", torch.tensor([0.5, wrong]))


class TestBoxes:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.int64, torch.uint8])
    def test_boxes_pass(self, dtype):
        require.require_boxes("boxes", torch.tensor([[1, 2, 3, 2]]).to(dtype))
        require.require_boxes("boxes", torch.zeros(2, 0, 4).to(dtype))

    @pytest.mark.parametrize(
        ("boxes", "words"),
        [
            ([[3.0, 0, 1, 1]], r"x1 <= x2 and y1 <= y2, got \[3.0"),
            ([[0.0, 3, 1, 1]], "finite xyxy"),
            ([[0.0, 0, INF, 1]], "finite xyxy"),
            ([[0.0, NAN, 1, 1]], "finite xyxy"),
            ([[0.0, 0, 1]], r"numbers \(..., N, 4\)"),
            ([0.0, 0, 1, 1], r"numbers \(..., N, 4\)"),
            ([[True, True, True, True]], "got torch.bool"),
        ],
    )
    def test_what_is_refused(self, boxes, words):
        with pytest.raises(ValueError, match=f"boxes must be {words}|{words}"):
            require.require_boxes("boxes", torch.tensor(boxes))


class TestLabels:
    @pytest.mark.parametrize("dtype", [torch.int64, torch.uint8])
    def test_labels_pass(self, dtype):
        require.require_labels("y", torch.tensor([0, 2, 1]).to(dtype), 3, 3)
        require.require_labels("y", torch.zeros(0).to(dtype), 0, 3)

    @pytest.mark.parametrize(
        ("labels", "words"),
        [
            ([0, 1, 3], r"y must lie in \[0, 2\], got \[0, 3\]"),
            ([0, -1, 1], r"y must lie in \[0, 2\], got \[-1, 1\]"),
            ([0, 1], r"y must be \(3,\), one for each sample, got \(2,\)"),
            ([[0], [1], [2]], r"got \(3, 1\)"),
            ([0.0, 1, 2], "whole numbers, got torch.float32"),
            ([True, False, True], "whole numbers, got torch.bool"),
        ],
    )
    def test_what_is_refused(self, labels, words):
        with pytest.raises(ValueError, match=words):
            require.require_labels("y", torch.tensor(labels), 3, 3)


class TestProbabilities:
    def test_rows_pass(self):
        require.require_probabilities("p", torch.tensor([[0.25, 0.75], [1, 0]]))
        thousand = torch.rand(4, 1000).softmax(dim=1)
        for dtype in (torch.float16, torch.bfloat16, torch.float64):
            require.require_probabilities("p", thousand.to(dtype))

    @pytest.mark.parametrize(
        "rows", [[[0.5, 0.4]], [[1.5, -0.5]], [[NAN, 1]], [[0.0, 0.0]]]
    )
    def test_what_is_refused(self, rows):
        with pytest.raises(ValueError, match="p must be probabilities"):
            require.require_probabilities("p", torch.tensor(rows))

    def test_whole_numbers(self):
        with pytest.raises(ValueError, match="p must be floating point"):
            require.require_probabilities("p", torch.tensor([[0, 1]]))


class TestCropsAndBoxesWithin:
    def test_all_of_a_picture(self):
        assert require.require_crop((0, 0, 3, 2), 2, 3) == (0, 0, 3, 2)
        require.require_boxes_within(torch.tensor([[0, 0, 3.0, 2], [1, 1, 1, 1]]), 2, 3)

    @pytest.mark.parametrize(
        "crop",
        [
            *((-1, 0, 3, 2), (0, -1, 3, 2), (0, 0, 4, 2), (0, 0, 3, 3), (1, 0, 1, 2)),
            *((0, 1, 3, 1), (0, 0, 3), (0.0, 0, 3, 2)),
        ],
    )
    def test_crops_that_are_refused(self, crop):
        with pytest.raises(ValueError, match="crop must be whole numbers with 0 <= x1"):
            require.require_crop(crop, 2, 3)

    @pytest.mark.parametrize(
        "box",
        [
            *([-0.1, 0, 3, 2], [0, -0.1, 3, 2], [0, 0, 3.1, 2], [0, 0, 3, 2.1]),
            *([2, 0, 1, 2], [0, 2, 3, 1], [0, math.nan, 3, 2]),
        ],
    )
    def test_boxes_that_are_refused(self, box):
        boxes = torch.tensor([[0, 0, 1, 1], box])
        with pytest.raises(ValueError, match="boxes must have 0 <= x1 <= x2 <= 3"):
            require.require_boxes_within(boxes, 2, 3)

    def test_another_shape(self):
        with pytest.raises(ValueError, match=r"boxes must be \(N, 4\), got shape \(4,"):
            require.require_boxes_within(torch.zeros(4), 2, 3)
