"""Changes of whole collections: a ``*`` intent first, then the authority, then the other store (R10).

Rule 1: what is copied is the authority's present description, never the operation; so settling twice is harmless.
Rule 2: an intent is settled only after its own request has a known end; if it may still land, after the grace period
        and behind a barrier (R1, R2, R7).
Rule 3: a generation is given up only while its writes are held on every instance: none of them then lands in a
        collection that is made again under the name.
Rule 4: nothing is dropped. What cannot be settled stays in the ledger and is tried again at growing delays.
"""

import asyncio
import time
from contextlib import suppress
from typing import Protocol
from uuid import UUID, uuid4

import structlog

from service.control.plane import ControlPlane
from service.control.state import CollectionState
from service.errors import (
    CollectionNotFound,
    Overloaded,
    Refusal,
    SourceUnavailable,
    StageError,
    VecferryError,
)
from service.metrics import ProxyMetrics
from service.protocol import imposing
from service.protocol.description import Description
from service.protocol.mirrors import BarrierStore
from service.protocol.outcome import Outcome
from service.protocol.refusals import is_refusal, may_still_land
from service.protocol.whole_log import Anew, Ended, Refused, WholeIntent, WholeLog
from service.stages import Side
from service.steps import Step, reached
from service.troubles import Trouble

_log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.05
_LOOK_SECONDS = 1.0
_LONGEST_DELAY_SECONDS = 30.0
_LIMIT = 200


class Records(Protocol):
    """What must happen to the source's record of a collection (R6)."""

    async def seal(self, name: str) -> None:
        """Freeze the record and return when no hint is left. Raises ``StageError`` or ``StoreError``."""
        ...

    async def sync(self, name: str) -> None:
        """Bring the record up to date after a control change."""
        ...


class NoRecords:
    """``Records`` where the source keeps none."""

    async def seal(self, name: str) -> None:
        """Do nothing."""

    async def sync(self, name: str) -> None:
        """Do nothing."""


