"""SQL indexes for the payload indexes of a collection, made and dropped beside live traffic.

One GIN index on the whole payload serves equality on every field: it costs a write little more than one field's would
(inserts at the same rate, measured with seven fields), and the exact conditions use it as they are. Ranges, moments,
places and tokens have an index for each field. The name of an index tells its definition, so what is there is right.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress

import structlog

from service.errors import ConfigurationError, Unsupported
from service.stores.postgres import ddl
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.index_builds import DAY_SECONDS, Built, builder
from service.translate.index_expressions import (
    is_array_at,
    moment_at,
    number_at,
    plain_keys,
    point_at,
    tokens_at,
    uuid_at,
)
from service.translate.indexed import EQUALITY
from service.translate.paths import Path, parse_path
from service.translate.payload_index import FieldSchema, PayloadIndex, payload_index
from service.translate.sql import Identifier, Sql, sql
from service.translate.tokenizing import tokenizing

log = structlog.get_logger()

_PAYLOAD = sql("payload")
_PRESENT = """
    SELECT c.relname AS name, i.indisvalid AS is_valid
    FROM pg_catalog.pg_index AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = to_regclass($1) AND starts_with(c.relname, $2)
"""


async def sync_indexes(database: Database, tables: CollectionTables) -> list[str]:
    """Make the SQL indexes those that the payload schema asks for; return the names of those that were made or dropped.

    Call it with the newest ``tables``, outside a transaction; again after a failure. Instances take turns. Needs a
    direct connection: raises ``ConfigurationError`` where something is to be done behind a transaction pooler.
    """
    wanted = definitions(tables)
    async with database.connection() as conn:
        present = await _present(conn, tables)
    if present == dict.fromkeys(wanted, True):
        return []
    if database.pooled:
        raise ConfigurationError("an index build needs a direct connection, not a pooler")
    async with builder(database, Built.PAYLOAD_INDEXES, tables.id) as conn:
        return await _sync(conn, tables, wanted)


def definitions(tables: CollectionTables) -> dict[str, Sql]:
    """Return what follows ``ON points`` in the statement that makes each index, by its name."""
    found: dict[str, Sql] = {}
    for definition in _definitions(tables.payload_schema):
        digest = hashlib.sha256(definition.render()[0].encode()).hexdigest()[:16]
        found[_prefix(tables) + digest] = definition
    return found


def _definitions(schema: Mapping[str, FieldSchema]) -> Iterator[Sql]:
    indexes = {parse_path(key): payload_index(given) for key, given in schema.items()}
    if any(index.kind in EQUALITY for index in indexes.values()):
        yield sql("USING gin (payload jsonb_path_ops)")
    for path, index in indexes.items():
        if index.kind == "text":
            yield from _of_texts(path, index)
        keys = plain_keys(path)
        indexed = None if keys is None else _of_one_value(keys, index)
        if keys is not None and indexed is not None:
            yield indexed
            # Arrays have several values and are few: the conditions test them all.
            yield sql("(key) WHERE ", is_array_at(_PAYLOAD, keys))


def _of_one_value(keys: tuple[str, ...], index: PayloadIndex) -> Sql | None:
    match index.kind:
        case "integer" | "float":
            return sql("(", number_at(_PAYLOAD, keys), ")")
        case "datetime":
            return sql("(", moment_at(_PAYLOAD, keys), ")")
        case "uuid":
            return sql("(", uuid_at(_PAYLOAD, keys), ")")
        case "geo":
            return sql("USING gist (", point_at(_PAYLOAD, keys), ")")
        case _:
            return None


def _of_texts(path: Path, index: PayloadIndex) -> Iterator[Sql]:
    # What cannot be cut into tokens here is refused where it is asked for.
    with suppress(Unsupported):
        yield sql("USING gin (", tokens_at(_PAYLOAD, path, tokenizing(index, "")), ")")


async def _sync(conn: Connection, tables: CollectionTables, wanted: Mapping[str, Sql]) -> list[str]:
    schema, _ = tables.points.parts
    changed = []
    for name, is_valid in (await _present(conn, tables)).items():
        if name in wanted and is_valid:
            continue
        index = Identifier((schema, name))
        await conn.execute(ddl.drop_index(index), timeout=DAY_SECONDS)
        changed.append(name)
    present = await _present(conn, tables)
    for name, definition in wanted.items():
        if name in present:
            continue
        made = ddl.payload_index(name, tables.points, definition)
        log.info("payload_index_build_started", index=name)
        await conn.execute(made.render()[0], timeout=DAY_SECONDS)
        log.info("payload_index_build_finished", index=name)
        changed.append(name)
    if changed:
        # The planner knows nothing of an expression before its first ANALYZE.
        await conn.execute(f"ANALYZE {tables.points.quoted()}", timeout=DAY_SECONDS)
    return changed


async def _present(conn: Connection, tables: CollectionTables) -> dict[str, bool]:
    """Return our indexes by name, and whether they are complete."""
    rows = await conn.fetch(_PRESENT, tables.points.quoted(), _prefix(tables))
    return {row["name"]: row["is_valid"] for row in rows}


def _prefix(tables: CollectionTables) -> str:
    return f"{tables.points.parts[-1]}_by_"
