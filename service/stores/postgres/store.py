"""A whole store on Postgres."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import TypeAlias, TypeVar

from service import epochs
from service.model.operations import (
    CreateIndex,
    CreateVector,
    DeleteIndex,
    DeleteVector,
    Operation,
    UpdateResult,
    Upsert,
)
from service.model.points import FacetHit, Hit, Page, Record
from service.model.qdrant import (
    AliasOperations,
    CollectionInfo,
    CollectionStatus,
    CountRequest,
    CreateCollection,
    FacetRequest,
    OptimizersStatusOneOf,
    PointRequest,
    QueryRequest,
    ScrollRequest,
    UpdateCollection,
)
from service.ports import VectorStore
from service.protocol.description import DescriptionOperation, applied
from service.queries.execute import execute, takes_several_reads
from service.queries.resolve import resolve
from service.queries.strict.mode import Read, StrictMode, check_points_count, counts_points
from service.steps import Step, reached
from service.stores.configuration import collection_config, updated
from service.stores.postgres import (
    aliases,
    catalog,
    descriptions,
    facets,
    hnsw,
    leftovers,
    reads,
    reconfiguring,
    rows,
    schema,
    writes,
)
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.estimates import Estimates
from service.stores.postgres.known import Changed, Known, is_one_search, is_unchanged, until_there
from service.stores.postgres.leaves import PgLeaves, PgLookups
from service.translate.sql import TRUE, Sql

WriteHook: TypeAlias = Callable[[Connection, CollectionTables, Sequence[bytes]], Awaitable[None]]
"""Called inside a write's transaction, its keys locked and nothing written yet; what it raises undoes the write."""

_Request = TypeVar("_Request", PointRequest, ScrollRequest, CountRequest, FacetRequest)
_Answer = TypeVar("_Answer")


