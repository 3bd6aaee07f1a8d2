"""JSON values are brought into the shape that the strict request models take.

The models forbid unknown fields, Qdrant mostly ignores them, so they are dropped here: a walk along
the value and the model's annotations, which also puts ids and dates into one spelling. Rules:

1. A union of objects is decided by the fields: a member fits when none of its required fields is
   missing. Where several fit, the first that validates is taken, as Qdrant does.
2. A filter and a payload selector that are written wrong would select too much. Qdrant refuses
   unknown fields there, so do we.
3. In a union with a UUID, an integer or a string is a point id.
"""

from datetime import datetime
from functools import cache, cached_property
from types import UnionType
from typing import Annotated, Any, TypeAlias, Union, cast, get_args, get_origin
from uuid import UUID

import orjson
from pydantic import BaseModel, TypeAdapter, ValidationError

from service.api.qdrant.numbers import VECTOR, Aside, vector_dimensions
from service.api.qdrant.paths import Path, malformed
from service.api.qdrant.reasons import one_reason
from service.errors import MalformedBody
from service.model.qdrant import Filter, PayloadSelectorExclude, PayloadSelectorInclude
from service.translate.datetimes import parse_datetime
from service.translate.point_ids import point_id_of

Type: TypeAlias = object
"""A type as annotations write it: a class, a union, a list of something."""

CLOSED: tuple[type[BaseModel], ...] = (Filter, PayloadSelectorInclude, PayloadSelectorExclude)
MAX_DEPTH = 128
"""Nesting that Qdrant's JSON parser stops at."""

SPELLINGS = {"with_vectors": "with_vector"}
"""Second names that Qdrant takes for a field."""


def shape(value: object, annotation: object, path: Path, aside: Aside) -> object:
    """Return the value without what its type does not know. Raises ``MalformedBody``.

    A value of a wrong type is returned as it is: finding that out is the model's part. Vectors are put ``aside``.
    """
    return _shape(value, _place(annotation), path, aside)


def _shape(value: object, place: "_Place", path: Path, aside: Aside) -> object:
    if value is None or not place.concerns_us:
        return value
    if len(path) > MAX_DEPTH:
        raise malformed((), "recursion limit exceeded")
    match value:
        case dict():
            return _shape_object(value, place.members, path, aside)
        case list():
            return _shape_list(value, place, path, aside)
        case _:
            return _shape_scalar(value, place, path)


def _shape_list(value: list[Any], place: "_Place", path: Path, aside: Aside) -> object:
    stand_in = aside.stand_in(value, place.dimensions, path)
    if stand_in is not None:
        return stand_in
    element = place.element
    if element is None:
        return value
    return [_shape(item, element, (*path, index), aside) for index, item in enumerate(value)]


def _shape_scalar(value: object, place: "_Place", path: Path) -> object:
    match value:
        case bool():
            return value
        case int() | float() | str() if UUID in place.members:
            return point_id_of(value)
        case str() if datetime in place.members:
            return _canonical_datetime(value, path)
        case _:
            return value


def _shape_object(
    value: dict[str, Any], members: tuple[Any, ...], path: Path, aside: Aside
) -> object:
    candidates = [member for member in members if _fits(value, member)]
    match candidates:
        case []:
            raise malformed(path, _misfit(value, members))
        case [only]:
            return _shape_as(value, only, path, aside)
        case _:
            return _first_valid(value, candidates, path, aside)


def _first_valid(value: dict[str, Any], candidates: list[Any], path: Path, aside: Aside) -> object:
    """Return the shape of the first candidate that validates. Raises what the nearest one lacks."""
    refusals: list[tuple[int, MalformedBody]] = []
    for candidate in candidates:
        try:
            shaped = _shape_as(value, candidate, path, aside)
        except MalformedBody as error:
            refusals.append((0, error))
            continue
        try:
            _adapter(candidate).validate_json(orjson.dumps(shaped), strict=True)
        except ValidationError as error:
            at, reason = one_reason(error, shaped)
            refusals.append((error.error_count(), malformed((*path, *at), reason)))
        else:
            return shaped
    raise min(refusals, key=lambda refusal: refusal[0])[1]


