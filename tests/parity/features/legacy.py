"""The endpoints that Qdrant no longer documents and still answers."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, Rule, post
from tests.parity.data import vectors

_A, _B = vectors(190, 2)
_HALF = {"must": [{"key": "n", "range": {"gt": 30}}]}


def rows() -> Iterator[Row]:
    """Search, recommend, discover: alone, in batches, grouped."""
    for name, body in _searches().items():
        yield _post(name, "points/search", body)
    for name, body in _recommendations().items():
        yield _post(name, "points/recommend", body)
    for name, body in _discoveries().items():
        yield _post(name, "points/discover", body)
    some = [{"vector": _A, "limit": 3}, {"vector": _B, "limit": 2, "filter": _HALF}]
    yield _post("batch", "points/search/batch", {"searches": some})
    some = [{"positive": [1], "limit": 3}, {"positive": [2], "negative": [3], "limit": 2}]
    yield _post("batch", "points/recommend/batch", {"searches": some})
    some = [{"target": _A, "limit": 3}, {"context": [{"positive": 1, "negative": 2}], "limit": 2}]
    yield _post("batch", "points/discover/batch", {"searches": some})
    grouped: dict[str, Any] = {"group_by": "city", "group_size": 2, "limit": 3}
    for path, body in {
        "points/search/groups": {"vector": _A, **grouped},
        "points/recommend/groups": {"positive": [1], "negative": [5], **grouped},
    }.items():
        yield post("dense-cosine", "groups", path, body, Rule.GROUPS, unproven=True)
    by_name = {"vector": {"name": "a", "vector": vectors(191, 1, 4)[0]}, "limit": 5}
    yield post("named", "by name", "points/search", by_name, Rule.RANKED)
    by_sparse = {"name": "s", "vector": {"indices": [1, 5], "values": [1.0, 2.0]}}
    yield post("named", "sparse", "points/search", {"vector": by_sparse, "limit": 5}, Rule.RANKED)
    using = {"positive": [2], "using": "a", "limit": 5}
    yield post("named", "using", "points/recommend", using, Rule.RANKED)


def _searches() -> dict[str, Any]:
    return {
        "plain": {"vector": _A, "limit": 5},
        "top": {"vector": _A, "top": 5},
        "everything": {"vector": _A, "limit": 4, "with_payload": True, "with_vector": True},
        "page": {"vector": _A, "limit": 4, "offset": 3, "filter": _HALF, "score_threshold": 0.01},
        "exact": {"vector": _A, "limit": 4, "params": {"exact": True, "hnsw_ef": 99}},
        "no limit": {"vector": _A},
        "limit of 0": {"vector": _A, "limit": 0},
        "no vector": {"limit": 4},
        "wrong dimension": {"vector": [1.0], "limit": 4},
        "unknown name": {"vector": {"name": "zz", "vector": _A}, "limit": 4},
    }


def _recommendations() -> dict[str, Any]:
    return {
        "average": {"positive": [1, 2], "negative": [5], "limit": 9},
        "best": {"positive": [1, _A], "negative": [5], "strategy": "best_score", "limit": 9},
        "sum": {"positive": [1], "negative": [5], "strategy": "sum_scores", "limit": 9},
        "vectors": {"positive": [_A, _B], "limit": 9, "with_payload": True},
        "negatives only": {"negative": [5], "strategy": "best_score", "limit": 9},
        "nothing": {"limit": 9},
        "unknown id": {"positive": [777], "limit": 9},
        "looked up": {"positive": [1], "limit": 9, "lookup_from": {"collection": "dense-dot"}},
        "filtered": {"positive": [1], "limit": 9, "filter": _HALF, "offset": 1},
    }


def _discoveries() -> dict[str, Any]:
    pairs = [{"positive": 1, "negative": 2}, {"positive": _A, "negative": 6}]
    return {
        "target": {"target": _B, "limit": 9},
        "target and context": {"target": _B, "context": pairs, "limit": 9},
        "target by id": {"target": 9, "context": pairs, "limit": 9},
        "context": {"context": pairs, "limit": 9},
        "nothing": {"limit": 9},
        "filtered": {"target": _B, "context": pairs, "limit": 9, "filter": _HALF},
    }


def _post(name: str, path: str, body: dict[str, Any]) -> Row:
    return post("dense-cosine", f"{path} {name}", path, body, Rule.RANKED)
