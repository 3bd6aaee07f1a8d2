"""Conditions that an SQL index can serve, beside the exact ones, which no index can.

A prefilter holds wherever its condition does, is never NULL, and is ANDed to it: the planner may then read an index and
test the exact condition on what that finds. Equality needs none, because an index serves its exact form.
"""

from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, LiteralString

from service.model.qdrant import (
    Condition,
    FieldCondition,
    Filter,
    HasIdCondition,
    MatchAny,
    MatchValue,
    Range,
)
from service.translate.boxes import Box, boxes
from service.translate.index_expressions import (
    is_array_at,
    number_at,
    plain_keys,
    point_at,
)
from service.translate.paths import parse_path
from service.translate.sql import Argument, Sql, join, sql

if TYPE_CHECKING:
    from service.translate.filters import Row

EQUALITY = frozenset({"keyword", "integer", "bool", "uuid"})
"""The payload indexes that find equal values."""
NUMBERS = frozenset({"integer", "float"})
"""The payload indexes that find numbers in a range."""

# Qdrant compares as f64, the index exactly; they differ in the last of 53 bits.
_SLACK = Decimal("1e-12")
_BOUNDS: Mapping[str, LiteralString] = {"gt": ">=", "gte": ">=", "lt": "<=", "lte": "<="}


def prefilter(row: "Row", condition: FieldCondition) -> Sql | None:
    """Return a condition that an index serves and that holds for every point that matches, if there is one."""
    keys = plain_keys(parse_path(condition.key))
    if keys is None or not _has_one_test(condition):
        return None
    kind = index_kind(row.schema.get(condition.key))
    match condition.range:
        case Range() as bounds if kind in NUMBERS:
            test = _in_range(number_at(row.payload, keys), bounds)
        case None if kind == "geo":
            test = _in_boxes(point_at(row.payload, keys), boxes(condition))
        case _:
            test = None
    return None if test is None else sql("(", test, " OR ", is_array_at(row.payload, keys), ")")


def is_served(wanted: Filter | None, row: "Row") -> bool:
    """Say whether indexes find the points that match, so that not every point has to be tested."""
    if wanted is None:
        return False
    should = _listed(wanted.should)
    return any(_finds(condition, row) for condition in _listed(wanted.must)) or (
        bool(should) and all(_finds(condition, row) for condition in should)
    )


def index_kind(schema: Any) -> str | None:
    """Return the type of a payload index from its ``field_schema``."""
    kind = schema.get("type") if isinstance(schema, Mapping) else schema
    return None if kind is None else str(kind)


def _finds(condition: Condition, row: "Row") -> bool:
    match condition:
        case Filter():
            return is_served(condition, row)
        case HasIdCondition():
            return True
        case FieldCondition(match=MatchValue() | MatchAny()):
            return any(index_kind(schema) in EQUALITY for schema in row.schema.values())
        case FieldCondition():
            return prefilter(row, condition) is not None
        case _:
            return False


def _listed(given: list[Condition] | Condition | None) -> list[Condition]:
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def _has_one_test(condition: FieldCondition) -> bool:
    """Several tests in one condition are alternatives, which no single index finds."""
    tests = (getattr(condition, name) for name in type(condition).model_fields if name != "key")
    return sum(test is not None for test in tests) == 1


def _in_range(value: Sql, bounds: Range) -> Sql | None:
    tests = [sql(value, " IS NOT NULL")]
    for name, operator in _BOUNDS.items():
        bound = getattr(bounds, name)
        if bound is not None and isfinite(bound):
            exact = Decimal(repr(bound))
            slack = abs(exact) * _SLACK
            widened = exact - slack if operator == ">=" else exact + slack
            tests.append(sql(value, " ", operator, " ", Argument(widened), "::numeric"))
    return sql("(", join(" AND ", tests), ")") if len(tests) > 1 else None


def _in_boxes(point: Sql, around: tuple[Box, ...] | None) -> Sql | None:
    if around is None:
        return None
    inside = (
        sql(
            point,
            " <@ box(point(",
            Argument(box.west),
            "::float8, ",
            Argument(box.south),
            "::float8), point(",
            Argument(box.east),
            "::float8, ",
            Argument(box.north),
            "::float8))",
        )
        for box in around
    )
    return sql("(", point, " IS NOT NULL AND (", join(" OR ", inside), "))")
