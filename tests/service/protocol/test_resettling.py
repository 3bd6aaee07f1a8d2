"""Ids made equal on request: an intent like any other, and its resync."""

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

import pytest

from service.control.state import CollectionState
from service.errors import StaleEpoch, TargetUnavailable
from service.protocol.ledger import Intent
from service.protocol.resettling import Resettling
from service.protocol.resync import Resyncer
from service.stages import Side, Stage
from tests.service.protocol.fakes import MemoryLog, keys

STATE = CollectionState("things", Stage.SHADOW, 1, epoch=1, backfilled=True)


@pytest.mark.parametrize(
    ("stage", "behind"), [(Stage.SHADOW, Side.TARGET), (Stage.LIVE, Side.SOURCE)]
)
async def test_the_store_that_is_not_right_is_made_equal(
    log: MemoryLog,
    at_work: Resyncer,
    monkeypatch: pytest.MonkeyPatch,
    stage: Stage,
    behind: Side,
) -> None:
    """The intent is owed, as reads of a store that is known to lack something must not go on; it ends by its resync."""
    insert, inserted = log.insert, list[Intent]()

    async def noted(intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        inserted.extend(intents)
        return await insert(intents, owner=owner)

    monkeypatch.setattr(log, "insert", noted)
    resettling = Resettling(log, at_work, at_work._owner)
    state = replace(STATE, stage=stage)
    assert await resettling.settle(state, keys(2, 1), cause="repair")
    assert [(each.behind, each.owed, each.keys, each.cause) for each in inserted] == [
        (behind, True, keys(1, 2), "repair")
    ]
    assert not log.rows
    assert at_work.is_idle


@pytest.mark.parametrize("state", [replace(STATE, frozen=True), replace(STATE, generation=None)])
async def test_nothing_is_begun_while_the_stage_changes(
    log: MemoryLog, resyncer: Resyncer, state: CollectionState
) -> None:
    """A freeze waits for an empty ledger."""
    with pytest.raises(StaleEpoch, match="being changed"):
        await Resettling(log, resyncer, resyncer._owner).settle(state, keys(1), cause="repair")
    assert not log.rows
    assert resyncer.is_idle


async def test_an_older_epoch_is_refused(
    log: MemoryLog, resyncer: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is left that this instance believes to be under way (R5)."""

    async def refuse(*_: object, **__: object) -> set[object]:
        return set()

    monkeypatch.setattr(log, "insert", refuse)
    with pytest.raises(StaleEpoch, match="changed meanwhile"):
        await Resettling(log, resyncer, resyncer._owner).settle(STATE, keys(1), cause="repair")
    assert resyncer.is_idle


async def test_an_intent_whose_commit_is_not_known_is_left_to_the_sweep(
    log: MemoryLog, resyncer: Resyncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as it counted as under way nobody would settle it."""

    async def fail(*_: object, **__: object) -> set[object]:
        raise TargetUnavailable("is away")

    monkeypatch.setattr(log, "insert", fail)
    with pytest.raises(TargetUnavailable):
        await Resettling(log, resyncer, resyncer._owner).settle(STATE, keys(1), cause="repair")
    assert resyncer.is_idle
