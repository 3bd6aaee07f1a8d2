"""What an instance without Postgres answers, as a pure rule."""

import pytest

from service.control.state import Basis, CollectionState, View
from service.proxy.admission import refusal
from service.proxy.calls import Call, Kind, classify
from service.stages import Stage

STATES = [
    CollectionState("off", Stage.OFF, epoch=1),
    CollectionState("dual", Stage.DUALWRITE, 1, epoch=1),
    CollectionState("live", Stage.LIVE, 2, epoch=3),
]
UPSERT, SCROLL = ("PUT", "/collections/{}/points"), ("POST", "/collections/{}/points/scroll")
DROP, INDEX = ("DELETE", "/collections/{}"), ("PUT", "/collections/{}/index")


def _view(
    basis: Basis,
    *,
    default: Stage = Stage.OFF,
    is_known: bool = True,
    states: list[str] | None = None,
) -> View:
    chosen = [state for state in STATES if states is None or state.name in states]
    return View(1, chosen, default_stage=default, basis=basis, is_known=is_known,
                aliases={"alias": "live"})  # fmt: skip


def _call(request: tuple[str, str], name: str) -> Call:
    return classify(request[0], request[1].format(name))


@pytest.mark.parametrize("request_", [UPSERT, SCROLL, DROP, INDEX])
@pytest.mark.parametrize("name", ["off", "dual", "live", "new"])
def test_with_postgres_nothing_is_refused_here(request_: tuple[str, str], name: str) -> None:
    """The control table is in force: stages and epochs decide."""
    assert refusal(_call(request_, name), _view(Basis.CONTROL, default=Stage.DUALWRITE)) is None


@pytest.mark.parametrize(
    ("request_", "names"),
    [
        (UPSERT, {"off", "dual", "new"}),
        (SCROLL, {"off", "dual", "new"}),
        (DROP, {"off", "new"}),
        (INDEX, {"off", "new"}),
    ],
)
def test_what_the_source_is_right_for_goes_on(request_: tuple[str, str], names: set[str]) -> None:
    """Points of mirrored collections are hinted; what changes a whole one, or belongs to Postgres, waits for it."""
    view = _view(Basis.RECORDS)
    allowed = {
        name
        for name in ("off", "dual", "live", "alias", "new")
        if refusal(_call(request_, name), view) is None
    }
    assert allowed == names


def test_without_a_mark_only_what_is_not_mirrored_passes() -> None:
    """Others would not know that there is somebody to wait for."""
    view = _view(Basis.UNMARKED)
    assert refusal(_call(UPSERT, "off"), view) is None
    for request in (UPSERT, SCROLL):
        assert "takes no mark" in (refusal(_call(request, "dual"), view) or "")


def test_a_collection_that_is_mirrored_by_default_needs_postgres_once() -> None:
    """It has no tables yet, so no hint could say which; reads of it pass."""
    view = _view(Basis.RECORDS, default=Stage.DUALWRITE)
    assert "first write" in (refusal(_call(UPSERT, "new"), view) or "")
    assert refusal(_call(SCROLL, "new"), view) is None


def test_who_never_reached_postgres_writes_nothing() -> None:
    """Not even where the records say off: what is mirrored is not known for sure."""
    view = _view(Basis.RECORDS, is_known=False)
    for name in ("off", "dual", "new"):
        assert "has not reached Postgres" in (refusal(_call(UPSERT, name), view) or "")
        assert refusal(_call(SCROLL, name), view) is None
    assert refusal(_call(SCROLL, "live"), view) is not None
    assert refusal(Call(Kind.SERVICE, "POST"), view) is not None
    assert refusal(Call(Kind.SERVICE, "GET"), view) is None


def test_the_list_and_the_aliases_need_to_know_everything() -> None:
    """The list lacks what only Postgres has; aliases of anything mirrored must reach every instance."""
    listing, aliasing = Call(Kind.LIST, "GET"), Call(Kind.ALIASES, "POST")
    with_live, mirrored = _view(Basis.RECORDS), _view(Basis.RECORDS, states=["off", "dual"])
    plain = _view(Basis.RECORDS, states=["off"])
    assert [refusal(listing, view) is None for view in (with_live, mirrored, plain)] == [
        False,
        True,
        True,
    ]
    assert [refusal(aliasing, view) is None for view in (with_live, mirrored, plain)] == [
        False,
        False,
        True,
    ]


def test_without_the_aliases_an_unknown_name_takes_no_write() -> None:
    """It may be a new alias of a mirrored collection; sent on, the write would have no intent (R10)."""
    view = View(
        1, STATES, default_stage=Stage.OFF, aliases={"alias": "dual"}, has_all_aliases=False
    )
    refused = {
        name
        for name in ("off", "dual", "live", "alias", "new")
        if refusal(_call(UPSERT, name), view) is not None
    }
    assert refused == {"new"}
    assert refusal(_call(SCROLL, "new"), view) is None
