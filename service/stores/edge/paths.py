"""Qdrant's JSON paths (``a.b``, ``a[].b``, ``a[0]``, ``"a.b"``), read from a payload.

A plain key does not step into arrays; ``[]`` and ``[0]`` step only into arrays. A value at the end that is an array
counts element by element, one level.
"""

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from service.errors import MalformedBody

Step: TypeAlias = str | int | None
"""A key, an index, or every element."""

_STEP = re.compile(r'(?:^|(?<=[^.])\.)(?:"(?P<quoted>[^"]+)"|(?P<key>[\w-]+))|\[(?P<index>\d*)\]')


def parse_path(path: str) -> tuple[Step, ...]:
    """Return the steps of a path; raises ``MalformedBody`` when it is none."""
    steps: list[Step] = []
    at = 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None or (not steps and found["index"] is not None):
            raise MalformedBody(f"invalid JSON path {path}")
        if found["index"] is None:
            steps.append(found["quoted"] or found["key"])
        else:
            steps.append(int(found["index"]) if found["index"] else None)
        at = found.end()
    if not steps:
        raise MalformedBody(f"invalid JSON path {path}")
    return tuple(steps)


def values_at(payload: Any, steps: tuple[Step, ...]) -> Iterator[Any]:
    """Yield the values that a match on the path is tested against."""
    for value in _walk(payload, steps):
        if isinstance(value, list):
            yield from value
        else:
            yield value


def _walk(value: Any, steps: tuple[Step, ...]) -> Iterator[Any]:
    if not steps:
        yield value
        return
    step, rest = steps[0], steps[1:]
    match step, value:
        case str(), dict() if step in value:
            yield from _walk(value[step], rest)
        case None, list():
            for element in value:
                yield from _walk(element, rest)
        case int(), list() if step < len(value):
            yield from _walk(value[step], rest)
        case _:
            return
