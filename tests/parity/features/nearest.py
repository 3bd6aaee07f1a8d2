"""Searches by one vector: distances, limits, thresholds, filters, projections, ids as queries."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, Rule, post, query
from tests.parity.data import DISTANCES, LONG, SIZE, ids, vectors

_QUERY = vectors(100, 1)[0]
_ID = ids(4)
_FILTERS: dict[str, Any] = {
    "half": {"must": [{"key": "n", "range": {"gt": 30}}]},
    "few": {"must": [{"key": "n", "match": {"any": [3, 9, 27]}}]},
    "one": {"must": [{"has_id": [_ID[2]]}]},
    "none": {"must": [{"key": "n", "match": {"value": -5}}]},
    "nested": {
        "should": [{"must": [{"key": "city", "match": {"value": "Zürich"}}]}, {"has_id": [1]}]
    },
}
_SELECTORS: tuple[Any, ...] = (
    True,
    False,
    ["n", "deep.a"],
    ["deep.list[].x", "tags[0]"],
    {"include": ["city"]},
    {"exclude": ["deep", "tags", "where.lat"]},
    [],
)


def rows() -> Iterator[Row]:
    """Everything that a single search has."""
    for distance in DISTANCES:
        yield from _distance(f"dense-{distance.lower()}")
    yield from _details("dense-cosine")
    yield from _again()


def _distance(dataset: str) -> Iterator[Row]:
    yield query(dataset, "plain", {"query": _QUERY})
    yield query(dataset, "as an object", {"query": {"nearest": _QUERY}, "limit": 60})
    yield query(dataset, "exact", {"query": _QUERY, "params": {"exact": True}, "limit": 7})
    yield query(dataset, "a wide beam", {"query": _QUERY, "params": {"hnsw_ef": 500}})
    yield query(dataset, "beyond the end", {"query": _QUERY, "limit": 1000})
    yield query(dataset, "offset", {"query": _QUERY, "offset": 13, "limit": 5})
    yield query(dataset, "offset beyond the end", {"query": _QUERY, "offset": 100})
    for threshold in (-10, 0, 0.5, 3):
        yield query(
            dataset,
            f"threshold {threshold}",
            {"query": _QUERY, "score_threshold": threshold, "limit": 60},
        )
    for known in _ID:
        yield query(dataset, f"by id {known}", {"query": known, "limit": 60})
    yield query(dataset, "by id with a filter", {"query": 1, "filter": _FILTERS["half"]})
    yield query(dataset, "zeros", {"query": [0.0] * SIZE, "limit": 60})
    yield query(dataset, "integers", {"query": [1, 0, 0, 0, 0, 0, 0, -2], "limit": 60})
    for name, wanted in _FILTERS.items():
        yield query(dataset, f"filter {name}", {"query": _QUERY, "filter": wanted, "limit": 20})


def _again() -> Iterator[Row]:
    """The same requests for one long vector after another, the last ones with something wrong among its components."""
    made = [*vectors(101, 3, LONG), [*vectors(102, 1, LONG)[0][1:], None], [0.5] * (LONG - 1)]
    for at, vector in enumerate(made):
        for name, body in {
            "plain": {"query": vector, "limit": 4},
            "an object": {"query": {"nearest": vector}, "limit": 4},
            "a prefetch": {"prefetch": {"query": vector, "limit": 6}, "query": vector, "limit": 4},
            "an example": {"query": {"recommend": {"positive": [vector, 3]}}, "limit": 4},
            "a negative limit": {"query": vector, "limit": -1},
        }.items():
            yield query("long", f"long vector {at}, {name}", body)
        old = {"vector": vector, "limit": 4, "with_payload": ["n"]}
        yield post("long", f"long vector {at}, search", "points/search", old, Rule.RANKED)


def _details(dataset: str) -> Iterator[Row]:
    for selector in _SELECTORS:
        body = {"query": _QUERY, "with_payload": selector}
        yield query(dataset, f"payload {selector}", body)
    for wanted in (True, False, [""], ["nope"]):
        body = {"query": _QUERY, "with_vector": wanted}
        yield query(dataset, f"vectors {wanted}", body)
    yield query(dataset, "both", {"query": _QUERY, "with_vector": True, "with_payload": True})
    batch = {
        "searches": [
            {"query": _QUERY, "limit": 3},
            {"query": 2, "filter": _FILTERS["half"], "with_payload": True},
            {"limit": 2, "with_vector": True},
            {"query": _QUERY, "score_threshold": 0.9},
        ]
    }
    yield post(dataset, "batch", "points/query/batch", batch, Rule.RANKED)
    yield post(dataset, "empty batch", "points/query/batch", {"searches": []})
    yield query(dataset, "no query", {"limit": 7}, Rule.EXACT)
    yield query(dataset, "no query, offset", {"limit": 7, "offset": 3}, Rule.EXACT)
    yield query(dataset, "no query, filter", {"filter": _FILTERS["few"]}, Rule.EXACT)
    yield query(dataset, "sample", {"query": {"sample": "random"}, "limit": 8}, Rule.SIZE)
    yield query(
        dataset,
        "sample of a few",
        {"query": {"sample": "random"}, "filter": _FILTERS["few"]},
        Rule.SET,
    )
    for limit in (3, 10, 15, 40):
        yield query("ties", f"ties, {limit}", {"query": [1, 1], "limit": limit})
        yield query(
            "ties", f"ties after some, {limit}", {"query": [1, 1], "limit": limit, "offset": 7}
        )
    yield query("empty", "an empty collection", {"query": [1, 2]})
    yield query("bare", "a collection without vectors", {"with_payload": True}, Rule.EXACT)
