"""``has_id``."""

from collections.abc import Iterable

from service.errors import MalformedBody
from service.model.ids import parse_point_id, sorted_keys
from service.translate.sql import Argument, Sql, sql


def has_id(key: Sql, ids: Iterable[object]) -> Sql:
    """Say whether the point's key is among those of the ids."""
    try:
        keys = sorted_keys(parse_point_id(point_id) for point_id in ids)
    except ValueError as error:
        raise MalformedBody(str(error)) from error
    return sql(key, " = ANY(", Argument(keys), "::bytea[])")
