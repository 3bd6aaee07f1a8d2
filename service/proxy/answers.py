"""The ways to answer a request to one collection, one per route."""

import asyncio
import time
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import quote, unquote

from starlette.types import ASGIApp, Scope

from service.api.qdrant.parameters import parse_parameters
from service.api.qdrant.touched import touched
from service.control.state import CollectionState
from service.errors import StaleEpoch, Unsupported, VecferryError
from service.protocol.ledger import IntentLog
from service.protocol.resync import Resyncer
from service.protocol.source_writes import SourceWrites, WriteRequest
from service.proxy import access
from service.proxy.calls import Call, Kind
from service.proxy.comparing import shadow_read
from service.proxy.exchange import Captured, Exchange
from service.proxy.passing import Passer
from service.proxy.routing import Route
from shadow.reads import ShadowReads

_QUESTION_SECONDS = 1.0
"""How long a moved read waits to hear that the target is current, before the source answers it."""


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

    async def by(
        self, chosen: Route, exchange: Exchange, call: Call, state: CollectionState
    ) -> None:
        """Answer by a route. Raises ``StaleEpoch`` when the stage changed: nothing was done then."""
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
        operations = touched(call.method, call.suffix.removeprefix("points"), body)
        request = WriteRequest(
            exchange.method,
            _physical_path(call, state),
            exchange.query,
            exchange.headers,
            body,
        )
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
        if call.kind in {Kind.READ, Kind.SEARCH} and state.epoch:
            await self._is_owing(state)  # for its check of the epoch: I6
        await self.target_app(_scope(exchange, call, state), exchange.replay(), exchange.send)

    async def _from_current_target(
        self, exchange: Exchange, call: Call, state: CollectionState
    ) -> None:
        """Answer a moved read from the target only when it lacks nothing (R11).

        The source is right at this stage: it also answers what the target cannot, or fails to.
        """
        await exchange.body()
        captured = Captured()
        if access.refusal(exchange, self.target_key) is None and await self._is_current(state):
            scope = _scope(exchange, call, state)
            await self.target_app(scope, exchange.replay(), captured.send)
        if 0 < captured.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            exchange.answered_by = "target"
            await captured.release(exchange)
        else:
            await self.passer.forward(exchange, may_repeat=call.may_repeat)

    async def _is_current(self, state: CollectionState) -> bool:
        try:
            async with asyncio.timeout(_QUESTION_SECONDS):
                return not await self._is_owing(state)
        except StaleEpoch:
            raise
        except (VecferryError, TimeoutError):
            return False

    async def _is_owing(self, state: CollectionState) -> bool:
        if state.generation is None:
            return True
        owing = await self.log.is_owing(state.generation, state.epoch)
        if owing is None:
            message = "the collection's stage changed under the request"
            raise StaleEpoch(message)
        return owing


def _scope(exchange: Exchange, call: Call, state: CollectionState) -> Scope:
    """Return the scope with an alias replaced by the collection it stands for."""
    if call.collection == state.name:
        return exchange.scope
    path = _physical_path(call, state)
    return {**exchange.scope, "path": unquote(path), "raw_path": path.encode()}


def _physical_path(call: Call, state: CollectionState) -> str:
    """Return the path with an alias replaced by what it stands for: it may move before the write arrives (R10)."""
    return f"/collections/{quote(state.name, safe='')}/{call.suffix}".rstrip("/")
