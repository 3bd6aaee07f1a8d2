"""The interfaces between the layers. Stores implement them, everything else depends on them."""

from collections.abc import Sequence
from typing import Protocol

from service.model.operations import Operation, UpdateResult
from service.model.points import FacetHit, Hit, Page, Record
from service.model.qdrant import (
    AliasOperations,
    CollectionInfo,
    CountRequest,
    CreateCollection,
    FacetRequest,
    PointRequest,
    QueryRequest,
    ScrollRequest,
    UpdateCollection,
)


class PointReader(Protocol):
    """Reads of one store. Every method raises ``CollectionNotFound`` for an unknown collection."""

    async def collection_info(self, name: str) -> CollectionInfo:
        """Return status, counts, configuration and payload schema."""
        ...

    async def retrieve(self, collection: str, request: PointRequest) -> list[Record]:
        """Return the points that exist, in the request's order, duplicates once.

        ``with_payload`` absent means ``False`` here; the edge fills in what an endpoint defaults to.
        """
        ...

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        """Return a page in id order; ``limit`` defaults to 10, ``with_payload`` to ``True``."""
        ...

    async def count(self, collection: str, request: CountRequest) -> int:
        """Return the number of points that match."""
        ...

    async def query(self, collection: str, request: QueryRequest) -> Sequence[Hit]:
        """Return the best points, best first; ``limit`` defaults to 10."""
        ...


class VectorStore(PointReader, Protocol):
    """A whole store: what the Qdrant REST edge is served from."""

    async def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        ...

    async def has_collection(self, name: str) -> bool:
        """Say whether the collection exists."""
        ...

    async def create_collection(self, name: str, request: CreateCollection) -> bool:
        """Create an empty collection. Raises ``CollectionExists``."""
        ...

    async def update_collection(self, name: str, request: UpdateCollection) -> bool:
        """Change parameters. Raises ``CollectionNotFound``."""
        ...

    async def delete_collection(self, name: str) -> bool:
        """Drop the collection; false when it was not there."""
        ...

    async def facet(self, collection: str, request: FacetRequest) -> list[FacetHit]:
        """Return the values of a field with their counts, the most frequent first; ``limit`` defaults to 10."""
        ...

    async def aliases(self) -> dict[str, str]:
        """Return the collection that every alias stands for."""
        ...

    async def change_aliases(self, actions: Sequence[AliasOperations]) -> bool:
        """Make, drop and rename aliases, all or none. Raises ``CollectionNotFound`` and ``WrongInput``."""
        ...

    async def apply(self, collection: str, operation: Operation, *, wait: bool) -> UpdateResult:
        """Apply one change. With ``wait`` it is visible to reads when this returns."""
        ...
