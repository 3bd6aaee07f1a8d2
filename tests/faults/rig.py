"""A whole system to be hurt: two real stores and instances of vecferry between them."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from tests.faults.engines import Postgres, Qdrant
from tests.faults.instances import Instance

QDRANT_VARIABLE = "VECFERRY_TEST_QDRANT_URL"


@dataclass(frozen=True, slots=True)
class Rig:
    """The running parts. ``qdrant`` is ``None`` when the source is a server that is not ours to kill."""

    directory: Path
    qdrant_url: str
    qdrant: Qdrant | None
    postgres: Postgres
    instances: tuple[Instance, ...]

    @property
    def urls(self) -> list[str]:
        """Where clients go."""
        return [instance.url for instance in self.instances]

    async def heal(self) -> None:
        """Have everything run and every wire pass."""
        await self.postgres.heal()
        if self.qdrant is not None:
            await self.qdrant.heal()
        async with asyncio.TaskGroup() as tasks:
            for instance in self.instances:
                tasks.create_task(instance.heal())

    async def fetch(self, statement: str, *arguments: object) -> list[asyncpg.Record]:
        """Ask Postgres itself."""
        connection = await asyncpg.connect(self.postgres.dsn)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()


@asynccontextmanager
async def system(
    directory: Path, *, instances: int = 2, data_dir: Path | None = None
) -> AsyncIterator[Rig]:
    """Run everything for the length of the block; Postgres keeps its data in ``data_dir``."""
    async with AsyncExitStack() as stack:
        postgres = Postgres(data_dir or directory / "postgres")
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        qdrant, url = None, os.environ.get(QDRANT_VARIABLE, "").rstrip("/")
        if not url:
            qdrant = Qdrant(directory / "qdrant")
            stack.push_async_callback(qdrant.kill)
            await qdrant.start()
            url = qdrant.url
        assert urlsplit(url).scheme == "http", f"{QDRANT_VARIABLE}: the drills relay plain HTTP"
        running = [
            await stack.enter_async_context(Instance.between(directory, number, url, postgres))
            for number in range(instances)
        ]
        yield Rig(directory, url, qdrant, postgres, tuple(running))
