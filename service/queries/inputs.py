"""The vectors of a query as a client wrote them: given in the request, or the id of a point that has them."""

from collections.abc import Iterator
from uuid import UUID

import numpy as np

from service.errors import Unsupported, WrongInput
from service.model.ids import PointId
from service.model.points import FloatArray, SparseVector, VectorValue
from service.model.qdrant import (
    ContextPair,
    ContextQuery,
    DiscoverQuery,
    Document,
    FormulaQuery,
    FusionQuery,
    Image,
    InferenceObject,
    NearestQuery,
    OrderByQuery,
    QueryInterface,
    RecommendQuery,
    RelevanceFeedbackQuery,
    RrfQuery,
    SampleQuery,
    TextQuery,
    VectorInput,
)
from service.model.qdrant import SparseVector as SparseInput
from service.translate.point_ids import point_id_of


def vector_inputs(query: QueryInterface | None) -> Iterator[VectorInput]:
    """Yield everything in a query, without its prefetches, that stands for a vector."""
    # The most frequent kinds first: to ask whether something is a pydantic model takes a while.
    match query:
        case list() | int() | str() | UUID():
            yield query
        case NearestQuery(nearest=nearest):
            yield nearest
        case None | OrderByQuery() | FusionQuery() | RrfQuery() | FormulaQuery() | SampleQuery():
            return
        case TextQuery():
            return
        case RecommendQuery(recommend=wanted):
            yield from wanted.positive or []
            yield from wanted.negative or []
        case DiscoverQuery(discover=wanted):
            yield wanted.target
            for pair in pairs(wanted.context):
                yield from (pair.positive, pair.negative)
        case ContextQuery(context=context):
            for pair in pairs(context):
                yield from (pair.positive, pair.negative)
        case RelevanceFeedbackQuery(relevance_feedback=wanted):
            yield wanted.target
            yield from (item.example for item in wanted.feedback)
        case _:
            yield query


def pairs(given: list[ContextPair] | ContextPair | None) -> list[ContextPair]:
    """Return the pairs of a context, which may be one alone."""
    if given is None:
        return []
    return given if isinstance(given, list) else [given]


def as_point_id(value: VectorInput) -> PointId | None:
    """Return the canonical id when the input is one. Raises ``MalformedBody``."""
    if not isinstance(value, int | str | UUID):
        return None
    return point_id_of(value)


def given_vector(value: VectorInput | FloatArray, path: str) -> VectorValue:
    """Return a vector that the request itself holds; sparse ones sorted by index.

    Raises ``Unsupported`` with the path for what a model would have to make a vector of.
    """
    match value:
        case np.ndarray():
            return value
        case list():
            return _dense(value)
        case SparseInput(indices=indices, values=values):
            order = np.argsort(np.asarray(indices, dtype=np.int64), kind="stable")
            return SparseVector(
                np.asarray(indices, dtype=np.uint32)[order],
                _floats(values)[order],
            )
        case Document() | Image() | InferenceObject():
            raise Unsupported(path, "asks for inference, which this store has not")
        case _:
            raise Unsupported(path)


def _dense(value: list[float] | list[list[float]]) -> FloatArray:
    if value and isinstance(value[0], list):
        expected = len(value[0])
        for row in value:
            if len(row) != expected:
                raise WrongInput(
                    f"Vector dimension error: expected dim: {expected}, got {len(row)}"
                )
        return _floats(value)
    with np.errstate(over="ignore"):  # as in _floats, without a look at what the list is made of
        return np.fromiter(value, np.float32, len(value))


def _floats(value: list[float] | list[list[float]]) -> FloatArray:
    with np.errstate(over="ignore"):  # infinite, as in Qdrant
        return np.asarray(value, dtype=np.float32)
