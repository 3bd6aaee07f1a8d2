"""A condition on one payload field."""

from collections.abc import Sequence
from typing import assert_never

from service.model.qdrant import (
    FieldCondition,
    Match,
    MatchAny,
    MatchExcept,
    MatchPhrase,
    MatchPrefix,
    MatchSubstring,
    MatchText,
    MatchTextAny,
    MatchValue,
)
from service.translate import geo, match, strings, text
from service.translate.counts import has_count
from service.translate.indexed import prefilter
from service.translate.nullness import field_is_empty, field_is_null
from service.translate.paths import Path, parse_path
from service.translate.payload_index import PayloadIndex
from service.translate.ranges import in_range
from service.translate.rows import Row
from service.translate.sql import FALSE, Sql, join, sql


def field_sql(condition: FieldCondition, row: Row, where: str) -> Sql:
    """Say whether the field passes the condition's test; ``where`` is the condition's place in the request.

    Of several tests Qdrant takes the first that an index serves; else a count, emptiness or nullness stands alone, and
    the others are alternatives.
    """
    path = parse_path(condition.key)
    index = None if row.is_element else row.index(path)
    served = _served(condition, index)
    if served is None:
        alone = _alone(condition, row.payload, path, indexed=index is not None)
        if alone is not None:
            return alone
    tests: list[Sql] = []
    if condition.match is not None and served in {None, "match"}:
        tests.append(_match(condition.match, row, path, index, f"{where}.match"))
    if condition.range is not None and served in {None, "range"}:
        tests.append(in_range(row.payload, path, condition.range, index, f"{where}.range"))
    if served in {None, "geo"}:
        tests.extend(geo.tests(condition, row.payload, path, index))
    exact = join(" OR ", [sql("(", test, ")") for test in tests]) if tests else FALSE
    found = None if row.is_element else prefilter(row, condition)
    return exact if found is None else sql("(", exact, ") AND ", found)


def _alone(condition: FieldCondition, payload: Sql, path: Path, *, indexed: bool) -> Sql | None:
    """Return the test that makes Qdrant look at no other; an index tells what is null before it counts."""
    count = condition.values_count
    if count is not None and not indexed:
        return has_count(payload, path, count)
    if condition.is_empty is not None:
        return field_is_empty(payload, path, wanted=condition.is_empty, indexed=indexed)
    if condition.is_null is not None:
        return field_is_null(payload, path, wanted=condition.is_null, indexed=indexed)
    return None if count is None else has_count(payload, path, count)


def _served(condition: FieldCondition, index: PayloadIndex | None) -> str | None:
    """Say which of several tests the index answers, the others being dropped."""
    if index is None:
        return None
    if condition.match is not None and _serves_match(index, condition.match):
        return "match"
    if condition.range is not None and (
        index.kind in {"float", "datetime"} or index.compares_integers
    ):
        return "range"
    has_geo = condition.geo_radius or condition.geo_bounding_box or condition.geo_polygon
    return "geo" if has_geo is not None and index.kind == "geo" else None


def _serves_match(index: PayloadIndex, wanted: Match) -> bool:
    match wanted:
        case MatchValue(value=value):
            return _serves_values(index, [value])
        case MatchAny(any=values) | MatchExcept(except_=values):
            return _serves_values(index, values)
        case MatchText() | MatchTextAny() | MatchPhrase():
            return index.kind == "text"
        case MatchPrefix() | MatchSubstring():
            return index.kind == "keyword" and bool(index.options.get("prefix"))
        case _:
            assert_never(wanted)


def _serves_values(index: PayloadIndex, values: Sequence[bool | int | str]) -> bool:
    if any(isinstance(value, bool) for value in values):
        return index.kind == "bool"
    if any(isinstance(value, int) for value in values):
        return index.looks_up_integers
    return index.kind == "keyword" or match.uuids(index, values) is not None


def _match(wanted: Match, row: Row, path: Path, index: PayloadIndex | None, where: str) -> Sql:
    match wanted:
        case MatchValue(value=value):
            return match.matches_value(row.payload, path, value, index)
        case MatchAny(any=values):
            return match.matches_any(row.payload, path, values, index)
        case MatchExcept(except_=values):
            return match.matches_except(row.payload, path, values, index)
        case MatchText(text=query):
            return text.has_tokens(row, path, query, text.Wanted.ALL, f"{where}.text")
        case MatchTextAny(text_any=query):
            return text.has_tokens(row, path, query, text.Wanted.ANY, f"{where}.text_any")
        case MatchPhrase(phrase=query):
            return text.has_tokens(row, path, query, text.Wanted.PHRASE, f"{where}.phrase")
        case MatchPrefix(prefix=beginning):
            return strings.starts_with(row.payload, path, beginning)
        case MatchSubstring(substring=part):
            return strings.contains(row.payload, path, part)
        case _:
            assert_never(wanted)
