"""Shapes: by hand, against scikit-image, and what is refused."""

import math

import numpy as np
import pytest
import skimage.draw
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lesson_utils.common import shapes

SEEDS = st.integers(0, 2**31)


class TestShapes:
    def test_rectangle_by_hand(self):
        mask = shapes.rectangle_mask(3, 4, (1, 0, 2, 1))
        assert mask.int().tolist() == [[0, 1, 1, 0], [0, 1, 1, 0], [0, 0, 0, 0]]

    @pytest.mark.parametrize("box", [(0, 0, 0, 0), (2, 1, 5, 3), (-4, -4, 99, 2)])
    def test_rectangle_matches_skimage(self, box):
        x1, y1, x2, y2 = box
        expected = np.zeros((6, 8), bool)
        rows = skimage.draw.rectangle((y1, x1), end=(y2, x2), shape=(6, 8))
        expected[tuple(r.astype(int) for r in rows)] = True
        assert np.array_equal(shapes.rectangle_mask(6, 8, box).numpy(), expected)

    def test_rectangle_beside_the_picture_is_empty(self):
        assert not shapes.rectangle_mask(3, 3, (5, 5, 9, 9)).any()

    @pytest.mark.parametrize("radius", [0, 1, 4, 7])
    def test_disk_matches_skimage_morphology(self, radius):
        side = 2 * radius + 1
        expected = skimage.morphology.disk(radius).astype(bool)
        mask = shapes.disk_mask(side, side, (radius, radius), radius)
        assert np.array_equal(mask.numpy(), expected)

    def test_disk_center_is_x_then_y(self):
        expected = np.zeros((9, 20), bool)
        expected[skimage.draw.disk((3.2, 11.7), 4.1, shape=(9, 20))] = True
        mask = shapes.disk_mask(9, 20, (11.7, 3.2), 4.1)
        assert np.array_equal(mask.numpy(), expected)

    def test_polygon_by_hand(self):
        mask = shapes.polygon_mask(4, 4, [(0, 0), (3, 0), (0, 3)])
        expected = [[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]]
        assert mask.int().tolist() == expected

    @given(seed=SEEDS, corners=st.integers(3, 9))
    @settings(max_examples=60, deadline=None)
    def test_polygon_matches_skimage(self, seed, corners):
        points = np.random.default_rng(seed).uniform(-3, 15, (corners, 2))
        expected = skimage.draw.polygon2mask((11, 13), points[:, ::-1])
        mask = shapes.polygon_mask(11, 13, points.tolist())
        assert np.array_equal(mask.numpy(), expected)

    @pytest.mark.parametrize("points", [[(1, 1), (5, 1), (5, 3), (1, 3)]])
    def test_polygon_of_a_box_is_the_box_whichever_way_round(self, points):
        box = shapes.rectangle_mask(6, 8, (1, 1, 5, 3))
        assert torch.equal(shapes.polygon_mask(6, 8, points), box)
        assert torch.equal(shapes.polygon_mask(6, 8, points[::-1]), box)

    @pytest.mark.parametrize(
        ("make", "message"),
        [
            (lambda: shapes.rectangle_mask(3, 3, (2, 0, 1, 1)), "x1 <= x2.*2.0, 0.0"),
            (lambda: shapes.rectangle_mask(3, 3, (0, 0, 1)), r"box must be \(4\)"),
            (lambda: shapes.rectangle_mask(0, 3, (0, 0, 1, 1)), "height.*>= 1, got 0"),
            (lambda: shapes.rectangle_mask(3, 2.5, (0, 0, 1, 1)), "width.*got 2.5"),
            (
                lambda: shapes.disk_mask(3, 3, (1, math.nan), 1),
                "center must be.*finite",
            ),
            (lambda: shapes.disk_mask(3, 3, (1, 1), -1), "radius.*negative, got -1"),
            (lambda: shapes.disk_mask(3, 3, (1, 1), math.nan), "radius.*got nan"),
            (lambda: shapes.polygon_mask(3, 3, [(0, 0), (1, 1)]), "at least 3, got 2"),
            (
                lambda: shapes.polygon_mask(3, 3, [(0, 0, 1)] * 3),
                r"points must be \(N, 2\)",
            ),
        ],
    )
    def test_errors(self, make, message):
        with pytest.raises(ValueError, match=message):
            make()
