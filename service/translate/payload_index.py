"""Payload indexes, of which a filter wants to know what they change in its answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from service.translate.paths import Path, parse_path

FieldSchema: TypeAlias = str | Mapping[str, Any]
"""What a client wrote: the name of a type, or an object with a ``type`` and options."""


@dataclass(frozen=True, slots=True)
class PayloadIndex:
    """An index of one field; ``kind`` is the name of its type: ``keyword``, ``integer``, ``float`` and so on."""

    kind: str
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def looks_up_integers(self) -> bool:
        """Whether integers are matched by the index, which holds ``3.0`` to be 3."""
        return self.kind == "integer" and self.options.get("lookup") is not False

    @property
    def compares_integers(self) -> bool:
        """Whether ranges are answered by the index, which holds whole numbers only."""
        return self.kind == "integer" and self.options.get("range") is not False


def index_at(schema: Mapping[str, FieldSchema], path: Path) -> PayloadIndex | None:
    """Return the index of the field at the path, however its key is spelled."""
    for key, given in schema.items():
        if parse_path(key) == path:
            return payload_index(given)
    return None


def payload_index(given: FieldSchema) -> PayloadIndex:
    """Return the index that a ``field_schema`` asks for."""
    if isinstance(given, str):
        return PayloadIndex(given)
    return PayloadIndex(str(given["type"]), given)
