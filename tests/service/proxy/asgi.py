"""One request as an ASGI server would hand it over, and the answer as it would get it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from starlette.types import Message

from service.proxy.bounds import Room
from service.proxy.exchange import Exchange

Header = tuple[bytes, bytes]


@dataclass(slots=True)
class Client:
    """Sends ``chunks`` and then hangs up or waits; keeps what it is sent."""

    chunks: Sequence[bytes] = (b"",)
    hangs_up: bool = False
    sent: list[Message] = field(default_factory=list)
    _next: int = 0

    async def receive(self) -> Message:
        """Give the next piece of the body."""
        if self._next == len(self.chunks):
            return {"type": "http.disconnect"}
        chunk = self.chunks[self._next]
        self._next += 1
        more = self.hangs_up or self._next < len(self.chunks)
        return {"type": "http.request", "body": chunk, "more_body": more}

    async def send(self, message: Message) -> None:
        """Take a message of the answer."""
        self.sent.append(message)

    @property
    def status(self) -> int:
        """The status that was answered, 0 for none."""
        return int(self.sent[0]["status"]) if self.sent else 0

    @property
    def headers(self) -> list[Header]:
        """The headers that were answered."""
        return list(self.sent[0]["headers"])

    @property
    def body(self) -> bytes:
        """The body that was answered."""
        return b"".join(message.get("body", b"") for message in self.sent[1:])

    @property
    def is_complete(self) -> bool:
        """Whether the answer came to its end."""
        return len(self.sent) > 1 and not self.sent[-1].get("more_body", False)


def exchange(
    client: Client,
    method: str = "GET",
    target: str = "/collections/c",
    headers: Sequence[Header] = (),
    *,
    limit: int = 1000,
    room: Room | None = None,
) -> Exchange:
    """Return the exchange of a client's request."""
    path, _, query = target.partition("?")
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": list(headers),
    }
    return Exchange(
        scope, client.receive, client.send, max_body_bytes=limit, room=room or Room(limit)
    )
