"""Vectors in the form that Qdrant stores: normalisation at its limits, rounding to each datatype."""

from typing import Any

import numpy as np
import pytest
import qdrant_edge as edge
from hypothesis import given
from hypothesis import strategies as st
from pgvector import HalfVector, Vector

from service.errors import WrongInput
from service.model.points import FloatArray, SparseVector
from service.model.qdrant import CreateCollection, Datatype, Distance, VectorParams
from service.queries.similarity import normalised
from service.stores.configuration import VectorKind, VectorSpec
from service.stores.edge.config import engine_config
from service.stores.postgres.vector_tables import VectorTable
from service.stores.postgres.vectors import loaded, stored
from service.translate.sql import Identifier


@pytest.mark.parametrize(
    ("given", "changed"),
    [
        ([3.0, 4.0], True),
        ([0.0, 0.0], False),
        ([2e-4, 2e-4], False),
        ([3e-4, 3e-4], True),
        ([1.0000004, 0.0], False),
        ([1.000002, 0.0], True),
    ],
)
def test_lengths_near_zero_and_one_are_left_alone(given: list[float], changed: bool) -> None:
    """Squared length below 1.19e-7, or within 1e-6 of 1."""
    vector = np.asarray(given, dtype=np.float32)
    result = normalised(vector)
    assert result.dtype == np.float32
    assert (result.tolist() != vector.tolist()) is changed
    if changed:
        assert np.linalg.norm(result) == pytest.approx(1.0, rel=1e-6)


def test_normalising_twice_changes_nothing() -> None:
    """A vector read from Qdrant is stored as it came."""
    random = np.random.default_rng(1).standard_normal((200, 1536)).astype(np.float32)
    for vector in random:
        once = normalised(vector)
        assert np.array_equal(normalised(once), once)


_SPECS = {
    f"{datatype.value}_{distance.value}": VectorSpec(VectorKind.DENSE, 4, distance, datatype)
    for datatype in (Datatype.FLOAT32, Datatype.FLOAT16, Datatype.UINT8)
    for distance in (Distance.COSINE, Distance.DOT)
}
_TOLERANCES = dict.fromkeys(_SPECS, (0.0, 0.0)) | {
    "float32_Cosine": (3e-7, 1e-45),
    "float16_Cosine": (2.0**-10, 2.0**-24),
}
_FINITE = st.floats(allow_nan=False, allow_infinity=False, width=32)
_NEAR = st.floats(-300, 300, width=32) | st.floats(-1, 1, width=32) | st.integers(0, 256)


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> edge.EdgeShard:
    """Qdrant's engine with a vector of every datatype."""
    vectors = {
        name: VectorParams(size=spec.size, distance=spec.distance, datatype=spec.datatype)
        for name, spec in _SPECS.items()
    }
    config = engine_config(CreateCollection(vectors=vectors))
    return edge.EdgeShard.create(str(tmp_path_factory.mktemp("shard")), config)


@given(st.lists(_FINITE | _NEAR, min_size=4, max_size=4) | st.lists(_NEAR, min_size=4, max_size=4))
def test_the_stored_form_is_the_engines(shard: edge.EdgeShard, components: list[float]) -> None:
    """Cut off, rounded and normalised in the same order, for every datatype."""
    value = np.array(components, np.float32)
    names = [name for name in _SPECS if not (name.startswith("float16") and _is_too_large(value))]
    point = edge.Point(1, {name: value.tolist() for name in names}, {})
    shard.update(edge.UpdateOperation.upsert_points([point]))
    [record] = shard.retrieve([1], with_payload=False, with_vector=True)
    assert isinstance(record.vector, dict)
    for name in names:
        table = VectorTable(name, Identifier(("s", "vectors_1_0")), _SPECS[name], "public")
        kept = stored(table, value)
        assert isinstance(kept, Vector | HalfVector)
        ours = loaded(table, kept.to_binary())
        assert isinstance(ours, np.ndarray)
        # Divisions may differ in the last place, and so may what is rounded after one.
        relative, absolute = _TOLERANCES[name]
        theirs: Any = record.vector[name]
        assert ours.tolist() == pytest.approx(theirs, rel=relative, abs=absolute), name


def test_what_was_read_from_a_store_is_not_normalised_again() -> None:
    """Rounded to float16 it has another length than 1, and would change."""
    table = VectorTable("v", Identifier(("s", "vectors_1_0")), _SPECS["float16_Cosine"], "public")
    random = np.random.default_rng(1).standard_normal((200, 4)).astype(np.float32)
    changed = 0
    for vector in random:
        kept = _held(table, vector)
        assert np.array_equal(_held(table, kept, copied=True), kept)
        changed += not np.array_equal(_held(table, kept), kept)
    assert changed


def _held(table: VectorTable, value: FloatArray, *, copied: bool = False) -> FloatArray:
    kept = stored(table, value, copied=copied)
    assert isinstance(kept, HalfVector)
    held = loaded(table, kept.to_binary())
    assert isinstance(held, np.ndarray)
    return held


@pytest.mark.parametrize("kind", [VectorKind.DENSE, VectorKind.MULTI])
def test_a_wrong_size_is_refused(kind: VectorKind) -> None:
    """Of every row; the vector is named where it is written."""
    spec = VectorSpec(kind, 4, Distance.DOT)
    table = VectorTable("v", Identifier(("s", "vectors_1_0")), spec, "public")
    shape = 3 if kind is VectorKind.DENSE else (2, 3)
    with pytest.raises(WrongInput, match=r"expected dim: 4, got 3 for vector 'v'$"):
        stored(table, np.ones(shape, np.float32), whose=" for vector 'v'")


def _is_too_large(value: FloatArray) -> bool:
    """Say whether a component is infinite as float16, which pgvector refuses."""
    return bool((np.abs(value) >= 65_520).any())


def test_a_sparse_vector_is_sorted_and_has_each_index_once() -> None:
    """The inverted index has one row per entry."""
    table = VectorTable("s", Identifier(("s", "vectors_1_0")), VectorSpec(VectorKind.SPARSE), "x")
    value = SparseVector(np.array([9, 2], np.uint32), np.array([1, 0], np.float32))
    kept = stored(table, value)
    assert isinstance(kept, SparseVector)
    assert kept.indices.tolist() == [2, 9]
    assert kept.values.tolist() == [0, 1]
    twice = SparseVector(np.array([9, 2, 9], np.uint32), np.ones(3, np.float32))
    with pytest.raises(WrongInput, match="must be unique"):
        stored(table, twice)
