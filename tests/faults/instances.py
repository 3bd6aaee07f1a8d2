"""One ``vecferry serve`` between two wires, and what an operator asks of it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit, urlunsplit

import aiohttp

from service import keys
from service.steps import Step
from tests.faults.engines import Postgres
from tests.faults.processes import Managed
from tests.faults.serve import VARIABLE, Order
from tests.faults.wire import Wire
from tests.processes import free_port

GRACE_SECONDS = 4.0
"""Short, so that recovery is quick; everything that may be late in a drill is late by less."""

SETTINGS = {
    "VECFERRY_GRACE_SECONDS": str(GRACE_SECONDS),
    "VECFERRY_QDRANT_TIMEOUT_SECONDS": "2",
    "VECFERRY_FREEZE_SECONDS": "3",
    "VECFERRY_RAMP_ANSWER_SECONDS": "1",
    "VECFERRY_DATABASE_CONNECTIONS": "10",
    "VECFERRY_SHADOW_SAMPLE_RATE": "0.2",
    # Small collections take many pages and have an index to build, as large ones do.
    "VECFERRY_BACKFILL_PAGE_SIZE": "20",
    "VECFERRY_INDEX_MIN_ROWS": "500",
    # On a busy machine the clients wait for many other reasons.
    "VECFERRY_THROTTLE_CLIENT_P99_MS": "0",
    "VECFERRY_THROTTLE_TARGET_MS": "0",
    "VECFERRY_THROTTLE_SOURCE_MS": "0",
    "VECFERRY_LOG_FORMAT": "json",
}
_COMMAND_SECONDS = 60.0
_POLL_SECONDS = 0.05


class Refused(Exception):
    """The control API said no, or nothing; the text says why."""


@asynccontextmanager
async def wired(
    qdrant_url: str, postgres: Postgres
) -> AsyncIterator[tuple[tuple[Wire, Wire], dict[str, str]]]:
    """Lay a wire to Qdrant and one to Postgres; yields them, and the settings of a process at their ends."""
    qdrant = urlsplit(qdrant_url)
    dsn = urlsplit(postgres.dsn)
    async with (
        Wire(qdrant.hostname or "", qdrant.port or 80).laid() as to_qdrant,
        Wire("127.0.0.1", postgres.port).laid() as to_postgres,
    ):
        user, _, _ = dsn.netloc.rpartition("@")
        target = dsn._replace(netloc=f"{user}@127.0.0.1:{to_postgres.port}")
        yield (
            (to_qdrant, to_postgres),
            {
                "VECFERRY_QDRANT_URL": f"http://127.0.0.1:{to_qdrant.port}",
                "VECFERRY_DATABASE_URL": urlunsplit(target),
            },
        )


class Instance:
    """An instance whose links to both stores can be disturbed, each by itself."""

    def __init__(
        self, directory: Path, number: int, wires: tuple[Wire, Wire], settings: Mapping[str, str]
    ) -> None:
        self.name = f"instance-{number}"
        self.to_qdrant, self.to_postgres = wires
        self.url, self._control = (f"http://127.0.0.1:{settings[key]}" for key in _PORTS)
        self._data_dir = directory / self.name
        self._order = directory / f"{self.name}.order"
        environment = {
            **SETTINGS, **settings, "VECFERRY_DATA_DIR": str(self._data_dir),
            VARIABLE: str(self._order),
        }  # fmt: skip
        self.process = Managed(
            "tests.faults.serve", (), environment, directory / f"{self.name}.log"
        )

    @classmethod
    @asynccontextmanager
    async def between(
        cls, directory: Path, number: int, qdrant_url: str, postgres: Postgres
    ) -> AsyncIterator[Self]:
        """Lay the wires and run an instance for the length of the block."""
        async with wired(qdrant_url, postgres) as (wires, addresses):
            ports = {name: str(free_port()) for name in _PORTS}
            running = cls(directory, number, wires, addresses | ports)
            await running.start()
            try:
                yield running
            finally:
                await running.process.kill()

    async def start(self) -> None:
        """Start it (again) and wait until it serves."""
        self.process.start()
        async with aiohttp.ClientSession() as http:
            await self.process.answers(http, f"{self.url}/readyz")

    async def heal(self) -> None:
        """Have it run, and its wires pass everything."""
        self._order.unlink(missing_ok=True)
        self.to_qdrant.pass_all()
        self.to_postgres.pass_all()
        if self.process.is_running:
            self.process.signal_all(signal.SIGCONT)
        else:
            await self.start()

    def order(self, number: signal.Signals, step: Step, arrival: int) -> None:
        """Have it kill or stop itself at the n-th arrival at a step from now on."""
        Order(number, step, arrival).give(self._order)

    async def obeyed(self, seconds: float) -> bool:
        """Wait until the order is carried out; false when the step was not reached in time."""
        for _ in range(int(seconds / _POLL_SECONDS)):
            if not self._order.exists():
                return True
            await asyncio.sleep(_POLL_SECONDS)
        return False

    async def status(self) -> dict[str, Any]:
        """Return what ``vecferry status`` shows. Raises ``Refused``."""
        found: dict[str, Any] = await self._call("GET", "/status")
        return found

    async def set_stage(self, name: str, stage: str, percent: int | None = None) -> None:
        """Change a collection's stage. Raises ``Refused``."""
        await self._call("PUT", f"/collections/{name}/stage", {"stage": stage, "percent": percent})

    async def backfill(self, name: str, *, restart: bool = False) -> None:
        """Copy a collection and wait for the end. Raises ``Refused``."""
        await self.start_job("backfill", name, restart=restart)
        while (job := await self.job("backfill", name))["state"] == "running":  # noqa: ASYNC110
            await asyncio.sleep(_POLL_SECONDS)
        if job["state"] != "done":
            raise Refused(str(job))

    async def start_job(self, kind: str, name: str, **options: object) -> None:
        """Begin a backfill or a verification. Raises ``Refused``."""
        await self._call("POST", f"/collections/{name}/{kind}", options)

    async def tune_job(self, kind: str, name: str, **options: object) -> None:
        """Change the options of an open job. Raises ``Refused``."""
        await self._call("PATCH", f"/collections/{name}/{kind}", options)

    async def job(self, kind: str, name: str) -> dict[str, Any]:
        """Return the newest job of a kind as the operator sees it. Raises ``Refused``."""
        found: dict[str, Any] = (await self._call("GET", f"/collections/{name}/{kind}"))["job"]
        return found

    async def repair(self, name: str, *, after: str | None, apply: bool) -> dict[str, Any]:
        """Look at, or repair, one page of the newest receipt's ids. Raises ``Refused``."""
        body = {"after": after, "apply": apply}
        found: dict[str, Any] = await self._call("POST", f"/collections/{name}/repair", body)
        return found

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        headers = {"Authorization": f"Bearer {keys.read(self._data_dir)}"}
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.request(
                    method,
                    f"{self._control}/v1/control{path}",
                    json=body,
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(_COMMAND_SECONDS),
                ) as answer,
            ):
                text = await answer.text()
                if answer.status != HTTPStatus.OK:
                    raise Refused(f"{self.name} {method} {path}: {answer.status} {text[:300]}")
                return await answer.json()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Refused(f"{self.name} {method} {path}: {type(error).__name__} {error}") from None


_PORTS = ("VECFERRY_PORT", "VECFERRY_CONTROL_PORT")
