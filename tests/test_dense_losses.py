"""Losses of dense answers: by loops, against torchvision, at their ends."""

import math

import pytest
import torch
import torch.nn.functional as F
import torchvision

from lesson_utils.common.dense_losses import focal_cross_entropy, masked_l1


class TestFocal:
    logits = torch.randn(
        2, 40, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    classes = torch.zeros(2, 40, dtype=torch.int64)
    classes[0, 3], classes[0, 30], classes[1, 7] = 1, 3, 2

    @pytest.mark.parametrize("gamma", [0.5, 1.5])
    def test_focal_by_loop(self, gamma):
        total = 0.0
        for z, c in zip(self.logits.flatten(0, 1), self.classes.flatten(), strict=True):
            p = z.softmax(0)[c].item()
            total -= (1 - p) ** gamma * math.log(p)
        ours = focal_cross_entropy(self.logits, self.classes, gamma=gamma)
        assert ours.item() == pytest.approx(total / 3)

    def test_focal_over_two_classes_is_torchvisions(self):
        """Over two classes a softmax is a sigmoid of the difference."""
        z, c = self.logits[..., :2], self.classes.clamp(max=1)
        theirs = torchvision.ops.sigmoid_focal_loss(
            z[..., 1] - z[..., 0], c.double(), alpha=-1, gamma=2, reduction="sum"
        )
        assert focal_cross_entropy(z, c).item() == pytest.approx(theirs.item() / 3)

    def test_focal_without_focus(self):
        ours = focal_cross_entropy(self.logits, self.classes, gamma=0)
        theirs = F.cross_entropy(self.logits.mT, self.classes, reduction="sum") / 3
        torch.testing.assert_close(ours, theirs)

    def test_focal_of_what_is_certain(self):
        logits = torch.tensor([[[90.0, -90]]], requires_grad=True)
        loss = focal_cross_entropy(logits, torch.zeros(1, 1, dtype=torch.int64))
        loss.backward()
        assert loss == 0
        assert logits.grad.isfinite().all()

    def test_gradients(self):
        logits = self.logits[:, :9].clone().requires_grad_()
        assert torch.autograd.gradcheck(
            lambda z: focal_cross_entropy(z, self.classes[:, :9]), logits
        )

    def test_a_batch_without_objects(self):
        value = focal_cross_entropy(self.logits, torch.zeros_like(self.classes))
        assert value.isfinite()
        assert value > 0

    def test_negative_gamma(self):
        with pytest.raises(ValueError, match="gamma"):
            focal_cross_entropy(self.logits, self.classes, gamma=-1)


class TestMaskedL1:
    def test_masked_l1(self):
        offsets = torch.tensor([[[1.0, 2, 3, 4], [5, 6, 7, 8]]], requires_grad=True)
        targets = torch.tensor([[[0.0, 4, 3, 7], [99, -99, 0, 0]]])
        loss = masked_l1(offsets, targets, torch.tensor([[True, False]]))
        loss.backward()
        assert loss.item() == 1.5
        assert offsets.grad.tolist() == [[[0.25, -0.25, 0, -0.25], [0, 0, 0, 0]]]

    def test_masked_l1_is_a_mean_over_all_that_count(self):
        offsets = torch.tensor([[[1.0, 2, 3, 4], [0, 0, 0, 8], [7, 7, 7, 7]]])
        mask = torch.tensor([[True, True, False]])
        assert masked_l1(offsets, torch.zeros(1, 3, 4), mask).item() == 18 / 8

    def test_masked_l1_of_nothing(self):
        nothing = torch.zeros(2, 3, dtype=torch.bool)
        assert masked_l1(torch.ones(2, 3, 4), torch.zeros(2, 3, 4), nothing) == 0

    def test_masked_l1_of_other_shapes(self):
        offsets = torch.ones(1, 2, 4)
        with pytest.raises(ValueError, match=r"\(B, A, 4\) and mask \(B, A\), got"):
            masked_l1(offsets, offsets, torch.ones(1, 2, 4, dtype=torch.bool))
        with pytest.raises(ValueError, match="mask must be boolean, got torch.float32"):
            masked_l1(offsets, offsets, torch.ones(1, 2))
