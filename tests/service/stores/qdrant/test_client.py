"""The HTTP session, against a server that misbehaves on request."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from service.errors import CollectionNotFound, SourceUnavailable, StoreAnswered
from service.stores.qdrant.client import QdrantHttp

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def server(handler: Handler) -> AsyncIterator[str]:
    """Serve every path with one handler and yield the base URL."""
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


def answering(status: int, body: str) -> Handler:
    """Return a handler that always answers this."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body, content_type="application/json")

    return answer


async def test_the_result_is_unwrapped() -> None:
    """The envelope's result comes back, and the key and body arrive."""
    seen: dict[str, object] = {}

    async def echo(request: web.Request) -> web.StreamResponse:
        seen.update(path=request.raw_path, key=request.headers["api-key"])
        seen["body"] = await request.json()
        return web.json_response({"result": {"a": [1, 2]}, "status": "ok", "time": 0.1})

    async with server(echo) as url, QdrantHttp(url + "/", api_key="secret") as http:
        result = await http.request(
            "POST", "/collections/a%20b/points", body=b'{"x": 1}', params={"wait": "true"}
        )
    assert result == {"a": [1, 2]}
    assert seen == {
        "path": "/collections/a%20b/points?wait=true", "key": "secret", "body": {"x": 1},
    }  # fmt: skip


async def test_a_missing_collection_is_named() -> None:
    """The 404 of a collection is told from the 404 of a point by its text."""
    body = '{"status":{"error":"Not found: Collection `ü/x` doesn\'t exist!"},"time":0.1}'
    async with server(answering(404, body)) as url, QdrantHttp(url) as http:
        with pytest.raises(CollectionNotFound, match="`ü/x` doesn't exist!"):
            await http.request("POST", "/collections/%C3%BC%2Fx/points/scroll")


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, '{"status":{"error":"Not found: No point with id 99 found"},"time":0.1}'),
        (400, '{"status":{"error":"Wrong input: Vector dimension error"},"time":0.1}'),
        (401, "Invalid API key or JWT"),
        (502, "<html>bad gateway</html>"),
    ],
)
async def test_other_error_answers_are_passed_on(status: int, body: str) -> None:
    """Code and body are as they came, whether Qdrant wrote them or something in between."""
    async with server(answering(status, body)) as url, QdrantHttp(url) as http:
        with pytest.raises(StoreAnswered) as raised:
            await http.request("POST", "/collections/c/points")
    assert (raised.value.code, raised.value.body) == (status, body.encode())


@pytest.mark.parametrize("body", ["<html>hello</html>", "[]", '{"status":"ok"}'])
async def test_a_success_without_an_envelope_is_an_error(body: str) -> None:
    """A page of some load balancer is not taken for an empty result."""
    async with server(answering(200, body)) as url, QdrantHttp(url) as http:
        with pytest.raises(StoreAnswered):
            await http.request("GET", "/collections")


async def test_a_refused_connection_has_applied_nothing() -> None:
    """Where nobody listens the request cannot have arrived."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        async with QdrantHttp(f"http://127.0.0.1:{port}") as http:
            with pytest.raises(SourceUnavailable) as raised:
                await http.request("PUT", "/collections/c/points", body=b"{}")
    assert raised.value.may_have_applied is False


async def test_no_answer_in_time_leaves_the_outcome_open() -> None:
    """After a time-out the write may still have been applied."""

    async def sleep(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response()

    async with server(sleep) as url, QdrantHttp(url, timeout_seconds=0.05) as http:
        with pytest.raises(SourceUnavailable) as raised:
            await http.request("PUT", "/collections/c/points", body=b"{}")
    assert raised.value.may_have_applied is True


@pytest.mark.parametrize("method", ["PUT", "DELETE", "POST", "GET"])
async def test_a_broken_request_is_never_repeated(method: str) -> None:
    """A connection that breaks before the answer is reported once and the request was sent once."""
    arrived = 0

    async def hang_up(request: web.Request) -> web.StreamResponse:
        nonlocal arrived
        arrived += 1
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    async with server(hang_up) as url, QdrantHttp(url) as http:
        with pytest.raises(SourceUnavailable) as raised:
            await http.request(method, "/collections/c/points", body=b"{}")
    assert arrived == 1
    assert raised.value.may_have_applied is True


async def test_a_truncated_answer_leaves_the_outcome_open() -> None:
    """An answer whose body breaks off was a request that arrived."""

    async def break_off(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "1000"})
        await response.prepare(request)
        await response.write(b'{"result":')
        assert request.transport is not None
        request.transport.close()
        return response

    async with server(break_off) as url, QdrantHttp(url) as http:
        with pytest.raises(SourceUnavailable) as raised:
            await http.request("POST", "/collections/c/points")
    assert raised.value.may_have_applied is True


async def test_connections_are_kept_and_bounded() -> None:
    """Many requests at once share the allowed number of connections."""
    peers: set[object] = set()

    async def note(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        await asyncio.sleep(0.001)
        return web.json_response({"result": True})

    async with (
        server(note) as url,
        QdrantHttp(url, max_connections=3) as http,
        asyncio.TaskGroup() as many,
    ):
        for _ in range(20):
            many.create_task(http.request("GET", "/collections"))
    assert len(peers) == 3


async def test_who_waits_too_long_for_a_connection_has_applied_nothing() -> None:
    """A push that left much later than it was decided could undo a newer one (R7)."""
    arrived, released = asyncio.Event(), asyncio.Event()

    async def hold(_: web.Request) -> web.StreamResponse:
        arrived.set()
        await released.wait()
        return web.json_response({"result": True})

    async with (
        server(hold) as url,
        QdrantHttp(url, max_connections=1, turn_seconds=0.1) as http,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(http.request("GET", "/collections"))
        await arrived.wait()
        with pytest.raises(SourceUnavailable) as raised:
            await http.request("PUT", "/collections/c/points", body=b"{}")
        released.set()
    assert raised.value.may_have_applied is False
