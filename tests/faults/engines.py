"""The two stores as processes that a drill may kill, stop and start again; addresses stay."""

import asyncio
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import aiohttp
import asyncpg

from service.embedded.postgres import EmbeddedPostgres
from tests.faults.processes import Managed
from tests.processes import free_port

_POLL_SECONDS = 0.05
_RECOVERY_SECONDS = 60.0


class Postgres:
    """A server of our own over ``directory``, on one port."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self.dsn = ""
        self._server = EmbeddedPostgres(directory, self.port)

    async def start(self) -> None:
        """Start it (again)."""
        self.dsn = await asyncio.to_thread(self._server.start)

    async def stop(self) -> None:
        """End it in an orderly way."""
        await asyncio.to_thread(self._server.stop)

    async def kill(self) -> None:
        """End every process of it at once."""
        self._signal(signal.SIGKILL)
        await asyncio.to_thread(self._server.wait)

    def suspend(self) -> None:
        """Stop every process of it."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the stopped processes go on."""
        self._signal(signal.SIGCONT)

    async def heal(self) -> None:
        """Have it run and take connections: after a crash it may recover by itself, or end while it tries to."""
        if self._server.is_running:
            self.resume()
        async with asyncio.timeout(_RECOVERY_SECONDS):
            while not await self._accepts():
                if not self._server.is_running:
                    await self.start()
                await asyncio.sleep(_POLL_SECONDS)

    async def _accepts(self) -> bool:
        try:
            connection = await asyncpg.connect(self.dsn, timeout=5)
        except (asyncpg.PostgresError, OSError, TimeoutError):
            return False
        await connection.close()
        return True

    def _signal(self, number: signal.Signals) -> None:
        status = (self.directory / "cluster" / "postmaster.pid").read_text().splitlines()
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--pid", status[0], "--ppid", status[0]],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        for pid in listed.stdout.split():
            # The processes of connections come and go.
            with suppress(ProcessLookupError):
                os.kill(int(pid), number)


class Qdrant:
    """The embedded Qdrant over ``directory``, on one port."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        directory.mkdir()
        arguments = ("embedded", "qdrant", "--data-dir", str(directory), "--port", str(self.port))
        self._process = Managed("service", arguments, {}, directory.with_suffix(".log"))

    async def start(self) -> None:
        """Start it (again) and wait until it answers."""
        self._process.start()
        async with aiohttp.ClientSession() as http:
            await self._process.answers(http, f"{self.url}/readyz")

    async def stop(self) -> None:
        """End it in an orderly way."""
        await self._process.stop()

    async def kill(self) -> None:
        """End every process of it at once."""
        await self._process.kill()

    def suspend(self) -> None:
        """Stop every process of it."""
        self._process.signal_all(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the stopped processes go on."""
        self._process.signal_all(signal.SIGCONT)

    async def heal(self) -> None:
        """Have it run."""
        if self._process.is_running:
            self.resume()
        else:
            await self.start()
