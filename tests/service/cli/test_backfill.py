"""``vecferry backfill``: what is said of jobs that are done while the instance is in trouble."""

from collections.abc import Mapping
from typing import Any

import pytest

from service.cli.client import ControlClient
from service.errors import VecferryError
from tests.service.cli.commands import run
from tests.service.cli.shown import a_job


class Instance:
    """An instance whose backfills are done, and that has just lost Postgres."""

    def matching(self, pattern: str) -> list[str]:
        """Return the collections."""
        return [pattern]

    def start(self, kind: str, name: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Return a job that is done."""
        return a_job(collection=name, kind=kind, state="done", phase="done", result={})

    def quarantine_count(self) -> dict[str, Any]:
        """Fail."""
        reason = "Postgres is away"
        raise VecferryError(reason)


def test_done_is_said_also_when_the_quarantine_cannot_be_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The copy is there; what is not known is named."""
    monkeypatch.setattr(ControlClient, "from_settings", classmethod(lambda _: Instance()))
    assert run("backfill", "docs") == (
        0,
        "docs: was complete already (--restart copies again)\n",
        "the quarantine could not be asked: Postgres is away\n",
    )
