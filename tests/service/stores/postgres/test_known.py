"""A collection seen before is searched without a look into the catalogue, and never as it was."""

from collections.abc import AsyncIterator
from unittest.mock import AsyncMock, patch

import numpy as np
import pytest

from service import epochs
from service.errors import CollectionNotFound, WrongInput
from service.model.operations import CreateIndex, Upsert
from service.model.points import Point
from service.model.qdrant import (
    CreateAlias,
    CreateAliasOperation,
    CreateCollection,
    DeleteAlias,
    DeleteAliasOperation,
    Distance,
    FieldCondition,
    Filter,
    MatchExcept,
    QueryRequest,
    VectorParams,
)
from service.stores.postgres import catalog
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore

NAME = "seen"


class Staged(PgStore):
    """A store whose collections have a stage, and so an epoch."""

    async def create_collection(self, name: str, request: CreateCollection) -> bool:
        """Create the collection and its control row."""
        done = await super().create_collection(name, request)
        async with self._database.connection() as conn:
            await conn.execute(
                "INSERT INTO vecferry.control AS k (name, generation, stage, epoch)"
                " SELECT name, id, 'complete', 7 FROM vecferry.collections WHERE name = $1"
                " ON CONFLICT (name) DO UPDATE SET generation = excluded.generation, epoch = k.epoch + 1",
                name,
            )
        return done


@pytest.fixture(params=[PgStore, Staged])
def kind(request: pytest.FixtureRequest) -> type[PgStore]:
    """Whether collections have epochs: the statement proves both, in different ways."""
    found: type[PgStore] = request.param
    return found


@pytest.fixture
async def store(database: Database, kind: type[PgStore]) -> PgStore:
    """A store that has seen its collection of one point."""
    opened = kind(database)
    await make(opened, NAME, 2, number=1)
    assert await ids(opened) == [1]
    return opened


@pytest.fixture
async def other(database_url: str, kind: type[PgStore]) -> AsyncIterator[PgStore]:
    """Another instance's store on the same database."""
    opened = await Database.open(database_url)
    yield kind(opened)
    await opened.close()


async def make(store: PgStore, name: str, size: int, *, number: int | None) -> None:
    """Create a collection with one point, or none."""
    params = VectorParams(size=size, distance=Distance.DOT)
    await store.create_collection(name, CreateCollection(vectors=params))
    if number is not None:
        point = Point(number, {"": np.ones(size, np.float32)}, {"n": number})
        await store.apply(name, Upsert([point]), wait=True)


async def ids(
    store: PgStore, name: str = NAME, size: int = 2, wanted: Filter | None = None
) -> list[object]:
    """Return what a search finds."""
    request = QueryRequest(query=[1.0] * size, filter=wanted)
    return [hit.id for hit in await store.query(name, request)]


async def test_the_catalogue_is_not_asked_again(store: PgStore) -> None:
    """The search itself is all that is sent."""
    alias = CreateAlias(collection_name=NAME, alias_name="other name")
    await store.change_aliases([CreateAliasOperation(create_alias=alias)])
    assert await ids(store, "other name") == [1]
    with patch.object(catalog, "get", AsyncMock(side_effect=AssertionError)):
        assert await ids(store) == [1]
        assert await ids(store, "other name") == [1]


async def test_a_new_collection_of_that_name_is_seen(store: PgStore, other: PgStore) -> None:
    """Also with another size, and then for both."""
    await other.delete_collection(NAME)
    await make(other, NAME, 3, number=2)
    assert await ids(store, size=3) == [2]
    with pytest.raises(WrongInput):
        await ids(store, size=2)


async def test_a_dropped_collection_is_gone(store: PgStore, other: PgStore) -> None:
    """Its tables are no longer there to be read."""
    await other.delete_collection(NAME)
    with pytest.raises(CollectionNotFound):
        await ids(store)


async def test_an_alias_that_moved_is_followed(store: PgStore, other: PgStore) -> None:
    """Also away from a collection that is empty, where nothing is read."""
    await make(other, "empty", 2, number=None)
    create = CreateAliasOperation(
        create_alias=CreateAlias(collection_name="empty", alias_name="moved")
    )
    await other.change_aliases([create])
    assert await ids(store, "moved") == []
    assert await ids(store, "moved") == []
    delete = DeleteAliasOperation(delete_alias=DeleteAlias(alias_name="moved"))
    create = CreateAliasOperation(
        create_alias=CreateAlias(collection_name=NAME, alias_name="moved")
    )
    await other.change_aliases([delete, create])
    assert await ids(store, "moved") == [1]


async def test_an_index_changes_what_a_filter_means(store: PgStore, other: PgStore) -> None:
    """Without one a number is something other than a string, a keyword index knows only strings."""
    wanted = Filter(must=[FieldCondition(key="n", match=MatchExcept(**{"except": ["x"]}))])
    assert await ids(store, wanted=wanted) == [1]
    await other.apply(NAME, CreateIndex("n", "keyword"), wait=True)
    assert await ids(store, wanted=wanted) == []


async def test_a_collection_under_its_own_name_is_proven_by_the_statement_alone(
    database: Database,
) -> None:
    """The function is for all other cases: to call it takes three times as long."""
    store = Staged(database)
    await make(store, NAME, 2, number=1)
    assert await ids(store) == [1]
    function = "vecferry.check_unchanged(wanted text, expected bigint, stamp text, epoch bigint)"
    async with database.connection() as conn:
        await conn.execute(
            f"CREATE OR REPLACE FUNCTION {function} RETURNS boolean LANGUAGE plpgsql STABLE AS"
            " $$ BEGIN RAISE EXCEPTION 'called'; END $$"
        )
    with patch.object(catalog, "get", AsyncMock(side_effect=AssertionError)):
        assert await ids(store) == [1]


async def test_the_epoch_is_proven(database: Database) -> None:
    """Who asks is told the epoch that the search itself saw; a new one is seen at once."""
    store = PgStore(database)
    await make(store, NAME, 2, number=1)
    assert await ids(store) == [1]
    async with database.connection() as conn:
        await conn.execute(
            "INSERT INTO vecferry.control (name, generation, stage, epoch)"
            " SELECT name, id, 'complete', 7 FROM vecferry.collections"
        )
        for epoch in (7, 8):
            with epochs.collected() as seen:
                assert await ids(store) == [1]
            assert seen == {-1}, "what was known was of another epoch"
            with epochs.collected() as seen:
                assert await ids(store) == [1]
            assert seen == {epoch}
            await conn.execute("UPDATE vecferry.control SET epoch = epoch + 1")
