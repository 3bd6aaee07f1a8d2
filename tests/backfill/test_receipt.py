"""What a receipt says, and when it is clean."""

from dataclasses import replace

import orjson

from backfill.canonical import Kind
from backfill.digest import Digest
from backfill.key_range import KeyRange
from backfill.receipt import CANNOT_CATCH, MOST_LISTED, RangeFindings
from tests.backfill.documents import DIGEST, FINDINGS, receipt_of


def test_it_is_clean_only_without_anything_against_it() -> None:
    """A difference, an open id or a fault is against it; waived ids are not."""
    assert receipt_of().is_clean
    assert receipt_of(excluded=(1, 2)).is_clean
    assert not receipt_of(1).is_clean
    assert not receipt_of(unsettled=(1,)).is_clean
    assert not receipt_of(findings=replace(FINDINGS, kept=1)).is_clean
    gap = replace(receipt_of(), ranges=[RangeFindings(KeyRange(None, b"x"), FINDINGS)])
    assert gap.faults == ["the last range does not end at the highest id"]
    assert not gap.is_clean
    assert not replace(receipt_of(), ranges=[]).is_clean


def test_points_that_agreed_and_digests_that_do_not_are_a_fault() -> None:
    """Two ways of looking that contradict each other prove nothing; the bits may differ."""
    other = replace(FINDINGS, target_digest=Digest(8, 9))
    assert receipt_of(findings=other).faults == [
        f"the points of range {number} agreed, their digests do not" for number in (0, 1)
    ]
    assert receipt_of(findings=replace(FINDINGS, target_digest=Digest(7, 0))).is_clean


def test_the_document_is_whole_and_its_lists_are_bounded() -> None:
    """Counts are exact, ids are cut, bounds are ids, and there is nothing but integers and texts."""
    receipt = receipt_of(*range(MOST_LISTED + 5), 2**64 - 1, unsettled=(4,), excluded=(9,))
    document = receipt.to_json()
    assert orjson.loads(orjson.dumps(document)) == document
    assert _kinds_of(document) <= {str, int, bool, dict, list, type(None)}
    assert document["differing"] == MOST_LISTED + 6
    assert len(_listed(document, "differing_ids")) == MOST_LISTED
    assert len(_listed(receipt.summary(), "differing_ids")) == 100
    assert document["counts"] == {
        Kind.MISSING: 0, Kind.EXTRA: 0, Kind.PAYLOAD: MOST_LISTED + 6, Kind.VECTOR: MOST_LISTED + 6,
    }  # fmt: skip
    assert document["unsettled_ids"] == [{"id": 4, "kinds": ["missing"]}]
    assert document["excluded_ids"] == [9]
    first, last = _listed(document, "ranges")
    assert (first["from"], first["until"], last["from"], last["until"]) == (None, 10, 10, None)
    assert (document["source_points"], document["target_points"]) == (10, 12)
    assert (document["compared"], document["rechecked"]) == (14, 4)
    assert document["digest"] == {
        "covers": "the points that agreed at first sight; see docs/verification.md",
        "points": 10,
        "source": (DIGEST + DIGEST).to_json(),
        "target": (DIGEST + DIGEST).to_json(),
    }
    assert len(_listed(document, "cannot_catch")) == len(CANNOT_CATCH)


def _listed(document: dict[str, object], name: str) -> list[dict[str, object]]:
    found = document[name]
    assert isinstance(found, list)
    return found


def _kinds_of(value: object) -> set[type]:
    inner = (
        list(value.values())
        if isinstance(value, dict)
        else value
        if isinstance(value, list)
        else []
    )
    return {type(value)}.union(*map(_kinds_of, inner))
