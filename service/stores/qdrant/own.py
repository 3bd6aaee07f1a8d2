"""Points in the collection of ours in Qdrant: no vectors, only payloads, found by id or by indexed fields.

Rule R12: every write waits until it is applied and goes through a shard's leader; a conditional one through the one
leader that does not change (``strong``), because two leaders could let two of them win. Qdrant answers a write when
every replica that may be read has it or is being taken out. Until all nodes know of the latter, the replica is
outvoted: reads ask a majority. On a single node all this costs nothing.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson

from service.control.register import REGISTER
from service.errors import (
    CollectionNotFound,
    SourceUnavailable,
    StoreAnswered,
    StoreError,
)
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.encode import collection_path

OLDEST_QDRANT = (1, 16)
"""The first with conditional updates. An older one ignores the condition and overwrites, without a word."""

# One shard: one queue, so that what is written after something else is applied after it.
_CONFIG = {"vectors": {}, "shard_number": 1}
_INDEXES = {"kind": "keyword", "owner": "keyword", "generation": "integer", "version": "integer"}
_PAGE = 1_000
_READ = {"consistency": "majority"}

Condition = dict[str, Any]
Payload = dict[str, Any]


def equals(field: str, value: str | int) -> Condition:
    """Return the condition that a field has a value."""
    return {"key": field, "match": {"value": value}}


def none_of(field: str, values: Sequence[str]) -> Condition:
    """Return the condition that a field has none of some values."""
    return {"key": field, "match": {"except": list(values)}}


def at_most(field: str, value: int) -> Condition:
    """Return the condition that a field has no larger value."""
    return {"key": field, "range": {"lte": value}}


class OwnPoints:
    """The collection ``_vecferry`` (another name in tests). While it is not there it reads as empty."""

    def __init__(self, http: QdrantHttp, collection: str = REGISTER) -> None:
        self._http = http
        self._collection = collection
        self._path = collection_path(collection)

    async def prepare(self) -> None:
        """Make the collection and its indexes if they are not there.

        Raises ``StoreError`` when Qdrant is too old for conditional updates.
        """
        check_version(await self._http.version())
        try:
            await self._http.request("PUT", self._path, body=orjson.dumps(_CONFIG))
        except StoreAnswered as error:
            if error.code not in {HTTPStatus.CONFLICT, HTTPStatus.BAD_REQUEST} or not (
                await self._is_there()
            ):
                raise
        for field, schema in _INDEXES.items():
            index = {"field_name": field, "field_schema": schema}
            await self._change("PUT", "/index", index, ordering="medium")

    async def put(
        self,
        points: Mapping[str, Payload],
        *,
        only: Condition | None = None,
        ordering: str = "medium",
    ) -> None:
        """Store points by id; those that exist only where ``only`` holds."""
        body: dict[str, Any] = {
            "points": [{"id": i, "vector": {}, "payload": p} for i, p in points.items()]
        }
        if only is not None:
            body["update_filter"] = {"must": [only]}
        await self._change("PUT", "/points", body, ordering=ordering)

    async def replace(self, point_id: str, payload: Payload, only: Condition) -> None:
        """Give a point another payload where the condition holds; an absent point stays absent."""
        condition = {"must": [{"has_id": [point_id]}, only]}
        body = {"payload": payload, "filter": condition}
        await self._change("PUT", "/points/payload", body, ordering="strong")

    async def delete(self, ids: Sequence[str]) -> None:
        """Delete points; absent ones are fine."""
        await self._change("POST", "/points/delete", {"points": list(ids)}, ordering="medium")

    async def delete_where(self, point_id: str, only: Condition) -> None:
        """Delete a point where the condition holds."""
        body = {"filter": {"must": [{"has_id": [point_id]}, only]}}
        await self._change("POST", "/points/delete", body, ordering="medium")

    async def get(self, point_id: str) -> Payload | None:
        """Return a point's payload."""
        body = {"ids": [point_id], "with_payload": True}
        found = await self._read("/points", body, absent=[])
        return found[0]["payload"] if found else None

    async def page(
        self,
        conditions: Sequence[Condition],
        *,
        limit: int,
        start: str | None = None,
        fields: Sequence[str] | None = None,
    ) -> list[tuple[str, Payload]]:
        """Return the first points from ``start`` on that meet all conditions; all fields of them or only some."""
        points, _ = await self._scroll(conditions, limit, start, fields)
        return points

    async def all(self, condition: Condition) -> AsyncIterator[tuple[str, Payload]]:
        """Yield every point that meets a condition, page by page."""
        offset = None
        while True:
            points, offset = await self._scroll([condition], _PAGE, offset, None)
            for point in points:
                yield point
            if offset is None:
                return

    async def count(self, conditions: Sequence[Condition]) -> int:
        """Return how many points meet all conditions, exactly."""
        body = {"filter": {"must": list(conditions)}, "exact": True}
        found = await self._read("/points/count", body, absent={"count": 0})
        return int(found["count"])

    async def _scroll(
        self,
        conditions: Sequence[Condition],
        limit: int,
        offset: str | None,
        fields: Sequence[str] | None,
    ) -> tuple[list[tuple[str, Payload]], str | None]:
        body = {
            "filter": {"must": list(conditions)},
            "limit": limit,
            "offset": offset,
            "with_payload": True if fields is None else list(fields),
        }
        empty: dict[str, Any] = {"points": [], "next_page_offset": None}
        found = await self._read("/points/scroll", body, absent=empty)
        points = [(str(point["id"]), point["payload"]) for point in found["points"]]
        return points, found["next_page_offset"]

    async def _read(self, path: str, body: dict[str, Any], *, absent: Any) -> Any:
        try:
            return await self._http.request(
                "POST", self._path + path, body=orjson.dumps(body), params=_READ
            )
        except CollectionNotFound:
            return absent

    async def _change(self, method: str, path: str, body: dict[str, Any], *, ordering: str) -> None:
        try:
            result = await self._http.request(
                method,
                self._path + path,
                body=orjson.dumps(body),
                params={"wait": "true", "ordering": ordering},
            )
        except CollectionNotFound as error:
            reason = f"has no collection `{self._collection}`"
            raise SourceUnavailable(reason, may_have_applied=False) from error
        if result["status"] != "completed":
            reason = f"answered a write to `{self._collection}` with {result['status']}"
            raise SourceUnavailable(reason)

    async def _is_there(self) -> bool:
        result = await self._http.request("GET", f"{self._path}/exists")
        return bool(result["exists"])


def check_version(text: str) -> None:
    """Raise ``StoreError`` when this version of Qdrant has no conditional updates."""
    numbers = text.partition("-")[0].split(".")[:2]
    version = tuple(int(number) for number in numbers if number.isdecimal())
    if version < OLDEST_QDRANT:
        oldest = ".".join(str(number) for number in OLDEST_QDRANT)
        message = f"the source (Qdrant {text}) is too old: {oldest} or newer is needed"
        raise StoreError(message)
