"""Receipts on the control API."""

from collections.abc import AsyncIterator
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from backfill.jobs import Job, JobKind
from backfill.receipt import Receipt
from backfill.receipts import Document
from service.api.receipts import receipt_routes
from service.errors import StaleEpoch
from service.model.ids import PointId, encode_key
from service.stores.postgres import job_rows
from service.stores.postgres.database import Database
from service.stores.postgres.jobs import PostgresJobs
from service.stores.postgres.receipts import PostgresReceipts
from service.stores.postgres.store import PgStore
from tests.backfill.documents import receipt_of
from tests.service.stores.postgres.staged import CONFIG

IDS: tuple[PointId, ...] = (3, 2**64 - 1, "00000000-0000-0000-0000-000000000001")


async def finishing(database: Database, job: UUID) -> Job:
    """Return a verification that is being finished, by its first conductor."""
    async with database.connection() as connection:
        await connection.execute(
            "INSERT INTO vecferry.jobs (id, kind, generation, state, attempt)"
            " SELECT $1, 'verify', id, 'finishing', 1 FROM vecferry.collections",
            job,
        )
        return await job_rows.read(connection, job)


async def stored(database: Database, job: UUID, document: Document) -> None:
    """Store a receipt as a verification does, and end it."""
    held = await finishing(database, job)
    await PostgresReceipts(database).store(held, document)
    await PostgresJobs(database).finished(held, {})


@pytest.fixture
async def receipt(database: Database) -> Receipt:
    """A stored receipt, and the suspects of its job."""
    receipt = receipt_of(*IDS)
    await PgStore(database).create_collection("docs", CONFIG)
    await stored(database, receipt.id, receipt.to_json())
    async with database.connection() as connection:
        for point_id, confirmed in [*((each, True) for each in IDS), (4, False), (5, None)]:
            await connection.execute(
                "INSERT INTO vecferry.job_suspects (job, key, kinds, confirmed)"
                " VALUES ($1, $2, '{payload,vector}', $3)",
                receipt.id,
                encode_key(point_id),
                confirmed,
            )
    return receipt


@pytest.fixture
async def api(database: Database, receipt: Receipt) -> AsyncIterator[httpx.AsyncClient]:
    """The routes alone."""
    app = FastAPI()
    app.include_router(receipt_routes(PostgresReceipts(database), "/v1/control"))
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://control/v1/control"
    ) as client:
        yield client


async def test_a_receipt_is_found_by_id_and_by_collection(
    api: httpx.AsyncClient, receipt: Receipt
) -> None:
    """It comes back as it was stored."""
    expected = receipt.to_json()
    assert (await api.get(f"/receipts/{receipt.id}")).json() == expected
    assert (await api.get("/collections/docs/receipt")).json() == expected


async def test_the_list_is_newest_first_and_of_one_collection_if_asked(
    api: httpx.AsyncClient, receipt: Receipt, database: Database
) -> None:
    """And the newest of a collection is the one that it names."""
    newer = {**receipt.to_json(), "clean": True}
    await stored(database, UUID(int=6), newer)
    await stored(database, UUID(int=7), {**newer, "collection": "other"})
    found = (await api.get("/receipts", params={"collection": "docs"})).json()["receipts"]
    assert [(each["id"], each["clean"]) for each in found] == [
        (str(UUID(int=6)), True), (str(receipt.id), False),
    ]  # fmt: skip
    assert len((await api.get("/receipts")).json()["receipts"]) == 3
    assert len((await api.get("/receipts", params={"limit": 1})).json()["receipts"]) == 1
    assert (await api.get("/collections/docs/receipt")).json() == newer


async def test_a_job_that_was_finished_twice_has_one_receipt(
    api: httpx.AsyncClient, receipt: Receipt, database: Database
) -> None:
    """That of the last attempt, whichever is stored last."""
    first = await finishing(database, UUID(int=6))
    second = await PostgresJobs(database).claim_step(uuid4(), [JobKind.VERIFY])
    assert second is not None
    receipts, document = PostgresReceipts(database), receipt.to_json()
    await receipts.store(second, {**document, "clean": False})
    await receipts.store(second, {**document, "clean": True})
    with pytest.raises(StaleEpoch):
        await receipts.store(first, document)
    await PostgresJobs(database).cancel(second.id)
    with pytest.raises(StaleEpoch):
        await receipts.store(second, document)
    assert (await api.get(f"/receipts/{second.id}")).json()["clean"] is True


async def test_all_confirmed_differences_come_in_pages(
    api: httpx.AsyncClient, receipt: Receipt
) -> None:
    """Each page names where the next begins; what is not confirmed is not among them."""
    seen: list[PointId] = []
    query: dict[str, str | int] = {"limit": 2}
    while True:
        page = (await api.get(f"/receipts/{receipt.id}/differences", params=query)).json()
        assert all(each["kinds"] == ["payload", "vector"] for each in page["differences"])
        seen += [each["id"] for each in page["differences"]]
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert seen == list(IDS)


async def test_a_receipt_outlives_its_collection(
    api: httpx.AsyncClient, receipt: Receipt, database: Database
) -> None:
    """The document stays; the pages of ids go with the tables."""
    await PgStore(database).delete_collection("docs")
    assert (await api.get(f"/receipts/{receipt.id}")).json() == receipt.to_json()
    answer = await api.get(f"/receipts/{receipt.id}/differences")
    assert answer.status_code == 410
    assert "the ids are gone" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/receipts/00000000-0000-0000-0000-000000000099", 404, "there is no receipt"),
        ("/receipts/00000000-0000-0000-0000-000000000099/differences", 404, "no receipt"),
        ("/collections/none/receipt", 404, "`none` has no receipt: run `vecferry verify none`"),
        ("/receipts/x", 422, "valid UUID"),
        ("/receipts?limit=0", 422, "greater than or equal to 1"),
        (
            "/receipts/{receipt}/differences?after=-1",
            422,
            "after: value -1 is not a valid point ID",
        ),
        ("/receipts/{receipt}/differences?limit=10001", 422, "less than or equal to 10000"),
    ],
)
async def test_what_cannot_be_found_or_read_is_said(
    api: httpx.AsyncClient, receipt: Receipt, path: str, status: int, said: str
) -> None:
    """With the field and the reason."""
    answer = await api.get(path.format(receipt=receipt.id))
    assert answer.status_code == status
    assert said in answer.text
