"""One instance's place in the control plane: it follows the revision, confirms it, and knows when others have.

Rule 1: a view is swapped only as a whole, and only after the aliases that belong to it were read.
Rule 2: revision R is confirmed when every request that was decided under a view older than R, to a collection whose
        state has changed since, has begun to be answered.
Rule 3: when the control state cannot be read, the last view stays in force; its epochs fence what it may do.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID, uuid4

import structlog

from service.control.ports import ControlStore
from service.control.state import CollectionState, View
from service.errors import Overloaded, StageError, StoreError, VecferryError
from service.metrics import ProxyMetrics
from service.stages import Stage

_log = structlog.get_logger(__name__)

POLL_SECONDS = 0.1
HEARTBEAT_SECONDS = 1.0
STALE_AFTER_SECONDS = 10.0
# A source that hangs must not keep us from our heartbeat.
_ALIASES_SECONDS = 2.0

LoadAliases = Callable[[], Awaitable[Mapping[str, str]]]


class ControlPlane:
    """Follows the control table. ``start`` before use, ``run`` for as long as the instance serves."""

    def __init__(
        self,
        store: ControlStore,
        *,
        default_stage: Stage,
        load_aliases: LoadAliases,
        metrics: ProxyMetrics,
    ) -> None:
        self.instance: UUID = uuid4()
        self.view = View(-1, (), default_stage=default_stage)
        self._store = store
        self._default_stage = default_stage
        self._load_aliases = load_aliases
        self._metrics = metrics
        self._older: list[View] = []
        self._changed = asyncio.Event()
        self._confirmed = -1
        self._heartbeat_at = 0.0
        self._has_stale_aliases = False
        self._refreshing = asyncio.Lock()

    async def start(self) -> None:
        """Register and read the first view. Raises ``TargetUnavailable``."""
        await self._store.register(self.instance)
        await self.refresh()
        await self._confirm()

    async def run(self) -> None:
        """Poll the revision, confirm it, send heartbeats; never ends by itself."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                is_moving = self.view.is_any_frozen or self._has_stale_aliases
                if is_moving or await self._store.revision() != self.view.revision:
                    await self.refresh()
                await self._confirm()
            except VecferryError as error:
                self._metrics.control_errors.inc()
                _log.warning("control_state_unreadable", error=str(error))
            except Exception:  # noqa: BLE001 - a fault of ours: the last view stays in force
                self._metrics.control_errors.inc()
                _log.exception("control_refresh_failed")

    async def stop(self, *, is_drained: bool) -> None:
        """Leave the list of instances, unless a request of ours may still land: the grace period decides then."""
        if is_drained:
            await self._store.leave(self.instance)

    async def refresh(self) -> View:
        """Read the newest state now and return it."""
        async with self._refreshing:
            revision, states = await self._store.load()
            aliases = await self._aliases(states)
            is_new = revision != self.view.revision or aliases != self.view.aliases
            if is_new or self.view.is_any_frozen:
                self._swap(
                    View(revision, states, default_stage=self._default_stage, aliases=aliases)
                )
            return self.view

    async def thawed(self, name: str, *, seconds: float) -> None:
        """Return when the collection is not frozen. Raises ``Overloaded`` after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                while self.view.state(name).frozen:
                    await self._changed.wait()
        except TimeoutError:
            message = f"collection `{name}` is changing its stage, retry"
            raise Overloaded(message) from None

    async def confirmed_by_all(self, revision: int, *, seconds: float) -> None:
        """Return when every live instance has confirmed the revision. Raises ``StageError``."""
        deadline = time.monotonic() + seconds
        while True:
            await self.refresh()
            await self._confirm()
            waiting = await self._store.waiting_for(
                revision, stale_after_seconds=STALE_AFTER_SECONDS
            )
            if not waiting:
                return
            if time.monotonic() > deadline:
                names = ", ".join(str(entry.instance) for entry in waiting)
                message = f"not confirmed in {seconds:g} s by instance(s) {names}"
                raise StageError(message)
            await asyncio.sleep(POLL_SECONDS / 4)

    def _swap(self, view: View) -> None:
        self._older.append(self.view)
        self.view = view
        self._changed.set()
        self._changed = asyncio.Event()
        counts = dict.fromkeys(Stage, 0)
        for state in view.states.values():
            counts[state.stage] += 1
        for stage, count in counts.items():
            self._metrics.collections.labels(stage).set(count)

    async def _confirm(self) -> None:
        self._older = [view for view in self._older if not view.is_idle]
        # A request to a collection that did not change holds nothing up, however long it takes.
        held = (view.revision for view in self._older if view.holds_up(self.view))
        confirmed = min(held, default=self.view.revision)
        now = time.monotonic()
        if confirmed == self._confirmed and now - self._heartbeat_at < HEARTBEAT_SECONDS:
            return
        if not await self._store.confirm(self.instance, confirmed):
            # Fenced after a long silence: come back as an instance like any other.
            _log.warning("instance_was_fenced", instance=str(self.instance))
            await self._store.register(self.instance)
            await self.refresh()
        self._confirmed = confirmed
        self._heartbeat_at = now

    async def _aliases(self, states: Sequence[CollectionState]) -> Mapping[str, str]:
        if not any(state.is_mirrored for state in states):
            return {}
        try:
            async with asyncio.timeout(_ALIASES_SECONDS):
                aliases = await self._load_aliases()
        except (StoreError, TimeoutError) as error:
            if not self._has_stale_aliases:
                _log.warning("aliases_unreadable", error=str(error) or "no answer in time")
            self._has_stale_aliases = True
            return self.view.aliases
        self._has_stale_aliases = False
        return aliases
