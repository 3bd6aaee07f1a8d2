"""Clients that write and read back what they wrote, and note everything that is not as it should be."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx

DIMENSIONS = 8


def points(first: int, count: int, tag: str) -> list[dict[str, object]]:
    """Return points with ids from ``first`` on."""
    return [
        {"id": number, "vector": [float(number + at) for at in range(DIMENSIONS)],
         "payload": {"tag": tag}}
        for number in range(first, first + count)
    ]  # fmt: skip


@dataclass(slots=True)
class Load:
    """What the clients met so far."""

    wrong: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    told: dict[tuple[str, int], str | None] = field(default_factory=dict)
    """What each point was last said to be: its tag, ``None`` when it is deleted."""

    def goes_on(self, more: int) -> bool:
        """Say whether so many more writes were done since the last time it said yes."""
        if len(self.seconds) < self._mark + more:
            return False
        self._mark = len(self.seconds)
        return True

    _mark: int = 0


@contextmanager
def load(urls: list[str], collections: list[str]) -> Iterator[Load]:
    """Write to every collection through every instance, each client to ids of its own, until the block ends."""
    found, stop = Load(), threading.Event()
    threads = [
        threading.Thread(target=_client, args=(found, stop, url, name, 1_000 * (at + 1)))
        for at, url in enumerate(urls)
        for name in collections
    ]
    for thread in threads:
        thread.start()
    try:
        yield found
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _client(found: Load, stop: threading.Event, url: str, name: str, first: int) -> None:
    number = 0
    with httpx.Client(base_url=f"{url}/collections/{name}", timeout=15) as client:
        while not stop.is_set():
            number += 1
            point_id, tag = first + number % 5, str(number)
            began = time.monotonic()
            try:
                _write(client, point_id, tag if number % 4 else None)
                found.told[name, point_id] = tag if number % 4 else None
                _read(client, point_id, found.told[name, point_id])
            except Exception as error:  # noqa: BLE001 - every error is a wrong answer here
                found.wrong.append(f"{name} {point_id} {tag}: {error!r}")
            found.seconds.append(time.monotonic() - began)
            time.sleep(0.02)


def _write(client: httpx.Client, point_id: int, tag: str | None) -> None:
    if tag is None:
        answer = client.post("/points/delete?wait=true", json={"points": [point_id]})
    else:
        answer = client.put("/points?wait=true", json={"points": points(point_id, 1, tag)})
    assert answer.status_code == httpx.codes.OK, f"write: {answer.status_code} {answer.text}"


def _read(client: httpx.Client, point_id: int, tag: str | None) -> None:
    answer = client.post("/points", json={"ids": [point_id], "with_payload": True})
    assert answer.status_code == httpx.codes.OK, f"read: {answer.status_code} {answer.text}"
    tags = [point["payload"]["tag"] for point in answer.json()["result"]]
    assert tags == ([] if tag is None else [tag]), f"told {tag}, read {tags}"
