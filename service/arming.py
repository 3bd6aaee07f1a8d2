"""What a backfill waits for before its first page (R9), and what its end says to the control plane."""

import asyncio

from backfill.jobs import Job
from backfill.queue import Note
from service.control.change import Follow, StageChanges
from service.control.plane import ControlPlane
from service.control.ports import ControlStore
from service.control.state import CollectionState
from service.errors import StageError
from service.protocol.mirrors import BarrierStore
from service.stages import Side

_LOOK_SECONDS = 2.0


class Arming:
    """Waits until every write that the copy could miss is mirrored."""

    def __init__(
        self,
        plane: ControlPlane,
        changes: StageChanges,
        control: ControlStore,
        source: BarrierStore,
        follow: Follow,
    ) -> None:
        self._plane = plane
        self._changes = changes
        self._control = control
        self._source = source
        self._follow = follow

    async def armed(self, job: Job, note: Note) -> None:
        """Return when copying may begin; ``note`` says what is waited for until then.

        Raises ``StageError`` when the collection is not mirrored any more, or anew.
        """
        state = await self._state(job)
        await self._confirmed(job, self._plane.view.revision, note)
        while (seconds := await self._changes.seconds_until_armed(state)) > 0:
            note(f"waiting {seconds:.0f} s for an instance that is not heard")
            await asyncio.sleep(min(seconds, 1.0))
        note("waiting for Qdrant to apply what it acknowledged")
        await self._source.drain(job.collection)
        await self._follow(state)
        await self._state(job)
        note(None)

    async def backfilled(self, job: Job) -> None:
        """Record that the copy is complete; stages that need one may be entered then."""
        await self._control.mark_backfilled(job.collection, job.generation)
        await self._plane.refresh()

    async def _confirmed(self, job: Job, revision: int, note: Note) -> None:
        """Return when the writes of the time before the mirror have ended on every instance."""
        while True:
            try:
                await self._plane.confirmed_by_all(revision, seconds=_LOOK_SECONDS)
            except StageError as error:
                note(f"waiting for every instance to write intents: {error}")
                await self._state(job)
            else:
                return

    async def _state(self, job: Job) -> CollectionState:
        state = (await self._plane.refresh()).state(job.collection)
        if state.generation != job.generation:
            message = f"the mirror of `{job.collection}` was begun anew meanwhile; start again"
            raise StageError(message)
        if not state.is_mirrored or state.authority is Side.TARGET:
            message = (
                f"`{job.collection}` is in stage {state.stage} by now; a backfill needs dualwrite"
            )
            raise StageError(message)
        return state
