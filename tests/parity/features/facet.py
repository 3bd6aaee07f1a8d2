"""Counts of the values of a field."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, post
from tests.parity.data import FIELD_INDEXES, MIXED

_HALF = {"must": [{"key": "n", "range": {"gt": 30}}]}


def rows() -> Iterator[Row]:
    """Each indexed field, and the ragged one under each index."""
    options: dict[str, Any] = {"": {}, ", filtered": {"filter": _HALF}, ", 3": {"limit": 3}}
    for field in (*FIELD_INDEXES, "nowhere", "tags[]", "deep.list[].x", "a..b"):
        for name, more in options.items():
            yield _facet("indexed", f"{field}{name}", {"key": field, "exact": True, **more})
    yield _facet("indexed", "not exact", {"key": "city"})
    yield _facet("indexed", "all", {"key": "n", "limit": 100, "exact": True})
    none: dict[str, Any] = {"must": [{"has_id": []}]}
    yield _facet("indexed", "of nothing", {"key": "city", "filter": none})
    yield _facet("plain", "without an index", {"key": "city"})
    yield _facet("indexed", "limit of 0", {"key": "city", "limit": 0})
    for dataset in MIXED:
        yield _facet(dataset, "mixed types", {"key": "a", "exact": True, "limit": 100})


def _facet(dataset: str, name: str, body: dict[str, Any]) -> Row:
    return post(dataset, name, "facet", body)
