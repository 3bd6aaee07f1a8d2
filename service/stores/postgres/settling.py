"""What a resync does inside its transaction, in the order of the locks: the ids, the intents, then the tables.

Rule 1: the stage is read in a statement after the one that may have waited for the intents. A change of authority needs
        an empty ledger, so it cannot happen while an intent is held; the control row itself is not locked, because a
        store may be slow to answer.
Rule 2: a dead intent whose ids are all made equal is deleted in the same transaction; it is locked before the tables
        are touched, because a drop of the collection takes them in that order.
Rule 3: what a store refuses is noted in the intent's row, narrowed to the refused ids; a store that is away is not.
Rule 4: what the target refuses is in the quarantine with the same commit, and leaves it with the commit that makes it
        equal. A waived id keeps no intent open: the quarantine has it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

import structlog

from service.model.ids import decode_key, pack_keys, unpack_keys
from service.protocol.ledger import Settled, Settlement
from service.stages import Side, Stage, authority, mirrors
from service.stores.postgres import catalog, quarantine
from service.stores.postgres.catalog import CollectionTables
from service.stores.postgres.database import Connection

_log = structlog.get_logger(__name__)

_MOST_IDS_LOGGED = 10
_MOST_KNOWN = 1_000
_LONGEST_ERROR = 500
_REVERSED = "the authority moved while this was unsettled; compare the ids on both stores"

# Dead letters are few, and narrowed to the ids that were refused.
_HOLD = """
    WITH given AS (
        SELECT id, keys, owner, attempt_by FROM vecferry.intents WHERE id = ANY ($1::uuid[])
        ORDER BY id FOR UPDATE
    ), healed AS (
        SELECT id, keys FROM vecferry.intents AS i
        WHERE dead AND generation = $2 AND id <> ALL ($1::uuid[]) AND NOT EXISTS (
            SELECT 1 FROM generate_series(1, octet_length(i.keys), 17) AS at
            WHERE substr(i.keys, at, 17) <> ALL ($3::bytea[])
        )
        FOR UPDATE SKIP LOCKED
    )
    SELECT id, keys, owner, attempt_by, false AS healed FROM given
    UNION ALL SELECT id, keys, NULL, NULL, true FROM healed
    UNION ALL
    SELECT NULL, key, NULL, NULL, NULL FROM vecferry.quarantine
    WHERE generation = $2 AND key = ANY ($3::bytea[])
"""

_DELETE = "DELETE FROM vecferry.intents WHERE id = ANY ($1::uuid[])"

_REFUSE = """
    UPDATE vecferry.intents AS i SET
        keys = w.keys, error = w.error, failed_at = now(), failures = failures + 1,
        dead = failures + 1 >= $4, attempt_by = NULL
    FROM unnest($1::uuid[], $2::bytea[], $3::text[]) AS w (id, keys, error)
    WHERE i.id = w.id
    RETURNING i.id, i.failures, i.dead,
        (SELECT name FROM vecferry.collections WHERE id = i.generation) AS collection
"""

_REVERSE = """
    UPDATE vecferry.intents SET error = $2, failed_at = now(), failures = failures + 1, dead = true
    WHERE id = ANY ($1::uuid[])
"""

_ATTEMPT = """
    UPDATE vecferry.intents SET attempt_by = CASE WHEN id = ANY ($3::uuid[]) THEN NULL ELSE $2::uuid END
    WHERE id = ANY ($1::uuid[])
