"""The composition root: an instance is ready when it is yielded, and leaves nothing behind."""

import asyncio
from pathlib import Path

import httpx
import pytest

from service import keys
from service.config import Settings, load
from service.errors import ConfigurationError
from service.main import instance
from service.model.qdrant import CreateCollection
from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from tests.service.wired import wired


def _settings(database_url: str, data_dir: Path) -> Settings:
    return load(database_url=database_url, data_dir=data_dir, qdrant_url="http://127.0.0.1:9")


async def _registered(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("SELECT count(*) FROM vecferry.instances"))


async def test_an_instance_is_registered_for_as_long_as_it_runs(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Stage changes wait for it from before its first request until it has drained."""
    async with wired(_settings(database_url, tmp_path)):
        assert await _registered(database) == 1
    assert await _registered(database) == 0


async def test_the_tables_are_made_at_the_first_start(
    empty_database_url: str, tmp_path: Path
) -> None:
    """An empty database is enough, also for two instances that start together."""
    first, second = (_settings(empty_database_url, tmp_path / name) for name in ("a", "b"))

    async def start(settings: Settings) -> int:
        async with wired(settings) as here:
            return (await here.client.get("/readyz")).status_code

    assert list(await asyncio.gather(start(first), start(second))) == [200, 200]


async def test_the_control_api_is_not_on_the_proxys_port(database_url: str, tmp_path: Path) -> None:
    """Whoever reaches the application's port reaches no stage, not even with the operator's key."""
    async with wired(_settings(database_url, tmp_path)) as here:
        headers = {"authorization": f"Bearer {keys.read(tmp_path)}"}
        public = await here.client.get("/v1/control/status", headers=headers)
        transport = httpx.ASGITransport(here.instance.control)
        async with httpx.AsyncClient(transport=transport, base_url="http://c") as operator:
            control = await operator.get("/v1/control/status", headers=headers)
    assert (public.status_code, control.status_code) == (503, 200)


async def test_metrics_of_every_package_are_on_one_page(database_url: str, tmp_path: Path) -> None:
    """The proxy's, the shadow reads' and the backfill's metrics share the instance's registry."""
    async with wired(_settings(database_url, tmp_path)) as here:
        page = (await here.client.get("/metrics")).text
    for name in ("vecferry_requests", "vecferry_shadow", "vecferry_backfill"):
        assert f"# TYPE {name}" in page


async def test_the_limit_of_a_body_holds_where_postgres_answers(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """What an operator sets is the limit of both sides."""
    settings = _settings(database_url, tmp_path).model_copy(update={"max_body_bytes": 100})
    async with wired(settings) as here:
        await PostgresControl(database).adopt_target("c", CreateCollection(), actor="test")
        await here.instance.plane.refresh()
        path = "/collections/c/points/count"
        fits = await here.client.post(path, content=b"{}".ljust(100))
        over = await here.client.post(path, content=b"{}".ljust(101))
    assert (fits.status_code, over.status_code) == (200, 413)


async def test_without_the_database_it_starts_and_says_so(tmp_path: Path) -> None:
    """A database that does not answer is no mistake of the operator's; what needs it is refused until it does."""
    async with wired(_settings("postgresql://u@127.0.0.1:9/d", tmp_path)) as here:
        ready = await here.client.get("/readyz")
        alive = await here.client.get("/healthz")
    assert (ready.status_code, alive.status_code) == (503, 200)
    assert "postgres" in ready.json()


async def test_a_wrong_login_names_the_setting(database_url: str, tmp_path: Path) -> None:
    """A database that does not exist is the operator's to mend."""
    wrong = f"{database_url}_nowhere"
    with pytest.raises(
        ConfigurationError, match=r"^VECFERRY_DATABASE_URL: the database refused.*\Z"
    ):
        async with instance(_settings(wrong, tmp_path)):
            pytest.fail("it started")
