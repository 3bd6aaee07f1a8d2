"""A source that allows few points per request."""

import numpy as np
import pytest

from backfill.jobs import JobState
from backfill.within_limits import WithinLimits
from service.errors import StoreAnswered
from service.model.operations import Upsert
from service.model.points import Point
from service.model.qdrant import CreateCollection, QueryRequest, Sample, SampleQuery, ScrollRequest
from service.stores.postgres.database import Database
from tests.backfill.rig import rig_on

POINTS = 300
CONFIG = CreateCollection.model_validate(
    {
        "vectors": {"size": 2, "distance": "Dot"},
        "strict_mode_config": {"enabled": True, "max_query_limit": 40},
    }
)


async def test_strict_mode_makes_pages_shorter_and_nothing_else(
    qdrant_url: str, database: Database
) -> None:
    """Scrolls and samples are asked for less; what was allowed once is not exceeded again; all is copied."""
    async with rig_on(qdrant_url, "strict", database, CONFIG) as rig:
        points = [Point(n, {"": np.array([1, n], np.float32)}, {}) for n in range(POINTS)]
        await rig.source.apply("strict", Upsert(points), wait=True)
        reader = WithinLimits(rig.source)
        page = await reader.scroll("strict", ScrollRequest(limit=1_000))
        assert len(page.records) == 31
        assert page.next_id == 31
        sample = SampleQuery(sample=Sample.RANDOM)
        assert len(await reader.query("strict", QueryRequest(query=sample, limit=500))) == 31
        assert len((await reader.scroll("strict", ScrollRequest(limit=7))).records) == 7
        work = rig.copy_work(source=reader, points=1_000)
        async with rig.process(steps=rig.copy_steps(reader), work=work):
            await rig.start()
            job = await rig.ended()
        assert (job.state, job.scanned, job.written) == (JobState.DONE, POINTS, POINTS)


async def test_what_no_limit_mends_is_raised(qdrant_url: str, database: Database) -> None:
    """With the store's own words."""
    async with rig_on(qdrant_url, "c", database, CONFIG) as rig:
        wrong = ScrollRequest.model_validate(
            {"limit": 8, "order_by": {"key": "not indexed", "direction": "asc"}}
        )
        with pytest.raises(StoreAnswered, match="400"):
            await WithinLimits(rig.source).scroll("c", wrong)
