"""Bodies that bring vectors, read by hand because they are large: upserts and vector updates."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from service.api.parsing import parse
from service.api.qdrant.paths import Path, dotted, invalid, malformed
from service.api.qdrant.reading import (
    as_object,
    empty_update,
    required,
    required_list,
)
from service.api.qdrant.vectors import parse_columns, parse_vectors
from service.errors import Unsupported
from service.model.ids import PointId
from service.model.operations import UpdateVectors, Upsert
from service.model.points import Payload, Point, SparseVector, Vectors, VectorValue
from service.model.qdrant import Filter, ShardKeySelector, UpdateMode
from service.translate.point_ids import point_id_of


class _Options(BaseModel):
    """What such a body says besides its points."""

    model_config = ConfigDict(extra="forbid")

    update_filter: Filter | None = None
    update_mode: UpdateMode | None = None
    shard_key: ShardKeySelector | None = None


def parse_upsert(raw: object, path: Path = ()) -> Upsert:
    """Return the operation of a list or a columnar batch of points. Raises ``RequestError``."""
    fields = as_object(raw, path)
    if "batch" in fields:
        here = (*path, "batch")
        points = _columns(as_object(fields["batch"], here), here)
    elif "points" in fields:
        points = _points(fields, path)
    else:
        raise malformed(path, "expected `points` or `batch`")
    if not points:
        raise empty_update()
    options = _options(fields, path)
    return Upsert(points, options.update_filter, options.update_mode)


def parse_vector_update(raw: object, path: Path = ()) -> UpdateVectors:
    """Return the operation of ``PUT points/vectors``. Raises ``RequestError``."""
    fields = as_object(raw, path)
    updates: list[tuple[PointId, Vectors]] = []
    for at, item in enumerate(required_list(fields, "points", path)):
        here = (*path, "points", at)
        point_id, vectors = _id_and_vectors(as_object(item, here), here)
        if not any(map(_has_values, vectors.values())):
            raise invalid((*here, "vector"), "must specify vectors to update for point")
        updates.append((point_id, vectors))
    if not updates:
        raise empty_update()
    return UpdateVectors(updates, _options(fields, path).update_filter)


def _points(fields: dict[str, Any], path: Path) -> list[Point]:
    points = []
    for at, item in enumerate(required_list(fields, "points", path)):
        here = (*path, "points", at)
        point = as_object(item, here)
        points.append(Point(*_id_and_vectors(point, here), _payload(point.get("payload"), here)))
    return points


def _id_and_vectors(point: dict[str, Any], path: Path) -> tuple[PointId, Vectors]:
    point_id = point_id_of(required(point, "id", path))
    return point_id, parse_vectors(required(point, "vector", path), (*path, "vector"))


def _columns(batch: dict[str, Any], path: Path) -> list[Point]:
    ids = [point_id_of(value) for value in required_list(batch, "ids", path)]
    vectors = parse_columns(required(batch, "vectors", path), len(ids), (*path, "vectors"))
    payloads: list[Any] = [None] * len(ids)
    if batch.get("payloads") is not None:
        payloads = required_list(batch, "payloads", path)
    if len(payloads) != len(ids):
        reason = f"number of ids and payloads must be equal ({len(ids)} != {len(payloads)})"
        raise invalid(("batch",), reason)
    return [
        Point(ids[at], vectors[at], _payload(payload, (*path, "payloads", at)))
        for at, payload in enumerate(payloads)
    ]


def _payload(raw: object, path: Path) -> Payload:
    return {} if raw is None else as_object(raw, (*path, "payload"))


def _options(fields: dict[str, Any], path: Path) -> _Options:
    rest = {name: value for name, value in fields.items() if name not in {"points", "batch"}}
    options = parse(_Options, rest, path)
    if options.shard_key is not None:
        raise Unsupported(dotted((*path, "shard_key")), "needs custom sharding, we have none")
    return options


def _has_values(vector: VectorValue) -> bool:
    return isinstance(vector, SparseVector) or vector.size > 0
