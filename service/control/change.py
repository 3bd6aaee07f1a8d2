"""How a stage changes: check, freeze where the authority moves, settle, publish, wait for every instance.

The procedure per kind of transition:

- ``ARM``      make empty target tables, publish; the stage counts only when all instances confirmed (R9).
- ``PUBLISH``  publish, confirm.
- ``FREEZE``   hold new writes, confirm (so that the older writes have ended), wait for an empty ledger, publish
               under the freeze (which looks at the ledger once more, R5), confirm. The freeze has a deadline in the
               database: when anything fails or this process dies, the old stage goes on.
- ``ABANDON``  publish ``off``, confirm, drop the target's tables.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import assert_never
from uuid import uuid4

import structlog

from service.control.plane import POLL_SECONDS, ControlPlane
from service.control.ports import ControlStore
from service.control.state import CollectionState
from service.errors import StageError
from service.model.qdrant import CreateCollection
from service.stages import Change, Stage, needs_backfill, transition

_log = structlog.get_logger(__name__)

ReadConfig = Callable[[str], Awaitable[CreateCollection]]

_CONFIRM_SECONDS = 30.0


class StageChanges:
    """Carries out stage changes, one at a time per instance; the control row's epoch decides between instances."""

    def __init__(
        self,
        plane: ControlPlane,
        store: ControlStore,
        *,
        read_source_config: ReadConfig,
        freeze_seconds: float,
    ) -> None:
        self._plane = plane
        self._store = store
        self._read_source_config = read_source_config
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
                await self._confirmed(self._plane.view.revision)
                return before
            self._check_gates(before, wanted)
            await self._carry_out(change, before, wanted, percent, actor)
            after = self._plane.view.state(name)
            _log.info(
                "stage_changed", collection=name, stage=after.stage, before=before.stage,
                percent=after.percent, epoch=after.epoch, actor=actor,
            )  # fmt: skip
            return after

    def _check_gates(self, before: CollectionState, wanted: Stage) -> None:
        if needs_backfill(wanted) and not before.backfilled:
            message = f"`{before.name}` has no complete backfill; run `vecferry backfill` first"
            raise StageError(message)
        if wanted is Stage.COMPLETE and before.name in self._plane.view.aliases.values():
            message = (
                f"`{before.name}` has aliases, which Postgres cannot answer without Qdrant yet"
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
            case Change.PUBLISH:
                revision = await self._store.publish(
                    before, wanted, percent, actor=actor, token=None
                )
            case Change.FREEZE:
                revision = await self._publish_frozen(before, wanted, percent, actor)
            case Change.ABANDON if not before.epoch:
                revision = await self._store.keep_off(before.name, actor=actor)
            case Change.ABANDON:
                revision = await self._store.abandon(before, actor=actor)
            case _:
                assert_never(change)
        await self._confirmed(revision)
        if change is Change.ABANDON and before.generation is not None:
            await self._store.drop_generation(before.generation)

    async def _confirmed(self, revision: int) -> None:
        await self._plane.confirmed_by_all(revision, seconds=_CONFIRM_SECONDS)

    async def _publish_frozen(
        self, before: CollectionState, wanted: Stage, percent: int, actor: str
    ) -> int:
        await self._ledger_empty(before, self._freeze_seconds, "before the freeze", limit=_NEARLY)
        await self._check_nothing_stuck(before)
        token = uuid4()
        try:
            revision = await self._store.freeze(before, token, self._freeze_seconds)
            await self._plane.confirmed_by_all(revision, seconds=self._freeze_seconds)
            await self._ledger_empty(before, self._freeze_seconds, "under the freeze")
            return await self._store.publish(before, wanted, percent, actor=actor, token=token)
        except BaseException:
            await asyncio.shield(self._store.thaw(before.name, token))
            raise

    async def _check_nothing_stuck(self, state: CollectionState) -> None:
        """Refuse before writes are held: what has not settled for long will not under the freeze either."""
        if state.generation is None:
            return
        stuck = await self._store.stuck_intents(state.generation, older_than_seconds=_STUCK_SECONDS)
        if stuck:
            message = (
                f"`{state.name}` has {stuck} intents that have not settled for {_STUCK_SECONDS:g} s;"
                " the log says why (resync_failed, point_refused)"
            )
            raise StageError(message)

    async def _ledger_empty(
        self, state: CollectionState, seconds: float, when: str, *, limit: int = 0
    ) -> None:
        if state.generation is None:
            return
        try:
            async with asyncio.timeout(seconds):
                # The ledger is a table: there is nothing to be woken by.
                while await self._store.ledger_size(state.generation) > limit:  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS / 4)
        except TimeoutError:
            left = await self._store.ledger_size(state.generation)
            message = (
                f"`{state.name}` still has {left} unsettled intents after {seconds:g} s {when}"
            )
            raise StageError(message) from None


def _change(before: CollectionState, wanted: Stage, percent: int) -> Change | None:
    """Return what has to be done, ``None`` when the stage is in force; without tables it is only a wish."""
    is_same = before.stage is wanted and (before.percent == percent or wanted is not Stage.RAMP)
    if is_same and wanted is Stage.DUALWRITE and before.generation is None:
        return Change.ARM
    return None if is_same else transition(before.stage, wanted)


_STUCK_SECONDS = 5.0
_NEARLY = 64
"""How long a ledger may be when writes are first held: the rest drains in a fraction of the deadline."""
