"""Measures of verification: by hand, against scikit-learn, degenerate cases, errors."""

import math

import pytest
import torch

from lesson_utils.common.verification import accept_rates, fold_accuracy, tar_at_far


def pairs(seed=0, number=200):
    dice = torch.Generator().manual_seed(seed)
    same = torch.rand(number, generator=dice) < 0.4
    scores = torch.randn(number, generator=dice, dtype=torch.float64) + 1.5 * same
    return scores.mul(10).round() / 10, same  # with ties


def test_by_hand():
    scores = torch.tensor([0.9, 0.8, 0.7, 0.6])
    same = torch.tensor([True, False, True, False])
    far, tar, thresholds = accept_rates(scores, same)
    assert far.tolist() == [0, 0.5, 0.5, 1]
    assert tar.tolist() == [0.5, 0.5, 1, 1]
    assert thresholds.tolist() == scores.tolist()
    assert tar_at_far(scores, same, 0.0) == 0.5
    assert tar_at_far(scores, same, 0.49) == 0.5
    assert tar_at_far(scores, same, 0.5) == 1


def test_nothing_may_be_accepted():
    scores, same = torch.tensor([0.9, 0.8]), torch.tensor([False, True])
    assert tar_at_far(scores, same, 0.5) == 0


@pytest.mark.parametrize("seed", range(4))
def test_against_scikit_learn(seed):
    from sklearn.metrics import roc_curve

    scores, same = pairs(seed)
    far, tar, thresholds = roc_curve(same, scores, drop_intermediate=False)
    ours = accept_rates(scores, same)
    for one, other in zip(ours, (far, tar, thresholds), strict=True):
        assert one.tolist() == pytest.approx(other[1:].tolist())


def test_folds_by_a_loop():
    scores, same = pairs()
    found = fold_accuracy(scores, same, folds=5)
    for k in range(5):
        rest = torch.arange(200) % 5 != k
        best = max(
            scores[rest].tolist(),
            key=lambda t: ((scores[rest] >= t) == same[rest]).double().mean().item(),
        )
        accuracy = ((scores[rest] >= best) == same[rest]).double().mean()
        chosen = [
            t
            for t in scores[rest].unique().tolist()
            if ((scores[rest] >= t) == same[rest]).double().mean() == accuracy
        ]
        possible = [
            ((scores[~rest] >= t) == same[~rest]).double().mean().item() for t in chosen
        ]
        assert found[k].item() in possible


def test_perfect_scores():
    same = torch.tensor([True, False] * 10)
    scores = same.float()
    assert fold_accuracy(scores, same, folds=5).tolist() == [1] * 5
    assert fold_accuracy(scores, same).tolist() == [1] * 10
    assert tar_at_far(scores, same, 0) == 1


def test_errors():
    scores, same = pairs()
    with pytest.raises(ValueError, match="both kinds"):
        accept_rates(scores, same | True)
    with pytest.raises(ValueError, match="got NaN"):
        tar_at_far(scores * math.nan, same, 0.1)
    with pytest.raises(ValueError, match=r"same must be \(200,\), boolean"):
        accept_rates(scores, same.float())
    with pytest.raises(ValueError, match="far must lie"):
        tar_at_far(scores, same, 1.5)
    with pytest.raises(ValueError, match="folds must be a whole number from 2"):
        fold_accuracy(scores, same, folds=1)
