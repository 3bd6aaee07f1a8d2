"""Random collections for random queries: vectors of every kind, payloads of every type, ids of both.

Numbers are drawn so that two points rarely have the same score: where they have, Qdrant leaves the order open, and all
that is made of it. The fields that queries sort by have no value twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from tests.parity.data import DISTANCES, MULTI, DataSet
from tests.service.translate.random_filters import payload, schema

COUNT = 64
SIZE = 6
_ROW = 4
_DIMENSIONS = (0, 1, 2, 3, 5, 8, 13, 21, 34, 55, 70_000, 2**31, 2**32 - 1)
TEAMS = ("red", "blue", "green", "ß☃", "")
_START = datetime(2023, 5, 1, tzinfo=UTC)
INDEXES = {
    "rank": "integer",
    "price": "float",
    "day": "datetime",
    "team": "keyword",
    "teams": "keyword",
    "level": "integer",
    "several": "integer",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """How vectors of one name are compared, and how one of them is drawn."""

    distance: str
    draw: Callable[[Random], Any]
    group: str
    """Kinds of one group take each other's vectors."""

    @property
    def can_be_diverse(self) -> bool:
        """Whether the engine finds unlike vectors of the kind: it fails for sparse ones."""
        return self.group != "sparse"


@dataclass(frozen=True, slots=True)
class World:
    """A collection and another one of the same kind, whose vectors the queries look up."""

    main: DataSet
    aside: DataSet
    kinds: Mapping[str, Kind]

    @property
    def ids(self) -> list[Any]:
        """The ids of the points, the same in both collections."""
        return [point["id"] for point in self.main.points]

    @property
    def indexes(self) -> Mapping[str, Any]:
        """The payload indexes."""
        return self.main.indexes


def floats(rng: Random, size: int = SIZE) -> list[float]:
    """Return a dense vector."""
    return [round(rng.gauss(0, 1), 4) for _ in range(size)]


def _bytes(rng: Random) -> list[int]:
    return [rng.randrange(256) for _ in range(SIZE)]


def _rows(rng: Random) -> list[list[float]]:
    return [floats(rng, _ROW) for _ in range(rng.randint(1, 4))]


def _sparse(rng: Random) -> dict[str, Any]:
    indices = rng.sample(_DIMENSIONS, rng.randint(1, 7))
    return {"indices": indices, "values": [round(rng.gauss(0.4, 1), 4) for _ in indices]}


def _ids(rng: Random) -> list[Any]:
    numbers = [*range(1, COUNT // 2), 2**31, 2**63 + 5, 2**64 - 1]
    texts = [str(UUID(int=rng.getrandbits(128))) for _ in range(COUNT - len(numbers))]
    return [*numbers, *texts]


def world(name: str, rng: Random, *, is_named: bool = True) -> World:
    """Return a collection with vectors of every kind, or with one unnamed vector."""
    kinds = _kinds(rng) if is_named else {"": Kind(rng.choice(DISTANCES), floats, "dense")}
    indexes = {**INDEXES, **schema(rng)}
    if rng.random() < 0.5:
        indexes["place"] = "geo"
    ids, config = _ids(rng), _config(kinds)
    return World(
        DataSet(name, config, _points(rng, ids, kinds), indexes),
        DataSet(f"{name}-aside", config, _points(rng, ids, kinds)),
        kinds,
    )


def _kinds(rng: Random) -> dict[str, Kind]:
    return {
        **{each.lower(): Kind(each, floats, "dense") for each in DISTANCES},
        "half": Kind(rng.choice(DISTANCES), floats, "dense"),
        "byte": Kind(rng.choice(DISTANCES), _bytes, "byte"),
        "multi": Kind(rng.choice(DISTANCES), _rows, "multi"),
        "plain": Kind("Dot", _sparse, "sparse"),
        "idf": Kind("Dot", _sparse, "sparse"),
    }


def _config(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    if "" in kinds:
        return {"vectors": {"size": SIZE, "distance": kinds[""].distance}}
    more: dict[str, dict[str, Any]] = {
        "half": {"datatype": "float16"},
        "byte": {"datatype": "uint8"},
        "multi": {"size": _ROW, "multivector_config": MULTI},
    }
    dense = {
        name: {"size": SIZE, "distance": kind.distance, **more.get(name, {})}
        for name, kind in kinds.items()
        if kind.group != "sparse"
    }
    return {"vectors": dense, "sparse_vectors": {"plain": {}, "idf": {"modifier": "idf"}}}


def _points(rng: Random, ids: list[Any], kinds: Mapping[str, Kind]) -> list[dict[str, Any]]:
    ranks = rng.sample(range(-20, 200), len(ids))
    return [
        {"id": known, "vector": _vector(rng, kinds), "payload": _payload(rng, rank)}
        for known, rank in zip(ids, ranks, strict=True)
    ]


def _vector(rng: Random, kinds: Mapping[str, Kind]) -> Any:
    if "" in kinds:
        return kinds[""].draw(rng)
    # has_vector and lookups meet points without the vector.
    return {name: kind.draw(rng) for name, kind in kinds.items() if rng.random() < 0.88}


def _payload(rng: Random, rank: int) -> dict[str, Any]:
    made = {
        **payload(rng),
        "rank": rank,
        "price": round(rank / 7 + 0.013 * rng.random(), 5),
        "day": (_START + timedelta(hours=37 * rank)).isoformat(),
        "place": {"lon": round(rng.uniform(-180, 180), 4), "lat": round(rng.uniform(-90, 90), 4)},
        "team": rng.choice(TEAMS),
        "teams": rng.sample(TEAMS, rng.randint(0, 3)),
        "level": rng.randrange(5),
        "several": [rng.randrange(300) for _ in range(rng.randint(0, 3))],
    }
    for field in ("price", "day", "team"):
        if rng.random() < 0.12:
            del made[field]
    return made
