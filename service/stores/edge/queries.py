"""Qdrant's universal query as the engine's."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeAlias, assert_never
from uuid import UUID

import qdrant_edge as edge

from service.errors import BadRequest, Unsupported
from service.model.ids import PointId
from service.model.points import UNNAMED
from service.model.qdrant import (
    AcornSearchParams,
    ContextQuery,
    DiscoverQuery,
    Document,
    FormulaQuery,
    Fusion,
    FusionQuery,
    Image,
    InferenceObject,
    Mmr,
    NearestQuery,
    OrderBy,
    OrderByQuery,
    Prefetch,
    QuantizationSearchParams,
    QueryInterface,
    QueryRequest,
    RecommendQuery,
    RecommendStrategy,
    RelevanceFeedbackQuery,
    RrfQuery,
    SampleQuery,
    SearchParams,
    SparseVector,
    TextQuery,
    VectorInput,
)
from service.stores.edge.booleans import BooleanMatches
from service.stores.edge.enums import engine_enum
from service.stores.edge.filters import engine_filter, excluding, instant
from service.stores.edge.values import canonical_id, engine_selector

VectorOf: TypeAlias = Callable[[PointId, str], Any]
"""From a point's id and a vector's name to the stored vector, as the engine takes it."""

_LIMIT = 10
_RRF_K = 2
_MMR_LAMBDA = 0.5


class QueryTranslator:
    """Turns requests into the engine's; looks up vectors of ids and boolean matches on the way."""

    def __init__(self, booleans: BooleanMatches, vector_of: VectorOf) -> None:
        self._booleans = booleans
        self._vector_of = vector_of

    def query(self, request: QueryRequest) -> edge.QueryRequest:
        """Return the engine's request.

        Ids that the request names are left out of the result, as Qdrant does.
        """
        if request.lookup_from is not None:
            raise Unsupported("lookup_from")
        if request.prefetch is not None and request.query is None:
            raise BadRequest(
                "A query is needed to merge the prefetches. "
                "Can't have prefetches without defining a query."
            )
        own = engine_filter(request.filter, "filter", self._booleans)
        return edge.QueryRequest(
            limit=_LIMIT if request.limit is None else request.limit,
            offset=request.offset or 0,
            query=self._scoring(request.query, request, "query"),
            prefetches=self._prefetches(request.prefetch, "prefetch"),
            filter=excluding(own, list(_named_ids(request))),
            score_threshold=request.score_threshold,
            params=_params(request.params),
            with_payload=engine_selector(request.with_payload),
            with_vector=request.with_vector or False,
        )

    def _prefetches(self, wanted: Prefetch | list[Prefetch] | None, path: str) -> list[Any]:
        if wanted is None:
            return []
        if isinstance(wanted, Prefetch):
            return [self._prefetch(wanted, path)]
        return [self._prefetch(one, f"{path}[{at}]") for at, one in enumerate(wanted)]

    def _prefetch(self, wanted: Prefetch, path: str) -> edge.Prefetch:
        if wanted.lookup_from is not None:
            raise Unsupported(f"{path}.lookup_from")
        return edge.Prefetch(
            limit=_LIMIT if wanted.limit is None else wanted.limit,
            query=self._scoring(wanted.query, wanted, f"{path}.query"),
            prefetches=self._prefetches(wanted.prefetch, f"{path}.prefetch"),
            filter=engine_filter(wanted.filter, f"{path}.filter", self._booleans),
            score_threshold=wanted.score_threshold,
            params=_params(wanted.params),
        )

    def _scoring(
        self, query: QueryInterface | None, owner: QueryRequest | Prefetch, path: str
    ) -> Any:
        using = owner.using or UNNAMED
        match query:
            case None:
                return None
            case NearestQuery(nearest=nearest, mmr=mmr):
                vector = self._vector(nearest, using, path)
                return self._mmr(vector, mmr, owner) if mmr else edge.Query.Nearest(vector, using)
            case RecommendQuery():
                return self._recommend(query, using, path)
            case FusionQuery(fusion=Fusion.RRF):
                return edge.Fusion.Rrf(_RRF_K)
            case FusionQuery():
                return edge.Fusion.Dbsf()
            case RrfQuery(rrf=rrf):
                return edge.Fusion.Rrf(_RRF_K if rrf.k is None else rrf.k, rrf.weights)
            case OrderByQuery(order_by=order):
                return order_by(order)
            case SampleQuery():
                return edge.Sample.Random
            case DiscoverQuery() | ContextQuery():
                raise Unsupported(path)
            case FormulaQuery() | RelevanceFeedbackQuery() | TextQuery():
                raise Unsupported(path)
            case _:
                return edge.Query.Nearest(self._vector(query, using, path), using)

    def _mmr(self, vector: Any, mmr: Mmr, owner: QueryRequest | Prefetch) -> edge.Mmr:
        weight = _MMR_LAMBDA if mmr.diversity is None else 1.0 - mmr.diversity
        candidates = mmr.candidates_limit or owner.limit or _LIMIT
        return edge.Mmr(vector, weight, candidates, owner.using or UNNAMED)

    def _recommend(self, query: RecommendQuery, using: str, path: str) -> Any:
        wanted = query.recommend
        examples = edge.RecommendQuery(
            [self._vector(one, using, path) for one in wanted.positive or []],
            [self._vector(one, using, path) for one in wanted.negative or []],
        )
        match wanted.strategy:
            case RecommendStrategy.BEST_SCORE:
                return edge.Query.RecommendBestScore(examples, using)
            case RecommendStrategy.SUM_SCORES:
                return edge.Query.RecommendSumScores(examples, using)
            case None | RecommendStrategy.AVERAGE_VECTOR:
                raise Unsupported(f"{path}.recommend.strategy")
            case _:
                assert_never(wanted.strategy)

    def _vector(self, value: VectorInput, using: str, path: str) -> Any:
        match value:
            case Document() | Image() | InferenceObject():
                raise Unsupported(path, "asks for inference, which this store has not")
            case SparseVector(indices=indices, values=values):
                return edge.SparseVector(indices, values)
            case list():
                return value
            case _:
                return self._vector_of(canonical_id(value), using)


