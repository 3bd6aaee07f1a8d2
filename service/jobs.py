"""The operator's verbs on backfills and verifications. Jobs are stored: no process needs to live as long as one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from backfill.bell import Bell
from backfill.jobs import Job, JobKind, JobState, Options
from backfill.queue import Jobs
from backfill.watch import JobWatch
from service.control.plane import ControlPlane
from service.control.state import CollectionState
from service.errors import StageError
from service.model.moments import as_text
from service.patterns import named
from service.stages import Side


@dataclass(frozen=True, slots=True)
class LongJobs:
    """Starts, tunes, ends and shows jobs; conductors and workers, here or elsewhere, do them."""

    plane: ControlPlane
    jobs: Jobs
    watch: JobWatch
    bell: Bell
    throttle: Callable[[], Mapping[str, object]]
    """Returns what holds up the ranges of this process, and what did."""
    has_source: bool

    async def start(
        self, kind: JobKind, name: str, wanted: Mapping[str, object], *, restart: bool = False
    ) -> Job:
        """Begin a job, go on with one that failed, or return the one that is open, with the ``wanted`` options.

        A backfill that is done is returned as it is, unless ``restart`` asks for all of it again. Raises
        ``StageError`` when the collection's stage has nothing to copy or to compare.
        """
        state = (await self.plane.refresh()).state(name)
        self._check(kind, state)
        options = _changed(Options(), wanted)
        job = await self.jobs.start(kind, name, options, restart=restart)
        if kind is JobKind.BACKFILL and job.state is JobState.DONE and not state.backfilled:
            # Nobody has recorded that it is complete: the stages that need it stay shut without another run.
            job = await self.jobs.start(kind, name, options, restart=True)
        was_there = job.state.is_open and _changed(job.options, wanted) != job.options
        if was_there:
            job = await self.jobs.tune(job.id, wanted)
        self.bell.ring()
        return job

    async def tune(self, kind: JobKind, name: str, changes: Mapping[str, object]) -> Job:
        """Change what may be changed while a job runs; ``changes`` are fields of ``Options``.

        Raises ``StageError`` when there is no open job.
        """
        job = await self._open(kind, name)
        tuned = await self.jobs.tune(job.id, changes)
        self.bell.ring()
        return tuned

    async def cancel(self, kind: JobKind, name: str) -> Job:
        """End a job; what it wrote stays. Raises ``StageError`` when there is none that could be ended."""
        job = await self.jobs.latest(kind, name)
        if job is None or not job.state.may_become(JobState.CANCELLED):
            raise StageError(_nothing_open(kind, name, job))
        return await self.jobs.cancel(job.id)

    async def latest(self, kind: JobKind, name: str) -> Job | None:
        """Return the newest job of a kind of the collection."""
        return await self.jobs.latest(kind, name)

    async def listed(self, pattern: str, kinds: Iterable[JobKind]) -> Sequence[Job]:
        """Return the newest job of each of the kinds of the collections that a name or shell pattern names."""
        wanted = frozenset(kinds)
        found = [job for job in await self.jobs.latest_of_all() if job.kind in wanted]
        names = set(named(pattern, {job.collection for job in found}))
        return [job for job in found if job.collection in names]

    def described(self, job: Job) -> dict[str, object]:
        """Return a job as JSON values with its result."""
        return {**self.shown(job), "result": job.result}

    def shown(self, job: Job) -> dict[str, object]:
        """Return a job as JSON values, with its pace as this instance has seen it, without the result: it may be long.

        ``state`` is ``running`` while anybody has something to do for it, ``phase`` says what.
        """
        pace = self.watch.pace_of(job)
        return {
            "id": str(job.id),
            "kind": str(job.kind),
            "collection": job.collection,
            "generation": job.generation,
            "state": "running" if job.state.is_open else str(job.state),
            "phase": str(job.state),
            "note": job.note,
            "options": {
                "paused": job.options.paused,
                "points_per_second": job.options.points_per_second,
                "workers": job.options.workers,
                "page_bytes": job.options.page_bytes,
            },
            **progress(job),
            "points_per_second": pace.points_per_second,
            "average_points_per_second": pace.average_points_per_second,
            "seconds_left": pace.seconds_left,
            "elapsed_seconds": job.elapsed_seconds,
            "created_at": None if job.created_at is None else as_text(job.created_at),
            "ended_at": None if job.ended_at is None else as_text(job.ended_at),
            "error": job.error,
            "clean": _is_clean(job),
        }

    def _check(self, kind: JobKind, state: CollectionState) -> None:
        is_to_copy = kind is JobKind.BACKFILL
        is_possible = state.is_mirrored and not (is_to_copy and state.authority is Side.TARGET)
        if not (self.has_source and is_possible):
            message = f"`{state.name}` is in stage {state.stage}; {_NEEDED[kind]}"
            raise StageError(message)
        _require_tables(state)

    async def _open(self, kind: JobKind, name: str) -> Job:
        job = await self.jobs.latest(kind, name)
        if job is None or not job.state.is_open:
            raise StageError(_nothing_open(kind, name, job))
        return job


def progress(job: Job) -> dict[str, object]:
    """Return how far a job is, as JSON values. ``copied`` were new in the target, or differed at first sight."""
    return {
        "scanned": job.scanned,
        "copied": job.written,
        "total": job.total,
        "bytes": job.bytes,
        "ranges": job.ranges,
        "ranges_done": job.ranges_done,
        "workers": job.workers,
    }


def _is_clean(job: Job) -> bool | None:
    """Return the verdict of a verification that is done: the rest of its receipt is long."""
    clean = (job.result or {}).get("clean") if job.kind is JobKind.VERIFY else None
    return clean if isinstance(clean, bool) else None


def _changed(options: Options, changes: Mapping[str, object]) -> Options:
    return replace(options, **changes)  # type: ignore[arg-type]  # the edge has checked names and types


_NEEDED = {
    JobKind.BACKFILL: "a backfill needs dualwrite (or later, before live)",
    JobKind.VERIFY: "only mirrored collections can be verified",
}
_NAMES = {JobKind.BACKFILL: "backfill", JobKind.VERIFY: "verification"}


def _nothing_open(kind: JobKind, name: str, job: Job | None) -> str:
    what = _NAMES[kind]
    return f"`{name}` has no {what}" if job is None else f"the {what} of `{name}` is {job.state}"


def _require_tables(state: CollectionState) -> None:
    if state.generation is None and state.authority is Side.TARGET:
        message = f"`{state.name}` was dropped: there is nothing to compare or to copy"
        raise StageError(message)
    if state.generation is None:  # mirrored by default, but no request has named it yet
        message = (
            f"`{state.name}` is not mirrored yet; run `vecferry stage set {state.name} dualwrite`"
        )
        raise StageError(message)
