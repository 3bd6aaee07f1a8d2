"""Qdrant's filters as the engine's.

Rule: nothing is left out. What the engine's binding lacks raises ``Unsupported`` with its path in the request.
"""

from datetime import date, datetime
from typing import Any, assert_never

import qdrant_edge as edge

from service.errors import Unsupported
from service.model.qdrant import (
    Condition,
    DatetimeRange,
    FieldCondition,
    Filter,
    GeoBoundingBox,
    GeoPoint,
    GeoPolygon,
    GeoRadius,
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
    NestedCondition,
    Range,
    SliceCondition,
    ValuesCount,
)
from service.stores.edge.booleans import BooleanMatches
from service.translate.point_ids import point_id_of


def engine_filter(
    wanted: Filter | None, path: str, booleans: BooleanMatches | None
) -> edge.Filter | None:
    """Return the engine's filter; ``path`` says where it stands in the request.

    Without ``booleans`` (inside ``nested``, where no condition on ids may stand) a boolean match is ``Unsupported``.
    """
    if wanted is None:
        return None
    minimum = None
    if wanted.min_should is not None:
        of = _clause(wanted.min_should.conditions, f"{path}.min_should.conditions", booleans)
        minimum = edge.MinShould(of or [], wanted.min_should.min_count)
    return edge.Filter(
        must=_clause(wanted.must, f"{path}.must", booleans),
        should=_clause(wanted.should, f"{path}.should", booleans),
        must_not=_clause(wanted.must_not, f"{path}.must_not", booleans),
        min_should=minimum,
    )


def _clause(
    conditions: Condition | list[Condition] | None, path: str, booleans: BooleanMatches | None
) -> list[Any] | None:
    if conditions is None:
        return None
    if not isinstance(conditions, list):
        return [_condition(conditions, path, booleans)]
    return [
        _condition(condition, f"{path}[{at}]", booleans) for at, condition in enumerate(conditions)
    ]


def _condition(condition: Condition, path: str, booleans: BooleanMatches | None) -> Any:
    match condition:
        case FieldCondition():
            return _field(condition, path, booleans)
        case Filter():
            return engine_filter(condition, path, booleans)
        case NestedCondition(nested=nested):
            inner = engine_filter(nested.filter, f"{path}.nested.filter", None)
            return edge.NestedCondition(nested.key, inner or edge.Filter())
        case HasIdCondition(has_id=ids):
            return edge.HasIdCondition({point_id_of(point_id) for point_id in ids})
        case HasVectorCondition(has_vector=name):
            return edge.HasVectorCondition(name)
        case IsEmptyCondition(is_empty=field):
            return edge.IsEmptyCondition(field.key)
        case IsNullCondition(is_null=field):
            return edge.IsNullCondition(field.key)
        case SliceCondition(slice=wanted):
            # The binding has it, its stub file does not.
            return edge.SliceCondition(wanted.total, wanted.index)  # type: ignore[attr-defined]
        case _:
            assert_never(condition)


def _field(condition: FieldCondition, path: str, booleans: BooleanMatches | None) -> Any:
    match condition.match:
        case MatchValue(value=bool(wanted)):
            if booleans is None:
                raise Unsupported(f"{path}.match.value")
            if len(condition.model_dump(exclude_none=True)) > len(("key", "match")):
                raise Unsupported(path, "combines a boolean match with other tests")
            return booleans(condition.key, wanted)
        case _:
            return edge.FieldCondition(
                condition.key,
                match=_match(condition.match),
                range=_range(condition.range),
                geo_bounding_box=_box(condition.geo_bounding_box),
                geo_radius=_radius(condition.geo_radius),
                geo_polygon=_polygon(condition.geo_polygon),
                values_count=_count(condition.values_count),
                is_empty=condition.is_empty,
                is_null=condition.is_null,
            )


def _match(wanted: Match | None) -> Any:
    match wanted:
        case None:
            return None
        case MatchValue(value=value):
            return edge.MatchValue(value)
        case MatchAny(any=values):
            return edge.MatchAny(values)
        case MatchExcept(except_=values):
            return edge.MatchExcept(values)
        case MatchText(text=text):
            return edge.MatchText(text)
        case MatchTextAny(text_any=text):
            return edge.MatchTextAny(text)
        case MatchPhrase(phrase=text):
            return edge.MatchPhrase(text)
        case MatchPrefix(prefix=text):
            return edge.MatchPrefix(text)
        case MatchSubstring(substring=text):
            return edge.MatchSubstring(text)
        case _:
            assert_never(wanted)


def _range(wanted: Range | DatetimeRange | None) -> Any:
    match wanted:
        case None:
            return None
        case Range():
            return edge.RangeFloat(gte=wanted.gte, gt=wanted.gt, lte=wanted.lte, lt=wanted.lt)
        case DatetimeRange():
            return edge.RangeDateTime(
                gte=instant(wanted.gte),
                gt=instant(wanted.gt),
                lte=instant(wanted.lte),
                lt=instant(wanted.lt),
            )
        case _:
            assert_never(wanted)


def instant(value: datetime | date | None) -> str | None:
    """Return a datetime in RFC 3339; one without a zone is UTC."""
    if value is None:
        return None
    if isinstance(value, datetime) and value.tzinfo is None:
        return f"{value.isoformat()}Z"
    return value.isoformat()


def _box(wanted: GeoBoundingBox | None) -> Any:
    return wanted and edge.GeoBoundingBox(_geo(wanted.top_left), _geo(wanted.bottom_right))


def _radius(wanted: GeoRadius | None) -> Any:
    return wanted and edge.GeoRadius(_geo(wanted.center), wanted.radius)


def _polygon(wanted: GeoPolygon | None) -> Any:
    return wanted and edge.GeoPolygon(
        [_geo(point) for point in wanted.exterior.points],
        [[_geo(point) for point in ring.points] for ring in wanted.interiors or []],
    )


def _geo(point: GeoPoint) -> edge.GeoPoint:
    return edge.GeoPoint(lon=point.lon, lat=point.lat)


def _count(wanted: ValuesCount | None) -> Any:
    return wanted and edge.ValuesCount(lt=wanted.lt, gt=wanted.gt, lte=wanted.lte, gte=wanted.gte)
