"""The document of a finished verification: what was compared, how much of it, what differs, what was not looked at.

It has integers and texts only, so that it is the same after any number of trips through JSON and jsonb: its signature
is made over that form.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from backfill.canonical import HALF_TOLERANCE, TOLERANCE, Kind
from backfill.digest import Digest
from backfill.enumeration import uncovered
from backfill.key_range import KeyRange
from backfill.surroundings import Surroundings
from backfill.verify import Findings
from service.model.ids import PointId, decode_key
from service.model.moments import as_text

FORMAT = "vecferry-receipt/1"
MOST_LISTED = 1_000
"""Differing ids in the document; the control API has all of them."""

CANNOT_CATCH: Mapping[str, str] = {
    "Writes that were made after their id was read": (
        "They are mirrored like any other, and the ledger has what is not settled."
    ),
    "A client that wrote to one store around vecferry, after its id was read": (
        "The bypass detector watches for it; verify again."
    ),
    "A fail-over or a restart from a backup of either store afterwards": (
        "It voids this receipt: verify again."
    ),
    "A store whose queries do not return what it holds": (
        "Both are read through them. An id counts as absent from Qdrant only where a quorum of replicas says so."
    ),
    "Whether searches find the same points": (
        "HNSW indexes are approximate on both sides; shadow reads measure that."
    ),
    "Payload indexes, aliases and the collection's configuration": (
        "They are not part of the points; the protocol of descriptions copies them."
    ),
    "Differences within the tolerance of vectors of length one": (
        "See `tolerance`. Digests named `content` leave components out, those named `bits` have them."
    ),
    "Whether a whole number from 1e16 on was written as a float": (
        "jsonb keeps the number and not how it was written."
    ),
}
"""What no verification of this kind sees, and what looks at it instead."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One id that the stores hold differently."""

    id: PointId
    kinds: tuple[Kind, ...]

    def to_json(self) -> dict[str, object]:
        """Return the difference as JSON values."""
        return {"id": self.id, "kinds": [str(kind) for kind in self.kinds]}


@dataclass(frozen=True, slots=True)
class RangeFindings:
    """A range of the job with what was found in it."""

    range: KeyRange
    findings: Findings

    def to_json(self) -> dict[str, object]:
        """Return the range as JSON values, its bounds as ids; ``until`` is not part of it."""
        return {
            "from": _id(self.range.first),
            "until": _id(self.range.until),
            **self.findings.to_json(),
        }


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a verification came to.

    ``confirmed`` differ by a look under their locks. ``unsettled`` differed every time and were named by a write that
    was not settled. ``excluded`` were waived by name: the target need not hold them. A receipt with ``faults`` is no
    proof of anything but its differences.
    """

    id: UUID
    """The job's: one job makes one receipt."""
    collection: str
    generation: int
    surroundings: Surroundings
    started_at: datetime
    finished_at: datetime
    ranges: Sequence[RangeFindings]
    confirmed: Sequence[Difference]
    unsettled: Sequence[Difference]
    excluded: Sequence[PointId]
    notes: Sequence[str] = ()

    @property
    def faults(self) -> list[str]:
        """Return why the verification does not speak for all points."""
        found = uncovered([each.range for each in self.ranges])
        total = self.total
        if total.kept < total.differing:
            found.append(
                f"{total.differing} ids differed at first sight, and only {total.kept} of them were looked at again"
            )
        for number, each in enumerate(self.ranges):
            if each.findings.source_digest.content != each.findings.target_digest.content:
                found.append(f"the points of range {number} agreed, their digests do not")
        return found

    @property
    def total(self) -> Findings:
        """Return what all ranges came to."""
        parts = [each.findings for each in self.ranges]
        return Findings(
            source_points=sum(part.source_points for part in parts),
            target_points=sum(part.target_points for part in parts),
            compared=sum(part.compared for part in parts),
            differing=sum(part.differing for part in parts),
            kept=sum(part.kept for part in parts),
            source_digest=sum((part.source_digest for part in parts), Digest()),
            target_digest=sum((part.target_digest for part in parts), Digest()),
        )

    @property
    def is_clean(self) -> bool:
        """Every point was compared and none differs, but for those that were waived."""
        return not (self.faults or self.confirmed or self.unsettled)

    def counts(self) -> Mapping[Kind, int]:
        """Return the confirmed differences by kind; a point may have two."""
        found = Counter(kind for difference in self.confirmed for kind in difference.kinds)
        return {kind: found[kind] for kind in Kind}

    def summary(self, *, most_listed: int = 100) -> dict[str, object]:
        """Return what people look at first, with at most ``most_listed`` ids of each list."""
        total, faults = self.total, self.faults
        return {
            "receipt": str(self.id),
            "collection": self.collection,
            "stage": self.surroundings.stage,
            "epoch": self.surroundings.epoch,
            "clean": self.is_clean,
            "complete": not faults,
            "faults": faults,
            "started_at": as_text(self.started_at),
            "finished_at": as_text(self.finished_at),
            "source_points": total.source_points,
            "target_points": total.target_points,
            "compared": total.compared,
            "rechecked": total.differing,
            "differing": len(self.confirmed),
            "unsettled": len(self.unsettled),
            "excluded": len(self.excluded),
            "counts": {str(kind): count for kind, count in self.counts().items()},
            "differing_ids": _listed(self.confirmed, most_listed),
            "unsettled_ids": _listed(self.unsettled, most_listed),
            "excluded_ids": list(self.excluded[:most_listed]),
            "notes": list(self.notes),
        }

    def to_json(self) -> dict[str, object]:
        """Return the whole document, not signed."""
        total = self.total
        return {
            "format": FORMAT,
            **self.summary(most_listed=MOST_LISTED),
            "job": str(self.id),
            "generation": self.generation,
            "authority": self.surroundings.authority,
            "versions": dict(self.surroundings.versions),
            "digest": {
                "covers": "the points that agreed at first sight; see docs/verification.md",
                "points": total.compared - total.differing,
                "source": total.source_digest.to_json(),
                "target": total.target_digest.to_json(),
            },
            "tolerance": {
                "unit_vectors": f"{TOLERANCE:g} of the vector's largest component",
                "float16_unit_vectors": f"{HALF_TOLERANCE:g} of the vector's largest component",
            },
            "ranges": [each.to_json() for each in self.ranges],
            "cannot_catch": [{"what": what, "but": but} for what, but in CANNOT_CATCH.items()],
        }


def _listed(differences: Sequence[Difference], most: int) -> list[dict[str, object]]:
    return [each.to_json() for each in differences[:most]]


def _id(key: bytes | None) -> PointId | None:
    return None if key is None else decode_key(key)
