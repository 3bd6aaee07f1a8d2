"""Whether a store holds exactly the points of an export, read back one by one."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from backfill.archive.batches import BatchSize
from backfill.archive.checking import Place
from backfill.archive.threads import in_thread
from backfill.canonical import differences
from backfill.retry import Retry
from service.model.ids import PointId
from service.model.points import Point, Record
from service.model.qdrant import PointRequest
from service.ports import PointReader

_SIZE = BatchSize(bytes=2 << 20, points=256)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A point that is not there, or differs, and in what."""

    id: PointId
    kinds: tuple[str, ...]


async def prove(
    reader: PointReader,
    collection: str,
    groups: Iterator[tuple[Place, list[Point]]],
    left_out: Collection[PointId],
    retry: Retry,
) -> list[Mismatch]:
    """Return the points of the export that the store lacks or holds differently, but for those that are left out."""
    found: list[Mismatch] = []
    while (group := await in_thread(lambda: next(groups, None))) is not None:
        points = [point for point in group[1] if point.id not in left_out]
        done = 0
        while done < len(points):
            batch = _SIZE.take(points, done)
            done += len(batch)
            found += await _compared(reader, collection, batch, retry)
    return found


async def _compared(
    reader: PointReader, collection: str, batch: Sequence[Point], retry: Retry
) -> list[Mismatch]:
    request = PointRequest(ids=[point.id for point in batch], with_payload=True, with_vector=True)

    async def retrieve() -> list[Record]:
        return await reader.retrieve(collection, request)

    held = {record.id: record for record in await retry.call(retrieve)}
    found = []
    for point in batch:
        record = Record(point.id, point.payload, point.vectors)
        if kinds := differences(record, held.get(point.id)):
            found.append(Mismatch(point.id, tuple(str(kind) for kind in kinds)))
    return found
