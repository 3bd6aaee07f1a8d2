"""What an operator can ask for: status, stage changes, backfill, verification. The control API and the CLI sit on it.

Long jobs run in this process's task group and are followed by polling; their progress lies in the database (backfill)
or in the receipt (verification).
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Protocol

import structlog

from backfill.job import Job, JobState
from backfill.ports import Jobs
from backfill.receipt import Receipt
from backfill.run import Backfill
from backfill.verify import Verification
from service.control.change import Follow, StageChanges
from service.control.plane import ControlPlane
from service.control.ports import ControlStore
from service.control.state import CollectionState, View
from service.errors import CollectionNotFound, StageError, StoreError, VecferryError
from service.ports import VectorStore
from service.protocol.book import LineState, Tally
from service.protocol.mirrors import BarrierStore
from service.protocol.whole_ledger import WholeLedger
from service.stages import Side, Stage
from shadow.reads import ShadowReads

_log = structlog.get_logger(__name__)

_ARMED_SECONDS = 60.0
_STATUS_SECONDS = 5.0


class BuildIndexes(Protocol):
    """Builds the target's HNSW indexes of a collection that is large enough for them."""

    async def __call__(self, collection: str) -> list[str]:
        """Return the names of the indexes that were built."""
        ...


@dataclass(slots=True)
class LongJob:
    """A job of this process: running until ``result`` or ``error`` is there."""

    kind: str
    collection: str
    step: str = "running"
    result: Mapping[str, object] | None = None
    error: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return self.result is None and self.error is None

    def to_json(self) -> dict[str, object]:
        """Return the job as JSON values."""
        state = "running" if self.is_running else "failed" if self.error else "done"
        return {
            "kind": self.kind, "collection": self.collection, "state": state,
            "step": self.step, "result": self.result, "error": self.error,
        }  # fmt: skip


