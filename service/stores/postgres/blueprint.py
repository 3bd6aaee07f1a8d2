"""What a collection would be here: its statements, made by the code that runs them, its size, and what to know."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from service.errors import CollectionNotFound, Unsupported
from service.model.points import Record, SparseVector
from service.model.qdrant import CreateCollection, Distance
from service.stores.configuration import VectorKind, hnsw_config, vector_specs
from service.stores.postgres import catalog, ddl, hnsw, payload_indexes
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.distances import (
    MAX_INDEXED_DIMENSIONS,
    MAX_INDEXED_HALF_DIMENSIONS,
    indexes_halves,
    is_indexable,
)
from service.stores.postgres.graph_sizes import build_megabytes, index_bytes
from service.stores.postgres.hnsw import BuildLimits
from service.stores.postgres.vector_tables import VectorTable
from service.translate.payload_index import payload_index
from service.translate.tokenizing import tokenizing

_PAGE_BYTES = 8_168
_ROW_BYTES = 28
"""Of every row: its head and its place on the page."""
_KEY_BYTES = 20
_KEY_INDEX_BYTES = 48
_POSTING_BYTES = 88
"""Of one entry of a sparse vector: its row and its place in the index."""
_FILL = 0.7
_VERSION_BYTES = 9
_JSONB = 1.1
"""The binary form over the text."""

_NEXT = """
    SELECT coalesce(pg_sequence_last_value(pg_get_serial_sequence('vecferry.collections', 'id')::regclass), 0) + 1
        AS id, n.nspname::text AS extension
    FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector'
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """A collection as its source describes it, with some of its points."""

    name: str
    config: CreateCollection
    payload_schema: Mapping[str, Any]
    points: int
    sample: Sequence[Record] = ()


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What would be made. ``indexes`` are built behind the copy; sizes are estimates, in bytes.

    ``build_megabytes`` is what the largest graph wants while it is built, ``allowed_megabytes`` what it would get.
    """

    collection: str
    exists: bool
    tables: Sequence[str]
    indexes: Sequence[str]
    notes: Sequence[str]
    points: int
    table_bytes: int
    index_bytes: int
    build_megabytes: int
    allowed_megabytes: int

    def to_json(self) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "collection": self.collection,
            "exists": self.exists,
            "tables": list(self.tables),
            "indexes": list(self.indexes),
            "notes": list(self.notes),
            "points": self.points,
            "table_bytes": self.table_bytes,
            "index_bytes": self.index_bytes,
            "build_megabytes": self.build_megabytes,
            "allowed_megabytes": self.allowed_megabytes,
        }


async def blueprint(
    db: Database, subject: Subject, *, min_rows: int, limits: BuildLimits
) -> Blueprint:
    """Say what the collection would be; nothing is changed. Raises ``Unsupported`` for what the tables cannot hold."""
    catalog.refuse_unsupported(subject.config)
    async with db.connection() as connection:
        tables, exists = await _tables(connection, subject)
        allowed = await hnsw.allowed_megabytes(connection, limits)
    graphs = _graphs(tables, subject.points, min_rows)
    largest = max((build_megabytes(subject.points, *graph) for graph in graphs), default=0)
    payload = payload_indexes.definitions(tables)
    made = [
        *(ddl.payload_index(name, tables.points, each) for name, each in payload.items()),
        *(ddl.graph(*graph) for graph in graphs),
    ]
    return Blueprint(
        collection=subject.name,
        exists=exists,
        tables=[
            each.render()[0] for each in ddl.collection(tables.points, tables.vectors.values())
        ],
        indexes=[each.render()[0] for each in made],
        notes=[
            *_of_place(tables, exists=exists),
            *_of_vectors(tables, subject, min_rows),
            *_of_fields(tables),
            *_of_memory(largest, allowed),
        ],
        points=subject.points,
        table_bytes=_table_bytes(tables, subject),
        index_bytes=sum(index_bytes(subject.points, *graph) for graph in graphs),
        build_megabytes=largest,
        allowed_megabytes=allowed,
    )


async def _tables(conn: Connection, subject: Subject) -> tuple[CollectionTables, bool]:
    """Return the collection's tables, or those that it would get if it were the next one to be made."""
    try:
        found = await catalog.get(conn, subject.name)
    except CollectionNotFound:
        row = await conn.fetchrow(_NEXT)
        config = orjson.dumps(subject.config.model_dump(mode="json", exclude_none=True))
        return catalog.described(
            row["id"],
            subject.name,
            config.decode(),
            tuple(sorted(vector_specs(subject.config))),
            orjson.dumps(dict(subject.payload_schema)).decode(),
            row["extension"],
            "",
            None,
        ), False
    return replace(found, payload_schema=subject.payload_schema), True


def _graphs(
    tables: CollectionTables, points: int, min_rows: int
) -> list[tuple[VectorTable, ddl.GraphOptions]]:
    if points < min_rows:
        return []
    options = ((each, hnsw.graph_options(tables.config, each)) for each in tables.vectors.values())
    return [(vector, wanted) for vector, wanted in options if wanted is not None]


