"""Changes to points as the engine's update operations."""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import qdrant_edge as edge

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
from service.model.qdrant import (
    DenseVectorNameConfig,
    Modifier,
    SparseVectorNameConfig,
    VectorNameConfig,
)
from service.stores.configuration import VectorSpec, unknown_vector
from service.stores.edge.booleans import BooleanMatches
from service.stores.edge.config import multivector_config
from service.stores.edge.enums import engine_enum
from service.stores.edge.filters import engine_filter
from service.stores.edge.indexes import engine_schema
from service.stores.edge.values import check_vectors, engine_point, engine_vectors


def check(operation: Operation, specs: Mapping[str, VectorSpec]) -> None:
    """Raise ``WrongInput`` when a vector of the operation does not fit; nothing of it is applied then."""
    match operation:
        case Upsert(points=points):
            for point in points:
                check_vectors(point.vectors, specs)
        case UpdateVectors(points=changes):
            for _, vectors in changes:
                check_vectors(vectors, specs)
        case DeleteVectors(names=names):
            for name in names:
                if name not in specs:
                    raise unknown_vector(name)
        case _:
            return


def touched(operation: Operation) -> int:
    """Return how many points the operation names; 0 for a filter."""
    match operation:
        case Upsert(points=points):
            return len(points)
        case UpdateVectors(points=changes):
            return len(changes)
        case Delete(selector=ByIds(ids=ids)) | DeleteVectors(selector=ByIds(ids=ids)):
            return len(ids)
        case _:
            return 0


def engine_operation(operation: Operation, booleans: BooleanMatches) -> edge.UpdateOperation:
    """Return the engine's form of one operation."""
    make = edge.UpdateOperation
    match operation:
        case Upsert(points=points, update_filter=only, update_mode=mode):
            return make.upsert_points(
                [engine_point(point) for point in points],
                engine_filter(only, "update_filter", booleans),
                engine_enum(edge.UpdateMode, mode),
            )
        case UpdateVectors(points=changes, update_filter=only):
            return make.update_vectors(
                [edge.PointVectors(point, engine_vectors(new)) for point, new in changes],
                engine_filter(only, "update_filter", booleans),
            )
        case CreateIndex() | DeleteIndex() | CreateVector() | DeleteVector():
            return _description(operation)
        case Delete(selector=chosen):
            return _select(make, "delete_points", chosen, booleans)
        case DeleteVectors(selector=chosen, names=names):
            return _select(make, "delete_vectors", chosen, booleans, list(names))
        case SetPayload(selector=chosen, payload=payload, key=key):
            return _select(make, "set_payload", chosen, booleans, payload, key)
        case OverwritePayload(selector=chosen, payload=payload, key=key):
            return _select(make, "overwrite_payload", chosen, booleans, payload, key)
        case DeletePayload(selector=chosen, keys=keys):
            return _select(make, "delete_payload", chosen, booleans, list(keys))
        case ClearPayload(selector=chosen):
            return _select(make, "clear_payload", chosen, booleans)
        case _:
            assert_never(operation)


def _description(
    operation: CreateIndex | DeleteIndex | CreateVector | DeleteVector,
) -> edge.UpdateOperation:
    """Return a change to what the collection is."""
    make = edge.UpdateOperation
    match operation:
        case CreateIndex(field=field, schema=schema):
            return make.create_field_index(field, engine_schema(schema))
        case DeleteIndex(field=field):
            return make.delete_field_index(field)
        case CreateVector(name=name, config=config):
            return _create_vector(name, config)
        case DeleteVector(name=name):
            return make.delete_vector_name(name)
        case _:
            assert_never(operation)


def _create_vector(name: str, config: VectorNameConfig) -> edge.UpdateOperation:
    match config:
        case DenseVectorNameConfig(dense=params):
            multi = None
            if params.multivector_config is not None:
                multi = multivector_config(params.multivector_config)
            return edge.UpdateOperation.create_dense_vector(
                name,
                params.size,
                engine_enum(edge.Distance, params.distance),
                multi,
                engine_enum(edge.VectorStorageDatatype, params.datatype),
            )
        case SparseVectorNameConfig(sparse=params):
            return edge.UpdateOperation.create_sparse_vector(
                name,
                edge.Modifier.Idf if params.modifier is Modifier.IDF else None,
                engine_enum(edge.VectorStorageDatatype, params.datatype),
            )
        case _:
            assert_never(config)


def _select(
    make: Any, name: str, chosen: Selector, booleans: BooleanMatches, *rest: Any
) -> edge.UpdateOperation:
    """Call the engine's constructor for ids, or its sibling ``…_by_filter``."""
    match chosen:
        case ByIds(ids=ids):
            made: edge.UpdateOperation = getattr(make, name)(_ids(ids), *rest)
        case ByFilter(filter=wanted):
            matching = engine_filter(wanted, "filter", booleans)
            made = getattr(make, f"{name}_by_filter")(matching, *rest)
        case _:
            assert_never(chosen)
    return made


def _ids(ids: Sequence[Any]) -> list[Any]:
    return list(dict.fromkeys(ids))
