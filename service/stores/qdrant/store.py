"""``QdrantStore``: Qdrant's REST API as a ``VectorStore``."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from service.control.register import REGISTER
from service.errors import CollectionExists, SourceUnavailable, StoreAnswered
from service.model.ids import PointId, parse_point_id
from service.model.operations import ByFilter, ByIds, DeletePayload, Operation, UpdateResult
from service.model.points import FacetHit, Hit, Page, Record
from service.model.qdrant import (
    AliasOperations,
    ChangeAliasesOperation,
    CollectionInfo,
    CountRequest,
    CreateCollection,
    FacetRequest,
    Filter,
    HasIdCondition,
    PointRequest,
    QueryRequest,
    ScrollRequest,
    UpdateCollection,
    UpdateStatus,
)
from service.ports import VectorStore
from service.stores.qdrant import decode, encode
from service.stores.qdrant.client import AnswerTooLarge, QdrantHttp

BARRIER_KEY = "vecferry-barrier-5f3a8c1e"
"""A payload key that no point has; deleting it changes nothing."""

MOST_PAGE_BYTES = 64 * 1024 * 1024
"""Of a scroll's answer as JSON: how many points were asked for says little when some weigh a thousand times others."""

_ORDERING = "medium"
"""Rule R12: a write weaker than this may leave replicas that disagree for good."""


