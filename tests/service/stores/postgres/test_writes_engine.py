"""Random histories of writes, applied to Postgres and to Qdrant's engine: after each the two hold the same points."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import qdrant_edge as edge

from service.errors import VecferryError
from service.model.ids import PointId
from service.model.operations import (
    ByFilter,
    ByIds,
    ClearPayload,
    Delete,
    DeletePayload,
    DeleteVectors,
    Operation,
    OverwritePayload,
    Selector,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from service.model.points import Payload, Point, Vectors
from service.model.qdrant import (
    Condition,
    CreateCollection,
    Distance,
    FieldCondition,
    Filter,
    HasIdCondition,
    MatchValue,
    Range,
    ScrollRequest,
    UpdateMode,
    VectorParams,
)
from service.stores.edge.booleans import boolean_matches
from service.stores.edge.failures import engine_errors
from service.stores.edge.operations import engine_operation
from service.stores.edge.values import our_record
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore

NAME = "things"
UUID = "550e8400-e29b-41d4-a716-446655440000"
IDS: tuple[PointId, ...] = (0, 1, 2, 3, 4, 2**64 - 1, UUID)
SIZES = {"a": 2, "b": 1}
KEYS = ("n", "o", "o.x", "o.y.z", "l", "l[]", "l[0]", "l[1].x", "l[].x", '"o"."x"')

State = dict[PointId, tuple[dict[str, list[float]], Payload]]


class _Chooser:
    """Operations, chosen at random among the points that exist."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def operation(self, present: list[PointId]) -> Operation:
        kinds: list[Callable[[list[PointId]], Operation]] = [self._upsert, self._delete]
        if present:
            kinds += [self._update_vectors, self._delete_vectors, self._payload, self._payload]
        return self._random.choice(kinds)(present)

    def _upsert(self, _: list[PointId]) -> Operation:
        chosen = self._random.choices(IDS, k=self._random.randint(1, 4))
        mode = self._random.choice([None, None, *UpdateMode])
        points = [Point(each, self._vectors(), self._object()) for each in chosen]
        return Upsert(points, self._random.choice([None, self._filter()]), mode)

    def _delete(self, _: list[PointId]) -> Operation:
        return Delete(self._selector(list(IDS)))

    def _update_vectors(self, present: list[PointId]) -> Operation:
        only = self._random.choice([None, self._filter()])
        chosen = self._random.choices(present, k=2)
        return UpdateVectors([(each, self._vectors()) for each in chosen], only)

    def _delete_vectors(self, present: list[PointId]) -> Operation:
        names = self._random.choice([("a",), ("b",), ("a", "b"), ("a", "a")])
        return DeleteVectors(self._selector(present), names)

    def _payload(self, present: list[PointId]) -> Operation:
        selector = self._selector(present)
        key = self._random.choice([None, *KEYS])
        match self._random.randrange(4):
            case 0:
                return SetPayload(selector, self._changes(), key)
            case 1:
                return OverwritePayload(selector, self._object(), key)
            case 2:
                return DeletePayload(selector, tuple(self._random.choices(KEYS, k=2)))
            case _:
                return ClearPayload(selector)

    def _selector(self, ids: list[PointId]) -> Selector:
        if self._random.random() < 0.4:
            return ByFilter(self._filter())
        return ByIds(tuple(self._random.choices(ids, k=self._random.randint(1, 3))))

    def _filter(self) -> Filter:
        conditions: list[Condition] = [
            FieldCondition(key="n", range=Range(gte=self._random.randint(0, 3))),
            FieldCondition(key="o.x", match=MatchValue(value=self._random.randint(0, 2))),
            HasIdCondition(has_id=self._random.sample(IDS, 3)),
        ]
        return Filter(must=[self._random.choice(conditions)])

    def _vectors(self) -> Vectors:
        return {
            name: np.asarray([self._random.randint(1, 9) for _ in range(size)], dtype=np.float32)
            for name, size in SIZES.items()
            if self._random.random() < 0.6
        }

    def _object(self) -> Payload:
        return {"n": self._random.randint(0, 3), "o": self._value(), "l": self._value(), "t": "é"}

    def _changes(self) -> Payload:
        # A null at the top removes a key, but not where the engine has no payload at all: not asked for here.
        return {self._random.choice(["n", "x", "y", "new"]): self._value() or 0}

    def _value(self) -> Any:
        values = [0, 1.5, "s", True, None, [1, {"x": 1}], {"x": 1, "y": {"z": 2}}, [{"x": [2]}, 3]]
        return self._random.choice(values)


