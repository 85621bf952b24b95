"""Measures of a search: how high in a ranking what is looked for stands.

Distances are (Q, G): a row for each query, a column for each entry of the gallery that
is searched, the smaller the better; of equal ones the earlier column comes first. An
infinite distance takes an entry out of a query's ranking, as a query that is in the
gallery itself must be, or its twin from the same camera. A query that has nothing right
left in the gallery cannot be answered, and does not count.
"""

import torch
from torch import Tensor

from lesson_utils.common.require import INTEGERS, require_shape, require_whole


def recall_at_k(
    distances: Tensor, query_labels: Tensor, gallery_labels: Tensor, k: int
) -> float:
    """The share of queries with at least one right entry among the k nearest.

    Args:
        distances: (Q, G), floating point; infinite for entries that are left out.
        query_labels: (Q,), whole numbers.
        gallery_labels: (G,), whole numbers.
        k: how many entries are looked at; more than there are is all of them.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: another shape or dtype, a distance that is NaN, a `k` that is no
            whole number >= 1, or no query with a right entry.

    Source: Jégou, Douze and Schmid, Product Quantization for Nearest Neighbor Search,
        IEEE TPAMI 2011, where each query has one right entry; for classes, Oh Song et
        al., Deep Metric Learning via Lifted Structured Feature Embedding, CVPR 2016.
    """
    require_whole("k", k)
    right = _ranked(distances, query_labels, gallery_labels)
    return right[:, :k].any(dim=1).double().mean().item()


def cmc(
    distances: Tensor,
    query_labels: Tensor,
    gallery_labels: Tensor,
    *,
    max_rank: int = 10,
) -> Tensor:
    """The cumulative matching characteristic: recall at 1, at 2, and so on.

    Args:
        distances: (Q, G), floating point; infinite for entries that are left out.
        query_labels: (Q,), whole numbers.
        gallery_labels: (G,), whole numbers.
        max_rank: R, how far down a ranking is looked.

    Returns:
        (R,), float64, from 0 to 1, never falling.

    Raises:
        ValueError: as for `recall_at_k`.

    Source: Gray, Brennan and Tao, Evaluating Appearance Models for Recognition,
        Reacquisition, and Tracking, PETS 2007.
    """
    require_whole("max_rank", max_rank)
    right = _ranked(distances, query_labels, gallery_labels)
    found = right[:, :max_rank].cummax(dim=1).values.double().mean(dim=0)
    missing = max_rank - len(found)  # a gallery that ends before
    return torch.cat([found, found[-1:].expand(missing)])


def mean_average_precision(
    distances: Tensor, query_labels: Tensor, gallery_labels: Tensor
) -> float:
    """The mean over queries of the precision at the ranks of all right entries.

    Args:
        distances: (Q, G), floating point; infinite for entries that are left out.
        query_labels: (Q,), whole numbers.
        gallery_labels: (G,), whole numbers.

    Returns:
        A number from 0 to 1; 1 if all right entries stand before all others.

    Raises:
        ValueError: as for `recall_at_k`.

    Source: Zheng et al., Scalable Person Re-Identification: A Benchmark, ICCV 2015.
    """
    right = _ranked(distances, query_labels, gallery_labels).double()
    ranks = torch.arange(1, right.shape[1] + 1, device=right.device)
    precision = right.cumsum(dim=1) / ranks
    return ((precision * right).sum(dim=1) / right.sum(dim=1)).mean().item()


def _ranked(distances: Tensor, query_labels: Tensor, gallery_labels: Tensor) -> Tensor:
    """Whether each entry is right, nearest first, for queries that have an answer."""
    require_shape("distances", distances, "Q G", floating=True)
    sides = zip(distances.shape, (query_labels, gallery_labels), strict=True)
    for name, (number, labels) in zip(("query", "gallery"), sides, strict=True):
        if labels.shape != (number,) or labels.dtype not in INTEGERS:
            raise ValueError(
                f"{name}_labels must be ({number},), whole numbers, got "
                f"{tuple(labels.shape)} of {labels.dtype}"
            )
    if distances.isnan().any():
        raise ValueError("distances must be numbers or infinite, got NaN")
    order = distances.sort(dim=1, stable=True).indices
    right = (query_labels[:, None] == gallery_labels) & ~distances.isposinf()
    right = right.gather(1, order)
    right = right[right.any(dim=1)]
    if not len(right):
        raise ValueError("query_labels must have one that is in the gallery, got none")
    return right
