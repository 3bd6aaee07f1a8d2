"""One history: stores, instances of the real protocol code, clients, and what must hold of them.

I1 is checked after every step, I5 and I7 when a client is answered, I6 when a client's request takes effect or is read
at a store, the rest at the end: then the faults are over, time passes until the ledger is empty, and the stores must be
equal and hold what the clients were told.
"""

import asyncio
from collections.abc import Collection, Coroutine, Sequence
from contextvars import Context, copy_context
from typing import Any

from service.errors import Overloaded, StageError, StaleEpoch, StoreError
from service.model.ids import PointId, encode_key
from service.stages import Side, Stage, authority, mirrors
from tests.interleavings.building import Instance, Variant, build
from tests.interleavings.clock import clock_and_ids
from tests.interleavings.history import History
from tests.interleavings.invariants import Invariant, Watch
from tests.interleavings.loop import OWNER, WORLD, Option, ScriptedLoop
from tests.interleavings.postgres import ControlRow, Postgres, Tables
from tests.interleavings.register import Kept
from tests.interleavings.search import Run, Script
from tests.interleavings.source import Qdrant, point
from tests.interleavings.writes import Read, Result, Told, Write, lost_or_returned, missed

COLLECTION = "c"
GENERATION = 1
_HEAL_SECONDS = 120.0
_OPERATOR_PAUSES = 5.0
_STILL = 1.5
_AWAY_SECONDS = 16.0
"""Longer than others wait for a silent instance."""


