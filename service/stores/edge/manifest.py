"""``collection.json``: what a collection is, and which of its shard directories is the valid one."""

import json
import os
import shutil
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote
from zlib import crc32

from pydantic import BaseModel

from service.model.qdrant import CreateCollection
from service.stores.payload_schema import parse_schema

FILE = "collection.json"
_LONGEST_NAME = 180


@dataclass(frozen=True, slots=True)
class Manifest:
    """One collection; ``shard`` numbers its shard directory, ``schemas`` are its payload indexes."""

    name: str
    request: CreateCollection
    shard: int = 0
    schemas: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path) -> Self:
        """Return what is stored in a collection's directory."""
        stored = json.loads((directory / FILE).read_bytes())
        return cls(
            stored["name"],
            CreateCollection.model_validate(stored["request"]),
            stored["shard"],
            stored["schemas"],
        )

    def write(self, directory: Path) -> None:
        """Replace the stored manifest in one step."""
        content = {
            "name": self.name,
            "request": self.request.model_dump(mode="json", exclude_none=True),
            "shard": self.shard,
            "schemas": self.schemas,
        }
        draft = directory / f"{FILE}.new"
        with draft.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(directory / FILE)

    def shard_directory(self, directory: Path) -> Path:
        """Return where the valid shard is."""
        return directory / f"shard-{self.shard}"

    def with_request(self, request: CreateCollection) -> "Manifest":
        """Return the manifest with other parameters, itself when they are the same object."""
        return self if request is self.request else replace(self, request=request)

    def with_index(self, path: str, schema: Any) -> "Manifest":
        """Return the manifest with one more payload index."""
        parsed = parse_schema(schema)
        plain = (
            parsed.model_dump(mode="json", exclude_none=True)
            if isinstance(parsed, BaseModel)
            else parsed.value
        )
        return replace(self, schemas=self.schemas | {path: plain})

    def without_index(self, path: str) -> "Manifest":
        """Return the manifest with one payload index less."""
        return replace(self, schemas={k: v for k, v in self.schemas.items() if k != path})


def directory_name(collection: str) -> str:
    """Return a file name for any collection name; distinct names stay distinct."""
    quoted = quote(collection, safe="").replace(".", "%2E")
    if len(quoted) <= _LONGEST_NAME:
        return quoted
    return f"{quoted[:_LONGEST_NAME]}.{sha256(collection.encode()).hexdigest()[:32]}"


def owner(collection: str, workers: int) -> int:
    """Return which of the engine processes serves the collection; the same in every run."""
    return crc32(collection.encode()) % workers


def remove_leftovers(root: Path) -> None:
    """Remove the directories of collections whose creation or removal was cut short.

    Only while no engine process runs: one of them may be creating a collection.
    """
    for directory in root.iterdir():
        if not (directory / FILE).is_file():
            shutil.rmtree(directory, ignore_errors=True)
