"""What the choice of a plan needs to know about a collection, measured and kept for a short time.

It decides how fast an answer comes, never what it is: nobody has to be told when it is out of date.
"""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass

from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.hnsw import has_index
from service.stores.postgres.kept import Kept
from service.stores.postgres.vector_tables import VectorTable
from service.translate.sql import Argument, Sql, sql

_SECONDS = 30.0
_SAMPLED_ROWS = 1_000.0
# Plans part where 4 % match, for the usual limit: one in thirty samples of 1,000 takes 3 % for that.
_SAMPLED_WHERE_UNSURE = 4_000.0
_LEAST_UNSURE, _MOST_UNSURE = 0.01, 0.1
# What was written together lies together: a sample from fewer pages would miss it or be full of it. Before the first
# ANALYZE, when the number of rows is unknown, that is the sample.
_SAMPLED_PAGES = 40.0

_RELATION = """
    SELECT c.reltuples, coalesce(pg_relation_size(c.oid), 0) / current_setting('block_size')::int AS pages
    FROM pg_catalog.pg_class AS c WHERE c.oid = to_regclass($1)
"""


@dataclass(frozen=True, slots=True)
class Share:
    """How many points there are, about, and which share of them (0 … 1) matches a filter."""

    points: int
    matching: float


class Estimates:
    """Measurements of one database, each kept for ``seconds``."""

    def __init__(
        self, *, seconds: float = _SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._indexed: Kept[bool] = Kept(seconds=seconds, clock=clock)
        self._shares: Kept[Share] = Kept(seconds=seconds, clock=clock)

    async def is_indexed(self, conn: Connection, vector: VectorTable) -> bool:
        """Say whether the vector has had a complete HNSW index a moment ago."""
        key = ".".join(vector.table.parts)
        known = self._indexed.get(key)
        if known is None:
            known = await has_index(conn, vector)
            self._indexed.put(key, known)
        return known

    async def share(
        self, conn: Connection, tables: CollectionTables, wanted: Sql, digest: str | None = None
    ) -> Share:
        """Return how much of the collection matches the condition, from a sample of 1,000 points or more.

        It is one of 4,000 where the choice hangs on the second digit. ``digest`` is that of the condition
        (:func:`digest_of`), where it is known already.
        """
        key = f"{tables.id} {digest or digest_of(wanted)}"
        known = self._shares.get(key)
        if known is None:
            known = await _sampled(conn, tables, wanted, _SAMPLED_ROWS)
            if _LEAST_UNSURE < known.matching < _MOST_UNSURE:
                known = await _sampled(conn, tables, wanted, _SAMPLED_WHERE_UNSURE)
            self._shares.put(key, known)
        return known


def digest_of(condition: Sql) -> str:
    """Return what tells a condition with its arguments from others, however many points it names."""
    text, arguments = condition.render()
    return hashlib.sha256(f"{text} {arguments}".encode()).hexdigest()


async def _sampled(conn: Connection, tables: CollectionTables, wanted: Sql, least: float) -> Share:
    row = await conn.fetchrow(_RELATION, tables.points.quoted())
    known, pages = (row["reltuples"], row["pages"]) if row is not None else (-1, 0)
    part = max(least / known if known > 0 else 0.0, _SAMPLED_PAGES / max(pages, 1))
    percent = min(100.0 * part, 100.0)
    [found] = await rows.fetch(
        conn,
        sql(
            "SELECT count(*) AS sampled, count(*) FILTER (WHERE ",
            wanted,
            ") AS matching FROM ",
            tables.points,
            " AS p TABLESAMPLE SYSTEM (",
            Argument(percent),
            "::real) WHERE NOT p.deleted",
        ),
    )
    sampled, matching = found["sampled"], found["matching"]
    points = known if known > 0 else sampled / (percent / 100.0)
    return Share(int(points), matching / sampled if sampled else 0.0)
