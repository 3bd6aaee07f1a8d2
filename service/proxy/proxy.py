"""The proxy: one ASGI application in front of both stores.

Rule 1: a request is decided under one view and holds a lease on it until its answer begins.
Rule 2: while the source answers, everything passes as bytes; while the target must answer, the edge does.
Rule 3: a write that meets a freeze waits outside any lease, bounded in number and time.
"""

import time

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.envelope import start_clock
from service.api.errors import answer as error_answer
from service.control.plane import ControlPlane
from service.errors import Overloaded, StaleEpoch, VecferryError
from service.metrics import ProxyMetrics
from service.proxy.answers import Answers
from service.proxy.calls import Call, Kind, classify
from service.proxy.collections import WholeCollections
from service.proxy.exchange import Exchange
from service.proxy.freezing import FreezeQueue
from service.proxy.routing import route

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
    ) -> None:
        self._plane = plane
        self._answers = answers
        self._whole_collections = whole_collections
        self._freeze_queue = freeze_queue
        self._own_app = own_app
        self._metrics = metrics
        self._tenant_header = tenant_header.lower().encode() if tenant_header else None
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["path"] in OWN_PATHS:
            await self._own_app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, max_body_bytes=self._max_body_bytes)
        start_clock(scope, exchange.started)
        call = classify(exchange.method, exchange.path)
        try:
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
            self._record(exchange, call)

    async def _answer(self, exchange: Exchange, call: Call) -> None:
        for _ in range(_STALE_RETRIES):
            try:
                return await self._answer_once(exchange, call)
            except StaleEpoch:
                await self._plane.refresh()
        message = "the collection's stage keeps changing"
        raise Overloaded(message)

    async def _answer_once(self, exchange: Exchange, call: Call) -> None:
        if call.collection:
            await self._whole_collections.sighted(call.collection)
        if not call.collection or call.kind in WholeCollections.KINDS:
            await self._whole_collections.answer(exchange, call)
            return
        if call.kind is Kind.WRITE:
            await self._whole_collections.armed(call.collection)
            await self._freeze_queue.pass_through(call.collection)
            # Before the lease: a client may take its time to send.
            await exchange.read_ahead()
        view = self._plane.view
        state = view.state(view.physical(call.collection))
        tenant = exchange.header(self._tenant_header) if self._tenant_header else None
        with view.lease(state.name) as lease:
            exchange.on_head = lease.end
            await self._answers.by(route(call, state, view, tenant), exchange, call, state)

    def _record(self, exchange: Exchange, call: Call) -> None:
        seconds = time.perf_counter() - exchange.started
        status = f"{exchange.status // 100}xx" if exchange.status else "none"
        self._metrics.requests.labels(call.kind, exchange.answered_by, status).inc()
        self._metrics.request_seconds.labels(call.kind, exchange.answered_by).observe(seconds)
        _log.info(
            "request",
            method=exchange.method,
            path=exchange.path,
            kind=call.kind,
            status=exchange.status,
            answered_by=exchange.answered_by,
            milliseconds=round(seconds * 1000, 3),
        )