class PgStore:
    """``VectorStore`` on the managed tables.

    With ``strict`` it refuses what a collection's strict mode forbids: so the store does that clients are served from.
    """

    def __init__(
        self,
        database: Database,
        *,
        on_write: WriteHook | None = None,
        index_min_rows: int = 10_000,
        strict: StrictMode | None = None,
    ) -> None:
        self._database = database
        self._on_write = on_write
        self._index_min_rows = index_min_rows
        self._strict = strict
        self._estimates = Estimates()
        self._known = Known()

    async def collections(self) -> list[str]:
        """Return the names of all collections, sorted."""
        async with self._database.connection() as conn:
            return await catalog.names(conn)

    async def has_collection(self, name: str) -> bool:
        """Say whether the collection exists; an alias counts."""
        async with self._database.connection() as conn:
            return await catalog.exists(conn, name) or name in await aliases.load(conn)

    async def create_collection(self, name: str, request: CreateCollection) -> bool:
        """Create an empty collection. Raises ``CollectionExists``, ``WrongInput`` or ``Unsupported``."""
        async with self._database.transaction() as conn:
            await aliases.refuse_name(conn, name)
            await catalog.create(conn, name, request)
        return True

    async def update_collection(self, name: str, request: UpdateCollection) -> bool:
        """Change what is echoed; an index keeps the parameters that it was built with."""
        async with self._database.transaction() as conn:
            tables = await catalog.get_for_update(conn, name)
            await reconfiguring.update(conn, tables.id, updated(tables.config, request))
        return True

    async def delete_collection(self, name: str) -> bool:
        """Drop the collection and its aliases; false when it was not there."""
        async with self._database.transaction() as conn:
            await aliases.lock(conn)
            return await catalog.drop(conn, name)

    async def build_indexes(self, name: str) -> list[str]:
        """Build the missing HNSW indexes of the tables that are large enough to need one."""
        async with self._database.connection() as conn:
            tables = await catalog.get(conn, name)
        built = await hnsw.build_indexes(self._database, tables, min_rows=self._index_min_rows)
        return [index.vector for index in built]

    async def apply(self, collection: str, operation: Operation, *, wait: bool) -> UpdateResult:  # noqa: ARG002
        """Apply one change as a whole or not at all; always visible when this returns."""
        match operation:
            case CreateIndex() | DeleteIndex() | CreateVector() | DeleteVector():
                return UpdateResult(await self._describe(collection, operation))
            case _:
                return await until_there(lambda: self._write(collection, operation))

    async def _write(self, collection: str, operation: Operation) -> UpdateResult:
        async with self._database.transaction() as conn:
            # A hook that fences the write holds the control row, which every drop takes before the collection's
            # own: to hold that one first would be the way round in which the two wait for each other.
            read = catalog.get_shared if self._on_write is None else catalog.get
            tables = await read(conn, collection)
            if self._strict is not None:
                await self._check_write(conn, tables, operation, self._strict)
            keys = await writes.resolve(conn, tables, operation)
            await writes.lock(conn, tables.id, keys)
            if self._on_write is not None:
                await self._on_write(conn, tables, keys)
            number = await writes.write(conn, tables, operation, keys)
            if self._on_write is not None:
                reached(Step.OUTBOX_WRITTEN)
        return UpdateResult(number)

    async def _check_write(
        self, conn: Connection, tables: CollectionTables, operation: Operation, strict: StrictMode
    ) -> None:
        config = tables.config
        strict.check_write(tables.name, config, tables.payload_schema, operation)
        if isinstance(operation, Upsert) and counts_points(config):
            check_points_count(config, await reads.count(conn, tables, CountRequest()))

    async def _readable(self, conn: Connection, name: str, request: Read) -> CollectionTables:
        """Return the tables of a collection that allows the request."""
        epochs.leave_open()
        tables = await catalog.get(conn, name)
        if self._strict is not None:
            self._strict.check_read(tables.name, tables.config, tables.payload_schema, request)
        return tables

    async def _describe(self, collection: str, operation: DescriptionOperation) -> int:
        async with self._database.transaction() as conn:
            tables = await catalog.get_for_update(conn, collection)
            if self._strict is not None:
                self._strict.check_write(
                    tables.name, tables.config, tables.payload_schema, operation
                )
            before = await descriptions.of_tables(conn, tables)
            await descriptions.write(conn, tables, applied(before, operation))
            number = await rows.next_version(conn)
        if isinstance(operation, DeleteVector):
            await leftovers.clear(self._database)
        return number

    async def collection_info(self, name: str) -> CollectionInfo:
        """Return configuration and exact counts."""
        async with self._database.connection() as conn:

            async def read() -> CollectionInfo:
                tables = await catalog.get(conn, name)
                return CollectionInfo(
                    status=CollectionStatus.GREEN,
                    optimizer_status=OptimizersStatusOneOf.OK,
                    points_count=await reads.count(conn, tables, CountRequest()),
                    indexed_vectors_count=await hnsw.indexed_vectors(conn, tables),
                    segments_count=1,
                    config=collection_config(tables.config),
                    payload_schema=await schema.payload_schema(conn, tables),
                )

            return await until_there(read)

    async def retrieve(self, collection: str, request: PointRequest) -> list[Record]:
        """Return the points that exist, in the request's order, duplicates once."""
        return await self._read(collection, request, reads.retrieve)

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        """Return a page in id order, or in the order of a field."""
        return await self._read(collection, request, reads.scroll)

    async def count(self, collection: str, request: CountRequest) -> int:
        """Return the number of points that match."""
        return await self._read(collection, request, reads.count)

    async def facet(self, collection: str, request: FacetRequest) -> list[FacetHit]:
        """Return the values of a field with their counts, the most frequent first."""
        return await self._read(collection, request, facets.facet)

    async def _read(
        self,
        collection: str,
        request: _Request,
        read: Callable[[Connection, CollectionTables, _Request, Sql], Awaitable[_Answer]],
    ) -> _Answer:
        """Read with one statement; it proves what was known of the collection, else the catalogue is asked first."""
        async with self._database.connection() as conn:
            tables = self._known.get(collection)
            if tables is not None and tables.config.strict_mode_config is None:
                with suppress(Changed):
                    proof = is_unchanged(collection, tables)
                    reading = read(conn, tables, request, proof)
                    return await self._known.proven(conn, collection, tables, reading)

            async def from_catalogue() -> _Answer:
                tables = await self._readable(conn, collection, request)
                self._known.put(collection, tables)
                return await read(conn, tables, request, TRUE)

            return await until_there(from_catalogue)

    async def aliases(self) -> dict[str, str]:
        """Return the collection that every alias stands for."""
        async with self._database.connection() as conn:
            return await aliases.load(conn)

    async def change_aliases(self, actions: Sequence[AliasOperations]) -> bool:
        """Make, drop and rename aliases, all or none."""
        async with self._database.transaction() as conn:
            await aliases.carry_out(conn, await aliases.planned(conn, actions))
        return True

    async def query(self, collection: str, request: QueryRequest) -> Sequence[Hit]:
        """Return the best points, best first."""
        async with self._database.connection() as conn:
            with suppress(Changed):
                return await self._by_known(conn, collection, request)
            return await until_there(lambda: self._by_catalogue(conn, collection, request))

    async def _by_catalogue(
        self, conn: Connection, collection: str, request: QueryRequest
    ) -> Sequence[Hit]:
        tables = await self._readable(conn, collection, request)
        self._known.put(collection, tables)
        lookups = PgLookups(conn, {collection: tables, tables.name: tables})
        wanted = await resolve(lookups, tables.name, request)
        leaves = PgLeaves(conn, tables, self._estimates)
        if not takes_several_reads(wanted):
            return await execute(wanted, leaves)
        async with conn.transaction(isolation="repeatable_read", readonly=True):
            return await execute(wanted, leaves)

    async def _by_known(
        self, conn: Connection, collection: str, request: QueryRequest
    ) -> Sequence[Hit]:
        """Answer without a look into the catalogue. Raises ``Changed`` where that cannot be."""
        tables = self._known.get(collection)
        if tables is None or tables.config.strict_mode_config is not None:
            raise Changed
        if not is_one_search(request):
            raise Changed
        with self._known.trusted(collection):
            wanted = await resolve(PgLookups(conn, {}), collection, request)
            proof = is_unchanged(collection, tables)
            leaves = PgLeaves(conn, tables, self._estimates, proof)
            if leaves.proves(wanted):
                hits = execute(wanted, leaves)
                return await self._known.proven(conn, collection, tables, hits)
        raise Changed


def _proves_port(store: PgStore) -> VectorStore:
    return store
