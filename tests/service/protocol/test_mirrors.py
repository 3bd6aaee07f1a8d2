"""The source as a resync sees it."""

from collections.abc import Sequence

import numpy as np
import pytest

from service.errors import SourceUnavailable
from service.model.ids import PointId
from service.model.operations import ByIds, Delete, Operation, UpdateResult, Upsert
from service.model.points import Point
from service.model.qdrant import CreateCollection, Distance, UpdateStatus, VectorParams
from service.protocol.mirrors import NoSource, SourceMirror
from tests.fakes import MemoryStore


class Queue(MemoryStore):
    """A store that may only acknowledge what it waits for, and whose other replicas may have more points."""

    def __init__(self) -> None:
        super().__init__()
        self.status = UpdateStatus.COMPLETED
        self.barriers: list[list[PointId]] = []
        self.lagging: dict[PointId, Point] = {}
        self.asked_replicas: list[list[PointId]] = []
        self.catches_up = False

    async def apply(self, collection: str, operation: Operation, *, wait: bool) -> UpdateResult:
        result = await super().apply(collection, operation, wait=wait)
        return UpdateResult(result.operation_id, self.status)

    async def barrier(self, collection: str, ids: Sequence[PointId]) -> None:
        self.barriers.append(list(ids))

    async def on_replicas(self, collection: str, ids: Sequence[PointId]) -> set[PointId]:
        self.asked_replicas.append(list(ids))
        elsewhere = {point_id for point_id in ids if point_id in self.lagging}
        if self.catches_up:
            await super().apply(collection, Upsert([*self.lagging.values()]), wait=True)
        return elsewhere

    async def drain(self, collection: str) -> None:
        raise AssertionError("what is tested here has no business with this")


@pytest.fixture
async def store() -> Queue:
    """A store with collection ``c``."""
    store = Queue()
    await store.create_collection(
        "c", CreateCollection(vectors=VectorParams(size=1, distance=Distance.DOT))
    )
    return store


def _point(point_id: PointId) -> Point:
    return Point(point_id, {"": np.array([1.0], np.float32)}, {"a": 1})


async def test_what_is_pushed_can_be_fetched(store: Queue) -> None:
    """A push writes whole points and removes the absent; a fetch brings payload and vectors back."""
    mirror = SourceMirror(store)
    await mirror.pusher("c")([_point(1), _point(2)], [])
    await mirror.pusher("c")([], [2])
    (found,) = await mirror.fetcher("c")([1, 2])
    assert (found.id, found.payload, list(found.vectors)) == (1, {"a": 1}, [""])


async def test_an_absence_is_confirmed_by_the_other_replicas(store: Queue) -> None:
    """They are asked about what the first read lacks, and about nothing else (R12)."""
    mirror = SourceMirror(store)
    await mirror.pusher("c")([_point(1)], [])
    assert [each.id for each in await mirror.fetcher("c")([1])] == [1]
    assert store.asked_replicas == []
    assert [each.id for each in await mirror.fetcher("c")([1, 2])] == [1]
    assert store.asked_replicas == [[2]]


async def test_replicas_that_disagree_are_no_answer(store: Queue) -> None:
    """A point that one replica lacks and the others have is not gone: the intent has to stay (R12)."""
    store.lagging = {2: _point(2)}
    with pytest.raises(SourceUnavailable, match="replicas that disagree about 1 "):
        await SourceMirror(store).fetcher("c")([1, 2, 3])


async def test_a_point_that_was_made_between_two_reads_is_there(store: Queue) -> None:
    """Read once more it is found, and taken as it is now."""
    store.lagging, store.catches_up = {2: _point(2)}, True
    assert [each.id for each in await SourceMirror(store).fetcher("c")([1, 2])] == [2]


async def test_a_push_asks_only_for_what_there_is(store: Queue) -> None:
    """No empty operation is sent, and both are waited for."""
    await SourceMirror(store).pusher("c")([_point(1)], [2])
    assert [(type(operation), wait) for operation, wait in store.applied] == [
        (Upsert, True),
        (Delete, True),
    ]
    assert store.applied[1][0] == Delete(ByIds((2,)))
    await SourceMirror(store).pusher("c")([], [])
    assert len(store.applied) == 2


@pytest.mark.parametrize("status", [UpdateStatus.ACKNOWLEDGED, UpdateStatus.WAIT_TIMEOUT])
async def test_a_push_that_is_not_completed_has_not_ended(
    store: Queue, status: UpdateStatus
) -> None:
    """Only `completed` ends a write (R1): otherwise it may land after a later one."""
    store.status = status
    with pytest.raises(SourceUnavailable) as raised:
        await SourceMirror(store).pusher("c")([_point(1)], [])
    assert raised.value.may_have_applied


async def test_without_a_source_nothing_is_lost_silently() -> None:
    """Every question fails, as one that never left: the intents stay in the ledger."""
    none = NoSource()
    for asked in (
        none.fetcher("c")([1]),
        none.pusher("c")([], [1]),
        none.barrier("c", [1]),
    ):
        with pytest.raises(SourceUnavailable) as raised:
            await asked
        assert not raised.value.may_have_applied
