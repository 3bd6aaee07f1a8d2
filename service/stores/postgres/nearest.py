"""Nearest-neighbour search of dense vectors, the way that its plan says. Whichever it is, no answer is short."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Self

from service.model.points import Hit
from service.model.queries import ByVector, Nearest
from service.queries.leaves import Selection
from service.stores.postgres import rows
from service.stores.postgres.candidates import Search, by_graph, by_scan
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.conditions import FilterCondition, filter_condition
from service.stores.postgres.database import Connection
from service.stores.postgres.distances import metric
from service.stores.postgres.estimates import Estimates
from service.stores.postgres.plan import (
    Graph,
    Plan,
    Question,
    Reason,
    Scan,
    by_share,
    settled,
)
from service.stores.postgres.ranked import hits, ranked
from service.stores.postgres.shapes import Shape, shape
from service.stores.postgres.vector_tables import VectorTable
from service.stores.postgres.vectors import stored, vector_table
from service.translate.sql import TRUE, Argument, Sql


async def nearest(
    conn: Connection,
    tables: CollectionTables,
    wanted: ByVector,
    selection: Selection,
    estimates: Estimates | None = None,
    *,
    proof: Sql = TRUE,
) -> Sequence[Hit]:
    """Return the points of a dense vector nearest to a given one, best first, ties by key.

    ``limit`` of them if so many match, less only those that the threshold turns away. ``estimates`` are those of the
    database; without them everything is measured anew. The statement tests ``proof``, a condition without columns,
    before it reads. Raises ``WrongInput`` for a vector that does not fit.
    """
    search = search_of(tables, wanted, selection, proof)
    answer = shape(tables, selection.with_payload, selection.with_vector)
    plan = await chosen(conn, search, estimates or Estimates())
    found = await _run(conn, search, plan, answer)
    if isinstance(plan, Graph) and len(found) < selection.limit:
        # It gave up beside many deleted vectors, or because what matches lies far from the query.
        found = await _run(conn, search, Scan(Reason.SHORT), answer)
    return hits(found, answer)


def search_of(
    tables: CollectionTables, wanted: ByVector, selection: Selection, proof: Sql = TRUE
) -> Search:
    """Return the search with everything translated. Raises ``WrongInput`` and ``Unsupported``."""
    if not isinstance(wanted.scoring, Nearest):
        raise TypeError("only the nearest are found here")
    table = vector_table(tables, wanted.using)
    return Search(
        tables=tables,
        vector=table,
        query=Argument(stored(table, wanted.scoring.vector)),
        condition=filter_condition(tables, selection.filter),
        selection=selection,
        proof=proof,
    )


async def chosen(conn: Connection, search: Search, estimates: Estimates) -> Plan:
    """Return the plan; asks the database only what it has to know."""
    selection = search.selection
    params = selection.params
    question = Question(
        depth=search.walked,
        ef=params.hnsw_ef if params else None,
        is_exact=bool(params and params.exact),
        is_among=selection.among is not None,
        is_filtered=search.filter is not TRUE,
    )
    plan = settled(question)
    if isinstance(plan, Scan):
        return plan
    if not await estimates.is_indexed(conn, search.vector):
        return Scan(Reason.NO_INDEX)
    if plan is not None:
        return plan
    condition = search.condition
    share = await estimates.share(conn, search.tables, condition.sql, condition.digest)
    return by_share(question, share.matching, share.points, is_served=condition.is_served)


def statement(search: Search, plan: Plan, answer: Shape) -> Sql:
    """Return the statement that goes the plan's way and reads of the points what is answered."""
    best = by_graph(search, plan) if isinstance(plan, Graph) else by_scan(search, plan)
    return ranked(
        search.tables,
        best,
        search.selection,
        answer,
        higher_is_better=metric(search.vector).higher_is_better,
    )


async def _run(
    conn: Connection, search: Search, plan: Plan, answer: Shape
) -> list[Mapping[str, Any]]:
    if not search.is_usual:
        return await rows.fetch(conn, statement(search, plan, answer))
    usual = _prepared(_Form.of(search, plan, answer))
    values = list(usual.values)
    values[usual.at] = search.query.value
    found: list[Mapping[str, Any]] = await conn.fetch(usual.text, *values)
    return found


@dataclass(frozen=True, slots=True)
class _Form:
    """What a usual search's statement depends on: all but the vector that it is for."""

    tables: object
    """Whose description it was made for."""
    vector: str
    limit: int
    offset: int
    threshold: float | None
    plan: Plan
    has_payload: bool
    read: tuple[str, ...] | None
    proof: Sql
    condition: FilterCondition
    example: Search = field(compare=False)
    answer: Shape = field(compare=False)

    @classmethod
    def of(cls, search: Search, plan: Plan, answer: Shape) -> Self:
        return cls(
            tables=search.tables.identity,
            vector=search.vector.name,
            limit=search.selection.limit,
            offset=search.selection.offset,
            threshold=search.selection.score_threshold,
            plan=plan,
            has_payload=answer.payload is not None,
            read=_names(answer.vectors),
            proof=search.proof,
            condition=search.condition,
            example=search,
            answer=answer,
        )


def _names(vectors: Sequence[VectorTable] | None) -> tuple[str, ...] | None:
    return None if vectors is None else tuple(vector.name for vector in vectors)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A statement with its values, of which the one ``at`` this place is the vector."""

    text: str
    values: tuple[object, ...]
    at: int


# Putting a statement together costs more than the rest of a search does on our side.
@lru_cache(maxsize=1024)
def _prepared(form: _Form) -> _Prepared:
    example = form.example
    text, values = statement(example, form.plan, form.answer).render()
    at = next(at for at, value in enumerate(values) if value is example.query.value)
    return _Prepared(text, tuple(values), at)
