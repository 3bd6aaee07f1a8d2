"""The ledger on the model of Postgres: ``IntentLog``, ``FencedStore`` and a backfill's page, statement by statement.

The order of the statements and the locks that each takes are those of service/stores/postgres/intents.py (``insert``,
``adopt_orphans``, ``settle_target``, ``settle_source``) with settling.py, fenced.py with store.py
(``apply_fenced``) and jobs.py (``insert_page``). What a mutation leaves out is named in ``Without``.
"""

from collections.abc import Sequence
from dataclasses import replace
from enum import Enum, auto
from uuid import UUID

from service.control.state import CollectionState
from service.errors import StaleEpoch
from service.model.ids import PointId, decode_key, sorted_keys
from service.model.operations import ByIds, Delete, Operation, UpdateResult, Upsert
from service.model.points import Point
from service.protocol.ledger import (
    Fetch,
    Intent,
    IntentLog,
    LedgerEntry,
    LedgerPage,
    Place,
    Push,
    Settled,
    Settlement,
)
from service.protocol.target_writes import FencedStore
from service.stages import Side, authority, mirrors
from tests.interleavings.invariants import Watch
from tests.interleavings.postgres import IntentRow, Lock, Postgres, Tables, Transaction
from tests.interleavings.source import point


class Without(Enum):
    """A statement, or a part of one, that a mutation of Postgres' side leaves out."""

    STRIPES = auto()
    """``pg_advisory_xact_lock`` before the ids are read."""
    EPOCH = auto()
    """The join on the epoch in the INSERT of an intent."""
    TOMBSTONES = auto()
    """Deleted rows that stay."""
    OUTBOX = auto()
    """The intent in the transaction of a write of the target's."""
    PUSH_LOCKS = auto()
    """The locks under which pushes to the source take turns."""
    ATTEMPTS = auto()
    """The attempt that keeps others from pushing the same ids (R8)."""
    OWN_ENDS = auto()
    """That a resync deletes only intents whose request has ended (R2): it deletes all those of its ids."""


