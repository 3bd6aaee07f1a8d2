"""Payload key paths: ``a.b``, ``a[0].b``, ``a[].b``, ``"quoted key".b``.

A key is quoted, or is made of letters, digits, ``_`` and ``-``; there is no escape inside quotes. ``[n]`` steps
into one element of an array and ``[]`` into all of them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias, assert_never

from service.errors import MalformedBody
from service.translate.letters import LETTERS


@dataclass(frozen=True, slots=True)
class Key:
    """The value of a key of an object."""

    name: str


@dataclass(frozen=True, slots=True)
class Index:
    """One element of an array."""

    at: int


@dataclass(frozen=True, slots=True)
class Each:
    """All elements of an array."""


Step: TypeAlias = Key | Index | Each
Path: TypeAlias = tuple[Step, ...]

_BARE = re.compile(rf"[{LETTERS}_-]+")
_KEY = rf'(?:"(?P<quoted>[^"\\]*)"|(?P<bare>{_BARE.pattern}))'
_FIRST = re.compile(_KEY)
_REST = re.compile(rf"\.{_KEY}|\[(?:0*(?P<index>[0-9]{{1,20}})|(?P<each>))\]")
_MOST = 2**64 - 1


@lru_cache(maxsize=4096)
def parse_path(text: str) -> Path:
    """Return the steps of a path, at least one of them a key; raises ``MalformedBody``."""
    steps: list[Step] = []
    at = 0
    while at < len(text) or not steps:
        found = (_REST if steps else _FIRST).match(text, at)
        step = None if found is None else _step(found.groupdict())
        if found is None or step is None:
            message = f"Invalid json path: '{text}'"
            raise MalformedBody(message)
        steps.append(step)
        at = found.end()
    return tuple(steps)


def values_at(value: Any, path: Path) -> Iterator[Any]:
    """Yield the values at the path.

    A key does not step into arrays, ``[]`` and ``[n]`` step into nothing else.
    """
    if not path:
        yield value
        return
    step, rest = path[0], path[1:]
    match step, value:
        case Key(name), dict() if name in value:
            yield from values_at(value[name], rest)
        case Index(at), list() if at < len(value):
            yield from values_at(value[at], rest)
        case Each(), list():
            for element in value:
                yield from values_at(element, rest)
        case _:
            return


def elements_at(value: Any, path: Path) -> Iterator[Any]:
    """Yield what a match on the path is tested against: the values there, an array as its elements (one level)."""
    for found in values_at(value, path):
        if isinstance(found, list):
            yield from found
        else:
            yield found


def opened_values_at(value: Any, path: Path) -> Iterator[Any]:
    """As :func:`elements_at`, but arrays stay whole where the path ends in ``[]``: what groups and formulas see."""
    yield from values_at(value, path) if isinstance(path[-1], Each) else elements_at(value, path)


def spell(path: Path) -> str:
    """Return the text that :func:`parse_path` takes for the path, as Qdrant writes it: no quotes but where needed."""
    text = ""
    for step in path:
        match step:
            case Key(name):
                text += f".{name}" if _BARE.fullmatch(name) else f'."{name}"'
            case Index(at):
                text += f"[{at}]"
            case Each():
                text += "[]"
            case _:
                assert_never(step)
    return text.removeprefix(".")


def _step(groups: dict[str, str | None]) -> Step | None:
    """Return the step that a part of a path is; ``None`` for an index that 64 bits do not hold."""
    match groups:
        case {"each": ""}:
            return Each()
        case {"index": str(digits)}:
            return Index(int(digits)) if int(digits) <= _MOST else None
        case {"quoted": str(name)} | {"bare": str(name)}:
            return Key(name)
        case _:
            return None
