"""A request as its endpoint sees it: the store, what stands in the path, the parameters, the body."""

import asyncio
from collections.abc import Awaitable, Mapping
from typing import TypeVar

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from service.api.envelope import ok
from service.api.known_bodies import parsed
from service.api.parsing import read_body
from service.api.qdrant.parameters import Parameters
from service.api.qdrant.reading import loads
from service.errors import TimedOut
from service.ports import VectorStore
from service.queries.strict.mode import Asked, Composed, asked

M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


class ApiRequest:
    """One request of the Qdrant API, its path and parameters checked, its body not yet read."""

    __slots__ = ("_max_body_bytes", "http", "names", "parameters", "store")

    def __init__(
        self,
        http: Request,
        store: VectorStore,
        names: Mapping[str, str],
        parameters: Parameters,
        max_body_bytes: int,
    ) -> None:
        self.http = http
        self.store = store
        self.names = names
        self.parameters = parameters
        self._max_body_bytes = max_body_bytes

    @property
    def collection(self) -> str:
        """The collection that the path names."""
        return self.names["collection_name"]

    async def json(self) -> object:
        """Return the body. Raises ``MalformedBody`` and ``BodyTooLarge``."""
        return loads(await self._body())

    async def _body(self) -> bytes:
        return await read_body(self.http, self._max_body_bytes)

    async def parsed(self, model: type[M]) -> M:
        """Return what the body stands for. Raises ``MalformedBody``, ``InvalidBody`` and ``BodyTooLarge``."""
        return parsed(model, await self._body())

    async def in_time(
        self,
        operation: str,
        work: Awaitable[T],
        *,
        batch: int | None = None,
        composed: Composed | None = None,
    ) -> T:
        """Await the store's part of a read. Raises ``TimedOut`` when that takes longer than the request allows.

        ``batch`` is how many such reads the request asks for, ``composed`` what this one is a part of: strict mode
        has limits on both.
        """
        seconds = self.parameters.timeout
        if seconds is None and batch is None and composed is None:
            return await work
        with asked(Asked(seconds, batch, composed)):
            return await _in_time(operation, work, seconds)

    def ok(self, result: object) -> Response:
        """Answer 200 with a result."""
        return ok(self.http, result)


async def _in_time(operation: str, work: Awaitable[T], seconds: int | None) -> T:
    if seconds is None:
        return await work
    limit = asyncio.timeout(seconds)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise TimedOut(operation, seconds) from None
        raise
