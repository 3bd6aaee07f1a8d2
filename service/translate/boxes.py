"""Boxes of longitude and latitude around what a geographic condition may match."""

from dataclasses import dataclass
from math import asin, cos, degrees, radians, sin

from service.model.qdrant import (
    FieldCondition,
    GeoBoundingBox,
    GeoPolygon,
    GeoRadius,
)
from service.translate.geo import EARTH_METRES

# A millionth of a degree is 11 cm: far more than rounding, far less than anybody's box.
_SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class Box:
    """In degrees, borders included; ``west`` is at most ``east``."""

    west: float
    south: float
    east: float
    north: float


def boxes(condition: FieldCondition) -> tuple[Box, ...] | None:
    """Return boxes that hold every point that matches; ``None`` when it is no geographic condition."""
    if condition.geo_bounding_box is not None:
        return _of_box(condition.geo_bounding_box)
    if condition.geo_radius is not None:
        return _of_radius(condition.geo_radius)
    if condition.geo_polygon is not None:
        return _of_polygon(condition.geo_polygon)
    return None


def _of_box(given: GeoBoundingBox) -> tuple[Box, ...]:
    return _wrapped(
        given.top_left.lon, given.bottom_right.lat, given.bottom_right.lon, given.top_left.lat
    )


def _of_radius(given: GeoRadius) -> tuple[Box, ...]:
    """Source of the width: the meridians that touch a circle on a sphere are asin(sin r / cos latitude) away."""
    angle = given.radius / EARTH_METRES
    latitude = radians(given.center.lat)
    height = degrees(angle)
    south, north = given.center.lat - height, given.center.lat + height
    if south <= -90 or north >= 90:  # noqa: PLR2004 - the poles
        return _wrapped(-180.0, south, 180.0, north)
    width = degrees(asin(min(1.0, sin(angle) / cos(latitude))))
    west, east = given.center.lon - width, given.center.lon + width
    if width >= 180:  # noqa: PLR2004 - all the way round
        return _wrapped(-180.0, south, 180.0, north)
    return _wrapped(_turned(west), south, _turned(east), north)


def _of_polygon(given: GeoPolygon) -> tuple[Box, ...]:
    longitudes = [point.lon for point in given.exterior.points]
    latitudes = [point.lat for point in given.exterior.points]
    return _wrapped(min(longitudes), min(latitudes), max(longitudes), max(latitudes))


def _turned(longitude: float) -> float:
    return (longitude + 180.0) % 360.0 - 180.0


def _wrapped(west: float, south: float, east: float, north: float) -> tuple[Box, ...]:
    """Return one box, or two where it lies across the date line."""
    south, north = min(south, north) - _SLACK, max(south, north) + _SLACK
    west, east = west - _SLACK, east + _SLACK
    if west <= east:
        return (Box(west, south, east, north),)
    return (Box(west, south, 180.0 + _SLACK, north), Box(-180.0 - _SLACK, south, east, north))
