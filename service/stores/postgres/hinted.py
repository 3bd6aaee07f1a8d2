"""Hints on their way into the ledger (R6)."""

from collections.abc import Sequence
from uuid import UUID

from service.errors import TargetUnavailable
from service.model.ids import pack_keys
from service.protocol.ledger import Hint, HintedLog
from service.stages import Side, Stage, authority, mirrors
from service.stores.postgres.database import Database
from service.stores.postgres.intents import OWE

_HINTABLE = [s.value for s in Stage if mirrors(s) and authority(s) is Side.SOURCE]

# Taking is a sign of life: nobody adopts what was taken before the grace period is over once more. The control row is
# shared with other writes and waits for a stage change. Where the source is no longer right, a hint that is still read
# was moved before by somebody else, or belongs to a write that was refused: the change had found no hints. An INSERT of
# the same intent may have come late, as one that is not owed. Whose request may still land is kept with the intent.
_TAKE = """
    WITH alive AS (
        UPDATE vecferry.instances SET heartbeat_at = now() WHERE id = $1 RETURNING id
    ), current AS (
        SELECT generation FROM vecferry.control
        WHERE generation = ANY ($3::bigint[]) AND stage = ANY ($8::text[])
        FOR SHARE
    ), taken AS (
        INSERT INTO vecferry.intents
            (id, generation, epoch, owner, behind, owed, keys, cause, attempt_by)
        SELECT w.id, w.generation, w.epoch, $1, w.behind, true, w.keys, w.cause, w.attempt_by
        FROM unnest(
            $2::uuid[], $3::bigint[], $4::bigint[], $5::text[], $6::bytea[], $7::text[], $9::uuid[]
        ) AS w (id, generation, epoch, behind, keys, cause, attempt_by)
        JOIN current USING (generation)
        WHERE EXISTS (SELECT 1 FROM alive)
        ORDER BY w.id
        ON CONFLICT (id) DO UPDATE SET owed = true
    )
    SELECT EXISTS (SELECT 1 FROM alive)
"""

_LIVE = """
    SELECT id FROM vecferry.instances
    WHERE heartbeat_at > now() - make_interval(secs => $1)
"""


class PostgresHinted:
    """``HintedLog`` on the target's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, hints: Sequence[Hint], *, owner: UUID) -> None:
        """Commit intents for the hints, owned by ``owner``, once each; those of a dropped generation are left out.

        Raises ``TargetUnavailable``, also when the owner is not registered: what it takes would be adopted at once.
        """
        intents = [hint.intent for hint in hints]
        async with self._database.transaction() as connection:
            # Their writes may build on others whose clients were told nothing yet.
            await connection.execute(OWE, sorted({intent.generation for intent in intents}))
            is_registered = await connection.fetchval(
                _TAKE,
                owner,
                [intent.id for intent in intents],
                [intent.generation for intent in intents],
                [intent.epoch for intent in intents],
                [intent.behind for intent in intents],
                [pack_keys(intent.keys) for intent in intents],
                [intent.cause for intent in intents],
                _HINTABLE,
                [None if hint.owner == owner else hint.owner for hint in hints],
            )
        if not is_registered:
            raise TargetUnavailable("does not know this instance")

    async def live_owners(self, *, silent_seconds: float) -> set[UUID]:
        """Return the instances that were heard of within so many seconds."""
        async with self._database.connection() as connection:
            return {row["id"] for row in await connection.fetch(_LIVE, silent_seconds)}


def _proves_port(log: PostgresHinted) -> HintedLog:
    return log
