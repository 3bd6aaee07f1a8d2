"""Exceptions become answers here, and nowhere else."""

from http import HTTPStatus
from math import ceil

import structlog
from starlette.requests import Request
from starlette.responses import Response

from service.api.envelope import failure, refused
from service.errors import (
    ArchiveError,
    ConfigurationError,
    Overloaded,
    RateLimited,
    RequestError,
    StageError,
    StaleEpoch,
    StoreAnswered,
    StoreError,
    VecferryError,
)

log = structlog.get_logger(__name__)

RETRY = {"Retry-After": "1"}
"""On every 503: nothing that is refused here needs more than a moment before the next attempt."""

# A request error carries its own status; these are everyone else's faults.
STATUSES: dict[type[VecferryError], HTTPStatus] = {
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    StaleEpoch: HTTPStatus.SERVICE_UNAVAILABLE,
    Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    StageError: HTTPStatus.CONFLICT,
    ArchiveError: HTTPStatus.INTERNAL_SERVER_ERROR,  # of the command line; no route reads archives
    ConfigurationError: HTTPStatus.INTERNAL_SERVER_ERROR,
}


def status_of(kind: type[VecferryError]) -> HTTPStatus:
    """Return the status that errors of this class are answered with, ``KeyError`` if unmapped."""
    if issubclass(kind, RequestError):
        return kind.status
    known = next((parent for parent in kind.__mro__ if parent in STATUSES), kind)
    return STATUSES[known]


def answer(request: Request, error: Exception) -> Response:
    """Return the answer for any exception; one that nobody foresaw is logged and answered 500."""
    match error:
        case StoreAnswered():
            return Response(error.body, status_code=error.code, media_type="application/json")
        case StaleEpoch():
            text = "Service unavailable: the collection is changing its stage, try again"
            return _refused(request, error, text)
        case StoreError():
            return _refused(request, error, error.public)
        case Overloaded():
            return _refused(request, error, str(error))
        case ConfigurationError():
            # Its text is for the operator: it may name users, databases and addresses.
            log.error("setting_wrong", error=str(error))
            text = "Service internal error: the configuration is wrong, see the log"
            return failure(request, status_of(ConfigurationError), text)
        case RateLimited(retry_after=float(seconds)):
            headers = {"Retry-After": str(ceil(seconds))}
            return failure(request, error.status, str(error), headers)
        case VecferryError():
            return failure(request, status_of(type(error)), str(error))
        case _:
            log.error(
                "request_failed",
                method=request.method,
                path=request.url.path,
                exc_info=error,
            )
            text = f"Service internal error: {type(error).__name__}"
            return failure(request, HTTPStatus.INTERNAL_SERVER_ERROR, text)


def _refused(request: Request, error: StoreError | StaleEpoch | Overloaded, text: str) -> Response:
    """Answer 503, to be sent again; what happened is noted for whoever counts and logs the request."""
    refused(request, error.refusal, str(error))
    return failure(request, status_of(type(error)), text, RETRY)
