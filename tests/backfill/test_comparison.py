"""Comparing a page at once gives what comparing point by point gives."""

from collections.abc import Mapping

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backfill.canonical import Kind, differences
from backfill.comparison import Rows, compare
from backfill.digest import Digest, digest_of, written
from service.model.ids import encode_key
from service.model.points import Payload, Record, SparseVector, VectorValue

FLOATS = st.sampled_from([0.0, -0.0, 1.0, 1.0 + 2.0**-23, 1.1, -3.5, 1e30])
DENSE = st.lists(FLOATS, min_size=1, max_size=3).map(lambda v: np.array(v, np.float32))
MULTI = st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=2).map(
    lambda v: np.array(v, np.float32)
)
SPARSE = st.dictionaries(st.integers(0, 2**32 - 1), FLOATS, max_size=3).map(
    lambda v: SparseVector(np.array(list(v), np.uint32), np.array(list(v.values()), np.float32))
)
VECTORS = st.dictionaries(st.sampled_from(["", "a", "ü"]), DENSE | MULTI | SPARSE, max_size=2)
PAYLOADS = st.sampled_from(
    [{}, {"a": 1}, {"a": 1.0}, {"a": True}, {"a": 1e16}, {"a": 10**16}, {"a": -0.0}, {"a": 0.0}]
)
POINTS = st.none() | st.builds(lambda payload, vectors: (payload, vectors), PAYLOADS, VECTORS)
Kept = tuple[Payload, Mapping[str, VectorValue]] | None


def rows_of(pairs: list[tuple[Kept, Kept]]) -> Rows:
    """Return rows with ids in order."""

    def record(at: int, kept: Kept) -> Record | None:
        return None if kept is None else Record(at, *kept)

    return Rows(
        [encode_key(at) for at in range(len(pairs))],
        [record(at, one) for at, (one, _) in enumerate(pairs)],
        [record(at, other) for at, (_, other) in enumerate(pairs)],
    )


@given(st.lists(st.tuples(POINTS, POINTS).filter(lambda pair: pair != (None, None)), max_size=6))
def test_a_page_differs_where_its_points_do(pairs: list[tuple[Kept, Kept]]) -> None:
    """Every kind of vector and payload, missing and extra, in any mixture."""
    rows = rows_of(pairs)
    expected = {
        key: kinds
        for key, one, other in zip(rows.keys, rows.source, rows.target, strict=True)
        if (kinds := differences(one, other))
    }
    found = compare(rows)
    assert dict(found.differing) == expected
    assert found.points == len(pairs)
    assert found.source_points == sum(one is not None for one, _ in pairs)
    assert found.target_points == sum(other is not None for _, other in pairs)
    assert found.source_digest.content == found.target_digest.content


def test_one_vector_of_a_page_is_found() -> None:
    """Vectors of one name and length are compared together; the row that differs is named."""
    vectors = [np.full(4, at + 1, np.float32) for at in range(5)]
    pairs: list[tuple[Kept, Kept]] = [
        (({}, {"a": each, "b": each[:2]}), ({}, {"a": each, "b": each[:2]})) for each in vectors
    ]
    pairs[2] = pairs[2][0], ({}, {"a": vectors[2], "b": vectors[2][:2] + 1})
    pairs[4] = pairs[4][0], ({"x": 1}, {"a": vectors[4] + 1, "b": vectors[4][:2]})
    assert compare(rows_of(pairs)).differing == [
        (encode_key(2), (Kind.VECTOR,)),
        (encode_key(4), (Kind.PAYLOAD, Kind.VECTOR)),
    ]


@given(st.lists(st.tuples(PAYLOADS, VECTORS), max_size=5), st.integers(0, 5))
def test_digests_add_up(kept: list[tuple[Payload, dict[str, VectorValue]]], at: int) -> None:
    """Pages of any size come to the same, in any order; an empty one to nothing."""
    rows = rows_of([(each, each) for each in kept])
    whole = compare(rows)
    parts = [
        compare(Rows(rows.keys[part], rows.source[part], rows.target[part]))
        for part in (slice(at, None), slice(None, at))
    ]
    total = sum((part.source_digest for part in parts), Digest())
    assert total == whole.source_digest == whole.target_digest
    assert compare(rows_of([])).source_digest == Digest()


def test_content_leaves_components_out_and_bits_do_not() -> None:
    """Each thing that is compared exactly changes the content; the last bit of a component only the bits."""
    one = np.array([1.0, 2.0], np.float32)
    near = np.array([1.0, np.nextafter(np.float32(2.0), np.float32(3.0))], np.float32)
    base = digest_of(encode_key(1), written({}, {"": one}))
    nearly = digest_of(encode_key(1), written({}, {"": near}))
    assert nearly.content == base.content
    assert nearly.bits != base.bits
    sparse = SparseVector(np.array([7], np.uint32), np.array([1.0], np.float32))
    other = SparseVector(np.array([8], np.uint32), np.array([1.0], np.float32))
    points: list[tuple[int, Payload, dict[str, VectorValue]]] = [
            (1, {}, {"": one}), (2, {}, {"": one}), (1, {"a": 1}, {"": one}),
            (1, {}, {"a": one}), (1, {}, {}), (1, {}, {"": one[:1]}),
            (1, {}, {"": one[None, :]}), (1, {}, {"": sparse}), (1, {}, {"": other}),
    ]  # fmt: skip
    contents = {
        digest_of(encode_key(at), written(payload, vectors)).content
        for at, payload, vectors in points
    }
    assert len(contents) == 9


def test_a_sparse_vector_is_the_same_in_any_order() -> None:
    """Its digest is of the entries by index."""
    entries = [(3, 0.5), (1, 0.25)]
    found = {
        digest_of(encode_key(1), written({}, {"w": _sparse(each)}))
        for each in (entries, entries[::-1])
    }
    assert len(found) == 1


def test_what_a_page_weighs() -> None:
    """Payloads as JSON, shapes and components of both stores; also of points that only one has."""
    vector = np.zeros(10, np.float32)
    alone = compare(rows_of([(({"a": 1}, {"": vector}), None)]))
    both = compare(rows_of([(({"a": 1}, {"": vector}),) * 2]))
    assert (alone.bytes, both.bytes) == (61, 122)
    assert alone.differing == [(encode_key(0), (Kind.MISSING,))]


def _sparse(entries: list[tuple[int, float]]) -> SparseVector:
    indices, values = zip(*entries, strict=True)
    return SparseVector(np.array(indices, np.uint32), np.array(values, np.float32))
