"""Both systems in one event loop, and rows run against them.

The oracle is Qdrant's engine behind our HTTP edge, or the server that ``VECFERRY_TEST_QDRANT_URL`` names. The subject
is a whole vecferry: every collection complete, no Qdrant anywhere.
"""

import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx
import orjson
from httpx import codes

from service.api.qdrant.app import qdrant_app
from service.config import load
from service.embedded.qdrant import API_VERSION
from service.stores.edge.store import EdgeStore
from tests.parity.asks import Answer, Ask, Row, Rule, named
from tests.parity.compare import difference
from tests.parity.data import SETS, DataSet
from tests.parity.drawn import Found, compare
from tests.parity.query_worlds import World
from tests.parity.tried_queries import Tried, try_queries
from tests.service.wired import wired

_URL_VARIABLE = "VECFERRY_TEST_QDRANT_URL"
_HEADERS = {"content-type": "application/json"}
_SECONDS = 30.0
_STATE = Ask(
    "POST",
    "/collections/{c}/points/scroll",
    {"limit": 1000, "with_payload": True, "with_vector": True},
)
_INFO = Ask("GET", "/collections/{c}", rule=Rule.INFO)


class DataSetRefusedError(Exception):
    """A data set could not be written to one of the systems."""


@dataclass(slots=True)
class Rig:
    """Two clients and the shared collections that are filled already."""

    oracle: httpx.AsyncClient
    subject: httpx.AsyncClient
    is_server: bool = False
    _filled: dict[str, str | None] = field(default_factory=dict)
    _numbers: int = 0

    async def run(self, row: Row) -> list[str]:
        """Return how the answers to a row's requests differ; nothing when they do not."""
        try:
            return await self._run(row)
        except DataSetRefusedError as error:
            return [str(error)]

    async def _run(self, row: Row) -> list[str]:
        if row.golden is not None and not self.is_server:
            return await self._golden(row, row.golden)
        if not row.writes:
            return await self._compare(row.asks, await self.shared(row.dataset))
        self._numbers += 1
        name = f"own-{self._numbers}"
        try:
            if failed := await self._fill(SETS[row.dataset], name):
                raise DataSetRefusedError(failed)
            return await self._compare_states(row, name)
        finally:
            await self._both(named(Ask("DELETE", "/collections/{c}"), name))

    async def shared(self, dataset: str) -> str:
        """Return the name of the data set's collection, which is filled at the first call."""
        if dataset not in self._filled:
            self._filled[dataset] = await self._fill(SETS[dataset], dataset)
        if failed := self._filled[dataset]:
            raise DataSetRefusedError(failed)
        return dataset

    async def try_filters(
        self, dataset: DataSet, wanted: Sequence[dict[str, Any]], found: Found
    ) -> None:
        """Compare what each filter matches in a collection that lives for this call."""
        name = dataset.name
        try:
            if failed := await self._fill(dataset, name):
                raise DataSetRefusedError(failed)
            await compare(self._both, dataset, wanted, found)
        finally:
            await self._both(named(Ask("DELETE", "/collections/{c}"), name))

    async def try_queries(self, world: World, count: int, rng: Random, tried: Tried) -> None:
        """Compare random reads of two collections that live for this call."""
        sets = (world.main, world.aside)
        try:
            for dataset in sets:
                if failed := await self._fill(dataset, dataset.name):
                    raise DataSetRefusedError(failed)
            await try_queries(self._both, world, count, rng, tried)
        finally:
            for dataset in sets:
                await self._both(named(Ask("DELETE", "/collections/{c}"), dataset.name))

    async def _compare(self, asks: Sequence[Ask], name: str) -> list[str]:
        found = []
        for ask in asks:
            wanted = named(ask, name)
            different = difference(wanted, *await self._both(wanted))
            if different:
                found.append(f"{_said(wanted)}: {different}")
        return found

    async def _compare_states(self, row: Row, name: str) -> list[str]:
        found = []
        for ask in row.asks:
            found += await self._compare([ask], name)
            found += [
                f"after {_said(named(ask, name))}: {each}" for each in await self._states(name)
            ]
        return found

    async def _states(self, name: str) -> list[str]:
        """Return how the contents and the descriptions of the collection differ."""
        asked = [named(ask, name) for ask in (_STATE, _INFO)]
        found = [difference(ask, *await self._both(ask)) for ask in asked]
        return [each for each in found if each]

    async def _golden(self, row: Row, text: str) -> list[str]:
        name, found = await self.shared(row.dataset), []
        for ask in row.asks:
            answer = await _send(self.subject, named(ask, name))
            said = answer.body["status"]["error"] if answer.status == codes.BAD_REQUEST else ""
            if not said.startswith(text):
                found.append(f"{_said(ask)}: {answer.status} {answer.body}, not 400 {text}")
        return found

    async def _fill(self, dataset: DataSet, name: str) -> str | None:
        """Make the collection on both sides; return who refused what, if anybody did."""
        put = named(Ask("PUT", "/collections/{c}", dataset.config), name)
        indexes = [
            Ask(
                "PUT",
                f"/collections/{name}/index?wait=true",
                {"field_name": path, "field_schema": schema},
            )
            for path, schema in dataset.indexes.items()
        ]
        points = Ask("PUT", f"/collections/{name}/points?wait=true", {"points": dataset.points})
        for ask in (put, *indexes, *([points] if dataset.points else [])):
            for answer in await self._both(ask):
                if answer.status != codes.OK:
                    return f"{_said(ask)[:200]}: {answer.status} {answer.body}"
        return None

    async def _both(self, ask: Ask) -> tuple[Answer, Answer]:
        return await _send(self.oracle, ask), await _send(self.subject, ask)


def _encoded(body: Any) -> bytes:
    """Return a body as JSON; ``json`` also writes the integers that are too large for any id."""
    return body if isinstance(body, bytes) else json.dumps(body).encode()


async def _send(client: httpx.AsyncClient, ask: Ask) -> Answer:
    response = await client.request(
        ask.method,
        ask.path,
        content=None if ask.body is None else _encoded(ask.body),
        headers=_HEADERS,
        timeout=_SECONDS,
    )
    try:
        decoded: Any = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        decoded = response.text
    return Answer(response.status_code, decoded, dict(response.headers))


def _said(ask: Ask) -> str:
    return f"{ask.method} {ask.path} {_encoded(ask.body).decode()}"


@asynccontextmanager
async def rig(database_url: str, folder: Path) -> AsyncIterator[Rig]:
    """Start both systems; the database is empty, or has our tables and nothing in them."""
    async with AsyncExitStack() as stack:
        oracle = await _oracle(stack, folder / "qdrant")
        settings = load(
            database_url=database_url, data_dir=folder / "vecferry", default_stage="complete"
        )
        subject = (await stack.enter_async_context(wired(settings))).client
        yield Rig(oracle, subject, is_server=_URL_VARIABLE in os.environ)


async def _oracle(stack: AsyncExitStack, folder: Path) -> httpx.AsyncClient:
    if given := os.environ.get(_URL_VARIABLE):
        client = httpx.AsyncClient(base_url=given.rstrip("/"))
        return await stack.enter_async_context(client)
    store = await stack.enter_async_context(EdgeStore(folder, processes=1))
    transport = httpx.ASGITransport(qdrant_app(store, version=API_VERSION, health=True))
    client = httpx.AsyncClient(transport=transport, base_url="http://qdrant")
    return await stack.enter_async_context(client)
