"""What a collection's creation request says, for every store that keeps one.

Its vectors, the configuration as Qdrant echoes it, and the request that a PATCH turns it into.
"""

from collections.abc import Container
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

from pydantic import BaseModel

from service.errors import WrongInput
from service.model.points import UNNAMED, Payload
from service.model.qdrant import (
    CollectionConfig,
    CollectionParams,
    CreateCollection,
    Datatype,
    Disabled,
    Distance,
    HnswConfig,
    Modifier,
    OptimizersConfig,
    SparseVectorParams,
    StrictModeConfigOutput,
    UpdateCollection,
    VectorParams,
    VectorParamsDiff,
    WalConfig,
)

_Model = TypeVar("_Model", bound=BaseModel)

_HNSW = HnswConfig(
    m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=0, on_disk=False
)
_OPTIMIZERS = OptimizersConfig(
    deleted_threshold=0.2,
    vacuum_min_vector_number=1000,
    default_segment_number=0,
    indexing_threshold=10_000,
    flush_interval_sec=5,
)
_WAL = WalConfig(wal_capacity_mb=32, wal_segments_ahead=0, wal_retain_closed=1)


def vector_params(request: CreateCollection) -> dict[str, VectorParams]:
    """Return the dense vectors by name; the unnamed one is ``""``."""
    match request.vectors:
        case None:
            return {}
        case VectorParams() as params:
            return {UNNAMED: params}
        case named:
            return dict(named)


class VectorKind(StrEnum):
    """What a named vector holds."""

    DENSE = "dense"
    MULTI = "multi"
    SPARSE = "sparse"


@dataclass(frozen=True, slots=True)
class VectorSpec:
    """What a vector of one name must look like and how it is compared; ``size`` is 0 for sparse ones."""

    kind: VectorKind
    size: int = 0
    distance: Distance = Distance.DOT
    datatype: Datatype = Datatype.FLOAT32
    has_idf: bool = False


def vector_specs(request: CreateCollection) -> dict[str, VectorSpec]:
    """Return what each vector of the collection must look like."""
    specs = {
        name: VectorSpec(
            VectorKind.SPARSE,
            datatype=(params.index and params.index.datatype) or Datatype.FLOAT32,
            has_idf=params.modifier is Modifier.IDF,
        )
        for name, params in (request.sparse_vectors or {}).items()
    }
    for name, params in vector_params(request).items():
        kind = VectorKind.MULTI if params.multivector_config else VectorKind.DENSE
        datatype = params.datatype or Datatype.FLOAT32
        specs[name] = VectorSpec(kind, params.size, params.distance, datatype)
    return specs


def hnsw_config(request: CreateCollection, vector: str | None = None) -> HnswConfig:
    """Return the HNSW settings of the collection, or of one vector: its own, else the collection's.

    What neither says has Qdrant's default.
    """
    shared = _over(_HNSW, request.hnsw_config)
    return shared if vector is None else _over(shared, vector_params(request)[vector].hnsw_config)


def optimizers_config(request: CreateCollection) -> OptimizersConfig:
    """Return the collection's optimizer settings, Qdrant's defaults filled in."""
    given = request.optimizers_config
    if given is not None and not isinstance(given.max_optimization_threads, int):
        # "auto" is how a client says it; the echo leaves it out.
        given = given.model_copy(update={"max_optimization_threads": None})
    return _over(_OPTIMIZERS, given)


def collection_config(request: CreateCollection) -> CollectionConfig:
    """Return the configuration as Qdrant echoes it, its defaults filled in."""
    return CollectionConfig(
        params=CollectionParams(
            vectors=request.vectors if request.vectors is not None else {},
            sparse_vectors=request.sparse_vectors,
            shard_number=request.shard_number or 1,
            replication_factor=request.replication_factor or 1,
            write_consistency_factor=request.write_consistency_factor or 1,
            on_disk_payload=request.on_disk_payload is not False,
        ),
        hnsw_config=hnsw_config(request),
        optimizer_config=optimizers_config(request),
        wal_config=_over(_WAL, request.wal_config),
        quantization_config=request.quantization_config,
        metadata=request.metadata,
        strict_mode_config=_strict_mode(request),
    )


def _strict_mode(request: CreateCollection) -> StrictModeConfigOutput | None:
    given = request.strict_mode_config
    if given is None:
        return None
    return StrictModeConfigOutput.model_validate(given.model_dump(exclude_none=True))


def updated(request: CreateCollection, update: UpdateCollection) -> CreateCollection:
    """Return the creation request that would have led to what the update asks for.

    Raises ``WrongInput`` for a vector that the collection does not have.
    """
    changes: dict[str, Any] = {
        "vectors": _updated_vectors(request, update),
        "sparse_vectors": _updated_sparse(request, update),
    }
    for name in ("hnsw_config", "optimizers_config", "strict_mode_config"):
        changes[name] = _merged(getattr(request, name), getattr(update, name))
    changes["metadata"] = _updated_metadata(request.metadata, update.metadata)
    if update.quantization_config is not None:
        changes["quantization_config"] = _unless_disabled(update.quantization_config)
    if update.params is not None:
        changes |= {
            name: value
            for name, value in update.params
            if value is not None and name in CreateCollection.model_fields
        }
    return request.model_copy(update=changes)


def _updated_vectors(
    request: CreateCollection, update: UpdateCollection
) -> VectorParams | dict[str, VectorParams] | None:
    vectors = vector_params(request)
    for name, diff in (update.vectors or {}).items():
        _require(name, vectors)
        vectors[name] = _updated_vector(vectors[name], diff)
    if isinstance(request.vectors, VectorParams):
        return vectors[UNNAMED]
    return vectors if request.vectors is not None else None


def _updated_sparse(
    request: CreateCollection, update: UpdateCollection
) -> dict[str, SparseVectorParams] | None:
    if update.sparse_vectors is None:
        return request.sparse_vectors
    sparse = dict(request.sparse_vectors or {})
    for name, params in update.sparse_vectors.items():
        _require(name, sparse)
        sparse[name] = _over(sparse[name], params)
    return sparse


def _require(name: str, vectors: Container[str]) -> None:
    if name not in vectors:
        raise unknown_vector(name)


def unknown_vector(name: str) -> WrongInput:
    """Return the error for a vector that the collection does not have."""
    return WrongInput(f"Not existing vector name error: {name}")


def _updated_vector(params: VectorParams, diff: VectorParamsDiff) -> VectorParams:
    nested = {
        "hnsw_config": _merged(params.hnsw_config, diff.hnsw_config),
        "quantization_config": params.quantization_config
        if diff.quantization_config is None
        else _unless_disabled(diff.quantization_config),
    }
    return _over(params, diff).model_copy(update=nested)


def _updated_metadata(old: Payload | None, changes: Payload | None) -> Payload | None:
    if changes is None:
        return old
    merged = {**(old or {}), **changes}
    return {name: value for name, value in merged.items() if value is not None}


def _over(base: _Model, diff: BaseModel | None) -> _Model:
    if diff is None:
        return base
    return base.model_copy(update={name: value for name, value in diff if value is not None})


def _merged(old: _Model | None, diff: _Model | None) -> _Model | None:
    if old is None or diff is None:
        return old if diff is None else diff
    return _over(old, diff)


def _unless_disabled(config: Any) -> Any:
    return None if isinstance(config, Disabled) else config
