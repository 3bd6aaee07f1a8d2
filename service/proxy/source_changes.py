"""Changes of whole collections while the source is right: ``*`` intent, the client's request, answer (R10)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from urllib.parse import quote

import orjson

from service.control.plane import ControlPlane
from service.control.ports import ControlStore
from service.control.state import CollectionState
from service.errors import Overloaded, Refusal, SourceUnavailable, StoreAnswered
from service.protocol.outcome import Outcome, as_acknowledged, outcome
from service.protocol.source_writes import Answer
from service.protocol.whole import WholeChanges
from service.protocol.whole_log import WholeIntent
from service.proxy.calls import Call, Kind
from service.proxy.exchange import Exchange
from service.proxy.passing import Passer
from service.stages import Stage

_REFUSALS = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class SourceChanges:
    """Carries them out; the client's own bytes go to the source."""

    def __init__(
        self, plane: ControlPlane, control: ControlStore, passer: Passer, whole: WholeChanges
    ) -> None:
        self._plane = plane
        self._control = control
        self._passer = passer
        self._whole = whole

    async def make(self, exchange: Exchange, call: Call, state: CollectionState) -> Answer | None:
        """Change one collection and return the source's answer; ``None`` when the stage must be looked at again.

        A collection that is to be dropped is held first, on all instances: no write of the old one may land in one that
        is made again under the name. Parameters and payload indexes touch no point, so nothing is held for them. Who
        makes or removes a named vector is alone with the collection: one that was removed and made again is empty.
        """
        await self.check_allowed(exchange, state.name)
        replaces = call.kind in {Kind.CREATE, Kind.DROP, Kind.VECTOR}
        intent = await self._whole.intend(
            state, replaces=replaces, gives_up=call.kind is Kind.DROP, cause=call.kind
        )
        if intent is None:
            return None
        path = f"/collections/{quote(state.name, safe='')}/{call.suffix}".rstrip("/")
        # An index is built while the client waits only if he asked for that: what is queued is settled later (R1).
        # A named vector takes no time, and points that have it can be copied only when it is known to be there.
        query = dict(exchange.query)
        if call.kind is Kind.VECTOR:
            query["wait"] = "true"
        answer = await self._sent(exchange, [intent], path, query)
        ended = _outcome(answer)
        is_made = call.kind is Kind.CREATE and answer.status == HTTPStatus.OK
        await self._ended([intent], ended, is_made=is_made)
        if query != exchange.query and answer.status == HTTPStatus.OK and not _waits(exchange):
            return replace(answer, body=as_acknowledged(answer.body))
        return answer

    async def aliases(self, exchange: Exchange, states: Sequence[CollectionState]) -> Answer:
        """Change aliases; every instance knows the new ones when this returns."""
        mirrored = [state for state in states if state.is_mirrored and state.generation is not None]
        intents: list[WholeIntent] = []
        if mirrored:
            await self.check_allowed(exchange, mirrored[0].name)
        for state in mirrored:
            intent = await self._whole.intend(
                state, replaces=False, gives_up=False, cause=Kind.ALIASES
            )
            if intent is None:
                for taken in intents:
                    await self._whole.forget(taken)
                message = f"collection `{state.name}` is changing"
                raise Overloaded(message, Refusal.COLLECTION_CHANGING)
            intents.append(intent)
        answer = await self._sent(exchange, intents, exchange.path, exchange.query)
        if answer.status == HTTPStatus.OK and any(
            state.stage is not Stage.OFF for state in self._plane.view.states.values()
        ):
            # Before the answer: whoever writes to a new alias next is mirrored, on every instance.
            await self._plane.seen_by_all(await self._control.touch())
        await self._ended(intents, _outcome(answer), is_made=False)
        return answer

    async def check_allowed(self, exchange: Exchange, name: str) -> None:
        """Ask the source with the client's key before anything is noted. Raises ``StoreAnswered`` for a refusal.

        A stranger's request shall neither hold writes nor begin to mirror a collection.
        """
        path = f"/collections/{quote(name, safe='')}"
        answer = await self._passer.send(
            "GET", path, query={}, headers=_without_body(exchange), body=b""
        )
        if answer.status in _REFUSALS:
            raise StoreAnswered(answer.status, answer.body)

    async def _sent(
        self,
        exchange: Exchange,
        intents: Sequence[WholeIntent],
        path: str,
        query: Mapping[str, str],
    ) -> Answer:
        """Send the client's request; whatever happens, the intents follow it."""
        exchange.answered_by = "source"
        try:
            return await self._passer.send(
                exchange.method,
                path,
                query=query,
                headers=exchange.headers,
                body=await exchange.body(),
            )
        except SourceUnavailable as error:
            ended = Outcome.UNKNOWN if error.may_have_applied else Outcome.ENDED
            await self._ended(intents, ended, is_made=False)
            raise
        except BaseException:
            # The client went away or we are stopping: the request may have reached the source.
            for intent in intents:
                self._whole.suspected(intent)
            raise

    async def _ended(
        self, intents: Sequence[WholeIntent], ended: Outcome, *, is_made: bool
    ) -> None:
        for intent in intents:
            await self._whole.ended(intent, ended, is_made=is_made)


def _outcome(answer: Answer) -> Outcome:
    """Classify the answer to a change; ``result: true`` is the end of everything but a payload index (R1)."""
    if answer.status != HTTPStatus.OK:
        return outcome(answer.status, answer.body)
    try:
        result = orjson.loads(answer.body)["result"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return Outcome.UNKNOWN
    return outcome(answer.status, answer.body) if isinstance(result, dict) else Outcome.ENDED


def _waits(exchange: Exchange) -> bool:
    return exchange.query.get("wait") == "true"


def _without_body(exchange: Exchange) -> list[tuple[bytes, bytes]]:
    skipped = {b"content-length", b"content-type", b"content-encoding", b"transfer-encoding"}
    return [header for header in exchange.headers if header[0] not in skipped]
