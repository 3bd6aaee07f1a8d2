"""The ways to answer a request to one collection, one per route."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, unquote

import orjson
from starlette.types import ASGIApp, Scope

from service import epochs
from service.api.qdrant.parameters import parse_parameters
from service.api.qdrant.touched import touched
from service.control.state import CollectionState
from service.errors import (
    Overloaded,
    Refusal,
    RequestError,
    StaleEpoch,
    Unsupported,
    VecferryError,
)
from service.protocol.ledger import IntentLog
from service.protocol.resync import Resyncer
from service.protocol.source_writes import SourceWrites, WriteRequest
from service.proxy import access
from service.proxy.attempts import Attempts
from service.proxy.calls import Call, Kind
from service.proxy.comparing import shadow_read
from service.proxy.exchange import Captured, Exchange
from service.proxy.passing import Passer
from service.proxy.routing import Route
from shadow.reads import ShadowReads

_QUESTION_SECONDS = 1.0
_MOVES = frozenset(
    {
        "abort_resharding", "abort_transfer", "commit_read_hash_ring", "commit_write_hash_ring",
        "create_sharding_key", "drop_replica", "finish_resharding", "move_shard",
        "replicate_shard", "restart_transfer", "start_resharding",
    }
)  # fmt: skip
"""What ``POST /collections/{name}/cluster`` can do without taking a point away."""
_BY_THE_SOURCE = frozenset({Route.PASS, Route.PASS_AND_COMPARE, Route.TARGET_IF_CURRENT})
"""Routes on which the source answers, or does when the target cannot."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers requests; ``target_key`` is what a client must show when Postgres answers."""

    passer: Passer
    writes: SourceWrites
    log: IntentLog
    resyncer: Resyncer
    shadow: ShadowReads
    target_app: ASGIApp
    target_key: str | None
    attempts: Attempts
    may_move: Callable[[], bool]
    """Whether no instance is known to write without Postgres (R11)."""
    ramp_read_seconds: float
    """How long a moved read may take in all, before the source answers it."""

    async def by(
        self, chosen: Route, exchange: Exchange, call: Call, state: CollectionState
    ) -> None:
        """Answer by a route. Raises ``StaleEpoch`` when the stage changed: nothing was done then."""
        if state.frozen and chosen in _BY_THE_SOURCE:
            await self._check_published(state)
        match chosen:
            case Route.PASS:
                await self.passer.forward(exchange, may_repeat=call.may_repeat)
            case Route.PASS_AND_COMPARE:
                await self._compare(exchange, call, state)
            case Route.TARGET:
                await self._from_target(exchange, call, state)
            case Route.TARGET_IF_CURRENT:
                await self._from_current_target(exchange, call, state)
            case Route.MIRROR_FROM_SOURCE:
                await self._mirror(exchange, call, state)
            case Route.REFUSE if await _keeps_points(exchange, call):
                await self.passer.forward(exchange)
            case Route.REFUSE:
                raise Unsupported(
                    f"{call.method} {exchange.path}",
                    f"would change `{state.name}` around the mirror; set its stage to off first",
                )

    async def is_refused(self, exchange: Exchange) -> bool:
        """Say whether the client lacks the key for an answer of ours; it has been told so then."""
        text = access.refusal(exchange, self.target_key)
        if text is not None:
            await exchange.answer(HTTPStatus.UNAUTHORIZED, (), text.encode())
        return text is not None

    async def _mirror(self, exchange: Exchange, call: Call, state: CollectionState) -> None:
        exchange.answered_by = "source"
        body = await exchange.body()
        parse_parameters(exchange.query)
        if (coding := exchange.header(b"content-encoding")) not in {None, "identity"}:
            raise Unsupported(f"Content-Encoding: {coding}", "hides which points a write touches")
        request = WriteRequest(
            exchange.method,
            _physical_path(call, state),
            exchange.query,
            exchange.headers,
            body,
        )
        try:
            operations = touched(call.method, call.suffix.removeprefix("points"), body)
        except RequestError:
            refusal = await self.writes.refused_form(request)
            if refusal is None:
                raise
            await exchange.answer(refusal.status, refusal.headers, refusal.body)
            return
        answer = await self.writes.write(state, request, operations or ())
        await exchange.answer(answer.status, answer.headers, answer.body)

    async def _compare(self, exchange: Exchange, call: Call, state: CollectionState) -> None:
        generation, is_small = state.generation, exchange.is_small
        if generation is None or not is_small or not self.shadow.wants(state.name):
            await self.passer.forward(exchange, may_repeat=True)
            return
        request = await exchange.body()
        disturbed = self.resyncer.watch.begin(generation)
        started = time.perf_counter()
        copy = await self.passer.forward_copied(exchange)
        seconds = time.perf_counter() - started
        if exchange.status == HTTPStatus.OK:
            read = shadow_read(
                call, state.name, request, copy, seconds=seconds, disturbed=disturbed
            )
            if read is not None:
                self.shadow.offer(read)

    async def _from_target(self, exchange: Exchange, call: Call, state: CollectionState) -> None:
        if await self.is_refused(exchange):
            return
        exchange.answered_by = "target"
        scope = _scope(exchange, call, state)
        if call.kind not in {Kind.READ, Kind.SEARCH} or not state.epoch:
            await self.target_app(scope, exchange.replay(), exchange.send)
            return
        await exchange.body()  # a client sends it once, and the request may be decided anew
        captured = Captured()
        with epochs.collected() as proven:
            await self.target_app(scope, exchange.replay(), captured.send)
        # Epochs only grow: one that is current now was current when the read was made (I6).
        if proven != {state.epoch}:
            await self._is_owing(state)
        await captured.release(exchange)

    async def _from_current_target(
        self, exchange: Exchange, call: Call, state: CollectionState
    ) -> None:
        """Answer a moved read from the target only when it lacks nothing (R11).

        The source is right at this stage: it also answers what the target cannot, or fails to.
        """
        await exchange.body()
        captured = None
        if access.refusal(exchange, self.target_key) is None and self.may_move():
            captured = await self._attempted(exchange, call, state)
        if captured is not None and 0 < captured.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            exchange.answered_by = "target"
            await captured.release(exchange)
        else:
            await self.passer.forward(exchange, may_repeat=call.may_repeat)

    async def _attempted(
        self, exchange: Exchange, call: Call, state: CollectionState
    ) -> Captured | None:
        """Ask the target within the budget; ``None`` when it does not answer or lacks something."""
        try:
            return await self.attempts.within(
                self.ramp_read_seconds, self._from_unowing_target(exchange, call, state)
            )
        except StaleEpoch:
            raise
        except (VecferryError, TimeoutError):
            return None

    async def _from_unowing_target(
        self, exchange: Exchange, call: Call, state: CollectionState
    ) -> Captured | None:
        if await self._is_owing(state):
            return None
        captured = Captured()
        await self.target_app(_scope(exchange, call, state), exchange.replay(), captured.send)
        return captured

    async def _check_published(self, state: CollectionState) -> None:
        """Let the source answer under a freeze only while the target is not right yet: writes go there at once (I7).

        An instance that decides by the records waits for the freeze to end instead. Raises ``StaleEpoch``, and
        ``Overloaded`` when Postgres does not say.
        """
        try:
            async with asyncio.timeout(_QUESTION_SECONDS):
                await self._is_owing(state)
        except StaleEpoch:
            raise
        except (VecferryError, TimeoutError):
            message = f"collection `{state.name}` is changing its stage, retry"
            raise Overloaded(message, Refusal.STAGE_CHANGED) from None

    async def _is_owing(self, state: CollectionState) -> bool:
        if state.generation is None:
            return True
        owing = await self.log.is_owing(state.generation, state.epoch)
        if owing is None:
            message = "the collection's stage changed under the request"
            raise StaleEpoch(message)
        return owing


async def _keeps_points(exchange: Exchange, call: Call) -> bool:
    """Say whether a change of the cluster leaves every point where the mirror knows it."""
    if (call.method, call.suffix) != ("POST", "cluster"):
        return False
    try:
        wanted = orjson.loads(await exchange.body())
    except orjson.JSONDecodeError:
        return False
    return isinstance(wanted, dict) and bool(wanted) and wanted.keys() <= _MOVES


def _scope(exchange: Exchange, call: Call, state: CollectionState) -> Scope:
    """Return the scope with an alias replaced by the collection it stands for."""
    if call.collection == state.name or call.suffix == "aliases":  # an alias has none of its own
        return exchange.scope
    path = _physical_path(call, state)
    return {**exchange.scope, "path": unquote(path), "raw_path": path.encode()}


def _physical_path(call: Call, state: CollectionState) -> str:
    """Return the path with an alias replaced by what it stands for: it may move before the write arrives (R10)."""
    return f"/collections/{quote(state.name, safe='')}/{call.suffix}".rstrip("/")
