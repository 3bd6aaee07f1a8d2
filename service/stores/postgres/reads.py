"""Reads of the points of one collection, each in one statement, so that a point is never seen half changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.errors import MalformedBody, Unsupported
from service.model.ids import PointId, decode_key, encode_key, parse_point_id
from service.model.points import FloatArray, Page, Payload, Point, Record
from service.model.qdrant import (
    CountRequest,
    PointRequest,
    ScrollRequest,
    WithPayloadInterface,
    WithVector,
)
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables, VectorTable
from service.stores.postgres.database import Connection
from service.stores.postgres.vectors import vector_table
from service.translate.filters import filter_sql
from service.translate.projection import Projection, projection
from service.translate.sql import TRUE, Argument, Sql, number, sql

_PAGE = 10


@dataclass(frozen=True, slots=True)
class Shape:
    """What an answer carries of each point; ``None`` is nothing."""

    payload: Projection | None
    vectors: tuple[VectorTable, ...] | None

    @property
    def columns(self) -> Sql:
        """Return the further columns of a select list."""
        payload = sql(", p.payload") if self.payload else sql()
        vectors = (
            sql(", v", number(at), ".embedding AS v", number(at))
            for at, _ in enumerate(self.vectors or ())
        )
        return sql(payload, *vectors)

    def joins(self, condition: Sql = TRUE) -> Sql:
        """Return the joins from the points ``p`` to the vectors, made where the condition holds."""
        return sql(
            *(
                sql(
                    " LEFT JOIN ",
                    vector.table,
                    " AS v",
                    number(at),
                    " ON ",
                    condition,
                    " AND v",
                    number(at),
                    ".key = p.key",
                )
                for at, vector in enumerate(self.vectors or ())
            )
        )

    def payload_of(self, row: Mapping[str, Any]) -> Payload | None:
        """Return the wanted part of the row's payload."""
        return self.payload(row["payload"]) if self.payload else None

    def vectors_of(self, row: Mapping[str, Any]) -> dict[str, FloatArray] | None:
        """Return the row's vectors by name."""
        if self.vectors is None:
            return None
        found = ((vector.name, row[f"v{at}"]) for at, vector in enumerate(self.vectors))
        return {name: value.to_numpy() for name, value in found if value is not None}


def shape(
    tables: CollectionTables,
    with_payload: WithPayloadInterface | None,
    with_vector: WithVector | None,
) -> Shape:
    """Return what to read. Raises ``WrongInput`` for a vector that the collection does not have."""
    vectors: tuple[VectorTable, ...] | None = None
    if with_vector is True:
        vectors = tuple(tables.vectors.values())
    elif with_vector:
        vectors = tuple(vector_table(tables, name) for name in with_vector)
    return Shape(projection(with_payload), vectors)


def point_id_of(value: object) -> PointId:
    """Return the canonical id of what a request names. Raises ``MalformedBody``."""
    try:
        return parse_point_id(value)
    except ValueError as error:
        raise MalformedBody(str(error)) from error


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
    conn: Connection, tables: CollectionTables, request: PointRequest
) -> list[Record]:
    """Return the points that exist, in the request's order, duplicates once."""
    refuse_shard_key(request.shard_key)
    wanted = shape(tables, request.with_payload, request.with_vector)
    keys = list(dict.fromkeys(encode_key(point_id_of(given)) for given in request.ids))
    found = await _select(conn, tables, wanted, _among(keys), sql())
    records = {row["key"]: _record(row, wanted) for row in found}
    return [records[key] for key in keys if key in records]


async def scroll(conn: Connection, tables: CollectionTables, request: ScrollRequest) -> Page:
    """Return the page that begins at ``offset``, in key order."""
    refuse_shard_key(request.shard_key)
    if request.order_by is not None:
        raise Unsupported("order_by")
    with_payload = True if request.with_payload is None else request.with_payload
    wanted = shape(tables, with_payload, request.with_vector)
    limit = _PAGE if request.limit is None else request.limit
    start = (
        TRUE
        if request.offset is None
        else sql("p.key >= ", Argument(encode_key(point_id_of(request.offset))), "::bytea")
    )
    condition = sql(start, " AND ", filter_sql(request.filter, tables.row))
    # One more than asked for: it is where the next page begins.
    tail = sql(" ORDER BY p.key LIMIT ", Argument(limit + 1), "::bigint")
    found = await _select(conn, tables, wanted, condition, tail)
    following = decode_key(found[limit]["key"]) if len(found) > limit else None
    return Page([_record(row, wanted) for row in found[:limit]], following)


async def count(conn: Connection, tables: CollectionTables, request: CountRequest) -> int:
    """Return the exact number of points that match, also when an estimate would do."""
    refuse_shard_key(request.shard_key)
    statement = sql(
        "SELECT count(*) AS n FROM ",
        tables.points,
        " AS p WHERE NOT p.deleted AND ",
        filter_sql(request.filter, tables.row),
    )
    [row] = await rows.fetch(conn, statement)
    return int(row["n"])


def refuse_shard_key(shard_key: object) -> None:
    """Raise ``Unsupported`` for a request to one shard: the tables know no shards."""
    if shard_key is not None:
        raise Unsupported("shard_key")


def _among(keys: Sequence[bytes]) -> Sql:
    return sql("p.key = ANY(", Argument(keys), "::bytea[])")


async def _select(
    conn: Connection, tables: CollectionTables, wanted: Shape, condition: Sql, tail: Sql
) -> list[Mapping[str, Any]]:
    return await rows.fetch(
        conn,
        sql(
            "SELECT p.key",
            wanted.columns,
            " FROM ",
            tables.points,
            " AS p",
            wanted.joins(),
            " WHERE NOT p.deleted AND ",
            condition,
            tail,
        ),
    )


def _record(row: Mapping[str, Any], wanted: Shape) -> Record:
    return Record(decode_key(row["key"]), wanted.payload_of(row), wanted.vectors_of(row))
