"""What a client and the operator see when a part is away, and that nothing is lost or left unequal by it."""

import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from qdrant_client import QdrantClient, models

from tests.system.conftest import new_database
from tests.system.processes import Child, Proxy, answers, own_qdrant, proxy, until

DIMENSIONS = 8


@pytest.fixture
def stores(postgres_server: str, tmp_path: Path) -> Iterator[tuple[Child, str, str]]:
    """A Qdrant that the test may kill, its URL, and an empty database."""
    with (
        own_qdrant(tmp_path / "qdrant") as (child, url),
        new_database(postgres_server, "faults") as database,
    ):
        yield child, url, database


def _points(first: int, count: int, tag: str) -> list[models.PointStruct]:
    return [
        models.PointStruct(
            id=number, vector=[float(number + at) for at in range(DIMENSIONS)], payload={"tag": tag}
        )
        for number in range(first, first + count)
    ]


def _client(url: str) -> QdrantClient:
    return QdrantClient(url=url, check_compatibility=False, timeout=20)


def _create(client: QdrantClient, name: str) -> None:
    client.create_collection(
        name, models.VectorParams(size=DIMENSIONS, distance=models.Distance.DOT)
    )
    client.upsert(name, _points(0, 50, "old"))


def test_an_unreachable_source_is_a_clear_503(database_url: str, tmp_path: Path) -> None:
    """Reads and writes get Qdrant's error shape, the reason, and nothing of our insides."""
    with proxy(tmp_path, qdrant="http://127.0.0.1:1", database=database_url) as running:
        for method, path in (("GET", "/collections"), ("PUT", "/collections/a/points")):
            answer = httpx.request(method, running.url + path, json={"points": []})
            assert answer.status_code == 503
            assert "the source (Qdrant) cannot be reached" in answer.json()["status"]["error"]
            assert "Traceback" not in answer.text
        assert answers(f"{running.url}/healthz")


def test_a_killed_proxy_leaves_nothing_unequal(
    stores: tuple[Child, str, str], tmp_path: Path
) -> None:
    """Killed in the middle of writes; the next start finds its intents and makes the stores equal (I2, I3)."""
    _, url, database = stores
    settings = {"qdrant": url, "database": database, "grace_seconds": "2"}
    with proxy(tmp_path / "first", **settings) as first:
        client = _client(first.url)
        _create(client, "a")
        first.mirrored("a")
        told = _write_until_killed(client, first)
    with proxy(tmp_path / "second", **settings) as second:
        second.ledger_empties("a")
        receipt = second.verify("a")
        assert receipt["clean"], receipt
        found = _client(second.url).retrieve("a", told)
        assert {point.id for point in found} == set(told)


def _write_until_killed(client: QdrantClient, running: Proxy) -> list[int]:
    """Write from four threads, kill the proxy meanwhile; return the ids whose write was answered."""
    told: list[int] = []

    def write(first: int) -> None:
        for number in range(first, first + 1_000):
            try:
                client.upsert("a", _points(number, 1, "new"))
            except Exception:  # noqa: BLE001 - however the client says that the proxy is gone
                return
            told.append(number)

    writers = [
        threading.Thread(target=write, args=(first,)) for first in range(1_000, 5_000, 1_000)
    ]
    for writer in writers:
        writer.start()
    until(lambda: len(told) > 40, "some writes")
    running.child.send(signal.SIGKILL)
    for writer in writers:
        writer.join()
    return told


def test_the_source_may_be_away_while_postgres_is_right(
    stores: tuple[Child, str, str], tmp_path: Path
) -> None:
    """In ``live`` writes and reads go on without Qdrant; the ledger keeps what it lacks and drains afterwards."""
    qdrant, url, database = stores
    settings = {"qdrant": url, "database": database, "grace_seconds": "2", "freeze_seconds": "2"}
    with proxy(tmp_path / "proxy", **settings) as running:
        client = _client(running.url)
        _create(client, "a")
        running.mirrored("a", "shadow", "live")
        qdrant.kill()
        client.upsert("a", _points(100, 20, "while away"))
        client.delete("a", [0, 1])
        client.set_payload("a", {"tag": "changed"}, models.Filter(must=[_tag("old")]))
        assert client.count("a").count == 68
        assert running.collection("a")["ledger"] > 0
        with pytest.raises(Exception, match=r"unsettled|cannot be reached"):
            running.to_stage("a", "shadow")
        assert running.collection("a")["stage"] == "live"

        qdrant.start()
        running.ledger_empties("a")
        assert running.verify("a")["clean"]
        direct = _client(url)
        assert direct.count("a").count == 68
        assert direct.count("a", models.Filter(must=[_tag("changed")])).count == 48
        running.to_stage("a", "shadow")


def _tag(value: str) -> models.FieldCondition:
    return models.FieldCondition(key="tag", match=models.MatchValue(value=value))


def test_a_stage_change_under_traffic_fails_no_client(
    stores: tuple[Child, str, str], tmp_path: Path
) -> None:
    """Writers that read back what they were told see no error and nothing stale through every stage (I7)."""
    _, url, database = stores
    # The verification meets writes, and waits this long before it judges what differed.
    times = {"qdrant_timeout_seconds": "10", "grace_seconds": "11"}
    with proxy(tmp_path / "proxy", qdrant=url, database=database, **times) as running:
        client = _client(running.url)
        _create(client, "a")
        stop = threading.Event()
        wrong: list[str] = []
        rounds: list[int] = []

        def write(first: int) -> None:
            own = _client(running.url)
            number = 0
            while not stop.is_set() and not wrong:
                number += 1
                point_id = first + number % 7
                try:
                    own.upsert("a", _points(point_id, 1, str(number)))
                    seen = own.retrieve("a", [point_id])
                    if [point.payload for point in seen] != [{"tag": str(number)}]:
                        wrong.append(f"wrote {number}, read {seen}")
                    if number % 5 == 0:
                        own.delete("a", [point_id])
                        if own.retrieve("a", [point_id]):
                            wrong.append(f"deleted {point_id}, read it")
                except Exception as error:  # noqa: BLE001 - every error is a wrong answer here
                    wrong.append(f"{error!r}: {error}")
                rounds.append(number)

        writers = [threading.Thread(target=write, args=(first,)) for first in (1_000, 2_000, 3_000)]
        for writer in writers:
            writer.start()
        running.mirrored("a", "shadow", "ramp", "live", "shadow", "live", "rampdown")
        assert running.verify("a")["clean"]
        running.to_stage("a", "complete")
        done = len(rounds)
        until(lambda: len(rounds) > done + 20 or bool(wrong), "writes after the last change")
        stop.set()
        for writer in writers:
            writer.join()
        assert wrong == []


def test_a_stalled_upload_holds_up_no_stage_change(
    stores: tuple[Child, str, str], tmp_path: Path
) -> None:
    """A client that never finishes its request is in nobody's way."""
    _, url, database = stores
    with proxy(tmp_path / "proxy", qdrant=url, database=database) as running:
        _create(_client(running.url), "a")
        host, _, port = running.url.rpartition("//")[2].partition(":")
        with socket.create_connection((host, int(port))) as stalled:
            stalled.sendall(
                b"PUT /collections/a/points?wait=true HTTP/1.1\r\nHost: x\r\n"
                b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"
            )
            running.mirrored("a", "shadow", "live")
        assert running.collection("a")["stage"] == "live"
