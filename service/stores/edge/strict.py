"""Strict mode in the front: the engine processes do not know what a client asked for beyond one call.

The front knows the few collections that have such limits, and asks for the description of those only.
"""

from dataclasses import dataclass
from typing import Any

from service.model.operations import Operation, Upsert
from service.model.qdrant import CreateCollection, StrictModeConfig
from service.queries.strict.mode import Read, StrictMode, check_points_count


@dataclass(frozen=True, slots=True)
class Description:
    """What a collection is: its creation request, its payload indexes as asked for, and how many points it has."""

    request: CreateCollection
    schemas: dict[str, Any]
    points: int


class StrictCollections:
    """The collections with limits of their own, and the checks."""

    def __init__(self) -> None:
        self._mode = StrictMode()
        self._names: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._names

    def note(self, name: str, limits: StrictModeConfig | None) -> None:
        """Remember a collection that was given limits; without any given it stays what it was."""
        if limits is not None:
            self._names.add(name)

    def forget(self, name: str) -> None:
        """Forget a collection that is gone."""
        self._names.discard(name)

    def check(self, name: str, described: Description, asked: Read | Operation) -> None:
        """Raise ``BadRequest`` or ``RateLimited`` for what the collection does not allow."""
        config, schemas = described.request, described.schemas
        if not isinstance(asked, Operation):
            self._mode.check_read(name, config, schemas, asked)
            return
        self._mode.check_write(name, config, schemas, asked)
        if isinstance(asked, Upsert):
            check_points_count(config, described.points)
