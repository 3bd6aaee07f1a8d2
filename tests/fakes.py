"""Fakes at port level."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from service.errors import CollectionExists, CollectionNotFound, PointNotFound, Unsupported
from service.model.ids import PointId, encode_key, parse_point_id
from service.model.operations import (
    ByFilter,
    ByIds,
    ClearPayload,
    CreateIndex,
    CreateVector,
    Delete,
    DeleteIndex,
    DeletePayload,
    DeleteVector,
    DeleteVectors,
    Operation,
    OverwritePayload,
    Selector,
    SetPayload,
    UpdateResult,
    UpdateVectors,
    Upsert,
)
from service.model.points import UNNAMED, FacetHit, FloatArray, Hit, Page, Payload, Point, Record
from service.model.qdrant import (
    AliasOperations,
    CollectionConfig,
    CollectionInfo,
    CollectionParams,
    CollectionStatus,
    CountRequest,
    CreateAliasOperation,
    CreateCollection,
    DeleteAliasOperation,
    FacetRequest,
    FieldCondition,
    Filter,
    HasIdCondition,
    HnswConfig,
    MatchValue,
    NearestQuery,
    OptimizersConfig,
    OptimizersStatusOneOf,
    PointRequest,
    QueryRequest,
    RenameAliasOperation,
    ScrollRequest,
    UpdateCollection,
    UpdateStatus,
)
from service.ports import VectorStore
from service.stores.payload_schema import index_info
from service.stores.vector_names import with_vector, without_vector


@dataclass
class _Collection:
    request: CreateCollection
    points: dict[PointId, Point] = field(default_factory=dict)
    indexes: dict[str, Any] = field(default_factory=dict)
    operations: int = 0

    def selected(self, selector: Selector) -> list[PointId]:
        match selector:
            case ByIds(ids):
                return list(ids)
            case ByFilter(condition):
                return [p.id for p in self.points.values() if _matches(p, condition)]

    def existing(self, selector: Selector) -> list[Point]:
        return [self.point(point_id) for point_id in self.selected(selector)]

    def point(self, point_id: PointId) -> Point:
        if point_id not in self.points:
            reason = f"No point with id {point_id} found"
            raise PointNotFound(reason)
        return self.points[point_id]

    def put(self, point: Point) -> None:
        self.points[point.id] = point


class MemoryStore:
    """A ``VectorStore`` in dicts: dot products, and filters by id or by one field's value."""

    def __init__(self) -> None:
        self._collections: dict[str, _Collection] = {}
        self.applied: list[tuple[Operation, bool]] = []
        self.queries: list[QueryRequest] = []
        self.facets: list[tuple[str, FacetRequest]] = []
        self.alias_names: dict[str, str] = {}

    async def collections(self) -> list[str]:
        return sorted(self._collections)

    async def has_collection(self, name: str) -> bool:
        return name in self._collections

    async def collection_info(self, name: str) -> CollectionInfo:
        collection = self._get(name)
        request = collection.request
        return CollectionInfo(
            status=CollectionStatus.GREEN,
            optimizer_status=OptimizersStatusOneOf.OK,
            points_count=len(collection.points),
            segments_count=1,
            config=CollectionConfig(
                params=CollectionParams(
                    vectors=request.vectors, sparse_vectors=request.sparse_vectors
                ),
                hnsw_config=HnswConfig(m=16, ef_construct=100, full_scan_threshold=10_000),
                optimizer_config=OptimizersConfig(
                    deleted_threshold=0.2,
                    vacuum_min_vector_number=1_000,
                    default_segment_number=0,
                    flush_interval_sec=5,
                ),
            ),
            payload_schema={
                name: index_info(schema, sum(name in p.payload for p in collection.points.values()))
                for name, schema in collection.indexes.items()
            },
        )

    async def create_collection(self, name: str, request: CreateCollection) -> bool:
        if name in self._collections:
            raise CollectionExists(name)
        self._collections[name] = _Collection(request)
        return True

    async def update_collection(self, name: str, request: UpdateCollection) -> bool:
        self._get(name)
        return True

    async def delete_collection(self, name: str) -> bool:
        return self._collections.pop(name, None) is not None

    async def retrieve(self, collection: str, request: PointRequest) -> list[Record]:
        points = self._get(collection).points
        wanted = dict.fromkeys(parse_point_id(point_id) for point_id in request.ids)
        found = [points[point_id] for point_id in wanted if point_id in points]
        return [_record(p, request.with_payload or False, request.with_vector) for p in found]

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        points = sorted(self._get(collection).points.values(), key=lambda p: encode_key(p.id))
        matching = [p for p in points if _matches(p, request.filter)]
        if request.offset is not None:
            first = encode_key(parse_point_id(request.offset))
            matching = [p for p in matching if encode_key(p.id) >= first]
        limit = request.limit or 10
        payload = True if request.with_payload is None else request.with_payload
        page = [_record(p, payload, request.with_vector) for p in matching[:limit]]
        return Page(page, matching[limit].id if len(matching) > limit else None)

    async def count(self, collection: str, request: CountRequest) -> int:
        return sum(_matches(p, request.filter) for p in self._get(collection).points.values())

    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        self.queries.append(request)
        points = self._get(collection).points
        query = request.query
        nearest: object = query.nearest if isinstance(query, NearestQuery) else query
        name = request.using or UNNAMED
        if not isinstance(nearest, list):
            nearest = self._get(collection).point(parse_point_id(nearest)).vectors[name]
        hits = [
            (float(np.dot(_dense(nearest), _dense(p.vectors[name]))), p)
            for p in points.values()
            if name in p.vectors and _matches(p, request.filter)
        ]
        hits.sort(key=lambda hit: -hit[0])
        start = request.offset or 0
        return [_hit(score, p, request) for score, p in hits[start : start + (request.limit or 10)]]

    async def facet(self, collection: str, request: FacetRequest) -> list[FacetHit]:
        self.facets.append((collection, request))
        return [FacetHit("a", 2), FacetHit(1, 1)]

    async def aliases(self) -> dict[str, str]:
        return dict(self.alias_names)

    async def change_aliases(self, actions: Sequence[AliasOperations]) -> bool:
        for action in actions:
            match action:
                case CreateAliasOperation(create_alias=made):
                    self.alias_names[made.alias_name] = made.collection_name
                case DeleteAliasOperation(delete_alias=dropped):
                    self.alias_names.pop(dropped.alias_name, None)
                case RenameAliasOperation(rename_alias=moved):
                    name = self.alias_names.pop(moved.old_alias_name)
                    self.alias_names[moved.new_alias_name] = name
        return True

    async def apply(self, collection: str, operation: Operation, *, wait: bool) -> UpdateResult:
        target = self._get(collection)
        self.applied.append((operation, wait))
        _apply(target, operation)
        target.operations += 1
        status = UpdateStatus.COMPLETED if wait else UpdateStatus.ACKNOWLEDGED
        return UpdateResult(target.operations - 1, status)

    def _get(self, name: str) -> _Collection:
        try:
            return self._collections[name]
        except KeyError:
            raise CollectionNotFound(name) from None