def order_by(wanted: OrderBy | str) -> edge.OrderBy:
    """Return the engine's order; ``start_from`` keeps its type."""
    if isinstance(wanted, str):
        return edge.OrderBy(wanted)
    start = wanted.start_from
    return edge.OrderBy(
        wanted.key,
        engine_enum(edge.Direction, wanted.direction),
        start if isinstance(start, int | float) else instant(start),
    )


def _params(params: SearchParams | None) -> edge.SearchParams | None:
    if params is None:
        return None
    if params.idf is not None:
        raise Unsupported("params.idf")
    return edge.SearchParams(
        hnsw_ef=params.hnsw_ef,
        exact=bool(params.exact),
        indexed_only=bool(params.indexed_only),
        quantization=_quantization(params.quantization),
        acorn=_acorn(params.acorn),
    )


def _quantization(wanted: QuantizationSearchParams | None) -> Any:
    return wanted and edge.QuantizationSearchParams(
        ignore=bool(wanted.ignore), rescore=wanted.rescore, oversampling=wanted.oversampling
    )


def _acorn(wanted: AcornSearchParams | None) -> Any:
    return wanted and edge.AcornSearchParams(
        enable=bool(wanted.enable), max_selectivity=wanted.max_selectivity
    )


def _named_ids(request: QueryRequest | Prefetch) -> Iterator[PointId]:
    """Yield the ids that stand for vectors anywhere in the request."""
    for value in _inputs(request.query):
        if isinstance(value, int | str | UUID):
            yield canonical_id(value)
    prefetch = request.prefetch or []
    for one in prefetch if isinstance(prefetch, list) else [prefetch]:
        yield from _named_ids(one)


def _inputs(query: QueryInterface | None) -> Sequence[object]:
    match query:
        case NearestQuery(nearest=nearest):
            return [nearest]
        case RecommendQuery(recommend=wanted):
            return [*(wanted.positive or []), *(wanted.negative or [])]
        case _:
            return [query]
