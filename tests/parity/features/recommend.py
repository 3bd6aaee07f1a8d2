"""Recommendations: averages, best scores and sums, from ids and vectors, over every kind of vector."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, query
from tests.parity.data import DISTANCES, bytes_, ids, multivectors, sparse, vectors

_STRATEGIES = (None, "average_vector", "best_score", "sum_scores")
_FILTER = {"must": [{"key": "n", "range": {"gt": 15}}]}
_ID = ids(8)


def rows() -> Iterator[Row]:
    """Each strategy on each kind."""
    made = vectors(120, 2)
    for distance in DISTANCES:
        yield from _strategies(f"dense-{distance.lower()}", "", made)
        using = distance.lower()
        yield from _strategies("multi", using, multivectors(121, 2))
        yield from _strategies("float16", using, made)
        yield from _strategies("uint8", using, bytes_(122, 2))
    for using in ("plain", "idf"):
        yield from _strategies("sparse", using, sparse(123, 2))
    yield from _lookups()


def _strategies(dataset: str, using: str, made: list[Any]) -> Iterator[Row]:
    shared: dict[str, Any] = {"limit": 60, **({"using": using} if using else {})}
    cases: dict[str, tuple[list[Any], list[Any]]] = {
        "positives": ([1, 2], []),
        "both": ([_ID[0], made[0]], [_ID[4]]),
        "negatives": ([], [made[1], 5]),
        "nothing": ([], []),
        "uuids": ([_ID[3]], [_ID[2], _ID[7]]),
    }
    for strategy in _STRATEGIES:
        for name, (positive, negative) in cases.items():
            wanted = {"positive": positive, "negative": negative, "strategy": strategy}
            body = {"query": {"recommend": wanted}, **shared}
            yield query(dataset, f"{strategy}, {name} {using}", body)
        wanted = {"positive": [1], "negative": [5, 6], "strategy": strategy}
        body = {
            "query": {"recommend": wanted},
            **shared,
            "filter": _FILTER,
            "offset": 1,
            "limit": 4,
        }
        yield query(dataset, f"{strategy}, a page {using}", body)
        body = {"query": {"recommend": wanted}, **shared, "score_threshold": 0.2}
        yield query(dataset, f"{strategy}, threshold {using}", body)


def _lookups() -> Iterator[Row]:
    """Ids that stand for vectors of another collection are not left out."""
    from_other = {"collection": "dense-dot"}
    for strategy in _STRATEGIES:
        wanted = {"positive": [1], "negative": [2], "strategy": strategy}
        body = {"query": {"recommend": wanted}, "lookup_from": from_other, "limit": 60}
        yield query("dense-cosine", f"{strategy}, looked up", body)
    yield query(
        "dense-cosine", "id of another", {"query": 1, "lookup_from": from_other, "limit": 60}
    )
    by_name = {"collection": "float16", "vector": "cosine"}
    yield query("dense-cosine", "id of a name", {"query": 1, "lookup_from": by_name, "limit": 60})
    self_ = {"collection": "dense-cosine"}
    yield query("dense-cosine", "id of itself", {"query": 1, "lookup_from": self_, "limit": 60})
    yield query(
        "dense-cosine", "no such collection", {"query": 1, "lookup_from": {"collection": "x"}}
    )
    nameless = {"collection": "float16", "vector": "zz"}
    yield query("dense-cosine", "no such name", {"query": 1, "lookup_from": nameless})
    yield query("dense-cosine", "no such point", {"query": 77, "lookup_from": from_other})
    other_size = {"collection": "plain"}
    yield query("dense-cosine", "of another size", {"query": 1, "lookup_from": other_size})
