"""Tests of the independent check."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.model.ids import encode_key, parse_point_id
from tests.demo.check import Contents, Differs, Stored, canonical, differences, id_of_key

VECTOR = np.array([0.6, 0.8], dtype=np.float32)


def stored(payload: object = None, vector: object = VECTOR) -> Stored:
    """Return a point as a store would hold it."""
    return Stored(canonical(payload), None if vector is None else np.asarray(vector, np.float32))


def test_equal_contents_do_not_differ() -> None:
    """Key order does not matter, nor do vectors that differ by rounding."""
    one: Contents = {1: stored({"a": 1, "b": [1, 2]}), "x": stored(vector=None)}
    other: Contents = {
        1: stored({"b": [1, 2], "a": 1}, VECTOR + np.float32(5e-7)),
        "x": stored(vector=None),
    }
    assert differences(one, other) == []


def test_a_missing_and_an_extra_point_are_found() -> None:
    """Each side's surplus has its own name."""
    found = differences({1: stored(), 2: stored()}, {2: stored(), 3: stored()})
    assert [(difference.id, difference.differs) for difference in found] == [
        (1, Differs.MISSING),
        (3, Differs.EXTRA),
    ]


@pytest.mark.parametrize(
    "payload", [{"a": 2}, {}, {"a": "1"}, {"a": True}, {"a": 1.0}, {"a": 1, "b": None}, {"a": [1]}]
)
def test_any_change_of_a_payload_is_found(payload: object) -> None:
    """Also those that Python's own equality would let through."""
    (found,) = differences({1: stored({"a": 1})}, {1: stored(payload)})
    assert found.differs is Differs.PAYLOAD


@pytest.mark.parametrize("vector", [[0.6, 0.800002], [0.8, 0.6], None, [0.6], [0.6, float("nan")]])
def test_any_change_of_a_vector_is_found(vector: object) -> None:
    """More than the tolerance, no vector, another shape, and not a number."""
    (found,) = differences({1: stored()}, {1: stored(vector=vector)})
    assert found.differs is Differs.VECTOR


def test_an_integer_and_a_uuid_of_the_same_bits_are_two_points() -> None:
    """The two kinds of id never meet."""
    uuid = "00000000-0000-0000-0000-000000000001"
    assert len(differences({1: stored()}, {uuid: stored()})) == 2


@given(st.one_of(st.integers(0, 2**64 - 1), st.uuids().map(str)))
def test_keys_are_decoded_as_they_were_encoded(point_id: int | str) -> None:
    """The hand-made decoding agrees with the product's encoding."""
    assert id_of_key(encode_key(parse_point_id(point_id))) == point_id


@pytest.mark.parametrize("key", [b"\x02" + bytes(16), b"\x00" + bytes(8), b"\x01"])
def test_what_is_not_a_key_is_refused(key: bytes) -> None:
    """A wrong kind or length is an error, not a point."""
    with pytest.raises(ValueError, match="not a key"):
        id_of_key(key)
