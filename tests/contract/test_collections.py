"""Collections, in every store."""

import pytest

from service.errors import CollectionExists, CollectionNotFound, WrongInput
from service.model.operations import Delete, Upsert
from service.model.qdrant import (
    CollectionStatus,
    CountRequest,
    CreateCollection,
    Distance,
    HnswConfigDiff,
    PointRequest,
    QueryRequest,
    ScrollRequest,
    UpdateCollection,
    VectorParams,
    VectorParamsDiff,
)
from service.ports import VectorStore
from tests.contract.samples import NAME, filled, ids, one, point, two


async def test_a_created_collection_is_listed_and_exists(store: VectorStore) -> None:
    """Names come back sorted, and only existing ones exist."""
    for name in ("b", "A", "ä"):
        assert await store.create_collection(name, one())
    assert await store.collections() == ["A", "b", "ä"]
    assert await store.has_collection("b")
    assert not await store.has_collection("B")


async def test_a_collection_is_created_once(store: VectorStore) -> None:
    """The second creation is refused with Qdrant's text."""
    await store.create_collection(NAME, one())
    with pytest.raises(CollectionExists, match=f"Collection `{NAME}` already exists!"):
        await store.create_collection(NAME, two())


async def test_deleting_tells_whether_it_was_there(store: VectorStore) -> None:
    """Deleting twice is true, then false, and a new one of that name starts empty."""
    await filled(store, one(), point(1, {"": [1, 2]}))
    assert await store.delete_collection(NAME)
    assert not await store.delete_collection(NAME)
    await store.create_collection(NAME, one())
    assert await store.count(NAME, CountRequest()) == 0


async def test_every_call_names_an_unknown_collection(store: VectorStore) -> None:
    """Reads and writes of an unknown collection raise the same error."""
    calls = (
        store.collection_info(NAME),
        store.retrieve(NAME, PointRequest(ids=[1])),
        store.scroll(NAME, ScrollRequest()),
        store.count(NAME, CountRequest()),
        store.query(NAME, QueryRequest(query=[1.0, 2.0])),
        store.update_collection(NAME, UpdateCollection()),
        store.apply(NAME, Upsert([point(1, {"": [1, 2]})]), wait=True),
        store.apply(NAME, Delete(ids(1)), wait=True),
    )
    for call in calls:
        with pytest.raises(CollectionNotFound, match=f"Collection `{NAME}` doesn't exist!"):
            await call


async def test_info_echoes_the_configuration_with_defaults(store: VectorStore) -> None:
    """What was asked for comes back, and what was not has Qdrant's default."""
    request = CreateCollection(
        vectors=VectorParams(size=4, distance=Distance.COSINE),
        hnsw_config=HnswConfigDiff(m=24),
        metadata={"owner": "me"},
    )
    await filled(store, request, point(1, {"": [1, 2, 3, 4]}), point(2, {}))
    info = await store.collection_info(NAME)
    assert info.status is CollectionStatus.GREEN
    assert info.points_count == 2
    assert info.config.params.vectors == request.vectors
    assert (info.config.hnsw_config.m, info.config.hnsw_config.ef_construct) == (24, 100)
    assert info.config.optimizer_config.indexing_threshold == 10_000
    assert info.config.metadata == {"owner": "me"}
    assert info.payload_schema == {}


async def test_an_update_changes_what_it_names(store: VectorStore) -> None:
    """PATCH merges; a vector the collection does not have is refused."""
    await store.create_collection(NAME, two())
    update = UpdateCollection(
        hnsw_config=HnswConfigDiff(ef_construct=77),
        vectors={"text": VectorParamsDiff(on_disk=True)},
    )
    assert await store.update_collection(NAME, update)
    config = (await store.collection_info(NAME)).config
    assert (config.hnsw_config.m, config.hnsw_config.ef_construct) == (16, 77)
    assert isinstance(config.params.vectors, dict)
    assert config.params.vectors["text"].on_disk is True
    assert config.params.vectors["image"].on_disk is None
    with pytest.raises(WrongInput, match="Not existing vector name error: nope"):
        await store.update_collection(
            NAME, UpdateCollection(vectors={"nope": VectorParamsDiff(on_disk=True)})
        )


async def test_a_collection_without_vectors_holds_points(store: VectorStore) -> None:
    """Payload alone is a point."""
    await filled(store, CreateCollection(), point(1, {}, a=1))
    assert await store.count(NAME, CountRequest()) == 1
    with pytest.raises(WrongInput, match="Not existing vector name error"):
        await store.apply(NAME, Upsert([point(1, {"": [1, 2]})]), wait=True)
