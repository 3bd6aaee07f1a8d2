"""Ids as requests name them."""

from service.errors import MalformedBody
from service.model.ids import PointId, parse_point_id


def point_id_of(value: object) -> PointId:
    """Return the canonical id of what a request names. Raises ``MalformedBody`` with Qdrant's text."""
    try:
        return parse_point_id(value)
    except ValueError as error:
        raise MalformedBody(str(error)) from None
