"""Scrolls and queries in the order of a field."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, Rule, post, query
from tests.parity.data import vectors

_ORDERS: dict[str, Any] = {
    "integers": "n",
    "integers down": {"key": "n", "direction": "desc"},
    "integers from 20": {"key": "n", "start_from": 20},
    "integers down from 20": {"key": "n", "direction": "desc", "start_from": 20},
    "integers from 20.5": {"key": "n", "start_from": 20.5},
    "floats": "f",
    "floats down": {"key": "f", "direction": "desc"},
    "floats from -1": {"key": "f", "start_from": -1},
    "moments": "when",
    "moments down": {"key": "when", "direction": "desc"},
    "moments from": {"key": "when", "start_from": "2024-06-01T00:00:00Z"},
    "moments down from a date": {"key": "when", "direction": "desc", "start_from": "2024-06-01"},
    "path": "deep.a.b",
    "several": "several",
    "several down": {"key": "several", "direction": "desc"},
    "several from 5": {"key": "several", "start_from": 5},
    "uuids": "ref",
    "keywords": "city",
    "booleans": "flag",
    "no such field": "nowhere",
    "not indexed": "deep.list[].x",
    "text": "text",
    "a moment for integers": {"key": "n", "start_from": "2024-06-01"},
    "a number for moments": {"key": "when", "start_from": 1_717_200_000},
    "a malformed path": "a..b",
}
_FILTER = {"must": [{"key": "flag", "match": {"value": False}}]}


def rows() -> Iterator[Row]:
    """Each order; where values tie, ids decide."""
    for name, order in _ORDERS.items():
        body = {"order_by": order, "limit": 100, "with_payload": ["n"]}
        yield _scroll(f"scroll {name}", body)
        yield _scroll(f"scroll {name}, 7", {**body, "limit": 7})
        wanted = {"query": {"order_by": order}, "limit": 100}
        yield query("indexed", f"query {name}", wanted, Rule.ORDERED)
    by_n = {"order_by": "n", "limit": 9}
    yield _scroll("scroll, filtered", {**by_n, "filter": _FILTER})
    yield _scroll("scroll with an offset", {**by_n, "offset": 3})
    yield post("plain", "scroll without an index", "points/scroll", by_n)
    wanted = {"query": {"order_by": "n"}, "filter": _FILTER, "offset": 2, "limit": 5}
    yield query("indexed", "query, a page", wanted, Rule.ORDERED)
    yield query("plain", "query without an index", {"query": {"order_by": "n"}})
    leaf = {"query": vectors(170, 1, 4)[0], "limit": 9}
    by_f = {"query": {"order_by": {"key": "f", "direction": "desc"}}, "limit": 20}
    yield query("indexed", "of a prefetch", {"prefetch": leaf, **by_f}, Rule.ORDERED)
    yield query("indexed", "in a prefetch", {"prefetch": by_f, "query": leaf["query"]})
    fused = {"prefetch": [by_f, leaf], "query": {"fusion": "rrf"}, "limit": 40}
    yield query("indexed", "in fusion", fused)
    several = {"prefetch": {"query": {"order_by": "several"}, "limit": 200}, "query": leaf["query"]}
    yield query("indexed", "several in a prefetch", {**several, "limit": 40})
    with_threshold = {"query": {"order_by": "n"}, "score_threshold": 0.5}
    yield query("indexed", "threshold", with_threshold, Rule.ORDERED)


def _scroll(name: str, body: dict[str, Any]) -> Row:
    return post("indexed", name, "points/scroll", body, Rule.ORDERED)
