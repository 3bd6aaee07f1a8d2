"""Payload selectors: which parts of a payload an answer carries.

Found on Qdrant's engine: a selector looks at keys and at whole arrays (``l[]``), an index (``l[0]``) selects nothing.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from service.model.points import Payload
from service.model.qdrant import PayloadSelectorExclude, PayloadSelectorInclude
from service.translate.paths import Each, Key, Path, parse_path

WithPayload: TypeAlias = (
    bool | Sequence[str] | PayloadSelectorInclude | PayloadSelectorExclude | None
)
Projection: TypeAlias = Callable[[Payload], Payload]


def projection(wanted: WithPayload) -> Projection | None:
    """Return what to do with each payload, ``None`` when no payload is wanted."""
    match wanted:
        case None | False:
            return None
        case True:
            return lambda payload: payload
        case PayloadSelectorInclude(include=keys):
            return _including(keys)
        case PayloadSelectorExclude(exclude=keys):
            return _excluding(keys)
        case _:
            return _including(wanted)


def _including(keys: Sequence[str]) -> Projection:
    patterns = [parse_path(key) for key in keys]

    def keep(path: Path) -> bool:
        return any(all(a == b for a, b in zip(path, p, strict=False)) for p in patterns)

    return lambda payload: _filtered(payload, (), keep)


def _excluding(keys: Sequence[str]) -> Projection:
    patterns = frozenset(parse_path(key) for key in keys)
    return lambda payload: _filtered(payload, (), lambda path: path not in patterns)


def _filtered(value: Any, path: Path, keep: Callable[[Path], bool]) -> Any:
    match value:
        case dict():
            return {
                name: _filtered(item, below, keep)
                for name, item in value.items()
                if keep(below := (*path, Key(name)))
            }
        case list():
            below = (*path, Each())
            return [_filtered(item, below, keep) for item in value] if keep(below) else []
        case _:
            return value
