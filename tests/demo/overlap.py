"""Search parity as an application sees it: the same questions on both stores."""

from collections.abc import Collection, Sequence
from itertools import cycle

from qdrant_client import AsyncQdrantClient

from service.model.points import FloatArray

_LIMIT = 10


def overlap(one: Collection[object], other: Collection[object]) -> float:
    """Return the share of the longer list that both have, in 0 … 1; two empty lists agree."""
    longer = max(len(one), len(other))
    return len(set(one) & set(other)) / longer if longer else 1.0


async def mean_overlap(
    urls: tuple[str, str], collections: Sequence[str], questions: Sequence[FloatArray]
) -> float:
    """Ask each question in one collection on both URLs; return the top tens' mean overlap."""
    one, other = (AsyncQdrantClient(url=url, timeout=60) for url in urls)
    try:
        overlaps = [
            overlap(await _top(one, name, question), await _top(other, name, question))
            for name, question in zip(cycle(collections), questions, strict=False)
        ]
    finally:
        await one.close()
        await other.close()
    return sum(overlaps) / len(overlaps)


async def _top(client: AsyncQdrantClient, collection: str, question: FloatArray) -> list[object]:
    answer = await client.query_points(collection, query=question.tolist(), limit=_LIMIT)
    return [hit.id for hit in answer.points]