class WholeChanges:
    """Owns the ``*`` intents of this instance from their commit to their end."""

    def __init__(  # noqa: PLR0913 - the parts it is made of, wired once
        self,
        log: WholeLog,
        source: BarrierStore | None,
        plane: ControlPlane,
        metrics: ProxyMetrics,
        *,
        grace_seconds: float,
        hold_seconds: float,
        records: Records | None = None,
    ) -> None:
        self._log = log
        self._source = source
        self._plane = plane
        self._metrics = metrics
        self._grace_seconds = grace_seconds
        self._hold_seconds = hold_seconds
        self._records = records or NoRecords()
        self._open: set[UUID] = set()
        self._not_before: dict[UUID | str, float] = {}
        self._failures: dict[UUID | str, int] = {}
        self._attempted: set[UUID | str] = set()
        self._left = 0
        self._work = asyncio.Event()

    @property
    def is_idle(self) -> bool:
        """Whether this instance knows of nothing that is not settled."""
        return not (self._open or self._not_before or self._left)

    async def intend(
        self, state: CollectionState, *, replaces: bool, gives_up: bool, cause: str
    ) -> WholeIntent | None:
        """Commit the intent of a change of the source's; ``None`` when the caller must decide anew.

        With ``gives_up`` the collection's writes are held everywhere when this returns. Waits, bounded, for another
        change of the name; raises ``Overloaded`` after that.
        """
        intent = WholeIntent(
            uuid4(), state.name, state.generation, Side.TARGET, replaces, cause
        )  # fmt: skip
        deadline = time.monotonic() + self._hold_seconds
        self._open.add(intent.id)
        try:
            while refused := await self._log.intend(intent, state, owner=self._plane.instance):
                if refused is Refused.STALE:
                    self._open.discard(intent.id)
                    await self._plane.refresh()
                    return None
                await _wait(deadline, state.name)
            reached(Step.CHANGE_INTENDED)
            if gives_up and state.generation is not None:
                await self._held(intent)
        except BaseException:
            await self._taken_back(intent)
            raise
        return intent

    async def follow(self, state: CollectionState) -> None:
        """Look at the source's description once more, whoever changed it: the target has it when the ledger is empty.

        What was there before the collection was mirrored comes over so. Raises ``StageError`` when another change is
        under way.
        """
        try:
            intent = await self.intend(state, replaces=False, gives_up=False, cause="follow")
        except Overloaded as error:
            raise StageError(str(error)) from error
        if intent is None:
            message = f"`{state.name}` changed meanwhile; try again"
            raise StageError(message)
        await self.ended(intent, Outcome.ENDED)

    async def free(self, name: str) -> None:
        """Return when nobody makes or drops the collection. Raises ``Overloaded`` after a bounded time."""
        deadline = time.monotonic() + self._hold_seconds
        while await self._log.is_busy(name):
            await _wait(deadline, name)

    async def forget(self, intent: WholeIntent) -> None:
        """Take back an intent: nothing has reached the source."""
        await self._log.forget(intent)
        self._open.discard(intent.id)
        await self._plane.refresh()

    async def ended(self, intent: WholeIntent, outcome: Outcome, *, is_made: bool = False) -> None:
        """Note how far the source's change is; what has ended is settled now, if that is possible now."""
        match outcome:
            case Outcome.ENDED:
                reached(Step.CHANGE_ON_SOURCE)
                try:
                    await self._try(intent, is_made=is_made)
                finally:
                    self._open.discard(intent.id)
            case Outcome.QUEUED:
                self.suspected(intent, 0.0)
            case Outcome.UNKNOWN:
                self.suspected(intent)

    def suspected(self, intent: WholeIntent, seconds: float | None = None) -> None:
        """Note that the change may still land: settle after the grace period and behind a barrier."""
        delay = self._grace_seconds if seconds is None else seconds
        self._not_before[_turn(intent)] = time.monotonic() + delay
        self._open.discard(intent.id)
        self._work.set()

    def committed(self) -> None:
        """Note that the target has a change which the source lacks."""
        self._left = max(self._left, 1)
        self._work.set()

    async def synced(self, name: str) -> None:
        """Bring the source's record of the collection up to date, if it can be reached: others do it later."""
        try:
            await self._records.sync(name)
        except VecferryError as error:
            _log.warning("record_not_synced", collection=name, error=str(error))

    async def run(self) -> None:
        """Settle until cancelled."""
        trouble = Trouble("whole_sweep_failed")
        while True:
            self._work.clear()
            with trouble.contained("whole_sweep_broken"):
                await self._look()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._work.wait()

    async def _look(self) -> None:
        owner = self._plane.instance
        for found in await self._log.adopt(owner=owner, limit=_LIMIT):
            _log.info("change_adopted", collection=found.name, cause=found.cause)
            self._not_before[_turn(found)] = time.monotonic()
        mine = await self._log.open_intents(owner=owner, limit=_LIMIT)
        waiting = [found for found in mine if found.id not in self._open]
        self._left = len(waiting)
        self._forget_all_but({_turn(found) for found in mine})
        # One attempt settles all that the source lacks of a name, or nothing of it.
        turns = {_turn(found): found for found in waiting}
        for turn, intent in turns.items():
            if self._not_before.get(turn, 0.0) <= time.monotonic():
                await self._try(intent, is_made=False)
        await self._log.clear_leftovers()

    def _forget_all_but(self, known: set[UUID | str]) -> None:
        self._not_before = {key: at for key, at in self._not_before.items() if key in known}
        self._failures = {key: times for key, times in self._failures.items() if key in known}
        self._attempted &= known

    async def _try(self, intent: WholeIntent, *, is_made: bool) -> None:
        """Settle now; what fails is tried again later and said in the ledger."""
        try:
            ended = await self._settle(intent, is_made=is_made)
        except VecferryError as error:
            self._metrics.whole_changes.labels(intent.behind, "failed").inc()
            _log.warning(
                "change_not_settled",
                collection=intent.name,
                cause=intent.cause,
                behind=intent.behind,
                error=str(error),
            )
            await self._put_off(intent, error)
            return
        self._metrics.whole_changes.labels(intent.behind, ended).inc()
        if ended in {Ended.DONE, Ended.GONE}:
            self._forget_all_but((self._not_before.keys() | self._attempted) - {_turn(intent)})
            reached(Step.CHANGE_SETTLED)
        elif ended is Ended.ATTEMPTED:
            self._attempted.add(_turn(intent))
            self._not_before[_turn(intent)] = time.monotonic() + self._grace_seconds
        else:
            await self._put_off(intent, None)

    async def _settle(self, intent: WholeIntent, *, is_made: bool) -> Ended:
        source = self._source
        if source is None:
            raise _NOT_CONFIGURED  # it stays, visible, until there is a source again
        if intent.behind is Side.SOURCE:
            return await self._settle_source(source, intent)
        if _turn(intent) in self._not_before:
            await imposing.drained(source, intent.name)
        ended = await self._settle_target(source, intent, is_made=is_made)
        if ended is Ended.UNHELD:
            await self._held(intent)
            ended = await self._settle_target(source, intent, is_made=is_made)
        if ended is Ended.DONE:
            await self._plane.refresh()
            await self.synced(intent.name)
        return ended

    async def _settle_target(
        self, source: BarrierStore, intent: WholeIntent, *, is_made: bool
    ) -> Ended:
        async def describe() -> Description | None:
            return await imposing.description(source, intent.name)

        return await self._log.settle_target(
            intent, describe, owner=self._plane.instance, is_made=is_made
        )

    async def _settle_source(self, source: BarrierStore, intent: WholeIntent) -> Ended:
        async def impose(wanted: Description | None, anew: Anew) -> None:
            await imposing.impose(source, intent.name, wanted, anew)

        # Whoever met an open attempt has waited since for as long as it may take to land.
        return await self._log.settle_source(
            intent.name,
            impose,
            owner=self._plane.instance,
            ignore_attempts=_turn(intent) in self._attempted,
        )

    async def _held(self, intent: WholeIntent) -> None:
        """Return when no instance writes to the collection any more. Raises ``Overloaded``."""
        revision = await self._log.hold(intent, self._hold_seconds)
        if revision is None:
            message = f"collection `{intent.name}` is changing its stage, retry"
            raise Overloaded(message, Refusal.COLLECTION_CHANGING)
        try:
            await self._plane.confirmed_by_all(revision, seconds=self._hold_seconds)
            await self._records.seal(intent.name)
        except StageError as error:
            raise Overloaded(str(error), Refusal.COLLECTION_CHANGING) from error

    async def _taken_back(self, intent: WholeIntent) -> None:
        try:
            await asyncio.shield(self._log.forget(intent))
        except VecferryError as error:
            # The sweep finds it: nothing has changed, so that settling it changes nothing.
            _log.warning("change_not_taken_back", collection=intent.name, error=str(error))
        finally:
            self._open.discard(intent.id)
        await self.synced(intent.name)

    async def _put_off(self, intent: WholeIntent, error: VecferryError | None) -> None:
        turn = _turn(intent)
        times = self._failures[turn] = self._failures.get(turn, 0) + 1
        delay = min(0.25 * 2**times, _LONGEST_DELAY_SECONDS)
        if error is not None and intent.behind is Side.SOURCE and may_still_land(error):
            # It could undo what is done meanwhile: nothing is, until it no longer can (R8).
            delay = self._grace_seconds
        self._not_before[turn] = time.monotonic() + delay
        # A collection that is missing where it should only be changed is the operator's business, too.
        if error is None or not (is_refusal(error) or isinstance(error, CollectionNotFound)):
            return
        try:
            await self._log.failed(intent, str(error))
        except VecferryError as second:
            _log.warning("failure_not_noted", collection=intent.name, error=str(second))


def _turn(intent: WholeIntent) -> UUID | str:
    """Return what takes turns: a change of the source's by itself, what the source lacks by the collection's name."""
    return intent.id if intent.behind is Side.TARGET else intent.name


async def _wait(deadline: float, name: str) -> None:
    if time.monotonic() > deadline:
        message = f"collection `{name}` is being made or dropped, retry"
        raise Overloaded(message, Refusal.COLLECTION_CHANGING)
    await asyncio.sleep(_POLL_SECONDS)


_NOT_CONFIGURED = SourceUnavailable("is not configured", may_have_applied=False)


def _proves_port(none: NoRecords) -> Records:
    return none
