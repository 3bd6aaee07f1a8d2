"""One exchange: its head as it was sent, its body once, its answer."""

import pytest
from starlette.requests import ClientDisconnect

from service.errors import BodyTooLarge, Overloaded
from service.proxy.bounds import Room
from service.proxy.exchange import Captured
from tests.service.proxy.asgi import Client, exchange


def test_the_target_is_as_it_was_sent() -> None:
    """Neither the path nor the query string is decoded, sorted or merged."""
    found = exchange(Client(), target="/collections/a%2Fb/points?wait=true&x=%20&x=&y")
    assert found.target == "/collections/a%2Fb/points?wait=true&x=%20&x=&y"
    assert found.path == "/collections/a%2Fb/points"
    assert found.query == {"wait": "true", "x": "", "y": ""}


async def test_a_body_in_pieces_is_read_once() -> None:
    """A second reader gets the same bytes, and so does an application behind us."""
    client = Client((b"ab", b"", b"cd"))
    found = exchange(client)
    assert await found.body() == b"abcd"
    assert await found.body() == b"abcd"
    assert [chunk async for chunk in found.stream()] == [b"abcd"]
    receive = found.replay()
    first = await receive()
    assert (first["body"], first["more_body"]) == (b"abcd", False)
    assert (await receive())["type"] == "http.disconnect"


async def test_an_unread_body_is_handed_on() -> None:
    """Without a reader before it the application receives from the client itself."""
    found = exchange(Client((b"ab", b"cd")))
    message = await found.replay()()
    assert (message["body"], message["more_body"]) == (b"ab", True)


async def test_the_limit_is_on_what_is_held_in_memory() -> None:
    """The limit itself passes, one byte more is 413, and a stream has no limit."""
    assert len(await exchange(Client((b"x" * 10,)), limit=10).body()) == 10
    with pytest.raises(BodyTooLarge, match="10 bytes") as raised:
        await exchange(Client((b"x" * 6, b"x" * 5)), limit=10).body()
    assert raised.value.status == 413
    streamed = exchange(Client((b"x" * 6, b"x" * 5)), limit=10).stream()
    assert sum([len(chunk) async for chunk in streamed]) == 11


async def test_a_held_body_takes_room_before_it_is_read() -> None:
    """One that is announced too long is refused unread; whatever was taken is given back at the end."""
    room = Room(10)
    first = exchange(Client((b"x" * 6,)), headers=[(b"content-length", b"6")], room=room)
    assert len(await first.body()) == 6
    late = Client((b"x" * 5,))
    second = exchange(late, headers=[(b"content-length", b"5")], room=room)
    with pytest.raises(Overloaded):
        await second.body()
    second.close()
    assert (room.held, await late.receive()) == (
        6,
        {"type": "http.request", "body": b"x" * 5, "more_body": False},
    )
    first.close()
    first.close()
    assert room.held == 0


async def test_a_body_of_unknown_length_takes_room_as_it_comes() -> None:
    """It is refused at the piece for which there is no room."""
    room = Room(10)
    found = exchange(Client((b"x" * 6, b"x" * 5, b"never read")), room=room)
    with pytest.raises(Overloaded):
        await found.body()
    assert room.held == 6
    found.close()
    assert room.held == 0


async def test_what_an_application_collects_takes_room_too() -> None:
    """A body that is handed on unread is held by whoever reads it, announced or not."""
    room = Room(10)
    announced = exchange(Client((b"x" * 6,)), headers=[(b"content-length", b"11")], room=room)
    with pytest.raises(Overloaded):
        await announced.replay()()
    found = exchange(Client((b"x" * 6, b"x" * 5)), room=room)
    receive = found.replay()
    assert (await receive())["body"] == b"x" * 6
    assert room.held == 6
    with pytest.raises(Overloaded):
        await receive()
    found.close()
    assert room.held == 0


async def test_an_announced_length_beyond_the_limit_is_refused_unread() -> None:
    """413 from the head alone."""
    client = Client((b"x",))
    found = exchange(client, headers=[(b"content-length", b"1001")])
    with pytest.raises(BodyTooLarge):
        await found.body()
    assert (await client.receive())["body"] == b"x"


async def test_a_client_that_hangs_up_is_not_the_end_of_a_body() -> None:
    """What arrived is never taken for the whole."""
    found = exchange(Client((b"half",), hangs_up=True))
    with pytest.raises(ClientDisconnect):
        await found.body()
    assert found.is_broken_off


@pytest.mark.parametrize(
    ("headers", "has_body", "is_small"),
    [
        ([], False, False),
        ([(b"content-length", b"0")], True, True),
        ([(b"content-length", b"1048576")], True, True),
        ([(b"content-length", b"1048577")], True, False),
        ([(b"transfer-encoding", b"chunked")], True, False),
    ],
)
def test_what_the_head_says_of_the_body(
    headers: list[tuple[bytes, bytes]], has_body: bool, is_small: bool
) -> None:
    """A body of a mebibyte or less is held, a longer one or one of unknown length is streamed."""
    found = exchange(Client(), headers=headers)
    assert (found.has_body, found.is_small) == (has_body, is_small)


async def test_a_whole_answer_has_its_own_length() -> None:
    """A content length that came with other headers does not describe the new body."""
    client = Client()
    found = exchange(client)
    await found.answer(207, [(b"Content-Length", b"99"), (b"x", b"1"), (b"x", b"2")], b"four")
    assert client.headers == [(b"x", b"1"), (b"x", b"2"), (b"content-length", b"4")]
    assert (client.status, client.body, found.status) == (207, b"four", 207)


async def test_a_captured_answer_waits_for_its_release() -> None:
    """Nothing reaches the client, and no status counts, before it is released."""
    client, captured = Client(), Captured()
    found = exchange(client)
    assert captured.status == 0
    await captured.send({"type": "http.response.start", "status": 200, "headers": []})
    await captured.send({"type": "http.response.body", "body": b"x"})
    assert (captured.status, client.sent, found.status) == (200, [], 0)
    await captured.release(found)
    assert (client.status, client.body, found.status) == (200, b"x", 200)


def test_headers_are_found_by_name() -> None:
    """The first of several counts; what is not there is ``None``."""
    found = exchange(Client(), headers=[(b"a", b"1"), (b"a", b"2")])
    assert (found.header(b"a"), found.header(b"b")) == ("1", None)
