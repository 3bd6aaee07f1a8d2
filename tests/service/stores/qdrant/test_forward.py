"""Passing through, compared byte by byte with what arrives at the other end."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from service.errors import SourceUnavailable
from service.stores.qdrant.forward import Body, Forwarder, RawHeaders
from tests.service.proxy.raw import HANG_UP, RawServer, Say, ok, raw_server
from tests.service.running import until

Answered = tuple[int, list[tuple[bytes, bytes]], bytes]


def _forwarder(url: str, *, seconds: float = 5.0, connections: int = 10) -> Forwarder:
    return Forwarder(url, timeout_seconds=seconds, max_connections=connections)


async def _ask(
    server: RawServer,
    method: str = "GET",
    target: str = "/x",
    headers: RawHeaders = (),
    body: Body = None,
) -> Answered:
    forwarder = _forwarder(server.url)
    try:
        async with forwarder.send(method, target, headers, body) as passing:
            content = b"".join([chunk async for chunk in passing.chunks])
            return passing.status, list(passing.headers), content
    finally:
        await forwarder.aclose()


def _lines(request: bytes) -> list[bytes]:
    """Return the head's lines without the host, which is the connection's own."""
    lines = request.partition(b"\r\n\r\n")[0].split(b"\r\n")
    return [line for line in lines if not line.lower().startswith(b"host:")]


async def test_a_request_arrives_as_it_was_sent() -> None:
    """Path, query, repeated headers, their order and the body are untouched, and nothing is added."""
    target = "/collections/a%2Fb%20c/points?wait=true&x=%7e&x=+&y"
    headers = [
        (b"api-key", b"secret"),
        (b"x-trace", b"1"),
        (b"x-trace", b"2"),
        (b"content-encoding", b"gzip"),
        (b"accept-encoding", b"gzip"),
        (b"x-name", "grün".encode()),
        (b"content-length", b"4"),
    ]
    async with raw_server(ok()) as server:
        await _ask(server, "PATCH", target, headers, b"\x1f\x8b\x00\xff")
    (request,) = server.requests
    expected = [b"PATCH %s HTTP/1.1" % target.encode()]
    expected += [name + b": " + value for name, value in headers]
    assert _lines(request) == expected
    assert request.endswith(b"\r\n\r\n\x1f\x8b\x00\xff")


async def test_what_belongs_to_the_connection_stays_there() -> None:
    """Hop-by-hop headers, and those that ``Connection`` names, end here; their neighbours pass."""
    headers = [
        (b"connection", b"keep-alive, X-Private"),
        (b"keep-alive", b"timeout=5"),
        (b"te", b"trailers"),
        (b"upgrade", b"h2c"),
        (b"proxy-authorization", b"Basic x"),
        (b"x-private", b"1"),
        (b"x-public", b"1"),
    ]
    async with raw_server(ok()) as server:
        await _ask(server, headers=headers)
    assert _lines(server.requests[0]) == [b"GET /x HTTP/1.1", b"x-public: 1"]


async def test_an_answer_comes_back_as_it_was_given() -> None:
    """Status, header case, repeated headers and a compressed body are untouched."""
    body = b"\x1f\x8b\x08not really gzip"
    answer = (
        b"HTTP/1.1 422 Unprocessable\r\nContent-Encoding: gzip\r\nX-A: 1\r\nx-a: 2\r\n"
        b"Set-Cookie: a=b\r\nConnection: keep-alive\r\nContent-Length: %d\r\n\r\n" % len(body)
    )
    async with raw_server(Say(answer + body)) as server:
        status, headers, content = await _ask(server)
    assert (status, content) == (422, body)
    assert headers == [
        (b"Content-Encoding", b"gzip"),
        (b"X-A", b"1"),
        (b"x-a", b"2"),
        (b"Set-Cookie", b"a=b"),
        (b"Content-Length", b"%d" % len(body)),
    ]


async def test_a_chunked_answer_loses_only_its_framing() -> None:
    """The pieces are one body; how they were framed was the connection's affair."""
    answer = (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    async with raw_server(Say(answer)) as server:
        assert await _ask(server) == (200, [], b"abcde")


async def test_the_answer_to_head_has_a_length_and_no_body() -> None:
    """The length describes what GET would answer; nobody waits for that many bytes."""
    async with raw_server(Say(b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n")) as server:
        assert await _ask(server, "HEAD") == (200, [(b"Content-Length", b"1234")], b"")


async def test_a_redirect_is_the_clients_to_follow() -> None:
    """The 307 is passed on and its location is not asked."""
    answer = b"HTTP/1.1 307 Moved\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with raw_server(Say(answer), ok()) as server:
        status, headers, _ = await _ask(server)
    assert (status, headers[0]) == (307, (b"Location", b"/elsewhere"))
    assert len(server.requests) == 1


@pytest.mark.parametrize("announced", [True, False])
async def test_a_stream_keeps_its_framing(announced: bool) -> None:
    """An upload of known length arrives with that length, one of unknown length in chunks."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"
        yield b"de"

    headers = [(b"content-length", b"5")] if announced else [(b"transfer-encoding", b"chunked")]
    async with raw_server(ok()) as server:
        await _ask(server, "PUT", "/x", headers, pieces())
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    if announced:
        assert (body, b"chunked" in head.lower()) == (b"abcde", False)
    else:
        assert (body, b"content-length" in head.lower()) == (
            b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
            False,
        )


@pytest.mark.parametrize("announced", [True, False])
async def test_a_broken_upload_never_looks_whole(announced: bool) -> None:
    """When the client's body ends early, the source gets neither the announced length nor a last chunk."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"abc"
        raise ConnectionAbortedError

    headers = [(b"content-length", b"5")] if announced else [(b"transfer-encoding", b"chunked")]
    async with raw_server(ok()) as server:
        with pytest.raises(SourceUnavailable):
            await _ask(server, "PUT", "/x", headers, pieces())
    assert server.requests == []
    assert len(server.broken) == 1
    assert not server.broken[0].endswith(b"0\r\n\r\n")


async def test_an_answer_that_breaks_off_is_an_error() -> None:
    """Fewer bytes than announced are never passed for an answer."""
    half = Say(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", closes=True)
    async with raw_server(half) as server:
        with pytest.raises(SourceUnavailable, match="dropped the connection"):
            await _ask(server)


async def test_nobody_there_has_applied_nothing() -> None:
    """A refused connection is told apart from one that broke."""
    async with raw_server() as server:
        pass
    with pytest.raises(SourceUnavailable, match="cannot be reached") as raised:
        await _ask(server)
    assert raised.value.may_have_applied is False


@pytest.mark.parametrize("may_repeat", [True, False])
async def test_only_what_may_be_repeated_survives_a_closed_connection(may_repeat: bool) -> None:
    """A pooled connection that the source closed costs a read nothing; a write is never sent twice."""
    answers: list[bytes] = []
    async with raw_server(ok(b"1"), HANG_UP, ok(b"2")) as server:
        forwarder = _forwarder(server.url)
        try:
            for _ in range(2):
                async with forwarder.send(
                    "POST", "/x", [(b"content-length", b"2")], b"{}", may_repeat=may_repeat
                ) as passing:
                    answers.append(b"".join([chunk async for chunk in passing.chunks]))
        except SourceUnavailable:
            assert not may_repeat
        finally:
            await forwarder.aclose()
    assert answers == ([b"1", b"2"] if may_repeat else [b"1"])
    assert (len(server.requests), server.connections) == ((3, 2) if may_repeat else (2, 1))


async def test_a_repetition_is_not_repeated() -> None:
    """A source that dies on a request is asked twice, then the client hears of it."""
    async with raw_server(HANG_UP, HANG_UP, ok()) as server:
        forwarder = _forwarder(server.url)
        with pytest.raises(SourceUnavailable):
            async with forwarder.send("GET", "/x", (), None, may_repeat=True):
                pass
        await forwarder.aclose()
    assert len(server.requests) == 2


async def test_a_time_out_is_not_repeated() -> None:
    """Who is too slow once is not asked again."""
    async with raw_server(Say(b""), ok()) as server:
        forwarder = _forwarder(server.url, seconds=0.1)
        with pytest.raises(SourceUnavailable, match="in time"):
            async with forwarder.send("GET", "/x", (), None, may_repeat=True):
                pass
        await forwarder.aclose()
    assert len(server.requests) == 1


async def test_who_waits_too_long_for_a_connection_is_not_sent() -> None:
    """A write that left much later than it was decided could land when others have settled its intent (R7)."""
    async with raw_server(Say(b""), ok()) as server:
        forwarder = Forwarder(server.url, timeout_seconds=5, max_connections=1, turn_seconds=0.1)
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(_unavailable(forwarder))
            await until(lambda: server.requests)
            error = await _unavailable(forwarder)
            await forwarder.aclose()
            await first
    assert (len(server.requests), error.may_have_applied) == (1, False)


async def _unavailable(forwarder: Forwarder) -> SourceUnavailable:
    with pytest.raises(SourceUnavailable) as raised:
        await forwarder.fetch("PUT", "/x", query={}, headers=(), body=b"{}")
    return raised.value


async def test_connections_are_kept() -> None:
    """Requests one after the other share a connection."""
    async with raw_server(ok(), ok(), ok()) as server:
        forwarder = _forwarder(server.url)
        for _ in range(3):
            async with forwarder.send("GET", "/x", (), None) as passing:
                assert [chunk async for chunk in passing.chunks] == [b"{}"]
        await forwarder.aclose()
    assert (len(server.requests), server.connections) == (3, 1)


async def test_what_we_read_ourselves_is_asked_for_uncompressed() -> None:
    """A fetched answer must be readable, and a body of ours has a length of its own."""
    headers = [(b"Accept-Encoding", b"gzip"), (b"Content-Length", b"9"), (b"api-key", b"k")]
    async with raw_server(ok(b"[]", b"x-a: 1")) as server:
        forwarder = _forwarder(server.url)
        status, answered, body = await forwarder.fetch(
            "PUT", "/x", query={"wait": "true", "k": "a b"}, headers=headers, body=b"{}"
        )
        await forwarder.aclose()
    assert _lines(server.requests[0]) == [
        b"PUT /x?wait=true&k=a+b HTTP/1.1",
        b"api-key: k",
        b"Content-Length: 2",
    ]
    assert (status, body) == (200, b"[]")
    assert list(answered) == [(b"x-a", b"1"), (b"content-length", b"2")]


async def test_a_base_path_is_kept() -> None:
    """A source behind a path of a gateway is asked below it."""
    async with raw_server(ok()) as server:
        forwarder = _forwarder(server.url + "/qdrant/")
        async with forwarder.send("GET", "/collections", (), None):
            pass
        await forwarder.aclose()
    assert server.requests[0].startswith(b"GET /qdrant/collections HTTP/1.1\r\n")
