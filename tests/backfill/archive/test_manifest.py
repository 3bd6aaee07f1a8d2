"""Manifests and the files they stand in."""

import os
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from backfill.archive import files, manifest
from backfill.archive.manifest import FileEntry, Manifest, Origin, Subject
from service.errors import ArchiveError
from tests.backfill.archive.points import CONFIG

ENTRY = FileEntry("points-000001.parquet", 3, 1, "00000000-0000-0000-0000-000000000001", 10, "ab")


def _manifest() -> Manifest:
    subject = Subject("things", CONFIG, {"n": "integer"}, ["alias"])
    origin = Origin("source", "http://here", "1.19.0")
    return Manifest(
        subject, origin, "0.1.0", "2026-01-01T00:00:00.000+00:00", counted={"before": 3}
    )


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    """With another digest after another file."""
    first = _manifest()
    after = first.with_file(ENTRY, 2**64 - 1)
    after.save(tmp_path)
    found = manifest.load(tmp_path)
    assert (found.entries, found.next, found.rows) == ((ENTRY,), 2**64 - 1, 3)
    assert (found.layout, found.digest) == (after.layout, after.digest)
    assert first.digest != after.digest
    assert list(tmp_path.iterdir()) == [tmp_path / "manifest.json"]


def test_every_damage_is_found(tmp_path: Path) -> None:
    """Each byte, changed or cut off behind."""
    _manifest().with_file(ENTRY, 7).save(tmp_path)
    path = tmp_path / "manifest.json"
    whole = path.read_bytes()
    ends = len(whole.rstrip()) - 1
    for at in range(0, ends, 7):
        path.write_bytes(whole[:at])
        with pytest.raises(ArchiveError, match=r"manifest\.json is damaged: it is not whole JSON"):
            manifest.load(tmp_path)
        changed = bytearray(whole)
        changed[at] ^= 1
        path.write_bytes(changed)
        if orjson_or_none(bytes(changed)) != orjson_or_none(whole):
            with pytest.raises(ArchiveError, match=r"manifest\.json"):
                manifest.load(tmp_path)


def orjson_or_none(text: bytes) -> object:
    """Return the JSON value, ``None`` where there is none; spaces that change are no damage."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "of the format 'vecferry-export' 2, not 'vecferry-export' 1"),
        ({"format": "other"}, "of the format 'other' 1"),
        ({"rows": 4}, "does not match its own sha256"),
    ],
)
def test_another_format_is_told_from_damage(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    """A newer version says so, with both numbers."""
    _manifest().save(tmp_path)
    path = tmp_path / "manifest.json"
    path.write_bytes(orjson.dumps(orjson.loads(path.read_bytes()) | change))
    with pytest.raises(ArchiveError, match=reason):
        manifest.load(tmp_path)


def test_a_file_elsewhere_is_not_read(tmp_path: Path) -> None:
    """A manifest names files beside it only."""
    _manifest().with_file(replace(ENTRY, name="../../etc/passwd"), None).save(tmp_path)
    with pytest.raises(ArchiveError, match="is not the name of a file of an export"):
        manifest.load(tmp_path)


@pytest.mark.parametrize(
    ("collection", "directory"),
    [
        ("plain", "plain"),
        ("a/b", "a%2Fb"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("ü", "%C3%BC"),
    ],
)
def test_a_collection_has_a_directory_of_its_own(collection: str, directory: str) -> None:
    """Whatever it is called, and never above or hidden."""
    assert files.directory_name(collection) == directory


def test_a_replacement_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no half one; the error names the file and the reason."""
    path = tmp_path / "x"
    files.replace(path, b"old")

    def full(_file: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ArchiveError, match=f"cannot write {path}: No space left on device"):
        files.replace(path, b"new")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"old", [path])
