"""Qdrant as the protocol sees it: points with one number each, one shard's queue, requests that come late.

A write takes two steps: it arrives (and is applied, after everything that waits in the queue), and its answer comes
back. Between the two, others read and write. With a fault it

- never arrives, or is refused a connection;
- arrives, and the answer is lost, or comes so late that another may have recovered the intent (R7);
- waits for a connection before it is sent;
- comes late: the sender is told nothing, the write lands at any time within the grace period;
- is acknowledged: it waits in the queue, and lands before the next write or barrier, or by itself (R1).

A read takes one step. A barrier waits until the queue is empty; it does not see what is still on its way.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from service.errors import SourceUnavailable
from service.model.ids import PointId
from service.model.points import Point
from service.protocol.ledger import Fetch, Push
from service.protocol.mirrors import MirrorSource
from service.protocol.source_writes import Answer, Headers, SendToSource
from tests.interleavings.invariants import EPOCH, Watch
from tests.interleavings.loop import OWNER, Option, ScriptedLoop

LATEST = 0.6
"""How late a request may still be applied, as a part of the grace period; heartbeats take another part of it."""

LOST = "lost"
REFUSED = "no connection"
WAITS = "waits for a connection"
LATE = "comes late"
QUEUED = "only acknowledged"
ANSWER_LOST = "answer lost"
ANSWER_SLOW = "answer slow"
_SLOW = 0.6
"""How late a slow answer comes, as a part of the grace period: too late to be sure of the intent (R7)."""

Apply = Callable[[dict[PointId, int]], int]
"""Changes the points and returns the status that Qdrant answers with."""


@dataclass(eq=False, slots=True)
class _Request:
    label: str
    owner: str
    apply: Apply
    status: int | None = None
    """What it came to, when it was applied."""


class Qdrant:
    """The source's points and everything on its way to them."""

    def __init__(
        self, loop: ScriptedLoop, points: Mapping[PointId, int], grace_seconds: float
    ) -> None:
        self._loop = loop
        self._grace_seconds = grace_seconds
        self.points = dict(points)
        self._queue: list[_Request] = []
        self._late: list[_Request] = []
        self._sending: list[_Request] = []
        self.write_faults: tuple[str, ...] = ()
        self.answer_faults: tuple[str, ...] = ()
        self.read_faults: tuple[str, ...] = ()

    @property
    def is_still(self) -> bool:
        """Whether nothing is on its way."""
        return not (self._queue or self._late or self._sending)

    def offers(self) -> list[Option]:
        """Return what may land by itself."""
        return [
            Option(f"source: {request.label} lands", lambda r=request: self._land(r), deviations=1)  # type: ignore[misc]
            for request in (*self._late, *self._queue[:1])
        ]

    def leave_behind(self, owner: str) -> None:
        """Let what an instance had sent before it died, or stood still, come without it."""
        for request in [each for each in self._sending if each.owner == owner]:
            self._sending.remove(request)
            self._postpone(request, self._late)

    async def write(self, label: str, apply: Apply) -> tuple[int, bool]:
        """Deliver a write; return its status and whether it was applied. Raises ``SourceUnavailable``."""
        request = _Request(label, OWNER.get(), apply)
        self._sending.append(request)
        way = await self._loop.step(f"{label} arrives", faults=self.write_faults)
        if request not in self._sending:  # it went on while its sender stood still
            way = "alone"
            self._land(request)
        else:
            self._sending.remove(request)
        match way:
            case "alone":
                status = request.status or 0
            case "lost":
                raise SourceUnavailable("did not answer")
            case "no connection":
                raise SourceUnavailable("refused", may_have_applied=False)
            case "comes late":
                self._postpone(request, self._late)
                raise SourceUnavailable("did not answer in time")
            case "waits for a connection":
                await self._loop.pause(_SLOW * self._grace_seconds)
                status = self._apply(request)
            case "only acknowledged":
                self._postpone(request, self._queue)
                return 200, False
            case _:
                status = self._apply(request)
        way = await self._loop.step(f"{label} is answered {status}", faults=self.answer_faults)
        if way == ANSWER_LOST:
            raise SourceUnavailable("dropped the connection")
        if way == ANSWER_SLOW:
            await self._loop.pause(_SLOW * self._grace_seconds)
        return status, True

    async def read(self, ids: Sequence[PointId]) -> dict[PointId, int]:
        """Return the values of those that exist."""
        if await self._loop.step(f"source reads {list(ids)}", faults=self.read_faults):
            raise SourceUnavailable("did not answer")
        return {each: self.points[each] for each in ids if each in self.points}

    async def pass_barrier(self) -> None:
        """Wait for the queue."""
        await self._loop.step(
            "barrier", is_enabled=lambda: not self._queue, faults=self.read_faults
        )

    def _flush(self) -> None:
        while self._queue:
            first = self._queue.pop(0)
            first.status = first.apply(self.points)

    def _apply(self, request: _Request) -> int:
        self._flush()
        request.status = request.apply(self.points)
        return request.status

    def _postpone(self, request: _Request, where: list[_Request]) -> None:
        where.append(request)
        self._loop.call_outside(LATEST * self._grace_seconds, lambda: self._land(request))

    def _land(self, request: _Request) -> None:
        if request in self._late:
            self._late.remove(request)
            self._apply(request)
        elif request in self._queue:
            self._flush()


