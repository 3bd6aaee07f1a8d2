"""The proxy: one ASGI application in front of both stores.

Rule 1: a request is decided under one view and holds a lease on it until its answer begins.
Rule 2: while the source answers, everything passes as bytes; while the target must answer, the edge does.
Rule 3: a write that meets a freeze waits outside any lease, bounded in number and time.
Rule 4: health and metrics are never refused; everything else is, before its body is read, when too much is under way.
"""

import time
from http import HTTPStatus

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.envelope import Refused, start_clock, watch_refusals
from service.api.errors import answer as error_answer
from service.api.request_ids import RequestIds
from service.control.plane import ControlPlane
from service.control.register import REGISTER
from service.control.state import View
from service.errors import Overloaded, Refusal, StaleEpoch, VecferryError
from service.metrics import ProxyMetrics
from service.proxy import hidden, lookups
from service.proxy.admission import refusal
from service.proxy.answers import Answers
from service.proxy.bounds import InFlight, Room
from service.proxy.calls import Call, Kind, classify
from service.proxy.collections import WholeCollections
from service.proxy.exchange import Exchange
from service.proxy.freezing import FreezeQueue
from service.proxy.routing import Route, route

_log = structlog.get_logger(__name__)

OWN_PATHS = frozenset({"/metrics", "/healthz", "/readyz", "/livez"})
"""Answered by vecferry itself, whatever Qdrant has there."""

_STALE_RETRIES = 3


class Proxy:
    """Decides for every request which store answers, and counts and logs it once."""

    def __init__(  # noqa: PLR0913 - the parts it is made of, wired once
        self,
        *,
        plane: ControlPlane,
        answers: Answers,
        whole_collections: WholeCollections,
        freeze_queue: FreezeQueue,
        own_app: ASGIApp,
        metrics: ProxyMetrics,
        tenant_header: str | None,
        max_body_bytes: int,
        in_flight: InFlight,
        room: Room,
    ) -> None:
        self._plane = plane
        self._answers = answers
        self._whole_collections = whole_collections
        self._freeze_queue = freeze_queue
        self._own_app = own_app
        self._metrics = metrics
        self._tenant_header = tenant_header.lower().encode() if tenant_header else None
        self._max_body_bytes = max_body_bytes
        self._in_flight = in_flight
        self._room = room
        self._identified = RequestIds(self._serve)
        metrics.requests_in_flight.set_function(lambda: in_flight.count)
        metrics.body_bytes.set_function(lambda: room.held)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        await self._identified(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] in OWN_PATHS:
            await self._own_app(scope, receive, send)
            return
        exchange = Exchange(
            scope, receive, send, max_body_bytes=self._max_body_bytes, room=self._room
        )
        start_clock(scope, exchange.started)
        refusals = watch_refusals(scope)
        call = classify(exchange.method, exchange.path)
        try:
            with self._in_flight.one():
                await self._answer(exchange, call)
        except ClientDisconnect:
            exchange.answered_by = "nobody"
        except Exception as error:  # noqa: BLE001 - what nobody foresaw is logged and answered 500 there
            if not exchange.status:
                await error_answer(Request(scope), error)(scope, receive, exchange.send)
            else:
                # The head is out: the server cuts the connection of an answer that is not complete.
                is_ours = not isinstance(error, VecferryError)
                _log.warning(
                    "answer_broken_off", path=exchange.path, error=str(error), exc_info=is_ours
                )
        finally:
            exchange.close()
            self._record(exchange, call, refusals)

    async def _answer(self, exchange: Exchange, call: Call) -> None:
        for _ in range(_STALE_RETRIES):
            try:
                return await self._answer_once(exchange, call)
            except StaleEpoch:
                await self._plane.renewed(self._plane.view.physical(call.collection))
        message = "the collection's stage keeps changing"
        raise Overloaded(message, Refusal.STAGE_CHANGED)

    async def _answer_once(self, exchange: Exchange, call: Call) -> None:
        view = await self._admitted(call)
        if view.physical(call.collection) == REGISTER:
            await hidden.answer(exchange, call)
            return
        if call.collection and not view.is_detached:
            await self._whole_collections.sighted(call.collection)
        if not call.collection or call.kind in WholeCollections.KINDS:
            await self._whole_collections.answer(exchange, call)
            return
        if call.kind is Kind.WRITE or view.is_detached:
            await self._ready_to_decide(exchange, call)
        body = await exchange.body() if lookups.may_look_elsewhere(call, view) else None
        view = await self._admitted(call)
        state = view.state(view.physical(call.collection))
        if view.is_detached and state.frozen:
            message = "the collection is changing its stage"
            raise StaleEpoch(message)
        tenant = exchange.header(self._tenant_header) if self._tenant_header else None
        chosen = route(call, state, view, tenant)
        if lookups.may_look_elsewhere(call, view):
            if body is None:
                message = "the stages changed under the request"
                raise StaleEpoch(message)
            elsewhere = lookups.others(body, state, view)
            lookups.refuse_elsewhere(state, elsewhere)
            if elsewhere and chosen is Route.TARGET_IF_CURRENT:
                chosen = Route.PASS  # nobody asked what the target lacks of the others
        with view.lease(state.name) as lease:
            exchange.on_head = lease.end
            await self._answers.by(chosen, exchange, call, state)

    async def _admitted(self, call: Call) -> View:
        """Return the view in force. Raises ``Overloaded`` when the request cannot be decided under it."""
        view = await self._plane.current()
        reason = refusal(call, view)
        if reason is not None:
            raise Overloaded(reason, Refusal.DETACHED)
        return view

    async def _ready_to_decide(self, exchange: Exchange, call: Call) -> None:
        """Wait for whatever a write waits for; what it waited for may have changed the view."""
        if call.kind is Kind.WRITE:
            await self._whole_collections.armed(call.collection, exchange)
        with self._in_flight.aside():
            await self._freeze_queue.pass_through(call.collection)
        if call.kind is Kind.WRITE:
            # Before the lease: a client may take its time to send.
            await exchange.read_ahead()

    def _record(self, exchange: Exchange, call: Call, refusals: list[Refused]) -> None:
        ended = time.perf_counter()
        seconds = ended - exchange.started
        self._metrics.waits.saw(seconds, at=ended)
        status = f"{exchange.status // 100}xx" if exchange.status else "none"
        self._metrics.answered(call.kind, exchange.answered_by, status, seconds)
        # What the source answered after the target was refused is no refusal.
        refused = (
            refusals[-1] if refusals and exchange.status == HTTPStatus.SERVICE_UNAVAILABLE else None
        )
        if refused is not None:
            self._metrics.refused_requests.labels(refused.reason).inc()
        _log.info(
            "request",
            method=exchange.method,
            path=exchange.path,
            kind=call.kind,
            status=exchange.status,
            answered_by=exchange.answered_by,
            milliseconds=round(seconds * 1000, 3),
            **_fields(refused),
        )


def _fields(refused: Refused | None) -> dict[str, str]:
    return {} if refused is None else {"refused": refused.reason, "detail": refused.detail}
