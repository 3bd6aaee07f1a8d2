"""Which points a leaf of a query may answer, as a condition on the points ``p``."""

from service.model.ids import sorted_keys
from service.queries.leaves import Selection
from service.stores.postgres.catalog import CollectionTables
from service.translate.filters import filter_sql
from service.translate.sql import Argument, Sql, join, sql


def selected(tables: CollectionTables, selection: Selection) -> Sql:
    """Return the condition for filter, excluded ids and the ids to choose among (the row is not deleted besides)."""
    parts = [filter_sql(selection.filter, tables.row)]
    if selection.among is not None:
        parts.append(sql("p.key = ANY(", Argument(sorted_keys(selection.among)), "::bytea[])"))
    if selection.excluded:
        parts.append(sql("p.key <> ALL(", Argument(sorted_keys(selection.excluded)), "::bytea[])"))
    return join(" AND ", parts)
