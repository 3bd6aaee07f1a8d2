"""The operator's key: made at first start, kept in the data directory, readable by its owner only."""

import os
import secrets
from pathlib import Path

from service.errors import ConfigurationError

FILE = "operator.key"


def ensure(data_dir: Path) -> str:
    """Return the key, made now if there is none. Raises ``ConfigurationError`` when the directory is not writable."""
    path = data_dir / FILE
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return read(data_dir)
    except OSError as error:
        message = f"VECFERRY_DATA_DIR: cannot write {path}: {error.strerror}"
        raise ConfigurationError(message) from None
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    return read(data_dir)


def read(data_dir: Path) -> str:
    """Return the key of a data directory. Raises ``ConfigurationError`` when there is none."""
    path = data_dir / FILE
    try:
        return path.read_text().strip()
    except OSError as error:
        message = f"VECFERRY_DATA_DIR: cannot read {path}: {error.strerror} (is `vecferry serve` running with it?)"
        raise ConfigurationError(message) from None
