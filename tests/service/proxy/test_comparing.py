"""From the bytes of a search and its answer to a shadow read."""

import pytest

from service.errors import RequestError
from service.model.qdrant import NearestQuery
from service.proxy.calls import Call, Kind
from service.proxy.comparing import parse_search, shadow_read
from service.stages import Side
from shadow.observation import ShadowRead

QUERY = Call(Kind.SEARCH, "POST", "alias", "points/query")
SEARCH = Call(Kind.SEARCH, "POST", "alias", "points/search")
UUID = "3fa85f64-5717-4562-b3fc-2c963f66afa6"
HITS = b'[{"id":7,"score":0.5,"version":1},{"id":"%s","score":0.25,"payload":{}}]' % UUID.encode()


def _read(call: Call, request: bytes, answer: bytes) -> ShadowRead | None:
    return shadow_read(call, "c", request, answer, seconds=0.25, disturbed=lambda: True)


@pytest.mark.parametrize(
    ("call", "request_body", "answer"),
    [
        (QUERY, b'{"query":[1,2],"limit":3}', b'{"result":{"points":%s}}' % HITS),
        (SEARCH, b'{"vector":[1,2],"limit":3}', b'{"result":%s}' % HITS),
    ],
)
def test_both_forms_of_a_search_are_read(call: Call, request_body: bytes, answer: bytes) -> None:
    """Ids keep their type and order, scores and time are the source's, the collection is the real one."""
    read = _read(call, request_body, answer)
    assert read is not None
    assert (read.collection, read.control, read.disturbed()) == ("c", Side.SOURCE, True)
    assert [str(found) for found in read.observation.ids] == ["7", UUID]
    assert (read.observation.scores, read.observation.seconds) == ((0.5, 0.25), 0.25)
    assert read.query.limit == 3
    query = read.query.query
    assert (query.nearest if isinstance(query, NearestQuery) else query) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("request_body", "answer"),
    [
        (b'{"query":[1,2]', b'{"result":{"points":[]}}'),
        (b'{"query":[1,2],"limit":"x"}', b'{"result":{"points":[]}}'),
        (b'{"query":[1,2]}', b"\x1f\x8b\x08 compressed"),
        (b'{"query":[1,2]}', b'{"status":"ok"}'),
        (b'{"query":[1,2]}', b'{"result":{"groups":[]}}'),
        (b'{"query":[1,2]}', b'{"result":{"points":[{"id":1}]}}'),
        (b'{"query":[1,2]}', b'{"result":{"points":[{"id":-1,"score":1}]}}'),
    ],
)
def test_what_cannot_be_read_is_not_compared(request_body: bytes, answer: bytes) -> None:
    """The client has its answer; a form that we do not know must not become an error."""
    assert _read(QUERY, request_body, answer) is None


def test_a_search_that_cannot_be_read_says_why() -> None:
    """The parser itself raises, for who wants to know."""
    with pytest.raises(RequestError):
        parse_search(SEARCH, b'{"vector":"x","limit":1}')
