"""Counts, exact and estimated."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, Rule, post

_HALF = {"must": [{"key": "n", "range": {"gt": 30}}]}


def rows() -> Iterator[Row]:
    """With and without filter."""
    yield post("dense-cosine", "all", "points/count", {})
    yield post("dense-cosine", "half", "points/count", {"filter": _HALF})
    yield post("dense-cosine", "exact", "points/count", {"filter": _HALF, "exact": True})
    nothing: dict[str, Any] = {"filter": {"must": [{"has_id": []}]}}
    yield post("dense-cosine", "nothing", "points/count", nothing)
    yield post("empty", "an empty collection", "points/count", {})
    yield post("dense-cosine", "estimated", "points/count", {"exact": False})
    estimated = {"filter": _HALF, "exact": False}
    yield post("dense-cosine", "estimated half", "points/count", estimated, Rule.STATUS)
