"""A query of several reads sees one state of the points; a table that was dropped meanwhile is looked for anew."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from unittest.mock import patch

import asyncpg
import numpy as np
import pytest

from service.errors import StoreError, WrongInput
from service.model.operations import Upsert
from service.model.points import Hit, Point
from service.model.qdrant import CreateCollection, Distance, QueryRequest, VectorParams
from service.model.queries import ByVector
from service.queries.leaves import Selection
from service.stores.postgres.database import Database
from service.stores.postgres.known import Changed, Known, until_there
from service.stores.postgres.leaves import PgLeaves
from service.stores.postgres.store import PgStore

NAME = "agreeing"


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[PgStore]:
    """Another instance's store on the same database."""
    opened = await Database.open(database_url)
    yield PgStore(opened)
    await opened.close()


def _point(number: int, *values: float) -> Upsert:
    return Upsert([Point(number, {"": np.array(values, np.float32)}, {})])


async def test_a_write_between_two_reads_is_in_neither(database: Database, other: PgStore) -> None:
    """Two branches of a query; the best point of both is written when the first was read."""
    store = PgStore(database)
    params = VectorParams(size=2, distance=Distance.DOT)
    await store.create_collection(NAME, CreateCollection(vectors=params))
    await store.apply(NAME, _point(1, 1, 1), wait=True)
    read, seen = PgLeaves.by_vector, list[list[object]]()

    async def by_vector(self: PgLeaves, wanted: ByVector, selection: Selection) -> Sequence[Hit]:
        found = await read(self, wanted, selection)
        await other.apply(NAME, _point(2, 9, 9), wait=True)
        seen.append([hit.id for hit in found])
        return found

    branches = [{"query": [1.0, 0.0]}, {"query": [0.0, 1.0]}]
    request = QueryRequest.model_validate({"prefetch": branches, "query": {"fusion": "rrf"}})
    with patch.object(PgLeaves, "by_vector", by_vector):
        assert [hit.id for hit in await store.query(NAME, request)] == [1]
        assert seen == [[1], [1]]
        assert [hit.id for hit in await store.query(NAME, request)] == [2, 1]


def _converted() -> StoreError:
    error = StoreError("the table is not there")
    error.__cause__ = asyncpg.UndefinedTableError()
    return error


def _failing(
    times: int, error: Callable[[], Exception]
) -> tuple[list[int], Callable[[], Awaitable[str]]]:
    asked: list[int] = []

    async def attempt() -> str:
        asked.append(1)
        if len(asked) <= times:
            raise error()
        return "found"

    return asked, attempt


@pytest.mark.parametrize("error", [asyncpg.UndefinedTableError, _converted])
async def test_a_dropped_table_is_looked_for_anew(error: Callable[[], Exception]) -> None:
    """By whoever converts the driver's error and by who does not; three times, then it is an error."""
    asked, attempt = _failing(2, error)
    assert await until_there(attempt) == "found"
    assert len(asked) == 3
    asked, attempt = _failing(3, error)
    with pytest.raises(type(error())):
        await until_there(attempt)
    assert len(asked) == 3


@pytest.mark.parametrize("error", [lambda: StoreError("away"), lambda: WrongInput("no")])
async def test_other_failures_are_not_repeated(error: Callable[[], Exception]) -> None:
    """They would fail again, or have been a write."""
    asked, attempt = _failing(1, error)
    with pytest.raises(type(error())):
        await until_there(attempt)
    assert len(asked) == 1


async def test_a_table_that_is_gone_is_forgotten() -> None:
    """What was known of the collection is not trusted a second time."""
    known, tables = Known(), object()
    known.put(NAME, tables)  # type: ignore[arg-type]  # only kept here
    with pytest.raises(Changed), known.trusted(NAME):
        raise asyncpg.UndefinedTableError
    assert known.get(NAME) is None
