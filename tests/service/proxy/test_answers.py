"""Mirrored writes and sampled searches against a source that compresses what it may, as Qdrant does."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from service.config import Settings
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from shadow.observation import ShadowRead
from shadow.reads import ShadowReads
from tests.service.proxy.conftest import CONFIG
from tests.service.wired import wired

MakeSettings = Callable[..., Settings]

RESULTS: dict[str, object] = {
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
