"""The inner part of a nearest-neighbour search: SELECTs of ``key`` and ``score`` of the best points.

The forms leave the planner one way to go, whatever it thinks of a filter: no index serves an order by a sum, and
nothing but the index on the vectors avoids the sub-select for each of them. Limits and settings are part of the text: a
prepared statement whose limit is unknown is planned anew each time, which takes as long as a quarter of the search.
"""

from dataclasses import dataclass

from service.queries.leaves import Selection
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.conditions import FilterCondition
from service.stores.postgres.distances import (
    distance,
    indexed_distance,
    indexes_halves,
    metric,
)
from service.stores.postgres.plan import Graph, Scan
from service.stores.postgres.selecting import key_conditions, planned_for
from service.stores.postgres.vector_tables import VectorTable
from service.translate.sql import TRUE, Argument, Sql, join, number, sql

_RERANKED = 2
"""Half precision misplaces neighbours: so many times as many are ranked again by their full vectors."""


_KEY = sql("v.key")


@dataclass(frozen=True, slots=True)
class Search:
    """A search of one vector table; ``query`` is in stored form."""

    tables: CollectionTables
    vector: VectorTable
    query: Argument
    condition: FilterCondition
    selection: Selection
    proof: Sql = TRUE
    """A condition without columns that is tested before anything is read."""

    @property
    def filter(self) -> Sql:
        """The filter as a condition on the point ``p``."""
        return self.condition.sql

    @property
    def is_usual(self) -> bool:
        """Whether another search may have the same statement; none that names the points to take or to leave out."""
        names_points = self.selection.among is not None or bool(self.selection.excluded)
        return self.condition.is_kept and not names_points

    @property
    def depth(self) -> int:
        """How many of the best points must be found."""
        return self.selection.limit + self.selection.offset

    @property
    def walked(self) -> int:
        """How many points the index must find."""
        return self.depth * (_RERANKED if indexes_halves(self.vector) else 1)


def by_scan(search: Search, plan: Scan) -> Sql:
    """Return the best of all points that match, found by computing every distance."""
    near = distance(search.vector, search.query)
    return sql(
        "SELECT v.key, ",
        metric(search.vector).score(near),
        " AS score FROM ",
        search.vector.table,
        " AS v",
        _collected(search) if plan.collected else _joined(search),
        " ORDER BY (",
        near,
        ") + 0, v.key LIMIT ",
        number(search.depth),
    )


def _collected(search: Search) -> Sql:
    """Return the condition that takes all matching keys at once: the index on them is then walked in its order."""
    return sql(
        " WHERE v.key = ANY(ARRAY(SELECT p.key FROM ",
        search.tables.points,
        " AS p WHERE NOT p.deleted AND ",
        search.proof,
        " AND ",
        _condition(search, planned_for(search.filter), sql("p.key")),
        "))",
    )


def _joined(search: Search) -> Sql:
    points = sql(" JOIN ", search.tables.points, " AS p ON p.key = v.key AND NOT p.deleted")
    return sql(
        points if search.filter is not TRUE else sql(),
        " WHERE ",
        search.proof,
        " AND ",
        _condition(search, planned_for(search.filter)),
    )


def by_graph(search: Search, plan: Graph) -> Sql:
    """Return the points that the HNSW index finds.

    pgvector's settings are in force for this statement only, without a transaction of its own: they are made before the
    index is read, which waits for them.
    """
    walk = sql(
        "SELECT v.key, ",
        distance(search.vector, search.query),
        " AS distance FROM ",
        search.vector.table,
        " AS v WHERE s.ef IS NOT NULL AND s.scan IS NOT NULL AND s.walk IS NOT NULL AND ",
        search.proof,
        " AND ",
        _condition(search, _passes(search)),
        " ORDER BY ",
        indexed_distance(search.vector, search.query),
        " LIMIT ",
        number(search.walked),
    )
    found = sql(
        "SELECT w.key, ",
        metric(search.vector).score(sql("w.distance")),
        " AS score FROM (SELECT set_config('hnsw.ef_search', '",
        number(plan.ef),
        "', true) AS ef, set_config('hnsw.iterative_scan', 'relaxed_order', true) AS scan,"
        " set_config('hnsw.max_scan_tuples', '",
        number(plan.walk),
        "', true) AS walk OFFSET 0) AS s CROSS JOIN LATERAL (",
        walk,
        ") AS w",
    )
    if search.walked == search.depth:
        return found
    return sql(found, " ORDER BY w.distance, w.key LIMIT ", number(search.depth))


def _passes(search: Search) -> Sql:
    """Return the filter as a test of one vector's point."""
    if search.filter is TRUE:
        return TRUE
    points = search.tables.points
    return sql(
        "(SELECT ", search.filter, " FROM ", points, " AS p WHERE p.key = v.key AND NOT p.deleted)"
    )


def _condition(search: Search, tested: Sql, key: Sql = _KEY) -> Sql:
    conditions = [tested, *key_conditions(key, search.selection)]
    return join(" AND ", [sql("(", condition, ")") for condition in conditions])
