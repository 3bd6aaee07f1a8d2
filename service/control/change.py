"""How a stage changes: check, freeze, settle, publish, and wait for every instance; recorded in both stores.

The procedure per kind of transition:

- ``ARM``      make empty target tables, publish, record; the stage counts only when all instances confirmed (R9).
- ``PUBLISH``  freeze for a moment, so that detached instances decide nothing meanwhile; publish, record, confirm.
- ``FREEZE``   where the target becomes right, look at the source's description once more; hold new writes, freeze the
               record, confirm (so that the older writes have ended), wait for an empty ledger and no hints (R6),
               publish under the freeze (which looks at the ledger once more, R5), record, confirm. The freeze has a
               deadline in the database: when anything fails or this process dies, the old stage goes on.
- ``ABANDON``  publish ``off``, record, confirm, drop the target's tables.

Gates: a stage that compares or reads the target needs a complete backfill; one that has the target answer more than
before needs a quarantine in which every point is waived. No gate is in the way back to the source.

The record in the source matters while the source is right, before or after: without it such a change is refused.
Elsewhere it is brought up to date as soon as the source can be reached.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import assert_never
from uuid import UUID, uuid4

import structlog

from service.control.plane import POLL_SECONDS, ControlPlane
from service.control.ports import ControlStore
from service.control.sealing import Frozen, Seals
from service.control.state import CollectionState
from service.errors import StageError, StoreError
from service.model.qdrant import CreateCollection
from service.stages import Change, Side, Stage, authority, needs_backfill, transition
from service.steps import Step, reached

_log = structlog.get_logger(__name__)

ReadConfig = Callable[[str], Awaitable[CreateCollection]]
Follow = Callable[[CollectionState], Awaitable[None]]
"""Has the target take the source's description of a collection once more: parameters, indexes, aliases."""

_CONFIRM_SECONDS = 30.0


