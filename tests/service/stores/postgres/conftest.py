"""What most tests of this folder begin with: the control table, the ledger and a live instance."""

from uuid import UUID

import pytest

from service.stores.postgres.control import PostgresControl
from service.stores.postgres.database import Database
from service.stores.postgres.intents import PostgresIntents
from tests.service.stores.postgres.staged import registered


@pytest.fixture
def control(database: Database) -> PostgresControl:
    """The control table of a fresh database."""
    return PostgresControl(database)


@pytest.fixture
def log(database: Database) -> PostgresIntents:
    """The ledger of a fresh database."""
    return PostgresIntents(database)


@pytest.fixture
async def owner(control: PostgresControl) -> UUID:
    """A live instance."""
    return await registered(control)
