"""What an answer of the source says about a write: it has ended, or it may still land (R1)."""

from enum import Enum, auto
from http import HTTPStatus
from typing import Any

import orjson


class Outcome(Enum):
    """How much is known of a write's end."""

    ENDED = auto()
    """It took effect, wholly or in part, or was refused; a read sees what it did."""
    QUEUED = auto()
    """It reached Qdrant's queue but may not be applied yet: pass a barrier, then read."""
    UNKNOWN = auto()
    """It may still arrive: wait for the longest client time-out, pass a barrier, then read."""


def outcome(status: int, body: bytes) -> Outcome:
    """Classify an answer to a ``wait=true`` write (single or batch)."""
    if status == HTTPStatus.OK:
        return Outcome.ENDED if _all_completed(body) else Outcome.QUEUED
    return Outcome.ENDED if has_ended(status) else Outcome.UNKNOWN


def has_ended(status: int) -> bool:
    """Say whether an error answer is a write's end: every refusal is, a time-out and a fault are not."""
    is_refusal = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    return is_refusal and status != HTTPStatus.REQUEST_TIMEOUT


def as_acknowledged(body: bytes) -> bytes:
    """Return a ``completed`` answer as the client of a ``wait=false`` write expects it."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    for result in _results(answer):
        if result.get("status") == "completed":
            result["status"] = "acknowledged"
    return orjson.dumps(answer)


def _all_completed(body: bytes) -> bool:
    try:
        results = _results(orjson.loads(body))
    except orjson.JSONDecodeError:
        return False
    return bool(results) and all(result.get("status") == "completed" for result in results)


def _results(answer: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - decoded JSON
    result = answer.get("result") if isinstance(answer, dict) else None
    found = result if isinstance(result, list) else [result]
    return [entry for entry in found if isinstance(entry, dict)]