class StageChanges:
    """Carries out stage changes, one at a time per instance; the control row's epoch decides between instances."""

    def __init__(
        self,
        plane: ControlPlane,
        store: ControlStore,
        seals: Seals,
        *,
        read_source_config: ReadConfig,
        follow: Follow,
        freeze_seconds: float,
    ) -> None:
        self._plane = plane
        self._store = store
        self._seals = seals
        self._read_source_config = read_source_config
        self._follow = follow
        self._freeze_seconds = freeze_seconds
        self._one_at_a_time = asyncio.Lock()

    async def change(
        self, name: str, wanted: Stage, *, percent: int, actor: str
    ) -> CollectionState:
        """Bring a collection to a stage and return its new state.

        Raises ``StageError`` with the reason; the old stage is in force then, unless the reason is that an instance
        has not confirmed the new one. Asking for the stage that is already in force only waits for that.
        """
        async with self._one_at_a_time:
            before = (await self._plane.refresh()).state(name)
            change = _change(before, wanted, percent)
            if change is None:
                await self._recorded(before, wanted)
                await self._confirmed(self._plane.view.revision)
                return before
            await self._check_gates(before, wanted, percent)
            await self._carry_out(change, before, wanted, percent, actor)
            after = self._plane.view.state(name)
            _log.info(
                "stage_changed", collection=name, stage=after.stage, before=before.stage,
                percent=after.percent, epoch=after.epoch, actor=actor,
            )  # fmt: skip
            return after

    async def seconds_until_armed(self, state: CollectionState) -> float:
        """Return how long a backfill has to wait for instances that are not heard; 0 when it need not."""
        return await self._seals.seconds_until_armed(state)

    async def _check_gates(self, before: CollectionState, wanted: Stage, percent: int) -> None:
        if needs_backfill(wanted) and not before.backfilled:
            message = f"`{before.name}` has no complete backfill; run `vecferry backfill` first"
            raise StageError(message)
        if is_read_more(before, wanted, percent):
            await self._check_quarantine(before)

    async def _check_quarantine(self, state: CollectionState) -> None:
        """Refuse while the target lacks points that nobody has given up by name."""
        if state.generation is None:
            return
        if lacking := await self._store.quarantined(state.generation):
            message = (
                f"`{state.name}` has {lacking} point(s) that the target cannot hold;"
                f" see `vecferry quarantine list {state.name}`, mend them or waive them by id"
            )
            raise StageError(message)

    async def _carry_out(
        self, change: Change, before: CollectionState, wanted: Stage, percent: int, actor: str
    ) -> None:
        match change:
            case Change.ARM:
                config = await self._read_source_config(before.name)
                revision = await self._store.arm(
                    before.name, config, actor=actor, is_new=False, before=before
                )
            case Change.PUBLISH | Change.FREEZE:
                revision = await self._publish(change, before, wanted, percent, actor)
            case Change.ABANDON if not before.epoch:
                revision = await self._store.keep_off(before.name, actor=actor)
            case Change.ABANDON:
                revision = await self._store.abandon(before, actor=actor)
            case _:
                assert_never(change)
        reached(Step.STAGE_PUBLISHED)
        await self._recorded(before, wanted)
        await self._confirmed(revision)
        if change is Change.ABANDON and before.generation is not None:
            await self._store.drop_generation(before.generation)

    async def _confirmed(self, revision: int) -> None:
        await self._plane.confirmed_by_all(revision, seconds=_CONFIRM_SECONDS)

    async def _recorded(self, before: CollectionState, wanted: Stage) -> None:
        """Bring the record up to date; only arming counts for nothing without it."""
        try:
            await self._seals.sync(before.name)
        except (StoreError, StageError) as error:
            if wanted is Stage.DUALWRITE:
                message = f"`{before.name}` is in stage {wanted}, but Qdrant does not keep it: {error}; try again"
                raise StageError(message) from error
            # A record that lags is frozen, says that the target is right or names a generation that is gone.
            _log.warning("record_not_synced", collection=before.name, error=str(error))

    async def _publish(
        self, change: Change, before: CollectionState, wanted: Stage, percent: int, actor: str
    ) -> int:
        moves, is_recorded = change is Change.FREEZE, _involves_source(before.stage, wanted)
        if moves:
            if before.authority is Side.SOURCE and authority(wanted) is Side.TARGET:
                # Its aliases are in force from the publication on: what nobody told us of must be there, too.
                await self._follow(before)
            await self._settled(before, "before the freeze", limit=_NEARLY)
            await self._check_nothing_stuck(before)
        elif not is_recorded:
            return await self._store.publish(before, wanted, percent, actor=actor, token=None)
        token, frozen = uuid4(), None
        try:
            revision = await self._store.freeze(before, token, self._freeze_seconds)
            reached(Step.STAGE_FROZEN)
            if is_recorded:
                frozen = await self._seals.freeze(before)
            if moves:
                await self._all_ended(before, revision, frozen)
            if is_read_more(before, wanted, percent):
                await self._check_quarantine(before)
        except BaseException:
            await asyncio.shield(self._undo(before.name, token, frozen))
            raise
        try:
            return await self._store.publish(
                before, wanted, percent, actor=actor, token=token, moves=moves
            )
        except BaseException as error:
            # Whether a lost connection took the publication with it only the database knows.
            is_refused = isinstance(error, StageError)
            await asyncio.shield(self._undo(before.name, token, frozen if is_refused else None))
            raise

    async def _all_ended(
        self, before: CollectionState, revision: int, frozen: Frozen | None
    ) -> None:
        """Return when no instance writes under the old stage any more, and all that was written is settled."""
        await self._plane.confirmed_by_all(revision, seconds=self._freeze_seconds)
        if frozen is not None:
            await self._seals.leases_over(frozen)
        await self._settled(before, "under the freeze")

    async def _undo(self, name: str, token: UUID, frozen: Frozen | None) -> None:
        """End the freeze in both stores, each by itself; what cannot be reached is put right later."""
        try:
            await self._store.thaw(name, token)
        except StoreError as error:
            _log.warning("freeze_left_to_its_deadline", collection=name, error=str(error))
        try:
            await (self._seals.sync(name) if frozen is None else self._seals.thaw(frozen))
        except (StoreError, StageError) as error:
            _log.warning("record_left_frozen", collection=name, error=str(error))

    async def _check_nothing_stuck(self, state: CollectionState) -> None:
        """Refuse before writes are held: what has not settled for long will not under the freeze either."""
        if state.generation is None:
            return
        stuck = await self._store.stuck_intents(state.generation, older_than_seconds=_STUCK_SECONDS)
        if stuck:
            message = (
                f"`{state.name}` has {stuck} intent(s) that have not settled for {_STUCK_SECONDS:g} s;"
                f" see `vecferry ledger list {state.name}`"
            )
            raise StageError(message)

    async def _settled(self, state: CollectionState, when: str, *, limit: int = 0) -> None:
        """Return when at most ``limit`` intents and hints of the generation are left. Raises ``StageError``."""
        if state.generation is None:
            return
        left, seconds = 0, self._freeze_seconds
        try:
            async with asyncio.timeout(seconds):
                # The ledger is a table and hints are points: there is nothing to be woken by.
                while (left := await self._left(state, state.generation)) > limit:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS / 4)
        except TimeoutError:
            message = (
                f"`{state.name}` still has {left} unsettled intents after {seconds:g} s {when}"
            )
            raise StageError(message) from None

    async def _left(self, state: CollectionState, generation: int) -> int:
        """Return how many hints and intents there are, in the order in which they move."""
        hints = await self._seals.hints(generation) if state.authority is Side.SOURCE else 0
        return hints + await self._store.ledger_size(generation)


def is_read_more(before: CollectionState, wanted: Stage, percent: int) -> bool:
    """Say whether the target answers more requests after a change, while the source is right before it."""
    if before.authority is Side.TARGET:
        return False
    is_more_ramp = wanted is Stage.RAMP and (
        before.stage is not Stage.RAMP or percent > before.percent
    )
    return is_more_ramp or authority(wanted) is Side.TARGET


def _involves_source(before: Stage, after: Stage) -> bool:
    """Say whether the source is right before or after a change."""
    return Side.SOURCE in {authority(before), authority(after)}


def _change(before: CollectionState, wanted: Stage, percent: int) -> Change | None:
    """Return what has to be done, ``None`` when the stage is in force; without tables it is only a wish."""
    is_same = before.stage is wanted and (before.percent == percent or wanted is not Stage.RAMP)
    if is_same and wanted is Stage.DUALWRITE and before.generation is None:
        return Change.ARM
    return None if is_same else transition(before.stage, wanted)


_STUCK_SECONDS = 5.0
_NEARLY = 64
"""How long a ledger may be when writes are first held: the rest drains in a fraction of the deadline."""
