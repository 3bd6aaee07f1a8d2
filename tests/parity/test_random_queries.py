"""Queries that nobody thought of: the deep run of them is ``python -m tests.parity random --profile deep``."""

from random import Random

from tests.parity.conftest import Running
from tests.parity.query_worlds import world
from tests.parity.tried_queries import Tried

_WORLDS, _QUERIES = 2, 130


def test_random_queries(both: Running) -> None:
    """Trees of prefetches with any scoring anywhere, groups and facets."""
    tried, rng = Tried(), Random(7)
    for at in range(_WORLDS):
        made = world(f"queried-{at}", rng, is_named=at == 0)
        both.try_queries(made, _QUERIES, rng, tried)
    assert not tried.differences, "\n".join(tried.differences)
    assert tried.compared == _WORLDS * _QUERIES
    assert tried.points > tried.compared, "hardly any query finds a point: the search is blind"
    assert tried.free + tried.refused.total() < tried.compared // 8
