"""``vecferry export``, ``import`` and ``snapshot`` between both stores, through them and beside a whole instance.

What is to be killed, or starved of room, is a process; the others run in this one, where they take no second to start.
"""

import asyncio
import io
import json
import os
import resource
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import httpx
import pytest
from structlog.testing import capture_logs

from backfill.archive import manifest
from backfill.archive.side import Side
from service import archiving, keys
from service.cli import app
from service.config import Settings, load
from service.errors import StageError
from service.model.operations import Upsert
from service.model.points import Point
from service.model.qdrant import CountRequest, ScrollRequest
from service.stores.postgres.database import Database
from service.stores.postgres.store import PgStore
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.store import QdrantStore
from tests.backfill.archive.points import CONFIG, exact, fixed
from tests.processes import clean_environment, vecferry_command
from tests.service.wired import listening, wired

_LONG_SECONDS = 90.0
"""For a process to start, on a machine that is busy."""


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it wrote."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Rig:
    """Both stores, and the environment in which the commands find them."""

    environment: dict[str, str]
    directory: Path
    name: str
    source: QdrantStore
    target: PgStore

    async def run(self, *arguments: str) -> Ran:
        """Run a command in a thread of this process."""
        return await asyncio.to_thread(_run, self.environment, arguments)

    async def start(
        self, *arguments: str, largest_file: int | None = None
    ) -> asyncio.subprocess.Process:
        """Start a command as a process; no file of it may grow beyond ``largest_file`` bytes."""

        def limit() -> None:
            if largest_file is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

        return await asyncio.create_subprocess_exec(
            *vecferry_command(),
            *arguments,
            env=clean_environment() | self.environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=limit,
        )

    async def fill(self, points: Sequence[Point]) -> None:
        """Make the collection in Qdrant."""
        await self.source.create_collection(self.name, CONFIG)
        await self.source.apply(self.name, Upsert(points), wait=True)


def _run(environment: Mapping[str, str], arguments: Sequence[str]) -> Ran:
    out, err, code = io.StringIO(), io.StringIO(), 0
    try:
        with (
            mock.patch.dict(os.environ, environment),
            mock.patch.object(sys, "argv", ["vecferry", *arguments]),
            mock.patch("service.logs.configure"),  # the log of this process is the tests'
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            app.main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    return Ran(code, out.getvalue(), _without_progress(err.getvalue()))


def _without_progress(text: str) -> str:
    return "".join(line for line in text.splitlines(keepends=True) if "points/s" not in line)


@pytest.fixture
async def rig(
    qdrant_url: str, database_url: str, tmp_path: Path, collection_name: str
) -> AsyncIterator[Rig]:
    """Both stores without the collection."""
    environment = {
        "VECFERRY_QDRANT_URL": qdrant_url,
        "VECFERRY_DATABASE_URL": database_url,
        "VECFERRY_DATA_DIR": str(tmp_path / "data"),
    }
    database = await Database.open(database_url)
    async with QdrantHttp(qdrant_url) as http:
        source, target = QdrantStore(http), PgStore(database)
        yield Rig(environment, tmp_path / "exports", collection_name, source, target)
    await database.close()


async def test_a_collection_that_allows_few_points_per_request(rig: Rig, qdrant_url: str) -> None:
    """Its strict mode makes pages shorter, and the export is whole."""
    await rig.fill(fixed(60))
    strict = {"strict_mode_config": {"enabled": True, "max_query_limit": 10}}
    async with httpx.AsyncClient(base_url=qdrant_url, timeout=30) as client:
        limited = await client.patch(f"/collections/{rig.name}", json=strict)
    assert limited.status_code == 200, limited.text
    with capture_logs():
        ran = await rig.run("export", rig.name, "--to", str(rig.directory), "--from", "source")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"{rig.name}: 60 points, ")


async def test_through_a_running_vecferry(
    rig: Rig, qdrant_url: str, database_url: str, tmp_path: Path
) -> None:
    """What is exported and imported by way of the proxy reaches both stores of a mirrored collection."""
    await rig.fill(fixed(30))
    data = tmp_path / "data"
    found = load(
        qdrant_url=qdrant_url, database_url=database_url, data_dir=data, default_stage="dualwrite"
    )
    with capture_logs():  # a command's output is its own: what runs beside it here logs elsewhere
        await _through(rig, found, data)


