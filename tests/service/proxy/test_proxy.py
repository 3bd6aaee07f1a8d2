"""The proxy as clients meet it: what they are told when something breaks, what is counted and logged."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Callable, MutableMapping
from typing import Any

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from service.config import Settings
from service.control.state import CollectionState
from service.errors import Refusal, StaleEpoch
from service.proxy.answers import Answers
from service.proxy.exchange import Exchange
from service.proxy.passing import Passer
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from tests.service.proxy.conftest import CONFIG
from tests.service.proxy.raw import Say, ok, raw_server
from tests.service.running import until
from tests.service.wired import listening, wired

MakeSettings = Callable[..., Settings]
Logs = list[MutableMapping[str, Any]]

NOWHERE = "http://127.0.0.1:9"
SEARCH = b"POST /collections/c/points/search HTTP/1.1\r\nhost: x\r\n"


def _requests(logs: Logs) -> Logs:
    return [line for line in logs if line["event"] == "request"]


async def _counted(client: httpx.AsyncClient, kind: str, answered_by: str, status: str) -> bool:
    labels = f'answered_by="{answered_by}",kind="{kind}",status="{status}"'
    return f"vecferry_requests_total{{{labels}}} 1.0" in (await client.get("/metrics")).text


async def test_a_source_that_is_away_is_a_503_in_qdrants_envelope(settings: MakeSettings) -> None:
    """The client can read why, and neither it nor the log gets a stack trace."""
    async with wired(settings(qdrant_url=NOWHERE)) as here:
        with capture_logs() as logs:
            answer = await here.client.post("/collections/c/points/search", json={})
        assert answer.status_code == 503
        assert answer.json()["status"]["error"].startswith(
            "Service unavailable: the source (Qdrant) cannot be reached"
        )
        assert "Traceback" not in answer.text
        assert await _counted(here.client, "search", "source", "5xx")
    assert [line["event"] for line in logs] == ["request"]


async def test_every_request_is_one_line_and_one_count(settings: MakeSettings) -> None:
    """The line says what it was, who answered and how long it took; health and metrics are not traffic."""
    async with (
        raw_server(ok(b'{"result":1}')) as source,
        wired(settings(qdrant_url=source.url)) as here,
    ):
        with capture_logs() as logs:
            await here.client.post("/collections/a%20b/points/count?x=1", content=b"{}")
            await here.client.get("/healthz")
            assert await _counted(here.client, "read", "source", "2xx")
    (line,) = _requests(logs)
    seconds = line.pop("milliseconds") / 1000
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "POST",
        "path": "/collections/a%20b/points/count",
        "kind": "read",
        "status": 200,
        "answered_by": "source",
    }
    assert 0 < seconds < 10


async def test_a_requests_id_goes_everywhere(settings: MakeSettings) -> None:
    """To Qdrant, into the answer in place of Qdrant's, and into the log; own paths and errors have one, too."""
    answered = ok(b'{"result":1}', b"x-request-id: qdrants")
    async with (
        raw_server(answered, answered) as source,
        wired(settings(qdrant_url=source.url)) as here,
    ):
        given = {"x-request-id": "r-1"}
        with capture_logs(processors=[merge_contextvars]) as logs:
            passed = await here.client.post("/collections/a/points/count", json={}, headers=given)
            made = await here.client.post("/collections/a/points/count", json={})
            own = await here.client.get("/healthz")
        away = await here.client.get("/collections/a", headers=given)
    assert passed.headers.get_list("x-request-id") == ["r-1"]
    assert b"x-request-id: r-1\r\n" in source.requests[0].lower()
    ours = made.headers["x-request-id"]
    assert f"x-request-id: {ours}\r\n".encode() in source.requests[1].lower()
    assert len({"r-1", ours, own.headers["x-request-id"]}) == 3
    assert [line["request_id"] for line in _requests(logs)] == ["r-1", ours]
    assert (away.status_code, away.headers["x-request-id"]) == (503, "r-1")


async def _refusals(client: httpx.AsyncClient, reason: Refusal) -> bool:
    line = f'vecferry_refused_requests_total{{reason="{reason}"}} 1.0'
    return line in (await client.get("/metrics")).text


