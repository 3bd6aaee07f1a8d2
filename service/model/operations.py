"""Changes to points, as a store applies them. One value is one Qdrant update operation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from service.model.ids import PointId
from service.model.points import Payload, Point, Vectors
from service.model.qdrant import Filter, UpdateMode, UpdateStatus, VectorNameConfig


@dataclass(frozen=True, slots=True)
class ByIds:
    """The points with these ids; ids that do not exist are the operation's own business."""

    ids: tuple[PointId, ...]


@dataclass(frozen=True, slots=True)
class ByFilter:
    """The points that match when the operation runs."""

    filter: Filter


Selector: TypeAlias = ByIds | ByFilter


@dataclass(frozen=True, slots=True, eq=False)
class Upsert:
    """Replace whole points; the last of several points with one id wins.

    With ``update_filter`` existing points are replaced only where they match; new ones always go in unless
    ``update_mode`` says otherwise.
    """

    points: Sequence[Point]
    update_filter: Filter | None = None
    update_mode: UpdateMode | None = None


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove points; absent ids are fine."""

    selector: Selector


@dataclass(frozen=True, slots=True, eq=False)
class UpdateVectors:
    """Replace the named vectors of existing points, keep the others."""

    points: Sequence[tuple[PointId, Vectors]]
    update_filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class DeleteVectors:
    """Remove the named vectors."""

    selector: Selector
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SetPayload:
    """Merge ``payload`` at the top level, or at the path ``key``; a null value removes its key."""

    selector: Selector
    payload: Payload
    key: str | None = None


@dataclass(frozen=True, slots=True, eq=False)
class OverwritePayload:
    """Replace the payload, or what is at the path ``key``."""

    selector: Selector
    payload: Payload
    key: str | None = None


@dataclass(frozen=True, slots=True)
class DeletePayload:
    """Remove the values at the paths ``keys``."""

    selector: Selector
    keys: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClearPayload:
    """Empty the payload."""

    selector: Selector


@dataclass(frozen=True, slots=True, eq=False)
class CreateIndex:
    """Index a payload field; ``schema`` is Qdrant's ``field_schema`` (a type name or a parameter object)."""

    field: str
    schema: Any


@dataclass(frozen=True, slots=True)
class DeleteIndex:
    """Drop the index of a payload field."""

    field: str


@dataclass(frozen=True, slots=True, eq=False)
class CreateVector:
    """Add a named vector to the collection; no point has it yet."""

    name: str
    config: VectorNameConfig


@dataclass(frozen=True, slots=True)
class DeleteVector:
    """Remove a named vector from the collection and from all its points."""

    name: str


Operation: TypeAlias = (
    Upsert
    | Delete
    | UpdateVectors
    | DeleteVectors
    | SetPayload
    | OverwritePayload
    | DeletePayload
    | ClearPayload
    | CreateIndex
    | DeleteIndex
    | CreateVector
    | DeleteVector
)


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """What the store says of a change: a number that grows with every change, and how far it got."""

    operation_id: int
    status: UpdateStatus = UpdateStatus.COMPLETED
