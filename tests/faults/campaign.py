"""All drills one after the other on one system; a new system after one that went wrong."""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.drill import Drill, Score, play
from tests.faults.drills.disk import small_disks
from tests.faults.rig import Rig, system


@dataclass(slots=True)
class Campaign:
    """Runs every drill once, and again with new seeds while there is time."""

    drills: Sequence[Drill]
    directory: Path
    seed: int
    limit_seconds: float = 0.0
    scores: list[Score] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)
    _round: int = 0
    _next: int = 0

    async def run(self) -> None:
        """Perform the drills and print one line for each."""
        systems = 0
        while (drill := self._current()) is not None:
            systems += 1
            directory = self.directory / f"system-{systems}"
            directory.mkdir()
            async with _system_for(drill, directory) as rig:
                if rig is None:
                    self._skip(drill, "no right to mount small disks")
                else:
                    await self._perform_on(rig, is_small=drill.small_disks)

    async def _perform_on(self, rig: Rig, *, is_small: bool) -> None:
        """Perform the drills that fit the system, until one goes wrong."""
        while (drill := self._current()) is not None and drill.small_disks == is_small:
            if drill.own_qdrant and rig.qdrant is None:
                self._skip(drill, "the source is not ours to hurt")
                continue
            self._next += 1
            score = await play(drill, rig, self.seed + self._round, f"drill-{len(self.scores)}")
            self.scores.append(score)
            print("\n       ".join([score.line, *score.wrongs]), flush=True)
            if not score.is_good:
                return

    def _skip(self, drill: Drill, reason: str) -> None:
        self._next += 1
        print(f"  skip {drill.name}: {reason}", flush=True)

    def _current(self) -> Drill | None:
        """Return the drill to perform next; none when all are done, or the time is over."""
        if self._next >= len(self.drills):
            self._round, self._next = self._round + 1, 0
        is_over = time.monotonic() - self._began >= self.limit_seconds
        return None if self._round and is_over else self.drills[self._next]

    @property
    def is_good(self) -> bool:
        """Whether every drill held."""
        return bool(self.scores) and all(score.is_good for score in self.scores)

    @property
    def totals(self) -> str:
        """The figures of the last line."""
        names = {score.name for score in self.scores}
        sums = {
            name: sum(getattr(score, name) for score in self.scores)
            for name in ("histories", "writes", "lost", "divergent")
        }
        return " ".join([f"drills={len(names)}", *(f"{name}={sums[name]}" for name in sums)])


@asynccontextmanager
async def _system_for(drill: Drill, directory: Path) -> AsyncIterator[Rig | None]:
    """Run a system that the drill can be performed on; none where that is not permitted."""
    if not drill.small_disks:
        async with system(directory) as rig:
            yield rig
        return
    with small_disks(directory) as data_dir:
        if data_dir is None:
            yield None
            return
        async with system(directory, data_dir=data_dir) as rig:
            yield rig
