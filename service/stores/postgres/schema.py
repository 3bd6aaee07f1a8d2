"""The payload schema as collection info shows it: every index with the number of points that have a value in it."""

from collections.abc import Sequence
from typing import Any, assert_never

from service.errors import Unsupported
from service.model.qdrant import (
    DatetimeRange,
    FieldCondition,
    Filter,
    GeoPoint,
    GeoRadius,
    MatchExcept,
    MatchValue,
    PayloadIndexInfo,
    PayloadSchemaType,
    Range,
)
from service.stores.payload_schema import index_info, schema_type
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.translate.filters import filter_sql
from service.translate.paths import parse_path
from service.translate.payload_index import payload_index
from service.translate.rows import Row
from service.translate.sql import Sql, join, sql
from service.translate.text import indexed_tokens
from service.translate.tokenizing import tokenizing

_NOWHERE_METRES = 3e7
"""More than half of the earth's circumference."""
_NIL = "00000000-0000-0000-0000-000000000000"
_LAST_MOMENT = "9999-12-31T23:59:59.999999Z"


async def payload_schema(conn: Connection, tables: CollectionTables) -> dict[str, PayloadIndexInfo]:
    """Return the collection's payload indexes; all are counted in one scan."""
    names = list(tables.payload_schema)
    if not names:
        return {}
    counts = join(", ", (_counted(name, tables) for name in names))
    statement = sql(
        "SELECT ARRAY[", counts, "] AS counts FROM ", tables.points, " AS p WHERE NOT p.deleted"
    )
    [row] = await rows.fetch(conn, statement)
    return {
        name: index_info(tables.payload_schema[name], points)
        for name, points in zip(names, row["counts"], strict=True)
    }


def _counted(name: str, tables: CollectionTables) -> Sql:
    kind = schema_type(tables.payload_schema[name])
    if kind is PayloadSchemaType.TEXT:
        held = _has_tokens(name, tables.row)
    else:
        held = filter_sql(_has_value(name, kind), tables.row)
    return sql("count(*) FILTER (WHERE ", held, ")")


def _has_tokens(name: str, row: Row) -> Sql:
    path = parse_path(name)
    try:
        settings = tokenizing(payload_index(row.schema[name]), name)
    except Unsupported:
        # Matches on it are refused; a collection must still be described.
        strings = Row(row.key, row.payload, {name: PayloadSchemaType.KEYWORD.value})
        return filter_sql(_has_value(name, PayloadSchemaType.KEYWORD), strings)
    return sql("cardinality(", indexed_tokens(row.payload, path, settings), ") > 0")


def _has_value(name: str, kind: PayloadSchemaType) -> Filter:
    """Return the filter for points with a value that an index of this type holds."""
    field: dict[str, Any]
    match kind:
        case PayloadSchemaType.KEYWORD | PayloadSchemaType.TEXT:
            field = {"match": MatchExcept.model_validate({"except": []})}
        case PayloadSchemaType.UUID:
            others = MatchExcept.model_validate({"except": [_NIL]})
            return _either(name, [others, MatchValue(value=_NIL)])
        case PayloadSchemaType.INTEGER | PayloadSchemaType.FLOAT:
            field = {"range": Range()}
        case PayloadSchemaType.DATETIME:
            field = {"range": DatetimeRange.model_validate({"lte": _LAST_MOMENT})}
        case PayloadSchemaType.GEO:
            center = GeoPoint(lon=0.0, lat=0.0)
            field = {"geo_radius": GeoRadius(center=center, radius=_NOWHERE_METRES)}
        case PayloadSchemaType.BOOL:
            return _either(name, [MatchValue(value=True), MatchValue(value=False)])
        case _:
            assert_never(kind)
    return Filter(must=[FieldCondition(key=name, **field)])


def _either(name: str, matches: Sequence[MatchExcept | MatchValue]) -> Filter:
    return Filter(should=[FieldCondition(key=name, match=match) for match in matches])
