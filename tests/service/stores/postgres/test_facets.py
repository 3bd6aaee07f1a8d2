"""Facets, held to Qdrant's engine."""

from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock, patch

import pytest
import qdrant_edge as edge

from service.errors import WrongInput
from service.model.points import FacetHit
from service.model.qdrant import FacetRequest, FieldCondition, Filter, MatchValue
from service.stores.postgres import rows
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
from tests.service.stores.postgres.indexed import NAME, PATHS, fill, payloads, shard


@pytest.mark.parametrize("kind", ["keyword", "integer", "uuid", "bool"])
async def test_values_and_counts_are_the_engines(
    kind: str, database: Database, tmp_path: Path
) -> None:
    """All odd values, at every path; the order of equal counts counts, and the types."""
    given = payloads(2)
    store = PgStore(database)
    await fill(store, given, kind)
    with shard(tmp_path, given, kind) as opened:
        for path in PATHS:
            for limit in (1, 4, 1_000):
                for exact in (True, False):
                    answer = opened.facet(edge.FacetRequest(path, limit=limit, exact=exact))
                    request = FacetRequest(key=path, limit=limit, exact=exact)
                    found = await store.facet(NAME, request)
                    expected = [(type(hit.value), hit.value, hit.count) for hit in answer.hits]
                    assert [(type(hit.value), hit.value, hit.count) for hit in found] == expected


@pytest.mark.parametrize(
    "schema",
    ["float", "datetime", "geo", "text", {"type": "integer", "lookup": False, "range": True}],
)
async def test_other_indexes_are_not_counted(schema: Any, database: Database) -> None:
    """The text is the engine's; without an index it is the same."""
    store = PgStore(database)
    await fill(store, {1: {"k": 1}}, schema)
    for path in ("k", "other"):
        with pytest.raises(WrongInput, match=f"No appropriate index for faceting: `{path}`"):
            await store.facet(NAME, FacetRequest(key=path))


async def test_filter_and_default_limit(database: Database) -> None:
    """Ten values, of the points that match."""
    store = PgStore(database)
    await fill(store, {n: {"k": n % 15, "n": {"k": n % 2}} for n in range(60)}, "integer")
    odd = Filter(must=[FieldCondition(key="n.k", match=MatchValue(value=1))])
    assert await store.facet(NAME, FacetRequest(key="k", filter=odd)) == [
        FacetHit(value, 2) for value in range(10)
    ]


async def test_equal_counts_are_in_the_order_of_code_points(database: Database) -> None:
    """Whatever the order of words in the database's language: the servers of tests may know no other."""
    words = ["b", "B", "a", "A", "ä", "_", "Z"]
    store = PgStore(database)
    await fill(store, {number: {"k": word} for number, word in enumerate(words)}, "keyword")
    with patch.object(rows, "fetch", AsyncMock(wraps=rows.fetch)) as fetch:
        found = await store.facet(NAME, FacetRequest(key="k"))
    assert [hit.value for hit in found] == sorted(words)
    statements = [call.args[1].render()[0] for call in fetch.call_args_list]
    assert any('COLLATE "C"' in text and "count(*)" in text for text in statements)
