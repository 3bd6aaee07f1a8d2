"""What there is before each round of requests, and the words that requests are made of, so that they meet it."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any

from tests.service.translate.random_filters import payload

NAMED, PLAIN, ALIAS, MADE, MISSING = "named", "plain", "other-name", "made", "missing"
UUID_ONE = "00000000-0000-0000-0000-000000000001"

_COLLECTIONS: dict[str, Any] = {
    NAMED: {
        "vectors": {
            "a": {"size": 3, "distance": "Cosine"},
            "h": {"size": 3, "distance": "Euclid", "datatype": "float16"},
            "m": {
                "size": 3,
                "distance": "Dot",
                "multivector_config": {"comparator": "max_sim"},
            },
        },
        "sparse_vectors": {"s": {"modifier": "idf"}},
    },
    PLAIN: {"vectors": {"size": 3, "distance": "Manhattan"}},
}
INDEXES = {
    "k": "keyword",
    "n": "integer",
    "p": "float",
    "t": "datetime",
    "x": "text",
    "g": "geo",
    "u": "uuid",
}
"""The payload indexes. In both collections ``n``, ``p`` and ``t`` can be sorted by, ``k`` and ``n`` counted."""
_OF_BOTH = ("k", "n", "p", "t")

IDS: list[Any] = [1, 2, 3, 4, 2**64 - 1, UUID_ONE]
"""The points of both collections."""
OTHER_IDS: list[Any] = [99, UUID_ONE.replace("1", "f")]
PATHS = ["k", "n", "p", "t", "x", "g", "u", "s", "a[].n", "b.a", "l[0]", "missing"]
VALUES: list[Any] = ["red", "blue", 1, 2, True, "2024-01-02T03:04:05Z", UUID_ONE, "a red fox"]
_ANY_ID = [*IDS, *OTHER_IDS]
WORDS: Mapping[str, list[Any]] = {
    "using": ["", "a", "h", "m", "s", "missing", None],
    "key": PATHS,
    "group_by": PATHS,
    "field_name": PATHS,
    "to": PATHS,
    "datetime_key": PATHS,
    "collection": [NAMED, PLAIN, ALIAS, MISSING],
    "collection_name": [NAMED, PLAIN, MADE, MISSING],
    "with_lookup": [PLAIN, MISSING],
    "alias_name": [ALIAS, "new-name", PLAIN],
    "old_alias_name": [ALIAS, MISSING],
    "new_alias_name": ["new-name", ALIAS],
    "name": ["", "a", "s", "missing"],
    "has_vector": ["", "a", "s", "missing"],
    "value": VALUES,
    "text": ["red", "fox", ""],
    "id": _ANY_ID,
    "limit": [1, 2, 10, 2**63],
    "offset": [0, 1, 2, UUID_ONE],
    "start_from": [0, 1.5, "2024-01-01", -1],
}
"""Values that fit a field of this name."""
VECTOR_NAMES = ["a", "h", "m", "s"]


def _points(name: str) -> list[dict[str, Any]]:
    return [
        {
            "id": point_id,
            "vector": _vectors(at) if name == NAMED else [float(at), 1.0, -0.5],
            "payload": _payload(at),
        }
        for at, point_id in enumerate(IDS)
    ]


def _vectors(at: int) -> dict[str, Any]:
    everything: dict[str, Any] = {
        "a": [1.0, float(at), 0.5],
        "h": [0.5, float(at), 2.0],
        "m": [[1.0, float(at), 0.0], [0.0, 0.0, 1.0]],
        "s": {"indices": [1, at + 2], "values": [0.5, 1.0]},
    }
    return {name: vector for name, vector in everything.items() if at != 3 or name == "a"}


def _payload(at: int) -> dict[str, Any]:
    return {
        **payload(Random(at)),
        "k": ["red", "blue"][at % 2],
        "n": at,
        "p": at / 2,
        "t": f"2024-01-0{at + 1}T00:00:00Z",
        "x": "a quick red fox",
        "g": {"lon": float(at), "lat": 50.0},
        "l": [{"p": at}, {"p": "red"}],
    }


def _indexes(name: str) -> list[tuple[str, str]]:
    return [(path, schema) for path, schema in INDEXES.items() if name == NAMED or path in _OF_BOTH]


def laying_out() -> Iterator[tuple[str, str, Any]]:
    """Give the requests, as method, path and body, that make the world anew."""
    for name in (MADE, NAMED, PLAIN):
        yield "DELETE", f"/collections/{name}", None
    for name, config in _COLLECTIONS.items():
        yield "PUT", f"/collections/{name}", config
        for path, schema in _indexes(name):
            index = {"field_name": path, "field_schema": schema}
            yield "PUT", f"/collections/{name}/index?wait=true", index
    yield from refilling()
    alias = {"create_alias": {"collection_name": NAMED, "alias_name": ALIAS}}
    yield "POST", "/collections/aliases", {"actions": [alias]}


def refilling() -> Iterator[tuple[str, str, Any]]:
    """Give the requests that make the points anew."""
    for name in _COLLECTIONS:
        yield "POST", f"/collections/{name}/points/delete?wait=true", {"filter": {}}
        yield "PUT", f"/collections/{name}/points?wait=true", {"points": _points(name)}
