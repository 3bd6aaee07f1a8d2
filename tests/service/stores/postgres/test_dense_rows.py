"""Many vectors at once come out as each would by itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from service.model.points import FloatArray, SparseVector
from service.model.qdrant import Datatype, Distance
from service.stores.configuration import VectorKind, VectorSpec
from service.stores.postgres.dense_rows import dense_rows
from service.stores.postgres.vector_tables import VectorTable
from service.stores.postgres.vectors import stored
from service.translate.sql import Identifier

SIZE = 5


def table(
    distance: Distance, datatype: Datatype, kind: VectorKind = VectorKind.DENSE
) -> VectorTable:
    """Return the table of a small vector."""
    spec = VectorSpec(size=SIZE, distance=distance, datatype=datatype, kind=kind)
    return VectorTable("v", Identifier(("vecferry_data", "vectors_1_0")), spec, "public")


components = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = arrays(np.float32, SIZE, elements=components) | arrays(
    np.float32, SIZE, elements=st.floats(-1, 1, width=32)
).filter(lambda v: np.dot(v, v) > 1e-3).map(lambda v: v / np.sqrt(np.dot(v, v)))


@pytest.mark.parametrize("datatype", [Datatype.FLOAT32, Datatype.FLOAT16, Datatype.UINT8])
@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.EUCLID])
@given(rows=st.lists(vectors, min_size=1, max_size=6))
def test_rows_are_as_single_vectors(
    distance: Distance, datatype: Datatype, rows: list[FloatArray]
) -> None:
    """Bit by bit, normalised where the one is, cut and rounded alike."""
    where = table(distance, datatype)
    with np.errstate(over="ignore"):
        ready = dense_rows(where, rows)
        assert ready is not None
        for one, row in zip(ready, rows, strict=True):
            alone = stored(where, row, copied=True)
            assert not isinstance(alone, SparseVector | tuple)
            assert bytes(one.to_binary()) == alone.to_binary()


def test_what_does_not_fit_is_left_to_the_single_vectors() -> None:
    """They say what is wrong with it."""
    where = table(Distance.DOT, Datatype.FLOAT32)
    good = np.ones(SIZE, np.float32)
    sparse = SparseVector(np.array([1], np.uint32), np.ones(1, np.float32))
    assert dense_rows(where, [good]) is not None
    assert dense_rows(where, []) is None
    for bad in (np.ones(SIZE + 1, np.float32), np.ones((1, SIZE), np.float32), sparse):
        assert dense_rows(where, [good, bad]) is None
    assert dense_rows(table(Distance.DOT, Datatype.FLOAT32, VectorKind.MULTI), [good]) is None
