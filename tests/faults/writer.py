"""A client that writes its own ids at random, through any instance, and reads them back."""

import asyncio
from collections.abc import Sequence
from random import Random
from uuid import UUID

import aiohttp

from service.model.ids import PointId
from tests.faults.asking import CLIENT_SECONDS, Reply, Said, ask
from tests.faults.contents import Contents
from tests.faults.diary import Diary
from tests.faults.fate import Fate
from tests.faults.states import State, deleted, either, held
from tests.faults.writes import Write, Writes

_IDS_PER_WRITER = 24
_READ_SHARE = 0.25
_WAIT_SHARE = 0.8


def ids_of(number: int) -> list[PointId]:
    """Return the ids of one writer: half integers, half UUIDs, nobody else's."""
    half = _IDS_PER_WRITER // 2
    first = number * 1_000
    return [*range(first, first + half), *(str(UUID(int=first + n)) for n in range(half))]


class Writer:
    """Sends one request at a time, so that it knows what each of its ids may be."""

    def __init__(
        self,
        number: int,
        collection: str,
        urls: Sequence[str],
        seed: int,
        diary: Diary,
        ids: Sequence[PointId] | None = None,
    ) -> None:
        self.name = f"w{number}"
        self.ids = ids or ids_of(number)
        self.fates = {point_id: Fate() for point_id in self.ids}
        self.turn = asyncio.Lock()
        self.is_stopping = False
        self.patience_seconds = CLIENT_SECONDS
        self.avoided: str | None = None
        self._collection = collection
        self._urls = urls
        self._diary = diary
        self._random = Random(f"{seed} {number}")
        self._writes = Writes(self.name, self.ids, self._random)

    async def begin(self, http: aiohttp.ClientSession) -> None:
        """Write the first points."""
        await self._write(http, self._writes.upsert(self.ids), waits=True)

    async def run(self, http: aiohttp.ClientSession, pause: float) -> None:
        """Write and read until ``is_stopping``; who takes ``turn`` holds it up between two requests."""
        while not self.is_stopping:
            async with self.turn:
                await self._step(http)
            await asyncio.sleep(self._random.uniform(0, 2 * pause))

    def wrongs(self, found: Contents) -> list[str]:
        """Return one line per own id that is in a state it cannot be in."""
        return [
            f"{point_id} is {found.get(point_id)}, not {either(fate.possible)}"
            for point_id, fate in self.fates.items()
            if not fate.allows(found.get(point_id))
        ]

    def emptied(self) -> None:
        """Note that the collection was deleted and made anew: a write that is still open may land in the new one."""
        for fate in self.fates.values():
            fate.told(deleted)

    async def _step(self, http: aiohttp.ClientSession) -> None:
        if self._random.random() < _READ_SHARE:
            await self._read(http, self._random.sample(self.ids, 3))
            return
        usable = [i for i, fate in self.fates.items() if not fate.is_vague]
        present = [i for i in usable if self._is_present(i)]
        if not usable:
            await self._read(http, self.ids)
            return
        write = self._writes.next(usable, present)
        await self._write(http, write, waits=self._random.random() < _WAIT_SHARE)

    def _is_present(self, point_id: PointId) -> bool:
        fate = self.fates[point_id]
        return not fate.is_open and None not in fate.possible

    async def _write(self, http: aiohttp.ClientSession, write: Write, *, waits: bool) -> None:
        url = self._url()
        reply = await ask(
            http,
            write.method,
            f"{url}/collections/{self._collection}/points{write.suffix}",
            write.body,
            {"wait": str(waits).lower()},
            seconds=self.patience_seconds,
        )
        self._diary.wrote(reply.seconds)
        self._diary.note(
            client=self.name, at_url=url, kind=write.kind, body=write.body, waits=waits,
            said=reply.said.name, detail=reply.detail, seconds=round(reply.seconds, 3),
        )  # fmt: skip
        self._learn(write, reply)

    def _learn(self, write: Write, reply: Reply) -> None:
        for part in write.parts:
            for point_id, effect in part.items():
                fate = self.fates[point_id]
                match reply.said:
                    case Said.DONE:
                        fate.told(effect)
                    case Said.TAKEN_ON:
                        fate.acknowledged(effect)
                    case Said.NOTHING:
                        fate.unknown(effect)
                    case Said.NEVER_SENT:
                        pass
        if reply.said in {Said.NOTHING, Said.NEVER_SENT}:
            self._diary.failed(f"{self.name} {write.kind}: {reply.detail}")

    async def _read(self, http: aiohttp.ClientSession, ids: Sequence[PointId]) -> None:
        url = self._url()
        body = {"ids": list(ids), "with_payload": True, "with_vector": True}
        reply = await ask(http, "POST", f"{url}/collections/{self._collection}/points", body)
        if reply.said is not Said.DONE:
            self._diary.failed(f"{self.name} read: {reply.detail}")
            return
        found: dict[PointId, State] = {
            point["id"]: held(point["payload"], point["vector"]) for point in reply.result
        }
        self._diary.note(client=self.name, at_url=url, kind="read", ids=list(ids), found=found)
        for point_id in ids:
            state = found.get(point_id)
            fate = self.fates[point_id]
            if not fate.may_show(state):
                self._diary.stale.append(
                    f"{self._diary.now:.2f} s {self.name} at {url}: {point_id} is {state},"
                    f" not {either(fate.readable)}"
                )

    def _url(self) -> str:
        return self._random.choice([url for url in self._urls if url != self.avoided])
