"""Configurations: defaults, updates."""

import pytest

from service.errors import WrongInput
from service.model.qdrant import (
    CollectionParamsDiff,
    CreateCollection,
    Disabled,
    Distance,
    HnswConfigDiff,
    Modifier,
    OptimizersConfigDiff,
    ScalarQuantization,
    SparseIndexParams,
    UpdateCollection,
    VectorParams,
    VectorParamsDiff,
)
from service.stores.configuration import collection_config, hnsw_config, updated

_INT8 = ScalarQuantization.model_validate({"scalar": {"type": "int8"}})
_REQUEST = CreateCollection(
    vectors={
        "a": VectorParams(size=4, distance=Distance.DOT, hnsw_config=HnswConfigDiff(m=4)),
        "b": VectorParams(size=4, distance=Distance.DOT, quantization_config=_INT8),
    },
    hnsw_config=HnswConfigDiff(m=24, ef_construct=50),
    quantization_config=_INT8,
    metadata={"keep": 1, "drop": 2},
)


def test_a_vectors_own_settings_go_first() -> None:
    """Then the collection's, then Qdrant's defaults."""
    own, shared = hnsw_config(_REQUEST, "a"), hnsw_config(_REQUEST, "b")
    assert (own.m, own.ef_construct, own.full_scan_threshold) == (4, 50, 10_000)
    assert shared.m == 24


def test_an_automatic_number_of_threads_is_not_echoed() -> None:
    """The echo's field is a number or nothing."""
    given = OptimizersConfigDiff.model_validate({"max_optimization_threads": "auto"})
    config = collection_config(_REQUEST.model_copy(update={"optimizers_config": given}))
    assert config.optimizer_config.max_optimization_threads is None
    assert config.optimizer_config.flush_interval_sec == 5


def test_an_update_merges() -> None:
    """Only what it names changes; null removes a metadata key; quantization can be turned off."""
    update = UpdateCollection(
        vectors={
            "a": VectorParamsDiff(hnsw_config=HnswConfigDiff(ef_construct=9)),
            "b": VectorParamsDiff(quantization_config=Disabled.DISABLED),
        },
        hnsw_config=HnswConfigDiff(m=32),
        params=CollectionParamsDiff(replication_factor=2, read_fan_out_factor=3),
        metadata={"drop": None, "new": 3},
    )
    result = updated(_REQUEST, update)
    assert hnsw_config(result, "a").m == 4
    assert hnsw_config(result, "a").ef_construct == 9
    assert isinstance(result.vectors, dict)
    assert result.vectors["b"].quantization_config is None
    assert result.hnsw_config == HnswConfigDiff(m=32, ef_construct=50)
    assert result.quantization_config == _INT8
    assert result.replication_factor == 2
    assert result.metadata == {"keep": 1, "new": 3}


def test_an_empty_update_changes_nothing() -> None:
    """The same configuration is echoed."""
    assert updated(_REQUEST, UpdateCollection()) == _REQUEST


def test_an_update_of_a_sparse_vector_leaves_the_others() -> None:
    """Its own settings change, its neighbours' do not."""
    request = CreateCollection.model_validate(
        {"sparse_vectors": {"words": {"modifier": "idf"}, "other": {}}}
    )
    result = updated(
        request,
        UpdateCollection.model_validate(
            {"sparse_vectors": {"words": {"index": {"on_disk": True}}}}
        ),
    )
    assert result.sparse_vectors is not None
    assert result.sparse_vectors["words"].modifier is Modifier.IDF
    assert result.sparse_vectors["words"].index == SparseIndexParams(on_disk=True)
    assert request.sparse_vectors is not None
    assert result.sparse_vectors["other"] == request.sparse_vectors["other"]


@pytest.mark.parametrize("kind", ["vectors", "sparse_vectors"])
def test_an_unknown_vector_is_the_callers_mistake(kind: str) -> None:
    """The text is Qdrant's."""
    update = UpdateCollection.model_validate({kind: {"c": {}}})
    with pytest.raises(WrongInput, match="Not existing vector name error: c"):
        updated(_REQUEST, update)
