"""Who is detached, as this instance knows it: moved reads need to know that nobody is (R11).

Rule 1: a look counts for ``LEASE_SECONDS`` from before it began, and only for stages that were known before it began.
Rule 2: another's mark is taken away when it did not beat for the grace period and none of its hints is left.
"""

import asyncio
import math
import time
from collections.abc import Sequence
from uuid import UUID

import structlog

from service.control.plane import ControlPlane
from service.control.register import LEASE_SECONDS, Mark, SourceRegister
from service.errors import VecferryError
from service.protocol.ledger import HintStore
from service.stages import Stage

_log = structlog.get_logger(__name__)

_RAMP_POLL_SECONDS = LEASE_SECONDS / 4
_POLL_SECONDS = 2.0
_LOOK_SECONDS = 2.0


class MarkWatch:
    """Looks at the marks while something is mirrored; often while reads are moved."""

    def __init__(
        self,
        plane: ControlPlane,
        register: SourceRegister,
        hints: HintStore,
        *,
        grace_seconds: float,
    ) -> None:
        self._plane = plane
        self._register = register
        self._hints = hints
        self._grace_seconds = grace_seconds
        self._clear_since = -math.inf
        self._beats: dict[UUID, tuple[int, float]] = {}

    def is_clear(self, read_at: float) -> bool:
        """Say whether reads may be moved under stages that were first read at this monotonic time."""
        is_fresh = time.monotonic() - self._clear_since < LEASE_SECONDS
        return is_fresh and self._clear_since >= read_at

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            stages = {state.stage for state in self._plane.view.states.values()}
            await asyncio.sleep(_RAMP_POLL_SECONDS if Stage.RAMP in stages else _POLL_SECONDS)
            if stages <= {Stage.OFF, Stage.COMPLETE} or not self._plane.is_attached:
                continue
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self.look()
            except (VecferryError, TimeoutError) as error:
                _log.debug("marks_unreadable", error=str(error) or "no answer in time")
            except Exception:  # noqa: BLE001 - a fault of ours must not end the loop
                _log.exception("mark_watch_broken")

    async def look(self) -> None:
        """Look once, and take away what the dead have left. Raises ``StoreError``."""
        began = time.monotonic()
        marks = await self._register.marks()
        if not marks:
            self._clear_since = began
        for mark in self._dead(marks, began):
            if not await self._hints.read(owner=mark.owner, limit=1):
                _log.info("mark_of_the_dead_removed", owner=str(mark.owner))
                await self._register.unmark(mark)

    def _dead(self, marks: Sequence[Mark], now: float) -> list[Mark]:
        """Return the marks whose beat has not changed for the grace period."""
        before, self._beats = self._beats, {}
        for mark in marks:
            beat, since = before.get(mark.owner, (mark.beat, now))
            self._beats[mark.owner] = (beat, since) if beat == mark.beat else (mark.beat, now)
        return [
            Mark(owner, beat)
            for owner, (beat, since) in self._beats.items()
            if now - since > self._grace_seconds and owner != self._plane.instance
        ]
