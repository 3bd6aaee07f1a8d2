"""A write while the target is the authority: one transaction holds locks, data and intent; resync goes to the source.

The intent is a transactional outbox of ids: it commits with the data or not at all. When Qdrant is down the client does
not notice; the ledger grows and drains later.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar
from uuid import UUID, uuid4

from service.control.plane import ControlPlane
from service.control.state import CollectionState
from service.errors import CollectionNotFound, StaleEpoch
from service.metrics import ProxyMetrics
from service.model.operations import (
    CreateIndex,
    CreateVector,
    DeleteIndex,
    DeleteVector,
    Operation,
    UpdateResult,
)
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
    UpdateStatus,
)
from service.ports import VectorStore
from service.protocol.description import Description, DescriptionOperation, applied
from service.protocol.ledger import Intent, LedgerEntry
from service.protocol.resync import Resyncer
from service.protocol.whole import WholeChanges
from service.protocol.whole_log import Change, TargetCollections
from service.queries.strict.mode import check_index_count
from service.stages import Side
from service.steps import Step, reached
from service.stores.configuration import updated

_T = TypeVar("_T")

_STALE_RETRIES = 3


class FencedStore(Protocol):
    """The target's store, whose writes can be tied to a state of the control row."""

    async def apply_fenced(
        self,
        collection: str,
        operation: Operation,
        state: CollectionState,
        *,
        owner: UUID,
        outbox: UUID | None,
    ) -> tuple[UpdateResult, Sequence[bytes]]:
        """Apply an operation only while ``state.epoch`` is current, together with an intent of id ``outbox``.

        Returns the result and the keys that the intent holds. Raises ``StaleEpoch``.
        """
        ...


