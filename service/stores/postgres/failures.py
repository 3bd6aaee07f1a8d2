"""The one place where the driver's errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from service.errors import ConfigurationError, StoreError, TargetUnavailable, WrongInput

_REFUSED = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
)
_UNAVAILABLE = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
    OSError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the driver's and the network's errors as ours, chained.

    A value that Postgres cannot hold is ``WrongInput``, a refused login or missing right ``ConfigurationError``; a lost
    connection, a time-out, an exhausted resource or a lost lock race is ``TargetUnavailable``; the rest is
    ``StoreError``.
    """
    try:
        yield
    except asyncpg.DataError as error:
        raise WrongInput(_line(error)) from error
    except _REFUSED as error:
        message = f"the database refused: {_line(error)}"
        raise ConfigurationError(message) from error
    except TimeoutError as error:
        raise TargetUnavailable("did not answer in time") from error
    except _UNAVAILABLE as error:
        raise TargetUnavailable(f"is not available: {_line(error)}") from error
    except asyncpg.PostgresError as error:
        message = f"the target (Postgres) answered {error.sqlstate}: {_line(error)}"
        raise StoreError(message) from error


def _line(error: Exception) -> str:
    """Return the message alone: the server's DETAIL and HINT follow on lines of their own."""
    return str(error).partition("\n")[0]
