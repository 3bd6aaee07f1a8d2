"""Qdrant's points as ours."""

import numpy as np
import orjson
from hypothesis import given
from hypothesis import strategies as st

from service.model.points import SparseVector
from service.stores.qdrant.decode import hit, page, record, vectors_of

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


@given(st.lists(FLOATS, min_size=1, max_size=8))
def test_float32_survives_the_wire(numbers: list[float]) -> None:
    """The shortest decimal of a float32 is read back as the same float32."""
    sent = np.array(numbers, dtype=np.float32)
    text = orjson.dumps(sent, option=orjson.OPT_SERIALIZE_NUMPY)
    received = vectors_of(orjson.loads(text))[""]
    assert isinstance(received, np.ndarray)
    assert received.dtype == np.float32
    assert np.array_equal(received, sent)


def test_vectors_of_every_kind() -> None:
    """Bare, named, sparse and multivectors get their shapes; none is no vectors."""
    vectors = vectors_of({
        "dense": [0.5, 1], "multi": [[1, 0], [0, 1]], "sparse": {"indices": [7], "values": [2]},
    })  # fmt: skip
    dense, multi, sparse = vectors["dense"], vectors["multi"], vectors["sparse"]
    assert isinstance(dense, np.ndarray)
    assert isinstance(multi, np.ndarray)
    assert isinstance(sparse, SparseVector)
    assert (dense.shape, multi.shape) == ((2,), (2, 2))
    assert sparse.indices.dtype == np.uint32
    assert sparse.values.dtype == np.float32
    assert vectors_of({}) == vectors_of(None) == {}
    assert list(vectors_of([1.0])) == [""]


def test_asked_for_and_not_there_is_empty() -> None:
    """Empty is what the point has; None is what nobody asked for."""
    asked = record({"id": 1, "payload": None}, payload=True, vectors=True)
    assert (asked.payload, asked.vectors) == ({}, {})
    plain = record({"id": 1, "payload": None}, payload=False, vectors=False)
    assert (plain.payload, plain.vectors) == (None, None)


def test_ids_are_canonical() -> None:
    """A UUID in any spelling becomes hyphenated lower case, on records and offsets alike."""
    bare = "0D7E2F9C9A3B4B528A443F2F3A8F0C11"
    read = page(
        {"points": [{"id": bare}], "next_page_offset": 2**64 - 1}, payload=False, vectors=False
    )
    assert read.records[0].id == "0d7e2f9c-9a3b-4b52-8a44-3f2f3a8f0c11"
    assert read.next_id == 2**64 - 1
    assert (
        page({"points": [], "next_page_offset": None}, payload=False, vectors=False).next_id is None
    )


def test_a_score_is_a_float32() -> None:
    """What JSON prints short is compared as the number that Qdrant computed."""
    found = hit({"id": 1, "version": 3, "score": 0.1}, payload=False, vectors=False)
    assert (found.score, found.version) == (float(np.float32(0.1)), 3)
