"""Filters against the engine of Qdrant, on a real Postgres, and what is refused."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
        # An empty list matches nothing, but not beside has_id: there the engine forgets it.
        st.lists(inner, min_size=1, max_size=3),
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


async def _rows_matching(database: Database, wanted: dict[str, Any], *rows: Payload) -> set[int]:
    return await _matching(database, dict(enumerate(rows)), Filter.model_validate(wanted))


async def test_booleans_match_booleans_only(database: Database) -> None:
    """The oracle's binding cannot say this one: true is neither 1 nor "true"."""
    rows: list[Payload] = [
        {"a": True},
        {"a": 1},
        {"a": "true"},
        {"a": [False, True]},
        {"a": False},
        {},
    ]
    wanted = {"must": [{"key": "a", "match": {"value": True}}]}
    assert await _rows_matching(database, wanted, *rows) == {0, 3}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, {0, 1}),
        ({"must": [], "must_not": [], "should": []}, {0, 1}),
        ({"min_should": {"conditions": [], "min_count": 1}}, set()),
        ({"must_not": [{}]}, set()),
        ({"must": {"key": "a", "match": {"value": 1}}}, {0}),
        ({"must": [{"key": "a", "match": {"value": 5}, "range": {"lt": 2}}]}, {0}),
    ],
    ids=str,
)
async def test_empty_lists_and_single_conditions(
    database: Database, wanted: dict[str, Any], expected: set[int]
) -> None:
    """Empty lists do not restrict, an empty ``min_should`` matches nothing, tests are alternatives."""
    assert await _rows_matching(database, wanted, {"a": 1}, {}) == expected


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({"is_empty": {"key": "a[]"}}, {2, 3}),
        ({"key": "a[]", "is_empty": True}, {0, 2, 3}),
        ({"key": "a[]", "is_empty": False}, {0, 1}),
        ({"is_null": {"key": "a[]"}}, {0, 2}),
        ({"key": "a[]", "is_null": True}, {0, 2}),
        ({"key": "a[]", "is_null": False}, {0, 1, 3}),
    ],
    ids=str,
)
async def test_several_values_are_judged_together_or_one_by_one(
    database: Database, condition: dict[str, Any], expected: set[int]
) -> None:
    """A condition of its own looks at all values, a field's test at each (as the engine does)."""
    rows: list[Payload] = [{"a": [None, 1]}, {"a": [1]}, {"a": [None]}, {}]
    assert await _rows_matching(database, {"must": [condition]}, *rows) == expected


async def test_strings_with_a_nul_never_match(database: Database) -> None:
    """A payload cannot hold them, so nothing equals them and everything differs from them."""
    rows: list[Payload] = [{"a": "x"}, {}]
    nul = "x" + chr(0)
    match = {"must": [{"key": "a", "match": {"any": [nul]}}]}
    differ = {"must": [{"key": "a", "match": {"except": [nul]}}]}
    assert await _rows_matching(database, match, *rows) == set()
    assert await _rows_matching(database, differ, *rows) == {0}


@pytest.mark.parametrize("kind", ["any", "except"])
async def test_thousands_of_values(database: Database, kind: str) -> None:
    """A list as long as clients send them is one statement."""
    values = [f"value {number}" for number in range(3_000)]
    wanted = {"must": [{"key": "a", "match": {kind: values}}]}
    found = await _rows_matching(database, wanted, {"a": "value 2999"}, {"a": "other"})
    assert found == ({0} if kind == "any" else {1})


_UNSUPPORTED = {
    "filter.must[0].geo_radius": {
        "key": "g",
        "geo_radius": {"center": {"lon": 1.0, "lat": 2.0}, "radius": 5.0},
    },
    "filter.must[0].values_count": {"key": "a", "values_count": {"gt": 1}},
    "filter.must[0].match.text": {"key": "a", "match": {"text": "word"}},
    "filter.must[0].match.phrase": {"key": "a", "match": {"phrase": "a b"}},
    "filter.must[0].range": {"key": "a", "range": {"gte": "2020-01-01T00:00:00Z"}},
    "filter.must[0].has_vector": {"has_vector": "x"},
    "filter.must[0].nested": {"nested": {"key": "a", "filter": {}}},
    "filter.must[0].should[1].geo_radius": {
        "should": [
            {"has_id": [1]},
            {"key": "g", "geo_radius": {"center": {"lon": 1.0, "lat": 2.0}, "radius": 5.0}},
        ]
    },
}


@pytest.mark.parametrize(("path", "condition"), _UNSUPPORTED.items(), ids=_UNSUPPORTED)
def test_what_is_not_answered_is_named(path: str, condition: dict[str, Any]) -> None:
    """The error says where in the request the condition stands."""
    wanted = Filter.model_validate({"must": [condition]})
    with pytest.raises(Unsupported) as caught:
        filter_sql(wanted, _ROW)
    assert caught.value.path == path


@pytest.mark.parametrize("key", ["", "a..b", "a[", "a[x]", "[0]", "a b", 'a"b"', "a.", '"a'])
def test_a_path_that_is_none(key: str) -> None:
    """Qdrant's grammar of paths, and its text."""
    wanted = Filter.model_validate({"must": [{"is_null": {"key": key}}]})
    with pytest.raises(MalformedBody, match="Invalid json path"):
        filter_sql(wanted, _ROW)
