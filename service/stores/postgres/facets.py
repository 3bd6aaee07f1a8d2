"""Facets: the values of an indexed payload field with the number of points that have each."""

from collections.abc import Iterable

from service.errors import WrongInput
from service.model.points import FacetHit
from service.model.qdrant import FacetRequest
from service.queries.defaults import LIMIT
from service.stores.postgres import rows
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection
from service.stores.postgres.indexed_values import FieldValues, ValueKind, field_values, index_on
from service.stores.postgres.reads import refuse_shard_key
from service.stores.postgres.selecting import matching
from service.translate.sql import TRUE, Argument, Sql, join, sql

_COUNTED = frozenset({ValueKind.KEYWORD, ValueKind.UUID, ValueKind.BOOL})


async def facet(
    conn: Connection, tables: CollectionTables, request: FacetRequest, proof: Sql = TRUE
) -> list[FacetHit]:
    """Return the most frequent values, of equal counts the smaller first; always exact.

    The statement tests ``proof``, a condition without columns.
    Raises ``WrongInput`` when the field has no index of keywords, integers, booleans or UUIDs.
    """
    refuse_shard_key(request.shard_key)
    kind = _kind(tables, request.key)
    limit = LIMIT if request.limit is None else request.limit
    condition = sql(proof, " AND ", matching(tables, request.filter))
    parts = field_values(tables, request.key, kind, condition)
    found = await rows.fetch(conn, _statement(parts, limit))
    if kind is ValueKind.UUID:
        return [FacetHit(str(row["value"]), row["points"]) for row in found]
    return [FacetHit(row["value"], row["points"]) for row in found]


def _kind(tables: CollectionTables, key: str) -> ValueKind:
    index = index_on(tables, key)
    if index is not None and (index.kind in _COUNTED or index.looks_up_integers):
        return ValueKind(index.kind)
    raise WrongInput(
        f"No appropriate index for faceting: `{key}`. Please create one to facet on this field. Check"
        " https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support Match"
        " conditions"
    )


def _statement(parts: Iterable[FieldValues], limit: int) -> Sql:
    return sql(
        "SELECT field.value, count(*) AS points FROM (",
        join(" UNION ALL ", (part.query for part in parts)),
        ") AS field GROUP BY field.value ORDER BY points DESC, field.value LIMIT ",
        Argument(limit),
        "::bigint",
    )
