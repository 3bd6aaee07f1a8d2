"""A whole instance with its operator, on real engines: stages and jobs as the command line asks for them."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from service import keys
from service.config import Settings
from service.stages import Stage
from service.stores.postgres.database import Database
from tests.service.wired import Wired, wired

BODY = {"vectors": {"size": 2, "distance": "Dot"}}
_JOB_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Operated:
    """A running instance; ``qdrant`` and ``database`` are the ways around it."""

    here: Wired
    operator: httpx.AsyncClient
    qdrant: httpx.AsyncClient
    database: Database
    name: str

    @property
    def path(self) -> str:
        return f"/collections/{self.name}"

    async def ask(self, method: str, path: str, body: object = None, *, status: int = 200) -> Any:
        """Call the control API and return what it answers."""
        answer = await self.operator.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def moved(self, stage: Stage, *, status: int = 200) -> Any:
        """Ask for a stage."""
        body = {"stage": stage, **({"percent": 10} if stage is Stage.RAMP else {})}
        return await self.ask("PUT", f"{self.path}/stage", body, status=status)

    async def done(self, kind: str) -> dict[str, Any]:
        """Run a job to its end and return its result."""
        await self.ask("POST", f"{self.path}/{kind}", {})
        async with asyncio.timeout(_JOB_SECONDS):
            while (found := await self._job(kind))["state"] == "running":  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
        assert found["state"] == "done", found
        result: dict[str, Any] = found["result"]
        return result

    async def _job(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = (await self.ask("GET", f"{self.path}/{kind}"))["job"]
        return found

    async def quarantined(self) -> list[tuple[int, str, bool]]:
        """Return the ids of the quarantine, who found them, and whether they are waived."""
        page = await self.ask("GET", f"/quarantine?collection={self.name}")
        return [(p["id"], p["found_by"], p["waived_by"] is not None) for p in page["points"]]

    async def write(self, *points: dict[str, Any]) -> None:
        """Write points through the proxy."""
        answer = await self.here.client.put(f"{self.path}/points", json={"points": list(points)})
        assert answer.status_code == 200, answer.text

    async def around(self, *points: dict[str, Any], gone: int | None = None) -> None:
        """Write points to Qdrant around the proxy, and delete one."""
        wait = {"wait": "true"}
        if points:
            body = {"points": list(points)}
            answer = await self.qdrant.put(f"{self.path}/points", json=body, params=wait)
            assert answer.status_code == 200, answer.text
        if gone is not None:
            path = f"{self.path}/points/delete"
            answer = await self.qdrant.post(path, json={"points": [gone]}, params=wait)
            assert answer.status_code == 200, answer.text

    async def on_source(self) -> dict[int, Any]:
        """Return the payloads in Qdrant."""
        answer = await self.qdrant.post(f"{self.path}/points/scroll", json={"limit": 10_000})
        return {each["id"]: each["payload"] for each in answer.json()["result"]["points"]}

    async def settled(self) -> None:
        """Return when the ledger is empty."""
        async with asyncio.timeout(_JOB_SECONDS), self.database.connection() as connection:
            while await connection.fetchval("SELECT count(*) FROM vecferry.intents"):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)


def body_of(point_id: int, **payload: object) -> dict[str, Any]:
    """Return a point as a client writes it."""
    return {"id": point_id, "vector": [float(point_id), 1.0], "payload": payload or {"n": point_id}}


@asynccontextmanager
async def operated(
    database_url: str,
    qdrant_url: str,
    data_dir: Path,
    name: str,
    *,
    strict: Mapping[str, object] | None = None,
    **changes: object,
) -> AsyncIterator[Operated]:
    """Run an instance over a collection of two dimensions that is only in Qdrant, in stage ``off``.

    ``strict`` are limits of its strict mode.
    """
    body = BODY if strict is None else {**BODY, "strict_mode_config": {"enabled": True, **strict}}
    values = {
        "database_url": database_url,
        "qdrant_url": qdrant_url,
        "data_dir": data_dir,
        "default_stage": Stage.OFF,
        "grace_seconds": 1.0,
        "verify_points_per_second": 0,
        **changes,
    }
    database = await Database.open(database_url, max_size=3)
    try:
        async with (
            httpx.AsyncClient(base_url=qdrant_url, timeout=30.0) as qdrant,
            wired(Settings.model_validate(values)) as here,
            httpx.AsyncClient(
                transport=httpx.ASGITransport(here.instance.control),
                base_url="http://control/v1/control",
                headers={"authorization": f"Bearer {keys.read(data_dir)}"},
                timeout=30.0,
            ) as operator,
        ):
            found = Operated(here, operator, qdrant, database, name)
            assert (await qdrant.put(found.path, json=body)).status_code == 200
            yield found
    finally:
        await database.close()
