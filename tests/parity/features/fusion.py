"""Prefetches to several depths: fusion, rescoring, pushed filters, named ids."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, Rule, query
from tests.parity.data import multivectors, sparse, vectors

_A, _B, _C = vectors(140, 3)
_SPARSE = sparse(141, 2)
_FUSIONS: dict[str, Any] = {
    "rrf": {"fusion": "rrf"},
    "dbsf": {"fusion": "dbsf"},
    "rrf k": {"rrf": {"k": 7}},
    "rrf default": {"rrf": {}},
    "rrf weights": {"rrf": {"k": 3, "weights": [3.0, 0.5]}},
    "rrf zero weight": {"rrf": {"weights": [0.0, 1.0]}},
}
_LOW = {"must": [{"key": "n", "range": {"lt": 30}}]}
_ODD = {"must": [{"key": "flag", "match": {"value": False}}]}


def rows() -> Iterator[Row]:
    """Fusions of two leaves, then trees."""
    for dataset in ("dense-cosine", "dense-euclid", "dense-manhattan"):
        for name, fusion in _FUSIONS.items():
            leaves = [{"query": _A, "limit": 11}, {"query": _B, "limit": 7, "filter": _ODD}]
            body: dict[str, Any] = {"prefetch": leaves, "query": fusion, "limit": 40}
            yield query(dataset, name, body)
            yield query(dataset, f"{name}, pushed filter", {**body, "filter": _LOW})
            yield query(dataset, f"{name}, threshold", {**body, "score_threshold": 0.3})
            yield query(
                dataset, f"{name}, page", {**body, "offset": 3, "limit": 4, "with_payload": True}
            )
            yield query(dataset, f"{name}, ids", {**body, "prefetch": [{"query": 1}, {"query": 2}]})
    yield from _trees("dense-cosine")
    yield from _mixed_kinds()
    yield from _wrong("dense-cosine")


def _trees(dataset: str) -> Iterator[Row]:
    leaf: dict[str, Any] = {"query": _A, "limit": 20}
    rescored = {"prefetch": leaf, "query": _B, "limit": 10}
    trees: dict[str, Any] = {
        "rescored": {"prefetch": leaf, "query": _B},
        "rescored twice": {"prefetch": rescored, "query": _C, "limit": 5},
        "rescored with a threshold inside": {
            "prefetch": {**leaf, "score_threshold": 0.1},
            "query": _B,
        },
        "fusion of trees": {
            "prefetch": [rescored, {**rescored, "query": {"fusion": "dbsf"}}],
            "query": {"fusion": "rrf"},
        },
        "fusion of one": {"prefetch": [leaf], "query": {"fusion": "rrf"}},
        "fusion of three": {
            "prefetch": [leaf, {"query": _B, "limit": 5}, {"query": _C, "limit": 9}],
            "query": {"fusion": "dbsf"},
        },
        "scroll inside": {"prefetch": {"limit": 9, "filter": _LOW}, "query": _A},
        "scroll in fusion": {"prefetch": [{"limit": 9}, leaf], "query": {"fusion": "rrf"}},
        "recommend inside": {
            "prefetch": {"query": {"recommend": {"positive": [1], "negative": [2]}}, "limit": 9},
            "query": _A,
        },
        "best scores in fusion": {
            "prefetch": [
                {"query": {"recommend": {"positive": [1, 5], "strategy": "best_score"}}},
                {"query": {"context": [{"positive": 9, "negative": 10}]}, "limit": 100},
            ],
            "query": {"fusion": "dbsf"},
        },
        "should of root and leaf": {
            "prefetch": {**leaf, "filter": {"should": [{"key": "n", "match": {"value": 3}}]}},
            "filter": {"should": [{"key": "n", "match": {"value": 4}}]},
            "query": _B,
        },
        "should of root and leaf, named ids": {
            "prefetch": {**leaf, "filter": {"should": [{"key": "n", "match": {"value": 3}}]}},
            "filter": {"should": [{"key": "n", "match": {"value": 4}}]},
            "query": 1,
        },
        "min_should of root and leaf": {
            "prefetch": {
                **leaf,
                "filter": {
                    "min_should": {"conditions": _LOW["must"] + _ODD["must"], "min_count": 2}
                },
            },
            "filter": {"min_should": {"conditions": _LOW["must"], "min_count": 1}},
            "query": _B,
        },
        "ids in depth": {
            "prefetch": {"prefetch": {"query": 5, "limit": 30}, "query": 6, "limit": 20},
            "query": 9,
            "limit": 30,
        },
        "vectors and payload": {
            "prefetch": leaf,
            "query": _B,
            "with_vector": True,
            "with_payload": ["n"],
        },
        "empty leaf": {
            "prefetch": [{**leaf, "filter": {"must": [{"has_id": []}]}}],
            "query": {"fusion": "dbsf"},
        },
        "offset beyond": {"prefetch": leaf, "query": _B, "offset": 15, "limit": 10},
        "limits in depth": {"prefetch": {"query": _A, "limit": 2}, "query": _B, "limit": 10},
        "prefetch of nothing": {"prefetch": [], "query": _A},
    }
    for name, body in trees.items():
        yield query(dataset, name, body)
    sampled = {"prefetch": {"query": _A, "limit": 6}, "query": {"sample": "random"}, "limit": 10}
    yield query(dataset, "sample of a prefetch", sampled, Rule.SET)
    from_other = {"query": 1, "lookup_from": {"collection": "dense-dot"}, "limit": 8}
    yield query(dataset, "looked up inside", {"prefetch": from_other, "query": _A})


def _mixed_kinds() -> Iterator[Row]:
    """Hybrid search: dense, sparse and multivectors in one tree."""
    leaves = [
        {"query": _SPARSE[0], "using": "s", "limit": 12},
        {"query": vectors(142, 1, 4)[0], "using": "a", "limit": 12},
        {"query": multivectors(143, 1, 2)[0], "using": "m", "limit": 12},
    ]
    for name in ("rrf", "dbsf"):
        yield query(
            "named", f"hybrid {name}", {"prefetch": leaves, "query": {"fusion": name}, "limit": 40}
        )
    rescored = {"query": multivectors(144, 1, 2)[0], "using": "m"}
    yield query("named", "late interaction", {"prefetch": leaves, **rescored, "limit": 40})
    sparse_last = {"query": _SPARSE[1], "using": "s"}
    yield query("named", "sparse rescoring", {"prefetch": leaves[1:], **sparse_last, "limit": 40})


def _wrong(dataset: str) -> Iterator[Row]:
    leaf = {"query": _A}
    wrong: dict[str, Any] = {
        "no query": {"prefetch": leaf},
        "threshold without a query": {"score_threshold": 0.5},
        "fusion without prefetch": {"query": {"fusion": "rrf"}},
        "fusion with using": {"prefetch": leaf, "query": {"fusion": "rrf"}, "using": "x"},
        "k of 0": {"prefetch": leaf, "query": {"rrf": {"k": 0}}},
        "too few weights": {"prefetch": [leaf, leaf], "query": {"rrf": {"weights": [1.0]}}},
        "an unknown id": {"prefetch": {"query": 777}, "query": _A},
        "a wrong dimension": {"prefetch": {"query": [1.0]}, "query": _A},
        "an unknown fusion": {"prefetch": leaf, "query": {"fusion": "sum"}},
    }
    for name, body in wrong.items():
        yield query(dataset, name, body)
