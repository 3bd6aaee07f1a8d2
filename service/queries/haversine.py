"""Great-circle distances."""

from math import asin, cos, radians, sin, sqrt

from service.model.qdrant import GeoPoint
from service.translate.geo import EARTH_METRES


def haversine(a: GeoPoint, b: GeoPoint) -> float:
    """Return the distance in metres: 2 r asin √(sin²(Δφ/2) + cos φ₁ cos φ₂ sin²(Δλ/2)).

    Source: the haversine formula, as in the crate ``geo`` that Qdrant uses. Latitudes are within 90 degrees, as both
    Qdrant's body parser and its payload reader have it: beyond, the square may be rounded to less than nothing.
    """
    from_latitude, to_latitude = radians(a.lat), radians(b.lat)
    half_latitude = radians(b.lat - a.lat) / 2
    half_longitude = radians(b.lon - a.lon) / 2
    chord = (
        sin(half_latitude) ** 2 + cos(from_latitude) * cos(to_latitude) * sin(half_longitude) ** 2
    )
    return 2 * EARTH_METRES * asin(min(1.0, sqrt(chord)))
