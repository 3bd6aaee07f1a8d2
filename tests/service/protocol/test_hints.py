"""Hints: in which order they are written and checked, and how they come back without a loss (R6)."""

import asyncio
import time
from dataclasses import dataclass

import pytest

from service.control.register import Record
from service.errors import SourceUnavailable, StoreAnswered, TargetUnavailable
from service.metrics import ProxyMetrics
from service.protocol import hints as module
from service.protocol.hints import HintCommits, HintMover, allows
from service.protocol.ledger import Hint
from service.stages import Stage
from service.steps import Step
from tests.service.protocol.fakes import intent
from tests.service.protocol.hinting import (
    ME,
    OTHER,
    STATE,
    Inherited,
    MemoryDetached,
    MemoryHinted,
    MemoryHints,
    MemoryRegister,
    hint,
)
from tests.service.running import running, until


@dataclass(frozen=True)
class Parts:
    """Both ways of a hint, and the fakes around them."""

    journal: list[str]
    register: MemoryRegister
    hints: MemoryHints
    detached: MemoryDetached
    log: MemoryHinted
    heir: Inherited
    commits: HintCommits
    mover: HintMover

    def left(self, *hints: Hint) -> None:
        """Put hints into the source."""
        self.hints.hints |= {each.intent.id: each for each in hints}


@pytest.fixture
def parts(journal: list[str], counted: ProxyMetrics) -> Parts:
    """Everything in memory."""
    register, hints = MemoryRegister(journal), MemoryHints(journal)
    detached, log, heir = MemoryDetached(journal), MemoryHinted(journal), Inherited(journal)
    commits = HintCommits(hints, register, detached, counted)
    mover = HintMover(hints, log, commits, heir, owner=ME, metrics=counted)
    return Parts(journal, register, hints, detached, log, heir, commits, mover)


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, journal: list[str]) -> list[str]:
    """The steps that were reached, in the journal."""
    monkeypatch.setattr("service.steps.watch", lambda step: journal.append(step.value))
    return journal


async def test_the_record_is_read_after_the_hint(parts: Parts, steps: list[str]) -> None:
    """Mark, hint, record: a stage change that froze the record before sees the hint, or the writer sees the freeze."""
    wanted = intent(1)
    assert await parts.commits.insert([wanted], owner=ME) == {wanted.id}
    order = ["mark", "hint", Step.HINT_WRITTEN, "record", "mark", Step.HINT_CHECKED]
    assert parts.journal == order
    (stored,) = parts.hints.hints.values()
    assert (stored.intent.id, stored.owner) == (wanted.id, ME)


async def test_a_freeze_after_the_hint_was_written_refuses_it(parts: Parts) -> None:
    """The record that counts is the one that is read afterwards; a refused hint is taken back."""
    parts.hints.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        writing = tasks.create_task(parts.commits.insert([intent(1)], owner=ME))
        await until(lambda: "hint" in parts.journal)
        parts.register.become(frozen=True)
        parts.hints.gate.set()
    assert writing.result() == set()
    assert not parts.hints.hints


async def test_a_hint_is_owed(parts: Parts) -> None:
    """Its client is answered before the target has the write, also where others wait for both stores (R11)."""
    await parts.commits.insert([intent(1, owed=False)], owner=ME)
    (stored,) = parts.hints.hints.values()
    assert stored.intent.owed
    assert stored.written_at == pytest.approx(time.time(), abs=60.0)


async def test_in_ramp_the_leases_are_over_before_the_record_is_read(parts: Parts) -> None:
    """Others may still read the target when the mark appears; meanwhile the stage may have changed."""
    parts.register.become(stage=Stage.RAMP)
    await parts.commits.insert([intent(1)], owner=ME)
    assert parts.journal == ["mark", "hint", "record", "lease", "record"]


