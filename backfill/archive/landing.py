"""How far an import has come, kept beside the export or in another directory, one file for each destination.

Refused points are lines of a file of their own. The state says how long that file was: what a killed import wrote
behind it is cut off, so that a point is reported once.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

from backfill.archive import files
from backfill.archive.checking import Place
from backfill.archive.destination import Destination
from service.errors import ArchiveError
from service.model.ids import PointId


@dataclass(frozen=True, slots=True)
class Refusal:
    """A point that the destination did not take, and its words."""

    id: PointId
    reason: str


@dataclass(frozen=True, slots=True)
class Landed:
    """What an import has done: ``made`` says that it made the collection, or was about to."""

    archive: str
    """The SHA-256 of the manifest."""
    made: bool = False
    place: Place = field(default_factory=Place)
    written: int = 0
    refused: int = 0
    refused_bytes: int = 0


class Landing:
    """The files of one import."""

    def __init__(self, directory: Path, destination: Destination) -> None:
        self.lock = directory / f"{destination.label}.lock"
        self.refusals = directory / f"{destination.label}.refused.jsonl"
        self._state = directory / f"{destination.label}.json"
        self._destination = destination

    def load(self, archive: str) -> Landed:
        """Return how far an import of this archive has come, a fresh state when there was none."""
        if not self._state.exists():
            return self._fresh(archive)
        with files.failures("read", self._state):
            text = self._state.read_bytes()
        try:
            found = _landed(orjson.loads(text)["progress"])
        except (ValueError, KeyError, TypeError) as error:
            message = f"{self._state} is damaged ({error}); remove it to import from the beginning"
            raise ArchiveError(message) from None
        if found.archive != archive:
            return self._fresh(archive)
        self._cut_refusals(found.refused_bytes)
        return found

    def save(self, landed: Landed) -> None:
        """Store how far the import has come."""
        document = {"destination": asdict(self._destination), "progress": asdict(landed)}
        files.replace(self._state, orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n")

    def refuse(self, landed: Landed, refused: Sequence[Refusal]) -> Landed:
        """Write refused points down and return the state that counts them; it is not saved yet."""
        if not refused:
            return landed
        lines = b"".join(orjson.dumps(asdict(each)) + b"\n" for each in refused)
        with files.failures("write", self.refusals), self.refusals.open("ab") as file:
            file.write(lines)
        return replace(
            landed,
            refused=landed.refused + len(refused),
            refused_bytes=landed.refused_bytes + len(lines),
        )

    def refused(self) -> list[Refusal]:
        """Return the points that were refused."""
        if not self.refusals.exists():
            return []
        with files.failures("read", self.refusals):
            lines = self.refusals.read_bytes().splitlines()
        return [Refusal(**orjson.loads(line)) for line in lines]

    def end(self) -> None:
        """Forget the progress: the next import begins at the beginning. The list of refused points stays."""
        files.remove([self._state])

    def _fresh(self, archive: str) -> Landed:
        files.remove([self.refusals])
        return Landed(archive)

    def _cut_refusals(self, length: int) -> None:
        if self.refusals.exists():
            with files.failures("write", self.refusals), self.refusals.open("r+b") as file:
                file.truncate(length)


def _landed(stored: dict[str, Any]) -> Landed:
    return Landed(**{**stored, "place": Place(**stored["place"])})
