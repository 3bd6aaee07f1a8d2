"""The product's code with one mechanism taken out: the searches must find what goes wrong then."""

from collections.abc import Sequence

from service.control.state import CollectionState, View
from service.model.ids import PointId
from service.protocol.hints import HintMover
from service.protocol.ledger import Hint, LedgerEntry
from service.protocol.resync import Resyncer
from service.protocol.source_writes import Answer, SourceWrites, WriteRequest
from tests.interleavings.front import Front


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