async def _ours(store: PgStore) -> State:
    page = await store.scroll(NAME, ScrollRequest(limit=100, with_vector=True))
    return {
        record.id: (_plain(record.vectors or {}), record.payload or {}) for record in page.records
    }


def _engines(shard: edge.EdgeShard) -> State:
    found, _ = shard.scroll(edge.ScrollRequest(limit=100, with_vector=True))
    records = [our_record(record) for record in found]
    return {record.id: (_plain(record.vectors or {}), record.payload or {}) for record in records}


def _plain(vectors: Vectors) -> dict[str, list[float]]:
    return {name: np.asarray(value).tolist() for name, value in sorted(vectors.items())}


def _apply_to_engine(shard: edge.EdgeShard, operation: Operation) -> None:
    with engine_errors():
        shard.update(engine_operation(operation, boolean_matches(shard)))


@pytest.mark.parametrize("seed", range(4))
async def test_histories(seed: int, database: Database, tmp_path: Path) -> None:
    """Upserts with conditions and modes, vectors, payloads at paths, by ids and by filters."""
    chooser = _Chooser(seed)
    store = PgStore(database)
    dot = Distance.DOT
    vectors = {name: VectorParams(size=size, distance=dot) for name, size in SIZES.items()}
    await store.create_collection(NAME, CreateCollection(vectors=vectors))
    params = {
        name: edge.EdgeVectorParams(size=size, distance=edge.Distance.Dot)
        for name, size in SIZES.items()
    }
    shard = edge.EdgeShard.create(str(tmp_path), edge.EdgeConfig(vectors=params))
    state: State = {}
    for _ in range(120):
        operation = chooser.operation(list(state))
        before = state
        _apply_to_engine(shard, operation)
        await store.apply(NAME, operation, wait=True)
        state = await _ours(store)
        assert state == _engines(shard), (operation, before)
    shard.close()


@pytest.mark.parametrize(
    "operation",
    [
        UpdateVectors([(9, {"a": np.ones(2, np.float32)})]),
        UpdateVectors(
            [(9, {"a": np.ones(2, np.float32)})], Filter(must=[HasIdCondition(has_id=[8])])
        ),
        DeleteVectors(ByIds((9,)), ("a",)),
        SetPayload(ByIds((9,)), {}),
        OverwritePayload(ByIds((9,)), {}),
        DeletePayload(ByIds((9,)), ()),
        ClearPayload(ByIds((9,))),
    ],
    ids=lambda operation: type(operation).__name__,
)
async def test_an_unknown_id(operation: Operation, database: Database, tmp_path: Path) -> None:
    """It is refused in the engine's words, also where nothing would change."""
    store = PgStore(database)
    config = CreateCollection(vectors={"a": VectorParams(size=2, distance=Distance.DOT)})
    await store.create_collection(NAME, config)
    params = {"a": edge.EdgeVectorParams(size=2, distance=edge.Distance.Dot)}
    shard = edge.EdgeShard.create(str(tmp_path), edge.EdgeConfig(vectors=params))
    with pytest.raises(VecferryError) as expected:
        _apply_to_engine(shard, operation)
    with pytest.raises(type(expected.value), match=f"^{expected.value}$"):
        await store.apply(NAME, operation, wait=True)
    shard.close()
