"""An instance that does without Postgres (R6): it says so in the source, and decides by the records it reads there.

Rule 1: the mark is in the register before the look that a view is made of, and before the first hint.
Rule 2: a mark that was not renewed for half the grace period counts for nothing: others may have taken it away.
Rule 3: the mark goes only when Postgres is heard again and none of this instance's hints is left.
"""

import asyncio
import math
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus

import structlog

from service.control.plane import ControlPlane, LoadAliases
from service.control.records import Look
from service.control.register import LEASE_SECONDS, Mark, SourceRegister
from service.errors import StoreAnswered, VecferryError
from service.steps import Step, reached

_log = structlog.get_logger(__name__)

POLL_SECONDS = 0.25
_BEAT_SECONDS = 1.0
_HELD_SECONDS = 2.0
"""How long a mark stays after it was last asked for: the next hint is probably near."""
_STEP_SECONDS = 5.0
_SHARE_OF_POLLING = 0.25
"""Looks at very many records are made less often: they may take this share of the time."""

OwnLeft = Callable[[], bool]
"""Says whether hints of this instance may be in the source."""


class Detachment:
    """Owns this instance's mark, and its looks at the records for as long as it needs them."""

    def __init__(
        self,
        plane: ControlPlane,
        register: SourceRegister,
        *,
        load_aliases: LoadAliases,
        own_left: OwnLeft,
        grace_seconds: float,
    ) -> None:
        self._plane = plane
        self._register = register
        self._load_aliases = load_aliases
        self._own_left = own_left
        self._lasts_seconds = grace_seconds / 2
        self._beat_seconds = min(_BEAT_SECONDS, grace_seconds / 4)
        self._beat = 0
        self._beaten_at = -math.inf
        self._marked_at = -math.inf
        self._asked_at = -math.inf
        self._is_in_register = False
        self._is_refused = False
        self._trouble = ""
        self._pause = POLL_SECONDS
        self._wake = asyncio.Event()
        self._marking = asyncio.Lock()

    @property
    def is_marked(self) -> bool:
        """Whether this instance's mark is in the register."""
        return time.monotonic() - self._beaten_at < self._lasts_seconds

    async def announced(self, *, reads_may_be_moved: bool) -> None:
        """Return when the mark is there, and others may have seen it where that matters (``reads_may_be_moved``).

        Raises ``SourceUnavailable`` or ``StoreAnswered``. Ask again after a hint was written: the mark may have gone.
        """
        self._asked_at = time.monotonic()
        self._wake.set()
        if not self.is_marked:
            await self._renew()
        if reads_may_be_moved:
            await asyncio.sleep(self._marked_at + LEASE_SECONDS - time.monotonic())

    async def run(self) -> None:
        """Keep the mark and the looks fresh while they are needed; never ends by itself."""
        while True:
            with suppress(TimeoutError):
                # Not wait_for: before Python 3.12 it loses a cancellation that comes with the event.
                async with asyncio.timeout(self._pause):
                    await self._wake.wait()
            self._wake.clear()
            try:
                async with asyncio.timeout(_STEP_SECONDS):
                    await self._step()
                self._trouble = ""
            except (VecferryError, TimeoutError) as error:
                self._note(str(error) or "no answer in time")
            except Exception:  # noqa: BLE001 - a fault of ours must not end the loop
                _log.exception("detachment_broken")

    async def _step(self) -> None:
        if not self._is_needed():
            await self._leave()
            return
        is_marked = await self._try_mark()
        began = time.monotonic()
        aliases = await self._load_aliases()
        records = await self._register.records()
        self._plane.looked(Look(records, began, is_marked, aliases))
        self._pause = max(POLL_SECONDS, (time.monotonic() - began) / _SHARE_OF_POLLING)

    def _is_needed(self) -> bool:
        was_asked = time.monotonic() - self._asked_at < _HELD_SECONDS
        return self._plane.is_silent or was_asked or (self._is_in_register and self._own_left())

    async def _try_mark(self) -> bool:
        """Put or renew the mark; false when the source refuses it. Raises ``SourceUnavailable``."""
        try:
            if time.monotonic() - self._beaten_at >= self._beat_seconds:
                await self._renew()
        except StoreAnswered as error:
            if error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            if not self._is_refused:
                _log.error("mark_refused_by_source", error=str(error))
            self._is_refused = True
            return False
        self._is_refused = False
        return self.is_marked

    async def _renew(self) -> None:
        async with self._marking:
            if time.monotonic() - self._beaten_at < self._beat_seconds:
                return  # somebody else has just done it
            if not self._is_in_register:
                await self._register.prepare()
            was_marked = self.is_marked
            began = time.monotonic()
            self._is_in_register = True  # or may be: whatever happens next, it has to be taken away
            self._beat += 1
            await self._register.mark(Mark(self._plane.instance, self._beat))
            self._beaten_at = began
            if not was_marked:
                self._marked_at = time.monotonic()
                _log.warning("detached", instance=str(self._plane.instance))
                reached(Step.DETACHED)

    async def _leave(self) -> None:
        if not self._is_in_register:
            return
        async with self._marking:
            if self._is_needed():
                return
            # First: from here on nobody relies on it.
            self._beaten_at = -math.inf
            await self._register.unmark(Mark(self._plane.instance, self._beat))
            self._is_in_register = False
        self._pause = POLL_SECONDS
        self._plane.looked(None)
        _log.info("attached", instance=str(self._plane.instance))

    def _note(self, trouble: str) -> None:
        if not self._trouble:
            _log.warning("source_records_unreadable", error=trouble)
        self._trouble = trouble