async def test_one_request_too_many_is_a_503_at_once(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In Qdrant's shape, with Retry-After, counted and logged; health and metrics are never refused."""
    go_on = asyncio.Event()

    async def wait(_: Passer, exchange: Exchange, **__: object) -> None:
        await go_on.wait()
        await exchange.answer(200, (), b"{}")

    monkeypatch.setattr(Passer, "forward", wait)
    async with (
        wired(settings(qdrant_url=NOWHERE, max_requests=2)) as here,
        asyncio.TaskGroup() as tasks,
    ):
        waiting = [tasks.create_task(here.client.get("/collections/c")) for _ in range(2)]
        in_flight = "vecferry_requests_in_flight 2.0"
        while in_flight not in (await here.client.get("/metrics")).text:  # noqa: ASYNC110 - a scrape is all there is
            await asyncio.sleep(0.01)
        with capture_logs() as logs:
            refused = await here.client.put("/collections/c/points", content=b"x" * 1000)
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "2 requests are being answered" in refused.json()["status"]["error"]
        assert logs[0]["refused"] == "requests"
        assert await _refusals(here.client, Refusal.REQUESTS)
        assert (await here.client.get("/readyz")).status_code == 200
        go_on.set()
        assert [(await each).status_code for each in waiting] == [200, 200]
        assert (await here.client.get("/collections/c")).status_code == 200


async def test_a_body_without_room_is_a_503_before_it_is_read(
    settings: MakeSettings, database: Database
) -> None:
    """Refused from the head while another body is held, and taken when there is room again."""
    await PostgresControl(database).arm("c", CONFIG, actor="test", is_new=True)
    sent: list[bytes] = []

    async def body() -> AsyncIterator[bytes]:
        sent.append(b"x" * 600)
        yield sent[0]

    async with wired(settings(qdrant_url=NOWHERE, max_buffered_bytes=500)) as here:
        refused = await here.client.put("/collections/c/points", content=body())
        assert await _refusals(here.client, Refusal.BODIES)
        small = await here.client.put("/collections/c/points", content=b"[]")
        assert await _refusals(here.client, Refusal.SOURCE)  # it came as far as the store
        assert "vecferry_held_body_bytes 0.0" in (await here.client.get("/metrics")).text
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert small.status_code == 503


async def test_what_a_store_that_is_away_costs_is_counted_and_its_address_kept(
    settings: MakeSettings,
) -> None:
    """The client reads no host; the log has it for the operator."""
    async with wired(settings(qdrant_url=NOWHERE)) as here:
        with capture_logs() as logs:
            answer = await here.client.get("/collections/c")
        assert await _refusals(here.client, Refusal.SOURCE)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "127.0.0.1" not in answer.text
    (line,) = _requests(logs)
    assert (line["refused"], "127.0.0.1" in line["detail"]) == ("source", True)


async def test_an_answer_that_breaks_off_is_cut_and_not_completed(settings: MakeSettings) -> None:
    """The client sees fewer bytes than promised instead of a short answer that looks whole."""
    half = Say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", closes=True)
    async with (
        raw_server(half) as source,
        wired(settings(qdrant_url=source.url)) as here,
        listening(here.instance.proxy) as (host, port),
    ):
        reader, writer = await asyncio.open_connection(host, port)
        with capture_logs() as logs:
            writer.write(SEARCH + b"content-length: 2\r\n\r\n{}")
            answer = await reader.read()
        writer.close()
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answer.endswith(b"4\r\nhalf\r\n")
    assert [line["event"] for line in logs] == ["answer_broken_off", "request"]
    assert logs[0]["exc_info"] is False


@pytest.mark.parametrize("stage", [Stage.OFF, Stage.DUALWRITE])
@pytest.mark.parametrize("length", [100, 2_000_000])
async def test_an_upload_that_breaks_off_reaches_no_store(
    settings: MakeSettings, database: Database, stage: Stage, length: int
) -> None:
    """Passed or mirrored, held or streamed: a client that dies in its body has written nothing."""
    if stage is Stage.DUALWRITE:
        await PostgresControl(database).arm("c", CONFIG, actor="test", is_new=True)
    head = b"PUT /collections/c/points HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % length
    aliases = ok(b'{"result":{"aliases":[]}}')
    script = [aliases] if stage is Stage.DUALWRITE else []
    async with raw_server(*script) as source, wired(settings(qdrant_url=source.url)) as here:
        async with listening(here.instance.proxy) as (host, port):
            with capture_logs() as logs:
                _, writer = await asyncio.open_connection(host, port)
                writer.write(head + b'{"points":[]}')
                await writer.drain()
                await asyncio.sleep(0.05)
                writer.close()
                await until(lambda: _requests(logs))
        assert await _counted(here.client, "write", "nobody", "none")
        assert here.instance.resyncer.is_idle
    assert [each for each in source.requests if b"PUT" in each] == []
    assert (_requests(logs)[0]["answered_by"], len(logs)) == ("nobody", 1)


async def test_a_body_beyond_the_limit_is_413_where_it_must_be_held(
    settings: MakeSettings, database: Database
) -> None:
    """A mirrored write is read into memory, hence the limit; one that passes is streamed without any."""
    await PostgresControl(database).arm("c", CONFIG, actor="test", is_new=True)
    body = b"x" * 2_000_000
    aliases = ok(b'{"result":{"aliases":[]}}')
    async with raw_server(*[aliases] * 50) as source:
        made = settings(qdrant_url=source.url, max_body_bytes=1000)
        async with wired(made) as here:
            mirrored = await here.client.put("/collections/c/points", content=body)
            passed = await here.client.put("/collections/other/points", content=body)
    assert (mirrored.status_code, passed.status_code) == (413, 200)
    assert "limit of 1000 bytes" in mirrored.json()["status"]["error"]
    assert [each.endswith(body) for each in source.requests].count(True) == 1


async def test_where_the_target_answers_the_key_is_asked_for(
    settings: MakeSettings, database: Database
) -> None:
    """Without it there is no answer, with it there is the target's."""
    made = settings(qdrant_url=NOWHERE, qdrant_api_key="secret")
    async with wired(made) as here:
        await PostgresControl(database).adopt_target("c", CONFIG, actor="test")
        await here.instance.plane.refresh()
        refused = await here.client.get("/collections/c")
        answered = await here.client.get("/collections/c", headers={"api-key": "secret"})
        assert await _counted(here.client, "read", "target", "2xx")
    assert (refused.status_code, refused.text.startswith("Must provide")) == (401, True)
    assert answered.json()["result"]["points_count"] == 0


async def test_a_stage_that_keeps_changing_is_a_503_to_retry(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt looks at the newest state; after the last one the client is asked to come again."""
    attempts = 0

    async def stale(*_: object) -> None:
        nonlocal attempts
        attempts += 1
        raise StaleEpoch

    monkeypatch.setattr(Answers, "by", stale)
    async with wired(settings(qdrant_url=NOWHERE)) as here:
        answer = await here.client.post("/collections/c/points/count", json={})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert attempts == 3


async def test_a_read_that_is_decided_anew_still_has_its_body(
    settings: MakeSettings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client sends it once; the first attempt may have been answered by Postgres already."""
    attempts = 0
    is_owing = Answers._is_owing

    async def stale_at_first(answers: Answers, state: CollectionState) -> bool:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise StaleEpoch
        return await is_owing(answers, state)

    monkeypatch.setattr(Answers, "_is_owing", stale_at_first)
    async with wired(settings(qdrant_url=NOWHERE)) as here:
        await PostgresControl(database).adopt_target("c", CONFIG, actor="test")
        await here.instance.plane.refresh()
        async with asyncio.timeout(10):
            answer = await here.client.post(
                "/collections/c/points/scroll", json={"filter": {"must": [{"has_id": [1]}]}}
            )
    assert (answer.status_code, attempts) == (200, 1), answer.text


async def test_a_fault_of_ours_is_a_500_without_a_stack_trace(
    settings: MakeSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client learns its kind, the log has the trace, and the request is counted like any other."""

    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Passer, "forward", broken)
    async with wired(settings(qdrant_url=NOWHERE)) as here:
        with capture_logs() as logs:
            answer = await here.client.get("/collections/c")
    assert answer.status_code == 500
    assert answer.json()["status"]["error"] == "Service internal error: ZeroDivisionError"
    assert [line["event"] for line in logs] == ["request_failed", "request"]


async def test_idle_clients_do_not_hold_up_a_stop(settings: MakeSettings) -> None:
    """Connections that wait for their next request are closed at once."""
    async with raw_server(ok()) as source, wired(settings(qdrant_url=source.url)) as here:
        async with listening(here.instance.proxy) as address:
            idle = http.client.HTTPConnection(*address, timeout=5)
            silent = http.client.HTTPConnection(*address, timeout=5)
            await asyncio.to_thread(silent.connect)
            await asyncio.to_thread(idle.request, "GET", "/telemetry")
            assert (await asyncio.to_thread(idle.getresponse)).read() == b"{}"
            started = time.monotonic()
        assert time.monotonic() - started < 2.0
        idle.close()
        silent.close()
