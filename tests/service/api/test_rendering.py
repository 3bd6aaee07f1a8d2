"""Points as JSON."""

import numpy as np
import orjson
import pytest

from service.api.envelope import dumps
from service.api.rendering import hit_json, hits_json, page_json, record_json
from service.model.columns import HitColumns, RecordColumns
from service.model.points import Hit, Page, Record, SparseVector, Vectors

DENSE = np.array([0.6, 0.8], dtype=np.float32)


def _json(value: object) -> object:
    return orjson.loads(dumps(value))


def test_what_was_not_asked_for_is_absent() -> None:
    """A record without payload and vectors has only its id."""
    assert _json(record_json(Record(7))) == {"id": 7}


@pytest.mark.parametrize(
    ("vectors", "expected"),
    [
        ({"": DENSE}, [0.6, 0.8]),
        ({"a": DENSE}, {"a": [0.6, 0.8]}),
        ({}, {}),
        ({"m": np.stack([DENSE, DENSE])}, {"m": [[0.6, 0.8], [0.6, 0.8]]}),
        ({"": DENSE, "a": DENSE}, {"": [0.6, 0.8], "a": [0.6, 0.8]}),
        (
            {"s": SparseVector(np.array([3], dtype=np.uint32), DENSE[:1])},
            {"s": {"indices": [3], "values": [0.6]}},
        ),
        ({"gaps": np.array([0.6, 9, 0.8, 9], dtype=np.float64)[::2]}, {"gaps": [0.6, 0.8]}),
    ],
)
def test_vectors(vectors: Vectors, expected: object) -> None:
    """The unnamed vector is a bare list, named ones an object, none at all ``{}``."""
    assert _json(record_json(Record("a", {}, vectors))) == {
        "id": "a",
        "payload": {},
        "vector": expected,
    }


def test_a_score_is_a_float32() -> None:
    """A score that was computed in 64 bits is printed as the float32 it stands for."""
    hit = hit_json(Hit(1, 0.6000000238418579, version=3))
    assert dumps(hit) == b'{"id":1,"version":3,"score":0.6}'


def test_the_last_page_has_no_next() -> None:
    """``next_page_offset`` is null on the last page and an id before."""
    assert _json(page_json(Page([], None))) == {"points": [], "next_page_offset": None}
    assert _json(page_json(Page([Record(1)], 2))) == {
        "points": [{"id": 1}],
        "next_page_offset": 2,
    }


@pytest.mark.parametrize(
    "columns",
    [
        RecordColumns([1, "x"]),
        RecordColumns([1, "3d0f4b6e-5c1a-4b2e-8f3d-0a1b2c3d4e5f"], [b'{"a": "},{"}', b"{}"]),
        RecordColumns([2**64 - 1], [b'{"a": 1}']),
        RecordColumns([1, 2], [b'{"a": [1, {"b": "\xc3\xa9"}]}', b"{}"]),
        RecordColumns([1, 2], [b"{}", b"{}"], {"": [DENSE, None]}),
        RecordColumns([1, 2], None, {"": [DENSE, DENSE], "m": [np.stack([DENSE, DENSE]), None]}),
        RecordColumns([1, 2], None, {}),
        RecordColumns([]),
    ],
)
def test_columns_are_written_as_their_records(columns: RecordColumns) -> None:
    """A payload is passed through, and a point without a vector has the same ``{}``."""
    assert _json(page_json(Page(columns, None))) == _json(page_json(Page(list(columns), None)))


@pytest.mark.parametrize(
    "columns",
    [
        HitColumns([1, "x"], [0.1, -2.5], [3, 4]),
        HitColumns([1, 2], [0.1, 0.0], [3, 4], [b'{"a": [1, {"b": "\xc3\xa9"}]}', b"{}"]),
        HitColumns([1, 2], [1.0, 0.5], [3, 4], [b"{}", b"{}"], {"": [DENSE, None]}),
        HitColumns([1, 2], [1.0, 0.5], [3, 4], None, {"": [DENSE, DENSE], "m": [DENSE, None]}),
        HitColumns([], [], []),
    ],
)
def test_columns_are_written_as_their_hits(columns: HitColumns) -> None:
    """The score is rounded to float32 in both."""
    assert _json(hits_json(columns)) == _json([hit_json(hit) for hit in columns])
    assert _json(hits_json(list(columns))) == _json(hits_json(columns))


def test_the_value_that_a_point_was_ordered_by() -> None:
    """An integer stays one, a float is written with all its digits."""
    assert dumps(record_json(Record(1, order_value=2**63 - 1))) == (
        b'{"id":1,"order_value":9223372036854775807}'
    )
    assert dumps(record_json(Record(1, {}, order_value=0.1))) == (
        b'{"id":1,"payload":{},"order_value":0.1}'
    )
    assert _json(hit_json(Hit(1, 1.0, order_value=0))) == {
        "id": 1,
        "version": 0,
        "score": 1.0,
        "order_value": 0,
    }
