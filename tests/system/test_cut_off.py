"""Instances that Postgres does not reach, next to one that it does: nobody is told anything that is not so (I6, I7)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from service import keys
from service.config import Settings, load
from tests.faults.wire import Wire
from tests.service.wired import wired
from tests.system.load import DIMENSIONS, points

_GRACE_SECONDS = 2.0
_PAUSE_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class _Instance:
    client: httpx.AsyncClient
    operator: httpx.AsyncClient

    async def write(self, name: str, point_id: int, tag: str) -> httpx.Response:
        body = {"points": points(point_id, 1, tag)}
        return await self.client.put(f"/collections/{name}/points?wait=true", json=body)

    async def tag(self, name: str, point_id: int) -> str | int:
        """Return the tag that is read, or the status of a read that was refused."""
        body = {"ids": [point_id], "with_payload": True}
        answer = await self.client.post(f"/collections/{name}/points", json=body)
        if answer.status_code != httpx.codes.OK:
            return answer.status_code
        return str(answer.json()["result"][0]["payload"]["tag"])

    async def answered(self, name: str, point_id: int) -> str | int:
        """Return the first tag that is read."""
        async with asyncio.timeout(30):
            while (seen := await self.tag(name, point_id)) == 503:  # noqa: ASYNC110 - an outage ends unsaid
                await asyncio.sleep(_PAUSE_SECONDS)
        return seen

    async def ready(self) -> None:
        """Wait until it says so."""
        async with asyncio.timeout(30):
            while (await self.client.get("/readyz")).status_code != 200:  # noqa: ASYNC110
                await asyncio.sleep(_PAUSE_SECONDS)

    async def to_stage(self, name: str, stage: str) -> int:
        path = f"/v1/control/collections/{name}/stage"
        return (await self.operator.put(path, json={"stage": stage})).status_code

    async def finished(self, kind: str, name: str) -> dict[str, object]:
        """Run a long job and return its result."""
        path = f"/v1/control/collections/{name}/{kind}"
        await self.operator.post(path, json={})
        while True:
            job = (await self.operator.get(path)).json()["job"]
            if job["state"] != "running":
                assert job["state"] == "done", job
                result: dict[str, object] = job["result"]
                return result
            await asyncio.sleep(0.05)


def _settings(database_url: str, qdrant_url: str, data_dir: Path) -> Settings:
    data_dir.mkdir()
    return load(
        database_url=database_url,
        qdrant_url=qdrant_url,
        data_dir=data_dir,
        grace_seconds=_GRACE_SECONDS,
        qdrant_timeout_seconds=1.5,
    )


@asynccontextmanager
async def _instance(settings: Settings) -> AsyncIterator[_Instance]:
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(wired(settings))
        operator = httpx.AsyncClient(
            transport=httpx.ASGITransport(here.instance.control),
            base_url="http://control",
            headers={"authorization": f"Bearer {keys.read(settings.data_dir)}"},
            timeout=60,
        )
        yield _Instance(here.client, await stack.enter_async_context(operator))


@asynccontextmanager
async def _wire_to(database_url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A relay before the database, and the address through it."""
    parts = urlsplit(database_url)
    assert parts.hostname is not None
    async with Wire(parts.hostname, parts.port or 5432).laid() as wire:
        user = parts.netloc.rpartition("@")[0]
        netloc = f"{user}@127.0.0.1:{wire.port}" if user else f"127.0.0.1:{wire.port}"
        yield wire, urlunsplit(parts._replace(netloc=netloc))


async def _created(client: httpx.AsyncClient, name: str) -> None:
    body = {"vectors": {"size": DIMENSIONS, "distance": "Dot"}}
    (await client.put(f"/collections/{name}", json=body)).raise_for_status()
    old = {"points": points(0, 20, "old")}
    (await client.put(f"/collections/{name}/points?wait=true", json=old)).raise_for_status()


@pytest.mark.slow
async def test_one_of_two_instances_is_cut_off(
    empty_database_url: str, qdrant_url: str, collection_name: str, tmp_path: Path
) -> None:
    """It goes on writing while Qdrant is right; after the flip it refuses until it is back, and is never stale."""
    name = collection_name
    async with AsyncExitStack() as stack:
        wire, relayed = await stack.enter_async_context(_wire_to(empty_database_url))
        here = await stack.enter_async_context(
            _instance(_settings(empty_database_url, qdrant_url, tmp_path / "here"))
        )
        there = await stack.enter_async_context(
            _instance(_settings(relayed, qdrant_url, tmp_path / "there"))
        )
        await _created(here.client, name)
        assert await here.to_stage(name, "dualwrite") == httpx.codes.OK
        await here.finished("backfill", name)
        assert await here.to_stage(name, "shadow") == httpx.codes.OK

        wire.hold()
        for number in range(10):
            written = await there.write(name, number, f"hinted {number}")
            assert written.status_code == httpx.codes.OK, written.text
            assert await here.tag(name, number) == f"hinted {number}"
        assert await here.to_stage(name, "live") == httpx.codes.CONFLICT  # it is still waited for
        async with asyncio.timeout(45):
            while await here.to_stage(name, "live") != httpx.codes.OK:
                assert await there.tag(name, 5) in {"hinted 5", 503}
        assert (await here.write(name, 5, "after the flip")).status_code == httpx.codes.OK
        for _ in range(5):
            assert await there.tag(name, 5) == 503
            assert (await there.write(name, 5, "never")).status_code == 503
        assert (await there.client.get("/readyz")).status_code == 503

        wire.pass_all()
        assert await there.answered(name, 5) == "after the flip"
        assert (await there.client.get("/readyz")).status_code == 200
        assert (await here.finished("verify", name))["clean"]
        assert await here.tag(name, 7) == "hinted 7"


async def test_a_start_without_postgres(
    empty_database_url: str, qdrant_url: str, collection_name: str, tmp_path: Path
) -> None:
    """Reads pass, every write is refused; when Postgres comes the instance is like any other."""
    name = collection_name
    async with httpx.AsyncClient(base_url=qdrant_url) as direct:
        await _created(direct, name)
    async with _wire_to(empty_database_url) as (wire, relayed):
        wire.cut()
        async with _instance(_settings(relayed, qdrant_url, tmp_path / "data")) as here:
            assert await here.answered(name, 3) == "old"
            refused = await here.write(name, 3, "new")
            assert refused.status_code == 503
            assert "Retry-After" in refused.headers
            assert "postgres" in (await here.client.get("/readyz")).json()
            assert (await here.operator.get("/v1/control/status")).status_code in {200, 503}

            wire.pass_all()
            await here.ready()
            assert (await here.write(name, 3, "new")).status_code == httpx.codes.OK
            assert await here.to_stage(name, "dualwrite") == httpx.codes.OK
            assert await here.tag(name, 3) == "new"
