"""Reads of a collection that another instance changes: never as it was, whatever the statement looks like."""

from collections.abc import AsyncIterator, Callable
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from service import epochs
from service.errors import CollectionNotFound, WrongInput
from service.model.operations import CreateIndex, CreateVector, DeleteVector, Upsert
from service.model.points import Point
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    DenseVectorConfig,
    DenseVectorNameConfig,
    Distance,
    FacetRequest,
    Filter,
    Fusion,
    FusionQuery,
    HasVectorCondition,
    PointRequest,
    Prefetch,
    QueryRequest,
    ScrollRequest,
    VectorParams,
)
from service.stores.postgres import catalog
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.store import PgStore

NAME = "read"
NOTHING = Filter(must=[HasVectorCondition(has_vector="later")])
READS = {
    "nearest": lambda store: store.query(NAME, QueryRequest(query=[1.0, 1.0], filter=NOTHING)),
    "in order of ids": lambda store: store.query(NAME, QueryRequest(filter=NOTHING)),
    "scroll": lambda store: store.scroll(NAME, ScrollRequest(filter=NOTHING)),
    "scroll in order": lambda store: store.scroll(
        NAME, ScrollRequest(filter=NOTHING, order_by="n")
    ),
    "count": lambda store: store.count(NAME, CountRequest(filter=NOTHING)),
    "facet": lambda store: store.facet(NAME, FacetRequest(key="n", filter=NOTHING)),
    "retrieve": lambda store: store.retrieve(NAME, PointRequest(ids=[9])),
}
"""Reads that find nothing, most of them by a condition that the planner knows to be false."""


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[PgStore]:
    """Another instance's store on the same database."""
    opened = await Database.open(database_url)
    yield PgStore(opened)
    await opened.close()


@pytest.fixture
async def store(database: Database) -> PgStore:
    """A store of one collection in its stage's epoch 7."""
    store = PgStore(database)
    params = {"": VectorParams(size=2, distance=Distance.DOT)}
    await store.create_collection(NAME, CreateCollection(vectors=params))
    await store.apply(NAME, CreateIndex("n", "integer"), wait=True)
    await store.apply(NAME, Upsert([Point(1, {"": np.ones(2, np.float32)}, {"n": 1})]), wait=True)
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO vecferry.control (name, generation, stage, epoch)"
            " SELECT name, id, 'complete', 7 FROM vecferry.collections"
        )
    return store


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_an_answer_without_rows_proves_its_epoch_too(
    store: PgStore, database: Database, read: Callable[[PgStore], Any]
) -> None:
    """The server does not test what it need not: a condition that is false spares it the proof."""
    await read(store)
    async with database.connection() as conn:
        await conn.execute("UPDATE vecferry.control SET epoch = 8")
    with epochs.collected() as proven:
        await read(store)
    assert 7 not in proven


async def test_a_vector_that_was_added_elsewhere_is_known(store: PgStore, other: PgStore) -> None:
    """A condition on it was false before, without a look at any point."""
    assert await store.count(NAME, CountRequest(filter=NOTHING)) == 0
    config = DenseVectorNameConfig(dense=DenseVectorConfig(size=2, distance=Distance.DOT))
    await other.apply(NAME, CreateVector("later", config), wait=True)
    vectors = {"later": np.ones(2, np.float32)}
    await other.apply(NAME, Upsert([Point(2, vectors, {})]), wait=True)
    assert await store.count(NAME, CountRequest(filter=NOTHING)) == 1


GONE = {
    **READS,
    "retrieve": lambda store: store.retrieve(NAME, PointRequest(ids=[1])),
    "several reads": lambda store: store.query(
        NAME,
        QueryRequest(query=FusionQuery(fusion=Fusion.RRF), prefetch=[Prefetch(query=[1.0, 1.0])]),
    ),
    "info": lambda store: store.collection_info(NAME),
}


@pytest.mark.parametrize("read", GONE.values(), ids=GONE)
async def test_a_collection_that_goes_during_a_read_is_not_there(
    store: PgStore, other: PgStore, read: Callable[[PgStore], Any]
) -> None:
    """Its tables were looked up a moment before: that is no error of the server's."""
    look = catalog.get

    async def dropped(conn: Connection, name: str) -> catalog.CollectionTables:
        tables = await look(conn, name)
        await other.delete_collection(name)
        return tables

    with patch.object(catalog, "get", dropped), pytest.raises(CollectionNotFound):
        await read(store)


async def test_a_vector_that_goes_during_a_write_is_not_there(
    store: PgStore, other: PgStore
) -> None:
    """The write knew the vector when it looked at the catalogue."""
    config = DenseVectorNameConfig(dense=DenseVectorConfig(size=2, distance=Distance.DOT))
    await store.apply(NAME, CreateVector("later", config), wait=True)
    look = catalog.get

    async def removed(conn: Connection, name: str) -> catalog.CollectionTables:
        tables = await look(conn, name)
        await other.apply(name, DeleteVector("later"), wait=True)
        return tables

    async def unfenced(*_: object) -> None:
        pass

    vectors = {"": np.ones(2, np.float32), "later": np.ones(2, np.float32)}
    writer = PgStore(store._database, on_write=unfenced)
    with (
        patch.object(catalog, "get", removed),
        pytest.raises(WrongInput, match="Not existing vector name error: later"),
    ):
        await writer.apply(NAME, Upsert([Point(2, vectors, {})]), wait=True)
