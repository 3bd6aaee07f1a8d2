"""What PATCH makes of a collection's creation request."""

from collections.abc import Mapping
from typing import Any

from service.errors import WrongInput
from service.model.points import UNNAMED
from service.model.qdrant import (
    CreateCollection,
    Disabled,
    HnswConfigDiff,
    OptimizersConfigDiff,
    QuantizationConfig,
    SparseVectorParams,
    UpdateCollection,
    VectorParams,
)
from service.stores.edge.config import dense_params, overlay


def merge(request: CreateCollection, update: UpdateCollection) -> CreateCollection:
    """Return the creation request that would have led to what PATCH asks for.

    Raises ``WrongInput`` for a vector that the collection does not have.
    """
    changes: dict[str, Any] = {
        "hnsw_config": overlay(request.hnsw_config or HnswConfigDiff(), update.hnsw_config),
        "optimizers_config": overlay(
            request.optimizers_config or OptimizersConfigDiff(), update.optimizers_config
        ),
        "metadata": request.metadata if update.metadata is None else update.metadata,
        "vectors": _merge_vectors(request, update),
        "sparse_vectors": _merge_sparse(request, update),
        "quantization_config": _merge_quantization(request, update),
    }
    if update.params is not None:
        given = update.params.model_dump(exclude_none=True)
        changes |= {key: given[key] for key in given if key in CreateCollection.model_fields}
    return request.model_copy(update=changes)


def _known(name: str, vectors: Mapping[str, object]) -> None:
    if name not in vectors:
        raise WrongInput(f"Not existing vector name error: {name}")


def _merge_vectors(
    request: CreateCollection, update: UpdateCollection
) -> VectorParams | dict[str, VectorParams] | None:
    vectors = dense_params(request)
    for name, diff in (update.vectors or {}).items():
        _known(name, vectors)
        current = vectors[name]
        changed = overlay(current, diff.model_copy(update={"hnsw_config": None}))
        if diff.hnsw_config is not None:
            merged = overlay(current.hnsw_config or HnswConfigDiff(), diff.hnsw_config)
            changed = changed.model_copy(update={"hnsw_config": merged})
        if isinstance(diff.quantization_config, Disabled):
            changed = changed.model_copy(update={"quantization_config": None})
        vectors[name] = changed
    if isinstance(request.vectors, VectorParams):
        return vectors[UNNAMED]
    return vectors if request.vectors is not None else None


def _merge_sparse(
    request: CreateCollection, update: UpdateCollection
) -> dict[str, SparseVectorParams] | None:
    if update.sparse_vectors is None:
        return request.sparse_vectors
    sparse = dict(request.sparse_vectors or {})
    for name, params in update.sparse_vectors.items():
        _known(name, sparse)
        sparse[name] = overlay(sparse[name], params)
    return sparse


def _merge_quantization(
    request: CreateCollection, update: UpdateCollection
) -> QuantizationConfig | None:
    if update.quantization_config is None:
        return request.quantization_config
    wanted = update.quantization_config
    return None if isinstance(wanted, Disabled) else wanted
