"""A query in which everything is looked up: ids have become vectors, defaults are filled in.

It is what stores execute. The tree has Qdrant's shape: a node scores what its filter leaves of the collection or, when
it has ``branches``, what these returned.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Self, TypeAlias

from service.model.ids import PointId
from service.model.points import UNNAMED, VectorValue
from service.model.qdrant import (
    Direction,
    Expression,
    Filter,
    OrderBy,
    SearchParams,
    WithPayloadInterface,
    WithVector,
)

Pair: TypeAlias = tuple[VectorValue, VectorValue]
"""A positive and a negative example."""


@dataclass(frozen=True, slots=True, eq=False)
class Nearest:
    """Similarity to one vector, as the collection's distance has it."""

    vector: VectorValue


@dataclass(frozen=True, slots=True, eq=False)
class BestScore:
    """The best positive example against the best negative one."""

    positives: tuple[VectorValue, ...]
    negatives: tuple[VectorValue, ...]


@dataclass(frozen=True, slots=True, eq=False)
class SumScores:
    """Similarities to the positive examples minus those to the negative ones."""

    positives: tuple[VectorValue, ...]
    negatives: tuple[VectorValue, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Discover:
    """Similarity to the target inside the zone that the pairs mark."""

    target: VectorValue
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Context:
    """How well a point stands on the positive side of all pairs; 0 is the best."""

    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Feedback:
    """Relevance feedback: the target, examples with the scores somebody gave them, and the strategy's coefficients."""

    target: VectorValue
    examples: tuple[tuple[VectorValue, float], ...]
    a: float
    b: float
    c: float


VectorScoring: TypeAlias = Nearest | BestScore | SumScores | Discover | Context | Feedback


@dataclass(frozen=True, slots=True, eq=False)
class ByVector:
    """Score by the stored vectors of one name."""

    scoring: VectorScoring
    using: str = UNNAMED


@dataclass(frozen=True, slots=True, eq=False)
class ByDiversity:
    """Maximal marginal relevance: nearest ``candidates`` points, then greedily the relevant and unlike ones.

    ``diversity`` is 1 - lambda, in 0 … 1.
    """

    vector: VectorValue
    using: str
    diversity: float
    candidates: int


@dataclass(frozen=True, slots=True)
class ByField:
    """The order of an indexed payload field; ``start_from`` is a number, or a moment in RFC 3339."""

    key: str
    direction: Direction = Direction.ASC
    start_from: float | int | str | None = None

    @classmethod
    def of(cls, order: OrderBy | str) -> Self:
        """Return the order that a request asks for, a field's name alone being the ascending one."""
        if isinstance(order, str):
            return cls(order)
        start = order.start_from
        return cls(
            order.key,
            order.direction or Direction.ASC,
            start.isoformat() if isinstance(start, date) else start,
        )


@dataclass(frozen=True, slots=True)
class ByReciprocalRank:
    """Reciprocal rank fusion of the branches; ``weights`` has one per branch."""

    k: int = 2
    weights: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True)
class ByDistribution:
    """Distribution-based score fusion of the branches."""


@dataclass(frozen=True, slots=True, eq=False)
class ByFormula:
    """An expression over scores and payload of what the branches returned."""

    formula: Expression
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AtRandom:
    """A random sample."""


Scoring: TypeAlias = (
    ByVector | ByDiversity | ByField | ByReciprocalRank | ByDistribution | ByFormula | AtRandom
)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Branch:
    """One node of the tree. Without ``scoring`` it is the points in id order, each with the score 1."""

    limit: int
    scoring: Scoring | None = None
    branches: "tuple[Branch, ...]" = ()
    filter: Filter | None = None
    score_threshold: float | None = None
    params: SearchParams | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ResolvedQuery(Branch):
    """The root; ``excluded`` are the points whose ids the request named anywhere, which are never answered."""

    offset: int = 0
    excluded: tuple[PointId, ...] = ()
    with_payload: WithPayloadInterface | None = None
    with_vector: WithVector | None = None
