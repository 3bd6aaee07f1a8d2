"""Reads that look into another collection."""

import orjson
import pytest

from service.control.state import CollectionState, View
from service.errors import Unsupported
from service.proxy.calls import classify
from service.proxy.lookups import may_look_elsewhere, others, refuse_elsewhere
from service.stages import Stage

LIVE = CollectionState("live", Stage.LIVE, 1, epoch=3, aliases=frozenset({"alias"}))
OFF = CollectionState("off", Stage.OFF, epoch=1)
VIEW = View(1, [LIVE, OFF], default_stage=Stage.OFF)

NESTED = {
    "prefetch": [{"query": 1}, {"query": 2, "lookup_from": {"collection": "off", "vector": "v"}}],
    "query": {"fusion": "rrf"},
}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"query": 1, "lookup_from": {"collection": "off"}}, "lookup_from"),
        (NESTED, "prefetch[1].lookup_from"),
        ({"group_by": "a", "with_lookup": "off"}, "with_lookup"),
        ({"group_by": "a", "with_lookup": {"collection": "off"}}, "with_lookup"),
        ({"searches": [{"lookup_from": {"collection": "off"}}]}, "searches[0].lookup_from"),
    ],
)
def test_the_place_is_named(body: object, place: str) -> None:
    """A read of a collection in Postgres looks into one that Qdrant is right for: refused, saying where."""
    found = others(orjson.dumps(body), LIVE, VIEW)
    assert {where: state.name for where, state in found.items()} == {place: "off"}
    with pytest.raises(Unsupported) as caught:
        refuse_elsewhere(LIVE, found)
    assert caught.value.path == place
    refuse_elsewhere(OFF, found)


def test_itself_under_another_name_is_no_other() -> None:
    """An alias of the collection, or its own name."""
    for name in ("alias", "live"):
        body = orjson.dumps({"lookup_from": {"collection": name}})
        assert others(body, LIVE, VIEW) == {}


@pytest.mark.parametrize("body", [b"lookup", b"", b'{"lookup_from": 1}', b'["lookup"]'])
def test_what_cannot_be_read_looks_nowhere(body: bytes) -> None:
    """The store refuses it."""
    assert others(body, LIVE, VIEW) == {}


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([LIVE], True),
        ([OFF], False),
        ([OFF, CollectionState("dual", Stage.SHADOW, 1)], False),
        ([CollectionState("ramp", Stage.RAMP, 1)], True),
    ],
)
def test_bodies_are_read_only_where_it_matters(
    states: list[CollectionState], expected: bool
) -> None:
    """Where one store is right for everything it knows better; others stream through."""
    view = View(1, states, default_stage=Stage.OFF)
    search = classify("POST", "/collections/c/points/query/batch")
    assert may_look_elsewhere(search, view) is expected
    assert not may_look_elsewhere(classify("POST", "/collections/c/points/scroll"), view)
    assert not may_look_elsewhere(classify("PUT", "/collections/c/points"), view)
