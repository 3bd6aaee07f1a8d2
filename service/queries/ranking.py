"""The order of hits among each other."""

from service.model.points import Hit


def rank(hit: Hit) -> tuple[bool, float]:
    """Return what Qdrant compares hits by: the value of the field that they were ordered by, before any score.

    Source: ``impl Ord for ScoredPoint`` in lib/segment/src/types.rs.
    """
    if hit.order_value is None:
        return False, hit.score
    return True, hit.order_value
