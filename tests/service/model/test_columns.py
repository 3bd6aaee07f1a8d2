"""Records and hits in columns."""

import numpy as np

from service.model.columns import HitColumns, RecordColumns
from service.model.ids import PointId, decode_keys, encode_key

A, B = np.array([1, 2], dtype=np.float32), np.array([3], dtype=np.float32)


def test_a_record_is_put_together_when_it_is_looked_at() -> None:
    """By index, in slices and one after the other; a vector that a point lacks is not in its record."""
    columns = RecordColumns([1, "x"], [b'{"n": 1}', b"{}"], {"a": [A, None], "b": [None, B]})
    assert len(columns) == 2
    assert [(each.id, each.payload) for each in columns] == [(1, {"n": 1}), ("x", {})]
    assert columns[0].vectors == {"a": A}
    assert columns[-1].vectors == {"b": B}
    assert [each.id for each in columns[1:]] == ["x"]
    assert [each.vectors for each in columns[1:]] == [{"b": B}]


def test_a_hit_is_put_together_when_it_is_looked_at() -> None:
    """As a record is, with its score and version."""
    columns = HitColumns([1, "x"], [0.5, 0.25], [7, 8], [b'{"n": 1}', b"{}"], {"a": [A, None]})
    assert len(columns) == 2
    assert [(each.id, each.score, each.version, each.payload) for each in columns] == [
        (1, 0.5, 7, {"n": 1}),
        ("x", 0.25, 8, {}),
    ]
    assert [each.vectors for each in columns] == [{"a": A}, {}]
    assert [(each.id, each.score, each.version) for each in columns[1:]] == [("x", 0.25, 8)]
    [bare] = HitColumns([1], [0.5], [7])[:1]
    assert (bare.payload, bare.vectors) == (None, None)


def test_what_was_not_asked_for_is_none() -> None:
    """Also in a slice."""
    [record] = RecordColumns([1, 2])[:1]
    assert (record.payload, record.vectors, record.order_value) == (None, None, None)


def test_many_keys_are_decoded_as_one_is() -> None:
    """Integers up to 64 bits alone, and together with UUIDs."""
    integers: list[PointId] = [0, 1, 2**63, 2**64 - 1]
    mixed: list[PointId] = [*integers, "550e8400-e29b-41d4-a716-446655440000"]
    nothing: list[PointId] = []
    for ids in (nothing, integers, mixed):
        assert decode_keys([encode_key(each) for each in ids]) == ids
    assert {type(each) for each in decode_keys([encode_key(each) for each in integers])} == {int}
