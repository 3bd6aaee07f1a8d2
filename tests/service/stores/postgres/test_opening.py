"""A database that is there only later."""

import pytest

from service.errors import ConfigurationError, TargetUnavailable
from service.stores.postgres import opening as opening_module
from service.stores.postgres.database import Database
from service.stores.postgres.opening import Opening
from tests.service.running import running, until


async def test_until_it_is_open_everything_is_unavailable(empty_database_url: str) -> None:
    """At once, and nothing waits; afterwards the tables are there."""
    pool = Database(empty_database_url)
    with pytest.raises(TargetUnavailable, match="not been reached"):
        async with pool.connection():
            pytest.fail("it was lent")
    opening = Opening(empty_database_url, [pool])
    await opening.once()
    async with pool.connection() as connection:
        assert await connection.fetchval("SELECT count(*) FROM vecferry.control") == 0
    await pool.close()
    with pytest.raises(TargetUnavailable):
        async with pool.connection():
            pytest.fail("it was lent")


async def test_it_is_tried_until_it_answers(
    empty_database_url: str, unused_tcp_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an operator must mend ends the first attempt, and not the later ones."""
    monkeypatch.setattr(opening_module, "_PAUSE_SECONDS", 0.01)
    nowhere = Opening(f"{empty_database_url}_nowhere", [])
    with pytest.raises(ConfigurationError):
        await nowhere.once()
    away = Opening(f"postgresql://u:p@127.0.0.1:{unused_tcp_port}/x", [])
    with pytest.raises(TargetUnavailable):
        await away.once()
    pool = Database(empty_database_url)
    async with running(away.run(), nowhere.run()):
        away._dsn = nowhere._dsn = empty_database_url
        await until(lambda: away.is_done and nowhere.is_done, seconds=20)
    await pool.close()
