"""A write while the source is the authority: intent → source → answer → resync (R1 … R4).

The client's own bytes go to the source; only a filter is replaced by "these ids and the filter" (R4), because ids alone
would hit a point that no longer matches and the filter alone would hit points that have no intent.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import orjson
import structlog

from service.control.state import CollectionState
from service.errors import Overloaded, Refusal, SourceUnavailable, StaleEpoch, VecferryError
from service.model.ids import PointId, encode_key, parse_point_id
from service.protocol.commits import GroupCommit, Stored
from service.protocol.ledger import Intent, LedgerEntry
from service.protocol.outcome import Outcome, as_acknowledged, outcome
from service.protocol.resync import Resyncer
from service.stages import Side, Stage
from service.steps import Step, reached

_log = structlog.get_logger(__name__)

Headers = Sequence[tuple[bytes, bytes]]

_Done = TypeVar("_Done")

_POINTS = "/points"
_FILTER_PAGE = 1_000
_FORM = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_NO_COLLECTION = "the collection was dropped under the request"
_STOOD_STILL = "the intent is too old for the write to be sent"
_PAUSES = (0.0, 0.2, 0.5, 1.0)
_CHANGED = "the collection's stage changed while the write was under way; it may have taken effect"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer held in memory."""

    status: int
    headers: Headers
    body: bytes


class SendToSource(Protocol):
    """Sends one request to the source with the client's headers and reads the whole answer."""

    async def __call__(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str],
        headers: Headers,
        body: bytes,
    ) -> Answer:
        """Raises ``SourceUnavailable``."""
        ...


class Touched(Protocol):
    """Which points one operation of a body names."""

    @property
    def ids(self) -> Sequence[PointId]:
        """The ids it names."""
        ...

    @property
    def filter(self) -> Mapping[str, Any] | None:
        """The filter whose matches it takes as well, as it stands in the body."""
        ...


@dataclass(frozen=True, slots=True)
class WriteRequest:
    """A client's write: where to, how, and what it says."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Headers
    body: bytes

    @property
    def is_batch(self) -> bool:
        """Whether the body is a list of operations."""
        return self.path.rstrip("/").endswith("/points/batch")

    @property
    def waits(self) -> bool:
        """Whether the client asked to be answered only when the write is applied."""
        return self.query.get("wait") == "true"


@dataclass(frozen=True, slots=True)
class _Cover:
    """A write's intent, and where it is."""

    entry: LedgerEntry
    stored: Stored


Renewed = Callable[[str], Awaitable[CollectionState]]
"""Looks for something newer about a collection, and returns what is known then."""


