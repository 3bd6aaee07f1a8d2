"""Aliases of the collections in Postgres: in force where Postgres is right, a copy of the source's elsewhere.

Locks: whoever changes aliases, or makes a collection whose name could be one, holds :func:`lock` until the end of its
transaction. With the control tables it is taken after the revision's row.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class AliasChange:
    """What a list of actions comes to: the new collection of each alias that differs, ``None`` where it goes."""

    differing: Mapping[str, str | None]
    collections: frozenset[str]
    """Which collections get or lose an alias."""


async def planned(connection: Connection, actions: Sequence[AliasOperations]) -> AliasChange:
    """Say what the actions come to, and lock the aliases until it is carried out.

    Raises ``CollectionNotFound``, ``CollectionExists`` and ``AliasNotFound``.
    """
    await lock(connection)
    before = await load(connection)
    after = changed_aliases(before, actions, set(await catalog.names(connection)))
    differing = {
        name: after.get(name)
        for name in before.keys() | after.keys()
        if before.get(name) != after.get(name)
    }
    touched = (
        aliases[name] for name in differing for aliases in (before, after) if name in aliases
    )
    return AliasChange(differing, frozenset(touched))


async def carry_out(connection: Connection, change: AliasChange) -> None:
    """Write what was planned. The new rows hold their collections' rows: control rows must be locked before."""
    gone = [name for name, collection in change.differing.items() if collection is None]
    await connection.execute("DELETE FROM vecferry.aliases WHERE name = ANY ($1::text[])", gone)
    for name, collection in change.differing.items():
        if collection is not None:
            await connection.execute(_PUT, name, collection)


async def copy(connection: Connection, collection_id: int, names: Collection[str]) -> None:
    """Give a collection exactly the aliases that it has in the source."""
    await lock(connection)
    await connection.execute(
        "DELETE FROM vecferry.aliases WHERE collection = $1 AND name <> ALL ($2::text[])",
        collection_id,
        list(names),
    )
    await connection.execute(_COPY, collection_id, list(names))
