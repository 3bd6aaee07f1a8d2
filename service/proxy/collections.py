"""Requests about collections as wholes: the list, creation, changes, deletion, aliases; and the service's own paths."""

import asyncio
from weakref import WeakValueDictionary

import structlog
from starlette.requests import Request
from starlette.types import ASGIApp

from service.api.envelope import ok
from service.control.plane import ControlPlane
from service.control.ports import ControlStore
from service.control.register import REGISTER
from service.control.sourced import create_request
from service.control.state import CollectionState, View, aliases_in_force
from service.errors import (
    CollectionNotFound,
    Overloaded,
    Refusal,
    RequestError,
    SourceUnavailable,
    StageError,
    StoreError,
)
from service.ports import VectorStore
from service.protocol.whole import WholeChanges
from service.proxy import hidden
from service.proxy.aliasing import AliasChange, parse_change, refuse_taken, side_of
from service.proxy.answers import Answers
from service.proxy.calls import Call, Kind
from service.proxy.exchange import Exchange
from service.proxy.passing import Passer
from service.proxy.routing import Route
from service.proxy.source_changes import SourceChanges
from service.stages import Side, Stage
from service.stores.alias_rules import refuse_alias_name

_log = structlog.get_logger(__name__)

_FIRST_SIGHT = "first sight"
_ROOT = "/"
_ALIASES = "/aliases"
_ARMING_ATTEMPTS = 3
_STALE_RETRIES = 3