async def _through(rig: Rig, found: Settings, data: Path) -> None:
    async with (
        wired(found) as here,
        listening(here.instance.proxy) as (host, port),
        listening(here.instance.control) as (_, control),
    ):
        rig.environment["VECFERRY_PORT"] = str(port)
        rig.environment["VECFERRY_HOST"] = host
        ran = await rig.run("export", rig.name, "--to", str(rig.directory))
        assert (ran.code, ran.err) == (0, "")
        assert ran.out.startswith(f"{rig.name}: 30 points, 1 file(s), ")
        assert " 0.0 " not in ran.out
        copy = f"{rig.name}-copy"
        try:
            ran = await rig.run("import", str(rig.directory), "--collection", copy, "--verify")
            assert (ran.code, ran.err) == (0, "")
            assert ran.out.endswith(
                "30 of 30 points written, every one read back and compared; the collection has 30 now\n"
            )
            assert [exact(each) for each in await _contents(rig.source, copy)] == list(
                map(exact, fixed(30))
            )
            await _mirrored(rig.target, copy, 30)
            await _refuses_one_store(rig, copy, control, keys.read(data))
        finally:
            await rig.source.delete_collection(copy)


async def _refuses_one_store(rig: Rig, name: str, control: int, key: str) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
        status = (await client.get(f"http://127.0.0.1:{control}/v1/control/status")).json()
    (stage,) = (row["stage"] for row in status["collections"] if row["name"] == name)
    assert stage == "dualwrite"
    for side in ("source", "target"):
        ran = await rig.run("import", str(rig.directory), "--collection", name, "--into", side)
        assert ran.code == 1
        assert f"`{name}` is mirrored (stage dualwrite)" in ran.err
        assert "--into proxy" in ran.err
    # A stage that changes after the command has asked for it is seen by each write to Postgres.
    settings = load(database_url=rig.environment["VECFERRY_DATABASE_URL"])
    async with archiving.opened(settings, Side.TARGET, url=None) as opened:
        with pytest.raises(StageError, match="is mirrored"):
            await opened.store.apply(name, Upsert(fixed(1)), wait=True)


async def _mirrored(target: PgStore, name: str, points: int) -> None:
    async with asyncio.timeout(10):
        while await target.count(name, CountRequest()) != points:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.05)
    assert {each.id for each in await _contents(target, name)} == {
        each.id for each in fixed(points)
    }


async def _contents(store: QdrantStore | PgStore, name: str) -> list[Point]:
    request = ScrollRequest(limit=10_000, with_payload=True, with_vector=True)
    page = await store.scroll(name, request)
    return [Point(each.id, each.vectors or {}, each.payload or {}) for each in page.records]


async def test_a_killed_export_goes_on(rig: Rig) -> None:
    """Ended by SIGKILL in the middle, it keeps its whole files and leaves nothing of the half one."""
    await rig.fill(fixed(300))
    arguments = (
        "export",
        rig.name,
        "--to",
        str(rig.directory),
        "--from",
        "source",
        "--rows-per-file",
        "5",
    )
    process = await rig.start(*arguments)
    directory = rig.directory / rig.name
    async with asyncio.timeout(_LONG_SECONDS):
        while not (directory / "points-000004.parquet").exists():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    begun = manifest.load(directory)
    assert not begun.complete
    assert 3 <= len(begun.entries) < 60
    (directory / "points-000059.parquet.partial").write_bytes(b"half")
    kept = {e.name: (directory / e.name).stat().st_mtime_ns for e in begun.entries}
    ran = await rig.run(*arguments)
    assert (ran.code, ran.err) == (0, "")
    done = manifest.load(directory)
    assert (done.complete, done.rows, done.resumed) == (True, 300, 1)
    assert {name: (directory / name).stat().st_mtime_ns for name in kept} == kept
    assert {path.name for path in directory.glob("points*")} == {e.name for e in done.entries}
    ran = await rig.run("import", str(rig.directory), "--into", "target", "--verify")
    assert (ran.code, ran.err) == (0, "")


