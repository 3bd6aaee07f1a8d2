"""Starts the engines that the settings leave open, in the data directory, and stops them with the instance."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from service.config import Settings
from service.embedded.postgres import EmbeddedPostgres
from service.embedded.qdrant import EmbeddedQdrant


@dataclass(frozen=True, slots=True)
class Engines:
    """Where the two stores are; ``qdrant_url`` is ``None`` when there is no Qdrant at all."""

    database_url: str
    qdrant_url: str | None


async def start_engines(stack: AsyncExitStack, settings: Settings) -> Engines:
    """Return the configured addresses, and those of engines that were started for what is not configured.

    Raises ``ConfigurationError`` when an engine is needed and not installed or does not start.
    """
    return Engines(await _postgres(stack, settings), await _qdrant(stack, settings))


async def _postgres(stack: AsyncExitStack, settings: Settings) -> str:
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    server = EmbeddedPostgres(settings.data_dir / "postgres")
    dsn = await asyncio.to_thread(server.start)
    stack.push_async_callback(asyncio.to_thread, server.stop)
    return dsn


async def _qdrant(stack: AsyncExitStack, settings: Settings) -> str | None:
    if settings.qdrant_url is not None or not settings.uses_source:
        return settings.qdrant_url
    server = await stack.enter_async_context(EmbeddedQdrant(settings.data_dir / "qdrant"))
    return server.url
