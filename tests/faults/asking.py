"""Requests of the drills' clients, and what their answers say of the write."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import Any

import aiohttp

from service.errors import SourceUnavailable
from service.stores.qdrant.client import once

CLIENT_SECONDS = 10.0


class Said(Enum):
    """What a client knows after a request."""

    DONE = auto()
    TAKEN_ON = auto()
    """Acknowledged: it will be there, perhaps not yet."""
    NEVER_SENT = auto()
    NOTHING = auto()
    """An error, or no answer at all: it may have happened or may still happen."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, or its absence; ``detail`` is for a person."""

    said: Said
    seconds: float
    detail: str
    result: Any = None


def clients() -> aiohttp.ClientSession:
    """Return what requests are sent with; a request is sent once, whatever breaks."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), middlewares=(once,))


async def ask(
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    body: object,
    query: Mapping[str, str] | None = None,
    *,
    seconds: float = CLIENT_SECONDS,
) -> Reply:
    """Send one request and say what came of it; never raises for what a network or a server can do."""
    began = time.monotonic()
    try:
        async with http.request(
            method,
            url,
            json=body,
            params=query,
            timeout=aiohttp.ClientTimeout(seconds),
        ) as answer:
            text = await answer.text()
            document = await answer.json() if answer.status == HTTPStatus.OK else None
    except (SourceUnavailable, aiohttp.ClientError, TimeoutError, OSError) as error:
        is_open = not isinstance(error, SourceUnavailable) or error.may_have_applied
        said = Said.NOTHING if is_open else Said.NEVER_SENT
        return Reply(said, time.monotonic() - began, f"{type(error).__name__}: {error}")
    took = time.monotonic() - began
    if document is None:
        return Reply(Said.NOTHING, took, f"{answer.status} {text[:200]}")
    result = document["result"]
    return Reply(_said(result), took, str(answer.status), result)


def _said(result: Any) -> Said:
    if isinstance(result, list) and result and "operation_id" in result[-1]:
        result = result[-1]
    if not isinstance(result, dict) or "status" not in result:
        return Said.DONE
    return Said.DONE if result["status"] == "completed" else Said.TAKEN_ON
