"""From a collection's configuration to the request that makes it again."""

from service.control.sourced import create_request
from service.model.qdrant import CreateCollection, Distance, VectorParams
from tests.fakes import MemoryStore


async def test_the_request_makes_the_same_collection_again() -> None:
    """Vectors and HNSW settings survive the way through the source's own description."""
    vectors = {"text": VectorParams(size=3, distance=Distance.COSINE)}
    store = MemoryStore()
    await store.create_collection("c", CreateCollection(vectors=vectors))
    request = create_request((await store.collection_info("c")).config)
    assert request.vectors == vectors
    assert request.hnsw_config is not None
    assert (request.hnsw_config.m, request.hnsw_config.ef_construct) == (16, 100)
    await store.create_collection("again", request)
    again = (await store.collection_info("again")).config
    assert create_request(again) == request


async def test_a_collection_without_vectors_has_none() -> None:
    """No vectors is an empty set of them, not a missing one."""
    store = MemoryStore()
    await store.create_collection("c", CreateCollection(vectors={}))
    assert create_request((await store.collection_info("c")).config).vectors == {}
