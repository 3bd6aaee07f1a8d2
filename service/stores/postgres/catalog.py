"""Collections: their rows in ``vecferry.collections`` and the tables that hold their data.

``points_<id>`` has one row per point, deleted ones included (tombstones: they keep a late copy from bringing the point
back). ``vectors_<id>_<n>`` has one row per point that has the vector: a row there means that the point is not deleted.
``postings_<id>_<n>`` is the inverted index of a sparse vector: one row per entry.

A vector keeps its number ``n`` as long as the collection lives; the place of a removed one stays empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, LiteralString

import orjson

from service.errors import CollectionExists, CollectionNotFound, Unsupported
from service.model.qdrant import CreateCollection, Datatype
from service.stores.configuration import vector_params, vector_specs
from service.stores.postgres import ddl
from service.stores.postgres.database import Connection
from service.stores.postgres.vector_tables import VectorTable
from service.translate.rows import Row
from service.translate.sql import Identifier, sql

MAX_DIMENSIONS = 16_000
_HELD = (Datatype.FLOAT32, Datatype.FLOAT16, Datatype.UINT8)
_SCHEMA = "vecferry_data"

_COLUMNS = """
    SELECT c.id, c.name, c.config::text, c.vectors, c.payload_schema::text, c.xmin::text AS stamp, (
        SELECT k.epoch FROM vecferry.control k WHERE k.generation = c.id
    ) AS epoch, (
        SELECT n.nspname::text FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
    ) AS extension
    FROM vecferry.collections c
"""
# An alias stands for its collection; a collection of that very name goes before it.
_NAMED = """
    WHERE c.id = coalesce(
        (SELECT own.id FROM vecferry.collections own WHERE own.name = $1),
        (SELECT alias.collection FROM vecferry.aliases alias WHERE alias.name = $1)
    )
"""


@dataclass(frozen=True, slots=True)
class CollectionTables:
    """Where a collection is kept."""

    id: int
    name: str
    config: CreateCollection
    points: Identifier
    vectors: Mapping[str, VectorTable]
    payload_schema: Mapping[str, Any] = field(default_factory=dict)
    """The ``field_schema`` of every field that has a payload index."""
    stamp: str = ""
    """Another one after every change of what is said above."""
    epoch: int | None = None
    """The epoch of its stage when it was looked up; none for a collection that has no stage."""
    identity: object = field(init=False, default_factory=object, compare=False, repr=False)
    """Of this very description: what was derived from it may be kept under it."""

    @property
    def row(self) -> Row:
        """What a filter looks at when the points' table has the alias ``p``."""
        return Row(
            key=sql("p.key"),
            payload=sql("p.payload"),
            schema=self.payload_schema,
            vectors={
                name: sql("EXISTS (SELECT FROM ", vector.table, " AS h WHERE h.key = p.key)")
                for name, vector in self.vectors.items()
            },
        )


async def get(conn: Connection, name: str) -> CollectionTables:
    """Return the tables of the collection with this name or alias. Raises ``CollectionNotFound``."""
    return await _named(conn, name)


async def get_shared(conn: Connection, name: str) -> CollectionTables:
    """As :func:`get`, and keep the collection from being dropped until the transaction ends."""
    return await _named(conn, name, " FOR KEY SHARE OF c")


async def by_id(conn: Connection, collection_id: int) -> CollectionTables | None:
    """Return the tables of the collection with this number, if it is still there."""
    row = await conn.fetchrow(_COLUMNS + " WHERE c.id = $1", collection_id)
    return None if row is None else _tables(row)


async def get_for_update(conn: Connection, name: str) -> CollectionTables:
    """As :func:`get`, and keep the configuration from being changed meanwhile."""
    return await _named(conn, name, " FOR NO KEY UPDATE OF c")


async def _named(conn: Connection, name: str, lock: LiteralString = "") -> CollectionTables:
    row = await conn.fetchrow(_COLUMNS + _NAMED + lock, name) if may_exist(name) else None
    if row is None:
        raise CollectionNotFound(name)
    return _tables(row)


def may_exist(name: str) -> bool:
    """Say whether a name can be asked for: Postgres refuses a text with this character, and nothing is called so."""
    return "\x00" not in name


async def exists(conn: Connection, name: str) -> bool:
    """Say whether there is such a collection."""
    if not may_exist(name):
        return False
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM vecferry.collections WHERE name = $1)", name
    )
    return found


async def names(conn: Connection) -> list[str]:
    """Return the names of all collections, sorted by code point."""
    rows = await conn.fetch('SELECT name FROM vecferry.collections ORDER BY name COLLATE "C"')
    return [row["name"] for row in rows]


