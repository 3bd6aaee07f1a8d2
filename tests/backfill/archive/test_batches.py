"""Sizes of batches and pages, and the files of an import."""

from pathlib import Path

import numpy as np

from backfill.archive.batches import BatchSize, halves
from backfill.archive.checking import Place
from backfill.archive.destination import Destination
from backfill.archive.landing import Landed, Landing, Refusal
from backfill.archive.reading import PAGE_BYTES, fitting, size_of
from service.model.points import Point, SparseVector

POINTS = [Point(n, {"": np.zeros(100, np.float32)}, {}) for n in range(10)]


def test_a_batch_is_bounded_by_points_and_bytes_and_never_empty() -> None:
    """A point that is larger than all bounds goes alone."""
    assert len(BatchSize(bytes=1 << 20, points=4).take(POINTS, 0)) == 4
    assert len(BatchSize(bytes=1_000, points=100).take(POINTS, 3)) == 2
    assert [p.id for p in BatchSize(bytes=1, points=100).take(POINTS, 9)] == [9]
    assert len(BatchSize().take(POINTS, 8)) == 2


def test_it_follows_the_time_that_a_batch_takes() -> None:
    """Within bounds."""
    size = BatchSize()
    assert size.after(0.5) == size
    assert size.after(0.01).bytes > size.bytes > size.after(3.0).bytes
    for _ in range(50):
        size = size.after(0.01)
    assert size == BatchSize(4 << 20, 2_000)
    for _ in range(50):
        size = size.after_refusal()
    assert size == BatchSize(64 << 10, 1)
    assert size.after(0.01).points == 2


def test_halves_are_all_of_it() -> None:
    """In order."""
    first, second = halves(POINTS[:5])
    assert [*first, *second] == POINTS[:5]
    assert len(first) == 2


def test_pages_have_about_the_same_bytes() -> None:
    """Large points come one by one, small ones by a bounded number."""
    assert fitting(10, 10 * PAGE_BYTES) == 1
    assert fitting(10, 10) == 2_000
    assert fitting(100, PAGE_BYTES // 2) == 200
    sparse = SparseVector(np.zeros(5, np.uint32), np.zeros(5, np.float32))
    assert size_of(Point(1, {"s": sparse}, {})) == 42


def test_progress_is_of_one_export_and_refusals_are_reported_once(tmp_path: Path) -> None:
    """What a killed import wrote behind its last state is cut off; another export begins anew."""
    landing = Landing(tmp_path, Destination("target", "postgresql://x/y", "things"))
    first = landing.refuse(Landed("abc", place=Place(1, 5), written=4), [Refusal(7, "why")])
    landing.save(first)
    landing.refuse(first, [Refusal(8, "killed before this was saved")])
    assert len(landing.refused()) == 2
    assert landing.load("abc") == first
    assert landing.refused() == [Refusal(7, "why")]
    assert landing.load("another") == Landed("another")
    assert landing.refused() == []
