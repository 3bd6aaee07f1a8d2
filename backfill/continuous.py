"""Continuous verification: a few random ids of every complete collection, looked at all the time.

Ids are drawn from both stores, so that what only one of them has is found whichever it is, and a part again from those
that were equal before. A difference at first sight is looked at under its lock when the longest request has ended. What
differs then, and nothing unsettled and no quarantine explains, was written around the proxy, or is a fault of ours. It
is counted and logged once, shown in the status, and forgotten when it is equal again.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from backfill.bypass import Memory, Watched
from backfill.canonical import Kind, differences
from backfill.confirming import Judgement, Looks
from backfill.metrics import ContinuousMetrics
from backfill.together import together
from service.errors import VecferryError
from service.model.ids import decode_key, encode_key
from service.model.points import Record
from service.model.qdrant import PointRequest, QueryRequest, Sample, SampleQuery
from service.ports import PointReader
from service.stages import Side

_log = structlog.get_logger(__name__)

_ROUND_SECONDS = 1.0
_LEAST_PER_ROUND = 32
"""A round is three requests to Qdrant whatever its size, and a collection may allow few per minute."""
_MOST_PER_ROUND = 64
_MOST_WAITING = 1_000
_MOST_CONFIRMED = 1_000
_AGAIN_PER_ROUND = 16
_MOST_LOOKS = 8
_SHOWN = 20
_LONGEST_PAUSE_SECONDS = 60.0

Place = tuple[int, bytes]


class Drawn(Protocol):
    """Random rows of the target, at a cost that does not grow with the table."""

    async def keys(self, generation: int, count: int) -> Sequence[bytes]:
        """Return up to ``count`` keys of points. Raises ``TargetUnavailable``."""
        ...


class Listed(Protocol):
    """The quarantine, as far as it explains a difference."""

    async def keys(
        self, generation: int, *, among: Sequence[bytes] | None, limit: int
    ) -> Sequence[bytes]:
        """Return those of the keys that are listed."""
        ...


@dataclass(frozen=True, slots=True)
class Pace:
    """How many points are looked at, and when a difference may be judged; ``hindrance`` is why not now, if so."""

    points_per_second: float
    grace_seconds: float
    hindrance: Callable[[], Awaitable[str | None]]


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An id that differed at first sight."""

    watched: Watched
    due: float
    looks: int = 0


@dataclass(frozen=True, slots=True)
class Found:
    """A confirmed difference that nothing explains. ``store`` was probably changed; ``None``: not known."""

    watched: Watched
    kinds: tuple[Kind, ...]
    store: Side | None

    def to_json(self, key: bytes) -> dict[str, object]:
        """Return it as JSON values."""
        return {
            "collection": self.watched.name,
            "id": decode_key(key),
            "kinds": [str(kind) for kind in self.kinds],
            "probably_changed": None if self.store is None else str(self.store),
        }