class SourceWrites:
    """Carries out point writes of collections whose authority is the source."""

    def __init__(
        self,
        send: SendToSource,
        commits: GroupCommit,
        resyncer: Resyncer,
        *,
        renewed: Renewed,
        ramp_answer_seconds: float,
    ) -> None:
        self._send = send
        self._commits = commits
        self._resyncer = resyncer
        self._renewed = renewed
        self._ramp_answer_seconds = ramp_answer_seconds

    async def write(
        self, state: CollectionState, request: WriteRequest, touched: Sequence[Touched]
    ) -> Answer:
        """Mirror one write and return the source's answer; ``touched`` has one value per operation of its body.

        Raises ``StaleEpoch`` before anything reached the source, ``TargetUnavailable`` when no intent can be
        stored, ``SourceUnavailable`` when the outcome is not known, ``Overloaded`` when the stage changed under a
        write that was under way.
        """
        has_filter = any(part.filter is not None for part in touched)
        if not has_filter:
            ids = [point_id for part in touched for point_id in part.ids]
            answer = await self._by_ids(state, request, ids)
        elif request.is_batch:
            answer = await self._one_by_one(state, request, touched)
        else:
            answer = await self._by_filter(state, request, touched[0])
        if has_filter and answer.status == HTTPStatus.OK:
            await self._owe_others(state)
        if answer.status == HTTPStatus.OK and not request.waits:
            return replace(answer, body=as_acknowledged(answer.body))
        return answer

    async def refused_form(self, request: WriteRequest) -> Answer | None:
        """Return what the source says of a request that it cannot read, ``None`` when it can read it.

        Its own words name the place in the client's request. It is asked of a collection that is not there: whatever
        it makes of the body, nothing is written without an intent.
        """
        nowhere = f"/collections/{uuid4()}{_POINTS}{request.path.rpartition(_POINTS)[2]}"
        answer = await self._forward(replace(request, path=nowhere))
        return answer if answer.status in _FORM else None

    async def _by_ids(
        self, state: CollectionState, request: WriteRequest, ids: Sequence[PointId]
    ) -> Answer:
        keys = tuple(sorted({encode_key(point_id) for point_id in ids}))
        if not keys:
            return await self._forward(request)
        if state.generation is None:
            # Dropped since the request was admitted. Sent on, it could land in a collection made a moment later.
            raise StaleEpoch(_NO_COLLECTION)
        may_owe = state.stage is not Stage.RAMP
        began = time.monotonic()
        cover = await self._intend(state, request, keys, owed=may_owe)
        if cover.stored is Stored.LEDGER:
            reached(Step.INTENT_COMMITTED)
        if self._resyncer.may_be_recovered(began):
            # We stood still: the intent may be settled already, and the stage may have changed since (R7).
            self._ended(cover)
            raise StaleEpoch(_STOOD_STILL)
        answer = await self._forward_watched(request, cover)
        reached(Step.SOURCE_ANSWERED)
        if self._resyncer.may_be_recovered(began):
            cover = await self._intend_again(state, request, keys, owed=may_owe)
        if not may_owe and not await self._is_told(cover):
            # The client is told before both stores have it: until then the source is read (R11). A
            # new intent, because a resync that is stuck holds the first one.
            await self._intend_again(state, request, keys, owed=True)
        return answer

    async def _intend(
        self,
        state: CollectionState,
        request: WriteRequest,
        keys: tuple[bytes, ...],
        *,
        owed: bool,
    ) -> _Cover:
        """Commit an intent; it is open in the resyncer when this returns."""
        generation = state.generation or 0
        intent = Intent(
            uuid4(), generation, state.epoch, Side.TARGET, owed, keys,
            f"{request.method} {request.path.rpartition(_POINTS)[2] or '/'}", state.name,
        )  # fmt: skip
        self._resyncer.opened(intent)
        try:
            stored = await self._commits.commit(intent)
        except BaseException:
            # Should it be committed all the same, the sweep finds it: the request was never sent.
            self._resyncer.dropped(intent)
            raise
        return _Cover(LedgerEntry(intent.id, generation, state.name, Side.TARGET, keys), stored)

    async def _intend_again(
        self,
        state: CollectionState,
        request: WriteRequest,
        keys: tuple[bytes, ...],
        *,
        owed: bool,
    ) -> _Cover:
        """Cover a write that has ended once more, when its first intent may be gone or says too little (R7, R11)."""
        cover = await self._go_on(
            state, lambda now: self._intend(now, request, keys, owed=owed), is_begun=True
        )
        self._ended(cover)
        return cover

    async def _go_on(
        self,
        state: CollectionState,
        step: Callable[[CollectionState], Awaitable[_Done]],
        *,
        is_begun: bool,
    ) -> _Done:
        """Do a step of a write; one that has begun goes on under a newer stage, as long as the source is right.

        What is done must not be done again: from the second step on a stale epoch ends in ``Overloaded``. An instance
        that stood still is fenced, and its epochs are refused like stale ones until it has registered again.
        """
        if not is_begun:
            return await step(state)
        for pause in _PAUSES:
            try:
                return await step(state)
            except StaleEpoch:
                await asyncio.sleep(pause)
            before, state = state, await self._renewed(state.name)
            if not _may_go_on(before, state):
                break
        raise Overloaded(_CHANGED, Refusal.STAGE_CHANGED)

    async def _is_told(self, cover: _Cover) -> bool:
        """Wait for the second store; say whether reads of it know of the write, one way or the other (R11).

        A hint is owed, and nobody reads the target while this instance is marked (R6).
        """
        return cover.stored is Stored.HINT or await self._resyncer.settled(
            cover.entry, seconds=self._ramp_answer_seconds
        )

    def _ended(self, cover: _Cover) -> None:
        match cover.stored:
            case Stored.LEDGER:
                self._resyncer.ended(cover.entry)
            case Stored.HINT:
                self._resyncer.hinted(cover.entry)

    async def _owe_others(self, state: CollectionState) -> None:
        """Keep reads of the target away until it has everything that a filter met at the source (R11).

        Another client's write may have taken a point out of the filter's reach, and nobody was told of it yet: on the
        target that point still looks as if the filter had missed it.
        """
        if state.stage is not Stage.RAMP or state.generation is None:
            return
        try:
            await self._commits.owe(state.generation, seconds=self._ramp_answer_seconds)
        except VecferryError as error:
            # Who has no Postgres marks himself before his next intent, and what he then moves to the ledger owes, too.
            _log.warning("others_not_owed", collection=state.name, error=str(error))

    async def _forward_watched(self, request: WriteRequest, cover: _Cover) -> Answer:
        """Forward a write whose intent is committed; whatever happens, its resync follows (R3)."""
        entry = cover.entry
        try:
            answer = await self._forward(request)
        except SourceUnavailable as error:
            if error.may_have_applied:
                self._resyncer.suspected(entry)
            else:
                self._ended(cover)
            raise
        except BaseException:
            # The client went away or we are stopping: the request may have reached the source.
            self._resyncer.suspected(entry)
            raise
        match outcome(answer.status, answer.body):
            case Outcome.ENDED:
                self._ended(cover)
            case Outcome.QUEUED:
                self._resyncer.queued(entry)
            case Outcome.UNKNOWN:
                self._resyncer.suspected(entry)
        return answer

    async def _forward(self, request: WriteRequest) -> Answer:
        query = {**request.query, "wait": "true"}
        return await self._send(
            request.method, request.path, query=query, headers=request.headers, body=request.body
        )

    async def _by_filter(
        self, state: CollectionState, request: WriteRequest, touched: Touched
    ) -> Answer:
        """Resolve the filter on the source page by page; each page has its own intent (R4)."""
        offset: object = None
        is_begun = False
        while True:
            found, offset, refusal = await self._resolve(request, touched.filter, offset)
            if refusal is not None:
                is_form = refusal.status in _FORM
                return (await self.refused_form(request) if is_form else None) or refusal
            page = replace(request, body=_narrowed(request, found))
            ids = [*touched.ids, *(parse_point_id(value) for value in found)]
            answer = await self._go_on(
                state, partial(self._by_ids, request=page, ids=ids), is_begun=is_begun
            )
            is_begun = True
            if offset is None or answer.status != HTTPStatus.OK:
                return answer

    async def _resolve(
        self, request: WriteRequest, condition: Mapping[str, Any] | None, offset: object
    ) -> tuple[list[Any], object, Answer | None]:
        scroll = {
            "filter": condition, "limit": _FILTER_PAGE, "offset": offset,
            "with_payload": False, "with_vector": False,
        }  # fmt: skip
        answer = await self._send(
            "POST",
            f"{request.path.rpartition(_POINTS)[0]}{_POINTS}/scroll",
            query={},
            headers=request.headers,
            body=orjson.dumps(scroll),
        )
        if answer.status != HTTPStatus.OK:
            return [], None, answer
        result = orjson.loads(answer.body)["result"]
        return [point["id"] for point in result["points"]], result["next_page_offset"], None

    async def _one_by_one(
        self, state: CollectionState, request: WriteRequest, touched: Sequence[Touched]
    ) -> Answer:
        """Run a batch that contains a filter as single-operation batches, in order; stop at the first error.

        Qdrant reads a batch whole before it does anything: one that it cannot read has no effect here either.
        """
        if (refusal := await self.refused_form(request)) is not None:
            return refusal
        results: list[Any] = []
        last: Answer | None = None
        for part, source in zip(touched, orjson.loads(request.body)["operations"], strict=True):
            single = replace(request, body=orjson.dumps({"operations": [source]}))
            if part.filter is None:
                step = partial(self._by_ids, request=single, ids=part.ids)
            else:
                step = partial(self._by_filter, request=single, touched=part)
            last = await self._go_on(state, step, is_begun=last is not None)
            if last.status != HTTPStatus.OK:
                return last
            results += orjson.loads(last.body)["result"]
        if last is None:
            return await self._forward(request)
        return replace(last, body=orjson.dumps({**orjson.loads(last.body), "result": results}))


def _may_go_on(before: CollectionState, now: CollectionState) -> bool:
    """Say whether a write that began under one stage may be finished under another: the answer is still the source's.

    A freeze holds new writes only; it waits for those that have begun.
    """
    return now.generation == before.generation and now.is_mirrored and now.authority is Side.SOURCE


def _narrowed(request: WriteRequest, ids: list[Any]) -> bytes:
    """Return the write for those of these ids that still match its filter (R4)."""
    body = orjson.loads(request.body)
    operation = next(iter(body["operations"][0].values())) if request.is_batch else body
    operation["filter"] = {"must": [{"has_id": ids}, operation["filter"]]}
    return orjson.dumps(body)
