"""Refusals: what a store says of the ids it was given, as opposed to a store that is away; and setting them apart."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import TypeVar

from service.errors import (
    CollectionNotFound,
    RequestError,
    SourceUnavailable,
    StoreAnswered,
    TargetRefused,
    VecferryError,
)
from service.protocol.outcome import has_ended

MOST_TRIES = 200
"""How often one resync tries parts of what was refused; what is undecided then waits for the next one."""

_NOT_OF_THE_IDS = frozenset(
    {
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)

T = TypeVar("T")


def is_refusal(error: Exception) -> bool:
    """Say whether a store refused what it was given; one that is away, busy or lacks the collection did not."""
    match error:
        case CollectionNotFound():
            return False
        case RequestError() | TargetRefused():
            return True
        case StoreAnswered():
            is_clients = HTTPStatus.BAD_REQUEST <= error.code < HTTPStatus.INTERNAL_SERVER_ERROR
            return is_clients and error.code not in _NOT_OF_THE_IDS
        case VecferryError() | OSError():
            return False
        case _:
            # Nobody foresaw it: the ids that bring it about are set apart like any other refused ones.
            return True


def may_still_land(error: Exception) -> bool:
    """Say whether a change of the source that failed so may yet take effect (R1)."""
    match error:
        case SourceUnavailable():
            return error.may_have_applied
        case StoreAnswered():
            return not has_ended(error.code)
        case _:
            return False


async def refused_of(
    items: Sequence[T], attempt: Callable[[Sequence[T]], Awaitable[None]]
) -> tuple[list[tuple[T, Exception]], list[T]]:
    """Attempt all items, halving what is refused; return those refused alone, and those left undecided.

    Everything else was attempted with success. What is no refusal is raised.
    """
    refused: list[tuple[T, Exception]] = []
    parts, tries = [items], 0
    while parts and tries < MOST_TRIES:
        part, tries = parts.pop(), tries + 1
        try:
            await attempt(part)
        except Exception as error:
            if not is_refusal(error):
                raise
            if len(part) == 1:
                refused.append((part[0], error))
            else:
                middle = len(part) // 2
                parts += [part[middle:], part[:middle]]
    return refused, [item for part in parts for item in part]
