"""Mirrored writes and sampled searches against a source that compresses what it may, as Qdrant does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest
from aiohttp import web

from service import keys
from service.config import Settings
from service.control import plane as plane_module
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from shadow.observation import ShadowRead
from shadow.reads import ShadowReads
from tests.service.proxy.conftest import CONFIG
from tests.service.wired import wired

MakeSettings = Callable[..., Settings]

RESULTS: dict[str, object] = {
    "/collections/c/cluster": True,
    "/aliases": {"aliases": []},
    "/collections/c/points/scroll": {"points": [{"id": 1}], "next_page_offset": None},
    "/collections/c/points/delete": {"operation_id": 1, "status": "completed"},
    "/collections/c/points/payload": {"operation_id": 1, "status": "completed"},
    "/collections/c/points/search": [{"id": 1, "score": 0.5, "version": 0}],
    "/collections/c/points": [],
}


@asynccontextmanager
async def _compressing(bodies: dict[str, object]) -> AsyncIterator[str]:
    """Serve ``RESULTS``, compressed for who accepts it, and note the last body of each path."""

    async def answer(request: web.Request) -> web.Response:
        bodies[request.path] = json.loads(await request.read() or b"null")
        envelope = {"result": RESULTS[request.path], "status": "ok", "time": 0.0}
        response = web.json_response(envelope)
        response.enable_compression()
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("wait", [True, False])
async def test_a_write_by_filter_reads_what_it_needs(
    settings: MakeSettings, database: Database, wait: bool
) -> None:
    """The ids are found, the filter stays beside them (R4), and who does not wait is acknowledged."""
    await PostgresControl(database).arm("c", CONFIG, actor="test", is_new=True)
    condition = {"must": [{"key": "a", "match": {"value": 1}}]}
    bodies: dict[str, object] = {}
    async with _compressing(bodies) as url, wired(settings(qdrant_url=url)) as here:
        answer = await here.client.post(
            "/collections/c/points/delete",
            params={"wait": str(wait).lower()},
            json={"filter": condition},
            headers={"accept-encoding": "gzip"},
        )
        assert await here.instance.resyncer.drained(10.0)
    assert answer.json()["result"]["status"] == ("completed" if wait else "acknowledged")
    assert bodies["/collections/c/points/delete"] == {
        "filter": {"must": [{"has_id": [1]}, condition]}
    }


@pytest.mark.parametrize(
    ("params", "headers", "status"),
    [
        ({"wait": "yes"}, {}, 400),
        ({"wait": "true"}, {"content-encoding": "gzip"}, 501),
        ({"wait": "true"}, {"content-encoding": "identity"}, 200),
    ],
)
async def test_a_mirrored_write_must_be_readable(
    settings: MakeSettings,
    database: Database,
    params: dict[str, str],
    headers: dict[str, str],
    status: int,
) -> None:
    """A parameter that Qdrant refuses is refused, and so is a body that hides its ids; neither leaves an intent."""
    await PostgresControl(database).arm("c", CONFIG, actor="test", is_new=True)
    bodies: dict[str, object] = {}
    async with _compressing(bodies) as url, wired(settings(qdrant_url=url)) as here:
        answer = await here.client.post(
            "/collections/c/points/delete", params=params, json={"points": [1]}, headers=headers
        )
        assert await here.instance.resyncer.drained(10.0)
    assert answer.status_code == status
    assert ("/collections/c/points/delete" in bodies) is (status == 200)


async def test_a_sampled_search_can_be_compared(
    settings: MakeSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every official client accepts compression; its searches are compared all the same."""
    control = PostgresControl(database)
    await control.arm("c", CONFIG, actor="test", is_new=True)
    offered: list[ShadowRead] = []
    monkeypatch.setattr(ShadowReads, "offer", lambda _, read: offered.append(read))
    async with _compressing({}) as url, wired(settings(qdrant_url=url)) as here:
        state = here.instance.plane.view.state("c")
        await control.publish(state, Stage.SHADOW, 100, actor="test", token=None)
        await here.instance.plane.refresh()
        answer = await here.client.post(
            "/collections/c/points/search",
            json={"vector": [1.0, 2.0], "limit": 1},
            headers={"accept-encoding": "gzip"},
        )
    assert answer.json()["result"] == RESULTS["/collections/c/points/search"]
    assert [(read.collection, read.observation.ids) for read in offered] == [("c", (1,))]


