"""Conditions that an SQL index can serve, beside the exact ones, which no index can.

A prefilter holds wherever its condition does, is never NULL, and is ANDed to it: the planner may then read an index and
test the exact condition on what that finds. Equality needs none, because an index serves its exact form.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import LiteralString
from uuid import UUID

from service.model.qdrant import (
    Condition,
    DatetimeRange,
    FieldCondition,
    Filter,
    HasIdCondition,
    Match,
    MatchAny,
    MatchPhrase,
    MatchText,
    MatchTextAny,
    MatchValue,
    Range,
)
from service.translate.boxes import Box, boxes
from service.translate.clauses import conditions_in
from service.translate.index_expressions import (
    is_array_at,
    lowered,
    moment_at,
    number_at,
    plain_keys,
    point_at,
    raised,
    tokens_at,
    uuid_at,
)
from service.translate.match import uuids
from service.translate.paths import Path, parse_path
from service.translate.payload_index import PayloadIndex
from service.translate.ranges import numeric_bounds
from service.translate.rows import Row
from service.translate.sql import Argument, Sql, join, sql
from service.translate.tokenizing import tokenizing
from service.translate.whole_numbers import integer_bounds

EQUALITY = frozenset({"keyword", "integer", "bool", "uuid"})
"""The payload indexes that find equal values."""

_BOUNDS: Mapping[str, LiteralString] = {"gt": ">=", "gte": ">=", "lt": "<=", "lte": "<="}


def prefilter(row: Row, condition: FieldCondition) -> Sql | None:
    """Return a condition that an index serves and that holds for every point that matches, if there is one."""
    path = parse_path(condition.key)
    index = row.index(path)
    if index is None or not _has_one_test(condition):
        return None
    if index.kind == "text" and condition.match is not None:
        return _with_tokens(row.payload, path, index, condition.match)
    keys = plain_keys(path)
    test = None if keys is None else _of_one_value(row.payload, keys, index, condition)
    if keys is None or test is None:
        return None
    return sql("(", test, " OR ", is_array_at(row.payload, keys), ")")


def is_served(wanted: Filter | None, row: Row) -> bool:
    """Say whether indexes find the points that match, so that not every point has to be tested."""
    if wanted is None:
        return False
    should = conditions_in(wanted.should)
    return any(_finds(condition, row) for condition in conditions_in(wanted.must)) or (
        bool(should) and all(_finds(condition, row) for condition in should)
    )


def _finds(condition: Condition, row: Row) -> bool:
    match condition:
        case Filter():
            return is_served(condition, row)
        case HasIdCondition():
            return True
        case FieldCondition(key=key, match=MatchValue() | MatchAny()):
            index = row.index(parse_path(key))
            return index is not None and index.kind in EQUALITY
        case FieldCondition():
            return prefilter(row, condition) is not None
        case _:
            return False


def _has_one_test(condition: FieldCondition) -> bool:
    """Several tests in one condition are alternatives, which no single index finds."""
    tests = (getattr(condition, name) for name in type(condition).model_fields if name != "key")
    return sum(test is not None for test in tests) == 1


def _of_one_value(
    payload: Sql, keys: tuple[str, ...], index: PayloadIndex, condition: FieldCondition
) -> Sql | None:
    wanted = condition.range
    if condition.match is not None:
        return _among(uuid_at(payload, keys), _uuids(index, condition.match))
    if index.kind == "geo":
        return _in_boxes(point_at(payload, keys), boxes(condition))
    if not isinstance(wanted, Range | DatetimeRange):
        return None
    bounds: Mapping[str, float] = numeric_bounds(wanted, index, "range")
    if index.kind == "datetime":
        return _in_range(moment_at(payload, keys), integer_bounds(bounds), sql("::bigint"))
    if index.kind == "float" or index.compares_integers:
        bounds = integer_bounds(bounds) if index.compares_integers else bounds
        return _in_range(number_at(payload, keys), _widened(bounds), sql("::numeric"))
    return None


def _in_range(value: Sql, bounds: Mapping[str, object], cast: Sql) -> Sql | None:
    tests = [sql(value, " IS NOT NULL")]
    tests += [
        sql(value, " ", _BOUNDS[name], " ", Argument(bound), cast) for name, bound in bounds.items()
    ]
    return sql("(", join(" AND ", tests), ")") if bounds else None


def _widened(bounds: Mapping[str, float]) -> dict[str, Decimal]:
    exact = {name: Decimal(repr(bound)) for name, bound in bounds.items()}
    return {
        name: lowered(bound) if _BOUNDS[name] == ">=" else raised(bound)
        for name, bound in exact.items()
    }


def _among(value: Sql, uuids: list[UUID] | None) -> Sql | None:
    if uuids is None:
        return None
    return sql("(", value, " IS NOT NULL AND ", value, " = ANY(", Argument(uuids), "::uuid[]))")


def _uuids(index: PayloadIndex, wanted: Match) -> list[UUID] | None:
    match wanted:
        case MatchValue(value=str(value)):
            return uuids(index, [value])
        case MatchAny(any=values):
            return uuids(index, values)
        case _:
            return None


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


def _with_tokens(payload: Sql, path: Path, index: PayloadIndex, wanted: Match) -> Sql | None:
    match wanted:
        case MatchText(text=query):
            operator: LiteralString = " @> "
        case MatchTextAny(text_any=query):
            operator = " && "
        case MatchPhrase(phrase=query):
            operator = " @> "
        case _:
            return None
    settings = tokenizing(index, "match")
    given = sql(Argument(query.replace("\x00", " ")), "::text")
    # A prefix index cuts up a phrase's words as it does the text's.
    sought = settings.tokens(given, sought=not isinstance(wanted, MatchPhrase))
    hashes = sql("(SELECT vecferry.token_hashes(", sought, "))")
    return sql(tokens_at(payload, path, settings), operator, hashes)
