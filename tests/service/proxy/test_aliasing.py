"""Which store carries out a list of alias actions."""

import orjson
import pytest

from service.control.state import CollectionState, View
from service.errors import CollectionExists, Unsupported
from service.proxy.aliasing import parse_change, refuse_taken, side_of
from service.stages import Side, Stage

LIVE = CollectionState("live", Stage.LIVE, 1, epoch=3, aliases=frozenset({"of-live"}))
DUAL = CollectionState("dual", Stage.DUALWRITE, 2, epoch=1)


def _view(default: Stage = Stage.OFF) -> View:
    return View(
        1, [LIVE, DUAL], default_stage=default, aliases={"of-dual": "dual", "of-old": "old"}
    )


def _create(alias: str, collection: str) -> dict[str, object]:
    return {"create_alias": {"alias_name": alias, "collection_name": collection}}


def _delete(alias: str) -> dict[str, object]:
    return {"delete_alias": {"alias_name": alias}}


def _rename(old: str, new: str) -> dict[str, object]:
    return {"rename_alias": {"old_alias_name": old, "new_alias_name": new}}


@pytest.mark.parametrize(
    ("actions", "side"),
    [
        ([_create("a", "live")], Side.TARGET),
        ([_create("a", "dual")], Side.SOURCE),
        ([_create("a", "unknown")], Side.SOURCE),
        ([_delete("of-live"), _create("of-live", "live")], Side.TARGET),
        ([_delete("of-dual"), _create("of-dual", "old")], Side.SOURCE),
        ([_rename("of-live", "b")], Side.TARGET),
        ([_rename("of-old", "b")], Side.SOURCE),
        ([_delete("nothing")], Side.SOURCE),
        ([], Side.SOURCE),
    ],
)
def test_the_collections_decide(actions: list[object], side: Side) -> None:
    """Those that get an alias, and those that have one of the names now."""
    change = parse_change(orjson.dumps({"actions": actions}))
    assert side_of(change, _view()) is side


@pytest.mark.parametrize(
    "actions",
    [
        [_create("a", "live"), _create("b", "dual")],
        [_create("of-live", "dual")],
        [_rename("of-dual", "of-live")],
    ],
)
def test_no_list_spans_both(actions: list[object]) -> None:
    """Also when an alias would only move from one to the other."""
    change = parse_change(orjson.dumps({"actions": actions}))
    with pytest.raises(Unsupported, match=r"`dual`.*`live`"):
        side_of(change, _view())


def test_a_new_name_belongs_to_where_new_collections_go() -> None:
    """An action on nothing that is known."""
    change = parse_change(orjson.dumps({"actions": [_delete("nothing")]}))
    assert side_of(change, _view(Stage.COMPLETE)) is Side.TARGET


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"actions": 1}', b'{"actions": [1, {"create_alias": 2}]}', b"null"],
)
def test_what_cannot_be_read_is_left_to_the_store(body: bytes) -> None:
    """It refuses it in its own words."""
    change = parse_change(body)
    assert (change.names, change.made) == (set(), [])


def test_a_collection_of_the_other_store_keeps_its_name() -> None:
    """The store that carries out the change knows its own."""
    view = _view()
    refuse_taken(["free", "live"], view, Side.TARGET, ["live", "dual"])
    with pytest.raises(CollectionExists):
        refuse_taken(["dual"], view, Side.TARGET, ["live", "dual"])
    with pytest.raises(CollectionExists):
        refuse_taken(["live"], view, Side.SOURCE, ["live", "dual"])