def _shape_as(value: dict[str, Any], member: Type, path: Path, aside: Aside) -> dict[str, Any]:
    if get_origin(member) is dict:
        element = _place(get_args(member)[1])
        return {key: _shape(item, element, (*path, key), aside) for key, item in value.items()}
    fields = _fields(member)
    return {
        name: _shape(item, fields[name], (*path, name), aside)
        for key, item in value.items()
        if (name := SPELLINGS.get(key, key)) in fields
    }


def _fits(value: dict[str, Any], member: Type) -> bool:
    if get_origin(member) is dict:
        return True
    if not _is_model(member):
        return False
    known = value.keys() & _fields(member).keys()
    if member in CLOSED and len(known) < len(value):
        return False
    return _required(member) <= known


def _misfit(value: dict[str, Any], members: tuple[Any, ...]) -> str:
    models = [member for member in members if _is_model(member)]
    if len(models) != 1:
        names = ", ".join(f"`{key}`" for key in value) or "none"
        return f"no known form of this object has these fields: {names}"
    missing = sorted(_required(models[0]) - value.keys())
    if missing:
        return f"missing field `{missing[0]}`"
    unknown = next(iter(value.keys() - _fields(models[0]).keys()))
    expected = ", ".join(f"`{name}`" for name in _fields(models[0]))
    return f"unknown field `{unknown}`, expected one of {expected}"


def _canonical_datetime(text: str, path: Path) -> str:
    try:
        return parse_datetime(text).isoformat()
    except ValueError as error:
        raise malformed(path, str(error)) from None


class _Place:
    """What may stand in one place of a body, found out once: to look at annotations takes longer than at values."""

    def __init__(self, annotation: Type) -> None:
        self.members: tuple[Any, ...] = _members(annotation)
        self.dimensions = vector_dimensions(self.members)

    @cached_property
    def concerns_us(self) -> bool:
        """Whether a value here can hold an object of ours, an id or a date."""
        return any(
            member in {UUID, datetime}
            or _is_model(member)
            or (get_origin(member) in {list, dict} and _place(get_args(member)[-1]).concerns_us)
            for member in self.members
        )

    @cached_property
    def element(self) -> "_Place | None":
        """The elements of the list that may stand here, if one may and they concern us."""
        lists = (get_args(member)[0] for member in self.members if get_origin(member) is list)
        return next((place for place in map(_place, lists) if place.concerns_us), None)


@cache
def _place(annotation: Type) -> _Place:
    return _Place(annotation)


def _members(annotation: Type) -> tuple[Any, ...]:
    """Return the members of a union, flat and without metadata; of another type the type itself."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _members(get_args(annotation)[0])
    if origin in {Union, UnionType}:
        return tuple(member for part in get_args(annotation) for member in _members(part))
    return (annotation,)


def _is_model(member: Type) -> bool:
    return isinstance(member, type) and issubclass(member, BaseModel)


@cache
def _fields(model: type[BaseModel]) -> dict[str, _Place]:
    """Return the JSON names of a model's fields and what may stand there."""
    return {
        field.alias or name: _place(cast("type", field.annotation))
        for name, field in model.model_fields.items()
    }


@cache
def vector_fields(model: type[BaseModel]) -> frozenset[str]:
    """Return the JSON names of the fields that may hold a single dense vector."""
    fields = _fields(model)
    return frozenset(name for name, place in fields.items() if VECTOR in place.dimensions)


@cache
def _required(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(
        field.alias or name for name, field in model.model_fields.items() if field.is_required()
    )


@cache
def _adapter(annotation: Type) -> TypeAdapter[Any]:
    return TypeAdapter(cast("type[Any]", annotation))
