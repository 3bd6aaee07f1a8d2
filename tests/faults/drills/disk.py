"""Postgres' disk is full: the data's and the log's, on small file systems in memory. Needs the right to mount."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import asyncpg

from tests.faults.drill import Drill
from tests.faults.drills.jobs import NOTED_SECONDS, hurt
from tests.faults.history import History
from tests.faults.jobs import LongJob
from tests.faults.stock import Ids

DATA_BYTES = 192 * 1024 * 1024
_LOG_BYTES = 96 * 1024 * 1024
_BALLAST = "ballast"
_FULL_SECONDS = 5.0
_LEFT_BYTES = 64 * 1024


@contextmanager
def small_disks(directory: Path) -> Iterator[Path | None]:
    """Mount two small file systems; yield where Postgres' data directory shall be, ``None`` without the right to."""
    data, log = directory / "small", directory / "small-log"
    mounted: list[Path] = []
    try:
        for path, size in ((data, DATA_BYTES), (log, _LOG_BYTES)):
            path.mkdir()
            command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=755", "tmpfs", str(path)]
            with suppress(OSError):
                if not subprocess.run(command, capture_output=True, check=False).returncode:
                    mounted.append(path)
        yield data / "postgres" if mounted == [data, log] else None
    finally:
        for path in mounted:
            subprocess.run(["umount", "-l", str(path)], check=False)


def _fill(directory: Path) -> Path:
    """Take all space but a little."""
    space = os.statvfs(directory)
    ballast = directory / _BALLAST
    with ballast.open("wb") as out:
        os.posix_fallocate(out.fileno(), 0, space.f_bavail * space.f_frsize - _LEFT_BYTES)
    return ballast


async def _data_full(history: History) -> None:
    """No table can grow; the server goes on."""
    ballast = _fill(history.rig.postgres.directory.parent)
    try:
        await asyncio.sleep(_FULL_SECONDS)
    finally:
        ballast.unlink()
    await asyncio.sleep(1.0)


async def _log_full(history: History) -> None:
    """No commit can be written: the server ends itself, and is started again when there is room."""
    postgres = history.rig.postgres
    wal = postgres.directory / "cluster" / "pg_wal"
    disk = postgres.directory.parent.with_name("small-log")
    await postgres.stop()
    if not wal.is_symlink():
        # As its owner left it: the server may run as another user.
        shutil.copytree(wal, disk / "wal", symlinks=True)
        _give(disk / "wal", wal)
        shutil.rmtree(wal)
        wal.symlink_to(disk / "wal")
    await postgres.start()
    await asyncio.sleep(0.5)
    ballast = _fill(disk)
    try:
        for _ in range(6):
            with suppress(OSError, asyncpg.PostgresError):
                await history.rig.fetch("SELECT pg_switch_wal()")
        await asyncio.sleep(_FULL_SECONDS)
    finally:
        ballast.unlink()
    await postgres.heal()
    await asyncio.sleep(1.0)


async def _full_while_copied(history: History, job: LongJob) -> str:
    """No page can be written: the job waits and says what for."""
    ballast = _fill(history.rig.postgres.directory.parent)
    try:
        return await job.says("No space left on device", seconds=NOTED_SECONDS)
    finally:
        ballast.unlink()


def _give(copy: Path, original: Path) -> None:
    owner = original.stat()
    for path in (copy, *copy.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)


def drills() -> list[Drill]:
    """Return the drills for a system whose Postgres lies on small disks."""
    return [
        Drill(
            "disk full, data, source is right",
            "shadow",
            _data_full,
            may_fail=False,
            small_disks=True,
        ),
        Drill("disk full, data, target is right", "live", _data_full, small_disks=True),
        Drill(
            "disk full, log, source is right", "shadow", _log_full, may_fail=False, small_disks=True
        ),
        Drill("disk full, log, target is right", "live", _log_full, small_disks=True),
        Drill(
            "disk full, data, backfill",
            "off",
            hurt(_full_while_copied),
            may_fail=False,
            stock=Ids.DENSE,
            small_disks=True,
        ),
    ]
