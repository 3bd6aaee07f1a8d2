"""A request's id: whose it is, where it goes, and where it does not."""

import asyncio

import httpx
import pytest
import structlog
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.contextvars import get_contextvars, merge_contextvars
from structlog.testing import capture_logs

from service.api.request_ids import RequestIds

_log = structlog.get_logger(__name__)


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Log a line and answer with the id that a store would see, and with one that a store gave."""
    _log.info("inside")
    seen = Request(scope).headers.getlist("x-request-id")
    answer = PlainTextResponse(",".join(seen), headers={"X-Request-Id": "the-stores-own"})
    await answer(scope, receive, send)


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(RequestIds(_echo)), base_url="http://proxy"
    )


@pytest.mark.parametrize("given", ["a", "0af7651916cd43dd-8448eb211c80319c", "!" + "~" * 127])
async def test_a_sane_id_is_kept(given: str) -> None:
    """In the answer alone, towards the store, and in the log."""
    async with _client() as client:
        with capture_logs(processors=[merge_contextvars]) as logs:
            answer = await client.get("/", headers={"x-request-id": given})
    assert answer.headers.get_list("x-request-id") == [given]
    assert answer.text == given
    assert [line["request_id"] for line in logs] == [given]
    assert get_contextvars() == {}


@pytest.mark.parametrize(
    "given",
    [
        [],
        [b""],
        [b"a b"],
        [b"a\tb"],
        ["ä".encode()],
        [b"x" * 129],
        [b"one", b"two"],
    ],
    ids=["none", "empty", "space", "tab", "not-ascii", "long", "two"],
)
async def test_any_other_id_is_replaced(given: list[bytes]) -> None:
    """By one of ours, a new one for every request."""
    headers = [(b"x-request-id", value) for value in given]
    async with _client() as client:
        answers = [await client.get("/", headers=headers) for _ in range(2)]
    made = [answer.headers["x-request-id"] for answer in answers]
    assert [answer.text for answer in answers] == made
    assert len(set(made)) == 2
    assert all(len(each) == 32 and each.isalnum() for each in made)


async def test_requests_at_the_same_time_keep_their_ids_apart() -> None:
    """What one request logs after a pause is not what the other one brought."""
    met = asyncio.Barrier(2)

    async def pausing(scope: Scope, receive: Receive, send: Send) -> None:
        await met.wait()
        await _echo(scope, receive, send)

    transport = httpx.ASGITransport(RequestIds(pausing))
    async with httpx.AsyncClient(transport=transport, base_url="http://proxy") as client:
        with capture_logs(processors=[merge_contextvars]) as logs:
            await asyncio.gather(
                *(client.get("/", headers={"x-request-id": name}) for name in ("a", "b"))
            )
    assert sorted(line["request_id"] for line in logs) == ["a", "b"]
