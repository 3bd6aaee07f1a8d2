"""Qdrant's rules one by one, against its engine: what random filters meet too rarely."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from service.model.points import Payload
from service.model.qdrant import Filter
from service.stores.postgres.database import Database
from service.translate.payload_index import FieldSchema
from tests.service.translate import engine
from tests.service.translate.test_filters import _ROW, _matching

_VALUES: tuple[Any, ...] = (
    3, 3.0, 3.5, "3", True, None, [], [None], [3], [3.0, "x"], "x", "y", ["x", "y"], {"b": 3},
    2**63 - 1, 2**63, 2**63 + 1024, 2**63 + 1025, -(2**63), 2**53, 2**53 + 1, 1e300,
    "2020-01-01T00:00:00Z", "2020-01-01T00:00:00.000001Z",
)  # fmt: skip
_MOMENTS = (
    "2020-01-01T00:00:00.000001Z", "2020-01-01T00:00:00.0000015Z", "2020-01-01T00:00:00.000001999Z",
    "2020-01-01T00:00:00.000002Z", "1960-01-01T00:00:00.000001Z", "1960-01-01T00:00:00.0000015Z",
    "1960-01-01T00:00:00.000002Z", "2020-01-01T00:00:59.9999999Z", "2020-01-01T00:00:60Z",
    "2020-01-01T00:01:00Z", "2020-01-01T00:01:00.0000001Z",
)  # fmt: skip
_BOUNDS = (
    "2020-01-01T00:00:00.000001Z", "2020-01-01T00:00:00.0000015Z", "2020-01-01T00:00:00.000002Z",
    "1960-01-01T00:00:00.000001Z", "1960-01-01T00:00:00.000002Z", "2020-01-01T00:00:59.999999Z",
    "2020-01-01T00:01:00Z",
)  # fmt: skip
_PLACES: tuple[Any, ...] = (
    {"lon": 0, "lat": 0}, {"lon": 1, "lat": 1}, {"lon": 179.5, "lat": 0}, {"lon": -179.5, "lat": 0},
    {"lon": 0.5, "lat": 0.5}, {"lon": 0.5, "lat": 1}, {"lon": 1, "lat": 0.5},
    {"lon": 5, "lat": 89.9}, {"lon": -170, "lat": 89.9}, {"lon": 0, "lat": 5}, {"lon": 5, "lat": 0},
    {"lon": 1.7, "lat": 60},
    {"lon": 200, "lat": 0}, {"lon": 0, "lat": 95}, {"lon": "0", "lat": 0}, [{"lon": 0.5, "lat": 0.5}],
)  # fmt: skip


def _box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    corners = {"top_left": (west, north), "bottom_right": (east, south)}
    box = {name: {"lon": lon, "lat": lat} for name, (lon, lat) in corners.items()}
    return {"geo_bounding_box": box}


def _circle(lon: float, lat: float, radius: float) -> dict[str, Any]:
    return {"geo_radius": {"center": {"lon": lon, "lat": lat}, "radius": radius}}


def _ring(*corners: tuple[float, float]) -> dict[str, Any]:
    return {"points": [{"lon": lon, "lat": lat} for lon, lat in (*corners, corners[0])]}


_LARGE = _ring((-1, -1), (-1, 6), (6, 6), (6, -1))
_SMALL = _ring((0.2, 0.2), (0.2, 0.8), (0.8, 0.8), (0.8, 0.2))
_TESTS: tuple[dict[str, Any], ...] = (
    {"match": {"value": 3}},
    {"match": {"any": [3, 2**63 - 1]}},
    {"match": {"except": [3]}},
    {"match": {"except": ["x"]}},
    {"match": {"except": []}},
    {"range": {"gte": 3, "lt": 4}},
    {"range": {"gte": float(2**63)}},
    {"range": {"gt": 9.3e18}},
    {"range": {"lte": -9.3e18}},
    {"range": {"gt": float(2**53)}},
    {"range": {"gte": float(2**53 + 2)}},
    {"range": {"lt": 3.5}},
    {"match": {"value": 3}, "range": {"gte": 100}},
    {"range": {"gt": 2.5, "lte": 3.5}},
    {"range": {"gt": "2020-01-01T00:00:00Z"}},
    {"range": {"lte": "2020-01-01T00:00:00.000000Z"}},
)
_GEO: tuple[dict[str, Any], ...] = (
    _box(0, 0, 1, 1),
    _box(179, -1, -179, 1),
    _circle(0, 0, 157_250),
    _circle(0, 0, 0),
    _circle(0, 0, 1.9e7),
    _circle(179.9, 0, 100_000),
    _circle(0, 90, 50_000),
    _circle(0, 0, 555_975.0),
    _circle(180, 85, 1_000),
    _circle(180, 84.9, 20_000),
    _circle(0, 60, 100_000),
    {"geo_polygon": {"exterior": _LARGE}},
    {"geo_polygon": {"exterior": _LARGE, "interiors": [_SMALL]}},
)


async def _compare(
    database: Database,
    folder: Path,
    points: dict[int, Payload],
    schema: dict[str, FieldSchema],
    conditions: list[dict[str, Any]],
) -> None:
    """Hold each condition, and its negation, against the engine."""
    wanted = [{kind: [each]} for each in conditions for kind in ("must", "must_not")]
    filters = [Filter.model_validate(each) for each in wanted]
    found = await _matching(database, points, filters, replace(_ROW, schema=schema))
    with engine.opened(folder, schema) as shard:
        engine.store(shard, points)
        for given, one, ids in zip(wanted, filters, found, strict=True):
            assert ids == engine.matching(shard, one, len(points)), given


@pytest.mark.parametrize("index", [None, "keyword", "integer", "float", "datetime"])
async def test_values(database: Database, tmp_path: Path, index: str | None) -> None:
    """An index answers with what it holds: whole floats are integers, large ones the largest integer."""
    points: dict[int, Payload] = {at: {"a": value} for at, value in enumerate(_VALUES)}
    points[len(points)] = {}
    schema: dict[str, FieldSchema] = {} if index is None else {"a": index}
    await _compare(database, tmp_path, points, schema, [{"key": "a", **test} for test in _TESTS])


@pytest.mark.parametrize("index", [None, "datetime"])
async def test_moments_between_two_microseconds(
    database: Database, tmp_path: Path, index: str | None
) -> None:
    """They are the earlier one, also before 1970; without an index second 60 is before the next minute."""
    points: dict[int, Payload] = {at: {"a": moment} for at, moment in enumerate(_MOMENTS)}
    schema: dict[str, FieldSchema] = {} if index is None else {"a": index}
    ranges = [{"range": {name: at}} for name in ("gt", "gte", "lt", "lte") for at in _BOUNDS]
    await _compare(database, tmp_path, points, schema, [{"key": "a", **test} for test in ranges])


@pytest.mark.parametrize("index", [None, "geo"])
async def test_places(database: Database, tmp_path: Path, index: str | None) -> None:
    """Borders are outside; boxes and circles cross the date line and the poles."""
    points: dict[int, Payload] = {at: {"a": value} for at, value in enumerate(_PLACES)}
    schema: dict[str, FieldSchema] = {} if index is None else {"a": index}
    await _compare(database, tmp_path, points, schema, [{"key": "a", **test} for test in _GEO])


async def test_inside_an_element_there_is_no_id(database: Database, tmp_path: Path) -> None:
    """Conditions on the point itself are false there, and an empty list of alternatives as well."""
    points: dict[int, Payload] = {1: {"a": [{"b": 1}]}, 2: {"a": []}}
    inner: list[dict[str, Any]] = [
        {"must": [{"has_id": [1]}]},
        {"must_not": [{"has_id": [1]}]},
        {"should": []},
    ]
    conditions = [{"nested": {"key": "a", "filter": each}} for each in inner]
    await _compare(database, tmp_path, points, {}, conditions)