async def test_what_would_go_around_the_mirror_is_refused(
    settings: MakeSettings, database: Database
) -> None:
    """Recovering a snapshot under a mirror would change every point unseen; the answer says what to do."""
    await PostgresControl(database).arm("c", CONFIG, actor="test", is_new=True)
    bodies: dict[str, object] = {}
    async with _compressing(bodies) as url, wired(settings(qdrant_url=url)) as here:
        answer = await here.client.put("/collections/c/snapshots/recover", json={})
    assert answer.status_code == 501
    assert "set its stage to off first" in answer.json()["status"]["error"]
    assert "/collections/c/snapshots/recover" not in bodies


@pytest.mark.parametrize(
    ("body", "status"),
    [({"move_shard": {}}, 200), ({"drop_sharding_key": {}}, 501), ({}, 501), ([], 501)],
)
async def test_shards_of_a_mirrored_collection_may_move(
    settings: MakeSettings, database: Database, body: object, status: int
) -> None:
    """No point changes; what takes points away with their shard does not pass."""
    await PostgresControl(database).arm("c", CONFIG, actor="test", is_new=True)
    async with _compressing({}) as url, wired(settings(qdrant_url=url)) as here:
        answer = await here.client.post("/collections/c/cluster", json=body)
    assert answer.status_code == status


@pytest.mark.parametrize("stage", [Stage.SHADOW, Stage.RAMP])
async def test_a_read_under_a_freeze_sees_the_flip(
    settings: MakeSettings, database: Database, monkeypatch: pytest.MonkeyPatch, stage: Stage
) -> None:
    """An instance that has not heard of the new stage yet answers by it: others write by it already (I7).

    So does one whose moved reads fall back to the source: this one cannot see whether somebody is marked.
    """
    monkeypatch.setattr(plane_module, "POLL_SECONDS", 60.0)
    control, token = PostgresControl(database), uuid4()
    await control.arm("c", CONFIG, actor="test", is_new=True)
    bodies: dict[str, object] = {}
    search = {"vector": [1.0, 2.0], "limit": 1}
    async with _compressing(bodies) as url, wired(settings(qdrant_url=url)) as here:
        plane, path = here.instance.plane, "/collections/c/points/search"
        await control.publish(plane.view.state("c"), stage, 100, actor="test", token=None)
        state = (await plane.refresh()).state("c")
        await control.freeze(state, token, 30)
        await plane.refresh()
        before = await here.client.post(path, json=search)
        assert before.json()["result"] == RESULTS[path]
        bodies.clear()
        await control.publish(state, Stage.LIVE, 100, actor="test", token=token)
        assert plane.view.state("c").stage is stage
        after = await here.client.post(path, json=search)
    assert (after.json()["result"], path in bodies) == ([], False)


async def test_a_moved_read_has_a_budget(
    settings: MakeSettings, qdrant_url: str, collection_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A target that hangs, however long its driver takes to give up, delays nobody beyond it (I5)."""
    changes = {"default_stage": Stage.DUALWRITE, "ramp_read_seconds": 0.3}
    path = f"/collections/{collection_name}"
    released = asyncio.Event()

    async def hang(*_: object) -> bool:
        try:
            await released.wait()
        finally:
            await released.wait()
        return False

    made = settings(qdrant_url=qdrant_url, **changes)
    async with wired(made) as here:
        client, plane = here.client, here.instance.plane
        await client.put(path, json={"vectors": {"size": 2, "distance": "Dot"}})
        point = {"id": 1, "vector": [1.0, 2.0]}
        await client.put(f"{path}/points?wait=true", json={"points": [point]})
        operator = {"authorization": f"Bearer {keys.read(made.data_dir)}"}
        transport = httpx.ASGITransport(here.instance.control)
        async with httpx.AsyncClient(transport=transport, base_url="http://c") as control:
            for wanted in ({"stage": "shadow"}, {"stage": "ramp", "percent": 100}):
                answer = await control.put(
                    f"/v1/control{path}/stage", json=wanted, headers=operator
                )
                assert answer.status_code == 200, answer.text
        assert plane.view.state(collection_name).stage is Stage.RAMP
        # Another test's instance may have left its mark in Qdrant: no read moves until the grace period is over.
        async with asyncio.timeout(made.grace_seconds + 20):
            while 'kind="read",status="2xx"' not in _by_target(await client.get("/metrics")):
                assert (await client.post(f"{path}/points/count", json={})).json()["result"] == {
                    "count": 1
                }
                await asyncio.sleep(0.05)
        monkeypatch.setattr(PostgresIntents, "is_owing", hang)
        began = time.monotonic()
        answer = await client.post(f"{path}/points/count", json={})
        assert (answer.status_code, time.monotonic() - began < 3.0) == (200, True)
        released.set()


def _by_target(page: httpx.Response) -> str:
    lines = [line for line in page.text.splitlines() if line.startswith("vecferry_requests_total")]
    return "\n".join(line for line in lines if 'answered_by="target"' in line)
