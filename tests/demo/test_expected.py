"""Tests of the data that the clients were told."""

import numpy as np

from tests.demo.check import Differs, differences
from tests.demo.expected import expected_contents, without_doubtful
from tests.demo.memory import Memory

VECTOR = np.array([0.6, 0.8], dtype=np.float32)


def test_a_lost_and_a_resurrected_point_differ_from_what_was_told() -> None:
    """All clients' points together are what a store must hold, no more and no less."""
    one, two = Memory("client_0"), Memory("client_1")
    one.hold("c", 1, {"a": 1}, VECTOR)
    two.hold("c", 2, {"a": 2}, VECTOR)
    both = expected_contents([one, two], "c")
    one.delete("c", [1])
    two.hold("c", 3, {"a": 3}, VECTOR)
    found = differences(expected_contents([one, two], "c"), both)
    assert [(difference.id, difference.differs) for difference in found] == [
        (1, Differs.EXTRA),
        (3, Differs.MISSING),
    ]


def test_doubtful_points_are_left_out_on_both_sides() -> None:
    """A write that failed for the client may have happened."""
    memory = Memory("client_0")
    memory.hold("c", 1, {}, VECTOR)
    stored = expected_contents([memory], "c")
    memory.doubt("c", [1])
    assert expected_contents([memory], "c") == {}
    assert without_doubtful(stored, [memory], "c") == {}
