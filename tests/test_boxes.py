"""Boxes: values by hand, torchvision on random ones, no NaN, errors."""

import pytest
import torch
import torchvision.ops as ops
from hypothesis import given
from hypothesis import strategies as st

from lesson_utils.common import boxes

HALVES = torch.tensor([[0.0, 0, 2, 2], [0, 0, 1, 2], [3, 3, 4, 4], [1, 1, 1, 1]])


def random_boxes(generator, *shape):
    corners = torch.rand(*shape, 2, 2, generator=generator, dtype=torch.float64)
    return torch.cat([corners.amin(-2), corners.amax(-2)], dim=-1)


def test_area_by_hand():
    assert boxes.box_area(HALVES).tolist() == [4, 2, 1, 0]


def test_iou_by_hand():
    matrix = boxes.box_iou(HALVES[:1], HALVES)
    torch.testing.assert_close(matrix, torch.tensor([[1.0, 0.5, 0, 0]]))


def test_giou_by_hand():
    # Squares of side 1 with a gap of 1: hull 3, union 2, so -1/3.
    first, second = torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[2.0, 0, 3, 1]])
    assert boxes.generalized_box_iou(first, second).item() == pytest.approx(-1 / 3)


def test_diou_by_hand():
    # Centers 2 apart, the hull's diagonal is the root of 10.
    first, second = torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[2.0, 0, 3, 1]])
    assert boxes.distance_box_iou(first, second).item() == pytest.approx(-4 / 10)


@pytest.mark.parametrize("name", ["box_iou", "generalized_box_iou", "distance_box_iou"])
class TestOverlaps:
    @given(seed=st.integers(0, 2**31), n=st.integers(0, 7), m=st.integers(0, 5))
    def test_as_torchvision(self, name, seed, n, m):
        generator = torch.Generator().manual_seed(seed)
        first, second = random_boxes(generator, n), random_boxes(generator, m)
        torch.testing.assert_close(
            getattr(boxes, name)(first, second),
            getattr(ops, name)(first, second),
            rtol=1e-5,
            atol=1e-6,  # torchvision adds 1e-7 to denominators
        )

    def test_a_batch_is_its_parts(self, name):
        generator = torch.Generator().manual_seed(0)
        first, second = random_boxes(generator, 3, 4), random_boxes(generator, 3, 2)
        overlap = getattr(boxes, name)
        parts = [overlap(a, b) for a, b in zip(first, second, strict=True)]
        torch.testing.assert_close(overlap(first, second), torch.stack(parts))
        torch.testing.assert_close(
            overlap(first[0], second)[1], overlap(first[0], second[1])
        )

    def test_boxes_without_area_are_no_nan(self, name):
        points = torch.tensor([[1.0, 1, 1, 1], [2, 2, 2, 2]], requires_grad=True)
        matrix = getattr(boxes, name)(points, points)
        matrix.sum().backward()
        assert matrix.isfinite().all()
        assert points.grad.isfinite().all()

    def test_gradient(self, name):
        generator = torch.Generator().manual_seed(1)
        first = random_boxes(generator, 3).requires_grad_()
        second = random_boxes(generator, 2).requires_grad_()
        assert torch.autograd.gradcheck(getattr(boxes, name), (first, second))

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
    def test_half_precision_does_not_overflow(self, name, dtype):
        large = 300 * HALVES
        matrix = getattr(boxes, name)(large.to(dtype), large.to(dtype))
        torch.testing.assert_close(matrix, getattr(boxes, name)(large, large))

    def test_float64_is_kept(self, name):
        double = HALVES.double()
        assert getattr(boxes, name)(double, double).dtype == torch.float64

    @pytest.mark.parametrize("position", [0, 1])
    @pytest.mark.parametrize(
        ("bad", "says"),
        [
            (torch.tensor([[2.0, 0, 1, 1]]), r"x1 <= x2.*\[2\.0, 0\.0, 1\.0, 1\.0\]"),
            (torch.tensor([[0.0, 2, 1, 1]]), "y1 <= y2"),
            (torch.tensor([[0.0, 0, float("nan"), 1]]), "finite.*nan"),
            (torch.tensor([[0.0, 0, float("inf"), 1]]), "finite.*inf"),
            (torch.zeros(1, 5), r"\(1, 5\)"),
            (torch.zeros(4), r"\(4,\)"),
            (torch.zeros(1, 4, dtype=torch.bool), "bool"),
        ],
    )
    def test_bad_boxes(self, name, position, bad, says):
        arguments = [HALVES, HALVES]
        arguments[position] = bad
        with pytest.raises(ValueError, match=f"boxes{position + 1} must be.*{says}"):
            getattr(boxes, name)(*arguments)


class TestConversions:
    def test_by_hand(self):
        converted = boxes.xyxy_to_cxcywh(torch.tensor([[1.0, 2, 4, 8]]))
        assert converted.tolist() == [[2.5, 5, 3, 6]]

    @given(seed=st.integers(0, 2**31))
    def test_round_trip(self, seed):
        some = random_boxes(torch.Generator().manual_seed(seed), 2, 3)
        there = boxes.xyxy_to_cxcywh(some)
        torch.testing.assert_close(boxes.cxcywh_to_xyxy(there), some)

    @pytest.mark.parametrize("value", [-1.0, float("nan")])
    def test_bad_sides(self, value):
        bad = torch.tensor([[0.5, 0.5, 1.0, value]])
        with pytest.raises(ValueError, match="widths and heights >= 0"):
            boxes.cxcywh_to_xyxy(bad)

    def test_bad_centers(self):
        bad = torch.tensor([[float("nan"), 0.5, 1.0, 1.0]])
        with pytest.raises(ValueError, match="finite"):
            boxes.cxcywh_to_xyxy(bad)

    def test_none_at_all(self):
        empty = torch.zeros(0, 4)
        assert boxes.cxcywh_to_xyxy(boxes.xyxy_to_cxcywh(empty)).shape == (0, 4)


class TestCrops:
    def test_by_hand(self):
        """A crop of 4 x 5 pixels, drawn twice as wide and as high as it was."""
        given = torch.tensor([[4, 3, 6, 6], [0, 0, 3, 4], [7, 8, 9, 9]])
        found = boxes.crop_boxes(given, (2, 1, 6, 6), (10, 8))
        assert found.tolist() == [[4, 4, 8, 10], [0, 0, 2, 6], [8, 10, 8, 10]]

    def test_one_number_for_both_sides(self):
        given = torch.tensor([[0, 0, 2.0, 4]])
        assert boxes.crop_boxes(given, (0, 0, 2, 4), 8).tolist() == [[0, 0, 8, 8]]
