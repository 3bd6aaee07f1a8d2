"""Group commit: intents of concurrent requests share one INSERT and one fsync."""

import asyncio
from uuid import UUID

import structlog

from service.errors import Overloaded, StaleEpoch, TargetUnavailable, VecferryError
from service.metrics import ProxyMetrics
from service.protocol.ledger import Intent, IntentLog

_log = structlog.get_logger(__name__)

BUDGET_SECONDS = 2.0
"""How long a write waits for its intent before it is refused: a hung Postgres must not hang the clients."""

_MOST_WAITING = 4_096
_MOST_PER_COMMIT = 256

_Waiter = tuple[Intent, "asyncio.Future[bool]"]


class GroupCommit:
    """Takes intents from many requests and commits what has gathered while the last commit was under way."""

    def __init__(
        self, log: IntentLog, owner: UUID, metrics: ProxyMetrics, *, seconds: float = BUDGET_SECONDS
    ) -> None:
        self._log = log
        self._owner = owner
        self._metrics = metrics
        self._seconds = seconds
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
        if not await self._in_time(taken):
            self._metrics.stale_epochs.inc()
            message = "the collection's stage changed under the request"
            raise StaleEpoch(message)
        self._metrics.intents.labels(intent.behind).inc()

    async def _in_time(self, taken: "asyncio.Future[bool]") -> bool:
        """Wait for the commit within the budget; one that comes later is found by the sweep."""
        try:
            return await asyncio.wait_for(taken, self._seconds)
        except TimeoutError:
            reason = f"did not store an intent within {self._seconds:g} s"
            raise TargetUnavailable(reason) from None

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
        except Exception as error:  # noqa: BLE001 - what nobody foresaw fails this batch, not the instance
            if not isinstance(error, VecferryError):
                _log.exception("intents_broken")
            for _, waiter in batch:
                if not waiter.done():
                    waiter.set_exception(error)
            return
        for intent, waiter in batch:
            if not waiter.done():
                waiter.set_result(intent.id in taken)
