"""Changes to the points of one collection, inside the caller's transaction.

The order is always: :func:`resolve` the keys, :func:`lock` them, then :func:`write` (or :func:`mirror`, or
:func:`insert_missing`) in later statements, which see what the lock waited for.

An operation is applied as a whole or not at all. Qdrant applies a payload operation with an unknown id in part and then
answers 404; here nothing is changed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import assert_never

from service.errors import PointNotFound, Unsupported
from service.model.ids import PointId, encode_key, sorted_keys
from service.model.operations import (
    ByFilter,
    ByIds,
    ClearPayload,
    CreateIndex,
    CreateVector,
    Delete,
    DeleteIndex,
    DeletePayload,
    DeleteVector,
    DeleteVectors,
    Operation,
    OverwritePayload,
    Selector,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from service.model.points import Payload, Point, Vectors
from service.model.qdrant import Filter, UpdateMode
from service.stores.configuration import unknown_vector
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.dense_rows import dense_rows
from service.stores.postgres.locks import lock
from service.stores.postgres.vectors import StoredVector, prepared, stored, vector_table
from service.stores.vector_checks import named
from service.translate.filters import filter_sql
from service.translate.payload_paths import delete_keys, set_payload
from service.translate.sql import Argument, Sql, sql

__all__ = ["insert_missing", "lock", "mirror", "resolve", "write"]


async def resolve(conn: Connection, tables: CollectionTables, operation: Operation) -> list[bytes]:
    """Return the distinct keys the operation may touch, ascending; a filter is evaluated now."""
    match operation:
        case Upsert():
            return sorted_keys(point.id for point in operation.points)
        case UpdateVectors():
            return sorted_keys(point_id for point_id, _ in operation.points)
        case CreateIndex() | DeleteIndex() | CreateVector() | DeleteVector():
            raise Unsupported("index")
        case _:
            return await _selected(conn, tables, operation.selector)


async def _selected(conn: Connection, tables: CollectionTables, selector: Selector) -> list[bytes]:
    match selector:
        case ByIds(ids):
            return sorted_keys(ids)
        case ByFilter(wanted):
            statement = sql(
                "SELECT p.key FROM ",
                tables.points,
                " AS p WHERE NOT p.deleted AND ",
                filter_sql(wanted, tables.row),
                " ORDER BY p.key",
            )
            return [row["key"] for row in await rows.fetch(conn, statement)]
        case _:
            assert_never(selector)


async def write(
    conn: Connection, tables: CollectionTables, operation: Operation, keys: Sequence[bytes]
) -> int:
    """Apply the operation to those keys and return its number; a filter is checked once more.

    Raises ``WrongInput`` for vectors that do not fit and ``PointNotFound`` for ids that must exist; the
    transaction must then be rolled back.
    """
    version = await rows.next_version(conn)
    match operation:
        case Upsert():
            await _upsert(conn, tables, operation, keys, version)
        case Delete(selector):
            await _delete(conn, tables, selector, keys, version)
        case UpdateVectors():
            await _update_vectors(conn, tables, operation, keys, version)
        case DeleteVectors(selector, names):
            await _delete_vectors(conn, tables, selector, keys, names, version)
        case SetPayload() | OverwritePayload() | DeletePayload() | ClearPayload():
            found = await _payloads(conn, tables, operation.selector, keys)
            change = _payload_change(operation)
            changed = {key: change(payload) for key, payload in found.items()}
            await rows.write_payloads(conn, tables, changed, version)
        case CreateIndex() | DeleteIndex() | CreateVector() | DeleteVector():
            raise Unsupported("index")
        case _:
            assert_never(operation)
    return version


async def mirror(
    conn: Connection,
    tables: CollectionTables,
    present: Sequence[Point],
    absent: Sequence[PointId],
) -> None:
    """Make these ids exactly what the other store says: whole points, and tombstones for the absent.

    The number of statements depends only on the number of named vectors. Raises ``WrongInput`` when a point
    does not fit.
    """
    batch = rows.batch(tables, present, copied=True)
    gone = [key for key in sorted_keys(absent) if key not in batch]
    await rows.copy_points(conn, tables, batch, gone)
    await rows.replace_vectors(conn, tables, batch, gone)


async def insert_missing(
    conn: Connection, tables: CollectionTables, points: Sequence[Point]
) -> int:
    """Add the points that have neither a row nor a tombstone and return how many were added.

    Raises ``WrongInput`` when one of those does not fit.
    """
    given = dict(sorted({encode_key(point.id): point for point in points}.items()))
    if not given:
        return 0
    payloads = {key: point.payload for key, point in given.items()}
    added = await rows.insert_points(conn, tables, payloads)
    await _insert_vectors(conn, tables, {key: given[key].vectors for key in added})
    return len(added)


async def _insert_vectors(
    conn: Connection, tables: CollectionTables, given: Mapping[bytes, Vectors]
) -> None:
    for unknown in {name for vectors in given.values() for name in vectors} - tables.vectors.keys():
        raise unknown_vector(unknown)
    for name, table in tables.vectors.items():
        having = {key: vectors[name] for key, vectors in given.items() if name in vectors}
        values: Sequence[StoredVector] | None = dense_rows(table, list(having.values()))
        if values is None:
            values = [
                stored(table, each, whose=named(name), copied=True) for each in having.values()
            ]
        await rows.write_vectors(conn, table, dict(zip(having, values, strict=True)))


async def _upsert(
    conn: Connection,
    tables: CollectionTables,
    operation: Upsert,
    keys: Sequence[bytes],
    version: int,
) -> None:
    wanted = set(keys)
    batch = {key: row for key, row in rows.batch(tables, operation.points).items() if key in wanted}
    if operation.update_filter is not None or operation.update_mode not in {
        None,
        UpdateMode.UPSERT,
    }:
        present = set(await _existing(conn, tables, list(batch), None))
        matching = set(await _existing(conn, tables, list(batch), operation.update_filter))
        writable = _writable(operation.update_mode, present, matching)
        batch = {key: row for key, row in batch.items() if writable(key)}
    await rows.upsert_points(conn, tables, batch, version)
    await rows.replace_vectors(conn, tables, batch)


def _writable(
    mode: UpdateMode | None, present: set[bytes], matching: set[bytes]
) -> Callable[[bytes], bool]:
    match mode:
        case None | UpdateMode.UPSERT:
            return lambda key: key not in present or key in matching
        case UpdateMode.INSERT_ONLY:
            return lambda key: key not in present
        case UpdateMode.UPDATE_ONLY:
            return lambda key: key in matching
        case _:
            assert_never(mode)


async def _delete(
    conn: Connection,
    tables: CollectionTables,
    selector: Selector,
    keys: Sequence[bytes],
    version: int,
) -> None:
    statement = sql(
        "UPDATE ",
        tables.points,
        " AS p SET payload = '{}', deleted = true, version = ",
        Argument(version),
        "::bigint WHERE ",
        _chosen(tables, keys, _filter_of(selector)),
        " RETURNING p.key",
    )
    gone = [row["key"] for row in await rows.fetch(conn, statement)]
    for table in tables.vectors.values():
        await rows.delete_vectors(conn, table, gone)


async def _update_vectors(
    conn: Connection,
    tables: CollectionTables,
    operation: UpdateVectors,
    keys: Sequence[bytes],
    version: int,
) -> None:
    changes: dict[bytes, Vectors] = {}
    for point_id, vectors in operation.points:
        key = encode_key(point_id)
        changes[key] = {**changes.get(key, {}), **vectors}
    among = set(keys)
    wanted = {key: prepared(tables, changes[key]) for key in sorted(changes) if key in among}
    found = await _existing(conn, tables, list(wanted), None)
    # An id that is not there is an error whatever the filter says.
    _require(found, (point_id for point_id, _ in operation.points))
    if operation.update_filter is not None:
        found = await _existing(conn, tables, list(wanted), operation.update_filter)
    await _write_vectors(conn, tables, {key: wanted[key] for key in wanted if key in found})
    await _touch(conn, tables, list(found), version)


async def _write_vectors(
    conn: Connection, tables: CollectionTables, given: Mapping[bytes, rows.StoredVectors]
) -> None:
    for name, table in tables.vectors.items():
        having = {key: vectors[name] for key, vectors in given.items() if name in vectors}
        await rows.write_vectors(conn, table, having)


async def _delete_vectors(  # noqa: PLR0917 - one change, spelled out
    conn: Connection,
    tables: CollectionTables,
    selector: Selector,
    keys: Sequence[bytes],
    names: Iterable[str],
    version: int,
) -> None:
    dropped = [vector_table(tables, name) for name in names]
    found = list(await _payloads(conn, tables, selector, keys))
    for table in dropped:
        await rows.delete_vectors(conn, table, found)
    await _touch(conn, tables, found, version)


def _payload_change(
    operation: SetPayload | OverwritePayload | DeletePayload | ClearPayload,
) -> Callable[[Payload], Payload]:
    match operation:
        case SetPayload(_, payload, key):
            return lambda old: set_payload(old, payload, key)
        case OverwritePayload(_, payload, _):
            # Qdrant replaces the whole payload and does not look at the key.
            return lambda _: payload
        case DeletePayload(_, keys):
            return lambda old: delete_keys(old, keys)
        case ClearPayload():
            return lambda _: {}
        case _:
            assert_never(operation)


async def _payloads(
    conn: Connection, tables: CollectionTables, selector: Selector, keys: Sequence[bytes]
) -> Mapping[bytes, Payload]:
    """Return the payloads of the selected points. Raises ``PointNotFound`` for an id that is not there."""
    found = await _existing(conn, tables, keys, _filter_of(selector))
    if isinstance(selector, ByIds):
        _require(found, selector.ids)
    return found


def _require(found: Mapping[bytes, Payload], ids: Iterable[PointId]) -> None:
    for point_id in ids:
        if encode_key(point_id) not in found:
            raise PointNotFound(f"No point with id {point_id} found")


async def _existing(
    conn: Connection, tables: CollectionTables, keys: Sequence[bytes], wanted: Filter | None
) -> Mapping[bytes, Payload]:
    statement = sql(
        "SELECT p.key, p.payload FROM ",
        tables.points,
        " AS p WHERE ",
        _chosen(tables, keys, wanted),
    )
    return {row["key"]: row["payload"] for row in await rows.fetch(conn, statement)}


def _chosen(tables: CollectionTables, keys: Sequence[bytes], wanted: Filter | None) -> Sql:
    return sql(
        "p.key = ANY(",
        Argument(keys),
        "::bytea[]) AND NOT p.deleted AND ",
        filter_sql(wanted, tables.row),
    )


def _filter_of(selector: Selector) -> Filter | None:
    return selector.filter if isinstance(selector, ByFilter) else None


async def _touch(
    conn: Connection, tables: CollectionTables, keys: Sequence[bytes], version: int
) -> None:
    await rows.execute(
        conn,
        sql(
            "UPDATE ",
            tables.points,
            " SET version = ",
            Argument(version),
            "::bigint WHERE key = ANY(",
            Argument(keys),
            "::bytea[])",
        ),
    )