async def test_a_killed_import_goes_on(rig: Rig) -> None:
    """Ended by SIGKILL in the middle, the next run ends with every point."""
    await rig.fill(fixed(300))
    exporting = ("export", rig.name, "--to", str(rig.directory), "--from", "source")
    assert (await rig.run(*exporting, "--rows-per-file", "5")).code == 0
    arguments = ("import", str(rig.directory / rig.name), "--into", "target", "--verify")
    process = await rig.start(*arguments)
    async with asyncio.timeout(_LONG_SECONDS):
        while not _written(rig.directory / rig.name):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    assert 0 < _written(rig.directory / rig.name) < 300
    ran = await rig.run(*arguments)
    assert (ran.code, ran.err) == (0, "")
    assert "300 of 300 points written" in ran.out


def _written(directory: Path) -> int:
    """Return how many points the import into the target says that it has written."""
    for path in directory.glob("import-target-*.json"):
        return int(json.loads(path.read_text())["progress"]["written"])
    return 0


async def test_a_file_that_cannot_be_written_is_a_clear_error(rig: Rig) -> None:
    """As on a full disk: one line that names the file and the reason, nothing half, and a later run goes on."""
    await rig.fill(fixed(300))
    arguments = ("export", rig.name, "--to", str(rig.directory), "--from", "source")
    process = await rig.start(*arguments, largest_file=8_000)
    _, err = await process.communicate()
    path = rig.directory / rig.name / "points-000001.parquet"
    reason = f"{rig.name}: failed: cannot write {path}: File too large\n"
    assert (process.returncode, err.decode()) == (1, reason)
    assert not list(path.parent.glob("points*"))
    assert (await rig.run(*arguments)).code == 0


async def test_an_export_to_no_directory_is_a_clear_error(rig: Rig) -> None:
    """The path is a device."""
    await rig.fill(fixed(3))
    ran = await rig.run("export", rig.name, "--to", "/dev/null", "--from", "source")
    assert ran.code == 1
    assert ran.err == f"{rig.name}: failed: cannot write /dev/null/{rig.name}: Not a directory\n"


async def test_refused_points_are_listed(rig: Rig) -> None:
    """With their ids and the store's words, and exit 1."""
    bad = Point(7_777, {}, {"s": "\0"})
    await rig.fill([*fixed(5), bad])
    await rig.run("export", rig.name, "--to", str(rig.directory), "--from", "source")
    ran = await rig.run("import", str(rig.directory), "--into", "target")
    assert ran.code == 1
    assert "5 of 6 points written" in ran.out
    assert "  7777: Wrong input: unsupported Unicode escape sequence" in ran.err


async def test_bad_arguments(rig: Rig, tmp_path: Path) -> None:
    """Nothing to import, a damaged manifest, two collections under one name, no such collection."""
    ran = await rig.run("import", str(tmp_path), "--into", "target")
    assert (ran.code, ran.err.startswith(f"vecferry: there is no export in {tmp_path}")) == (
        1,
        True,
    )
    await rig.fill(fixed(3))
    await rig.run("export", rig.name, "--to", str(rig.directory), "--from", "source")
    path = rig.directory / rig.name / "manifest.json"
    path.write_bytes(path.read_bytes()[:-40])
    ran = await rig.run("import", str(rig.directory), "--into", "target")
    assert ran.code == 1
    assert f"{path} is damaged: it is not whole JSON" in ran.err
    ran = await rig.run("export", "no-such", "--to", str(rig.directory), "--from", "source")
    assert (ran.code, ran.err) == (1, "vecferry: Not found: Collection `no-such` doesn't exist!\n")


async def test_an_engine_without_snapshots_says_so(rig: Rig) -> None:
    """The embedded one, whether it is this instance's own or another one's."""
    await rig.fill(fixed(3))
    arguments = ("snapshot", rig.name, "--to", str(rig.directory))
    if "VECFERRY_TEST_QDRANT_URL" not in os.environ:
        ran = await rig.run(*arguments)
        reason = "this server has no snapshots (it answered 501); use `vecferry export`"
        assert (ran.code, ran.err) == (1, f"{rig.name}: failed: {reason}\n")
    del rig.environment["VECFERRY_QDRANT_URL"]
    ran = await rig.run(*arguments)
    assert ran.code == 1
    assert (
        ran.err == "vecferry: the embedded Qdrant engine has no snapshots; use `vecferry export`\n"
    )


def test_the_proxy_does_not_load_the_parquet_library() -> None:
    """It is the largest one, and only exports and imports use it."""
    code = "import sys, service.cli.app, service.main; sys.exit('pyarrow' in sys.modules)"
    assert os.spawnv(os.P_WAIT, sys.executable, [sys.executable, "-c", code]) == 0
