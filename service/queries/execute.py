"""The execution of a query tree over a store's leaves.

Filters of the nodes above a leaf are applied in the leaf. What branches return are ids and scores; payload and vectors
are read once, for the final hits.

Source: lib/shard/src/query/planned_query.rs and lib/edge/src/read_view/ops/query.rs in Qdrant.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import assert_never

from service.model.ids import PointId
from service.model.points import Hit
from service.model.qdrant import Filter, WithPayloadInterface, WithVector
from service.model.queries import (
    AtRandom,
    Branch,
    ByDistribution,
    ByDiversity,
    ByField,
    ByFormula,
    ByReciprocalRank,
    ByVector,
    Nearest,
    ResolvedQuery,
)
from service.queries.filters import merged
from service.queries.fusion import by_distribution, by_reciprocal_rank
from service.queries.leaves import Leaves, Selection
from service.queries.mmr import diversified
from service.queries.rescoring import by_formula


@dataclass(frozen=True, slots=True, eq=False)
class _Scope:
    """What the nodes above a node say about its leaves."""

    filter: Filter | None
    excluded: tuple[PointId, ...]

    def below(self, node: Branch) -> "_Scope":
        return (
            self if node.filter is None else replace(self, filter=merged(self.filter, node.filter))
        )


def takes_several_reads(query: ResolvedQuery) -> bool:
    """Say whether the answer is put together of several reads, which must then see the same state."""
    return bool(query.branches) or isinstance(query.scoring, ByDiversity)


async def execute(query: ResolvedQuery, leaves: Leaves) -> Sequence[Hit]:
    """Return the best points, best first, with what is wanted of each.

    Raises ``WrongInput`` for a formula that has no finite value for a point, and what the leaves raise.
    """
    if not takes_several_reads(query):
        return await _scored(query, _whole(query, None), leaves)
    scope = _Scope(query.filter, query.excluded)
    depth = query.limit + query.offset
    if isinstance(query.scoring, ByDiversity):
        diverse = await _diverse_root(query, query.scoring, scope, leaves)
        return await _hydrated(diverse[query.offset : depth], query, leaves)
    lists = await _branches(query, scope, leaves)
    if _is_leaf(query):
        among = _ids(lists)
        return await _scored(query, _whole(query, among), leaves) if among else []
    hits = await _rescored(query, depth, lists, leaves)
    return await _hydrated(hits[query.offset : depth], query, leaves)


def _whole(query: ResolvedQuery, among: tuple[PointId, ...] | None) -> Selection:
    """Return the selection of a leaf that answers the root as it is."""
    return Selection(
        limit=query.limit,
        offset=query.offset,
        filter=query.filter if among is None else None,
        excluded=query.excluded if among is None else (),
        among=among,
        score_threshold=_leaf_threshold(query),
        params=query.params,
        with_payload=query.with_payload,
        with_vector=query.with_vector,
    )


def _leaf_threshold(node: Branch) -> float | None:
    """Return the threshold where it means something: points in the order of ids or fields and samples have no score."""
    return node.score_threshold if isinstance(node.scoring, ByVector | ByDiversity) else None


def _is_leaf(node: Branch) -> bool:
    return node.scoring is None or isinstance(node.scoring, ByVector | ByField | AtRandom)


async def _branches(node: Branch, scope: _Scope, leaves: Leaves) -> list[list[Hit]]:
    return [await _branch(branch, scope.below(branch), leaves) for branch in node.branches]


async def _branch(node: Branch, scope: _Scope, leaves: Leaves) -> list[Hit]:
    """Return ids and scores of one branch, whose own filter is in the scope already."""
    if not node.branches:
        selection = Selection(
            limit=node.limit,
            filter=scope.filter,
            excluded=scope.excluded,
            score_threshold=_leaf_threshold(node),
            params=node.params,
        )
        # What is put together is looked at again and again: one object for each hit.
        return list(await _scored(node, selection, leaves))
    lists = await _branches(node, scope, leaves)
    return await _rescored(node, node.limit, lists, leaves)


async def _scored(node: Branch, selection: Selection, leaves: Leaves) -> Sequence[Hit]:
    """Return what a node without branches finds, or what it makes of the points in ``among``."""
    match node.scoring:
        case None:
            return await leaves.by_id(selection)
        case ByVector() as wanted:
            return await leaves.by_vector(wanted, selection)
        case ByField() as wanted:
            return await leaves.by_field(wanted, selection)
        case AtRandom():
            return await leaves.at_random(selection)
        case ByDiversity() as wanted:
            # Below the root Qdrant only looks for the candidates, all of them.
            nearest = ByVector(Nearest(wanted.vector), wanted.using)
            return await leaves.by_vector(nearest, replace(selection, limit=wanted.candidates))
        case ByReciprocalRank() | ByDistribution() | ByFormula():
            raise AssertionError("a query that merges branches has some: the request was resolved")
        case _:
            assert_never(node.scoring)


async def _rescored(node: Branch, limit: int, lists: list[list[Hit]], leaves: Leaves) -> list[Hit]:
    """Return the first ``limit`` hits that a node makes of what its branches returned."""
    match node.scoring:
        case ByReciprocalRank(k=k, weights=weights):
            return _best(by_reciprocal_rank(lists, k, weights), node.score_threshold, limit)
        case ByDistribution():
            return _best(by_distribution(lists), node.score_threshold, limit)
        case ByFormula() as wanted:
            scored = await by_formula(wanted, lists, leaves)
            return _best(scored, node.score_threshold, limit)
        case ByDiversity() as wanted:
            flat = [hit for hits in lists for hit in hits]
            return _diverse(wanted, await _with_vectors(flat, wanted.using, leaves), limit, leaves)
        case _:
            among = _ids(lists)
            selection = Selection(
                limit=limit,
                among=among,
                score_threshold=_leaf_threshold(node),
                params=node.params,
            )
            return list(await _scored(node, selection, leaves)) if among else []


def _best(hits: Sequence[Hit], threshold: float | None, limit: int) -> list[Hit]:
    """Return the first hits down to the threshold, which counts as reached when it is equalled."""
    kept = hits if threshold is None else takewhile(lambda hit: hit.score >= threshold, hits)
    return list(islice(kept, limit))


async def _diverse_root(
    query: ResolvedQuery, wanted: ByDiversity, scope: _Scope, leaves: Leaves
) -> list[Hit]:
    """Return what maximal marginal relevance chooses of the nearest points; the offset is not taken off yet."""
    among = _ids(await _branches(query, scope, leaves)) if query.branches else None
    if among == ():
        return []
    selection = replace(
        _whole(query, among),
        limit=wanted.candidates,
        offset=0,
        with_payload=None,
        with_vector=[wanted.using],
    )
    nearest = ByVector(Nearest(wanted.vector), wanted.using)
    candidates = list(await leaves.by_vector(nearest, selection))
    return _diverse(wanted, candidates, query.limit + query.offset, leaves)


def _diverse(
    wanted: ByDiversity, candidates: Sequence[Hit], limit: int, leaves: Leaves
) -> list[Hit]:
    return diversified(
        candidates,
        wanted.vector,
        using=wanted.using,
        distance=leaves.distance(wanted.using),
        diversity=wanted.diversity,
        limit=limit,
    )


async def _with_vectors(hits: Sequence[Hit], using: str, leaves: Leaves) -> list[Hit]:
    return await _read(hits, Selection(limit=len(hits), with_vector=[using]), leaves)


async def _hydrated(hits: Sequence[Hit], query: ResolvedQuery, leaves: Leaves) -> Sequence[Hit]:
    """Return the hits with what the answer carries of each."""
    wanted = Selection(
        limit=len(hits), with_payload=query.with_payload, with_vector=query.with_vector
    )
    if not (_is_wanted(query.with_payload) or _is_wanted(query.with_vector)):
        return hits
    return await _read(hits, wanted, leaves)


def _is_wanted(selector: WithPayloadInterface | WithVector | None) -> bool:
    return selector is not None and selector is not False


async def _read(hits: Sequence[Hit], wanted: Selection, leaves: Leaves) -> list[Hit]:
    if not hits:
        return []
    among = tuple(dict.fromkeys(hit.id for hit in hits))
    read = {hit.id: hit for hit in await leaves.by_id(replace(wanted, among=among))}
    return [
        replace(hit, payload=found.payload, vectors=found.vectors)
        for hit in hits
        if (found := read.get(hit.id)) is not None
    ]


def _ids(lists: Sequence[Sequence[Hit]]) -> tuple[PointId, ...]:
    return tuple(dict.fromkeys(hit.id for hits in lists for hit in hits))
