"""The JSON envelope around every answer of the Qdrant API.

A result: ``{"result": …, "status": "ok", "time": seconds}``.
An error: ``{"status": {"error": text}, "time": seconds}``.
float32 values, scores and vectors, are printed as the shortest decimal that reads back the same.
"""

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from service.errors import Refusal

_JSON = "application/json"
_REFUSALS = "vecferry.refusals"


def start_clock(scope: MutableMapping[str, Any], now: float) -> None:
    """Note when the request of this ASGI scope began, on the clock of ``perf_counter``."""
    scope["vecferry.started"] = now


def elapsed(request: Request) -> float:
    """Return the seconds since :func:`start_clock`, 0.0 where it was not called."""
    now = perf_counter()
    return now - float(request.scope.get("vecferry.started", now))


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request was answered 503; ``detail`` is for operators."""

    reason: Refusal
    detail: str


def watch_refusals(scope: MutableMapping[str, Any]) -> list[Refused]:
    """Return the list that :func:`refused` fills for this ASGI scope and its copies."""
    noted: list[Refused] = scope.setdefault(_REFUSALS, [])
    return noted


def refused(request: Request, reason: Refusal, detail: str) -> None:
    """Note why a request is answered 503."""
    watch_refusals(request.scope).append(Refused(reason, detail))


def dumps(value: object) -> bytes:
    """Write JSON; numpy arrays and scalars are written as lists and numbers."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def ok(request: Request, result: object) -> Response:
    """Answer 200 with a result."""
    body = {"result": result, "status": "ok", "time": elapsed(request)}
    return Response(dumps(body), media_type=_JSON)


def failure(
    request: Request, status: HTTPStatus, text: str, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer an error with Qdrant's text for it."""
    body = dumps({"status": {"error": text}, "time": elapsed(request)})
    return Response(body, status_code=status, headers=headers, media_type=_JSON)
