"""Writes as the client sees them: what Qdrant itself answers, on a mirrored collection in either authority.

Every request goes to a collection behind the proxy and to a twin that lives in Qdrant alone; the answers are compared.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import orjson
import pytest
from starlette.types import ASGIApp

from service.config import Settings
from service.errors import SourceUnavailable, TargetUnavailable
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.fenced import FencedPgStore
from service.stores.qdrant.forward import Forwarder
from tests.service.running import until
from tests.service.stores.postgres.staged import current
from tests.service.wired import Wired, listening, wired

MakeSettings = Callable[..., Settings]

CONFIG = {"vectors": {"size": 2, "distance": "Dot"}}
RED = {"must": [{"key": "colour", "match": {"value": "red"}}]}
BROKEN = {"must": [{"key": "colour", "match": {"no": "such"}}]}


def point(number: int, colour: str = "red") -> dict[str, Any]:
    """Return a point as a client sends it."""
    return {
        "id": number,
        "vector": [float(number), 1.0],
        "payload": {"colour": colour, "n": number},
    }


Write = tuple[str, str, Any]

WRITES: dict[str, Write] = {
    "upsert": ("PUT", "", {"points": [point(1), point(20)]}),
    "upsert as columns": (
        "PUT", "", {"batch": {"ids": [1, 21], "vectors": [[1, 2], [3, 4]], "payloads": [{}, None]}},
    ),
    "upsert conditional": ("PUT", "", {"points": [point(1, "blue")], "update_filter": RED}),
    "upsert wrong size": ("PUT", "", {"points": [{"id": 1, "vector": [1.0, 2.0, 3.0]}]}),
    "upsert without points": ("PUT", "", {}),
    "upsert no json": ("PUT", "", b"{"),
    "upsert bad id": ("PUT", "", {"points": [{"id": -1, "vector": [1.0, 2.0]}]}),
    "vectors": ("PUT", "/vectors", {"points": [{"id": 1, "vector": [9.0, 9.0]}]}),
    "vectors of nobody": ("PUT", "/vectors", {"points": [{"id": 99, "vector": [9.0, 9.0]}]}),
    "vectors deleted": ("POST", "/vectors/delete", {"points": [1], "vector": [""]}),
    "vectors deleted by filter": ("POST", "/vectors/delete", {"filter": RED, "vector": [""]}),
    "payload set": ("POST", "/payload", {"payload": {"a": 1}, "points": [1, 2]}),
    "payload set by filter": ("POST", "/payload", {"payload": {"a": 1}, "filter": RED}),
    "payload set by key": ("POST", "/payload", {"payload": {"b": 1}, "points": [1], "key": "a"}),
    "payload of nobody": ("POST", "/payload", {"payload": {"a": 1}, "points": [1, 99]}),
    "payload without selector": ("POST", "/payload", {"payload": {"a": 1}}),
    "payload overwritten": ("PUT", "/payload", {"payload": {"a": 2}, "points": [3]}),
    "payload keys deleted": ("POST", "/payload/delete", {"keys": ["n"], "points": [1]}),
    "payload keys deleted by filter": ("POST", "/payload/delete", {"keys": ["n"], "filter": RED}),
    "payload cleared": ("POST", "/payload/clear", {"points": [1]}),
    "payload cleared by filter": ("POST", "/payload/clear", {"filter": RED}),
    "delete": ("POST", "/delete", {"points": [1, 99]}),
    "delete by filter": ("POST", "/delete", {"filter": RED}),
    "delete by broken filter": ("POST", "/delete", {"filter": BROKEN}),
    "payload by broken filter": ("POST", "/payload", {"payload": {"a": 1}, "filter": BROKEN}),
    "batch": (
        "POST", "/batch",
        {"operations": [{"upsert": {"points": [point(1)]}}, {"delete": {"points": [2]}}]},
    ),
    "batch with a filter": (
        "POST", "/batch",
        {"operations": [
            {"upsert": {"points": [point(30)]}},
            {"set_payload": {"payload": {"a": 1}, "filter": RED}},
            {"delete": {"points": [2]}},
        ]},
    ),
    "batch with a broken filter": (
        "POST", "/batch",
        {"operations": [{"upsert": {"points": [point(30)]}}, {"delete": {"filter": BROKEN}}]},
    ),
    "batch of nothing known": ("POST", "/batch", {"operations": [{"paint": {}}]}),
}  # fmt: skip


REFUSED_IN_PART = ("payload of nobody", "vectors of nobody")

SEED = [point(1), point(2), point(3, "blue")]

WAITING: list[tuple[dict[str, str], str]] = [
    ({"wait": "true"}, "completed"),
    ({"wait": "false"}, "acknowledged"),
    ({}, "acknowledged"),
]


@dataclass(frozen=True, slots=True)
class Twins:
    """The same collection behind the proxy and in Qdrant alone."""

    proxied: httpx.AsyncClient
    direct: httpx.AsyncClient
    name: str
    stage: Stage
    proxy: ASGIApp

    async def ask(self, write: Write, **query: str) -> tuple[httpx.Response, httpx.Response]:
        """Send a request to both."""
        method, suffix, body = write
        path = f"/collections/{self.name}/points{suffix}"
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        headers = {"content-type": "application/json"}
        ours = await self.proxied.request(method, path, params=query, headers=headers, **content)
        twin = path.replace(self.name, f"{self.name}-twin")
        return ours, await self.direct.request(
            method, twin, params=query, headers=headers, **content
        )

    async def seed(self) -> None:
        """Let both hold the same three points and no other."""
        everything: dict[str, Any] = {"filter": {"must_not": [{"has_id": []}]}}
        await self.ask(("POST", "/delete", everything), wait="true")
        await self.ask(("PUT", "", {"points": SEED}), wait="true")

    async def points(self) -> list[dict[str, Any]]:
        """Return what is behind the proxy."""
        return await _points(self.proxied, self.name)

    async def are_equal(self) -> bool:
        """Whether both hold the same points."""
        return await self.points() == await _points(self.direct, f"{self.name}-twin")


async def _points(client: httpx.AsyncClient, name: str) -> list[dict[str, Any]]:
    body = {"limit": 100, "with_payload": True, "with_vector": True}
    answer = await client.post(f"/collections/{name}/points/scroll", json=body)
    found: list[dict[str, Any]] = answer.json()["result"]["points"]
    return found


def _comparable(answer: httpx.Response) -> tuple[int, object]:
    """Return what must be the same: not the time, not the number of the operation, not the name."""
    body = answer.json()
    body.pop("time", None)
    result = body.get("result")
    for each in result if isinstance(result, list) else [result]:
        if isinstance(each, dict):
            assert isinstance(each.pop("operation_id"), int)
    return answer.status_code, body


async def _enter(here: Wired, database: Database, name: str, stage: Stage) -> None:
    control = PostgresControl(database)
    if stage is not Stage.DUALWRITE:
        await until(lambda: here.instance.resyncer.is_idle)
        state = await current(control, name)
        await control.publish(state, stage, 100, actor="test", token=None)
        await here.instance.plane.refresh()


@pytest.fixture(params=[Stage.DUALWRITE, Stage.RAMP, Stage.LIVE])
async def twins(
    request: pytest.FixtureRequest,
    settings: MakeSettings,
    database: Database,
    qdrant_url: str,
) -> AsyncIterator[Twins]:
    """Twins with three points, the one behind the proxy in this stage."""
    name = f"test-{uuid4().hex}"
    made = settings(qdrant_url=qdrant_url, default_stage=Stage.DUALWRITE, shadow_sample_rate=0.0)
    async with (
        wired(made) as here,
        httpx.AsyncClient(base_url=qdrant_url, timeout=30.0) as direct,
    ):
        await here.client.put(f"/collections/{name}", json=CONFIG)
        await direct.put(f"/collections/{name}-twin", json=CONFIG)
        twins = Twins(here.client, direct, name, request.param, here.instance.proxy)
        await twins.seed()
        await _enter(here, database, name, request.param)
        yield twins
        for each in (name, f"{name}-twin"):
            await direct.delete(f"/collections/{each}")


async def test_every_write_is_answered_as_by_qdrant(twins: Twins) -> None:
    """Status and body, mistakes included; and afterwards both collections are the same."""
    differing = []
    for kind, write in WRITES.items():
        await twins.seed()
        ours, direct = await twins.ask(write, wait="true")
        if _comparable(ours) != _comparable(direct):
            differing.append((kind, ours.text, direct.text))
        if twins.stage is Stage.LIVE and kind in REFUSED_IN_PART:
            assert ours.status_code == 404
            continue
        if not await twins.are_equal():
            differing.append((kind, "points", "points"))
    assert differing == []


@pytest.mark.parametrize("twins", [Stage.LIVE], indirect=True)
async def test_what_is_refused_where_postgres_is_right_changes_nothing(twins: Twins) -> None:
    """Qdrant refuses such a write after it has done a part of it; a transaction has no parts."""
    await twins.seed()
    before = await twins.points()
    for kind in REFUSED_IN_PART:
        method, suffix, body = WRITES[kind]
        path = f"/collections/{twins.name}/points{suffix}"
        assert (await twins.proxied.request(method, path, json=body)).status_code == 404
    assert await twins.points() == before


async def test_waiting_is_honoured(twins: Twins) -> None:
    """`completed` to whoever waits, `acknowledged` to whoever does not, as Qdrant itself says it."""
    for kind in ("upsert", "delete by filter", "batch", "batch with a filter"):
        for query, expected in WAITING:
            ours, direct = await twins.ask(WRITES[kind], **query)
            assert _comparable(ours) == _comparable(direct)
            result = ours.json()["result"]
            results = result if isinstance(result, list) else [result]
            assert {each["status"] for each in results} == {expected}, kind


async def test_one_clients_writes_keep_their_order(twins: Twins) -> None:
    """One after the other, waiting or not: the last one is what is there."""
    for number in range(20):
        body = {"points": [{"id": 7, "vector": [float(number), 0.0], "payload": {"n": number}}]}
        await twins.ask(("PUT", "", body), wait=str(number % 3 == 0).lower())
    await twins.ask(("PUT", "", {"points": [point(8)]}), wait="true")
    assert await twins.are_equal()
    (seven,) = [each for each in await twins.points() if each["id"] == 7]
    assert (seven["payload"], seven["vector"]) == ({"n": 19}, [19.0, 0.0])


async def test_pipelined_writes_keep_their_order(twins: Twins) -> None:
    """Several in one packet on one connection, none of them waiting: answered in order, the last one is there."""
    path = f"/collections/{twins.name}/points"
    requests = []
    for number in range(10):
        vector = [float(number), 0.0]
        body = orjson.dumps({"points": [{"id": 7, "vector": vector, "payload": {"n": number}}]})
        head = f"PUT {path}?wait=false HTTP/1.1\r\nhost: x\r\nx-request-id: {number}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        requests.append(head.encode() + body)
    last = requests.pop().replace(b"host: x", b"host: x\r\nconnection: close")
    async with listening(twins.proxy) as (host, port):
        reader, writer = await asyncio.open_connection(host, port)
        writer.write(b"".join([*requests, last]))
        answers = await reader.read()
        writer.close()
    order = [int(line.split()[1]) for line in answers.splitlines() if line[:12] == b"x-request-id"]
    assert (order, answers.count(b'"acknowledged"')) == (list(range(10)), 10)
    await twins.ask(("PUT", "", {"points": [point(8)]}), wait="true")
    (seven,) = [each for each in await twins.points() if each["id"] == 7]
    assert seven["payload"] == {"n": 9}


async def test_a_write_may_be_sent_again_after_a_503(
    twins: Twins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the first one took effect and only its answer was lost, whichever store is right."""
    _lose_one_answer(monkeypatch, twins.stage)
    write = WRITES["batch"]
    method, suffix, body = write
    path = f"/collections/{twins.name}/points{suffix}"
    lost = await twins.proxied.request(method, path, json=body, params={"wait": "true"})
    assert (lost.status_code, lost.headers["retry-after"]) == (503, "1")
    again, direct = await twins.ask(write, wait="true")
    assert _comparable(again) == _comparable(direct)
    assert await twins.are_equal()


def _lose_one_answer(monkeypatch: pytest.MonkeyPatch, stage: Stage) -> None:
    """Let the next write of the store that is right end without an answer."""
    owner: Any = FencedPgStore if stage is Stage.LIVE else Forwarder
    method = "apply_fenced" if stage is Stage.LIVE else "fetch"
    away = TargetUnavailable if stage is Stage.LIVE else SourceUnavailable
    whole = getattr(owner, method)

    async def lossy(*arguments: Any, **options: Any) -> None:
        await whole(*arguments, **options)
        monkeypatch.setattr(owner, method, whole)
        reason = "dropped the connection"
        raise away(reason)

    monkeypatch.setattr(owner, method, lossy)
