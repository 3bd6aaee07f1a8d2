"""Resync: bring the store that is behind up to date with the authority, and settle the intents.

Rule 1: an intent is settled only after the request that made it has a known end (R2); until then it is *open* here.
Rule 2: what is copied is the authority's present state, never the operation, so retries and coalescing are harmless.
Rule 3: an intent that cannot be settled stays in the database; the sweep finds it again. Memory holds only what is
        under way, and a bounded part of that.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from uuid import UUID

import structlog

from service.errors import CollectionNotFound, SourceUnavailable, VecferryError
from service.metrics import ProxyMetrics
from service.model.ids import PointId, decode_key
from service.model.points import Point
from service.protocol.lanes import Batch, Lanes, coalesced
from service.protocol.ledger import Intent, IntentLog, LedgerEntry, Push, Settled, Settlement
from service.protocol.mirrors import MirrorSource
from service.protocol.refusals import may_still_land
from service.protocol.suspects import Looked, Rereads, Suspects
from service.protocol.sweep import PAGES_PER_ROUND, Sweep
from service.protocol.watch import UnsettledWatch
from service.stages import Side
from service.troubles import Trouble

_log = structlog.get_logger(__name__)

_WORKERS = 3
_SWEEP_SECONDS = 1.0
_PINNED_SECONDS = 0.5
_COPY_SECONDS = 15.0
_BARRIER_SECONDS = 15.0
_BARRIERS_AT_ONCE = 4
_DRAIN_POLL_SECONDS = 0.02
_STOOD_STILL = "was not asked: the push is too old to be sent"


class Resyncer:
    """Owns all intents of this instance from their commit to their end."""

    def __init__(
        self,
        log: IntentLog,
        source: MirrorSource,
        owner: UUID,
        metrics: ProxyMetrics,
        *,
        grace_seconds: float,
    ) -> None:
        self._log = log
        self._source = source
        self._owner = owner
        self._metrics = metrics
        self._grace_seconds = grace_seconds
        self.watch = UnsettledWatch()
        self._open: set[UUID] = set()
        self._lanes = Lanes()
        self._suspects = Suspects()
        self._rereads = Rereads(grace_seconds)
        self._doubted: set[UUID] = set()
        self._sweep = Sweep(log, owner, grace_seconds)
        self._settled: dict[UUID, asyncio.Future[bool]] = {}
        self._work = asyncio.Event()
        for looked in Looked:
            metrics.rereads.labels(looked)
        for side in Side:
            metrics.refused_intents.labels(side)

    def opened(self, intent: Intent) -> None:
        """Note that the intent's request is under way; call before the intent is committed."""
        self._open.add(intent.id)
        self.watch.opened(intent.id, intent.generation)

    def dropped(self, intent: Intent) -> None:
        """Note that the intent was refused and never committed."""
        self._open.discard(intent.id)
        self.watch.closed(intent.id)

    def hinted(self, entry: LedgerEntry) -> None:
        """Note that a request whose intent is a hint has a known end: the sweep finds it once it is in the ledger."""
        self._open.discard(entry.id)
        self.watch.closed(entry.id)

    def ended(self, entry: LedgerEntry) -> None:
        """Note that the intent's request has a known end: it may be settled from now on."""
        self._open.discard(entry.id)
        self._enqueue([entry])

    def queued(self, entry: LedgerEntry) -> None:
        """Note that the request waits in Qdrant's queue: settle after a barrier."""
        self._suspect(entry, 0.0)

    def suspected(self, entry: LedgerEntry) -> None:
        """Note that the request may still land: settle only after the grace period and a barrier."""
        self._metrics.unknown_outcomes.inc()
        self._suspect(entry, self._grace_seconds, is_doubted=True)

    def inherited(self, entry: LedgerEntry) -> None:
        """Note an intent whose request, another instance's, may still land; call before it is in the ledger."""
        self._suspect(entry, self._grace_seconds, is_doubted=True)

    @property
    def is_idle(self) -> bool:
        """Whether this instance knows of nothing that is not settled."""
        return not (self._open or self._suspects or self._lanes)

    async def drained(self, seconds: float) -> bool:
        """Wait until nothing is left to settle; false when something is after ``seconds``, or sooner if it must be."""
        deadline = time.monotonic() + seconds
        while self._can_settle_before(deadline) and time.monotonic() < deadline:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
        return self.is_idle

    def _can_settle_before(self, deadline: float) -> bool:
        is_busy = bool(self._open or self._lanes)
        return is_busy or self._suspects.is_any_due_before(deadline)

    def may_be_recovered(self, since: float) -> bool:
        """Say whether others may have taken over an intent that was committed at that monotonic time (R7)."""
        return time.monotonic() - since > self._grace_seconds / 2

    async def settled(self, entry: LedgerEntry, *, seconds: float) -> bool:
        """Wait until the intent is settled, and hurry; false when it is not after ``seconds``."""
        if entry.id not in self._lanes:
            return False  # it found no room in memory and waits for the sweep
        self._lanes.hurry(entry)
        self._work.set()
        waiter = self._settled.setdefault(entry.id, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(waiter)
        except TimeoutError:
            return False

    async def run(self) -> None:
        """Settle until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_WORKERS):
                tasks.create_task(self._work_on())
            # Apart, so that a source that does not answer holds up only what waits for it.
            tasks.create_task(self._again_and_again(self._sweep_once, "sweep"))
            tasks.create_task(self._again_and_again(self._pass_suspects, "barriers"))
            tasks.create_task(self._again_and_again(self._reread, "reread"))

    async def _again_and_again(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        trouble = Trouble(f"{name}_failed")
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            with trouble.contained(f"{name}_broken"):
                await work()

    def _suspect(self, entry: LedgerEntry, seconds: float, *, is_doubted: bool = False) -> None:
        self._open.discard(entry.id)
        now = time.monotonic()
        if self._suspects.add(entry, now + seconds):
            if is_doubted:
                self._doubted.add(entry.id)
        else:
            # Memory is bounded: the sweep finds it in the ledger, but not before it can be settled.
            self._sweep.blind(now + self._grace_seconds)
            self._leave(entry)

    def _enqueue(self, entries: Iterable[LedgerEntry]) -> None:
        now = time.monotonic()
        for entry in entries:
            if not self._lanes.add(entry, now):
                self._leave(entry)
        self._work.set()

    def _leave(self, entry: LedgerEntry) -> None:
        """Forget an intent that is not settled: the sweep finds it in the ledger."""
        self.watch.left(entry.id, entry.generation)
        self._doubted.discard(entry.id)
        self._answer(entry, is_settled=False)

    def _answer(self, entry: LedgerEntry, *, is_settled: bool) -> None:
        waiter = self._settled.pop(entry.id, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(is_settled)

    async def _work_on(self) -> None:
        while True:
            batch = self._lanes.take(time.monotonic())
            if batch is None:
                self._work.clear()
                # Not `wait_for`: until Python 3.12 it loses a cancellation that comes together with the event.
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._lanes.pause(time.monotonic())):
                        await self._work.wait()
                continue
            await self._settle(batch)
            self._work.set()  # a lane that waited for this one's end may go

    async def _settle(self, batch: Batch) -> None:
        behind, collection = batch.lane[1], batch.entries[0].collection
        try:
            settlement = await self._settle_together(batch)
        except asyncio.CancelledError:
            self._lanes.failed(batch, time.monotonic())
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the intents stay
            self._metrics.resyncs.labels(behind, "failed").inc()
            is_ours = isinstance(error, VecferryError | TimeoutError)
            report = _log.warning if is_ours else _log.exception
            report("resync_failed", collection=collection, behind=behind, error=str(error))
            self._failed(batch, error)
        else:
            self._metrics.resyncs.labels(behind, settlement.outcome).inc()
            self._metrics.resync_points.labels(behind).inc(len(batch.keys))
            self._done(batch, settlement)

    async def _settle_together(self, batch: Batch) -> Settlement:
        (generation, behind), first = batch.lane, batch.entries[0]
        intents = [entry.id for entry in batch.entries]
        if behind is Side.TARGET:
            fetch = self._source.fetcher(first.collection)
            # A collection that hangs must not keep a worker from the others. A push is never cut short.
            async with asyncio.timeout(_COPY_SECONDS):
                return await self._log.settle_target(generation, batch.keys, intents, fetch)
        push = self._in_time(self._source.pusher(first.collection))
        return await self._log.settle_source(
            generation, batch.keys, intents, push, owner=self._owner
        )

    def _in_time(self, push: Push) -> Push:
        """Return a push that is not sent when others may have recovered its intents and pushed newer data (R7)."""
        began = time.monotonic()

        async def pushed(present: Sequence[Point], absent: Sequence[PointId]) -> None:
            if self.may_be_recovered(began):
                raise SourceUnavailable(_STOOD_STILL, may_have_applied=False)
            await push(present, absent)

        return pushed

    def _failed(self, batch: Batch, error: Exception) -> None:
        lands_late = batch.lane[1] is Side.SOURCE and may_still_land(error)
        gone = self._lanes.failed(batch, time.monotonic(), keep=not lands_late)
        for entry in gone:
            if lands_late and entry in batch.entries:
                # It could undo a later push: these ids are pushed again when it no longer can (R8).
                self.suspected(entry)
            else:
                self._leave(entry)

    def _done(self, batch: Batch, settlement: Settlement) -> None:
        self._lanes.done(batch)
        for entry in batch.entries:
            if entry.id in settlement.waiting:
                self._suspect(entry, _PINNED_SECONDS)
            elif entry.id in settlement.refused:
                self._metrics.refused_intents.labels(entry.behind).inc()
                self._leave(entry)
            else:
                self._finish(entry, settlement.outcome)

    def _finish(self, entry: LedgerEntry, outcome: Settled) -> None:
        self.watch.closed(entry.id)
        self._answer(entry, is_settled=True)
        if entry.id in self._doubted:
            self._doubted.discard(entry.id)
            if outcome is Settled.DONE:
                self._plan_reread(entry, 0)

    async def _sweep_once(self) -> None:
        for orphan in await self._sweep.orphans(self._suspects.room):
            _log.info("orphan_adopted", intent=str(orphan.id), collection=orphan.collection)
            # Its owner was silent for the grace period; a push of his may have begun at the end of it.
            wait = (
                self._grace_seconds if orphan.behind is Side.SOURCE and orphan.attempt_by else 0.0
            )
            self._suspect(orphan, wait, is_doubted=True)
        for _ in range(PAGES_PER_ROUND):
            if not (self._lanes.has_room and self._sweep.may_read(time.monotonic())):
                return
            under_way, is_blind = set(self._open), self._sweep.is_blind
            entries, met = await self._sweep.next_page()
            # What was open before the read may have ended since: it is left to its request.
            left_over = [entry for entry in entries if entry.id not in under_way]
            self._take_up(left_over, is_blind=is_blind)
            if met is not None:
                self.watch.walked(met)
                return

    def _take_up(self, entries: Sequence[LedgerEntry], *, is_blind: bool) -> None:
        """Settle what the sweep found, and nobody here works on; behind a barrier where it may still land."""
        for entry in entries:
            if entry.id in self._open or entry.id in self._suspects or entry.id in self._lanes:
                continue
            if entry.attempt_by not in {None, self._owner}:
                self._suspect(entry, self._grace_seconds, is_doubted=True)
            elif is_blind:
                self._suspect(entry, 0.0, is_doubted=True)
            else:
                self._enqueue([entry])

    async def _pass_suspects(self) -> None:
        lanes = asyncio.Semaphore(_BARRIERS_AT_ONCE)

        async def pass_one(batch: Batch) -> None:
            async with lanes:
                await self._pass_barrier(batch)

        async with asyncio.TaskGroup() as tasks:
            for batch in self._suspects.due(time.monotonic()):
                tasks.create_task(pass_one(batch))

    async def _pass_barrier(self, batch: Batch) -> None:
        """Pass a barrier for intents of one collection, then let them be settled; those that fail wait on."""
        collection = batch.entries[0].collection
        try:
            async with asyncio.timeout(_BARRIER_SECONDS):
                await self._source.barrier(collection, [decode_key(key) for key in batch.keys])
        except CollectionNotFound:
            pass  # no collection, no queue
        except Exception as error:  # noqa: BLE001 - one collection's fault must not end the others' barriers
            _log.warning("barrier_failed", collection=collection, error=str(error))
            self._suspects.failed(batch, time.monotonic())
            return
        self._suspects.passed(batch)
        self._enqueue(batch.entries)

    async def _reread(self) -> None:
        """Look again at ids whose request nobody saw end; no intent is needed under the ids' locks (R7)."""
        due = self._rereads.due(time.monotonic())
        turns = {reread.entry.id: reread.turn for reread in due}
        for batch in coalesced([reread.entry for reread in due]):
            looked = await self._look_again(batch)
            self._metrics.rereads.labels(looked).inc(len(batch.entries))
            if looked is not Looked.VOID:
                step = 1 if looked is Looked.DONE else 0
                for entry in batch.entries:
                    self._plan_reread(entry, turns[entry.id] + step)

    async def _look_again(self, batch: Batch) -> Looked:
        fetch = self._source.fetcher(batch.entries[0].collection)
        try:
            async with asyncio.timeout(_COPY_SECONDS):
                settlement = await self._log.settle_target(batch.lane[0], batch.keys, (), fetch)
        except (VecferryError, TimeoutError) as error:
            _log.warning("reread_failed", generation=batch.lane[0], error=str(error))
            return Looked.FAILED
        return Looked.DONE if settlement.outcome is Settled.DONE else Looked.VOID

    def _plan_reread(self, entry: LedgerEntry, turn: int) -> None:
        if not self._rereads.add(entry, time.monotonic(), turn):
            self._metrics.rereads.labels(Looked.DROPPED).inc()
