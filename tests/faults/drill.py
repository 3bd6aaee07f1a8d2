"""A drill: what happens to the system while a history is written, and the score of it."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import asyncpg

from tests.faults.history import DrillFailed, History
from tests.faults.instances import Refused
from tests.faults.rig import Rig
from tests.faults.stock import Ids
from tests.processes import ChildFailed

Storm = Callable[[History], Awaitable[str | None]]
"""Hurts the system while the history is written; what it returns is printed beside the score."""

_SHOWN = 3
_EXPECTED = (
    DrillFailed, ChildFailed, Refused, TimeoutError, OSError, aiohttp.ClientError, asyncpg.PostgresError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Drill:
    """``stage`` is where the collection stands when the storm begins."""

    name: str
    stage: str
    storm: Storm
    may_fail: bool = True
    """Whether clients may see errors while it happens."""
    rivals: bool = False
    """Whether clients write the same ids through different instances."""
    own_qdrant: bool = False
    """Whether the source itself is hurt: not possible with a server that was given."""
    stock: Ids | None = None
    """What ids the points have that lie in Qdrant before anything is mirrored; ``None``: there are none."""
    small_disks: bool = False
    """Whether Postgres must lie on small file systems: needs the right to mount them."""


@dataclass(slots=True)
class Score:
    """What came of a drill."""

    name: str
    histories: int = 0
    writes: int = 0
    errors: int = 0
    lost: int = 0
    divergent: int = 0
    seconds: float = 0.0
    remark: str = ""
    wrongs: list[str] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """Whether everything held."""
        return not self.wrongs

    @property
    def line(self) -> str:
        """One line for the report."""
        return (
            f"  {'ok  ' if self.is_good else 'FAIL'} {self.name:44} {self.seconds:6.1f} s"
            f"  histories={self.histories} writes={self.writes} errors={self.errors}"
            f" lost={self.lost} divergent={self.divergent}  {self.remark}".rstrip()
        )


async def play(drill: Drill, rig: Rig, seed: int, name: str) -> Score:
    """Perform a drill once on a collection of its own; what goes wrong is in the score."""
    began = time.monotonic()
    score = Score(drill.name, histories=1)
    diary = rig.directory / f"{name}.jsonl"
    try:
        begun = History.begun(rig, name, seed, drill.stage, rivals=drill.rivals, stock=drill.stock)
        async with begun as history:
            try:
                async with history.writing():
                    score.remark = await drill.storm(history) or ""
                await history.settle()
                await history.judge()
            finally:
                _count(score, drill, history)
                history.diary.save(diary)
    except* _EXPECTED as failures:
        score.wrongs += [f"{type(one).__name__}: {one}" for one in _leaves(failures)]
    score.seconds = time.monotonic() - began
    if score.is_good:
        diary.unlink(missing_ok=True)
    return score


def _count(score: Score, drill: Drill, history: History) -> None:
    diary = history.diary
    stale = [] if history.is_blind else diary.stale
    score.writes, score.errors = diary.writes, diary.errors
    score.lost, score.divergent = len(history.lost) + len(stale), len(history.divergent)
    score.wrongs += [f"lost: {line}" for line in history.lost[:_SHOWN]]
    score.wrongs += [f"stale read: {line}" for line in stale[:_SHOWN]]
    score.wrongs += [f"divergent: {line}" for line in history.divergent[:_SHOWN]]
    if diary.errors and not drill.may_fail:
        score.wrongs.append(f"{diary.errors} errors seen by clients, first {diary.first_error}")


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    found: list[BaseException] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
