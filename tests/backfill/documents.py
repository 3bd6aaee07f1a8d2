"""Receipts for tests that need no verification."""

from datetime import UTC, datetime
from uuid import UUID

from backfill.canonical import Kind
from backfill.digest import Digest
from backfill.key_range import KeyRange
from backfill.receipt import Difference, RangeFindings, Receipt
from backfill.surroundings import Surroundings
from backfill.verify import Findings
from service.model.ids import PointId, encode_key

DIGEST = Digest(7, 9)
FINDINGS = Findings(5, 6, 7, 2, 2, DIGEST, DIGEST)
CUT = encode_key(10)


def receipt_of(
    *differing: PointId,
    unsettled: tuple[PointId, ...] = (),
    excluded: tuple[PointId, ...] = (),
    findings: Findings = FINDINGS,
    collection: str = "docs",
) -> Receipt:
    """Return a receipt over two ranges, both with these findings."""
    return Receipt(
        id=UUID(int=5),
        collection=collection,
        generation=3,
        surroundings=Surroundings("shadow", 8, "source", {"vecferry": "0.1", "qdrant": "1.17"}),
        started_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        finished_at=datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC),
        ranges=[
            RangeFindings(KeyRange(None, CUT), findings),
            RangeFindings(KeyRange(CUT, None), findings),
        ],
        confirmed=[Difference(i, (Kind.PAYLOAD, Kind.VECTOR)) for i in differing],
        unsettled=[Difference(i, (Kind.MISSING,)) for i in unsettled],
        excluded=excluded,
    )
