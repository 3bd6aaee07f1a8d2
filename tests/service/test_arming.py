"""What a backfill waits for before its first page (R9)."""

from typing import cast

import pytest

from backfill.jobs import Job, JobKind, Options
from service.arming import Arming
from service.control.change import StageChanges
from service.control.state import CollectionState
from service.errors import StageError
from service.protocol.mirrors import BarrierStore
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import PostgresJobs
from tests.service.planes import CONFIG, started_plane


class Surroundings:
    """The source and the stage changes: they note in which order they are asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.silent_looks = 0

    async def seconds_until_armed(self, state: CollectionState) -> float:
        """Say for a while that an instance is not heard."""
        assert state.name == "c"
        self.asked.append("heard")
        self.silent_looks -= 1
        return 0.01 if self.silent_looks >= 0 else 0.0

    async def drain(self, name: str) -> None:
        assert name == "c"
        self.asked.append("drained")

    async def follow(self, state: CollectionState) -> None:
        self.asked.append(f"followed {state.name}")


class Noted:
    """Keeps the notes."""

    def __init__(self) -> None:
        self.texts: list[str | None] = []

    def __call__(self, text: str | None) -> None:
        self.texts.append(text)


async def _armed(database: Database) -> tuple[Arming, Surroundings, Job]:
    control, around = PostgresControl(database), Surroundings()
    await control.arm("c", CONFIG, actor="test", is_new=False)
    plane = await started_plane(control)
    changes, source = cast("StageChanges", around), cast("BarrierStore", around)
    job = await PostgresJobs(database).start(JobKind.BACKFILL, "c", Options())
    return Arming(plane, changes, control, source, around.follow), around, job


async def test_everything_is_waited_for_in_order(database: Database) -> None:
    """All instances confirm, silent ones run out, Qdrant applies what it has, the description follows; then no note."""
    arming, around, job = await _armed(database)
    around.silent_looks, note = 2, Noted()
    await arming.armed(job, note)
    assert around.asked == ["heard"] * 3 + ["drained", "followed c"]
    assert "waiting 0 s for an instance that is not heard" in note.texts
    assert note.texts[-1] is None


async def test_an_instance_that_has_not_confirmed_is_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it takes, and the note says for whom."""
    arming, around, job = await _armed(database)
    confirmed, note, tries = arming._plane.confirmed_by_all, Noted(), []

    async def late(revision: int, *, seconds: float) -> None:
        tries.append(revision)
        if len(tries) < 3:
            message = "not confirmed by instance(s) x"
            raise StageError(message)
        assert around.asked == []
        await confirmed(revision, seconds=seconds)

    monkeypatch.setattr(arming._plane, "confirmed_by_all", late)
    await arming.armed(job, note)
    told = "waiting for every instance to write intents: not confirmed by instance(s) x"
    assert note.texts.count(told) == 2
    assert len(set(tries)) == 1


async def test_a_mirror_that_was_begun_anew_is_not_copied_to(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has older writes of its own to wait for."""
    arming, around, job = await _armed(database)

    async def begun_anew(_: str) -> None:
        await arming._control.arm("c", CONFIG, actor="other", is_new=False)

    monkeypatch.setattr(around, "drain", begun_anew)
    with pytest.raises(StageError, match="begun anew"):
        await arming.armed(job, Noted())


async def test_a_complete_copy_is_recorded(database: Database) -> None:
    """For this generation, and seen at once."""
    arming, _, job = await _armed(database)
    await arming.backfilled(job)
    assert arming._plane.view.state("c").backfilled
