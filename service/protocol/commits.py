"""Group commit: intents of concurrent requests to one collection share one INSERT and one fsync.

Rule 1: every collection (generation) has a lane of its own, so that one whose control row is locked by a stage change
        holds up no other; a bounded number of INSERTs is under way at once.
Rule 2: an INSERT has a budget. After it the intents become hints (R6); what Postgres stores late all the same is found
        by the sweep, and harmless.
Rule 3: after failures in a row Postgres is not asked any more, except by one batch now and then.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import structlog

from service.errors import Overloaded, Refusal, StaleEpoch, TargetUnavailable, VecferryError
from service.metrics import ProxyMetrics
from service.protocol.breaker import Breaker, Circuit
from service.protocol.ledger import Intent, IntentLog

_log = structlog.get_logger(__name__)

BUDGET_SECONDS = 2.0
"""How long an INSERT may take where there is no other place for an intent: then the write is refused."""

_MOST_WAITING = 4_096
_MOST_PER_COMMIT = 256
_MOST_IDS_PER_COMMIT = 100_000
_FAILURES_IN_A_ROW = 3
_PAUSE_SECONDS = 1.0
_TURNS = 30
"""Turns of the event loop from an answer's arrival in the socket to the end of the task that waits for it: three times
as many as it takes."""


class Stored(StrEnum):
    """Where an intent is durable."""

    LEDGER = "ledger"
    HINT = "hint"


class HintPath(Protocol):
    """The other place for intents."""

    async def insert(self, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        """Store the intents as hints; return those whose write is allowed (R6).

        Raises ``StoreError``, but never ``StoreAnswered``: that would be the client's answer.
        """
        ...


_Waiter = tuple[Intent, "asyncio.Future[Stored | None]"]


@dataclass(slots=True)
class _Insert:
    """A batch on its way to Postgres; once it is late its intents are stored elsewhere."""

    batch: Sequence[_Waiter]
    is_late: bool = False


class GroupCommit:
    """Takes intents from many requests and commits what has gathered while a lane's last commit was under way."""

    def __init__(
        self,
        log: IntentLog,
        owner: UUID,
        metrics: ProxyMetrics,
        *,
        hints: HintPath | None = None,
        seconds: float = BUDGET_SECONDS,
        at_once: int = 3,
    ) -> None:
        self._log = log
        self._owner = owner
        self._metrics = metrics
        self._hints = hints
        self._seconds = seconds
        self._slots = asyncio.Semaphore(at_once)
        self._breaker = Breaker(
            failures=_FAILURES_IN_A_ROW,
            pause_seconds=_PAUSE_SECONDS,
            changed=metrics.intent_circuit_is,
        )
        self._lanes: dict[int, deque[_Waiter]] = {}
        self._tasks: asyncio.TaskGroup | None = None
        self._waiting = 0

    async def commit(self, intent: Intent) -> Stored:
        """Return when the intent is durable, and where.

        Raises ``StaleEpoch`` (the stage changed, or is frozen: nothing was written), ``TargetUnavailable``,
        ``SourceUnavailable`` or ``Overloaded``.
        """
        if self._waiting >= _MOST_WAITING:
            message = "too many writes wait for their intent"
            raise Overloaded(message, Refusal.INTENTS)
        stored: asyncio.Future[Stored | None] = asyncio.get_running_loop().create_future()
        self._waiting += 1
        if (lane := self._lanes.get(intent.generation)) is not None:
            lane.append((intent, stored))
        else:
            self._lanes[intent.generation] = deque([(intent, stored)])
            self._begin(intent.generation)
        place = await stored
        if place is None:
            self._metrics.stale_epochs.inc()
            message = "the collection's stage changed under the request"
            raise StaleEpoch(message)
        if place is Stored.LEDGER:
            self._metrics.intents.labels(intent.behind).inc()
        return place

    async def owe(self, generation: int, *, seconds: float) -> None:
        """Have a collection owe all that is unsettled (R11); what Postgres does late counts as well.

        Raises ``TargetUnavailable`` after so many seconds, at once while Postgres is not asked for intents either.
        """
        if self._tasks is None or self._breaker.circuit is not Circuit.CLOSED:
            message = "did not take the last intents"
            raise TargetUnavailable(message)
        owing = self._tasks.create_task(self._owe(generation))
        if not await _ends_in(owing, seconds):
            message = f"did not note within {seconds:g} s what is owed"
            raise TargetUnavailable(message)
        if (error := owing.result()) is not None:
            raise error

    async def _owe(self, generation: int) -> Exception | None:
        """Return an error instead of raising it: it must not end the lanes."""
        try:
            await self._log.owe(generation)
        except Exception as error:  # noqa: BLE001 - raised by who waits for it
            return error
        return None

    async def run(self) -> None:
        """Own the commits until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            for generation in self._lanes:
                self._begin(generation)
            try:
                await asyncio.Event().wait()
            finally:
                self._tasks = None

    def _begin(self, generation: int) -> None:
        if self._tasks is not None:
            self._tasks.create_task(self._serve(generation, self._tasks))

    async def _serve(self, generation: int, tasks: asyncio.TaskGroup) -> None:
        """Commit a lane's batches, one after the other, until it is empty."""
        lane = self._lanes[generation]
        while lane:
            batch = _batch(lane)
            self._waiting -= len(batch)
            await self._commit_batch(batch, tasks)
        del self._lanes[generation]

    async def _commit_batch(self, batch: Sequence[_Waiter], tasks: asyncio.TaskGroup) -> None:
        self._metrics.intent_batch.observe(len(batch))
        try:
            places = await self._store(batch, tasks)
        except Exception as error:  # noqa: BLE001 - what nobody foresaw fails this batch, not the instance
            if not isinstance(error, VecferryError):
                _log.exception("intents_broken")
            for _, waiter in batch:
                if not waiter.done():
                    waiter.set_exception(error)
            return
        _tell(batch, places)

    async def _store(
        self, batch: Sequence[_Waiter], tasks: asyncio.TaskGroup
    ) -> dict[UUID, Stored]:
        """Return where each intent is; one that is in neither store has a stale epoch."""
        intents = [intent for intent, _ in batch]
        if not self._breaker.admits():
            reason = "did not take the last intents; it is asked again in a moment"
            return await self._in_source(intents, TargetUnavailable(reason))
        try:
            return await self._in_postgres(batch, tasks)
        except VecferryError as error:
            self._breaker.failed()
            hinted = await self._in_source(intents, error)
            if not hinted:
                # A stage change holds the collection, and with it perhaps the row that the INSERT waited for.
                self._breaker.excused()
            return hinted

    async def _in_postgres(
        self, batch: Sequence[_Waiter], tasks: asyncio.TaskGroup
    ) -> dict[UUID, Stored]:
        """Return the intents that were taken; an INSERT that is late goes on, and keeps its slot."""
        try:
            async with asyncio.timeout(self._seconds):
                await self._slots.acquire()
        except TimeoutError:
            reason = f"has had as many intents under way as it may for {self._seconds:g} s"
            raise TargetUnavailable(reason) from None
        insert = _Insert(batch)
        inserting = tasks.create_task(self._insert(insert))
        if not await _ends_in(inserting, self._seconds):
            insert.is_late = True
            reason = f"did not store an intent within {self._seconds:g} s"
            raise TargetUnavailable(reason)
        taken = inserting.result()
        if isinstance(taken, Exception):
            raise taken
        return taken

    async def _insert(self, insert: _Insert) -> dict[UUID, Stored] | Exception:
        """Return an error instead of raising it: it must not end the other lanes."""
        try:
            taken = await self._log.insert(
                [intent for intent, _ in insert.batch], owner=self._owner
            )
        except Exception as error:  # noqa: BLE001 - raised by who waits for it
            return error
        finally:
            self._slots.release()
        places = dict.fromkeys(taken, Stored.LEDGER)
        if not insert.is_late:
            self._breaker.answered()
            # At once: the clients' writes need not wait until the lane's task has heard of it.
            _tell(insert.batch, places)
        return places

    async def _in_source(
        self, intents: Sequence[Intent], error: VecferryError
    ) -> dict[UUID, Stored]:
        if self._hints is None:
            raise error
        _log.debug("intents_become_hints", intents=len(intents), error=str(error))
        taken = await self._hints.insert(intents, owner=self._owner)
        return dict.fromkeys(taken, Stored.HINT)


async def _ends_in(task: asyncio.Task[object], seconds: float) -> bool:
    """Wait for a task; say whether it ended in time.

    When our own loop stood still, the time is over before it has read what came in: it gets some turns to do so.
    """
    await asyncio.wait({task}, timeout=seconds)
    for _ in range(_TURNS):
        if task.done():
            break
        await asyncio.sleep(0)
    return task.done()


def _tell(batch: Sequence[_Waiter], places: Mapping[UUID, Stored]) -> None:
    for intent, waiter in batch:
        if not waiter.done():
            waiter.set_result(places.get(intent.id))


def _batch(lane: deque[_Waiter]) -> list[_Waiter]:
    """Take waiting intents from the front until a commit is full; at least one."""
    taken = [lane.popleft()]
    ids = len(taken[0][0].keys)
    while lane and len(taken) < _MOST_PER_COMMIT:
        ids += len(lane[0][0].keys)
        if ids > _MOST_IDS_PER_COMMIT:
            break
        taken.append(lane.popleft())
    return taken
