"""Collections as they were last seen, for reads that find out themselves whether that is still true.

A look into the catalogue costs a round trip. A statement on a collection seen before, with :func:`is_unchanged` among
its conditions, fails where the catalogue says something else by now: then it is made anew from what the catalogue says.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TypeVar
from uuid import UUID

import asyncpg

from service import epochs
from service.errors import StoreError, VecferryError
from service.model.points import Page
from service.model.qdrant import NearestQuery, QueryRequest, RecommendQuery, RecommendStrategy
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.kept import Kept
from service.translate.sql import Sql, literal, number, sql

_SECONDS = 3600.0
_ATTEMPTS = 3

_Answer = TypeVar("_Answer")


class Changed(Exception):
    """What was known of a collection does not serve any more, or might not."""


class Known:
    """What was seen of collections, by the names that they were asked for."""

    def __init__(self) -> None:
        self._tables: Kept[CollectionTables] = Kept(seconds=_SECONDS)

    def get(self, name: str) -> CollectionTables | None:
        """Return the collection as it was last seen."""
        return self._tables.get(name)

    def put(self, name: str, tables: CollectionTables) -> None:
        """Remember what the catalogue says."""
        self._tables.put(name, tables)

    @contextmanager
    def trusted(self, name: str) -> Iterator[None]:
        """Raise ``Changed`` for whatever fails inside the block: what was known may have been the reason."""
        try:
            yield
        except (VecferryError, asyncpg.RaiseError, asyncpg.UndefinedTableError) as error:
            self._tables.drop(name)
            raise Changed from error

    async def proven(
        self, conn: Connection, name: str, tables: CollectionTables, read: Awaitable[_Answer]
    ) -> _Answer:
        """Return the answer of a read whose statement tests :func:`is_unchanged`. Raises ``Changed``."""
        with self.trusted(name):
            answer = await read
            if not (answer.records if isinstance(answer, Page) else answer):
                # The server tests nothing where another condition is false whatever the points are.
                await rows.execute(conn, sql("SELECT ", is_unchanged(name, tables)))
        if tables.epoch is not None:
            epochs.prove(tables.epoch)
        return answer


async def until_there(attempt: Callable[[], Awaitable[_Answer]]) -> _Answer:
    """Read or write anew where a table was dropped between the look into the catalogue and that."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return await attempt()
        except asyncpg.UndefinedTableError:
            pass
        except StoreError as error:
            if not isinstance(error.__cause__, asyncpg.UndefinedTableError):
                raise
    return await attempt()


def is_one_search(request: QueryRequest) -> bool:
    """Say whether the query may be one search for a vector; what is not is not resolved for nothing."""
    if request.prefetch:
        return False
    match request.query:
        case NearestQuery(mmr=mmr):
            return mmr is None
        case RecommendQuery(recommend=wanted):
            return wanted.strategy in {None, RecommendStrategy.AVERAGE_VECTOR}
        case list() | int() | str() | UUID():
            return True
        case _:
            return False


def is_unchanged(name: str, tables: CollectionTables) -> Sql:
    """Return a condition without columns: true, or an error where the name does not stand for these tables now."""
    return _is_unchanged(name, tables.id, tables.stamp, tables.epoch)


@lru_cache(maxsize=1024)
def _is_unchanged(name: str, collection_id: int, stamp: str, epoch: int | None) -> Sql:
    if epoch is None:
        return sql("(SELECT ", _checked(name, collection_id, stamp, sql("NULL")), ")")
    # What the function tests of a collection under its own name, in a third of the time: it is called for the rest.
    return sql(
        "(SELECT CASE WHEN (SELECT c.xmin = ",
        literal(stamp),
        "::xid AND c.name = ",
        literal(name),
        " FROM vecferry.collections AS c WHERE c.id = ",
        number(collection_id),
        ") AND (SELECT k.epoch = ",
        number(epoch),
        " FROM vecferry.control AS k WHERE k.generation = ",
        number(collection_id),
        ") THEN true ELSE ",
        _checked(name, collection_id, stamp, number(epoch)),
        " END)",
    )


def _checked(name: str, collection_id: int, stamp: str, epoch: Sql) -> Sql:
    return sql(
        "vecferry.check_unchanged(",
        literal(name),
        ", ",
        number(collection_id),
        ", ",
        literal(stamp),
        ", ",
        epoch,
        ")",
    )
