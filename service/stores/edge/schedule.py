"""When to index: pure decisions about counters and clock readings."""

from dataclasses import dataclass

from service.model.qdrant import CreateCollection
from service.stores.configuration import optimizers_config, vector_params
from service.stores.edge.settings import EngineSettings

_BYTES_PER_FLOAT = 4
_BYTES_PER_SPARSE = 512
_KIB = 1024


def point_bytes(request: CreateCollection) -> int:
    """Return what the vectors of one point weigh; sparse and multivectors are a guess (one row, 64 entries)."""
    dense = sum(params.size for params in vector_params(request).values()) * _BYTES_PER_FLOAT
    return dense + len(request.sparse_vectors or {}) * _BYTES_PER_SPARSE


@dataclass(slots=True)
class Schedule:
    """The state behind the decision; times are readings of one monotonic clock."""

    settings: EngineSettings
    changed_points: int = 0
    last_write: float = 0.0
    enough_since: float | None = None
    not_before: float = 0.0
    demanded: bool = False

    def wrote(self, points: int, now: float, request: CreateCollection) -> None:
        """Count a change."""
        self.changed_points += points
        self.last_write = now
        if self.enough_since is None and self.is_enough(request):
            self.enough_since = now

    def is_enough(self, request: CreateCollection) -> bool:
        """Say whether the changed vectors exceed the collection's ``indexing_threshold`` (KiB; 0 is never)."""
        threshold = optimizers_config(request).indexing_threshold or 0
        return 0 < threshold * _KIB <= self.changed_points * point_bytes(request)

    def start_at(self, request: CreateCollection) -> float | None:
        """Return the time from which a rebuild should run, ``None`` for not at all."""
        if self.demanded:
            return self.not_before
        if not self.is_enough(request):
            return None
        enough_since = self.last_write if self.enough_since is None else self.enough_since
        quiet = min(self.last_write + self.settings.idle, enough_since + self.settings.patience)
        return max(quiet, self.not_before)

    def started(self) -> None:
        """Forget what the rebuild that starts now will see."""
        self.changed_points, self.enough_since, self.demanded = 0, None, False

    def ended(self, now: float) -> None:
        """Let some time pass before the next one."""
        self.not_before = now + self.settings.cooldown
