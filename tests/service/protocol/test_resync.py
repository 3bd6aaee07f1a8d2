"""The resyncer: what it settles, when, and what it leaves."""

import asyncio
import time
from dataclasses import replace
from uuid import uuid4

import pytest

from service.errors import (
    CollectionNotFound,
    SourceUnavailable,
    StoreAnswered,
    TargetUnavailable,
    VecferryError,
)
from service.metrics import ProxyMetrics
from service.protocol import lanes, resync, suspects, sweep
from service.protocol.ledger import Intent, Settled
from service.protocol.resync import Resyncer
from service.protocol.suspects import Looked
from service.stages import Side
from tests.service.protocol.conftest import GRACE_SECONDS
from tests.service.protocol.fakes import Fault, MemoryLog, MemorySource, entry, intent
from tests.service.running import running, until

_SOON = GRACE_SECONDS / 4


def committed(log: MemoryLog, resyncer: Resyncer, *intents: Intent) -> None:
    """Open intents and put them into the ledger, as a request does before it asks the source."""
    for each in intents:
        resyncer.opened(each)
        log.rows[each.id] = each


def failing_for(bad: int, error: VecferryError) -> Fault:
    """Return a fault of everything that contains one id."""
    return lambda ids: error if bad in ids else None


async def test_an_ended_write_is_settled_at_once(log: MemoryLog, at_work: Resyncer) -> None:
    """A known end leads to a resync, an empty ledger and an idle resyncer."""
    write = intent(1)
    committed(log, at_work, write)
    at_work.ended(entry(write))
    assert await at_work.settled(entry(write), seconds=5)
    assert not log.rows
    assert at_work.is_idle
    assert not at_work._settled


async def test_an_open_request_is_never_settled(log: MemoryLog, at_work: Resyncer) -> None:
    """The sweep passes by an intent whose request has no end yet (R2), and takes it when it has one."""
    write = intent(1)
    committed(log, at_work, write)
    await asyncio.sleep(_SOON)
    assert not log.settled
    at_work.ended(entry(write))
    await until(lambda: log.settled == [{write.id}])


async def test_the_neighbours_of_an_open_request_are_settled_alone(
    log: MemoryLog, at_work: Resyncer
) -> None:
    """Two writes on the same id: the end of one does not settle the other (R2)."""
    open_write, ended = intent(1), intent(1)
    committed(log, at_work, open_write, ended)
    at_work.ended(entry(ended))
    await until(lambda: log.settled)
    assert set(log.rows) == {open_write.id}


async def test_an_unknown_outcome_waits_for_grace_and_barrier(
    log: MemoryLog, journal: list[str], at_work: Resyncer
) -> None:
    """A write that may still land is read only after it cannot any more (R1)."""
    write = intent(1)
    committed(log, at_work, write)
    began = time.monotonic()
    at_work.suspected(entry(write))
    await until(lambda: log.settled)
    assert time.monotonic() - began >= GRACE_SECONDS
    assert journal == ["barrier", "settled"]
    assert at_work.is_idle


async def test_a_queued_write_waits_for_the_barrier_only(
    log: MemoryLog, source: MemorySource, journal: list[str], at_work: Resyncer
) -> None:
    """A write in Qdrant's queue is read after a barrier on its ids, without the grace period."""
    write = intent(7, 8)
    committed(log, at_work, write)
    at_work._grace_seconds = 60
    at_work.queued(entry(write))
    await until(lambda: log.settled)
    assert journal == ["barrier", "settled"]
    assert source.barriers == [{7, 8}]


async def test_a_failed_barrier_keeps_the_intent(
    log: MemoryLog, source: MemorySource, at_work: Resyncer
) -> None:
    """While the source does not answer nothing is settled; the sweep does not take the intent either."""
    write = intent(1)
    committed(log, at_work, write)
    source.barrier_fault = failing_for(1, SourceUnavailable("is away"))
    at_work.queued(entry(write))
    await asyncio.sleep(_SOON)
    assert not log.settled
    source.barrier_fault = lambda _: None
    await until(lambda: log.settled == [{write.id}])


