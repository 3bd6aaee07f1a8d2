"""Jobs with processes that come and go: workers that are killed, an instance that is restarted."""

import asyncio
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from service.model.ids import encode_key
from tests.processes import free_port
from tests.system.conftest import new_database
from tests.system.processes import Child, Proxy, answers, proxy, until

pytestmark = pytest.mark.slow

POINTS = 1_200
RANGES = 4


@pytest.fixture
def database(postgres_server: str) -> Iterator[str]:
    """An empty database of its own."""
    with new_database(postgres_server, "workers") as url:
        yield url


@pytest.fixture
def collection(qdrant_url: str, collection_name: str) -> str:
    """A collection on the source."""
    with httpx.Client(base_url=f"{qdrant_url}/collections/{collection_name}", timeout=30.0) as http:
        http.put("", json={"vectors": {"size": 2, "distance": "Dot"}}).raise_for_status()
        points = [{"id": number, "vector": [float(number), 1.0]} for number in range(POINTS)]
        http.put("/points?wait=true", json={"points": points}).raise_for_status()
    return collection_name


def _execute(database: str, statement: str, *arguments: object) -> list[Any]:
    async def execute() -> list[Any]:
        connection = await asyncpg.connect(database)
        try:
            found: list[Any] = await connection.fetch(statement, *arguments)
            return found
        finally:
            await connection.close()

    return asyncio.run(execute())


@contextmanager
def _worker(directory: Path, name: str, running: Proxy, *options: str) -> Iterator[Child]:
    child = Child(
        ("worker", *options),
        {**running.settings, "VECFERRY_WORKERS": "1"},
        directory / f"{name}.log",
    )
    child.start()
    try:
        yield child
    finally:
        child.kill()


def _owner(child: Child) -> str | None:
    found = re.search(
        r"worker=([0-9a-f-]{36})|\"worker\": ?\"([0-9a-f-]{36})\"", child.log.read_text()
    )
    return None if found is None else found[1] or found[2]


