"""Under which circumstances a verification ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The collection's stage, and who ran what.

    ``versions`` are texts by product: ``vecferry``, ``qdrant``, ``postgres``, ``pgvector``.
    """

    stage: str
    epoch: int
    authority: str
    versions: Mapping[str, str]


class LookAround(Protocol):
    """Reads the circumstances."""

    async def __call__(self, generation: int) -> Surroundings:
        """Return them as they are now. Raises ``StageError`` for a generation that has no stage, and ``StoreError``."""
        ...
