"""The search bodies from before the universal query, which older clients still send.

``qdrant_client`` has dropped these models. They are turned into the query that means the same.
"""

from pydantic import BaseModel, ConfigDict, StrictFloat

from service.api.qdrant.paths import malformed
from service.model.qdrant import (
    Filter,
    NearestQuery,
    QueryRequest,
    SearchParams,
    ShardKeySelector,
    SparseVector,
    WithPayloadInterface,
    WithVector,
)


class NamedVector(BaseModel):
    """The query and the name of the vector that it is compared with."""

    model_config = ConfigDict(extra="forbid")

    name: str
    vector: list[StrictFloat] | SparseVector


class SearchRequest(BaseModel):
    """Body of ``points/search``; ``top`` is the older name of ``limit``, which has no default."""

    model_config = ConfigDict(extra="forbid")

    vector: list[StrictFloat] | NamedVector
    limit: int | None = None
    top: int | None = None
    filter: Filter | None = None
    params: SearchParams | None = None
    offset: int | None = None
    with_payload: WithPayloadInterface | None = None
    with_vector: WithVector | None = None
    score_threshold: float | None = None
    shard_key: ShardKeySelector | None = None


class SearchRequestBatch(BaseModel):
    """Body of ``points/search/batch``."""

    model_config = ConfigDict(extra="forbid")

    searches: list[SearchRequest]


def to_query(search: SearchRequest) -> QueryRequest:
    """Return the query with the same answer. Raises ``MalformedBody`` without a limit."""
    limit = search.top if search.limit is None else search.limit
    if limit is None:
        raise malformed((), "missing field `limit`")
    vector, using = _vector_and_name(search.vector)
    return QueryRequest(
        query=NearestQuery(nearest=vector),
        using=using,
        limit=limit,
        filter=search.filter,
        params=search.params,
        offset=search.offset,
        with_payload=search.with_payload,
        with_vector=search.with_vector,
        score_threshold=search.score_threshold,
        shard_key=search.shard_key,
    )


def _vector_and_name(
    vector: list[float] | NamedVector,
) -> tuple[list[float] | SparseVector, str | None]:
    if isinstance(vector, NamedVector):
        return vector.vector, vector.name
    return vector, None
