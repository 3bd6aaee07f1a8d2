"""One instance in the control plane: views, leases and what it confirms."""

import asyncio
from collections.abc import Mapping
from uuid import uuid4

import pytest

from service.control import plane as plane_module
from service.control.plane import ControlPlane
from service.errors import Overloaded, SourceUnavailable, StageError, TargetUnavailable
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from tests.service.control.conftest import Aliases, plane_on
from tests.service.running import running, until
from tests.service.stores.postgres.staged import current, registered, staged


async def _is_waited_for(control: PostgresControl, plane: ControlPlane, revision: int) -> bool:
    waiting = await control.waiting_for(revision, stale_after_seconds=10)
    return plane.instance in {entry.instance for entry in waiting}


async def test_a_started_instance_knows_and_confirms(
    control: PostgresControl, plane: ControlPlane
) -> None:
    """After the start it serves the newest view and nobody waits for it."""
    assert plane.view.revision == await control.revision()
    assert not await _is_waited_for(control, plane, plane.view.revision)


async def test_a_change_by_another_instance_arrives(
    control: PostgresControl, plane: ControlPlane
) -> None:
    """Polling alone brings the new stage, and confirms it."""
    async with running(plane.run()):
        await staged(control, Stage.SHADOW)
        revision = await control.revision()
        await until(lambda: plane.view.state("c").stage is Stage.SHADOW)
        await plane.confirmed_by_all(revision, seconds=5)


async def test_a_revision_is_not_confirmed_while_an_older_lease_is_held(
    control: PostgresControl, plane: ControlPlane
) -> None:
    """A request that was decided under the old stage must end before the new one counts (R9, I6)."""
    await staged(control, Stage.SHADOW)
    with plane.view.lease("c"):
        revision = await control.revision()
        with pytest.raises(StageError, match=str(plane.instance)):
            await plane.confirmed_by_all(revision, seconds=0.1)
        assert await _is_waited_for(control, plane, revision)
    await plane.confirmed_by_all(revision, seconds=5)


async def test_a_lease_between_two_changes_holds_up_only_the_second(
    control: PostgresControl, plane: ControlPlane
) -> None:
    """What runs under a view confirms that view, and every one before it."""
    state = await staged(control, Stage.SHADOW)
    first = (await plane.refresh()).revision
    with plane.view.lease("c"):
        second = await control.publish(state, Stage.RAMP, 10, actor="ops", token=None)
        await plane.confirmed_by_all(first, seconds=5)
        with pytest.raises(StageError):
            await plane.confirmed_by_all(second, seconds=0.1)


async def test_a_request_to_another_collection_holds_up_nothing(
    control: PostgresControl, plane: ControlPlane
) -> None:
    """However long a request to an unchanged collection takes, and whatever view it began under."""
    with plane.view.lease("other"):
        await staged(control, Stage.SHADOW)
        await plane.confirmed_by_all(await control.revision(), seconds=5)
        changed = await control.keep_off("other", actor="ops")
        with pytest.raises(StageError, match="not confirmed"):
            await plane.confirmed_by_all(changed, seconds=0.1)


async def test_leases_on_the_newest_view_hold_up_nothing(
    control: PostgresControl, plane: ControlPlane
) -> None:
    """Steady traffic does not keep a revision from being confirmed."""
    revision = await control.touch()
    await plane.refresh()
    with plane.view.lease("c"):
        await plane.confirmed_by_all(revision, seconds=5)


async def test_all_instances_must_confirm(
    control: PostgresControl, plane: ControlPlane, aliases: Aliases
) -> None:
    """A second instance that is slow to see a revision is waited for, until it sees it."""
    other = plane_on(control, aliases)
    await other.start()
    revision = await control.touch()
    with pytest.raises(StageError, match=str(other.instance)):
        await plane.confirmed_by_all(revision, seconds=0.1)
    async with running(other.run()):
        await plane.confirmed_by_all(revision, seconds=5)


async def test_a_frozen_collection_is_waited_for(
    control: PostgresControl, plane: ControlPlane
) -> None:
    """A held write goes on as soon as the freeze has ended, here by its deadline."""
    state = await staged(control, Stage.SHADOW)
    await control.freeze(state, uuid4(), 0.2)
    await plane.refresh()
    async with running(plane.run()):
        with pytest.raises(Overloaded):
            await plane.thawed("c", seconds=0.01)
        await plane.thawed("c", seconds=5)
    assert not plane.view.state("c").frozen


