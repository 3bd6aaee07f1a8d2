"""Grouped queries. The engine has none: both sides group with our code."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, Rule, post
from tests.parity.data import DISTANCES, vectors

_A, _B = vectors(180, 2)
_FIELDS = (
    "city",
    "n",
    "deep.a.b",
    "tags",
    "several",
    "flag",
    "f",
    "nowhere",
    "deep.list[].x",
    "ref",
)


def rows() -> Iterator[Row]:
    """Fields of every type, sizes, kinds of queries, lookups."""
    for field in _FIELDS:
        for size in (1, 3, 10):
            body: dict[str, Any] = {"query": _A, "group_by": field, "group_size": size, "limit": 6}
            yield _groups("dense-cosine", f"{field} by {size}", body)
    for distance in DISTANCES:
        by_city = {"query": _A, "group_by": "city", "with_payload": ["n"]}
        yield _groups(f"dense-{distance.lower()}", "defaults", by_city)
    yield from _kinds()
    yield from _wrong()


def _kinds() -> Iterator[Row]:
    shared: dict[str, Any] = {"group_by": "city", "limit": 3, "group_size": 2}
    half = {"must": [{"key": "n", "range": {"gt": 30}}]}
    leaf = {"query": _A, "limit": 30}
    bodies: dict[str, Any] = {
        "filter": {"query": _A, "filter": half},
        "threshold": {"query": _A, "score_threshold": 0.2},
        "by id": {"query": 1},
        "vectors": {"query": _A, "with_vector": True, "with_payload": True},
        "fusion": {"prefetch": [leaf, {"query": _B}], "query": {"fusion": "rrf"}},
        "rescored": {"prefetch": leaf, "query": _B},
        "recommend": {"query": {"recommend": {"positive": [1, 2], "negative": [5]}}},
        "no query": {},
        "lookup": {"query": _A, "group_by": "n", "with_lookup": "plain"},
        "lookup of nothing": {"query": _A, "with_lookup": "plain"},
        "lookup in detail": {
            "query": _A,
            "group_by": "n",
            "with_lookup": {"collection": "plain", "with_payload": ["city"], "with_vectors": True},
        },
    }
    for name, body in bodies.items():
        yield _groups("dense-cosine", name, {**shared, **body})


def _wrong() -> Iterator[Row]:
    bodies: dict[str, Any] = {
        "no group_by": {"query": _A},
        "malformed path": {"query": _A, "group_by": "a..b"},
        "size of 0": {"query": _A, "group_by": "n", "group_size": 0},
        "limit of 0": {"query": _A, "group_by": "n", "limit": 0},
        "lookup of no collection": {"query": _A, "group_by": "n", "with_lookup": "zz"},
        "wrong dimension": {"query": [1.0], "group_by": "n"},
        "unknown id": {"query": 777, "group_by": "n"},
    }
    for name, body in bodies.items():
        yield _groups("dense-cosine", name, body)


def _groups(dataset: str, name: str, body: dict[str, Any]) -> Row:
    return post(dataset, name, "points/query/groups", body, Rule.GROUPS, unproven=True)
