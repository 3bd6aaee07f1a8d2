"""Distance matrices. The engine has none: both sides compose them; all points are sampled, so that answers repeat."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, Rule, post
from tests.parity.data import DISTANCES


def rows() -> Iterator[Row]:
    """Both shapes over each kind of vector."""
    for distance in DISTANCES:
        yield from _both(f"dense-{distance.lower()}", "all", {"sample": 100, "limit": 4})
        using = distance.lower()
        yield from _both("multi", using, {"sample": 100, "limit": 3, "using": using})
        yield from _both("float16", using, {"sample": 100, "limit": 3, "using": using})
    yield from _both("sparse", "sparse", {"sample": 100, "limit": 3, "using": "plain"})
    few = {"must": [{"key": "n", "match": {"any": [3, 9, 27, 28]}}]}
    yield from _both("dense-cosine", "filtered", {"sample": 10, "limit": 10, "filter": few})
    yield from _both("named", "those that have it", {"sample": 100, "limit": 2, "using": "a"})
    yield from _both("empty", "an empty collection", {})
    bodies: dict[str, Any] = {
        "sample of 1": {"sample": 1},
        "limit of 0": {"limit": 0},
        "unknown vector": {"using": "zz"},
    }
    for name, body in bodies.items():
        yield from _both("dense-cosine", name, body)
    sampled = {"sample": 7, "limit": 2}
    path = "points/search/matrix/pairs"
    yield post("dense-cosine", "sampled", path, sampled, Rule.STATUS, unproven=True)


def _both(dataset: str, name: str, body: dict[str, Any]) -> Iterator[Row]:
    for shape in ("pairs", "offsets"):
        path = f"points/search/matrix/{shape}"
        yield post(dataset, f"{shape}, {name}", path, body, Rule.MATRIX, unproven=True)
