"""Ids, vectors and points, between our model and the engine's objects."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np
import qdrant_edge as edge

from service.model.ids import PointId, parse_point_id
from service.model.points import (
    UNNAMED,
    Hit,
    Point,
    Record,
    SparseVector,
    Vectors,
    VectorValue,
)
from service.model.qdrant import PayloadSelectorExclude, PayloadSelectorInclude
from service.stores.configuration import VectorSpec, unknown_vector
from service.stores.vector_checks import check_vector, named


def check_vectors(vectors: Vectors, specs: Mapping[str, VectorSpec]) -> None:
    """Raise ``WrongInput`` for a vector that the collection cannot hold.

    The engine finds out in the middle of a batch, after the points before it are in; so it must not find out.
    """
    for name, value in vectors.items():
        if name not in specs:
            raise unknown_vector(name)
        check_vector(specs[name], value, named(name))


def engine_vector(value: VectorValue) -> Any:
    """Return a vector as the engine takes it."""
    if isinstance(value, SparseVector):
        return edge.SparseVector(value.indices.tolist(), value.values.tolist())
    return value.tolist()


def engine_vectors(vectors: Vectors) -> dict[str, Any]:
    """Return all vectors of a point as the engine takes them."""
    return {name: engine_vector(value) for name, value in vectors.items()}


def engine_point(point: Point) -> edge.Point:
    """Return a whole point as the engine takes it."""
    return edge.Point(point.id, engine_vectors(point.vectors), point.payload)


def engine_selector(wanted: Any) -> Any:
    """Return ``with_payload`` as the engine takes it."""
    match wanted:
        case PayloadSelectorInclude(include=keys):
            return edge.PayloadSelector.Include(keys)
        case PayloadSelectorExclude(exclude=keys):
            return edge.PayloadSelector.Exclude(keys)
        case list() as keys:
            return edge.PayloadSelector.Include(keys)
        case _:
            return bool(wanted)


def our_id(value: object) -> PointId:
    """Return the canonical id of what the engine answers (an int or a ``UUID``)."""
    return str(value) if isinstance(value, UUID) else parse_point_id(value)


def our_record(record: edge.Record) -> Record:
    """Return a read point."""
    return Record(our_id(record.id), record.payload, our_vectors(record.vector), record.order_value)


def our_hit(hit: edge.ScoredPoint) -> Hit:
    """Return a search result."""
    return Hit(
        our_id(hit.id),
        hit.score,
        hit.version,
        hit.payload,
        our_vectors(hit.vector),
        hit.order_value,
    )


def our_vectors(vectors: Any) -> dict[str, VectorValue] | None:
    """Return vectors by name; the engine leaves the dictionary out when only the unnamed one exists."""
    match vectors:
        case None:
            return None
        case dict():
            return {name: _our_vector(value) for name, value in vectors.items()}
        case _:
            return {UNNAMED: _our_vector(vectors)}


def _our_vector(value: Any) -> VectorValue:
    if isinstance(value, edge.SparseVector):
        return SparseVector(
            np.asarray(value.indices, np.uint32), np.asarray(value.values, np.float32)
        )
    return np.asarray(value, np.float32)
