"""Postgres away while the source is right: no client notices, and everything is repaired afterwards (R6)."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from service.control.register import REGISTER
from tests.system.load import DIMENSIONS, Load, load, points
from tests.system.processes import Child, Proxy, own_postgres, own_qdrant, proxy, until

STAGES = {"dual": [], "shadowed": ["shadow"], "ramping": ["shadow", "ramp"]}


@pytest.fixture
def qdrant(tmp_path: Path) -> Iterator[str]:
    """The URL of a Qdrant of the test's own."""
    with own_qdrant(tmp_path / "qdrant") as (_, url):
        yield url


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["killed", "stopped"])
def test_postgres_away_under_load(qdrant: str, tmp_path: Path, fault: str) -> None:
    """Killed or hanging, in every stage in which the source is right: no error, nothing unequal (I1–I3, I5)."""
    with (
        own_postgres() as (postgres, dsn),
        proxy(tmp_path / "proxy", qdrant=qdrant, database=dsn, grace_seconds="4") as running,
    ):
        for name, stages in STAGES.items():
            _create(running.url, name)
            running.mirrored(name, *stages)
        with load([running.url], list(STAGES)) as found:
            until(lambda: found.goes_on(30), "writes before the outage", 30)
            with _killed(postgres) if fault == "killed" else _stopped(postgres):
                time.sleep(7)  # longer than what Postgres last said is in force
                until(lambda: found.goes_on(30), "writes during the outage")
                assert _kinds(qdrant) >= {"mark", "hint"}
            until(lambda: found.goes_on(30), "writes after the outage")
        assert found.wrong == []
        assert max(found.seconds) < 5.0
        for name in STAGES:
            _repaired(running, qdrant, name, found)
        until(lambda: _kinds(qdrant) == {"record"}, "no hint and no mark left")


def _create(url: str, name: str) -> None:
    body = {"vectors": {"size": DIMENSIONS, "distance": "Dot"}}
    assert httpx.put(f"{url}/collections/{name}", json=body).status_code == httpx.codes.OK
    old = {"points": points(0, 50, "old")}
    answer = httpx.put(f"{url}/collections/{name}/points?wait=true", json=old)
    assert answer.status_code == httpx.codes.OK


def _repaired(running: Proxy, qdrant: str, name: str, found: Load) -> None:
    """Both stores are equal, and hold what the clients were told."""
    running.ledger_empties(name)
    receipt = running.verify(name)
    assert receipt["clean"], receipt
    told = {key: tag for (collection, key), tag in found.told.items() if collection == name}
    answer = httpx.post(
        f"{qdrant}/collections/{name}/points", json={"ids": list(told), "with_payload": True}
    )
    tags = {point["id"]: point["payload"]["tag"] for point in answer.json()["result"]}
    assert tags == {key: tag for key, tag in told.items() if tag is not None}


def _kinds(qdrant: str) -> set[str]:
    """Return what kinds of points the register holds."""
    answer = httpx.post(
        f"{qdrant}/collections/{REGISTER}/points/scroll",
        json={"limit": 10_000, "with_payload": True},
    )
    return {point["payload"]["kind"] for point in answer.json()["result"]["points"]}


@contextmanager
def _stopped(postgres: Child) -> Iterator[None]:
    """Stop every process of the server with SIGSTOP, and let them go on afterwards."""
    pids = _server_pids(postgres)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@contextmanager
def _killed(postgres: Child) -> Iterator[None]:
    """Kill every process of the server, and start it again afterwards."""
    for pid in _server_pids(postgres):
        os.kill(pid, signal.SIGKILL)
    postgres.kill()
    try:
        yield
    finally:
        postgres.start()


def _server_pids(postgres: Child) -> list[int]:
    data_dir = Path(postgres.arguments[postgres.arguments.index("--data-dir") + 1])
    leader = (data_dir / "cluster" / "postmaster.pid").read_text().splitlines()[0]
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--pid", leader, "--ppid", leader],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [int(pid) for pid in listed.stdout.split()]