class TargetAuthority:
    """The store that the edge is served from where Postgres is right."""

    def __init__(  # noqa: PLR0913, PLR0917 - the parts it is made of, wired once
        self,
        target: VectorStore,
        fenced: FencedStore,
        collections: TargetCollections,
        plane: ControlPlane,
        whole: WholeChanges,
        resyncer: Resyncer,
        metrics: ProxyMetrics,
    ) -> None:
        self._target = target
        self._fenced = fenced
        self._collections = collections
        self._plane = plane
        self._whole = whole
        self._resyncer = resyncer
        self._metrics = metrics

    async def apply(self, collection: str, operation: Operation, *, wait: bool) -> UpdateResult:
        """Apply one change; committed when this returns. Who does not ``wait`` reads what Qdrant would tell him.

        Raises ``StaleEpoch`` when the authority moved.
        """
        match operation:
            case CreateIndex() | DeleteIndex() | CreateVector() | DeleteVector():
                cause = "index" if isinstance(operation, CreateIndex | DeleteIndex) else "vector"
                number = await self._change(
                    collection, lambda before: _allowed(before, operation), cause
                )
                result = UpdateResult(number)
            case _:
                result = await self._current(lambda: self._apply_once(collection, operation))
        return result if wait else replace(result, status=UpdateStatus.ACKNOWLEDGED)

    async def _current(self, attempt: Callable[[], Awaitable[_T]]) -> _T:
        """Try again under the new epoch when a stage change leaves Postgres in charge: the first was refused whole."""
        for _ in range(_STALE_RETRIES):
            try:
                return await attempt()
            except StaleEpoch:
                self._metrics.stale_epochs.inc()
                await self._plane.refresh()
        return await attempt()

    async def _apply_once(self, collection: str, operation: Operation) -> UpdateResult:
        state = self._plane.view.state(collection)
        if state.epoch and state.authority is not Side.TARGET:
            message = "the collection's authority moved under the request"
            raise StaleEpoch(message)
        if state.generation is None:
            # Another instance may have made it a moment ago.
            state = (await self._plane.refresh()).state(collection)
        if state.generation is None:
            raise CollectionNotFound(collection)
        outbox = uuid4() if state.is_mirrored else None
        intent = _opened(state, outbox)
        if intent is not None:
            self._resyncer.opened(intent)
        try:
            result, keys = await self._fenced.apply_fenced(
                collection, operation, state, owner=self._plane.instance, outbox=outbox
            )
        except BaseException:
            # Should the commit have happened all the same, the sweep finds the intent.
            if intent is not None:
                self._resyncer.dropped(intent)
            raise
        reached(Step.OUTBOX_COMMITTED)
        if intent is not None and not keys:
            self._resyncer.dropped(intent)
        elif intent is not None:
            self._metrics.intents.labels(Side.SOURCE).inc()
            self._resyncer.ended(
                LedgerEntry(intent.id, intent.generation, collection, Side.SOURCE, tuple(keys))
            )
        return result

    async def create_collection(self, name: str, request: CreateCollection) -> bool:
        """Create a collection, complete from its first point; the source follows where it is mirrored."""
        owner = self._plane.instance
        await self._current(lambda: self._collections.create(name, request, owner=owner))
        await self._committed(name)
        return True

    async def update_collection(self, name: str, request: UpdateCollection) -> bool:
        """Change parameters; the source follows where it is mirrored."""
        await self._change(
            name, lambda before: replace(before, config=updated(before.config, request)), "update"
        )
        return True

    async def delete_collection(self, name: str) -> bool:
        """Drop the collection; the source follows where it is mirrored."""
        owner = self._plane.instance
        existed = await self._current(lambda: self._collections.drop(name, owner=owner))
        await self._committed(name)
        return existed

    async def _change(self, name: str, change: Change, cause: str) -> int:
        owner = self._plane.instance
        number = await self._current(
            lambda: self._collections.change(name, change, cause=cause, owner=owner)
        )
        self._whole.committed()
        return number

    async def _committed(self, name: str) -> None:
        reached(Step.OUTBOX_COMMITTED)
        await self._plane.refresh()
        self._whole.committed()
        await self._whole.synced(name)

    async def collections(self) -> list[str]:
        """Return the collections that the target answers for, sorted."""
        return sorted(
            state.name
            for state in self._plane.view.states.values()
            if state.authority is Side.TARGET and state.generation is not None
        )

    async def has_collection(self, name: str) -> bool:
        """Say whether the collection exists."""
        return await self._target.has_collection(name)

    async def collection_info(self, name: str) -> CollectionInfo:
        """Return status, counts and configuration."""
        return await self._target.collection_info(name)

    async def retrieve(self, collection: str, request: PointRequest) -> list[Record]:
        """Return points by id."""
        return await self._target.retrieve(collection, request)

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        """Return a page in id order."""
        return await self._target.scroll(collection, request)

    async def count(self, collection: str, request: CountRequest) -> int:
        """Return the number of points that match."""
        return await self._target.count(collection, request)

    async def facet(self, collection: str, request: FacetRequest) -> list[FacetHit]:
        """Return the values of a field with their counts."""
        return await self._target.facet(collection, request)

    async def aliases(self) -> dict[str, str]:
        """Return the collection that every alias stands for, of those that the target is right for."""
        view = self._plane.view
        return {
            alias: name
            for alias, name in (await self._target.aliases()).items()
            if view.state(name).authority is Side.TARGET
        }

    async def change_aliases(self, actions: Sequence[AliasOperations]) -> bool:
        """Make, drop and rename aliases, all or none; every instance knows them when this returns."""
        owner = self._plane.instance
        await self._current(lambda: self._collections.change_aliases(actions, owner=owner))
        view = await self._plane.refresh()
        self._whole.committed()
        await self._plane.seen_by_all(view.revision)
        return True

    async def query(self, collection: str, request: QueryRequest) -> Sequence[Hit]:
        """Return the best points."""
        return await self._target.query(collection, request)


def _opened(state: CollectionState, outbox: UUID | None) -> Intent | None:
    if outbox is None or state.generation is None:
        return None
    return Intent(
        outbox,
        state.generation,
        state.epoch,
        Side.SOURCE,
        owed=True,
        keys=(),
        cause="outbox",
        collection=state.name,
    )


def _proves_port(store: TargetAuthority) -> VectorStore:
    return store


def _allowed(before: Description, operation: DescriptionOperation) -> Description:
    if isinstance(operation, CreateIndex):
        check_index_count(before.config, before.payload_schema)
    return applied(before, operation)
