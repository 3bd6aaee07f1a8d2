"""Filters against the engine of Qdrant, on a real Postgres, and what is refused."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import qdrant_edge as edge
from hypothesis import given
from hypothesis import strategies as st

from service.errors import MalformedBody, Unsupported
from service.model.ids import encode_key
from service.model.points import Payload
from service.model.qdrant import Filter
from service.stores.postgres.database import Database
from service.translate.filters import Row, filter_sql
from service.translate.sql import Argument, sql
from tests.service.translate import engine
from tests.service.translate.json_values import FLOATS, INTEGERS, STRINGS, paths, payloads

_ROW = Row(key=sql("key"), payload=sql("payload"))
_POINTS = 12

_bounds = st.dictionaries(
    st.sampled_from(("gt", "gte", "lt", "lte")), st.sampled_from(FLOATS), max_size=2
)
_lists = st.one_of(
    st.lists(st.sampled_from(STRINGS), max_size=3), st.lists(st.sampled_from(INTEGERS), max_size=3)
)
_fields = st.one_of(
    st.builds(
        lambda key, value: {"key": key, "match": {"value": value}},
        paths,
        # Not booleans: the engine's Python binding takes True for 1.
        st.sampled_from((*STRINGS, *INTEGERS)),
    ),
    st.builds(lambda key, among: {"key": key, "match": {"any": among}}, paths, _lists),
    st.builds(lambda key, among: {"key": key, "match": {"except": among}}, paths, _lists),
    st.builds(lambda key, bounds: {"key": key, "range": bounds}, paths, _bounds),
    st.builds(lambda key, yes: {"key": key, "is_empty": yes}, paths, st.booleans()),
    st.builds(lambda key, yes: {"key": key, "is_null": yes}, paths, st.booleans()),
    st.builds(lambda key: {"is_empty": {"key": key}}, paths),
    st.builds(lambda key: {"is_null": {"key": key}}, paths),
    st.builds(lambda ids: {"has_id": ids}, st.lists(st.integers(1, _POINTS + 2), max_size=3)),
)


def _clauses(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    conditions = st.lists(inner, max_size=3)
    at_least = st.builds(
        lambda conditions, count: {"conditions": conditions, "min_count": count},
        conditions,
        st.integers(1, 3),
    )
    clauses = {
        "must": conditions,
        "must_not": conditions,
        "should": conditions,
        "min_should": at_least,
    }
    return st.fixed_dictionaries({}, optional=clauses)


filters = _clauses(st.one_of(_fields, _clauses(_fields)))


@pytest.fixture
def shard(tmp_path: Path) -> Iterator[edge.EdgeShard]:
    """An empty shard of the oracle."""
    with engine.opened(tmp_path) as opened:
        yield opened


async def _matching(database: Database, rows: dict[int, Payload], wanted: Filter) -> set[int]:
    statement = sql(
        "SELECT number FROM unnest(",
        Argument(list(rows)),
        "::int[], ",
        Argument([encode_key(number) for number in rows]),
        "::bytea[], ",
        Argument(list(rows.values())),
        "::jsonb[]) AS point(number, key, payload) WHERE ",
        filter_sql(wanted, _ROW),
    )
    text, arguments = statement.render()
    async with database.connection() as connection:
        return {row["number"] for row in await connection.fetch(text, *arguments)}


@given(
    rows=st.lists(payloads, min_size=_POINTS, max_size=_POINTS),
    batch=st.lists(filters, min_size=8, max_size=8),
)
async def test_filters_match_what_the_engine_matches(
    database: Database, shard: edge.EdgeShard, rows: list[Payload], batch: list[dict[str, Any]]
) -> None:
    """Random filters on random payloads select the same points in SQL as in Qdrant's engine."""
    points = dict(zip(itertools.count(1), rows, strict=False))
    engine.store(shard, points)
    for wanted in batch:
        expected = engine.matching(shard, wanted, _POINTS)
        assert await _matching(database, points, Filter.model_validate(wanted)) == expected, wanted
