"""Exceptions become answers here, and nowhere else."""

from http import HTTPStatus

import structlog
from starlette.requests import Request
from starlette.responses import Response

from service.api.envelope import failure
from service.errors import (
    ConfigurationError,
    Overloaded,
    RequestError,
    StageError,
    StaleEpoch,
    StoreAnswered,
    StoreError,
    VecferryError,
)

log = structlog.get_logger(__name__)

# A request error carries its own status; these are everyone else's faults.
STATUSES: dict[type[VecferryError], HTTPStatus] = {
    StoreError: HTTPStatus.SERVICE_UNAVAILABLE,
    StaleEpoch: HTTPStatus.SERVICE_UNAVAILABLE,
    Overloaded: HTTPStatus.SERVICE_UNAVAILABLE,
    StageError: HTTPStatus.CONFLICT,
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
            return failure(request, status_of(StaleEpoch), text, _retry_after())
        case Overloaded():
            return failure(request, status_of(Overloaded), str(error), _retry_after())
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


def _retry_after() -> dict[str, str]:
    return {"Retry-After": str(Overloaded.retry_after_seconds)}
