"""Fixtures: a Qdrant to test against, the given one or the embedded one, and collections that clean up."""

import asyncio
import os
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, Self, TypeVar
from uuid import uuid4

import httpx
import pytest

from service.embedded.qdrant import EmbeddedQdrant

T = TypeVar("T")

_URL_VARIABLE = "VECFERRY_TEST_QDRANT_URL"


@pytest.fixture(scope="session")
def qdrant_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running Qdrant: ``VECFERRY_TEST_QDRANT_URL``, else an embedded one of this session."""
    if given := os.environ.get(_URL_VARIABLE):
        yield given.rstrip("/")
        return
    with _Loop() as loop:
        server = EmbeddedQdrant(tmp_path_factory.mktemp("qdrant"))
        try:
            yield loop.run(server.start())
        finally:
            loop.run(server.stop())


@pytest.fixture
def collection_name(qdrant_url: str) -> Iterator[str]:
    """A name no other test uses; the collection is dropped afterwards."""
    name = f"test-{uuid4().hex}"
    yield name
    httpx.delete(f"{qdrant_url}/collections/{name}", timeout=30.0)


class _Loop:
    """An event loop in a thread of its own, so that a session's server does not depend on any test's loop."""

    def __enter__(self) -> Self:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
