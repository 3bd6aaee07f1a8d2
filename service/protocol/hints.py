"""Hints: the way of an intent while Postgres cannot take it, and its way back (R6).

Rule 1: mark, hint, *then* the record, then the write. A stage change freezes the record, then looks for hints, so it
        sees the hint or the writer sees the freeze.
Rule 2: a hint is owed: its client is answered before the target has the write, and nobody reads the target while the
        owner is marked. It is owed in the ledger, too, before the mark goes.
Rule 3: a hint is discarded only after its intent is committed, and exactly those that were read are (R2).
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol
from uuid import UUID

import structlog

from service.control.register import Record, SourceRegister
from service.errors import (
    StoreAnswered,
    StoreError,
    TargetUnavailable,
)
from service.metrics import ProxyMetrics
from service.protocol.commits import HintPath
from service.protocol.ledger import Hint, HintedLog, HintStore, Intent, LedgerEntry
from service.stages import Side, Stage
from service.steps import Step, reached
from service.troubles import Trouble

_log = structlog.get_logger(__name__)

_LOOK_SECONDS = 1.0
_PAGE = 256
_MOST_PAGES = 64
"""Pages of one owner before others have their turn."""

SILENT_SECONDS = 10.0
"""After so long without a sign of life in Postgres an owner's hints are moved by others."""


class OwnedHints(HintStore, Protocol):
    """Hints in the source, whose owners can be asked for."""

    async def owners(self) -> set[UUID]:
        """Return whose hints there are."""
        ...


class Detached(Protocol):
    """This instance's place among the marks in the source."""

    async def announced(self, *, reads_may_be_moved: bool) -> None:
        """Return when this instance's mark is in the register and fresh.

        With ``reads_may_be_moved`` only when ``LEASE_SECONDS`` have passed since: others may read the target until
        then. Raises ``StoreError`` when the mark cannot be written.
        """
        ...


class Heir(Protocol):
    """Settles what other instances left."""

    def inherited(self, entry: LedgerEntry) -> None:
        """Note an intent whose request, another instance's, may still land; call before it is in the ledger."""
        ...


class HintCommits:
    """``HintPath`` through the register in the source."""

    def __init__(
        self,
        hints: HintStore,
        register: SourceRegister,
        detached: Detached,
        metrics: ProxyMetrics,
    ) -> None:
        self._hints = hints
        self._register = register
        self._detached = detached
        self._metrics = metrics
        self._running = 0
        self._begun = 0

    @property
    def begun(self) -> int | None:
        """How many times hints were written so far, ``None`` while they are."""
        return None if self._running else self._begun

    async def insert(self, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        """Store the intents as hints and return those whose write the record allows.

        Raises ``StoreError``, but never ``StoreAnswered``: that would be the client's answer.
        """
        # Counted before the mark is asked for: it must not be taken away as long as a hint may follow.
        self._running += 1
        self._begun += 1
        try:
            return await self._insert(intents, owner)
        except StoreAnswered as error:
            reason = "did not take an intent in time, and the source takes no hint"
            raise TargetUnavailable(reason, detail=error) from error
        finally:
            self._running -= 1

    async def _insert(self, intents: Sequence[Intent], owner: UUID) -> set[UUID]:
        await self._detached.announced(reads_may_be_moved=False)
        now = time.time()
        await self._hints.write([Hint(replace(each, owed=True), owner, now) for each in intents])
        self._metrics.hints_written.inc(len(intents))
        reached(Step.HINT_WRITTEN)
        allowed = await self._allowed(intents)
        if allowed:
            reached(Step.HINT_CHECKED)
        await self._discard([intent.id for intent in intents if intent.id not in allowed])
        return allowed

    async def _allowed(self, intents: Sequence[Intent]) -> set[UUID]:
        records = await self._records(intents)
        is_ramp = any(record.state.stage is Stage.RAMP for record in records.values())
        # Once more: nobody takes the mark away from now on, but somebody may have while the hint was on its way.
        await self._detached.announced(reads_may_be_moved=is_ramp)
        if is_ramp:
            records = await self._records(intents)
        return {intent.id for intent in intents if allows(records.get(intent.collection), intent)}

    async def _records(self, intents: Sequence[Intent]) -> dict[str, Record]:
        records = [
            await self._register.record(name)
            for name in sorted({intent.collection for intent in intents})
        ]
        return {record.state.name: record for record in records if record is not None}

    async def _discard(self, refused: Sequence[UUID]) -> None:
        """Take back hints whose writes are not sent; one that stays is moved, and finds its ids equal."""
        if not refused:
            return
        try:
            await self._hints.discard(refused)
        except StoreError as error:
            _log.warning("refused_hints_left", hints=len(refused), error=str(error))


def allows(record: Record | None, intent: Intent) -> bool:
    """Say whether a collection's record lets a write go on whose intent is a hint.

    With the writer's own epoch: between two others a mover may have found the hint while the target was right, and
    dropped it.
    """
    if record is None:
        return False
    state = record.state
    return (
        (state.generation, state.epoch) == (intent.generation, intent.epoch)
        and state.is_mirrored
        and state.authority is Side.SOURCE
        and not state.frozen
    )


class HintMover:
    """Moves hints to the ledger while Postgres is there: this instance's own, and those of silent ones."""

    def __init__(
        self,
        hints: OwnedHints,
        log: HintedLog,
        commits: HintCommits,
        heir: Heir,
        *,
        owner: UUID,
        metrics: ProxyMetrics,
    ) -> None:
        self._hints = hints
        self._log = log
        self._commits = commits
        self._heir = heir
        self._owner = owner
        self._metrics = metrics
        self._clear_at = 0

    def own_left(self) -> bool:
        """Say whether a hint of this instance is, or may soon be, in the source."""
        return self._commits.begun != self._clear_at

    async def run(self) -> None:
        """Look every second; never ends by itself."""
        trouble = Trouble("hints_stay")
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            with trouble.contained("hints_broken"):
                await self.move()

    async def move(self) -> None:
        """Move what there is. Raises what the stores raise; what was not moved stays in the source."""
        begun = self._commits.begun
        left = await self._hints.count()
        self._metrics.hints.set(left)
        if not left or await self._move_owners(self._owner):
            self._clear_at = self._clear_at if begun is None else begun
        if not left:
            return
        live = await self._log.live_owners(silent_seconds=SILENT_SECONDS)
        for owner in sorted(await self._hints.owners() - live - {self._owner}):
            await self._move_owners(owner)
        self._metrics.hints.set(await self._hints.count())

    async def _move_owners(self, owner: UUID) -> bool:
        """Move the hints of one owner page by page; false when some are left."""
        for _ in range(_MOST_PAGES):
            hints = await self._hints.read(owner=owner, limit=_PAGE)
            if not hints:
                return True
            reached(Step.HINTS_READ)
            await self._move_page(hints)
        return False

    async def _move_page(self, hints: Sequence[Hint]) -> None:
        for hint in hints:
            if hint.owner != self._owner:
                self._heir.inherited(_entry(hint))
        await self._log.take(hints, owner=self._owner)
        reached(Step.HINTS_TAKEN)
        await self._hints.discard([hint.intent.id for hint in hints])
        reached(Step.HINTS_DISCARDED)
        self._metrics.hints_moved.inc(len(hints))
        _log.info("hints_moved", owner=str(hints[0].owner), hints=len(hints))


def _entry(hint: Hint) -> LedgerEntry:
    intent = hint.intent
    return LedgerEntry(
        intent.id, intent.generation, intent.collection, intent.behind, intent.keys, hint.owner
    )


def _proves_port(commits: HintCommits) -> HintPath:
    return commits