async def describe(conn: Connection, collection_id: int, payload_schema: Mapping[str, Any]) -> None:
    """Store which payload indexes the collection has."""
    await conn.execute(
        "UPDATE vecferry.collections SET payload_schema = $2 WHERE id = $1",
        collection_id,
        dict(payload_schema),
    )


async def create(conn: Connection, name: str, config: CreateCollection) -> CollectionTables:
    """Create an empty collection in the current transaction.

    Raises ``CollectionExists``, or ``Unsupported`` for what the tables cannot hold.
    """
    vectors = sorted(vector_specs(config))
    refuse_unsupported(config)
    created = await conn.fetchval(
        "INSERT INTO vecferry.collections (name, config, vectors) VALUES ($1, $2, $3)"
        " ON CONFLICT (name) DO NOTHING RETURNING id",
        name,
        config.model_dump(mode="json", exclude_none=True),
        vectors,
    )
    if created is None:
        raise CollectionExists(name)
    tables = await get(conn, name)
    for statement in ddl.collection(tables.points, tables.vectors.values()):
        await conn.execute(statement.render()[0])
    return tables


async def drop(conn: Connection, name: str) -> bool:
    """Drop the collection in the current transaction; false when none has that name (an alias is not one)."""
    dropped = await _forget(conn, name)
    if dropped is None:
        return False
    await drop_tables(conn, *dropped)
    return True


async def unlink(conn: Connection, name: str) -> int | None:
    """Forget the collection in the current transaction and return its number; its tables go with the leftovers."""
    dropped = await _forget(conn, name)
    if dropped is None:
        return None
    await conn.execute(
        "INSERT INTO vecferry.leftovers (generation, vectors) VALUES ($1, $2)", *dropped
    )
    return dropped[0]


async def _forget(conn: Connection, name: str) -> tuple[int, int] | None:
    """Remove the collection's row and return its number, and how many numbers its vectors have had."""
    if not may_exist(name):
        return None
    row = await conn.fetchrow(
        "DELETE FROM vecferry.collections WHERE name = $1 RETURNING id, cardinality(vectors) AS vectors",
        name,
    )
    return None if row is None else (row["id"], row["vectors"])


async def drop_tables(conn: Connection, collection_id: int, vectors: int) -> None:
    """Drop the tables of a collection that is no longer in the catalogue; ``vectors`` is how many numbers it had."""
    names = [f"points_{collection_id}"]
    for n in range(vectors):
        names += [f"vectors_{collection_id}_{n}", f"postings_{collection_id}_{n}"]
    for name in names:
        await conn.execute(f"DROP TABLE IF EXISTS {Identifier((_SCHEMA, name)).quoted()}")


def refuse_unsupported(config: CreateCollection) -> None:
    """Raise ``Unsupported`` for the first thing that the tables cannot hold."""
    for name, sparse in (config.sparse_vectors or {}).items():
        if sparse.index is not None and sparse.index.datatype not in {None, *_HELD}:
            raise Unsupported(_path("sparse_vectors", f"{name}.index.datatype"))
    for name, params in vector_params(config).items():
        where = _path("vectors", name)
        if params.datatype not in {None, *_HELD}:
            raise Unsupported(_path(where, "datatype"))
        if params.size > MAX_DIMENSIONS:
            raise Unsupported(_path(where, "size"), f"is more than {MAX_DIMENSIONS} dimensions")


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if name else where


def _tables(row: Mapping[str, Any]) -> CollectionTables:
    return described(
        row["id"],
        row["name"],
        row["config"],
        tuple(row["vectors"]),
        row["payload_schema"],
        row["extension"],
        row["stamp"],
        row["epoch"],
    )


# Every request looks the collection up; its configuration is parsed once.
@lru_cache(maxsize=1024)
def described(  # noqa: PLR0913, PLR0917 - the columns
    collection_id: int,
    name: str,
    config: str,
    vectors: tuple[str | None, ...],
    payload_schema: str,
    extension: str,
    stamp: str,
    epoch: int | None,
) -> CollectionTables:
    """Return the tables of a collection with this row in the catalogue, whether there is one or not."""
    request = CreateCollection.model_validate_json(config)
    specs = vector_specs(request)
    return CollectionTables(
        id=collection_id,
        name=name,
        config=request,
        points=Identifier((_SCHEMA, f"points_{collection_id}")),
        vectors={
            vector: VectorTable(
                name=vector,
                table=Identifier((_SCHEMA, f"vectors_{collection_id}_{number}")),
                spec=specs[vector],
                extension=extension,
            )
            for number, vector in enumerate(vectors)
            if vector is not None
        },
        payload_schema=orjson.loads(payload_schema),
        stamp=stamp,
        epoch=epoch,
    )
