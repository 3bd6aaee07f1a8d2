"""When the entries of sparse vectors are looked up point by point."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import numpy as np
import pytest
import pytest_asyncio

from service.model.operations import CreateIndex, Upsert
from service.model.points import Point, SparseVector
from service.model.qdrant import (
    CreateCollection,
    FieldCondition,
    Filter,
    HasIdCondition,
    MatchValue,
    PayloadSchemaType,
)
from service.queries.leaves import Selection
from service.stores.postgres import catalog
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.estimates import Estimates
from service.stores.postgres.sparse_plan import goes_by_points
from service.stores.postgres.store import PgStore

pytestmark = pytest.mark.asyncio(loop_scope="module")

_POINTS = 2_500
_COMMON, _RARE = 1, 2


@dataclass(frozen=True)
class Place:
    """A collection whose points all have one dimension, and one of them another."""

    conn: Connection
    tables: CollectionTables

    async def goes_by_points(self, dim: int, wanted: Filter | None) -> bool:
        """Return the plan for one dimension."""
        asked = [SparseVector(np.array([dim], np.uint32), np.ones(1, np.float32))]
        where = self.tables, self.tables.vectors["s"]
        selection = Selection(limit=10, filter=wanted)
        return await goes_by_points(self.conn, where, asked, selection, Estimates())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(module_database_url: str) -> AsyncIterator[Place]:
    """The points; ``one`` is indexed and different in each, ``other`` is not indexed."""
    database = await Database.open(module_database_url)
    store = PgStore(database)
    request = CreateCollection.model_validate({"sparse_vectors": {"s": {}}})
    await store.create_collection("planned", request)
    points = [
        Point(
            number,
            {
                "s": SparseVector(
                    np.array([_COMMON, _RARE][: 1 + (number == 0)], np.uint32),
                    np.ones(1 + (number == 0), np.float32),
                )
            },
            {"one": number, "other": number},
        )
        for number in range(_POINTS)
    ]
    await store.apply("planned", Upsert(points), wait=True)
    await store.apply("planned", CreateIndex("one", PayloadSchemaType.INTEGER), wait=True)
    async with database.connection() as conn:
        yield Place(conn, await catalog.get(conn, "planned"))
    await store.delete_collection("planned")
    await database.close()


def _with(key: str, value: int) -> Filter:
    return Filter(must=[FieldCondition(key=key, match=MatchValue(value=value))])


async def test_few_points_match(place: Place) -> None:
    """Found by an index, while the dimension is that of many points."""
    assert await place.goes_by_points(_COMMON, _with("one", 3))


async def test_the_dimension_is_rare(place: Place) -> None:
    """There is little to add up."""
    assert not await place.goes_by_points(_RARE, _with("one", 3))


async def test_all_points_would_be_tested(place: Place) -> None:
    """No index finds what matches."""
    assert not await place.goes_by_points(_COMMON, _with("other", 3))


async def test_many_points_match(place: Place) -> None:
    """All of them, or all but one."""
    everything = Filter(must=[HasIdCondition(has_id=list(range(_POINTS)))])
    assert not await place.goes_by_points(_COMMON, everything)
    assert not await place.goes_by_points(_COMMON, None)
