"""Which way the entries of sparse vectors are found: all of a dimension, or those of the points that match a filter."""

from collections.abc import Sequence

from service.model.points import SparseVector
from service.queries.leaves import Selection
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.estimates import Estimates
from service.stores.postgres.vector_tables import VectorTable
from service.translate.filters import filter_sql
from service.translate.indexed import is_served
from service.translate.sql import Argument, number, sql

_FEW = 2_000
"""So many entries are added up before anything else is found out."""
_LOOKUP = 2.0
"""What the look-up of one entry costs, in entries that are read in a row."""
_TEST = 2.0
"""What the test of a filter on one point costs."""


async def goes_by_points(
    conn: Connection,
    where: tuple[CollectionTables, VectorTable],
    asked: Sequence[SparseVector],
    selection: Selection,
    estimates: Estimates,
) -> bool:
    """Say whether to look up the entries of what matches costs less than to add up those of all points."""
    if selection.filter is None or selection.among is not None:
        return False
    tables, table = where
    dims = sorted({int(dim) for vector in asked for dim in vector.indices})
    if await _entries(conn, table, dims, _FEW) < _FEW:
        return False
    share = await estimates.share(conn, tables, filter_sql(selection.filter, tables.row))
    tested = 0.0 if is_served(selection.filter, tables.row) else share.points * _TEST
    # A sample may miss what few points match.
    matches = max(share.matching * share.points, 1.0)
    least = int(matches * len(dims) * _LOOKUP + tested)
    return await _entries(conn, table, dims, least + 1) > least


async def _entries(conn: Connection, table: VectorTable, dims: Sequence[int], most: int) -> int:
    """Count the entries of all these dimensions, up to a number."""
    counted = sql(
        "SELECT count(*) AS entries FROM (SELECT FROM ",
        table.postings,
        " AS e WHERE e.dim = ANY(",
        Argument(dims),
        "::bigint[]) LIMIT ",
        number(most),
        ") AS e",
    )
    [found] = await rows.fetch(conn, counted)
    return int(found["entries"])
