"""Dilated convolution, tested: by hand, against torch, by brute force."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lesson_utils import dilated_convolution as dc
from lesson_utils.checks import dilated_convolution as dilated_convolution_checks
from lesson_utils.common.studies import read_study
from lesson_utils.receptive_field import layers_of, receptive_field_top_down
from tests.answers import ExerciseTests

RATES = st.lists(st.integers(1, 7), max_size=5)


def randn(*shape, seed=0, dtype=torch.float64):
    dice = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=dice, dtype=dtype)


class TestDilatedConv1d:
    def test_by_hand(self):
        signal = torch.tensor([1.0, 2, 4, 8, 16, 32])
        kernel = torch.tensor([1.0, 10, 100])
        assert dc.dilated_conv1d(signal, kernel).tolist() == [421, 842, 1684, 3368]
        assert dc.dilated_conv1d(signal, kernel, 2).tolist() == [1641, 3282]

    @given(st.integers(1, 5), st.integers(1, 4), st.integers(0, 6))
    @settings(max_examples=40, deadline=None)
    def test_matches_torch(self, width, rate, more):
        signal = randn(rate * (width - 1) + 1 + more)
        kernel = randn(width, seed=1)
        expected = F.conv1d(signal[None, None], kernel[None, None], dilation=rate)
        got = dc.dilated_conv1d(signal, kernel, rate)
        torch.testing.assert_close(got, expected[0, 0])

    def test_gradient(self):
        leaves = randn(9).requires_grad_(), randn(3, seed=1).requires_grad_()
        assert gradcheck(lambda x, w: dc.dilated_conv1d(x, w, 3), leaves)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((randn(2, 3), randn(2)), r"signal must be \(N,\)"),
            ((randn(3), randn(2, 2)), r"kernel must be \(K,\)"),
            ((randn(3), randn(2), 0), "dilation.*got 0"),
            ((randn(4), randn(3), 2), "3 weights at rate 2 for 4 values"),
            ((randn(4), randn(0)), "must fit into the signal"),
            ((torch.arange(4), torch.arange(2)), "floating point"),
        ],
    )
    def test_errors(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            dc.dilated_conv1d(*arguments)


class TestDilateKernel:
    def test_by_hand(self):
        got = dc.dilate_kernel(torch.tensor([[1, 2], [3, 4]]), 2)
        assert got.tolist() == [[1, 0, 2], [0, 0, 0], [3, 0, 4]]
        got = dc.dilate_kernel(torch.tensor([[1, 2], [3, 4]]), (1, 3))
        assert got.tolist() == [[1, 0, 0, 2], [3, 0, 0, 4]]

    @pytest.mark.parametrize("rate", [1, 2, 3, (2, 4)])
    def test_an_ordinary_convolution_with_it_is_the_dilated_one(self, rate):
        images, weight = randn(2, 3, 15, 17), randn(4, 3, 3, 2, seed=1)
        expected = F.conv2d(images, weight, dilation=rate)
        got = F.conv2d(images, dc.dilate_kernel(weight, rate))
        torch.testing.assert_close(got, expected)

    def test_one_weight_and_one_axis(self):
        weight = randn(5, 1, 1)
        assert torch.equal(dc.dilate_kernel(weight, 9), weight)
        signal, kernel = randn(12), randn(3, seed=1)
        padded = dc.dilate_kernel(kernel[None], (1, 2))[0]
        got = dc.dilated_conv1d(signal, padded)
        torch.testing.assert_close(got, dc.dilated_conv1d(signal, kernel, 2))

    def test_gradient(self):
        weight = randn(2, 2, 3).requires_grad_()
        assert gradcheck(lambda w: dc.dilate_kernel(w, 2), weight)

    def test_errors(self):
        with pytest.raises(ValueError, match="dilation.*or two, got 0"):
            dc.dilate_kernel(randn(2, 2), 0)
        with pytest.raises(ValueError, match="weight must not be empty"):
            dc.dilate_kernel(randn(2, 0, 3), 2)
        with pytest.raises(ValueError, match=r"weight must be \(\.\.\., H, W\)"):
            dc.dilate_kernel(randn(3), 2)


def reached(rates, kernel_size):
    """Every path, one by one."""
    steps = itertools.product(range(kernel_size), repeat=len(rates))
    return [sum(r * s for r, s in zip(rates, path, strict=True)) for path in steps]


class TestCoverage:
    def test_by_hand(self):
        assert dc.coverage([1, 1]).tolist() == [1, 2, 3, 2, 1]
        assert dc.coverage([2]).tolist() == [1, 0, 1, 0, 1]
        assert dc.coverage([1, 3]).tolist() == [1] * 9
        assert dc.coverage([]).tolist() == [1]
        assert dc.coverage([4, 9], 1).tolist() == [1]

    @given(RATES, st.integers(1, 4))
    @settings(max_examples=60, deadline=None)
    def test_matches_a_walk_along_every_path(self, rates, kernel_size):
        places, counts = reached(rates, kernel_size), dc.coverage(rates, kernel_size)
        assert counts.tolist() == [places.count(k) for k in range(len(counts))]
        assert len(counts) == max(places) + 1

    def test_matches_gradients_of_ones(self):
        image = torch.zeros(1, 1, 35, dtype=torch.float64, requires_grad=True)
        result = image
        for rate in (1, 2, 5):
            result = F.conv1d(result, torch.ones(1, 1, 3).double(), dilation=rate)
        result[0, 0, 0].backward()
        assert image.grad[0, 0, :17].tolist() == dc.coverage([1, 2, 5]).tolist()

    def test_the_order_makes_no_difference(self):
        for rates in itertools.permutations([1, 2, 5, 3]):
            assert torch.equal(dc.coverage(rates), dc.coverage([1, 2, 3, 5]))

    def test_errors(self):
        with pytest.raises(ValueError, match="rates must be a whole number >= 1"):
            dc.coverage([1, 0])
        with pytest.raises(ValueError, match="kernel_size.*got 2.0"):
            dc.coverage([1], 2.0)
        with pytest.raises(ValueError, match="rates must be fewer, got 63"):
            dc.coverage([1] * 63, 2)


class TestGapFree:
    @given(RATES, st.integers(1, 5))
    @settings(max_examples=150, deadline=None)
    def test_matches_brute_force_and_the_rule_of_coins(self, rates, kernel_size):
        places = set(reached(rates, kernel_size))
        expected = places == set(range(max(places) + 1))
        field, fits = 1, True
        for rate in sorted(rates):
            fits &= rate <= field or kernel_size == 1
            field += rate * (kernel_size - 1)
        assert dc.is_gap_free(rates, kernel_size) == expected == fits

    @pytest.mark.parametrize(
        ("rates", "expected"),
        [((1, 1, 1), True), ((1, 2, 4), True), ((2, 2, 2), False), ((1, 2, 5), True),
         ((1, 2, 9), False), ((1, 3, 9), True), ((1, 3, 10), False)],
    )  # fmt: skip
    def test_by_hand(self, rates, expected):
        assert dc.is_gap_free(rates) is expected

    def test_errors(self):
        with pytest.raises(ValueError, match="rates"):
            dc.is_gap_free([0])
        with pytest.raises(ValueError, match="kernel_size"):
            dc.is_gap_free([1], 0)


class TestHdcDistance:
    def test_the_papers_own_examples(self):
        assert dc.hdc_distance([1, 2, 5]) == 2
        assert dc.hdc_distance([1, 2, 9]) == 5
        assert dc.hdc_distance([4, 7]) == 7

    def test_the_rule_lets_2_2_2_pass(self):
        assert dc.hdc_distance([2, 2, 2]) <= 3
        assert not dc.is_gap_free([2, 2, 2])

    def test_from_1_on_and_rising_it_is_right_for_three_layers(self):
        for rates in itertools.combinations_with_replacement(range(1, 13), 2):
            rates = (1, *rates)
            assert (dc.hdc_distance(rates) <= 3) == dc.is_gap_free(rates), rates

    def test_errors(self):
        with pytest.raises(ValueError, match=r"rates must be two or more, got \[3\]"):
            dc.hdc_distance([3])
        with pytest.raises(ValueError, match="rates must be a whole number"):
            dc.hdc_distance([1, True])


class TestSegmenter:
    @pytest.mark.parametrize("rates", [(1, 1), (2, 5)])
    @pytest.mark.parametrize("pooled", [False, True])
    def test_one_result_a_pixel_whatever_the_rates(self, rates, pooled):
        network = dc.segmenter(rates, num_classes=5, channels=4, pooled=pooled)
        assert network(torch.rand(2, 3, 12, 10)).shape == (2, 5, 12, 10)
        weights = sum(parameter.numel() for parameter in network.parameters())
        assert weights == 3 * 4 * 9 + 2 * (4 * 4 * 9) + 3 * 8 + 4 * 5 + 5

    def test_its_field(self):
        network = dc.segmenter((1, 2, 5, 1, 2, 5), num_classes=2)
        assert receptive_field_top_down(layers_of(network)) == 35

    def test_errors(self):
        with pytest.raises(ValueError, match="rates"):
            dc.segmenter((1, 0), num_classes=2)
        with pytest.raises(ValueError, match="num_classes"):
            dc.segmenter((1,), num_classes=0)
        with pytest.raises(ValueError, match="channels"):
            dc.segmenter((1,), num_classes=2, channels=1.5)


class TestStudy:
    def test_only_the_set_with_gaps_is_grainy(self):
        rows = read_study("dilated_convolution")["rows"]
        grains = {}
        for row in rows:
            grains.setdefault(row["network"], []).append(row["grain"])
        grainy = grains.pop("2-2-2")
        assert len(grainy) == 3
        assert min(grainy) > 2 * max(max(others) for others in grains.values())

    def test_its_script_has_networks_of_equal_weights(self):
        from studies.dilated_convolution import CLASSES, NETWORKS

        sizes = {
            sum(p.numel() for p in dc.segmenter(
                rates, num_classes=CLASSES, pooled=pooled
            ).parameters())
            for rates, pooled in NETWORKS.values()
        }  # fmt: skip
        assert len(sizes) == 1


# The exercises: right answers written in another way than the module's.


def dilate_by_padding(weight, dilation):
    if dilation < 1 or not weight.shape[-1] or not weight.shape[-2]:
        raise ValueError("rate or kernel")
    wide = torch.stack([weight] + [torch.zeros_like(weight)] * (dilation - 1), dim=-1)
    wide = wide.flatten(-2)[..., : dilation * (weight.shape[-1] - 1) + 1]
    tall = torch.stack([wide] + [torch.zeros_like(wide)] * (dilation - 1), dim=-2)
    return tall.flatten(-3, -2)[..., : dilation * (weight.shape[-2] - 1) + 1, :]


def coverage_by_conv(rates, kernel_size=3):
    if kernel_size < 1 or any(rate < 1 for rate in rates):
        raise ValueError("from 1 on")
    counts = torch.ones(1, 1, 1, dtype=torch.float64)
    for rate in rates:
        edge = rate * (kernel_size - 1)
        ones = torch.ones(1, 1, kernel_size, dtype=torch.float64)
        counts = F.conv1d(F.pad(counts, (edge, edge)), ones, dilation=rate)
    return counts[0, 0].round().long()


def gap_free_like_coins(rates, kernel_size=3):
    if kernel_size < 1 or any(rate < 1 for rate in rates):
        raise ValueError("from 1 on")
    field = 1
    for rate in sorted(rates):
        if kernel_size > 1 and rate > field:
            return False
        field += rate * (kernel_size - 1)
    return True


RIGHT = {
    "dilate_kernel": dilate_by_padding,
    "coverage": coverage_by_conv,
    "is_gap_free": gap_free_like_coins,
}


def plain_dilate(weight, dilation):
    height, width = (dilation * (n - 1) + 1 for n in weight.shape[-2:])
    result = torch.zeros(*weight.shape[:-2], height, width, dtype=weight.dtype)
    result[..., ::dilation, ::dilation] = weight
    return result


def plain_coverage(rates, kernel_size=3):
    places = [0]
    for rate in rates:
        places = [p + k * rate for p in places for k in range(kernel_size)]
    return torch.bincount(torch.tensor(places))


PLAIN = {
    "dilate_kernel": plain_dilate,
    "coverage": plain_coverage,
    "is_gap_free": lambda rates, kernel_size=3: bool(
        (plain_coverage(rates, kernel_size) > 0).all()
    ),
}
LIBRARY = {
    # The transposed convolution of a picture with one pixel a weight spreads them out.
    "dilate_kernel": lambda weight, dilation: F.conv_transpose2d(
        weight.reshape(-1, 1, *weight.shape[-2:]),
        weight.new_ones(1, 1, 1, 1),
        stride=dilation,
    ).reshape(*weight.shape[:-2], *(dilation * (n - 1) + 1 for n in weight.shape[-2:])),
    "coverage": "no library counts these",
    "is_gap_free": "no library asks this",
}

# Wrong answers as readers write them, each with words of the hint that it earns.


def refusing(answer):
    def checked(weight, dilation):
        dilate_by_padding(weight, dilation)
        return answer(weight, dilation)

    return checked


def cut(weight, dilation):
    height, width = (dilation * (n - 1) + 1 for n in weight.shape[-2:])
    return (..., slice(height), slice(width))


def coverage_of_threes(rates, kernel_size=3):
    coverage_by_conv(rates, kernel_size)
    return coverage_by_conv(rates, 3)


def coverage_without_rates(rates, kernel_size=3):
    coverage_by_conv(rates, kernel_size)
    return coverage_by_conv([1] * len(rates), kernel_size)


def gap_free_by_the_paper(rates, kernel_size=3):
    gap_free_like_coins(rates, kernel_size)
    if len(rates) < 2 or kernel_size == 1:
        return gap_free_like_coins(rates, kernel_size)
    largest = rates[-1]
    for rate in rates[-2:0:-1]:
        largest = max(abs(largest - 2 * rate), rate)
    return largest <= kernel_size


def gap_free_with_threes(rates, kernel_size=3):
    gap_free_like_coins(rates, kernel_size)
    return kernel_size == 1 or gap_free_like_coins(rates, 3)


def gap_free_with_a_one(rates, kernel_size=3):
    gap_free_like_coins(rates, kernel_size)
    return kernel_size == 1 or not rates or min(rates) == 1


def gap_free_as_given(rates, kernel_size=3):
    gap_free_like_coins(rates, kernel_size)
    fields = [1 + (kernel_size - 1) * sum(rates[:n]) for n in range(len(rates))]
    return kernel_size == 1 or all(
        rate <= field for rate, field in zip(rates, fields, strict=True)
    )


WRONG = {
    "dilate_kernel": [
        (
            refusing(
                lambda w, d: torch.kron(w, torch.ones(d, d, dtype=w.dtype))[cut(w, d)]
            ),
            "filled them with copies",
        ),
        (
            refusing(
                lambda w, d: torch.kron(
                    w,
                    torch.eye(d, dtype=w.dtype)[:1].T @ torch.eye(d, dtype=w.dtype)[:1],
                )
            ),
            "there is no hole",
        ),
        (refusing(lambda w, d: plain_dilate(w, d + 1)), "not r"),
        (
            refusing(lambda w, d: plain_dilate(w, d)[..., ::d, :]),
            "rows move apart",
        ),
        (
            refusing(lambda w, d: plain_dilate(w, d)[..., :, ::d]),
            "columns move apart",
        ),
        (refusing(lambda w, d: plain_dilate(w, d).float()), "dtype of the weight"),
    ],
    "coverage": [
        (lambda r, k=3: coverage_by_conv(r, k).clamp(max=1), "their numbers"),
        (coverage_of_threes, "`kernel_size`"),
        (coverage_without_rates, "not used"),
        (lambda r, k=3: coverage_by_conv(r, k).double(), "int64"),
        (
            lambda r, k=3: coverage_by_conv(r, k) / coverage_by_conv(r, k).sum(),
            "not shares",
        ),
        (plain_coverage, "`ValueError`"),
    ],
    "is_gap_free": [
        (gap_free_by_the_paper, "M₂ ≤ K"),
        (lambda r, k=3: not gap_free_like_coins(r, k), "wrong way round"),
        (gap_free_with_threes, "`kernel_size`"),
        (gap_free_with_a_one, "1-2-9"),
        (gap_free_as_given, "Sort the"),
    ],
}


class TestExercises(ExerciseTests):
    checks, right, wrong = dilated_convolution_checks, RIGHT, WRONG
    plain, library = PLAIN, LIBRARY