class ModelLedger:
    """``IntentLog`` and ``FencedStore`` over the model."""

    def __init__(
        self, postgres: Postgres, watch: Watch, *, without: frozenset[Without] = frozenset()
    ) -> None:
        self._postgres = postgres
        self._watch = watch
        self._without = without

    @property
    def _tables(self) -> Tables:
        return self._postgres.tables

    async def insert(self, intents: Sequence[Intent], *, owner: UUID) -> set[UUID]:
        """intents.py ``_INSERT``: one statement, a transaction of its own."""
        rows = [row for each in intents if (row := self._tables.generation(each.generation))]
        shared = [Lock(("control", row.name), is_shared=True) for row in rows]
        executed = await self._postgres.alone(
            f"inserts {_named(intents)}", *shared, look=lambda: owner in self._tables.instances
        )
        taken = [each for each in intents if executed.seen and self._is_current(each)]
        _insert(self._tables, taken, owner)
        await executed.told()
        return {each.id for each in taken}

    def _is_current(self, intent: Intent) -> bool:
        row = self._tables.generation(intent.generation)
        return row is not None and (Without.EPOCH in self._without or row.epoch == intent.epoch)

    async def open_entries(self, *, owner: UUID, after: Place | None, limit: int) -> LedgerPage:
        """intents.py ``_OPEN``: one page holds everything here."""
        await (await self._postgres.alone("reads own intents")).told()
        rows = [row for row in self._tables.intents.values() if row.owner == owner]
        return LedgerPage([_entry(row) for row in sorted(rows, key=lambda row: row.number)], None)

    async def adopt_orphans(
        self, *, owner: UUID, silent_seconds: float, limit: int
    ) -> list[LedgerEntry]:
        """intents.py ``_FENCE`` and ``_ADOPT`` (``FOR UPDATE SKIP LOCKED``)."""
        async with self._postgres.transaction() as transaction:
            await transaction.statement("fences silent instances")
            latest = self._postgres.loop.time() - silent_seconds
            fenced = [
                each
                for each in self._tables.instances
                if each != owner and self._tables.heartbeat_at[each] < latest
            ]
            live = self._tables.instances.keys() - set(fenced)
            orphans = [
                row
                for row in sorted(self._tables.intents.values(), key=lambda row: row.number)
                if row.owner not in live and row.owner != owner and self._can_lock(row, transaction)
            ][:limit]
            for row in orphans:
                self._postgres.take(Lock(row.intent.id), transaction)
            transaction.write(lambda tables: _adopt(tables, fenced, orphans, owner))
        return [_entry(row) for row in orphans]

    def _can_lock(self, row: IntentRow, transaction: Transaction) -> bool:
        return self._postgres.is_free(Lock(row.intent.id), transaction)

    async def owe(self, generation: int) -> None:
        """intents.py ``owe``: one statement."""
        await (await self._postgres.alone("owes a collection's intents")).told()
        for row in self._tables.intents.values():
            row.is_owed |= row.intent.generation == generation

    async def is_owing(self, generation: int, epoch: int) -> bool | None:
        """intents.py ``_OWING``: one statement."""
        await (await self._postgres.alone("is asked what is owed")).told()
        row = self._tables.generation(generation)
        if row is None or row.epoch != epoch:
            return None
        return any(
            each.is_owed and each.intent.behind is Side.TARGET
            for each in self._tables.intents.values()
            if each.intent.generation == generation
        )

    async def settle_target(
        self, generation: int, keys: Sequence[bytes], intents: Sequence[UUID], fetch: Fetch
    ) -> Settlement:
        """intents.py ``_copy``; without the intents too: the ids' locks are enough (R7)."""
        async with self._postgres.transaction() as transaction:
            await transaction.statement("locks ids", *self._stripes(generation, keys))
            held = await self._hold(transaction, intents)
            settled = await self._stage(transaction, generation, Side.SOURCE)
            if settled is not None:
                return _close(transaction, settled, held)
            ids = [decode_key(key) for key in keys]
            present = await fetch(ids)
            transaction.write(lambda tables: self._mirror(tables, ids, present))
            transaction.write(lambda tables: self._settle(tables, keys, held))
        return Settlement(Settled.DONE)

    async def settle_source(
        self,
        generation: int,
        keys: Sequence[bytes],
        intents: Sequence[UUID],
        push: Push,
        *,
        owner: UUID,
    ) -> Settlement:
        """intents.py ``settle_source``: ``_attempt`` commits, then ``_push``."""
        attempted = await self._attempt(generation, keys, intents, owner)
        if isinstance(attempted, Settlement):
            return attempted
        free = [each for each in intents if each not in attempted]
        settlement = await self._push(generation, keys, free, push, owner)
        return replace(settlement, waiting=settlement.waiting | attempted)

    async def _attempt(
        self, generation: int, keys: Sequence[bytes], intents: Sequence[UUID], owner: UUID
    ) -> Settlement | frozenset[UUID]:
        async with self._postgres.transaction() as transaction:
            await transaction.statement("locks pushes", *self._push_locks(generation, keys))
            held = [
                each for each in await self._hold(transaction, intents) if self._is(each, owner)
            ]
            settled = await self._stage(transaction, generation, Side.TARGET)
            if settled is not None:
                return _close(transaction, settled, held)
            if not held:
                return Settlement(Settled.GONE)
            await transaction.statement("reads foreign attempts")
            pinned = self._pinned(held, owner)
            free = [each for each in held if each not in pinned]
            transaction.write(lambda tables: _note_attempt(tables, free, owner))
        return pinned if free else Settlement(Settled.DONE, waiting=pinned)

    async def _push(
        self,
        generation: int,
        keys: Sequence[bytes],
        intents: Sequence[UUID],
        push: Push,
        owner: UUID,
    ) -> Settlement:
        async with self._postgres.transaction() as transaction:
            await transaction.statement("locks pushes again", *self._push_locks(generation, keys))
            held = [
                each
                for each in await self._hold(transaction, intents)
                if self._is(each, owner) and self._tables.intents[each].attempt_by == owner
            ]
            settled = await self._stage(transaction, generation, Side.TARGET)
            if settled is not None:
                return _close(transaction, settled, held)
            named = {key for each in held for key in self._tables.intents[each].intent.keys}
            if not named:
                return Settlement(Settled.GONE)
            await transaction.statement("reads whole points")
            ids = [decode_key(key) for key in keys if key in named]
            there = {each: self._tables.points.get(each) for each in ids}
            present = [point(each, value) for each, value in there.items() if value is not None]
            await push(present, [each for each, value in there.items() if value is None])
            transaction.write(lambda tables: _delete(tables, held))
        return Settlement(Settled.DONE)

    def _pinned(self, held: Sequence[UUID], owner: UUID) -> frozenset[UUID]:
        """settling.py ``attempt``: intents whose ids another instance's push may be under way for (R8)."""
        if Without.ATTEMPTS in self._without:
            return frozenset()
        foreign = {
            key
            for row in self._tables.intents.values()
            if row.attempt_by not in {None, owner} and row.intent.id not in held
            for key in row.intent.keys
        }
        rows = [self._tables.intents[each].intent for each in held]
        return frozenset(each.id for each in rows if not foreign.isdisjoint(each.keys))

    def _is(self, intent: UUID, owner: UUID) -> bool:
        return self._tables.intents[intent].owner == owner

    def _push_locks(self, generation: int, keys: Sequence[bytes]) -> list[Lock]:
        if Without.PUSH_LOCKS in self._without:
            return []
        return [Lock(("push", lock.name)) for lock in _stripes(generation, keys)]

    async def _hold(self, transaction: Transaction, intents: Sequence[UUID]) -> list[UUID]:
        """settling.py ``hold``: the intents that are still there, locked."""
        there = [each for each in sorted(intents) if each in self._tables.intents]
        await transaction.statement("holds intents", *(Lock(each) for each in there))
        return [each for each in there if each in self._tables.intents]

    async def _stage(
        self, transaction: Transaction, generation: int, right: Side
    ) -> Settled | None:
        """settling.py ``tables_if_right``: a later statement, the control row is not locked."""
        await transaction.statement("reads the stage")
        row = self._tables.generation(generation)
        if row is None or not mirrors(row.stage):
            return Settled.GONE
        return None if authority(row.stage) is right else Settled.REVERSED

    async def apply_fenced(
        self,
        collection: str,
        operation: Operation,
        state: CollectionState,
        *,
        owner: UUID,
        outbox: UUID | None,
    ) -> tuple[UpdateResult, Sequence[bytes]]:
        """store.py ``apply`` with fenced.py's hook: locks, intent or epoch, data, one commit."""
        values = _changed(operation)
        keys = sorted_keys(values)
        generation = state.generation or 0
        async with self._postgres.transaction() as transaction:
            await transaction.statement("locks ids", *self._stripes(generation, keys))
            control = Lock(("control", collection), is_shared=True)
            await transaction.statement(f"{_verb(outbox)} of {list(values)}", control)
            row = self._tables.generation(generation)
            is_current = row is not None and row.epoch == state.epoch
            if not is_current and Without.EPOCH not in self._without:
                message = "the collection's stage changed under the request"
                raise StaleEpoch(message)
            if outbox is not None and Without.OUTBOX not in self._without:
                intent = Intent(
                    outbox, generation, state.epoch, Side.SOURCE, owed=True,
                    keys=tuple(keys), cause="test", collection=collection,
                )  # fmt: skip
                transaction.write(lambda tables: _insert(tables, [intent], owner))
            transaction.write(lambda tables: self._put(tables, values))
            transaction.write(lambda _: self._watch.acted(state.epoch, "a write"))
        return UpdateResult(1), keys

    async def read_point(self, point_id: PointId) -> int | None:
        """reads.py ``retrieve``: one statement."""
        await (await self._postgres.alone(f"reads {point_id}")).told()
        return self._tables.points.get(point_id)

    async def insert_page(self, generation: int, points: Sequence[Point]) -> None:
        """jobs.py ``insert_page``: ``ON CONFLICT DO NOTHING``, no locks (R13)."""
        async with self._postgres.transaction() as transaction:
            await transaction.statement("holds the checkpoint", Lock(("backfill", generation)))
            transaction.write(lambda tables: _insert_missing(tables, points))

    def _stripes(self, generation: int, keys: Sequence[bytes]) -> list[Lock]:
        return [] if Without.STRIPES in self._without else _stripes(generation, keys)

    def _mirror(self, tables: Tables, ids: Sequence[PointId], present: Sequence[Point]) -> None:
        """writes.py ``mirror``: whole points, and tombstones for the absent."""
        values: dict[PointId, int | None] = dict.fromkeys(ids)
        values |= {each.id: each.payload["v"] for each in present}
        self._put(tables, values)

    def _settle(self, tables: Tables, keys: Sequence[bytes], intents: Sequence[UUID]) -> None:
        _delete(tables, intents)
        if Without.OWN_ENDS in self._without:
            rows = [row.intent for row in tables.intents.values()]
            _delete(tables, [each.id for each in rows if set(each.keys) <= set(keys)])

    def _put(self, tables: Tables, values: dict[PointId, int | None]) -> None:
        tables.points |= values
        if Without.TOMBSTONES in self._without:
            tables.points = dict(tables.present())


