"""Qdrant's enumeration values in the engine's enumerations."""

from enum import Enum
from typing import Any


def engine_enum(kind: Any, value: Enum | None) -> Any:
    """Return the engine's member for a model's (``one_bit`` is ``OneBit`` there), ``None`` for ``None``.

    Raises ``ValueError`` for a value that this engine does not have.
    """
    if value is None:
        return None
    wanted = _plain(str(value.value))
    for name in dir(kind):
        if _plain(name) == wanted:
            return getattr(kind, name)
    message = f"unknown variant `{value.value}`"
    raise ValueError(message)


def _plain(name: str) -> str:
    return name.replace("_", "").lower()