@dataclass(slots=True)
class Administration:
    """The operator's verbs. ``source`` is ``None`` when there is no Qdrant."""

    plane: ControlPlane
    control: ControlStore
    changes: StageChanges
    source: BarrierStore | None
    target: VectorStore
    jobs: Jobs
    backfill: Backfill | None
    verification: Verification | None
    build_indexes: BuildIndexes
    follow: Follow
    shadow: ShadowReads
    ledger: WholeLedger
    _running: dict[tuple[str, str], LongJob] = field(default_factory=dict)
    _tasks: asyncio.TaskGroup | None = None

    async def run(self) -> None:
        """Own the long jobs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            await asyncio.Event().wait()

    async def status(self) -> dict[str, object]:
        """Return this instance's id and what is known of every collection, sorted by name; what is not, and why."""
        view, target_error = await self._newest()
        names = set(view.states)
        source_error = None
        if self.source is not None:
            try:
                names |= set(await self.source.collections())
            except VecferryError as error:
                source_error = str(error)
        count = await self.ledger.count(collection=None)
        unsettled: dict[str, list[Tally]] = {}
        for tally in count.tallies:
            unsettled.setdefault(tally.collection, []).append(tally)
        return {
            "instance": str(self.plane.instance),
            "revision": view.revision,
            "detached": view.is_detached or not self.plane.is_attached,
            "stages_known": view.is_known or view.is_detached,
            "source_error": source_error,
            "target_error": target_error,
            "unsettled": _intents(count.tallies),
            "ledger_unread": {str(side): reason for side, reason in count.unread.items()},
            "collections": [
                await self._collection(view.state(name), unsettled.get(name, []), target_error)
                for name in sorted(names)
            ],
        }

    async def _newest(self) -> tuple[View, str | None]:
        """Return the newest view; the last known one, and why, when the control state does not answer."""
        try:
            async with asyncio.timeout(_STATUS_SECONDS):
                return await self.plane.refresh(), None
        except (StoreError, TimeoutError) as error:
            return self.plane.view, str(error) or "did not answer in time"

    async def matching(self, pattern: str) -> list[str]:
        """Return the collection of exactly this name, else those that it names as a shell pattern, sorted.

        Raises ``CollectionNotFound``.
        """
        known = set((await self.plane.refresh()).states)
        if self.source is not None:
            try:
                known |= set(await self.source.collections())
            except VecferryError:
                _log.warning("source_collections_unreadable")
        if pattern in known:  # names may contain brackets
            return [pattern]
        found = sorted(name for name in known if fnmatchcase(name, pattern))
        if not found:
            raise CollectionNotFound(pattern)
        return found

    async def set_stage(
        self, name: str, stage: Stage, *, percent: int, actor: str
    ) -> CollectionState:
        """Bring a collection to a stage. Raises ``StageError``."""
        state = await self.changes.change(name, stage, percent=percent, actor=actor)
        if stage is Stage.OFF:
            self.shadow.forget(name)
        return state

    async def start_backfill(self, name: str, *, restart: bool) -> LongJob:
        """Begin or resume copying a collection and, after it, building its indexes."""
        state = (await self.plane.refresh()).state(name)
        if self.backfill is None or not state.is_mirrored or state.authority is Side.TARGET:
            message = f"`{name}` is in stage {state.stage}; a backfill needs dualwrite (or later, before live)"
            raise StageError(message)
        _require_tables(state)
        return self._start("backfill", name, lambda job: self._backfill(job, state, restart))

    async def start_verify(self, name: str) -> LongJob:
        """Begin to compare a collection point by point."""
        state = (await self.plane.refresh()).state(name)
        if self.verification is None or not state.is_mirrored:
            message = (
                f"`{name}` is in stage {state.stage}; only mirrored collections can be verified"
            )
            raise StageError(message)
        _require_tables(state)
        return self._start("verify", name, lambda job: self._verify(job, state))

    def job(self, kind: str, name: str) -> LongJob | None:
        """Return the last job of a kind that this process ran for the collection."""
        return self._running.get((kind, name))

    async def backfill_job(self, name: str) -> Job | None:
        """Return the stored progress of the collection's backfill."""
        return await self.jobs.get(name)

    def _start(
        self, kind: str, name: str, work: "Callable[[LongJob], Coroutine[Any, Any, None]]"
    ) -> LongJob:
        present = self._running.get((kind, name))
        if present is not None and present.is_running:
            return present
        if self._tasks is None:
            message = "this instance does not run jobs yet"
            raise StageError(message)
        job = self._running[kind, name] = LongJob(kind, name)
        # A context of its own: the job's log lines are not those of the request that began it.
        self._tasks.create_task(self._guarded(job, work), context=Context())
        return job

    async def _guarded(
        self, job: LongJob, work: "Callable[[LongJob], Coroutine[Any, Any, None]]"
    ) -> None:
        try:
            await work(job)
        except VecferryError as error:
            job.error = str(error)
        except Exception as error:  # noqa: BLE001 - a fault of ours ends this job, not production
            _log.exception("job_failed", kind=job.kind, collection=job.collection)
            job.error = f"internal error: {type(error).__name__}: {error}"
        else:
            _log.info("job_done", kind=job.kind, collection=job.collection)

    async def _backfill(self, job: LongJob, state: CollectionState, restart: bool) -> None:  # noqa: FBT001
        if self.backfill is None or state.generation is None:
            message = f"`{state.name}` has no target tables"
            raise StageError(message)
        # R9: writes of the time before the mirror must have ended on every instance.
        await self.plane.confirmed_by_all(self.plane.view.revision, seconds=_ARMED_SECONDS)
        while (seconds := await self.changes.seconds_until_armed(state)) > 0:
            job.step = f"waiting {seconds:.0f} s for an instance that is not heard"
            await asyncio.sleep(min(seconds, 1.0))
        if self.source is not None:
            # … and what Qdrant only acknowledged must be applied, or the copy misses it.
            await self.source.drain(state.name)
            await self.follow(state)
        if (await self.plane.refresh()).state(state.name).generation != state.generation:
            message = f"the mirror of `{state.name}` was begun anew meanwhile; try again"
            raise StageError(message)
        job.step = "copying"
        before = await self.jobs.get(state.name)
        copied = await self.backfill.run(state.name, restart=restart)
        job.step = "building indexes"
        indexes = await self.build_indexes(state.name)
        if copied.state is JobState.DONE:
            await self.control.mark_backfilled(state.name, state.generation)
            await self.plane.refresh()
        job.result = {
            **copied.to_json(),
            "indexes": indexes,
            "was_done": before is not None and before.state is JobState.DONE and not restart,
        }

    async def _verify(self, job: LongJob, state: CollectionState) -> None:
        if self.verification is None:
            return
        receipt: Receipt = await self.verification.run(state.name, epoch=state.epoch)
        job.result = receipt.to_json()

    async def _collection(
        self, state: CollectionState, unsettled: Sequence[Tally], target_error: str | None
    ) -> dict[str, object]:
        points, backfill = None, None
        if state.generation is not None and target_error is None:
            stored = await self.jobs.get(state.name)
            backfill = None if stored is None else stored.to_json()
            points = (await self.target.collection_info(state.name)).points_count
        return {
            "name": state.name,
            "stage": str(state.stage),
            "percent": state.percent,
            "epoch": state.epoch,
            "frozen": state.frozen,
            "authority": str(state.authority),
            "backfilled": state.backfilled,
            "ledger": sum(tally.intents for tally in unsettled),
            "unsettled": _intents(unsettled),
            "points": points,
            "backfill": backfill,
            "parity": self.shadow.parity(state.name).to_json() if state.is_mirrored else None,
        }


def _intents(tallies: Iterable[Tally]) -> dict[str, int]:
    """Return how many intents are in each state."""
    counts = {str(state): 0 for state in LineState}
    for tally in tallies:
        counts[tally.state] += tally.intents
    return counts


def _require_tables(state: CollectionState) -> None:
    if state.generation is None and state.authority is Side.TARGET:
        message = f"`{state.name}` was dropped: there is nothing to compare or to copy"
        raise StageError(message)
    if state.generation is None:  # mirrored by default, but no request has named it yet
        message = (
            f"`{state.name}` is not mirrored yet; run `vecferry stage set {state.name} dualwrite`"
        )
        raise StageError(message)
