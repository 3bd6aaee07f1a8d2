"""The control API on a wired instance: its key, its errors, its shapes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from service import keys
from service.config import load
from service.model.qdrant import CreateCollection
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from tests.service.wired import wired

CONFIG = CreateCollection.model_validate({"vectors": {"size": 2, "distance": "Dot"}})
STAGE = "/v1/control/collections/a%20b/stage"


@asynccontextmanager
async def _control(
    database: Database, database_url: str, directory: Path, qdrant_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    await PostgresControl(database).arm("a b", CONFIG, actor="test", is_new=True)
    settings = load(database_url=database_url, data_dir=directory, qdrant_url=qdrant_url)
    async with (
        wired(settings) as here,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(here.instance.control),
            base_url="http://control",
            headers={"authorization": f"Bearer {keys.read(directory)}"},
        ) as client,
    ):
        yield client


@pytest.fixture
async def api(
    database_url: str, database: Database, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """The control API over one mirrored collection ``a b``, with the operator's key; Qdrant is away."""
    async with _control(database, database_url, tmp_path, "http://127.0.0.1:9") as client:
        yield client


@pytest.fixture
async def api_with_source(
    database_url: str, database: Database, tmp_path: Path, qdrant_url: str
) -> AsyncIterator[httpx.AsyncClient]:
    """The same with a Qdrant that answers."""
    async with _control(database, database_url, tmp_path, qdrant_url) as client:
        yield client


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic x", "Bearer ä"])
async def test_without_the_operators_key_nothing_happens(
    api: httpx.AsyncClient, authorization: str
) -> None:
    """Reading and changing are refused alike, and the stage is what it was."""
    headers = [(b"authorization", authorization.encode())]
    answers = [
        await api.get("/v1/control/status", headers=headers),
        await api.put(STAGE, json={"stage": "off"}, headers=headers),
        await api.post("/v1/control/collections/a%20b/verify", headers=headers),
        await api.patch("/v1/control/collections/a%20b/verify", json={}, headers=headers),
        await api.delete("/v1/control/collections/a%20b/verify", headers=headers),
        await api.get("/v1/control/jobs", headers=headers),
        await api.get("/v1/control/receipts", headers=headers),
        await api.get("/v1/control/quarantine", headers=headers),
        await api.post("/v1/control/collections/a%20b/repair", json={}, headers=headers),
        await api.get("/v1/control/ledger", headers=headers),
        await api.get("/v1/control/ledger/count", headers=headers),
        await api.post("/v1/control/ledger/retry", json={}, headers=headers),
    ]
    assert [answer.status_code for answer in answers] == [401] * 12
    assert (await api.get("/v1/control/status")).json()["collections"][0]["stage"] == "dualwrite"


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json"])
async def test_it_documents_itself_to_nobody(api: httpx.AsyncClient, path: str) -> None:
    """FastAPI's pages are off."""
    assert (await api.get(path)).status_code == 404


async def test_the_status_says_what_it_could_not_read(api: httpx.AsyncClient) -> None:
    """Collections with a row are shown also while Qdrant is away, and that is said."""
    status = (await api.get("/v1/control/status")).json()
    assert "cannot be reached" in status["source_error"]
    (collection,) = status["collections"]
    parity = collection.pop("parity")
    assert parity["samples"] == 0
    assert collection == {
        "name": "a b", "stage": "dualwrite", "percent": 100, "epoch": 1, "frozen": False,
        "authority": "source", "backfilled": True, "ledger": 0, "points": 0, "backfill": None,
        "verify": None, "unsettled": {"open": 0, "failing": 0, "dead": 0, "hint": 0},
    }  # fmt: skip


async def test_a_stage_is_changed_and_said(api_with_source: httpx.AsyncClient) -> None:
    """The answer is the new state; a second identical wish changes nothing."""
    api = api_with_source
    expected = {"name": "a b", "stage": "shadow", "percent": 100, "epoch": 2}
    for _ in range(2):
        answer = await api.put(STAGE, json={"stage": "shadow"})
        assert (answer.status_code, answer.json()) == (200, expected)
    ramp = await api.put(STAGE, json={"stage": "ramp", "percent": 20})
    assert (ramp.json()["stage"], ramp.json()["percent"]) == ("ramp", 20)


async def test_a_way_that_does_not_exist_is_a_conflict(api: httpx.AsyncClient) -> None:
    """409 with the stages that can be reached."""
    answer = await api.put(STAGE, json={"stage": "complete"})
    assert answer.status_code == 409
    assert (
        answer.json()["detail"] == "no way from dualwrite to complete; from dualwrite: off, shadow"
    )


@pytest.mark.parametrize(
    "body",
    [
        {"stage": "onwards"},
        {},
        {"stage": "ramp", "percent": 101},
        {"stage": "ramp", "percentage": 5},
        {"stage": "ramp"},
        {"stage": "shadow", "percent": 100},
    ],
)
async def test_a_wish_that_cannot_be_read_is_refused(
    api: httpx.AsyncClient, body: dict[str, object]
) -> None:
    """A typing error in a field never means its default, and a percentage belongs to ramp alone."""
    assert (await api.put(STAGE, json=body)).status_code == 422
    assert (await api.get("/v1/control/status")).json()["collections"][0]["stage"] == "dualwrite"


