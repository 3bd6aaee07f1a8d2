"""From an answer that passed through to a shadow read: what was asked and what the client was told."""

from collections.abc import Callable

import orjson

from service.api.parsing import parse
from service.api.qdrant.legacy import SearchRequest, to_query
from service.api.qdrant.reading import loads
from service.errors import RequestError
from service.model.ids import parse_point_id
from service.model.qdrant import QueryRequest
from service.proxy.calls import Call
from service.stages import Side
from shadow.observation import Observation, ShadowRead


def shadow_read(
    call: Call,
    collection: str,
    request: bytes,
    answer: bytes,
    *,
    seconds: float,
    disturbed: Callable[[], bool],
) -> ShadowRead | None:
    """Return the comparison to make of a search that the source answered, ``None`` when it refused it."""
    try:
        query = parse_search(call, request)
        result = orjson.loads(answer)["result"]
        hits = result["points"] if isinstance(result, dict) else result
        ids = tuple(parse_point_id(hit["id"]) for hit in hits)
        scores = tuple(float(hit["score"]) for hit in hits)
    except (RequestError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        # The client's request or the source's answer is of a kind that the target knows nothing of.
        return None
    observation = Observation(ids, scores, seconds)
    return ShadowRead(collection, query, Side.SOURCE, observation, disturbed)


def parse_search(call: Call, body: bytes) -> QueryRequest:
    """Read either form of a search. Raises ``RequestError``."""
    if call.suffix == "points/search":
        return to_query(parse(SearchRequest, loads(body)))
    return parse(QueryRequest, loads(body))
