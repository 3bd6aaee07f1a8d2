"""Tests of the comparison of answers with what a client was told."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from service.model.ids import PointId
from service.model.points import Payload
from tests.demo import memory as remembered
from tests.demo.journal import Kind, Wrong
from tests.demo.memory import OWNER, Memory

COLLECTION = "user_ada_transcriptions"
VECTOR = np.array([0.6, 0.8], dtype=np.float32)


@dataclass(frozen=True)
class Record:
    """An answer of a store, true or not."""

    id: PointId
    payload: Payload | None = None
    vector: object = field(default_factory=lambda: [0.6, 0.8])


@pytest.fixture
def memory() -> Memory:
    """Hold 1 (owned), 2 (not owned), have deleted 3, and doubt 4."""
    told = Memory("client_0")
    told.hold(COLLECTION, 1, {OWNER: "client_0", "text": "one"}, VECTOR)
    told.hold(COLLECTION, 2, {"text": "two"}, VECTOR)
    told.hold(COLLECTION, 3, {OWNER: "client_0"}, VECTOR)
    told.hold(COLLECTION, 4, {OWNER: "client_0"}, VECTOR)
    told.delete(COLLECTION, [3])
    told.doubt(COLLECTION, [4])
    return told


def kinds(wrongs: list[Wrong]) -> list[Kind]:
    """Return what was found wrong."""
    return [wrong.kind for wrong in wrongs]


def test_a_true_answer_is_accepted(memory: Memory) -> None:
    """What is held reads as written, what was deleted is absent."""
    records = [
        Record(1, {OWNER: "client_0", "text": "one"}, [0.6, 0.8]),
        Record(2, {"text": "two"}, [0.6, 0.8]),
    ]
    assert remembered.check_records(memory, COLLECTION, [1, 2, 3], records) == []


def test_a_lost_write_is_found(memory: Memory) -> None:
    """A held point that is not answered was lost."""
    assert kinds(remembered.check_records(memory, COLLECTION, [1], [])) == [Kind.LOST]


def test_a_point_that_came_back_is_found(memory: Memory) -> None:
    """A deleted point that is answered was resurrected."""
    wrongs = remembered.check_records(memory, COLLECTION, [3], [Record(3, {})])
    assert kinds(wrongs) == [Kind.UNEXPECTED]


def test_a_stale_payload_is_found(memory: Memory) -> None:
    """An older payload is not what the client was told, also when a key is merely missing."""
    memory.merge(COLLECTION, 2, {"revision": 2})
    wrongs = remembered.check_records(memory, COLLECTION, [2], [Record(2, {"text": "two"})])
    assert kinds(wrongs) == [Kind.STALE_PAYLOAD]


@pytest.mark.parametrize("vector", [[0.8, 0.6], [0.6, 0.80001], [0.6], {}, None])
def test_a_wrong_vector_is_found(memory: Memory, vector: object) -> None:
    """Another vector, a coarser one, one of another shape, or none at all."""
    record = Record(2, {"text": "two"}, vector)
    wrongs = remembered.check_records(memory, COLLECTION, [2], [record])
    assert kinds(wrongs) == [Kind.STALE_VECTOR]


def test_a_point_that_was_not_asked_for_is_malformed(memory: Memory) -> None:
    """An answer holds no strangers."""
    wrongs = remembered.check_records(memory, COLLECTION, [3], [Record(99, {})])
    assert kinds(wrongs) == [Kind.MALFORMED]


def test_nothing_is_said_of_a_doubtful_point(memory: Memory) -> None:
    """A write whose end is unknown may have happened or not."""
    assert remembered.check_records(memory, COLLECTION, [4], []) == []
    assert remembered.check_records(memory, COLLECTION, [4], [Record(4, {"new": 1})]) == []


def test_payload_changes_are_remembered(memory: Memory) -> None:
    """Set merges, overwrite replaces, delete removes, and a new upsert brings a point back."""
    memory.merge(COLLECTION, 1, {"a": 1})
    memory.remove_key(COLLECTION, 1, "text")
    memory.remove_key(COLLECTION, 1, "never there")
    memory.overwrite(COLLECTION, 2, {"b": 2})
    memory.hold(COLLECTION, 3, {"again": True}, VECTOR)
    payloads = {key: held.payload for key, held in memory.held(COLLECTION).items()}
    assert payloads == {1: {OWNER: "client_0", "a": 1}, 2: {"b": 2}, 3: {"again": True}}
    assert not memory.deleted(COLLECTION)


def test_a_scroll_must_hold_all_owned_points_and_no_other(memory: Memory) -> None:
    """Missing, extra and repeated records are each found."""
    mine = Record(1, {OWNER: "client_0", "text": "one"})
    check = remembered.check_owned
    assert check(memory, COLLECTION, [mine]) == []
    assert kinds(check(memory, COLLECTION, [])) == [Kind.LOST]
    assert kinds(check(memory, COLLECTION, [mine, Record(3, {})])) == [Kind.UNEXPECTED]
    assert kinds(check(memory, COLLECTION, [mine, mine])) == [Kind.MALFORMED]
    assert check(memory, COLLECTION, [mine, Record(4, {})]) == []


def test_a_wrong_count_is_found_unless_a_point_is_doubtful(memory: Memory) -> None:
    """One owned point counts one."""
    certain = Memory("client_0")
    certain.hold(COLLECTION, 1, {OWNER: "client_0"}, VECTOR)
    assert remembered.check_count(certain, COLLECTION, 1) == []
    assert kinds(remembered.check_count(certain, COLLECTION, 2)) == [Kind.WRONG_COUNT]
    assert remembered.check_count(memory, COLLECTION, 2) == []


def test_hits_show_no_deleted_point_and_own_points_as_told(memory: Memory) -> None:
    """Other clients' points are nobody's business here."""
    hits = [Record(3, {}), Record(2, {"text": "old"}), Record(77, {"text": "not mine"})]
    wrongs = remembered.check_hits(memory, COLLECTION, hits)
    assert kinds(wrongs) == [Kind.UNEXPECTED, Kind.STALE_PAYLOAD]


def test_a_search_must_be_full_and_in_order() -> None:
    """Ten are asked for and ten come, best first."""
    assert remembered.check_scores(COLLECTION, [0.9, 0.9, 0.1], 3) == []
    assert kinds(remembered.check_scores(COLLECTION, [0.9, 0.1], 3)) == [Kind.MALFORMED]
    assert kinds(remembered.check_scores(COLLECTION, [0.1, 0.9], 2)) == [Kind.MALFORMED]


def test_a_search_for_a_point_must_find_it() -> None:
    """A just-written point that its own vector does not find is an error."""
    assert remembered.check_found(COLLECTION, 1, [Record(2), Record(1)]) == []
    assert kinds(remembered.check_found(COLLECTION, 1, [Record(2)])) == [Kind.NOT_FOUND]
