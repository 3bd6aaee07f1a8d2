"""``range``: of numbers, and of moments.

Without an index a range of numbers sees numbers, a range of moments strings that spell one. An index of numbers or of
moments answers both, and then sees what it holds: moments are microseconds since 1970 to it.
"""

import math
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import LiteralString, TypeAlias

from service.errors import Unsupported
from service.model.qdrant import DatetimeRange, Range
from service.translate.jsonpath import elements, has_element
from service.translate.paths import Path
from service.translate.payload_index import PayloadIndex
from service.translate.sql import Argument, Sql, join, sql
from service.translate.whole_numbers import integer_bounds, within

Bounds: TypeAlias = Mapping[str, float]
"""From ``gt``, ``gte``, ``lt`` and ``lte``, as far as given, to numbers."""

_OPERATORS: Mapping[str, LiteralString] = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Above this not every integer is a double.
_EXACT = 2.0**53


def in_range(
    payload: Sql, path: Path, wanted: Range | DatetimeRange, index: PayloadIndex | None, where: str
) -> Sql:
    """Say whether an element is within the bounds; ``where`` is the range's place in the request."""
    bounds = numeric_bounds(wanted, index, where)
    if index is not None and index.compares_integers:
        return has_element(payload, path, within(integer_bounds(bounds)))
    kind = None if index is None else index.kind
    if kind == "datetime":
        return _of_moments(payload, path, "false", integer_bounds(bounds))
    if isinstance(wanted, DatetimeRange) and kind != "float":
        return _of_moments(
            payload, path, "true", {name: 2 * int(at) for name, at in bounds.items()}
        )
    return has_element(payload, path, _of_numbers(bounds))


def micros(moment: datetime | date) -> int:
    """Return the microseconds since 1970; a moment without a zone is in UTC, a date is its midnight."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // _MICROSECOND


def numeric_bounds(
    wanted: Range | DatetimeRange, index: PayloadIndex | None, where: str
) -> dict[str, float]:
    """Return the bounds as numbers, a moment's in microseconds. Raises ``Unsupported`` for what is not finite.

    To an index of floats a moment before 1970 is a huge number: Qdrant gets there by way of 128 bits without a sign.
    """
    bounds: dict[str, float] = {}
    is_unsigned = index is not None and index.kind == "float"
    for name in _OPERATORS:
        match getattr(wanted, name):
            case None:
                pass
            case date() as moment:
                at = micros(moment)
                bounds[name] = at % 2**128 if is_unsigned else at
            case number if math.isfinite(number):
                bounds[name] = number
            case _:
                raise Unsupported(f"{where}.{name}", "is not a finite number")
    return bounds


def _of_numbers(bounds: Bounds) -> str:
    """Return the jsonpath test that a number, as a double, is within the bounds."""
    tests = [_compared(name, float(bound)) for name, bound in bounds.items()]
    return " && ".join(['@.type() == "number"', *tests])


def _compared(name: str, bound: float) -> str:
    """Compare exactly what Qdrant compares as doubles.

    That is the same for bounds that no integer is rounded to. Beyond, integers up to half the way to the next double
    are taken for the bound; the middle itself when the bound's mantissa is even.
    """
    if abs(bound) < _EXACT:
        return f"@ {_OPERATORS[name]} {bound!r}"
    takes_more = name in {"gte", "lt"}
    neighbour = math.nextafter(bound, -math.inf if takes_more else math.inf)
    if math.isinf(neighbour):
        return f"@ {_OPERATORS[name]} {bound!r}"
    middle = (Fraction(bound) + Fraction(neighbour)) / 2
    is_even = _mantissa(bound) % 2 == 0
    operators = {
        "gte": ">=" if is_even else ">",
        "gt": ">" if is_even else ">=",
        "lte": "<=" if is_even else "<",
        "lt": "<" if is_even else "<=",
    }
    return f"@ {operators[name]} {_decimal(middle)}"


def _mantissa(value: float) -> int:
    return int(math.frexp(value)[0] * _EXACT)


def _decimal(value: Fraction) -> str:
    """Print a number that is whole or ends in a half."""
    whole, rest = divmod(value, 1)
    return f"{whole}.5" if rest else str(whole)


def _of_moments(payload: Sql, path: Path, halves: LiteralString, bounds: Mapping[str, int]) -> Sql:
    """Compare moments, in microseconds or in halves of them (see the SQL function)."""
    tests = [
        sql("at ", _OPERATORS[name], " ", Argument(bound), "::bigint")
        for name, bound in bounds.items()
    ]
    # The moment is read once, however many bounds there are.
    return sql(
        "EXISTS (SELECT FROM ",
        elements(payload, path),
        ", LATERAL (SELECT vecferry.moment(element.v, ",
        halves,
        ") OFFSET 0) AS moment(at) WHERE ",
        join(" AND ", tests or [sql("at IS NOT NULL")]),
        ")",
    )
