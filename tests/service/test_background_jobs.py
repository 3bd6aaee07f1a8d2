"""What runs beside production must not end it."""

import asyncio

import pytest
from structlog.testing import capture_logs

from service import background_jobs
from service.background_jobs import kept_running
from tests.service.running import running, until


async def test_a_fault_is_logged_and_the_work_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Again and again, and what it says is in the log."""
    monkeypatch.setattr(background_jobs, "_FIRST_PAUSE_SECONDS", 0.001)
    runs: list[int] = []

    async def fail() -> None:
        runs.append(1)
        message = "a fault of ours"
        raise ZeroDivisionError(message)

    with capture_logs() as logs:
        async with running(kept_running("worker", fail)):
            await until(lambda: len(runs) > 3)
    assert {(line["event"], line["name"]) for line in logs} == {("background_job_failed", "worker")}


async def test_it_ends_when_it_is_told_to() -> None:
    """A cancellation is no fault: what runs gives back what it holds."""
    given_back = []

    async def hold() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            given_back.append(1)

    async with running(kept_running("worker", hold)):
        await asyncio.sleep(0.01)
    assert given_back == [1]
