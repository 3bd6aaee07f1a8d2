"""Changes of a collection's configuration, and of its vectors' tables with it; each in its caller's transaction."""

from collections.abc import Container

from service.errors import CollectionNotFound
from service.model.qdrant import CreateCollection, VectorNameConfig
from service.stores.configuration import vector_specs
from service.stores.postgres import catalog
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.vector_tables import vector_definition
from service.stores.vector_names import with_vector, without_vector


async def update(conn: Connection, collection_id: int, config: CreateCollection) -> None:
    """Store a changed configuration and make and drop tables for the vectors that come and go with it.

    One that is something else now has gone and come. The caller holds the collection's row
    (``catalog.get_for_update``). Raises ``Unsupported`` for what the tables cannot hold.
    """
    before = await catalog.by_id(conn, collection_id)
    if before is None:
        return
    wanted = vector_specs(config)
    kept = {
        name
        for name, vector in before.vectors.items()
        if name in wanted and vector.fits(wanted[name])
    }
    if not kept == before.vectors.keys() == wanted.keys():
        catalog.refuse_unsupported(config)
        # Writers hold the row against a drop: they finish first, and later ones see the new vectors.
        numbers: list[str | None] = await conn.fetchval(
            "SELECT vectors FROM vecferry.collections WHERE id = $1 FOR UPDATE", collection_id
        )
        numbers = [name if name in kept else None for name in numbers]
        numbers += sorted(wanted.keys() - kept)
        await conn.execute(
            "UPDATE vecferry.collections SET vectors = $2 WHERE id = $1", collection_id, numbers
        )
    await conn.execute(
        "UPDATE vecferry.collections SET config = $2 WHERE id = $1",
        collection_id,
        config.model_dump(mode="json", exclude_none=True),
    )
    await _follow(conn, before, kept)


async def _follow(conn: Connection, before: CollectionTables, kept: Container[str]) -> None:
    """Make the tables of the vectors that have come; those of the vectors that have gone go with the leftovers."""
    gone = [
        table.quoted()
        for name, vector in before.vectors.items()
        if name not in kept
        for table in vector.tables
    ]
    await conn.execute(
        "INSERT INTO vecferry.leftover_tables (name) SELECT unnest($1::text[])", gone
    )
    after = await catalog.by_id(conn, before.id)
    for name, vector in after.vectors.items() if after is not None else ():
        if name not in kept:
            await conn.execute(vector_definition(vector).render()[0])


async def add_vector(
    conn: Connection, tables: CollectionTables, name: str, config: VectorNameConfig
) -> CollectionTables:
    """Add a named vector, which no point has yet, and return the new tables; the same vector again changes nothing.

    The caller holds the collection's row (``catalog.get_for_update``). Raises ``WrongInput`` when the name is taken,
    and ``Unsupported``.
    """
    return await _reconfigured(conn, tables, with_vector(tables.config, name, config))


async def remove_vector(conn: Connection, tables: CollectionTables, name: str) -> CollectionTables:
    """Remove a named vector from the collection and all its points and return the new tables.

    The caller holds the collection's row (``catalog.get_for_update``). An unknown name changes nothing.
    """
    return await _reconfigured(conn, tables, without_vector(tables.config, name))


async def _reconfigured(
    conn: Connection, tables: CollectionTables, config: CreateCollection
) -> CollectionTables:
    if config is tables.config:
        return tables
    await update(conn, tables.id, config)
    after = await catalog.by_id(conn, tables.id)
    if after is None:
        raise CollectionNotFound(tables.name)
    return after
