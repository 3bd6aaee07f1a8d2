"""Repair: which ids have to be copied, from which store to which, and what became of them.

Rule 1: an id that is equal, or that an unsettled write names, is not touched.
Rule 2: the authority is never changed. A repair of the source deletes there what Postgres does not have; what Postgres
        lacks because it cannot hold it is the only copy, and stays.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from backfill.canonical import Kind
from backfill.confirming import Judgement
from service.model.ids import PointId, decode_key
from service.stages import Side

_MOST_SHOWN = 20


class Action(StrEnum):
    """What a repair does with an id."""

    WRITE_TARGET = "write to target"
    DELETE_TARGET = "delete from target"
    WRITE_SOURCE = "write to source"
    DELETE_SOURCE = "delete from source"


_ACTIONS: Mapping[tuple[Side, Kind], Action] = {
    (Side.SOURCE, Kind.MISSING): Action.WRITE_TARGET,
    (Side.SOURCE, Kind.EXTRA): Action.DELETE_TARGET,
    (Side.SOURCE, Kind.PAYLOAD): Action.WRITE_TARGET,
    (Side.SOURCE, Kind.VECTOR): Action.WRITE_TARGET,
    (Side.TARGET, Kind.MISSING): Action.DELETE_SOURCE,
    (Side.TARGET, Kind.EXTRA): Action.WRITE_SOURCE,
    (Side.TARGET, Kind.PAYLOAD): Action.WRITE_SOURCE,
    (Side.TARGET, Kind.VECTOR): Action.WRITE_SOURCE,
}


@dataclass(frozen=True, slots=True)
class Origin:
    """Where ids come from: a receipt's confirmed differences, or without one the refused intents of the ledger."""

    receipt: UUID | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Keys, ascending; ``next`` begins the page behind them, ``None`` at the end."""

    keys: Sequence[bytes]
    next: str | None


class Suspected(Protocol):
    """Ids that are said to differ."""

    async def receipt_of(self, generation: int, receipt: UUID | None) -> UUID:
        """Return the receipt, or the newest one of the generation. Raises ``StageError`` when there is none."""
        ...

    async def page(
        self, generation: int, behind: Side, origin: Origin, *, after: str | None, limit: int
    ) -> Page:
        """Return the next ids of an origin; ``after`` is a page's ``next``.

        Raises ``StageError`` when those of a receipt are gone with its job.
        """
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be done with some ids, by their keys."""

    actions: Mapping[bytes, Action]
    kinds: Mapping[bytes, tuple[Kind, ...]]
    equal: Sequence[bytes] = ()
    pending: Sequence[bytes] = ()
    """Named by an unsettled write, which makes them equal by itself."""
    held: Sequence[bytes] = ()
    """In the quarantine: the target cannot hold them."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of some ids: repaired, or in which way they still differ."""

    repaired: Sequence[bytes] = ()
    differing: Mapping[bytes, tuple[Kind, ...]] | None = None
    pending: Sequence[bytes] = ()


def plan(
    judgements: Iterable[Judgement], authority: Side, *, quarantined: Collection[bytes]
) -> Plan:
    """Return what makes the other store equal; ``quarantined`` are keys that must not be copied."""
    actions: dict[bytes, Action] = {}
    kinds: dict[bytes, tuple[Kind, ...]] = {}
    equal, pending, held = list[bytes](), list[bytes](), list[bytes]()
    for each in judgements:
        if not each.is_settled:
            pending.append(each.key)
        elif not each.kinds:
            equal.append(each.key)
        elif each.key in quarantined:
            held.append(each.key)
        else:
            actions[each.key] = _ACTIONS[authority, each.kinds[0]]
            kinds[each.key] = each.kinds
    return Plan(actions, kinds, equal, pending, held)


def outcome(judgements: Iterable[Judgement]) -> Outcome:
    """Return what a look after the repair has found."""
    found = list(judgements)
    return Outcome(
        repaired=[each.key for each in found if each.is_settled and not each.kinds],
        differing={each.key: each.kinds for each in found if each.is_settled and each.kinds},
        pending=[each.key for each in found if not each.is_settled],
    )


def plan_json(wanted: Plan) -> dict[str, object]:
    """Return a plan as JSON values: counts, and the first ids of each action."""
    by_action: dict[str, list[PointId]] = {}
    for key, action in wanted.actions.items():
        by_action.setdefault(str(action), []).append(decode_key(key))
    return {
        "to_repair": len(wanted.actions),
        "kinds": dict(Counter(str(kind) for kinds in wanted.kinds.values() for kind in kinds)),
        "actions": {name: len(ids) for name, ids in by_action.items()},
        "first_ids": {name: ids[:_MOST_SHOWN] for name, ids in by_action.items()},
        "equal": len(wanted.equal),
        "pending": _ids(wanted.pending),
        "quarantined": _ids(wanted.held),
    }


def outcome_json(after: Outcome) -> dict[str, object]:
    """Return an outcome as JSON values."""
    differing = after.differing or {}
    return {
        "repaired": len(after.repaired),
        "differing": [
            {"id": decode_key(key), "kinds": [str(kind) for kind in kinds]}
            for key, kinds in differing.items()
        ],
        "unsettled": _ids(after.pending),
    }


def _ids(keys: Iterable[bytes]) -> list[PointId]:
    return [decode_key(key) for key in keys]
