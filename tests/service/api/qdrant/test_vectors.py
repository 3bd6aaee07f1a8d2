"""Vectors of a write become arrays."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api.qdrant.vectors import parse_columns, parse_vectors
from service.errors import RequestError
from service.model.points import SparseVector

PLACE = ("points", 0, "vector")


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False) | st.integers(-9, 9)))
def test_dense(numbers: list[float]) -> None:
    """A bare list is the unnamed vector in float32; integers are numbers too."""
    (vector,) = parse_vectors(numbers, PLACE).values()
    assert isinstance(vector, np.ndarray)
    assert vector.dtype == np.float32
    assert vector.tolist() == [float(n) for n in numbers]


def test_named_kinds() -> None:
    """Dense, sparse and multivectors are told apart by their form."""
    vectors = parse_vectors(
        {"d": [1, 2], "s": {"indices": [7, 3], "values": [1, 0.5]}, "m": [[1, 2], [3, 4], [5, 6]]},
        PLACE,
    )
    sparse = vectors["s"]
    assert isinstance(sparse, SparseVector)
    assert sparse.indices.dtype == np.uint32
    assert sparse.indices.tolist() == [7, 3]
    assert sparse.values.tolist() == [1.0, 0.5]
    assert np.shape(vectors["m"]) == (3, 2)  # type: ignore[arg-type]


def test_columns() -> None:
    """A column per vector name is turned into a point per row."""
    rows = parse_columns({"a": [[1], [2]], "b": [[3], [4]]}, 2, ("batch", "vectors"))
    assert [{name: v.tolist() for name, v in row.items()} for row in rows] == [  # type: ignore[union-attr]
        {"a": [1.0], "b": [3.0]},
        {"a": [2.0], "b": [4.0]},
    ]


FORMAT = "Format error in JSON body: points[0].vector"
VALIDATION = "Validation error in JSON body: "


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ("abc", f"{FORMAT}: expected a vector or an object of vectors"),
        ([1, "2"], f"{FORMAT}: expected a list of numbers"),
        ([1, True], f"{FORMAT}: expected a list of numbers"),
        ([1, None], f"{FORMAT}: expected a list of numbers"),
        ([1e39], f"{FORMAT}: a number is out of the range of 32-bit floats"),
        ([[1], 2], f"{FORMAT}[1]: expected a list of numbers"),
        ([[1], [2, 3]], f"{VALIDATION}[data: all vectors must have the same dimension]"),
        ([[1], []], f"{VALIDATION}[data: all vectors must be non-empty]"),
        ({"a": 3}, f"{FORMAT}.a: expected a dense, sparse or multivector"),
        (
            {"a": {"indices": [1, 1], "values": [1, 2]}},
            f"{VALIDATION}[points[0].vector.a.indices: must be unique]",
        ),
        (
            {"a": {"indices": [1], "values": [1, 2]}},
            f"{VALIDATION}[points[0].vector.a.values: must be the same length as indices]",
        ),
        (
            {"a": {"indices": [-1], "values": [1]}},
            f"{FORMAT}.a.indices: expected integers of 32 bits",
        ),
        (
            {"text": "hello", "model": "m"},
            (
                "Not implemented: points[0].vector asks for server-side inference, "
                "which is not available"
            ),
        ),
        (
            {"a": {"image": "x", "model": "m"}},
            (
                "Not implemented: points[0].vector.a asks for server-side inference, "
                "which is not available"
            ),
        ),
    ],
)
def test_refusals(raw: Any, text: str) -> None:
    """What is no vector is refused with its place."""
    with pytest.raises(RequestError) as caught:
        parse_vectors(raw, PLACE)
    assert str(caught.value) == text


def test_vectors_may_be_called_model_and_text() -> None:
    """Two named vectors with these names are not a request for inference."""
    assert set(parse_vectors({"model": [1], "text": [2]}, PLACE)) == {"model", "text"}


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"a": [[1]]}, "number of ids and vectors must be equal (2 != 1)"),
        ({"a": 1}, "batch.vectors.a: expected a list of vectors"),
        (7, "batch.vectors: expected a list, or an object of lists"),
    ],
)
def test_refusals_in_columns(raw: Any, text: str) -> None:
    """A column of another length, or none at all."""
    with pytest.raises(RequestError) as caught:
        parse_columns(raw, 2, ("batch", "vectors"))
    assert text in str(caught.value)
