"""Statements on the rows of one named vector; each takes a whole batch in arrays. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, assert_never

import numpy as np

from service.model.points import SparseVector
from service.stores.configuration import VectorKind
from service.stores.postgres.vector_tables import VectorTable
from service.translate.sql import Argument, Sql, sql


def written(table: VectorTable, vectors: Mapping[bytes, Any]) -> Sql:
    """Return what writes the vectors, given in stored form, where they differ from what is there.

    Keys must be distinct; the caller holds their locks.
    """
    match table.kind:
        case VectorKind.DENSE:
            return _dense_written(table, vectors)
        case VectorKind.MULTI:
            return _multi_written(table, vectors)
        case VectorKind.SPARSE:
            return _sparse_written(table, vectors)
        case _:
            assert_never(table.kind)


def deleted(table: VectorTable, keys: Sequence[bytes]) -> Sql:
    """Return what removes the vectors of these points."""
    these = sql("DELETE FROM ", table.table, " WHERE key = ANY(", Argument(keys), "::bytea[])")
    if table.kind is not VectorKind.SPARSE:
        return these
    return sql(
        "WITH gone AS (",
        these,
        " RETURNING key, indices) DELETE FROM ",
        table.postings,
        " AS p USING gone CROSS JOIN LATERAL unnest(gone.indices) AS entry(dim)"
        " WHERE p.dim = entry.dim AND p.key = gone.key",
    )


def _dense_written(table: VectorTable, vectors: Mapping[bytes, Any]) -> Sql:
    return sql(
        "INSERT INTO ",
        table.table,
        " AS v (key, embedding) SELECT * FROM unnest(",
        Argument(list(vectors)),
        "::bytea[], ",
        Argument(list(vectors.values())),
        "::",
        table.type,
        "[]) ON CONFLICT (key) DO UPDATE SET embedding = excluded.embedding WHERE v.embedding ",
        table.differs,
        " excluded.embedding",
    )


def _multi_written(table: VectorTable, vectors: Mapping[bytes, Any]) -> Sql:
    # One array cannot hold arrays of several lengths: the rows are sent flat and put together again.
    rows = [(key, row) for key, value in vectors.items() for row in value]
    return sql(
        "INSERT INTO ",
        table.table,
        " AS v (key, embedding) SELECT given.key, array_agg(given.row ORDER BY given.at) FROM unnest(",
        Argument([key for key, _ in rows]),
        "::bytea[], ",
        Argument([row for _, row in rows]),
        "::",
        table.type,
        "[]) WITH ORDINALITY AS given(key, row, at) GROUP BY given.key"
        " ON CONFLICT (key) DO UPDATE SET embedding = excluded.embedding"
        " WHERE v.embedding OPERATOR(pg_catalog.<>) excluded.embedding",
    )


def _sparse_written(table: VectorTable, vectors: Mapping[bytes, SparseVector]) -> Sql:
    """The parts of the statement see the rows as they were before it; no two of them touch the same row."""
    return sql(
        "WITH given AS MATERIALIZED (",
        _sparse_given(vectors),
        "), old AS MATERIALIZED (SELECT v.key, v.indices FROM ",
        table.table,
        " AS v JOIN given USING (key)), changed AS (INSERT INTO ",
        table.table,
        " AS v (key, indices, weights) SELECT key, indices, weights FROM given"
        " ON CONFLICT (key) DO UPDATE SET indices = excluded.indices, weights = excluded.weights"
        " WHERE v.indices <> excluded.indices OR v.weights <> excluded.weights RETURNING v.key),"
        " gone AS (DELETE FROM ",
        table.postings,
        " AS p USING old JOIN given USING (key) CROSS JOIN LATERAL unnest(old.indices) AS entry(dim)"
        " WHERE p.dim = entry.dim AND p.key = old.key AND entry.dim <> ALL (given.indices))"
        " INSERT INTO ",
        table.postings,
        " AS p (dim, key, weight) SELECT entry.dim, given.key, entry.weight FROM changed JOIN given USING (key)"
        " CROSS JOIN LATERAL unnest(given.indices, given.weights) AS entry(dim, weight)"
        " ON CONFLICT (dim, key) DO UPDATE SET weight = excluded.weight WHERE p.weight <> excluded.weight",
    )


def _sparse_given(vectors: Mapping[bytes, SparseVector]) -> Sql:
    # Sent flat, as slices of two long arrays.
    lengths = [len(value.indices) for value in vectors.values()]
    ends = np.cumsum(lengths, dtype=np.int64)
    indices = np.concatenate([value.indices for value in vectors.values()])
    weights = np.concatenate([value.values for value in vectors.values()])
    return sql(
        "SELECT slice.key, (",
        Argument(indices.astype(np.int64).tolist()),
        "::bigint[])[slice.first:slice.last] AS indices, (",
        Argument(weights.astype(np.float64).tolist()),
        "::real[])[slice.first:slice.last] AS weights FROM unnest(",
        Argument(list(vectors)),
        "::bytea[], ",
        Argument((ends - lengths + 1).tolist()),
        "::integer[], ",
        Argument(ends.tolist()),
        "::integer[]) AS slice(key, first, last)",
    )
