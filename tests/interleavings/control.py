"""The control table on the model of Postgres, after service/stores/postgres/control.py.

Every change takes the revision's row, then the collection's ``FOR UPDATE``, and looks at the ledger in a later
statement (R5). Polls and heartbeats are steps like any other; ``now()`` is the loop's clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import UUID

from service.control.ports import ControlStore, Waiting
from service.control.state import CollectionState
from service.errors import StageError
from service.model.qdrant import CreateCollection
from service.stages import Stage
from tests.interleavings.loop import OWNER
from tests.interleavings.postgres import ControlRow, Lock, Postgres, Tables, Transaction

_REVISION = Lock("revision")

_NO_WHOLE_COLLECTIONS = (
    "a history made or dropped a collection; the model of Postgres has no such statements"
)


class ModelControl:
    """``ControlStore`` for collections that are there from the beginning."""

    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres

    @property
    def _tables(self) -> Tables:
        return self._postgres.tables

    @property
    def _now(self) -> float:
        return self._postgres.loop.time()

    async def _ask(self) -> None:
        """Answer a poll: no choice, because the time between polls is one; not when the connection is cut."""
        self._postgres.check_connection()

    async def revision(self) -> int:
        await self._ask()
        return self._tables.revision

    async def load(self) -> tuple[int, Sequence[CollectionState]]:
        revision = await self.revision()
        await self._ask()
        return revision, [self._state(row) for row in self._tables.control.values()]

    async def register(self, instance: UUID) -> None:
        await self._ask()
        self._tables.instances.setdefault(instance, OWNER.get())
        self._tables.confirmed.setdefault(instance, 0)
        self._tables.heartbeat_at[instance] = self._now

    async def confirm(
        self,
        instance: UUID,
        revision: int,
        *,
        client_p99_ms: float | None = None,
    ) -> bool:
        await self._ask()
        if instance not in self._tables.instances:
            return False
        self._tables.confirmed[instance] = revision
        self._tables.heartbeat_at[instance] = self._now
        return True

    async def leave(self, instance: UUID) -> None:
        await self._ask()
        self._tables.instances.pop(instance, None)

    async def waiting_for(self, revision: int, *, stale_after_seconds: float) -> list[Waiting]:
        await self._ask()
        return [
            Waiting(each, self._tables.confirmed[each])
            for each in self._tables.instances
            if self._tables.confirmed[each] < revision
            and self._tables.heartbeat_at[each] > self._now - stale_after_seconds
        ]

    async def publish(
        self,
        before: CollectionState,
        stage: Stage,
        percent: int,
        *,
        actor: str,
        token: UUID | None,
        moves: bool = True,
    ) -> int:
        async with self._postgres.transaction() as transaction:
            revision = await self._next_revision(transaction)
            row = await self._lock(transaction, before, token)
            if token is not None and moves:
                await transaction.statement("counts the ledger")
                if self._size(before.generation):
                    raise StageError("unsettled intents under the freeze")
            changed = replace(row, stage=stage, percent=percent, epoch=row.epoch + 1)
            changed.frozen_by, changed.frozen_until = None, 0.0
            transaction.write(lambda tables: _put(tables, changed))
        return revision

    async def freeze(self, before: CollectionState, token: UUID, seconds: float) -> int:
        async with self._postgres.transaction() as transaction:
            revision = await self._next_revision(transaction)
            row = await self._lock(transaction, before, None)
            frozen = replace(row, frozen_by=token, frozen_until=self._now + seconds)
            transaction.write(lambda tables: _put(tables, frozen))
        return revision

    async def thaw(self, name: str, token: UUID) -> int:
        async with self._postgres.transaction() as transaction:
            revision = await self._next_revision(transaction)
            await transaction.statement("thaws", Lock(("control", name)))
            row = self._tables.control[name]
            if row.frozen_by == token:
                thawed = replace(row, frozen_by=None, frozen_until=0.0)
                transaction.write(lambda tables: _put(tables, thawed))
        return revision

    async def touch(self) -> int:
        async with self._postgres.transaction() as transaction:
            return await self._next_revision(transaction)

    async def ledger_size(self, generation: int) -> int:
        await self._ask()
        return self._size(generation)

    async def silences(self) -> Mapping[UUID, float]:
        await self._ask()
        return {
            each: self._now - at
            for each, at in self._tables.heartbeat_at.items()
            if each in self._tables.instances
        }

    async def stuck_intents(self, generation: int, *, older_than_seconds: float) -> int:
        """Return 0: what is stuck is found by the wait for an empty ledger, a little later."""
        return 0

    async def quarantined(self, generation: int) -> int:
        """Return 0: nothing is refused here."""
        return 0

    def _size(self, generation: int | None) -> int:
        return sum(row.intent.generation == generation for row in self._tables.intents.values())

    async def _next_revision(self, transaction: Transaction) -> int:
        await transaction.statement("takes the next revision", _REVISION)
        revision = self._tables.revision + 1
        transaction.write(lambda tables: setattr(tables, "revision", revision))
        return revision

    async def _lock(
        self, transaction: Transaction, before: CollectionState, token: UUID | None
    ) -> ControlRow:
        await transaction.statement("locks the control row", Lock(("control", before.name)))
        row = self._tables.control[before.name]
        if (row.generation, row.epoch) != (before.generation, before.epoch):
            raise StageError("changed its stage meanwhile")
        is_frozen = row.frozen_until > self._now
        if token is None and is_frozen:
            raise StageError("frozen by another stage change")
        if token is not None and not (is_frozen and row.frozen_by == token):
            raise StageError("the freeze passed its deadline")
        return row

    def _state(self, row: ControlRow) -> CollectionState:
        return CollectionState(
            row.name, row.stage, row.generation, row.percent, row.epoch,
            backfilled=True, frozen=row.frozen_until > self._now,
        )  # fmt: skip

    # ---- for the port: no history makes or drops a collection, so a call is a mistake of the history's

    async def arm(
        self,
        name: str,
        config: CreateCollection,
        *,
        actor: str,
        is_new: bool,
        before: CollectionState | None = None,
    ) -> int:
        raise AssertionError(_NO_WHOLE_COLLECTIONS)

    async def adopt_target(self, name: str, config: CreateCollection, *, actor: str) -> int:
        raise AssertionError(_NO_WHOLE_COLLECTIONS)

    async def keep_off(self, name: str, *, actor: str) -> int:
        raise AssertionError(_NO_WHOLE_COLLECTIONS)

    async def abandon(self, before: CollectionState, *, actor: str) -> int:
        raise AssertionError(_NO_WHOLE_COLLECTIONS)

    async def drop_generation(self, generation: int) -> None:
        raise AssertionError(_NO_WHOLE_COLLECTIONS)

    async def retire(self, name: str, *, actor: str) -> int:
        raise AssertionError(_NO_WHOLE_COLLECTIONS)

    async def mark_backfilled(self, name: str, generation: int) -> int:
        raise AssertionError(_NO_WHOLE_COLLECTIONS)


def _put(tables: Tables, row: ControlRow) -> None:
    tables.control[row.name] = row


def _proves_port(control: ModelControl) -> ControlStore:
    return control