class ContinuousVerification:
    """Looks at random points of the collections that it is told to watch."""

    def __init__(
        self,
        watched: Callable[[], Sequence[Watched]],
        looks: Looks,
        drawn: Drawn,
        quarantine: Listed,
        *,
        metrics: ContinuousMetrics,
        pace: Pace,
    ) -> None:
        self._watched = watched
        self._looks = looks
        self._drawn = drawn
        self._quarantine = quarantine
        self._metrics = metrics
        self._pace = pace
        self._memory = Memory()
        self._waiting: dict[Place, _Waiting] = {}
        self._found: OrderedDict[Place, Found] = OrderedDict()
        self._credit = 0.0
        self._turn = 0
        self._looked = 0
        self._hindrance: str | None = None

    async def run(self) -> None:
        """Look until cancelled; a store that is away is asked more and more seldom."""
        pause, failures, at = _ROUND_SECONDS, 0, time.monotonic()
        while True:
            await asyncio.sleep(pause)
            now = time.monotonic()
            self._credit = min(
                self._credit + self._pace.points_per_second * (now - at), float(_MOST_PER_ROUND)
            )
            at = now
            try:
                await self.round()
            except (VecferryError, TimeoutError) as error:
                failures += 1
                pause = min(_ROUND_SECONDS * 2**failures, _LONGEST_PAUSE_SECONDS)
                if failures == 1:
                    _log.warning("continuous_verification_waits", error=str(error))
            else:
                pause, failures = _ROUND_SECONDS, 0

    def to_json(self) -> dict[str, object]:
        """Return what was found lately, newest first."""
        newest = list(self._found.items())[-_SHOWN:][::-1]
        return {
            "points_per_second": self._pace.points_per_second,
            "looked_at": self._looked,
            "waits_for": self._hindrance,
            "differing": len(self._found),
            "last": [found.to_json(key) for (_, key), found in newest],
        }

    async def round(self) -> None:
        """Judge what is due, then look at as many new ids of one collection as there is credit for."""
        watched = {each.generation: each for each in self._watched()}
        self._forget_others(watched.keys())
        await self._judge_due()
        count = int(self._credit)
        if not watched or count < _LEAST_PER_ROUND:
            return
        self._hindrance = await self._pace.hindrance()
        if self._hindrance is not None:
            return
        generations = sorted(watched)
        self._turn += 1
        now = watched[generations[self._turn % len(generations)]]
        self._credit -= count
        await self._look_at(now, await self._draw(now, count))
        await self._look_again(now)

    async def _draw(self, watched: Watched, count: int) -> list[bytes]:
        generation, half = watched.generation, (count + 1) // 2
        again = self._memory.longest_unseen(generation, count // 4)
        request = QueryRequest(
            query=SampleQuery(sample=Sample.RANDOM),
            limit=half,
            with_payload=False,
            with_vector=False,
        )
        on_target, hits = await together(
            self._drawn.keys(generation, max(count - half - len(again), 1)),
            self._looks.source.query(watched.name, request),
        )
        return sorted({*again, *on_target, *(encode_key(hit.id) for hit in hits)})

    async def _look_at(self, watched: Watched, keys: Sequence[bytes]) -> None:
        source, target = await self._both(watched, keys)
        self._looked += len(keys)
        self._metrics.looked.inc(len(keys))
        for key in keys:
            ours, theirs = source.get(key), target.get(key)
            if not differences(ours, theirs):
                self._memory.equal(watched.generation, key, ours, theirs)
            elif (watched.generation, key) not in self._found:
                self._wait((watched.generation, key), _Waiting(watched, self._due()))

    async def _look_again(self, watched: Watched) -> None:
        """Forget confirmed differences that are equal by now; the others go to the end of the line."""
        places = [place for place in self._found if place[0] == watched.generation]
        keys = sorted(key for _, key in places[:_AGAIN_PER_ROUND])
        async for judged in self._looks.at(watched.name, watched.generation, keys):
            for each in judged:
                place = watched.generation, each.key
                if each.is_settled and not each.kinds:
                    self._found.pop(place)
                    _log.info("difference_gone", collection=watched.name, id=decode_key(each.key))
                else:
                    self._found.move_to_end(place)
        self._metrics.differing.set(len(self._found))

    async def _judge_due(self) -> None:
        now = time.monotonic()
        due: dict[Watched, list[bytes]] = {}
        for (_, key), waiting in self._waiting.items():
            if waiting.due <= now:
                due.setdefault(waiting.watched, []).append(key)
        for watched, keys in due.items():
            try:
                async for judged in self._looks.at(watched.name, watched.generation, sorted(keys)):
                    await self._judged(watched, judged)
            except (VecferryError, TimeoutError) as error:
                # One collection's fault must not keep the others from being looked at.
                _log.info("not_judged", collection=watched.name, error=str(error))
                self._put_off(watched.generation, keys)

    async def _judged(self, watched: Watched, judged: Sequence[Judgement]) -> None:
        generation = watched.generation
        differing = [each for each in judged if each.is_settled and each.kinds]
        keys = [each.key for each in differing]
        listed = (
            set(await self._quarantine.keys(generation, among=keys, limit=len(keys)))
            if keys
            else set()
        )
        for each in judged:
            before = self._waiting.pop((generation, each.key), None)
            if not each.is_settled and before is not None and before.looks + 1 < _MOST_LOOKS:
                self._wait((generation, each.key), _Waiting(watched, self._due(), before.looks + 1))
        await self._report(watched, [each for each in differing if each.key not in listed])

    async def _report(self, watched: Watched, differing: Sequence[Judgement]) -> None:
        if not differing:
            return
        source, target = await self._both(watched, [each.key for each in differing])
        for each in differing:
            store = self._memory.changed(
                watched.generation, each.key, source.get(each.key), target.get(each.key)
            )
            self._found[watched.generation, each.key] = Found(watched, each.kinds, store)
            while len(self._found) > _MOST_CONFIRMED:
                self._found.popitem(last=False)
            for kind in each.kinds:
                self._metrics.differences.labels(kind).inc()
            self._metrics.suspected(store)
            _log.error(
                "bypass_suspected",
                collection=watched.name,
                id=decode_key(each.key),
                kinds=[str(kind) for kind in each.kinds],
                probably_changed=store or "unknown",
            )
        self._metrics.differing.set(len(self._found))

    async def _both(
        self, watched: Watched, keys: Sequence[bytes]
    ) -> tuple[dict[bytes, Record], dict[bytes, Record]]:
        return await together(
            _read(self._looks.source, watched.name, keys),
            _read(self._looks.target, watched.name, keys),
        )

    def _wait(self, place: Place, waiting: _Waiting) -> None:
        if len(self._waiting) >= _MOST_WAITING:
            self._metrics.dropped.inc()
        else:
            self._waiting.setdefault(place, waiting)

    def _put_off(self, generation: int, keys: Sequence[bytes]) -> None:
        """Look at ids once more later; what is never settled when it is looked at is left to a verification."""
        for key in keys:
            before = self._waiting.pop((generation, key), None)
            if before is not None and before.looks + 1 < _MOST_LOOKS:
                later = _Waiting(before.watched, self._due(), before.looks + 1)
                self._wait((generation, key), later)

    def _due(self) -> float:
        return time.monotonic() + self._pace.grace_seconds

    def _forget_others(self, known: Collection[int]) -> None:
        """Forget ids of collections that are no longer watched: dropped, begun anew, or their stage has one store."""
        for place in [place for place in self._waiting if place[0] not in known]:
            del self._waiting[place]
        for place in [place for place in self._found if place[0] not in known]:
            del self._found[place]


async def _read(reader: PointReader, collection: str, keys: Sequence[bytes]) -> dict[bytes, Record]:
    ids = [decode_key(key) for key in keys]
    request = PointRequest(ids=list(ids), with_payload=True, with_vector=True)
    return {encode_key(each.id): each for each in await reader.retrieve(collection, request)}
