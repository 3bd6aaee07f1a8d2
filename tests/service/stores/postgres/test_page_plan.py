"""What a page of a scroll costs, wherever it begins."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import orjson
import pytest

from service.model.operations import Upsert
from service.model.points import Point
from service.model.qdrant import CreateCollection, Distance, ScrollRequest, VectorParams
from service.stores.postgres import catalog, reads, rows
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.store import PgStore
from service.translate.sql import Sql

_POINTS, _PAGE = 3_000, 10
# The plan that the planner takes for tables of a million points; here they are too small for it.
_AS_IF_LARGE = (
    "SET LOCAL enable_hashjoin = off; SET LOCAL enable_nestloop = off; SET LOCAL enable_sort = off"
)


async def test_a_page_reads_no_vectors_before_its_first_point(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The vectors' part of the merge begins where the points' does: the last page costs what the first one does."""
    store = PgStore(database)
    await store.create_collection(
        "c", CreateCollection(vectors=VectorParams(size=2, distance=Distance.DOT))
    )
    points = [Point(n, {"": np.array([n, 1], np.float32)}, {}) for n in range(_POINTS)]
    await store.apply("c", Upsert(points), wait=True)
    plans: list[Any] = []

    fetch = rows.fetch

    async def explained(connection: Connection, statement: Sql) -> list[Mapping[str, Any]]:
        text, arguments = statement.render()
        plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {text}", *arguments)
        plans.append(orjson.loads(plan))
        return await fetch(connection, statement)

    async with database.transaction() as connection:
        tables = await catalog.get(connection, "c")
        await connection.execute(f"ANALYZE; {_AS_IF_LARGE}")
        monkeypatch.setattr(rows, "fetch", explained)
        request = ScrollRequest(offset=2_900, limit=_PAGE, with_vector=True)
        page = await reads.scroll(connection, tables, request)
    assert [record.id for record in page.records] == list(range(2_900, 2_900 + _PAGE))
    read = list(_rows_of_scans(plans[0][0]["Plan"]))
    assert len(read) == 2
    assert max(read) <= 2 * _PAGE


def _rows_of_scans(plan: Mapping[str, Any]) -> Iterator[float]:
    """Yield how many rows each scan below a node of the plan has read."""
    if "Relation Name" in plan:
        yield plan["Actual Rows"]
    for part in plan.get("Plans", ()):
        yield from _rows_of_scans(part)
