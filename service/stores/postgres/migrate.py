"""Brings a database up to date: the extension, then the numbered SQL files that it has not seen.

All missing files run in order in one transaction, under an advisory lock, so that several processes may start
at the same time. A transaction pooler is good enough.
"""

from importlib import resources
from typing import NamedTuple

import asyncpg
import structlog

from service.errors import ConfigurationError, TargetUnavailable
from service.stores.postgres.database import Connection, Limits, is_pooler
from service.stores.postgres.failures import translated

log = structlog.get_logger()

_LOCK = int.from_bytes(b"vecferry", "big", signed=True)
_PREPARE = """
    CREATE SCHEMA IF NOT EXISTS vecferry;
    CREATE TABLE IF NOT EXISTS vecferry.migrations (
        name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now()
    );
"""


class Migration(NamedTuple):
    """One SQL file."""

    name: str
    statements: str


def migrations() -> list[Migration]:
    """Return all files in order."""
    files = resources.files("service.stores.postgres.migrations").iterdir()
    return sorted(
        Migration(file.name, file.read_text("utf-8"))
        for file in files
        if file.name.endswith(".sql")
    )


async def migrate(dsn: str) -> list[str]:
    """Apply what is missing and return the names of the applied files.

    Raises ``ConfigurationError`` when the extension is missing and may not be created.
    """
    with translated():
        cache = {"statement_cache_size": 0} if is_pooler(dsn) else {}
        connection = await asyncpg.connect(dsn, timeout=Limits().connect, **cache)
        try:
            applied = []
            async with connection.transaction():
                await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
                await _create_extension(connection)
                await connection.execute(_PREPARE)
                done = {r["name"] for r in await connection.fetch("TABLE vecferry.migrations")}
                for migration in migrations():
                    if migration.name not in done:
                        await _apply(connection, migration)
                        applied.append(migration.name)
            return applied
        finally:
            await connection.close()


async def require_migrated(dsn: str) -> None:
    """Return when the database is exactly as this version has it; nothing is changed.

    Raises ``TargetUnavailable`` while migrations are missing, ``ConfigurationError`` when there are newer ones.
    """
    with translated():
        cache = {"statement_cache_size": 0} if is_pooler(dsn) else {}
        connection = await asyncpg.connect(dsn, timeout=Limits().connect, **cache)
        try:
            is_there = await connection.fetchval(
                "SELECT to_regclass('vecferry.migrations') IS NOT NULL"
            )
            rows = await connection.fetch("TABLE vecferry.migrations") if is_there else []
        finally:
            await connection.close()
    done, ours = {row["name"] for row in rows}, {migration.name for migration in migrations()}
    if newer := sorted(done - ours):
        message = f"the database was migrated by another version of vecferry: it has {newer[-1]}"
        raise ConfigurationError(message)
    if missing := sorted(ours - done):
        message = f"lacks the migration {missing[-1]}: `vecferry serve` of this version applies it"
        raise TargetUnavailable(message)


async def _apply(connection: Connection, migration: Migration) -> None:
    await connection.execute(migration.statements)
    await connection.execute("INSERT INTO vecferry.migrations (name) VALUES ($1)", migration.name)
    log.info("migration_applied", name=migration.name)


async def _create_extension(connection: Connection) -> None:
    present = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'vector')"
    )
    if present:
        return
    try:
        await connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
    except asyncpg.InsufficientPrivilegeError as error:
        message = (
            "the extension `vector` is missing and this role may not create it: "
            "let an administrator run CREATE EXTENSION vector"
        )
        raise ConfigurationError(message) from error
    except asyncpg.FeatureNotSupportedError as error:
        message = f"this Postgres server has no pgvector installed: {error}"
        raise ConfigurationError(message) from error
