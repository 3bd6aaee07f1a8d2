"""Nearest-neighbour queries.

Cosine and dot compare by inner product (cosine vectors are stored normalised), Euclid and Manhattan by distance. An
exact scan answers unless the vector has a valid HNSW index and nothing but the vector restricts the search.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, LiteralString, assert_never
from uuid import UUID

import numpy as np
from pgvector import Vector

from service.errors import PointNotFound, Unsupported, WrongInput
from service.model.ids import PointId, decode_key, encode_key
from service.model.points import UNNAMED, FloatArray, Hit
from service.model.qdrant import Distance, NearestQuery, QueryRequest, SparseVector
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables, VectorTable
from service.stores.postgres.database import Connection
from service.stores.postgres.hnsw import has_index
from service.stores.postgres.reads import (
    Shape,
    point_id_of,
    refuse_shard_key,
    shape,
)
from service.stores.postgres.vectors import stored, vector_table
from service.translate.filters import filter_sql
from service.translate.sql import TRUE, Argument, Identifier, Sql, sql

_LIMIT = 10
_EF = 100
_MOST_EF = 1000
"""pgvector's bound on ``hnsw.ef_search``; who wants more hits gets an exact scan."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search of one vector table; ``excluded`` is the key of the point that was asked about."""

    table: VectorTable
    vector: Vector
    filter: Sql
    excluded: bytes | None
    limit: int
    offset: int
    threshold: float | None
    ef: int

    @property
    def depth(self) -> int:
        """How many of the best points must be found."""
        return self.limit + self.offset


async def query(conn: Connection, tables: CollectionTables, request: QueryRequest) -> list[Hit]:
    """Return the best points, best first, ties by key; call it in a transaction.

    Raises ``Unsupported`` with the path of what this store cannot answer, ``WrongInput`` for a vector that
    does not fit or that the named point lacks, ``PointNotFound`` for an unknown id.
    """
    _refuse_unsupported(request)
    wanted = shape(tables, request.with_payload, request.with_vector)
    if request.query is None:
        return await _first(conn, tables, request, wanted)
    search = await _search(conn, tables, request)
    by_index = request.filter is None and not _asks_exact(request) and search.depth < _MOST_EF
    if by_index and await has_index(conn, search.table):
        await conn.execute(
            "SELECT set_config('hnsw.ef_search', $1, true),"
            " set_config('hnsw.iterative_scan', 'strict_order', true)",
            str(search.ef),
        )
        found = await _run(conn, tables, search, wanted, exact=False)
        # Beside many deleted vectors it gives up (hnsw.max_scan_tuples); few rows are cheap to scan.
        if len(found) == search.depth:
            return _hits(found, wanted)
    return _hits(await _run(conn, tables, search, wanted, exact=True), wanted)


def _refuse_unsupported(request: QueryRequest) -> None:
    refuse_shard_key(request.shard_key)
    for name in ("prefetch", "lookup_from"):
        if getattr(request, name):
            raise Unsupported(name)


def _asks_exact(request: QueryRequest) -> bool:
    return request.params is not None and bool(request.params.exact)


async def _search(conn: Connection, tables: CollectionTables, request: QueryRequest) -> Search:
    table = vector_table(tables, request.using or UNNAMED)
    asked = _asked(request.query)
    excluded: bytes | None = None
    if isinstance(asked, np.ndarray):
        vector = stored(table, asked)
    else:
        vector = await _vector_of(conn, tables, table, asked)
        excluded = encode_key(asked)
    limit = _LIMIT if request.limit is None else request.limit
    search = Search(
        table=table,
        vector=vector,
        filter=filter_sql(request.filter, tables.row),
        excluded=excluded,
        limit=limit,
        offset=request.offset or 0,
        threshold=request.score_threshold,
        ef=0,
    )
    given = request.params.hnsw_ef if request.params else None
    return replace(search, ef=min(max(search.depth + 1, given or _EF), _MOST_EF))


def _asked(given: object) -> FloatArray | PointId:
    """Return the vector or the id that a query names."""
    match given:
        case NearestQuery(nearest=nearest, mmr=None):
            return _asked(nearest)
        case NearestQuery():
            raise Unsupported("query.mmr")
        case int() | str() | UUID():
            return point_id_of(given)
        case list():
            return np.asarray(given, dtype=np.float32)
        case SparseVector():
            raise WrongInput("Conversion between sparse and regular vectors failed")
        case _:
            name = next(iter(getattr(type(given), "model_fields", {})), "kind")
            raise Unsupported(f"query.{name}")


