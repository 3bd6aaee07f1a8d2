"""A candidate whose searches the test scripts."""

import asyncio
from collections.abc import Awaitable, Callable

from service.model.points import Hit, Page, Record
from service.model.qdrant import (
    CollectionInfo,
    CountRequest,
    PointRequest,
    QueryRequest,
    ScrollRequest,
)

Answer = Callable[[QueryRequest], Awaitable[list[Hit]]]


class Candidate:
    """A ``PointReader`` that can only search."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[QueryRequest] = []

    async def query(self, collection: str, request: QueryRequest) -> list[Hit]:
        self.asked.append(request)
        return await self._answer(request)

    async def collection_info(self, name: str) -> CollectionInfo:
        raise AssertionError("what is tested here has no business with this")

    async def retrieve(self, collection: str, request: PointRequest) -> list[Record]:
        raise AssertionError("what is tested here has no business with this")

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        raise AssertionError("what is tested here has no business with this")

    async def count(self, collection: str, request: CountRequest) -> int:
        raise AssertionError("what is tested here has no business with this")


def answering(*hits: Hit) -> Candidate:
    """Return a candidate that always finds these."""

    async def answer(request: QueryRequest) -> list[Hit]:
        await asyncio.sleep(0)
        return list(hits)

    return Candidate(answer)


def failing(error: Exception) -> Candidate:
    """Return a candidate that always fails."""

    async def answer(request: QueryRequest) -> list[Hit]:
        await asyncio.sleep(0)
        raise error

    return Candidate(answer)


def stuck() -> Candidate:
    """Return a candidate that never answers."""

    async def answer(request: QueryRequest) -> list[Hit]:
        await asyncio.Event().wait()
        return []

    return Candidate(answer)
