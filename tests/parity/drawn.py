"""Random filters on random payloads under random payload indexes, through the whole API.

One request of ``points/query/batch`` carries many filters: each of its searches has a filter and no query, which
answers the points that match, in id order.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any
from uuid import UUID

from tests.parity.asks import Answer, Ask, named
from tests.parity.data import DataSet
from tests.service.translate.random_filters import (
    is_contested,
    payload,
    random_filter,
    schema,
)

Both = Callable[[Ask], Awaitable[tuple[Answer, Answer]]]

_NUMBERS = (1, 2, 3, 7, 8, 2**31, 2**63 + 5, 2**64 - 1)
_IDS: tuple[Any, ...] = (*_NUMBERS, *(str(UUID(int=n << 64 | n)) for n in _NUMBERS), *range(20, 32))
_PER_REQUEST = 50
_OK, _CANNOT = 200, 501


@dataclass(slots=True)
class Found:
    """How many filters were compared, and what the sides answered differently.

    Where a payload index knows less than the condition, Qdrant's answer depends on its plan: there a difference is
    ``contested``.
    """

    compared: int = 0
    contested: int = 0
    refused: int = 0
    matches: int = 0
    differences: list[str] = field(default_factory=list)


def worlds(count: int, rng: Random) -> Iterator[DataSet]:
    """Yield collections of random payloads with random payload indexes; every other point has the vector."""
    for at in range(count):
        points = [
            {"id": known, "vector": {"v": [1.0]} if place % 2 else {}, "payload": payload(rng)}
            for place, known in enumerate(_IDS)
        ]
        config = {"vectors": {"v": {"size": 1, "distance": "Dot"}}}
        yield DataSet(f"world-{at}", config, points, schema(rng))


def conditions(count: int, rng: Random) -> list[dict[str, Any]]:
    """Return random filters."""
    return [random_filter(rng, _IDS[:12], ("v",)) for _ in range(count)]


async def compare(
    both: Both, world: DataSet, wanted: Sequence[dict[str, Any]], found: Found
) -> None:
    """Ask both sides which points of a collection match each filter."""
    for start in range(0, len(wanted), _PER_REQUEST):
        await _compare(both, world, wanted[start : start + _PER_REQUEST], found)


async def _compare(
    both: Both, world: DataSet, wanted: Sequence[dict[str, Any]], found: Found
) -> None:
    expected, actual = await both(named(_batch(wanted), world.name))
    if expected.status == actual.status == _OK:
        pairs = zip(_matching(expected), _matching(actual), strict=True)
        for one, (theirs, ours) in zip(wanted, pairs, strict=True):
            found.compared += 1
            found.matches += len(theirs)
            if theirs != ours and is_contested(one, world.indexes):
                found.contested += 1
            elif theirs != ours:
                found.differences.append(f"{world.name}: {one}: {theirs}, not {ours}")
    elif len(wanted) > 1:
        # One filter refuses the whole batch: find it.
        middle = len(wanted) // 2
        await _compare(both, world, wanted[:middle], found)
        await _compare(both, world, wanted[middle:], found)
    elif expected.status == _CANNOT or (expected.status, expected.body["status"]) == (
        actual.status,
        actual.body["status"],
    ):
        found.refused += 1
    else:
        found.compared += 1
        answers = f"{expected.status} {expected.body}, not {actual.status} {actual.body}"
        found.differences.append(f"{world.name}: {wanted[0]}: {answers[:300]}")


def _batch(wanted: Sequence[dict[str, Any]]) -> Ask:
    searches = [{"filter": one, "limit": len(_IDS)} for one in wanted]
    return Ask("POST", "/collections/{c}/points/query/batch", {"searches": searches})


def _matching(answer: Answer) -> list[list[Any]]:
    return [[hit["id"] for hit in one["points"]] for one in answer.body["result"]]
