"""Bodies that come again: the same model as if each were parsed, the parser not asked twice."""

from typing import Any
from unittest.mock import Mock

import orjson
import pytest
from pydantic import BaseModel

from service.api import known_bodies
from service.api.known_bodies import parsed
from service.api.parsing import parse
from service.api.qdrant.legacy import SearchRequest
from service.errors import BadRequest, InvalidBody, MalformedBody
from service.model.qdrant import QueryRequest, ScrollRequest

_VECTOR = [0.5, 1, -2.25] * 20
_FILTER = {"must": [{"key": "city", "match": {"value": "Oslo"}}]}


@pytest.mark.parametrize(
    ("model", "raw"),
    [
        (QueryRequest, {"query": _VECTOR, "limit": 5, "filter": _FILTER, "unknown": 1}),
        (QueryRequest, {"query": {"nearest": _VECTOR}, "limit": 5}),
        (QueryRequest, {"query": [0.0], "limit": 5}),
        (QueryRequest, {"query": [_VECTOR, _VECTOR]}),
        (QueryRequest, {"query": 7, "with_vectors": True}),
        (SearchRequest, {"vector": _VECTOR, "limit": 5}),
        (SearchRequest, {"vector": {"name": "a", "vector": _VECTOR}, "limit": 5}),
        (ScrollRequest, {"filter": _FILTER, "offset": 3}),
        (ScrollRequest, {"filter": {"must": [{"has_id": list(range(2_000))}]}}),
    ],
)
def test_a_body_stands_for_the_same_each_time(model: type[BaseModel], raw: dict[str, Any]) -> None:
    """With and without a vector, and too long to be kept."""
    expected = parse(model, raw)
    for _ in range(3):
        found = parsed(model, orjson.dumps(raw))
        assert found == expected
        assert found.model_fields_set == expected.model_fields_set


def test_searches_that_differ_in_the_vector_are_parsed_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each gets its own vector; none is kept for the next."""
    asked = Mock(side_effect=parse)
    monkeypatch.setattr(known_bodies, "parse", asked)
    vectors = [[float(number)] * 40 for number in range(3)]
    bodies = [orjson.dumps({"query": vector, "limit": 77}) for vector in vectors]
    found = [parsed(QueryRequest, body) for body in bodies]
    assert [request.query for request in found] == vectors
    assert asked.call_count == 1
    assert parsed(QueryRequest, b'{"query":[0.0],"limit":77}').query == [0.0]


def test_a_request_is_its_own() -> None:
    """What somebody sets on one does not show in the next."""
    body = b'{"query":4,"limit":78}'
    parsed(QueryRequest, body).limit = 1
    assert parsed(QueryRequest, body).limit == 78


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b"{", MalformedBody),
        (b"[]", MalformedBody),
        (b'{"query":4,"limit":"x"}', MalformedBody),
        (b'{"query":4,"limit":0}', InvalidBody),
    ],
)
def test_what_is_wrong_is_wrong_each_time(body: bytes, error: type[BadRequest]) -> None:
    """Nothing of it is kept."""
    for _ in range(2):
        with pytest.raises(error):
            parsed(QueryRequest, body)
