"""The pool of connections to Postgres, each prepared for jsonb and vectors.

Works through a transaction pooler: no named prepared statements, no session state; limits are then set per transaction.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import orjson
from pgvector.asyncpg import register_vector

from service.errors import ConfigurationError
from service.stores.postgres.failures import translated

Connection: TypeAlias = asyncpg.Connection

_POOLER_PORT = 6543
_OLDEST_PGVECTOR = (0, 8)
_EXTENSION = """
    SELECT e.extversion, n.nspname FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a transaction may wait; seconds."""

    connect: float = 5.0
    command: float = 30.0
    lock: float = 5.0
    idle_in_transaction: float = 60.0

    def settings(self) -> dict[str, str]:
        """Return them as Postgres settings."""
        return {
            "lock_timeout": f"{int(self.lock * 1000)}ms",
            "idle_in_transaction_session_timeout": f"{int(self.idle_in_transaction * 1000)}ms",
        }


class Database:
    """An open pool; all driver errors inside its contexts come out as ours."""

    def __init__(self, pool: asyncpg.Pool, *, pooled: bool, limits: Limits) -> None:
        self._pool = pool
        self._limits = limits
        self.pooled = pooled

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        max_size: int = 10,
        pooled: bool | None = None,
        limits: Limits | None = None,
    ) -> "Database":
        """Connect; ``pooled`` says that the address is a transaction pooler (default: port 6543).

        Raises ``ConfigurationError`` when pgvector is missing or older than 0.8.
        """
        pooled = is_pooler(dsn) if pooled is None else pooled
        limits = limits or Limits()
        arguments: dict[str, Any] = {"dsn": dsn, "timeout": limits.connect}
        if pooled:
            arguments["statement_cache_size"] = 0
        else:
            arguments["server_settings"] = limits.settings()
        with translated():
            schema = await _extension_schema(arguments)

            async def prepare(connection: Connection) -> None:
                await _register_json(connection)
                await register_vector(connection, schema=schema)

            pool = await asyncpg.create_pool(
                **arguments,
                min_size=1,
                max_size=max_size,
                command_timeout=limits.command,
                init=prepare,
                reset=_reset,
            )
        return cls(pool, pooled=pooled, limits=limits)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Lend a connection outside a transaction."""
        with translated():
            async with self._pool.acquire(timeout=self._limits.connect) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Lend a connection inside a ``READ COMMITTED`` transaction; committed when the block ends well."""
        async with (
            self.connection() as connection,
            connection.transaction(isolation="read_committed"),
        ):
            if self.pooled:
                await connection.execute(
                    "".join(f"SET LOCAL {k} = '{v}';" for k, v in self._limits.settings().items())
                )
            yield connection

    async def close(self) -> None:
        """Wait for lent connections and close all."""
        with translated():
            await self._pool.close()


def is_pooler(dsn: str) -> bool:
    """Say whether the address looks like a transaction pooler's."""
    return urlsplit(dsn).port == _POOLER_PORT


async def _extension_schema(arguments: dict[str, Any]) -> str:
    connection = await asyncpg.connect(**arguments)
    try:
        row = await connection.fetchrow(_EXTENSION)
    finally:
        await connection.close()
    if row is None:
        raise ConfigurationError("the database has no extension `vector`: run the migrations")
    check_version(row["extversion"])
    schema: str = row["nspname"]
    return schema


def check_version(text: str) -> None:
    """Raise ``ConfigurationError`` when this version of pgvector has no iterative scans."""
    version = tuple(int(part) for part in text.split(".") if part.isdigit())
    if version < _OLDEST_PGVECTOR:
        message = f"pgvector {text} is too old: 0.8 or newer is needed"
        raise ConfigurationError(message)


async def _register_json(connection: Connection) -> None:
    await connection.set_type_codec(
        "jsonb",
        schema="pg_catalog",
        encoder=lambda value: b"\x01" + orjson.dumps(value),
        decoder=lambda value: orjson.loads(value[1:]),
        format="binary",
    )


async def _reset(connection: Connection) -> None:
    """Leave out the driver's reset: it costs a round trip and we keep no session state."""
    if connection.is_in_transaction():
        await connection.execute("ROLLBACK")
