"""Filters against the engine: every condition it has, and the ones its binding gets wrong."""

import pytest

from service.errors import MalformedBody, Unsupported
from service.model.operations import ByFilter, Delete
from service.model.points import Payload
from service.model.qdrant import CountRequest, Filter
from service.stores.edge.store import EdgeStore
from tests.service.stores.edge.data import fill, matching

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAYLOADS: list[Payload] = [
    {"b": True, "n": 1, "s": "red", "t": "2024-01-02T00:00:00Z", "at": {"lon": 0.0, "lat": 0.0}},
    {"b": False, "n": 2, "s": "blue", "l": [1, 2, 3], "t": "2024-01-03T00:00:00+02:00"},
    {"b": 1, "n": 3.5, "s": ["red", "green"], "o": [{"x": 1, "y": 2}, {"x": 2, "y": 1}]},
    {"b": [False, True], "n": None, "o": [{"x": 1, "y": 1}], "f": {"g": [{"b": True}]}},
    {"b": "true", "l": [], "at": {"lon": 0.001, "lat": 0.0}, "f": {"b": True}},
    {"b": [[True]], "a.b": True, "f": {"g": [{"b": 0}, {"b": False}]}},
    {},
]

CASES = {
    "true": ({"key": "b", "match": {"value": True}}, [0, 3]),
    "false": ({"key": "b", "match": {"value": False}}, [1, 3]),
    "one": ({"key": "b", "match": {"value": 1}}, [2]),
    "true below a key": ({"key": "f.b", "match": {"value": True}}, [4]),
    "true in any element": ({"key": "f.g[].b", "match": {"value": True}}, [3]),
    "false in one element": ({"key": "f.g[1].b", "match": {"value": False}}, [5]),
    "true under a quoted key": ({"key": '"a.b"', "match": {"value": True}}, [5]),
    "keyword": ({"key": "s", "match": {"value": "red"}}, [0, 2]),
    "any": ({"key": "s", "match": {"any": ["blue", "green"]}}, [1, 2]),
    "except": ({"key": "s", "match": {"except": ["red"]}}, [1, 2]),
    "text": ({"key": "s", "match": {"text": "red"}}, [0, 2]),
    "range": ({"key": "n", "range": {"gt": 1, "lte": 3.5}}, [1, 2]),
    "instants": ({"key": "t", "range": {"gte": "2024-01-02T12:00:00Z"}}, [1]),
    "instant without a zone": ({"key": "t", "range": {"lte": "2024-01-02T00:00:00"}}, [0]),
    "radius": (
        {"key": "at", "geo_radius": {"center": {"lon": 0.0, "lat": 0.0}, "radius": 50.0}},
        [0],
    ),
    "box": (
        {
            "key": "at",
            "geo_bounding_box": {
                "top_left": {"lon": 0.0005, "lat": 1.0},
                "bottom_right": {"lon": 1.0, "lat": -1.0},
            },
        },
        [4],
    ),
    "polygon": (
        {
            "key": "at",
            "geo_polygon": {
                "exterior": {
                    "points": [
                        {"lon": lon, "lat": lat}
                        for lon, lat in [(-1, -1), (-1, 1), (5e-4, 1), (5e-4, -1), (-1, -1)]
                    ]
                }
            },
        },
        [0],
    ),
    "count": ({"key": "l", "values_count": {"gte": 2}}, [1]),
    "empty": ({"is_empty": {"key": "n"}}, [3, 4, 5, 6]),
    "null": ({"is_null": {"key": "n"}}, [3]),
    "ids": ({"has_id": [0, 6, 77]}, [0, 6]),
    "slice": ({"slice": {"index": 0, "total": 2}}, [1, 3, 4, 5]),
    "vector": ({"has_vector": ""}, [0, 1, 2, 3, 4, 5, 6]),
    "nested": (
        {
            "nested": {
                "key": "o",
                "filter": {
                    "must": [
                        {"key": "x", "match": {"value": 1}},
                        {"key": "y", "match": {"value": 1}},
                    ]
                },
            }
        },
        [3],
    ),
}


async def test_conditions(store: EdgeStore) -> None:
    """Each condition finds its points, ``must_not`` finds the others, and ``should`` adds up."""
    await fill(store, "c", PAYLOADS)
    everyone = set(range(len(PAYLOADS)))
    for name, (condition, expected) in CASES.items():
        found = await matching(store, "c", Filter.model_validate({"must": [condition]}))
        assert found == expected, name
        others = await matching(store, "c", Filter.model_validate({"must_not": condition}))
        assert set(others) == everyone - set(expected), name
    either = {"should": [CASES["true"][0], CASES["one"][0]]}
    assert await matching(store, "c", Filter.model_validate(either)) == [0, 2, 3]
    two_of_three = {
        "min_should": {
            "conditions": [CASES["true"][0], CASES["keyword"][0], CASES["range"][0]],
            "min_count": 2,
        }
    }
    assert await matching(store, "c", Filter.model_validate(two_of_three)) == [0, 2]


async def test_a_boolean_match_in_a_write(store: EdgeStore) -> None:
    """Deleting what is true spares the integer 1."""
    await fill(store, "c", PAYLOADS)
    true = Filter.model_validate({"must": CASES["true"][0]})
    await store.apply("c", Delete(ByFilter(true)), wait=True)
    assert await matching(store, "c", Filter()) == [1, 2, 4, 5, 6]


async def test_what_cannot_be_answered_is_refused(store: EdgeStore) -> None:
    """The error names the path in the request; a malformed path or id is the caller's fault."""
    await fill(store, "c", PAYLOADS)

    async def refused(condition: object, error: type[Exception], text: str) -> None:
        request = CountRequest.model_validate({"filter": {"must": [condition]}})
        with pytest.raises(error, match=text):
            await store.count("c", request)

    nested = {"nested": {"key": "o", "filter": {"must": [CASES["true"][0]]}}}
    await refused(
        nested, Unsupported, r"filter\.must\[0\]\.nested\.filter\.must\[0\]\.match\.value"
    )
    await refused({"key": "a[", "match": {"value": 1}}, MalformedBody, "Invalid json path")
    await refused({"key": "a[", "match": {"value": True}}, MalformedBody, "Invalid json path")
    await refused({"has_id": ["zz"]}, MalformedBody, "value zz is not a valid point ID")
