"""The reads that query trees end in, on the tables of one collection."""

from collections.abc import Mapping, Sequence

from service.model.ids import PointId
from service.model.points import Hit
from service.model.qdrant import Distance, Filter, PayloadSchemaType
from service.model.queries import ByField, ByVector, Nearest
from service.queries.leaves import Leaves, Selection
from service.stores.configuration import VectorKind
from service.stores.payload_schema import index_info
from service.stores.postgres import nearest, ordered, reads, scored
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.estimates import Estimates
from service.stores.postgres.vectors import vector_table
from service.translate.paths import Path, parse_path


class PgLeaves:
    """``Leaves`` over one connection; reads that must agree need a transaction around them."""

    def __init__(
        self, conn: Connection, tables: CollectionTables, estimates: Estimates | None = None
    ) -> None:
        self._conn = conn
        self._tables = tables
        self._estimates = estimates

    async def by_vector(self, wanted: ByVector, selection: Selection) -> list[Hit]:
        """Return the points with the best scores."""
        table = vector_table(self._tables, wanted.using)
        if isinstance(wanted.scoring, Nearest) and table.spec.kind is VectorKind.DENSE:
            return await nearest.nearest(
                self._conn, self._tables, wanted, selection, self._estimates
            )
        return await scored.scored(self._conn, self._tables, wanted, selection)

    async def by_field(self, wanted: ByField, selection: Selection) -> list[Hit]:
        """Return the points in the order of an indexed field."""
        return await ordered.by_field(self._conn, self._tables, wanted, selection)

    async def by_id(self, selection: Selection) -> list[Hit]:
        """Return the first points in id order."""
        return await reads.by_id(self._conn, self._tables, selection)

    async def at_random(self, selection: Selection) -> list[Hit]:
        """Return a random sample."""
        return await reads.at_random(self._conn, self._tables, selection)

    async def matching(
        self, ids: Sequence[PointId], filters: Sequence[Filter]
    ) -> list[set[PointId]]:
        """Return, for every filter, which of the points match it."""
        return await reads.matching(self._conn, self._tables, ids, filters)

    def distance(self, using: str) -> Distance:
        """Return how the vectors of this name are compared."""
        return vector_table(self._tables, using).distance

    def indexes(self) -> Mapping[Path, PayloadSchemaType]:
        """Return the types of the payload indexes."""
        schema = self._tables.payload_schema
        return {parse_path(name): index_info(given, 0).data_type for name, given in schema.items()}


def _proves_port(leaves: PgLeaves) -> Leaves:
    return leaves
