"""vecferry alone, without any Qdrant, is a Qdrant: a tour of qdrant-client through every method it has."""

import inspect
from typing import Any
from uuid import uuid4

import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

from tests.system.processes import Proxy

NOT_REST = {
    "get_embedding_size", "grpc_collections", "grpc_points", "http", "init_options",
    "list_image_models", "list_late_interaction_multimodal_models",
    "list_late_interaction_text_models", "list_sparse_models", "list_text_models", "migrate",
    "recreate_collection",
}  # fmt: skip
"""What asks no server, or is made of the other methods."""


class Tourist:
    """Calls the methods of either client by name and notes which were called."""

    def __init__(self, client: QdrantClient | AsyncQdrantClient) -> None:
        self.client = client
        self.seen: set[str] = set()

    async def __call__(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Return the method's answer."""
        self.seen.add(method)
        answer = getattr(self.client, method)(*arguments, **named)
        return await answer if inspect.isawaitable(answer) else answer

    async def refused(self, status: int, method: str, *arguments: Any, **named: Any) -> str:
        """Return what the server says when it refuses."""
        with pytest.raises(UnexpectedResponse) as caught:
            await self(method, *arguments, **named)
        assert caught.value.status_code == status
        return caught.value.content.decode()


@pytest.fixture(params=["sync", "async"])
def ask(request: pytest.FixtureRequest, complete_proxy: Proxy) -> Tourist:
    """A tourist with either client."""
    kind = QdrantClient if request.param == "sync" else AsyncQdrantClient
    return Tourist(kind(url=complete_proxy.url, timeout=30))


async def test_a_tour_through_every_method(ask: Tourist) -> None:
    """What an application can call answers, and what only Qdrant's own files could answer says so."""
    name = f"tour-{uuid4().hex[:8]}"
    await _collections(ask, name)
    await _points(ask, name)
    await _queries(ask, name)
    await _schema(ask, name)
    await _aliases(ask, name)
    await _service(ask, name)
    assert await ask("delete_collection", name) is True
    assert await ask("collection_exists", name) is False
    await ask("close")
    methods = {each for each in dir(type(ask.client)) if not each.startswith("_")}
    assert {each for each in methods if each.islower()} - ask.seen - NOT_REST == set()


async def _collections(ask: Tourist, name: str) -> None:
    vectors = {
        "a": models.VectorParams(size=2, distance=models.Distance.COSINE),
        "m": models.VectorParams(
            size=2,
            distance=models.Distance.DOT,
            multivector_config=models.MultiVectorConfig(
                comparator=models.MultiVectorComparator.MAX_SIM
            ),
        ),
    }
    sparse = {"s": models.SparseVectorParams(modifier=models.Modifier.IDF)}
    assert await ask(
        "create_collection", name, vectors_config=vectors, sparse_vectors_config=sparse
    )
    assert await ask("collection_exists", name) is True
    assert name in {each.name for each in (await ask("get_collections")).collections}
    await ask("update_collection", name, hnsw_config=models.HnswConfigDiff(m=24))
    info = await ask("get_collection", name)
    assert (info.config.hnsw_config.m, info.points_count) == (24, 0)
    text = await ask.refused(
        409, "create_collection", name, vectors_config=vectors, sparse_vectors_config=sparse
    )
    assert "already exists" in text


def _point(number: int, **payload: Any) -> models.PointStruct:
    vectors: Any = {
        "a": [1.0, float(number)],
        "m": [[1.0, 0.0], [0.0, float(number)]],
        "s": models.SparseVector(indices=[1, number], values=[1.0, 0.5]),
    }
    return models.PointStruct(id=number, vector=vectors, payload={"n": number, **payload})


async def _points(ask: Tourist, name: str) -> None:
    await ask("upsert", name, [_point(n, city="Bern" if n % 2 else "Rom") for n in (2, 3, 4)])
    await ask("upload_points", name, [_point(5, city="Bern")], wait=True)
    await ask(
        "upload_collection", name, [{"a": [1.0, 6.0]}], payload=[{"n": 6}], ids=[6], wait=True
    )
    await ask("update_vectors", name, [models.PointVectors(id=6, vector={"a": [1.0, 7.0]})])
    await ask("set_payload", name, {"city": "Oslo", "old": 1}, [6])
    await ask("delete_payload", name, ["old"], [6])
    await ask("delete_vectors", name, ["m"], [5])
    await ask("overwrite_payload", name, {"n": 5}, [5])
    await ask("clear_payload", name, [4])
    await ask(
        "batch_update_points",
        name,
        [
            models.SetPayloadOperation(
                set_payload=models.SetPayload(payload={"n": 4, "city": "Rom"}, points=[4])
            ),
            models.DeleteOperation(delete=models.PointIdsList(points=[99])),
        ],
    )
    await ask("upsert", name, [_point(9)])
    await ask("delete", name, [9])
    found = await ask("retrieve", name, [6, 5, 4, 9], with_payload=True, with_vectors=True)
    assert [(each.id, each.payload) for each in found] == [
        (6, {"n": 6, "city": "Oslo"}), (5, {"n": 5}), (4, {"n": 4, "city": "Rom"}),
    ]  # fmt: skip
    assert found[1].vector.keys() == {"a", "s"}
    page, following = await ask("scroll", name, limit=2)
    assert ([each.id for each in page], following) == ([2, 3], 4)
    in_rome = models.Filter(
        must=[models.FieldCondition(key="city", match=models.MatchValue(value="Rom"))]
    )
    assert (await ask("count", name, in_rome)).count == 2


async def _queries(ask: Tourist, name: str) -> None:
    near = await ask("query_points", name, query=[1.0, 0.0], using="a", limit=2)
    assert [each.id for each in near.points] == [2, 3]
    sparse = models.SparseVector(indices=[3], values=[1.0])
    fused = await ask(
        "query_points",
        name,
        prefetch=[
            models.Prefetch(query=[1.0, 0.0], using="a"),
            models.Prefetch(query=sparse, using="s"),
            models.Prefetch(query=[[0.0, 1.0]], using="m"),
        ],
        query=models.FusionQuery(fusion=models.Fusion.RRF),
    )
    assert {each.id for each in fused.points} == {2, 3, 4, 5, 6}
    recommended = models.RecommendQuery(recommend=models.RecommendInput(positive=[2]))
    batch = [
        models.QueryRequest(query=recommended, using="a", limit=1),
        models.QueryRequest(query=models.SampleQuery(sample=models.Sample.RANDOM), limit=3),
    ]
    answers = await ask("query_batch_points", name, batch)
    assert ([each.id for each in answers[0].points], len(answers[1].points)) == ([3], 3)
    groups = await ask("query_points_groups", name, "city", query=[1.0, 0.0], using="a")
    assert {group.id for group in groups.groups} == {"Bern", "Rom", "Oslo"}
    pairs = await ask("search_matrix_pairs", name, sample=5, limit=2, using="a")
    assert len(pairs.pairs) == 10
    offsets = await ask("search_matrix_offsets", name, sample=5, limit=2, using="a")
    assert sorted(offsets.ids) == [2, 3, 4, 5, 6]


async def _schema(ask: Tourist, name: str) -> None:
    assert "index" in await ask.refused(400, "facet", name, "city")
    await ask("create_payload_index", name, "city", models.PayloadSchemaType.KEYWORD)
    hits = (await ask("facet", name, "city")).hits
    assert [(hit.value, hit.count) for hit in hits] == [("Rom", 2), ("Bern", 1), ("Oslo", 1)]
    assert (await ask("get_collection", name)).payload_schema.keys() == {"city"}
    await ask("delete_payload_index", name, "city")
    added = models.DenseVectorNameConfig(
        dense=models.DenseVectorConfig(size=3, distance=models.Distance.DOT)
    )
    await ask("create_vector_name", name, "b", added)
    await ask("update_vectors", name, [models.PointVectors(id=2, vector={"b": [1.0, 2.0, 3.0]})])
    best = await ask("query_points", name, query=[1.0, 1.0, 1.0], using="b")
    assert [(each.id, each.score) for each in best.points] == [(2, 6.0)]
    await ask("delete_vector_name", name, "b")
    assert (await ask("get_collection", name)).config.params.vectors.keys() == {"a", "m"}


async def _aliases(ask: Tourist, name: str) -> None:
    alias = f"{name}-alias"
    made = models.CreateAliasOperation(
        create_alias=models.CreateAlias(collection_name=name, alias_name=alias)
    )
    await ask("update_collection_aliases", [made])
    of_all = (await ask("get_aliases")).aliases
    assert (alias, name) in {(each.alias_name, each.collection_name) for each in of_all}
    of_one = (await ask("get_collection_aliases", name)).aliases
    assert [each.alias_name for each in of_one] == [alias]
    assert (await ask("count", alias)).count == 5
    assert await ask("collection_exists", alias) is True
    looked_up = await ask(
        "query_points",
        name,
        query=2,
        using="a",
        lookup_from=models.LookupLocation(collection=alias, vector="a"),
        limit=1,
    )
    assert len(looked_up.points) == 1


async def _service(ask: Tourist, name: str) -> None:
    assert (await ask("info")).version
    assert (await ask("cluster_status")).status == "disabled"
    assert (await ask("collection_cluster_info", name)).shard_count == 1
    assert await ask("get_optimizations", name) is not None
    await ask("list_shard_keys", name)
    files: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("create_snapshot", (name,)),
        ("list_snapshots", (name,)),
        ("delete_snapshot", (name, "s")),
        ("recover_snapshot", (name, "http://localhost/s")),
        ("create_full_snapshot", ()),
        ("list_full_snapshots", ()),
        ("delete_full_snapshot", ("s",)),
        ("create_shard_snapshot", (name, 0)),
        ("list_shard_snapshots", (name, 0)),
        ("delete_shard_snapshot", (name, 0, "s")),
        ("recover_shard_snapshot", (name, 0, "http://localhost/s")),
    )
    for method, arguments in files:
        assert "pg_dump" in await ask.refused(501, method, *arguments), method
    moved = models.MoveShardOperation(
        move_shard=models.MoveShard(shard_id=0, to_peer_id=1, from_peer_id=2)
    )
    surgery: tuple[tuple[str, tuple[Any, ...]], ...] = (
        ("create_shard_key", (name, "k")),
        ("delete_shard_key", (name, "k")),
        ("cluster_collection_update", (name, moved)),
        ("cluster_telemetry", ()),
        ("recover_current_peer", ()),
        ("remove_peer", (1,)),
    )
    for method, arguments in surgery:
        assert "standalone" in await ask.refused(405, method, *arguments), method
