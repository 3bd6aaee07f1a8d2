"""The operator's key: made at first start, kept in the data directory, readable by its owner only."""

import os
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from service.errors import ConfigurationError

FILE = "operator.key"


def ensure(data_dir: Path) -> str:
    """Return the key, made now if there is none. Raises ``ConfigurationError`` when the directory is not writable."""
    path = data_dir / FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make(path)
    except OSError as error:
        message = f"VECFERRY_DATA_DIR: cannot write {path}: {error.strerror}"
        raise ConfigurationError(message) from None
    return read(data_dir)


def read(data_dir: Path) -> str:
    """Return the key of a data directory. Raises ``ConfigurationError`` when there is none."""
    path = data_dir / FILE
    try:
        key = path.read_text().strip()
    except OSError as error:
        message = f"VECFERRY_DATA_DIR: cannot read {path}: {error.strerror} (is `vecferry serve` running with it?)"
        raise ConfigurationError(message) from None
    if not key:
        # An empty key would be a key that everybody has.
        message = f"VECFERRY_DATA_DIR: {path} is empty; remove it and start again"
        raise ConfigurationError(message)
    return key


def _make(path: Path) -> None:
    """Put a whole key in place at once; of several processes that start together one wins."""
    with NamedTemporaryFile("w", dir=path.parent, prefix=FILE) as draft:  # made with mode 0600
        draft.write(secrets.token_urlsafe(32) + "\n")
        draft.flush()
        os.fsync(draft.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(draft.name)