class QdrantStore:
    """The source. Its error answers are ``StoreAnswered``, except where the port names another."""

    def __init__(self, http: QdrantHttp, *, most_page_bytes: int = MOST_PAGE_BYTES) -> None:
        self._http = http
        self._most_page_bytes = most_page_bytes

    async def collections(self) -> list[str]:
        """Return the names of all collections but our own, sorted."""
        result = await self._http.request("GET", "/collections")
        names = {collection["name"] for collection in result["collections"]}
        return sorted(names - {REGISTER})

    async def has_collection(self, name: str) -> bool:
        """Say whether the collection exists; an alias counts."""
        result = await self._http.request("GET", f"{encode.collection_path(name)}/exists")
        return bool(result["exists"])

    async def collection_info(self, name: str) -> CollectionInfo:
        """Return what Qdrant says of the collection."""
        result = await self._http.request("GET", encode.collection_path(name))
        return CollectionInfo.model_validate(result)

    async def create_collection(self, name: str, request: CreateCollection) -> bool:
        """Create an empty collection. Raises ``CollectionExists``."""
        try:
            return await self._change("PUT", name, encode.model_json(request))
        except StoreAnswered as error:
            if error.code == HTTPStatus.CONFLICT:
                raise CollectionExists(name) from error
            raise

    async def update_collection(self, name: str, request: UpdateCollection) -> bool:
        """Change parameters of a collection."""
        return await self._change("PATCH", name, encode.model_json(request))

    async def delete_collection(self, name: str) -> bool:
        """Drop the collection; false when it was not there."""
        return await self._change("DELETE", name)

    async def aliases(self) -> dict[str, str]:
        """Return the collection that every alias stands for."""
        result = await self._http.request("GET", "/aliases")
        return {alias["alias_name"]: alias["collection_name"] for alias in result["aliases"]}

    async def retrieve(self, collection: str, request: PointRequest) -> list[Record]:
        """Return the points that exist, in the request's order."""
        result = await self._post(collection, "/points", request)
        payload, vectors = _asks(request.with_payload), _asks(request.with_vector)
        return [decode.record(point, payload=payload, vectors=vectors) for point in result]

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        """Return one page in id order, shorter than it was asked for where its points are very large."""
        result = await self._page(collection, request)
        payload = request.with_payload is None or _asks(request.with_payload)
        return decode.page(result, payload=payload, vectors=_asks(request.with_vector))

    async def count(self, collection: str, request: CountRequest) -> int:
        """Return the number of points that match."""
        result = await self._post(collection, "/points/count", request)
        return int(result["count"])

    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        """Return the best points, best first."""
        result = await self._post(collection, "/points/query", request)
        payload, vectors = _asks(request.with_payload), _asks(request.with_vector)
        return [decode.hit(point, payload=payload, vectors=vectors) for point in result["points"]]

    async def facet(self, collection: str, request: FacetRequest) -> list[FacetHit]:
        """Return the values of a field with their counts."""
        body = encode.model_json(request)
        result = await self._http.request(
            "POST", f"{encode.collection_path(collection)}/facet", body=body
        )
        return [FacetHit(hit["value"], hit["count"]) for hit in result["hits"]]

    async def change_aliases(self, actions: Sequence[AliasOperations]) -> bool:
        """Make, drop and rename aliases, all or none."""
        body = encode.model_json(ChangeAliasesOperation(actions=list(actions)))
        return bool(await self._http.request("POST", "/collections/aliases", body=body))

    async def apply(self, collection: str, operation: Operation, *, wait: bool) -> UpdateResult:
        """Apply one change; only the status ``completed`` says that it ended (rule R1)."""
        call = encode.call(operation)
        result = await self._http.request(
            call.method,
            encode.collection_path(collection) + call.path,
            body=call.body,
            params={"wait": "true" if wait else "false", "ordering": _ORDERING},
        )
        return UpdateResult(result.get("operation_id") or 0, UpdateStatus(result["status"]))

    async def barrier(self, collection: str, ids: Sequence[PointId]) -> None:
        """Return when every write to these ids that Qdrant took before is applied (rule R1).

        A shard applies its queue in order, so a waited write to the same ids that changes
        nothing is enough. Raises ``SourceUnavailable`` when it did not complete.
        """
        if not ids:
            return
        nothing = DeletePayload(ByIds(tuple(ids)), (BARRIER_KEY,))
        try:
            result = await self.apply(collection, nothing, wait=True)
        except StoreAnswered as error:
            # An id without a point: the operation had its turn in the queue before it was refused.
            if error.code != HTTPStatus.NOT_FOUND:
                raise
            return
        if result.status is not UpdateStatus.COMPLETED:
            reason = f"answered a barrier with {result.status}"
            raise SourceUnavailable(reason)

    async def drain(self, collection: str) -> None:
        """Return when every write to the collection that Qdrant took before is applied, on every shard.

        A waited operation on a filter goes through the queues of all shards; this one matches nothing.
        """
        nothing = DeletePayload(ByFilter(Filter(must=[HasIdCondition(has_id=[])])), (BARRIER_KEY,))
        result = await self.apply(collection, nothing, wait=True)
        if result.status is not UpdateStatus.COMPLETED:
            reason = f"answered a barrier with {result.status}"
            raise SourceUnavailable(reason)

    async def on_replicas(self, collection: str, ids: Sequence[PointId]) -> set[PointId]:
        """Return which of these ids most replicas have, asked of all of them (rule R12)."""
        request = PointRequest(ids=list(ids), with_payload=False, with_vector=False)
        # `quorum` asks every replica and returns what most have. `all` asks the same and returns only what
        # none lacks: it would call a point absent that a single lagging replica has not got yet.
        result = await self._http.request(
            "POST",
            f"{encode.collection_path(collection)}/points",
            body=encode.model_json(request),
            params={"consistency": "quorum"},
        )
        return {parse_point_id(point["id"]) for point in result}

    async def _post(
        self,
        collection: str,
        path: str,
        request: PointRequest | ScrollRequest | CountRequest | QueryRequest,
        *,
        most_bytes: int | None = None,
    ) -> Any:
        return await self._http.request(
            "POST",
            encode.collection_path(collection) + path,
            body=encode.model_json(request),
            most_bytes=most_bytes,
        )

    async def _page(self, collection: str, request: ScrollRequest) -> Any:
        """Ask for half as many points until the answer is small enough; one point may have any size."""
        limit = request.limit
        while limit is not None and limit > 1:
            shorter = request.model_copy(update={"limit": limit})
            try:
                return await self._post(
                    collection, "/points/scroll", shorter, most_bytes=self._most_page_bytes
                )
            except AnswerTooLarge:
                limit //= 2
        return await self._post(
            collection, "/points/scroll", request.model_copy(update={"limit": limit})
        )

    async def _change(self, method: str, name: str, body: bytes | None = None) -> bool:
        path = encode.collection_path(name)
        return bool(await self._http.request(method, path, body=body))


def _asks(selector: object) -> bool:
    """Say whether a payload or vector selector asks for anything."""
    return selector is not None and selector is not False


if TYPE_CHECKING:
    _port: type[VectorStore] = QdrantStore
