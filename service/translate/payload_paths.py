"""What payload operations and payload selectors do to one point's payload.

Found on Qdrant's engine and held to it by a differential test. Nothing here changes its arguments.
"""

from collections.abc import Callable, Sequence
from typing import Any

from service.model.points import Payload
from service.translate.paths import Each, Index, Key, Path, parse_path


def set_payload(payload: Payload, changes: Payload, key: str | None) -> Payload:
    """Merge ``changes`` at the top level or into the object at ``key``; a null removes its key there.

    On the way, missing values and scalars become objects (before a key) or empty arrays (before an index); an element
    that is not there is not made.
    """
    if key is None:
        return _merged(payload, changes)
    merged: Payload = _replaced(payload, parse_path(key), lambda old: _merged(old, changes))
    return merged


def delete_keys(payload: Payload, keys: Sequence[str]) -> Payload:
    """Remove the values at the paths; ``l[]`` empties an array, ``l[0]`` does nothing."""
    for key in keys:
        payload = _without(payload, parse_path(key))
    return payload


def _merged(value: Any, changes: Payload) -> Payload:
    merged = dict(value) if isinstance(value, dict) else {}
    for name, change in changes.items():
        if change is None:
            merged.pop(name, None)
        else:
            merged[name] = change
    return merged


def _replaced(value: Any, path: Path, change: Callable[[Any], Any]) -> Any:
    if not path:
        return change(value)
    step, rest = path[0], path[1:]
    match step:
        case Key(name):
            fields = value if isinstance(value, dict) else {}
            return {**fields, name: _replaced(fields.get(name), rest, change)}
        case Index(at):
            elements = value if isinstance(value, list) else []
            return [
                _replaced(element, rest, change) if position == at else element
                for position, element in enumerate(elements)
            ]
        case Each():
            elements = value if isinstance(value, list) else []
            return [_replaced(element, rest, change) for element in elements]


def _without(value: Any, path: Path) -> Any:
    step, rest = path[0], path[1:]
    match step, value:
        case Key(name), dict() if name in value:
            if rest:
                return {**value, name: _without(value[name], rest)}
            return {other: kept for other, kept in value.items() if other != name}
        case Index(at), list() if rest:
            return [
                _without(element, rest) if position == at else element
                for position, element in enumerate(value)
            ]
        case Each(), list():
            return [_without(element, rest) for element in value] if rest else []
        case _:
            return value
