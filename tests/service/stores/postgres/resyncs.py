"""Resyncs on a real Postgres, and the source that they read or push to."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from service.control.state import CollectionState
from service.errors import StoreAnswered, VecferryError
from service.model.ids import PointId
from service.model.points import Point
from service.protocol.ledger import Fetch, Intent, Push, Settlement
from service.stores.postgres.intents import PostgresIntents

NOBODY = UUID(int=0)


def having(*points: Point) -> Fetch:
    """Return a source that has these points."""

    async def fetch(ids: Sequence[PointId]) -> Sequence[Point]:
        return [each for each in points if each.id in ids]

    return fetch


class Pushes:
    """A source that notes what it is given; it can be held up, refuse an id, or fail."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[PointId, float], list[PointId]]] = []
        self.begun = 0
        self.refused: PointId | None = None
        self.error: VecferryError | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    @property
    def push(self) -> Push:
        """The writer to give to a resync."""

        async def push(present: Sequence[Point], absent: Sequence[PointId]) -> None:
            self.begun += 1
            await self.gate.wait()
            if self.error is not None:
                raise self.error
            if self.refused in {*absent, *(each.id for each in present)}:
                raise StoreAnswered(400, b"{}")
            self.got.append(({each.id: each.payload["n"] for each in present}, list(absent)))

        return push


async def resynced(
    log: PostgresIntents,
    state: CollectionState,
    taken: Sequence[Intent],
    how: Fetch | Pushes,
    owner: UUID = NOBODY,
) -> Settlement:
    """Resync intents together, in the direction that ``how`` stands for."""
    assert state.generation is not None
    keys = sorted({key for each in taken for key in each.keys})
    ids = [each.id for each in taken]
    if isinstance(how, Pushes):
        return await log.settle_source(state.generation, keys, ids, how.push, owner=owner)
    return await log.settle_target(state.generation, keys, ids, how)
