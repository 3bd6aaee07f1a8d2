"""The values that a payload has at a path, as Qdrant's groups and formulas see them."""

from typing import Any

from service.model.points import Payload
from service.translate.paths import Each, Index, Key, Path


def values_at(payload: Payload, path: Path) -> list[Any]:
    """Return the values at the path; a key steps into objects only, ``[n]`` and ``[]`` into arrays only."""
    values: list[Any] = [payload]
    for step in path:
        values = [found for value in values for found in _step(value, step)]
    return values


def flat_values_at(payload: Payload, path: Path) -> list[Any]:
    """Return the values at the path with an array there opened, one level, unless the path says ``[]`` itself."""
    values = values_at(payload, path)
    if isinstance(path[-1], Each):
        return values
    return [one for value in values for one in (value if isinstance(value, list) else [value])]


def _step(value: object, step: Key | Index | Each) -> list[Any]:
    match step, value:
        case Key(name), dict() if name in value:
            return [value[name]]
        case Index(at), list() if at < len(value):
            return [value[at]]
        case Each(), list():
            return value
        case _:
            return []
