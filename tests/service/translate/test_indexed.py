"""Prefilters: true wherever their condition is, never NULL, and read from the index that they are made for."""

import asyncio
import math
from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import asyncpg
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.qdrant import FieldCondition, Filter, GeoPoint
from service.queries.haversine import haversine
from service.translate.fields import field_sql
from service.translate.indexed import is_served, prefilter
from service.translate.rows import Row
from service.translate.sql import Argument, sql

_KEYS = ("a", "a.b", "a[]", "a[].b", "a[0]")
_TEXT = {"type": "text", "phrase_matching": True}
_UUIDS = (
    "6f0c5bb6-2b1e-4f36-9d0e-5c1b8f1d2a3c",
    "6F0C5BB62B1E4F369D0E5C1B8F1D2A3C",
    "urn:uuid:00000000-0000-0000-0000-000000000001",
)
_NUMBERS = (0, 1, -1, 2.5, 3, 3.0, 1e300, 2**53, 2**53 + 1, 2**63 - 1, 2**64 - 1, 0.1, -0.1)
_MOMENTS = ("2024-02-29T12:00:00Z", "2024-02-29 13:00:00+01:00", "2024-03-01", "1969-12-31", "soon")
_TEXTS = ("The quick brown fox", "quick, brown", "Größe", "", "fox\nquick")

longitudes = st.one_of(st.floats(-180, 180), st.sampled_from((-180, -179.9, 0, 179.9, 180)))
latitudes = st.one_of(st.floats(-90, 90), st.sampled_from((-90, -89.9, 0, 89.9, 90)))
places = st.fixed_dictionaries({"lon": longitudes, "lat": latitudes})
near = st.floats(-1, 1).map(lambda degrees: {"lon": 13.4 + degrees, "lat": 52.5 + degrees / 2})
values = st.one_of(
    st.sampled_from((*_NUMBERS, *_MOMENTS, *_TEXTS, *_UUIDS, None, True)), places, near
)
arrays = st.one_of(values, st.lists(values, max_size=3), st.lists(st.lists(values, max_size=2)))
payloads = st.fixed_dictionaries(
    {},
    optional={"a": st.one_of(arrays, st.fixed_dictionaries({"b": arrays}))},
)

bounds = st.dictionaries(
    st.sampled_from(("gt", "gte", "lt", "lte")), st.sampled_from(_NUMBERS), min_size=1
)
spans = st.dictionaries(
    st.sampled_from(("gt", "gte", "lt", "lte")), st.sampled_from(_MOMENTS[:4]), min_size=1
)


@st.composite
def boxes(draw: st.DrawFn) -> dict[str, Any]:
    """Return a box, perhaps across the date line."""
    south, north = sorted((draw(latitudes), draw(latitudes)))
    west, east = draw(longitudes), draw(longitudes)
    corners = {"top_left": (west, north), "bottom_right": (east, south)}
    return {name: {"lon": lon, "lat": lat} for name, (lon, lat) in corners.items()}


circles = st.fixed_dictionaries(
    {"center": st.one_of(places, near), "radius": st.sampled_from((1.0, 1e4, 1e6, 1e7, 3e7))}
)
rings = st.lists(places, min_size=3, max_size=5).map(
    lambda corners: {"exterior": {"points": [*corners, corners[0]]}}
)
conditions = st.one_of(
    st.tuples(st.sampled_from(("integer", "float", "datetime")), st.builds(dict, range=bounds)),
    st.tuples(st.sampled_from(("integer", "float", "datetime")), st.builds(dict, range=spans)),
    st.tuples(st.just("geo"), st.builds(dict, geo_bounding_box=boxes())),
    st.tuples(st.just("geo"), st.builds(dict, geo_radius=circles)),
    st.tuples(st.just("geo"), st.builds(dict, geo_polygon=rings)),
    # Several tests in one condition are alternatives.
    st.tuples(st.just("geo"), st.builds(dict, geo_bounding_box=boxes(), geo_radius=circles)),
    st.tuples(
        st.just("uuid"),
        st.one_of(
            st.sampled_from(_UUIDS).map(lambda value: {"match": {"value": value}}),
            st.lists(st.sampled_from(_UUIDS)).map(lambda some: {"match": {"any": some}}),
        ),
    ),
    st.tuples(
        st.sampled_from((_TEXT, _TEXT | {"tokenizer": "prefix", "max_token_len": 3})),
        st.tuples(
            st.sampled_from(("text", "text_any", "phrase")),
            st.sampled_from(("quick", "quick brown", "größe", "nothing here", "", "qui")),
        ).map(lambda match: {"match": {match[0]: match[1]}}),
    ),
)


