"""A filter as a condition on the columns ``key`` and ``payload`` of one row.

Rule 1: every condition made here is true or false, never NULL, so that ``must_not`` is plain NOT.
Rule 2: what cannot be answered exactly raises ``Unsupported`` with its path in the request; nothing is skipped.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

from service.errors import Unsupported
from service.model.qdrant import (
    Condition,
    DatetimeRange,
    FieldCondition,
    Filter,
    HasIdCondition,
    HasVectorCondition,
    IsEmptyCondition,
    IsNullCondition,
    Match,
    MatchAny,
    MatchExcept,
    MatchPhrase,
    MatchPrefix,
    MatchSubstring,
    MatchText,
    MatchTextAny,
    MatchValue,
    MinShould,
    NestedCondition,
    Range,
    SliceCondition,
)
from service.translate.ids import has_id
from service.translate.match import matches_any, matches_except, matches_value
from service.translate.nullness import field_is_empty, field_is_null, is_empty, is_null
from service.translate.paths import Path, parse_path
from service.translate.ranges import in_range
from service.translate.sql import FALSE, TRUE, Argument, Sql, join, negate, sql


@dataclass(frozen=True, slots=True)
class Row:
    """What a condition looks at: two columns, the payload indexes, and the vectors that a point can have.

    ``schema`` has the ``field_schema`` of every indexed field, ``vectors`` the condition that the point has a vector.
    """

    key: Sql
    payload: Sql
    schema: Mapping[str, Any] = field(default_factory=dict)
    vectors: Mapping[str, Sql] = field(default_factory=dict)


def filter_sql(wanted: Filter | None, row: Row, where: str = "filter") -> Sql:
    """Return the condition for a filter; no filter, or one without conditions, is true."""
    if wanted is None:
        return TRUE
    parts: list[Sql] = []
    must = _conditions(wanted.must, row, f"{where}.must")
    must_not = _conditions(wanted.must_not, row, f"{where}.must_not")
    should = _conditions(wanted.should, row, f"{where}.should")
    parts.extend(sql("(", condition, ")") for condition in must)
    parts.extend(negate(condition) for condition in must_not)
    if should:
        parts.append(sql("(", join(" OR ", [sql("(", c, ")") for c in should]), ")"))
    if wanted.min_should is not None:
        parts.append(_at_least(wanted.min_should, row, f"{where}.min_should"))
    return join(" AND ", parts) if parts else TRUE


def _conditions(given: list[Condition] | Condition | None, row: Row, where: str) -> list[Sql]:
    if given is None:
        return []
    if isinstance(given, list):
        return [_condition(one, row, f"{where}[{at}]") for at, one in enumerate(given)]
    return [_condition(given, row, where)]


def _at_least(wanted: MinShould, row: Row, where: str) -> Sql:
    conditions = _conditions(wanted.conditions, row, f"{where}.conditions")
    count = join(" + ", [sql("0"), *(sql("(", condition, ")::int") for condition in conditions)])
    return sql("(", count, ") >= ", Argument(wanted.min_count), "::int")


def _condition(condition: Condition, row: Row, where: str) -> Sql:
    match condition:
        case FieldCondition():
            return _field(condition, row, where)
        case Filter():
            return filter_sql(condition, row, where)
        case HasIdCondition():
            return has_id(row.key, condition.has_id)
        case IsEmptyCondition():
            return is_empty(row.payload, parse_path(condition.is_empty.key))
        case IsNullCondition():
            return is_null(row.payload, parse_path(condition.is_null.key))
        case NestedCondition():
            raise Unsupported(f"{where}.nested")
        case HasVectorCondition():
            raise Unsupported(f"{where}.has_vector")
        case SliceCondition():
            raise Unsupported(f"{where}.slice")
        case _:
            assert_never(condition)


def _field(condition: FieldCondition, row: Row, where: str) -> Sql:
    """Qdrant takes several tests in one condition as alternatives."""
    for name in ("geo_bounding_box", "geo_radius", "geo_polygon", "values_count"):
        if getattr(condition, name) is not None:
            raise Unsupported(f"{where}.{name}")
    path = parse_path(condition.key)
    tests: list[Sql] = []
    if condition.match is not None:
        tests.append(_match(condition.match, row.payload, path, f"{where}.match"))
    match condition.range:
        case None:
            pass
        case Range() as bounds:
            tests.append(in_range(row.payload, path, bounds, f"{where}.range"))
        case DatetimeRange():
            raise Unsupported(
                f"{where}.range", "with datetimes cannot be answered by this store yet"
            )
        case _ as unknown:
            assert_never(unknown)
    if condition.is_empty is not None:
        tests.append(field_is_empty(row.payload, path, wanted=condition.is_empty))
    if condition.is_null is not None:
        tests.append(field_is_null(row.payload, path, wanted=condition.is_null))
    return join(" OR ", [sql("(", test, ")") for test in tests]) if tests else FALSE


def _match(wanted: Match, payload: Sql, path: Path, where: str) -> Sql:
    match wanted:
        case MatchValue(value=value):
            return matches_value(payload, path, value)
        case MatchAny(any=values):
            return matches_any(payload, path, values)
        case MatchExcept(except_=values):
            return matches_except(payload, path, values)
        case MatchText():
            raise Unsupported(f"{where}.text")
        case MatchTextAny():
            raise Unsupported(f"{where}.text_any")
        case MatchPhrase():
            raise Unsupported(f"{where}.phrase")
        case MatchPrefix():
            raise Unsupported(f"{where}.prefix")
        case MatchSubstring():
            raise Unsupported(f"{where}.substring")
        case _:
            assert_never(wanted)
