"""The outer part of a search's statement: what was found is ranked, cut and read."""

from collections.abc import Mapping, Sequence
from typing import Any, LiteralString

from service.model.columns import HitColumns
from service.model.ids import decode_key, decode_keys
from service.model.points import Hit
from service.queries.leaves import Selection
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.shapes import Shape
from service.translate.sql import TRUE, Argument, Sql, sql


def ranked(
    tables: CollectionTables,
    best: Sql,
    selection: Selection,
    wanted: Shape,
    *,
    higher_is_better: bool = True,
) -> Sql:
    """Return the statement that reads of the points in ``best`` only what is answered.

    ``best`` is a SELECT of ``key`` and ``score`` (a ``real``) of the ``limit + offset`` best points in any order. The
    statement gives them without the first ``offset``, best first, ties by key; ``answered`` says which pass the
    threshold, so that its caller sees whether ``best`` found as many as there should be.
    """
    direction: LiteralString = "DESC" if higher_is_better else "ASC"
    order = sql(" ORDER BY b.score ", direction, ", b.key")
    found = sql("(", best, ") AS b")
    if selection.offset:
        cut = sql(" OFFSET ", Argument(selection.offset), "::bigint")
        found = sql("(SELECT b.key, b.score FROM ", found, order, cut, ") AS b")
    passes = TRUE
    if selection.score_threshold is not None:
        better: LiteralString = ">" if higher_is_better else "<"
        passes = sql("b.score ", better, " ", Argument(selection.score_threshold), "::real")
    return sql(
        "SELECT b.key, b.score, ",
        passes,
        " AS answered, p.version",
        wanted.columns,
        " FROM ",
        found,
        " LEFT JOIN ",
        tables.points,
        " AS p ON ",
        passes,
        " AND p.key = b.key",
        wanted.joins(),
        order,
    )


def hits(found: Sequence[Mapping[str, Any]], wanted: Shape) -> Sequence[Hit]:
    """Return the answered rows of :func:`ranked`; in columns, unless the payloads have to be looked at."""
    answered = [row for row in found if row["answered"]]
    if wanted.is_in_columns and answered:
        return HitColumns(
            decode_keys([row["key"] for row in answered]),
            [row["score"] for row in answered],
            [row["version"] for row in answered],
            wanted.payload_column(answered),
            wanted.vector_columns(answered),
        )
    return [
        Hit(
            decode_key(row["key"]),
            row["score"],
            row["version"],
            wanted.payload_of(row),
            wanted.vectors_of(row),
        )
        for row in answered
    ]
