"""The payload schema as collection info shows it: every index with the number of points that have a value there."""

from service.model.qdrant import PayloadIndexInfo
from service.stores.payload_schema import index_info
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.translate.nullness import is_empty
from service.translate.paths import parse_path
from service.translate.sql import Sql, join, negate, sql


async def payload_schema(conn: Connection, tables: CollectionTables) -> dict[str, PayloadIndexInfo]:
    """Return the collection's payload indexes; all are counted in one scan."""
    names = list(tables.payload_schema)
    if not names:
        return {}
    counts = join(", ", (_counted(name) for name in names))
    statement = sql(
        "SELECT ARRAY[", counts, "] AS counts FROM ", tables.points, " AS p WHERE NOT p.deleted"
    )
    [row] = await rows.fetch(conn, statement)
    return {
        name: index_info(tables.payload_schema[name], points)
        for name, points in zip(names, row["counts"], strict=True)
    }


def _counted(name: str) -> Sql:
    has_value = negate(is_empty(sql("p.payload"), parse_path(name)))
    return sql("count(*) FILTER (WHERE ", has_value, ")")
