"""How Qdrant joins the filter of a query with the filters of what stands below it."""

from service.model.qdrant import Condition, Filter, MinShould
from service.translate.clauses import Clause, conditions_in


def merged(outer: Filter | None, inner: Filter | None) -> Filter | None:
    """Return both filters as one, as ``Filter::merge`` in Qdrant's lib/segment/src/types.rs does it.

    The lists are put together one kind at a time. So two ``should`` become one list of alternatives, and of two
    ``min_should`` the larger count holds for the conditions of both.
    """
    if outer is None or inner is None:
        return outer or inner
    return Filter(
        must=_together(outer.must, inner.must),
        must_not=_together(outer.must_not, inner.must_not),
        should=_together(outer.should, inner.should),
        min_should=_at_least(outer.min_should, inner.min_should),
    )


def _together(outer: Clause, inner: Clause) -> list[Condition] | None:
    if outer is None and inner is None:
        return None
    return [*conditions_in(outer), *conditions_in(inner)]


def _at_least(outer: MinShould | None, inner: MinShould | None) -> MinShould | None:
    if outer is None or inner is None:
        return outer or inner
    return MinShould(
        conditions=[*outer.conditions, *inner.conditions],
        min_count=max(outer.min_count, inner.min_count),
    )
