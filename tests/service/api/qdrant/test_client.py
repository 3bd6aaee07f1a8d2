"""An unmodified ``qdrant_client`` over a socket: what the API is for."""

from uuid import UUID

import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models
from qdrant_client.http.exceptions import UnexpectedResponse

ONE = UUID(int=1)
VECTORS = {
    "a": models.VectorParams(size=2, distance=models.Distance.DOT),
    "m": models.VectorParams(
        size=2,
        distance=models.Distance.DOT,
        multivector_config=models.MultiVectorConfig(
            comparator=models.MultiVectorComparator.MAX_SIM
        ),
    ),
}


def test_the_synchronous_client(url: str) -> None:
    """From the version check at start to every write, the client finds what it expects."""
    client = QdrantClient(url=url)  # warns, which fails the test, unless the version fits
    assert client.create_collection(
        "c", vectors_config=VECTORS, sparse_vectors_config={"s": models.SparseVectorParams()}
    )
    assert client.collection_exists("c")
    assert [each.name for each in client.get_collections().collections] == ["c"]
    assert client.get_collection("c").config.params.vectors == VECTORS
    assert client.get_aliases().aliases == []

    points = [
        models.PointStruct(
            id=1,
            vector={
                "a": [1.0, 2.0],
                "s": models.SparseVector(indices=[3], values=[0.5]),
                "m": [[1.0, 2.0], [3.0, 4.0]],
            },
            payload={"k": "x"},
        ),
        models.PointStruct(id=str(ONE), vector={"a": [0.6, 0.8]}),
        models.PointStruct(id=2**64 - 1, vector={}),
    ]
    result = client.upsert("c", points)
    assert result.status is models.UpdateStatus.COMPLETED
    columns = models.Batch(ids=[5], vectors={"a": [[0.0, 0.0]]}, payloads=[{"k": "x"}])
    client.upsert("c", columns, wait=False)

    records = client.retrieve("c", [1, ONE, 99], with_vectors=True)
    assert [record.id for record in records] == [1, str(ONE)]
    assert records[0].vector == {
        "a": [1, 2],
        "s": models.SparseVector(indices=[3], values=[0.5]),
        "m": [[1, 2], [3, 4]],
    }
    page, after = client.scroll("c", limit=3)
    assert ([each.id for each in page], after) == ([1, 5, 2**64 - 1], str(ONE))
    only_x = models.Filter(
        must=[models.FieldCondition(key="k", match=models.MatchValue(value="x"))]
    )
    assert client.count("c", only_x).count == 2

    hits = client.query_points("c", np.array([1, 0]), using="a", query_filter=only_x).points
    assert [(hit.id, hit.score) for hit in hits] == [(1, 1.0), (5, 0.0)]
    by_id = [models.QueryRequest(query=str(ONE), using="a", limit=1, with_payload=True)]
    assert client.query_batch_points("c", by_id)[0].points[0].payload == {"k": "x"}

    client.update_vectors("c", [models.PointVectors(id=5, vector={"a": [9.0, 0.0]})])
    client.delete_vectors("c", ["a"], points=[1])
    client.set_payload("c", {"n": 1}, points=[5])
    client.delete_payload("c", ["k"], points=[5])
    client.overwrite_payload("c", {"z": 1}, points=only_x)
    client.clear_payload("c", [str(ONE)])
    client.create_payload_index("c", "z", models.PayloadSchemaType.INTEGER)
    client.delete_payload_index("c", "z")
    left = {each.id: each.payload for each in client.scroll("c")[0]}
    assert left == {1: {"z": 1}, 5: {"n": 1}, str(ONE): {}, 2**64 - 1: {}}

    results = client.batch_update_points(
        "c",
        [
            models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[5])),
            models.DeleteOperation(delete=models.PointIdsList(points=[1])),
        ],
    )
    assert len(results) == 2
    client.delete("c", models.Filter(must=[models.HasIdCondition(has_id=[ONE])]))
    assert {each.id for each in client.scroll("c")[0]} == {5, 2**64 - 1}
    assert client.delete_collection("c")
    client.close()


def test_errors_keep_their_class(url: str) -> None:
    """A Qdrant error arrives as the client's exception with status and text."""
    client = QdrantClient(url=url, check_compatibility=False)
    with pytest.raises(UnexpectedResponse) as caught:
        client.get_collection("x")
    assert caught.value.status_code == 404
    assert caught.value.structured()["status"]["error"] == (
        "Not found: Collection `x` doesn't exist!"
    )
    with pytest.raises(UnexpectedResponse, match="501"):
        client.create_snapshot("x")
    client.close()


async def test_the_asynchronous_client(url: str) -> None:
    """The same API for the asynchronous client."""
    client = AsyncQdrantClient(url=url, check_compatibility=False)
    await client.create_collection("c", vectors_config=VECTORS["a"])
    await client.upsert("c", [models.PointStruct(id=1, vector=[0.6, 0.8])])
    found = await client.query_points("c", query=[1.0, 0.0], with_vectors=True)
    assert found.points[0].vector == [0.6, 0.8]
    await client.close()
