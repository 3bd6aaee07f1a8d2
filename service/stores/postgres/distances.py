"""How each distance is computed by pgvector, answered as Qdrant's score, and served by an HNSW index.

Cosine and dot compare by inner product: cosine vectors are stored normalised. Only whole bytes are not, so those are
compared by pgvector's own cosine.
"""

from dataclasses import dataclass
from typing import LiteralString

from service.model.qdrant import Datatype, Distance
from service.stores.configuration import VectorKind
from service.stores.postgres.vector_tables import VectorTable
from service.translate.sql import Argument, Identifier, Sql, number, sql

MAX_INDEXED_DIMENSIONS = 2_000
"""pgvector's bound for an index on ``vector``."""
MAX_INDEXED_HALF_DIMENSIONS = 4_000
"""pgvector's bound for an index on ``halfvec``."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One of pgvector's operators: smaller is nearer.

    ``family`` is the middle of its operator classes' names; ``higher_is_better`` is the sense of Qdrant's score.
    """

    operator: LiteralString
    family: str
    higher_is_better: bool

    def score(self, distance: Sql) -> Sql:
        """Return Qdrant's score, a ``real``, from the operator's value."""
        match self.operator:
            case "<#>":
                return sql("(-(", distance, "))::real")
            case "<=>":
                return sql(cosine(distance), "::real")
            case _:
                return sql("(", distance, ")::real")


def cosine(distance: Sql) -> Sql:
    """Return the cosine from its distance. A vector of length zero is at no angle to anything: Qdrant calls that 0."""
    return sql("(1 - coalesce(nullif(", distance, ", 'NaN'), 1))")


_INNER_PRODUCT = Metric("<#>", "ip", higher_is_better=True)
_COSINE = Metric("<=>", "cosine", higher_is_better=True)
_EUCLID = Metric("<->", "l2", higher_is_better=False)
_MANHATTAN = Metric("<+>", "l1", higher_is_better=False)


def metric(table: VectorTable) -> Metric:
    """Return how vectors of this table are compared."""
    match table.distance:
        case Distance.COSINE if table.spec.datatype is Datatype.UINT8:
            return _COSINE
        case Distance.COSINE | Distance.DOT:
            return _INNER_PRODUCT
        case Distance.EUCLID:
            return _EUCLID
        case Distance.MANHATTAN:
            return _MANHATTAN


def distance(table: VectorTable, vector: Argument) -> Sql:
    """Return the operator's value between the row ``v`` and a vector in stored form."""
    return sql("v.embedding ", _operator(table), " ", vector, "::", table.type)


def indexed_distance(table: VectorTable, vector: Argument) -> Sql:
    """Return what to order by so that the HNSW index serves it, halved values where that is what it holds."""
    if not indexes_halves(table):
        return distance(table, vector)
    half = _half(table)
    return sql(
        "(v.embedding::", half, ") ", _operator(table), " ", vector, "::", table.type, "::", half
    )


def is_indexable(table: VectorTable) -> bool:
    """Say whether pgvector can index these vectors at all."""
    if table.kind is not VectorKind.DENSE:
        return False
    if table.size <= MAX_INDEXED_DIMENSIONS:
        return True
    # The values of a unit vector fit half precision; others might not, and then their rows could not be written.
    fits_halves = table.is_half or table.distance is Distance.COSINE
    return fits_halves and table.size <= MAX_INDEXED_HALF_DIMENSIONS


def indexes_halves(table: VectorTable) -> bool:
    """Say whether the index holds less than the table, so that what it finds has to be ranked once more."""
    return not table.is_half and table.size > MAX_INDEXED_DIMENSIONS


def index_expression(table: VectorTable) -> Sql:
    """Return the indexed expression and its operator class."""
    halves = indexes_halves(table)
    kind = "halfvec" if halves or table.is_half else "vector"
    operators = table.of_extension(f"{kind}_{metric(table).family}_ops")
    column = sql("((embedding::", _half(table), "))") if halves else sql("embedding")
    return sql(column, " ", operators)


def _half(table: VectorTable) -> Sql:
    return sql(table.of_extension("halfvec"), "(", number(table.size), ")")


def _operator(table: VectorTable) -> Sql:
    return sql("OPERATOR(", Identifier((table.extension,)), ".", metric(table).operator, ")")
