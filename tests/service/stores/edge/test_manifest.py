"""The manifest and the names of directories."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from service.stores.edge.manifest import Manifest, directory_name, remove_leftovers
from tests.service.stores.edge.data import plain

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Request, shard number and payload indexes come back."""
    written = Manifest("c", plain(), 3).with_index("t", {"type": "text", "lowercase": True})
    written.with_index("n", "integer").without_index("n").write(tmp_path)
    assert Manifest.read(tmp_path) == written
    assert written.schemas == {"t": {"type": "text", "lowercase": True}}


@given(st.sets(NAMES, max_size=5))
def test_directory_names_are_safe_and_distinct(names: set[str]) -> None:
    """They are plain, short enough for any file system, and two collections never share one."""
    directories = {directory_name(name) for name in names}
    assert len(directories) == len(names)
    for directory in directories:
        assert len(directory.encode()) <= 255
        assert "/" not in directory
        assert directory not in {"", ".", ".."}


def test_what_was_cut_short_is_removed(tmp_path: Path) -> None:
    """A directory without a manifest is no collection."""
    (tmp_path / "half").mkdir()
    (tmp_path / "whole").mkdir()
    Manifest("c", plain()).write(tmp_path / "whole")
    remove_leftovers(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["whole"]
