"""Points and configurations of every kind, drawn by Hypothesis or fixed."""

from typing import Any
from uuid import UUID

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from service.model.ids import PointId, encode_key
from service.model.points import Point, SparseVector, VectorValue
from service.model.qdrant import (
    CreateCollection,
    Distance,
    Modifier,
    MultiVectorComparator,
    MultiVectorConfig,
    SparseVectorParams,
    VectorParams,
)

CONFIG = CreateCollection(
    vectors={
        "": VectorParams(size=3, distance=Distance.DOT),
        "text.a": VectorParams(size=2, distance=Distance.EUCLID),
        "rows": VectorParams(
            size=2,
            distance=Distance.DOT,
            multivector_config=MultiVectorConfig(comparator=MultiVectorComparator.MAX_SIM),
        ),
    },
    sparse_vectors={"words": SparseVectorParams(modifier=Modifier.IDF)},
)
"""One vector of each kind, none of them normalised by a store: what goes in comes out, bit by bit."""

ODD: tuple[dict[str, Any], ...] = (
    {},
    {"none": None, "nested": {"none": None, "list": [None, [], {}]}},
    {"big": 2**64 - 1, "small": -(2**63), "one": 1, "one point zero": 1.0},
    {"e": 1e22, "zero": -0.0, "least": 5e-324, "most": 1.7976931348623157e308, "third": 1 / 3},
    {"ü €": '\U0001f600 \u0001 \\ " \u2028', "": {"": ""}},
)

_FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
_TEXT = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_KEYS = st.text(_TEXT, max_size=8)
_STORED_FLOATS = st.integers(-(10**12), 10**12).map(lambda n: n / 1_000) | st.sampled_from(
    [1e22, -0.0, 1e-7, 0.1]
)
"""Qdrant's JSON parser may be one unit in the last place off where a float needs all of its seventeen digits."""


def _payloads(floats: st.SearchStrategy[float]) -> st.SearchStrategy[dict[str, Any]]:
    scalars = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | st.text(_TEXT)
    values = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=3),
        max_leaves=8,
    )
    return st.dictionaries(_KEYS, values, max_size=4)


ids = st.integers(0, 2**64 - 1) | st.builds(lambda n: str(UUID(int=n)), st.integers(0, 2**128 - 1))


def _dense(size: int) -> st.SearchStrategy[VectorValue]:
    return arrays.arrays(np.float32, size, elements=_FLOATS)


@st.composite
def _rows(draw: st.DrawFn) -> VectorValue:
    vector: VectorValue = draw(
        arrays.arrays(np.float32, (draw(st.integers(1, 3)), 2), elements=_FLOATS)
    )
    return vector


@st.composite
def _sparse(draw: st.DrawFn) -> VectorValue:
    indices = sorted(draw(st.sets(st.integers(0, 2**32 - 1), max_size=4)))
    values = draw(arrays.arrays(np.float32, len(indices), elements=_FLOATS))
    return SparseVector(np.array(indices, np.uint32), values)


_VECTORS = {"": _dense(3), "text.a": _dense(2), "rows": _rows(), "words": _sparse()}
vectors = st.fixed_dictionaries({}, optional=_VECTORS)


def points(most: int = 6) -> st.SearchStrategy[list[Point]]:
    """Points in id order, with any of the vectors of ``CONFIG``, or none."""
    return _points(most, _payloads(st.floats(allow_nan=False, allow_infinity=False)))


def stored_points(most: int = 6) -> st.SearchStrategy[list[Point]]:
    """The same, with floats that Qdrant does not change."""
    return _points(most, _payloads(_STORED_FLOATS))


@st.composite
def _points(draw: st.DrawFn, most: int, payloads: st.SearchStrategy[dict[str, Any]]) -> list[Point]:
    drawn = sorted(draw(st.sets(ids, max_size=most)), key=encode_key)
    return [Point(point_id, draw(vectors), draw(payloads)) for point_id in drawn]


def fixed(count: int) -> list[Point]:
    """Points with even integers and UUIDs in turn as ids, and all kinds of vectors and payloads among them."""
    rng = np.random.default_rng(5)
    return sorted((_fixed(number, rng) for number in range(count)), key=lambda p: encode_key(p.id))


def _fixed(number: int, rng: np.random.Generator) -> Point:
    point_id: PointId = number * 2 if number % 2 else str(UUID(int=number))
    indices = np.sort(rng.choice(2**32, number % 4, replace=False)).astype(np.uint32)
    every: dict[str, VectorValue] = {
        "": rng.standard_normal(3, dtype=np.float32),
        "text.a": np.array([-0.0, number], np.float32),
        "rows": rng.standard_normal((1 + number % 3, 2), dtype=np.float32),
        "words": SparseVector(indices, rng.standard_normal(len(indices), dtype=np.float32)),
    }
    kept = {name: value for at, (name, value) in enumerate(every.items()) if number % 5 != at}
    return Point(
        point_id, {} if number % 11 == 0 else kept, {**ODD[number % len(ODD)], "n": number}
    )


def exact(point: Point) -> tuple[object, ...]:
    """Return a value that is equal for the same bits of vectors and the same spelling of the payload."""
    return point.id, _spelled(point.payload), {n: _bits(v) for n, v in point.vectors.items()}


def _spelled(value: object) -> object:
    if isinstance(value, dict):
        return "object", {key: _spelled(each) for key, each in value.items()}
    return [_spelled(each) for each in value] if isinstance(value, list) else repr(value)


def _bits(vector: VectorValue) -> object:
    if isinstance(vector, SparseVector):
        return vector.indices.tobytes(), vector.values.tobytes()
    return vector.shape, vector.tobytes()
