"""Statements on the rows of one collection; each takes a whole batch in arrays.

Keys in a batch must be distinct: the callers sort and deduplicate them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from service.model.ids import encode_key
from service.model.points import Payload, Point
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.vector_rows import deleted, written
from service.stores.postgres.vector_tables import VectorTable
from service.stores.postgres.vectors import StoredVector, prepared
from service.translate.sql import Argument, Sql, sql

StoredVectors: TypeAlias = Mapping[str, StoredVector]
Batch: TypeAlias = Mapping[bytes, tuple[Payload, StoredVectors]]


def batch(tables: CollectionTables, points: Iterable[Point], *, copied: bool = False) -> Batch:
    """Return the points by key, ascending; the last of several with one id wins.

    ``copied`` ones were read from another store. Raises ``WrongInput`` when a vector does not fit the collection.
    """
    rows = {
        encode_key(point.id): (point.payload, prepared(tables, point.vectors, copied=copied))
        for point in points
    }
    return dict(sorted(rows.items()))


async def next_version(conn: Connection) -> int:
    """Return the number of a new operation."""
    number: int = await conn.fetchval("SELECT nextval('vecferry.operations')")
    return number


async def upsert_points(
    conn: Connection, tables: CollectionTables, rows: Batch, version: int
) -> None:
    """Write the points' rows, with a new version even where nothing changes."""
    if rows:
        await execute(
            conn,
            sql(
                "INSERT INTO ",
                tables.points,
                " (key, payload, version) ",
                _given(rows, version),
                " ON CONFLICT (key) DO UPDATE"
                " SET payload = excluded.payload, deleted = false, version = excluded.version",
            ),
        )


async def copy_points(
    conn: Connection,
    tables: CollectionTables,
    rows: Batch,
    absent: Sequence[bytes],
) -> None:
    """Write the points' rows and the absent ones' tombstones, only where they differ from what is there.

    The operation's number is taken by the statement itself, which saves a resync a round trip.

    All keys go into one statement, ascending, as a backfill's page does: two would take their rows in an order
    of their own and could deadlock with it. Payloads are compared as text: jsonb takes 1 and 1.0 for equal,
    Qdrant's filters do not.
    """
    payloads: dict[bytes, Payload] = {key: {} for key in absent}
    payloads |= {key: payload for key, (payload, _) in rows.items()}
    keys = sorted(payloads)
    if not keys:
        return
    await execute(
        conn,
        sql(
            "INSERT INTO ",
            tables.points,
            " AS p (key, payload, deleted, version) SELECT given.key, given.payload, given.deleted,"
            " (SELECT nextval('vecferry.operations')) FROM unnest(",
            Argument(keys),
            "::bytea[], ",
            Argument([payloads[key] for key in keys]),
            "::jsonb[], ",
            Argument([key not in rows for key in keys]),
            "::boolean[]) AS given(key, payload, deleted) ON CONFLICT (key) DO UPDATE"
            " SET payload = excluded.payload, deleted = excluded.deleted, version = excluded.version"
            " WHERE p.deleted <> excluded.deleted OR p.payload::text <> excluded.payload::text",
        ),
    )


async def insert_points(
    conn: Connection, tables: CollectionTables, payloads: Mapping[bytes, Payload]
) -> list[bytes]:
    """Add the points that have no row, tombstones included, under a new version, and return their keys."""
    found = await fetch(
        conn,
        sql(
            "INSERT INTO ",
            tables.points,
            " (key, payload, version)"
            " SELECT given.key, given.payload, (SELECT nextval('vecferry.operations')) FROM unnest(",
            Argument(list(payloads)),
            "::bytea[], ",
            Argument(list(payloads.values())),
            "::jsonb[]) AS given(key, payload) ON CONFLICT (key) DO NOTHING RETURNING key",
        ),
    )
    return [row["key"] for row in found]


def _given(rows: Batch, version: int) -> Sql:
    return sql(
        "SELECT given.key, given.payload, ",
        Argument(version),
        "::bigint FROM unnest(",
        Argument(list(rows)),
        "::bytea[], ",
        Argument([payload for payload, _ in rows.values()]),
        "::jsonb[]) AS given(key, payload)",
    )


async def write_vectors(
    conn: Connection, table: VectorTable, vectors: Mapping[bytes, StoredVector]
) -> None:
    """Write the vectors' rows where they differ from what is there."""
    if vectors:
        await execute(conn, written(table, vectors))


async def delete_vectors(conn: Connection, table: VectorTable, keys: Sequence[bytes]) -> None:
    """Remove the vectors of these points."""
    if keys:
        await execute(conn, deleted(table, keys))


async def replace_vectors(
    conn: Connection, tables: CollectionTables, rows: Batch, absent: Sequence[bytes] = ()
) -> None:
    """Make each point's vectors exactly the given ones; the absent points have none."""
    for name, table in tables.vectors.items():
        having = {key: given[name] for key, (_, given) in rows.items() if name in given}
        await write_vectors(conn, table, having)
        await delete_vectors(conn, table, [*(key for key in rows if key not in having), *absent])


async def write_payloads(
    conn: Connection, tables: CollectionTables, payloads: Mapping[bytes, Payload], version: int
) -> None:
    """Replace the payloads of existing points."""
    if payloads:
        await execute(
            conn,
            sql(
                "UPDATE ",
                tables.points,
                " AS p SET payload = given.payload, version = ",
                Argument(version),
                "::bigint FROM unnest(",
                Argument(list(payloads)),
                "::bytea[], ",
                Argument(list(payloads.values())),
                "::jsonb[]) AS given(key, payload) WHERE p.key = given.key",
            ),
        )


async def execute(conn: Connection, statement: Sql) -> None:
    """Run a statement for its effect."""
    text, arguments = statement.render()
    await conn.execute(text, *arguments)


async def fetch(conn: Connection, statement: Sql) -> list[Mapping[str, Any]]:
    """Run a statement for its rows."""
    text, arguments = statement.render()
    rows: list[Mapping[str, Any]] = await conn.fetch(text, *arguments)
    return rows
