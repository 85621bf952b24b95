"""Measures of a search: by hand, against scikit-learn and torchmetrics, errors."""

import math

import pytest
import torch

from lesson_utils.common.retrieval import cmc, mean_average_precision, recall_at_k


def table(seed=0, queries=7, gallery=11, classes=4):
    dice = torch.Generator().manual_seed(seed)
    return (
        torch.rand(queries, gallery, generator=dice, dtype=torch.float64),
        torch.arange(queries) % classes,
        torch.arange(gallery) % classes,
    )


def test_by_hand():
    distances = torch.tensor([[0.1, 0.2, 0.3, 0.4]])
    ours, theirs = torch.tensor([1]), torch.tensor([0, 1, 0, 1])
    assert recall_at_k(distances, ours, theirs, 1) == 0
    assert recall_at_k(distances, ours, theirs, 2) == 1
    assert cmc(distances, ours, theirs, max_rank=6).tolist() == [0, 1, 1, 1, 1, 1]
    assert cmc(distances, ours, theirs).tolist() == [0] + [1] * 9
    # Right at ranks 2 and 4: (1/2 + 2/4) / 2.
    assert mean_average_precision(distances, ours, theirs) == 0.5


@pytest.mark.parametrize("seed", range(5))
def test_against_libraries(seed):
    metrics = pytest.importorskip("torchmetrics.functional.retrieval")
    from sklearn.metrics import average_precision_score

    distances, ours, theirs = table(seed)
    right = ours[:, None] == theirs
    expected = [
        average_precision_score(one.numpy(), (-row).numpy())
        for one, row in zip(right, distances, strict=True)
    ]
    found = mean_average_precision(distances, ours, theirs)
    assert found == pytest.approx(sum(expected) / len(expected))
    curve = cmc(distances, ours, theirs, max_rank=5)
    for k in (1, 3, 5):
        hits = [
            float(metrics.retrieval_hit_rate(-row, one, top_k=k))
            for one, row in zip(right, distances, strict=True)
        ]
        assert recall_at_k(distances, ours, theirs, k) == pytest.approx(
            sum(hits) / len(hits)
        )
        assert curve[k - 1].item() == pytest.approx(sum(hits) / len(hits))


def test_an_infinite_distance_takes_an_entry_out():
    distances, ours, _ = table(gallery=7)
    distances.fill_diagonal_(math.inf)
    without = []
    for i in range(7):
        keep = torch.arange(7) != i
        if (ours[keep] == ours[i]).any():
            row = distances[i : i + 1, keep], ours[i : i + 1], ours[keep]
            without.append((recall_at_k(*row, 2), mean_average_precision(*row)))
    recalls, precisions = (torch.tensor(x).mean() for x in zip(*without, strict=True))
    assert recall_at_k(distances, ours, ours, 2) == pytest.approx(recalls.item())
    found = mean_average_precision(distances, ours, ours)
    assert found == pytest.approx(precisions.item())


def test_of_equal_distances_the_earlier_column_comes_first():
    flat, ours = torch.zeros(1, 3), torch.tensor([1])
    assert recall_at_k(flat, ours, torch.tensor([1, 0, 0]), 1) == 1
    assert recall_at_k(flat, ours, torch.tensor([0, 0, 1]), 1) == 0


def test_a_query_without_an_answer_does_not_count():
    distances, ours, theirs = table()
    some = ours.clone()
    some[0] = 99
    for measure in (lambda *t: recall_at_k(*t, 1), mean_average_precision):
        expected = measure(distances[1:], ours[1:], theirs)
        assert measure(distances, some, theirs) == pytest.approx(expected)


def test_errors():
    distances, ours, theirs = table()
    with pytest.raises(ValueError, match="k must be a whole number >= 1"):
        recall_at_k(distances, ours, theirs, 0)
    with pytest.raises(ValueError, match="got NaN"):
        cmc(distances * math.nan, ours, theirs)
    with pytest.raises(ValueError, match="one that is in the gallery"):
        mean_average_precision(distances, ours + 9, theirs)
    with pytest.raises(ValueError, match=r"gallery_labels must be \(11,\)"):
        mean_average_precision(distances, ours, ours)
    with pytest.raises(ValueError, match="max_rank"):
        cmc(distances, ours, theirs, max_rank=0)
