"""Which searches have answers that can be compared."""

from uuid import UUID

from service.model.qdrant import NearestQuery, QueryRequest

DEFAULT_LIMIT = 10
LARGEST_LIMIT = 1_000


def limit_of(query: QueryRequest) -> int:
    """Return how many hits the search asks for."""
    return DEFAULT_LIMIT if query.limit is None else query.limit


def is_comparable(query: QueryRequest) -> bool:
    """Say whether the search is for the nearest points, from the first on, up to a bounded number.

    Other searches are random, fused or ranked by rules under which equal stores may differ; a page
    with an offset has two cuts, and equals may be lost at both. Nor can one be compared that looks into
    another collection: each store has its own copy of that one.
    """
    is_first_page = not query.offset and limit_of(query) <= LARGEST_LIMIT
    is_alone = not query.prefetch and query.lookup_from is None
    return is_first_page and is_alone and _is_nearest(query)


def _is_nearest(query: QueryRequest) -> bool:
    match query.query:
        case NearestQuery(mmr=mmr):
            return mmr is None
        case list() | int() | str() | UUID():
            return True
        case _:
            return False
