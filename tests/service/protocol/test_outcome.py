"""What is known of a write after each kind of answer."""

import orjson
import pytest

from service.protocol.outcome import Outcome, as_acknowledged, outcome


def _body(*statuses: str) -> bytes:
    results = [{"operation_id": number, "status": status} for number, status in enumerate(statuses)]
    return orjson.dumps({"result": results, "status": "ok", "time": 0.1})


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (200, orjson.dumps({"result": {"status": "completed"}}), Outcome.ENDED),
        (200, orjson.dumps({"result": {"status": "acknowledged"}}), Outcome.QUEUED),
        (200, orjson.dumps({"result": {"status": "wait_timeout"}}), Outcome.QUEUED),
        (200, _body("completed", "completed"), Outcome.ENDED),
        (200, _body("completed", "acknowledged"), Outcome.QUEUED),
        (200, _body(), Outcome.QUEUED),
        (200, b"<html>a load balancer's page</html>", Outcome.QUEUED),
        (200, b"null", Outcome.QUEUED),
        (400, b"{}", Outcome.ENDED),
        (404, b"{}", Outcome.ENDED),
        (422, b"", Outcome.ENDED),
        (429, b"", Outcome.ENDED),
        (408, b"", Outcome.UNKNOWN),
        (302, b"", Outcome.UNKNOWN),
        (500, b"{}", Outcome.UNKNOWN),
        (502, b"", Outcome.UNKNOWN),
        (503, b"", Outcome.UNKNOWN),
        (504, b"", Outcome.UNKNOWN),
    ],
)
def test_outcome(status: int, body: bytes, expected: Outcome) -> None:
    """Only `completed` and refusals end a write (R1); a time-out or a server's error may still land."""
    assert outcome(status, body) is expected


def test_acknowledged_replaces_completed_and_nothing_else() -> None:
    """A client of `wait=false` sees the answer that it would have got, operation ids and all."""
    answer = orjson.loads(as_acknowledged(_body("completed", "wait_timeout")))
    assert [result["status"] for result in answer["result"]] == ["acknowledged", "wait_timeout"]
    assert [result["operation_id"] for result in answer["result"]] == [0, 1]
    assert (answer["status"], answer["time"]) == ("ok", 0.1)


@pytest.mark.parametrize("body", [b"not json", b""])
def test_an_answer_that_cannot_be_read_stays(body: bytes) -> None:
    """What is not JSON goes to the client as it came."""
    assert as_acknowledged(body) == body
