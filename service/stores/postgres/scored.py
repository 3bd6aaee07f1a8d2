"""Exact scoring of what pgvector has no operator for: multivectors, sparse vectors, and several examples at once.

Every row that the filter leaves is scored; only a search for one sparse vector goes through the inverted index, and
answers no point that shares no index with it.
"""

from collections.abc import Sequence
from dataclasses import replace

from service.errors import Unsupported
from service.model.ids import encode_key
from service.model.points import Hit, SparseVector, VectorValue
from service.model.qdrant import Distance
from service.model.queries import ByVector, Nearest, VectorScoring
from service.queries.leaves import Selection
from service.stores.configuration import VectorKind
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables, VectorTable
from service.stores.postgres.custom_scores import custom_score
from service.stores.postgres.database import Connection
from service.stores.postgres.distances import metric
from service.stores.postgres.ranked import hits, ranked
from service.stores.postgres.shapes import Shape, shape
from service.stores.postgres.similarity import dense_similarity, max_similarity, single
from service.stores.postgres.sparse import overlaps
from service.stores.postgres.vectors import Row, StoredVector, stored, vector_table
from service.translate.filters import filter_sql
from service.translate.sql import TRUE, Argument, Sql, join, number, sql

_MOST_EXAMPLES = 1_600
"""Each is a column, and a PostgreSQL statement has 1,664 of them."""


async def scored(
    conn: Connection,
    tables: CollectionTables,
    wanted: ByVector,
    selection: Selection,
    estimates: Estimates | None = None,
) -> list[Hit]:
    """Return the points with the best scores, best first, ties by key.

    ``estimates`` are those of the database; without them everything is measured anew. Raises ``WrongInput`` for a
    vector that does not fit.
    """
    read = shape(tables, selection.with_payload, selection.with_vector)
    table = vector_table(tables, wanted.using)
    asked = _Examples.of(table, wanted.scoring).sparse
    by_points = await goes_by_points(
        conn, tables, table, asked, selection, estimates or Estimates()
    )
    found = statement(tables, wanted, selection, read, by_points=by_points)
    return hits(await rows.fetch(conn, found), read)


def statement(
    tables: CollectionTables,
    wanted: ByVector,
    selection: Selection,
    read: Shape,
    *,
    by_points: bool = False,
) -> Sql:
    """Return the statement that scores, ranks and reads; ``by_points`` is for sparse vectors under a filter."""
    table = vector_table(tables, wanted.using)
    examples = _Examples(table)
    score = custom_score(wanted.scoring, examples.column)
    is_nearest = isinstance(wanted.scoring, Nearest)
    if is_nearest:
        score = _answered(table, score)
    similarities = _similarities(tables, table, wanted.scoring, examples.vectors, selection)
    # Behind OFFSET each similarity is computed once, however often the score names it.
    found = sql("SELECT c.key, ", score, " AS score FROM (", similarities, " OFFSET 0) AS c")
    higher_is_better = metric(table).higher_is_better or not is_nearest
    if higher_is_better is not metric(table).higher_is_better:
        found = _within(found, selection.score_threshold)
        selection = replace(selection, score_threshold=None)
    best = sql(
        "SELECT t.key, t.score FROM (",
        found,
        ") AS t WHERE t.score <> 'NaN' ORDER BY t.score ",
        "DESC" if higher_is_better else "ASC",
        ", t.key LIMIT ",
        Argument(selection.limit + selection.offset),
        "::bigint",
    )
    return ranked(tables, best, selection, read, higher_is_better=higher_is_better)


class _Examples:
    """The vectors that a scoring names, in stored form, each with a column (``s0``, ``s1`` …) for it."""

    def __init__(self, table: VectorTable) -> None:
        self._table = table
        self._columns: dict[int, Sql] = {}
        self.vectors: list[StoredVector] = []

    def column(self, vector: VectorValue) -> Sql:
        """Return the column of the similarities to this vector. Raises ``WrongInput`` when it does not fit."""
        if id(vector) not in self._columns:
            if len(self.vectors) == _MOST_EXAMPLES:
                raise Unsupported("query", f"names more than {_MOST_EXAMPLES} vectors")
            self._columns[id(vector)] = sql("c.s", number(len(self.vectors)))
            self.vectors.append(stored(self._table, vector))
        return self._columns[id(vector)]


def _answered(table: VectorTable, similarity: Sql) -> Sql:
    """Return the score of a search from the similarity; a made-up score is answered as it is."""
    match table.distance:
        case Distance.EUCLID:
            return sql("sqrt(abs(", similarity, "))::real")
        case Distance.MANHATTAN:
            return sql("abs(", similarity, ")")
        case _:
            return similarity


def _within(found: Sql, threshold: float | None) -> Sql:
    """Return what passes the threshold of a distance, which Qdrant takes for one also where more is better.

    It reads from the best down to the first that is not below the threshold: all or none.
    """
    if threshold is None:
        return found
    return sql(
        "SELECT w.key, w.score FROM (SELECT f.key, f.score, max(f.score) OVER () AS top FROM (",
        found,
        ") AS f WHERE f.score <> 'NaN') AS w WHERE w.top < ",
        Argument(threshold),
        "::real",
    )


def _similarities(
    tables: CollectionTables,
    table: VectorTable,
    scoring: VectorScoring,
    asked: Sequence[StoredVector],
    selection: Selection,
) -> Sql:
    """Return a SELECT of ``key`` and the similarities to all examples of the rows that the selection leaves."""
    source = sql(table.table, " AS v")
    conditions = _conditions(tables, selection)
    if table.kind is not VectorKind.SPARSE:
        dense = [vector for vector in asked if not isinstance(vector, SparseVector)]
        columns = [_similarity(table, vector) for vector in dense]
    else:
        sparse = [vector for vector in asked if isinstance(vector, SparseVector)]
        overlapping = sql("(", overlaps(tables, table, sparse, selection), ")")
        if isinstance(scoring, Nearest):
            source = sql(overlapping, " AS v")
            columns = [single(sql("v.s0"))]
            if not conditions:
                # Unfiltered, Qdrant goes through its index and leaves out sums of zero.
                conditions = [sql("v.s0 <> 0")]
        else:
            source = sql(source, " LEFT JOIN ", overlapping, " AS s ON s.key = v.key")
            columns = [
                single(sql("coalesce(s.s", number(at), ", 0)")) for at, _ in enumerate(asked)
            ]
    listed = (sql(", ", column, " AS s", number(at)) for at, column in enumerate(columns))
    points = sql(" JOIN ", tables.points, " AS p ON p.key = v.key AND NOT p.deleted")
    return sql(
        "SELECT v.key",
        *listed,
        " FROM ",
        source,
        points if selection.filter is not None else sql(),
        " WHERE ",
        join(" AND ", conditions or [TRUE]),
    )


def _similarity(table: VectorTable, asked: Row | tuple[Row, ...]) -> Sql:
    held = sql("v.embedding")
    if isinstance(asked, tuple):
        return max_similarity(table, held, asked)
    return dense_similarity(table, held, asked)


def _conditions(tables: CollectionTables, selection: Selection) -> list[Sql]:
    conditions = []
    if selection.filter is not None:
        conditions.append(sql("(", filter_sql(selection.filter, tables.row), ")"))
    if selection.among is not None:
        among = Argument([encode_key(point_id) for point_id in selection.among])
        conditions.append(sql("v.key = ANY(", among, "::bytea[])"))
    if selection.excluded:
        excluded = Argument([encode_key(point_id) for point_id in selection.excluded])
        conditions.append(sql("v.key <> ALL(", excluded, "::bytea[])"))
    return conditions
