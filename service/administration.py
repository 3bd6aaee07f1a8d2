"""What an operator can ask for: status and stage changes. The control API and the CLI sit on it.

Backfills and verifications are in ``service/jobs.py``.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from backfill.jobs import JobKind
from service.control.change import StageChanges
from service.control.plane import ControlPlane
from service.control.state import CollectionState, View
from service.errors import CollectionNotFound, StoreError, VecferryError
from service.jobs import LongJobs
from service.patterns import named
from service.ports import VectorStore
from service.protocol.book import LineState, Tally
from service.protocol.mirrors import BarrierStore
from service.protocol.whole_ledger import WholeLedger
from service.stages import Stage
from shadow.reads import ShadowReads

_log = structlog.get_logger(__name__)

_STATUS_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Administration:
    """The operator's verbs. ``source`` is ``None`` when there is no Qdrant."""

    plane: ControlPlane
    changes: StageChanges
    source: BarrierStore | None
    target: VectorStore
    jobs: LongJobs
    shadow: ShadowReads
    ledger: WholeLedger
    upkeep: Callable[[], Awaitable[Mapping[str, object]]]
    """What is quarantined, and what was found to differ lately."""

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
        jobs = await self._latest_jobs(target_error)
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
            "upkeep": None if target_error is not None else await self.upkeep(),
            "throttle": self.jobs.throttle(),
            "collections": [
                {
                    **await self._collection(
                        view.state(name), unsettled.get(name, []), target_error
                    ),
                    **{str(kind): jobs.get((name, kind)) for kind in JobKind},
                }
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
        found = named(pattern, known)
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

    async def _latest_jobs(
        self, target_error: str | None
    ) -> Mapping[tuple[str, JobKind], dict[str, object]]:
        """Return the newest jobs as JSON values without their results."""
        if target_error is not None:
            return {}
        jobs = await self.jobs.listed("*", JobKind)
        return {(job.collection, job.kind): self.jobs.shown(job) for job in jobs}

    async def _collection(
        self, state: CollectionState, unsettled: Sequence[Tally], target_error: str | None
    ) -> dict[str, object]:
        points = None
        if state.generation is not None and target_error is None:
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
            "parity": self.shadow.parity(state.name).to_json() if state.is_mirrored else None,
        }


def _intents(tallies: Iterable[Tally]) -> dict[str, int]:
    """Return how many intents are in each state."""
    counts = {str(state): 0 for state in LineState}
    for tally in tallies:
        counts[tally.state] += tally.intents
    return counts
