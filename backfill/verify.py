"""Proving equality point by point, while writes flow.

Both stores are enumerated in id order and merged, so that points only one of them has are found,
whichever it is. The two reads of an id are not of one moment, so a difference at first sight means
little: the id is read again from both after ``recheck_seconds``, up to ``rounds`` times. Equal
once, it is settled. Differing to the end it is *confirmed* if both sides rested between the last
two looks, and *unsettled* otherwise.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from backfill.canonical import Kind, differences, fingerprint
from backfill.enumeration import Column, Pair, side_by_side
from backfill.metrics import BackfillMetrics
from backfill.receipt import Difference, Receipt
from backfill.retry import Retry
from backfill.together import together
from service.model.ids import PointId
from service.model.points import Record
from service.model.qdrant import PointRequest
from service.ports import PointReader

_IDS_PER_READ = 256


@dataclass(frozen=True, slots=True)
class Effort:
    """How hard a verification tries.

    A point that is written all the time differs at many a look, because one store has each write
    first; many rounds find it equal once. After ``most_suspects`` ids that differ at first sight it
    stops: the stores are not meant to be equal then, and the list would only fill memory.
    """

    page_size: int = 250
    recheck_seconds: float = 1.0
    rounds: int = 8
    most_suspects: int = 20_000
    retry: Retry = field(default_factory=Retry)


@dataclass(frozen=True, slots=True)
class _Suspect:
    """An id that differed at its last look; ``rested``: both sides were as at the look before."""

    id: PointId
    kinds: tuple[Kind, ...]
    seen: tuple[bytes, bytes]
    rested: bool = False


class Verification:
    """Compares collections of two stores; one value serves any number of runs."""

    def __init__(
        self,
        control: PointReader,
        candidate: PointReader,
        metrics: BackfillMetrics,
        effort: Effort | None = None,
    ) -> None:
        self._control = control
        self._candidate = candidate
        self._metrics = metrics
        self._effort = effort or Effort()

    async def run(self, collection: str, *, epoch: int | None = None) -> Receipt:
        """Compare every point of the collection and return what was found.

        ``epoch`` is only noted in the receipt. Raises ``CollectionNotFound``, and ``StoreError``
        when a store failed for too long.
        """
        started_at = datetime.now(UTC)
        columns = (
            self._column(self._control, collection),
            self._column(self._candidate, collection),
        )
        compared, suspects = await self._enumerate(*columns)
        complete = len(suspects) < self._effort.most_suspects
        left = await self._settle(collection, suspects)
        confirmed = [Difference(s.id, s.kinds) for s in left if s.rested]
        unsettled = [Difference(s.id, s.kinds) for s in left if not s.rested]
        self._count(compared, confirmed, unsettled)
        return Receipt(
            collection=collection,
            epoch=epoch,
            started_at=started_at,
            finished_at=datetime.now(UTC),
            control_points=columns[0].points,
            candidate_points=columns[1].points,
            compared=compared,
            rechecked=len(suspects),
            confirmed=confirmed,
            unsettled=unsettled,
            complete=complete,
            not_checked=_not_checked(suspects, complete=complete),
        )

    def _column(self, reader: PointReader, collection: str) -> Column:
        effort = self._effort
        return Column(reader, collection, page_size=effort.page_size, retry=effort.retry)

    async def _enumerate(self, control: Column, candidate: Column) -> tuple[int, list[_Suspect]]:
        compared, suspects = 0, list[_Suspect]()
        async for pair in side_by_side(control, candidate):
            compared += 1
            suspect = _look(pair, before=None)
            if suspect is not None:
                suspects.append(suspect)
                if len(suspects) >= self._effort.most_suspects:
                    break
        return compared, suspects

    async def _settle(self, collection: str, suspects: Sequence[_Suspect]) -> Sequence[_Suspect]:
        left = suspects
        for _ in range(self._effort.rounds):
            if not left:
                break
            await asyncio.sleep(self._effort.recheck_seconds)
            left = await self._look_again(collection, left)
        return left

    async def _look_again(self, collection: str, suspects: Sequence[_Suspect]) -> list[_Suspect]:
        left = []
        for start in range(0, len(suspects), _IDS_PER_READ):
            some = suspects[start : start + _IDS_PER_READ]
            ids = [suspect.id for suspect in some]
            control, candidate = await together(
                self._read(self._control, collection, ids),
                self._read(self._candidate, collection, ids),
            )
            pairs = (Pair(s.id, control.get(s.id), candidate.get(s.id)) for s in some)
            again = (_look(pair, before=s) for pair, s in zip(pairs, some, strict=True))
            left += [suspect for suspect in again if suspect is not None]
        return left

    async def _read(
        self, reader: PointReader, collection: str, ids: Sequence[PointId]
    ) -> dict[PointId, Record]:
        request = PointRequest(ids=list(ids), with_payload=True, with_vector=True)

        async def retrieve() -> list[Record]:
            return await reader.retrieve(collection, request)

        records = await self._effort.retry.call(retrieve)
        return {record.id: record for record in records}

    def _count(
        self, compared: int, confirmed: Iterable[Difference], unsettled: Sequence[Difference]
    ) -> None:
        self._metrics.verified.inc(compared)
        self._metrics.unsettled.inc(len(unsettled))
        for difference in confirmed:
            for kind in difference.kinds:
                self._metrics.differences.labels(kind).inc()


def _look(pair: Pair, *, before: _Suspect | None) -> _Suspect | None:
    kinds = differences(pair.control, pair.candidate)
    if not kinds:
        return None
    seen = (fingerprint(pair.control), fingerprint(pair.candidate))
    return _Suspect(pair.id, kinds, seen, rested=before is not None and before.seen == seen)


def _not_checked(suspects: Sequence[_Suspect], *, complete: bool) -> list[str]:
    notes = [
        "Writes made after an id was read: the ledger has them.",
        "Indexes, and whether searches find the same points: shadow reads measure that.",
    ]
    if not complete:
        notes.insert(0, f"Ids after {suspects[-1].id}: too many differed, the rest was not read.")
    return notes
