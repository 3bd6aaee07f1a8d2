"""Who reads from the target at which percentage."""

from hypothesis import given
from hypothesis import strategies as st

from service.control.ramp import collection_moves, tenant_moves

_names = st.sets(st.text(min_size=1, max_size=8), min_size=1, max_size=12)
_percents = st.integers(0, 100)


def _moved(names: set[str], percent: int) -> set[str]:
    return {name for name in names if collection_moves(name, percent, names)}


@given(_names, _percents, _percents)
def test_growing_the_percentage_only_adds_collections(names: set[str], a: int, b: int) -> None:
    """A collection that moved stays moved when the percentage grows."""
    assert _moved(names, min(a, b)) <= _moved(names, max(a, b))


@given(_names, _percents)
def test_the_share_is_rounded_up(names: set[str], percent: int) -> None:
    """At N % of the collections ceil(N % × count) have moved, so none at 0 and all at 100."""
    assert len(_moved(names, percent)) == -(-len(names) * percent // 100)


def test_ten_percent_of_five_moves_one() -> None:
    """A small fleet begins with one collection, not with none."""
    assert len(_moved({"a", "b", "c", "d", "e"}, 10)) == 1


@given(_names, _percents)
def test_a_collection_gets_the_same_answer_in_any_order(names: set[str], percent: int) -> None:
    """The decision hangs on the set of ramping collections, not on the order in which they are listed."""
    for name in names:
        forward = collection_moves(name, percent, sorted(names))
        assert forward == collection_moves(name, percent, sorted(names, reverse=True))


@given(st.text(), _percents, _percents)
def test_growing_the_percentage_only_adds_tenants(tenant: str, a: int, b: int) -> None:
    """A tenant that moved stays moved when the percentage grows."""
    assert tenant_moves(tenant, min(a, b)) <= tenant_moves(tenant, max(a, b))


def test_tenants_spread_evenly() -> None:
    """At 30 % about 30 % of many tenants move, none at 0 % and all at 100 %."""
    tenants = [f"tenant-{number}" for number in range(2_000)]
    assert 0.25 < sum(tenant_moves(tenant, 30) for tenant in tenants) / len(tenants) < 0.35
    assert not any(tenant_moves(tenant, 0) for tenant in tenants)
    assert all(tenant_moves(tenant, 100) for tenant in tenants)


def test_the_decision_outlives_the_process() -> None:
    """The hash is not Python's own, which differs between processes: these tenants move at 10 % everywhere."""
    moved = [number for number in range(100) if tenant_moves(f"tenant-{number}", 10)]
    assert moved == [34, 42, 66, 69, 83, 85, 98]