async def test_a_suspect_that_fails_does_not_stop_the_sweep(
    log: MemoryLog, source: MemorySource, at_work: Resyncer
) -> None:
    """A collection whose barrier fails holds up neither other suspects, nor orphans, nor what was left over."""
    stuck, other = intent(1, generation=1), intent(2, generation=2)
    orphan, left_over = intent(3), intent(4)
    committed(log, at_work, stuck, other)
    log.rows |= {orphan.id: orphan, left_over.id: left_over}
    log.orphans = [entry(orphan)]
    source.barrier_fault = failing_for(1, StoreAnswered(500, b"{}"))
    at_work.queued(entry(stuck))
    at_work.queued(entry(other))
    await until(lambda: not (log.rows.keys() & {other.id, left_over.id}))
    assert set(log.rows) == {stuck.id, orphan.id}  # they share a barrier
    source.barrier_fault = lambda _: None
    await until(lambda: not log.rows)


async def test_a_dropped_collection_has_no_queue(
    log: MemoryLog, source: MemorySource, at_work: Resyncer
) -> None:
    """A suspect of a collection that is gone is passed on, for the resync to find that out."""
    write = intent(1)
    committed(log, at_work, write)
    source.barrier_fault = failing_for(1, CollectionNotFound("c"))
    at_work.queued(entry(write))
    await until(lambda: at_work.is_idle)
    assert log.settled == [{write.id}]


async def test_a_failure_backs_off_and_tries_again(
    log: MemoryLog, source: MemorySource, at_work: Resyncer
) -> None:
    """A store that is away costs growing pauses and loses nothing."""
    log.settle_errors = [TargetUnavailable("is away"), TargetUnavailable("is away")]
    write = intent(1)
    committed(log, at_work, write)
    began = time.monotonic()
    at_work.ended(entry(write))
    await until(lambda: log.settled == [{write.id}])
    assert len(source.asked) == 3
    assert time.monotonic() - began >= 0.2 + 0.4


async def test_intents_of_a_collection_are_coalesced(
    log: MemoryLog, source: MemorySource, resyncer: Resyncer
) -> None:
    """Many small writes share one resync; its number of ids is bounded, a large write goes alone."""
    many = [intent(*range(100 * n, 100 * n + 100)) for n in range(12)]
    large = intent(*range(10_000, 11_100))
    committed(log, resyncer, *many, large)
    for write in (*many, large):
        resyncer.ended(entry(write))
    async with running(resyncer.run()):
        await until(lambda: resyncer.is_idle)
    assert [len(ids) for ids in source.asked] == [1_000, 200, 1_100]