def _of_place(tables: CollectionTables, *, exists: bool) -> Iterator[str]:
    if exists:
        yield "the tables are there; the statements are those that made them"
    else:
        yield f"its tables' number, {tables.id}, is the next free one: another collection that is made first takes it"


def _of_vectors(tables: CollectionTables, subject: Subject, min_rows: int) -> Iterator[str]:
    for name, vector in tables.vectors.items():
        said = f"vector `{name}`" if name else "the vector"
        yield f"{said}: {_type(vector)}, {_stored(vector)}"
        yield f"{said}: {_search(tables, vector, subject.points, min_rows)}"
    if subject.config.quantization_config is not None:
        yield "quantization is not carried over: the index holds full or half precision"


def _type(vector: VectorTable) -> str:
    if vector.kind is VectorKind.SPARSE:
        return "two arrays of any length beside an inverted index"
    precision = "halfvec" if vector.is_half else "vector"
    rows = "[] (a multivector)" if vector.kind is VectorKind.MULTI else ""
    of = f", which holds {vector.spec.datatype.value} exactly" if vector.is_half else ""
    return f"{precision}({vector.size}){rows}{of}"


def _stored(vector: VectorTable) -> str:
    if vector.kind is not VectorKind.SPARSE and vector.distance is Distance.COSINE:
        return "Cosine, stored normalised as Qdrant stores it"
    return "Dot" if vector.kind is VectorKind.SPARSE else vector.distance.value


def _search(tables: CollectionTables, vector: VectorTable, points: int, min_rows: int) -> str:
    if vector.kind is VectorKind.SPARSE:
        return "exact, over its inverted index"
    if vector.kind is VectorKind.MULTI:
        return "no HNSW index, every search scores every row: pgvector cannot index multivectors"
    if not is_indexable(vector):
        if vector.size > MAX_INDEXED_HALF_DIMENSIONS:
            bound = f"{MAX_INDEXED_HALF_DIMENSIONS} dimensions, pgvector's bound in half precision"
        else:
            bound = (
                f"{MAX_INDEXED_DIMENSIONS} dimensions, pgvector's bound; only unit vectors (Cosine) are"
                " sure to fit half precision"
            )
        return f"no HNSW index, every search scans: {vector.size} dimensions are more than {bound}"
    if hnsw_config(tables.config, vector.name).m == 0:
        return "no HNSW index, every search scans: the collection asks for none (m is 0)"
    if points < min_rows:
        return f"an HNSW index from {min_rows} points on, exact scans until then"
    if indexes_halves(vector):
        return "an HNSW index in half precision, what it finds is ranked by the full one"
    return "an HNSW index"


def _of_fields(tables: CollectionTables) -> Iterator[str]:
    for name, schema in tables.payload_schema.items():
        index = payload_index(schema)
        if index.kind == "text":
            try:
                tokenizing(index, name)
            except Unsupported as error:
                yield f"field `{name}`: text matches are refused: {error}"
                continue
        alone = replace(tables, payload_schema={name: schema})
        if not payload_indexes.definitions(alone):
            yield f"field `{name}`: no SQL index serves a {index.kind} at this path, its conditions test every row"


def _of_memory(wanted: int, allowed: int) -> Iterator[str]:
    if wanted > allowed:
        yield (
            f"the largest graph wants {wanted} MB while it is built and would get {allowed}: the build spills and takes"
            " several times as long (VECFERRY_INDEX_MEMORY_MB)"
        )


def _table_bytes(tables: CollectionTables, subject: Subject) -> int:
    payloads = [len(orjson.dumps(each.payload or {})) for each in subject.sample]
    payload = _JSONB * sum(payloads) / len(payloads) if payloads else 0.0
    row = _ROW_BYTES + _KEY_BYTES + _VERSION_BYTES + payload
    total = row / _FILL + _KEY_INDEX_BYTES
    for name, vector in tables.vectors.items():
        total += _vector_bytes(vector, [(each.vectors or {}).get(name) for each in subject.sample])
    return int(total * subject.points)


def _vector_bytes(vector: VectorTable, sample: Sequence[Any]) -> float:
    """Return what the vector of a point takes on average; some points may have none."""
    found = [each for each in sample if each is not None]
    share = len(found) / len(sample) if sample else 1.0
    per_value = 2 if vector.is_half else 4
    row = _ROW_BYTES + _KEY_BYTES
    match vector.kind:
        case VectorKind.DENSE:
            size = row + per_value * vector.size + 8
            # Whole rows on a page, as long as they are not moved out of it.
            held = _PAGE_BYTES / (_PAGE_BYTES // size) if size <= _PAGE_BYTES else size
            return share * (held + _KEY_INDEX_BYTES)
        case VectorKind.MULTI:
            rows = sum(len(each) for each in found) / max(1, len(found))
            return share * (row + rows * (per_value * vector.size + 8) + _KEY_INDEX_BYTES)
        case VectorKind.SPARSE:
            entries = sum(len(each.indices) for each in found if isinstance(each, SparseVector))
            mean = entries / max(1, len(found))
            return share * (row + mean * (12 + _POSTING_BYTES) + _KEY_INDEX_BYTES)
