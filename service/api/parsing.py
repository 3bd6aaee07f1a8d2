"""Request bodies become models here: JSON, unknown fields, types, ranges, and one reason when not.

The order is Qdrant's: malformed JSON and wrong types are answered 400, values out of range 422.
"""

from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from service.api.qdrant.paths import Path, malformed
from service.api.qdrant.ranges import check_ranges
from service.api.qdrant.shaping import shape
from service.errors import BodyTooLarge

MAX_BODY_BYTES = 32 * 1024 * 1024

M = TypeVar("M", bound=BaseModel)


async def read_body(request: Request, limit: int = MAX_BODY_BYTES) -> bytes:
    """Return the whole body. Raises ``BodyTooLarge`` as soon as it is over the limit."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise BodyTooLarge(limit)
    return bytes(body)


def parse(model: type[M], raw: object, place: Path = ()) -> M:
    """Return the model that a parsed JSON value stands for.

    ``place`` is where the value stands in the body. Raises ``MalformedBody`` for a wrong type and
    ``InvalidBody`` for a value out of range.
    """
    shaped = shape(raw, model, place)
    try:
        # Strict JSON mode: "3" is no number and 1 is no boolean, but enums and dates are strings.
        parsed = model.model_validate_json(orjson.dumps(shaped), strict=True)
    except ValidationError as error:
        at, reason = one_reason(error, shaped)
        raise malformed((*place, *at), reason) from None
    check_ranges(parsed, place)
    return parsed


def one_reason(error: ValidationError, value: object) -> tuple[Path, str]:
    """Reduce a validation error to the path it is most specific about and what belongs there."""
    found: dict[Path, list[str]] = {}
    guesses: dict[Path, list[str]] = {}
    for detail in error.errors(include_url=False):
        path = _real_path(detail["loc"], value)
        match detail["type"]:
            # What the other members of a union complain about, if there are any.
            case "missing":
                guesses.setdefault((*path, detail["loc"][-1]), []).append(detail["msg"])
            case "extra_forbidden":
                guesses.setdefault(path, []).append(detail["msg"])
            case _:
                found.setdefault(path, []).append(detail["msg"])
    by_path = found or guesses
    path = max(by_path, key=len)
    expected = dict.fromkeys(message.removeprefix("Input should be ") for message in by_path[path])
    reason = " or ".join(expected)
    if found and len(expected) > 1:
        reason = f"expected {reason}"
    elif found:
        reason = by_path[path][0]
    return path, reason


def _real_path(location: Path, value: object) -> Path:
    """Drop the names of union members from a pydantic location: keep what indexes the value."""
    path: list[str | int] = []
    for step in location:
        match value:
            case dict() if step in value:
                value = value[step]
                path.append(step)
            case list() if isinstance(step, int) and step < len(value):
                value = value[step]
                path.append(step)
            case _:
                pass
    return tuple(path)
