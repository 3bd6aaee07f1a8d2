"""Writes that meet a stage change: they wait in a bounded queue until the new stage is in force."""

from service.control.plane import ControlPlane
from service.errors import Overloaded, Refusal
from service.metrics import ProxyMetrics


class FreezeQueue:
    """Holds writes of frozen collections, at most ``limit`` at once, each at most ``seconds``."""

    def __init__(
        self, plane: ControlPlane, metrics: ProxyMetrics, *, limit: int, seconds: float
    ) -> None:
        self._plane = plane
        self._metrics = metrics
        self._limit = limit
        self._seconds = seconds
        self._held = 0

    async def pass_through(self, collection: str) -> None:
        """Return when the collection takes writes. Raises ``Overloaded``."""
        name = self._plane.view.physical(collection)
        if not self._plane.view.state(name).frozen:
            return
        if self._held >= self._limit:
            message = f"collection `{name}` is changing its stage and too many writes wait"
            raise Overloaded(message, Refusal.FREEZE_QUEUE)
        self._held += 1
        self._metrics.held_writes.set(self._held)
        try:
            await self._plane.thawed(name, seconds=self._seconds)
        finally:
            self._held -= 1
            self._metrics.held_writes.set(self._held)
