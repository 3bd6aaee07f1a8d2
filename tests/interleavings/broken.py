"""The product's code with one mechanism taken out: the searches must find what goes wrong then."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from service.control.change import StageChanges
from service.control.sealing import Frozen, Seals
from service.control.state import CollectionState, View
from service.model.ids import PointId
from service.protocol.hints import HintCommits, HintMover
from service.protocol.ledger import Hint, Intent, LedgerEntry
from service.protocol.resync import Resyncer
from service.protocol.source_writes import Answer, SourceWrites, WriteRequest
from tests.interleavings.front import Front

_LATE_SECONDS = 60.0


class UnknownHasEnded(Resyncer):
    """R1: a request that may still land counts as ended."""

    def suspected(self, entry: LedgerEntry) -> None:
        self.ended(entry)


class AcknowledgedHasEnded(Resyncer):
    """R1: what waits in Qdrant's queue counts as ended; no barrier."""

    def queued(self, entry: LedgerEntry) -> None:
        self.ended(entry)


class NeverRecovered(Resyncer):
    """R7: whoever was slow believes that its intents are still its own."""

    def may_be_recovered(self, since: float) -> bool:
        return False


class NoIntent(SourceWrites):
    """Nothing is written down before the source sees the write."""

    async def _by_ids(
        self, state: CollectionState, request: WriteRequest, ids: Sequence[PointId]
    ) -> Answer:
        return await self._forward(request)


class DropsRefused(SourceWrites):
    """R3: the intent of a refused write is thrown away, although the write may have taken effect in part."""

    async def _by_ids(
        self, state: CollectionState, request: WriteRequest, ids: Sequence[PointId]
    ) -> Answer:
        answer = await self._forward(request)
        if answer.status == 200:
            return await super()._by_ids(state, request, ids)
        return answer


class NoQuestion(Front):
    """R11: a moved read does not ask whether the target lacks an answered write."""

    async def _is_owing(self, state: CollectionState) -> bool:
        return False


class NoMarks(Front):
    """R11: a moved read does not look at the marks of detached instances."""

    def _may_move(self, view: View) -> bool:
        return True


class DiscardsFirst(HintMover):
    """R6: hints are discarded before their intents are committed."""

    async def _move_page(self, hints: Sequence[Hint]) -> None:
        await self._hints.discard([hint.intent.id for hint in hints])
        await super()._move_page(hints)


class NeverMoves(HintMover):
    """R6: nobody moves hints to the ledger."""

    async def move(self) -> None:
        """Look at nothing."""


class LateMover(HintMover):
    """Not broken: its first look comes late, as it may where Qdrant is busy."""

    async def run(self) -> None:
        """Begin when the history is over."""
        await asyncio.sleep(_LATE_SECONDS)
        await super().run()


class RecordFirst(HintCommits):
    """R6: the record is read before the hint is written."""

    async def _insert(self, intents: Sequence[Intent], owner: UUID) -> set[UUID]:
        await self._detached.announced(reads_may_be_moved=False)
        allowed = await self._allowed(intents)
        await self._hints.write([Hint(replace(each, owed=True), owner) for each in intents])
        await self._discard([each.id for each in intents if each.id not in allowed])
        return allowed


class SeesNoHints(Seals):
    """R6: a stage change looks at the ledger in Postgres alone."""

    async def hints(self, generation: int) -> int:
        return 0


class Unconfirmed(StageChanges):
    """R9: a change waits for no instance, neither for the freeze nor for the new stage."""

    async def _all_ended(
        self, before: CollectionState, revision: int, frozen: Frozen | None
    ) -> None:
        await self._settled(before, "under the freeze")

    async def _confirmed(self, revision: int) -> None:
        await self._plane.refresh()


class NeverAsksPublished(Front):
    """R11: a read goes to the source under a freeze without asking whether the target is right by now."""

    async def _check_published(self, state: CollectionState) -> None:
        pass
