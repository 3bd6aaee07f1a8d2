"""A name for every request, the client's own or one of ours: in the answer, in its log lines, and sent on to Qdrant."""

import re
from os import urandom

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from structlog.contextvars import bind_contextvars, reset_contextvars

HEADER = b"x-request-id"

# Visible ASCII: what ends in logs and headers must neither break a line nor fill a disk.
_SANE = re.compile(rb"[\x21-\x7e]{1,128}")


class RequestIds:
    """Wraps an application (ASGI); ``request_id`` is bound to the log lines of the request's own task only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request under its id."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given, others = _split(scope["headers"])
        # More than one id is none: whoever sent them would look for the other one.
        request_id = given[0] if len(given) == 1 and _SANE.fullmatch(given[0]) else _new()
        header = (HEADER, request_id)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                _, kept = _split(message.get("headers", ()))
                message = {**message, "headers": [*kept, header]}
            await send(message)

        bound = bind_contextvars(request_id=request_id.decode())
        try:
            await self._app({**scope, "headers": [*others, header]}, receive, answer)
        finally:
            reset_contextvars(**bound)


def _new() -> bytes:
    return urandom(16).hex().encode()


def _split(
    headers: list[tuple[bytes, bytes]],
) -> tuple[list[bytes], list[tuple[bytes, bytes]]]:
    """Return the values of our header, and all other headers."""
    given = [value for name, value in headers if name.lower() == HEADER]
    if not given:
        return given, headers
    return given, [(name, value) for name, value in headers if name.lower() != HEADER]
