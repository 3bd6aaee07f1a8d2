"""A network hop that makes every page of a scroll come later, in front of a Qdrant on loopback."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.faults.wire import Wire

_PAGE_REQUEST = b"/points/scroll "


@asynccontextmanager
async def delaying(url: str, seconds: float) -> AsyncIterator[str]:
    """Yield the URL of a relay to ``url`` that holds requests for a page up for so long.

    Their heads come in one piece: the client writes them at once.
    """
    parts = urlsplit(url)
    async with Wire(parts.hostname or "", parts.port or 80).laid() as wire:
        wire.delay(seconds, only=_PAGE_REQUEST)
        yield f"http://127.0.0.1:{wire.port}"