"""

_FOREIGN = """
    SELECT keys FROM vecferry.intents
    WHERE generation = $1 AND behind = 'source' AND attempt_by IS NOT NULL AND attempt_by <> $2
        AND id <> ALL ($3::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Held:
    """Intents that are locked until the transaction ends, with their keys; ``healed`` are dead ones.

    ``quarantined`` are those of the keys that the quarantine lists.
    """

    given: Mapping[UUID, Sequence[bytes]]
    healed: Mapping[UUID, Sequence[bytes]]
    quarantined: frozenset[bytes] = frozenset()

    def narrowed(self, given: Iterable[UUID]) -> "Held":
        """Return it with these intents only; the dead ones stay held and are left alone."""
        return Held({each: self.given[each] for each in given}, {}, self.quarantined)

    def among(self, keys: Sequence[bytes]) -> list[bytes]:
        """Return those of the keys that the intents name."""
        named = {key for each in self.given.values() for key in each}
        return [key for key in keys if key in named]


async def hold(
    connection: Connection,
    generation: int,
    keys: Sequence[bytes],
    intents: Sequence[UUID],
    *,
    owner: UUID | None = None,
    attempted: bool = False,
) -> Held:
    """Lock the intents that are still there, and the dead ones that these keys would heal.

    With an ``owner`` only his own count, and if ``attempted`` only those with an attempt of his.
    """
    rows = await connection.fetch(_HOLD, list(intents), generation, list(keys))
    given = {
        row["id"]: unpack_keys(row["keys"])
        for row in rows
        if row["healed"] is False
        and (owner is None or row["owner"] == owner)
        and (not attempted or row["attempt_by"] == owner)
    }
    return Held(
        given,
        {row["id"]: unpack_keys(row["keys"]) for row in rows if row["healed"]},
        frozenset(bytes(row["keys"]) for row in rows if row["healed"] is None),
    )


class KnownTables:
    """Where the collections' data is: it stays there as long as a generation has the same named vectors."""

    def __init__(self) -> None:
        self._tables: dict[int, tuple[Sequence[str | None], CollectionTables]] = {}

    async def get(
        self, connection: Connection, generation: int, vectors: Sequence[str | None]
    ) -> CollectionTables | None:
        """Return the tables of a generation that is still in the catalogue, with these ``vectors`` in its row."""
        before, known = self._tables.get(generation, (None, None))
        if known is not None and before == vectors:
            return known
        if found := await catalog.by_id(connection, generation):
            if len(self._tables) >= _MOST_KNOWN:
                self._tables.clear()
            self._tables[generation] = vectors, found
        return found


async def tables_if_right(
    connection: Connection, generation: int, right: Side, known: KnownTables
) -> CollectionTables | Settled:
    """Return where the collection's data is while that side is the authority, or why there is nothing to make equal."""
    # The control row names a generation only as long as the catalogue has it.
    row = await connection.fetchrow(
        "SELECT r.stage, c.vectors FROM vecferry.control AS r"
        " JOIN vecferry.collections AS c ON c.id = r.generation WHERE r.generation = $1",
        generation,
    )
    if row is None or not mirrors(Stage(row["stage"])):
        return Settled.GONE
    if authority(Stage(row["stage"])) is not right:
        return Settled.REVERSED
    tables = await known.get(connection, generation, row["vectors"])
    return Settled.GONE if tables is None else tables


async def close(connection: Connection, settled: Settled, held: Held) -> Settlement:
    """End the intents of a generation that is gone; make dead letters of those that an authority moved away from."""
    given = list(held.given)
    if settled is Settled.GONE:
        await connection.execute(_DELETE, given)
        return Settlement(settled)
    await connection.execute(_REVERSE, given, _REVERSED)
    _log.error("intents_reversed", intents=[str(each) for each in given])
    return Settlement(settled, refused=frozenset(given))


async def attempt(
    connection: Connection, generation: int, held: Held, owner: UUID
) -> frozenset[UUID]:
    """Note in the intents that the owner is going to push, and return those that another push pins (R8).

    An earlier attempt on a pinned one is closed: its owner has waited for its end, and two that were left open by the
    same dead instance would pin each other for ever.
    """
    rows = await connection.fetch(_FOREIGN, generation, owner, list(held.given))
    foreign = {key for row in rows for key in unpack_keys(row["keys"])}
    pinned = frozenset(each for each, keys in held.given.items() if not foreign.isdisjoint(keys))
    await connection.execute(_ATTEMPT, list(held.given), owner, list(pinned))
    return pinned


async def conclude(
    connection: Connection,
    held: Held,
    bad: Mapping[bytes, str],
    undecided: Iterable[bytes],
    *,
    dead_after: int,
) -> Settlement:
    """Delete the intents all of whose ids are equal now, and narrow the others to what was refused.

    ``bad`` are the refused keys with the reason, ``undecided`` those that there was no time to try alone.
    """
    open_keys = {*bad, *undecided}
    intents = {**held.given, **held.healed}
    left = {
        each: kept
        for each, keys in intents.items()
        if (kept := [key for key in keys if key in open_keys])
    }
    await connection.execute(_DELETE, [each for each in intents if each not in left])
    refused = {
        each: (kept, next(bad[key] for key in kept if key in bad))
        for each, kept in left.items()
        if each in held.given and not bad.keys().isdisjoint(kept)
    }
    if refused:
        await _refuse(connection, refused, dead_after)
    waiting = frozenset(held.given.keys() & left.keys()) - refused.keys()
    return Settlement(Settled.DONE, frozenset(refused), waiting)


async def _refuse(
    connection: Connection, refused: Mapping[UUID, tuple[Sequence[bytes], str]], dead_after: int
) -> None:
    rows = await connection.fetch(
        _REFUSE,
        list(refused),
        [pack_keys(keys) for keys, _ in refused.values()],
        [error for _, error in refused.values()],
        dead_after,
    )
    for row in rows:
        keys, error = refused[row["id"]]
        _log.error(
            "point_refused",
            collection=row["collection"],
            intent=str(row["id"]),
            ids=[decode_key(key) for key in keys[:_MOST_IDS_LOGGED]],
            of=len(keys),
            failures=row["failures"],
            dead=row["dead"],
            error=error,
        )


async def unlist(
    connection: Connection,
    generation: int,
    held: Held,
    equal: Iterable[bytes],
) -> None:
    """Take out of the quarantine what is equal in both stores now."""
    await quarantine.equalled(connection, generation, held.quarantined & frozenset(equal))


async def enlist(
    connection: Connection, generation: int, bad: Mapping[bytes, str]
) -> Mapping[bytes, str]:
    """Put what the target refused into the quarantine; return what of it is not waived and keeps its intents open."""
    waived = await quarantine.record(connection, generation, bad)
    return {key: reason for key, reason in bad.items() if key not in waived}


def text_of(error: Exception) -> str:
    """Return a refusal's words as a column can hold them."""
    words = f"{error}" or type(error).__name__
    return words[:_LONGEST_ERROR].replace("\x00", "").encode("utf-8", "replace").decode()
