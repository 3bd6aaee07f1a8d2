"""Resync: bring the store that is behind up to date with the authority, and settle the intents.

Rule 1: an intent is settled only after the request that made it has a known end (R2); until then it is *open* here.
Rule 2: what is copied is the authority's present state, never the operation, so retries and coalescing are harmless.
Rule 3: an intent that cannot be settled stays in the database; the sweep finds it again. Memory holds only what is
        under way, and at most ``_MOST_WAITING`` entries of it.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from uuid import UUID

import structlog

from service.errors import (
    CollectionNotFound,
    RequestError,
    SourceUnavailable,
    StoreAnswered,
    VecferryError,
)
from service.metrics import ProxyMetrics
from service.model.ids import decode_key
from service.protocol.ledger import Intent, IntentLog, LedgerEntry, Settled
from service.protocol.mirrors import MirrorSource
from service.protocol.watch import UnsettledWatch
from service.stages import Side

_log = structlog.get_logger(__name__)

_WORKERS = 2
_MOST_WAITING = 20_000
_MOST_IDS_PER_RESYNC = 512
_SWEEP_SECONDS = 1.0
_SWEEP_LIMIT = 2_000
_LONGEST_BACKOFF_SECONDS = 10.0
_REFUSED_SECONDS = 30.0
_GATHER_SECONDS = 0.05
_DRAIN_POLL_SECONDS = 0.02
_MOST_IDS_LOGGED = 10
_PASSING = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


@dataclass(slots=True)
class _Backlog:
    """The settleable intents of one generation and direction, oldest first."""

    waiting: deque[LedgerEntry] = field(default_factory=deque)
    singly: int = 0
    """How many at the front go one by one, because together they were refused."""
    is_taken: bool = False
    failures: int = 0
    not_before: float = 0.0


_Lane = tuple[int, Side]


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
        self._suspects: OrderedDict[UUID, tuple[float, LedgerEntry]] = OrderedDict()
        self._lanes: dict[_Lane, _Backlog] = {}
        self._known: set[UUID] = set()
        self._refused: dict[UUID, float] = {}
        self._blind_until = 0.0
        self._settled: dict[UUID, asyncio.Future[bool]] = {}
        self._work = asyncio.Event()

    def opened(self, intent: Intent) -> None:
        """Note that the intent's request is under way; call before the intent is committed."""
        self._open.add(intent.id)
        self.watch.opened(intent.id, intent.generation)

    def dropped(self, intent: Intent) -> None:
        """Note that the intent was refused and never committed."""
        self._open.discard(intent.id)
        self.watch.closed(intent.id)

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
        self._suspect(entry, self._grace_seconds)

    @property
    def is_idle(self) -> bool:
        """Whether this instance knows of nothing that is not settled."""
        return not (self._open or self._suspects or self._known)

    async def drained(self, seconds: float) -> bool:
        """Wait until nothing is left to settle; false when something is after ``seconds``, or sooner if it must be."""
        deadline = time.monotonic() + seconds
        while self._can_settle_before(deadline) and time.monotonic() < deadline:  # noqa: ASYNC110 - once, at the end
            await asyncio.sleep(_DRAIN_POLL_SECONDS)
        return self.is_idle

    def _can_settle_before(self, deadline: float) -> bool:
        is_busy = bool(self._open or self._known)
        return is_busy or any(at < deadline for at, _ in self._suspects.values())

    def may_be_recovered(self, since: float) -> bool:
        """Say whether others may have taken over an intent that was committed at that monotonic time (R7)."""
        return time.monotonic() - since > self._grace_seconds / 2

    async def settled(self, entry: LedgerEntry, *, seconds: float) -> bool:
        """Wait until the intent is settled, and hurry; false when it is not after ``seconds``."""
        if entry.id not in self._known:
            return False  # it found no room in memory and waits for the sweep
        lane = self._lanes.get((entry.generation, entry.behind))
        if lane is not None and not lane.failures:
            lane.not_before = 0.0
            self._work.set()
        waiter = self._settled.setdefault(entry.id, asyncio.get_running_loop().create_future())
        try:
            return await asyncio.wait_for(asyncio.shield(waiter), seconds)
        except TimeoutError:
            return False

    async def run(self) -> None:
        """Settle until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(_WORKERS):
                tasks.create_task(self._work_on())
            # Apart, so that a source that does not answer holds up only what waits for it.
            tasks.create_task(self._pass_suspects())
            tasks.create_task(self._sweep())

    def _suspect(self, entry: LedgerEntry, seconds: float) -> None:
        self._open.discard(entry.id)
        if len(self._suspects) < _MOST_WAITING:
            self._suspects[entry.id] = (time.monotonic() + seconds, entry)
        else:
            # Memory is bounded: the sweep finds it in the ledger, but not before it can be settled.
            self._blind_until = time.monotonic() + self._grace_seconds
            self.watch.closed(entry.id)

    def _enqueue(self, entries: Iterable[LedgerEntry]) -> None:
        for entry in entries:
            if entry.id in self._known or len(self._known) >= _MOST_WAITING:
                continue
            self._known.add(entry.id)
            lane = self._lanes.setdefault((entry.generation, entry.behind), _Backlog())
            if not lane.waiting:
                # What comes in a moment later shares one resync, and a client's next request goes first.
                lane.not_before = max(lane.not_before, time.monotonic() + _GATHER_SECONDS)
            lane.waiting.append(entry)
        self._work.set()

    async def _work_on(self) -> None:
        while True:
            lane = self._next_lane()
            if lane is None:
                self._work.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._work.wait(), self._pause())
                continue
            # To the end of the row: lanes take turns.
            backlog = self._lanes[lane] = self._lanes.pop(lane)
            backlog.is_taken = True
            try:
                await self._settle(lane, _next(backlog))
            finally:
                backlog.is_taken = False

    def _next_lane(self) -> _Lane | None:
        now = time.monotonic()
        for lane, backlog in list(self._lanes.items()):
            if not backlog.waiting and not backlog.is_taken:
                del self._lanes[lane]
            elif backlog.waiting and not backlog.is_taken and backlog.not_before <= now:
                return lane
        return None

    def _pause(self) -> float | None:
        later = [
            lane.not_before for lane in self._lanes.values() if lane.waiting and not lane.is_taken
        ]
        return max(min(later) - time.monotonic(), 0.01) if later else None

    async def _settle(self, lane: _Lane, entries: Sequence[LedgerEntry]) -> None:
        backlog = self._lanes[lane]
        try:
            outcome = await self._settle_together(entries)
        except VecferryError as error:
            self._metrics.resyncs.labels(lane[1], "failed").inc()
            _log.warning(
                "resync_failed", collection=entries[0].collection, behind=lane[1], error=str(error)
            )
            self._failed(lane, entries, error)
        except Exception:  # noqa: BLE001 - what nobody foresaw: the intents stay
            self._metrics.resyncs.labels(lane[1], "failed").inc()
            _log.exception("resync_broken", collection=entries[0].collection, behind=lane[1])
            self._back_off(backlog, entries)
        else:
            backlog.failures = 0
            self._done(lane[1], entries, outcome)

    def _failed(self, lane: _Lane, entries: Sequence[LedgerEntry], error: VecferryError) -> None:
        backlog = self._lanes[lane]
        if lane[1] is Side.SOURCE and _may_still_land(error):
            # It could undo a later push: these ids are pushed again when it no longer can (R8).
            self._back_off(backlog, ())
            for entry in entries:
                self._known.discard(entry.id)
                self.suspected(entry)
        elif not _is_refusal(error):
            self._back_off(backlog, entries)
        elif len(entries) > 1:
            # One point that the other store refuses must not hold up its neighbours (R14).
            backlog.singly = len(entries)
            backlog.waiting.extendleft(reversed(entries))
        else:
            # It stays in the ledger, blocks the flip, and is tried again now and then.
            ids = [decode_key(key) for key in entries[0].keys]
            _log.error(
                "point_refused",
                collection=entries[0].collection,
                behind=lane[1],
                ids=ids[:_MOST_IDS_LOGGED],
                of=len(ids),
                error=str(error),
            )
            self._refused[entries[0].id] = time.monotonic() + _REFUSED_SECONDS
            self._forget(entries, is_settled=False)

    def _back_off(self, backlog: _Backlog, entries: Sequence[LedgerEntry]) -> None:
        backlog.failures += 1
        delay = min(0.1 * 2**backlog.failures, _LONGEST_BACKOFF_SECONDS)
        backlog.not_before = time.monotonic() + delay
        backlog.waiting.extendleft(reversed(entries))

    async def _settle_together(self, entries: Sequence[LedgerEntry]) -> Settled:
        first = entries[0]
        keys = sorted({key for entry in entries for key in entry.keys})
        intents = [entry.id for entry in entries]
        if first.behind is Side.TARGET:
            fetch = self._source.fetcher(first.collection)
            return await self._log.settle_target(first.generation, keys, intents, fetch)
        push = self._source.pusher(first.collection)
        return await self._log.settle_source(first.generation, keys, intents, push)

    def _done(self, behind: Side, entries: Sequence[LedgerEntry], outcome: Settled) -> None:
        self._metrics.resyncs.labels(behind, outcome).inc()
        self._metrics.resync_points.labels(behind).inc(sum(len(entry.keys) for entry in entries))
        self._forget(entries, is_settled=outcome is not Settled.REVERSED)

    def _forget(self, entries: Sequence[LedgerEntry], *, is_settled: bool) -> None:
        for entry in entries:
            self._known.discard(entry.id)
            self.watch.closed(entry.id)
            waiter = self._settled.pop(entry.id, None)
            if waiter is not None and not waiter.done():
                waiter.set_result(is_settled)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            try:
                await self._adopt()
                if len(self._known) < _MOST_WAITING // 2 and self._blind_until < time.monotonic():
                    self._take_up(await self._left_over())
            except VecferryError as error:
                _log.warning("sweep_failed", error=str(error))
            except Exception:  # noqa: BLE001 - a fault of ours must not end the sweep
                _log.exception("sweep_broken")

    def _take_up(self, left_over: Sequence[LedgerEntry]) -> None:
        """Settle what the sweep found; behind a barrier when suspects were forgotten for want of room."""
        if not self._blind_until:
            self._enqueue(left_over)
            return
        for entry in left_over:
            self._suspect(entry, 0.0)
        if not left_over:
            self._blind_until = 0.0

    async def _adopt(self) -> None:
        """Take over the intents of dead owners, as many as there is room for; their requests may still land."""
        if len(self._suspects) >= _SWEEP_LIMIT:
            return
        orphans = await self._log.adopt_orphans(
            owner=self._owner, silent_seconds=self._grace_seconds, limit=_SWEEP_LIMIT
        )
        for entry in orphans:
            _log.info("orphan_adopted", intent=str(entry.id), collection=entry.collection)
            self._suspects[entry.id] = (time.monotonic(), entry)

    async def _left_over(self) -> list[LedgerEntry]:
        """Return own intents that are in the ledger but neither open, suspect nor queued."""
        before = self._open | self._suspects.keys() | self._known
        entries = await self._log.open_entries(owner=self._owner, limit=_SWEEP_LIMIT)
        # An id that was open before the read or is open now may have ended between: leave it to its request.
        busy = before | self._open | self._suspects.keys()
        now = time.monotonic()
        self._refused = {found: until for found, until in self._refused.items() if until > now}
        return [entry for entry in entries if entry.id not in busy | self._refused.keys()]

    async def _pass_suspects(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = time.monotonic()
            due: dict[_Lane, deque[LedgerEntry]] = {}
            for at, entry in self._suspects.values():
                if at <= now:
                    due.setdefault((entry.generation, entry.behind), deque()).append(entry)
            for entries in due.values():
                try:
                    await self._pass_barriers(entries)
                except Exception:  # noqa: BLE001 - a fault of ours must not end the loop
                    _log.exception("barrier_broken", collection=entries[0].collection)

    async def _pass_barriers(self, entries: deque[LedgerEntry]) -> None:
        """Pass a barrier for intents of one collection, then let them be settled; those that fail wait on."""
        while entries:
            passed = _coalesce(entries)
            keys = {key for entry in passed for key in entry.keys}
            try:
                await self._source.barrier(passed[0].collection, [decode_key(k) for k in keys])
            except CollectionNotFound:
                pass  # no collection, no queue
            except VecferryError as error:
                _log.warning("barrier_failed", collection=passed[0].collection, error=str(error))
                return
            for entry in passed:
                self._suspects.pop(entry.id, None)
            self._enqueue(passed)


def _may_still_land(error: VecferryError) -> bool:
    """Say whether a push that failed so may yet take effect (R1)."""
    match error:
        case SourceUnavailable():
            return error.may_have_applied
        case StoreAnswered():
            return not _is_refusal(error)
        case _:
            return False


def _is_refusal(error: VecferryError) -> bool:
    """Say whether a store refused what it was given, rather than failed."""
    match error:
        case StoreAnswered():
            is_clients = HTTPStatus.BAD_REQUEST <= error.code < HTTPStatus.INTERNAL_SERVER_ERROR
            return is_clients and error.code not in _PASSING
        case _:
            return isinstance(error, RequestError)


def _next(backlog: _Backlog) -> list[LedgerEntry]:
    if backlog.singly:
        backlog.singly -= 1
        return [backlog.waiting.popleft()]
    return _coalesce(backlog.waiting)


def _coalesce(waiting: deque[LedgerEntry]) -> list[LedgerEntry]:
    """Take intents from the front until a resync is full; at least one."""
    taken = [waiting.popleft()]
    ids = len(taken[0].keys)
    while waiting and ids + len(waiting[0].keys) <= _MOST_IDS_PER_RESYNC:
        ids += len(waiting[0].keys)
        taken.append(waiting.popleft())
    return taken