def _close(transaction: Transaction, settled: Settled, held: Sequence[UUID]) -> Settlement:
    """settling.py ``close``: intents of what is gone go; those the authority moved away from are dead letters."""
    if settled is Settled.GONE:
        transaction.write(lambda tables: _delete(tables, held))
        return Settlement(settled)
    return Settlement(settled, refused=frozenset(held))


def _note_attempt(tables: Tables, intents: Sequence[UUID], owner: UUID) -> None:
    for each in intents:
        tables.intents[each].attempt_by = owner


def _stripes(generation: int, keys: Sequence[bytes]) -> list[Lock]:
    """One stripe for each id: the fewest false conflicts."""
    return [Lock((generation, key)) for key in sorted(keys)]


def _insert(tables: Tables, intents: Sequence[Intent], owner: UUID) -> None:
    for each in intents:
        tables.intents[each.id] = IntentRow(each, owner, tables.next_number(), is_owed=each.owed)


def _adopt(
    tables: Tables, fenced: Sequence[UUID], orphans: Sequence[IntentRow], owner: UUID
) -> None:
    for each in fenced:
        tables.instances.pop(each, None)
    for row in orphans:
        if row.intent.behind is Side.TARGET:
            row.attempt_by = row.attempt_by or row.owner
        row.owner = owner
        row.is_owed = True


