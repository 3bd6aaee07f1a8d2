"""Writes to the target that hold only while the collection's stage is what the writer believes (R5)."""

from collections.abc import Sequence
from uuid import UUID

from service.control.state import CollectionState
from service.errors import StaleEpoch
from service.model.operations import Operation, UpdateResult
from service.protocol.ledger import Intent
from service.protocol.target_writes import FencedStore
from service.queries.strict.mode import StrictMode
from service.stages import Side
from service.stores.postgres import intents
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection, Database
from service.stores.postgres.store import PgStore

_EPOCH = "SELECT epoch FROM vecferry.control WHERE generation = $1 FOR SHARE"


class FencedPgStore:
    """``FencedStore`` over ``PgStore``'s write hook: check and outbox share the write's transaction."""

    def __init__(self, database: Database, *, strict: StrictMode | None = None) -> None:
        self._database = database
        self._strict = strict

    async def apply_fenced(
        self,
        collection: str,
        operation: Operation,
        state: CollectionState,
        *,
        owner: UUID,
        outbox: UUID | None,
    ) -> tuple[UpdateResult, Sequence[bytes]]:
        """Apply an operation together with its intent. Raises ``StaleEpoch``."""
        held: list[bytes] = []

        async def fence(
            connection: Connection, tables: CollectionTables, keys: Sequence[bytes]
        ) -> None:
            held[:] = keys
            intent = Intent(
                outbox or owner, tables.id, state.epoch, Side.SOURCE, owed=True,
                keys=tuple(keys), cause=type(operation).__name__, collection=collection,
            )  # fmt: skip
            if outbox is not None and keys:
                is_current = bool(await intents.insert(connection, [intent], owner=owner))
            else:
                is_current = await connection.fetchval(_EPOCH, tables.id) == state.epoch
            if not is_current:
                message = "the collection's stage changed under the request"
                raise StaleEpoch(message)

        store = PgStore(self._database, on_write=fence, strict=self._strict)
        result = await store.apply(collection, operation, wait=True)
        return result, held


def _proves_port(store: FencedPgStore) -> FencedStore:
    return store
