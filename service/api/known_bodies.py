"""Bodies that were parsed before: applications send the same few over and over, each time for another vector.

To look a body up by its text takes a tenth of what it takes to parse it. The vector stays out of the text: in its place
stands one of a single number, which is to the parser what the vector itself is (:mod:`service.api.qdrant.numbers`).
"""

from functools import lru_cache
from typing import Any, TypeVar, cast

import orjson
from pydantic import BaseModel

from service.api.parsing import parse
from service.api.qdrant.numbers import is_long_vector
from service.api.qdrant.reading import loads
from service.api.qdrant.shaping import vector_fields

M = TypeVar("M", bound=BaseModel)

_LONGEST = 2_048
"""Bytes: bodies with hundreds of values hardly come again, and take much memory."""
_STAND_IN = [0.0]


def parsed(model: type[M], body: bytes) -> M:
    """Return the model that a body stands for, one of its own; what it holds is shared, and nobody may change it.

    Raises ``MalformedBody`` and ``InvalidBody`` as :func:`parse` does; what is wrong is not kept.
    """
    raw, text, vectors = loads(body), body, {}
    if isinstance(raw, dict) and (vectors := _vectors(model, raw)):
        text = orjson.dumps(raw | dict.fromkeys(vectors, _STAND_IN))
    if len(text) > _LONGEST:
        return parse(model, raw)
    copied = cast("M", _parsed(model, text).__copy__())
    copied.__dict__.update(vectors)
    return copied


def _vectors(model: type[BaseModel], raw: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the long vectors among the fields of a body, by name."""
    given = ((name, raw.get(name)) for name in vector_fields(model))
    return {name: value for name, value in given if type(value) is list and is_long_vector(value)}


@lru_cache(maxsize=512)
def _parsed(model: type[BaseModel], text: bytes) -> BaseModel:
    return parse(model, orjson.loads(text))
