"""Maximal marginal relevance; not over sparse vectors, where the embedded engine fails."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, query
from tests.parity.data import DISTANCES, multivectors, vectors


def rows() -> Iterator[Row]:
    """Diversities and candidates on each kind of vector."""
    made = vectors(160, 1)[0]
    for distance in DISTANCES:
        yield from _kind(f"dense-{distance.lower()}", "", made)
        yield from _kind("multi", distance.lower(), multivectors(161, 1)[0])
        yield from _kind("float16", distance.lower(), made)


def _kind(dataset: str, using: str, vector: Any) -> Iterator[Row]:
    shared: dict[str, Any] = {"limit": 8, **({"using": using} if using else {})}
    options: dict[str, Any] = {
        "default": {},
        "diversity 0": {"diversity": 0.0},
        "diversity 0.3": {"diversity": 0.3, "candidates_limit": 20},
        "diversity 1": {"diversity": 1.0, "candidates_limit": 15},
        "few candidates": {"candidates_limit": 4},
    }
    for name, mmr in options.items():
        wanted = {"nearest": vector, "mmr": mmr}
        yield query(dataset, f"{name} {using}", {"query": wanted, **shared})
    wanted = {"nearest": 2, "mmr": {"diversity": 0.6, "candidates_limit": 30}}
    rest = {
        "filter": {"must": [{"key": "n", "range": {"gt": 5}}]},
        "offset": 2,
        "with_payload": ["n"],
    }
    yield query(dataset, f"by id, filtered {using}", {"query": wanted, **shared, **rest})
    yield query(dataset, f"with vectors {using}", {"query": wanted, **shared, "with_vector": True})
    leaf = {"query": vector, "limit": 12, **({"using": using} if using else {})}
    yield query(dataset, f"of a prefetch {using}", {"prefetch": leaf, "query": wanted, **shared})
