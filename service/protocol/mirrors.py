"""The source as the resync sees it: read whole points, write whole points, pass a barrier."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from service.errors import SourceUnavailable
from service.model.ids import PointId
from service.model.operations import ByIds, Delete, Operation, Upsert
from service.model.points import Point
from service.model.qdrant import PointRequest, UpdateStatus
from service.ports import VectorStore
from service.protocol.ledger import Fetch, Push


class BarrierStore(VectorStore, Protocol):
    """A Qdrant whose queue can be waited for."""

    async def barrier(self, collection: str, ids: Sequence[PointId]) -> None:
        """Return when every operation on these ids that Qdrant had accepted before has been applied (R1)."""
        ...

    async def drain(self, collection: str) -> None:
        """Return when every operation that Qdrant had accepted before has been applied (R9)."""
        ...

    async def on_replicas(self, collection: str, ids: Sequence[PointId]) -> set[PointId]:
        """Return which of these ids most replicas have, asked of all of them (R12)."""
        ...


class MirrorSource(Protocol):
    """What a resync needs of the source."""

    def fetcher(self, collection: str) -> Fetch:
        """Return a reader of whole points."""
        ...

    def pusher(self, collection: str) -> Push:
        """Return a writer that makes the source hold exactly what it is given."""
        ...

    async def barrier(self, collection: str, ids: Sequence[PointId]) -> None:
        """Wait for the ids' queue."""
        ...


class SourceMirror:
    """``MirrorSource`` over the source's store."""

    def __init__(self, store: BarrierStore) -> None:
        self._store = store

    def fetcher(self, collection: str) -> Fetch:
        """Return a reader of whole points: payload and every vector.

        An id counts as absent only where the replica that was read and the others agree (R12).
        """

        async def fetch(ids: Sequence[PointId]) -> Sequence[Point]:
            found = await read(ids)
            absent = [point_id for point_id in ids if point_id not in found]
            if absent and (elsewhere := await self._store.on_replicas(collection, absent)):
                found |= await read([point_id for point_id in absent if point_id in elsewhere])
                _agree(elsewhere, found)
            return list(found.values())

        async def read(ids: Sequence[PointId]) -> dict[PointId, Point]:
            request = PointRequest(ids=list(ids), with_payload=True, with_vector=True)
            records = await self._store.retrieve(collection, request)
            return {
                each.id: Point(each.id, each.vectors or {}, each.payload or {}) for each in records
            }

        return fetch

    def pusher(self, collection: str) -> Push:
        """Return a writer of whole points; both operations have ended when it returns (R1)."""

        async def push(present: Sequence[Point], absent: Sequence[PointId]) -> None:
            if present:
                await finished(Upsert(present))
            if absent:
                await finished(Delete(ByIds(tuple(absent))))

        async def finished(operation: Operation) -> None:
            result = await self._store.apply(collection, operation, wait=True)
            if result.status is not UpdateStatus.COMPLETED:
                reason = f"answered a push with {result.status}"
                raise SourceUnavailable(reason)

        return push

    async def barrier(self, collection: str, ids: Sequence[PointId]) -> None:
        """Wait for the ids' queue."""
        await self._store.barrier(collection, ids)


def _agree(elsewhere: set[PointId], found: Mapping[PointId, Point]) -> None:
    """Raise ``SourceUnavailable`` unless what other replicas have was found at last: it was not only made just now."""
    if missing := elsewhere - found.keys():
        reason = f"has replicas that disagree about {len(missing)} points"
        raise SourceUnavailable(reason, may_have_applied=False)


class NoSource:
    """``MirrorSource`` where there is no Qdrant: intents about one stay in the ledger, visible."""

    def fetcher(self, collection: str) -> Fetch:  # noqa: ARG002 - the port's signature
        """Return a reader that fails."""

        async def fetch(ids: Sequence[PointId]) -> Sequence[Point]:  # noqa: ARG001 - the port's signature
            raise _NOT_CONFIGURED

        return fetch

    def pusher(self, collection: str) -> Push:  # noqa: ARG002 - the port's signature
        """Return a writer that fails."""

        async def push(present: Sequence[Point], absent: Sequence[PointId]) -> None:  # noqa: ARG001 - the port's signature
            raise _NOT_CONFIGURED

        return push

    async def barrier(self, collection: str, ids: Sequence[PointId]) -> None:  # noqa: ARG002 - the port's signature
        """Fail."""
        raise _NOT_CONFIGURED


_NOT_CONFIGURED = SourceUnavailable("is not configured", may_have_applied=False)


def _proves_port(mirror: SourceMirror, none: NoSource) -> tuple[MirrorSource, MirrorSource]:
    return mirror, none
