"""The order of an indexed payload field: scroll and query with ``order_by``.

A point stands there once for every value it has, points without one not at all. Qdrant leaves the order of equal values
open inside a shard and takes that of the ids between shards: so do we.
"""

import math
from datetime import UTC, datetime, timedelta

from service.errors import WrongInput
from service.model.ids import decode_key
from service.model.points import Hit
from service.model.qdrant import Direction
from service.model.queries import ByField
from service.queries.leaves import Selection
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.indexed_values import ValueKind, index_on, indexed_values, kind_of
from service.stores.postgres.selecting import selected
from service.stores.postgres.shapes import Shape, shape
from service.translate.sql import TRUE, Argument, Sql, sql

_SCORE = 1.0
_LEAST, _MOST = -(2**63), 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def by_field(
    conn: Connection, tables: CollectionTables, wanted: ByField, selection: Selection
) -> list[Hit]:
    """Return the points in the order of a field, each with the score 1 and its ``order_value``.

    Raises ``WrongInput`` when the field has no index of numbers or moments.
    """
    carried = shape(tables, selection.with_payload, selection.with_vector)
    condition = selected(tables, selection)
    found = await rows.fetch(
        conn,
        statement(
            tables, wanted, condition, carried, limit=selection.limit, offset=selection.offset
        ),
    )
    return [
        Hit(
            decode_key(row["key"]),
            _SCORE,
            row["version"],
            carried.payload_of(row),
            carried.vectors_of(row),
            row["order_value"],
        )
        for row in found
    ]


def statement(
    tables: CollectionTables,
    wanted: ByField,
    condition: Sql,
    carried: Shape,
    *,
    limit: int,
    offset: int = 0,
) -> Sql:
    """Return the statement that orders the points ``p`` and then reads those that are answered.

    Its rows have ``key``, ``version``, ``order_value`` and the shape's columns. Raises ``WrongInput`` as
    :func:`by_field` does.
    """
    kind = _kind(tables, wanted.key)
    is_rising = wanted.direction is not Direction.DESC
    ranking = sql("value, key") if is_rising else sql("value DESC, key DESC")
    return sql(
        "WITH ranked AS MATERIALIZED (SELECT p.key, field.value FROM ",
        tables.points,
        " AS p CROSS JOIN LATERAL (",
        indexed_values(sql("p.payload"), wanted.key, kind),
        ") AS field WHERE NOT p.deleted AND ",
        condition,
        " AND ",
        _from_start(wanted, kind, is_rising=is_rising),
        " ORDER BY ",
        ranking,
        " OFFSET ",
        Argument(offset),
        "::bigint LIMIT ",
        Argument(limit),
        "::bigint) SELECT p.key, p.version, ranked.value AS order_value",
        carried.columns,
        " FROM ranked JOIN ",
        tables.points,
        " AS p ON p.key = ranked.key",
        carried.joins(),
        " ORDER BY ranked.",
        sql("value, ranked.key") if is_rising else sql("value DESC, ranked.key DESC"),
    )


def _kind(tables: CollectionTables, key: str) -> ValueKind:
    kind = kind_of(index_on(tables.payload_schema, key), without="range")
    if kind not in {ValueKind.INTEGER, ValueKind.FLOAT, ValueKind.DATETIME}:
        raise WrongInput(
            f"No range index for `order_by` key: `{key}`. Please create one to use `order_by`. Check"
            " https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support"
            " Range conditions"
        )
    return kind


def _from_start(wanted: ByField, kind: ValueKind, *, is_rising: bool) -> Sql:
    start = wanted.start_from
    if start is None:
        return TRUE
    number = microseconds(start) if isinstance(start, str) else float(start)
    comparison = sql("field.value >= " if is_rising else "field.value <= ")
    if kind is ValueKind.FLOAT:
        return sql(comparison, Argument(float(number)), "::float8")
    whole = math.ceil(number) if is_rising else math.floor(number)
    return sql(comparison, Argument(min(max(whole, _LEAST), _MOST)), "::bigint")


def microseconds(moment: str) -> int:
    """Return the microseconds since 1970 of a moment in RFC 3339; without a zone it is UTC."""
    parsed = datetime.fromisoformat(moment)
    in_zone = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    return (in_zone - _EPOCH) // timedelta(microseconds=1)
