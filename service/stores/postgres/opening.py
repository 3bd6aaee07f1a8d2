"""From an address to a database that is ready: its tables first, then the pools; now or as soon as it answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from service.errors import VecferryError
from service.stores.postgres.database import Database
from service.stores.postgres.migrate import migrate

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 1.0

Prepare = Callable[[str], Awaitable[object]]
"""Brings a database up to date before the pools are opened, or finds that somebody has."""


class Opening:
    """Opens the pools of one database. ``is_done`` when it did."""

    def __init__(self, dsn: str, pools: Sequence[Database], *, prepare: Prepare = migrate) -> None:
        self._dsn = dsn
        self._pools = pools
        self._prepare = prepare
        self.is_done = False

    async def once(self) -> None:
        """Bring the database up to date and connect.

        Raises ``TargetUnavailable`` when it does not answer, ``ConfigurationError`` for what an operator must mend.
        """
        await self._prepare(self._dsn)
        for pool in self._pools:
            await pool.connect()
        self.is_done = True

    async def run(self) -> None:
        """Try until it is done; what an operator must mend is logged and tried again as well."""
        while not self.is_done:
            try:
                await self.once()
            except VecferryError as error:
                _log.warning("database_not_ready", error=str(error))
                await asyncio.sleep(_PAUSE_SECONDS)
            else:
                _log.info("database_ready")
