"""The sweep: what is in the ledger and nobody in this process works on; read in pages, so that nothing starves.

It walks the owner's intents in the order of age and begins anew at the end, so that thousands that cannot be settled
keep it from none behind them. What dead owners left is adopted beside it (R7).
"""

from uuid import UUID

from service.protocol.ledger import IntentLog, LedgerEntry, Place

PAGE = 1_000
PAGES_PER_ROUND = 10


class Sweep:
    """Where this instance's walk over its intents is, and until when it may not trust what it finds."""

    def __init__(self, log: IntentLog, owner: UUID, grace_seconds: float) -> None:
        self._log = log
        self._owner = owner
        self._grace_seconds = grace_seconds
        self._place: Place | None = None
        self._blind_until = 0.0
        self._found: set[int] = set()
        self._clears = False
        self.is_blind = False
        """Whether requests of unknown end were forgotten for want of room: what is found goes behind a barrier."""

    def blind(self, until: float) -> None:
        """Note that a request that may still land was forgotten: nothing is read from the ledger before that time."""
        self._blind_until = until
        self.is_blind = True
        self._clears = False

    def may_read(self, now: float) -> bool:
        """Say whether every forgotten request has had its time."""
        return self._blind_until <= now

    async def orphans(self, room: int) -> list[LedgerEntry]:
        """Take over intents of dead owners, as many as there is room for; their requests may still land."""
        if not room:
            return []
        return await self._log.adopt_orphans(
            owner=self._owner, silent_seconds=self._grace_seconds, limit=min(room, PAGE)
        )

    async def next_page(self) -> tuple[list[LedgerEntry], frozenset[int] | None]:
        """Return the next page; at the end of the walk also the generations that it met."""
        if self._place is None:
            # A walk that began when every forgotten request had had its time finds them all.
            self._clears = self.is_blind
        page = await self._log.open_entries(owner=self._owner, after=self._place, limit=PAGE)
        self._place = page.end
        self._found.update(entry.generation for entry in page.entries)
        if page.end is not None:
            return list(page.entries), None
        met, self._found = frozenset(self._found), set()
        if self._clears:
            self.is_blind = False
        return list(page.entries), met
