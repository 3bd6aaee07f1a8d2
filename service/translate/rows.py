"""What a condition looks at."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from service.translate.paths import Path
from service.translate.payload_index import PayloadIndex, index_at
from service.translate.sql import Sql


@dataclass(frozen=True, slots=True)
class Row:
    """A point: two columns, the payload indexes, and the vectors that it can have.

    ``schema`` has the ``field_schema`` of every indexed field, ``vectors`` the condition that the point has a vector.
    Within ``depth`` nested conditions the payload is one object of an array: it has no id and no vectors.
    """

    key: Sql
    payload: Sql
    schema: Mapping[str, Any] = field(default_factory=dict)
    vectors: Mapping[str, Sql] = field(default_factory=dict)
    depth: int = 0

    @property
    def is_element(self) -> bool:
        """Whether this is an object inside a point."""
        return self.depth > 0

    def index(self, path: Path) -> PayloadIndex | None:
        """Return the payload index of the field at the path."""
        return index_at(self.schema, path)
