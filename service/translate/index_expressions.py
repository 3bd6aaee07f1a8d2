"""What SQL indexes are made of: expressions on a payload, the same text in an index and in the conditions it serves.

Each gives one value per point. Arrays have many, so they are left to a small index of their own: whoever searches by an
expression takes all points with an array at the path as well.
"""

from service.translate.paths import Each, Key, Path
from service.translate.sql import Sql, literal, sql


def plain_keys(path: Path) -> tuple[str, ...] | None:
    """Return the keys of a path that leads to one value, or to the elements of one array; else ``None``."""
    steps = path[:-1] if isinstance(path[-1], Each) else path
    keys = tuple(step.name for step in steps if isinstance(step, Key))
    return keys if keys and len(keys) == len(steps) else None


def number_at(payload: Sql, keys: tuple[str, ...]) -> Sql:
    """Return the number there, exactly, NULL for anything else."""
    value = _at(payload, keys)
    return sql("(CASE WHEN jsonb_typeof(", value, ") = 'number' THEN (", value, ")::numeric END)")


def point_at(payload: Sql, keys: tuple[str, ...]) -> Sql:
    """Return the geographic point there as ``point(longitude, latitude)``, NULL for anything else."""
    return sql("vecferry.geo_point(", _at(payload, keys), ")")


def is_array_at(payload: Sql, keys: tuple[str, ...]) -> Sql:
    """Say whether there is an array; never NULL."""
    return sql("((jsonb_typeof(", _at(payload, keys), ") = 'array') IS TRUE)")


def _at(payload: Sql, keys: tuple[str, ...]) -> Sql:
    names = ",".join('"' + key + '"' for key in keys)
    return sql("(", payload, " #> ", literal("{" + names + "}"), "::text[])")
