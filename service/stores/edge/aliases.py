"""``aliases.json`` in the data directory: the collection that every alias stands for."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

FILE = "aliases.json"


class AliasFile:
    """The aliases of one data directory; a change is on the disk when it returns, whole or not at all."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / FILE
        self._aliases: dict[str, str] = {}

    def read(self) -> None:
        """Read what an earlier run left."""
        if self._path.is_file():
            self._aliases = json.loads(self._path.read_bytes())

    @property
    def all(self) -> Mapping[str, str]:
        """From alias to collection."""
        return self._aliases

    def resolve(self, name: str) -> str:
        """Return the collection that a name stands for: its own, unless it is an alias."""
        return self._aliases.get(name, name)

    def replace(self, aliases: Mapping[str, str]) -> None:
        """Store other aliases."""
        if aliases == self._aliases:
            return
        draft = self._path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump(dict(aliases), file)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self._path)
        self._aliases = dict(aliases)

    def forget(self, collection: str) -> None:
        """Drop the aliases of a collection."""
        self.replace({alias: name for alias, name in self._aliases.items() if name != collection})
