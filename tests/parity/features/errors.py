"""Requests that are refused: unknown collections, malformed bodies, values out of their ranges."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import NAME, Ask, Row, post, query
from tests.parity.data import vectors

_A = vectors(210, 1)[0]
_UNKNOWN: dict[str, tuple[str, Any]] = {
    "points/query": ("POST", {"query": _A}),
    "points/scroll": ("POST", {}),
    "points/count": ("POST", {}),
    "points": ("POST", {"ids": [1]}),
    "points/1": ("GET", None),
    "facet": ("POST", {"key": "a"}),
    "points/query/groups": ("POST", {"query": _A, "group_by": "a"}),
    "points/query/batch": ("POST", {"searches": [{"query": _A}]}),
    "points/search/matrix/pairs": ("POST", {}),
    "points/delete": ("POST", {"points": [1]}),
    "points/payload": ("POST", {"payload": {}, "points": [1]}),
    "points?wait=true": ("PUT", {"points": [{"id": 1, "vector": _A}]}),
    "index": ("PUT", {"field_name": "a", "field_schema": "keyword"}),
    "index/a": ("DELETE", None),
    "vectors/x": ("PUT", {"dense": {"size": 2, "distance": "Dot"}}),
    "aliases": ("GET", None),
}
_BAD_FILTERS: dict[str, Any] = {
    "a malformed path": {"key": "a..b", "match": {"value": 1}},
    "no test": {"key": "a"},
    "an unknown test": {"key": "a", "matches": 1},
    "a fraction to match": {"key": "a", "match": {"value": 1.5}},
    "a mixed list": {"key": "a", "match": {"any": [1, "x"]}},
    "a malformed moment": {"key": "a", "range": {"gt": "yesterday"}},
    "a bad id": {"has_id": ["abc"]},
    "a latitude beyond": {"key": "a", "geo_radius": {"center": {"lat": 91, "lon": 0}, "radius": 1}},
    "a negative radius": {"key": "a", "geo_radius": {"center": {"lat": 1, "lon": 0}, "radius": -1}},
    "an open ring": {
        "key": "a",
        "geo_polygon": {"exterior": {"points": [{"lat": at, "lon": at * at} for at in range(4)]}},
    },
    "a short ring": {"key": "a", "geo_polygon": {"exterior": {"points": [{"lat": 1, "lon": 1}]}}},
    "ids in nested": {"nested": {"key": "a", "filter": {"must": [{"has_id": [1]}]}}},
    "a bad slice": {"slice": {"total": 2, "index": 2}},
    "more slices than 32 bits can tell": {"slice": {"total": 2**32, "index": 2}},
}


def rows() -> Iterator[Row]:
    """Refusals of both sides."""
    for path, (method, body) in _UNKNOWN.items():
        ask = Ask(method, f"/collections/zz/{path}", body)
        yield Row(f"unknown collection, {path}", "dense-cosine", (ask,))
    for method, path in (
        *(("GET", path) for path in ("", "/exists", "/aliases", "/points/1")),
        *(("DELETE", path) for path in ("", "/index/a")),
    ):
        ask = Ask(method, f"/collections/a%00b{path}")
        yield Row(f"a name that Postgres cannot hold, {method} {path}", "dense-cosine", (ask,))
    for field in ("a[", "%00", "a..b", "unknown"):
        ask = Ask("DELETE", f"/collections/{NAME}/index/{field}?wait=true")
        yield Row(f"no index on {field}", "dense-cosine", (ask,), writes=True)
    for name, condition in _BAD_FILTERS.items():
        yield post(
            "dense-cosine", f"filter with {name}", "points/count", {"filter": {"must": [condition]}}
        )
    for name, body in _queries().items():
        yield query("dense-cosine", name, body)
    for name, raw in {"no JSON": b"{", "nothing": b"", "a list": b"[]", "null": b"null"}.items():
        yield post("dense-cosine", f"a body of {name}", "points/query", raw)
    infinite = {"query": [1e39] * 8}
    gap = "numbers beyond single precision are refused, Qdrant searches with infinity"
    yield query("dense-cosine", "infinite numbers", infinite, gap=gap)
    yield post("dense-cosine", "scroll limit of 0", "points/scroll", {"limit": 0})
    yield post("dense-cosine", "scroll from a bad id", "points/scroll", {"offset": "abc"})
    for name, path in {
        "timeout of 0": "points/query?timeout=0",
        "a bad timeout": "points/query?timeout=x",
        "a bad consistency": "points/query?consistency=some",
        "a bad wait": "points/delete?wait=perhaps",
    }.items():
        yield post("dense-cosine", name, path, {"query": _A, "points": [999_999]})


def _queries() -> dict[str, Any]:
    return {
        "limit of 0": {"query": _A, "limit": 0},
        "a negative limit": {"query": _A, "limit": -1},
        "a negative offset": {"query": _A, "offset": -1},
        "a text as a limit": {"query": _A, "limit": "5"},
        "wrong dimension": {"query": [1.0, 2.0]},
        "no dimension": {"query": []},
        "a sparse vector": {"query": {"indices": [1], "values": [1.0]}},
        "a multivector": {"query": [_A, _A]},
        "a multivector of the wrong dimension": {"query": [[1.0, 2.0]]},
        "a name": {"query": _A, "using": "zz"},
        "a text": {"query": "abc"},
        "an unknown id": {"query": 777},
        "an unknown id of an unknown name": {"query": 777, "using": "zz"},
        "a known id of an unknown name": {"query": 1, "using": "zz"},
        "ids known and unknown of an unknown name": {
            "query": {"recommend": {"positive": [1, 777]}},
            "using": "zz",
        },
        "a path with a letter of a new alphabet": {
            "query": _A,
            "filter": {"must_not": [{"is_empty": {"key": "\U00033479"}}]},
        },
        "a path with a number too large": {
            "query": _A,
            "filter": {"must": [{"is_empty": {"key": "a[18446744073709551616]"}}]},
        },
        "an unknown uuid": {"query": "00000000-0000-0000-0000-000000000777"},
        "a boolean": {"query": True},
        "an unknown query": {"query": {"closest": _A}},
        "a document": {"query": {"text": "hello", "model": "qdrant/bm25"}},
        "recommend without examples": {"query": {"recommend": {}}},
        "diversity beyond": {"query": {"nearest": _A, "mmr": {"diversity": 2}}},
        "an unknown strategy": {"query": {"recommend": {"positive": [1], "strategy": "best"}}},
        "a malformed selector": {"query": _A, "with_payload": 5},
        "a malformed payload path": {"query": _A, "with_payload": ["a..b"]},
        "ef of -1": {"query": _A, "params": {"hnsw_ef": -1}},
        "a threshold as text": {"query": _A, "score_threshold": "x"},
    }
