"""Repairs as an operator orders them: a page of ids at a time, so that nothing is lost when one is interrupted.

What is equal by the time a page is looked at is left alone; the same order may be given again and goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from backfill.confirming import KEYS_PER_LOOK, Judgement, Looks
from backfill.repair import (
    Origin,
    Outcome,
    Plan,
    Suspected,
    outcome,
    outcome_json,
    plan,
    plan_json,
)
from service.control.plane import ControlPlane
from service.control.state import CollectionState
from service.errors import StageError, WrongInput
from service.model.ids import PointId, sorted_keys
from service.protocol.resettling import Resettling
from service.stages import Side

_IDS_PER_PAGE = 256
_IDS_PER_INTENT = 256
_MOST_NAMED = 10_000


class Listed(Protocol):
    """The ids of the quarantine."""

    async def waived_keys(self, generation: int) -> frozenset[bytes]:
        """Return those that were given up."""
        ...

    async def keys(
        self,
        generation: int,
        *,
        among: Sequence[bytes] | None = None,
        after: bytes | None = None,
        limit: int,
    ) -> Sequence[bytes]:
        """Return listed keys of a generation, ascending, waived or not; of some or of all."""
        ...


@dataclass(frozen=True, slots=True)
class Repairs:
    """Repairs of an instance that has both stores."""

    plane: ControlPlane
    suspected: Suspected
    quarantine: Listed
    looks: Looks
    resettling: Resettling

    async def repair(
        self,
        name: str,
        *,
        receipt: UUID | None,
        ledger: bool,
        after: str | None,
        apply: bool,
    ) -> dict[str, object]:
        """Look at a page of ids and say what has to be done; with ``apply`` do it and look again.

        Raises ``StageError`` when the collection is not mirrored or has no receipt, ``StaleEpoch`` when its stage
        changes meanwhile, ``WrongInput`` for an ``after`` that is not ours.
        """
        state, generation = await self._mirrored(name)
        origin = (
            Origin() if ledger else Origin(await self.suspected.receipt_of(generation, receipt))
        )
        behind = state.authority.other
        try:
            page = await self.suspected.page(
                generation, behind, origin, after=after, limit=_IDS_PER_PAGE
            )
        except ValueError:
            reason = f"`{after}` is not the end of a page of this repair"
            raise WrongInput(reason) from None
        wanted = await self._plan(state, generation, page.keys)
        # An id of a refused intent is not proven to differ, because of that very intent.
        refused = wanted.pending if ledger else ()
        done: Outcome | None = None
        if apply:
            todo = sorted({*wanted.actions, *refused})
            done = await self._copied(state, generation, todo, cause="repair")
        return {
            "collection": name,
            "stage": str(state.stage),
            "authority": str(state.authority),
            "repairs": str(behind),
            "receipt": None if origin.receipt is None else str(origin.receipt),
            "looked_at": len(page.keys),
            "plan": plan_json(wanted),
            "refused": len(refused),
            "outcome": None if done is None else outcome_json(done),
            "next": page.next,
        }

    async def retry(
        self, name: str, ids: Sequence[PointId] | None, *, after: str | None
    ) -> dict[str, object]:
        """Try quarantined ids again, those named or a page of all, waived ones too; say what became of them.

        Raises ``StageError`` while Postgres is right: the source has the only copy of them then.
        """
        state, generation = await self._mirrored(name)
        if state.authority is Side.TARGET:
            message = (
                f"`{name}` is in stage {state.stage}: Postgres is right, and does not have the points of its"
                " quarantine; a resync would delete them in Qdrant. Write them again through the proxy, or delete them"
            )
            raise StageError(message)
        among = None if ids is None else sorted_keys(ids)
        try:
            place = None if after is None else bytes.fromhex(after)
        except ValueError:
            reason = f"`{after}` is not the end of a page of the quarantine"
            raise WrongInput(reason) from None
        limit = _IDS_PER_PAGE if among is None else _MOST_NAMED
        keys = await self.quarantine.keys(generation, among=among, after=place, limit=limit)
        done = await self._copied(state, generation, keys, cause="quarantine retry")
        is_last = among is not None or len(keys) < limit
        return {
            "collection": name,
            "tried": len(keys),
            "outcome": outcome_json(done),
            "next": None if is_last else keys[-1].hex(),
        }

    async def _mirrored(self, name: str) -> tuple[CollectionState, int]:
        state = (await self.plane.refresh()).state(name)
        if not state.is_mirrored or state.generation is None:
            message = (
                f"`{name}` is in stage {state.stage}; only mirrored collections can be repaired"
            )
            raise StageError(message)
        return state, state.generation

    async def _plan(self, state: CollectionState, generation: int, keys: Sequence[bytes]) -> Plan:
        listed = await self._not_to_copy(state.authority, generation, keys)
        return plan(
            await self._judged(state.name, generation, keys), state.authority, quarantined=listed
        )

    async def _not_to_copy(
        self, authority: Side, generation: int, keys: Sequence[bytes]
    ) -> frozenset[bytes]:
        """Return what the target cannot hold: what is waived, and where Postgres is right all of it."""
        if authority is Side.SOURCE:
            return await self.quarantine.waived_keys(generation)
        return frozenset(
            await self.quarantine.keys(generation, among=keys, limit=max(len(keys), 1))
        )

    async def _copied(
        self, state: CollectionState, generation: int, keys: Sequence[bytes], *, cause: str
    ) -> Outcome:
        for start in range(0, len(keys), _IDS_PER_INTENT):
            await self.resettling.settle(state, keys[start : start + _IDS_PER_INTENT], cause=cause)
        proven: list[Judgement] = []
        for start in range(0, len(keys), KEYS_PER_LOOK):
            some = keys[start : start + KEYS_PER_LOOK]
            proven += await self.looks.judge.judge(state.name, generation, some)
        return outcome(proven)

    async def _judged(self, name: str, generation: int, keys: Sequence[bytes]) -> list[Judgement]:
        judged: list[Judgement] = []
        async for some in self.looks.at(name, generation, keys):
            judged += some
        return judged