class HttpSource:
    """``SendToSource``: the client's bytes, as far as the histories use them."""

    def __init__(self, qdrant: Qdrant, watch: Watch) -> None:
        self._qdrant = qdrant
        self._watch = watch

    async def __call__(
        self, method: str, path: str, *, query: Mapping[str, str], headers: Headers, body: bytes
    ) -> Answer:
        asked = orjson.loads(body)
        if path.endswith("/points/scroll"):
            return await self._scroll(asked)
        label, change = _operation(method, path, asked)
        epoch = EPOCH.get()

        def apply(points: dict[PointId, int]) -> int:
            self._watch.acted(epoch, label)
            return change(points)

        status, is_applied = await self._qdrant.write(label, apply)
        result = {"operation_id": 1, "status": "completed" if is_applied else "acknowledged"}
        return Answer(status, (), orjson.dumps({"result": result if status == 200 else None}))

    async def _scroll(self, asked: dict[str, Any]) -> Answer:
        wanted = _filter_value(asked["filter"])
        found = await self._qdrant.read(list(self._qdrant.points))
        points = [{"id": each} for each, value in sorted(found.items()) if value == wanted]
        result = {"points": points, "next_page_offset": None}
        return Answer(200, (), orjson.dumps({"result": result}))


def _operation(method: str, path: str, asked: dict[str, Any]) -> tuple[str, Apply]:
    match method, re.sub(r".*/points", "", path):
        case "PUT", "":
            values = {point["id"]: point["payload"]["v"] for point in asked["points"]}
            return f"upsert {values}", lambda points: _upsert(points, values)
        case "POST", "/delete" if "points" in asked:
            ids = asked["points"]
            return f"delete {ids}", lambda points: _delete(points, ids)
        case "POST", "/delete":
            return f"delete where {asked['filter']}", lambda points: _delete_matching(points, asked)
        case "POST", "/payload":
            return f"set {asked}", lambda points: _set(points, asked["points"], asked["payload"])
        case other:
            message = f"the model of Qdrant was asked for what no history writes: {other}"
            raise AssertionError(message)


def _upsert(points: dict[PointId, int], values: Mapping[PointId, int]) -> int:
    points.update(values)
    return 200


def _delete(points: dict[PointId, int], ids: Sequence[PointId]) -> int:
    for each in ids:
        points.pop(each, None)
    return 200


def _delete_matching(points: dict[PointId, int], asked: dict[str, Any]) -> int:
    """Delete what is named *and* matches: ``{"must": [{"has_id": …}, the filter]}``."""
    [named, condition] = asked["filter"]["must"]
    wanted = _filter_value(condition)
    return _delete(points, [each for each in named["has_id"] if points.get(each) == wanted])


def _set(points: dict[PointId, int], ids: Sequence[PointId], payload: dict[str, int]) -> int:
    """Set a payload until an id is not there: what came before stays changed, and the answer is 404 (R3)."""
    for each in ids:
        if each not in points:
            return 404
        points[each] = payload["v"]
    return 200


def _filter_value(condition: dict[str, Any]) -> object:
    return condition["must"][0]["match"]["value"]


class ModelMirror:
    """``MirrorSource`` over the model."""

    def __init__(self, qdrant: Qdrant) -> None:
        self._qdrant = qdrant

    def fetcher(self, collection: str) -> Fetch:
        async def fetch(ids: Sequence[PointId]) -> Sequence[Point]:
            found = await self._qdrant.read(ids)
            return [point(each, value) for each, value in found.items()]

        return fetch

    def pusher(self, collection: str) -> Push:
        async def push(present: Sequence[Point], absent: Sequence[PointId]) -> None:
            values = {each.id: each.payload["v"] for each in present}
            if values:
                await self._write(f"push {values}", lambda points: _upsert(points, values))
            if absent:
                await self._write(f"push no {absent}", lambda points: _delete(points, absent))

        return push

    async def _write(self, label: str, apply: Apply) -> None:
        _, is_applied = await self._qdrant.write(label, apply)
        if not is_applied:  # as SourceMirror: only `completed` has ended (R1)
            raise SourceUnavailable("answered a push with acknowledged")

    async def barrier(self, collection: str, ids: Sequence[PointId]) -> None:
        await self._qdrant.pass_barrier()


def point(point_id: PointId, value: int) -> Point:
    """Return a point that holds a number."""
    return Point(point_id, {}, {"v": value})


def _proves_ports(send: HttpSource, mirror: ModelMirror) -> tuple[SendToSource, MirrorSource]:
    return send, mirror
