"""What Qdrant sends, as points: JSON to float32 arrays without a model per point."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, overload

import numpy as np

from service.model.ids import parse_point_id
from service.model.points import UNNAMED, Hit, Page, Record, SparseVector, Vectors, VectorValue


class Records(Sequence[Record]):
    """Points of a page, decoded when they are first looked at; one alone, without the others.

    Who reads page after page can ask for the next one before, and choose the thread that decodes.
    """

    def __init__(
        self, points: Sequence[Mapping[str, Any]], *, payload: bool, vectors: bool
    ) -> None:
        self._points = points
        self._payload = payload
        self._vectors = vectors

    @cached_property
    def _records(self) -> list[Record]:
        return [self._decoded(point) for point in self._points]

    def _decoded(self, point: Mapping[str, Any]) -> Record:
        return record(point, payload=self._payload, vectors=self._vectors)

    @overload
    def __getitem__(self, at: int) -> Record: ...

    @overload
    def __getitem__(self, at: slice) -> list[Record]: ...

    def __getitem__(self, at: int | slice) -> Record | list[Record]:
        """Return one or several."""
        if isinstance(at, int) and "_records" not in self.__dict__:
            return self._decoded(self._points[at])
        return self._records[at]

    def __len__(self) -> int:
        """Return how many there are; decodes nothing."""
        return len(self._points)

    def __iter__(self) -> Iterator[Record]:
        """Iterate over all."""
        return iter(self._records)

    def __eq__(self, other: object) -> bool:
        """Compare as a list."""
        return isinstance(other, Sequence) and self._records == list(other)

    __hash__ = None  # type: ignore[assignment]  # as a list's


def page(result: Mapping[str, Any], *, payload: bool, vectors: bool) -> Page:
    """Return a scroll's page; ``payload`` and ``vectors`` say what had been asked for."""
    offset = result.get("next_page_offset")
    return Page(
        records=Records(result["points"], payload=payload, vectors=vectors),
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
