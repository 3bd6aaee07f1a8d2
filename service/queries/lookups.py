"""The stored vectors that a query names by the ids of their points."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from service.errors import CollectionNotFound, PointNotFound, Unsupported, WrongInput
from service.model.ids import PointId
from service.model.points import UNNAMED, Record, Vectors, VectorValue
from service.model.qdrant import PointRequest, Prefetch, QueryGroupsRequest, QueryRequest
from service.queries.inputs import as_point_id, vector_inputs

Node: TypeAlias = QueryRequest | Prefetch


class Retriever(Protocol):
    """A store, as far as ids are looked up in it."""

    async def retrieve(self, collection: str, request: PointRequest) -> Sequence[Record]:
        """Return the points that exist. Raises ``CollectionNotFound``."""
        ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where the ids of one node are looked up: in ``collection`` (its own one when ``None``), the named vector."""

    collection: str | None
    vector: str


@dataclass(frozen=True, slots=True)
class Reference:
    """One id that a node names."""

    place: Place
    id: PointId


class StoredVectors:
    """What was found for the references of a query."""

    def __init__(self, found: Mapping[str | None, Mapping[PointId, Vectors]]) -> None:
        self._found = found

    def find(self, place: Place, point_id: PointId) -> VectorValue | None:
        """Return the vector, ``None`` when the point does not have it. Raises ``PointNotFound``."""
        vectors = self._found.get(place.collection, {}).get(point_id)
        if vectors is None:
            raise PointNotFound(f"No point with id {point_id} found")
        return vectors.get(place.vector)


def children(node: Node | QueryGroupsRequest) -> list[Prefetch]:
    """Return the prefetches of a node, which may be one alone."""
    match node.prefetch:
        case None:
            return []
        case Prefetch() as only:
            return [only]
        case several:
            return several


def place(node: Node) -> Place:
    """Return where the ids that stand in this node's query are looked up."""
    using = node.using or UNNAMED
    if node.lookup_from is None:
        return Place(None, using)
    if node.lookup_from.shard_key is not None:
        raise Unsupported("lookup_from.shard_key")
    vector = node.lookup_from.vector
    return Place(node.lookup_from.collection, using if vector is None else vector)


def references(node: Node) -> Iterator[Reference]:
    """Yield the ids that the node and the prefetches below it name."""
    for value in vector_inputs(node.query):
        point_id = as_point_id(value)
        if point_id is not None:
            yield Reference(place(node), point_id)
    for child in children(node):
        yield from references(child)


async def stored_vectors(
    store: Retriever, collection: str, wanted: list[Reference]
) -> StoredVectors:
    """Read the vectors of all references, one read per collection.

    Raises ``PointNotFound`` for an id that is not there, ``WrongInput`` for a vector that the collection does not have,
    and Qdrant's text for a collection that is not there.
    """
    names: dict[str | None, set[str]] = {}
    ids: dict[str | None, dict[PointId, None]] = {}
    for reference in wanted:
        where = reference.place.collection
        names.setdefault(where, set()).add(reference.place.vector)
        ids.setdefault(where, {})[reference.id] = None
    found = {}
    for where, some in ids.items():
        request = PointRequest(ids=list(some), with_payload=False, with_vector=sorted(names[where]))
        found[where] = await _read(store, collection, where, request)
    vectors = StoredVectors(found)
    for reference in wanted:
        vectors.find(reference.place, reference.id)
    return vectors


async def _read(
    store: Retriever, collection: str, other: str | None, request: PointRequest
) -> dict[PointId, Vectors]:
    if other is None or other == collection:
        records = await _records(store, collection, request)
    else:
        try:
            records = await _records(store, other, request)
        except CollectionNotFound:
            raise PointNotFound(f"Collection {other} not found") from None
    return {record.id: record.vectors or {} for record in records}


async def _records(store: Retriever, collection: str, request: PointRequest) -> Sequence[Record]:
    """Qdrant reads vectors of points that it has found: an unknown name is none while no point is there."""
    try:
        return await store.retrieve(collection, request)
    except WrongInput:
        ids_alone = request.model_copy(update={"with_vector": False})
        if await store.retrieve(collection, ids_alone):
            raise
        return []
