"""Which points a write names, read from its raw body without understanding the rest.

The proxy asks this for every write that it forwards as bytes. It is as strict as it must be to
never miss an id, and leaves all other mistakes to the store that gets the request.
"""

from dataclasses import dataclass
from typing import Any, assert_never

from service.api.qdrant.kinds import BATCH_ROUTE, WRITE_ROUTES, WriteKind
from service.api.qdrant.paths import malformed
from service.api.qdrant.reading import (
    NO_SELECTOR,
    as_object,
    loads_forwarded,
    required_list,
)
from service.model.ids import PointId
from service.translate.point_ids import point_id_of


@dataclass(frozen=True, slots=True)
class Touched:
    """What one operation names: distinct ids in the body's order, a raw filter, or both.

    Only ``DELETE_VECTORS`` acts on both (the filter first); elsewhere ids win and ``filter`` is
    ``None``.
    """

    kind: WriteKind
    ids: tuple[PointId, ...] = ()
    filter: dict[str, Any] | None = None


def touched(method: str, path_suffix: str, body: bytes) -> tuple[Touched, ...] | None:
    """Return what a request names, one value per operation in order; a batch has many.

    ``path_suffix`` is the path below ``/collections/{name}/points``. ``None`` means that this is no
    write to points. Raises ``MalformedBody`` for a body, or an id, that cannot be read.
    """
    route = (method.upper(), path_suffix.rstrip("/"))
    if route == BATCH_ROUTE:
        operations = required_list(as_object(loads_forwarded(body)), "operations")
        return tuple(_of_batch(operation) for operation in operations)
    kind = WRITE_ROUTES.get(route)
    return None if kind is None else (_of(kind, as_object(loads_forwarded(body))),)


def _of_batch(operation: object) -> Touched:
    fields = as_object(operation)
    kinds = [kind for kind in WriteKind if kind in fields]
    if len(kinds) != 1:
        raise malformed(("operations",), "each needs exactly one known kind")
    return _of(kinds[0], as_object(fields[kinds[0]]))


def _of(kind: WriteKind, fields: dict[str, Any]) -> Touched:
    match kind:
        case WriteKind.UPSERT if "batch" in fields:
            return Touched(kind, _ids(required_list(as_object(fields["batch"]), "ids")))
        case WriteKind.UPSERT | WriteKind.UPDATE_VECTORS:
            points = [as_object(point) for point in required_list(fields, "points")]
            return Touched(kind, _ids([point.get("id") for point in points]))
        case WriteKind.DELETE_VECTORS:
            return _selected(kind, fields, both=True)
        case (
            WriteKind.DELETE
            | WriteKind.SET_PAYLOAD
            | WriteKind.OVERWRITE_PAYLOAD
            | WriteKind.DELETE_PAYLOAD
            | WriteKind.CLEAR_PAYLOAD
        ):
            return _selected(kind, fields, both=False)
        case _:
            assert_never(kind)


def _selected(kind: WriteKind, fields: dict[str, Any], *, both: bool) -> Touched:
    points, condition = fields.get("points"), fields.get("filter")
    if points is None and condition is None:
        raise malformed((), NO_SELECTOR)
    ids = () if points is None else _ids(required_list(fields, "points"))
    filtered = condition is not None and (both or points is None)
    return Touched(kind, ids, as_object(condition) if filtered else None)


def _ids(values: list[object]) -> tuple[PointId, ...]:
    return tuple(dict.fromkeys(point_id_of(value) for value in values))
