"""Keeps the source's records equal to the control rows (R6).

Rule 1: a record is changed only by compare-and-set, with the version read before the row that it shall show.
Rule 2: while a row is frozen its record belongs to the stage change; everybody else leaves it alone.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import replace

import structlog

from service.control.plane import ControlPlane
from service.control.ports import ControlStore
from service.control.register import Record, SourceRegister
from service.control.state import CollectionState
from service.errors import StageError, VecferryError
from service.steps import Step, reached

_log = structlog.get_logger(__name__)

_POLL_SECONDS = 0.25
_AGAIN_SECONDS = 5.0
"""A record may lag behind its row without a new revision: whoever changed the stage died before it said so."""
_SHARE_OF_TIME = 0.05
_ATTEMPTS = 20


class Recorder:
    """Writes records; ``run`` puts right what a dead instance left behind."""

    def __init__(self, plane: ControlPlane, register: SourceRegister, rows: ControlStore) -> None:
        self._plane = plane
        self._register = register
        self._rows = rows
        self._is_prepared = False
        self._synced_at: dict[tuple[str, int], float] = {}

    async def sync(self, name: str) -> None:
        """Return when the record says what the row says, or when the row is frozen or is not there.

        Raises ``StoreError``, and ``StageError`` when others keep changing the record.
        """
        for _ in range(_ATTEMPTS):
            record = await self._register.record(name)
            row = (await self._load()).get(name)
            if await self._put(successor(record, row)):
                if row is not None and not row.frozen:
                    self._synced_at[name, row.epoch] = time.monotonic()
                    reached(Step.RECORD_SYNCED)
                return
        raise _contended(name)

    async def freeze(self, state: CollectionState) -> Record:
        """Make the record refuse hints, of a collection whose row the caller has frozen, and return it.

        Raises ``StoreError`` or ``StageError``.
        """
        frozen = replace(state, frozen=True)
        for _ in range(_ATTEMPTS):
            record = await self._register.record(state.name)
            made = Record(frozen, 1 if record is None else record.version + 1)
            if await self._put(made):
                reached(Step.RECORD_FROZEN)
                return made
        raise _contended(state.name)

    async def thaw(self, frozen: Record) -> None:
        """Undo a freeze of a change that was not published, unless somebody else has changed the record since."""
        await self._put(Record(replace(frozen.state, frozen=False), frozen.version + 1))

    def seconds_since_synced(self, state: CollectionState) -> float:
        """Return how long ago this instance saw the record of this stage; 0 when it cannot say."""
        now = time.monotonic()
        return now - self._synced_at.setdefault((state.name, state.epoch), now)

    async def run(self) -> None:
        """Follow the revision; never ends by itself."""
        done, at, pause = -1, 0.0, _AGAIN_SECONDS
        while True:
            await asyncio.sleep(_POLL_SECONDS)
            revision, began = self._plane.view.revision, time.monotonic()
            if not self._plane.is_attached or (revision == done and began - at < pause):
                continue
            try:
                await self.reconcile()
                done = revision
            except VecferryError as error:
                _log.warning("records_not_reconciled", error=str(error))
            except Exception:  # noqa: BLE001 - a fault of ours must not end the loop
                _log.exception("recorder_broken")
            at = time.monotonic()
            pause = max(_AGAIN_SECONDS, (at - began) / _SHARE_OF_TIME)

    async def reconcile(self) -> None:
        """Make every record say what its row says. Raises ``StoreError``."""
        if not self._plane.view.states:
            return  # nothing to record: a Qdrant that nothing is moved from is left alone
        records = {record.state.name: record for record in await self._register.records()}
        for row in (await self._load()).values():
            await self._put(successor(records.get(row.name), row))

    async def _load(self) -> Mapping[str, CollectionState]:
        _, rows = await self._rows.load()
        return {row.name: row for row in rows}

    async def _put(self, record: Record | None) -> bool:
        if record is None:
            return True
        if not self._is_prepared:
            await self._register.prepare()
            self._is_prepared = True
        return await self._register.swap(record)


def successor(record: Record | None, row: CollectionState | None) -> Record | None:
    """Return the record that must replace this one, ``None`` when it may stay."""
    if row is None or row.frozen or (record is not None and record.state == row):
        return None
    return Record(row, 1 if record is None else record.version + 1)


def _contended(name: str) -> StageError:
    return StageError(f"the record of `{name}` in Qdrant keeps being changed by others; try again")
