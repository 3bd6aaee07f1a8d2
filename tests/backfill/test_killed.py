"""Backfills that are killed again and again while clients write: nothing missing, nothing extra, nothing resurrected.

Clients go through a real instance; the workers are of processes of their own, which come and go.
``VECFERRY_TEST_HISTORIES`` says how many histories there are for each kind of ids (2): the first is always the same,
the others are new in every run.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum, IntEnum, auto
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from backfill import splitting
from backfill.copying import CopyWork
from backfill.jobs import Claim, JobKind, JobState, Options, Orders
from backfill.metrics import BackfillMetrics
from backfill.page_size import PageLimits
from backfill.queue import Advance, Refused
from backfill.worker import Worker
from service import keys
from service.config import load
from service.errors import StaleEpoch
from service.model.ids import PointId
from service.model.operations import Upsert
from service.model.points import Page, Point
from service.model.qdrant import CreateCollection, Distance, ScrollRequest, VectorParams
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.ranges import PostgresRanges
from service.stores.postgres.store import PgStore
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.store import QdrantStore
from tests.backfill.equality import assert_equal, contents
from tests.backfill.rig import QUICK, AtOnce
from tests.service.running import running
from tests.service.wired import Wired, wired

CONFIG = CreateCollection(vectors=VectorParams(size=2, distance=Distance.DOT))
POOL = 120


class Lot(IntEnum):
    """What happens to an id while it is copied: the place of the id in the pool, modulo five, says it."""

    NEW = 0
    """Clients write it, again and again; it is not there in the beginning."""
    QUIET = 1
    """Nobody writes it."""
    DOOMED = 2
    """It is deleted, once, when a page that has it was read and not yet written."""
    REVISED = 3
    """It is written, once, at such a moment."""
    CONTESTED = 4
    """Clients write it, again and again."""

    @classmethod
    def of(cls, place: int) -> "Lot":
        return cls(place % len(cls))


IDS: dict[str, list[PointId]] = {
    "dense": list(range(POOL)),
    "sparse": [number * number * 7_919 for number in range(POOL)],
    "u64": [2**64 - 1 - number * 3 for number in range(POOL)],
    "uuid": [str(UUID(int=random.Random(number).getrandbits(128))) for number in range(POOL)],
}
IDS["mixed"] = [IDS[kind][at] for at in range(POOL // 4) for kind in IDS]


STORMY = {Lot.NEW, Lot.CONTESTED}
HISTORIES = int(os.environ.get("VECFERRY_TEST_HISTORIES", "2"))
_LONGEST_PAGE_SECONDS = 0.02
_LATEST_SECONDS = 0.5
"""Others have the ranges then, and are further or not."""


class Death(Enum):
    """Where in a page a process dies."""

    BEFORE = auto()
    """It has sent nothing that arrived; what it sent may still land later."""
    INSIDE = auto()
    """In the middle of the page's transaction."""
    AFTER = auto()
    """The page is committed, and nobody knows."""


@dataclass(frozen=True)
class Life:
    """One round: so many workers, killed after so many pages; how they die."""

    workers: int
    concurrency: int
    pages: int
    is_clean: bool
    death: Death
    instant: float
    """Of a death inside a page, as a share of the longest time it may take."""
    lands_after: float | None
    """Seconds after which what was sent before the death arrives; ``None``: when the job is done."""


def lives(draw: random.Random) -> list[Life]:
    """Return the rounds of a history."""
    return [
        Life(
            workers=draw.randint(1, 3),
            concurrency=draw.randint(1, 2),
            pages=draw.randint(1, 6),
            is_clean=draw.random() < 0.5,
            death=draw.choice(list(Death)),
            instant=draw.random(),
            lands_after=draw.choice([None, draw.random() * _LATEST_SECONDS]),
        )
        for _ in range(draw.randint(2, 5))
    ]


class Counted(PostgresRanges):
    """The queue, which counts in how many committed pages each id was."""

    def __init__(self, database: Database, committed: Counter[PointId]) -> None:
        super().__init__(database)
        self.committed = committed

    async def insert_page(
        self, claim: Claim, points: Sequence[Point], after: Advance, refused: Sequence[Refused] = ()
    ) -> tuple[Claim, Orders]:
        stored = await super().insert_page(claim, points, after, refused)
        self.committed.update(point.id for point in points)
        return stored