class Evaluating:
    """A connection that evaluates conditions on payloads; Hypothesis is not asynchronous."""

    def __init__(self, url: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._conn: Any = self._loop.run_until_complete(asyncpg.connect(url))

    def outcomes(self, some: list[Any], exact: Any, pre: Any) -> set[tuple[bool, bool | None]]:
        """Return which pairs of (the condition, its prefilter) come up."""
        given_payloads = Argument([orjson.dumps(payload).decode() for payload in some])
        table = sql(" FROM unnest(", given_payloads, "::jsonb[]) AS p(payload)")
        text, arguments = sql("SELECT DISTINCT ", exact, ", ", pre, table).render()
        rows = self._loop.run_until_complete(self._conn.fetch(text, *arguments))
        return {tuple(row) for row in rows}

    def close(self) -> None:
        """Close the connection."""
        self._loop.run_until_complete(self._conn.close())
        self._loop.close()


@pytest.fixture(scope="module")
def database(module_database_url: str) -> Iterator[Evaluating]:
    """A connection to a database with our functions."""
    opened = Evaluating(module_database_url)
    yield opened
    opened.close()


def row_with(key: str, schema: Any) -> Row:
    """Return a row with one payload index."""
    return Row(key=sql("p.key"), payload=sql("p.payload"), schema={key: schema})


@given(st.lists(payloads, min_size=20, max_size=40), conditions, st.sampled_from(_KEYS))
def test_a_prefilter_drops_nothing_that_matches(
    database: Evaluating, some: list[Any], wanted: tuple[Any, dict[str, Any]], key: str
) -> None:
    """It holds for every payload that the exact condition takes, and it is never NULL."""
    schema, test = wanted
    condition = FieldCondition.model_validate({"key": key, **test})
    row = row_with(key, schema)
    pre = prefilter(row, condition)
    if pre is None:
        return
    with patch("service.translate.fields.prefilter", return_value=None):
        exact = field_sql(condition, row, "filter")
    outcomes = database.outcomes(some, exact, pre)
    assert (True, False) not in outcomes
    assert not {outcome for outcome in outcomes if outcome[1] is None}


@pytest.mark.parametrize(
    ("schema", "test", "drops"),
    [
        ("integer", {"range": {"gte": 5}}, {"a": 4}),
        ("float", {"range": {"lt": 0.5}}, {"a": 0.6}),
        ("datetime", {"range": {"gt": "2024-01-01"}}, {"a": "2023-12-31"}),
        (
            "geo",
            {"geo_radius": {"center": {"lon": 0, "lat": 0}, "radius": 9}},
            {"a": {"lon": 1, "lat": 1}},
        ),
        ("uuid", {"match": {"value": _UUIDS[0]}}, {"a": _UUIDS[2]}),
        (_TEXT, {"match": {"text": "quick"}}, {"a": "slow"}),
        (_TEXT, {"match": {"phrase": "quick fox"}}, {"a": "quick"}),
    ],
    ids=str,
)
def test_a_prefilter_drops_what_does_not_match(
    database: Evaluating, schema: Any, test: dict[str, Any], drops: dict[str, Any]
) -> None:
    """There is one for each of these, it is some use, and the whole filter is known to be served."""
    condition = FieldCondition.model_validate({"key": "a", **test})
    row = row_with("a", schema)
    pre = prefilter(row, condition)
    assert pre is not None
    assert database.outcomes([drops], sql("false"), pre) == {(False, False)}
    assert is_served(Filter(must=[condition]), row)
    assert not is_served(Filter(must_not=[condition]), row)


_LATITUDE = 1.81
_NEARLY = haversine(GeoPoint(lon=0, lat=0), GeoPoint(lon=0, lat=_LATITUDE))


@pytest.mark.parametrize(
    ("schema", "test", "value"),
    [
        # Rounded to the bound as a double, though it is above.
        ("float", {"range": {"lte": 2.0**53}}, 2**53 + 1),
        ("float", {"range": {"gte": 2.0**53 + 4}}, 2**53 + 3),
        # The circle's northernmost latitude is rounded to less than the point's, which is within the radius.
        (
            "geo",
            {
                "geo_radius": {
                    "center": {"lon": 0, "lat": 0},
                    "radius": math.nextafter(_NEARLY, math.inf),
                }
            },
            {"lon": 0, "lat": _LATITUDE},
        ),
    ],
    ids=str,
)
def test_a_prefilter_leaves_room_for_rounding(
    database: Evaluating, schema: Any, test: dict[str, Any], value: Any
) -> None:
    """What the exact condition takes at its very border."""
    condition = FieldCondition.model_validate({"key": "a", **test})
    row = row_with("a", schema)
    pre = prefilter(row, condition)
    assert pre is not None
    with patch("service.translate.fields.prefilter", return_value=None):
        exact = field_sql(condition, row, "filter")
    assert database.outcomes([{"a": value}], exact, pre) == {(True, True)}


def test_alternatives_in_one_condition_have_no_prefilter(database: Evaluating) -> None:
    """A place in the circle matches, though it is not in the box."""
    box = {"top_left": {"lon": 50, "lat": 51}, "bottom_right": {"lon": 51, "lat": 50}}
    circle = {"center": {"lon": 0, "lat": 0}, "radius": 9}
    condition = FieldCondition.model_validate(
        {"key": "a", "geo_bounding_box": box, "geo_radius": circle}
    )
    row = row_with("a", "geo")
    assert prefilter(row, condition) is None
    exact = field_sql(condition, row, "filter")
    inside = {"a": {"lon": 0, "lat": 0}}
    assert database.outcomes([inside], exact, sql("true")) == {(True, True)}
    assert not is_served(Filter(must=[condition]), row)


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Filter(), False),
        ({"must": {"key": "k", "match": {"value": "x"}}}, True),
        ({"must": [{"key": "other", "match": {"value": "x"}}]}, False),
        ({"must": [{"key": "other", "match": {"value": 1}}, {"has_id": [1]}]}, True),
        ({"should": [{"key": "k", "match": {"any": ["x"]}}, {"has_id": [1]}]}, True),
        (
            {
                "should": [
                    {"key": "k", "match": {"value": "x"}},
                    {"key": "b", "match": {"value": 1}},
                ]
            },
            False,
        ),
        ({"must": [{"must": [{"key": "k", "match": {"value": "x"}}]}]}, True),
        ({"must": [{"key": "k", "match": {"except": ["x"]}}]}, False),
        ({"must": [{"is_empty": {"key": "k"}}]}, False),
    ],
)
def test_what_indexes_find(wanted: Any, expected: bool) -> None:
    """One served condition among those that must hold is enough; of alternatives all must be."""
    assert is_served(Filter.model_validate(wanted), row_with("k", "keyword")) is expected