async def test_patterns_name_collections(api: httpx.AsyncClient) -> None:
    """A shell pattern; one that names nothing is 404."""
    found = await api.get("/v1/control/collections", params={"pattern": "a*"})
    assert found.json() == ["a b"]
    missing = await api.get("/v1/control/collections", params={"pattern": "z*"})
    assert (missing.status_code, "z*" in missing.json()["detail"]) == (404, True)


async def test_a_job_that_was_never_started_is_none(api: httpx.AsyncClient) -> None:
    """Following before starting shows an empty job instead of an error."""
    backfill = await api.get("/v1/control/collections/a%20b/backfill")
    assert backfill.json() == {"job": None, "progress": None}
    verify = await api.get("/v1/control/collections/a%20b/verify")
    assert verify.json() == {"job": None, "progress": None}
    assert (await api.get("/v1/control/jobs")).json() == []


@pytest.mark.parametrize(("kind", "body"), [("backfill", {"restart": False}), ("verify", None)])
async def test_a_job_needs_a_mirrored_collection(
    api: httpx.AsyncClient, kind: str, body: dict[str, object] | None
) -> None:
    """Where nothing is mirrored there is nothing to copy or to compare: 409 with the stage."""
    answer = await api.post(f"/v1/control/collections/other/{kind}", json=body)
    assert (answer.status_code, "`other` is in stage off" in answer.json()["detail"]) == (409, True)


JOB = "/v1/control/collections/a%20b/backfill"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"points_per_second": 0}, "points_per_second: Input should be greater than 0"),
        ({"points_per_second": -1}, "points_per_second: Input should be greater than 0"),
        ({"workers": 0}, "workers: Input should be greater than or equal to 1"),
        ({"page_bytes": 1}, "page_bytes: Input should be greater than or equal to 1024"),
        ({"paused": "perhaps"}, "paused: Input should be a valid boolean"),
        ({"speed": 5}, "speed: Extra inputs are not permitted"),
    ],
)
async def test_an_order_that_makes_no_sense_names_the_field(
    api: httpx.AsyncClient, body: dict[str, object], told: str
) -> None:
    """For a start and for a change alike; nothing is started."""
    for answer in (await api.post(JOB, json=body), await api.patch(JOB, json=body)):
        assert answer.status_code == 422
        assert answer.json()["detail"].startswith(told)
    assert (await api.get("/v1/control/jobs")).json() == []


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"{", "the body is not JSON: Expecting property name enclosed in double quotes"),
        (b"[]", "the body: Input should be a valid dictionary"),
    ],
)
async def test_a_body_that_is_none_is_called_that(
    api: httpx.AsyncClient, body: bytes, told: str
) -> None:
    """There is no field to name."""
    answer = await api.post(JOB, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"].startswith(told)


async def test_a_kind_of_job_that_does_not_exist_is_named(api: httpx.AsyncClient) -> None:
    """With those that do."""
    answer = await api.get("/v1/control/jobs", params={"kind": "copy"})
    assert (answer.status_code, answer.json()["detail"]) == (
        422, "kind: Input should be 'backfill' or 'verify'",
    )  # fmt: skip


async def test_a_job_that_is_not_open_cannot_be_changed(api: httpx.AsyncClient) -> None:
    """409 with the reason, for both verbs and both kinds."""
    for kind, what in (("backfill", "backfill"), ("verify", "verification")):
        path = f"/v1/control/collections/a%20b/{kind}"
        for answer in (await api.patch(path, json={"paused": True}), await api.delete(path)):
            assert (answer.status_code, answer.json()["detail"]) == (409, f"`a b` has no {what}")


async def test_a_job_is_followed_tuned_and_ended(api: httpx.AsyncClient) -> None:
    """While Qdrant is away it waits and says so; what is tuned is kept field by field, what has ended stays ended."""
    begun = (await api.post(JOB, json={"workers": 3})).json()
    assert (begun["state"], begun["phase"]) == ("running", "preparing")
    assert begun["options"]["workers"] == 3
    again = (await api.post(JOB, json={"points_per_second": 10})).json()
    assert (again["id"], again["options"]["workers"]) == (begun["id"], 3)
    assert again["options"]["points_per_second"] == 10
    tuned = (await api.patch(JOB, json={"workers": None, "paused": True})).json()
    assert tuned["options"] == {
        "paused": True, "points_per_second": 10, "workers": None, "page_bytes": None,
    }  # fmt: skip
    listed = (await api.get("/v1/control/jobs", params={"pattern": "a*"})).json()
    assert [job["id"] for job in listed] == [begun["id"]]
    assert (await api.get("/v1/control/jobs", params={"pattern": "b*"})).json() == []
    ended = (await api.delete(JOB)).json()
    assert (ended["state"], ended["phase"]) == ("cancelled", "cancelled")
    followed = (await api.get(JOB)).json()
    assert followed["job"]["state"] == followed["progress"]["state"] == "cancelled"
    refused = await api.patch(JOB, json={"paused": False})
    assert refused.json()["detail"] == "the backfill of `a b` is cancelled"


async def test_an_exact_name_wins_over_a_pattern(
    api: httpx.AsyncClient, database: Database
) -> None:
    """A name with brackets can be asked for; it is a pattern only where no collection has it."""
    for name in ("a1", "a[1]"):
        await PostgresControl(database).arm(name, CONFIG, actor="test", is_new=True)
    for pattern, found in (("a[1]", ["a[1]"]), ("a[0-9]", ["a1"]), ("a?", ["a1"])):
        answer = await api.get("/v1/control/collections", params={"pattern": pattern})
        assert answer.json() == found
