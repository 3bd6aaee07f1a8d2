"""The variables of a formula: scores of the branches and values of a point's payload.

Source: lib/segment/src/index/query_optimization/rescore_formula in Qdrant.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeGuard

from service.errors import MalformedBody, WrongInput
from service.model.points import Payload
from service.model.qdrant import GeoPoint, PayloadSchemaType
from service.translate.datetimes import parse_datetime
from service.translate.match import is_uuid
from service.translate.paths import Index, Key, Path, opened_values_at, parse_path
from service.translate.ranges import micros

Defaults: TypeAlias = Mapping[Path | int, Any]
"""Values for what is missing: of a payload path, or of the score with this number."""

_LARGEST_LATITUDE, _LARGEST_LONGITUDE = 90.0, 180.0


@dataclass(frozen=True, slots=True)
class PointValues:
    """What a formula sees of one point.

    ``scores`` has one entry per branch, ``None`` where the point is not in it; ``met`` says which conditions hold.
    """

    scores: Sequence[float | None] = ()
    payload: Payload = field(default_factory=dict)
    met: Sequence[bool] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """A payload field as the formula names it, with the index that it has and its default."""

    name: str
    path: Path
    index: PayloadSchemaType | None
    defaults: Defaults

    def number(self, payload: Payload) -> float:
        """Return the field's number. Raises ``WrongInput``."""
        value = self._value(payload, "number")
        if not is_number(value):
            raise self._wrong("number", "Value is not a number")
        return float(value)

    def moment(self, payload: Payload) -> float:
        """Return the field's moment in seconds since 1970. Raises ``WrongInput``."""
        value = self._value(payload, "datetime")
        if not isinstance(value, str):
            raise self._wrong("datetime", "Value is not a string")
        try:
            return seconds(value)
        except ValueError as error:
            raise self._wrong("datetime", str(error)) from error

    def location(self, payload: Payload) -> GeoPoint:
        """Return the field's location. Raises ``WrongInput``."""
        found = as_location(self._value(payload, "geo point"))
        if found is None:
            raise self._wrong("geo point", "Value is not a geo point")
        return found

    def _value(self, payload: Payload, kind: str) -> object:
        values = list(opened_values_at(payload, self.path))
        if self.index in _INDEXED:
            values = [value for value in values if _INDEXED[self.index](value)]
        if self.index in _SETS:
            values = list(dict.fromkeys(values))
        match values:
            case [only]:
                return only
            case []:
                if self.path not in self.defaults:
                    raise self._wrong(kind, "No value found in a payload nor defaults")
                return self.defaults[self.path]
            case _:
                return values

    def _wrong(self, kind: str, reason: str) -> WrongInput:
        where = f"{self.name} in the payload and/or in the formula defaults"
        return WrongInput(f"Expected {kind} value for {where}. Error: {reason}")


def parse_variable(name: str) -> Path | int:
    """Return the payload path, or the number of the score: ``$score`` and ``$score[n]``. Raises ``WrongInput``."""
    if not name.startswith("$"):
        try:
            return parse_path(name)
        except MalformedBody as error:
            raise _unparsed(name, f"Invalid payload variable: {name}") from error
    try:
        path = parse_path(name[1:])
    except MalformedBody as error:
        raise _unparsed(name, f"Invalid reserved variable: {name}") from error
    match path:
        case (Key("score"),):
            return 0
        case (Key("score"), Index(at)):
            return at
        case (Key("score"), *_):
            raise _unparsed(name, f"Invalid reserved variable: {name}")
        case _:
            raise _unparsed(name, f"Invalid reserved word: {name}")


def _unparsed(name: str, reason: str) -> WrongInput:
    return WrongInput(f"Validation failed: failed to parse variable ID {name}: {reason}")


def seconds(text: str) -> float:
    """Return a moment as seconds since 1970, to the microsecond. Raises ``ValueError``."""
    return micros(parse_datetime(text)) / 1_000_000


def is_number(value: object) -> TypeGuard[int | float]:
    """Say whether a JSON value is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_location(value: object) -> GeoPoint | None:
    """Return the location of ``{"lon", "lat"}`` in degrees, or of an array of the two."""
    match value:
        case {"lon": lon, "lat": lat} | [lon, lat] if is_number(lon) and is_number(lat):
            if abs(lat) <= _LARGEST_LATITUDE and abs(lon) <= _LARGEST_LONGITUDE:
                return GeoPoint(lon=lon, lat=lat)
            return None
        case _:
            return None


def _is_integer(value: object) -> bool:
    return is_number(value) and (isinstance(value, int) or value.is_integer())


def _is_moment(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        parse_datetime(value)
    except ValueError:
        return False
    return True


_INDEXED: Mapping[PayloadSchemaType | None, Callable[[object], bool]] = {
    PayloadSchemaType.KEYWORD: lambda value: isinstance(value, str),
    PayloadSchemaType.INTEGER: _is_integer,
    PayloadSchemaType.FLOAT: is_number,
    PayloadSchemaType.BOOL: lambda value: isinstance(value, bool),
    PayloadSchemaType.DATETIME: _is_moment,
    PayloadSchemaType.GEO: lambda value: isinstance(value, dict) and as_location(value) is not None,
    PayloadSchemaType.UUID: is_uuid,
}
"""The values that an index keeps: a formula reads an indexed field from its index."""

_SETS = frozenset(
    {
        PayloadSchemaType.KEYWORD,
        PayloadSchemaType.INTEGER,
        PayloadSchemaType.BOOL,
        PayloadSchemaType.UUID,
    }
)
"""The indexes that keep a repeated value of one point once."""
