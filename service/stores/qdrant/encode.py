"""Operations as the REST calls that carry them out. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, assert_never
from urllib.parse import quote

import numpy as np
import orjson
from pydantic import BaseModel

from service.model.ids import PointId
from service.model.operations import (
    ByFilter,
    ByIds,
    ClearPayload,
    CreateIndex,
    CreateVector,
    Delete,
    DeleteIndex,
    DeletePayload,
    DeleteVector,
    DeleteVectors,
    Operation,
    OverwritePayload,
    Selector,
    SetPayload,
    UpdateVectors,
    Upsert,
)
from service.model.points import UNNAMED, Point, SparseVector, Vectors, VectorValue


@dataclass(frozen=True, slots=True)
class Call:
    """One REST request below ``/collections/{name}``."""

    method: str
    path: str
    body: bytes | None = None


def collection_path(name: str) -> str:
    """Return the percent-encoded path of a collection."""
    return f"/collections/{quote(name, safe='')}"


def call(operation: Operation) -> Call:
    """Return the request that applies the operation."""
    match operation:
        case Upsert() | UpdateVectors() | Delete() | DeleteVectors():
            return _point_call(operation)
        case SetPayload() | OverwritePayload() | DeletePayload() | ClearPayload():
            return _payload_call(operation)
        case CreateIndex() | DeleteIndex() | CreateVector() | DeleteVector():
            return _schema_call(operation)
    assert_never(operation)


def model_json(model: BaseModel) -> bytes:
    """Return a request model as JSON, without the fields that were left out."""
    return model.model_dump_json(exclude_none=True, by_alias=True).encode()


def _json(body: dict[str, Any]) -> bytes:
    # Float32 arrays are printed with the shortest decimal that gives the same float32 back.
    return orjson.dumps(body, default=_plain, option=orjson.OPT_SERIALIZE_NUMPY)


def _plain(value: object) -> Any:
    match value:
        case BaseModel():
            return value.model_dump(mode="json", exclude_none=True, by_alias=True)
        case np.ndarray():
            # A view with strides: orjson takes only contiguous arrays.
            return np.ascontiguousarray(value)
        case _:
            raise TypeError(type(value).__name__)


def _selected(selector: Selector) -> dict[str, Any]:
    match selector:
        case ByIds(ids=ids):
            return {"points": list(ids)}
        case ByFilter(filter=condition):
            return {"filter": condition}
    assert_never(selector)


def _schema_call(operation: CreateIndex | DeleteIndex | CreateVector | DeleteVector) -> Call:
    match operation:
        case CreateIndex(field=field, schema=schema):
            return Call("PUT", "/index", _json({"field_name": field, "field_schema": schema}))
        case DeleteIndex(field=field):
            return Call("DELETE", f"/index/{quote(field, safe='')}")
        case CreateVector(name=name, config=config):
            return Call("PUT", _vector_path(name), model_json(config))
        case DeleteVector(name=name):
            return Call("DELETE", _vector_path(name))
    assert_never(operation)


def _vector_path(name: str) -> str:
    return f"/vectors/{quote(name, safe='')}"


def _point_call(operation: Upsert | UpdateVectors | Delete | DeleteVectors) -> Call:
    match operation:
        case Upsert():
            return Call("PUT", "/points", _json(_upsert(operation)))
        case UpdateVectors():
            return Call("PUT", "/points/vectors", _json(_update_vectors(operation)))
        case Delete(selector=selector):
            return Call("POST", "/points/delete", _json(_selected(selector)))
        case DeleteVectors(selector=selector, names=names):
            body = {**_selected(selector), "vector": list(names)}
            return Call("POST", "/points/vectors/delete", _json(body))
    assert_never(operation)


def _payload_call(operation: SetPayload | OverwritePayload | DeletePayload | ClearPayload) -> Call:
    body = _selected(operation.selector)
    match operation:
        case SetPayload():
            return Call("POST", "/points/payload", _json(body | _content(operation)))
        case OverwritePayload():
            return Call("PUT", "/points/payload", _json(body | _content(operation)))
        case DeletePayload(keys=keys):
            return Call("POST", "/points/payload/delete", _json(body | {"keys": list(keys)}))
        case ClearPayload():
            return Call("POST", "/points/payload/clear", _json(body))
    assert_never(operation)


def _content(operation: SetPayload | OverwritePayload) -> dict[str, Any]:
    content: dict[str, Any] = {"payload": operation.payload}
    return content if operation.key is None else content | {"key": operation.key}


def _upsert(operation: Upsert) -> dict[str, Any]:
    body: dict[str, Any] = {"points": _points(operation.points)}
    if operation.update_filter is not None:
        body["update_filter"] = operation.update_filter
    if operation.update_mode is not None:
        body["update_mode"] = operation.update_mode.value
    return body


def _points(points: Sequence[Point]) -> list[dict[str, Any]]:
    return [
        {"id": point.id, "vector": _vectors(point.vectors), "payload": point.payload}
        for point in points
    ]


def _update_vectors(operation: UpdateVectors) -> dict[str, Any]:
    body: dict[str, Any] = {"points": [_pair(*pair) for pair in operation.points]}
    if operation.update_filter is not None:
        body["update_filter"] = operation.update_filter
    return body


def _pair(point_id: PointId, vectors: Vectors) -> dict[str, Any]:
    return {"id": point_id, "vector": _vectors(vectors)}


def _vectors(vectors: Vectors) -> Any:
    if vectors.keys() == {UNNAMED}:
        return _vector(vectors[UNNAMED])
    return {name: _vector(vector) for name, vector in vectors.items()}


def _vector(vector: VectorValue) -> Any:
    if isinstance(vector, SparseVector):
        return {"indices": vector.indices, "values": vector.values}
    return vector
