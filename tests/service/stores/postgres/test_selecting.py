"""Reads with a filter are planned for its values."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from service.model.operations import CreateIndex, Upsert
from service.model.points import Point
from service.model.qdrant import (
    CountRequest,
    CreateCollection,
    Distance,
    FacetRequest,
    FieldCondition,
    Filter,
    QueryRequest,
    Range,
    ScrollRequest,
    VectorParams,
)
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore

NAME = "planned"
_TIMES = 12
"""Postgres may choose a plan for any values from the sixth time on."""
READS: dict[str, Callable[[PgStore, Filter], Any]] = {
    "search": lambda store, wanted: store.query(
        NAME, QueryRequest(query=[1.0, 1.0], filter=wanted)
    ),
    "in order of ids": lambda store, wanted: store.query(NAME, QueryRequest(filter=wanted)),
    "scroll": lambda store, wanted: store.scroll(NAME, ScrollRequest(filter=wanted)),
    "scroll in order": lambda store, wanted: store.scroll(
        NAME, ScrollRequest(filter=wanted, order_by="n")
    ),
    "count": lambda store, wanted: store.count(NAME, CountRequest(filter=wanted)),
    "facet": lambda store, wanted: store.facet(NAME, FacetRequest(key="n", filter=wanted)),
}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_no_plan_is_made_for_any_values(
    database: Database, read: Callable[[PgStore, Filter], Any]
) -> None:
    """Guessed to find half a percent, it would be kept for ranges that find everything."""
    store = PgStore(database)
    params = VectorParams(size=2, distance=Distance.DOT)
    await store.create_collection(NAME, CreateCollection(vectors=params))
    await store.apply(NAME, CreateIndex("n", "integer"), wait=True)
    vector = {"": np.ones(2, np.float32)}
    points = [Point(number, vector, {"n": number}) for number in range(10)]
    await store.apply(NAME, Upsert(points), wait=True)
    for number in range(_TIMES):
        wanted = Filter(must=[FieldCondition(key="n", range=Range(gte=0, lt=number + 1))])
        assert await read(store, wanted)
    async with database.connection() as conn:
        kept = await conn.fetch(
            "SELECT generic_plans FROM pg_prepared_statements WHERE statement LIKE '%points_%'"
            " AND statement NOT LIKE '%TABLESAMPLE%' AND generic_plans + custom_plans > 5"
        )
    assert [row["generic_plans"] for row in kept] == [0]
