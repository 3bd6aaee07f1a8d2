"""From an address to a database that is ready: its tables first, then the pools; now or as soon as it answers."""

import asyncio
from collections.abc import Sequence

import structlog

from service.errors import VecferryError
from service.stores.postgres.database import Database
from service.stores.postgres.migrate import migrate

_log = structlog.get_logger(__name__)

_PAUSE_SECONDS = 1.0


class Opening:
    """Opens the pools of one database. ``is_done`` when it did."""

    def __init__(self, dsn: str, pools: Sequence[Database]) -> None:
        self._dsn = dsn
        self._pools = pools
        self.is_done = False

    async def once(self) -> None:
        """Bring the database up to date and connect.

        Raises ``TargetUnavailable`` when it does not answer, ``ConfigurationError`` for what an operator must mend.
        """
        await migrate(self._dsn)
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
