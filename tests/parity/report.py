"""What a run found, and the table of it; pure."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.parity.asks import Row

_SHOWN = 1500
"""Longest account of one difference, in characters."""


@dataclass(slots=True)
class Report:
    """Counts per feature, of rows, and the differences that nobody knew of."""

    requests: Counter[str] = field(default_factory=Counter)
    equal: Counter[str] = field(default_factory=Counter)
    gaps: Counter[str] = field(default_factory=Counter)
    unproven: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, feature: str, row: Row, found: Sequence[str]) -> None:
        """Count a row. A known gap that is none any more is a failure, too."""
        count = len(row.asks)
        self.requests[feature] += count
        self.unproven[feature] += count if row.is_marked else 0
        if row.gap is not None and found:
            self.gaps[feature] += count
        elif row.gap is not None:
            self.failures.append(
                f"{feature}: {row.dataset}: {row.name}: no gap any more: {row.gap}"
            )
        elif found:
            lines = "\n    ".join(one[:_SHOWN] for one in found)
            self.failures.append(f"{feature}: {row.dataset}: {row.name}\n    {lines}")
        else:
            self.equal[feature] += count

    def add_random(
        self, feature: str, compared: int, differences: Sequence[str], contested: int = 0
    ) -> None:
        """Count what nobody thought of; ``contested`` are known gaps."""
        self.requests[feature] += compared
        self.equal[feature] += compared - len(differences) - contested
        self.gaps[feature] += contested
        self.failures += [f"{feature}: {one[:_SHOWN]}" for one in differences]

    @property
    def is_ok(self) -> bool:
        """Whether every answer was equal or known to differ."""
        return bool(self.requests) and not self.failures

    def text(self) -> str:
        """Return failures, table and the last line."""
        heads = ("feature", "requests", "equal", "gaps", "marked")
        table = [f"{heads[0]:<15}" + "".join(f"{head:>10}" for head in heads[1:])]
        for feature in self.requests:
            counts = (self.requests, self.equal, self.gaps, self.unproven)
            table.append(f"{feature:<15}" + "".join(f"{count[feature]:>10}" for count in counts))
        table.append(
            "marked: not done by Qdrant's engine itself; docs/testing.md says what stands in for it"
        )
        state = "OK" if self.is_ok else f"FAILED ({len(self.failures)} rows)"
        last = (
            f"parity: {state} requests={self.requests.total()} equal={self.equal.total()} "
            f"known_gaps={self.gaps.total()}"
        )
        return "\n".join([*self.failures, "", *table, last])