def _fits_the_port(store: MemoryStore) -> VectorStore:
    return store


def _apply(target: _Collection, operation: Operation) -> None:
    match operation:
        case Upsert(points):
            for point in points:
                target.put(point)
        case Delete(selector):
            for point_id in target.selected(selector):
                target.points.pop(point_id, None)
        case UpdateVectors(updates):
            for point_id, vectors in updates:
                point = target.point(point_id)
                target.put(replace(point, vectors={**point.vectors, **vectors}))
        case DeleteVectors(selector, names):
            for point in target.existing(selector):
                kept = {name: v for name, v in point.vectors.items() if name not in names}
                target.put(replace(point, vectors=kept))
        case CreateIndex() | DeleteIndex() | CreateVector() | DeleteVector():
            _apply_to_schema(target, operation)
        case _:
            _apply_to_payload(target, operation)


def _apply_to_schema(
    target: _Collection, operation: CreateIndex | DeleteIndex | CreateVector | DeleteVector
) -> None:
    match operation:
        case CreateIndex(name, schema):
            target.indexes[name] = schema
        case DeleteIndex(name):
            target.indexes.pop(name, None)
        case CreateVector(name, config):
            target.request = with_vector(target.request, name, config)
        case DeleteVector(name):
            target.request = without_vector(target.request, name)
            for point in list(target.points.values()):
                kept = {each: v for each, v in point.vectors.items() if each != name}
                target.put(replace(point, vectors=kept))


def _apply_to_payload(
    target: _Collection, operation: SetPayload | OverwritePayload | DeletePayload | ClearPayload
) -> None:
    for point in target.existing(operation.selector):
        target.put(replace(point, payload=_changed(point.payload, operation)))


def _changed(
    payload: Payload, operation: SetPayload | OverwritePayload | DeletePayload | ClearPayload
) -> Payload:
    match operation:
        case SetPayload():
            return {**payload, **operation.payload}
        case OverwritePayload():
            return operation.payload
        case DeletePayload():
            return {key: value for key, value in payload.items() if key not in operation.keys}
        case ClearPayload():
            return {}


def _dense(vector: object) -> FloatArray:
    return np.asarray(vector, dtype=np.float32)


def _matches(point: Point, condition: Filter | None) -> bool:
    if condition is None:
        return True
    must = condition.must or []
    conditions = must if isinstance(must, list) else [must]
    return all(_holds(point, each) for each in conditions)


def _holds(point: Point, condition: object) -> bool:
    match condition:
        case HasIdCondition(has_id=ids):
            return point.id in [parse_point_id(point_id) for point_id in ids]
        case FieldCondition(key=key, match=MatchValue(value=value)):
            return bool(point.payload.get(key) == value)
        case _:
            raise Unsupported(str(condition))


def _record(point: Point, with_payload: object, with_vector: object) -> Record:
    vectors = point.vectors
    if isinstance(with_vector, list):
        vectors = {name: vector for name, vector in vectors.items() if name in with_vector}
    return Record(
        point.id, point.payload if with_payload else None, vectors if with_vector else None
    )


def _hit(score: float, point: Point, request: QueryRequest) -> Hit:
    record = _record(point, request.with_payload, request.with_vector)
    return Hit(point.id, score, payload=record.payload, vectors=record.vectors)
