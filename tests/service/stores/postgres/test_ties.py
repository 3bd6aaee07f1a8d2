"""Points with the same score come in the order of their ids, whatever is searched and wherever the page begins."""

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from service.model.ids import PointId
from service.model.operations import Upsert
from service.model.points import Point, SparseVector, Vectors
from service.model.qdrant import CreateCollection, QueryRequest
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "ties"
BEST = 8
EQUAL: list[PointId] = [0, 1, 2, 3, 9, 10, 2**63, "00000000-0000-0000-0000-000000000001"]
EXAMPLES = {"positive": [[1.0, 0.0]], "negative": [[0.0, 1.0]], "strategy": "best_score"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def store(module_database_url: str) -> AsyncIterator[PgStore]:
    """Equal points written one by one, the largest id first, and one that is better."""
    database = await Database.open(module_database_url)
    opened = PgStore(database)
    rows = {"size": 2, "distance": "Dot", "multivector_config": {"comparator": "max_sim"}}
    description = {
        "vectors": {
            "dot": {"size": 2, "distance": "Dot"},
            "city": {"size": 2, "distance": "Manhattan"},
            "rows": rows,
        },
        "sparse_vectors": {"terms": {}},
    }
    await opened.create_collection(NAME, CreateCollection.model_validate(description))
    for number in [*reversed(EQUAL), BEST]:
        await opened.apply(NAME, Upsert([_point(number)]), wait=True)
    yield opened
    await opened.delete_collection(NAME)
    await database.close()


def _point(number: PointId) -> Point:
    value = np.float32(2.0 if number == BEST else 1.0)
    dense = np.array([value, 0], np.float32)
    vectors: Vectors = {
        "dot": dense,
        "city": np.array([value - 2, 0], np.float32),
        "rows": np.stack([dense, dense]),
        "terms": SparseVector(np.array([3], np.uint32), np.array([value], np.float32)),
    }
    return Point(number, vectors, {})


QUERIES: dict[str, dict[str, Any]] = {
    "dot": {"query": [1.0, 0.0], "using": "dot"},
    "city": {"query": [0.0, 0.0], "using": "city"},
    "rows": {"query": [[1.0, 0.0]], "using": "rows"},
    "terms": {"query": {"indices": [3], "values": [1.0]}, "using": "terms"},
    "best_score": {"query": {"recommend": EXAMPLES}, "using": "dot"},
    "fused": {"prefetch": {"query": [1.0, 0.0], "using": "dot"}, "query": {"fusion": "dbsf"}},
}


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(("limit", "offset"), [(1, 0), (4, 0), (3, 2), (20, 0), (20, 5)])
async def test_equals_come_in_the_order_of_their_ids(
    store: PgStore, query: str, limit: int, offset: int
) -> None:
    """A page is what stands there in the whole order."""
    body = {**QUERIES[query], "limit": limit, "offset": offset}
    hits = await store.query(NAME, QueryRequest.model_validate(body))
    assert [hit.id for hit in hits] == [BEST, *EQUAL][offset : offset + limit]
