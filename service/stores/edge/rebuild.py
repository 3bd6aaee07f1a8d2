"""Indexing one collection while it is being read and written.

The shard is copied, the copy is optimised by a process of its own, and every operation that the shard gets meanwhile
is kept and run on the copy afterwards. When nothing is left to run, the copy is as good as the shard and takes its
place. A copy that was not finished is worth nothing and is removed at the next start.
"""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import qdrant_edge as edge

from service.errors import VecferryError
from service.stores.edge.failures import engine_errors
from service.stores.edge.processes import spawn

_OPERATIONS_PER_STEP = 20


class Rebuild:
    """One run, from the copy to an optimised shard that has caught up."""

    def __init__(
        self, shard: edge.EdgeShard, directory: Path, source: Path, target: Path, lock: int
    ) -> None:
        shard.flush()
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        self._target = target
        self._backlog: list[edge.UpdateOperation] = []
        self._copy: edge.EdgeShard | None = None
        self.backlog_points = 0
        self._process: subprocess.Popen[bytes] = spawn(
            "service.stores.edge.optimizer", [str(directory), str(target)], inherit=[lock]
        )

    def record(self, operation: edge.UpdateOperation, points: int) -> None:
        """Keep an operation that the shard has just had."""
        self._backlog.append(operation)
        self.backlog_points += max(points, 1)

    def step(self) -> edge.EdgeShard | None:
        """Do a little; return the finished shard once it has caught up.

        Raises ``ChildProcessError`` when the optimising process failed, and ours when its result cannot be opened.
        """
        status = self._process.poll()
        if status is None:
            return None
        if status != 0:
            message = f"the optimizer ended with status {status}"
            raise ChildProcessError(message)
        if self._copy is None:
            with engine_errors():
                self._copy = edge.EdgeShard.load(str(self._target))
        now, self._backlog = (
            self._backlog[:_OPERATIONS_PER_STEP],
            self._backlog[_OPERATIONS_PER_STEP:],
        )
        for operation in now:
            # What failed on the shard fails here in the same way, with the same part applied.
            with suppress(VecferryError), engine_errors():
                self._copy.update(operation)
        return None if self._backlog else self._copy

    @property
    def is_catching_up(self) -> bool:
        """Whether :meth:`step` has work to do at once."""
        return self._copy is not None

    def abandon(self) -> None:
        """End the process and remove the copy."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        if self._copy is not None:
            self._copy.close()
        shutil.rmtree(self._target, ignore_errors=True)