async def _vector_of(
    conn: Connection, tables: CollectionTables, table: VectorTable, point_id: PointId
) -> Vector:
    statement = sql(
        "SELECT v.embedding FROM ",
        tables.points,
        " AS p LEFT JOIN ",
        table.table,
        " AS v ON v.key = p.key WHERE NOT p.deleted AND p.key = ",
        Argument(encode_key(point_id)),
        "::bytea",
    )
    found = await rows.fetch(conn, statement)
    if not found:
        raise PointNotFound(f"No point with id {point_id} found")
    vector: Vector | None = found[0]["embedding"]
    if vector is None:
        raise WrongInput(f"Not existing vector name error: {table.name}")
    return vector


async def _run(
    conn: Connection, tables: CollectionTables, search: Search, wanted: Shape, *, exact: bool
) -> list[Mapping[str, Any]]:
    return await rows.fetch(conn, statement(tables, search, wanted, exact=exact))


def statement(tables: CollectionTables, search: Search, wanted: Shape, *, exact: bool) -> Sql:
    """Return the statement that finds the best points and reads of them only what is answered."""
    distance = sql(
        "v.embedding OPERATOR(",
        Identifier((search.table.extension,)),
        ".",
        operator(search.table.distance),
        ") ",
        Argument(search.vector),
        "::",
        search.table.type,
    )
    # An index on the distance cannot serve a sum, so this scans all that the filter leaves.
    order = sql("(", distance, ") + 0, v.key") if exact else distance
    filtered = search.filter is not TRUE
    points = (
        sql(" JOIN ", tables.points, " AS p ON p.key = v.key AND NOT p.deleted")
        if filtered
        else sql()
    )
    other = (
        sql(" AND v.key <> ", Argument(search.excluded), "::bytea")
        if search.excluded is not None
        else sql()
    )
    return sql(
        "WITH best AS MATERIALIZED (SELECT v.key, ",
        distance,
        " AS distance FROM ",
        search.table.table,
        " AS v",
        points,
        " WHERE ",
        search.filter,
        other,
        " ORDER BY ",
        order,
        " LIMIT ",
        Argument(search.depth),
        "::bigint), ranked AS (SELECT key, ",
        score(search.table.distance),
        "::real AS score, row_number() OVER (ORDER BY distance, key) AS rank FROM best),"
        " hits AS (SELECT key, score, rank, rank > ",
        Argument(search.offset),
        "::bigint AND ",
        _beats(search),
        " AS answered FROM ranked) SELECT h.key, h.score, h.answered, p.version",
        wanted.columns,
        " FROM hits AS h LEFT JOIN ",
        tables.points,
        " AS p ON h.answered AND p.key = h.key",
        wanted.joins(),
        " ORDER BY h.rank",
    )


def operator(distance: Distance) -> LiteralString:
    """Return pgvector's operator, smaller is nearer."""
    match distance:
        case Distance.COSINE | Distance.DOT:
            return "<#>"
        case Distance.EUCLID:
            return "<->"
        case Distance.MANHATTAN:
            return "<+>"
        case _:
            assert_never(distance)


def score(distance: Distance) -> LiteralString:
    """Return Qdrant's score from the operator's value, which is the negated inner product for ``<#>``."""
    return "-distance" if operator(distance) == "<#>" else "distance"


def _beats(search: Search) -> Sql:
    if search.threshold is None:
        return TRUE
    better: LiteralString = ">" if operator(search.table.distance) == "<#>" else "<"
    return sql("score ", better, " ", Argument(search.threshold), "::real")


def _hits(found: list[Mapping[str, Any]], wanted: Shape) -> list[Hit]:
    return [
        Hit(
            decode_key(row["key"]),
            row["score"],
            row["version"],
            wanted.payload_of(row),
            wanted.vectors_of(row),
        )
        for row in found
        if row["answered"]
    ]


async def _first(
    conn: Connection, tables: CollectionTables, request: QueryRequest, wanted: Shape
) -> list[Hit]:
    """Answer a query that asks for nothing: the first points by id, each with the score 1."""
    found = await rows.fetch(
        conn,
        sql(
            "SELECT p.key, p.version, true AS answered, 1::real AS score",
            wanted.columns,
            " FROM ",
            tables.points,
            " AS p",
            wanted.joins(),
            " WHERE NOT p.deleted AND ",
            filter_sql(request.filter, tables.row),
            " ORDER BY p.key OFFSET ",
            Argument(request.offset or 0),
            "::bigint LIMIT ",
            Argument(_LIMIT if request.limit is None else request.limit),
            "::bigint",
        ),
    )
    return _hits(found, wanted)
