"""The statements that make what a collection needs. A dry run shows the same that is executed."""

from collections.abc import Iterable
from dataclasses import dataclass

from service.stores.postgres.distances import index_expression
from service.stores.postgres.vector_tables import VectorTable, vector_definition
from service.translate.sql import Identifier, Sql, number, sql


@dataclass(frozen=True, slots=True)
class GraphOptions:
    """pgvector's ``m`` (2 to 100) and ``ef_construction`` (at least twice that, at most 1000)."""

    m: int
    ef_construct: int


def collection(points: Identifier, vectors: Iterable[VectorTable]) -> list[Sql]:
    """Return what makes a collection's tables; none takes arguments."""
    # The fill factor leaves room for updates in place: a payload change then touches no index.
    table = sql(
        "CREATE TABLE ",
        points,
        " (key bytea PRIMARY KEY CHECK (octet_length(key) = 17), payload jsonb NOT NULL,"
        " deleted boolean NOT NULL DEFAULT false, version bigint NOT NULL)"
        " WITH (fillfactor = 70)",
    )
    return [table, *(vector_definition(vector) for vector in vectors)]


def payload_index(name: str, points: Identifier, definition: Sql) -> Sql:
    """Return what makes one SQL index of a payload index; ``definition`` is what follows ``ON points``."""
    return sql("CREATE INDEX CONCURRENTLY ", Identifier((name,)), " ON ", points, " ", definition)


def graph(vector: VectorTable, options: GraphOptions) -> Sql:
    """Return what makes a vector's HNSW index."""
    _, index = vector.index.parts
    return sql(
        "CREATE INDEX CONCURRENTLY ",
        Identifier((index,)),
        " ON ",
        vector.table,
        " USING hnsw (",
        index_expression(vector),
        ") WITH (m = ",
        number(options.m),
        ", ef_construction = ",
        number(options.ef_construct),
        ")",
    )


def drop_index(index: Identifier) -> str:
    """Return what takes an index away beside live traffic."""
    return f"DROP INDEX CONCURRENTLY IF EXISTS {index.quoted()}"
