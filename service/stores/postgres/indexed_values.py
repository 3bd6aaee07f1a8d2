"""The values of a payload field as its payload index has them, in SQL: what order_by orders and facets count.

Found on Qdrant's engine. A path can lead to several values, an array stands for its elements (one level deep), and what
is not of the index's type is not there.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, LiteralString, assert_never

from service.translate.jsonpath import elements
from service.translate.paths import parse_path
from service.translate.sql import Sql, sql

# A float that is a whole number counts as one; at the ends of 64 bits it is rounded to them.
_INTEGER: LiteralString = """CASE
    WHEN element.v::numeric = trunc(element.v::numeric)
        AND element.v::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN element.v::bigint
    WHEN element.v::float8 = 9223372036854775808 THEN 9223372036854775807
    WHEN element.v::float8 = -9223372036854775808 THEN -9223372036854775808
END"""

# Bare hexadecimal digits, hyphenated, that in braces, or that as a URN; Postgres takes more.
_UUID: LiteralString = """CASE
    WHEN element.v #>> '{}' ~ '^[0-9A-Fa-f]{32}$'
        OR element.v #>> '{}' ~ '^(urn:uuid:)?[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$'
        OR element.v #>> '{}' ~ '^\\{[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\\}$'
    THEN replace(element.v #>> '{}', 'urn:uuid:', '')::uuid
END"""


class ValueKind(StrEnum):
    """The type of a payload index."""

    KEYWORD = "keyword"
    INTEGER = "integer"
    FLOAT = "float"
    BOOL = "bool"
    UUID = "uuid"
    DATETIME = "datetime"


def index_on(schemas: Mapping[str, Any], key: str) -> Any | None:
    """Return the ``field_schema`` of the index on a field, however the path is spelled. Raises ``MalformedBody``."""
    if key in schemas:
        return schemas[key]
    wanted = parse_path(key)
    return next((each for name, each in schemas.items() if parse_path(name) == wanted), None)


def kind_of(schema: Any, *, without: str) -> ValueKind | None:
    """Return the index's type, ``None`` without an index, of another type, or where it has this part switched off.

    ``without`` is ``lookup`` or ``range``, the parts of an integer index.
    """
    name = schema if schema is None or isinstance(schema, str) else schema.get("type")
    try:
        kind = ValueKind(str(name))
    except ValueError:
        return None
    is_off = isinstance(schema, Mapping) and schema.get(without) is False
    return None if kind is ValueKind.INTEGER and is_off else kind


def indexed_values(payload: Sql, key: str, kind: ValueKind) -> Sql:
    """Return a query for the field's values in one payload, in a column ``value`` that is never NULL."""
    return sql(
        "SELECT DISTINCT typed.value FROM ",
        elements(payload, parse_path(key)),
        " CROSS JOIN LATERAL (SELECT ",
        _typed(kind),
        " AS value) AS typed WHERE typed.value IS NOT NULL",
    )


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
            return _where("string", _UUID)
        case ValueKind.DATETIME:
            return _where("string", "vecferry.datetime_micros(element.v #>> '{}')")
        case _:
            assert_never(kind)


def _where(json_type: LiteralString, value: LiteralString) -> Sql:
    return sql("CASE jsonb_typeof(element.v) WHEN '", json_type, "' THEN ", value, " END")
