"""Checked access to parsed JSON, for the bodies that are read without a model."""

from typing import Any

import orjson

from service.api.depth import is_too_deep
from service.api.qdrant.paths import Path, malformed
from service.errors import BadRequest, MalformedBody

NO_SELECTOR = "Either list of point ids or filter must be provided"


def loads(body: bytes) -> object:
    """Parse strict JSON: no NaN, no Infinity, no trailing commas, no deep nesting. Raises ``MalformedBody``."""
    value = loads_forwarded(body)
    if is_too_deep(body):
        reason = "recursion limit exceeded"
        raise MalformedBody(reason)
    return value


def loads_forwarded(body: bytes) -> object:
    """Parse the JSON of a body that goes on to Qdrant, which refuses what nests too deep by itself."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedBody(str(error)) from None
    return value


def as_object(value: object, path: Path = ()) -> dict[str, Any]:
    """Return the value, which has to be an object. Raises ``MalformedBody``."""
    if not isinstance(value, dict):
        raise malformed(path, "expected an object")
    return value


def required(fields: dict[str, Any], name: str, path: Path = ()) -> object:
    """Return a field that has to be there. Raises ``MalformedBody``."""
    if name not in fields:
        raise malformed(path, f"missing field `{name}`")
    return fields[name]


def required_list(fields: dict[str, Any], name: str, path: Path = ()) -> list[Any]:
    """Return a field that has to be a list. Raises ``MalformedBody``."""
    value = required(fields, name, path)
    if not isinstance(value, list):
        raise malformed((*path, name), "expected a list")
    return value


def empty_update() -> BadRequest:
    """Return the error for a change that names no point at all."""
    reason = "Empty update request"
    return BadRequest(reason)
