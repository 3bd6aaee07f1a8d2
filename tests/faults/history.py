"""One history: a collection is written at random while something happens, and then everything must be right.

Right means, after everything runs again and writing has stopped: the ledger becomes empty (intents, hints and ``*``
intents), both stores hold the same, and no id is in a state that its writer was told it is not in.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import aiohttp

from service.model.ids import PointId
from tests.faults import contents
from tests.faults.asking import Said, ask, clients
from tests.faults.contents import Contents
from tests.faults.diary import Diary
from tests.faults.instances import Instance, Refused
from tests.faults.ledger import Ledger
from tests.faults.rig import Rig
from tests.faults.rivals import Race, Rival
from tests.faults.stock import Ids, Shelf
from tests.faults.writer import Writer
from tests.faults.writes import VECTORS

_WRITERS = 4
_SHARED_IDS = 3
_PAUSE_SECONDS = 0.02
_WAY_UP = ("off", "dualwrite", "shadow", "ramp", "live", "rampdown")
_STAGE_SECONDS = 60.0
_SETTLE_SECONDS = 60.0
_RETRY_SECONDS = 0.25


class DrillFailed(Exception):
    """Something that is no lost or differing point, and still wrong."""


@dataclass(slots=True)
class History:
    """A collection, its writers, and the random choices of one run."""

    rig: Rig
    name: str
    seed: int
    random: Random
    http: aiohttp.ClientSession
    diary: Diary
    writers: Sequence[Writer | Rival]
    stock: Contents = field(default_factory=dict)
    """What lay in Qdrant before anything was mirrored, and that nobody writes."""
    is_blind: bool = False
    """Whether writes overlapped something that leaves their end open: then only equality is judged."""
    lost: list[str] = field(default_factory=list)
    divergent: list[str] = field(default_factory=list)

    @classmethod
    @asynccontextmanager
    async def begun(
        cls,
        rig: Rig,
        name: str,
        seed: int,
        stage: str,
        *,
        rivals: bool = False,
        stock: Ids | None = None,
    ) -> AsyncIterator["History"]:
        """Create a collection, write to it, and bring it to a stage: ``off`` is not mirrored, the others are copied.

        With ``stock`` it is filled before with points that have such ids; the writers take theirs from these.
        """
        diary, random = Diary(), Random(f"{seed} {name}")
        shelf = Shelf.of(stock, random, _WRITERS) if stock else Shelf({}, ())
        writers = (
            _rivals(rig, name, seed, diary)
            if rivals
            else _writers(rig, name, seed, diary, shelf.handed_out)
        )
        async with clients() as http:
            history = cls(rig, name, seed, random, http, diary, writers, shelf.kept)
            await history.create()
            await shelf.fill(http, rig.qdrant_url, name)
            for writer in writers:
                await writer.begin(http)
            if stage != "off":
                await history.walk("dualwrite")
                await rig.instances[0].backfill(name)
            for step in _WAY_UP[2 : _WAY_UP.index(stage) + 1]:
                await history.walk(step)
            if diary.errors:
                raise DrillFailed(f"an error before anything was done: {diary.first_error}")
            yield history

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Have all writers write during the block; the last answers are in when it ends."""
        async with asyncio.TaskGroup() as tasks:
            for writer in self.writers:
                writer.is_stopping = False
                tasks.create_task(writer.run(self.http, _PAUSE_SECONDS))
            try:
                yield
            finally:
                self.hush()

    def hush(self) -> None:
        """Have the writers send nothing more: what a storm leaves behind is covered by no later write."""
        for writer in self.writers:
            writer.is_stopping = True

    async def create(self, *, by: Instance | None = None) -> None:
        """Create the collection, as often as that fails for a while; it may be there already then."""
        vectors = {name: {"size": size, "distance": "Dot"} for name, size in VECTORS.items()}
        await self._change("PUT", {"vectors": vectors}, by, done_already="409")

    async def drop(self, *, by: Instance | None = None) -> None:
        """Delete the collection, as often as that fails for a while; it may be gone already then."""
        await self._change("DELETE", None, by, done_already="404")

    async def recreate(self, *, by: Instance | None = None, pausing: bool = True) -> None:
        """Delete the collection and make it anew; ``pausing`` holds the writers up meanwhile."""
        async with AsyncExitStack() as turns:
            for writer in self.writers if pausing else ():
                await turns.enter_async_context(writer.turn)
            await self.drop(by=by)
            await self.create(by=by)
            for writer in self.writers:
                writer.emptied()

    async def _change(
        self, method: str, body: object, by: Instance | None, *, done_already: str
    ) -> None:
        deadline = time.monotonic() + _STAGE_SECONDS
        is_repeated = False
        while True:
            url = by.url if by else self.random.choice(self.rig.urls)
            reply = await ask(self.http, method, f"{url}/collections/{self.name}", body)
            self.diary.note(
                at_url=url, kind=f"{method} collection", said=reply.said.name, detail=reply.detail
            )
            if reply.said is Said.DONE or (is_repeated and reply.detail.startswith(done_already)):
                return
            self.diary.failed(f"{method} collection: {reply.detail}")
            if time.monotonic() > deadline:
                raise DrillFailed(f"{method} of the collection fails: {reply.detail}")
            is_repeated = True
            by = None
            await asyncio.sleep(_RETRY_SECONDS)

    async def try_stage(
        self, stage: str, percent: int | None = None, *, by: Instance | None = None
    ) -> bool:
        """Ask once for a stage; what is said is in the diary."""
        if stage == "ramp" and percent is None:
            percent = 100
        try:
            await (by or self.rig.instances[0]).set_stage(self.name, stage, percent)
        except Refused as error:
            self.diary.note(kind="stage", stage=stage, refused=str(error))
            return False
        self.diary.note(kind="stage", stage=stage, percent=percent)
        return True

    async def walk(self, *stages: str, by: Instance | None = None) -> None:
        """Bring the collection to one stage after the other, each as often as it is refused for a while."""
        for stage in stages:
            deadline = time.monotonic() + _STAGE_SECONDS
            while not await self.try_stage(stage, by=by):
                if time.monotonic() > deadline:
                    raise DrillFailed(f"{stage} is refused for {_STAGE_SECONDS:g} s; see the diary")
                await asyncio.sleep(_RETRY_SECONDS)

    @asynccontextmanager
    async def paused(self) -> AsyncIterator[None]:
        """Hold the writers up during the block; the last answers are in when it begins."""
        async with AsyncExitStack() as turns:
            for writer in self.writers:
                await turns.enter_async_context(writer.turn)
            yield

    async def look(self) -> None:
        """Hold the writers up until the ledger is empty, and judge: what lies between is covered by no later write."""
        async with self.paused():
            await self.settle()
            await self.judge()

    async def settle(self) -> None:
        """Heal everything and wait until the ledger is empty. Raises ``DrillFailed``."""
        await self.rig.heal()
        deadline = time.monotonic() + _SETTLE_SECONDS
        while not (ledger := await Ledger.read(self.rig)).is_empty:
            if time.monotonic() > deadline:
                raise DrillFailed(f"after {_SETTLE_SECONDS:g} s the ledger still has {ledger}")
            await asyncio.sleep(_RETRY_SECONDS)

    async def judge(self) -> None:
        """Compare both stores with each other and with what the writers were told."""
        source, target = await contents.both(self.rig.qdrant_url, self.rig.postgres.dsn, self.name)
        self.divergent += contents.differences(source, target)
        known = {point_id for writer in self.writers for point_id in writer.ids} | self.stock.keys()
        for side, found in (("Qdrant", source), ("Postgres", target)):
            self.lost += [f"{side}: nobody wrote {i}" for i in found.keys() - known]
            self.lost += [
                f"{side}: {i} is {found.get(i)}, not {point}"
                for i, point in self.stock.items()
                if found.get(i) != point
            ]
            for writer in () if self.is_blind else self.writers:
                self.lost += [f"{side}: {wrong}" for wrong in writer.wrongs(found)]


def _writers(
    rig: Rig, name: str, seed: int, diary: Diary, ids: Sequence[Sequence[PointId]]
) -> Sequence[Writer]:
    return [
        Writer(number, name, rig.urls, seed, diary, own)
        for number, own in enumerate(ids or [None] * _WRITERS)
    ]


def _rivals(rig: Rig, name: str, seed: int, diary: Diary) -> Sequence[Rival]:
    race = Race(range(_SHARED_IDS))
    return [
        Rival(number, name, rig.urls[number % len(rig.urls)], race, seed, diary)
        for number in range(_WRITERS)
    ]
