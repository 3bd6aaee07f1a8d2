"""Records follow the control rows, and never the other way round."""

from dataclasses import replace
from uuid import uuid4

import pytest

from service.control import recorder as recorder_module
from service.control.plane import ControlPlane
from service.control.recorder import Recorder, successor
from service.control.register import Record
from service.control.state import CollectionState
from service.errors import SourceUnavailable, StageError
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from tests.service.control.fakes import MemoryRegister
from tests.service.running import running, until
from tests.service.stores.postgres.staged import current, staged

ROW = CollectionState("c", Stage.SHADOW, 1, epoch=3)


@pytest.fixture
def recorder(plane: ControlPlane, register: MemoryRegister, control: PostgresControl) -> Recorder:
    """A recorder whose polling does not run."""
    return Recorder(plane, register, control)


@pytest.mark.parametrize(
    ("record", "row", "expected"),
    [
        (None, ROW, Record(ROW, 1)),
        (Record(ROW, 7), ROW, None),
        (Record(replace(ROW, epoch=2), 7), ROW, Record(ROW, 8)),
        (Record(replace(ROW, frozen=True), 7), ROW, Record(ROW, 8)),
        (Record(replace(ROW, epoch=2), 7), replace(ROW, frozen=True), None),
        (Record(ROW, 7), None, None),
    ],
)
def test_what_replaces_a_record(
    record: Record | None, row: CollectionState | None, expected: Record | None
) -> None:
    """Only another row that is not frozen does, with the next version."""
    assert successor(record, row) == expected


async def test_a_record_says_what_the_row_says(
    recorder: Recorder, register: MemoryRegister, control: PostgresControl
) -> None:
    """The register is made for the first record, and a second sync changes nothing."""
    state = await staged(control, Stage.SHADOW)
    await recorder.sync("c")
    await recorder.sync("c")
    assert register.stored == {"c": Record(state, 1)}


async def test_a_frozen_row_belongs_to_its_change(
    recorder: Recorder, register: MemoryRegister, control: PostgresControl
) -> None:
    """Nobody unfreezes a record whose row is frozen; afterwards the record follows."""
    state = await staged(control, Stage.SHADOW)
    token = uuid4()
    await control.freeze(state, token, 30)
    frozen = await recorder.freeze(state)
    await recorder.sync("c")
    await recorder.reconcile()
    assert register.stored["c"].state.frozen
    await control.thaw("c", token)
    await recorder.sync("c")
    assert register.stored["c"] == Record(state, frozen.version + 1)


async def test_a_late_write_changes_nothing(
    recorder: Recorder, register: MemoryRegister, control: PostgresControl
) -> None:
    """An instance that read the record before somebody froze it is refused, and reads both anew."""
    state = await staged(control, Stage.SHADOW)
    register.is_prepared, register.stored["c"] = True, Record(replace(state, epoch=0), 1)
    read, versions = register.record, []

    async def read_before_a_freeze(name: str) -> Record | None:
        record = await read(name)
        assert record is not None
        versions.append(record.version)
        if len(versions) == 1:
            register.stored["c"] = Record(replace(state, frozen=True), record.version + 1)
        return record

    register.record = read_before_a_freeze  # type: ignore[method-assign]
    await recorder.sync("c")
    assert versions == [1, 2]
    assert register.stored["c"] == Record(await current(control), 3)


async def test_a_change_that_led_to_nothing_is_undone_unless_others_went_on(
    recorder: Recorder, register: MemoryRegister, control: PostgresControl
) -> None:
    """The version decides: what somebody else has recorded since stays."""
    state = await staged(control, Stage.SHADOW)
    first = await recorder.freeze(state)
    await recorder.thaw(first)
    assert register.stored["c"].state == state
    second = await recorder.freeze(state)
    newer = Record(replace(state, stage=Stage.LIVE, epoch=9), second.version + 1)
    register.stored["c"] = newer
    await recorder.thaw(second)
    assert register.stored["c"] == newer


async def test_a_record_that_others_keep_changing_is_given_up(
    recorder: Recorder, register: MemoryRegister, control: PostgresControl
) -> None:
    """After a bounded number of attempts the operator is told."""
    await staged(control, Stage.SHADOW)

    async def lost(record: Record) -> bool:
        return False

    register.swap = lost  # type: ignore[method-assign]
    with pytest.raises(StageError, match="by others"):
        await recorder.sync("c")


async def test_a_source_that_nothing_is_moved_from_is_left_alone(
    recorder: Recorder, register: MemoryRegister
) -> None:
    """Without a control row there is no register."""
    await recorder.reconcile()
    assert not register.is_prepared


async def test_what_a_dead_instance_left_is_put_right(
    recorder: Recorder,
    register: MemoryRegister,
    plane: ControlPlane,
    control: PostgresControl,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It froze the record and died before anything else; also a source that was away is caught up with."""
    monkeypatch.setattr(recorder_module, "_POLL_SECONDS", 0.01)
    monkeypatch.setattr(recorder_module, "_AGAIN_SECONDS", 0.05)
    state = await staged(control, Stage.SHADOW)
    register.error = SourceUnavailable("is away")
    async with running(plane.run(), recorder.run()):
        await until(lambda: plane.view.state("c").stage is Stage.SHADOW)
        register.error = None
        await until(lambda: "c" in register.stored)
        register.stored["c"] = Record(replace(state, frozen=True), 2)
        await until(lambda: register.stored["c"] == Record(state, 3))
