"""Qdrant's engine in the process, as the oracle for filters, payload operations and selectors."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from service.model.points import Payload


@contextmanager
def opened(folder: Path) -> Iterator[edge.EdgeShard]:
    """A shard with one vector nobody looks at."""
    params = edge.EdgeVectorParams(size=1, distance=edge.Distance.Dot)
    shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=params))
    yield shard
    shard.close()


def store(shard: edge.EdgeShard, payloads: Mapping[int, Payload]) -> None:
    """Replace these points."""
    points = [edge.Point(number, [1.0], payload) for number, payload in payloads.items()]
    shard.update(edge.UpdateOperation.upsert_points(points))


def payload(shard: edge.EdgeShard, number: int, wanted: Any = True) -> Payload:
    """Return the payload, or what a selector leaves of it."""
    return shard.retrieve([number], wanted, False)[0].payload or {}


def matching(shard: edge.EdgeShard, wanted: Mapping[str, Any], limit: int) -> set[Any]:
    """Return the ids that match a filter, given as JSON."""
    request = edge.ScrollRequest(limit=limit, filter=_filter(wanted), with_payload=False)
    records, _ = shard.scroll(request)
    return {record.id for record in records}


def _filter(wanted: Mapping[str, Any]) -> edge.Filter:
    minimum = wanted.get("min_should")
    return edge.Filter(
        must=_conditions(wanted.get("must")),
        must_not=_conditions(wanted.get("must_not")),
        should=_conditions(wanted.get("should")),
        min_should=minimum
        and edge.MinShould(_conditions(minimum["conditions"]) or [], minimum["min_count"]),
    )


def _conditions(given: Sequence[Mapping[str, Any]] | None) -> list[Any] | None:
    return None if given is None else [_condition(one) for one in given]


def _condition(given: Mapping[str, Any]) -> Any:
    match given:
        case {"key": key, "match": {"value": value}}:
            return edge.FieldCondition(key, match=edge.MatchValue(value))
        case {"key": key, "match": {"any": values}}:
            return edge.FieldCondition(key, match=edge.MatchAny(values))
        case {"key": key, "match": {"except": values}}:
            return edge.FieldCondition(key, match=edge.MatchExcept(values))
        case {"key": key, "range": bounds}:
            return edge.FieldCondition(key, range=edge.RangeFloat(**bounds))
        case {"key": key, "is_empty": bool(yes)}:
            return edge.FieldCondition(key, is_empty=yes)
        case {"key": key, "is_null": bool(yes)}:
            return edge.FieldCondition(key, is_null=yes)
        case {"is_empty": {"key": key}}:
            return edge.IsEmptyCondition(key)
        case {"is_null": {"key": key}}:
            return edge.IsNullCondition(key)
        case {"has_id": ids}:
            return edge.HasIdCondition(set(ids))
        case _:
            return _filter(given)
