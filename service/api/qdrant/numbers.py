"""Long lists of numbers go around the request models.

To have a model check each number of a vector costs more than all the rest of a search's body. So the type check is one
pass over the types of the list, and the models see a vector of one number in its place.
"""

from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from service.api.qdrant.paths import Path

_LONG = 16
"""Shorter lists are not worth the way around."""
VECTOR, _ROWS = 1, 2
"""The dimensions of what may be taken aside."""
_NUMBERS = frozenset({int, float})


class Aside:
    """Lists that were taken out of one body, by their place in it."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: dict[Path, list[Any]] = {}

    def stand_in(
        self, value: list[Any], dimensions: frozenset[int], path: Path
    ) -> list[Any] | None:
        """Return what stands for the value in the model, ``None`` when the value itself has to.

        ``dimensions`` is what :func:`vector_dimensions` says of the types that may stand there.
        """
        if not dimensions or not value:
            return None
        if _is_vector(value):
            if len(value) < _LONG or VECTOR not in dimensions:
                return None
            self._taken[path] = value
            return [0.0]
        if _ROWS in dimensions and type(value[0]) is list and all(map(_is_row, value)):
            self._taken[path] = value
            return [[0.0]]
        return None

    def put_back(self, model: BaseModel, depth: int) -> None:
        """Put every list into its place in the model; their paths begin with ``depth`` steps to the model itself."""
        for path, value in self._taken.items():
            node: Any = model
            for step in path[depth:-1]:
                node = _inside(node)[step]
            _inside(node)[path[-1]] = value


def _inside(node: Any) -> Any:  # noqa: ANN401 - a model's fields, or a list or an object itself
    return node.__dict__ if isinstance(node, BaseModel) else node


def _is_vector(value: list[Any]) -> bool:
    types = list(map(type, value))
    # Usually all are floats, and to count takes half as long as to make a set.
    return types.count(float) == len(types) or _NUMBERS.issuperset(types)


def is_long_vector(value: list[Any]) -> bool:
    """Say whether a list is a vector that is worth the way around its model."""
    return len(value) >= _LONG and _is_vector(value)


def _is_row(value: object) -> bool:
    return type(value) is list and bool(value) and _is_vector(value)


def vector_dimensions(members: Iterable[object]) -> frozenset[int]:
    """Return 1 when one of the types is a list of floats, 2 when one is a list of such lists."""
    return frozenset(map(_dimensions, members)) & {VECTOR, _ROWS}


def _dimensions(annotation: object) -> int:
    if get_origin(annotation) is list:
        inner = _dimensions(get_args(annotation)[0])
        return inner + 1 if inner >= 0 else inner
    base = get_args(annotation)[0] if hasattr(annotation, "__metadata__") else annotation
    return 0 if base is float else -1
