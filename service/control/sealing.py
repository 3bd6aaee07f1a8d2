"""The source's side of a change: detached instances decide nothing by a record that is sealed (R6).

A record that is frozen refuses hints. One that was read before holds for a lease, and only for who is marked; so a
collection is sealed when its record is frozen, a lease has passed where there is a mark, and no hint is left.
"""

import asyncio
import time
from dataclasses import dataclass
from typing import Protocol

from service.control.plane import ATTACHED_SECONDS
from service.control.ports import ControlStore
from service.control.recorder import Recorder
from service.control.register import LEASE_SECONDS, Record, SourceRegister
from service.control.state import CollectionState
from service.errors import StageError, StoreError

_POLL_SECONDS = 0.025


class HintCount(Protocol):
    """Hints as a stage change sees them (a ``HintStore`` is one)."""

    async def count(self, generation: int | None = None) -> int:
        """Return how many hints there are, exactly; of one generation or of all."""
        ...


@dataclass(frozen=True, slots=True)
class Frozen:
    """A record that was frozen, and since when it is (monotonic)."""

    record: Record
    at: float


class Seals:
    """Seals collections whose control row the caller has frozen."""

    def __init__(
        self,
        recorder: Recorder,
        register: SourceRegister,
        hints: HintCount,
        rows: ControlStore,
        *,
        seconds: float,
        grace_seconds: float,
    ) -> None:
        self._recorder = recorder
        self._register = register
        self._hints = hints
        self._rows = rows
        self._seconds = seconds
        self._grace_seconds = grace_seconds

    async def freeze(self, state: CollectionState) -> Frozen:
        """Freeze the record. Raises ``StageError``."""
        try:
            async with asyncio.timeout(self._seconds):
                return Frozen(await self._recorder.freeze(state), time.monotonic())
        except (StoreError, TimeoutError) as error:
            why = str(error) or "no answer in time"
            message = f"`{state.name}` cannot change without Qdrant: {why}"
            raise StageError(message) from error

    async def thaw(self, frozen: Frozen) -> None:
        """Undo a freeze that led to nothing. Raises ``StoreError``."""
        await self._recorder.thaw(frozen.record)

    async def leases_over(self, frozen: Frozen) -> None:
        """Wait until no detached instance decides by a record that it read before the freeze."""
        if await self._register.marks():
            await asyncio.sleep(frozen.at + LEASE_SECONDS - time.monotonic())

    async def hints(self, generation: int) -> int:
        """Return how many hints of a generation are in the source."""
        return await self._hints.count(generation)

    async def seal(self, name: str) -> None:
        """Return when no detached instance writes to the collection any more. Raises ``StoreError``, ``StageError``."""
        _, rows = await self._rows.load()
        state = next((row for row in rows if row.name == name), None)
        if state is None or state.generation is None:
            return
        await self.leases_over(await self.freeze(state))
        try:
            async with asyncio.timeout(self._seconds):
                while await self.hints(state.generation):  # noqa: ASYNC110 - points: nobody wakes us
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError:
            message = f"`{name}` has writes that another instance did without Postgres; try again"
            raise StageError(message) from None

    async def sync(self, name: str) -> None:
        """Bring the record up to date after a change. Raises ``StoreError``, ``StageError``."""
        await self._recorder.sync(name)

    async def seconds_until_armed(self, state: CollectionState) -> float:
        """Return how long an instance that is not heard may still write by an older stage (R9); 0 when all are heard.

        Those that are heard have confirmed the stage. The others read the record at last, or are not served any more;
        what they sent before lands within the grace period.
        """
        since = self._recorder.seconds_since_synced(state)
        silences = await self._rows.silences()
        heard = {instance for instance, seconds in silences.items() if seconds < _HEARD_SECONDS}
        others = silences.keys() | {mark.owner for mark in await self._register.marks()}
        if others <= heard:
            return 0.0
        return max(0.0, self._grace_seconds + ATTACHED_SECONDS - since)


_HEARD_SECONDS = 5.0
