"""Bodies become models, or one reason why not."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from service.api.parsing import parse, read_body
from service.errors import BodyTooLarge, MalformedBody, RequestError
from service.model.qdrant import QueryRequest, ScrollRequest
from tests.service.api.bodies import Pair, query_bodies, scroll_bodies


def _request(chunks: list[bytes]) -> Request:
    messages = iter(
        [{"type": "http.request", "body": chunk, "more_body": True} for chunk in chunks]
        + [{"type": "http.request", "body": b"", "more_body": False}]
    )

    async def receive() -> dict[str, Any]:
        return next(messages)

    return Request({"type": "http"}, receive)


async def test_a_body_up_to_the_limit_is_read() -> None:
    """Chunks are joined; the limit itself is still allowed."""
    assert await read_body(_request([b"ab", b"cd"]), limit=4) == b"abcd"


async def test_a_body_over_the_limit_is_refused() -> None:
    """Reading stops as soon as there is too much."""
    with pytest.raises(BodyTooLarge, match="4 bytes"):
        await read_body(_request([b"ab", b"cde"]), limit=4)


@given(query_bodies())
def test_unknown_fields_do_not_change_a_query(pair: Pair) -> None:
    """What Qdrant ignores is dropped, and the rest means what the client's model says."""
    expected = QueryRequest.model_validate_json(orjson.dumps(pair.clean))
    assert parse(QueryRequest, pair.clean) == expected
    assert parse(QueryRequest, pair.noisy) == expected


@given(scroll_bodies())
def test_unknown_fields_do_not_change_a_scroll(pair: Pair) -> None:
    """The same for a scroll, whose offset is an id."""
    expected = ScrollRequest.model_validate_json(orjson.dumps(pair.clean))
    assert parse(ScrollRequest, pair.clean) == expected
    assert parse(ScrollRequest, pair.noisy) == expected


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ([], "Input should be an object"),
        ({"limit": "3"}, "limit: Input should be a valid integer"),
        ({"limit": 1.5}, "limit: Input should be a valid integer"),
        ({"with_payload": 1}, "with_payload: expected a valid boolean or a valid array"),
        (
            {"filter": {"must": [{"key": "a", "match": {"value": 1.5}}]}},
            "filter.must[0].match.value: expected a valid boolean or a valid integer or a valid",
        ),
        (
            {"filter": {"must": [{"key": 3, "match": {"value": 1}}]}},
            "filter.must[0].key: Input should be a valid string",
        ),
        (
            {"filter": {"must": [{"kee": "a"}]}},
            "filter.must[0]: no known form of this object has these fields: `kee`",
        ),
        ({"filter": {"musst": []}}, "filter: unknown field `musst`, expected one of `should`"),
        (
            {"filter": {"must": {"key": "t", "range": {"gte": "5"}}}},
            "filter.must.range.gte: '5' is not a date and time of RFC 3339",
        ),
        ({"filter": {"must": [{"has_id": ["abc"]}]}}, "value abc is not a valid point ID"),
        ({"query": {"nearest": "abc"}}, "value abc is not a valid point ID"),
        ({"query": [1, True]}, "query[1]: "),
    ],
)
def test_one_reason(body: object, text: str) -> None:
    """However many members a union has, the caller is told one place and what belongs there."""
    with pytest.raises(MalformedBody) as caught:
        parse(QueryRequest, body)
    assert str(caught.value).startswith(f"Format error in JSON body: {text}")
    assert "\n" not in str(caught.value)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["filter", "must", "key", "match", "query", "nearest", "limit", "x"]
                ),
                inner,
            )
        ),
    )
)
def test_no_body_is_too_strange(body: object) -> None:
    """Any JSON either parses or is refused as the caller's mistake."""
    with suppress(RequestError):
        parse(QueryRequest, body)