class Mortal(Counted):
    """The queue of a process that dies after some pages: in the middle of the last one, which may still land later."""

    def __init__(self, database: Database, committed: Counter[PointId], life: Life) -> None:
        super().__init__(database, committed)
        self._life = life
        self._pages = 0
        self.is_over = asyncio.Event()
        self.late: list[tuple[Claim, Sequence[Point], Advance]] = []

    async def insert_page(
        self, claim: Claim, points: Sequence[Point], after: Advance, refused: Sequence[Refused] = ()
    ) -> tuple[Claim, Orders]:
        self._pages += 1
        if self._pages <= self._life.pages:
            return await super().insert_page(claim, points, after, refused)
        match self._life.death:
            case Death.BEFORE:
                self.late.append((claim, points, after))
            case Death.INSIDE:
                with suppress(TimeoutError, StaleEpoch):
                    async with asyncio.timeout(self._life.instant * _LONGEST_PAGE_SECONDS):
                        await super().insert_page(claim, points, after, refused)
            case Death.AFTER:
                with suppress(StaleEpoch):
                    await super().insert_page(claim, points, after, refused)
        self.is_over.set()
        await asyncio.Event().wait()
        raise AssertionError("the dead do not wake up")

    async def release(self, claim: Claim, owner: UUID, note: str | None = None) -> None:
        if self._life.is_clean:
            await super().release(claim, owner, note)

    async def land(self, is_over: asyncio.Event) -> None:
        """Let what the dead process had sent arrive: in the life that it was given, or when all is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._life.lands_after):
                await is_over.wait()
        for claim, points, after in self.late:
            try:
                await super().insert_page(claim, points, after)
            except StaleEpoch:
                continue


@dataclass
class World:
    """One collection between a real engine and a real Postgres, with an instance in between."""

    name: str
    lots: dict[PointId, Lot]
    here: Wired
    source: QdrantStore
    database: Database
    committed: Counter[PointId] = field(default_factory=Counter)
    overtaken: set[PointId] = field(default_factory=set)
    clients: asyncio.TaskGroup = field(default_factory=asyncio.TaskGroup)

    def of(self, lot: Lot) -> set[PointId]:
        """Return the ids of a lot."""
        return {each for each, own in self.lots.items() if own is lot}

    def worker(self, queue: PostgresRanges, concurrency: int) -> Worker:
        """Return a worker with small pages."""
        work = CopyWork(
            Overtaken(self),
            queue,
            AtOnce(),
            BackfillMetrics(CollectorRegistry()),
            limits=PageLimits(points=5),
        )
        return Worker(
            {JobKind.BACKFILL: work}, queue, uuid4(), concurrency=concurrency, timing=QUICK
        )

    async def live(self, life: Life) -> Mortal:
        """Let workers live and die."""
        queue = Mortal(self.database, self.committed, life)
        runs = [self.worker(queue, life.concurrency).run() for _ in range(life.workers)]
        async with running(*runs):
            async with asyncio.timeout(60):
                while not queue.is_over.is_set() and await self.state() is not JobState.DONE:  # noqa: ASYNC110 - seen in the database only
                    await asyncio.sleep(0.01)
        if not life.is_clean:
            async with self.database.connection() as connection:
                await connection.execute(
                    "UPDATE vecferry.job_ranges SET heard_at = heard_at - interval '1 hour'"
                )
        return queue

    async def finish(self) -> None:
        """Let two workers do the rest."""
        queue = Counted(self.database, self.committed)
        runs = [self.worker(queue, 2).run() for _ in range(2)]
        async with running(*runs), asyncio.timeout(60):
            while await self.state() is not JobState.DONE:  # noqa: ASYNC110 - seen in the database only
                await asyncio.sleep(0.01)

    async def state(self) -> JobState | None:
        """Return how far the job is; a job that failed fails the test."""
        job = await PostgresJobs(self.database).latest(JobKind.BACKFILL, self.name)
        assert job is None or job.state is not JobState.FAILED, job
        return None if job is None else job.state

    async def settled(self) -> None:
        """Return when every intent of the collection is settled."""
        open_intents = (
            "SELECT count(*) FROM vecferry.intents i JOIN vecferry.collections c ON c.id = i.generation"
            " WHERE c.name = $1"
        )
        async with asyncio.timeout(60), self.database.connection() as connection:
            while await connection.fetchval(open_intents, self.name):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)

    async def write(self, seed: int, stop: asyncio.Event) -> None:
        """Write at random until told to stop; the last write has ended then."""
        draw = random.Random(seed)
        stormy = [each for each, lot in self.lots.items() if lot in STORMY]
        while not stop.is_set():
            ids = draw.sample(stormy, draw.randint(1, 3))
            path, body = self._change(draw, ids)
            method = "PUT" if path == "" else "POST"
            status = await self.send(method, path, body)
            assert status in {200, 404, 503}
            await asyncio.sleep(draw.random() * 0.01)

    async def send(self, method: str, path: str, body: object) -> int:
        """Send a client's write and return the status."""
        url = f"/collections/{self.name}/points{path}?wait=true"
        return (await self.here.client.request(method, url, json=body)).status_code

    async def overtake(self, ids: Iterable[PointId]) -> None:
        """Delete and write those of the ids that are to be, each once."""
        for point_id in ids:
            lot = self.lots.get(point_id)
            if point_id in self.overtaken or lot not in {Lot.DOOMED, Lot.REVISED}:
                continue
            self.overtaken.add(point_id)
            point = {"id": point_id, "vector": [9.0, 9.0], "payload": {"revised": True}}
            status = (
                await self.send("POST", "/delete", {"points": [point_id]})
                if lot is Lot.DOOMED
                else await self.send("PUT", "", {"points": [point]})
            )
            assert status == 200

    def _change(self, draw: random.Random, ids: list[PointId]) -> tuple[str, dict[str, object]]:
        number = draw.randrange(10)
        match draw.randrange(5):
            case 0:
                points = [
                    {"id": each, "vector": [number, 1.0], "payload": {"n": number, "by": "live"}}
                    for each in ids
                ]
                return "", {"points": points}
            case 1:
                return "/payload", {"payload": {"touched": number}, "points": ids}
            case 2:
                value = draw.choice([each for each in range(40) if Lot.of(each) in STORMY])
                filtered = {"must": [{"key": "n", "match": {"value": value}}]}
                return "/delete", {"filter": filtered}
            case _:
                return "/delete", {"points": ids}


