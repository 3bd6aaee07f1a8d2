"""The operator's key in its file."""

import os
import threading
from pathlib import Path

import pytest

from service import keys
from service.errors import ConfigurationError


def test_the_first_start_makes_a_key_for_its_owner_only(tmp_path: Path) -> None:
    """It is long, in a directory made for it, and nobody else may read it, whatever the umask."""
    before = os.umask(0)
    try:
        key = keys.ensure(tmp_path / "new" / "dir")
    finally:
        os.umask(before)
    file = tmp_path / "new" / "dir" / keys.FILE
    assert len(key) >= 43
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in file.parent.iterdir()] == [keys.FILE]


def test_a_key_stays(tmp_path: Path) -> None:
    """Later starts and the command line read the same key; another directory has another one."""
    key = keys.ensure(tmp_path / "a")
    assert (keys.ensure(tmp_path / "a"), keys.read(tmp_path / "a")) == (key, key)
    assert keys.ensure(tmp_path / "b") != key


def test_an_empty_key_opens_nothing(tmp_path: Path) -> None:
    """A file that a full disk left empty would be a key that everybody has."""
    (tmp_path / keys.FILE).write_text("\n")
    with pytest.raises(ConfigurationError, match=r"VECFERRY_DATA_DIR: .* is empty"):
        keys.ensure(tmp_path)


def test_processes_that_start_together_have_one_key(tmp_path: Path) -> None:
    """Whoever reads the file reads a whole key, and all of them the same."""
    found: list[str] = []
    starts = [
        threading.Thread(target=lambda: found.append(keys.ensure(tmp_path))) for _ in range(8)
    ]
    for start in starts:
        start.start()
    for start in starts:
        start.join()
    assert len(found) == 8
    assert set(found) == {keys.read(tmp_path)}


def test_without_a_key_the_command_line_says_where_it_looked(tmp_path: Path) -> None:
    """The usual mistake is another data directory."""
    with pytest.raises(ConfigurationError, match=rf"cannot read {tmp_path}.*vecferry serve"):
        keys.read(tmp_path)


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """One line with the setting's name, no stack trace."""
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="VECFERRY_DATA_DIR: cannot write"):
        keys.ensure(tmp_path / "file" / "dir")
