"""Snapshots against a server that answers as Qdrant's documentation says, and against a real Qdrant where one is given.

The embedded engine has none, so without ``VECFERRY_TEST_QDRANT_URL`` no answer here was seen on a real server.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import pytest
from starlette.types import Receive, Scope, Send

from backfill.archive.snapshot import Saved, save
from service import archiving
from service.config import load
from service.errors import ArchiveError, StoreError, VecferryError
from service.model.operations import Upsert
from service.stores.qdrant.snapshots import QdrantSnapshots
from tests.backfill.archive.points import CONFIG, fixed
from tests.service.wired import listening

CONTENT = bytes(range(256)) * 5_000
NAME = "things-1-2026-01-01-00-00-00.snapshot"


@dataclass
class Qdrant:
    """Speaks as much of the API as a snapshot needs."""

    content: bytes = CONTENT
    checksum: str | None = sha256(CONTENT).hexdigest()
    name: str = NAME
    size: int = len(CONTENT)
    missing: int | None = None
    deleted: bool = False
    delete_status: int = 200
    seen: list[tuple[str, str, str | None]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            return
        headers = {name: value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], headers.get(b"api-key")))
        path = "/collections/things/snapshots"
        match scope["method"], scope["path"]:
            case "POST", found if found == path and self.missing is None:
                description = {"name": self.name, "creation_time": None, "size": self.size}
                result = description | {"checksum": self.checksum}
                await _json(send, 200, {"result": result, "status": "ok", "time": 0.1})
            case "GET", found if found == f"{path}/{NAME}":
                await _answer(send, 200, self.content)
            case "DELETE", found if found == f"{path}/{NAME}":
                self.deleted = self.delete_status == 200
                status = {"error": "no"} if not self.deleted else "ok"
                await _json(send, self.delete_status, {"result": True, "status": status})
            case _:
                await _json(send, self.missing or 404, {"status": {"error": "Not found"}})


async def _json(send: Send, status: int, body: object) -> None:
    await _answer(send, status, json.dumps(body).encode())


async def _answer(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _save(qdrant: Qdrant, directory: Path, *, keep: bool = False) -> Saved:
    done = await _tried(qdrant, directory, keep=keep)
    assert isinstance(done, Saved), done
    return done


async def _tried(qdrant: Qdrant, directory: Path, *, keep: bool = False) -> Saved | VecferryError:
    """Return what came of it; an error would leave the server's task group in a group of errors."""
    async with listening(qdrant) as (host, port), _open(f"http://{host}:{port}") as taking:
        try:
            return await save(
                taking, "things", directory, keep=keep, on_progress=lambda _done, _total: None
            )
        except VecferryError as error:
            return error


@asynccontextmanager
async def _open(url: str) -> AsyncIterator[QdrantSnapshots]:
    settings = load(qdrant_api_key="secret")
    async with archiving.snapshots(settings, url=url, seconds=30) as (_, taking):
        yield taking


async def test_a_snapshot_is_taken_downloaded_and_deleted(tmp_path: Path) -> None:
    """Byte by byte, with the key in every request."""
    qdrant = Qdrant()
    saved = await _save(qdrant, tmp_path)
    assert saved.path.read_bytes() == CONTENT
    assert (saved.is_checked, saved.left, saved.sha256) == (True, None, qdrant.checksum)
    assert [(method, key) for method, _, key in qdrant.seen] == [
        ("POST", "secret"), ("GET", "secret"), ("DELETE", "secret"),
    ]  # fmt: skip
    assert qdrant.deleted
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


async def test_it_may_stay_on_the_server(tmp_path: Path) -> None:
    """With ``keep`` nothing is deleted there."""
    qdrant = Qdrant(checksum=None)
    saved = await _save(qdrant, tmp_path, keep=True)
    assert (qdrant.deleted, saved.is_checked) == (False, False)


@pytest.mark.parametrize(
    ("qdrant", "reason"),
    [
        (Qdrant(content=CONTENT[:-1] + b"x"), "the sha256 of what arrived is"),
        (Qdrant(content=CONTENT[:-1]), "1279999 of 1280000 bytes arrived"),
        (Qdrant(name="../evil"), "is no name of a file"),
    ],
)
async def test_what_does_not_arrive_whole_is_not_kept(
    tmp_path: Path, qdrant: Qdrant, reason: str
) -> None:
    """Neither under its name nor as half a file; a name that leads elsewhere is not followed."""
    directory = tmp_path / "here"
    error = await _tried(qdrant, directory)
    assert isinstance(error, ArchiveError)
    assert reason in str(error)
    assert list(directory.iterdir()) == []
    assert list(tmp_path.iterdir()) == [directory]


async def test_one_that_cannot_be_deleted_is_told(tmp_path: Path) -> None:
    """The file is good all the same."""
    saved = await _save(Qdrant(delete_status=500), tmp_path)
    assert saved.left is not None
    assert saved.left.startswith("it could not be deleted: store answered 500")
    assert saved.path.read_bytes() == CONTENT


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_a_server_without_snapshots_says_so(tmp_path: Path, status: int) -> None:
    """In one line."""
    error = await _tried(Qdrant(missing=status), tmp_path)
    assert isinstance(error, ArchiveError)
    assert f"has no snapshots (it answered {status})" in str(error)


async def test_a_server_that_fails_is_not_taken_for_one_without(tmp_path: Path) -> None:
    """Its own words are passed on."""
    error = await _tried(Qdrant(missing=500), tmp_path)
    assert isinstance(error, StoreError)
    assert str(error).startswith("store answered 500")


@pytest.mark.skipif("VECFERRY_TEST_QDRANT_URL" not in os.environ, reason="needs a real Qdrant")
async def test_a_real_qdrant(qdrant_url: str, collection_name: str, tmp_path: Path) -> None:
    """Takes one, tells its checksum, and has none left afterwards."""
    async with archiving.snapshots(load(), url=qdrant_url, seconds=60) as (store, taking):
        await store.create_collection(collection_name, CONFIG)
        await store.apply(collection_name, Upsert(fixed(20)), wait=True)
        saved = await asyncio.wait_for(
            save(taking, collection_name, tmp_path, keep=False, on_progress=lambda _d, _t: None), 60
        )
    assert (saved.is_checked, saved.left) == (True, None)
    assert saved.path.stat().st_size == saved.bytes > 0
