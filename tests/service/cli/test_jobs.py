"""Long jobs as the command line follows them: what counts as an end."""

from typing import Any, cast

from service.cli.client import ControlClient
from service.cli.jobs import run
from service.errors import StageError


class Instance:
    """An instance that refuses ``refused`` and forgets ``forgotten``, as one that was restarted does."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def start(self, kind: str, name: str, body: object) -> None:
        """Begin a job."""
        assert (kind, body) == ("backfill", {"restart": True})
        if name == "refused":
            message = "not now"
            raise StageError(message)

    def follow(self, kind: str, name: str) -> dict[str, Any]:
        """Return a job that ends at the second look."""
        assert kind == "backfill"
        self.asked.append(name)
        if name == "forgotten":
            return {"job": None}
        state = "running" if self.asked.count(name) == 1 else "done"
        return {"job": {"state": state, "result": {}, "error": None}}


def test_every_job_comes_to_an_end_of_its_own() -> None:
    """A refused and a forgotten job have failed with the reason; the others are followed to their end."""
    instance = Instance()
    names = ["refused", "forgotten", "good"]
    jobs = run(
        cast("ControlClient", instance), "backfill", names, lambda _: (0, None), {"restart": True}
    )
    assert list(jobs) == names
    assert [job["state"] for job in jobs.values()] == ["failed", "failed", "done"]
    assert jobs["refused"]["error"] == "not now"
    assert jobs["forgotten"]["error"] == "the instance restarted; run the command again"
    assert instance.asked == ["forgotten", "good", "good"]
