"""Similarities of sparse vectors through their inverted index, and the weights that IDF gives a query.

Source of the IDF: Qdrant, lib/segment/src/data_types/query_context.rs.
"""

from collections.abc import Sequence

from service.model.ids import encode_key
from service.model.points import SparseVector
from service.model.qdrant import Filter, IdfCorpusParams, SearchParams
from service.queries.leaves import Selection
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.similarity import single
from service.stores.postgres.vector_tables import VectorTable
from service.translate.filters import filter_sql
from service.translate.sql import Argument, Sql, number, sql


def overlaps(
    tables: CollectionTables,
    table: VectorTable,
    asked: Sequence[SparseVector],
    selection: Selection,
    *,
    by_points: bool = False,
) -> Sql:
    """Return a SELECT of ``key`` and the similarities ``s0``, ``s1`` … of all vectors that share an index.

    They are ``double precision``, NULL for one of the ``asked`` vectors (in stored form) that shares none. Of the
    selection only ``params`` and ``among`` count: few points are looked up one by one. So are, ``by_points``, those
    that match its filter; no others are found then.
    """
    products = sql("sum(e.weight::double precision * a.weight)")
    columns = sql(
        *(
            sql(", ", products, " FILTER (WHERE a.example = ", number(at), ") AS s", number(at))
            for at, _ in enumerate(asked)
        )
    )
    entries = _entries(tables, table, asked, selection.params)
    if by_points:
        matching = _matching(tables, selection.filter, "filter")
        return _of_points(table, columns, entries, matching)
    return _of_dimensions(table, columns, entries, selection)


def _of_points(table: VectorTable, columns: Sql, entries: Sql, matching: Sql) -> Sql:
    return sql(
        "WITH a AS MATERIALIZED (",
        entries,
        "), m AS MATERIALIZED (SELECT p.key FROM ",
        matching,
        ") SELECT m.key",
        columns,
        # OFFSET keeps the planner, who takes a filter for less selective than it is, to one look-up at a time.
        " FROM m CROSS JOIN a CROSS JOIN LATERAL (SELECT e.weight FROM ",
        table.postings,
        " AS e WHERE e.dim = a.dim AND e.key = m.key OFFSET 0) AS e GROUP BY m.key",
    )


def _of_dimensions(table: VectorTable, columns: Sql, entries: Sql, selection: Selection) -> Sql:
    among = sql()
    if selection.among is not None:
        keys = Argument([encode_key(point_id) for point_id in selection.among])
        among = sql(" AND e.key = ANY(", keys, "::bytea[])")
    return sql(
        "SELECT e.key",
        columns,
        " FROM (",
        entries,
        ") AS a JOIN ",
        table.postings,
        " AS e ON e.dim = a.dim",
        among,
        " GROUP BY e.key",
    )


def _entries(
    tables: CollectionTables,
    table: VectorTable,
    asked: Sequence[SparseVector],
    params: SearchParams | None,
) -> Sql:
    """Return a SELECT of ``example``, ``dim`` and ``weight``: the entries of all vectors asked for."""
    examples = [at for at, vector in enumerate(asked) for _ in vector.indices]
    dims = [int(dim) for vector in asked for dim in vector.indices]
    weights = [float(weight) for vector in asked for weight in vector.values]
    given = sql(
        "unnest(",
        Argument(examples),
        "::integer[], ",
        Argument(dims),
        "::bigint[], ",
        Argument(weights),
        "::real[]) AS given(example, dim, weight)",
    )
    if not table.spec.has_idf:
        return sql("SELECT given.example, given.dim, given.weight FROM ", given)
    corpus = params.idf.corpus if params and isinstance(params.idf, IdfCorpusParams) else None
    # As float32 in the end, like the weights of a query without IDF.
    idf = sql("ln((n.documents - f.documents + 0.5) / (f.documents + 0.5) + 1)")
    return sql(
        "SELECT w.example, w.dim, ",
        single(sql("w.weight")),
        " AS weight FROM (SELECT given.example, given.dim, given.weight * ",
        idf,
        " AS weight FROM ",
        given,
        " JOIN (",
        _frequencies(tables, table, sorted(set(dims)), corpus),
        ") AS f ON f.dim = given.dim CROSS JOIN (",
        _documents(tables, table, corpus),
        ") AS n OFFSET 0) AS w",
    )


def _frequencies(
    tables: CollectionTables, table: VectorTable, dims: Sequence[int], corpus: Filter | None
) -> Sql:
    """Return a SELECT of each ``dim`` and in how many ``documents`` it stands."""
    member = sql()
    if corpus is not None:
        member = sql(" AND EXISTS (SELECT FROM ", _members(tables, corpus), " AND p.key = e.key)")
    return sql(
        "SELECT d.dim, count(e.key)::double precision AS documents FROM unnest(",
        Argument(dims),
        "::bigint[]) AS d(dim) LEFT JOIN ",
        table.postings,
        " AS e ON e.dim = d.dim",
        member,
        " GROUP BY d.dim",
    )


def _documents(tables: CollectionTables, table: VectorTable, corpus: Filter | None) -> Sql:
    """Return a SELECT of the number of ``documents``: of the whole collection, empty vectors are none."""
    if corpus is not None:
        among = sql(_members(tables, corpus), " AND p.key = v.key")
        return sql(
            "SELECT count(*)::double precision AS documents FROM ",
            table.table,
            " AS v WHERE EXISTS (SELECT FROM ",
            among,
            ")",
        )
    # The two counts are of indexes only.
    return sql(
        "SELECT ((SELECT count(*) FROM ",
        table.table,
        ") - (SELECT count(*) FROM ",
        table.table,
        " WHERE indices = '{}'))::double precision AS documents",
    )


def _members(tables: CollectionTables, corpus: Filter) -> Sql:
    return _matching(tables, corpus, "params.idf.corpus")


def _matching(tables: CollectionTables, wanted: Filter | None, path: str) -> Sql:
    condition = filter_sql(wanted, tables.row, path)
    return sql(tables.points, " AS p WHERE NOT p.deleted AND (", condition, ")")
