"""The pass-through between a client's messages and a source on the level of bytes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.requests import ClientDisconnect

from service.errors import SourceUnavailable
from service.proxy.passing import Passer
from service.stores.qdrant.forward import Forwarder
from tests.service.proxy.asgi import Client, exchange
from tests.service.proxy.raw import HANG_UP, RawServer, Say, ok, raw_server

LONG = 1024 * 1024 + 1


@asynccontextmanager
async def _passing(*script: Say) -> AsyncIterator[tuple[Passer, RawServer]]:
    async with raw_server(*script) as server:
        forwarder = Forwarder(server.url, timeout_seconds=5.0, max_connections=4)
        yield Passer(forwarder), server
        await forwarder.aclose()


async def test_a_request_and_its_answer_pass() -> None:
    """The client gets status, headers and body of the source, and the source is named as who answered."""
    client = Client((b"{}",))
    found = exchange(client, "POST", "/x?a=1", [(b"content-length", b"2")])
    async with _passing(ok(b"[1]", b"X-A: 1")) as (passer, server):
        await passer.forward(found)
    assert server.requests[0].startswith(b"POST /x?a=1 HTTP/1.1\r\n")
    assert (client.status, client.body, client.is_complete) == (200, b"[1]", True)
    assert client.headers == [(b"X-A", b"1"), (b"content-length", b"3")]
    assert found.answered_by == "source"


async def test_a_long_body_is_streamed_past_every_limit() -> None:
    """What passes is not held: the limit on bodies in memory does not bound it."""
    client = Client((b"x" * (LONG - 1), b"y"))
    headers = [(b"content-length", b"%d" % LONG)]
    async with _passing(ok()) as (passer, server):
        await passer.forward(exchange(client, "PUT", "/x", headers, limit=10))
    assert server.requests[0].endswith(b"xy")
    assert len(server.requests[0].partition(b"\r\n\r\n")[2]) == LONG


@pytest.mark.parametrize("length", [b"4", b"%d" % LONG, None])
async def test_a_client_that_hangs_up_in_its_body_ends_the_request(length: bytes | None) -> None:
    """Held or streamed: the source never sees a whole request, and the fault is the client's."""
    headers = [(b"transfer-encoding", b"chunked")]
    if length is not None:
        headers = [(b"content-length", length)]
    client = Client((b"abc",), hangs_up=True)
    async with _passing(ok()) as (passer, server):
        with pytest.raises(ClientDisconnect):
            await passer.forward(exchange(client, "PUT", "/x", headers), may_repeat=True)
    assert server.requests == []
    assert client.sent == []


async def test_an_answer_that_breaks_off_is_not_completed() -> None:
    """The client's server is not told that the body is over."""
    client = Client()
    half = Say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", closes=True)
    async with _passing(half) as (passer, _):
        with pytest.raises(SourceUnavailable):
            await passer.forward(exchange(client), may_repeat=True)
    assert (client.status, client.is_complete) == (200, False)


async def test_nothing_is_repeated_once_an_answer_began() -> None:
    """A second attempt could only append to the first one's bytes."""
    half = Say(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", closes=True)
    async with _passing(half, ok()) as (passer, server):
        with pytest.raises(SourceUnavailable):
            await passer.forward(exchange(Client()), may_repeat=True)
    assert len(server.requests) == 1


async def test_a_read_survives_a_closed_connection() -> None:
    """The client of a repeated read sees one answer."""
    client = Client((b"{}",))
    found = exchange(client, "POST", "/x", [(b"content-length", b"2")])
    async with _passing(HANG_UP, ok(b"[1]")) as (passer, server):
        await passer.forward(found, may_repeat=True)
    assert (client.status, client.body, len(server.requests)) == (200, b"[1]", 2)


async def test_a_stream_is_never_repeated() -> None:
    """Its beginning is gone, whatever the request was."""
    client = Client((b"{}",))
    found = exchange(client, "POST", "/x", [(b"transfer-encoding", b"chunked")])
    async with _passing(HANG_UP, ok()) as (passer, server):
        with pytest.raises(SourceUnavailable):
            await passer.forward(found, may_repeat=True)
    assert len(server.requests) == 1


async def test_a_copy_is_what_the_client_got_and_can_be_read() -> None:
    """A sampled search asks for an uncompressed answer: a compressed one could not be compared."""
    client = Client((b"{}",))
    headers = [(b"accept-encoding", b"gzip, br"), (b"content-length", b"2"), (b"x-a", b"1")]
    async with _passing(ok(b'{"result":[]}')) as (passer, server):
        copy = await passer.forward_copied(exchange(client, "POST", "/x", headers))
    assert copy == client.body == b'{"result":[]}'
    assert b"accept-encoding" not in server.requests[0].lower()
    assert b"x-a: 1" in server.requests[0]


async def test_without_a_source_nothing_was_applied() -> None:
    """Where no Qdrant is configured the error says so."""
    with pytest.raises(SourceUnavailable, match="not configured") as raised:
        await Passer(None).forward(exchange(Client()))
    assert raised.value.may_have_applied is False


async def test_a_request_of_ours_carries_the_clients_headers() -> None:
    """The key that the source checks is the client's."""
    async with _passing(ok(b"[]")) as (passer, server):
        answer = await passer.send(
            "POST", "/x", query={"wait": "true"}, headers=[(b"api-key", b"k")], body=b"{}"
        )
    assert (answer.status, answer.body) == (200, b"[]")
    assert b"api-key: k\r\n" in server.requests[0]
    assert server.requests[0].startswith(b"POST /x?wait=true ")
