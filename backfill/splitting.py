"""Splitting a collection into ranges of about equally many points."""

import math

import structlog

from backfill.key_range import KeyRange, split
from backfill.patience import passes
from service.errors import VecferryError
from service.model.ids import encode_key
from service.model.qdrant import QueryRequest, Sample, SampleQuery
from service.ports import PointReader

_log = structlog.get_logger(__name__)

_POINTS_PER_RANGE = 10_000
_MOST_RANGES = 512
_SAMPLES_PER_RANGE = 32


def range_count(total: int) -> int:
    """Return into how many ranges so many points are split."""
    return min(max(math.ceil(total / _POINTS_PER_RANGE), 1), _MOST_RANGES)


async def ranges_of(source: PointReader, collection: str, total: int) -> list[KeyRange]:
    """Return ranges that cover every id, cut where a random sample of the source's ids suggests.

    A source that draws no samples (Qdrant before 1.11, or strict mode) is not split: one worker copies it. Raises
    errors that pass by themselves.
    """
    count = range_count(total)
    if count == 1:
        return [KeyRange()]
    request = QueryRequest(
        query=SampleQuery(sample=Sample.RANDOM),
        limit=count * _SAMPLES_PER_RANGE,
        with_payload=False,
        with_vector=False,
    )
    try:
        sample = await source.query(collection, request)
    except VecferryError as error:
        if passes(error):
            raise
        _log.warning("not_split", collection=collection, error=str(error))
        return [KeyRange()]
    return split([encode_key(hit.id) for hit in sample], count)
