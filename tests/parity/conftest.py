"""Both systems for the length of the run, in an event loop of their own, so that tests are plain functions."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from random import Random
from typing import Any, TypeVar

import pytest

from tests.fix_postgres import lasting_database
from tests.parity.asks import Row
from tests.parity.data import DataSet
from tests.parity.drawn import Found
from tests.parity.query_worlds import World
from tests.parity.rig import Rig, rig
from tests.parity.tried_queries import Tried

T = TypeVar("T")


class Running:
    """A rig in a thread; its methods wait for the answers."""

    def __init__(self, both: Rig, loop: asyncio.AbstractEventLoop) -> None:
        self._both = both
        self._loop = loop

    def run(self, row: Row) -> list[str]:
        """Return how the answers to a row's requests differ."""
        return self._wait(self._both.run(row))

    def try_filters(self, world: DataSet, wanted: list[dict[str, Any]], found: Found) -> None:
        """Compare what filters match in a collection of its own."""
        self._wait(self._both.try_filters(world, wanted, found))

    def try_queries(self, world: World, count: int, rng: Random, tried: Tried) -> None:
        """Compare random reads of collections of their own."""
        self._wait(self._both.try_queries(world, count, rng, tried))

    def _wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


@pytest.fixture(scope="session")
def subject_database_url(postgres_server: str, template_database: str) -> Iterator[str]:
    """Address of the subject's database: its collections are not those of other tests."""
    with lasting_database(postgres_server, template_database) as url:
        yield url


@pytest.fixture(scope="session")
def both(subject_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The oracle and the subject."""
    folder, ready, stop = tmp_path_factory.mktemp("parity"), threading.Event(), asyncio.Event()
    started: list[Running] = []

    async def live() -> None:
        async with rig(subject_database_url, folder) as opened:
            started.append(Running(opened, asyncio.get_running_loop()))
            ready.set()
            await stop.wait()

    def run() -> None:
        try:
            asyncio.run(live())
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait()
    if not started:
        pytest.fail("the two systems did not start; the log says why")
    yield started[0]
    started[0]._loop.call_soon_threadsafe(stop.set)
    thread.join()
