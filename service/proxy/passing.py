"""The source answers: bytes through in both directions, streamed; sampled searches leave a copy behind."""

from collections.abc import AsyncIterator, Mapping

from service.errors import SourceUnavailable
from service.protocol.source_writes import Answer, Headers
from service.proxy.exchange import Exchange
from service.stores.qdrant.forward import Forwarder

_READ_WHOLE_BYTES = 1024 * 1024


class Passer:
    """Forwards exchanges to the source; without a forwarder there is none."""

    def __init__(self, forwarder: Forwarder | None) -> None:
        self._optional = forwarder

    @property
    def _forwarder(self) -> Forwarder:
        if self._optional is None:
            reason = "is not configured"
            raise SourceUnavailable(reason, may_have_applied=False)
        return self._optional

    async def forward(self, exchange: Exchange, target: str | None = None) -> None:
        """Answer an exchange from the source. Raises ``SourceUnavailable`` before anything was answered."""
        await self._forward(exchange, target or exchange.target, None)

    async def forward_copied(self, exchange: Exchange, target: str | None = None) -> bytes:
        """As :meth:`forward`, and return the answer's body."""
        copy = bytearray()
        await self._forward(exchange, target or exchange.target, copy)
        return bytes(copy)

    async def _forward(self, exchange: Exchange, target: str, copy: bytearray | None) -> None:
        exchange.answered_by = "source"
        body = await _body(exchange)
        async with self._forwarder.send(exchange.method, target, exchange.headers, body) as passing:
            head = {"status": passing.status, "headers": passing.headers}
            await exchange.send({"type": "http.response.start", **head})
            async for chunk in passing.chunks:
                if copy is not None:
                    copy += chunk
                await exchange.send(
                    {"type": "http.response.body", "body": chunk, "more_body": True}
                )
            await exchange.send({"type": "http.response.body", "body": b""})

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Headers,
        body: bytes,
    ) -> Answer:
        """Send a request of ours with the client's headers (``SendToSource``)."""
        answer = await self._forwarder.fetch(method, path, query=query, headers=headers, body=body)
        return Answer(*answer)


async def _body(exchange: Exchange) -> bytes | AsyncIterator[bytes] | None:
    if not exchange.has_body:
        return None
    length = exchange.header(b"content-length")
    if length is not None and int(length) <= _READ_WHOLE_BYTES:
        return await exchange.body()
    return exchange.stream()
