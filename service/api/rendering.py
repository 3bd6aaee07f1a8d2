"""Points, pages and collections as Qdrant writes them in JSON.

What was not asked for is absent. The unnamed vector is a bare list, named ones are an object, and a
point without vectors has ``{}``.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from service.model.operations import UpdateResult
from service.model.points import UNNAMED, Hit, Page, Record, SparseVector, Vectors, VectorValue
from service.model.qdrant import CollectionInfo

Json = dict[str, Any]


def record_json(record: Record) -> Json:
    """Write a point as scroll and retrieve answer it."""
    return {"id": record.id, **_contents(record)}


def hit_json(hit: Hit) -> Json:
    """Write a search result; the score is rounded to float32, as it was computed."""
    return {
        "id": hit.id,
        "version": hit.version,
        "score": np.float32(hit.score),
        **_contents(hit),
    }


def page_json(page: Page) -> Json:
    """Write a page of a scroll."""
    points = [record_json(record) for record in page.records]
    return {"points": points, "next_page_offset": page.next_id}


def update_json(result: UpdateResult) -> Json:
    """Write what became of a change."""
    return {"operation_id": result.operation_id, "status": result.status.value}


def collection_json(info: CollectionInfo) -> Json:
    """Write a collection's status and configuration."""
    return info.model_dump(mode="json", by_alias=True, exclude_none=True)


def _contents(point: Record | Hit) -> Json:
    contents: Json = {}
    if point.payload is not None:
        contents["payload"] = point.payload
    if point.vectors is not None:
        contents["vector"] = _vectors(point.vectors)
    return contents


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
    return np.ascontiguousarray(values, dtype=dtype)
