"""The migration itself: the operator's steps, the independent check, and life without Qdrant."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from service.model.points import FloatArray
from tests.demo import script
from tests.demo.check import Contents, differences, read_postgres, read_qdrant
from tests.demo.crowd import Crowd
from tests.demo.expected import expected_contents, without_doubtful
from tests.demo.failures import DemoFailed
from tests.demo.journal import Journal
from tests.demo.legacy import collections
from tests.demo.operator_cli import CollectionStatus, Operator, mean_parity
from tests.demo.overlap import mean_overlap
from tests.demo.script import Step
from tests.demo.show import Show
from tests.demo.verdict import Checked
from tests.processes import Child

_SETTLE_SECONDS = 60.0
_SAMPLE_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the two stores and the proxy are."""

    qdrant: str
    postgres: str
    proxy: str


class Migration:
    """One run of the script against a running system."""

    def __init__(
        self, addresses: Addresses, operator: Operator, crowd: Crowd, journal: Journal, show: Show
    ) -> None:
        self._addresses = addresses
        self._operator = operator
        self._crowd = crowd
        self._journal = journal
        self._show = show

    async def move(self) -> None:
        """Go from ``off`` to ``rampdown``. Raises ``DemoFailed``."""
        self._show.header()
        for step in script.UNTIL_CHECK:
            await self._perform(step)

    async def check(self, questions: Sequence[FloatArray]) -> Checked:
        """Compare the stores with each other, with what clients were told, and by their answers."""
        with self._show.stage(self._journal, script.CHECK):
            async with self._crowd.paused_writers():
                await self._operator.wait_for_empty_ledger(_SETTLE_SECONDS)
                points, differing = await self._compare_stores()
                for collection in collections():
                    self._show.say(f"  {await self._operator.receipt(collection)}")
                urls = (self._addresses.qdrant, self._addresses.proxy)
                parity = await mean_overlap(urls, collections(), questions)
        return Checked(points, differing, parity)

    async def complete(self, qdrant: Child) -> None:
        """Leave Qdrant, stop it, and go on without it. Raises ``DemoFailed``."""
        await self._perform(script.COMPLETE)
        with self._show.stage(self._journal, script.WITHOUT_QDRANT.name):
            await qdrant.stop()
            await asyncio.sleep(script.WITHOUT_QDRANT.dwell_seconds)

    async def compare_target(self) -> list[str]:
        """Return how Postgres differs from what the clients were told; nobody may be writing."""
        differing: list[str] = []
        for collection in collections():
            target = await read_postgres(self._addresses.postgres, collection)
            differing += self._told(collection, target)
        return differing

    async def _perform(self, step: Step) -> None:
        with self._show.stage(self._journal, step.name):
            for command in step.commands:
                await self._operator.run(*command)
            await asyncio.sleep(step.dwell_seconds)
            statuses = await self._operator.status()
            _expect_stage(statuses, step.stage)
            for _ in range(int(_SAMPLE_SECONDS)):
                if min(status.samples for status in statuses) >= step.least_samples:
                    break
                await asyncio.sleep(1)
                statuses = await self._operator.status()
            else:
                message = (
                    f"{step.name}: fewer than {step.least_samples} shadow reads per collection"
                )
                raise DemoFailed(message)
            self._show.parity = mean_parity(statuses)

    async def _compare_stores(self) -> tuple[int, list[str]]:
        points = 0
        differing: list[str] = []
        for collection in collections():
            source = await read_qdrant(self._addresses.qdrant, collection)
            target = await read_postgres(self._addresses.postgres, collection)
            points += len(source)
            between = differences(source, target)
            differing += [f"{collection}, Qdrant against Postgres: {found}" for found in between]
            differing += self._told(collection, target)
        return points, differing

    def _told(self, collection: str, target: Contents) -> list[str]:
        memories = self._crowd.memories
        told = expected_contents(memories, collection)
        certain = without_doubtful(target, memories, collection)
        return [
            f"{collection}, told against Postgres: {found}" for found in differences(told, certain)
        ]


def _expect_stage(statuses: Sequence[CollectionStatus], stage: str) -> None:
    found = {status.name: status.stage for status in statuses}
    if found != dict.fromkeys(collections(), stage):
        message = f"every collection should be at {stage}: {found}"
        raise DemoFailed(message)
