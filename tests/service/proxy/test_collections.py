"""Requests about whole collections, on a wired instance between a real Qdrant engine and a real Postgres."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import uuid4

import httpx
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from service.config import Settings
from service.control import plane as plane_module
from service.control.register import REGISTER
from service.stages import Side, Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from tests.service.proxy.conftest import CONFIG
from tests.service.wired import Wired, wired

MakeSettings = Callable[..., Settings]

BODY = {"vectors": {"size": 2, "distance": "Dot"}}
TOO_LONG = 16_001
"""More dimensions than a vector in Postgres has, and fewer than Qdrant's limit."""
POINT = {"points": [{"id": 1, "vector": [1.0, 2.0]}]}


@pytest.fixture
async def qdrant(qdrant_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the source itself."""
    async with httpx.AsyncClient(base_url=qdrant_url, timeout=30.0) as client:
        yield client


def _names(answer: httpx.Response) -> list[str]:
    return [each["name"] for each in answer.json()["result"]["collections"]]


async def _adopt(here: Wired, database: Database, name: str) -> None:
    """Put a collection on the target, as one that has completed its migration."""
    await PostgresControl(database).adopt_target(name, CONFIG, actor="test")
    await here.instance.plane.refresh()


async def test_while_the_source_answers_its_list_passes(
    settings: MakeSettings, qdrant_url: str, qdrant: httpx.AsyncClient, collection_name: str
) -> None:
    """Before anything has moved the list is the source's own answer, without our register."""
    await qdrant.put(f"/collections/{collection_name}", json=BODY)
    async with wired(settings(qdrant_url=qdrant_url)) as here:
        listed = await here.client.get("/collections")
    assert collection_name in _names(listed)
    present = set(_names(await qdrant.get("/collections")))
    assert set(_names(listed)) == present - {REGISTER}


async def test_the_merged_list_names_both_and_asks_for_the_key(
    settings: MakeSettings, qdrant_url: str, collection_name: str, database: Database,
    qdrant: httpx.AsyncClient,
) -> None:  # fmt: skip
    """Once a collection lives on the target the list is ours: merged, sorted, and only for who has the key."""
    await qdrant.put(f"/collections/{collection_name}", json=BODY)
    made = settings(qdrant_url=qdrant_url, qdrant_api_key="secret")
    async with wired(made) as here:
        await _adopt(here, database, "moved")
        refused = await here.client.get("/collections")
        listed = await here.client.get("/collections", headers={"api-key": "secret"})
    assert (refused.status_code, "moved" in refused.text) == (401, False)
    assert {collection_name, "moved"} <= set(_names(listed))
    assert _names(listed) == sorted(_names(listed))


async def test_without_a_source_only_the_key_opens(settings: MakeSettings) -> None:
    """With everything on the target, what is not about one collection needs the key too; the version does not."""
    made = settings(default_stage=Stage.COMPLETE, qdrant_api_key="secret")
    async with wired(made) as here:
        assert (await here.client.get("/collections")).status_code == 401
        assert (await here.client.get("/telemetry")).status_code == 401
        assert (await here.client.get("/")).json()["version"]
        key = {"api-key": "secret"}
        assert _names(await here.client.get("/collections", headers=key)) == []
        created = await here.client.put("/collections/new", json=BODY, headers=key)
        assert created.json()["result"] is True
        assert _names(await here.client.get("/collections", headers=key)) == ["new"]


async def test_creating_is_forwarded_and_arms_when_everything_new_is_mirrored(
    settings: MakeSettings, qdrant_url: str, qdrant: httpx.AsyncClient, collection_name: str
) -> None:
    """The collection is on the source, mirrored from its first point, and needs no backfill."""
    made = settings(qdrant_url=qdrant_url, default_stage=Stage.DUALWRITE)
    async with wired(made) as here:
        answer = await here.client.put(f"/collections/{collection_name}", json=BODY)
        assert answer.json()["result"] is True
        state = here.instance.plane.view.state(collection_name)
        assert (state.stage, state.backfilled) == (Stage.DUALWRITE, True)
        assert state.generation is not None
    assert (await qdrant.get(f"/collections/{collection_name}")).status_code == 200


async def test_creating_changes_no_stage_by_default(
    settings: MakeSettings, qdrant_url: str, collection_name: str
) -> None:
    """With everything new off, Postgres does not hear of a new collection."""
    async with wired(settings(qdrant_url=qdrant_url)) as here:
        await here.client.put(f"/collections/{collection_name}", json=BODY)
        assert here.instance.plane.view.state(collection_name).epoch == 0


@pytest.mark.parametrize("path", ["/collections/{}", "/collections/aliases"])
async def test_a_change_whose_body_takes_its_time_is_decided_when_it_is_there(
    settings: MakeSettings,
    qdrant_url: str,
    qdrant: httpx.AsyncClient,
    collection_name: str,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    """Until then its instance may have lost both stores' word on the stages: what it knew is no longer true (I6)."""
    monkeypatch.setattr(plane_module, "_UNDECIDED_SECONDS", 0.05)
    async with wired(settings(qdrant_url=qdrant_url)) as here:

        async def slowly() -> AsyncIterator[bytes]:
            monkeypatch.setattr(here.instance.plane, "_is_in_force", lambda: False)
            yield json.dumps({"actions": []} if path.endswith("aliases") else BODY).encode()

        method = "POST" if path.endswith("aliases") else "PUT"
        answer = await here.client.request(method, path.format(collection_name), content=slowly())
    assert answer.status_code == 503
    assert collection_name not in _names(await qdrant.get("/collections"))


async def test_a_refused_creation_arms_nothing(
    settings: MakeSettings, qdrant_url: str, collection_name: str
) -> None:
    """Qdrant's error is the client's answer, and no tables are made for what is not there."""
    made = settings(qdrant_url=qdrant_url, default_stage=Stage.DUALWRITE)
    async with wired(made) as here:
        answer = await here.client.put(f"/collections/{collection_name}", json={"vectors": 1})
        assert answer.status_code == 400
        assert here.instance.plane.view.state(collection_name).epoch == 0


async def test_the_first_write_arms_a_collection_that_was_there_before(
    settings: MakeSettings, qdrant_url: str, qdrant: httpx.AsyncClient, collection_name: str
) -> None:
    """It is mirrored from that write on, and what it held before still needs a backfill."""
    await qdrant.put(f"/collections/{collection_name}", json=BODY)
    made = settings(qdrant_url=qdrant_url, default_stage=Stage.DUALWRITE)
    path = f"/collections/{collection_name}/points?wait=true"
    async with wired(made) as here:
        answers = await asyncio.gather(*[here.client.put(path, json=POINT) for _ in range(5)])
        assert [answer.status_code for answer in answers] == [200] * 5
        state = here.instance.plane.view.state(collection_name)
        assert (state.stage, state.backfilled, state.epoch) == (Stage.DUALWRITE, False, 1)
        assert await here.instance.resyncer.drained(10.0)


async def test_what_cannot_be_mirrored_is_kept_off_and_logged(
    settings: MakeSettings, qdrant_url: str, qdrant: httpx.AsyncClient, collection_name: str
) -> None:
    """The client's writes go on unharmed; the operator sees which collection stays behind, and why, once."""
    await qdrant.put(
        f"/collections/{collection_name}", json={"vectors": {"size": TOO_LONG, "distance": "Dot"}}
    )
    made = settings(qdrant_url=qdrant_url, default_stage=Stage.DUALWRITE)
    point = {"points": [{"id": 1, "vector": [1.0] * TOO_LONG}]}
    async with wired(made) as here:
        with capture_logs() as logs:
            for _ in range(2):
                answer = await here.client.put(f"/collections/{collection_name}/points", json=point)
                assert answer.status_code == 200
        assert here.instance.plane.view.state(collection_name).stage is Stage.OFF
    told = [line for line in logs if line["event"] == "collection_not_mirrored"]
    assert [(line["collection"], "dimensions" in line["reason"]) for line in told] == [
        (collection_name, True)
    ]


async def test_a_dropped_collection_takes_its_data_along_and_a_new_one_is_mirrored_again(
    settings: MakeSettings, qdrant_url: str, qdrant: httpx.AsyncClient, collection_name: str,
    database: Database,
) -> None:  # fmt: skip
    """Tables and intents go; what is created under the name is mirrored from its first point, in new tables."""
    made = settings(qdrant_url=qdrant_url, default_stage=Stage.DUALWRITE)
    async with wired(made) as here:
        await here.client.put(f"/collections/{collection_name}", json=BODY)
        await here.client.put(f"/collections/{collection_name}/points?wait=true", json=POINT)
        first = here.instance.plane.view.state(collection_name).generation
        answer = await here.client.delete(f"/collections/{collection_name}")
        assert answer.json()["result"] is True
        left = here.instance.plane.view.state(collection_name)
        assert (left.stage, left.generation) == (Stage.DUALWRITE, None)
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM vecferry.collections") == 0
        await here.client.put(f"/collections/{collection_name}", json=BODY)
        again = here.instance.plane.view.state(collection_name)
        assert again.generation not in {None, first}
        assert again.backfilled, "nothing was there to copy"
    assert (await qdrant.get(f"/collections/{collection_name}")).status_code == 200


async def test_a_collection_on_the_target_is_dropped_there(
    settings: MakeSettings, qdrant_url: str, database: Database
) -> None:
    """The source, which does not have it, is not asked."""
    name = f"moved-{uuid4().hex}"
    async with wired(settings(qdrant_url=qdrant_url)) as here:
        await _adopt(here, database, name)
        assert here.instance.plane.view.state(name).authority is Side.TARGET
        assert (await here.client.get(f"/collections/{name}")).status_code == 200
        answer = await here.client.delete(f"/collections/{name}")
        assert (answer.status_code, answer.json()["result"]) == (200, True)
        left = here.instance.plane.view.state(name)
        assert (left.stage, left.generation) == (Stage.COMPLETE, None)
        assert (await here.client.get(f"/collections/{name}")).status_code == 404


async def test_what_was_left_behind_in_qdrant_does_not_come_back(
    settings: MakeSettings,
    qdrant_url: str,
    qdrant: httpx.AsyncClient,
    collection_name: str,
    database: Database,
) -> None:
    """After a deletion in ``complete`` the stale copy in Qdrant answers nothing, and the name can be used again."""
    async with wired(settings(qdrant_url=qdrant_url)) as here:
        await _adopt(here, database, collection_name)
        await qdrant.put(f"/collections/{collection_name}", json=BODY)
        await qdrant.put(f"/collections/{collection_name}/points?wait=true", json=POINT)
        await here.client.delete(f"/collections/{collection_name}")
        path = f"/collections/{collection_name}"
        assert (await here.client.get(f"{path}/points/1")).status_code == 404
        listed = (await here.client.get("/collections")).json()["result"]["collections"]
        assert collection_name not in {entry["name"] for entry in listed}
        assert (await here.client.put(path, json=BODY)).status_code == 200
        assert (await here.client.post(f"{path}/points/count", json={})).json()["result"] == {
            "count": 0
        }


async def test_a_collection_that_was_never_moved_stays_with_qdrant(
    settings: MakeSettings, qdrant_url: str, qdrant: httpx.AsyncClient, collection_name: str
) -> None:
    """Where every new collection belongs to Postgres, what is in Qdrant is neither hidden nor taken over."""
    await qdrant.put(f"/collections/{collection_name}", json=BODY)
    await qdrant.put(f"/collections/{collection_name}/points?wait=true", json=POINT)
    made = settings(qdrant_url=qdrant_url, default_stage=Stage.COMPLETE)
    async with wired(made) as here:
        path = f"/collections/{collection_name}"
        assert (await here.client.get(f"{path}/points/1")).status_code == 200
        assert (await here.client.put(path, json=BODY)).status_code == 409
        assert here.instance.plane.view.state(collection_name).stage is Stage.OFF


@asynccontextmanager
async def _aliasing() -> AsyncIterator[str]:
    """Serve the two alias routes and one collection, which the embedded engine does not."""
    aliases: dict[str, str] = {}

    async def change(request: web.Request) -> web.Response:
        for action in (await request.json())["actions"]:
            made = action["create_alias"]
            aliases[made["alias_name"]] = made["collection_name"]
        return web.json_response({"result": True, "status": "ok", "time": 0.0})

    async def show(_: web.Request) -> web.Response:
        found = [{"alias_name": a, "collection_name": c} for a, c in aliases.items()]
        return web.json_response({"result": {"aliases": found}, "status": "ok", "time": 0.0})

    app = web.Application()
    app.router.add_post("/collections/aliases", change)
    app.router.add_get("/aliases", show)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


def _actions(body: dict[str, object]) -> list[object]:
    actions = body["actions"]
    assert isinstance(actions, list)
    return actions


def _alias(alias: str, collection: str) -> dict[str, object]:
    action = {"create_alias": {"alias_name": alias, "collection_name": collection}}
    return {"actions": [action]}


async def test_a_changed_alias_is_known_before_the_next_request(
    settings: MakeSettings, database: Database
) -> None:
    """After the answer every instance's next view has it: the revision grew."""
    async with _aliasing() as url, wired(settings(qdrant_url=url)) as here:
        control = PostgresControl(database)
        await control.arm("c", CONFIG, actor="test", is_new=True)
        before = (await here.instance.plane.refresh()).revision
        answer = await here.client.post("/collections/aliases", json=_alias("a", "c"))
        assert answer.status_code == 200
        assert here.instance.plane.view.physical("a") == "c"
        assert await control.revision() > before


async def test_an_alias_of_what_has_moved_is_made_where_postgres_is_right(
    settings: MakeSettings, database: Database
) -> None:
    """The source would point it at data that is no longer right; that it is away disturbs nobody."""
    async with _aliasing() as url, wired(settings(qdrant_url=url)) as here:
        await _adopt(here, database, "moved")
        answer = await here.client.post("/collections/aliases", json=_alias("a", "moved"))
        assert answer.json()["result"] is True
        async with httpx.AsyncClient(base_url=url) as source:
            assert (await source.get("/aliases")).json()["result"]["aliases"] == []
        assert (await here.client.get("/collections/a")).status_code == 200
        listed = (await here.client.get("/aliases")).json()["result"]["aliases"]
        assert listed == [{"alias_name": "a", "collection_name": "moved"}]


async def test_an_alias_is_not_named_like_what_has_moved(
    settings: MakeSettings, database: Database
) -> None:
    """The source does not know that collection; nor may a new one take the name of an alias that it does not know."""
    async with _aliasing() as url, wired(settings(qdrant_url=url)) as here:
        await _adopt(here, database, "moved")
        taken = await here.client.post("/collections/aliases", json=_alias("moved", "c"))
        assert (taken.status_code, "`moved` already exists" in taken.text) == (409, True)
        await here.client.post("/collections/aliases", json=_alias("a", "moved"))
        made = await here.client.put("/collections/a", json=BODY)
    assert made.status_code == 400
    assert made.json()["status"]["error"] == (
        "Wrong input: Can't create collection with name a. Alias with the same name already exists"
    )


async def test_one_list_of_actions_has_one_store(
    settings: MakeSettings, database: Database
) -> None:
    """An alias cannot move from one store to the other at once: the client is told what to do instead."""
    async with _aliasing() as url, wired(settings(qdrant_url=url)) as here:
        await _adopt(here, database, "moved")
        actions = [*_actions(_alias("a", "moved")), *_actions(_alias("b", "c"))]
        answer = await here.client.post("/collections/aliases", json={"actions": actions})
        assert answer.status_code == 501
        assert all(part in answer.text for part in ("`c`", "`moved`", "same side"))
        assert not here.instance.plane.view.aliases


async def test_a_stale_alias_of_the_source_is_nothing(
    settings: MakeSettings, database: Database
) -> None:
    """Qdrant would answer under it with what the collection was before it moved."""
    async with _aliasing() as url, wired(settings(qdrant_url=url)) as here:
        async with httpx.AsyncClient(base_url=url) as source:
            await source.post("/collections/aliases", json=_alias("a", "moved"))
        await _adopt(here, database, "moved")
        found = await here.client.get("/collections/a")
        exists = await here.client.get("/collections/a/exists")
    assert (found.status_code, exists.json()["result"]) == (404, {"exists": False})


async def test_the_version_is_told_while_the_source_is_away(settings: MakeSettings) -> None:
    """Clients check it when they start; everything else says that the source is away."""
    async with wired(settings(qdrant_url="http://127.0.0.1:9")) as here:
        assert (await here.client.get("/")).json()["version"]
        assert (await here.client.get("/telemetry")).status_code == 503


Handler = Callable[[web.Request], Awaitable[web.Response]]


@asynccontextmanager
async def _serving(handler: Handler) -> AsyncIterator[str]:
    """Serve a Qdrant that answers everything by one function."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def test_a_write_to_a_collection_that_is_not_there_is_not_passed_on(
    settings: MakeSettings, qdrant: httpx.AsyncClient, collection_name: str
) -> None:
    """It could arrive after somebody has made the collection, and would be in Qdrant alone; the answer is Qdrant's."""
    path = f"/collections/{collection_name}/points?wait=true"
    absent = await qdrant.put(path, json=POINT)
    arrived: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if request.method == "PUT" and collection_name in request.path:
            arrived.append(request.path)
            return web.json_response({"result": {"status": "completed"}, "status": "ok"})
        return web.json_response(absent.json(), status=404)

    async with _serving(answer) as url:
        made = settings(qdrant_url=url, default_stage=Stage.DUALWRITE)
        async with wired(made) as here:
            ours = await here.client.put(path, json=POINT)
            assert (ours.status_code, ours.json()["status"]) == (404, absent.json()["status"])
            assert here.instance.plane.view.state(collection_name).epoch == 0
    assert not arrived


async def _refuse(_: web.Request) -> web.Response:
    return web.Response(status=403, text="Invalid API key or JWT")


async def test_a_stranger_changes_nothing_of_ours(
    settings: MakeSettings, database: Database, collection_name: str
) -> None:
    """Whom Qdrant refuses leaves no stage, no table, no ``*`` intent and no held write behind."""
    async with _serving(_refuse) as url:
        made = settings(qdrant_url=url, default_stage=Stage.DUALWRITE)
        async with wired(made) as here:
            before = await PostgresControl(database).revision()
            path = f"/collections/{collection_name}"
            answers = [
                await here.client.put(path, json=BODY),
                await here.client.delete(path),
                await here.client.patch(path, json={}),
                await here.client.put(f"{path}/index", json={}),
                await here.client.put(f"{path}/points", json=POINT),
            ]
            assert [answer.status_code for answer in answers] == [403] * 5
            assert {answer.text for answer in answers} == {"Invalid API key or JWT"}
            assert await PostgresControl(database).revision() == before
            async with database.connection() as connection:
                assert await connection.fetchval("SELECT count(*) FROM vecferry.control") == 0


async def test_dropping_what_is_not_there_leaves_nothing(
    settings: MakeSettings, qdrant_url: str, database: Database
) -> None:
    """Qdrant says so, and no name is kept."""
    made = settings(qdrant_url=qdrant_url, default_stage=Stage.DUALWRITE)
    async with wired(made) as here:
        answer = await here.client.delete("/collections/nothing-of-this-name")
        assert (answer.status_code, answer.json()["result"]) == (200, False)
        async with database.connection() as connection:
            assert await connection.fetchval("SELECT count(*) FROM vecferry.control") == 0
            left = await connection.fetchval("SELECT count(*) FROM vecferry.collection_intents")
            assert left == 0
