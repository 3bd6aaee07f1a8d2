"""Bodies of writes become operations.

A body stands for one operation, except that deleting vectors by a filter *and* by ids is two.
"""

from collections.abc import Callable
from typing import TypeAlias

from pydantic import BaseModel, ConfigDict

from service.api.parsing import parse
from service.api.qdrant.kinds import WriteKind
from service.api.qdrant.paths import Path, dotted, invalid, malformed
from service.api.qdrant.reading import (
    NO_SELECTOR,
    as_object,
    empty_update,
    required_list,
)
from service.api.qdrant.upserts import parse_upsert, parse_vector_update
from service.errors import BadRequest, Unsupported
from service.model import qdrant
from service.model.operations import (
    ByFilter,
    ByIds,
    ClearPayload,
    CreateIndex,
    Delete,
    DeletePayload,
    DeleteVectors,
    Operation,
    OverwritePayload,
    Selector,
    SetPayload,
)
from service.translate.paths import parse_path, spell
from service.translate.point_ids import point_id_of

Operations: TypeAlias = tuple[Operation, ...]


class _Selected(BaseModel):
    """The points that a delete or a clear is about; Qdrant's union of two models in one."""

    model_config = ConfigDict(extra="forbid")

    points: list[int | str] | None = None
    filter: qdrant.Filter | None = None
    shard_key: qdrant.ShardKeySelector | None = None


def parse_operation(kind: WriteKind, raw: object, path: Path = ()) -> Operations:
    """Return the operations, at least one, of a body of this kind.

    ``path`` is where the body stands in a batch. Raises ``RequestError``.
    """
    if kind is WriteKind.DELETE_VECTORS:
        return _delete_vectors(raw, path)
    return (_PARSERS[kind](raw, path),)


def parse_batch(raw: object) -> list[Operations]:
    """Return the operations of each entry of ``points/batch``; all are parsed before one is run."""
    entries = required_list(as_object(raw), "operations")
    return [_parse_entry(entry, ("operations", at)) for at, entry in enumerate(entries)]


def parse_index(raw: object) -> CreateIndex:
    """Return the operation of ``PUT index``; its schema is a type's name or an object."""
    fields = as_object(raw)
    if "field_type" in fields and "field_schema" not in fields:
        fields = {**fields, "field_schema": fields["field_type"]}
    request = parse(qdrant.CreateFieldIndex, fields)
    # However a path is spelt, its index is one.
    field = spell(parse_path(request.field_name))
    match request.field_schema:
        case None:
            reason = "Can't auto-detect field type, please specify `field_schema` in the request"
            raise BadRequest(reason)
        case qdrant.PayloadSchemaType() as named:
            return CreateIndex(field, named.value)
        case parameters:
            schema = parameters.model_dump(mode="json", exclude_none=True)
            return CreateIndex(field, schema)


def _parse_entry(raw: object, path: Path) -> Operations:
    entry = as_object(raw, path)
    kinds = [kind for kind in WriteKind if kind in entry]
    if len(kinds) != 1:
        names = ", ".join(f"`{kind}`" for kind in WriteKind)
        raise malformed(path, f"expected exactly one of {names}")
    return parse_operation(kinds[0], entry[kinds[0]], (*path, kinds[0].value))


def _delete(raw: object, path: Path) -> Delete:
    return Delete(_selector(parse(_Selected, raw, path), path))


def _set_payload(raw: object, path: Path) -> SetPayload:
    body = parse(qdrant.SetPayload, raw, path)
    return SetPayload(_selector(body, path), body.payload, body.key)


def _overwrite_payload(raw: object, path: Path) -> OverwritePayload:
    body = parse(qdrant.SetPayload, raw, path)
    return OverwritePayload(_selector(body, path), body.payload, body.key)


def _delete_payload(raw: object, path: Path) -> DeletePayload:
    body = parse(qdrant.DeletePayload, raw, path)
    return DeletePayload(_selector(body, path), tuple(body.keys))


def _clear_payload(raw: object, path: Path) -> ClearPayload:
    return ClearPayload(_selector(parse(_Selected, raw, path), path))


_PARSERS: dict[WriteKind, Callable[[object, Path], Operation]] = {
    WriteKind.UPSERT: parse_upsert,
    WriteKind.UPDATE_VECTORS: parse_vector_update,
    WriteKind.DELETE: _delete,
    WriteKind.SET_PAYLOAD: _set_payload,
    WriteKind.OVERWRITE_PAYLOAD: _overwrite_payload,
    WriteKind.DELETE_PAYLOAD: _delete_payload,
    WriteKind.CLEAR_PAYLOAD: _clear_payload,
}


def _delete_vectors(raw: object, path: Path) -> Operations:
    body = parse(qdrant.DeleteVectors, raw, path)
    _refuse_shard_key(body, path)
    names = tuple(body.vector)
    if not names:
        raise invalid((*path, "vector"), "must specify vector names to delete")
    selectors: list[Selector] = [] if body.filter is None else [ByFilter(body.filter)]
    if body.points is not None:
        selectors.append(_by_ids(body.points))
    if not selectors:
        reason = "No filter or points provided"
        raise BadRequest(reason)
    return tuple(DeleteVectors(selector, names) for selector in selectors)


def _selector(body: _Selected | qdrant.SetPayload | qdrant.DeletePayload, path: Path) -> Selector:
    """Return what a body selects; ids win where both are given."""
    _refuse_shard_key(body, path)
    if body.points is not None:
        return _by_ids(body.points)
    if body.filter is not None:
        return ByFilter(body.filter)
    raise malformed(path, NO_SELECTOR)


def _by_ids(values: list[qdrant.ExtendedPointId] | list[int | str]) -> ByIds:
    if not values:
        raise empty_update()
    return ByIds(tuple(point_id_of(value) for value in values))


def _refuse_shard_key(
    body: _Selected | qdrant.SetPayload | qdrant.DeletePayload | qdrant.DeleteVectors, path: Path
) -> None:
    if body.shard_key is not None:
        raise Unsupported(dotted((*path, "shard_key")), "needs custom sharding, we have none")
