"""Exact scoring of what pgvector has no operator for: multivectors, sparse vectors, and several examples at once.

Every row that the filter leaves is scored; only a search for one sparse vector goes through the inverted index, and
answers no point that shares no index with it.
"""

from collections.abc import Sequence
from dataclasses import replace

from service.errors import Unsupported
from service.model.points import Hit, SparseVector, VectorValue
from service.model.qdrant import Distance
from service.model.queries import ByVector, Nearest, VectorScoring
from service.queries.leaves import Selection
from service.stores.configuration import VectorKind
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.custom_scores import custom_score
from service.stores.postgres.database import Connection
from service.stores.postgres.distances import metric
from service.stores.postgres.estimates import Estimates
from service.stores.postgres.ranked import hits, ranked
from service.stores.postgres.selecting import key_conditions
from service.stores.postgres.shapes import Shape, shape
from service.stores.postgres.similarity import dense_similarity, max_similarity, single
from service.stores.postgres.sparse import overlaps
from service.stores.postgres.sparse_plan import goes_by_points
from service.stores.postgres.vector_tables import VectorTable
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
) -> Sequence[Hit]:
    """Return the points with the best scores, best first, ties by key.

    ``estimates`` are those of the database; without them everything is measured anew. Raises ``WrongInput`` for a
    vector that does not fit.
    """
    read = shape(tables, selection.with_payload, selection.with_vector)
    table = vector_table(tables, wanted.using)
    by_points = False
    if table.kind is VectorKind.SPARSE:
        examples = _Examples(table)
        custom_score(wanted.scoring, examples.column)
        by_points = await goes_by_points(
            conn, (tables, table), examples.sparse, selection, estimates or Estimates()
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
    if table.kind is VectorKind.SPARSE:
        similarities = _sparse_similarities(
            tables, table, wanted.scoring, examples.sparse, selection, by_points=by_points
        )
    else:
        similarities = _similarities(tables, table, examples.vectors, selection)
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

    @property
    def sparse(self) -> list[SparseVector]:
        """The vectors, where they are sparse ones."""
        return [vector for vector in self.vectors if isinstance(vector, SparseVector)]


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
    asked: Sequence[StoredVector],
    selection: Selection,
) -> Sql:
    """Return a SELECT of ``key`` and the similarities to all examples of the rows that the selection leaves."""
    dense = [vector for vector in asked if not isinstance(vector, SparseVector)]
    columns = [_similarity(table, vector) for vector in dense]
    return _select(tables, sql(table.table, " AS v"), columns, selection)


def _sparse_similarities(
    tables: CollectionTables,
    table: VectorTable,
    scoring: VectorScoring,
    asked: Sequence[SparseVector],
    selection: Selection,
    *,
    by_points: bool,
) -> Sql:
    """Return the same for sparse vectors; of a search, only the rows that share an index with the vector."""
    found = sql("(", overlaps(tables, table, asked, selection, by_points=by_points), ")")
    if not isinstance(scoring, Nearest):
        source = sql(table.table, " AS v LEFT JOIN ", found, " AS s ON s.key = v.key")
        columns = [single(sql("coalesce(s.s", number(at), ", 0)")) for at, _ in enumerate(asked)]
        return _select(tables, source, columns, selection)
    # Unfiltered, Qdrant goes through its index and leaves out sums of zero.
    passes = TRUE if _restrictions(tables, selection) else sql("v.s0 <> 0")
    left = replace(selection, filter=None) if by_points else selection
    return _select(tables, sql(found, " AS v"), [single(sql("v.s0"))], left, passes)


def _select(
    tables: CollectionTables,
    source: Sql,
    columns: Sequence[Sql],
    selection: Selection,
    passes: Sql = TRUE,
) -> Sql:
    listed = (sql(", ", column, " AS s", number(at)) for at, column in enumerate(columns))
    points = sql(" JOIN ", tables.points, " AS p ON p.key = v.key AND NOT p.deleted")
    return sql(
        "SELECT v.key",
        *listed,
        " FROM ",
        source,
        points if selection.filter is not None else sql(),
        " WHERE ",
        join(" AND ", [passes, *_restrictions(tables, selection)]),
    )


def _similarity(table: VectorTable, asked: Row | tuple[Row, ...]) -> Sql:
    held = sql("v.embedding")
    if isinstance(asked, tuple):
        return max_similarity(table, held, asked)
    return dense_similarity(table, held, asked)


def _restrictions(tables: CollectionTables, selection: Selection) -> list[Sql]:
    conditions = []
    if selection.filter is not None:
        conditions.append(sql("(", filter_sql(selection.filter, tables.row), ")"))
    return [*conditions, *key_conditions(sql("v.key"), selection)]
