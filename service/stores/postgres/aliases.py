"""Aliases of the collections in Postgres: in force where Postgres is right, a copy of the source's elsewhere.

Locks: whoever changes aliases, or makes a collection whose name could be one, holds :func:`lock` until the end of its
transaction. With the control tables it is taken after the revision's row.
"""

from collections.abc import Collection, Mapping, Sequence

from service.model.qdrant import AliasOperations
from service.stores.alias_rules import changed_aliases, refuse_alias_name
from service.stores.postgres import catalog
from service.stores.postgres.database import Connection
from service.stores.postgres.locks import Single, lock_single

_ALL = """
    SELECT a.name, c.name AS collection
    FROM vecferry.aliases AS a JOIN vecferry.collections AS c ON c.id = a.collection
"""

_PUT = """
    INSERT INTO vecferry.aliases (name, collection)
    SELECT $1, c.id FROM vecferry.collections AS c WHERE c.name = $2
    ON CONFLICT (name) DO UPDATE SET collection = excluded.collection
"""

# What Postgres is right for loses nothing to a copy of what the source says.
_COPY = """
    INSERT INTO vecferry.aliases AS a (name, collection)
    SELECT unnest($2::text[]), $1
    ON CONFLICT (name) DO UPDATE SET collection = excluded.collection
    WHERE NOT EXISTS (
        SELECT 1 FROM vecferry.control AS r
        WHERE r.generation = a.collection AND r.stage IN ('live', 'rampdown', 'complete')
    )
"""


async def lock(connection: Connection) -> None:
    """Let nobody else change aliases until the transaction ends."""
    await lock_single(connection, Single.ALIASES)


async def load(connection: Connection) -> dict[str, str]:
    """Return the collection that every alias stands for."""
    return {row["name"]: row["collection"] for row in await connection.fetch(_ALL)}


async def of_collection(connection: Connection, collection_id: int) -> frozenset[str]:
    """Return the aliases of one collection."""
    rows = await connection.fetch(
        "SELECT name FROM vecferry.aliases WHERE collection = $1", collection_id
    )
    return frozenset(row["name"] for row in rows)


async def refuse_name(connection: Connection, name: str) -> None:
    """Raise ``WrongInput`` when a collection is to be made under the name of an alias; locks the aliases."""
    await lock(connection)
    refuse_alias_name(name, await load(connection))


async def change(connection: Connection, actions: Sequence[AliasOperations]) -> set[str]:
    """Carry out the actions, all or none; return the collections that got or lost an alias.

    Raises ``CollectionNotFound``, ``CollectionExists`` and ``AliasNotFound``.
    """
    await lock(connection)
    before = await load(connection)
    after = changed_aliases(before, actions, set(await catalog.names(connection)))
    differing = [
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    ]
    await _put(connection, after, differing)
    return {aliases[name] for name in differing for aliases in (before, after) if name in aliases}


async def _put(
    connection: Connection, after: Mapping[str, str], differing: Collection[str]
) -> None:
    gone = [name for name in differing if name not in after]
    await connection.execute("DELETE FROM vecferry.aliases WHERE name = ANY ($1::text[])", gone)
    for name in differing:
        if name in after:
            await connection.execute(_PUT, name, after[name])


async def copy(connection: Connection, collection_id: int, names: Collection[str]) -> None:
    """Give a collection exactly the aliases that it has in the source."""
    await lock(connection)
    await connection.execute(
        "DELETE FROM vecferry.aliases WHERE collection = $1 AND name <> ALL ($2::text[])",
        collection_id,
        list(names),
    )
    await connection.execute(_COPY, collection_id, list(names))
