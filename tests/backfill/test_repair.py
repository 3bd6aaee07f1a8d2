"""What a repair does with an id, by which store is right and how the id differs."""

import pytest

from backfill.canonical import Kind
from backfill.confirming import Judgement
from backfill.repair import Action, outcome, outcome_json, plan, plan_json
from service.model.ids import encode_key
from service.stages import Side


@pytest.mark.parametrize(
    ("authority", "kinds", "action"),
    [
        (Side.SOURCE, (Kind.MISSING,), Action.WRITE_TARGET),
        (Side.SOURCE, (Kind.EXTRA,), Action.DELETE_TARGET),
        (Side.SOURCE, (Kind.PAYLOAD, Kind.VECTOR), Action.WRITE_TARGET),
        (Side.SOURCE, (Kind.VECTOR,), Action.WRITE_TARGET),
        (Side.TARGET, (Kind.MISSING,), Action.DELETE_SOURCE),
        (Side.TARGET, (Kind.EXTRA,), Action.WRITE_SOURCE),
        (Side.TARGET, (Kind.PAYLOAD,), Action.WRITE_SOURCE),
        (Side.TARGET, (Kind.VECTOR,), Action.WRITE_SOURCE),
    ],
)
def test_the_other_store_is_made_equal(
    authority: Side, kinds: tuple[Kind, ...], action: Action
) -> None:
    """The authority is never changed: what only the other store has is deleted there."""
    key = encode_key(1)
    assert plan([Judgement(key, kinds)], authority, quarantined=()).actions == {key: action}


def test_what_need_not_be_touched_is_not() -> None:
    """Equal, named by a write on its way, or impossible to hold: each is said and none is copied."""
    keys = [encode_key(number) for number in range(4)]
    judged = [
        Judgement(keys[0], ()),
        Judgement(keys[1], (Kind.PAYLOAD,), is_settled=False),
        Judgement(keys[2], (Kind.MISSING,)),
        Judgement(keys[3], (Kind.MISSING,)),
    ]
    found = plan_json(plan(judged, Side.SOURCE, quarantined={keys[2]}))
    assert found == {
        "to_repair": 1,
        "kinds": {"missing": 1},
        "actions": {"write to target": 1},
        "first_ids": {"write to target": [3]},
        "equal": 1,
        "pending": [1],
        "quarantined": [2],
    }


def test_a_long_list_is_counted_whole_and_shown_in_part() -> None:
    """The first ids are enough to look at by hand."""
    judged = [Judgement(encode_key(number), (Kind.EXTRA,)) for number in range(100)]
    found = plan_json(plan(judged, Side.TARGET, quarantined=()))
    assert found["actions"] == {"write to source": 100}
    assert found["first_ids"] == {"write to source": list(range(20))}


def test_what_is_left_is_named() -> None:
    """After a repair an id is equal, differs still, or is written again."""
    judged = [
        Judgement(encode_key(1), ()),
        Judgement(encode_key(2), (Kind.VECTOR,)),
        Judgement(encode_key(3), (Kind.MISSING,), is_settled=False),
        Judgement(encode_key(4), (), is_settled=False),
    ]
    assert outcome_json(outcome(judged)) == {
        "repaired": 1,
        "differing": [{"id": 2, "kinds": ["vector"]}],
        "unsettled": [3, 4],
    }
