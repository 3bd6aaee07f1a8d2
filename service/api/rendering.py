"""Points, pages and collections as Qdrant writes them in JSON.

What was not asked for is absent. The unnamed vector is a bare list, named ones are an object, and a
point without vectors has ``{}``.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from service.model.columns import HitColumns, RecordColumns
from service.model.ids import PointId
from service.model.operations import UpdateResult
from service.model.points import (
    UNNAMED,
    Hit,
    Page,
    Record,
    SparseVector,
    Vectors,
    VectorValue,
)
from service.model.qdrant import CollectionInfo

Json = dict[str, Any]


def record_json(record: Record) -> Json:
    """Write a point as scroll and retrieve answer it."""
    return _with_contents({"id": record.id}, record)


def hit_json(hit: Hit) -> Json:
    """Write a search result; the score is rounded to float32, as it was computed."""
    score = np.float32(hit.score)
    return _with_contents({"id": hit.id, "version": hit.version, "score": score}, hit)


def hits_json(hits: Sequence[Hit]) -> list[Json]:
    """Write search results, best first."""
    if not isinstance(hits, HitColumns):
        return [hit_json(hit) for hit in hits]
    scores = np.array(hits.scores, dtype=np.float32)
    points: list[Json] = [
        {"id": point_id, "version": version, "score": score}
        for point_id, version, score in zip(hits.ids, hits.versions, scores, strict=True)
    ]
    return _with_columns(points, hits)


def page_json(page: Page) -> Json:
    """Write a page of a scroll."""
    return {"points": _points(page.records), "next_page_offset": page.next_id}


def update_json(result: UpdateResult) -> Json:
    """Write what became of a change."""
    return {"operation_id": result.operation_id, "status": result.status.value}


def collection_json(info: CollectionInfo) -> Json:
    """Write a collection's status and configuration."""
    return info.model_dump(mode="json", by_alias=True, exclude_none=True)


def _points(records: Sequence[Record]) -> list[Json] | orjson.Fragment:
    if not isinstance(records, RecordColumns):
        return [record_json(record) for record in records]
    if records and records.payloads is not None and records.vectors is None:
        return orjson.Fragment(_with_payloads(records.ids, records.payloads))
    return _with_columns([{"id": point_id} for point_id in records.ids], records)


def _with_payloads(ids: Sequence[PointId], payloads: Sequence[bytes]) -> bytes:
    """Return the JSON of points without an object for each: to make a thousand takes longer than to read them."""
    parts = [b',"payload":'] * (4 * len(ids))
    parts[0::4] = [b'},{"id":'] * len(ids)
    # Neither a number nor a UUID has a comma in it.
    parts[1::4] = orjson.dumps(ids)[1:-1].split(b",")
    parts[3::4] = payloads
    parts[0] = b'[{"id":'
    return b"".join((*parts, b"}]"))


def _with_columns(points: list[Json], given: RecordColumns | HitColumns) -> list[Json]:
    for point, payload in zip(points, given.payloads or (), strict=False):
        # It is JSON already.
        point["payload"] = orjson.Fragment(payload)
    for point, vectors in zip(points, _columns_of_vectors(given), strict=False):
        point["vector"] = vectors
    return points


def _columns_of_vectors(records: RecordColumns | HitColumns) -> Iterable[object]:
    vectors = records.vectors
    if vectors is None:
        return ()
    if vectors.keys() == {UNNAMED}:
        return ({} if value is None else _vector(value) for value in vectors[UNNAMED])
    return (_vectors(records.vectors_at(at) or {}) for at in range(len(records)))


def _with_contents(point: Json, given: Record | Hit) -> Json:
    if given.payload is not None:
        point["payload"] = given.payload
    if given.vectors is not None:
        point["vector"] = _vectors(given.vectors)
    if given.order_value is not None:
        point["order_value"] = given.order_value
    return point


def _vectors(vectors: Vectors) -> object:
    if vectors.keys() == {UNNAMED}:
        return _vector(vectors[UNNAMED])
    return {name: _vector(vector) for name, vector in vectors.items()}


def _vector(vector: VectorValue) -> object:
    if isinstance(vector, SparseVector):
        return {"indices": _array(vector.indices, np.uint32), "values": _array(vector.values)}
    return _array(vector)


def _array(values: NDArray[Any], dtype: type[np.float32 | np.uint32] = np.float32) -> object:
    """Return what orjson can write: it refuses arrays with gaps or in another byte order."""
    if values.dtype == dtype and values.flags.c_contiguous:
        return values
    return np.ascontiguousarray(values, dtype=dtype)
