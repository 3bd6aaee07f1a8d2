"""Collections: their rows in ``vecferry.collections`` and the tables that hold their data.

``points_<id>`` has one row per point, deleted ones included (tombstones: they keep a late copy from bringing the point
back). ``vectors_<id>_<n>`` has one row per point that has the vector: a row there means that the point is not deleted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

from service.errors import CollectionExists, CollectionNotFound, Unsupported
from service.model.qdrant import CreateCollection, Datatype, Distance
from service.stores.configuration import VectorSpec, vector_params, vector_specs
from service.stores.postgres.database import Connection
from service.translate.filters import Row
from service.translate.sql import Identifier, Sql, number, sql

MAX_DIMENSIONS = 16_000
# A vector up to this size fits a page beside its key: scans are 3.5 times faster when it is not moved out of the row.
_PLAIN_DIMENSIONS = 2_000
_SCHEMA = "vecferry_data"

_COLUMNS = """
    SELECT c.id, c.name, c.config::text, c.vectors, c.payload_schema::text, (
        SELECT n.nspname::text FROM pg_catalog.pg_extension e
        JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
    ) AS extension
    FROM vecferry.collections c
"""


@dataclass(frozen=True, slots=True)
class VectorTable:
    """The table of one named vector; ``extension`` is the schema that pgvector lives in."""

    name: str
    table: Identifier
    spec: VectorSpec
    extension: str

    @property
    def size(self) -> int:
        """The number of dimensions."""
        return self.spec.size

    @property
    def distance(self) -> Distance:
        """How vectors are compared."""
        return self.spec.distance

    @property
    def type(self) -> Identifier:
        """The vector type, qualified."""
        return Identifier((self.extension, "vector"))

    @property
    def index(self) -> Identifier:
        """The name of its HNSW index."""
        schema, table = self.table.parts
        return Identifier((schema, f"{table}_hnsw"))

    @property
    def differs(self) -> Sql:
        """The operator for unequal vectors (IS DISTINCT FROM would need it on the search path)."""
        return sql("OPERATOR(", Identifier((self.extension,)), ".<>)")


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
    """Return the collection's tables. Raises ``CollectionNotFound``."""
    row = await conn.fetchrow(_COLUMNS + " WHERE c.name = $1", name)
    if row is None:
        raise CollectionNotFound(name)
    return _tables(row)


async def get_shared(conn: Connection, name: str) -> CollectionTables:
    """As :func:`get`, and keep the collection from being dropped until the transaction ends."""
    row = await conn.fetchrow(_COLUMNS + " WHERE c.name = $1 FOR KEY SHARE OF c", name)
    if row is None:
        raise CollectionNotFound(name)
    return _tables(row)


async def by_id(conn: Connection, collection_id: int) -> CollectionTables | None:
    """Return the tables of the collection with this number, if it is still there."""
    row = await conn.fetchrow(_COLUMNS + " WHERE c.id = $1", collection_id)
    return None if row is None else _tables(row)


async def get_for_update(conn: Connection, name: str) -> CollectionTables:
    """As :func:`get`, and keep the configuration from being changed meanwhile."""
    row = await conn.fetchrow(_COLUMNS + " WHERE c.name = $1 FOR NO KEY UPDATE OF c", name)
    if row is None:
        raise CollectionNotFound(name)
    return _tables(row)


async def exists(conn: Connection, name: str) -> bool:
    """Say whether there is such a collection."""
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
    vectors = tuple(sorted(vector_params(config)))
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
    for statement in _definitions(tables):
        await conn.execute(statement.render()[0])
    return tables


async def drop(conn: Connection, name: str) -> bool:
    """Drop the collection in the current transaction; false when there is none."""
    try:
        tables = await get(conn, name)
    except CollectionNotFound:
        return False
    deleted = await conn.fetchval(
        "DELETE FROM vecferry.collections WHERE id = $1 RETURNING id", tables.id
    )
    for table in (tables.points, *(vector.table for vector in tables.vectors.values())):
        await conn.execute(f"DROP TABLE IF EXISTS {table.quoted()}")
    return deleted is not None


