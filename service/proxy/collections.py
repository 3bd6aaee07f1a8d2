"""Requests about collections as wholes: the list, creation, changes, deletion, aliases; and the service's own paths."""

import asyncio
from http import HTTPStatus
from typing import Any
from weakref import WeakValueDictionary

import orjson
import structlog
from starlette.requests import Request
from starlette.types import ASGIApp

from service.api.envelope import ok
from service.control.plane import ControlPlane
from service.control.ports import ControlStore
from service.control.sourced import create_request
from service.control.state import CollectionState
from service.errors import (
    CollectionNotFound,
    RequestError,
    SourceUnavailable,
    StageError,
    Unsupported,
)
from service.ports import VectorStore
from service.protocol.source_writes import Answer
from service.proxy.answers import Answers
from service.proxy.calls import Call, Kind
from service.proxy.exchange import Exchange
from service.proxy.passing import Passer
from service.proxy.routing import Route
from service.stages import Side, Stage

_log = structlog.get_logger(__name__)

_FIRST_SIGHT = "first sight"
_ALIAS_SECONDS = 5.0
_ROOT = "/"


class WholeCollections:
    """Answers what no single collection's stage decides alone. ``source`` is ``None`` when there is no Qdrant."""

    KINDS = frozenset({Kind.LIST, Kind.CREATE, Kind.UPDATE, Kind.DROP, Kind.ALIASES, Kind.SERVICE})

    def __init__(  # noqa: PLR0917 - the parts it is made of, wired once
        self,
        plane: ControlPlane,
        control: ControlStore,
        source: VectorStore | None,
        passer: Passer,
        answers: Answers,
        target_app: ASGIApp,
    ) -> None:
        self._plane = plane
        self._control = control
        self._source = source
        self._passer = passer
        self._answers = answers
        self._target_app = target_app
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def answer(self, exchange: Exchange, call: Call) -> None:
        """Answer one such request."""
        match call.kind:
            case Kind.LIST:
                await self._list(exchange)
            case Kind.CREATE:
                await self._create(exchange, call)
            case Kind.DROP:
                await self._drop(exchange, call)
            case Kind.ALIASES:
                await self._aliases(exchange)
            case Kind.UPDATE:
                await self._update(exchange, call)
            case _:
                await self._service(exchange, call)

    async def armed(self, collection: str) -> None:
        """Begin to mirror a collection that is written for the first time, when everything new is to be mirrored."""
        name = self._plane.view.physical(collection)
        state = self._plane.view.state(name)
        if state.generation is not None or state.stage is not Stage.DUALWRITE:
            return
        async with self._lock(name):
            newest = (await self._plane.refresh()).state(name)
            if newest.generation is None and newest.stage is Stage.DUALWRITE:
                await self._arm(newest, is_new=False)

    async def sighted(self, collection: str) -> None:
        """Leave to Qdrant what is there and was never moved, although every new collection belongs to Postgres."""
        name = self._plane.view.physical(collection)
        state = self._plane.view.state(name)
        if state.epoch or state.stage is not Stage.COMPLETE or self._source is None:
            return
        async with self._lock(name):
            is_known = (await self._plane.refresh()).state(name).epoch
            if not is_known and await self._source.has_collection(name):
                _log.warning("collection_left_to_source", collection=name)
                await self._control.keep_off(name, actor=f"{_FIRST_SIGHT}: it is in Qdrant")
                await self._plane.refresh()

    def _lock(self, name: str) -> asyncio.Lock:
        """Return the lock under which this instance creates, drops and arms a collection."""
        return self._locks.setdefault(name, asyncio.Lock())

    async def _arm(self, before: CollectionState, *, is_new: bool) -> None:
        name = before.name
        if self._source is None:
            return
        try:
            config = create_request((await self._source.collection_info(name)).config)
            await self._control.arm(name, config, actor=_FIRST_SIGHT, is_new=is_new, before=before)
        except CollectionNotFound:
            return  # Qdrant will say so to the client
        except StageError:
            _log.info("armed_elsewhere", collection=name)
        except RequestError as error:
            _log.warning("collection_not_mirrored", collection=name, reason=str(error))
            await self._control.keep_off(name, actor=f"{_FIRST_SIGHT}: {error}")
        await self._plane.refresh()

    async def _list(self, exchange: Exchange) -> None:
        states = self._plane.view.states
        on_target = {name for name, state in states.items() if state.authority is Side.TARGET}
        present = {name for name in on_target if states[name].generation is not None}
        if self._source is not None and not on_target:
            await self._passer.forward(exchange, may_repeat=True)
            return
        if await self._answers.is_refused(exchange):
            return
        exchange.answered_by = "both"
        on_source: set[str] = set()
        if self._source is not None and not self._is_all_complete():
            on_source = set(await self._source.collections())
        names = sorted(present | (on_source - on_target))
        result = {"collections": [{"name": name} for name in names]}
        await ok(Request(exchange.scope), result)(exchange.scope, exchange.replay(), exchange.send)

    async def _create(self, exchange: Exchange, call: Call) -> None:
        await exchange.body()  # before the lock: a client may take its time to send
        async with self._lock(self._state(call).name):
            state = self._state(call)
            if self._is_local(state):
                await self._locally(exchange, call, state)
                return
            answer = await self._asked(exchange, state)
            if answer.status == HTTPStatus.OK and state.is_mirrored:
                newest = (await self._plane.refresh()).state(state.name)
                if newest.is_mirrored and newest.generation == state.generation:
                    await self._arm(newest, is_new=True)
        # Only now: what the client writes next is mirrored.
        await exchange.answer(answer.status, answer.headers, answer.body)

    async def _drop(self, exchange: Exchange, call: Call) -> None:
        await exchange.body()
        async with self._lock(self._state(call).name):
            state = self._state(call)
            if self._is_local(state):
                await self._locally(exchange, call, state)
                return
            answer = await self._asked(exchange, state)
            if answer.status == HTTPStatus.OK and state.is_mirrored and state.epoch:
                await self._control.retire(state.name, actor="delete collection")
                await self._plane.refresh()
        await exchange.answer(answer.status, answer.headers, answer.body)

    async def _update(self, exchange: Exchange, call: Call) -> None:
        state = self._state(call)
        if self._is_local(state):
            await self._locally(exchange, call, state)
        else:
            await self._passer.forward(exchange)

    async def _aliases(self, exchange: Exchange) -> None:
        names = _alias_names(await exchange.body())
        view = self._plane.view
        moved = [name for name in names if view.state(view.physical(name)).authority is Side.TARGET]
        if moved or self._source is None:
            path = "POST /collections/aliases"
            raise Unsupported(path, f"cannot change aliases of {moved} while Postgres answers")
        answer = await self._asked(exchange, None)
        if answer.status == HTTPStatus.OK and any(s.is_mirrored for s in view.states.values()):
            revision = await self._control.touch()
            try:
                # Before the answer: whoever writes to a new alias next is mirrored, on every instance.
                await self._plane.confirmed_by_all(revision, seconds=_ALIAS_SECONDS)
            except StageError as error:
                _log.warning("alias_change_unconfirmed", reason=str(error))
        await exchange.answer(answer.status, answer.headers, answer.body)

    async def _service(self, exchange: Exchange, call: Call) -> None:
        if self._source is None or self._is_all_complete():
            await self._to_target_app(exchange)
            return
        try:
            await self._passer.forward(exchange, may_repeat=call.may_repeat)
        except SourceUnavailable:
            if exchange.path != _ROOT or exchange.status:
                raise
            await self._to_target_app(exchange)

    async def _to_target_app(self, exchange: Exchange) -> None:
        # Qdrant, too, tells its version to everybody.
        if exchange.path != _ROOT and await self._answers.is_refused(exchange):
            return
        exchange.answered_by = "target"
        await self._target_app(exchange.scope, exchange.replay(), exchange.send)

    async def _asked(self, exchange: Exchange, state: CollectionState | None) -> Answer:
        """Ask the source and hold the answer back."""
        exchange.answered_by = "source"
        body = await exchange.body()
        with self._plane.view.lease(state.name if state else ""):
            return await self._passer.send(
                exchange.method,
                exchange.path,
                query=exchange.query,
                headers=exchange.headers,
                body=body,
            )

    async def _locally(self, exchange: Exchange, call: Call, state: CollectionState) -> None:
        with self._plane.view.lease(state.name):
            await self._answers.by(Route.TARGET, exchange, call, state)

    def _is_local(self, state: CollectionState) -> bool:
        return state.authority is Side.TARGET or self._source is None

    def _state(self, call: Call) -> CollectionState:
        view = self._plane.view
        return view.state(view.physical(call.collection))

    def _is_all_complete(self) -> bool:
        """Say whether no collection, known or new, involves the source any more."""
        states = self._plane.view.states.values()
        first = self._plane.view.state("").stage
        return first is Stage.COMPLETE and all(state.stage is Stage.COMPLETE for state in states)


def _alias_names(body: bytes) -> list[str]:
    """Return every collection and alias that the actions name; what cannot be read is left to Qdrant to refuse."""
    try:
        actions: Any = orjson.loads(body)["actions"]
        named = [parts for action in actions for parts in action.values()]
        keys = ("collection_name", "alias_name", "old_alias_name", "new_alias_name")
        return [parts[key] for parts in named for key in keys if key in parts]
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return []
