"""What Qdrant sends, as points: JSON to float32 arrays without a model per point."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from service.model.ids import parse_point_id
from service.model.points import UNNAMED, Hit, Page, Record, SparseVector, Vectors, VectorValue


def page(result: Mapping[str, Any], *, payload: bool, vectors: bool) -> Page:
    """Return a scroll's page; ``payload`` and ``vectors`` say what had been asked for."""
    offset = result.get("next_page_offset")
    return Page(
        records=[record(point, payload=payload, vectors=vectors) for point in result["points"]],
        next_id=None if offset is None else parse_point_id(offset),
    )


def record(point: Mapping[str, Any], *, payload: bool, vectors: bool) -> Record:
    """Return a point as it was read; what was asked for and is not there is empty."""
    return Record(
        id=parse_point_id(point["id"]),
        payload=(point.get("payload") or {}) if payload else None,
        vectors=vectors_of(point.get("vector")) if vectors else None,
    )


def hit(point: Mapping[str, Any], *, payload: bool, vectors: bool) -> Hit:
    """Return a search result."""
    return Hit(
        id=parse_point_id(point["id"]),
        score=float(np.float32(point["score"])),
        version=point.get("version", 0),
        payload=(point.get("payload") or {}) if payload else None,
        vectors=vectors_of(point.get("vector")) if vectors else None,
    )


def vectors_of(value: Any) -> Vectors:
    """Return vectors by name; a bare list is the unnamed one, nothing is no vectors."""
    if value is None:
        return {}
    if isinstance(value, list):
        return {UNNAMED: _vector(value)}
    return {name: _vector(vector) for name, vector in value.items()}


def _vector(value: Any) -> VectorValue:
    if isinstance(value, dict):
        return SparseVector(
            indices=np.asarray(value["indices"], dtype=np.uint32),
            values=np.asarray(value["values"], dtype=np.float32),
        )
    if value and not isinstance(value[0], list):
        # Two thirds of the time of `asarray`, which has to find out the shape first.
        return np.fromiter(value, np.float32, len(value))
    return np.asarray(value, dtype=np.float32)
