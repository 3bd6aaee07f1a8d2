"""Which points a leaf of a query may answer, as conditions."""

from service.model.ids import sorted_keys
from service.queries.leaves import Selection
from service.stores.postgres.catalog import CollectionTables
from service.translate.filters import filter_sql
from service.translate.sql import Argument, Sql, join, sql


def selected(tables: CollectionTables, selection: Selection) -> Sql:
    """Return the condition for filter, excluded ids and the ids to choose among (the row is not deleted besides)."""
    keys = key_conditions(sql("p.key"), selection)
    return join(" AND ", [filter_sql(selection.filter, tables.row), *keys])


def key_conditions(key: Sql, selection: Selection) -> list[Sql]:
    """Return the conditions for the ids to choose among and for the excluded ones, as far as there are any."""
    conditions = []
    if selection.among is not None:
        among = Argument(sorted_keys(selection.among))
        conditions.append(sql(key, " = ANY(", among, "::bytea[])"))
    if selection.excluded:
        excluded = Argument(sorted_keys(selection.excluded))
        conditions.append(sql(key, " <> ALL(", excluded, "::bytea[])"))
    return conditions
