"""How many points an index holds: Qdrant's own engine says the same of the same values."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from service.model.operations import CreateIndex, Upsert
from service.model.points import Point
from service.model.qdrant import CreateCollection
from service.ports import VectorStore
from service.stores.edge.store import EdgeStore
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore

VALUES: list[Any] = [
    None, True, False, 0, 1, -7, 2**53 + 1, 2**63 - 1, 2**64 - 1, 2.0**64, 1.0, 1.5, -0.0, 1e300, "", "a", "two words",
    "f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "F81D4FAE7DEC11D0A76500A0C91E6BF6", "2020-01-01",
    "2020-01-01T10:00:00Z", "2020-13-01", "1", [], {}, [None], ["a", 1], [1, 1.5], [True], [[1]],
    ["2020-01-01"], {"lon": 1.0, "lat": 2.0}, {"lon": 200.0, "lat": 2.0}, {"lon": 180, "lat": -90},
    {"lon": 1.0}, [{"lon": 1.0, "lat": 2.0}, "x"], {"lon": "1", "lat": 2},
]  # fmt: skip
KINDS = ["keyword", "integer", "float", "bool", "uuid", "datetime", "geo", "text"]


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[EdgeStore]:
    """Qdrant's engine."""
    async with EdgeStore(tmp_path) as store:
        yield store


async def _counts(store: VectorStore) -> dict[str, int | None]:
    await store.create_collection("c", CreateCollection(vectors={}))
    points = [Point(number, {}, dict.fromkeys(KINDS, value)) for number, value in enumerate(VALUES)]
    await store.apply("c", Upsert([*points, Point(99, {}, {})]), wait=True)
    for kind in KINDS:
        await store.apply("c", CreateIndex(kind, kind), wait=True)
    schema = (await store.collection_info("c")).payload_schema
    return {kind: schema[kind].points for kind in KINDS}


async def test_an_index_counts_the_points_that_have_a_value_of_its_type(
    engine: EdgeStore, database: Database
) -> None:
    """What it does not index it does not count."""
    assert await _counts(PgStore(database)) == await _counts(engine)
