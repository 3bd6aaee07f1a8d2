"""Reading a source whose strict mode allows fewer points per request than a page would like to have.

What a collection allows is found by asking: a request that is refused is asked again for half as many, and whatever was
answered is not exceeded again. Pages are shorter then; nothing else changes.
"""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Protocol, Self, TypeVar

import structlog

from service.errors import StoreAnswered
from service.model.points import Hit, Page, Record
from service.model.qdrant import (
    CollectionInfo,
    CountRequest,
    PointRequest,
    QueryRequest,
    ScrollRequest,
)
from service.ports import PointReader

_log = structlog.get_logger(__name__)

_REFUSED = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN})
_MOST_KNOWN = 1_000


class _Limited(Protocol):
    """A request for so many points."""

    limit: int | None

    def model_copy(self, *, update: dict[str, object]) -> Self:
        """Return it with other fields."""
        ...


Request = TypeVar("Request", bound=_Limited)
Answer = TypeVar("Answer")


class WithinLimits:
    """A ``PointReader`` that asks for as many points as it is given, or as the collection allows."""

    def __init__(self, reader: PointReader) -> None:
        self._reader = reader
        self._most: dict[str, int] = {}

    async def collection_info(self, name: str) -> CollectionInfo:
        """Return what the reader does."""
        return await self._reader.collection_info(name)

    async def retrieve(self, collection: str, request: PointRequest) -> list[Record]:
        """Return what the reader does: ids that are named are not limited."""
        return await self._reader.retrieve(collection, request)

    async def count(self, collection: str, request: CountRequest) -> int:
        """Return what the reader does."""
        return await self._reader.count(collection, request)

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        """Return a page, shorter than it was asked for where the collection allows no more."""
        return await self._allowed(collection, request, self._reader.scroll)

    async def query(self, collection: str, request: QueryRequest) -> Sequence[Hit]:
        """Return the best points, fewer than it was asked for where the collection allows no more."""
        return await self._allowed(collection, request, self._reader.query)

    async def _allowed(
        self,
        collection: str,
        request: Request,
        ask: Callable[[str, Request], Awaitable[Answer]],
    ) -> Answer:
        if request.limit is None:
            return await ask(collection, request)
        limit = min(request.limit, self._most.get(collection, request.limit))
        while True:
            try:
                found = await ask(collection, request.model_copy(update={"limit": limit}))
            except StoreAnswered as error:
                if error.code not in _REFUSED or limit == 1:
                    raise
                limit //= 2
            else:
                if limit < request.limit:
                    self._keep(collection, limit)
                return found

    def _keep(self, collection: str, limit: int) -> None:
        if self._most.get(collection) == limit:
            return
        if len(self._most) >= _MOST_KNOWN:
            self._most.clear()
        self._most[collection] = limit
        _log.info("pages_limited_by_source", collection=collection, points=limit)


def _proves_port(reader: WithinLimits) -> PointReader:
    return reader
