"""What can be told of a write around the proxy: from remembered points, and from counts of a quiet moment."""

from collections.abc import Mapping

import numpy as np
import pytest

from backfill.bypass import Memory, Mismatch, TargetCount, Watched, count_both
from service.model.points import Record, SparseVector
from service.stages import Side
from tests.backfill.fakes import Shelf, point

WATCHED = Watched("c", 1, 3)
KEY = b"\x00" * 16 + b"\x07"


def record(number: float = 1.0, **payload: object) -> Record:
    """Return a point as a store has it."""
    return Record(7, payload, {"": np.array([number], np.float32)})


@pytest.mark.parametrize(
    ("source", "target", "side"),
    [
        (record(2.0), record(), Side.SOURCE),
        (None, record(), Side.SOURCE),
        (record(), record(n=1), Side.TARGET),
        (record(), None, Side.TARGET),
        (record(2.0), record(3.0), None),
        (record(), record(), None),
    ],
)
def test_a_store_is_named_where_the_other_is_as_before(
    source: Record | None, target: Record | None, side: Side | None
) -> None:
    """Where both changed, or neither, nobody is named."""
    memory = Memory()
    memory.equal(1, KEY, record(), record())
    assert memory.changed(1, KEY, source, target) is side
    assert memory.changed(2, KEY, source, target) is None


def test_each_store_is_compared_with_itself() -> None:
    """Equal points of two stores may differ in their last digits, and in the order of a sparse vector."""
    one = Record(7, {}, {"": SparseVector(np.array([1], np.uint32), np.array([1.0], np.float32))})
    other = Record(7, {}, {"": SparseVector(np.array([1], np.uint32), np.array([2.0], np.float32))})
    memory = Memory()
    memory.equal(1, KEY, one, other)
    assert memory.changed(1, KEY, one, one) is Side.TARGET
    assert memory.changed(1, KEY, other, other) is Side.SOURCE


def test_memory_is_bounded() -> None:
    """The longest unseen go first, and they are the first to be looked at again."""
    memory = Memory(most=3)
    for number in (1, 2, 3, 1, 4):
        memory.equal(1, bytes([number]), record(), record())
    assert len(memory) == 3
    assert memory.longest_unseen(1, 2) == [b"\x03", b"\x01"]
    assert memory.longest_unseen(2, 2) == []


class Fake:
    """A witness that answers from a list of counts."""

    def __init__(self, *counts: TargetCount, quiet: Mapping[int, bool], quarantined: int) -> None:
        self.counts = list(counts)
        self.quiet = quiet
        self.listed = quarantined
        self.asked = 0

    async def count(self, generation: int) -> TargetCount | None:
        return self.counts.pop(0) if self.counts else None

    async def is_quiet(self, watched: Watched) -> bool:
        self.asked += 1
        return self.quiet.get(self.asked, True)

    async def quarantined(self, generation: int) -> int:
        return self.listed


QUIET = TargetCount(10, 12, "99")


@pytest.mark.parametrize(
    ("points", "counts", "quiet", "quarantined", "wanted"),
    [
        (10, (QUIET, QUIET), {}, 0, True),
        (11, (QUIET, QUIET), {}, 0, Mismatch(11, 10)),
        (9, (QUIET, QUIET), {}, 0, Mismatch(9, 10)),
        (11, (QUIET, QUIET), {}, 1, True),
        (12, (QUIET, QUIET), {}, 1, Mismatch(12, 10)),
        (9, (QUIET, QUIET), {}, 5, Mismatch(9, 10)),
        # A write was settled in between, or is on its way: the counts are not of one moment.
        (11, (QUIET, TargetCount(11, 13, "120")), {}, 0, False),
        (11, (QUIET, TargetCount(10, 12, "100")), {}, 0, False),
        (11, (QUIET, QUIET), {1: False}, 0, False),
        (11, (QUIET, QUIET), {2: False}, 0, False),
        (11, (), {}, 0, False),
    ],
)
async def test_counts_prove_something_of_a_quiet_moment_only(
    points: int,
    counts: tuple[TargetCount, ...],
    quiet: dict[int, bool],
    quarantined: int,
    wanted: Mismatch | bool,
) -> None:
    """The quarantine explains as many missing points as it lists."""
    witness = Fake(*counts, quiet=quiet, quarantined=quarantined)
    shelf = Shelf(point(each) for each in range(points))
    assert await count_both(shelf, witness, WATCHED) == wanted
