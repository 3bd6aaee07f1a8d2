"""The collection of ours on a real Qdrant engine: made once, refused by an old one, empty while absent."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from service.errors import SourceUnavailable, StoreAnswered, StoreError
from service.stores.qdrant.client import QdrantHttp
from service.stores.qdrant.own import OwnPoints, check_version, equals, none_of


@pytest.fixture
async def http(qdrant_url: str) -> AsyncIterator[QdrantHttp]:
    """Requests to a real server."""
    async with QdrantHttp(qdrant_url) as http:
        yield http


@pytest.fixture
async def points(http: QdrantHttp, collection_name: str) -> OwnPoints:
    """A prepared collection."""
    points = OwnPoints(http, collection_name)
    await points.prepare()
    return points


async def test_prepare_keeps_what_is_there(points: OwnPoints) -> None:
    """A second call, and several at once, change nothing."""
    point = str(uuid4())
    await points.put({point: {"kind": "mark"}})
    await asyncio.gather(*(points.prepare() for _ in range(4)))
    assert await points.get(point) == {"kind": "mark"}


async def test_several_instances_prepare_at_once(http: QdrantHttp, collection_name: str) -> None:
    """Who comes second finds the collection made."""
    await asyncio.gather(*(OwnPoints(http, collection_name).prepare() for _ in range(4)))
    assert await OwnPoints(http, collection_name).count([]) == 0


@pytest.mark.parametrize("version", ["1.15.9", "1.9.0", "0.11.7", "unknown"])
def test_an_old_qdrant_is_refused(version: str) -> None:
    """It would overwrite where a condition does not hold, without a word."""
    with pytest.raises(StoreError, match=r"1\.16 or newer"):
        check_version(version)


@pytest.mark.parametrize("version", ["1.16.0", "1.16.0-dev", "1.19.1", "2.0.0"])
def test_a_newer_qdrant_is_taken(version: str) -> None:
    """Conditional updates are there since 1.16."""
    check_version(version)


async def test_prepare_asks_for_the_version(
    http: QdrantHttp, collection_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is made in a Qdrant that is too old."""

    async def old() -> str:
        return "1.15.4"

    monkeypatch.setattr(http, "version", old)
    points = OwnPoints(http, collection_name)
    with pytest.raises(StoreError, match="too old"):
        await points.prepare()
    with pytest.raises(SourceUnavailable, match=collection_name):
        await points.put({str(uuid4()): {}})


async def test_an_absent_collection_reads_as_empty(http: QdrantHttp, collection_name: str) -> None:
    """Every read finds nothing, and a write says why it cannot be done."""
    points = OwnPoints(http, collection_name)
    assert await points.get(str(uuid4())) is None
    assert await points.page([equals("kind", "hint")], limit=1) == []
    assert [point async for point in points.all(equals("kind", "hint"))] == []
    assert await points.count([]) == 0
    with pytest.raises(SourceUnavailable) as caught:
        await points.delete([str(uuid4())])
    assert not caught.value.may_have_applied


async def test_all_pages_are_read(points: OwnPoints, monkeypatch: pytest.MonkeyPatch) -> None:
    """More points than a page holds are all found, each once."""
    monkeypatch.setattr("service.stores.qdrant.own._PAGE", 3)
    stored = {str(uuid4()): {"kind": "record", "name": str(n)} for n in range(8)}
    await points.put(stored | {str(uuid4()): {"kind": "mark"}})
    found = [point async for point in points.all(equals("kind", "record"))]
    assert dict(found) == stored
    assert len(found) == 8


async def test_conditions_hold_together(points: OwnPoints) -> None:
    """A point is found when it meets every condition; only the wanted fields are sent."""
    a, b, c = (str(uuid4()) for _ in range(3))
    await points.put(
        {a: {"kind": "hint", "owner": "x"}, b: {"kind": "hint", "owner": "y"}, c: {"owner": "z"}}
    )
    conditions = [equals("kind", "hint"), none_of("owner", ["x"])]
    assert await points.page(conditions, limit=9, fields=["owner"]) == [(b, {"owner": "y"})]
    assert await points.count(conditions) == 1


async def test_an_answer_that_is_not_the_end_is_an_error(
    points: OwnPoints, http: QdrantHttp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only `completed` says that a write is visible (R1)."""

    async def acknowledged(*_: object, **__: object) -> object:
        return {"operation_id": 1, "status": "acknowledged"}

    monkeypatch.setattr(http, "request", acknowledged)
    with pytest.raises(SourceUnavailable, match="acknowledged"):
        await points.put({str(uuid4()): {}})


async def test_another_refusal_of_the_collection_is_passed_on(
    http: QdrantHttp, collection_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A conflict is nothing, a bad request without a collection is."""
    monkeypatch.setattr("service.stores.qdrant.own._CONFIG", {"vectors": 7})
    with pytest.raises(StoreAnswered):
        await OwnPoints(http, collection_name).prepare()
