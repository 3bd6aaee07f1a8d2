"""One list of hits out of several: reciprocal rank fusion and distribution-based score fusion.

All arithmetic is in float32, in Qdrant's order. A point keeps what it had in the first list that it is in, but its
score. Points with the same score come in the order in which they were first seen; Qdrant leaves their order open.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from service.model.points import Hit
from service.queries.ranking import rank

_ONE = np.float32(1)
_HALF = np.float32(0.5)
_SIGMAS = np.float32(3)


def by_reciprocal_rank(
    lists: Sequence[Sequence[Hit]], k: int, weights: Sequence[float] | None = None
) -> list[Hit]:
    """Return every point once with the sum over the lists of 1 / ((rank + 1) / weight + k - 1), rank from 0.

    A weight of 0 or less makes a list count nothing; its points stay. Source: Cormack, Clarke and Büttcher,
    "Reciprocal Rank Fusion outperforms Condorcet and individual Rank Learning Methods" (SIGIR 2009), weighted as in
    Qdrant's lib/segment/src/common/reciprocal_rank_fusion.rs.
    """
    given = weights or [1.0] * len(lists)
    fused = _summed(
        zip(hits, _rank_scores(len(hits), k, np.float32(weight)), strict=True)
        for hits, weight in zip(lists, given, strict=True)
    )
    return sorted(fused, key=lambda hit: hit.score, reverse=True)


def by_distribution(lists: Sequence[Sequence[Hit]]) -> list[Hit]:
    """Return every point once with the sum of its normalised scores.

    In each list the mean minus and plus three sample standard deviations (Welford's method) become 0 and 1. A list of
    one hit, or of equal scores, counts 0.5 for each. Points that came with the value of a field rank by that, before
    the others. Source: Mazzeschi, "Distribution-Based Score Fusion (DBSF), a new
    approach to Vector Search Ranking" (2023), as in Qdrant's lib/segment/src/common/score_fusion.rs.
    """
    fused = _summed(
        zip(hits, _normalised([np.float32(hit.score) for hit in hits]), strict=True)
        for hits in lists
    )
    return sorted(fused, key=rank, reverse=True)


def _rank_scores(count: int, k: int, weight: np.float32) -> list[np.float32]:
    if not weight > 0:
        return [np.float32(0)] * count
    with np.errstate(over="ignore", divide="ignore"):
        places = np.arange(1, count + 1, dtype=np.float32)
        return list(_ONE / (places / weight + np.float32(k) - _ONE))


def _normalised(scores: Sequence[np.float32]) -> list[np.float32]:
    if len(scores) == 1:
        return [_HALF]
    with np.errstate(all="ignore"):
        mean, variance = _mean_and_variance(scores)
        spread = _SIGMAS * np.sqrt(variance)
        low, high = mean - spread, mean + spread
        if low == high:
            return [_HALF] * len(scores)
        return [(score - low) / (high - low) for score in scores]


def _mean_and_variance(scores: Sequence[np.float32]) -> tuple[np.float32, np.float32]:
    mean = aggregate = np.float32(0)
    for count, score in enumerate(scores, 1):
        before = score - mean
        mean += before / np.float32(count)
        aggregate += before * (score - mean)
    return mean, aggregate / (np.float32(len(scores)) - _ONE)


def _summed(lists: Iterable[Iterable[tuple[Hit, np.float32]]]) -> list[Hit]:
    first: dict[int | str, Hit] = {}
    totals: dict[int | str, np.float32] = {}
    for scored in lists:
        for hit, score in scored:
            first.setdefault(hit.id, hit)
            totals[hit.id] = totals[hit.id] + score if hit.id in totals else score
    return [replace(hit, score=float(totals[hit.id])) for hit in first.values()]
