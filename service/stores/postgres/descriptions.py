"""Reading and storing what a collection is apart from its points; each in its caller's transaction."""

from typing import assert_never

from service.model.operations import CreateVector, DeleteVector
from service.protocol.description import Description, vector_name_changes
from service.stores.postgres import aliases, catalog, reconfiguring
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection


async def read(connection: Connection, name: str) -> Description | None:
    """Return the description, ``None`` when there is no collection of this name (an alias is none)."""
    if not await catalog.exists(connection, name):
        return None
    tables = await catalog.get(connection, name)
    return await of_tables(connection, tables)


async def of_tables(connection: Connection, tables: CollectionTables) -> Description:
    """Return the description of a collection."""
    names = await aliases.of_collection(connection, tables.id)
    return Description(tables.config, tables.payload_schema, names)


async def write(connection: Connection, tables: CollectionTables, after: Description) -> None:
    """Give the collection these parameters, payload indexes and named vectors; its aliases stay."""
    for operation in vector_name_changes(after.config, tables.config):
        match operation:
            case CreateVector(name, config):
                tables = await reconfiguring.add_vector(connection, tables, name, config)
            case DeleteVector(name):
                tables = await reconfiguring.remove_vector(connection, tables, name)
            case _:
                assert_never(operation)
    await reconfiguring.update(connection, tables.id, after.config)
    await catalog.describe(connection, tables.id, after.payload_schema)
