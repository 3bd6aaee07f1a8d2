"""Hints in Qdrant: one point per intent, under the intent's own id."""

from base64 import b64decode, b64encode
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from service.control.register import REGISTER
from service.model.ids import pack_keys, unpack_keys
from service.protocol.hints import OwnedHints
from service.protocol.ledger import Hint, Intent
from service.stages import Side
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.own import Condition, OwnPoints, equals, none_of

_HINT = equals("kind", "hint")
_OWNERS_PAGE = 256


class QdrantHints:
    """``OwnedHints`` in the collection ``_vecferry``."""

    def __init__(self, http: QdrantHttp, collection: str = REGISTER) -> None:
        self._points = OwnPoints(http, collection)

    async def write(self, hints: Sequence[Hint]) -> None:
        """Store hints in one request; they are visible to every reader when this returns."""
        await self._points.put({str(hint.intent.id): _payload(hint) for hint in hints})

    async def read(
        self,
        *,
        owner: UUID | None = None,
        generation: int | None = None,
        after: UUID | None = None,
        limit: int,
    ) -> Sequence[Hint]:
        """Return hints in the order of their ids; of one owner and generation, or of all."""
        whose = [] if owner is None else [equals("owner", str(owner))]
        start = None if after is None else str(UUID(int=after.int + 1))
        found = await self._points.page([_HINT, *whose, *_of(generation)], limit=limit, start=start)
        return [_hint(point_id, payload) for point_id, payload in found]

    async def owners(self) -> set[UUID]:
        """Return whose hints there are."""
        owners: set[str] = set()
        while True:
            others = [_HINT, none_of("owner", sorted(owners))] if owners else [_HINT]
            found = await self._points.page(others, limit=_OWNERS_PAGE, fields=["owner"])
            if not found:
                return {UUID(owner) for owner in owners}
            owners |= {payload["owner"] for _, payload in found}

    async def count(self, generation: int | None = None) -> int:
        """Return how many hints there are, exactly; of one generation or of all."""
        return await self._points.count([_HINT, *_of(generation)])

    async def discard(self, ids: Sequence[UUID]) -> None:
        """Delete exactly these hints."""
        await self._points.delete([str(hint) for hint in ids])


def _of(generation: int | None) -> list[Condition]:
    return [] if generation is None else [equals("generation", generation)]


def _payload(hint: Hint) -> dict[str, Any]:
    intent = hint.intent
    return {
        "kind": "hint",
        "owner": str(hint.owner),
        "generation": intent.generation,
        "epoch": intent.epoch,
        "behind": intent.behind.value,
        "owed": intent.owed,
        "keys": b64encode(pack_keys(intent.keys)).decode(),
        "cause": intent.cause,
        "collection": intent.collection,
        "written_at": hint.written_at,
    }


def _hint(point_id: str, stored: dict[str, Any]) -> Hint:
    intent = Intent(
        id=UUID(point_id),
        generation=stored["generation"],
        epoch=stored["epoch"],
        behind=Side(stored["behind"]),
        owed=stored["owed"],
        keys=tuple(unpack_keys(b64decode(stored["keys"]))),
        cause=stored["cause"],
        collection=stored["collection"],
    )
    return Hint(intent, UUID(stored["owner"]), stored.get("written_at"))


def _proves_port(hints: QdrantHints) -> OwnedHints:
    return hints
