"""The application: clients of Qdrant that know one URL and check every answer they get.

A client owns a disjoint set of ids. After each write it reads the points back, and what differs
from what it was told is a complaint in the journal. It may reuse nothing of vecferry: it is the
plain, unmodified ``AsyncQdrantClient``.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from qdrant_client import AsyncQdrantClient
from qdrant_client.models import (
    FieldCondition,
    Filter,
    HasIdCondition,
    MatchValue,
    PointIdsList,
    PointStruct,
)

from service.model.ids import PointId
from service.model.points import FloatArray, Payload
from tests.demo import memory as remembered
from tests.demo.corpus import Chunk
from tests.demo.journal import Journal
from tests.demo.legacy import collections, payload_of, point_id
from tests.demo.memory import OWNER, Memory
from tests.demo.sender import RequestFailed, Sender

_SHORTEST_PAUSE_SECONDS = 0.02
_LONGEST_PAUSE_SECONDS = 0.12
_SEARCH_LIMIT = 10
_SCROLL_PAGE = 50
_RETRIEVED = 8
_NEW_AT_ONCE = 3
_FIRST_NEW_NUMBER = 1_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Material:
    """What a client writes and asks: texts with their vectors, and the vectors of questions."""

    texts: Sequence[tuple[Chunk, FloatArray]]
    questions: Sequence[FloatArray]


class Client:
    """One client of the application; deterministic for a seed, apart from time."""

    def __init__(
        self, number: int, qdrant: AsyncQdrantClient, journal: Journal, material: Material
    ) -> None:
        self.name = f"client_{number}"
        self.memory = Memory(self.name)
        self._qdrant = qdrant
        self._sender = Sender(self.name, journal)
        self._material = material
        self._random = random.Random(number)
        self._next_number = _FIRST_NEW_NUMBER * (number + 1)
        self._revision = 0
        self._writes: dict[Callable[[], Awaitable[None]], int] = {
            self._upsert: 10,
            self._set_payload: 7,
            self._overwrite_payload: 4,
            self._delete_payload: 4,
            self._delete: 6,
            self._delete_by_filter: 1,
        }
        self._reads: dict[Callable[[], Awaitable[None]], int] = {
            self._ask: 14,
            self._find_own: 6,
            self._retrieve: 5,
            self._scroll: 2,
            self._count: 3,
        }

    async def step(self, *, may_write: bool) -> None:
        """Send one request of the application and check what it answers."""
        choices = self._reads | self._writes if may_write else self._reads
        (action,) = self._random.choices(list(choices), weights=list(choices.values()))
        with suppress(RequestFailed):  # it is in the journal
            await action()

    async def pause(self) -> None:
        """Think for a moment, as users do."""
        await asyncio.sleep(self._random.uniform(_SHORTEST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS))

    # --- reads ---

    async def _ask(self) -> None:
        collection = self._collection()
        answer = await self._sender.send(
            "search",
            self._qdrant.query_points(
                collection,
                query=self._random.choice(self._material.questions).tolist(),
                limit=_SEARCH_LIMIT,
                with_payload=True,
            ),
        )
        scores = [hit.score for hit in answer.points]
        self._sender.complain("search", remembered.check_scores(collection, scores, _SEARCH_LIMIT))
        self._sender.complain(
            "search", remembered.check_hits(self.memory, collection, answer.points)
        )

    async def _find_own(self) -> None:
        collection = self._collection()
        owned = self.memory.owned(collection)
        if not owned:
            return
        wanted = self._random.choice(list(owned))
        by_owner = len(owned) <= _SCROLL_PAGE and self._random.random() < 0.5
        condition = self._mine() if by_owner else HasIdCondition(has_id=[wanted])
        answer = await self._sender.send(
            "filtered search",
            self._qdrant.query_points(
                collection,
                query=owned[wanted].vector.tolist(),
                query_filter=Filter(must=[condition]),
                limit=len(owned) if by_owner else _SEARCH_LIMIT,
                with_payload=True,
                with_vectors=True,
            ),
        )
        found = remembered.check_found(collection, wanted, answer.points)
        hits = remembered.check_hits(self.memory, collection, answer.points)
        self._sender.complain("filtered search", found + hits)

    async def _retrieve(self) -> None:
        collection = self._collection()
        await self._read_back(collection, self._some_ids(collection, _RETRIEVED))

    async def _scroll(self) -> None:
        collection = self._collection()
        records = []
        offset = None
        while True:
            page, offset = await self._sender.send(
                "scroll",
                self._qdrant.scroll(
                    collection,
                    scroll_filter=Filter(must=[self._mine()]),
                    limit=_SCROLL_PAGE,
                    offset=offset,
                    with_payload=True,
                    with_vectors=True,
                ),
            )
            records += page
            if offset is None:
                break
        self._sender.complain("scroll", remembered.check_owned(self.memory, collection, records))

    async def _count(self) -> None:
        collection = self._collection()
        answer = await self._sender.send(
            "count", self._qdrant.count(collection, Filter(must=[self._mine()]), exact=True)
        )
        self._sender.complain(
            "count", remembered.check_count(self.memory, collection, answer.count)
        )

    # --- writes, each read back at once ---

    async def _upsert(self) -> None:
        collection = self._collection()
        ids = self._ids_to_write(collection)
        written = {wanted: self._random.choice(self._material.texts) for wanted in ids}
        points = [
            PointStruct(id=wanted, vector=vector.tolist(), payload=self._payload(chunk))
            for wanted, (chunk, vector) in written.items()
        ]
        await self._write(
            "upsert", collection, ids, self._qdrant.upsert(collection, points, wait=True)
        )
        for point in points:
            vector = written[_id_of(point)][1]
            self.memory.hold(collection, _id_of(point), point.payload or {}, vector)
        await self._read_back(collection, ids)

    async def _set_payload(self) -> None:
        collection = self._collection()
        ids = self._some_held(collection, 2)
        change: Payload = {OWNER: self.name, "revision": self._revise(), "language": "en-GB"}
        await self._write(
            "set payload",
            collection,
            ids,
            self._qdrant.set_payload(collection, payload=change, points=list(ids), wait=True),
        )
        for wanted in ids:
            self.memory.merge(collection, wanted, change)
        await self._read_back(collection, ids)

    async def _overwrite_payload(self) -> None:
        collection = self._collection()
        ids = self._some_held(collection, 1)
        payload = self._payload(self._random.choice(self._material.texts)[0])
        await self._write(
            "overwrite payload",
            collection,
            ids,
            self._qdrant.overwrite_payload(
                collection, payload=payload, points=list(ids), wait=True
            ),
        )
        for wanted in ids:
            self.memory.overwrite(collection, wanted, payload)
        await self._read_back(collection, ids)

    async def _delete_payload(self) -> None:
        collection = self._collection()
        ids = self._some_held(collection, 2)
        key = self._random.choice(("words", "speaker", OWNER))
        await self._write(
            "delete payload",
            collection,
            ids,
            self._qdrant.delete_payload(collection, keys=[key], points=list(ids), wait=True),
        )
        for wanted in ids:
            self.memory.remove_key(collection, wanted, key)
        await self._read_back(collection, ids)

    async def _delete(self) -> None:
        collection = self._collection()
        ids = self._some_held(collection, 2)
        selector = PointIdsList(points=list(ids))
        await self._write(
            "delete", collection, ids, self._qdrant.delete(collection, selector, wait=True)
        )
        self.memory.delete(collection, ids)
        await self._read_back(collection, ids)

    async def _delete_by_filter(self) -> None:
        collection = self._collection()
        owned = self.memory.owned(collection)
        sources = sorted({str(held.payload.get("transcription_id")) for held in owned.values()})
        if not sources:
            return
        source = self._random.choice(sources)
        ids = [i for i, held in owned.items() if held.payload.get("transcription_id") == source]
        from_source = FieldCondition(key="transcription_id", match=MatchValue(value=source))
        selector = Filter(must=[self._mine(), from_source])
        await self._write(
            "delete by filter",
            collection,
            ids,
            self._qdrant.delete(collection, selector, wait=True),
        )
        self.memory.delete(collection, ids)
        await self._read_back(collection, ids)

    async def _write(
        self, request: str, collection: str, ids: Collection[PointId], answer: Awaitable[object]
    ) -> None:
        try:
            await self._sender.send(request, answer)
        except RequestFailed:
            self.memory.doubt(collection, ids)
            raise

    async def _read_back(self, collection: str, ids: Collection[PointId]) -> None:
        records = await self._sender.send(
            "retrieve",
            self._qdrant.retrieve(collection, list(ids), with_payload=True, with_vectors=True),
        )
        wrongs = remembered.check_records(self.memory, collection, ids, records)
        self._sender.complain("retrieve", wrongs)

    # --- choosing ---

    def _collection(self) -> str:
        return self._random.choice(collections())

    def _mine(self) -> FieldCondition:
        return FieldCondition(key=OWNER, match=MatchValue(value=self.name))

    def _revise(self) -> int:
        self._revision += 1
        return self._revision

    def _payload(self, chunk: Chunk) -> Payload:
        return payload_of(chunk) | {OWNER: self.name, "revision": self._revise()}

    def _some_held(self, collection: str, count: int) -> list[PointId]:
        held = list(self.memory.held(collection))
        return self._random.sample(held, min(count, len(held)))

    def _some_ids(self, collection: str, count: int) -> list[PointId]:
        known = [*self.memory.held(collection), *self.memory.deleted(collection)]
        return self._random.sample(known, min(count, len(known)))

    def _ids_to_write(self, collection: str) -> list[PointId]:
        """Mix new ids with ids to overwrite and deleted ids to bring back."""
        ids = self._some_held(collection, 1)
        deleted = sorted(self.memory.deleted(collection), key=str)
        if deleted and self._random.random() < 0.5:
            ids.append(self._random.choice(deleted))
        for _ in range(self._random.randint(1, _NEW_AT_ONCE)):
            ids.append(point_id(collection, self._next_number))
            self._next_number += 1
        return ids


def _id_of(point: PointStruct) -> PointId:
    return point.id if isinstance(point.id, int) else str(point.id)
