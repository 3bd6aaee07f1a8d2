"""From a request for a universal query to the tree that a store executes.

Filters stay where they stand in the request. Who executes the tree applies them in the leaves, each merged with those
of the nodes above it (:mod:`service.queries.filters`): a node with branches sees only what these returned.

Source: lib/collection/src/operations/universal_query/collection_query.rs and lib/shard/src/query/planned_query.rs in
Qdrant.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias, assert_never
from uuid import UUID

import numpy as np

from service.errors import BadRequest, PointNotFound, Unsupported, WrongInput
from service.model.points import UNNAMED, VectorValue
from service.model.qdrant import (
    ContextPair,
    ContextQuery,
    DiscoverQuery,
    Document,
    FormulaQuery,
    Fusion,
    FusionQuery,
    Image,
    InferenceObject,
    NearestQuery,
    OrderByQuery,
    QueryRequest,
    RecommendInput,
    RecommendQuery,
    RecommendStrategy,
    RelevanceFeedbackInput,
    RelevanceFeedbackQuery,
    RrfQuery,
    SampleQuery,
    SparseVector,
    TextQuery,
    VectorInput,
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
    VectorScoring,
)
from service.queries.defaults import LIMIT
from service.queries.examples import average_vector
from service.queries.formula import compiled
from service.queries.inputs import as_point_id, given_vector, pairs
from service.queries.lookups import (
    Node,
    Reference,
    Retriever,
    StoredVectors,
    children,
    place,
    references,
    stored_vectors,
)

VectorQuery: TypeAlias = (
    SparseVector
    | Document
    | Image
    | InferenceObject
    | RecommendQuery
    | DiscoverQuery
    | ContextQuery
    | RelevanceFeedbackQuery
)

_RRF_K = 2
_DIVERSITY = 0.5
_MAX_DEPTH = 64
_MOST = 2**62 - 1
"""More points than any store has; limit and offset together fit 63 bits."""
_LARGEST = float(np.finfo(np.float32).max)
_NOTHING = StoredVectors({})


async def resolve(store: Retriever, collection: str, request: QueryRequest) -> ResolvedQuery:
    """Return the query with everything looked up; without ids in the request nothing is awaited.

    Raises ``BadRequest``, ``WrongInput`` and ``PointNotFound`` with Qdrant's texts, and ``Unsupported`` with the path
    in the request.
    """
    if request.shard_key is not None:
        raise Unsupported("shard_key")
    is_plain = type(request.query) is list and not request.prefetch
    named = [] if is_plain else list(references(request))
    found = await stored_vectors(store, collection, named) if named else _NOTHING
    root = _Node(request, found, "")
    resolved = ResolvedQuery(
        limit=root.limit,
        offset=_offset(request),
        scoring=root.scoring(),
        branches=root.branches(),
        filter=request.filter,
        score_threshold=_threshold(request.score_threshold),
        params=request.params,
        excluded=_excluded(named, collection),
        with_payload=request.with_payload,
        with_vector=request.with_vector,
    )
    _check_depth(resolved)
    return resolved


def _offset(request: QueryRequest) -> int:
    if isinstance(request.query, SampleQuery) and not children(request):
        return 0  # the answer is another one each time
    return min(request.offset or 0, _MOST)


def _threshold(given: float | None) -> float | None:
    """Return a threshold as Qdrant reads it: in float32, infinite when it is too large for that."""
    if given is None or abs(given) <= _LARGEST:
        return given
    return math.copysign(math.inf, given)


def _excluded(named: Sequence[Reference], collection: str) -> tuple[int | str, ...]:
    """Return the ids that stand for points of the searched collection itself."""
    own = (one.id for one in named if one.place.collection in {None, collection})
    return tuple(dict.fromkeys(own))


def _check_depth(query: Branch) -> None:
    depth = _depth(query) - 1
    if depth > _MAX_DEPTH:
        raise WrongInput(
            f"Validation failed: prefetches depth {depth} exceeds max depth {_MAX_DEPTH}"
        )


def _depth(node: Branch) -> int:
    return 1 + max((_depth(branch) for branch in node.branches), default=0)


class _Node:
    """One node of the request; ``path`` is where it stands, with a dot at its end unless it is the root."""

    def __init__(self, node: Node, found: StoredVectors, path: str) -> None:
        self._node = node
        self._found = found
        self._path = path
        self._place = place(node)
        self._using = node.using or UNNAMED
        self.limit = LIMIT if node.limit is None else min(node.limit, _MOST)
        _check(node)

    def branches(self) -> tuple[Branch, ...]:
        """Return the resolved prefetches."""
        given = self._node.prefetch
        several = isinstance(given, list)
        return tuple(
            _Node(
                child, self._found, f"{self._path}prefetch{f'[{at}]' if several else ''}."
            ).branch()
            for at, child in enumerate(children(self._node))
        )

    def branch(self) -> Branch:
        """Return the node as a branch of another one."""
        node = self._node
        return Branch(
            limit=self.limit,
            scoring=self.scoring(),
            branches=self.branches(),
            filter=node.filter,
            score_threshold=_threshold(node.score_threshold),
            params=node.params,
        )

    def scoring(self) -> Scoring | None:
        """Return how the node scores; ``None`` is the order of the ids."""
        query = self._node.query
        match query:
            case None:
                return None
            case list() | int() | str() | UUID():
                return ByVector(Nearest(self._vector(query, "")), self._using)
            case NearestQuery():
                return self._nearest(query)
            case FusionQuery() | RrfQuery():
                return self._fusion(query)
            case OrderByQuery(order_by=order):
                return ByField.of(order)
            case SampleQuery():
                return AtRandom()
            case FormulaQuery(formula=formula, defaults=defaults):
                # To refuse here what Qdrant refuses before it looks at a point.
                compiled(formula, defaults or {})
                self._needs_branches("Formula")
                return ByFormula(formula, defaults or {})
            case TextQuery():
                raise Unsupported(f"{self._path}query.text")
            case _:
                return ByVector(self._by_vector(query), self._using)

    def _fusion(self, query: FusionQuery | RrfQuery) -> ByReciprocalRank | ByDistribution:
        self._needs_branches("Fusion")
        match query:
            case FusionQuery(fusion=Fusion.RRF):
                return ByReciprocalRank(_RRF_K)
            case FusionQuery():
                return ByDistribution()
            case RrfQuery(rrf=rrf):
                weights = None if rrf.weights is None else tuple(rrf.weights)
                count = len(children(self._node))
                if weights is not None and len(weights) != count:
                    raise WrongInput(
                        f"Validation failed: RRF weights length ({len(weights)}) "
                        f"does not match number of prefetches ({count})"
                    )
                return ByReciprocalRank(_RRF_K if rrf.k is None else rrf.k, weights)
            case _:
                assert_never(query)

    def _needs_branches(self, what: str) -> None:
        if not children(self._node):
            raise WrongInput(f"Validation failed: cannot apply {what} without prefetches")

    def _nearest(self, query: NearestQuery) -> ByVector | ByDiversity:
        vector, mmr = self._vector(query.nearest, "nearest"), query.mmr
        if mmr is None:
            return ByVector(Nearest(vector), self._using)
        return ByDiversity(
            vector=vector,
            using=self._using,
            diversity=_DIVERSITY if mmr.diversity is None else mmr.diversity,
            candidates=(
                self.limit if mmr.candidates_limit is None else min(mmr.candidates_limit, _MOST)
            ),
        )

    def _by_vector(self, query: VectorQuery) -> VectorScoring:
        match query:
            case RecommendQuery(recommend=wanted):
                return self._recommend(wanted)
            case DiscoverQuery(discover=wanted):
                target = self._vector(wanted.target, "discover.target")
                return Discover(target, self._pairs(pairs(wanted.context), "discover.context"))
            case ContextQuery(context=context):
                return Context(self._pairs(pairs(context), "context"))
            case RelevanceFeedbackQuery(relevance_feedback=wanted):
                return self._feedback(wanted)
            case _:
                return Nearest(self._vector(query, ""))

    def _recommend(self, wanted: RecommendInput) -> VectorScoring:
        positives = self._examples(wanted.positive, "recommend.positive")
        negatives = self._examples(wanted.negative, "recommend.negative")
        match wanted.strategy:
            case RecommendStrategy.BEST_SCORE:
                return BestScore(positives, negatives)
            case RecommendStrategy.SUM_SCORES:
                return SumScores(positives, negatives)
            case None | RecommendStrategy.AVERAGE_VECTOR:
                return Nearest(average_vector(positives, negatives))
            case _:
                assert_never(wanted.strategy)

    def _examples(self, given: list[VectorInput] | None, field: str) -> tuple[VectorValue, ...]:
        """Return the vectors of examples; points without the vector are left out, as Qdrant does here."""
        found = (self._find(one, f"{field}[{at}]") for at, one in enumerate(given or []))
        return tuple(vector for vector in found if vector is not None)

    def _pairs(self, given: Sequence[ContextPair], field: str) -> tuple[Pair, ...]:
        return tuple(
            (
                self._vector(pair.positive, f"{field}[{at}].positive"),
                self._vector(pair.negative, f"{field}[{at}].negative"),
            )
            for at, pair in enumerate(given)
        )

    def _feedback(self, wanted: RelevanceFeedbackInput) -> Feedback:
        coefficients = wanted.strategy.naive
        field = "relevance_feedback"
        return Feedback(
            target=self._vector(wanted.target, f"{field}.target"),
            examples=tuple(
                (self._vector(item.example, f"{field}.feedback[{at}].example"), item.score)
                for at, item in enumerate(wanted.feedback)
            ),
            a=coefficients.a,
            b=coefficients.b,
            c=coefficients.c,
        )

    def _vector(self, given: VectorInput, field: str) -> VectorValue:
        vector = self._find(given, field)
        if vector is None:
            raise PointNotFound(f'Vector with name "{self._place.vector}" for point not found')
        return vector

    def _find(self, given: VectorInput, field: str) -> VectorValue | None:
        point_id = as_point_id(given)
        if point_id is not None:
            return self._found.find(self._place, point_id)
        return given_vector(given, f"{self._path}query{f'.{field}' if field else ''}")


def _check(node: Node) -> None:
    """Raise ``BadRequest`` for a node that contradicts itself."""
    if node.query is None and children(node):
        raise BadRequest(
            "A query is needed to merge the prefetches. "
            "Can't have prefetches without defining a query."
        )
    if node.score_threshold is not None and isinstance(node.query, OrderByQuery):
        raise BadRequest("Can't use score_threshold with an order_by query.")
    if node.score_threshold is not None and node.query is None:
        raise BadRequest(
            "A query is needed to use the score_threshold. "
            "Can't have score_threshold without defining a query."
        )
    if node.using and isinstance(node.query, FusionQuery | RrfQuery):
        raise BadRequest("Fusion queries cannot be combined with the 'using' field.")
