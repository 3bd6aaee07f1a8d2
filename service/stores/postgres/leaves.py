"""The reads that query trees end in, on the tables of one collection."""

from collections.abc import Mapping, Sequence

from service.errors import WrongInput
from service.model.ids import PointId
from service.model.points import Hit, Record
from service.model.qdrant import (
    Distance,
    Filter,
    IdfCorpusParams,
    PayloadSchemaType,
    PointRequest,
)
from service.model.queries import ByField, ByVector, Nearest, ResolvedQuery
from service.queries.execute import takes_several_reads
from service.queries.leaves import Leaves, Selection
from service.queries.lookups import Retriever
from service.stores.configuration import VectorKind
from service.stores.payload_schema import index_info
from service.stores.postgres import catalog, nearest, ordered, reads, scored
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.estimates import Estimates
from service.stores.postgres.vectors import vector_table
from service.translate.paths import Path, parse_path
from service.translate.sql import TRUE, Sql


class PgLeaves:
    """``Leaves`` over one connection; reads that must agree need a transaction around them."""

    def __init__(
        self,
        conn: Connection,
        tables: CollectionTables,
        estimates: Estimates | None = None,
        proof: Sql = TRUE,
    ) -> None:
        """``proof`` is for what :meth:`proves`; nothing else may be asked then."""
        self._conn = conn
        self._tables = tables
        self._estimates = estimates
        self._proof = proof

    def proves(self, query: ResolvedQuery) -> bool:
        """Say whether the query is one read that tests the proof."""
        scoring = query.scoring
        if takes_several_reads(query) or not isinstance(scoring, ByVector):
            return False
        return self._is_nearest(scoring)

    def _is_nearest(self, wanted: ByVector) -> bool:
        kind = vector_table(self._tables, wanted.using).kind
        return isinstance(wanted.scoring, Nearest) and kind is VectorKind.DENSE

    async def by_vector(self, wanted: ByVector, selection: Selection) -> Sequence[Hit]:
        """Return the points with the best scores."""
        self._check_corpus(wanted.using, selection)
        if self._is_nearest(wanted):
            return await nearest.nearest(
                self._conn, self._tables, wanted, selection, self._estimates, proof=self._proof
            )
        return await scored.scored(self._conn, self._tables, wanted, selection, self._estimates)

    def _check_corpus(self, using: str, selection: Selection) -> None:
        params = selection.params
        if params is None or not isinstance(params.idf, IdfCorpusParams):
            return
        if not vector_table(self._tables, using).spec.has_idf:
            raise WrongInput(
                "Validation failed: search param `idf` requires a sparse vector with the `idf` modifier, "
                f'which vector "{using}" is not'
            )

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


class PgLookups:
    """``Retriever`` over one connection, for the vectors that a query names; ``known`` are collections read before."""

    def __init__(self, conn: Connection, known: Mapping[str, CollectionTables]) -> None:
        self._conn = conn
        self._known = known

    async def retrieve(self, collection: str, request: PointRequest) -> Sequence[Record]:
        """Return the points that exist."""
        tables = self._known.get(collection) or await catalog.get(self._conn, collection)
        return await reads.retrieve(self._conn, tables, request)


def _proves_retriever(lookups: PgLookups) -> Retriever:
    return lookups


def _proves_port(leaves: PgLeaves) -> Leaves:
    return leaves