def _split(database: str) -> None:
    """Give the job the ranges that a larger collection would have."""
    cuts = [encode_key(POINTS * at // RANGES) for at in range(1, RANGES)]
    _execute(database, "UPDATE vecferry.job_ranges SET until_key = $1", cuts[0])
    _execute(
        database,
        "INSERT INTO vecferry.job_ranges (job, number, first_key, until_key)"
        " SELECT id, n, f, u FROM vecferry.jobs, unnest($1::int[], $2::bytea[], $3::bytea[]) AS r (n, f, u)",
        list(range(1, RANGES)), cuts, [*cuts[1:], None],
    )  # fmt: skip


def _job(running: Proxy, name: str) -> dict[str, Any]:
    found = running.control.follow("backfill", name)["job"]
    return dict(found)


def test_a_killed_workers_ranges_are_taken_over(
    database: str, qdrant_url: str, collection: str, tmp_path: Path
) -> None:
    """Two workers share a job; one is killed in the middle, and the other one does what it had. Nothing is missing."""
    settings = {"workers": "0", "grace_seconds": "2"}
    with (
        proxy(tmp_path, qdrant=qdrant_url, database=database, **settings) as running,
    ):
        running.to_stage(collection, "dualwrite")
        slowly = {"points_per_second": 300, "page_bytes": 1024}
        running.control.start("backfill", collection, slowly)
        until(lambda: _job(running, collection)["phase"] == "running", "a prepared job")
        _split(database)
        with (
            _worker(tmp_path, "one", running) as one,
            _worker(tmp_path, "two", running) as two,
        ):
            until(lambda: _job(running, collection)["workers"] == 2, "two workers")
            until(lambda: _job(running, collection)["scanned"] > 0, "progress")
            lost = _owner(one)
            one.kill()
            held = "SELECT number FROM vecferry.job_ranges WHERE owner = $1 AND NOT done"
            assert _execute(database, held, lost), "the killed worker held a range"
            # What the lease waits for, without waiting for it.
            _execute(
                database,
                "UPDATE vecferry.job_ranges SET heard_at = '-infinity' WHERE owner = $1",
                lost,
            )
            running.control.tune("backfill", collection, {"points_per_second": None})
            until(lambda: _job(running, collection)["state"] == "done", "the end")
            attempts = _execute(database, "SELECT max(attempt) AS most FROM vecferry.job_ranges")
            assert attempts[0]["most"] > 1
            assert two.stop() == 0
        assert _job(running, collection)["copied"] == POINTS
        assert running.collection(collection)["points"] == POINTS


def test_a_restarted_instance_goes_on(
    database: str, qdrant_url: str, collection: str, tmp_path: Path
) -> None:
    """Killed in the middle of a job; started again it goes on by itself, where it was. Nobody starts the job anew."""
    with proxy(tmp_path, qdrant=qdrant_url, database=database, grace_seconds="2") as running:
        running.to_stage(collection, "dualwrite")
        slowly = {"points_per_second": 300, "page_bytes": 1024}
        begun = running.control.start("backfill", collection, slowly)
        until(lambda: _job(running, collection)["scanned"] > 0, "progress")
        running.child.kill()
        _execute(database, "UPDATE vecferry.job_ranges SET heard_at = '-infinity'")
        before = _execute(database, "SELECT sum(scanned) AS scanned FROM vecferry.job_ranges")
        running.child.start()
        running.ready()
        running.control.tune("backfill", collection, {"points_per_second": None})
        until(lambda: _job(running, collection)["state"] == "done", "the end")
        job = _job(running, collection)
        assert (job["id"], job["scanned"], job["copied"]) == (begun["id"], POINTS, POINTS)
        assert before[0]["scanned"] > 0


def test_a_stopped_worker_gives_its_range_back(
    database: str, qdrant_url: str, collection: str, tmp_path: Path
) -> None:
    """SIGTERM: it ends with status 0, and the next one need not wait for the end of a lease."""
    port = free_port()
    with proxy(tmp_path, qdrant=qdrant_url, database=database, workers="0") as running:
        running.to_stage(collection, "dualwrite")
        running.control.start("backfill", collection, {"points_per_second": 50, "page_bytes": 1024})
        ending = Child(("backfill", collection), running.settings, tmp_path / "backfill.log")
        ending.start()
        with _worker(tmp_path, "one", running, "--metrics-port", str(port)) as child:
            until(lambda: _job(running, collection)["workers"] == 1, "a worker")
            until(lambda: "points/s" in ending.log.read_text(), "a line of progress")
            ending.send(signal.SIGINT)
            assert ending.process is not None
            assert ending.process.wait(10) == 130
            assert f"follow it with `vecferry jobs watch {collection}`" in ending.log.read_text()
            assert _job(running, collection)["phase"] == "running"
            assert answers(f"http://127.0.0.1:{port}/readyz")
            told = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=5.0).text
            assert "vecferry_backfill_points_scanned_total" in told
            assert child.stop() == 0
        job = _job(running, collection)
        assert (job["phase"], job["workers"], job["ranges_done"]) == ("running", 0, 0)
        shown = f'vecferry_job_points_scanned{{collection="{collection}",kind="backfill"}}'
        # An idle instance looks at the jobs every few seconds.
        until(
            lambda: shown in httpx.get(f"{running.url}/metrics", timeout=5.0).text,
            "the job's gauges",
        )


def test_a_worker_waits_for_a_database_of_its_version(
    database: str, qdrant_url: str, tmp_path: Path
) -> None:
    """Before the first instance it says what it waits for; a database of a newer version it refuses."""
    environment = {"VECFERRY_QDRANT_URL": qdrant_url, "VECFERRY_DATABASE_URL": database}
    child = Child(("worker",), environment, tmp_path / "worker.log")
    child.start()
    try:
        until(lambda: "lacks the migration" in child.log.read_text(), "what it waits for")
        with proxy(tmp_path, qdrant=qdrant_url, database=database):
            until(lambda: "database_ready" in child.log.read_text(), "a database")
            assert child.stop() == 0
        _execute(database, "INSERT INTO vecferry.migrations (name) VALUES ('9999_newer.sql')")
        child.start()
        assert child.process is not None
        assert child.process.wait(30) == 2
        assert (
            "migrated by another version of vecferry: it has 9999_newer.sql"
            in child.log.read_text()
        )
    finally:
        child.kill()


@pytest.mark.parametrize("missing", ["QDRANT_URL", "DATABASE_URL"])
def test_a_worker_needs_both_addresses(missing: str, tmp_path: Path) -> None:
    """Embedded engines belong to the instance that runs them: one line, status 2."""
    given = {"QDRANT_URL": "http://127.0.0.1:9", "DATABASE_URL": "postgresql://127.0.0.1:9/x"}
    del given[missing]
    environment = {f"VECFERRY_{name}": value for name, value in given.items()}
    child = Child(("worker",), environment, tmp_path / "worker.log")
    child.start()
    assert child.process is not None
    assert child.process.wait(30) == 2
    assert child.log.read_text().startswith(f"vecferry: VECFERRY_{missing}: a worker needs")


def test_signals_are_not_lost_while_it_waits(tmp_path: Path) -> None:
    """A worker whose stores are away ends at once when it is told to."""
    environment = {
        "VECFERRY_QDRANT_URL": "http://127.0.0.1:9",
        "VECFERRY_DATABASE_URL": "postgresql://x@127.0.0.1:9/x",
    }
    child = Child(("worker",), environment, tmp_path / "worker.log")
    child.start()
    try:
        until(lambda: "waiting_for_database" in child.log.read_text(), "the reason")
        child.send(signal.SIGTERM)
        assert child.process is not None
        assert child.process.wait(10) == 0
    finally:
        child.kill()
