"""The order of an indexed payload field: scroll and query with ``order_by``.

A point stands there once for every value it has, points without one not at all. Qdrant leaves the order of equal values
open inside a shard and takes that of the ids between shards: so do we.
"""

import math
from decimal import Decimal

from service.errors import WrongInput
from service.model.ids import decode_key
from service.model.points import Hit
from service.model.qdrant import Direction
from service.model.queries import ByField
from service.queries.leaves import Selection
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.indexed_values import (
    FieldValues,
    ValueKind,
    field_values,
    index_on,
)
from service.stores.postgres.selecting import selected
from service.stores.postgres.shapes import Shape, shape
from service.translate.datetimes import parse_datetime
from service.translate.index_expressions import lowered, raised
from service.translate.ranges import micros
from service.translate.sql import TRUE, Argument, Sql, join, sql

_SCORE = 1.0
_RANKED = frozenset({ValueKind.FLOAT, ValueKind.DATETIME})
_LEAST, _MOST = -(2**63), 2**63 - 1


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
    order = sql() if _is_rising(wanted) else sql(" DESC")
    most = Argument(limit + offset)
    chosen = sql(condition, " AND ", _from_start(wanted, kind))
    parts = join(
        " UNION ALL ",
        (
            _first(part, _near_start(part, wanted, kind), order, most)
            for part in field_values(tables, wanted.key, kind, chosen)
        ),
    )
    return sql(
        "WITH ranked AS MATERIALIZED (SELECT key, value FROM (",
        parts,
        ") AS field ORDER BY value",
        order,
        ", key",
        order,
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
        " ORDER BY ranked.value",
        order,
        ", ranked.key",
        order,
    )


def _first(values: FieldValues, further: Sql, order: Sql, most: Argument) -> Sql:
    """Return the first rows of some of the values; an index on their rank finds them without looking at the rest."""
    return sql(
        "(",
        values.query,
        further,
        " ORDER BY ",
        values.rank,
        order,
        ", key",
        order,
        " LIMIT ",
        most,
        "::bigint)",
    )


def _kind(tables: CollectionTables, key: str) -> ValueKind:
    index = index_on(tables, key)
    if index is not None and (index.kind in _RANKED or index.compares_integers):
        return ValueKind(index.kind)
    raise WrongInput(
        f"No range index for `order_by` key: `{key}`. Please create one to use `order_by`. Check"
        " https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support Range"
        " conditions"
    )


def _from_start(wanted: ByField, kind: ValueKind) -> Sql:
    """Return the exact condition that a value is not before the start."""
    start = _start_of(wanted, kind)
    if start is None:
        return TRUE
    comparison = sql("typed.value >= " if _is_rising(wanted) else "typed.value <= ")
    if isinstance(start, float):
        return sql(comparison, Argument(start), "::float8")
    return sql(comparison, Argument(min(max(start, _LEAST), _MOST)), "::bigint")


def _near_start(values: FieldValues, wanted: ByField, kind: ValueKind) -> Sql:
    """Return a condition that an index serves and that the exact one implies, to be added to the others."""
    start = _start_of(wanted, kind)
    if start is None or not values.indexable or not abs(start) < _MOST:
        return sql()
    comparison = sql(" AND ", values.rank, " >= " if _is_rising(wanted) else " <= ")
    if kind is ValueKind.DATETIME:
        return sql(comparison, Argument(start), "::bigint")
    bound = Decimal(repr(start))
    nearest = lowered(bound) if _is_rising(wanted) else raised(bound)
    return sql(comparison, Argument(nearest), "::numeric")


def _start_of(wanted: ByField, kind: ValueKind) -> int | float | None:
    """Return where the order starts; Qdrant takes numbers as f64."""
    start = wanted.start_from
    if start is None:
        return None
    number = micros(parse_datetime(start)) if isinstance(start, str) else float(start)
    if kind is ValueKind.FLOAT:
        return float(number)
    return math.ceil(number) if _is_rising(wanted) else math.floor(number)


def _is_rising(wanted: ByField) -> bool:
    return wanted.direction is not Direction.DESC