async def unlink(conn: Connection, name: str) -> int | None:
    """Forget the collection in the current transaction and return its number; its tables go with the leftovers."""
    row = await conn.fetchrow(
        "DELETE FROM vecferry.collections WHERE name = $1 RETURNING id, cardinality(vectors) AS vectors",
        name,
    )
    if row is None:
        return None
    await conn.execute(
        "INSERT INTO vecferry.leftovers (generation, vectors) VALUES ($1, $2)",
        row["id"],
        row["vectors"],
    )
    collection_id: int = row["id"]
    return collection_id


async def drop_tables(conn: Connection, collection_id: int, vectors: int) -> None:
    """Drop the tables of a collection that is no longer in the catalogue."""
    names = [f"points_{collection_id}", *(f"vectors_{collection_id}_{n}" for n in range(vectors))]
    for name in names:
        await conn.execute(f"DROP TABLE IF EXISTS {Identifier((_SCHEMA, name)).quoted()}")


async def update(conn: Connection, collection_id: int, config: CreateCollection) -> None:
    """Store a changed configuration; sizes and distances stay what the tables are."""
    await conn.execute(
        "UPDATE vecferry.collections SET config = $2 WHERE id = $1",
        collection_id,
        config.model_dump(mode="json", exclude_none=True),
    )


def refuse_unsupported(config: CreateCollection) -> None:
    """Raise ``Unsupported`` for the first thing that the tables cannot hold."""
    for name in config.sparse_vectors or {}:
        raise Unsupported(_path("sparse_vectors", name))
    for name, params in vector_params(config).items():
        where = _path("vectors", name)
        if params.multivector_config is not None:
            raise Unsupported(_path(where, "multivector_config"))
        if params.datatype not in (None, Datatype.FLOAT32):
            raise Unsupported(_path(where, "datatype"))
        if params.size > MAX_DIMENSIONS:
            raise Unsupported(_path(where, "size"), f"is more than {MAX_DIMENSIONS} dimensions")


def _path(where: str, name: str) -> str:
    return f"{where}.{name}" if name else where


def _tables(row: Mapping[str, Any]) -> CollectionTables:
    return _parsed(
        row["id"],
        row["name"],
        row["config"],
        tuple(row["vectors"]),
        row["payload_schema"],
        row["extension"],
    )


# Every request looks the collection up; its configuration is parsed once.
@lru_cache(maxsize=1024)
def _parsed(  # noqa: PLR0917 - the columns
    collection_id: int,
    name: str,
    config: str,
    vectors: tuple[str, ...],
    payload_schema: str,
    extension: str,
) -> CollectionTables:
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
        },
        payload_schema=orjson.loads(payload_schema),
    )


def _definitions(tables: CollectionTables) -> list[Sql]:
    # The fill factor leaves room for updates in place: a payload change then touches no index.
    points = sql(
        "CREATE TABLE ",
        tables.points,
        " (key bytea PRIMARY KEY CHECK (octet_length(key) = 17), payload jsonb NOT NULL,"
        " deleted boolean NOT NULL DEFAULT false, version bigint NOT NULL)"
        " WITH (fillfactor = 70)",
    )
    return [points, *(_vector_definition(vector) for vector in tables.vectors.values())]


def _vector_definition(vector: VectorTable) -> Sql:
    inline = vector.size <= _PLAIN_DIMENSIONS
    return sql(
        "CREATE TABLE ",
        vector.table,
        " (key bytea PRIMARY KEY, embedding ",
        vector.type,
        "(",
        number(vector.size),
        ") NOT NULL); ALTER TABLE ",
        vector.table,
        " ALTER COLUMN embedding SET STORAGE ",
        "plain" if inline else "external",
    )
