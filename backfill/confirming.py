"""Looking again at ids that differed at first sight, until it is known whether they do.

The two reads of an id are not of one moment, and a write may be between the stores. So an id is *confirmed* to differ
only by a look under its lock that finds no unsettled write of it. What such a write names stays open.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from backfill.canonical import Kind, differences
from backfill.retry import Retry
from backfill.together import together
from service.errors import StoreError
from service.model.ids import decode_key, encode_key
from service.model.points import Record
from service.model.qdrant import PointRequest
from service.ports import PointReader

_log = structlog.get_logger(__name__)

KEYS_PER_LOOK = 64
"""Under the ids' locks no resync of them can go on, nor, where the target is the authority, a client's write."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a look under the lock said of one id; no ``kinds``: equal.

    Not ``is_settled``: a write of it is unsettled, or the source's replicas disagree, so nothing is proven; ``kinds``
    is as it was seen.
    """

    key: bytes
    kinds: tuple[Kind, ...]
    is_settled: bool = True


class Judge(Protocol):
    """Looks at ids under their locks."""

    async def judge(
        self, collection: str, generation: int, keys: Sequence[bytes]
    ) -> Sequence[Judgement]:
        """Return a judgement of each key, in the order of the keys; at most ``KEYS_PER_LOOK``, distinct.

        Raises ``StoreError``, and ``StageError`` when the stores are no longer both written.
        """
        ...


@dataclass(frozen=True, slots=True)
class Looks:
    """First looks without a lock, which most writes in flight do not outlive; a lock only for what still differs."""

    source: PointReader
    target: PointReader
    judge: Judge
    retry: Retry = field(default_factory=Retry)

    async def at(
        self, collection: str, generation: int, keys: Sequence[bytes]
    ) -> AsyncIterator[Sequence[Judgement]]:
        """Yield the judgements of distinct keys, some at a time. Raises as ``Judge`` does, and what the reads raise.

        A store that fails under the locks settles nothing: what it was asked about stays open.
        """
        for start in range(0, len(keys), KEYS_PER_LOOK):
            some = keys[start : start + KEYS_PER_LOOK]
            seen = await self._seen(collection, some)
            left = [key for key in some if seen[key]]
            yield [Judgement(key, ()) for key in some if not seen[key]]
            if left:
                yield await self._judged(collection, generation, {key: seen[key] for key in left})

    async def _judged(
        self, collection: str, generation: int, seen: dict[bytes, tuple[Kind, ...]]
    ) -> Sequence[Judgement]:
        try:
            return await self.judge.judge(collection, generation, sorted(seen))
        except StoreError as error:
            _log.warning("look_failed", collection=collection, ids=len(seen), error=str(error))
            return [Judgement(key, kinds, is_settled=False) for key, kinds in seen.items()]

    async def _seen(self, collection: str, keys: Sequence[bytes]) -> dict[bytes, tuple[Kind, ...]]:
        source, target = await together(
            self._read(self.source, collection, keys), self._read(self.target, collection, keys)
        )
        return {key: differences(source.get(key), target.get(key)) for key in keys}

    async def _read(
        self, reader: PointReader, collection: str, keys: Sequence[bytes]
    ) -> dict[bytes, Record]:
        ids = [decode_key(key) for key in keys]
        request = PointRequest(ids=list(ids), with_payload=True, with_vector=True)
        records = await self.retry.call(lambda: reader.retrieve(collection, request))
        return {encode_key(record.id): record for record in records}
