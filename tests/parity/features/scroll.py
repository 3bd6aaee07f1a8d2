"""Pages in id order."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, post
from tests.parity.data import ids

_ID = ids(60)
_HALF = {"must": [{"key": "n", "range": {"gt": 30}}]}


def rows() -> Iterator[Row]:
    """Sizes, offsets, filters, projections."""
    bodies: dict[str, Any] = {
        "defaults": {},
        "one": {"limit": 1},
        "exactly all": {"limit": 60},
        "one less": {"limit": 59},
        "more": {"limit": 1000},
        "with everything": {"limit": 60, "with_vector": True, "with_payload": True},
        "nothing but ids": {"limit": 60, "with_payload": False},
        "filtered": {"filter": _HALF},
        "filtered page": {"filter": _HALF, "limit": 4, "offset": 33},
        "offset that is not there": {"offset": 4_000_000, "limit": 3},
        "offset beyond the end": {"offset": "ffffffff-ffff-ffff-ffff-ffffffffffff"},
        "a large limit": {"limit": 2**40},
        "payload path": {"with_payload": ["deep.list[].x"], "limit": 3},
        "payload without": {"with_payload": {"exclude": ["deep", "where"]}, "limit": 3},
    }
    for name, body in bodies.items():
        for dataset in ("dense-cosine", "named"):
            yield post(dataset, name, "points/scroll", body)
    for known in _ID[:8]:
        yield post("dense-dot", f"from {known}", "points/scroll", {"offset": known, "limit": 5})
    yield post("empty", "an empty collection", "points/scroll", {})
    yield post("bare", "no vectors", "points/scroll", {"with_vector": True})
    for dataset in ("mixed", "float16", "uint8", "multi", "sparse"):
        body = {"limit": 100, "with_vector": True}
        yield post(dataset, "whole", "points/scroll", body)