async def test_a_freeze_during_the_lease_refuses_the_hint(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is read again after the wait."""
    parts.register.become(stage=Stage.RAMP)

    async def freeze(*, reads_may_be_moved: bool) -> None:
        if reads_may_be_moved:
            parts.register.become(frozen=True)

    monkeypatch.setattr(parts.detached, "announced", freeze)
    assert await parts.commits.insert([intent(1)], owner=ME) == set()
    assert not parts.hints.hints


@pytest.mark.parametrize("stage", [Stage.DUALWRITE, Stage.SHADOW, Stage.RAMP])
def test_a_mirrored_stage_of_the_source_is_allowed(stage: Stage) -> None:
    """Under the epoch that the writer knows."""
    assert allows(_record(stage=stage), intent(1))


@pytest.mark.parametrize(
    "changes",
    [
        {"stage": Stage.OFF},
        {"stage": Stage.LIVE},
        {"stage": Stage.RAMPDOWN},
        {"stage": Stage.COMPLETE},
        {"frozen": True},
        {"epoch": 2},
        {"generation": 2},
        {"generation": None},
    ],
)
def test_everything_else_is_refused(changes: dict[str, object]) -> None:
    """Another authority, a freeze, another epoch or generation."""
    assert not allows(_record(**changes), intent(1))


def test_without_a_record_nothing_is_allowed() -> None:
    """A collection that nobody recorded may be in any stage."""
    assert not allows(None, intent(1))


async def test_intents_of_one_request_are_judged_one_by_one(parts: Parts) -> None:
    """A stale generation beside a current one is refused alone, and only its hint is taken back."""
    good, bad = intent(1), intent(2, generation=2)
    assert await parts.commits.insert([good, bad], owner=ME) == {good.id}
    assert parts.hints.hints.keys() == {good.id}


async def test_without_a_mark_there_is_no_hint(parts: Parts) -> None:
    """An instance that cannot say that it is detached writes nothing."""
    parts.detached.error = SourceUnavailable("is away")
    with pytest.raises(SourceUnavailable):
        await parts.commits.insert([intent(1)], owner=ME)
    assert parts.journal == ["mark"]


async def test_what_the_source_says_to_a_hint_is_not_the_clients(parts: Parts) -> None:
    """A refusal of our own point is a 503: the client's request was never judged."""
    parts.detached.error = StoreAnswered(403, b"forbidden")
    with pytest.raises(TargetUnavailable):
        await parts.commits.insert([intent(1)], owner=ME)


async def test_a_record_that_cannot_be_read_allows_nothing(parts: Parts) -> None:
    """The hint stays: it is moved, and its ids are found equal."""
    parts.register.read_error = SourceUnavailable("is away")
    with pytest.raises(SourceUnavailable):
        await parts.commits.insert([intent(1)], owner=ME)
    assert len(parts.hints.hints) == 1


async def test_a_refused_hint_that_stays_changes_nothing(parts: Parts) -> None:
    """The writer is told that the stage changed, whether or not the hint could be taken back."""
    parts.register.become(frozen=True)
    parts.hints.discard_error = SourceUnavailable("is away")
    assert await parts.commits.insert([intent(1)], owner=ME) == set()
    parts.hints.discard_error = None
    await parts.mover.move()
    assert not parts.hints.hints


async def test_own_hints_are_moved_in_this_order(parts: Parts, steps: list[str]) -> None:
    """Read, committed, and only then discarded; they stay this instance's, whose requests it knows."""
    mine = hint()
    parts.left(mine)
    await parts.mover.move()
    order = [Step.HINTS_READ, "take", Step.HINTS_TAKEN, "discard", Step.HINTS_DISCARDED]
    assert parts.journal == order
    assert parts.log.taken == {mine.intent.id: ME}
    assert not parts.hints.hints


async def test_hints_of_the_silent_are_inherited_before_they_are_taken(parts: Parts) -> None:
    """Their requests may still land: no sweep may find them before they are suspects (R2)."""
    theirs = hint(OTHER)
    parts.left(theirs)
    await parts.mover.move()
    assert parts.journal == ["inherited", "take", "discard"]
    assert [entry.id for entry in parts.heir.entries] == [theirs.intent.id]
    assert [entry.attempt_by for entry in parts.heir.entries] == [OTHER]
    assert parts.log.taken == {theirs.intent.id: ME}


async def test_hints_of_the_living_are_their_own(parts: Parts) -> None:
    """Who was heard of moves its hints itself: it knows which of its requests have ended."""
    parts.log.live = {OTHER}
    parts.left(hint(OTHER))
    await parts.mover.move()
    assert len(parts.hints.hints) == 1
    assert not parts.log.taken


async def test_a_crash_between_taken_and_discarded_loses_nothing(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both stores have the hint then, and the next look moves it once more."""
    mine = hint()
    parts.left(mine)

    def crash(step: Step) -> None:
        if step is Step.HINTS_TAKEN:
            raise KeyboardInterrupt

    monkeypatch.setattr("service.steps.watch", crash)
    with pytest.raises(KeyboardInterrupt):
        await parts.mover.move()
    assert parts.hints.hints.keys() == parts.log.taken.keys() == {mine.intent.id}
    monkeypatch.setattr("service.steps.watch", lambda _: None)
    await parts.mover.move()
    assert not parts.hints.hints
    assert parts.log.taken == {mine.intent.id: ME}


async def test_while_postgres_is_away_hints_stay(parts: Parts, counted: ProxyMetrics) -> None:
    """Nothing is discarded that was not taken; the gauge shows them all the same."""
    parts.left(hint(), hint(OTHER))
    parts.log.error = TargetUnavailable("is away")
    with pytest.raises(TargetUnavailable):
        await parts.mover.move()
    assert len(parts.hints.hints) == 2
    assert counted.hints._value.get() == 2


async def test_only_what_was_read_is_discarded(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hint that appears while others are moved waits for its own turn (R6)."""
    first, second = hint(), hint()
    parts.left(first)
    take = parts.log.take

    async def meanwhile(*arguments: object, **named: object) -> None:
        await take(*arguments, **named)  # type: ignore[arg-type]  # passed on as they came
        parts.left(second)
        parts.log.error = TargetUnavailable("is away again")

    monkeypatch.setattr(parts.log, "take", meanwhile)
    with pytest.raises(TargetUnavailable):
        await parts.mover.move()
    assert parts.log.taken.keys() | parts.hints.hints.keys() == {
        first.intent.id,
        second.intent.id,
    }


async def test_many_hints_move_page_by_page(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are, one page of them is in memory; owners take turns."""
    monkeypatch.setattr(module, "_PAGE", 3)
    monkeypatch.setattr(module, "_MOST_PAGES", 2)
    parts.left(*(hint() for _ in range(8)), *(hint(OTHER) for _ in range(8)))
    await parts.mover.move()
    assert len(parts.hints.hints) == 4
    await parts.mover.move()
    assert not parts.hints.hints
    assert len(parts.log.taken) == 16
    assert parts.hints.largest_page == 3


async def test_the_mover_goes_on_after_a_failure(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An outage ends some day; so does a fault of ours."""
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.005)
    parts.left(hint())
    parts.log.error = TargetUnavailable("is away")
    async with running(parts.mover.run()):
        await asyncio.sleep(0.02)
        assert parts.hints.hints
        parts.log.error = None
        await until(lambda: not parts.hints.hints)


async def test_nothing_is_left_before_the_first_hint(parts: Parts) -> None:
    """An instance that never hinted needs no mark."""
    assert not parts.mover.own_left()


async def test_hints_are_left_until_a_look_finds_none(parts: Parts) -> None:
    """From before the mark was asked for until after they were moved."""
    parts.hints.gate.clear()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(parts.commits.insert([intent(1)], owner=ME))
        await until(lambda: "hint" in parts.journal)
        assert parts.mover.own_left()
        await parts.mover.move()
        assert parts.mover.own_left()
        parts.hints.gate.set()
    assert parts.mover.own_left()
    await parts.mover.move()
    assert not parts.mover.own_left()


async def test_a_hint_that_is_written_during_the_look_is_left(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The look that found nothing began before it."""
    count = parts.hints.count

    async def meanwhile(generation: int | None = None) -> int:
        found = await count(generation)
        await parts.commits.insert([intent(1)], owner=ME)
        return found

    monkeypatch.setattr(parts.hints, "count", meanwhile)
    await parts.mover.move()
    assert parts.mover.own_left()


async def test_a_hint_of_unknown_end_may_be_left(parts: Parts) -> None:
    """A write that was given up may have reached the source."""
    parts.hints.write_error = SourceUnavailable("did not answer in time")
    with pytest.raises(SourceUnavailable):
        await parts.commits.insert([intent(1)], owner=ME)
    assert parts.mover.own_left()
    await parts.mover.move()
    assert not parts.hints.hints
    assert not parts.mover.own_left()


def _record(**changes: object) -> Record:
    register = MemoryRegister([])
    register.become(**changes)
    return Record(register.states[STATE.name], 1)
