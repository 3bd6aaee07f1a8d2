"""Two whole instances on the same two stores."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx

from service import keys
from service.config import Settings
from service.model.qdrant import ScrollRequest
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
from tests.service.wired import Wired, wired

BODY = {"vectors": {"size": 2, "distance": "Dot"}}
_SETTLED_SECONDS = 30.0

MakeSettings = Callable[..., Settings]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two instances on the same two stores, and a client of the source itself."""

    one: Wired
    two: Wired
    qdrant: httpx.AsyncClient
    database: Database
    name: str
    key: str

    @property
    def path(self) -> str:
        return f"/collections/{self.name}"

    async def moved(self, stage: Stage) -> None:
        """Bring the collection to a stage as an operator does."""
        control, key = self.one.instance.control, {"authorization": f"Bearer {self.key}"}
        transport = httpx.ASGITransport(control)
        async with httpx.AsyncClient(transport=transport, base_url="http://c") as operator:
            path = f"/v1/control/collections/{self.name}/stage"
            answer = await operator.put(path, headers=key, json={"stage": stage}, timeout=30.0)
        assert answer.status_code == 200, answer.text

    async def settled(self) -> None:
        """Return when the ledger is empty."""
        async with asyncio.timeout(_SETTLED_SECONDS):
            while await self.unsettled():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)

    async def unsettled(self) -> int:
        """Return the number of unsettled intents of both kinds."""
        async with self.database.connection() as connection:
            count: int = await connection.fetchval(
                "SELECT (SELECT count(*) FROM vecferry.intents)"
                " + (SELECT count(*) FROM vecferry.collection_intents)"
            )
        return count

    async def on_source(self) -> dict[int, int] | None:
        """Return the points' life numbers in Qdrant, ``None`` without a collection."""
        answer = await self.qdrant.post(f"{self.path}/points/scroll", json={"limit": 1000})
        if answer.status_code == 404:
            return None
        points = answer.json()["result"]["points"]
        return {point["id"]: point["payload"]["life"] for point in points}

    async def on_target(self) -> dict[int, int] | None:
        """Return the same of Postgres."""
        store = PgStore(self.database)
        if not await store.has_collection(self.name):
            return None
        page = await store.scroll(self.name, ScrollRequest(limit=1000, with_payload=True))
        return {int(str(each.id)): int((each.payload or {})["life"]) for each in page.records}


@asynccontextmanager
async def paired(
    settings: MakeSettings, qdrant_url: str, database: Database, name: str
) -> AsyncIterator[Pair]:
    """Run two instances."""
    async with (
        wired(settings()) as one,
        wired(settings()) as two,
        httpx.AsyncClient(base_url=qdrant_url, timeout=30.0) as qdrant,
    ):
        yield Pair(one, two, qdrant, database, name, keys.read(settings().data_dir))


async def to_stage(pair: Pair, stage: Stage, body: object = BODY) -> None:
    """Create the collection and bring it to a stage by the shortest way the table allows."""
    assert (await pair.one.client.put(pair.path, json=body)).status_code == 200
    control = PostgresControl(pair.database)
    state = (await pair.one.instance.plane.refresh()).state(pair.name)
    revision = await control.publish(state, stage, 100, actor="test", token=None)
    await pair.one.instance.plane.confirmed_by_all(revision, seconds=5.0)
