"""When two points are equal."""

from decimal import Decimal

import numpy as np
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backfill.canonical import (
    Kind,
    canonical,
    differences,
    same_json,
    same_vector,
    text,
)
from service.model.points import Record, SparseVector

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=8,
)


def dense(*numbers: float) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
    """Return a float32 vector."""
    return np.array(numbers, dtype=np.float32)


def sparse(indices: list[int], values: list[float]) -> SparseVector:
    """Return a sparse vector."""
    return SparseVector(np.array(indices, dtype=np.uint32), np.array(values, dtype=np.float32))


@given(JSON)
def test_a_value_equals_itself_with_its_keys_in_another_order(value: object) -> None:
    """Printing with sorted keys and reading back changes nothing that counts."""
    again = orjson.loads(orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
    assert same_json(value, again)


SMALL = st.recursive(
    st.sampled_from([None, True, False, 0, 1, 0.5, 1.0, "", "1"]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2)
    ),
    max_leaves=3,
)


@given(SMALL, SMALL)
def test_equality_is_what_the_canonical_text_says(one: object, other: object) -> None:
    """Two values are equal exactly when their texts with sorted keys are."""
    texts = {orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for value in (one, other)}
    assert same_json(one, other) is (len(texts) == 1)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1, True),
        (1, 1.0, False),
        (1, True, False),
        (0, False, False),
        (1e16, 10**16, True),
        (0.0, -0.0, True),
        ("1", 1, False),
        (None, 0, False),
        (None, False, False),
        ([1, 2], [2, 1], False),
        ({"a": 1}, {"a": 1, "b": None}, False),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1.0}]}, False),
        ([], {}, False),
    ],
)
def test_json_values(one: object, other: object, expected: bool) -> None:
    """Types count as far as Qdrant's filters and jsonb keep them."""
    assert same_json(one, other) is expected
    assert same_json(other, one) is expected


def test_vectors_of_length_one_may_be_normalised_once_more() -> None:
    """A few units in the last place are no difference, ten times as much is one."""
    base = dense(0.6, 0.8, 0.0)
    assert same_vector(base, base + dense(0.0, 5e-7, 0.0))
    assert not same_vector(base, base + dense(0.0, 5e-6, 0.0))
    rows = np.array([[0.6, 0.8], [0.0, 0.0]], np.float32)
    assert same_vector(rows, rows + np.array([[0.0, 5e-7], [0.0, 0.0]], np.float32))
    assert not same_vector(rows, rows + np.array([[0.0, 0.0], [0.0, 5e-7]], np.float32))


@pytest.mark.parametrize("scale", [1e-6, 0.5, 1e6, 1e38])
def test_other_vectors_are_compared_exactly(scale: float) -> None:
    """Nobody normalises them: beside a large component a small one may not change unseen."""
    base = dense(scale, scale / 3, 0.0)
    assert same_vector(base, base.copy())
    assert not same_vector(base, np.nextafter(base, np.float32(0.0)))
    assert not same_vector(dense(1.7e9, 1.0), dense(1.7e9, 0.0))
    assert not same_vector(sparse([1, 2], [1e9, 1.0]), sparse([1, 2], [1e9, 2.0]))


def test_float16_vectors_of_length_one_may_be_normalised_once_more() -> None:
    """By Qdrant, when it is sent what it had stored: a component may then be one unit further."""
    stored = np.array([0.447265625, 0.89453125], np.float32)
    unit = 2.0**-11
    assert same_vector(stored, stored + dense(0.0, unit))
    assert not same_vector(stored, stored + dense(0.0, 3 * unit))
    assert not same_vector(2 * stored, 2 * stored + dense(0.0, 2 * unit))
    assert not same_vector(stored + dense(0.0, 1e-5), stored + dense(0.0, unit))


def test_vectors_of_different_shapes_differ() -> None:
    """A dimension, or a row of a multivector, more or less is a difference."""
    assert not same_vector(dense(1.0), dense(1.0, 0.0))
    assert not same_vector(np.zeros((2, 2), np.float32), np.zeros((1, 2), np.float32))


def test_zero_vectors_are_equal() -> None:
    """Nothing has a largest component of zero and still equals itself only."""
    assert same_vector(dense(0.0, 0.0), dense(0.0, -0.0))
    assert not same_vector(dense(0.0, 0.0), dense(0.0, 1e-30))


def test_sparse_vectors_are_compared_by_index() -> None:
    """The order of the entries does not matter; an index or a value does."""
    assert same_vector(sparse([5, 1], [0.5, 0.1]), sparse([1, 5], [0.1, 0.5]))
    assert not same_vector(sparse([5, 1], [0.5, 0.1]), sparse([1, 5], [0.5, 0.1]))
    assert not same_vector(sparse([1], [0.1]), sparse([2], [0.1]))
    assert not same_vector(sparse([1], [0.1]), dense(0.1))


def test_the_kinds_of_difference() -> None:
    """A point may be missing, extra, or differ in payload, vectors or both."""
    base = Record(1, {"a": 1}, {"": dense(1.0)})
    assert differences(base, base) == ()
    assert differences(None, None) == ()
    assert differences(base, None) == (Kind.MISSING,)
    assert differences(None, base) == (Kind.EXTRA,)
    assert differences(base, Record(1, {"a": 2}, base.vectors)) == (Kind.PAYLOAD,)
    assert differences(base, Record(1, {"a": 1}, {})) == (Kind.VECTOR,)
    assert differences(base, Record(1, {}, {"": dense(2.0)})) == (Kind.PAYLOAD, Kind.VECTOR)


@given(JSON, JSON)
def test_equal_payloads_share_their_canonical_text(one: object, other: object) -> None:
    """And one that went through jsonb's way of writing numbers is equal to itself."""
    for value in (one, other):
        if same_json(value, _as_jsonb(value)):
            assert _canonical(value) == _canonical(_as_jsonb(value))
    if same_json(one, other):
        assert _canonical(one) == _canonical(other)


def _canonical(value: object) -> bytes:
    return canonical(text({"v": value}))


def _as_jsonb(value: object) -> object:
    """Return the value as it comes back from PostgreSQL: whole numbers beyond 1e16 have no exponent."""
    match value:
        case dict():
            return {key: _as_jsonb(each) for key, each in value.items()}
        case list():
            return [_as_jsonb(each) for each in value]
        case float() if value == 0:
            return 0.0
        case float() if 1e16 <= abs(value) < 1e19:
            return int(Decimal(repr(value)))
        case _:
            return value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (-0.0, 0.0),
        ([{"a": -0.0}], [{"a": 0.0}]),
        (1e16, 10**16),
        (2.0**60, 1152921504606847000),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
    ],
)
def test_values_that_are_equal_have_one_canonical_text(one: object, other: object) -> None:
    """However a number is written, and its text is kept apart from a string of the same digits."""
    assert same_json(one, other)
    assert _canonical(one) == _canonical(other)
    assert _canonical(str(one)) != _canonical(one)


@pytest.mark.parametrize("number", [1e16, 2.0**60, 1.5e18, 9.007199254740993e17, -3e17])
def test_a_float_is_the_whole_number_that_jsonb_makes_of_it(number: float) -> None:
    """It has the digits that the float was written with, and zeros."""
    written = _as_jsonb(number)
    assert isinstance(written, int)
    assert same_json(number, written)
    assert not same_json(number, written + 4096)
