"""Every condition of filters on every type of value, without and with each payload index."""

from collections.abc import Iterator
from typing import Any

from tests.parity.asks import Row, post
from tests.parity.data import MIXED

_BERLIN = {"lat": 52.52, "lon": 13.405}
_SQUARE = [(-60, -60), (-60, 60), (60, 60), (60, -60), (-60, -60)]
_HOLE = [(50, 10), (54, 10), (54, 16), (50, 16), (50, 10)]


def _ring(corners: list[tuple[int, int]]) -> dict[str, Any]:
    return {"points": [{"lat": lat, "lon": lon} for lat, lon in corners]}


_TESTS: dict[str, dict[str, Any]] = {
    **{
        f"match {value!r}": {"match": {"value": value}}
        for value in (True, False, 0, 1, -3, 2**53 + 1)
    },
    **{
        f"match {value!r}": {"match": {"value": value}}
        for value in ("1", "x", "", "ß☃", "X", "F81D4FAE7DEC11D0A76500A0C91E6BF6")
    },
    **{
        f"any {values!r}": {"match": {"any": values}}
        for values in ([], [1], [0, 1, 2], ["x"], ["x", "1", ""], [2**63 - 1])
    },
    **{
        f"except {values!r}": {"match": {"except": values}}
        for values in ([], [1], [0, 1, 2], ["x"], ["x", "1", ""])
    },
    **{
        f"text {text!r}": {"match": {"text": text}}
        for text in ("quick", "quick brown", "QUICK", "brown quick", "qui", "", "fox the", "b-r")
    },
    **{
        f"text_any {text!r}": {"match": {"text_any": text}}
        for text in ("quick nothing", "nothing", "", "FOX x")
    },
    **{
        f"phrase {text!r}": {"match": {"phrase": text}}
        for text in ("quick brown", "brown quick", "quick", "", "brown fox")
    },
    **{f"prefix {text!r}": {"match": {"prefix": text}} for text in ("qui", "Qui", "", "2024")},
    **{f"substring {text!r}": {"match": {"substring": text}} for text in ("uic", "ß", "", "K")},
    "range": {"range": {"gte": 0, "lt": 2.5}},
    "range of nothing": {"range": {}},
    "range huge": {"range": {"gt": 2**53}},
    "range tiny": {"range": {"gt": 0, "lte": 1e-300}},
    "datetimes": {"range": {"gte": "2024-02-29", "lt": "2024-03-01T00:00:00Z"}},
    "datetimes from before 1970": {"range": {"gte": "1969-12-31T23:59:59Z"}},
    "datetimes up to before 1970": {"range": {"lt": "1960-01-01"}},
    "datetimes with a zone": {"range": {"lte": "2024-02-29T12:00:00+01:00"}},
    "radius": {"geo_radius": {"center": _BERLIN, "radius": 10_000.0}},
    "radius nothing": {"geo_radius": {"center": _BERLIN, "radius": 10.0}},
    "box": {
        "geo_bounding_box": {
            "top_left": {"lat": 53, "lon": 13},
            "bottom_right": {"lat": 52, "lon": 14},
        }
    },
    "box over the date line": {
        "geo_bounding_box": {
            "top_left": {"lat": 53, "lon": 170},
            "bottom_right": {"lat": -52, "lon": 14},
        }
    },
    "polygon": {"geo_polygon": {"exterior": _ring(_SQUARE)}},
    "polygon with a hole": {
        "geo_polygon": {"exterior": _ring(_SQUARE), "interiors": [_ring(_HOLE)]}
    },
    "count 0": {"values_count": {"lt": 1}},
    "count 1": {"values_count": {"gte": 1, "lte": 1}},
    "count many": {"values_count": {"gt": 1}},
    "is_empty": {"is_empty": True},
    "is not empty": {"is_empty": False},
    "is_null": {"is_null": True},
    "is not null": {"is_null": False},
}

_PATHS = ("a", "a[]", "a.b", "a[].b", "a[0]", "a[].b[].c")

_WHOLE: dict[str, dict[str, Any]] = {
    "empty": {},
    "is_empty": {"must": [{"is_empty": {"key": "a"}}]},
    "is_null": {"must": [{"is_null": {"key": "a"}}]},
    "ids": {"must": [{"has_id": [1, 5, 999]}]},
    "no ids": {"must": [{"has_id": []}]},
    "nested": {
        "must": [
            {"nested": {"key": "a", "filter": {"must": [{"key": "b", "match": {"value": 1}}]}}}
        ]
    },
    "nested []": {
        "must": [
            {"nested": {"key": "a[]", "filter": {"must": [{"key": "b", "match": {"value": 1}}]}}}
        ]
    },
    "nested, not": {
        "must": [
            {"nested": {"key": "a", "filter": {"must_not": [{"key": "b", "match": {"value": 1}}]}}}
        ]
    },
    "nested, nothing": {"must": [{"nested": {"key": "a", "filter": {}}}]},
    "a single condition": {"must": {"key": "a", "match": {"value": 1}}},
    "two of three": {
        "min_should": {
            "min_count": 2,
            "conditions": [
                {"key": "a", "match": {"value": 1}},
                {"key": "n", "range": {"lt": 9}},
                {"key": "a", "values_count": {"gt": 0}},
            ],
        }
    },
    "deep": {
        "should": [
            {"must": [{"should": [{"must_not": [{"key": "a", "range": {"gt": 1}}]}]}]},
            {"key": "a", "match": {"text": "quick"}},
        ],
        "must_not": [{"is_null": {"key": "a"}}],
    },
    "slice": {"must": [{"slice": {"total": 3, "index": 1}}]},
}


_BY_PLAN = "under such an index Qdrant answers a match on a text that reads as a UUID by its plan"
_CONTESTED = {
    (f"mixed-{kind}", "match 'F81D4FAE7DEC11D0A76500A0C91E6BF6'")
    for kind in ("integer", "float", "datetime")
}


def rows() -> Iterator[Row]:
    """Each condition alone, and some filters, on all the types of a field."""
    for dataset in ("mixed", *MIXED):
        for name, test in _TESTS.items():
            yield _count(dataset, name, {"must": [{"key": "a", **test}]})
        for name, wanted in _WHOLE.items():
            yield _count(dataset, name, wanted)
    for path in _PATHS:
        for name in (
            "match 1",
            "any ['x']",
            "except [1]",
            "range",
            "count 1",
            "is_empty",
            "is_null",
        ):
            yield _count("mixed", f"{name} at {path}", {"must": [{"key": path, **_TESTS[name]}]})


def _count(dataset: str, name: str, wanted: dict[str, Any]) -> Row:
    body = {"filter": wanted, "limit": 100, "with_payload": False}
    gap = _BY_PLAN if (dataset, name) in _CONTESTED else None
    return post(dataset, name, "points/scroll", body, gap=gap)
