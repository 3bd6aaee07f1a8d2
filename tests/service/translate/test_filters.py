"""Filters against the engine of Qdrant, on a real Postgres, and what is refused."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.errors import MalformedBody, Unsupported
from service.model.ids import encode_key
from service.model.points import Payload
from service.model.qdrant import Filter
from service.stores.postgres.database import Database
from service.translate.filters import filter_sql
from service.translate.rows import Row
from service.translate.sql import TRUE, Argument, join, sql
from tests.service.translate import engine, random_filters

_IDS: tuple[int | str, ...] = (
    *range(1, 25),
    2**53 + 1,
    2**64 - 1,
    "00000000-0000-0000-0000-000000000001",
    "f47ac10b-58cc-4372-a567-0e02b2c3d479",
)
# An engine takes longer to open than to answer: one serves many filters.
_FILTERS = 125
_EXAMPLES = settings.default.max_examples // 5 if settings.default else 10
_ROW = Row(key=sql("key"), payload=sql("payload"), vectors={"": TRUE})


async def _matching(
    database: Database, rows: Mapping[Any, Payload], filters: Sequence[Filter], row: Row = _ROW
) -> list[set[Any]]:
    """Return the ids that match, for each of the filters; one statement has them all."""
    columns = join(", ", (sql("(", filter_sql(wanted, row), ")") for wanted in filters))
    statement = sql(
        "SELECT number, ARRAY[",
        columns,
        "] AS matches FROM unnest(",
        Argument(list(range(len(rows)))),
        "::int[], ",
        Argument([encode_key(point_id) for point_id in rows]),
        "::bytea[], ",
        Argument(list(rows.values())),
        "::jsonb[]) AS point(number, key, payload)",
    )
    text, arguments = statement.render()
    async with database.connection() as connection:
        found = await connection.fetch(text, *arguments)
    ids = list(rows)
    return [
        {ids[row["number"]] for row in found if _said(row["matches"][at])}
        for at in range(len(filters))
    ]


def _said(answer: bool | None) -> bool:
    assert answer is not None, "a condition is NULL"
    return answer


@settings(max_examples=_EXAMPLES)
@given(seed=st.integers(0, 2**64 - 1))
async def test_filters_match_what_the_engine_matches(
    database: Database, tmp_path: Path, seed: int
) -> None:
    """Random filters on random payloads and payload indexes select the same points in SQL as in the engine."""
    rng = Random(seed)
    points = {point_id: random_filters.payload(rng) for point_id in _IDS}
    schema = random_filters.schema(rng)
    made = [random_filters.random_filter(rng, _IDS, ("",)) for _ in range(_FILTERS)]
    batch = [wanted for wanted in made if not random_filters.is_contested(wanted, schema)]
    filters = [Filter.model_validate(wanted) for wanted in batch]
    found = await _matching(database, points, filters, replace(_ROW, schema=schema))
    with TemporaryDirectory(dir=tmp_path) as folder, engine.opened(Path(folder), schema) as shard:
        engine.store(shard, points)
        for wanted, given_filter, ids in zip(batch, filters, found, strict=True):
            expected = engine.matching(shard, given_filter, len(_IDS))
            differing = {point_id: points[point_id] for point_id in ids ^ expected}
            assert not differing, (wanted, schema, expected)


async def _rows_matching(database: Database, wanted: dict[str, Any], *rows: Payload) -> set[int]:
    found = await _matching(database, dict(enumerate(rows)), [Filter.model_validate(wanted)])
    return found[0]


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
        ({"must": [{"key": "a", "match": {"value": 1}, "is_empty": True}]}, {1}),
        ({"must": [{"key": "a", "values_count": {"lt": 1}, "is_null": False}]}, {1}),
    ],
    ids=str,
)
async def test_empty_lists_and_single_conditions(
    database: Database, wanted: dict[str, Any], expected: set[int]
) -> None:
    """Empty lists do not restrict, an empty ``min_should`` matches nothing, tests are alternatives."""
    assert await _rows_matching(database, wanted, {"a": 1}, {}) == expected


@pytest.mark.parametrize(
    ("condition", "expected", "indexed"),
    [
        ({"is_empty": {"key": "a[]"}}, {2, 3}, {2, 3}),
        ({"key": "a[]", "is_empty": True}, {0, 2, 3}, {2, 3}),
        ({"key": "a[]", "is_empty": False}, {0, 1}, {0, 1}),
        ({"is_null": {"key": "a[]"}}, {0, 2}, {0, 2}),
        ({"key": "a[]", "is_null": True}, {0, 2}, {0, 2}),
        ({"key": "a[]", "is_null": False}, {0, 1, 3}, {1, 3}),
    ],
    ids=str,
)
async def test_several_values_are_judged_together_or_one_by_one(
    database: Database, condition: dict[str, Any], expected: set[int], indexed: set[int]
) -> None:
    """A condition of its own and an index look at all values, a field's test at each (as the engine does)."""
    rows: list[Payload] = [{"a": [None, 1]}, {"a": [1]}, {"a": [None]}, {}]
    assert await _rows_matching(database, {"must": [condition]}, *rows) == expected
    row = replace(_ROW, schema={"a[]": "keyword"})
    wanted = [Filter.model_validate({"must": [condition]})]
    assert await _matching(database, dict(enumerate(rows)), wanted, row) == [indexed]


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
    "stemmer": {"type": "text", "stemmer": {"type": "snowball", "language": "english"}},
    "multilingual tokenizer": {"type": "text", "tokenizer": "multilingual"},
    "stop words of a language": {"type": "text", "stopwords": "tajik"},
    "stop words of languages": {"type": "text", "stopwords": {"languages": ["english", "danish"]}},
}


@pytest.mark.parametrize("schema", _UNSUPPORTED.values(), ids=_UNSUPPORTED)
@pytest.mark.parametrize("test", ["text", "text_any"])
def test_what_is_not_answered_is_named(schema: dict[str, Any], test: str) -> None:
    """The error says where in the request the condition stands that needs a dictionary."""
    wanted = Filter.model_validate(
        {"should": [{"has_id": [1]}, {"must": [{"key": "x", "match": {test: "word"}}]}]}
    )
    with pytest.raises(Unsupported) as caught:
        filter_sql(wanted, replace(_ROW, schema={"x": schema}))
    assert caught.value.path == f"filter.should[1].must[0].match.{test}"


@pytest.mark.parametrize("key", ["", "a..b", "a[", "a[x]", "[0]", "a b", 'a"b"', "a.", '"a'])
def test_a_path_that_is_none(key: str) -> None:
    """Qdrant's grammar of paths, and its text."""
    wanted = Filter.model_validate({"must": [{"is_null": {"key": key}}]})
    with pytest.raises(MalformedBody, match="Invalid json path"):
        filter_sql(wanted, _ROW)
