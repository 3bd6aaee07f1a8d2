"""What PATCH makes of a creation request."""

import pytest

from service.errors import WrongInput
from service.model.qdrant import CreateCollection, UpdateCollection, VectorParams
from service.stores.edge.config import collection_config
from service.stores.edge.patch import merge

REQUEST = CreateCollection.model_validate(
    {
        "vectors": {"a": {"size": 4, "distance": "Dot", "hnsw_config": {"m": 8}}},
        "hnsw_config": {"m": 32},
        "quantization_config": {"scalar": {"type": "int8"}},
    }
)


def change(**update: object) -> CreateCollection:
    """Return the changed request."""
    return merge(REQUEST, UpdateCollection.model_validate(update))


def test_what_is_not_named_stays() -> None:
    """A difference changes its own fields only, at every level."""
    changed = change(
        hnsw_config={"ef_construct": 7},
        vectors={"a": {"hnsw_config": {"ef_construct": 9}}},
        optimizers_config={"indexing_threshold": 5},
    )
    echoed = collection_config(changed)
    assert (echoed.hnsw_config.m, echoed.hnsw_config.ef_construct) == (32, 7)
    assert echoed.optimizer_config.indexing_threshold == 5
    assert isinstance(changed.vectors, dict)
    vector = changed.vectors["a"]
    assert isinstance(vector, VectorParams)
    assert vector.size == 4
    assert vector.hnsw_config is not None
    assert (vector.hnsw_config.m, vector.hnsw_config.ef_construct) == (8, 9)
    assert changed.quantization_config == REQUEST.quantization_config


def test_quantization_can_be_disabled() -> None:
    """``Disabled`` is a value, not an absent one."""
    assert change(quantization_config="Disabled").quantization_config is None


def test_an_unknown_vector_is_the_callers_mistake() -> None:
    """The text is Qdrant's."""
    with pytest.raises(WrongInput, match="Not existing vector name error: b"):
        change(vectors={"b": {}})
