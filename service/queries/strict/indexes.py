"""Which fields a filter or a formula needs an index of, and of which types, as Qdrant's strict mode sees it."""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from typing import Any, TypeAlias

from pydantic import BaseModel

from service.model.qdrant import (
    Condition,
    DatetimeExpression,
    DatetimeKeyExpression,
    DatetimeRange,
    FieldCondition,
    Filter,
    GeoDistance,
    IsEmptyCondition,
    IsNullCondition,
    Match,
    MatchAny,
    MatchExcept,
    MatchPhrase,
    MatchText,
    MatchTextAny,
    MatchValue,
    NestedCondition,
)
from service.translate.clauses import conditions_in
from service.translate.match import is_uuid

Schema: TypeAlias = Mapping[str, Any]
"""The ``field_schema`` of each indexed path: a type's name, or an object with a ``type``."""


class Use(Enum):
    """What an index is used for."""

    INTEGER_MATCH = auto()
    INTEGER_RANGE = auto()
    KEYWORD_MATCH = auto()
    FLOAT_RANGE = auto()
    TEXT = auto()
    BOOL_MATCH = auto()
    UUID_MATCH = auto()
    UUID_RANGE = auto()
    DATETIME_RANGE = auto()
    GEO = auto()


Needs: TypeAlias = tuple[str, frozenset[Use]]
"""A path, and what its index must be good for: one of these."""

_ANY = frozenset(Use)
_NUMBERS = frozenset({Use.INTEGER_MATCH, Use.INTEGER_RANGE, Use.FLOAT_RANGE})
_TYPES: dict[str, frozenset[Use]] = {
    "integer": frozenset({Use.INTEGER_MATCH, Use.INTEGER_RANGE}),
    "keyword": frozenset({Use.KEYWORD_MATCH}),
    "float": frozenset({Use.FLOAT_RANGE}),
    "text": frozenset({Use.TEXT}),
    "bool": frozenset({Use.BOOL_MATCH}),
    "uuid": frozenset({Use.UUID_MATCH, Use.UUID_RANGE}),
    "datetime": frozenset({Use.DATETIME_RANGE}),
    "geo": frozenset({Use.GEO}),
}
_MATCHED = frozenset({"keyword", "integer", "uuid", "bool"})


def unindexed_in_filter(schema: Schema, wanted: Filter) -> tuple[str, list[str]] | None:
    """Return the first path without the index that it needs, and the types that would do; ``None`` if all have it."""
    return _first_lacking(schema, _of_filter(wanted, ""))


def unindexed_in_formula(schema: Schema, formula: object) -> tuple[str, list[str]] | None:
    """Return the same for an expression."""
    return _first_lacking(schema, _of_expression(formula))


def index_type(schema: Schema, path: str) -> str | None:
    """Return the type of a path's index."""
    found = schema.get(path)
    return found["type"] if isinstance(found, Mapping) else found


def serves_match(kind: str) -> bool:
    """Say whether an index of this type serves an equality."""
    return kind in _MATCHED


def conditions_of(wanted: Filter) -> Iterator[Condition]:
    """Return the conditions of a filter, not of the filters inside."""
    for clause in (wanted.must, wanted.must_not, wanted.should):
        yield from conditions_in(clause)
    if wanted.min_should is not None:
        yield from wanted.min_should.conditions


def _first_lacking(schema: Schema, needed: Iterable[Needs]) -> tuple[str, list[str]] | None:
    for path, uses in needed:
        if not uses & _serves(schema.get(path)):
            return path, sorted(kind for kind, served in _TYPES.items() if served & uses)
    return None


def _serves(field_schema: Any) -> frozenset[Use]:  # noqa: ANN401 - what a client wrote
    match field_schema:
        case None:
            return frozenset()
        case str():
            return _TYPES[field_schema]
        case _:
            uses = _TYPES[field_schema["type"]]
            if field_schema.get("lookup") is False:
                uses -= {Use.INTEGER_MATCH}
            if field_schema["type"] == "integer" and field_schema.get("range") is False:
                uses -= {Use.INTEGER_RANGE}
            return uses


def _of_filter(wanted: Filter, prefix: str) -> Iterator[Needs]:
    for condition in conditions_of(wanted):
        yield from _of_condition(condition, prefix)


def _of_condition(condition: object, prefix: str) -> Iterator[Needs]:
    match condition:
        case FieldCondition():
            yield prefix + condition.key, _of_field(condition)
        case Filter():
            yield from _of_filter(condition, prefix)
        case NestedCondition(nested=nested):
            key = nested.key if nested.key.endswith("[]") else f"{nested.key}[]"
            yield from _of_filter(nested.filter, f"{prefix}{key}.")
        case IsEmptyCondition():
            yield prefix + condition.is_empty.key, _ANY
        case IsNullCondition():
            yield prefix + condition.is_null.key, _ANY
        case _:
            pass


def _of_field(condition: FieldCondition) -> frozenset[Use]:
    uses = _of_match(condition.match)
    if isinstance(condition.range, DatetimeRange):
        uses |= {Use.DATETIME_RANGE}
    elif condition.range is not None:
        uses |= {Use.FLOAT_RANGE, Use.INTEGER_RANGE}
    if condition.geo_bounding_box or condition.geo_radius or condition.geo_polygon:
        uses |= {Use.GEO}
    if (condition.values_count, condition.is_empty, condition.is_null) != (None, None, None):
        uses |= _ANY
    return uses


def _of_match(match: Match | None) -> frozenset[Use]:
    match match:
        case None:
            return frozenset()
        case MatchValue(value=value):
            return _of_values([value])
        case MatchAny(any=values) | MatchExcept(except_=values):
            return _of_values(values)
        case MatchText() | MatchTextAny() | MatchPhrase():
            return frozenset({Use.TEXT})
        case _:
            return frozenset({Use.KEYWORD_MATCH})


def _of_values(values: list[Any]) -> frozenset[Use]:
    first = values[0] if values else ""
    if isinstance(first, bool):
        return frozenset({Use.BOOL_MATCH})
    if isinstance(first, int):
        return frozenset({Use.INTEGER_MATCH})
    if all(map(is_uuid, values)):
        return frozenset({Use.KEYWORD_MATCH, Use.UUID_MATCH})
    return frozenset({Use.KEYWORD_MATCH})


def _of_expression(node: object) -> Iterator[Needs]:
    match node:
        case str():
            if not node.startswith("$score"):
                yield node, _NUMBERS
        case GeoDistance():
            yield node.geo_distance.to, frozenset({Use.GEO})
        case DatetimeKeyExpression():
            yield node.datetime_key, frozenset({Use.DATETIME_RANGE})
        case DatetimeExpression():
            pass
        case (
            Filter() | FieldCondition() | NestedCondition() | IsEmptyCondition() | IsNullCondition()
        ):
            yield from _of_condition(node, "")
        case list():
            for each in node:
                yield from _of_expression(each)
        case BaseModel():
            for name in node.model_fields_set:
                yield from _of_expression(getattr(node, name))
        case _:
            pass
