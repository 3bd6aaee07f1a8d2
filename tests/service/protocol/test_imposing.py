"""Making the source's collection what the target says."""

from collections.abc import Sequence

import numpy as np
import pytest

from service.errors import CollectionNotFound, SourceUnavailable
from service.model.ids import PointId
from service.model.operations import Operation, UpdateResult, Upsert
from service.model.points import Point
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    Distance,
    PointRequest,
    UpdateStatus,
    VectorParams,
)
from service.protocol import imposing
from service.protocol.description import Description
from service.protocol.whole_log import Anew
from tests.fakes import MemoryStore
from tests.service.stores.postgres.staged import point

CONFIG = CreateCollection(vectors=VectorParams(size=2, distance=Distance.DOT))
WANTED = Description(CONFIG, {"a": "keyword"})


class Source(MemoryStore):
    """A source whose queue can be waited for, and that may be slow with indexes."""

    status = UpdateStatus.COMPLETED
    drained = 0

    async def apply(self, collection: str, operation: Operation, *, wait: bool) -> UpdateResult:
        result = await super().apply(collection, operation, wait=wait)
        return UpdateResult(result.operation_id, self.status)

    async def barrier(self, collection: str, ids: object) -> None:
        raise AssertionError

    async def on_replicas(self, collection: str, ids: Sequence[PointId]) -> set[PointId]:
        return set()

    async def drain(self, collection: str) -> None:
        if collection not in await self.collections():
            raise CollectionNotFound(collection)
        self.drained += 1


async def test_a_collection_made_anew_has_no_point_of_the_old_one() -> None:
    """Also where the description is the same; doing it twice changes nothing."""
    source = Source()
    await source.create_collection("c", CONFIG)
    await source.apply("c", Upsert([point(1)]), wait=True)
    for _ in range(2):
        await imposing.impose(source, "c", WANTED, Anew(collection=True))
    assert await source.count("c", CountRequest()) == 0
    assert (await imposing.description(source, "c")) is not None
    assert (await source.collection_info("c")).payload_schema.keys() == {"a"}


async def test_a_changed_collection_keeps_its_points() -> None:
    """Indexes that are there already are not built again."""
    source = Source()
    await source.create_collection("c", CONFIG)
    await source.apply("c", Upsert([point(1)]), wait=True)
    await imposing.impose(source, "c", WANTED, Anew())
    assert await source.count("c", CountRequest()) == 1
    assert (await source.collection_info("c")).payload_schema.keys() == {"a"}


async def test_a_dropped_collection_is_dropped_and_one_that_is_missing_is_said() -> None:
    """A collection that should only be changed holds points: it must not come back empty."""
    source = Source()
    await source.create_collection("c", CONFIG)
    await imposing.impose(source, "c", None, Anew(collection=True))
    assert await source.collections() == []
    with pytest.raises(CollectionNotFound):
        await imposing.impose(source, "c", WANTED, Anew())
    assert await imposing.description(source, "c") is None


async def test_an_index_that_is_only_queued_has_not_ended() -> None:
    """The intent stays until it is there (R1)."""
    source = Source()
    await source.create_collection("c", CONFIG)
    source.status = UpdateStatus.ACKNOWLEDGED
    with pytest.raises(SourceUnavailable, match="acknowledged"):
        await imposing.impose(source, "c", WANTED, Anew())


async def test_without_a_collection_there_is_no_queue() -> None:
    """A barrier behind its end is passed."""
    source = Source()
    await imposing.drained(source, "c")
    await source.create_collection("c", CONFIG)
    await imposing.drained(source, "c")
    assert source.drained == 1


async def test_aliases_and_named_vectors_follow() -> None:
    """An alias of another collection moves; nothing else of the collections changes."""
    source = Source()
    await source.create_collection("c", CONFIG)
    await source.create_collection("d", CONFIG)
    source.alias_names = {"old": "c", "moves": "d", "other": "d"}
    config = {"vectors": {"": {"size": 2, "distance": "Dot"}, "b": {"size": 3, "distance": "Dot"}}}
    wanted = Description(
        CreateCollection.model_validate(config), aliases=frozenset({"new", "moves"})
    )
    for _ in range(2):
        await imposing.impose(source, "c", wanted, Anew())
    assert source.alias_names == {"other": "d", "new": "c", "moves": "c"}
    found = await imposing.description(source, "c")
    assert found is not None
    assert found.aliases == wanted.aliases
    assert found.config.vectors == wanted.config.vectors


async def test_a_vector_that_was_removed_and_made_again_is_empty() -> None:
    """Also where the source has the same one: it still holds what was removed."""
    source = Source()
    named = CreateCollection.model_validate(
        {"vectors": {"a": {"size": 2, "distance": "Dot"}, "b": {"size": 2, "distance": "Dot"}}}
    )
    await source.create_collection("c", named)
    vector = np.ones(2, np.float32)
    await source.apply("c", Upsert([Point(1, {"a": vector, "b": vector}, {})]), wait=True)
    await imposing.impose(source, "c", Description(named), Anew(vectors=frozenset({"b"})))
    [found] = await source.retrieve("c", PointRequest(ids=[1], with_vector=True))
    assert found.vectors is not None
    assert found.vectors.keys() == {"a"}