async def test_the_last_view_stays_when_postgres_cannot_be_read(
    control: PostgresControl, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage neither ends the polling nor changes a stage, and is counted."""
    await staged(control, Stage.SHADOW)
    view = await plane.refresh()

    async def away() -> int:
        raise TargetUnavailable("is away")

    monkeypatch.setattr(control, "revision", away)
    async with running(plane.run()):
        await until(lambda: plane._metrics.control_errors._value.get() >= 2)
        assert plane.view is view


async def test_a_fenced_instance_comes_back(
    control: PostgresControl, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was taken for dead it registers again, and stage changes wait for it again."""
    monkeypatch.setattr(plane_module, "HEARTBEAT_SECONDS", 0.0)
    await control.leave(plane.instance)
    async with running(plane.run()):
        await plane.confirmed_by_all(await control.touch(), seconds=5)
        assert await control.confirm(plane.instance, 0)


async def test_an_instance_leaves_only_when_nothing_may_land(
    control: PostgresControl, plane: ControlPlane
) -> None:
    """With writes still open its intents are left to the grace period, not adopted at once."""
    await plane.stop(is_drained=False)
    assert await control.confirm(plane.instance, 0)
    await plane.stop(is_drained=True)
    assert not await control.confirm(plane.instance, 0)


async def test_aliases_belong_to_the_view(
    control: PostgresControl, plane: ControlPlane, aliases: Aliases
) -> None:
    """They are read with every new view as long as something is mirrored."""
    aliases.names = {"alias": "c"}
    assert (await plane.refresh()).physical("alias") == "alias"
    await staged(control, Stage.SHADOW)
    assert (await plane.refresh()).physical("alias") == "c"


async def test_aliases_that_could_not_be_read_are_read_later(
    control: PostgresControl, plane: ControlPlane, aliases: Aliases
) -> None:
    """The last known ones stay in force, and polling tries until the source answers."""
    await staged(control, Stage.SHADOW)
    aliases.names = {"alias": "c"}
    await plane.refresh()
    aliases.names, aliases.error = {"alias": "d"}, SourceUnavailable("is away")
    await control.touch()
    assert (await plane.refresh()).physical("alias") == "c"
    assert not plane.view.has_all_aliases
    async with running(plane.run()):
        aliases.error = None
        await until(lambda: plane.view.physical("alias") == "d")
    assert plane.view.has_all_aliases


async def test_a_source_that_hangs_does_not_stop_the_plane(
    control: PostgresControl,
    plane: ControlPlane,
    aliases: Aliases,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stage change is followed although the aliases do not come."""
    monkeypatch.setattr(plane_module, "_ALIASES_SECONDS", 0.02)
    monkeypatch.setattr(plane, "_load_aliases", asyncio.Event().wait)
    await staged(control, Stage.SHADOW)
    async with asyncio.timeout(2):
        assert (await plane.refresh()).state("c").stage is Stage.SHADOW


async def test_one_waits_for_a_source_that_hangs(
    control: PostgresControl, plane: ControlPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many who want the newest view must not keep the heartbeat waiting, each for the aliases again."""
    asked = 0

    async def hang() -> Mapping[str, str]:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()
        return {}

    monkeypatch.setattr(plane_module, "_ALIASES_SECONDS", 0.5)
    monkeypatch.setattr(plane, "_load_aliases", hang)
    await staged(control, Stage.SHADOW)
    await asyncio.gather(*(plane.refresh() for _ in range(4)))
    assert asked == 1
    await asyncio.sleep(0.6)
    await plane.refresh()
    assert asked == 2


async def test_old_views_are_not_kept(control: PostgresControl, plane: ControlPlane) -> None:
    """During a freeze every poll makes a view; those without a request go."""
    state = await staged(control, Stage.SHADOW)
    await control.freeze(state, uuid4(), 30)
    for _ in range(5):
        await plane.refresh()
    await plane._confirm()
    assert not plane._older
    assert (await current(control)).frozen
    assert await registered(control) != plane.instance
