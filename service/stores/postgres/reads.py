"""Reads of the points of one collection, each in one statement, so that a point is never seen half changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.errors import Unsupported, WrongInput
from service.model.columns import RecordColumns
from service.model.ids import (
    PointId,
    decode_key,
    decode_keys,
    encode_key,
    sorted_keys,
)
from service.model.points import Hit, Page, Point, Record
from service.model.qdrant import (
    CountRequest,
    Filter,
    PointRequest,
    ScrollRequest,
)
from service.model.queries import ByField
from service.queries.defaults import LIMIT
from service.queries.leaves import Selection
from service.stores.postgres import ordered, rows, selecting
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.shapes import Shape, shape
from service.translate.filters import filter_sql
from service.translate.point_ids import point_id_of
from service.translate.sql import TRUE, Argument, Sql, join, sql

_SCORE = 1.0
"""What Qdrant scores a point that nothing was asked about."""
_VERSION, _WITHOUT_VERSION = sql(", p.version"), sql()
"""Hits have a version, records do not."""
_OFFSET_REFUSED = (
    "Cannot use an `offset` when using `order_by`. The alternative for paging is to use `order_by.start_from` and a"
    " filter to exclude the IDs that you've already seen for the `order_by.start_from` value"
)


async def whole_points(
    conn: Connection, tables: CollectionTables, keys: Sequence[bytes]
) -> list[Point]:
    """Return the points with these keys that exist, with all vectors and payload, in key order."""
    whole = shape(tables, with_payload=True, with_vector=True)
    found = await _select(conn, tables, whole, _among(keys), sql(" ORDER BY p.key"))
    return [
        Point(decode_key(row["key"]), whole.vectors_of(row) or {}, whole.payload_of(row) or {})
        for row in found
    ]


async def retrieve(
    conn: Connection, tables: CollectionTables, request: PointRequest, proof: Sql = TRUE
) -> list[Record]:
    """Return the points that exist, in the request's order, duplicates once.

    This and the other reads that take a ``proof``, a condition without columns, test it in their statement.
    """
    refuse_shard_key(request.shard_key)
    wanted = shape(tables, request.with_payload, request.with_vector)
    keys = list(dict.fromkeys(encode_key(point_id_of(given)) for given in request.ids))
    found = await _select(conn, tables, wanted, sql(proof, " AND ", _among(keys)), sql())
    records = {row["key"]: _record(row, wanted) for row in found}
    return [records[key] for key in keys if key in records]


async def scroll(
    conn: Connection, tables: CollectionTables, request: ScrollRequest, proof: Sql = TRUE
) -> Page:
    """Return the page that begins at ``offset``, in key order, or the first points in the order of a field."""
    refuse_shard_key(request.shard_key)
    with_payload = True if request.with_payload is None else request.with_payload
    wanted = shape(tables, with_payload, request.with_vector)
    limit = LIMIT if request.limit is None else request.limit
    matches = sql(proof, " AND ", selecting.matching(tables, request.filter))
    if request.order_by is not None:
        if request.offset is not None:
            raise WrongInput(_OFFSET_REFUSED)
        order = ByField.of(request.order_by)
        in_order = ordered.statement(tables, order, matches, wanted, limit=limit)
        found = await rows.fetch(conn, in_order)
        return Page([_record(row, wanted, row["order_value"]) for row in found], None)
    start = None if request.offset is None else encode_key(point_id_of(request.offset))
    begins = TRUE if start is None else sql("p.key >= ", Argument(start), "::bytea")
    condition = sql(matches, " AND ", begins)
    # One more than asked for: it is where the next page begins.
    tail = sql(" ORDER BY p.key LIMIT ", Argument(limit + 1), "::bigint")
    found = await _select(conn, tables, wanted, condition, tail, start=start)
    following = decode_key(found[limit]["key"]) if len(found) > limit else None
    return Page(_records(found[:limit], wanted), following)


async def count(
    conn: Connection, tables: CollectionTables, request: CountRequest, proof: Sql = TRUE
) -> int:
    """Return the exact number of points that match, also when an estimate would do."""
    refuse_shard_key(request.shard_key)
    statement = sql(
        "SELECT count(*) AS n FROM ",
        tables.points,
        " AS p WHERE NOT p.deleted AND ",
        proof,
        " AND ",
        selecting.matching(tables, request.filter),
    )
    [row] = await rows.fetch(conn, statement)
    return int(row["n"])


async def by_id(conn: Connection, tables: CollectionTables, selection: Selection) -> list[Hit]:
    """Return the first points in id order, each with the score 1."""
    wanted = shape(tables, selection.with_payload, selection.with_vector)
    tail = sql(
        " ORDER BY p.key OFFSET ",
        Argument(selection.offset),
        "::bigint LIMIT ",
        Argument(selection.limit),
        "::bigint",
    )
    condition = selecting.selected(tables, selection)
    return _hits(await _select(conn, tables, wanted, condition, tail, version=_VERSION), wanted)


async def at_random(conn: Connection, tables: CollectionTables, selection: Selection) -> list[Hit]:
    """Return a random sample, each point with the score 1."""
    wanted = shape(tables, selection.with_payload, selection.with_vector)
    # Only keys are sorted; the points are read afterwards.
    chosen = sql(
        "p.key IN (SELECT p.key FROM ",
        tables.points,
        " AS p WHERE NOT p.deleted AND ",
        selecting.selected(tables, selection),
        " ORDER BY random() OFFSET ",
        Argument(selection.offset),
        "::bigint LIMIT ",
        Argument(selection.limit),
        "::bigint)",
    )
    tail = sql(" ORDER BY random()")
    return _hits(await _select(conn, tables, wanted, chosen, tail, version=_VERSION), wanted)


async def matching(
    conn: Connection,
    tables: CollectionTables,
    ids: Sequence[PointId],
    filters: Sequence[Filter],
) -> list[set[PointId]]:
    """Return, for every filter, which of the points match it."""
    if not ids or not filters:
        return [set() for _ in filters]
    verdicts = join(", ", (filter_sql(wanted, tables.row) for wanted in filters))
    statement = sql(
        "SELECT p.key, ARRAY[",
        verdicts,
        "] AS verdicts FROM ",
        tables.points,
        " AS p WHERE NOT p.deleted AND ",
        _among(sorted_keys(ids)),
    )
    found = await rows.fetch(conn, statement)
    known = decode_keys([row["key"] for row in found])
    return [
        {point_id for point_id, row in zip(known, found, strict=True) if row["verdicts"][at]}
        for at in range(len(filters))
    ]


def refuse_shard_key(shard_key: object) -> None:
    """Raise ``Unsupported`` for a request to one shard: the tables know no shards."""
    if shard_key is not None:
        raise Unsupported("shard_key")


def _among(keys: Sequence[bytes]) -> Sql:
    return sql("p.key = ANY(", Argument(keys), "::bytea[])")


async def _select(  # noqa: PLR0913 - one statement, spelled out
    conn: Connection,
    tables: CollectionTables,
    wanted: Shape,
    condition: Sql,
    tail: Sql,
    *,
    version: Sql = _WITHOUT_VERSION,
    start: bytes | None = None,
) -> list[Mapping[str, Any]]:
    return await rows.fetch(
        conn,
        sql(
            "SELECT p.key",
            version,
            wanted.columns,
            " FROM ",
            tables.points,
            " AS p",
            wanted.joins(start),
            " WHERE NOT p.deleted AND ",
            condition,
            tail,
        ),
    )


def _records(found: Sequence[Mapping[str, Any]], wanted: Shape) -> Sequence[Record]:
    """Return the records; in columns, unless the payloads have to be looked at."""
    if not wanted.is_in_columns:
        return [_record(row, wanted) for row in found]
    return RecordColumns(
        decode_keys([row["key"] for row in found]),
        wanted.payload_column(found),
        wanted.vector_columns(found),
    )


def _record(row: Mapping[str, Any], wanted: Shape, order_value: float | None = None) -> Record:
    return Record(
        decode_key(row["key"]), wanted.payload_of(row), wanted.vectors_of(row), order_value
    )


def _hits(found: Sequence[Mapping[str, Any]], wanted: Shape) -> list[Hit]:
    return [
        Hit(
            decode_key(row["key"]),
            _SCORE,
            row["version"],
            wanted.payload_of(row),
            wanted.vectors_of(row),
        )
        for row in found
    ]
