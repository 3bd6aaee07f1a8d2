"""The values of a payload field as its payload index has them, in SQL: what order_by orders and facets count.

Found on Qdrant's engine. A path can lead to several values, an array stands for its elements (one level deep), and what
is not of the index's type is not there.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import LiteralString, assert_never

from service.stores.postgres.catalog import CollectionTables
from service.translate.index_expressions import is_array_at, moment_at, number_at, value_at
from service.translate.jsonpath import elements
from service.translate.paths import Key, parse_path
from service.translate.payload_index import PayloadIndex, index_at
from service.translate.sql import Sql, sql

# A float that is a whole number counts as one; at the ends of 64 bits it is rounded to them.
_INTEGER: LiteralString = """CASE
    WHEN element.v::numeric = trunc(element.v::numeric)
        AND element.v::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN element.v::bigint
    WHEN element.v::float8 = 9223372036854775808 THEN 9223372036854775807
    WHEN element.v::float8 = -9223372036854775808 THEN -9223372036854775808
END"""


class ValueKind(StrEnum):
    """The type of a payload index."""

    KEYWORD = "keyword"
    INTEGER = "integer"
    FLOAT = "float"
    BOOL = "bool"
    UUID = "uuid"
    DATETIME = "datetime"


def index_on(tables: CollectionTables, key: str) -> PayloadIndex | None:
    """Return the payload index on a field. Raises ``MalformedBody`` for a path that is none."""
    return index_at(tables.payload_schema, parse_path(key))


@dataclass(frozen=True, slots=True)
class FieldValues:
    """A query for ``key`` and ``value`` of points ``p``: one row for each value of a point.

    ``rank`` has the order of the values. Where it is ``indexable``, a SQL index may know it, the query ends in
    conditions to which others can be added, and ``rank`` can stand in them.
    """

    query: Sql
    rank: Sql
    indexable: bool


def field_values(
    tables: CollectionTables, key: str, kind: ValueKind, condition: Sql
) -> tuple[FieldValues, ...]:
    """Return the queries that together give all values of a field, of points that the condition holds for.

    A path of plain keys leads to one value, which a SQL index can order; the few arrays come from a query of their own.
    """
    payload = sql("p.payload")
    path = parse_path(key)
    keys = tuple(step.name for step in path if isinstance(step, Key))
    if len(keys) < len(path):
        return (_of_elements(tables, elements(payload, path), kind, condition),)
    value = value_at(payload, keys)
    is_array = is_array_at(payload, keys)
    inside = sql(
        "jsonb_array_elements(CASE WHEN ", is_array, " THEN ", value, " END) AS element(v)"
    )
    arrays = _of_elements(tables, inside, kind, sql(is_array, " AND ", condition))
    # Computed once, not at every mention.
    once = sql("LATERAL (SELECT ", value, " AS v OFFSET 0) AS element")
    return (_of_scalars(tables, once, kind, condition, _rank(payload, keys, kind)), arrays)


def _of_scalars(
    tables: CollectionTables, element: Sql, kind: ValueKind, condition: Sql, rank: Sql
) -> FieldValues:
    query = sql("SELECT p.key, typed.value", _from(tables, element, kind, condition))
    return FieldValues(sql(query, " AND ", rank, " IS NOT NULL"), rank, indexable=True)


def _of_elements(
    tables: CollectionTables, element: Sql, kind: ValueKind, condition: Sql
) -> FieldValues:
    query = sql("SELECT DISTINCT p.key, typed.value", _from(tables, element, kind, condition))
    return FieldValues(query, sql("value"), indexable=False)


def _from(tables: CollectionTables, element: Sql, kind: ValueKind, condition: Sql) -> Sql:
    return sql(
        " FROM ",
        tables.points,
        " AS p CROSS JOIN ",
        element,
        " CROSS JOIN LATERAL (SELECT ",
        _typed(kind),
        " AS value) AS typed WHERE NOT p.deleted AND typed.value IS NOT NULL AND ",
        condition,
    )


def _rank(payload: Sql, keys: tuple[str, ...], kind: ValueKind) -> Sql:
    match kind:
        case ValueKind.INTEGER | ValueKind.FLOAT:
            return number_at(payload, keys)
        case ValueKind.DATETIME:
            return moment_at(payload, keys)
        case _:
            return sql("typed.value")


def _typed(kind: ValueKind) -> Sql:
    match kind:
        case ValueKind.KEYWORD:
            # Qdrant compares strings bytewise.
            return _where("string", "(element.v #>> '{}') COLLATE \"C\"")
        case ValueKind.INTEGER:
            return _where("number", _INTEGER)
        case ValueKind.FLOAT:
            return _where("number", "element.v::float8")
        case ValueKind.BOOL:
            return _where("boolean", "element.v::boolean")
        case ValueKind.UUID:
            return sql("vecferry.uuid(element.v)")
        case ValueKind.DATETIME:
            return sql("vecferry.datetime_micros(element.v)")
        case _:
            assert_never(kind)


def _where(json_type: LiteralString, value: LiteralString) -> Sql:
    return sql("CASE jsonb_typeof(element.v) WHEN '", json_type, "' THEN ", value, " END")
