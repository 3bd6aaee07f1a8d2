"""Snapshots of collections through Qdrant's own API.

Written after Qdrant's documentation and held against a server that answers by it in the tests; where
``VECFERRY_TEST_QDRANT_URL`` names a real Qdrant, against that.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from urllib.parse import quote

from backfill.archive.snapshot import Snapshot, Snapshots
from service.errors import ArchiveError, SourceUnavailable, StoreAnswered
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.encode import collection_path
from service.stores.qdrant.forward import Forwarder, RawHeaders

_ABSENT = frozenset(
    {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}
)
_ERROR_BYTES = 4_096


class QdrantSnapshots:
    """``Snapshots`` of one Qdrant node; ``http`` must wait as long as the largest snapshot takes."""

    def __init__(self, http: QdrantHttp, forwarder: Forwarder, *, api_key: str | None) -> None:
        self._http = http
        self._forwarder = forwarder
        self._headers: RawHeaders = [] if api_key is None else [(b"api-key", api_key.encode())]

    async def create(self, collection: str) -> Snapshot:
        """Take a snapshot of what this node has of the collection."""
        path = f"{collection_path(collection)}/snapshots"
        try:
            result = await self._http.request("POST", path, params={"wait": "true"})
        except StoreAnswered as error:
            if error.code not in _ABSENT:
                raise
            message = (
                f"this server has no snapshots (it answered {error.code}); use `vecferry export`"
            )
            raise ArchiveError(message) from error
        return Snapshot(result["name"], int(result["size"]), result.get("checksum"))

    @asynccontextmanager
    async def download(
        self, collection: str, snapshot: Snapshot
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """Open a snapshot for reading."""
        path = _path(collection, snapshot)
        async with self._forwarder.send("GET", path, self._headers, None) as passing:
            if passing.status != HTTPStatus.OK:
                raise StoreAnswered(passing.status, await _beginning(passing.chunks))
            yield passing.chunks

    async def delete(self, collection: str, snapshot: Snapshot) -> None:
        """Remove a snapshot."""
        if not await self._http.request(
            "DELETE", _path(collection, snapshot), params={"wait": "true"}
        ):
            reason = "did not confirm that the snapshot is deleted"
            raise SourceUnavailable(reason)


def _path(collection: str, snapshot: Snapshot) -> str:
    return f"{collection_path(collection)}/snapshots/{quote(snapshot.name, safe='')}"


async def _beginning(chunks: AsyncIterator[bytes]) -> bytes:
    read = b""
    async for chunk in chunks:
        read += chunk
        if len(read) >= _ERROR_BYTES:
            break
    return read[:_ERROR_BYTES]


def _proves_port(snapshots: QdrantSnapshots) -> Snapshots:
    return snapshots
