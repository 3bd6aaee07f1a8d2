"""What comes before and after the ranges of a verification: splitting the ids, judging what differs, the receipt."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

import structlog

from backfill.canonical import Kind
from backfill.confirming import Judgement, Looks
from backfill.enumeration import cut
from backfill.jobs import Job
from backfill.key_range import KeyRange
from backfill.metrics import BackfillMetrics
from backfill.queue import Note, Quarantine, StepQueue, StepWork, Suspect
from backfill.receipt import Difference, RangeFindings, Receipt
from backfill.receipts import Receipts
from backfill.signature import signed
from backfill.surroundings import LookAround
from backfill.verify import Findings
from service.errors import RequestError, StoreError
from service.model.ids import PointId, decode_key
from service.model.qdrant import CountRequest, QueryRequest, Sample, SampleQuery
from service.ports import PointReader

_log = structlog.get_logger(__name__)

_POINTS_PER_RANGE = 50_000
_MOST_RANGES = 256
_IDS_PER_RANGE = 32
"""Of the sample; the largest range is then rarely twice the average."""
_MOST_SORTED = 5_000_000
"""Postgres draws by sorting all keys at random; beyond so many, uneven ranges cost less."""
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what differs is looked at.

    ``grace_seconds`` is the longest client time-out: so late may a write of before still land. ``settle_seconds`` is
    how long ids that unsettled writes name are looked at again after that, ``pause_seconds`` apart.
    """

    grace_seconds: float = 65.0
    settle_seconds: float = 60.0
    pause_seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class VerifySteps:
    """``StepWork`` of verifications. Without a ``key`` receipts are not signed."""

    looks: Looks
    queue: StepQueue
    receipts: Receipts
    quarantine: Quarantine
    look_around: LookAround
    metrics: BackfillMetrics
    patience: Patience = field(default_factory=Patience)
    key: bytes | None = None

    async def prepare(self, job: Job, note: Note) -> tuple[Sequence[KeyRange], int | None]:
        """Split the ids by samples of both stores, and count the source's."""
        note("counting points and drawing samples")
        source, target = self.looks.source, self.looks.target
        # An exact count reads every id, and of many takes longer than any time-out; this is for the progress only.
        total = await source.count(job.collection, CountRequest(exact=False))
        count = max(1, min(_MOST_RANGES, -(-total // _POINTS_PER_RANGE)))
        if count == 1:
            return cut((), 1), total
        sample = await self._sample(source, job, count)
        if total <= _MOST_SORTED:
            sample += await self._sample(target, job, count)
        return cut(sample, count), total

    async def finish(self, job: Job, note: Note) -> Mapping[str, object]:
        """Judge the suspects, make the receipt and store it; the result is its summary."""
        waived = await self.quarantine.waived_keys(job.generation)
        # Before the wait: nobody has to wait for ids that are left out anyway.
        suspects = await self._unexcused(job, await self._suspects(job), waived)
        judged = await self._judge(job, suspects, note)
        waived |= await self.quarantine.waived_keys(job.generation)
        receipt = await self._receipt(job, await self._unexcused(job, judged, waived), waived)
        document = receipt.to_json()
        if self.key is not None:
            document = signed(document, self.key)
        await self.receipts.store(job, document)
        self._report(receipt)
        return receipt.summary()

    async def _sample(self, reader: PointReader, job: Job, ranges: int) -> list[PointId]:
        """Return ids drawn at random; none where the store cannot draw: the ranges are less even then."""
        request = QueryRequest(
            query=SampleQuery(sample=Sample.RANDOM),
            limit=ranges * _IDS_PER_RANGE,
            with_payload=False,
            with_vector=False,
        )
        try:
            return [hit.id for hit in await reader.query(job.collection, request)]
        except (StoreError, RequestError) as error:
            _log.warning("verify_without_sample", collection=job.collection, error=str(error))
            return []

    async def _suspects(self, job: Job) -> list[Suspect]:
        found: list[Suspect] = []
        while True:
            after = found[-1].key if found else None
            page = await self.queue.suspects(job, limit=_PAGE, after=after)
            found += page
            if len(page) < _PAGE:
                return found

    async def _unexcused(
        self, job: Job, found: Sequence[Suspect], waived: frozenset[bytes]
    ) -> list[Suspect]:
        """Return those that nobody waived; the others are no suspects any longer."""
        # Refused points are lacking or old in the target; one that only the target has is not theirs to excuse.
        excused = {
            each.key for each in found if each.key in waived and Kind.EXTRA not in each.kinds
        }
        await self.queue.judged(job, [Suspect(key, ()) for key in sorted(excused)])
        return [each for each in found if each.key not in excused]

    async def _judge(self, job: Job, suspects: Sequence[Suspect], note: Note) -> list[Suspect]:
        """Return what is confirmed or still open, by key. It is stored at once: a killed job goes on."""
        judged = {each.key: each for each in suspects if each.confirmed}
        left = {each.key: each for each in suspects if not each.confirmed}
        if left:
            await _wait(self.patience.grace_seconds, len(left), note)
        until = monotonic() + self.patience.settle_seconds
        while left:
            looked_at = 0
            async for judgements in self.looks.at(job.collection, job.generation, sorted(left)):
                news = [_suspect(each) for each in judgements]
                await self.queue.judged(job, news)
                for each in news:
                    judged[each.key] = each
                    if not each.kinds:
                        del judged[each.key]
                    if each.confirmed:
                        del left[each.key]
                looked_at += len(news)
                note(f"{len(left)} of the ids that differed are left to be judged")
            if not left or monotonic() >= until:
                break
            note(f"{len(left)} ids that differ are named by unsettled writes; looking again")
            await asyncio.sleep(self.patience.pause_seconds)
        note(None)
        return [judged[key] for key in sorted(judged)]

    async def _receipt(
        self, job: Job, found: Sequence[Suspect], waived: frozenset[bytes]
    ) -> Receipt:
        ranges = await self.queue.ranges(job)
        now = datetime.now(UTC)
        return Receipt(
            id=job.id,
            collection=job.collection,
            generation=job.generation,
            surroundings=await self.look_around(job.generation),
            started_at=job.created_at or now,
            finished_at=now,
            ranges=[
                RangeFindings(claim.range, Findings.from_json(claim.state)) for claim in ranges
            ],
            confirmed=[_difference(each) for each in found if each.confirmed],
            unsettled=[_difference(each) for each in found if not each.confirmed],
            excluded=[decode_key(key) for key in sorted(waived)],
        )

    def _report(self, receipt: Receipt) -> None:
        self.metrics.unsettled.inc(len(receipt.unsettled))
        for kind, count in receipt.counts().items():
            self.metrics.differences.labels(kind).inc(count)
        _log.info(
            "verified",
            collection=receipt.collection,
            receipt=str(receipt.id),
            clean=receipt.is_clean,
            differing=len(receipt.confirmed),
            unsettled=len(receipt.unsettled),
        )


async def _wait(seconds: float, suspects: int, note: Note) -> None:
    """Wait for the end of writes that somebody may have given up; nothing is known of them but their time-out."""
    until = monotonic() + seconds
    while (left := until - monotonic()) > 0:
        note(f"{suspects} ids differed; waiting {left:.0f} s for writes that may still land")
        await asyncio.sleep(min(left, 1.0))


def _suspect(judgement: Judgement) -> Suspect:
    return Suspect(judgement.key, judgement.kinds, confirmed=judgement.is_settled)


def _difference(suspect: Suspect) -> Difference:
    return Difference(decode_key(suspect.key), tuple(Kind(kind) for kind in suspect.kinds))


def _proves_port(steps: VerifySteps) -> StepWork:
    return steps
