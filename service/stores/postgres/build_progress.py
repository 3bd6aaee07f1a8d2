"""How far an index build is, as the server shows it to another connection."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from service.errors import VecferryError
from service.stores.postgres.database import Database

Note = Callable[[str | None], None]
"""Takes what a build does at this moment; ``None`` when it is over."""

_EVERY_SECONDS = 1.0

# pgvector counts rows; what other index types count are blocks. A build waits for older transactions by their number.
_PROGRESS = """
    SELECT p.phase, p.lockers_done, p.lockers_total, p.blocks_done, p.blocks_total, p.tuples_done,
        (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE leader_pid = $1) AS workers
    FROM pg_catalog.pg_stat_progress_create_index AS p WHERE p.pid = $1
"""


@dataclass(slots=True)
class BuildWatch:
    """Shows one build until ``is_over``; ``workers`` is the most that were seen at once."""

    index: str
    rows: int
    workers: int = 0
    spilled: str | None = None
    _over: asyncio.Event = field(default_factory=asyncio.Event)

    def is_over(self) -> None:
        """End :meth:`follow`."""
        self._over.set()

    async def follow(self, database: Database, pid: int, note: Note) -> None:
        """Say in the note what the server does for the process ``pid``; not being told is no failure."""
        while not self._over.is_set():
            with suppress(VecferryError):
                await self._look(database, pid, note)
            with suppress(TimeoutError):
                async with asyncio.timeout(_EVERY_SECONDS):
                    await self._over.wait()

    async def _look(self, database: Database, pid: int, note: Note) -> None:
        async with database.connection() as connection:
            row = await connection.fetchrow(_PROGRESS, pid, timeout=_EVERY_SECONDS)
        if row is None or row["phase"] is None:
            return
        self.workers = max(self.workers, row["workers"])
        if not self._over.is_set():
            note(self.text(row))

    def text(self, row: Mapping[str, Any]) -> str:
        """Return phase, share and workers as a sentence."""
        parts = [f"building {self.index}: {row['phase']}"]
        done = _share(row, self.rows)
        if done is not None:
            parts.append(f"{min(done, 1.0):.0%} of {self.rows} rows")
        if row["lockers_total"]:
            parts.append(f"{row['lockers_done']} of {row['lockers_total']} transactions waited for")
        if row["workers"]:
            parts.append(f"{row['workers']} parallel workers")
        if self.spilled:
            parts.append(self.spilled)
        return ", ".join(parts)


def _share(row: Mapping[str, Any], rows: int) -> float | None:
    if not row["phase"].startswith("building index"):
        return None
    if row["blocks_total"]:
        return float(row["blocks_done"] / row["blocks_total"])
    return float(row["tuples_done"] / rows) if rows else None
