"""Group commit: intents of concurrent requests share one INSERT and one fsync."""

import asyncio
from uuid import UUID

from service.errors import Overloaded, StaleEpoch, VecferryError
from service.metrics import ProxyMetrics
from service.protocol.ledger import Intent, IntentLog

_MOST_WAITING = 4_096
_MOST_PER_COMMIT = 256

_Waiter = tuple[Intent, "asyncio.Future[bool]"]


class GroupCommit:
    """Takes intents from many requests and commits what has gathered while the last commit was under way."""

    def __init__(self, log: IntentLog, owner: UUID, metrics: ProxyMetrics) -> None:
        self._log = log
        self._owner = owner
        self._metrics = metrics
        self._waiting: asyncio.Queue[_Waiter] = asyncio.Queue(_MOST_WAITING)

    async def commit(self, intent: Intent) -> None:
        """Return when the intent is durable.

        Raises ``StaleEpoch`` (the stage changed: nothing was written), ``TargetUnavailable`` or ``Overloaded``.
        """
        taken: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((intent, taken))
        except asyncio.QueueFull:
            message = "too many writes wait for their intent"
            raise Overloaded(message) from None
        if not await taken:
            self._metrics.stale_epochs.inc()
            message = "the collection's stage changed under the request"
            raise StaleEpoch(message)
        self._metrics.intents.labels(intent.behind).inc()

    async def run(self) -> None:
        """Commit batch after batch; never ends by itself."""
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < _MOST_PER_COMMIT and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await self._commit_batch(batch)

    async def _commit_batch(self, batch: list[_Waiter]) -> None:
        self._metrics.intent_batch.observe(len(batch))
        try:
            taken = await self._log.insert([intent for intent, _ in batch], owner=self._owner)
        except VecferryError as error:
            for _, waiter in batch:
                if not waiter.done():
                    waiter.set_exception(error)
            return
        for intent, waiter in batch:
            if not waiter.done():
                waiter.set_result(intent.id in taken)
