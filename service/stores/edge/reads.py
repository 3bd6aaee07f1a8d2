"""Reads of one shard."""

from dataclasses import replace
from typing import Any

import qdrant_edge as edge

from service.errors import WrongInput
from service.model.points import FacetHit, Hit, Page, Record
from service.model.qdrant import (
    CollectionInfo,
    CollectionStatus,
    CountRequest,
    FacetRequest,
    OptimizersStatusOneOf,
    PointRequest,
    ScrollRequest,
    WithVector,
)
from service.model.queries import ResolvedQuery
from service.stores.configuration import collection_config
from service.stores.edge.booleans import boolean_matches
from service.stores.edge.failures import engine_errors
from service.stores.edge.filters import engine_filter
from service.stores.edge.manifest import Manifest
from service.stores.edge.queries import engine_query, order_by
from service.stores.edge.values import (
    engine_selector,
    our_hit,
    our_id,
    our_record,
)
from service.stores.payload_schema import index_info
from service.translate.point_ids import point_id_of

_SCROLL_LIMIT = 10
_FACET_LIMIT = 10
_OFFSET_WITH_ORDER = (
    "Cannot use an `offset` when using `order_by`. The alternative for paging is to use `order_by.start_from` and a"
    " filter to exclude the IDs that you've already seen for the `order_by.start_from` value"
)
"""The server's words; the engine has others."""


def info(shard: edge.EdgeShard, manifest: Manifest, *, is_busy: bool) -> CollectionInfo:
    """Return status, counts, configuration and payload schema; yellow while vectors are indexed."""
    with engine_errors():
        state = shard.info()
    return CollectionInfo(
        status=CollectionStatus.YELLOW if is_busy else CollectionStatus.GREEN,
        optimizer_status=OptimizersStatusOneOf.OK,
        indexed_vectors_count=state.indexed_vectors_count,
        points_count=state.points_count,
        segments_count=state.segments_count,
        config=collection_config(manifest.request),
        payload_schema={
            path: index_info(manifest.schemas[path], index.points)
            for path, index in state.payload_schema.items()
            if path in manifest.schemas
        },
    )


def retrieve(shard: edge.EdgeShard, request: PointRequest) -> list[Record]:
    """Return the points that exist, in the request's order, duplicates once."""
    ids: list[Any] = list(dict.fromkeys(point_id_of(point_id) for point_id in request.ids))
    with engine_errors():
        records = shard.retrieve(
            ids,
            engine_selector(request.with_payload),
            False if request.with_vector is None else request.with_vector,
        )
    found = {our_id(record.id): our_record(record) for record in records}
    return [found[point_id] for point_id in ids if point_id in found]


def scroll(shard: edge.EdgeShard, request: ScrollRequest) -> Page:
    """Return a page in id order, or in the order of a payload field."""
    if request.order_by is not None and request.offset is not None:
        raise WrongInput(_OFFSET_WITH_ORDER)
    with engine_errors():
        records, next_id = shard.scroll(
            edge.ScrollRequest(
                offset=None if request.offset is None else point_id_of(request.offset),
                limit=_SCROLL_LIMIT if request.limit is None else request.limit,
                filter=engine_filter(request.filter, "filter", boolean_matches(shard)),
                with_payload=engine_selector(
                    True if request.with_payload is None else request.with_payload
                ),
                with_vector=False if request.with_vector is None else request.with_vector,
                order_by=None if request.order_by is None else order_by(request.order_by),
            )
        )
    return Page(
        [our_record(record) for record in records],
        None if next_id is None or request.order_by is not None else our_id(next_id),
    )


def count(shard: edge.EdgeShard, request: CountRequest) -> int:
    """Return the number of points that match."""
    with engine_errors():
        matching = engine_filter(request.filter, "filter", boolean_matches(shard))
        return shard.count(edge.CountRequest(exact=request.exact is not False, filter=matching))


def query(shard: edge.EdgeShard, wanted: ResolvedQuery) -> list[Hit]:
    """Return the best points, best first."""
    with engine_errors():
        found = shard.query(engine_query(wanted, boolean_matches(shard)))
    return [_without_others(our_hit(hit), wanted.with_vector) for hit in found]


def _without_others(hit: Hit, wanted: WithVector | None) -> Hit:
    """Return the hit without vectors that nobody asked for: maximal marginal relevance leaves those it worked with."""
    if wanted is True or hit.vectors is None:
        return hit
    if not isinstance(wanted, list):
        return replace(hit, vectors=None)
    return replace(hit, vectors={name: hit.vectors[name] for name in wanted if name in hit.vectors})


def facet(shard: edge.EdgeShard, request: FacetRequest) -> list[FacetHit]:
    """Return the values of a field with their counts, the most frequent first."""
    with engine_errors():
        found = shard.facet(
            edge.FacetRequest(
                request.key,
                _FACET_LIMIT if request.limit is None else request.limit,
                bool(request.exact),
                engine_filter(request.filter, "filter", boolean_matches(shard)),
            )
        )
    return [FacetHit(hit.value, hit.count) for hit in found]
