"""Qdrant's engine in the process, as the oracle for what is composed of searches."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import qdrant_edge as edge

from service.model.points import Hit, Payload
from service.stores.edge.values import our_hit


@contextmanager
def opened(folder: Path, vectors: Mapping[str, edge.EdgeVectorParams]) -> Iterator[edge.EdgeShard]:
    """An empty shard with these vectors."""
    shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(vectors=dict(vectors)))
    yield shard
    shard.close()


def dense(size: int, distance: edge.Distance = edge.Distance.Dot) -> edge.EdgeVectorParams:
    """Return the parameters of a dense vector."""
    return edge.EdgeVectorParams(size=size, distance=distance)


def fill(
    shard: edge.EdgeShard,
    vectors: Mapping[int, Mapping[str, Any]],
    payloads: Mapping[int, Payload] | None = None,
) -> None:
    """Make these the shard's only points."""
    known, _ = shard.scroll(edge.ScrollRequest(limit=10_000, with_payload=False))
    shard.update(edge.UpdateOperation.delete_points([record.id for record in known]))
    shard.update(
        edge.UpdateOperation.upsert_points(
            [
                edge.Point(number, dict(own), (payloads or {}).get(number, {}))
                for number, own in vectors.items()
            ]
        )
    )


def nearest(query: Any, using: str, limit: int = 1_000, **more: Any) -> edge.Prefetch:
    """Return a branch that searches one vector."""
    return edge.Prefetch(limit=limit, query=edge.Query.Nearest(query, using), **more)


def hits(
    shard: edge.EdgeShard,
    query: Any,
    prefetches: Sequence[edge.Prefetch] = (),
    limit: int = 1_000,
    **more: Any,
) -> list[Hit]:
    """Return the engine's answer."""
    request = edge.QueryRequest(limit=limit, query=query, prefetches=list(prefetches), **more)
    return [our_hit(hit) for hit in shard.query(request)]
