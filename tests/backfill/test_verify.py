"""Proving equality while writes flow."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from backfill.canonical import Kind
from backfill.metrics import BackfillMetrics
from backfill.receipt import Receipt
from backfill.retry import Retry
from backfill.verify import Effort, Verification
from service.errors import SourceUnavailable, TargetUnavailable
from service.model.ids import PointId, encode_key
from tests.backfill.fakes import Shelf, point

AT_ONCE = Effort(page_size=3, recheck_seconds=0.0, rounds=2, retry=Retry(3, 0.0))

IDS = st.sets(st.integers(0, 12) | st.uuids().map(str), max_size=10)


async def verify(
    control: Shelf,
    candidate: Shelf,
    effort: Effort = AT_ONCE,
    registry: CollectorRegistry | None = None,
) -> Receipt:
    """Verify without waiting."""
    metrics = BackfillMetrics(registry or CollectorRegistry())
    return await Verification(control, candidate, metrics, effort).run("c", epoch=7)


async def test_equal_stores_are_clean() -> None:
    """All points are compared and the receipt says so."""
    points = [point(i, {"n": i}) for i in range(10)]
    receipt = await verify(Shelf(points), Shelf(points))
    assert receipt.is_clean
    assert (receipt.compared, receipt.control_points, receipt.candidate_points) == (10, 10, 10)


@given(IDS, IDS)
async def test_missing_and_extra_are_found_in_both_directions(
    ours: set[PointId], theirs: set[PointId]
) -> None:
    """Whatever ids the stores hold, exactly the symmetric difference is reported, in id order."""
    receipt = await verify(Shelf(map(point, ours)), Shelf(map(point, theirs)))
    found = [(entry.id, entry.kinds) for entry in receipt.confirmed]
    expected = [
        (i, (Kind.MISSING if i in ours else Kind.EXTRA,))
        for i in sorted(ours ^ theirs, key=encode_key)
    ]
    assert found == expected
    assert receipt.compared == len(ours | theirs)


async def test_every_kind_of_difference_is_found() -> None:
    """A payload, a vector, a missing and an extra point, each under its name and in the metrics."""
    control = [point(i, {"n": i}, 1.0, 0.0) for i in range(8)]
    candidate = [p for p in control if p.id not in {1, 3, 5}]
    candidate += [point(3, {"n": 3.5}, 1.0, 0.0), point(5, {"n": 5}, 0.9, 0.1), point(99)]
    registry = CollectorRegistry()
    receipt = await verify(Shelf(control), Shelf(candidate), registry=registry)
    assert {entry.id: entry.kinds for entry in receipt.confirmed} == {
        1: (Kind.MISSING,), 3: (Kind.PAYLOAD,), 5: (Kind.VECTOR,), 99: (Kind.EXTRA,),
    }  # fmt: skip
    assert not receipt.is_clean
    assert set(receipt.counts().values()) == {1}
    for kind in Kind:
        labels = {"kind": str(kind)}
        assert registry.get_sample_value("vecferry_verify_differences_total", labels) == 1


async def test_a_write_in_flight_is_no_difference() -> None:
    """An id that becomes equal before it is looked at again is settled."""
    control, candidate = (
        Shelf([point(1, {"v": 2}), point(2)]),
        Shelf([point(1, {"v": 1}), point(3)]),
    )

    def settle() -> None:
        candidate.points[1] = point(1, {"v": 2})
        candidate.points[2] = point(2)
        candidate.points.pop(3, None)

    candidate.before_retrieve = settle
    receipt = await verify(control, candidate)
    assert receipt.is_clean
    assert receipt.rechecked == 3


async def test_a_point_that_never_rests_is_unsettled() -> None:
    """An id that is written between all looks is not called a difference, and not clean either."""
    control, candidate = Shelf([point(1, {"v": 0})]), Shelf([point(1, {"v": -1})])
    version = 0

    def write() -> None:
        nonlocal version
        version += 1
        control.points[1] = point(1, {"v": version})

    control.before_retrieve = write
    receipt = await verify(control, candidate)
    assert receipt.confirmed == []
    assert [entry.id for entry in receipt.unsettled] == [1]
    assert not receipt.is_clean


async def test_without_a_second_look_nothing_is_confirmed() -> None:
    """One look at two stores cannot tell a difference from a write in flight."""
    receipt = await verify(Shelf([point(1)]), Shelf(), Effort(rounds=0, retry=Retry(1)))
    assert (receipt.confirmed, len(receipt.unsettled)) == ([], 1)


async def test_too_many_differences_end_the_reading() -> None:
    """Against an empty store the run stops early and says that it did."""
    effort = Effort(page_size=3, recheck_seconds=0.0, rounds=1, most_suspects=4)
    control = Shelf(point(i) for i in range(100))
    receipt = await verify(control, Shelf(), effort)
    assert not receipt.complete
    assert not receipt.is_clean
    assert len(receipt.confirmed) == 4
    assert receipt.not_checked[0].startswith("Ids after 3")
    assert control.scrolls < 5


async def test_an_outage_is_waited_for() -> None:
    """Failures of either store within the tries change nothing."""
    control, candidate = Shelf([point(1)]), Shelf([point(1)])
    control.failures = [SourceUnavailable("is down")] * 2
    candidate.failures = [TargetUnavailable("is down")] * 2
    assert (await verify(control, candidate)).is_clean


async def test_a_lasting_outage_is_an_error() -> None:
    """A store that stays away ends the run without a receipt."""
    control = Shelf([point(1)])
    control.failures = [SourceUnavailable("is down")] * 3
    with pytest.raises(SourceUnavailable):
        await verify(control, Shelf([point(1)]))


async def test_the_receipt_as_json_is_bounded() -> None:
    """Counts are whole, the list of ids is cut, and everything prints."""
    receipt = await verify(Shelf(point(i) for i in range(20)), Shelf())
    document = orjson.loads(orjson.dumps(receipt.to_json(most_listed=5)))
    assert document["differing"] == document["counts"]["missing"] == 20
    assert [entry["id"] for entry in document["differing_ids"]] == [0, 1, 2, 3, 4]
    assert (document["clean"], document["epoch"]) == (False, 7)
    assert document["not_checked"]
