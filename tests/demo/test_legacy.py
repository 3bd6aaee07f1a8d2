"""Tests of the legacy data."""

from collections import Counter

import numpy as np

from tests.demo.corpus import Chunk
from tests.demo.legacy import collections, legacy_points, point_id

CHUNKS = [Chunk(f"doc/{at // 50}", at % 50, "someone", f"text {at}") for at in range(1_000)]
VECTORS = {chunk.text: np.ones(2, dtype=np.float32) for chunk in CHUNKS}


def test_every_chunk_becomes_one_point_of_its_own() -> None:
    """Nothing is dropped, and no id is used twice in a collection."""
    points = legacy_points(CHUNKS, VECTORS)
    assert len({(point.collection, point.id) for point in points}) == len(CHUNKS)
    assert {point.payload["text"] for point in points} == VECTORS.keys()


def test_the_points_are_dealt_evenly_to_five_users() -> None:
    """Every collection has its share."""
    counts = Counter(point.collection for point in legacy_points(CHUNKS, VECTORS))
    assert counts == dict.fromkeys(collections(), 200)


def test_both_kinds_of_id_occur_and_are_stable() -> None:
    """Integers and UUIDs are both migrated, and a second run writes the same ids."""
    kinds = {type(point_id(name, 7)) for name in collections()}
    assert kinds == {int, str}
    assert legacy_points(CHUNKS, VECTORS)[50].id == legacy_points(CHUNKS, VECTORS)[50].id
