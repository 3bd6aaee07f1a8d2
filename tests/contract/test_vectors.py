"""Vectors of every kind, as they are written, read back and searched."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from service.errors import WrongInput
from service.model.operations import DeleteVectors, UpdateVectors, Upsert
from service.model.points import Point, SparseVector, VectorValue
from service.model.qdrant import CreateCollection, PointRequest, QueryRequest
from service.model.qdrant import SparseVector as AskedSparse
from service.ports import VectorStore
from tests.contract.samples import NAME, filled, ids

_ANY = (1.6, -2.7, 300.0, 0.1)
KINDS = CreateCollection.model_validate(
    {
        "vectors": {
            "half": {"size": 4, "distance": "Dot", "datatype": "float16"},
            "half_cosine": {"size": 4, "distance": "Cosine", "datatype": "float16"},
            "bytes": {"size": 4, "distance": "Dot", "datatype": "uint8"},
            "bytes_cosine": {"size": 4, "distance": "Cosine", "datatype": "uint8"},
            "rows": {
                "size": 2,
                "distance": "Cosine",
                "multivector_config": {"comparator": "max_sim"},
            },
        },
        "sparse_vectors": {"words": {}, "idf": {"modifier": "idf"}},
    }
)


def _dense(*numbers: float) -> VectorValue:
    return np.array(numbers, np.float32)


def _rows(*rows: tuple[float, ...]) -> VectorValue:
    return np.array(rows, np.float32)


def _sparse(entries: Mapping[int, float]) -> SparseVector:
    return SparseVector(
        np.array(list(entries), np.uint32), np.array(list(entries.values()), np.float32)
    )


async def _read(store: VectorStore, name: str) -> VectorValue | None:
    request = PointRequest(ids=[1], with_payload=False, with_vector=True)
    [record] = await store.retrieve(NAME, request)
    assert record.vectors is not None
    return record.vectors.get(name)


@pytest.mark.parametrize(
    ("name", "given", "kept"),
    [
        ("half", _dense(*_ANY), [1.599609375, -2.69921875, 300.0, 0.0999755859375]),
        ("half_cosine", _dense(3, 0, 4, 0), [0.60009765625, 0, 0.7998046875, 0]),
        ("half", _dense(2**-24, 2e-8, 65504, 1), [2**-24, 0, 65504, 1]),
        ("bytes", _dense(*_ANY), [1, 0, 255, 0]),
        ("bytes", _dense(254.99, 255.5, -0.5, 0.99), [254, 255, 0, 0]),
        ("bytes_cosine", _dense(3, 0, 4, 0), [3, 0, 4, 0]),
        ("rows", _rows((3, 4), (0, 2)), [[np.float32(0.6), np.float32(0.8)], [0, 1]]),
        ("rows", _dense(0, 2), [[0, 1]]),
    ],
)
async def test_components_are_rounded_to_the_datatype(
    store: VectorStore, name: str, given: VectorValue, kept: object
) -> None:
    """float16 to the nearest, whole bytes by cutting off; whole bytes are not normalised."""
    await filled(store, KINDS, Point(1, {name: given}, {}))
    read = await _read(store, name)
    assert isinstance(read, np.ndarray)
    assert read.dtype == np.float32
    assert read.tolist() == kept


async def test_sparse_vectors_come_back_sorted(store: VectorStore) -> None:
    """Every index of 32 bits; a weight of zero stays."""
    given = _sparse({4294967295: -2.5, 0: 0.0, 7: 1e-30})
    await filled(store, KINDS, Point(1, {"words": given, "idf": _sparse({})}, {}))
    read = await _read(store, "words")
    assert isinstance(read, SparseVector)
    assert read.indices.tolist() == [0, 7, 4294967295]
    assert read.values.tolist() == [0.0, float(np.float32(1e-30)), -2.5]
    empty = await _read(store, "idf")
    assert isinstance(empty, SparseVector)
    assert not len(empty.indices)


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("half", _dense(1), "Vector dimension error: expected dim: 4, got 1 for vector 'half'"),
        ("bytes", _rows((1, 2, 3, 4)), "Conversion between multi and regular vectors failed"),
        ("rows", _rows((1, 2, 3)), "expected dim: 2, got 3 for vector 'rows'"),
        ("rows", np.empty((0, 2), np.float32), "expected dim: 2, got 0 for vector 'rows'"),
        ("rows", _sparse({1: 1}), "Conversion between sparse and regular vectors failed"),
        ("words", _dense(1), "Conversion between sparse and regular vectors failed"),
        ("nobody", _dense(1), "Not existing vector name error: nobody"),
    ],
)
async def test_a_vector_that_does_not_fit_is_refused(
    store: VectorStore, name: str, value: VectorValue, text: str
) -> None:
    """With nothing written."""
    await filled(store, KINDS, Point(1, {}, {}))
    with pytest.raises(WrongInput, match=text):
        await store.apply(NAME, Upsert([Point(1, {name: value}, {"a": 1})]), wait=True)
    assert await _read(store, name) is None


async def test_replaced_and_removed_entries_are_not_found_any_more(store: VectorStore) -> None:
    """A sparse vector is found by the entries that it has now."""
    points = [Point(n, {"words": _sparse({1: n, 2: 1})}, {}) for n in (1, 2, 3, 4)]
    await filled(store, KINDS, *points)
    await store.apply(NAME, UpdateVectors([(1, {"words": _sparse({2: 5, 3: 1})})]), wait=True)
    await store.apply(NAME, DeleteVectors(ids(2), ("words",)), wait=True)
    await store.apply(NAME, Upsert([Point(3, {"idf": _sparse({1: 1})}, {})]), wait=True)
    assert await _found(store, 1) == {4: 4.0}
    assert await _found(store, 2) == {1: 5.0, 4: 1.0}
    assert await _found(store, 3) == {1: 1.0}


async def _found(store: VectorStore, index: int) -> dict[object, float]:
    query = AskedSparse(indices=[index], values=[1.0])
    hits = await store.query(NAME, QueryRequest(query=query, using="words"))
    return {hit.id: hit.score for hit in hits}


async def test_searches_of_every_kind(store: VectorStore) -> None:
    """Each by its own similarity: MaxSim adds the best match of every row asked for."""
    vectors: dict[str, VectorValue] = {
        "half": _dense(1, 2, 3, 4),
        "bytes_cosine": _dense(1, 2, 2, 0),
        "rows": _rows((1, 0), (0, 2)),
        "idf": _sparse({8: 2}),
    }
    await filled(store, KINDS, Point(1, vectors, {}), Point(2, {"idf": _sparse({9: 1})}, {}))
    asked: dict[str, Any] = {
        "half": [0.1, 0, 0, 1],
        "bytes_cosine": [2.9, 0, 0, -1],
        "rows": [[3, 4], [-1, 0]],
        "idf": AskedSparse(indices=[8], values=[1.0]),
    }
    scores = {}
    for name, query in asked.items():
        [hit] = await store.query(NAME, QueryRequest(query=query, using=name))
        scores[name] = hit.score
    expected = {"half": 4.1, "bytes_cosine": 1 / 3, "rows": 0.8, "idf": 2 * np.log(2)}
    assert scores == pytest.approx(expected, rel=1e-4)
