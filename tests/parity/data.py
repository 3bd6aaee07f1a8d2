"""The data sets: what a collection is and holds, always the same."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np

DISTANCES = ("Cosine", "Dot", "Euclid", "Manhattan")
SIZE = 8
MULTI = {"comparator": "max_sim"}


@dataclass(frozen=True, slots=True)
class DataSet:
    """A creation request, points as they are upserted, and payload indexes made before."""

    name: str
    config: dict[str, Any]
    points: Sequence[dict[str, Any]]
    indexes: dict[str, Any] = field(default_factory=dict)


def ids(count: int) -> list[Any]:
    """Return small and large integers and UUIDs in turn, beginning with 1."""
    kinds = (
        lambda number: number,
        lambda number: number,
        lambda number: 2**64 - number,
        lambda number: str(UUID(int=number * 0x1111_2222_3333_4444_5555)),
    )
    return [kinds[(number - 1) % len(kinds)](number) for number in range(1, count + 1)]


def _random(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def vectors(seed: int, count: int, size: int = SIZE) -> list[list[float]]:
    """Return random vectors whose numbers are short in JSON."""
    made = _random(seed).normal(size=(count, size)).round(3)
    return [[float(value) for value in row] for row in made]


def bytes_(seed: int, count: int, size: int = SIZE) -> list[list[int]]:
    """Return random vectors of 0 … 255."""
    return [[int(v) for v in row] for row in _random(seed).integers(0, 256, size=(count, size))]


def multivectors(seed: int, count: int, size: int = 4) -> list[list[list[float]]]:
    """Return random multivectors of one to four rows."""
    rows = _random(seed).integers(1, 5, size=count)
    return [vectors(seed + at, int(n), size) for at, n in enumerate(rows)]


def sparse(seed: int, count: int) -> list[dict[str, Any]]:
    """Return random sparse vectors over few dimensions, so that they meet, one of them beyond 31 bits."""
    random, made = _random(seed), []
    dimensions = [1, 2, 3, 5, 8, 13, 21, 70_000, 2**32 - 1]
    for _ in range(count):
        chosen = random.choice(dimensions, size=int(random.integers(1, 6)), replace=False)
        values = random.normal(size=len(chosen)).round(2)
        made.append({"indices": [int(i) for i in chosen], "values": [float(v) for v in values]})
    return made


def _payload(number: int) -> dict[str, Any]:
    """Return a payload whose fields have one type each, some of them missing here and there."""
    payload: dict[str, Any] = {
        "n": number,
        "f": number / 4 - 3,
        "city": ("Berlin", "Zürich", "東京", "New York", "berlin")[number % 5],
        "tags": [["a", "b", "c", "ß☃"][at] for at in range(4) if number >> at & 1],
        "flag": number % 3 == 0,
        "when": f"2024-{1 + number % 12:02d}-{1 + number % 28:02d}T0{number % 10}:30:00Z",
        "where": {"lat": -60.0 + 2.5 * number, "lon": -170.0 + 7.3 * number},
        "text": ("The quick brown fox", "a lazy dog sleeps", "Quick dogs", "FOX and dog")[
            number % 4
        ],
        "ref": str(UUID(int=number % 7)),
        "deep": {"a": {"b": number % 4}, "list": [{"x": number % 3, "y": number}, {"x": 7}]},
        "several": [number % 4, number % 7 + 10],
    }
    if number % 4 == 1:
        del payload["f"], payload["when"]
    return payload


def _filled(name: str, config: dict[str, Any], made: Sequence[Any], **rest: Any) -> DataSet:
    points = [
        {"id": known, "vector": vector, "payload": _payload(number)}
        for number, (known, vector) in enumerate(zip(ids(len(made)), made, strict=True), start=1)
    ]
    return DataSet(name, config, points, **rest)


def _dense(distance: str) -> DataSet:
    config = {"vectors": {"size": SIZE, "distance": distance}}
    return _filled(f"dense-{distance.lower()}", config, vectors(1, 60))


LONG = 24
"""Components: vectors of this size are taken out of a body before it is parsed, and the rest of it is remembered."""


def _long() -> DataSet:
    return _filled("long", {"vectors": {"size": LONG, "distance": "Cosine"}}, vectors(11, 30, LONG))


_TYPES = ("float16", "uint8")


def _small(datatype: str) -> DataSet:
    config = {
        "vectors": {
            distance.lower(): {"size": SIZE, "distance": distance, "datatype": datatype}
            for distance in DISTANCES
        }
    }
    made: Sequence[Any] = vectors(2, 40) if datatype == "float16" else bytes_(3, 40)
    each = [{distance.lower(): row for distance in DISTANCES} for row in made]
    return _filled(datatype, config, each)


def _multi() -> DataSet:
    config = {
        "vectors": {
            distance.lower(): {"size": 4, "distance": distance, "multivector_config": MULTI}
            for distance in DISTANCES
        }
    }
    made = [{distance.lower(): rows for distance in DISTANCES} for rows in multivectors(4, 40)]
    return _filled("multi", config, made)


def _sparse() -> DataSet:
    config = {"sparse_vectors": {"plain": {}, "idf": {"modifier": "idf"}}}
    made = [{"plain": one, "idf": one} for one in sparse(5, 50)]
    return _filled("sparse", config, made)


_NAMED = {
    "vectors": {
        "a": {"size": 4, "distance": "Cosine"},
        "b": {"size": 3, "distance": "Euclid"},
        "m": {"size": 2, "distance": "Dot", "multivector_config": MULTI},
    },
    "sparse_vectors": {"s": {}},
}


def _named() -> DataSet:
    """Every point has another subset of the vectors, some have none."""
    columns: dict[str, Sequence[Any]] = {
        "a": vectors(6, 40, 4),
        "b": vectors(7, 40, 3),
        "m": multivectors(8, 40, 2),
        "s": sparse(9, 40),
    }
    made = [
        {name: column[at] for bit, (name, column) in enumerate(columns.items()) if at >> bit & 1}
        for at in range(40)
    ]
    return _filled("named", _NAMED, made)


def _ragged() -> list[Any]:
    """Return payloads as applications write them: every type in the same field."""
    geo = {"lat": 52.5, "lon": 13.4}
    values: list[Any] = [
        *(None, True, False, 0, 1, 1.0, 2.5, -3, 2**53 + 1, 2**63, "1", "x", "", "ß☃", "X"),
        *([], [None], [1, "x", None, True], [[1, 2], 3], [[]], {}, {"b": 1}, {"b": [1, 2]}),
        *(
            [{"b": 1}, {"b": "x", "c": 2}],
            [{"b": [1, {"c": 3}]}, 5],
            geo,
            [geo, {"lat": 1, "lon": 2}],
        ),
        *(
            "2024-02-29T12:00:00Z",
            "2024-02-29",
            "2024-02-29 13:00:00+01:00",
            "2024-2-9",
            "nonsense",
        ),
        *(
            "the quick brown fox",
            ["quick", "brown fox"],
            "Quick-Brown",
            "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
        ),
        *("F81D4FAE7DEC11D0A76500A0C91E6BF6", 1e300, 5e-324, "quickly", "a\u0000b"[:1]),
    ]
    return [{"a": value, "n": at} for at, value in enumerate(values)] + [{"n": -1}, {}]


_SCHEMAS: dict[str, Any] = {
    "keyword": "keyword",
    "integer": "integer",
    "lookup": {"type": "integer", "lookup": True, "range": False},
    "float": "float",
    "bool": "bool",
    "uuid": "uuid",
    "datetime": "datetime",
    "geo": "geo",
    "text": "text",
    "prefix": {"type": "text", "tokenizer": "prefix", "min_token_len": 2, "max_token_len": 6},
    "whitespace": {"type": "text", "tokenizer": "whitespace", "lowercase": False},
    "phrase": {"type": "text", "tokenizer": "word", "phrase_matching": True},
}


def _mixed(name: str, schema: Any) -> DataSet:
    points = [
        {"id": at, "vector": [float(at % 5), 1.0], "payload": payload}
        for at, payload in enumerate(_ragged(), start=1)
    ]
    config = {"vectors": {"size": 2, "distance": "Dot"}}
    return DataSet(name, config, points, {} if schema is None else {"a": schema})


FIELD_INDEXES = {
    "n": "integer",
    "f": "float",
    "city": "keyword",
    "tags": "keyword",
    "flag": "bool",
    "when": "datetime",
    "where": "geo",
    "text": "text",
    "ref": "uuid",
    "deep.a.b": "integer",
    "several": "integer",
}

MIXED = tuple(f"mixed-{kind}" for kind in _SCHEMAS)


def _all() -> dict[str, DataSet]:
    plain = _filled("plain", {"vectors": {"size": 4, "distance": "Dot"}}, vectors(10, 60, 4))
    sets = [
        *(_dense(distance) for distance in DISTANCES),
        *(_small(datatype) for datatype in _TYPES),
        *(_multi(), _sparse(), _named(), _long(), plain),
        DataSet("indexed", plain.config, plain.points, FIELD_INDEXES),
        _mixed("mixed", None),
        *(_mixed(f"mixed-{kind}", schema) for kind, schema in _SCHEMAS.items()),
        _filled(
            "ties", {"vectors": {"size": 2, "distance": "Dot"}}, [[n % 4, 1] for n in range(40)]
        ),
        _filled("small", {"vectors": {"size": SIZE, "distance": "Cosine"}}, vectors(1, 12)),
        DataSet("bare", {}, [{"id": 1, "vector": {}, "payload": {"a": 1}}]),
        DataSet("empty", {"vectors": {"size": 2, "distance": "Dot"}}, []),
    ]
    return {one.name: one for one in sets}


SETS = _all()
