"""Request bodies become models here: JSON, unknown fields, types, ranges, and one reason when not.

The order is Qdrant's: malformed JSON and wrong types are answered 400, values out of range 422.
"""

from typing import TypeVar

import orjson
from pydantic import BaseModel, ValidationError
from starlette.requests import Request

from service.api.qdrant.numbers import Aside
from service.api.qdrant.paths import Path, malformed
from service.api.qdrant.ranges import check_ranges
from service.api.qdrant.reasons import one_reason
from service.api.qdrant.shaping import shape
from service.errors import BodyTooLarge

MAX_BODY_BYTES = 32 * 1024 * 1024

M = TypeVar("M", bound=BaseModel)


async def read_body(request: Request, limit: int) -> bytes:
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
    aside = Aside()
    shaped = shape(raw, model, place, aside)
    try:
        # Strict JSON mode: "3" is no number and 1 is no boolean, but enums and dates are strings.
        parsed = model.model_validate_json(orjson.dumps(shaped), strict=True)
    except ValidationError as error:
        at, reason = one_reason(error, shaped)
        raise malformed((*place, *at), reason) from None
    aside.put_back(parsed, len(place))
    check_ranges(parsed, place)
    return parsed
