"""Holding a lease: the work, and beside it the heartbeat that renews what is held."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

import structlog
from structlog.typing import FilteringBoundLogger

from service.cancellation import end_if_cancelled
from service.errors import StaleEpoch, VecferryError

_log = structlog.get_logger(__name__)

T = TypeVar("T")

_GIVE_BACK_SECONDS = 2.0

Renew = Callable[[], Awaitable[bool]]
"""Renews the lease; false when the work is to end, for new orders. Raises ``StaleEpoch`` when somebody else has it."""


class Noted:
    """What a holder waits for, until the next heartbeat stores it."""

    def __init__(self) -> None:
        self.text: str | None = None

    def __call__(self, text: str | None) -> None:
        """Replace the text."""
        self.text = text


class _Ended(Exception):
    """A heartbeat has brought new orders."""


@dataclass(frozen=True, slots=True)
class Lease:
    """How a lease is kept, and what becomes of it: ``fail`` is told why the work cannot be done at all."""

    renew: Renew
    fail: Callable[[str], Awaitable[object]]
    release: Callable[[], Awaitable[object]]


async def hold(
    work: Awaitable[None], lease: Lease, *, seconds: float, log: FilteringBoundLogger
) -> None:
    """Do the work under a lease and give it back; raises nothing, a fault of ours included: that ends one job."""
    try:
        await while_renewed(work, lease.renew, seconds=seconds)
    except StaleEpoch as error:
        log.info("lease_dropped", reason=str(error))
    except VecferryError as error:
        log.warning("work_failed", error=str(error))
        await give_back(lease.fail(str(error)))
    except Exception as error:
        log.exception("work_failed")
        await give_back(lease.fail(f"internal error: {type(error).__name__}: {error}"))
    finally:
        await give_back(lease.release())


async def while_renewed(work: Awaitable[T], renew: Renew, *, seconds: float) -> T | None:
    """Return what the work returns, ``None`` when a heartbeat ended it.

    Raises what the work raises, and ``StaleEpoch`` when the lease is lost: the work is ended then.
    """
    try:
        async with asyncio.TaskGroup() as owner:
            beating = owner.create_task(_beat(renew, seconds))
            result = await work
            beating.cancel()
    except ExceptionGroup as errors:
        end_if_cancelled()
        error = errors.exceptions[0]
        if isinstance(error, _Ended):
            return None
        raise error from error.__cause__
    return result


async def _beat(renew: Renew, seconds: float) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            goes_on = await renew()
        except StaleEpoch:
            raise
        except VecferryError as error:
            # The work meets the same and knows what to do; a lease that is over meanwhile is fenced by the database.
            _log.warning("lease_not_renewed", error=str(error))
        else:
            if not goes_on:
                raise _Ended


async def give_back(release: Awaitable[object]) -> None:
    """Release a lease, if that is possible soon; else it ends by itself."""
    with suppress(VecferryError, TimeoutError):
        async with asyncio.timeout(_GIVE_BACK_SECONDS):
            await release
