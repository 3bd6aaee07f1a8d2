"""The dry run of a collection's schema: its source's description and some of its points, given to the target."""

from collections.abc import Mapping

from backfill.within_limits import WithinLimits
from service.config import Settings
from service.control.sourced import create_request
from service.model.qdrant import CountRequest, ScrollRequest
from service.ports import PointReader
from service.stores.payload_schema import field_schema
from service.stores.postgres.blueprint import Subject, blueprint
from service.stores.postgres.database import Database
from service.stores.postgres.hnsw import BuildLimits

_SAMPLE = 100


class SchemaPlan:
    """Says what the target would make of a collection of the source."""

    def __init__(self, source: PointReader, database: Database, settings: Settings) -> None:
        self._source = WithinLimits(source)
        self._database = database
        self._min_rows = settings.index_min_rows
        self._limits = BuildLimits(settings.index_memory_mb, settings.index_workers)

    async def of(self, collection: str) -> Mapping[str, object]:
        """Return the statements, notes and sizes as JSON values; changes nothing.

        Raises ``CollectionNotFound``, and ``Unsupported`` naming what the tables cannot hold.
        """
        info = await self._source.collection_info(collection)
        page = await self._source.scroll(
            collection, ScrollRequest(limit=_SAMPLE, with_payload=True, with_vector=True)
        )
        subject = Subject(
            name=collection,
            config=create_request(info.config),
            payload_schema={
                name: field_schema(index) for name, index in (info.payload_schema or {}).items()
            },
            points=await self._source.count(collection, CountRequest(exact=False)),
            sample=page.records,
        )
        plan = await blueprint(
            self._database, subject, min_rows=self._min_rows, limits=self._limits
        )
        return plan.to_json()
