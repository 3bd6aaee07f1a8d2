"""A resolved query as the engine's.

The engine runs the whole tree; the filter of the root it pushes down to the leaves by itself, like Qdrant.
"""

from collections.abc import Sequence
from typing import Any, assert_never

import qdrant_edge as edge

from service.model.ids import PointId
from service.model.points import VectorValue
from service.model.qdrant import (
    AcornSearchParams,
    Filter,
    HasIdCondition,
    IdfCorpusParams,
    OrderBy,
    QuantizationSearchParams,
    SearchParams,
)
from service.model.queries import (
    AtRandom,
    BestScore,
    Branch,
    ByDistribution,
    ByDiversity,
    ByField,
    ByFormula,
    ByReciprocalRank,
    ByVector,
    Context,
    Discover,
    Feedback,
    Nearest,
    Pair,
    ResolvedQuery,
    Scoring,
    SumScores,
)
from service.stores.edge.booleans import BooleanMatches
from service.stores.edge.enums import engine_enum
from service.stores.edge.filters import engine_filter, instant
from service.stores.edge.formulas import engine_formula
from service.stores.edge.values import engine_selector, engine_vector
from service.translate.clauses import conditions_in


def engine_query(query: ResolvedQuery, booleans: BooleanMatches) -> edge.QueryRequest:
    """Return the engine's form of a query tree."""
    wanted = _excluding(query.filter, query.excluded)
    return edge.QueryRequest(
        limit=query.limit,
        offset=query.offset,
        query=_scoring(query.scoring, booleans),
        prefetches=_prefetches(query.branches, "prefetch", booleans),
        filter=engine_filter(wanted, "filter", booleans),
        score_threshold=query.score_threshold,
        params=_params(query.params, booleans),
        with_payload=engine_selector(query.with_payload),
        with_vector=False if query.with_vector is None else query.with_vector,
    )


def _excluding(wanted: Filter | None, ids: Sequence[PointId]) -> Filter | None:
    """Return the filter without these points.

    They join its own ``must_not``: the clauses of root and leaf are joined one by one on the way down.
    """
    if not ids:
        return wanted
    wanted = wanted or Filter()
    unlike = [*conditions_in(wanted.must_not), HasIdCondition(has_id=list(ids))]
    return wanted.model_copy(update={"must_not": unlike})


def _prefetches(
    branches: Sequence[Branch], path: str, booleans: BooleanMatches
) -> list[edge.Prefetch]:
    return [
        edge.Prefetch(
            limit=branch.limit,
            query=_scoring(branch.scoring, booleans),
            prefetches=_prefetches(branch.branches, f"{path}[{at}].prefetch", booleans),
            filter=engine_filter(branch.filter, f"{path}[{at}].filter", booleans),
            score_threshold=branch.score_threshold,
            params=_params(branch.params, booleans),
        )
        for at, branch in enumerate(branches)
    ]


def _scoring(scoring: Scoring | None, booleans: BooleanMatches) -> Any:
    match scoring:
        case None:
            return None
        case ByVector():
            return _by_vector(scoring)
        case ByDiversity(vector=vector, using=using, diversity=diversity, candidates=candidates):
            return edge.Mmr(engine_vector(vector), 1.0 - diversity, candidates, using)
        case ByField(key=key, direction=direction, start_from=start):
            return edge.OrderBy(key, engine_enum(edge.Direction, direction), start)
        case ByReciprocalRank(k=k, weights=weights):
            return edge.Fusion.Rrf(k, None if weights is None else list(weights))
        case ByDistribution():
            return edge.Fusion.Dbsf()
        case ByFormula(formula=formula, defaults=defaults):
            return engine_formula(formula, dict(defaults), booleans)
        case AtRandom():
            return edge.Sample.Random
        case _:
            assert_never(scoring)


def _by_vector(wanted: ByVector) -> edge.Query:
    scoring, using = wanted.scoring, wanted.using
    match scoring:
        case Nearest(vector=vector):
            return edge.Query.Nearest(engine_vector(vector), using)
        case BestScore():
            return edge.Query.RecommendBestScore(_examples(scoring), using)
        case SumScores():
            return edge.Query.RecommendSumScores(_examples(scoring), using)
        case Discover(target=target, pairs=pairs):
            discover = edge.DiscoverQuery(engine_vector(target), _pairs(pairs))
            return edge.Query.Discover(discover, using)
        case Context(pairs=pairs):
            return edge.Query.Context(edge.ContextQuery(_pairs(pairs)), using)
        case Feedback():
            return edge.Query.FeedbackNaive(_feedback(scoring), using)
        case _:
            assert_never(scoring)


def _examples(scoring: BestScore | SumScores) -> edge.RecommendQuery:
    return edge.RecommendQuery(_vectors(scoring.positives), _vectors(scoring.negatives))


def _vectors(given: Sequence[VectorValue]) -> list[Any]:
    return [engine_vector(vector) for vector in given]


def _pairs(given: Sequence[Pair]) -> list[edge.ContextPair]:
    return [
        edge.ContextPair(engine_vector(positive), engine_vector(negative))
        for positive, negative in given
    ]


def _feedback(scoring: Feedback) -> edge.FeedbackNaiveQuery:
    return edge.FeedbackNaiveQuery(
        engine_vector(scoring.target),
        [edge.FeedbackItem(engine_vector(vector), score) for vector, score in scoring.examples],
        edge.NaiveFeedbackStrategy(scoring.a, scoring.b, scoring.c),
    )


def order_by(wanted: OrderBy | str) -> edge.OrderBy:
    """Return the engine's order of a scroll; ``start_from`` keeps its type."""
    if isinstance(wanted, str):
        return edge.OrderBy(wanted)
    start = wanted.start_from
    return edge.OrderBy(
        wanted.key,
        engine_enum(edge.Direction, wanted.direction),
        start if isinstance(start, int | float) else instant(start),
    )


def _params(params: SearchParams | None, booleans: BooleanMatches) -> edge.SearchParams | None:
    if params is None:
        return None
    idf = None
    if isinstance(params.idf, IdfCorpusParams):
        idf = edge.IdfParams(engine_filter(params.idf.corpus, "params.idf.corpus", booleans))
    return edge.SearchParams(
        hnsw_ef=params.hnsw_ef,
        exact=bool(params.exact),
        indexed_only=bool(params.indexed_only),
        quantization=_quantization(params.quantization),
        acorn=_acorn(params.acorn),
        idf=idf,
    )


def _quantization(wanted: QuantizationSearchParams | None) -> Any:
    return wanted and edge.QuantizationSearchParams(
        ignore=bool(wanted.ignore), rescore=wanted.rescore, oversampling=wanted.oversampling
    )


def _acorn(wanted: AcornSearchParams | None) -> Any:
    return wanted and edge.AcornSearchParams(
        enable=bool(wanted.enable), max_selectivity=wanted.max_selectivity
    )