class WholeCollections:
    """Answers what no single collection's stage decides alone. ``source`` is ``None`` when there is no Qdrant."""

    KINDS = frozenset(Kind) - {
        Kind.SEARCH, Kind.READ, Kind.WRITE, Kind.STORAGE, Kind.REPLACE
    }  # fmt: skip

    def __init__(  # noqa: PLR0913, PLR0917 - the parts it is made of, wired once
        self,
        plane: ControlPlane,
        control: ControlStore,
        source: VectorStore | None,
        passer: Passer,
        answers: Answers,
        target_app: ASGIApp,
        whole: WholeChanges,
    ) -> None:
        self._plane = plane
        self._control = control
        self._source = source
        self._passer = passer
        self._answers = answers
        self._target_app = target_app
        self._whole = whole
        self._changes = SourceChanges(plane, control, passer, whole)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def answer(self, exchange: Exchange, call: Call) -> None:
        """Answer one such request."""
        match call.kind:
            case Kind.LIST:
                await self._list(exchange)
            case Kind.CREATE | Kind.DROP | Kind.UPDATE | Kind.INDEX | Kind.VECTOR:
                await exchange.body()  # before any lock: a client may take its time to send
                await self._change(exchange, call)
            case Kind.ALIASES:
                await self._aliases(exchange)
            case _:
                await self._service(exchange, call)

    async def armed(self, collection: str, exchange: Exchange) -> None:
        """Begin to mirror a collection that is written for the first time, when everything new is to be mirrored.

        Raises ``CollectionNotFound`` when there is none: it could be made before the write arrives, which then had no
        intent. Raises ``StoreAnswered`` when Qdrant refuses the client.
        """
        name = self._plane.view.physical(collection)
        if _is_unarmed(self._plane.view.state(name)):
            await self._arm_first(name, exchange)

    async def _arm_first(self, name: str, exchange: Exchange) -> None:
        async with self._lock(name):
            state = (await self._plane.refresh()).state(name)
            if not _is_unarmed(state):
                return
            await self._changes.check_allowed(exchange, name)
            for _ in range(_ARMING_ATTEMPTS):
                await self._whole.free(name)
                state = (await self._plane.refresh()).state(name)
                if not _is_unarmed(state):
                    return
                if await self._arm(state):
                    break
        if _is_unarmed(self._plane.view.state(name)):
            raise CollectionNotFound(name)

    async def sighted(self, collection: str) -> None:
        """Leave to Qdrant what is there and was never moved, although every new collection belongs to Postgres."""
        name = self._plane.view.physical(collection)
        state = self._plane.view.state(name)
        is_new = not state.epoch and state.stage is Stage.COMPLETE
        if not is_new or self._source is None or self._plane.view.is_gone(name):
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

    async def _arm(self, before: CollectionState) -> bool:
        """Arm once; false when another change came first."""
        name = before.name
        if self._source is None:
            return True
        try:
            config = create_request((await self._source.collection_info(name)).config)
            await self._control.arm(name, config, actor=_FIRST_SIGHT, is_new=False, before=before)
        except CollectionNotFound:
            return True
        except StageError:
            _log.info("armed_elsewhere", collection=name)
            return False
        except RequestError as error:
            _log.warning("collection_not_mirrored", collection=name, reason=str(error))
            await self._control.keep_off(name, actor=f"{_FIRST_SIGHT}: {error}")
        await self._plane.refresh()
        await self._whole.synced(name)
        return True

    async def _list(self, exchange: Exchange) -> None:
        states = self._plane.view.states
        on_target = {name for name, state in states.items() if state.authority is Side.TARGET}
        present = {name for name in on_target if states[name].generation is not None}
        if self._source is not None and not on_target:
            await self._passer.forward_without(exchange, REGISTER)
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

    async def _change(self, exchange: Exchange, call: Call) -> None:
        """Change one collection as a whole, under the stage that is in force when the change begins."""
        for _ in range(_STALE_RETRIES):
            view = await self._plane.current()
            state = _state(call, view)
            if call.kind is Kind.CREATE:
                refuse_alias_name(state.name, _on_target(view))
            if self._is_local(state):
                await self._locally(exchange, call, state)
                return
            if not state.is_mirrored:
                await self._passed(exchange, state)
                return
            if (answer := await self._changes.make(exchange, call, state)) is not None:
                # Only now: what the client writes next is mirrored.
                await exchange.answer(answer.status, answer.headers, answer.body)
                return
        message = f"collection `{call.collection}` keeps changing"
        raise Overloaded(message, Refusal.COLLECTION_CHANGING)

    async def _passed(self, exchange: Exchange, state: CollectionState) -> None:
        """Let the source answer a change that nothing mirrors; a stage change waits for it."""
        with self._plane.view.lease(state.name) as lease:
            exchange.on_head = lease.end
            await self._passer.forward(exchange)

    async def _aliases(self, exchange: Exchange) -> None:
        """Change aliases in the store that is right for their collections."""
        change = parse_change(await exchange.body())
        hidden.refuse(change.names)
        view = await self._plane.current()  # the body may have taken its time
        if self._source is None:
            await self._to_target_app(exchange)
            return
        side = side_of(change, view)
        refuse_taken(change.made, view, side, await self._of_other(change, side, view))
        if side is Side.TARGET:
            await self._to_target_app(exchange)
            return
        states = [view.state(name) for name in change.collections(view.aliases)]
        answer = await self._changes.aliases(exchange, states)
        await exchange.answer(answer.status, answer.headers, answer.body)

    async def _of_other(self, change: AliasChange, side: Side, view: View) -> list[str]:
        """Return the collections of the store that does not carry out the change, as far as they are known."""
        known = [name for name, state in view.states.items() if state.generation is not None]
        if (
            side is Side.SOURCE
            or not change.made
            or self._source is None
            or self._is_all_complete()
        ):
            return known
        try:
            return [*known, *await self._source.collections()]
        except StoreError as error:
            # Where Postgres is right nobody waits for Qdrant.
            _log.warning("alias_names_unchecked", error=str(error))
            return known

    async def _list_aliases(self, exchange: Exchange, source: VectorStore) -> None:
        """Answer with the aliases of both stores, each where it is right."""
        if await self._answers.is_refused(exchange):
            return
        exchange.answered_by = "both"
        of_source = {
            alias: name for alias, name in (await source.aliases()).items() if name != REGISTER
        }
        in_force = aliases_in_force(self._plane.view.states.values(), of_source)
        result = {
            "aliases": [
                {"alias_name": alias, "collection_name": name}
                for alias, name in sorted(in_force.items())
            ]
        }
        await ok(Request(exchange.scope), result)(exchange.scope, exchange.replay(), exchange.send)

    async def _service(self, exchange: Exchange, call: Call) -> None:
        if self._source is None or self._is_all_complete():
            await self._to_target_app(exchange)
            return
        if (exchange.method, exchange.path.rstrip("/")) == ("GET", _ALIASES) and self._is_split():
            await self._list_aliases(exchange, self._source)
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

    async def _locally(self, exchange: Exchange, call: Call, state: CollectionState) -> None:
        with self._plane.view.lease(state.name):
            await self._answers.by(Route.TARGET, exchange, call, state)

    def _is_local(self, state: CollectionState) -> bool:
        return state.authority is Side.TARGET or self._source is None

    def _is_split(self) -> bool:
        """Say whether Postgres is right for some collection."""
        states = self._plane.view.states.values()
        return any(state.authority is Side.TARGET for state in states)

    def _is_all_complete(self) -> bool:
        """Say whether no collection, known or new, involves the source any more."""
        states = self._plane.view.states.values()
        first = self._plane.view.state("").stage
        return first is Stage.COMPLETE and all(state.stage is Stage.COMPLETE for state in states)


def _state(call: Call, view: View) -> CollectionState:
    """Return the state of what a request is about: only an own name is made or dropped, an alias never."""
    is_own = call.kind in {Kind.CREATE, Kind.DROP}
    return view.state(call.collection if is_own else view.physical(call.collection))


def _is_unarmed(state: CollectionState) -> bool:
    return state.generation is None and state.is_mirrored and state.authority is Side.SOURCE


def _on_target(view: View) -> set[str]:
    """Return the aliases of collections that Postgres is right for: Qdrant may not know them."""
    return {
        alias for alias, name in view.aliases.items() if view.state(name).authority is Side.TARGET
    }
