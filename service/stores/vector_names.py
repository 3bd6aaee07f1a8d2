"""Named vectors that come and go after a collection's creation: the request that would have led there.

The rules are those of Qdrant's ``PUT`` and ``DELETE /collections/{name}/vectors/{vector}``: the same configuration
again changes nothing, another one is refused, and removing what is not there is fine.
"""

from typing import assert_never

from service.errors import WrongInput
from service.model.qdrant import (
    CreateCollection,
    Datatype,
    DenseVectorNameConfig,
    SparseIndexParams,
    SparseVectorNameConfig,
    SparseVectorParams,
    VectorNameConfig,
    VectorParams,
)
from service.stores.configuration import vector_params


def with_vector(request: CreateCollection, name: str, config: VectorNameConfig) -> CreateCollection:
    """Return the creation request with one more named vector; the same object when it was there already.

    Raises ``WrongInput`` when a vector of that name has another configuration or another kind.
    """
    match config:
        case DenseVectorNameConfig():
            return _with_dense(request, name, config)
        case SparseVectorNameConfig():
            return _with_sparse(request, name, config)
        case _:
            assert_never(config)


def without_vector(request: CreateCollection, name: str) -> CreateCollection:
    """Return the creation request without the named vector; the same object when it has none of that name."""
    dense, sparse = vector_params(request), dict(request.sparse_vectors or {})
    if name in dense:
        del dense[name]
        return request.model_copy(update={"vectors": dense})
    if name in sparse:
        del sparse[name]
        return request.model_copy(update={"sparse_vectors": sparse})
    return request


def _with_dense(
    request: CreateCollection, name: str, config: DenseVectorNameConfig
) -> CreateCollection:
    wanted, dense = config.dense, vector_params(request)
    if name in (request.sparse_vectors or {}):
        raise WrongInput(f"Vector `{name}` already exists as a sparse vector")
    added = VectorParams(
        size=wanted.size,
        distance=wanted.distance,
        multivector_config=wanted.multivector_config,
        datatype=None if wanted.datatype is None else Datatype(wanted.datatype.value),
    )
    if name not in dense:
        return request.model_copy(update={"vectors": {**dense, name: added}})
    if _identity(dense[name]) != _identity(added):
        raise WrongInput(f"Vector `{name}` already exists with a different configuration")
    return request


def _identity(params: VectorParams) -> tuple[object, ...]:
    """Return what defines the vector space; the rest may be tuned later."""
    return params.size, params.distance, params.multivector_config, params.datatype


def _with_sparse(
    request: CreateCollection, name: str, config: SparseVectorNameConfig
) -> CreateCollection:
    wanted, sparse = config.sparse, dict(request.sparse_vectors or {})
    if name in vector_params(request):
        raise WrongInput(f"Vector `{name}` already exists as a dense vector")
    index = (
        None
        if wanted.datatype is None
        else SparseIndexParams(datatype=Datatype(wanted.datatype.value))
    )
    added = SparseVectorParams(index=index, modifier=wanted.modifier)
    if name not in sparse:
        return request.model_copy(update={"sparse_vectors": {**sparse, name: added}})
    there = sparse[name]
    if (there.modifier, there.index and there.index.datatype) != (
        added.modifier,
        added.index and added.index.datatype,
    ):
        raise WrongInput(f"Sparse vector `{name}` already exists with a different configuration")
    return request


def name_config(request: CreateCollection, name: str) -> VectorNameConfig:
    """Return the configuration that would add this vector of the collection; what can be tuned later is not in it."""
    sparse = (request.sparse_vectors or {}).get(name)
    if sparse is not None:
        datatype = sparse.index and sparse.index.datatype
        settings = {"modifier": sparse.modifier, "datatype": datatype and datatype.value}
        return SparseVectorNameConfig.model_validate({"sparse": settings})
    params = vector_params(request)[name]
    fields = {"size", "distance", "multivector_config", "datatype"}
    return DenseVectorNameConfig.model_validate(
        {"dense": params.model_dump(mode="json", include=fields, exclude_none=True)}
    )
