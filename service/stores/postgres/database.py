"""The pool of connections to Postgres, each prepared for jsonb and vectors.

Works through a transaction pooler: no named prepared statements, no session state; limits are then set per transaction.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import orjson
from pgvector.asyncpg import register_vector

from service.errors import ConfigurationError, TargetUnavailable
from service.stores.postgres.failures import translated

Connection: TypeAlias = asyncpg.Connection

_POOLER_PORT = 6543
_KEPT_SECONDS = 60.0
_OLDEST_PGVECTOR = (0, 8)
_EXTENSION = """
    SELECT e.extversion, n.nspname FROM pg_catalog.pg_extension e
    JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'vector'
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long a transaction may wait; seconds."""

    connect: float = 5.0
    release: float = 1.0
    close: float = 10.0
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
    """A pool; all driver errors inside its contexts come out as ours.

    Until ``connect`` has succeeded once, everything on it raises ``TargetUnavailable`` at once.
    """

    def __init__(
        self,
        dsn: str,
        *,
        max_size: int = 10,
        pooled: bool | None = None,
        limits: Limits | None = None,
    ) -> None:
        """``pooled`` says that the address is a transaction pooler (default: port 6543)."""
        self.pooled = is_pooler(dsn) if pooled is None else pooled
        self._dsn = dsn
        self._max_size = max_size
        self._limits = limits or Limits()
        self._pool: asyncpg.Pool | None = None
        self._kept: Connection | None = None
        self._kept_until = 0.0
        self._waiting = 0

    @classmethod
    async def open(
        cls,
        dsn: str,
        *,
        max_size: int = 10,
        pooled: bool | None = None,
        limits: Limits | None = None,
    ) -> "Database":
        """Return a connected pool. Raises as ``connect`` does."""
        database = cls(dsn, max_size=max_size, pooled=pooled, limits=limits)
        await database.connect()
        return database

    async def connect(self) -> None:
        """Open the pool; a second call does nothing.

        Raises ``TargetUnavailable``, and ``ConfigurationError`` when the login is refused or pgvector is missing or
        older than 0.8.
        """
        if self._pool is not None:
            return
        arguments: dict[str, Any] = {"dsn": self._dsn, "timeout": self._limits.connect}
        if self.pooled:
            arguments["statement_cache_size"] = 0
        else:
            arguments["server_settings"] = self._limits.settings()
        with translated():
            schema = await _extension_schema(arguments)

            async def prepare(connection: Connection) -> None:
                await _register_json(connection)
                await register_vector(connection, schema=schema)

            self._pool = await asyncpg.create_pool(
                **arguments,
                min_size=1,
                max_size=self._max_size,
                command_timeout=self._limits.command,
                init=prepare,
                reset=_reset,
            )

    def connection(self) -> "Lent":
        """Lend a connection outside a transaction."""
        return Lent(self)

    async def lend(self) -> tuple[asyncpg.Pool, Connection]:
        """Return a connection and the pool that it is of; for :class:`Lent`, which gives it back."""
        pool = self._pool
        if pool is None:
            raise TargetUnavailable("has not been reached yet")
        return pool, await self._acquired(pool)

    async def give_back(
        self, pool: asyncpg.Pool, connection: Connection, *, may_keep: bool
    ) -> None:
        """Take back what was lent."""
        if not (may_keep and self._keeps(connection)):
            # A server that hangs must not hold whoever gave up waiting for it.
            await pool.release(connection, timeout=self._limits.release)

    async def _acquired(self, pool: asyncpg.Pool) -> Connection:
        connection, self._kept = self._kept, None
        if connection is not None:
            if _is_idle(connection) and time.monotonic() < self._kept_until:
                return connection
            # What lay idle for so long may have been cut off silently on the way.
            with suppress(asyncpg.InterfaceError):
                connection.terminate()
            await pool.release(connection)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.connect):
                return await pool.acquire()
        finally:
            self._waiting -= 1

    def _keeps(self, connection: Connection) -> bool:
        """Keep one connection out of the pool for whoever comes next; false when it belongs back there.

        The way through the pool and back costs more than a small query. Nobody waits for what is kept.
        """
        is_free = self._kept is None and not self._waiting and self._pool is not None
        if not (is_free and _is_idle(connection)):
            return False
        self._kept, self._kept_until = connection, time.monotonic() + _KEPT_SECONDS
        return True

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
        """Wait for lent connections and close all; after a while cut those that hang."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        kept, self._kept = self._kept, None
        try:
            async with asyncio.timeout(self._limits.close):
                with translated():
                    if kept is not None:
                        await pool.release(kept)
                    await pool.close()
        except TimeoutError:
            pool.terminate()


class Lent:
    """A connection for the length of a block. Every search takes one: a generator would take three times as long."""

    __slots__ = ("_connection", "_database", "_pool")

    _pool: asyncpg.Pool
    _connection: Connection

    def __init__(self, database: Database) -> None:
        self._database = database

    async def __aenter__(self) -> Connection:
        try:
            self._pool, self._connection = await self._database.lend()
        except Exception as error:  # noqa: BLE001 - translated, and raised
            _raise(error)
        return self._connection

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None:
        try:
            may_keep = error is None
            await self._database.give_back(self._pool, self._connection, may_keep=may_keep)
        except Exception as failed:  # noqa: BLE001 - translated, and raised
            _raise(failed)
        if isinstance(error, Exception):
            _raise(error)


def _raise(error: Exception) -> NoReturn:
    with translated():
        raise error


def _is_idle(connection: Connection) -> bool:
    try:
        return not (connection.is_closed() or connection.is_in_transaction())
    except asyncpg.InterfaceError:
        return False  # it was lost, and the pool has taken it back already


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
