"""The ids that a repair looks at, page by page: those that a verification confirmed, or those of refused intents."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from backfill.repair import Origin, Page, Suspected
from service.errors import StageError
from service.model.ids import unpack_keys
from service.stages import Side
from service.stores.postgres import job_rows
from service.stores.postgres.database import Database

_LATEST = """
    SELECT id FROM vecferry.receipts WHERE generation = $1 ORDER BY created_at DESC LIMIT 1
"""

_OF_RECEIPT = """
    SELECT key FROM vecferry.job_suspects
    WHERE job = $1 AND confirmed AND key > $2 ORDER BY key LIMIT $3
"""

# A page of intents, not of ids: a dead letter is settled when all its ids are made equal at once.
_OF_LEDGER = """
    SELECT id, keys FROM vecferry.intents
    WHERE generation = $1 AND behind = $2 AND failures > 0 AND id > $3
    ORDER BY id LIMIT $4
"""

_NO_KEY = b""
_NO_ID = UUID(int=0)
_INTENTS_PER_PAGE = 32


@dataclass(frozen=True, slots=True)
class PostgresSuspected:
    """``Suspected`` on the target's database."""

    database: Database

    async def receipt_of(self, generation: int, receipt: UUID | None) -> UUID:
        """Return the receipt, or the newest one of the generation. Raises ``StageError`` when there is none."""
        async with self.database.connection() as connection:
            found: UUID | None = await connection.fetchval(
                "SELECT id FROM vecferry.receipts WHERE id = $1 AND generation = $2"
                if receipt
                else _LATEST,
                *((receipt, generation) if receipt else (generation,)),
            )
        if found is None:
            named = f"receipt {receipt}" if receipt else "receipt"
            message = (
                f"there is no {named} of the collection as it is now; run `vecferry verify` first"
            )
            raise StageError(message)
        return found

    async def page(
        self, generation: int, behind: Side, origin: Origin, *, after: str | None, limit: int
    ) -> Page:
        """Return the next ids of an origin. Raises ``StageError`` when those of a receipt are gone."""
        if origin.receipt is not None:
            keys = await self._confirmed(origin.receipt, after, limit)
            return Page(keys, keys[-1].hex() if len(keys) == limit else None)
        place = _NO_ID if after is None else UUID(after)
        async with self.database.connection() as connection:
            rows = await connection.fetch(_OF_LEDGER, generation, behind, place, _INTENTS_PER_PAGE)
        found = sorted({key for row in rows for key in unpack_keys(row["keys"])})
        return Page(found, str(rows[-1]["id"]) if len(rows) == _INTENTS_PER_PAGE else None)

    async def _confirmed(self, receipt: UUID, after: str | None, limit: int) -> Sequence[bytes]:
        place = _NO_KEY if after is None else bytes.fromhex(after)
        async with self.database.connection() as connection:
            rows = await connection.fetch(_OF_RECEIPT, receipt, place, limit)
            # Asked afterwards: a page of a job that is there now is whole.
            if not await job_rows.exists(connection, receipt):
                message = (
                    f"the ids of receipt {receipt} are gone: they are kept with the newest verifications only;"
                    " run `vecferry verify` again"
                )
                raise StageError(message)
        return [bytes(row["key"]) for row in rows]


def _proves_port(suspected: PostgresSuspected) -> Suspected:
    return suspected
