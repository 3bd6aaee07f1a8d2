"""What a client meets: the order of decisions of service/proxy/proxy.py and answers.py, without HTTP.

The view in force, the freeze queue, the lease, the route by stage; a stale epoch is decided anew. Reads are of one id.
"""

from dataclasses import dataclass

from service.control.marks import MarkWatch
from service.control.plane import ControlPlane
from service.control.state import CollectionState, View
from service.errors import Overloaded, StaleEpoch, StoreError, TargetUnavailable
from service.model.ids import PointId
from service.protocol.source_writes import SourceWrites
from service.protocol.target_writes import TargetAuthority
from service.proxy.freezing import FreezeQueue
from service.stages import Side, Stage
from tests.interleavings.invariants import CONFIRMED, EPOCH, Watch
from tests.interleavings.ledger import ModelLedger
from tests.interleavings.source import Qdrant
from tests.interleavings.writes import Write, operation, request

COLLECTION = "c"
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Front:
    """The request path of one instance; without ``marks`` no read is moved in ``ramp`` while somebody is detached."""

    plane: ControlPlane
    queue: FreezeQueue
    writes: SourceWrites
    target: TargetAuthority
    ledger: ModelLedger
    qdrant: Qdrant
    marks: MarkWatch | None
    watch: Watch

    async def write(self, write: Write) -> int:
        """Carry out a write and return its status."""
        for _ in range(_TRIES):
            try:
                return await self._write_once(write)
            except StaleEpoch:
                await self.plane.renewed(COLLECTION)
        raise Overloaded("keeps changing")

    async def read(self, point_id: PointId) -> int | None:
        """Read one id from the store that may answer (R11)."""
        for _ in range(_TRIES):
            try:
                return await self._read_once(point_id)
            except StaleEpoch:
                await self.plane.renewed(COLLECTION)
        raise Overloaded("keeps changing")

    async def _write_once(self, write: Write) -> int:
        await self.plane.current()
        await self.queue.pass_through(COLLECTION)
        view = await self.plane.current()
        state = self._decidable(view)
        with view.lease(COLLECTION):
            EPOCH.set(state.epoch)
            if state.authority is Side.TARGET:
                await self.target.apply(COLLECTION, operation(write), wait=True)
                return 200
            asked, touched = request(write, COLLECTION)
            return (await self.writes.write(state, asked, touched)).status

    async def _read_once(self, point_id: PointId) -> int | None:
        view = await self.plane.current()
        if view.is_detached:
            await self.queue.pass_through(COLLECTION)
            view = await self.plane.current()
        state = self._decidable(view)
        CONFIRMED.set(self.watch.confirmed_epoch)
        with view.lease(COLLECTION):
            if state.authority is Side.TARGET:
                await self._is_owing(state)
                return self._served(state, await self.ledger.read_point(point_id))
            if state.frozen:
                await self._check_published(state)
            if state.stage is Stage.RAMP and not view.is_detached and self._may_move(view):
                found = await self._from_unowing_target(state, point_id)
                if found is not None:
                    return found[0]
            return self._served(state, (await self.qdrant.read([point_id])).get(point_id))

    def _served(self, state: CollectionState, found: int | None) -> int | None:
        # One whose instance stood still meanwhile is as old as its question: it may say what was there then.
        self.watch.acted(state.epoch, "a read", confirmed=CONFIRMED.get())
        return found

    def _decidable(self, view: View) -> CollectionState:
        state = view.state(COLLECTION)
        if view.is_detached and state.authority is Side.TARGET:
            raise TargetUnavailable("cannot be reached")
        if view.is_detached and state.frozen:
            raise StaleEpoch("the collection is changing its stage")
        return state

    def _may_move(self, view: View) -> bool:
        return self.marks is None or self.marks.is_clear(view.read_at)

    async def _from_unowing_target(
        self, state: CollectionState, point_id: PointId
    ) -> tuple[int | None] | None:
        try:
            if await self._is_owing(state):
                return None
            return (self._served(state, await self.ledger.read_point(point_id)),)
        except StoreError:
            return None

    async def _check_published(self, state: CollectionState) -> None:
        """While writes are held the target may be right already, and others write there."""
        await self._is_owing(state)

    async def _is_owing(self, state: CollectionState) -> bool:
        owing = await self.ledger.is_owing(state.generation or 0, state.epoch)
        if owing is None:
            raise StaleEpoch("the stage changed under the request")
        return owing
