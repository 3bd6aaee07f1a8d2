"""order_by, held to Qdrant's engine."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import qdrant_edge as edge

from service.errors import WrongInput
from service.model.points import Hit, Record
from service.model.qdrant import (
    Direction,
    FieldCondition,
    Filter,
    HasIdCondition,
    MatchValue,
    OrderBy,
    ScrollRequest,
)
from service.model.queries import ByField
from service.queries.leaves import Selection
from service.stores.postgres import catalog, ordered
from service.stores.postgres.database import Database
from service.stores.postgres.payload_indexes import sync_indexes
from service.stores.postgres.shapes import shape
from service.stores.postgres.store import PgStore
from service.translate.sql import TRUE
from tests.service.stores.postgres.indexed import NAME, PATHS, fill, payloads, shard

_STARTS = (
    None,
    3,
    3.0,
    2.5,
    -1,
    0,
    2**53,
    2**53 + 1,
    2**63 - 1,
    -1e19,
    1e19,
    "2020-01-01T00:00:00+00:00",
)
_DIRECTIONS = {Direction.ASC: edge.Direction.Asc, Direction.DESC: edge.Direction.Desc}


def _groups(found: Iterable[Any]) -> list[tuple[Any, set[Any]]]:
    """The values in their order, each with the ids that have it: equal values have no order."""
    groups: dict[Any, set[Any]] = defaultdict(set)
    for record in found:
        groups[record.order_value].add(record.id)
    return list(groups.items())


def _engine(opened: edge.EdgeShard, path: str, direction: Direction, start: Any) -> list[Any]:
    order = edge.OrderBy(path, _DIRECTIONS[direction], start)
    request = edge.ScrollRequest(limit=10_000, order_by=order, with_payload=False)
    records, following = opened.scroll(request)
    assert following is None
    return records


async def _ours(store: PgStore, path: str, direction: Direction, start: Any) -> list[Record]:
    moment = datetime.fromisoformat(start) if isinstance(start, str) else start
    order = OrderBy(key=path, direction=direction, start_from=moment)
    page = await store.scroll(NAME, ScrollRequest(limit=10_000, order_by=order))
    assert page.next_id is None
    return list(page.records)


@pytest.mark.parametrize("kind", ["integer", "float", "datetime"])
async def test_every_value_stands_where_the_engine_has_it(
    kind: str, database: Database, tmp_path: Path
) -> None:
    """All odd values, at every path, in both directions, from every start."""
    given = payloads(1)
    store = PgStore(database)
    await fill(store, given, kind)
    async with database.connection() as conn:
        tables = await catalog.get(conn, NAME)
    await sync_indexes(database, tables)
    with shard(tmp_path, given, kind) as opened:
        for path in PATHS:
            for direction in _DIRECTIONS:
                for start in _STARTS:
                    expected = _engine(opened, path, direction, start)
                    found = await _ours(store, path, direction, start)
                    assert _groups(found) == _groups(expected), (path, direction, start)
                    assert len(found) == len(expected)


@pytest.mark.parametrize(
    "schema",
    ["keyword", "bool", "uuid", "geo", "text", {"type": "integer", "lookup": True, "range": False}],
)
async def test_other_indexes_do_not_order(schema: Any, database: Database) -> None:
    """The text is the engine's; without an index it is the same."""
    store = PgStore(database)
    await fill(store, {1: {"k": 1}}, schema)
    for path in ("k", "other"):
        with pytest.raises(WrongInput, match=f"No range index for `order_by` key: `{path}`"):
            await store.scroll(NAME, ScrollRequest(order_by=path))


async def test_a_page_has_no_offset(database: Database) -> None:
    """Whoever pages names the value to start from."""
    store = PgStore(database)
    await fill(store, {1: {"k": 1}}, {"type": "integer", "lookup": False, "range": True})
    assert [record.id for record in (await store.scroll(NAME, ScrollRequest(order_by="k"))).records]
    with pytest.raises(WrongInput, match="Cannot use an `offset` when using `order_by`"):
        await store.scroll(NAME, ScrollRequest(order_by="k", offset=1))


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_filter_and_limit(limit: int, database: Database) -> None:
    """Equal values come in the order of their ids, falling ones in the opposite."""
    store = PgStore(database)
    await fill(store, {n: {"k": n // 3, "n": {"k": n % 2}} for n in range(20)}, "integer")
    odd = Filter(must=[FieldCondition(key="n.k", match=MatchValue(value=1))])
    for direction, ids in ((Direction.ASC, range(1, 20, 2)), (Direction.DESC, range(19, 0, -2))):
        order = OrderBy(key='"k"', direction=direction)
        page = await store.scroll(
            NAME, ScrollRequest(order_by=order, filter=odd, limit=limit, with_vector=True)
        )
        assert [record.id for record in page.records] == list(ids)[:limit]
        assert all(record.payload and record.vectors == {} for record in page.records)


async def test_a_leaf_of_a_query(database: Database) -> None:
    """Offset, excluded points and the points to choose among; a point stands there once per value."""
    store = PgStore(database)
    await fill(store, {n: {"k": [n, n + 10]} for n in range(6)}, "integer")

    async def leaf(**selection: Any) -> list[Hit]:
        async with database.connection() as conn:
            tables = await catalog.get(conn, NAME)
            return await ordered.by_field(
                conn, tables, ByField("k", start_from=2), Selection(**selection)
            )

    hits = await leaf(limit=20, among=(1, 4, 5), excluded=(5,), offset=1)
    assert [(hit.id, hit.order_value, hit.score) for hit in hits] == [(1, 11, 1.0), (4, 14, 1.0)]
    assert all(hit.payload is None and hit.vectors is None for hit in hits)
    some = Filter(must=[HasIdCondition(has_id=[2, 3])])
    hits = await leaf(limit=2, filter=some, with_payload=["k"])
    assert [(hit.id, hit.payload) for hit in hits] == [(2, {"k": [2, 12]}), (3, {"k": [3, 13]})]


@pytest.mark.parametrize(
    ("kind", "start"), [("integer", 1_000), ("datetime", "2020-01-01"), ("float", None)]
)
async def test_an_index_finds_the_first(kind: str, start: Any, database: Database) -> None:
    """One for values, one for arrays; an array has its place among the rest."""
    store = PgStore(database)
    moments = kind == "datetime"
    given = {n: {"k": f"{2000 + n % 90}-01-01" if moments else n} for n in range(3_000)}
    await fill(store, {**given, 5_000: {"k": ["2020-06-01", "x", 1_000.0]}}, kind)
    async with database.connection() as conn:
        tables = await catalog.get(conn, NAME)
    await sync_indexes(database, tables)
    wanted = ByField("k", Direction.ASC, start)
    async with database.connection() as conn:
        bare = shape(tables, with_payload=False, with_vector=None)
        text, arguments = ordered.statement(tables, wanted, TRUE, bare, limit=20).render()
        plan = "\n".join(row[0] for row in await conn.fetch(f"EXPLAIN {text}", *arguments))
        hits = await ordered.by_field(conn, tables, wanted, Selection(limit=60))
    assert plan.count(f"using {tables.points.parts[-1]}_by_") == 2, plan
    assert 5_000 in {hit.id for hit in hits} or start is None
    values = [hit.order_value for hit in hits]
    assert values == sorted(values)  # type: ignore[type-var] # all are numbers
    assert len(hits) == 60
