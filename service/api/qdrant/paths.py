"""Where a value stands in a request body, and complaints about it."""

from collections.abc import Sequence
from typing import TypeAlias

from service.errors import InvalidBody, MalformedBody

Path: TypeAlias = tuple[str | int, ...]


def dotted(path: Sequence[str | int]) -> str:
    """Write a path as Qdrant does: ``filter.must[0].key``."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def malformed(path: Path, reason: str) -> MalformedBody:
    """Return the error for a value of a wrong type; the whole body has the path ``()``."""
    return MalformedBody(f"{dotted(path)}: {reason}" if path else reason)


def invalid(path: Path, reason: str) -> InvalidBody:
    """Return the error for a value out of its range."""
    return InvalidBody(dotted(path), reason)
