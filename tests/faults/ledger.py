"""What is not settled, read from both stores directly."""

from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Self

import aiohttp

from service.control.register import REGISTER
from tests.faults.rig import Rig

_MOST_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Ledger:
    """How much is unsettled; dead letters are among the intents."""

    intents: int
    dead: int
    changes: int
    hints: int
    marks: int
    """Instances that the source still takes for detached."""

    @property
    def is_empty(self) -> bool:
        """Whether both stores are known to be equal, and every instance is back."""
        return not (self.intents or self.changes or self.hints or self.marks)

    @classmethod
    async def read(cls, rig: Rig) -> Self:
        """Count intents and ``*`` intents in Postgres, hints and marks in Qdrant."""
        rows = await rig.fetch(
            "SELECT (SELECT count(*) FROM vecferry.intents),"
            " (SELECT count(*) FROM vecferry.intents WHERE dead),"
            " (SELECT count(*) FROM vecferry.collection_intents)"
        )
        intents, dead, changes = rows[0]
        kinds = await _registered(rig.qdrant_url)
        return cls(intents, dead, changes, kinds["hint"], kinds["mark"])


async def _registered(url: str) -> Counter[str]:
    """Count the register's points by their kind."""
    body = {"limit": _MOST_POINTS, "with_payload": True}
    address = f"{url}/collections/{REGISTER}/points/scroll"
    async with aiohttp.ClientSession() as http, http.post(address, json=body) as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return Counter()
        answer.raise_for_status()
        points = (await answer.json())["result"]["points"]
    return Counter(point["payload"]["kind"] for point in points)