def _delete(tables: Tables, intents: Sequence[UUID]) -> None:
    for each in intents:
        tables.intents.pop(each, None)


def _insert_missing(tables: Tables, points: Sequence[Point]) -> None:
    for each in points:
        tables.points.setdefault(each.id, each.payload["v"])


def _changed(operation: Operation) -> dict[PointId, int | None]:
    match operation:
        case Upsert(points):
            return {each.id: each.payload["v"] for each in points}
        case Delete(ByIds(ids)):
            return dict.fromkeys(ids)
        case _:
            # A mistake of the history's: what is pushed and written where Postgres is right is one of these two.
            message = f"the model of Postgres cannot apply {operation!r}"
            raise AssertionError(message)


def _verb(outbox: UUID | None) -> str:
    return "checks the epoch" if outbox is None else "inserts the outbox"


def _named(intents: Sequence[Intent]) -> str:
    return str([[decode_key(key) for key in each.keys] for each in intents])


def _entry(row: IntentRow) -> LedgerEntry:
    intent = row.intent
    return LedgerEntry(
        intent.id, intent.generation, intent.collection, intent.behind, intent.keys, row.attempt_by
    )


def _proves_ports(ledger: ModelLedger) -> tuple[IntentLog, FencedStore]:
    return ledger, ledger
