"""Hits in groups: the best points of each value of a payload field.

Groups are collected from ordinary queries, a few at a time, until there are enough full ones. So a rare group can stay
incomplete, or unseen, exactly where it does in Qdrant. Source: lib/shard/src/grouping in Qdrant.
"""

from collections.abc import Sequence
from dataclasses import replace

from service.errors import CollectionNotFound, PointNotFound
from service.model.ids import PointId, parse_point_id
from service.model.points import Group, Hit, Record
from service.model.qdrant import (
    Condition,
    FieldCondition,
    Filter,
    HasIdCondition,
    IsEmptyCondition,
    MatchAny,
    MatchExcept,
    PayloadField,
    PointRequest,
    Prefetch,
    QueryGroupsRequest,
    QueryRequest,
    WithLookup,
)
from service.ports import PointReader
from service.queries.defaults import GROUP_SIZE, LIMIT
from service.queries.filters import merged
from service.queries.group_sets import GroupKey, GroupSets
from service.queries.lookups import Node, children
from service.translate.paths import parse_path

_COLLECTING_ROUNDS = 5
_FILLING_ROUNDS = 5
_MAX_INTEGER = 2**63 - 1
"""The largest integer that a match can name."""


async def grouped(store: PointReader, collection: str, request: QueryGroupsRequest) -> list[Group]:
    """Return the best groups, the one with the best hit first; ``limit`` is 10 and ``group_size`` 3 by default.

    A point with several values is in several groups; only strings and integers are values. Raises what a query of the
    same kind raises.
    """
    limit = LIMIT if request.limit is None else request.limit
    size = GROUP_SIZE if request.group_size is None else request.group_size
    sets = GroupSets(
        parse_path(request.group_by), limit=limit, size=size, in_id_order=request.query is None
    )
    await _collect(store, collection, request, sets)
    groups = await _hydrated(store, collection, request, sets.best())
    return await _looked_up(store, request, groups)


async def _collect(
    store: PointReader, collection: str, request: QueryGroupsRequest, sets: GroupSets
) -> None:
    for _ in range(_COLLECTING_ROUNDS):
        narrowed = [MatchExcept(**{"except": keys}) for keys in _by_type(sets.full_keys())]
        found = await store.query(collection, _round(request, sets, _matching(request, narrowed)))
        sets.add(found)
        if sets.is_complete():
            return
        if not found:
            break
    for _ in range(_FILLING_ROUNDS):
        wanted = [MatchAny(any=keys) for keys in _by_type(sets.open_keys())]
        found = await store.query(collection, _round(request, sets, _matching(request, wanted)))
        sets.add(found)
        if sets.is_complete() or not found:
            return


def _by_type(keys: Sequence[GroupKey]) -> list[list[int] | list[str]]:
    """Return the integers and the strings apart; Qdrant asks for both at once when there are both."""
    integers = [key for key in keys if isinstance(key, int) and key <= _MAX_INTEGER]
    strings = [key for key in keys if isinstance(key, str)]
    both: list[list[int] | list[str]] = []
    if integers:
        both.append(integers)
    if strings:
        both.append(strings)
    return both


def _matching(
    request: QueryGroupsRequest, matches: Sequence[MatchAny | MatchExcept]
) -> list[Condition]:
    return [FieldCondition(key=request.group_by, match=match) for match in matches]


def _round(
    request: QueryGroupsRequest, sets: GroupSets, conditions: list[Condition]
) -> QueryRequest:
    """Return the query for one round: points with the field, not seen yet, that meet the conditions."""
    unseen: list[Condition] = [HasIdCondition(has_id=list(sets.ids))] if sets.ids else []
    empty = IsEmptyCondition(is_empty=PayloadField(key=request.group_by))
    narrowed = Filter(must=conditions or None, must_not=[*unseen, empty])
    return QueryRequest(
        shard_key=request.shard_key,
        prefetch=_wider(request, sets.size),
        query=request.query,
        using=request.using,
        filter=merged(request.filter, narrowed),
        params=request.params,
        score_threshold=request.score_threshold,
        limit=sets.limit * sets.size,
        with_payload=[request.group_by.removesuffix("[]")],
        with_vector=False,
        lookup_from=request.lookup_from,
    )


def _wider(node: Node | QueryGroupsRequest, factor: int) -> list[Prefetch] | None:
    """Return the node's prefetches so that they bring enough points for all groups."""
    if node.prefetch is None:
        return None
    return [
        child.model_copy(
            update={
                "limit": (LIMIT if child.limit is None else child.limit) * factor,
                "prefetch": _wider(child, factor),
            }
        )
        for child in children(node)
    ]


async def _hydrated(
    store: PointReader, collection: str, request: QueryGroupsRequest, groups: list[Group]
) -> list[Group]:
    """Return the groups with what the answer carries of each point."""
    bare = [replace(group, hits=[_bare(hit) for hit in group.hits]) for group in groups]
    ids = list(dict.fromkeys(hit.id for group in groups for hit in group.hits))
    if not ids or not (request.with_payload or request.with_vector):
        return bare
    wanted = PointRequest(
        ids=list(ids), with_payload=request.with_payload or False, with_vector=request.with_vector
    )
    records = {record.id: record for record in await store.retrieve(collection, wanted)}
    return [
        replace(group, hits=[_filled(hit, records.get(hit.id)) for hit in group.hits])
        for group in bare
    ]


def _bare(hit: Hit) -> Hit:
    return replace(hit, payload=None, vectors=None)


def _filled(hit: Hit, record: Record | None) -> Hit:
    if record is None:
        return hit
    return replace(hit, payload=record.payload, vectors=record.vectors)


async def _looked_up(
    store: PointReader, request: QueryGroupsRequest, groups: list[Group]
) -> list[Group]:
    """Return the groups with the points of another collection that have their values as ids."""
    lookup = request.with_lookup
    if lookup is None:
        return groups
    if isinstance(lookup, str):
        lookup = WithLookup(collection=lookup, with_payload=True, with_vectors=False)
    ids = {group.id: point_id for group in groups if (point_id := _as_id(group.id)) is not None}
    wanted = PointRequest(
        ids=list(ids.values()),
        with_payload=lookup.with_payload or False,
        with_vector=lookup.with_vectors,
    )
    try:
        records = await store.retrieve(lookup.collection, wanted)
    except CollectionNotFound:
        raise PointNotFound(f"Collection {lookup.collection} not found") from None
    found = {record.id: record for record in records}
    # A UUID in another spelling finds its point, but Qdrant then no longer knows for which group.
    return [
        replace(group, lookup=found.get(group.id) if ids.get(group.id) == group.id else None)
        for group in groups
    ]


def _as_id(key: GroupKey) -> PointId | None:
    try:
        return parse_point_id(key)
    except ValueError:
        return None
