"""Qdrant's engine in the process, as the oracle for filters, payload operations and selectors."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from service.model.points import Payload
from service.model.qdrant import Filter
from service.stores.edge.booleans import boolean_matches
from service.stores.edge.filters import engine_filter
from service.stores.edge.indexes import engine_schema
from service.translate.payload_index import FieldSchema


@contextmanager
def opened(
    folder: Path, schema: Mapping[str, FieldSchema] | None = None
) -> Iterator[edge.EdgeShard]:
    """A shard with one vector nobody looks at, and with payload indexes."""
    params = edge.EdgeVectorParams(size=1, distance=edge.Distance.Dot)
    shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=params))
    for field, given in (schema or {}).items():
        shard.update(edge.UpdateOperation.create_field_index(field, engine_schema(given)))
    yield shard
    shard.close()


def store(shard: edge.EdgeShard, payloads: Mapping[Any, Payload]) -> None:
    """Replace these points."""
    points = [edge.Point(number, [1.0], payload) for number, payload in payloads.items()]
    shard.update(edge.UpdateOperation.upsert_points(points))


def payload(shard: edge.EdgeShard, number: int, wanted: Any = True) -> Payload:
    """Return the payload, or what a selector leaves of it."""
    return shard.retrieve([number], wanted, False)[0].payload or {}


def matching(shard: edge.EdgeShard, wanted: Filter, limit: int) -> set[Any]:
    """Return the ids that match a filter."""
    given = engine_filter(wanted, "filter", boolean_matches(shard))
    request = edge.ScrollRequest(limit=limit, filter=given, with_payload=False)
    records, _ = shard.scroll(request)
    return {record.id if isinstance(record.id, int) else str(record.id) for record in records}
