"""Which points a leaf of a query may answer, as conditions."""

from service.model.ids import sorted_keys
from service.model.qdrant import Filter
from service.queries.leaves import Selection
from service.stores.postgres.catalog import CollectionTables
from service.translate.filters import filter_sql
from service.translate.sql import TRUE, Argument, Sql, join, sql

_GIVEN = Argument(value=True)


def selected(tables: CollectionTables, selection: Selection) -> Sql:
    """Return the condition for filter, excluded ids and the ids to choose among (the row is not deleted besides)."""
    keys = key_conditions(sql("p.key"), selection)
    return join(" AND ", [matching(tables, selection.filter), *keys])


def matching(tables: CollectionTables, wanted: Filter | None) -> Sql:
    """Return the filter as a condition on the point ``p``, :func:`planned_for` its values."""
    return planned_for(filter_sql(wanted, tables.row))


def planned_for(condition: Sql) -> Sql:
    """Return the same condition such that no statement with it gets a plan for any values.

    Postgres prefers such a plan from the sixth time on when it guesses that it costs no more, and guesses that half a
    percent of all points are in any range: a page of a wide one then takes a hundred times as long. A function that is
    dear only where its argument is unknown to the planner keeps it from that.
    """
    if condition is TRUE:
        return TRUE
    return sql("(vecferry.is_planned_for(", _GIVEN, "::boolean) AND ", condition, ")")


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
