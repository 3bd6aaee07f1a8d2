"""The one place where the driver's errors become ours."""

from collections.abc import Iterator
from contextlib import contextmanager

import asyncpg

from service.errors import (
    ConfigurationError,
    StoreError,
    TargetRefused,
    TargetUnavailable,
    WrongInput,
)

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
    # A standby after a fail-over, or a disk that fails: not what was asked, but whom.
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.PostgresSystemError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
    OSError,
)
_CANNOT_HOLD = (
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.InternalServerError,
)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the driver's and the network's errors as ours, chained.

    A value that Postgres cannot hold is ``WrongInput``, a refused login or missing right ``ConfigurationError``; a lost
    connection, a time-out, an exhausted resource or a lost lock race is ``TargetUnavailable``; a limit, a check or an
    internal error that the statement ran into is ``TargetRefused``; the rest is ``StoreError``.
    """
    try:
        yield
    except asyncpg.UntranslatableCharacterError as error:
        # Its DETAIL names the character, and no more of the value.
        raise WrongInput(f"{_line(error)}: {error.detail}".rstrip(".")) from error
    except asyncpg.DataError as error:
        raise WrongInput(_line(error)) from error
    except _REFUSED as error:
        message = f"the database refused: {_line(error)}"
        raise ConfigurationError(message) from error
    except TimeoutError as error:
        raise TargetUnavailable("did not answer in time") from error
    except _UNAVAILABLE as error:
        if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
            # The driver's own: an argument that no statement can carry.
            raise WrongInput(_line(error)) from error
        raise TargetUnavailable("is not available", detail=_line(error)) from error
    except _CANNOT_HOLD as error:
        message = f"the target (Postgres) refused with {error.sqlstate}: {_line(error)}"
        raise TargetRefused(message) from error
    except asyncpg.PostgresError as error:
        message = f"the target (Postgres) answered {error.sqlstate}: {_line(error)}"
        raise StoreError(message) from error


def _line(error: Exception) -> str:
    """Return the message alone: the server's DETAIL and HINT follow on lines of their own."""
    return str(error).partition("\n")[0]
