"""Discovery, context and relevance feedback over every kind of vector."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, query
from tests.parity.data import DISTANCES, bytes_, multivectors, sparse, vectors


def rows() -> Iterator[Row]:
    """Each kind."""
    made = vectors(130, 5)
    for distance in DISTANCES:
        yield from _kind(f"dense-{distance.lower()}", "", made)
        using = distance.lower()
        yield from _kind("multi", using, multivectors(131, 5))
        yield from _kind("float16", using, made)
        yield from _kind("uint8", using, bytes_(132, 5))
    yield from _kind("sparse", "plain", sparse(133, 5))
    yield from _kind("sparse", "idf", sparse(133, 5))


def _kind(dataset: str, using: str, made: list[Any]) -> Iterator[Row]:
    shared: dict[str, Any] = {"limit": 60, **({"using": using} if using else {})}
    pair = {"positive": 1, "negative": made[0]}
    pairs = [pair, {"positive": made[1], "negative": 6}, {"positive": 9, "negative": 10}]
    queries: dict[str, Any] = {
        "discover": {"discover": {"target": made[2], "context": pairs}},
        "discover by id": {"discover": {"target": 5, "context": pairs}},
        "discover, one pair": {"discover": {"target": made[2], "context": pair}},
        "discover, no pairs": {"discover": {"target": made[2], "context": []}},
        "context": {"context": pairs},
        "context, one pair": {"context": pair},
        "feedback": {
            "relevance_feedback": {
                "target": made[3],
                "feedback": [
                    {"example": 2, "score": 0.9},
                    {"example": made[4], "score": 0.4},
                    {"example": 9, "score": 0.1},
                ],
                "strategy": {"naive": {"a": 0.7, "b": 1.2, "c": 0.4}},
            }
        },
        "feedback of none": {
            "relevance_feedback": {
                "target": 1,
                "feedback": [],
                "strategy": {"naive": {"a": 1, "b": 1, "c": 1}},
            }
        },
    }
    for name, wanted in queries.items():
        yield query(dataset, f"{name} {using}", {"query": wanted, **shared})
        page = {
            "offset": 2,
            "limit": 5,
            "filter": {"must": [{"key": "flag", "match": {"value": False}}]},
        }
        yield query(dataset, f"{name}, a page {using}", {"query": wanted, **shared, **page})
