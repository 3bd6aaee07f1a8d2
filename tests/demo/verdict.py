"""The last line of the demo: everything that must hold, or the reasons why it does not."""

from collections.abc import Sequence
from dataclasses import dataclass

LEAST_PARITY = 0.95


@dataclass(frozen=True, slots=True)
class Checked:
    """What the independent check found; ``differing`` has one line per difference."""

    points: int
    differing: Sequence[str]
    parity: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of a whole run; ``failure`` is why it ended early, if it did."""

    requests: int
    errors: int
    checked: Checked | None
    failure: str | None = None

    @property
    def reasons(self) -> list[str]:
        """Why the demo failed; empty when everything holds."""
        found = [self.failure] if self.failure else []
        if self.errors:
            found.append(f"{self.errors} wrong answers")
        if not self.requests:
            found.append("no requests were made")
        if self.checked is None:
            found.append("the independent check was not reached")
        else:
            found += _reasons(self.checked)
        return found

    @property
    def line(self) -> str:
        """The one line that says it all."""
        if reasons := self.reasons:
            return f"demo: FAILED {self._figures} ({'; '.join(reasons)})"
        return f"demo: OK {self._figures}"

    @property
    def _figures(self) -> str:
        figures = f"requests={self.requests} errors={self.errors}"
        if self.checked is None:
            return figures
        return (
            f"{figures} points={self.checked.points} differing={len(self.checked.differing)} "
            f"parity={self.checked.parity:.3f}"
        )


def _reasons(checked: Checked) -> list[str]:
    found = []
    if not checked.points:
        found.append("no points to compare")
    if checked.differing:
        found.append(f"{len(checked.differing)} differences")
    if checked.parity < LEAST_PARITY:
        found.append(f"parity below {LEAST_PARITY}")
    return found
