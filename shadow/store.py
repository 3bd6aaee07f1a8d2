"""``ShadowStore``: a store whose searches are sampled for comparison with the other store."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

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
from service.ports import VectorStore
from service.stages import Side
from shadow.observation import Observation, ShadowRead
from shadow.reads import ShadowReads

Watch = Callable[[str], Callable[[], bool]]
"""Begins to watch a collection's writes; the result says later whether there were any since."""

IsOn = Callable[[str], bool]
"""Says whether a collection's stage compares at all."""


class ShadowStore:
    """Answers from ``control``, the store of ``side``; everything but ``query`` delegates."""

    def __init__(
        self, control: VectorStore, side: Side, reads: ShadowReads, *, watch: Watch, is_on: IsOn
    ) -> None:
        self._control = control
        self._side = side
        self._reads = reads
        self._watch = watch
        self._is_on = is_on

    async def query(self, collection: str, request: QueryRequest) -> Sequence[Hit]:
        """Return the control's answer, and offer a sampled one for comparison."""
        if not self._is_on(collection) or not self._reads.wants(collection):
            return await self._control.query(collection, request)
        disturbed = self._watch(collection)
        started = time.perf_counter()
        hits = await self._control.query(collection, request)
        observation = Observation.of(hits, time.perf_counter() - started)
        self._reads.offer(ShadowRead(collection, request, self._side, observation, disturbed))
        return hits

    async def collections(self) -> list[str]:
        """Delegate."""
        return await self._control.collections()

    async def has_collection(self, name: str) -> bool:
        """Delegate."""
        return await self._control.has_collection(name)

    async def collection_info(self, name: str) -> CollectionInfo:
        """Delegate."""
        return await self._control.collection_info(name)

    async def create_collection(self, name: str, request: CreateCollection) -> bool:
        """Delegate."""
        return await self._control.create_collection(name, request)

    async def update_collection(self, name: str, request: UpdateCollection) -> bool:
        """Delegate."""
        return await self._control.update_collection(name, request)

    async def delete_collection(self, name: str) -> bool:
        """Delegate."""
        return await self._control.delete_collection(name)

    async def retrieve(self, collection: str, request: PointRequest) -> list[Record]:
        """Delegate."""
        return await self._control.retrieve(collection, request)

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        """Delegate."""
        return await self._control.scroll(collection, request)

    async def count(self, collection: str, request: CountRequest) -> int:
        """Delegate."""
        return await self._control.count(collection, request)

    async def facet(self, collection: str, request: FacetRequest) -> list[FacetHit]:
        """Delegate."""
        return await self._control.facet(collection, request)

    async def aliases(self) -> dict[str, str]:
        """Delegate."""
        return await self._control.aliases()

    async def change_aliases(self, actions: Sequence[AliasOperations]) -> bool:
        """Delegate."""
        return await self._control.change_aliases(actions)

    async def apply(self, collection: str, operation: Operation, *, wait: bool) -> UpdateResult:
        """Delegate."""
        return await self._control.apply(collection, operation, wait=wait)


if TYPE_CHECKING:
    _port: type[VectorStore] = ShadowStore
