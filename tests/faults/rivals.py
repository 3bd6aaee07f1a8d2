"""Clients that write the same ids at the same time through different instances.

No order is defined between two writes that overlap. What must hold: the last state is one that somebody wrote, and not
one that a later write, told done, has replaced; the same for every read.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

import aiohttp

from service.model.ids import PointId
from tests.faults.asking import CLIENT_SECONDS, Said, ask
from tests.faults.contents import Contents
from tests.faults.diary import Diary
from tests.faults.states import State, held

_VECTOR = {"left": [1.0, 2.0, 3.0], "right": [4.0, 3.0, 2.0, 1.0]}


@dataclass(slots=True)
class Attempt:
    """One write of one id: the state it makes, and when; ``told`` stays open without a certain end."""

    state: State
    began: float
    told: float = float("inf")


@dataclass(slots=True)
class Race:
    """All attempts on the shared ids."""

    ids: Sequence[PointId]
    attempts: dict[PointId, list[Attempt]] = field(default_factory=dict)
    serial: int = 0

    def begin(self, point_id: PointId, state: State) -> Attempt:
        """Note that a write is being sent."""
        attempt = Attempt(state, time.monotonic())
        self.attempts.setdefault(point_id, []).append(attempt)
        return attempt

    def allowed(self, point_id: PointId, before: float) -> list[State]:
        """Return the states a read may show that began at ``before``."""
        attempts = self.attempts.get(point_id, [])
        done = [attempt for attempt in attempts if attempt.told < before]
        # A write that had ended when a later one began, which had ended when we looked, is no longer there.
        newest = max((attempt.began for attempt in done), default=0.0)
        found = [attempt.state for attempt in attempts if attempt.told >= newest]
        return found if done else [None, *found]


class Rival:
    """One of the clients; all of them share a ``Race``."""

    def __init__(
        self, number: int, collection: str, url: str, race: Race, seed: int, diary: Diary
    ) -> None:
        self.name = f"rival-{number}"
        self.turn = asyncio.Lock()
        self.is_stopping = False
        self.patience_seconds = CLIENT_SECONDS
        self.avoided: str | None = None
        self._url = f"{url}/collections/{collection}/points"
        self._race = race
        self._random = Random(f"{seed} {self.name}")
        self._diary = diary

    @property
    def ids(self) -> Sequence[PointId]:
        """The ids it writes, as the others do."""
        return self._race.ids

    async def begin(self, http: aiohttp.ClientSession) -> None:
        """Write the first points."""
        for point_id in self.ids:
            await self._write(http, point_id)

    async def run(self, http: aiohttp.ClientSession, pause: float) -> None:
        """Write and read until ``is_stopping``."""
        while not self.is_stopping:
            async with self.turn:
                point_id = self._random.choice(self.ids)
                if self._random.random() < 0.3:
                    await self._read(http, point_id)
                else:
                    await self._write(http, point_id)
            await asyncio.sleep(self._random.uniform(0, 2 * pause))

    def wrongs(self, found: Contents) -> list[str]:
        """Return one line per id that is in no state it may be in."""
        return [
            f"{point_id} is {found.get(point_id)}, which was replaced or never written"
            for point_id in self.ids
            if found.get(point_id) not in self._race.allowed(point_id, time.monotonic())
        ]

    def emptied(self) -> None:
        """Note that the collection was deleted and made anew."""
        for point_id in self.ids:
            self._race.begin(point_id, None).told = time.monotonic()

    async def _write(self, http: aiohttp.ClientSession, point_id: PointId) -> None:
        self._race.serial += 1
        payload = {"serial": self._race.serial, "by": self.name}
        is_delete = self._random.random() < 0.2
        point = {"id": point_id, "vector": _VECTOR, "payload": payload}
        body: dict[str, object] = {"points": [point_id if is_delete else point]}
        method, url = ("POST", f"{self._url}/delete") if is_delete else ("PUT", self._url)
        attempt = self._race.begin(point_id, None if is_delete else held(payload, _VECTOR))
        reply = await ask(http, method, url, body, {"wait": "true"}, seconds=self.patience_seconds)
        self._diary.wrote(reply.seconds)
        self._diary.note(client=self.name, id=point_id, to=attempt.state, detail=reply.detail)
        if reply.said is Said.DONE:
            attempt.told = time.monotonic()
        else:
            self._diary.failed(f"{self.name}: {reply.detail}")

    async def _read(self, http: aiohttp.ClientSession, point_id: PointId) -> None:
        began = time.monotonic()
        body = {"ids": [point_id], "with_payload": True, "with_vector": True}
        reply = await ask(http, "POST", self._url, body)
        if reply.said is not Said.DONE:
            self._diary.failed(f"{self.name} read: {reply.detail}")
            return
        found = [held(point["payload"], point["vector"]) for point in reply.result]
        state = found[0] if found else None
        if state not in self._race.allowed(point_id, began):
            self._diary.stale.append(f"{self._diary.now:.2f} s {self.name}: {point_id} is {state}")
