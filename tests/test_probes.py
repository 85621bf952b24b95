"""Probes: units that are 0 on all of the data, gradient norms by depth, peaks."""

import pytest
import torch

from lesson_utils.common import probes


def random(*shape, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


class TestDeadFraction:
    def test_by_hand(self):
        outputs = torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 2.0, 0.0]])
        assert probes.dead_fraction(outputs) == 0.5

    def test_dead_units_get_no_gradient(self):
        weight = random(6, 10).requires_grad_()
        outputs = torch.relu(random(4, 6) @ weight - 1.0)
        outputs.sum().backward()
        still = (weight.grad == 0).all(dim=0).double().mean().item()
        assert probes.dead_fraction(outputs) == still > 0

    def test_channels(self):
        outputs = torch.zeros(2, 4, 3, 3)
        outputs[1, 2, 0, 1] = -0.1
        assert probes.dead_fraction(outputs) == 0.75

    @pytest.mark.parametrize("shape", [(), (3,), (0, 3), (3, 0)])
    def test_errors(self, shape):
        with pytest.raises(ValueError, match=r"outputs must be \(B, D, ...\)"):
            probes.dead_fraction(torch.zeros(shape))


class TestGradientNorms:
    def test_by_hand(self):
        layers = [lambda h: 3 * h, lambda h: h / 2]
        norms = probes.gradient_norms(
            layers, torch.ones(1, 2), torch.tensor([[3.0, 4.0]])
        )
        torch.testing.assert_close(
            norms, torch.tensor([7.5, 2.5, 5.0], dtype=torch.float64)
        )

    def test_matches_the_chain_rule(self):
        weights = [random(4, 4, seed=s) for s in range(3)]
        layers = [lambda h, w=w: (h @ w).tanh() for w in weights]
        x, direction = random(5, 4, seed=8), random(5, 4, seed=9)
        norms = probes.gradient_norms(layers, x, direction)
        outputs = [x]
        for layer in layers:
            outputs.append(layer(outputs[-1]))
        gradient, due = direction, [direction.norm()]
        for weight, output in zip(weights[::-1], outputs[:0:-1], strict=True):
            gradient = (gradient * (1 - output.square())) @ weight.T
            due.insert(0, gradient.norm())
        torch.testing.assert_close(norms, torch.stack(due))

    def test_tiny_gradients_are_not_0(self):
        layers = [lambda h: 1e-10 * h] * 3
        norms = probes.gradient_norms(layers, torch.ones(4, 4), torch.ones(4, 4))
        assert norms[0].item() == pytest.approx(4e-30, rel=1e-4, abs=0)

    def test_x_is_left_alone(self):
        x = torch.ones(2, 2)
        probes.gradient_norms([torch.sin], x, torch.ones(2, 2))
        assert not x.requires_grad
        assert x.grad is None

    def test_errors(self):
        with pytest.raises(ValueError, match="layers must be at least one"):
            probes.gradient_norms([], torch.ones(1), torch.ones(1))
        with pytest.raises(ValueError, match=r"direction.*\(2, 3\), got \(3,\)"):
            probes.gradient_norms([torch.sin], torch.ones(2, 3), torch.ones(3))


class TestPartHits:
    def test_by_hand(self):
        maps = torch.zeros(1, 2, 2, 4)
        maps[0, 0, 1, 2] = 1  # its middle lies at x = 5/8, y = 3/4
        boxes = torch.tensor([[[0.5, 0.5, 0.7, 1], [0, 0, 0.2, 0.3], [2, 2, 2, 2]]])
        hits = probes.part_hits(maps, boxes)
        # The second map is flat: the first of its equal places, x = 1/8, y = 1/4.
        assert hits.tolist() == [[[True, False, False], [False, True, False]]]

    def test_a_slow_loop(self):
        maps = random(3, 4, 5, 6)
        corners = random(3, 2, 2, 2, seed=1).sigmoid().sort(dim=2).values
        boxes = corners.flatten(2)
        hits = probes.part_hits(maps, boxes)
        for b in range(3):
            for m in range(4):
                row, column = divmod(maps[b, m].argmax().item(), 6)
                x, y = (column + 0.5) / 6, (row + 0.5) / 5
                for part, (x1, y1, x2, y2) in enumerate(boxes[b].tolist()):
                    assert hits[b, m, part] == (x1 <= x <= x2 and y1 <= y <= y2)

    def test_an_edge_belongs_to_its_box(self):
        maps = torch.zeros(1, 1, 2, 2)
        maps[0, 0, 1, 0] = 1  # the center of its cell is x = 1/4, y = 3/4
        edges = [[0, 0, 0.25, 1], [0.25, 0, 1, 1], [0, 0, 1, 0.75], [0, 0.75, 1, 1]]
        beside = [[0, 0, 0.2, 1], [0.3, 0, 1, 1], [0, 0, 1, 0.7], [0, 0.8, 1, 1]]
        hits = probes.part_hits(maps, torch.tensor([edges + beside]))
        assert hits.tolist() == [[[True] * 4 + [False] * 4]]

    def test_errors(self):
        for maps, boxes in (
            (random(2, 3, 4), random(2, 1, 4)),
            (random(2, 3, 4, 4), random(1, 1, 4)),
        ):
            with pytest.raises(ValueError, match="must be"):
                probes.part_hits(maps, boxes)