class World:
    """A history that runs under one script."""

    longest_seconds = 300.0

    def __init__(
        self,
        history: History,
        script: Script,
        variant: Variant,
        watched: Collection[Invariant] = tuple(Invariant),
    ) -> None:
        self.history = history
        self.variant = variant
        self.watch = Watch(frozenset(watched))
        self.loop = ScriptedLoop(  # type: ignore[abstract]  # what asyncio's parts ask of it is there
            script.choose, offers=self._offers, after_step=self._check_step
        )
        self.qdrant = Qdrant(self.loop, history.points, history.grace_seconds)
        self.kept = Kept(self.loop)
        self.tables = Tables(
            control={COLLECTION: ControlRow(COLLECTION, GENERATION, history.stage)},
            points={} if history.backfills else dict(history.points),
        )
        self.postgres = Postgres(self.loop, self.tables)
        self._script = script
        self._told: list[Told] = []
        self._instances: dict[str, Instance] = {}
        self._busy: dict[int, str] = {}
        self._is_copied = not history.backfills
        self._dead: set[str] = set()
        self._spawned: list[asyncio.Task[None]] = []

    def run(self) -> None:
        """Run it. Raises ``Violation`` or ``Stuck``."""
        with clock_and_ids(self.loop):
            self.loop.run(self._main())

    async def _main(self) -> None:
        await self._set_up()
        await self._play()
        self._script.is_closed = True
        await self._heal()

    async def _set_up(self) -> None:
        self.loop.is_quiet = True
        for name in self.history.names:
            self._instances[name] = await self._start(name)
        self.loop.is_quiet = False
        for name in self.history.faults.cut_off:
            self._cut(name)
        self._let_faults_happen()

    async def _play(self) -> None:
        for name, wanted in self.history.clients:
            self._spawn(name, self._client(len(self._busy), name, wanted))
        if self.history.changes:
            self._spawn(self.history.changes[0][0], self._operate(len(self._busy)))
        if self.history.backfills:
            self._spawn(WORLD, self._copy_page(len(self._busy)))
        if self.history.begins_after_seconds:
            self._script.is_closed = True
            await self._begin()
            self._script.is_closed = False
        while self._is_at_work():
            await self.loop.pause(0.25)

    async def _begin(self) -> None:
        if self.history.begins_after_seconds:
            await self.loop.pause(self.history.begins_after_seconds)

    async def _start(self, name: str) -> Instance:
        context = _context_of(name)
        instance: Instance = await self.loop.create_task(build(self), context=context)
        for work in instance.background:
            self.loop.create_task(work, context=context)
        return instance

    def _spawn(self, owner: str, work: Coroutine[Any, Any, None]) -> None:
        self._busy[len(self._busy)] = owner
        self._spawned.append(self.loop.create_task(work, context=_context_of(owner)))

    def _let_faults_happen(self) -> None:
        faults = self.history.faults
        self.qdrant.write_faults = faults.write
        self.qdrant.answer_faults = faults.answer
        self.qdrant.read_faults = faults.read
        self.postgres.faults = faults.postgres
        self.postgres.slow_faults = faults.slow
        self.postgres.answers_apart = bool(faults.sleepy)
        self.kept.faults = faults.register

    def _is_at_work(self) -> bool:
        is_still = not any(self._busy.values()) and self.qdrant.is_still and not self._is_hurt()
        is_behind = bool(self.tables.intents or self.kept.hints)
        return not is_still or (is_behind and self.loop.time() < 3 * self.history.grace_seconds)

    def _is_hurt(self) -> bool:
        return bool(self.postgres.cut_off - self._dead) or any(
            self.loop.is_standing_still(name) for name in self._instances
        )

    # ---- what happens

    async def _client(self, number: int, name: str, wanted: Sequence[Write | Read]) -> None:
        await self._begin()
        for each in wanted:
            await self.loop.step(f"client {number} asks: {each}")
            if isinstance(each, Read):
                await self._read(name, each)
            else:
                await self._write(name, each)
        self._busy[number] = ""

    async def _write(self, name: str, write: Write) -> None:
        told = Told(write, self.loop.ticks, name)
        self._told.append(told)
        asked_at = self.loop.time()
        try:
            status = await self._instances[name].front.write(write)
        except (StoreError, Overloaded, StaleEpoch) as error:
            told.result, reason = Result.UNKNOWN, str(error)
        else:
            told.result, reason = Result.DONE if status == 200 else Result.REFUSED, ""
        told.ended = self.loop.ticks
        self._check_patience(write, told.result, self.loop.time() - asked_at, reason)

    def _check_patience(self, write: Write, result: Result, seconds: float, reason: str) -> None:
        """I5: while the source is right, Postgres neither fails a client nor delays it beyond the budget."""
        patience = self.history.patience_seconds
        if patience is not None and (result is not Result.DONE or seconds > patience):
            self.watch.broken(
                Invariant.I5, f"{write} ended {result} after {seconds:.2f} s: {reason}"
            )

    async def _read(self, name: str, read: Read) -> None:
        began = self.loop.ticks
        try:
            found = await self._instances[name].front.read(read.id)
        except (StoreError, Overloaded, StaleEpoch):
            return
        self.watch.all_broken(missed(self.history.points, self._told, read.id, began, found))

    async def _operate(self, number: int) -> None:
        await self._begin()
        if self.history.operator_waits_seconds:
            await self.loop.pause(self.history.operator_waits_seconds)
        for name, stage in self.history.changes:
            if not await self._change(name, stage):
                break
        self._busy[number] = ""

    async def _change(self, name: str, stage: Stage) -> bool:
        for _ in range(self.history.tries):
            await self.loop.step(f"operator asks {name} for {stage}")
            before = authority(self.tables.control[COLLECTION].stage)
            try:
                after = await self._instances[name].changes.change(
                    COLLECTION, stage, percent=100, actor="test"
                )
            except (StageError, StoreError):
                await self.loop.pause(_OPERATOR_PAUSES if self.history.tries > 1 else 0.0)
            else:
                # Where the authority stays, a hinted write that was allowed before may end after the change.
                if after.authority is not before:
                    self.watch.confirmed(after.epoch)
                return True
        return False

    async def _copy_page(self, number: int) -> None:
        """backfill/copying.py: read a page, then insert what is missing; from the beginning when a store fails."""
        while not self._is_copied:
            try:
                found = await self.qdrant.read(sorted(self.qdrant.points, key=str))
                points = [point(*each) for each in found.items()]
                await self._instances["B"].ledger.insert_page(GENERATION, points)
            except StoreError:
                await self.loop.pause(0.5)
            else:
                self._is_copied = True
        self._busy[number] = ""

    # ---- what may go wrong

    def _offers(self, owner: str) -> list[Option]:
        """Return what the world may do after a step of an instance; after time has passed nothing new."""
        if owner == WORLD:
            return []
        offered, faults = self.qdrant.offers(), self.history.faults
        if owner in self._dead or self.loop.is_standing_still(owner):
            return offered
        if owner in faults.mortal:
            offered.append(Option(f"{owner} dies", lambda: self._kill(owner), faults=1))
        if owner in faults.sleepy:
            offered.append(Option(f"{owner} stands still", lambda: self._stop(owner), faults=1))
        if owner in faults.cuttable and owner not in self.postgres.cut_off:
            offered.append(Option(f"{owner} loses Postgres", lambda: self._cut(owner), faults=1))
        return offered

    def _kill(self, name: str) -> None:
        self._dead.add(name)
        self.loop.kill(name)
        self.qdrant.leave_behind(name)
        self.postgres.cut(name)
        self._busy = {number: "" if of == name else of for number, of in self._busy.items()}

    def _stop(self, name: str) -> None:
        self.loop.hold(name)
        self.qdrant.leave_behind(name)
        self.loop.call_outside(_STILL * self.history.grace_seconds, lambda: self.loop.let_go(name))

    def _cut(self, name: str) -> None:
        self.postgres.cut_off.add(name)
        self.postgres.cut(name)
        self.loop.call_outside(_AWAY_SECONDS, lambda: self.postgres.cut_off.discard(name))

    # ---- what must hold

    def _check_step(self) -> None:
        """Raise what a client found out, and what does not hold now. Raises ``Violation``."""
        for task in self._spawned:
            if task.done():
                task.result()
        if self.loop.time() > self.longest_seconds:
            raise AssertionError("no end in sight")
        self._check_ledger()
        self.watch.check()

    def _check_ledger(self) -> None:
        """I1: an id on which the stores differ is in the ledger, as one that the store behind may lack."""
        stage = self.tables.control[COLLECTION].stage
        differing = self._differing() if self._is_copied and mirrors(stage) else []
        if not differing:
            return
        known = self._in_ledger(authority(stage).other) | self._in_flight()
        for each in differing:
            if encode_key(each) not in known:
                self.watch.broken(
                    Invariant.I1, f"{each} differs and is not in the ledger {self._stores()}"
                )

    def _in_ledger(self, behind: Side) -> set[bytes]:
        intents = [row.intent for row in self.tables.intents.values()]
        intents += [hint.intent for hint in self.kept.hints.values()]
        return {key for each in intents if each.behind is behind for key in each.keys}

    def _in_flight(self) -> set[bytes]:
        """Return the keys of unanswered writes of instances that may stand still: their intents may be gone (R7)."""
        return {
            encode_key(each)
            for told in self._told
            if told.ended is None and told.owner in self.history.faults.sleepy
            for each in told.write.ids
        }

    def _differing(self) -> list[PointId]:
        right, left = self.qdrant.points, self.tables.present()
        return [
            each for each in sorted({*right, *left}, key=str) if right.get(each) != left.get(each)
        ]

    def _stores(self) -> str:
        return f"(source {self.qdrant.points}, target {self.tables.points})"

    async def _heal(self) -> None:
        """Let time pass without faults, as long as something is not settled; then look at what is left."""
        latest = self.loop.time() + _HEAL_SECONDS
        while self._is_unsettled() and self.loop.time() < latest:
            await self.loop.pause(0.5)
        if self._is_unsettled():
            left = [row.intent.keys for row in self.tables.intents.values()]
            hints = len(self.kept.hints)
            self.watch.broken(Invariant.I2, f"not settled after healing: {left}, hints {hints}")
        if self._differing():
            self.watch.broken(Invariant.I2, f"the stores differ at rest {self._stores()}")
        is_source = authority(self.tables.control[COLLECTION].stage) is Side.SOURCE
        right = self.qdrant.points if is_source else self.tables.present()
        for present in (right, self.tables.present()):
            self.watch.all_broken(lost_or_returned(self.history.points, self._told, present))
        self.watch.check()

    def _is_unsettled(self) -> bool:
        if self.tables.intents or self.kept.hints or self._is_hurt():
            return True
        living = [each for name, each in self._instances.items() if name not in self._dead]
        return not all(each.resyncer.is_idle for each in living)


def _context_of(owner: str) -> Context:
    context = copy_context()
    context.run(OWNER.set, owner)
    return context


def running(
    history: History,
    variant: Variant | None = None,
    watched: Collection[Invariant] = tuple(Invariant),
) -> Run:
    """Return a run of the history for every script."""

    def run(script: Script) -> None:
        World(history, script, variant or Variant(), watched).run()

    return run
