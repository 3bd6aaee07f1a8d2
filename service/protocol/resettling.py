"""Ids made equal at somebody's request: by an intent like any other and its ordinary resync.

Nothing is written around the protocol. The intent is refused with an older epoch (R5), its resync copies what the
authority has under the ids' locks, and what a store refuses ends where refused writes end.
"""

from collections.abc import Sequence
from uuid import UUID, uuid4

from service.control.state import CollectionState
from service.errors import StaleEpoch
from service.protocol.ledger import Intent, IntentLog, LedgerEntry
from service.protocol.resync import Resyncer

_SECONDS = 30.0


class Resettling:
    """Commits intents for ids that nobody writes now, and waits for their resync."""

    def __init__(self, log: IntentLog, resyncer: Resyncer, owner: UUID) -> None:
        self._log = log
        self._resyncer = resyncer
        self._owner = owner

    async def settle(
        self,
        state: CollectionState,
        keys: Sequence[bytes],
        *,
        cause: str,
        seconds: float = _SECONDS,
    ) -> bool:
        """Have the store that is not the authority made equal for distinct keys; say whether that was done in time.

        When it was not, the intent is in the ledger and its resync goes on. Raises ``StaleEpoch`` when the stage is
        another one by now or is being changed, and ``StoreError``.
        """
        if state.generation is None or state.frozen:
            message = f"the stage of `{state.name}` is being changed"
            raise StaleEpoch(message)
        behind = state.authority.other
        intent = Intent(
            uuid4(), state.generation, state.epoch, behind, owed=True,
            keys=tuple(sorted(keys)), cause=cause, collection=state.name,
        )  # fmt: skip
        self._resyncer.opened(intent)
        try:
            taken = await self._log.insert([intent], owner=self._owner)
        except BaseException:
            # Stored or not: should it be, the sweep finds it.
            self._resyncer.dropped(intent)
            raise
        if not taken:
            self._resyncer.dropped(intent)
            message = f"the stage of `{state.name}` changed meanwhile"
            raise StaleEpoch(message)
        entry = LedgerEntry(intent.id, intent.generation, intent.collection, behind, intent.keys)
        self._resyncer.ended(entry)
        return await self._resyncer.settled(entry, seconds=seconds)
