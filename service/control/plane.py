"""One instance's place in the control plane: it follows the revision, confirms it, and knows when others have.

Rule 1: a view is swapped only as a whole, and only after the aliases that belong to it were read.
Rule 2: revision R is confirmed when every request that was decided under a view older than R, to a collection whose
        state has changed since, has begun to be answered.
Rule 3: a view of the control table is in force for ``ATTACHED_SECONDS`` after the last *contact*: a heartbeat that
        Postgres took, and a look at the revision after it that found nothing newer. Others wait twice as long for this
        instance, so that it knows that it is alone before they go on without it.
Rule 4: afterwards the view comes from the source's records (R6), each look in force for ``LEASE_SECONDS``; with neither
        nothing is decided.
"""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from uuid import UUID, uuid4

import structlog

from service.control.ports import ControlStore
from service.control.records import Look, states_in_force
from service.control.register import LEASE_SECONDS
from service.control.state import Basis, CollectionState, View
from service.errors import (
    Overloaded,
    Refusal,
    StageError,
    StoreError,
    VecferryError,
)
from service.metrics import ProxyMetrics
from service.stages import Side, Stage
from service.troubles import Trouble

_log = structlog.get_logger(__name__)

POLL_SECONDS = 0.1
HEARTBEAT_SECONDS = 1.0
STALE_AFTER_SECONDS = 10.0
"""An instance that was silent for so long is not waited for."""
ATTACHED_SECONDS = 5.0
"""How long after its last contact an instance decides by what Postgres said; by its own monotonic clock."""
SILENT_SECONDS = 2.0
"""After so long without contact it gets ready to do without Postgres."""

