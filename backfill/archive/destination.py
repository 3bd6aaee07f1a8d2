"""Where an import goes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import sha256

from backfill.archive.manifest import Subject
from service.ports import VectorStore


@dataclass(frozen=True, slots=True)
class Destination:
    """One collection of one store: ``side`` is ``proxy``, ``source`` or ``target``; the address names no password."""

    side: str
    address: str
    collection: str

    @property
    def label(self) -> str:
        """A name for files, another one for every destination."""
        short = sha256(f"{self.address} {self.collection}".encode()).hexdigest()[:12]
        return f"import-{self.side}-{short}"


@dataclass(frozen=True, slots=True)
class Into:
    """A destination that can be written to.

    ``describe`` returns what its collection is apart from the points, ``None`` when there is none; ``allow`` raises
    ``StageError`` when nothing may be written there now.
    """

    destination: Destination
    store: VectorStore
    describe: Callable[[], Awaitable[Subject | None]]
    allow: Callable[[], Awaitable[None]]
