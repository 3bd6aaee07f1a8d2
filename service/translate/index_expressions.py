"""What SQL indexes are made of: expressions on a payload, the same text in an index and in the conditions it serves.

Most give one value per point. Arrays have many, so they are left to a small index of their own: whoever searches by
such an expression takes all points with an array at the path as well.
"""

from collections.abc import Sequence
from decimal import Decimal

from service.translate.paths import Each, Key, Path
from service.translate.sql import Argument, Sql, join, literal, number, sql
from service.translate.text import indexed_tokens
from service.translate.tokenizing import Tokenizing

# Qdrant compares doubles, the index compares exactly: they differ in the last of 53 bits.
_SLACK = Decimal("1e-12")


def plain_keys(path: Path) -> tuple[str, ...] | None:
    """Return the keys of a path that leads to one value, or to the elements of one array; else ``None``."""
    steps = path[:-1] if isinstance(path[-1], Each) else path
    keys = tuple(step.name for step in steps if isinstance(step, Key))
    return keys if keys and len(keys) == len(steps) else None


def value_at(payload: Sql, keys: tuple[str, ...]) -> Sql:
    """Return the value that plain keys lead to."""
    names = ",".join('"' + key + '"' for key in keys)
    return sql("(", payload, " #> ", literal("{" + names + "}"), "::text[])")


def number_at(payload: Sql, keys: tuple[str, ...]) -> Sql:
    """Return the number there, exactly, NULL for anything else."""
    value = value_at(payload, keys)
    return sql("(CASE WHEN jsonb_typeof(", value, ") = 'number' THEN ", value, "::numeric END)")


def lowered(bound: Decimal) -> Decimal:
    """Return a lower bound on :func:`number_at` below which no number counts as one above the bound."""
    return bound - abs(bound) * _SLACK


def raised(bound: Decimal) -> Decimal:
    """Return an upper bound, as :func:`lowered` a lower one."""
    return bound + abs(bound) * _SLACK


def moment_at(payload: Sql, keys: tuple[str, ...]) -> Sql:
    """Return the moment there in microseconds since 1970, NULL for anything else."""
    return sql("vecferry.datetime_micros(", value_at(payload, keys), ")")


def uuid_at(payload: Sql, keys: tuple[str, ...]) -> Sql:
    """Return the UUID there, however it is spelled, NULL for anything else."""
    return sql("vecferry.uuid(", value_at(payload, keys), ")")


def point_at(payload: Sql, keys: tuple[str, ...]) -> Sql:
    """Return the geographic point there as ``point(longitude, latitude)``, NULL for anything else."""
    return sql("vecferry.geo_point(", value_at(payload, keys), ")")


def tokens_at(payload: Sql, path: Path, settings: Tokenizing) -> Sql:
    """Return the hashes of the tokens of all strings there: a token may be longer than an index entry."""
    return token_hashes(indexed_tokens(payload, path, settings))


def token_hashes(tokens: Sql) -> Sql:
    """Return the hashes of tokens, none of NULL."""
    return sql("vecferry.token_hashes(", spelled_out(tokens), ")")


def is_array_at(payload: Sql, keys: tuple[str, ...]) -> Sql:
    """Say whether there is an array; never NULL."""
    return sql("((jsonb_typeof(", value_at(payload, keys), ") = 'array') IS TRUE)")


def spelled_out(expression: Sql) -> Sql:
    """Return the expression with its arguments as literals; each must have a cast behind it."""
    return sql(
        *(
            _literal(part.value) if isinstance(part, Argument) else Sql((part,))
            for part in expression.parts
        )
    )


def _literal(value: object) -> Sql:
    match value:
        case None:
            return sql("NULL")
        case bool():
            return sql("true") if value else sql("false")
        case int():
            return number(value)
        case str():
            return literal(value)
        case Sequence():
            return sql("ARRAY[", join(", ", (_literal(item) for item in value)), "]")
        case _:
            message = f"{type(value).__name__} has no literal here"
            raise TypeError(message)
