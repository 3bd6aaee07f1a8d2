"""``geo_bounding_box``, ``geo_radius`` and ``geo_polygon``. A point is an object with the numbers ``lon`` and ``lat``.

All borders are outside. A geo index holds only points of the globe; without one a point may lie anywhere.
"""

import math
from collections.abc import Iterator

from service.model.qdrant import (
    FieldCondition,
    GeoBoundingBox,
    GeoLineString,
    GeoPoint,
    GeoPolygon,
    GeoRadius,
)
from service.translate.jsonpath import has_element, some_element
from service.translate.paths import Path
from service.translate.payload_index import PayloadIndex
from service.translate.sql import Argument, Sql, join, sql

EARTH_METRES = 6_371_008.8
"""The earth's mean radius, of the International Union of Geodesy and Geophysics."""

_IS_POINT = '@.type() == "object" && @."lon".type() == "number" && @."lat".type() == "number"'
_ON_GLOBE = ' && @."lon" >= -180 && @."lon" <= 180 && @."lat" >= -90 && @."lat" <= 90'
# Degrees: far more than what rounding moves a point by.
_MARGIN = 1e-6


def tests(
    condition: FieldCondition, payload: Sql, path: Path, index: PayloadIndex | None
) -> Iterator[Sql]:
    """Yield the conditions for the geographic tests among a field's."""
    point = _IS_POINT + _ON_GLOBE if index is not None and index.kind == "geo" else _IS_POINT
    if condition.geo_radius is not None:
        yield _in_circle(payload, path, condition.geo_radius, point)
    if condition.geo_bounding_box is not None:
        yield has_element(payload, path, f"{point} && {_in_box(condition.geo_bounding_box)}")
    if condition.geo_polygon is not None:
        yield _in_polygon(payload, path, condition.geo_polygon, point)


def _in_box(wanted: GeoBoundingBox) -> str:
    """Return the test; a box whose left side is east of its right one lies across the date line."""
    west, east = wanted.top_left.lon, wanted.bottom_right.lon
    both = "||" if west > east else "&&"
    longitude = f'@."lon" > {_number(west)} {both} @."lon" < {_number(east)}'
    south, north = wanted.bottom_right.lat, wanted.top_left.lat
    return f'({longitude}) && @."lat" > {_number(south)} && @."lat" < {_number(north)}'


def _in_circle(payload: Sql, path: Path, wanted: GeoRadius, point: str) -> Sql:
    # A point is no nearer than the difference of the latitudes, unless it is beyond a pole.
    height = math.degrees(wanted.radius / EARTH_METRES) + _MARGIN
    south, north = wanted.center.lat - height, wanted.center.lat + height
    band = f'@."lat" > {_number(south)} && @."lat" < {_number(north)}'
    near = f'{point} && (({band}) || @."lat" < -90 || @."lat" > 90)'
    distance = sql(
        "vecferry.geo_distance(",
        Argument(float(wanted.center.lon)),
        "::float8, ",
        Argument(float(wanted.center.lat)),
        "::float8, element.v) < ",
        Argument(float(wanted.radius)),
        "::float8",
    )
    return _exactly(payload, path, near, distance)


def _in_polygon(payload: Sql, path: Path, wanted: GeoPolygon, point: str) -> Sql:
    lons = [corner.lon for corner in wanted.exterior.points]
    lats = [corner.lat for corner in wanted.exterior.points]
    box = GeoBoundingBox(
        top_left=GeoPoint(lon=min(lons), lat=max(lats)),
        bottom_right=GeoPoint(lon=max(lons), lat=min(lats)),
    )
    sides = [sql(_side(wanted.exterior), " = 1")]
    sides += [sql(_side(hole), " = -1") for hole in wanted.interiors or []]
    return _exactly(payload, path, f"{point} && {_in_box(box)}", join(" AND ", sides))


def _side(ring: GeoLineString) -> Sql:
    return sql(
        "vecferry.side_of_ring(",
        Argument([float(corner.lon) for corner in ring.points]),
        "::float8[], ",
        Argument([float(corner.lat) for corner in ring.points]),
        "::float8[], element.v)",
    )


def _exactly(payload: Sql, path: Path, near: str, exact: Sql) -> Sql:
    """Say whether an element passes both; most rows are dropped by the jsonpath alone."""
    both = sql("element.v @? ", Argument(f"strict $ ? ({near})"), "::jsonpath AND ", exact)
    return sql(has_element(payload, path, near), " AND ", some_element(payload, path, both))


def _number(value: float) -> str:
    return repr(float(value))
