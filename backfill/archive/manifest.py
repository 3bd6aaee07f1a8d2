"""``manifest.json``: what an export consists of and how far it has come.

The document carries the SHA-256 of itself, so that a changed byte is found here as it is in the data.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from backfill.archive import files
from backfill.archive.layout import FORMAT, VERSION, Layout, layout_of
from service.errors import ArchiveError
from service.model.ids import PointId
from service.model.qdrant import CreateCollection

NAME = "manifest.json"
FILE_NAME = re.compile(r"points-[0-9]{6,}\.parquet")

CONSISTENCY = (
    "Not a snapshot of one moment: each point is as the store held it when its page was read, some time between"
    " started_at and finished_at. A point written or deleted meanwhile may be here as it was before or after, a new"
    " one may be missing. Without writes it is exact."
)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One finished file; ``first`` and ``last`` are ids, ``sha256`` is in hexadecimal digits."""

    name: str
    rows: int
    first: PointId
    last: PointId
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Subject:
    """A collection apart from its points."""

    name: str
    configuration: CreateCollection
    payload_schema: Mapping[str, Any] = field(default_factory=dict)
    aliases: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the points come from: ``side`` is ``proxy``, ``source`` or ``target``; the address names no password."""

    side: str
    address: str
    version: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """An export. ``next`` is the id to go on from, ``None`` before the first page and after the last.

    ``counted`` is how many points the store had ``before`` and ``after``; moments are ISO 8601, UTC, of the exporting
    machine's clock.
    """

    subject: Subject
    origin: Origin
    vecferry: str
    started_at: str
    finished_at: str | None = None
    resumed: int = 0
    counted: Mapping[str, int] = field(default_factory=dict)
    entries: Sequence[FileEntry] = ()
    next: PointId | None = None
    complete: bool = False

    @property
    def rows(self) -> int:
        """How many points the finished files hold."""
        return sum(entry.rows for entry in self.entries)

    @property
    def layout(self) -> Layout:
        """The vectors of the collection."""
        return layout_of(self.subject.configuration)

    def with_file(self, entry: FileEntry, following: PointId | None) -> "Manifest":
        """Return the manifest after one more file."""
        return replace(self, entries=(*self.entries, entry), next=following)

    def save(self, directory: Path) -> None:
        """Replace the directory's manifest as a whole."""
        body = self._document()
        text = orjson.dumps({**body, "sha256": _digest(body)}, option=orjson.OPT_INDENT_2)
        files.replace(directory / NAME, text + b"\n")

    @property
    def digest(self) -> str:
        """The SHA-256 of the manifest: another export of the same collection has another one."""
        return _digest(self._document())

    def _document(self) -> dict[str, Any]:
        subject = self.subject
        return {
            "format": FORMAT,
            "version": VERSION,
            "collection": subject.name,
            "complete": self.complete,
            "rows": self.rows,
            "store": asdict(self.origin),
            "vecferry": self.vecferry,
            "started_at": self.started_at,
            "finished_at": self.finished_at,
            "resumed": self.resumed,
            "consistency": CONSISTENCY,
            "counted": dict(self.counted),
            "configuration": subject.configuration.model_dump(
                mode="json", exclude_none=True, by_alias=True
            ),
            "payload_schema": dict(subject.payload_schema),
            "aliases": list(subject.aliases),
            "next": self.next,
            "files": [asdict(entry) for entry in self.entries],
        }


def load(directory: Path) -> Manifest:
    """Read a manifest. Raises ``ArchiveError`` when it is not there, damaged, or of another format."""
    path = directory / NAME
    with files.failures("read", path):
        text = path.read_bytes()
    try:
        document = orjson.loads(text)
        stored = document.pop("sha256")
        if (document["format"], document["version"]) != (FORMAT, VERSION):
            found = f"{document['format']!r} {document['version']}"
            message = f"{path} is of the format {found}, not {FORMAT!r} {VERSION}"
            raise ArchiveError(message)
        if stored != _digest(document):
            message = f"{path} is damaged: its content does not match its own sha256"
            raise ArchiveError(message)
        return _manifest(document)
    except orjson.JSONDecodeError as error:
        message = f"{path} is damaged: it is not whole JSON ({error})"
        raise ArchiveError(message) from None
    except (KeyError, TypeError, AttributeError, ValidationError) as error:
        message = f"{path} is not a manifest of an export: {type(error).__name__} {error}"
        raise ArchiveError(message.partition("\n")[0]) from None


def _manifest(document: Mapping[str, Any]) -> Manifest:
    entries = tuple(FileEntry(**entry) for entry in document["files"])
    for entry in entries:
        if not FILE_NAME.fullmatch(entry.name):
            message = f"{NAME}: {entry.name!r} is not the name of a file of an export"
            raise ArchiveError(message)
    return Manifest(
        subject=Subject(
            document["collection"],
            CreateCollection.model_validate(document["configuration"]),
            document["payload_schema"],
            tuple(document["aliases"]),
        ),
        origin=Origin(**document["store"]),
        vecferry=document["vecferry"],
        started_at=document["started_at"],
        finished_at=document["finished_at"],
        resumed=document["resumed"],
        counted=document["counted"],
        entries=entries,
        next=document["next"],
        complete=document["complete"],
    )


def _digest(document: Mapping[str, Any]) -> str:
    return sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
