"""The ledger on the control API of a wired instance."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest

from service import keys
from service.config import load
from service.stages import Stage
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from tests.service.stores.postgres.staged import intent_of, registered, staged
from tests.service.wired import wired

LEDGER = "/v1/control/ledger"


@pytest.fixture
async def intents(database: Database) -> list[UUID]:
    """Three intents of another live instance, the last one a dead letter."""
    control = PostgresControl(database)
    state = await staged(control, Stage.DUALWRITE, "c")
    made = [intent_of(state, 2**64 - 1, number) for number in range(3)]
    await PostgresIntents(database).insert(made, owner=await registered(control))
    async with database.connection() as connection:
        await connection.execute(
            "UPDATE vecferry.intents SET dead = true, failures = 5, error = 'NUL' WHERE id = $1",
            made[2].id,
        )
    return [each.id for each in made]


@pytest.fixture
async def api(
    database_url: str, intents: list[UUID], tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """The control API with the operator's key; Qdrant is away."""
    settings = load(database_url=database_url, data_dir=tmp_path, qdrant_url="http://127.0.0.1:9")
    async with (
        wired(settings) as here,
        httpx.AsyncClient(
            transport=httpx.ASGITransport(here.instance.control),
            base_url="http://control",
            headers={"authorization": f"Bearer {keys.read(tmp_path)}"},
        ) as client,
    ):
        yield client


async def test_pages_lead_to_every_line(api: httpx.AsyncClient, intents: list[UUID]) -> None:
    """Each page names the next, and large ids keep their digits."""
    seen: list[str] = []
    query: dict[str, str | int] = {"limit": 2, "collection": "c"}
    while True:
        page = (await api.get(LEDGER, params=query)).json()
        seen += [line["id"] for line in page["lines"]]
        assert all(2**64 - 1 in line["ids"] for line in page["lines"])
        if page["next"] is None:
            break
        query["after"] = page["next"]
    assert sorted(seen) == sorted(str(each) for each in intents)


async def test_counts_tell_the_states_apart(api: httpx.AsyncClient) -> None:
    """The dead letter is a tally of its own."""
    found = (await api.get(f"{LEDGER}/count")).json()
    tallies = [(t["collection"], t["state"], t["intents"], t["ids"]) for t in found["tallies"]]
    assert tallies == [("c", "open", 2, 4), ("c", "dead", 1, 2)]
    status = (await api.get("/v1/control/status")).json()
    assert status["unsettled"] == {"open": 2, "failing": 0, "dead": 1, "hint": 0}
    assert [each["ledger"] for each in status["collections"]] == [3]


async def test_a_dead_letter_is_tried_again(api: httpx.AsyncClient, intents: list[UUID]) -> None:
    """By its id; the answer says how many there were."""
    for ids, retried in (([uuid4()], 0), ([intents[2]], 1)):
        answer = await api.post(f"{LEDGER}/retry", json={"ids": [str(each) for each in ids]})
        assert (answer.status_code, answer.json()) == (200, {"retried": retried})
    dead = (await api.get(LEDGER, params={"state": "dead"})).json()
    assert (dead["lines"], dead["next"]) == ([], None)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"after": "nonsense"}, 400),
        ({"limit": "0"}, 422),
        ({"limit": "1001"}, 422),
        ({"state": "x"}, 422),
    ],
)
async def test_a_question_that_cannot_be_read_is_refused(
    api: httpx.AsyncClient, query: dict[str, str], status: int
) -> None:
    """A typing error never means the whole ledger."""
    assert (await api.get(LEDGER, params=query)).status_code == status


@pytest.mark.parametrize("body", [{"id": "x"}, {"ids": []}, {"ids": ["x"]}])
async def test_a_wish_that_cannot_be_read_retries_nothing(
    api: httpx.AsyncClient, body: dict[str, object]
) -> None:
    """In particular it does not mean all."""
    assert (await api.post(f"{LEDGER}/retry", json=body)).status_code == 422
    assert (await api.get("/v1/control/status")).json()["unsettled"]["dead"] == 1


async def test_answers_carry_the_requests_id(api: httpx.AsyncClient) -> None:
    """As on the other port, so that an operator's call is found in the log."""
    answer = await api.get(LEDGER, headers={"x-request-id": "op-1"})
    assert answer.headers["x-request-id"] == "op-1"
