"""Exceptions become answers."""

from collections.abc import Iterator
from http import HTTPStatus

import orjson
import pytest
from starlette.requests import Request
from structlog.testing import capture_logs

from service import errors
from service.api.envelope import watch_refusals
from service.api.errors import answer, status_of
from service.errors import (
    CollectionNotFound,
    ConfigurationError,
    Overloaded,
    SourceUnavailable,
    StaleEpoch,
    StoreAnswered,
    StoreError,
    TargetUnavailable,
    VecferryError,
)


def _leaves(kind: type[VecferryError] = VecferryError) -> Iterator[type[VecferryError]]:
    children = [each for each in kind.__subclasses__() if each.__module__ == errors.__name__]
    if not children:
        yield kind
    for child in children:
        yield from _leaves(child)


def _request() -> Request:
    return Request({"type": "http", "method": "GET", "path": "/x", "headers": []})


@pytest.mark.parametrize("kind", list(_leaves()), ids=lambda kind: kind.__name__)
def test_every_leaf_of_the_tree_has_a_status(kind: type[VecferryError]) -> None:
    """No exception of ours is answered by accident."""
    assert status_of(kind) in set(HTTPStatus)


def test_an_unmapped_class_has_no_status() -> None:
    """The walk over the tree would find a class that nobody mapped."""

    class Forgotten(VecferryError):
        """Of no family."""

    with pytest.raises(KeyError):
        status_of(Forgotten)


def test_request_errors_carry_qdrants_text() -> None:
    """The caller's mistakes are answered with their own status and text."""
    got = answer(_request(), CollectionNotFound("x"))
    assert got.status_code == 404
    expected = {"error": "Not found: Collection `x` doesn't exist!"}
    assert orjson.loads(got.body)["status"] == expected


@pytest.mark.parametrize("error", [StaleEpoch("epoch 3"), Overloaded("the queue is full")])
def test_what_may_be_retried_says_when(error: VecferryError) -> None:
    """A stage change and a full queue are 503 with Retry-After."""
    got = answer(_request(), error)
    assert got.status_code == 503
    assert got.headers["retry-after"] == "1"
    assert orjson.loads(got.body)["status"]["error"]


def test_a_lost_store_is_503() -> None:
    """A store that cannot be reached is not the caller's fault."""
    assert answer(_request(), TargetUnavailable("is down")).status_code == 503


@pytest.mark.parametrize("error", [SourceUnavailable, TargetUnavailable])
def test_clients_are_not_told_where_a_store_is(
    error: type[SourceUnavailable] | type[TargetUnavailable],
) -> None:
    """The operator reads the address in the log; the client reads what happened, and to try again."""
    request = _request()
    noted = watch_refusals(request.scope)
    got = answer(request, error("cannot be reached", detail="host 10.1.2.3:6333 refused"))
    assert (got.status_code, got.headers["retry-after"]) == (503, "1")
    text = orjson.loads(got.body)["status"]["error"]
    assert text.endswith("cannot be reached")
    (refused,) = noted
    assert (refused.reason, refused.detail) == (
        error.refusal,
        f"{text}: host 10.1.2.3:6333 refused",
    )


def test_a_store_error_says_nothing_to_clients() -> None:
    """A database's own message may quote values, names and users; it goes to the log."""
    got = answer(_request(), StoreError("the target answered 42501: permission denied for x"))
    assert orjson.loads(got.body)["status"]["error"] == "Service unavailable: a store failed"


def test_a_wrong_setting_is_logged_and_not_shown() -> None:
    """A password that was changed under us is the operator's to see."""
    with capture_logs() as logs:
        got = answer(_request(), ConfigurationError("user `vecferry` was refused"))
    assert (got.status_code, b"vecferry" in got.body) == (500, False)
    assert logs[0]["error"] == "user `vecferry` was refused"


def test_what_a_store_answered_is_passed_on() -> None:
    """Status and body of a store's own error reach the client as they are."""
    got = answer(_request(), StoreAnswered(429, b'{"status":{"error":"slow"}}'))
    assert got.status_code == 429
    assert got.body == b'{"status":{"error":"slow"}}'


def test_the_unforeseen_is_logged_and_not_shown() -> None:
    """An unexpected exception is 500 without its details, which go to the log."""
    with capture_logs() as logs:
        got = answer(_request(), ZeroDivisionError("secret"))
    assert got.status_code == 500
    text = orjson.loads(got.body)["status"]["error"]
    assert text == "Service internal error: ZeroDivisionError"
    assert logs[0]["event"] == "request_failed"
    assert "secret" in str(logs[0]["exc_info"])
