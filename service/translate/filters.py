"""A filter as a condition on the columns ``key`` and ``payload`` of one row.

Rule 1: every condition made here is true or false, never NULL, so that ``must_not`` is plain NOT.
Rule 2: what cannot be answered exactly raises ``Unsupported`` with its path in the request; nothing is skipped.
"""

from typing import assert_never

from service.model.qdrant import (
    Condition,
    FieldCondition,
    Filter,
    HasIdCondition,
    HasVectorCondition,
    IsEmptyCondition,
    IsNullCondition,
    MinShould,
    NestedCondition,
    SliceCondition,
)
from service.translate.fields import field_sql
from service.translate.ids import has_id, in_slice
from service.translate.nested import some_object
from service.translate.nullness import is_empty, is_null
from service.translate.paths import parse_path
from service.translate.rows import Row
from service.translate.sql import FALSE, TRUE, Argument, Sql, join, negate, sql


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
    elif wanted.should is not None and row.is_element:
        # Qdrant takes an empty list for no constraint on a point, but not on an element.
        parts.append(FALSE)
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
    return sql("(", count, ") >= ", Argument(wanted.min_count), "::bigint")


def _condition(condition: Condition, row: Row, where: str) -> Sql:
    match condition:
        case FieldCondition():
            return field_sql(condition, row, where)
        case Filter():
            return filter_sql(condition, row, where)
        case IsEmptyCondition():
            return is_empty(row.payload, parse_path(condition.is_empty.key))
        case IsNullCondition():
            return is_null(row.payload, parse_path(condition.is_null.key))
        case NestedCondition(nested=nested):
            path, inner = parse_path(nested.key), f"{where}.nested.filter"
            return some_object(row, path, lambda element: filter_sql(nested.filter, element, inner))
        case HasIdCondition() | HasVectorCondition() | SliceCondition() if row.is_element:
            return FALSE
        case HasIdCondition():
            return has_id(row.key, condition.has_id)
        case HasVectorCondition(has_vector=name):
            return row.vectors.get(name, FALSE)
        case SliceCondition():
            return in_slice(row.key, condition.slice)
        case _:
            assert_never(condition)