_POLL_LIMIT_SECONDS = 3.0
_UNDECIDED_SECONDS = 2.0
_RENEW_SECONDS = 1.0
# A source that hangs must not keep us from our heartbeat.
_ALIASES_SECONDS = 2.0
_SEEN_SECONDS = 5.0

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
        self.view = View(-1, (), default_stage=default_stage, is_known=False)
        self._store = store
        self._default_stage = default_stage
        self._load_aliases = load_aliases
        self._metrics = metrics
        self._older: list[View] = []
        self._changed = asyncio.Event()
        self._loaded: tuple[int, Sequence[CollectionState]] | None = None
        self._look: Look | None = None
        self._aliases: Mapping[str, str] = {}
        self._has_stale_aliases = False
        self._aliases_from = -math.inf
        self._is_registered = False
        self._confirmed = -1
        self._started = time.monotonic()
        self._beat_at = -math.inf
        self._contact_at = -math.inf
        self._refreshing = asyncio.Lock()

    async def start(self) -> None:
        """Register and read the first view. Raises ``TargetUnavailable``: ``run`` tries again then."""
        await self._confirm()
        await self.refresh()
        await self._confirm()

    async def run(self) -> None:
        """Poll the revision, confirm it, send heartbeats; never ends by itself."""
        trouble = Trouble("control_state_unreadable")
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                async with asyncio.timeout(_POLL_LIMIT_SECONDS):
                    await self._poll()
                trouble.is_over()
            except (VecferryError, TimeoutError) as error:
                self._metrics.control_errors.inc()
                trouble.goes_on(error)
            except Exception:  # noqa: BLE001 - a fault of ours: the last view stays in force
                self._metrics.control_errors.inc()
                _log.exception("control_refresh_failed")

    async def _poll(self) -> None:
        if not self._is_registered:
            await self._confirm()
        beat = self._beat_at
        is_moving = self.view.is_any_frozen or self._has_stale_aliases or self.view.is_detached
        if is_moving or await self._store.revision() != self.view.revision:
            await self.refresh()
        else:
            self._contact_at = max(self._contact_at, beat)
        await self._confirm()

    async def stop(self, *, is_drained: bool) -> None:
        """Leave the list of instances, unless a request of ours may still land: the grace period decides then."""
        if is_drained:
            await self._store.leave(self.instance)

    @property
    def is_attached(self) -> bool:
        """Whether Postgres' word is in force."""
        return time.monotonic() - self._contact_at < ATTACHED_SECONDS

    @property
    def is_silent(self) -> bool:
        """Whether Postgres was not heard for so long that this instance should get ready to do without it."""
        return time.monotonic() - max(self._contact_at, self._started) > SILENT_SECONDS

    async def refresh(self) -> View:
        """Read the newest control state now and return the view of it. Raises ``TargetUnavailable``."""
        async with self._refreshing:
            beat = self._beat_at
            revision, states = await self._store.load()
            aliases = await self._read_aliases(states)
            is_new = (
                revision != self.view.revision
                or aliases != self._aliases
                or self.view.has_all_aliases is self._has_stale_aliases
            )
            self._aliases = aliases
            self._loaded = revision, states
            self._contact_at = max(self._contact_at, beat)
            if is_new or self.view.is_any_frozen or self.view.is_detached:
                self._rebuild()
            return self.view

    def looked(self, look: Look | None) -> None:
        """Take what the source's records say; ``None`` when they are not read any more."""
        self._look = look
        if not self.is_attached:
            self._rebuild()
        self._wake()

    async def current(self) -> View:
        """Return a view that is in force at this moment.

        Raises ``Overloaded`` when this instance can reach neither Postgres nor the source's records.
        """
        if self._is_in_force():
            return self.view
        try:
            async with asyncio.timeout(_UNDECIDED_SECONDS):
                while not self._is_in_force():
                    await self._changed.wait()
        except TimeoutError:
            message = "the stages of the collections are not known at this moment, retry"
            raise Overloaded(message) from None
        return self.view

    async def renewed(self, name: str) -> None:
        """Return when something newer is known of a collection, or nothing can be; at most for a second or two."""
        with suppress(TimeoutError, StoreError):
            async with asyncio.timeout(_RENEW_SECONDS):
                if self.is_attached:
                    await self.refresh()
                while self._look is not None and self._look.is_frozen(name):
                    await self._changed.wait()

    def _is_in_force(self) -> bool:
        if self.view.is_detached:
            look = self._look
            return look is not None and time.monotonic() - look.began_at < LEASE_SECONDS
        return self.is_attached

    async def thawed(self, name: str, *, seconds: float) -> None:
        """Return when the collection is not frozen. Raises ``Overloaded`` after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                while self.view.state(name).frozen:
                    await self._changed.wait()
        except TimeoutError:
            message = f"collection `{name}` is changing its stage, retry"
            raise Overloaded(message, Refusal.FREEZE_DEADLINE) from None

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

    async def seen_by_all(self, revision: int) -> None:
        """Return when every live instance knows the revision, or did not say so in time: it will in a moment."""
        try:
            await self.confirmed_by_all(revision, seconds=_SEEN_SECONDS)
        except StageError as error:
            _log.warning("change_unconfirmed", reason=str(error))

    def _rebuild(self) -> None:
        """Make the view of what is known now."""
        look = None if self.is_attached else self._look
        if look is None and not self.is_attached:
            return  # nothing is in force: the last view stays for those who run under it
        revision, loaded = self._loaded or (-1, ())
        states = tuple(loaded) if look is None else states_in_force(loaded, look.records)
        is_same = self.view.states == {state.name: state for state in states}
        self._swap(
            View(
                revision,
                states,
                default_stage=self._default_stage,
                aliases=self._aliases if look is None else look.aliases,
                has_all_aliases=look is not None or not self._has_stale_aliases,
                basis=Basis.CONTROL if look is None else look.basis,
                is_known=self._loaded is not None,
                read_at=self.view.read_at if is_same else time.monotonic(),
            )
        )

    def _swap(self, view: View) -> None:
        if view.basis is not self.view.basis:
            _log.warning("control_basis_changed", basis=view.basis, before=self.view.basis)
            self._metrics.detached.set(view.is_detached)
        self._older.append(self.view)
        self.view = view
        self._wake()
        counts = dict.fromkeys(Stage, 0)
        for state in view.states.values():
            counts[state.stage] += 1
        for stage, count in counts.items():
            self._metrics.collections.labels(stage).set(count)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _confirm(self) -> None:
        self._older = [view for view in self._older if not view.is_idle]
        # A request to a collection that did not change holds nothing up, however long it takes.
        held = (view.revision for view in self._older if view.holds_up(self.view))
        confirmed = min(held, default=self.view.revision)
        now = time.monotonic()
        if confirmed == self._confirmed and now - self._beat_at < HEARTBEAT_SECONDS:
            return
        p99_ms = self._metrics.waits.p99_ms(at=time.perf_counter())
        if not await self._store.confirm(self.instance, confirmed, client_p99_ms=p99_ms):
            if self._is_registered:
                # Fenced after a long silence: come back as an instance like any other.
                _log.warning("instance_was_fenced", instance=str(self.instance))
            await self._store.register(self.instance)
            confirmed = -1
        self._is_registered = True
        self._confirmed = confirmed
        self._beat_at = now

    async def _read_aliases(self, states: Sequence[CollectionState]) -> Mapping[str, str]:
        """Return the source's aliases, if any matter: of what is mirrored, or for what is not in force any more."""
        on_source = self._default_stage is not Stage.COMPLETE or any(
            state.stage is not Stage.COMPLETE for state in states
        )
        is_split = on_source and any(state.authority is Side.TARGET for state in states)
        if not (is_split or any(state.is_mirrored for state in states)):
            self._has_stale_aliases = False
            return {}
        began = time.monotonic()
        if began < self._aliases_from:
            return self._aliases
        try:
            async with asyncio.timeout(_ALIASES_SECONDS):
                aliases = await self._load_aliases()
        except (StoreError, TimeoutError) as error:
            # One waits for a source that hangs, and not everybody who wants the view after him.
            self._aliases_from = 2 * time.monotonic() - began
            if not self._has_stale_aliases:
                _log.warning("aliases_unreadable", error=str(error) or "no answer in time")
            self._has_stale_aliases = True
            return self._aliases
        self._has_stale_aliases = False
        return aliases