class Overtaken(QdrantStore):
    """The source of workers: clients change what is on a page between its reading and its writing."""

    def __init__(self, world: World) -> None:
        super().__init__(world.source._http)
        self._world = world

    async def scroll(self, collection: str, request: ScrollRequest) -> Page:
        page = await super().scroll(collection, request)
        ids = [record.id for record in page.records]
        # The clients do not die with the process that reads: a write that nobody sees end is settled much later.
        await asyncio.shield(self._world.clients.create_task(self._world.overtake(ids)))
        return page


@asynccontextmanager
async def world(
    qdrant_url: str, database_url: str, directory: Path, kind: str
) -> AsyncIterator[World]:
    """Fill the source behind the instance's back, mirror it, and ask for a backfill."""
    name, ids = f"killed-{uuid4().hex}", IDS[kind]
    options = load(
        database_url=database_url,
        qdrant_url=qdrant_url,
        data_dir=directory,
        workers=0,
        # A busy machine is not what is tried here.
        intent_budget_seconds=10.0,
    )
    database = await Database.open(database_url)
    try:
        async with QdrantHttp(qdrant_url) as http, wired(options) as here:
            source = QdrantStore(http)
            await source.create_collection(name, CONFIG)
            points = [
                Point(each, {"": np.array([at, 2.0], np.float32)}, {"n": at % 40})
                for at, each in enumerate(ids)
                if Lot.of(at) is not Lot.NEW
            ]
            await source.apply(name, Upsert(points), wait=True)
            await _mirror(here, directory, name)
            await PostgresJobs(database).start(JobKind.BACKFILL, name, Options())
            lots = {point_id: Lot.of(at) for at, point_id in enumerate(ids)}
            yield World(name, lots, here, source, database)
            dropped = await here.client.delete(f"/collections/{name}")
            assert dropped.status_code == 200, dropped.text
    finally:
        await database.close()


async def _mirror(here: Wired, directory: Path, name: str) -> None:
    headers = {"authorization": f"Bearer {keys.read(directory)}"}
    transport = httpx.ASGITransport(here.instance.control)
    async with httpx.AsyncClient(transport=transport, base_url="http://c") as operator:
        answer = await operator.put(
            f"/v1/control/collections/{name}/stage", json={"stage": "dualwrite"}, headers=headers
        )
        assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("kind", IDS)
@settings(
    max_examples=HISTORIES,
    derandomize=False,
    deadline=None,
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(seed=st.integers(0, 2**32))
def test_killed_at_any_page_any_number_of_times(
    qdrant_url: str,
    module_database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    seed: int,
) -> None:
    """With other workers each time, and pages of the dead that arrive late: both stores end equal."""
    monkeypatch.setattr(splitting, "_POINTS_PER_RANGE", 15)

    async def play() -> None:
        async with world(qdrant_url, module_database_url, tmp_path, kind) as one:
            stop = asyncio.Event()
            async with one.clients as clients:
                for client in range(2):
                    clients.create_task(one.write(seed + client, stop))
                for life in lives(random.Random(f"{seed} {kind}")):
                    dead = await one.live(life)
                    clients.create_task(dead.land(stop))
                await one.finish()
                stop.set()
            await one.settled()
            assert one.overtaken == one.of(Lot.DOOMED) | one.of(Lot.REVISED)
            target = PgStore(one.database)
            await assert_equal(one.source, target, one.name)
            assert not one.of(Lot.DOOMED) & (await contents(target, one.name)).keys()
            # Not everyone who dies can say that his page was committed; but nobody may say it of the same page again.
            quiet = one.of(Lot.QUIET)
            assert all(one.committed[each] <= 1 for each in quiet), one.committed

    asyncio.run(play())
