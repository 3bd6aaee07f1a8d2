"""Search parity as an application sees it: the same questions on both stores."""

from collections.abc import Mapping, Sequence
from itertools import cycle
from math import isclose

from qdrant_client import AsyncQdrantClient

from service.model.points import FloatArray

_LIMIT = 10
_SAME_SCORE = 1e-5

Top = Mapping[object, float]
"""Ids with their scores, best first."""


def overlap(one: Top, other: Top) -> float:
    """Return the share of the longer list that both have, in 0 … 1; two empty lists agree.

    Neither store orders equal scores, and each cuts them where it likes: ids that only one list has count
    as shared when their score is that of the other list's last place.
    """
    longer = max(len(one), len(other))
    if not longer:
        return 1.0
    shared = len(one.keys() & other.keys())
    return (shared + min(_tied(one, other), _tied(other, one))) / longer


def _tied(one: Top, other: Top) -> int:
    """Count the ids that only ``one`` has and whose score equals the other's last."""
    if not other:
        return 0
    last = list(other.values())[-1]
    return sum(
        isclose(score, last, rel_tol=_SAME_SCORE)
        for found, score in one.items()
        if found not in other
    )


async def mean_overlap(
    urls: tuple[str, str], collections: Sequence[str], questions: Sequence[FloatArray]
) -> float:
    """Ask each question in one collection on both URLs; return the top tens' mean overlap."""
    one, other = (AsyncQdrantClient(url=url, timeout=60, check_compatibility=False) for url in urls)
    try:
        overlaps = [
            overlap(await _top(one, name, question), await _top(other, name, question))
            for name, question in zip(cycle(collections), questions, strict=False)
        ]
    finally:
        await one.close()
        await other.close()
    return sum(overlaps) / len(overlaps)


async def _top(client: AsyncQdrantClient, collection: str, question: FloatArray) -> Top:
    answer = await client.query_points(collection, query=question.tolist(), limit=_LIMIT)
    return {hit.id: hit.score for hit in answer.points}