async def test_collections_take_turns(
    log: MemoryLog, resyncer: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A collection with a long backlog does not keep the others waiting."""
    monkeypatch.setattr(resync, "_WORKERS", 1)
    busy = [intent(*range(512), generation=1) for _ in range(10)]
    quiet = intent(1, generation=2)
    committed(log, resyncer, *busy, quiet)
    for write in (*busy, quiet):
        resyncer.ended(entry(write))
    async with running(resyncer.run()):
        await until(lambda: resyncer.is_idle)
    assert {quiet.id} in log.settled[:2]


async def test_a_refused_intent_is_left_to_the_ledger(
    log: MemoryLog, counted: ProxyMetrics, at_work: Resyncer
) -> None:
    """Its neighbours are settled, its client is told that it is owed, and it is not tried again from memory."""
    writes = [intent(number) for number in range(6)]
    committed(log, at_work, *writes)
    log.refused = {writes[3].id}
    log.hidden = {writes[3].id}
    for write in writes:
        at_work.ended(entry(write))
    assert not await at_work.settled(entry(writes[3]), seconds=5)
    assert set(log.rows) == {writes[3].id}
    assert at_work.is_idle
    assert counted.refused_intents.labels(Side.TARGET)._value.get() == 1
    tries = len(log.settled)
    await asyncio.sleep(_SOON)
    assert len(log.settled) == tries


async def test_the_ledger_says_when_a_refused_intent_is_due(
    log: MemoryLog, at_work: Resyncer
) -> None:
    """As soon as the ledger shows it again the sweep settles it."""
    write = intent(1)
    committed(log, at_work, write)
    log.refused = log.hidden = {write.id}
    at_work.ended(entry(write))
    await until(lambda: at_work.is_idle)
    log.refused, log.hidden = set(), set()
    await until(lambda: not log.rows)
    await until(lambda: not at_work.watch.begin(1)())


async def test_a_pinned_intent_waits_alone(
    log: MemoryLog, source: MemorySource, at_work: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another instance's open push delays its ids and no others, and is asked about again (R8)."""
    monkeypatch.setattr(resync, "_PINNED_SECONDS", 0.05)
    pinned, free, later = (intent(number, behind=Side.SOURCE) for number in range(3))
    committed(log, at_work, pinned, free, later)
    log.pinned = {pinned.id}
    at_work.ended(entry(pinned))
    at_work.ended(entry(free))
    assert not await at_work.settled(entry(pinned), seconds=0.3)
    await until(lambda: set(log.rows) == {pinned.id, later.id})
    at_work.ended(entry(later))
    await until(lambda: set(log.rows) == {pinned.id})
    log.pinned = set()
    await until(lambda: at_work.is_idle)
    assert not log.rows


async def test_a_collection_that_hangs_delays_no_other(
    log: MemoryLog, source: MemorySource, at_work: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More collections than workers get no answer: each is given up after its time, and then they share one worker."""
    monkeypatch.setattr(resync, "_COPY_SECONDS", 0.05)
    monkeypatch.setattr(lanes, "_FIRST_BACKOFF_SECONDS", 0.01)
    stuck = [intent(number, generation=number) for number in range(1, 9)]
    source.hanging = set(range(1, 9))
    committed(log, at_work, *stuck)
    for write in stuck:
        at_work.ended(entry(write))
    await until(lambda: {each for ids in source.asked for each in ids} == set(range(1, 9)))
    await asyncio.sleep(0.1)  # every first turn is over
    monkeypatch.setattr(resync, "_COPY_SECONDS", 60)
    await asyncio.sleep(0.1)  # whoever may hang now does
    others = [intent(number, generation=number) for number in range(100, 110)]
    committed(log, at_work, *others)
    for other in others:
        at_work.ended(entry(other))
    await until(lambda: set(log.rows) == {write.id for write in stuck})


async def test_thousands_that_are_stuck_starve_nothing(
    log: MemoryLog, source: MemorySource, at_work: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sweep walks on behind those that it has no room for, and memory holds few of them."""
    monkeypatch.setattr(sweep, "PAGE", 10)
    monkeypatch.setattr(lanes, "_MOST_WHILE_FAILING", 5)
    monkeypatch.setattr(lanes, "MOST_IDS_PER_RESYNC", 20)
    source.fault = lambda ids: SourceUnavailable("is away") if max(map(int, ids)) < 500 else None
    stuck = [intent(number, generation=1) for number in range(300)]
    behind = [intent(500 + number, generation=2) for number in range(3)]
    committed(log, at_work, *stuck, *behind)
    for write in (*stuck, *behind):
        at_work.dropped(write)
    await until(lambda: set(log.rows) == {write.id for write in stuck})
    assert max(log.pages) <= 10
    await until(lambda: len(at_work._lanes) <= 20)
    for _ in range(30):
        await asyncio.sleep(0.01)
        assert len(at_work._lanes) <= 20
    source.fault = lambda _: None
    await until(lambda: not log.rows, seconds=10)


@pytest.mark.parametrize(
    "error",
    [SourceUnavailable("hung up"), StoreAnswered(500, b"{}"), StoreAnswered(408, b"{}")],
)
async def test_a_push_that_may_still_land_is_repeated_after_the_grace_period(
    log: MemoryLog,
    source: MemorySource,
    journal: list[str],
    at_work: Resyncer,
    error: VecferryError,
) -> None:
    """A late push could undo a newer one, so its intent stays until it cannot land any more (R8)."""
    write = intent(1, behind=Side.SOURCE)
    committed(log, at_work, write)
    source.fault = failing_for(1, error)
    began = time.monotonic()
    at_work.ended(entry(write))
    await until(lambda: source.asked)
    source.fault = lambda _: None
    await until(lambda: log.settled == [{write.id}])
    assert time.monotonic() - began >= GRACE_SECONDS
    assert len(source.asked) == 2
    assert journal == ["barrier", "settled"]


async def test_a_push_that_comes_late_is_not_sent(
    log: MemoryLog, source: MemorySource, at_work: Resyncer
) -> None:
    """An instance that slept for half the grace period may have lost its intents: it begins anew (R7)."""
    write = intent(1, behind=Side.SOURCE)
    committed(log, at_work, write)
    at_work._grace_seconds = -1.0
    at_work.ended(entry(write))
    await until(at_work._metrics.resyncs.labels(Side.SOURCE, "failed")._value.get)
    assert not source.asked
    at_work._grace_seconds = 60.0
    await until(lambda: log.settled == [{write.id}])
    assert len(source.asked) == 1


async def test_a_push_that_never_left_is_repeated_soon(
    log: MemoryLog, source: MemorySource, journal: list[str], at_work: Resyncer
) -> None:
    """Without a connection nothing can land late: a pause is enough."""
    write = intent(1, behind=Side.SOURCE)
    committed(log, at_work, write)
    source.fault = failing_for(1, SourceUnavailable("is away", may_have_applied=False))
    at_work.ended(entry(write))
    await until(lambda: source.asked)
    source.fault = lambda _: None
    await until(lambda: log.settled)
    assert journal == ["settled"]


async def test_a_push_that_is_too_old_is_not_sent(
    log: MemoryLog, source: MemorySource, at_work: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others may have recovered its intents and pushed newer data: it reads the target anew (R7)."""
    write = intent(1, behind=Side.SOURCE)
    committed(log, at_work, write)
    looks = iter([True, False])
    monkeypatch.setattr(at_work, "may_be_recovered", lambda since: next(looks))
    at_work.ended(entry(write))
    await until(lambda: log.settled)
    assert len(source.asked) == 1
    assert next(looks, None) is None


async def test_overflow_is_found_by_the_sweep(
    log: MemoryLog, at_work: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded; what finds no room waits in the ledger, counts as unsettled and is settled from there."""
    monkeypatch.setattr(lanes, "_MOST_WAITING", 4)
    writes = [intent(number) for number in range(20)]
    committed(log, at_work, *writes)
    for write in writes:
        at_work.ended(entry(write))
        assert len(at_work._lanes) <= 4
    assert len(at_work.watch._generations) == 4
    assert not await at_work.settled(entry(writes[-1]), seconds=5)
    assert at_work.watch.begin(1)()
    await until(lambda: not log.rows)
    await until(lambda: not at_work.watch.begin(1)())
    assert not at_work.watch._generations


async def test_forgotten_suspects_come_back_behind_a_barrier(
    log: MemoryLog, source: MemorySource, at_work: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for a request of unknown end the ledger is not read before its time, and then with a barrier."""
    monkeypatch.setattr(suspects, "_MOST_WAITING", 1)
    known, forgotten = intent(1), intent(2)
    committed(log, at_work, known, forgotten)
    began = time.monotonic()
    at_work.queued(entry(known))
    at_work.suspected(entry(forgotten))
    await until(lambda: forgotten.id not in log.rows)
    assert time.monotonic() - began >= GRACE_SECONDS
    assert {2} in source.barriers
    await until(lambda: not at_work._sweep.is_blind)


async def test_the_sweep_works_under_traffic(
    log: MemoryLog, source: MemorySource, at_work: Resyncer
) -> None:
    """What was left over is settled although other intents are always under way."""
    busy, left_over = intent(1, generation=1), intent(2, generation=2)
    committed(log, at_work, busy)
    source.fault = failing_for(1, SourceUnavailable("is away"))
    at_work.ended(entry(busy))
    log.rows[left_over.id] = left_over
    await until(lambda: log.settled == [{left_over.id}])


async def test_a_refused_intent_is_forgotten(resyncer: Resyncer) -> None:
    """A request whose intent was not taken leaves nothing behind."""
    write = intent(1)
    resyncer.opened(write)
    resyncer.dropped(write)
    assert resyncer.is_idle
    assert not resyncer.watch.begin(1)()


async def test_an_intent_that_was_committed_after_all_is_swept_up(
    log: MemoryLog, at_work: Resyncer
) -> None:
    """A commit whose answer was lost leaves a row whose request was never sent: the sweep settles it."""
    write = intent(1)
    committed(log, at_work, write)
    at_work.dropped(write)
    await until(lambda: log.settled == [{write.id}])


async def test_orphans_pass_a_barrier(
    log: MemoryLog, source: MemorySource, journal: list[str], at_work: Resyncer
) -> None:
    """Intents of a dead owner are settled only after the source's queue is behind them (R7)."""
    orphan = intent(5)
    log.rows[orphan.id] = orphan
    log.orphans = [entry(orphan)]
    await until(lambda: log.settled)
    assert journal == ["barrier", "settled"]
    assert source.barriers == [{5}]


async def test_what_another_instance_may_still_write_waits(
    log: MemoryLog, source: MemorySource, journal: list[str], at_work: Resyncer
) -> None:
    """An intent of ours with another one's open attempt is settled after the grace period and a barrier (R7, R8)."""
    inherited = intent(5)
    log.attempts[inherited.id] = uuid4()
    log.rows[inherited.id] = inherited
    began = time.monotonic()
    await until(lambda: log.settled)
    assert time.monotonic() - began >= GRACE_SECONDS
    assert journal == ["barrier", "settled"]


async def test_an_adopted_push_waits_for_the_grace_period(
    log: MemoryLog, journal: list[str], at_work: Resyncer
) -> None:
    """The silence of its owner says nothing about a push that he began at the end of it (R8)."""
    orphan = intent(5, behind=Side.SOURCE)
    log.rows[orphan.id] = orphan
    log.attempts[orphan.id] = uuid4()
    log.orphans = [replace(entry(orphan), attempt_by=log.attempts[orphan.id])]
    began = time.monotonic()
    await until(lambda: log.settled)
    assert time.monotonic() - began >= GRACE_SECONDS
    assert journal == ["barrier", "settled"]


async def test_ids_of_an_unknown_end_are_read_again_later(
    log: MemoryLog, source: MemorySource, at_work: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the settlement at growing distances, without an intent; a store that fails is asked again (R7)."""
    monkeypatch.setattr(suspects, "_REREAD_AFTER_GRACES", (0.5, 1))
    unseen, seen, inherited = intent(1), intent(2), intent(3)
    committed(log, at_work, unseen, seen)
    log.rows[inherited.id] = inherited
    at_work.ended(entry(seen))
    at_work.suspected(entry(unseen))
    at_work.inherited(entry(inherited))
    await until(lambda: not log.rows)
    source.asked.clear()
    source.fault = lambda _: SourceUnavailable("is away")
    await until(lambda: len(source.asked) >= 1)
    source.fault = lambda _: None
    looked = at_work._metrics.rereads
    await until(lambda: looked.labels(Looked.DONE)._value.get() == 4)
    assert looked.labels(Looked.FAILED)._value.get() >= 1
    assert set().union(*source.asked) == {1, 3}
    await asyncio.sleep(GRACE_SECONDS)
    assert looked.labels(Looked.DONE)._value.get() == 4
    assert log.settled[-1] == set()


async def test_a_look_that_finds_the_collection_moved_is_the_last(
    log: MemoryLog, at_work: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the target is right, or the collection gone, nothing of an old write can reach it."""
    monkeypatch.setattr(suspects, "_REREAD_AFTER_GRACES", (0.2, 0.2, 0.2))
    write = intent(1)
    committed(log, at_work, write)
    at_work.suspected(entry(write))
    await until(lambda: not log.rows)
    log.outcome = Settled.REVERSED
    looked = at_work._metrics.rereads
    await until(lambda: looked.labels(Looked.VOID)._value.get() == 1)
    assert not at_work._rereads


async def test_too_many_later_looks_are_counted(
    log: MemoryLog, at_work: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Memory is bounded, and what is not looked at again is not hidden."""
    monkeypatch.setattr(suspects, "_MOST_IDS_TO_REREAD", 3)
    writes = intent(1, 2), intent(3, 4)
    committed(log, at_work, *writes)
    for write in writes:
        at_work.suspected(entry(write))
    await until(lambda: not log.rows)
    assert at_work._metrics.rereads.labels(Looked.DROPPED)._value.get() == 1


async def test_a_hinted_write_is_left_to_the_sweep(log: MemoryLog, at_work: Resyncer) -> None:
    """Its intent comes to the ledger later; until its request has ended the sweep passes by (R2, R6)."""
    write = intent(1)
    at_work.opened(write)
    log.rows[write.id] = write
    await asyncio.sleep(_SOON)
    assert not log.settled
    at_work.hinted(entry(write))
    await until(lambda: log.settled == [{write.id}])
    assert not at_work.watch._generations


async def test_a_failing_ledger_does_not_end_the_resyncer(
    log: MemoryLog, at_work: Resyncer
) -> None:
    """An outage of the database is survived by the sweep."""
    log.adopt_errors = [TargetUnavailable("is away")] * 3
    left_over = intent(1)
    log.rows[left_over.id] = left_over
    await until(lambda: log.settled)


async def test_waiting_for_a_settlement_ends(
    log: MemoryLog, source: MemorySource, at_work: Resyncer
) -> None:
    """A write in ramp waits a bounded time; the settlement itself goes on."""
    source.gate.clear()
    write = intent(1)
    committed(log, at_work, write)
    at_work.ended(entry(write))
    assert not await at_work.settled(entry(write), seconds=0.01)
    source.gate.set()
    assert await at_work.settled(entry(write), seconds=5)
    assert not at_work._settled


async def test_a_suspect_is_not_waited_for(log: MemoryLog, at_work: Resyncer) -> None:
    """An intent that may not be settled yet is owed right away."""
    write = intent(1)
    committed(log, at_work, write)
    at_work.suspected(entry(write))
    async with asyncio.timeout(1):
        assert not await at_work.settled(entry(write), seconds=60)


async def test_draining_waits_only_for_what_can_end(log: MemoryLog, at_work: Resyncer) -> None:
    """A stop waits for settlements under way, not for a grace period that ends after its deadline."""
    write, suspect = intent(1), intent(2)
    committed(log, at_work, write, suspect)
    at_work.ended(entry(write))
    at_work._grace_seconds = 60
    at_work.suspected(entry(suspect))
    async with asyncio.timeout(1):
        assert not await at_work.drained(30)
    assert set(log.rows) == {suspect.id}


async def test_an_unsettled_write_disturbs_shadow_reads(log: MemoryLog, at_work: Resyncer) -> None:
    """From before the commit until the settlement a comparison is told that the stores may differ."""
    write = intent(1)
    at_work.opened(write)
    assert at_work.watch.begin(1)()
    log.rows[write.id] = write
    at_work.ended(entry(write))
    await until(lambda: at_work.is_idle)
    assert not at_work.watch.begin(1)()


async def test_half_a_grace_period_is_too_late(log: MemoryLog, counted: ProxyMetrics) -> None:
    """A write that took longer may have lost its intent to a recoverer (R7)."""
    slow = Resyncer(log, MemorySource(), uuid4(), counted, grace_seconds=60)
    now = time.monotonic()
    assert not slow.may_be_recovered(now - 29)
    assert slow.may_be_recovered(now - 31)
