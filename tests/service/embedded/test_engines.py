"""Which engines are started: those that are needed and not configured."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest

from service.config import load
from service.embedded import engines
from service.stages import Stage

DSN = "postgresql://given/db"


class Journal(list[str]):
    """What was started and stopped, in order."""


@pytest.fixture
def journal(monkeypatch: pytest.MonkeyPatch) -> Journal:
    """Stand-ins for both engines, which take seconds to start and have tests of their own."""
    happened = Journal()

    class Postgres:
        def __init__(self, data_dir: Path) -> None:
            self._data_dir = data_dir

        def start(self) -> str:
            happened.append(f"start {self._data_dir.name}")
            return "postgresql://embedded/db"

        def stop(self) -> None:
            happened.append(f"stop {self._data_dir.name}")

    class Qdrant:
        url = "http://embedded"

        def __init__(self, data_dir: Path) -> None:
            self._data_dir = data_dir

        async def __aenter__(self) -> Self:
            happened.append(f"start {self._data_dir.name}")
            return self

        async def __aexit__(self, *_: object) -> None:
            happened.append(f"stop {self._data_dir.name}")

    monkeypatch.setattr(engines, "EmbeddedPostgres", Postgres)
    monkeypatch.setattr(engines, "EmbeddedQdrant", Qdrant)
    return happened


@pytest.mark.parametrize(
    ("database_url", "qdrant_url", "stage", "started", "found"),
    [
        (None, None, Stage.OFF, ["postgres", "qdrant"], "http://embedded"),
        (DSN, None, Stage.OFF, ["qdrant"], "http://embedded"),
        (None, "http://given", Stage.OFF, ["postgres"], "http://given"),
        (DSN, "http://given", Stage.OFF, [], "http://given"),
        (DSN, None, Stage.COMPLETE, [], None),
        (DSN, "http://given", Stage.COMPLETE, [], "http://given"),
    ],
)
async def test_only_what_is_missing_is_started(
    journal: Journal, tmp_path: Path, database_url: str | None, qdrant_url: str | None,
    stage: Stage, started: list[str], found: str | None,
) -> None:  # fmt: skip
    """An address that is given is used as it is; engines live below the data directory and end with the instance."""
    settings = load(
        database_url=database_url, qdrant_url=qdrant_url, default_stage=stage, data_dir=tmp_path
    )
    async with AsyncExitStack() as stack:
        result = await engines.start_engines(stack, settings)
        assert journal == [f"start {name}" for name in started]
    assert result.qdrant_url == found
    assert result.database_url == (database_url or "postgresql://embedded/db")
    assert journal[len(started) :] == [f"stop {name}" for name in reversed(started)]


async def test_what_was_started_ends_when_the_next_does_not_start(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed start leaves no engine behind."""

    class Broken:
        def __init__(self, data_dir: Path) -> None:
            pass

        async def __aenter__(self) -> Self:
            raise RuntimeError

        async def __aexit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr(engines, "EmbeddedQdrant", Broken)
    with pytest.raises(RuntimeError):
        async with AsyncExitStack() as stack:
            await engines.start_engines(stack, load(data_dir=tmp_path))
    assert journal == ["start postgres", "stop postgres"]
