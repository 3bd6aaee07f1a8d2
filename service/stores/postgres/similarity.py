"""The similarity that Qdrant computes with inside: larger is better, whatever the distance.

Inner product for cosine and dot, the negated squared distance for Euclid, the negated distance for Manhattan. Sources:
Qdrant's lib/segment/src/spaces/simple.rs, for MaxSim lib/segment/src/vector_storage/query_scorer/mod.rs.
"""

from collections.abc import Sequence
from typing import assert_never

from service.model.qdrant import Datatype, Distance
from service.stores.postgres.distances import cosine
from service.stores.postgres.vector_tables import VectorTable
from service.stores.postgres.vectors import Row
from service.translate.sql import Argument, Sql, sql


def dense_similarity(table: VectorTable, held: Sql, asked: Row) -> Sql:
    """Return the similarity (``real``) of a dense vector to the one asked for, both in stored form."""
    return single(_similarity(table, held, sql(Argument(asked), "::", table.type)))


def max_similarity(table: VectorTable, held: Sql, asked: Sequence[Row]) -> Sql:
    """Return MaxSim (``real``) of an array of rows to the rows asked for: the sum over these of the best match."""
    return sql(
        "(SELECT ",
        single(sql("sum(matched.best)")),
        " FROM unnest(",
        Argument(list(asked)),
        "::",
        table.type,
        "[]) AS asked(row) CROSS JOIN LATERAL (SELECT max(",
        _similarity(table, sql("held.row"), sql("asked.row")),
        ") AS best FROM unnest(",
        held,
        ") AS held(row)) AS matched)",
    )


def single(value: Sql) -> Sql:
    """Return a ``double precision`` as ``real``, beyond its range infinite or zero; a plain cast would be refused."""
    return sql(
        "(CASE WHEN abs(",
        value,
        ") < 1e-45 THEN 0 WHEN abs(",
        value,
        ") > 3.4028235e38 THEN sign(",
        value,
        ") * 'Infinity'::double precision ELSE ",
        value,
        " END)::real",
    )


def _similarity(table: VectorTable, held: Sql, asked: Sql) -> Sql:
    """Return it as ``double precision``; pgvector computes it in float32, as Qdrant does."""
    pair = sql("(", held, ", ", asked, ")")
    kind = "halfvec" if table.is_half else "vector"
    match table.distance:
        case Distance.COSINE if table.spec.datatype is Datatype.UINT8:
            # Not normalised when stored.
            return cosine(sql(table.of_extension("cosine_distance"), pair))
        case Distance.COSINE | Distance.DOT:
            return sql("(-", table.of_extension(f"{kind}_negative_inner_product"), pair, ")")
        case Distance.EUCLID:
            return sql("(-", table.of_extension(f"{kind}_l2_squared_distance"), pair, ")")
        case Distance.MANHATTAN:
            return sql("(-", table.of_extension("l1_distance"), pair, ")")
        case _:
            assert_never(table.distance)
